"""What lies between activities and the lines of a card, in viper: nothing here allocates.

Levels and codes are signed 16-bit numbers. Sums of codes are 32 bits with an offset, as a load of
32 bits is unsigned where words are longer (kernels_viper.py).
"""

import micropython
from micropython import const

_ZERO = const(0x1000000)  # a sum of 0
_MOST_SUM = const(48000)  # either way: times a gain it stays a 32-bit number
_OFFSET = const(32768)  # of a reading
_MOST = const(16383)  # of a reading, either way


@micropython.viper
def place(levels: ptr16, lines: int, s: ptr8, first: int, count: int, bias: int) -> int:
    """Set levels to s[first:first + count], 255 if there is a bias, then zeros; 0 if all are."""
    loud = bias
    for r in range(lines):
        level = 0
        if r < count:
            level = int(s[first + r])
            loud |= level
        elif bias and r == count:
            level = 255
        levels[r] = level
    return loud


@micropython.viper
def place_pairs(levels: ptr16, units: int, s: ptr8, first: int, count: int) -> int:
    """Set levels to each of s[first:first + count], then its opposite; then zeros; 0 if all are."""
    loud = 0
    for u in range(units):
        level = 0
        if u < count:
            level = int(s[first + u])
            loud |= level
        levels[2 * u] = level
        levels[2 * u + 1] = 0 - level
    return loud


@micropython.viper
def clear(sums: ptr32, n: int):
    """Set n sums to zero, which is _ZERO."""
    for i in range(n):
        sums[i] = _ZERO


@micropython.viper
def add(sums: ptr32, first: int, codes: ptr16, n: int):
    """sums[first + r] += codes[r], for n lines."""
    for r in range(n):
        code = int(codes[r])
        sums[first + r] = int(sums[first + r]) + code - ((code & 0x8000) << 1)


@micropython.viper
def add_pairs(sums: ptr32, first: int, codes: ptr16, n: int):
    """sums[first + u] += codes[2u] − codes[2u + 1], for n units."""
    for u in range(n):
        p = int(codes[2 * u])
        q = int(codes[2 * u + 1])
        p -= (p & 0x8000) << 1
        q -= (q & 0x8000) << 1
        sums[first + u] = int(sums[first + u]) + p - q


@micropython.viper
def put(out: ptr8, sums: ptr32, n: int, gain: int, shift: int):
    """Readings of sums times gain / 2**shift, rounded and clamped: 32 bits each, with offset."""
    half = 1 << shift >> 1
    for i in range(n):
        u = int(sums[i]) - _ZERO
        if u > _MOST_SUM:
            u = _MOST_SUM
        elif u < 0 - _MOST_SUM:
            u = 0 - _MOST_SUM
        u = (u * gain + half) >> shift
        if u > _MOST:
            u = _MOST
        elif u < 0 - _MOST:
            u = 0 - _MOST
        u += _OFFSET
        out[4 * i] = u
        out[4 * i + 1] = u >> 8
        out[4 * i + 2] = 0
        out[4 * i + 3] = 0
