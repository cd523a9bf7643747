"""What runs at power-up."""

import gc


def run():
    """Serve the link until Ctrl-C or STOP gives the REPL back."""
    gc.collect()
    # Loading scatters what stays among what does not. So a piece is kept free of it for the
    # network, and the rest is swept up often; largest parts first, for the same reason.
    # Not more than a heap that is made of several areas has in one.
    kept_free = bytearray(min(gc.mem_free() // 4, 32768))
    gc.threshold(1024)
    for name in (
        "kernels",
        "link_protocol",
        "link",
        "link_crc",
        "frontend_emulated",
        "network",
        "learn_rule",
        "network_config",
        "link_server",
    ):
        __import__("madem." + name)
        gc.collect()
    gc.threshold(-1)
    del kept_free
    gc.collect()
    from . import link_server

    link_server.run()
