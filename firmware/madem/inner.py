"""The inner loops, as the board's processor can run them."""

try:
    # The assembler's version is twice as fast on a Cortex-M and impossible elsewhere.
    from .inner_thumb import change, convert, forward_sums, transposed_sums
except (ImportError, SyntaxError, ValueError):
    from .inner_viper import change, convert, forward_sums, transposed_sums

__all__ = ("change", "convert", "forward_sums", "transposed_sums")
