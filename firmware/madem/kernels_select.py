"""The inner loops, as the board's processor can run them."""

import sys

try:
    # Architectures 4 to 8 of native code, armv6m to armv7emdp, are Thumb.
    if not 4 <= getattr(sys.implementation, "_mpy", 0) >> 10 & 15 <= 8:
        raise ImportError
    from .kernels_thumb import change, convert, forward_sums, transposed_sums
except (ImportError, SyntaxError):  # a board may lack the assembler
    from .kernels_viper import change, convert, forward_sums, transposed_sums

__all__ = ("change", "convert", "forward_sums", "transposed_sums")
