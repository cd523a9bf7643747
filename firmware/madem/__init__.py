"""What a program of one's own may ask for; docs/reference/device.md. Loaded when it does."""

__version__ = "0.1.0"


def load(path):
    from . import library_network

    return library_network.load(path)


def Network(sizes, names=None, seed=1):
    from . import library_network

    return library_network.fresh(sizes, names, seed)


def pipeline(line, channels=1):
    from . import library_pipeline

    return library_pipeline.pipeline(line, channels)
