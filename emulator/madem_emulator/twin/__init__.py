"""The desktop twin of the firmware.

It is docs/reference/arithmetic.md to the bit, for many boards at once.
"""
