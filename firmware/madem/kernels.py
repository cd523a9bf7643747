"""The smaller kernels of docs/reference/arithmetic.md, in viper: generator, units, devices.

Nothing here allocates. Integers keep the same bits on 32- and 64-bit builds, as
kernels_viper.py says. Numbers that may be negative are stored with an offset.
"""

import struct

import micropython
from micropython import const

OFFSET = const(32768)  # a reading or nudge u is stored in 32 bits as u + OFFSET
_A = const(30903)  # multiplier of the generator

# A device's traits, in 32-bit words.
_SET_FACTOR = const(0)
_RESET_FACTOR = const(1)
_TOP = const(2)
STUCK = const(3)
FIRST = const(4)
TRAIT_WORDS = const(5)

# The crossbar's seed and imperfections, in 32-bit words. NL_* are stored + OFFSET.
_SEED = const(0)
_STEP = const(1)
_NL_SET = const(2)
_NL_RESET = const(3)
_C2C = const(4)
_D_STEP = const(5)
_D_TOP = const(6)
STUCK_SHARE = const(7)
_INIT = const(8)

STREAM_DEVICE = const(1)


def device_words(seed, step, nl_set, nl_reset, c2c, d_step, d_top, stuck, init):
    """The record that `seed`, `traits` and `pulse_pairs` take, of the numbers of CONFIGURE."""
    x = 0x1F123BB5
    for w in (seed & 0xFFFF, seed >> 16):  # what every start of the generator begins with
        x ^= w ^ (x >> 13)
        x = _A * (x & 0xFFFF) + (x >> 16)
    return bytearray(
        struct.pack(
            "<9I", x, step, nl_set + OFFSET, nl_reset + OFFSET, c2c, d_step, d_top, stuck, init
        )
    )


@micropython.viper
def seed(rng: ptr32, device: ptr32, stream: int, index: int):
    """Start the generator `rng[0]` for a stream and an index below 2**31."""
    x = int(device[_SEED])
    w = stream
    k = 6
    while k:
        x = x ^ w ^ (x >> 13)
        x = _A * (x & 0xFFFF) + (x >> 16)
        w = index & 0xFFFF
        index >>= 16
        k -= 1
    rng[0] = (x & 0x3FFFFFFF) + 1


@micropython.viper
def compete(drive: ptr32, other: ptr32, count: int, sign: int, mask: int, cap: int) -> int:
    """The inhibition that holds the sum of `count` activities at `cap`, found by halving.

    Args:
        drive, other: readings of the units, 32 bits each + OFFSET.
        sign: 1, 0 or -1; `other` is added so often.
        mask: what the activities are masked with.
    """
    inhibition = 0 - 4096
    trial = 4096
    while trial:
        total = 0
        less = OFFSET + inhibition + trial + sign * OFFSET
        i = 0
        while i < count:
            u = ((int(drive[i]) + sign * int(other[i]) - less) * 255 + 512) >> 10
            if u < 0:
                u = 0
            elif u > 255:
                u = 255
            total += u & mask
            i += 1
        if total > cap:
            inhibition += trial
        trial >>= 1
    return inhibition + 1


@micropython.viper
def activate(
    s: ptr8, drive: ptr32, other: ptr32, at: int, count: int, sign: int, mask: int, less: int
):
    """Activities of `count` units, to s[at:]: of `drive` + `sign` times `other` - `less`."""
    less += OFFSET + sign * OFFSET
    s = ptr8(int(s) + at)
    while count:
        u = ((int(drive[0]) + sign * int(other[0]) - less) * 255 + 512) >> 10
        if u < 0:
            u = 0
        elif u > 255:
            u = 255
        s[0] = u & mask
        s = ptr8(int(s) + 1)
        drive = ptr32(int(drive) + 4)
        other = ptr32(int(other) + 4)
        count -= 1


@micropython.viper
def copy_masked(s: ptr8, at: int, count: int, source: ptr8, first: int, mask: int):
    """Copy `count` bytes from source[first:] to s[at:], each masked; a mask of 255 keeps all."""
    s = ptr8(int(s) + at)
    source = ptr8(int(source) + first)
    while count >= 4:
        s[0] = source[0] & mask
        s[1] = source[1] & mask
        s[2] = source[2] & mask
        s[3] = source[3] & mask
        s = ptr8(int(s) + 4)
        source = ptr8(int(source) + 4)
        count -= 4
    while count:
        count -= 1
        s[count] = source[count] & mask


@micropython.viper
def select(targets: ptr8, count: int, source: ptr8, first: int, least: int, high: int, low: int):
    """`count` target activities: `high` where source[first:] is at least `least`, else `low`."""
    i = 0
    while i < count:
        t = low
        if source[first + i] >= least:
            t = high
        targets[i] = t
        i += 1


@micropython.viper
def nudge(out: ptr32, s: ptr8, at: int, count: int, targets: ptr8, beta: int):
    """The nudge of `count` output units s[at:], to `out`, 32 bits each + OFFSET."""
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
def traits(t: ptr32, device: ptr32):
    """What device-to-device variation made of one device; t[0] is a generator started for it."""
    x = int(t[0])
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
            f = 256 + ((z * int(device[_D_STEP])) >> 8)
            if f < 51:
                f = 51
            if f > 511:
                f = 511
            t[k] = f
        elif k == 2:
            f = 200 + ((z * int(device[_D_TOP])) >> 8)
            if f < 50:
                f = 50
            if f > 255:
                f = 255
            t[_TOP] = f
        else:
            f = 100 + ((z * int(device[_INIT])) >> 8)
            if f < 0:
                f = 0
            if f > int(t[_TOP]):
                f = int(t[_TOP])
            if int(t[STUCK]):
                f = (int(t[STUCK]) - 1) * int(t[_TOP])
            t[FIRST] = f
        k += 1


@micropython.viper
def pulse_pairs(
    g: ptr8, rng: ptr32, due: ptr16, count: int, pulses: int, base: int, width: int, t, device
):
    """Pulse one device of each coupling that is due a change.

    Args:
        g: all devices.
        rng: the generator of pulses.
        due: the couplings, as `kernels_select.change` lists them: two 16-bit words each.
        count: how many.
        pulses: for each device.
        base: offset of the layer's first device.
        width: devices in half a pair row.
        t: scratch for a device's traits.
        device: the record of `device_words`.
    """
    traits_of = ptr32(t)
    settings = ptr32(device)
    x = int(rng[0])
    while count:
        line = due[1]
        x = _A * (x & 0xFFFF) + (x >> 16)
        up = x & 1  # the coin picks SET of one device of the pair or RESET of the other
        offset = base + (2 * due[0] + ((line & 1) ^ up)) * width + (line >> 1)
        due = ptr16(int(due) + 4)
        count -= 1
        seed(t, device, STREAM_DEVICE, offset)
        traits(t, device)
        left = pulses
        while left:
            left -= 1
            x = _A * (x & 0xFFFF) + (x >> 16)
            z = (x & 255) + ((x >> 8) & 255) - 510
            x = _A * (x & 0xFFFF) + (x >> 16)
            z += (x & 255) + ((x >> 8) & 255)
            x = _A * (x & 0xFFFF) + (x >> 16)
            if int(traits_of[STUCK]):
                continue
            old = g[offset]
            if up:
                bend = (int(settings[_NL_SET]) - OFFSET) * (100 - old)
                d = int(traits_of[_SET_FACTOR])
            else:
                bend = (int(settings[_NL_RESET]) - OFFSET) * (old - 100)
                d = int(traits_of[_RESET_FACTOR])
            bend = 256 + (bend >> 6)
            if bend < 26:
                bend = 26
            if bend > 511:
                bend = 511
            d = (int(settings[_STEP]) * d) >> 4
            d = (d * bend) >> 8
            d = (d * (256 + ((z * int(settings[_C2C])) >> 8))) >> 8
            d = (d + (x & 255)) >> 8
            if up:
                old += d
            else:
                old -= d
            if old < 0:
                old = 0
            if old > int(traits_of[_TOP]):
                old = int(traits_of[_TOP])
            g[offset] = old
    rng[0] = x
