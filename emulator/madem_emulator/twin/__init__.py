"""The desktop twin of the firmware: docs/reference/arithmetic.md to the bit, for many boards at
once.
"""
