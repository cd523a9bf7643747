"""The inner loops, whichever this board took, against plain Python, at their limits and between."""

import struct

import plain
from plain import DEVICE, Generator, Numbers, equal

from madem import kernels, kernels_select

OFFSET = kernels.OFFSET


def state_of(rng):
    return struct.unpack("<I", rng)[0]


def started(seed, stream, index):
    rng = bytearray(4)
    names = ("step", "nl_set", "nl_reset", "c2c", "d_step", "d_top", "stuck", "init")
    kernels.seed(rng, kernels.device_words(seed, *[DEVICE[name] for name in names]), stream, index)
    return rng


# --- reads ---------------------------------------------------------------------------------------


def read(g, s, transposed, base, m, n, driven, gain, q, f, bits, nz, rng):
    lines = m if transposed else n
    out = bytearray(4 * lines)
    p = struct.pack(
        "<10I", base, m, n, driven, lines, gain, q, f - bits + 1, nz, 1 << (bits - 1)
    )  # fmt: skip
    (kernels_select.transposed_sums if transposed else kernels_select.forward_sums)(g, s, out, p)
    kernels_select.convert(out, p, rng)
    return [v - OFFSET for v in struct.unpack("<%dI" % lines, out)]


def check_read(data, m, n, transposed, bits, f, nz):
    base, before = data.below(50), data.below(20)
    g = data.bytes(base + 2 * (m + 1) * n)
    s = data.bytes(before + max(m, n))
    for i in range(0, len(s), 3):
        s[i] = 0  # silent lines are skipped by the transposed read
    gain, q = data.between(1, 255), data.between(8, 16)
    rng = started(7, 2, m)
    source = Generator(7, 2, m)
    got = read(g, s, transposed, base, m, n, before, gain, q, f, bits, nz, rng)
    accs = plain.sums(g, base, m, n, s[before:], transposed)
    equal(got, [plain.convert(acc, gain, q, f, bits, nz, source) for acc in accs], (m, n))
    equal(state_of(rng), source.x, "draws taken")


def test_forward_read_of_every_width_around_the_unrolled_loop():
    data = Numbers(2)
    for m in range(1, 26):
        check_read(data, m, data.between(1, 6), 0, 8, 11, 0)
        check_read(data, m, data.between(1, 6), 0, 8, 11, 35)


def test_transposed_read():
    data = Numbers(3)
    for n in range(1, 16):
        check_read(data, data.between(1, 9), n, 1, 8, 9, 0)
        check_read(data, data.between(1, 9), n, 1, 8, 9, 9)


def test_reads_with_every_converter():
    data = Numbers(4)
    for bits in range(2, 11):
        for f in range(max(bits - 1, 7), 15):
            check_read(data, 5, 4, data.below(2), bits, f, data.below(400))
    check_read(data, 3, 3, 0, 8, 14, 32767)


def test_the_largest_read_does_not_overflow():
    m = 1023
    for high, low, expected in ((255, 0, 1024 - 8), (0, 255, -1024)):
        g = bytearray([high] * (m + 1) + [low] * (m + 1))
        s = bytearray([255] * m)
        # M as large as 255 * 255 * (m + 1) * M < 2^31 - 2^(Q - 1) allows.
        equal(read(g, s, 0, 0, m, 1, 0, 32, 20, 10, 8, 0, started(1, 2, 0)), [expected])
    n = 1024
    g = bytearray([255, 255, 0, 0] * n)
    s = bytearray([255] * n)
    equal(read(g, s, 1, 0, 1, n, 0, 32, 20, 10, 8, 0, started(1, 2, 0)), [1016])


def one_read(acc, gain, q, f, bits):
    """What one pair with P - N = acc, driven by 1, reads as."""
    g = bytearray([max(acc, 0), 0, max(-acc, 0), 0])
    return read(g, bytearray([1]), 0, 0, 1, 1, 0, gain, q, f, bits, 0, started(1, 2, 0))[0]


def test_the_adc_clamps_at_both_ends():
    # Four bits over 2^5: codes -8...7 of 4 each.
    for acc, reading in ((27, 28), (29, 28), (30, 28), (200, 28), (-31, -32), (-200, -32)):
        equal(one_read(acc, 2, 1, 5, 4), reading, acc)


def test_rounding_of_the_adc_and_of_the_amplifier():
    # Steps of 4, halves go up.
    for acc, reading in ((1, 0), (2, 4), (5, 4), (6, 8), (-1, 0), (-2, 0), (-3, -4), (-6, -4)):
        equal(one_read(acc, 2, 1, 9, 8), reading, acc)
    # The amplifier alone: acc / 2, halves go up; the ADC's steps are 1.
    for acc, reading in ((1, 1), (2, 1), (3, 2), (-1, 0), (-2, -1), (-3, -1), (-4, -2)):
        equal(one_read(acc, 1, 1, 7, 8), reading, acc)


# --- the weight change ---------------------------------------------------------------------------


def change(a, b, c, lower, m, upper, n, rate, room, rng):
    """All pulses as (bit line, word line, up), and in how many pieces they came."""
    work = bytearray(struct.pack("<8I", lower, m, n, upper, rate, 0, state_of(rng), room))
    work += bytearray(4 * room)
    found, pieces = [], 0
    while struct.unpack_from("<I", work, 20)[0] < n:
        count = kernels_select.change(a, b, c, work)
        assert count <= room
        pieces += 1
        for k in range(count):
            bit_line, line = struct.unpack_from("<2H", work, 32 + 4 * k)
            found.append((bit_line, line >> 1, line & 1))
    rng[:] = work[24:28]
    return found, pieces


def check_change(data, lower, m, n, rate, room, spread):
    upper = lower + m
    a = data.bytes(upper + n)
    b = bytearray(a)
    for i in range(len(b)):  # some units agree, some are silent
        if data.below(3):
            b[i] = plain.clamp(a[i] + data.between(-spread, spread), 0, 255)
        if not data.below(4):
            a[i] = b[i] = 0
    if lower == 0:
        b[:m] = a[:m]  # the input
    c = bytearray(data.between(65, 191) for _ in range((m + 1) * n))
    mine = bytearray(c)
    rng, source = started(9, 3, m), Generator(9, 3, m)
    found, pieces = change(a, b, c, lower, m, upper, n, rate, room, rng)
    equal(found, plain.change(a, b, mine, lower, m, upper, n, rate, source), (m, n, rate))
    equal(c, mine)
    if rate:  # without a rate nothing can change, and no draw matters
        equal(state_of(rng), source.x, "draws taken")
    return len(found), pieces


def test_change_equals_the_page():
    data = Numbers(7)
    pulses = 0
    for round in range(60):
        pulses += check_change(
            data, data.below(2) * data.between(1, 9), data.between(1, 12), data.between(1, 12),
            (0, 1, 300, 2064, 16383)[round % 5], 40, (3, 255)[round % 2],
        )[0]  # fmt: skip
    assert pulses > 100, pulses


def test_change_in_pieces_when_the_pulse_list_is_short():
    data = Numbers(8)
    for m in (1, 5, 9):
        pulses, pieces = check_change(data, m % 2, m, 12, 16383, m + 1, 255)
        assert pulses > m + 1 and pieces > 3, (pulses, pieces)


def test_bit_lines_of_the_first_layer_without_a_difference_draw_nothing():
    a, b = bytes([10, 200, 50, 60]), bytes([90, 20, 50, 60])
    for lower, draws in ((0, 0), (1, 2)):
        rng, source = started(1, 3, 0), Generator(1, 3, 0)
        c = bytearray([128] * 10)
        before = b"\0" * lower
        change(before + a, before + b, c, lower, 2, lower + 2, 2, 100, 40, rng)
        for _ in range(draws):
            source.draw()
        equal(state_of(rng), source.x, "lower = %d" % lower)
        if not draws:
            equal(c, bytearray([128] * 10))


def one_change(stored, d):
    """What a stored accumulator becomes when it changes by exactly d, and the pulse."""
    # On the bias line a difference of 1 is almost one unit at this rate; r decides.
    rate = 4112 if abs(d) < 255 else 16383
    for index in range(200):
        r = Generator(1, 3, index).draw() << 4
        for unit in range(256):
            for a, b in ((unit, 0), (0, unit)):
                if a != b and ((a - b) * 255 * rate + r) >> 20 == d:
                    c = bytearray([128, stored])
                    rng = started(1, 3, index)
                    found, _ = change(bytes([0, a]), bytes([0, b]), c, 0, 1, 1, 1, rate, 40, rng)
                    equal(c[0], 128, "a silent word line")
                    return c[1] - 128, [up for _, line, up in found]
    raise AssertionError("no draw gives %d" % d)


def test_thresholds_and_clamps_of_the_accumulators():
    for stored, d, left, pulses in (
        (128 + 62, 1, 63, []),
        (128 + 63, 1, 0, [1]),
        (128 + 63, 2, 1, [1]),
        (128 - 62, -1, -63, []),
        (128 - 63, -1, 0, [0]),
        (128 - 63, -3, -2, [0]),
        (128, 64, 0, [1]),
        (128 + 63, 64, 63, [1]),
        # 128 would be the next: clamped to 127.
        (128 + 63, 65, 63, [1]),
        (128 + 63, 200, 63, [1]),
        (128, 598, 63, [1]),
        (128 - 63, -64, -63, [0]),
        (128 - 63, -65, -63, [0]),
        (128, -598, -63, [0]),
    ):
        equal(one_change(stored, d), (left, pulses), (stored, d))
