"""Boot: serve the link until Ctrl-C gives the REPL back."""

import gc

# Largest first, and swept up after each: what the compiler leaves behind must not
# lie scattered where the weights will need one piece.
for _name in ("kernels", "link", "crc", "crossbar", "network", "learning", "serve"):
    __import__("madem." + _name)
    gc.collect()

from madem import serve  # noqa: E402

serve.run()
