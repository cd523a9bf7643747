"""The inner loops of docs/arithmetic.md, in viper.

Nothing here allocates. Integers keep the same bits on 32- and 64-bit builds:
every value fits 31 bits before it is stored in a `ptr32`, because such a load
is signed on one build and unsigned on the other, and constants stay below
2**30. Numbers that may be negative are stored with an offset.
"""

import micropython
from micropython import const

OFFSET = const(32768)  # a reading or nudge u is stored in 16 bits as u + OFFSET
_A = const(30903)  # multiplier of the generator

# A read's record, in 32-bit words (built by crossbar.py).
TRANSPOSED = const(0)
BASE = const(1)  # offset of the layer's first device
M = const(2)  # word lines, without the bias
N = const(3)  # bit lines
DRIVEN = const(4)  # offset of the driving layer's activities
GAIN = const(5)
SHIFT = const(6)
STEP_BITS = const(7)  # H: bits of drive below one ADC code
NOISE = const(8)
HALF = const(9)  # 2**(ADC bits - 1)
RECORD_WORDS = const(10)

# A device's traits, in 32-bit words.
SET_FACTOR = const(0)
RESET_FACTOR = const(1)
TOP = const(2)
STUCK = const(3)
FIRST = const(4)
TRAIT_WORDS = const(5)

# The crossbar's imperfections, in 32-bit words. NL_* are stored + OFFSET.
SEED_LOW = const(0)
SEED_HIGH = const(1)
STEP = const(2)
NL_SET = const(3)
NL_RESET = const(4)
C2C = const(5)
D_STEP = const(6)
D_TOP = const(7)
STUCK_SHARE = const(8)
INIT = const(9)
DEVICE_WORDS = const(10)

_STREAM_DEVICE = const(1)


@micropython.viper
def seed(rng: ptr32, device: ptr32, stream: int, index: int):
    """Start the generator `rng[0]` for a stream and a 32-bit index."""
    x = int(0x1F123BB5)
    k = 0
    while k < 8:
        w = 0
        if k == 0:
            w = int(device[SEED_LOW])
        elif k == 1:
            w = int(device[SEED_HIGH])
        elif k == 2:
            w = stream
        elif k == 3:
            w = index & 0xFFFF
        elif k == 4:
            w = (index >> 16) & 0xFFFF
        x = x ^ w ^ (x >> 13)
        x = _A * (x & 0xFFFF) + (x >> 16)
        k += 1
    rng[0] = (x & 0x3FFFFFFF) + 1


@micropython.viper
def read(g: ptr8, s: ptr8, out: ptr16, p: ptr32, rng: ptr32, sums: ptr32):
    """One analog read of a weight layer, forward or transposed as its record `p` says.

    g: all devices; s: all activities; out: a reading per sensed line, + OFFSET;
    sums: scratch of as many 32-bit words.
    """
    m = int(p[M])
    n = int(p[N])
    row = int(g) + int(p[BASE])
    width = m + 1
    bias = 1 << 29  # 2**30 would be a big int on 32-bit builds
    i = 0
    if int(p[TRANSPOSED]):
        lines = m
        while i < m:
            sums[i] = bias
            i += 1
        driven = ptr8(int(s) + int(p[DRIVEN]))
        i = 0
        while i < n:
            a = driven[i]
            if a:
                pos = ptr8(row)
                neg = ptr8(row + width)
                j = 0
                while j < m:
                    sums[j] = int(sums[j]) + a * (pos[j] - neg[j])
                    j += 1
            row += 2 * width
            i += 1
    else:
        lines = n
        while i < n:
            pos = ptr8(row)
            neg = ptr8(row + width)
            driven = ptr8(int(s) + int(p[DRIVEN]))
            acc = bias + 255 * (pos[m] - neg[m])
            j = m
            while j >= 8:
                acc += driven[0] * (pos[0] - neg[0])
                acc += driven[1] * (pos[1] - neg[1])
                acc += driven[2] * (pos[2] - neg[2])
                acc += driven[3] * (pos[3] - neg[3])
                acc += driven[4] * (pos[4] - neg[4])
                acc += driven[5] * (pos[5] - neg[5])
                acc += driven[6] * (pos[6] - neg[6])
                acc += driven[7] * (pos[7] - neg[7])
                driven = ptr8(int(driven) + 8)
                pos = ptr8(int(pos) + 8)
                neg = ptr8(int(neg) + 8)
                j -= 8
            i_tail = 0
            while i_tail < j:
                acc += driven[i_tail] * (pos[i_tail] - neg[i_tail])
                i_tail += 1
            sums[i] = acc
            row += 2 * width
            i += 1

    gain = int(p[GAIN])
    shift = int(p[SHIFT])
    round_up = 1 << (shift - 1)
    noise = int(p[NOISE])
    low_bits = int(p[STEP_BITS])
    half_code = (1 << low_bits) >> 1
    highest = int(p[HALF]) - 1
    lowest = 0 - int(p[HALF])
    x = int(rng[0])
    i = 0
    while i < lines:
        v = ((int(sums[i]) - bias) * gain + round_up) >> shift
        if noise:
            x = _A * (x & 0xFFFF) + (x >> 16)
            z = (x & 255) + ((x >> 8) & 255) - 510
            x = _A * (x & 0xFFFF) + (x >> 16)
            z += (x & 255) + ((x >> 8) & 255)
            v += (z * noise) >> 8
        v = (v + half_code) >> low_bits
        if v > highest:
            v = highest
        if v < lowest:
            v = lowest
        out[i] = (v << low_bits) + OFFSET
        i += 1
    rng[0] = x


@micropython.viper
def activate(
    s: ptr8, at: int, count: int, drive: ptr16, other: ptr16, sign: int, mask: int, cap: int
):
    """Activities of `count` units from `at` on, driven by `drive` + `sign` times `other`.

    With a `cap` the units compete: a shared inhibition, found by halving,
    holds the sum of their activities at it.
    """
    inhibition = 0
    trial = 0
    if cap:
        inhibition = 0 - 4096
        trial = 4096
    while True:
        total = 0
        less = inhibition + trial + OFFSET
        i = 0
        while i < count:
            u = drive[i] - less
            if sign:
                u += sign * (other[i] - OFFSET)
            u = (u * 255 + 512) >> 10
            if u < 0:
                u = 0
            if u > 255:
                u = 255
            u &= mask
            s[at + i] = u
            total += u
            i += 1
        if trial == 0:
            break
        if total > cap:
            inhibition += trial
        trial >>= 1
        if trial == 0:
            inhibition += 1


@micropython.viper
def load(s: ptr8, at: int, count: int, source: ptr8, first: int, mask: int):
    """Copy `count` activities from source[first] on to s[at] on, `mask` applied."""
    i = 0
    while i < count:
        s[at + i] = source[first + i] & mask
        i += 1


@micropython.viper
def choose(targets: ptr8, count: int, source: ptr8, first: int, high: int, low: int):
    """Target activities from on/off bytes."""
    i = 0
    while i < count:
        t = low
        if source[first + i]:
            t = high
        targets[i] = t
        i += 1


@micropython.viper
def aim(out: ptr16, s: ptr8, at: int, count: int, targets: ptr8, beta: int):
    """The nudge of each output unit, stored + OFFSET."""
    i = 0
    while i < count:
        out[i] = ((beta * (targets[i] - s[at + i])) >> 4) + OFFSET
        i += 1


@micropython.viper
def best(s: ptr8, at: int, count: int) -> int:
    """Index of the most active unit, the lowest on a tie."""
    found = 0
    i = 1
    while i < count:
        if s[at + i] > s[at + found]:
            found = i
        i += 1
    return found


@micropython.viper
def misses(s: ptr8, at: int, count: int, targets: ptr8, threshold: int) -> int:
    """How many units are on where their target is off, or the other way round."""
    wrong = 0
    i = 0
    while i < count:
        on = 0
        if s[at + i] >= threshold:
            on = 1
        if targets[i] >= threshold:
            on = 1 - on
        wrong += on
        i += 1
    return wrong


@micropython.viper
def change(
    a: ptr8, b: ptr8, c: ptr8, at: ptr16, rate: int, rng: ptr32, pulses: ptr16, room: int
) -> int:
    """Turn the difference of two activities into pulses, bit line by bit line.

    a, b: all activities of the plus and the minus condition; c: the layer's
    accumulators; at: [offset of the lower units, how many, offset of the upper
    units, how many, next bit line]; pulses: (bit line, 2 * word line + up) pairs, room
    for `room`. Stops before a bit line that might not fit and returns the number of
    pulses; the next bit line is left in `at`.
    """
    lower = at[0]
    m = at[1]
    upper = at[2]
    n = at[3]
    i = at[4]
    a_low = ptr8(int(a) + lower)
    b_low = ptr8(int(b) + lower)
    x = int(rng[0])
    count = 0
    while i < n and count + m < room:
        a_rate = a[upper + i] * rate
        b_rate = b[upper + i] * rate
        if lower == 0 and a_rate == b_rate:
            i += 1
            continue
        x = _A * (x & 0xFFFF) + (x >> 16)
        r = (x & 0xFFFF) << 4
        row = ptr8(int(c) + (m + 1) * i)
        j = 0
        while j <= m:
            d = 0
            if j == m:
                d = (255 * (a_rate - b_rate) + r) >> 20
            else:
                p = a_low[j]
                q = b_low[j]
                if p | q:  # else nothing can change
                    d = (p * a_rate - q * b_rate + r) >> 20
            if d:
                v = row[j] + d - 128
                if v > 127:
                    v = 127
                if v < -127:
                    v = -127
                if v >= 64:
                    v -= 64
                    pulses[2 * count] = i
                    pulses[2 * count + 1] = 2 * j + 1
                    count += 1
                elif v <= -64:
                    v += 64
                    pulses[2 * count] = i
                    pulses[2 * count + 1] = 2 * j
                    count += 1
                row[j] = v + 128
            j += 1
        i += 1
    at[4] = i
    rng[0] = x
    return count


@micropython.viper
def traits(t: ptr32, device: ptr32, rng: ptr32):
    """What device-to-device variation made of one device; `rng` is started for it."""
    x = int(rng[0])
    k = 0
    while k < 4:
        if k == 3:
            x = _A * (x & 0xFFFF) + (x >> 16)
            t[STUCK] = 0
            if (x & 0xFFFF) < int(device[STUCK_SHARE]):
                t[STUCK] = 1 + (x & 1)
        x = _A * (x & 0xFFFF) + (x >> 16)
        z = (x & 255) + ((x >> 8) & 255) - 510
        x = _A * (x & 0xFFFF) + (x >> 16)
        z += (x & 255) + ((x >> 8) & 255)
        if k < 2:
            f = 256 + ((z * int(device[D_STEP])) >> 8)
            if f < 51:
                f = 51
            if f > 511:
                f = 511
            t[k] = f
        elif k == 2:
            f = 200 + ((z * int(device[D_TOP])) >> 8)
            if f < 50:
                f = 50
            if f > 255:
                f = 255
            t[TOP] = f
        else:
            f = 100 + ((z * int(device[INIT])) >> 8)
            if f < 0:
                f = 0
            if f > int(t[TOP]):
                f = int(t[TOP])
            if int(t[STUCK]):
                f = (int(t[STUCK]) - 1) * int(t[TOP])
            t[FIRST] = f
        k += 1


@micropython.viper
def pulse(g: ptr8, offset: int, up: int, t: ptr32, device: ptr32, rng: ptr32):
    """One SET (`up`) or RESET pulse on the device at `offset` with traits `t`."""
    x = int(rng[0])
    x = _A * (x & 0xFFFF) + (x >> 16)
    z = (x & 255) + ((x >> 8) & 255) - 510
    x = _A * (x & 0xFFFF) + (x >> 16)
    z += (x & 255) + ((x >> 8) & 255)
    x = _A * (x & 0xFFFF) + (x >> 16)
    rng[0] = x
    if int(t[STUCK]):
        return
    old = g[offset]
    if up:
        bend = 256 + (((int(device[NL_SET]) - OFFSET) * (100 - old)) >> 6)
        d = int(t[SET_FACTOR])
    else:
        bend = 256 + (((int(device[NL_RESET]) - OFFSET) * (old - 100)) >> 6)
        d = int(t[RESET_FACTOR])
    if bend < 26:
        bend = 26
    if bend > 511:
        bend = 511
    d = (int(device[STEP]) * d) >> 4
    d = (d * bend) >> 8
    d = (d * (256 + ((z * int(device[C2C])) >> 8))) >> 8
    d = (d + (x & 255)) >> 8
    if up:
        old += d
    else:
        old -= d
    if old < 0:
        old = 0
    if old > int(t[TOP]):
        old = int(t[TOP])
    g[offset] = old


@micropython.viper
def pulse_pairs(g, pulses, count: int, base: int, width: int, t, device, rng, trait_rng):
    """One pulse on one device of each coupling that `change` listed.

    base: offset of the layer's first device; width: devices in half a pair row;
    t and trait_rng: scratch.
    """
    entries = ptr16(pulses)
    x = ptr32(rng)
    i = 0
    while i < count:
        line = entries[2 * i + 1]
        up = line & 1
        x[0] = _A * (int(x[0]) & 0xFFFF) + (int(x[0]) >> 16)
        first = int(x[0]) & 1
        # The coin picks SET of one device of the pair or RESET of the other.
        offset = base + (2 * entries[2 * i] + (up ^ first)) * width + (line >> 1)
        seed(trait_rng, device, _STREAM_DEVICE, offset)
        traits(t, device, trait_rng)
        pulse(g, offset, first, t, device, rng)
        i += 1
