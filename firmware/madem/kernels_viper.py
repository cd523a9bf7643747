"""The inner loops of docs/reference/arithmetic.md: reading the array, and the accumulators.

In viper, for boards without a Thumb processor; kernels_thumb.py is the same for
those with one. The first three variables of a viper function live in processor
registers, so the arguments that come first serve as the pointers of its loops.

Integers keep the same bits on 32- and 64-bit builds: every value fits 31 bits
before it is stored in a `ptr32`, because such a load is signed on one build
and unsigned on the other, and constants stay below 2**30.
"""

import micropython
from micropython import const

_A = const(30903)  # multiplier of the generator
_OFFSET = const(32768)  # of a reading
_BIAS = const(1 << 29)  # of a sum

# A read's record, in 32-bit words.
_BASE = const(0)  # offset of the layer's first device
_M = const(1)  # word lines, without the bias
_N = const(2)  # bit lines
_DRIVEN = const(3)  # offset of the driving layer's activities
_SENSED = const(4)  # how many lines are sensed
_GAIN = const(5)
_SHIFT = const(6)
_STEP_BITS = const(7)  # H: bits of drive below one ADC code
_NOISE = const(8)
_HALF = const(9)  # 2**(ADC bits - 1)

# The work of `change`, in 32-bit words; _M and _N are as above.
_LOWER = const(0)  # offset of the lower layer's activities
_UPPER = const(3)  # of the upper layer's
_RATE = const(4)
_NEXT = const(5)  # bit line to go on with
_RNG = const(6)
_ROOM = const(7)  # for so many couplings
_DUE = const(8)  # where their list begins


@micropython.viper
def forward_sums(g: ptr8, s: ptr8, sums: ptr32, p: ptr32):
    """What the word lines, driven with s, send into each bit line, + 2**29.

    g: all devices; s: all activities; sums: a 32-bit word per bit line; p: the read's record.
    """
    m = int(p[_M])
    n = int(p[_N])
    g = ptr8(int(g) + int(p[_BASE]))
    s = ptr8(int(s) + int(p[_DRIVEN]))
    i = 0
    while i < n:
        neg = ptr8(int(g) + m + 1)
        acc = _BIAS + 255 * (g[m] - neg[m])
        j = m
        while j >= 8:
            acc += (
                (g[0] - neg[0]) * s[0]
                + (g[1] - neg[1]) * s[1]
                + (g[2] - neg[2]) * s[2]
                + (g[3] - neg[3]) * s[3]
                + (g[4] - neg[4]) * s[4]
                + (g[5] - neg[5]) * s[5]
                + (g[6] - neg[6]) * s[6]
                + (g[7] - neg[7]) * s[7]
            )
            g = ptr8(int(g) + 8)
            neg = ptr8(int(neg) + 8)
            s = ptr8(int(s) + 8)
            j -= 8
        while j:
            acc += (g[0] - neg[0]) * s[0]
            g = ptr8(int(g) + 1)
            neg = ptr8(int(neg) + 1)
            s = ptr8(int(s) + 1)
            j -= 1
        sums[i] = acc
        s = ptr8(int(s) - m)
        g = ptr8(int(neg) + 1)
        i += 1


@micropython.viper
def transposed_sums(g: ptr8, s: ptr8, sums: ptr32, p: ptr32):
    """What the bit lines, driven with s, send into each word line, + 2**29; as forward_sums."""
    m = int(p[_M])
    n = int(p[_N])
    first = int(sums)
    row = int(g) + int(p[_BASE])
    driven = ptr8(int(s) + int(p[_DRIVEN]))
    j = 0
    while j < m:
        sums[j] = _BIAS
        j += 1
    i = 0
    while i < n:
        a = driven[i]
        if a:  # most units are silent
            g = ptr8(row)
            s = ptr8(row + m + 1)
            sums = ptr32(first)
            j = m
            while j >= 4:
                sums[0] = int(sums[0]) + (g[0] - s[0]) * a
                sums[1] = int(sums[1]) + (g[1] - s[1]) * a
                sums[2] = int(sums[2]) + (g[2] - s[2]) * a
                sums[3] = int(sums[3]) + (g[3] - s[3]) * a
                g = ptr8(int(g) + 4)
                s = ptr8(int(s) + 4)
                sums = ptr32(int(sums) + 16)
                j -= 4
            while j:
                sums[0] = int(sums[0]) + (g[0] - s[0]) * a
                g = ptr8(int(g) + 1)
                s = ptr8(int(s) + 1)
                sums = ptr32(int(sums) + 4)
                j -= 1
        row += 2 * (m + 1)
        i += 1


@micropython.viper
def convert(out: ptr32, p: ptr32, rng: ptr32):
    """Sums become readings + OFFSET, in place: amplifier, read noise and ADC."""
    lines = int(p[_SENSED])
    gain = int(p[_GAIN])
    shift = int(p[_SHIFT])
    round_up = 1 << (shift - 1)
    noise = int(p[_NOISE])
    low_bits = int(p[_STEP_BITS])
    half_step = (1 << low_bits) >> 1
    highest = int(p[_HALF]) - 1
    lowest = 0 - int(p[_HALF])
    x = int(rng[0])
    while lines:
        v = ((int(out[0]) - _BIAS) * gain + round_up) >> shift
        if noise:
            x = _A * (x & 0xFFFF) + (x >> 16)
            z = (x & 255) + ((x >> 8) & 255) - 510
            x = _A * (x & 0xFFFF) + (x >> 16)
            v += ((z + (x & 255) + ((x >> 8) & 255)) * noise) >> 8
        v = (v + half_step) >> low_bits
        if v > highest:
            v = highest
        elif v < lowest:
            v = lowest
        out[0] = (v << low_bits) + _OFFSET
        out = ptr32(int(out) + 4)
        lines -= 1
    rng[0] = x


@micropython.viper
def change(a: ptr8, b: ptr8, c: ptr8, work: ptr32) -> int:
    """Add the difference of two activities to the accumulators, and list couplings that are due.

    a, b: all activities of the plus and the minus condition, which have the same input;
    c: the layer's accumulators. The pulses are pairs of 16-bit words in `work`: bit line,
    2 * word line + up. Stops before a bit line whose pulses might not fit, leaves the
    next one in `work`, and returns the number of pulses.
    """
    m = int(work[_M])
    n = int(work[_N])
    rate = int(work[_RATE])
    i = int(work[_NEXT])
    x = int(work[_RNG])
    lower = int(work[_LOWER])
    upper_a = ptr8(int(a) + int(work[_UPPER]))
    upper_b = ptr8(int(b) + int(work[_UPPER]))
    a = ptr8(int(a) + lower)
    b = ptr8(int(b) + lower)
    c = ptr8(int(c) + (m + 1) * i)
    start = int(a)
    end = start + m
    first = ptr16(int(work) + 4 * _DUE)
    due = first
    last = int(first) + 4 * (int(work[_ROOM]) - m)
    while i < n and int(due) < last:
        a_rate = upper_a[i] * rate
        b_rate = upper_b[i] * rate
        if lower == 0:  # the input is the same in both
            a_rate -= b_rate
            b_rate = 0
            if a_rate == 0:
                c = ptr8(int(c) + m + 1)
                i += 1
                continue
        x = _A * (x & 0xFFFF) + (x >> 16)
        r = (x & 0xFFFF) << 4
        while int(a) <= end:
            v = 0
            while int(a) < end:
                v = c[0] + ((a[0] * a_rate - b[0] * b_rate + r) >> 20)
                if ((v - 65) | (191 - v)) < 0:
                    break
                c[0] = v
                a = ptr8(int(a) + 1)
                b = ptr8(int(b) + 1)
                c = ptr8(int(c) + 1)
            if int(a) == end:  # the bias line
                v = c[0] + ((255 * (a_rate - b_rate) + r) >> 20)
            if v <= 64 or v >= 192:  # worth a pulse; 128 stands for 0
                up = 1
                if v > 255:
                    v = 255
                if v < 1:
                    v = 1
                if v < 128:
                    up = 0
                    v += 128
                v -= 64
                due[0] = i
                due[1] = 2 * (int(a) - start) + up
                due = ptr16(int(due) + 4)
            c[0] = v
            a = ptr8(int(a) + 1)
            b = ptr8(int(b) + 1)
            c = ptr8(int(c) + 1)
        a = ptr8(start)
        b = ptr8(int(b) - (m + 1))
        i += 1
    work[_NEXT] = i
    work[_RNG] = x
    return (int(due) - int(first)) >> 2
