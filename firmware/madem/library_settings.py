"""The settings of a fresh network that learns classes, as `madem learn` chooses them.

The table "Configuration" of docs/reference/arithmetic.md, in integers: the payload of CONFIGURE.
"""

import struct

from micropython import const

RATE = 2064  # of the first pass over new samples, with
PULSES = 3
RATE_ON = 1083  # for a network that has learned already: as in the middle of the schedule, with
PULSES_ON = 1

_STEEPEST = const(255)
_SHIFTS = const(16)  # beyond, M would be above 255 for every w_max from 0.1 on


def payload(sizes, seed):
    """The payload of CONFIGURE for a network of these layers.

    Args:
        sizes: units of each layer, input first.
        seed: of all draws, 0 to 2**32 - 1.

    Raises:
        ValueError: a size or the seed is out of range.
    """
    depth = len(sizes) - 1
    if not 1 <= depth <= 255 or min(sizes) < 1 or max(sizes) > 1024 or sizes[-1] > 255:
        raise ValueError("sizes must be 2 to 256 layers of 1 to 1024 units, 255 classes at most")
    if not 0 <= seed < 1 << 32:
        raise ValueError("the seed must be from 0 to 4294967295")
    parts = [
        struct.pack("<12BI", 2, depth, 1, 0, 4, 2, 64, 153, 0, 255, 8, 0, seed),
        struct.pack("<HhhHHHHH", 213, 0, 0, 44, 44, 35, 0, 48),
    ]
    for n in sizes:
        parts.append(struct.pack("<H", n))
    for k in range(depth):
        gain, shift = _gain(sizes[k], sizes[k + 1], 2 if k else 3)
        parts.append(struct.pack("<4B3HB", gain, shift, 11, 10, 35, 18, 0, 2 if k else 1))
    return b"".join(parts)


def _gain(m, n, tenths):
    """M and Q for a coupling of so many tenths at the ends of the window."""
    widest = 65025 * max(m + 1, n)
    for shift in range(_SHIFTS, 0, -1):
        # 1024 / (200 * 255) * tenths / 10, rounded.
        gain = ((1024 * tenths << shift + 1) + 510000) // 1020000
        if 1 <= gain <= _STEEPEST and gain <= ((1 << 31) - (1 << shift - 1) - 1) // widest:
            return gain, shift
    raise ValueError("a layer of %d by %d units is out of reach" % (m, n))
