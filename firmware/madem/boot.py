"""What runs at power-up."""

import gc


def run():
    """Serve the link until Ctrl-C or STOP gives the REPL back."""
    # Largest first, and swept up after each: what the compiler leaves behind must not
    # lie scattered where the weights will need one piece.
    for name in ("kernels", "link", "crc", "crossbar", "network", "learning", "serve"):
        __import__("madem." + name)
        gc.collect()
    from . import serve

    serve.run()
