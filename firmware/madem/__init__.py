"""What a program of one's own may ask for: docs/reference/device.md.

Each is loaded when it is first called, so the firmware that only serves the link hardly pays.
"""

__version__ = "0.1.0"


def load(path):
    """Read a network from a file; see library_network.load."""
    from . import library_network as library

    return library.load(path)


def Network(*given, **named):
    """Make a network with fresh weights; see library_network.fresh."""
    from . import library_network as library

    return library.fresh(*given, **named)


def pipeline(*given, **named):
    """Make what computes features of a stream; see library_pipeline.pipeline."""
    from . import library_pipeline as library

    return library.pipeline(*given, **named)
