"""The viper kernels against plain Python, at their limits and in between."""

import struct

import plain
from plain import DEVICE, Generator, Numbers, equal

from madem import kernels

OFFSET = kernels.OFFSET


def device_words(seed=1, **settings):
    """(kernels' record, the same by name)."""
    found = dict(DEVICE)
    found.update(settings)
    return struct.pack(
        "<10I", seed & 0xFFFF, seed >> 16, found["step"], found["nl_set"] + OFFSET,
        found["nl_reset"] + OFFSET, found["c2c"], found["d_step"], found["d_top"],
        found["stuck"], found["init"],
    ), found  # fmt: skip


def state_of(rng):
    return struct.unpack("<I", rng)[0]


def started(seed, stream, index):
    rng = bytearray(4)
    kernels.seed(rng, device_words(seed)[0], stream, index)
    return rng


# --- the generator -------------------------------------------------------------------------------


def test_generator_golden_values():
    rng = started(1, 2, 0)
    equal(state_of(rng), 218350287)
    source = Generator(1, 2, 0)
    equal([source.draw() for _ in range(5)], [22268, 43520, 44804, 19461, 538])
    source = Generator(1, 2, 0)
    equal([source.z() for _ in range(5)], [-2, -250, -159, 206, -142])
    source = Generator(0xDEADBEEF, 4, 0x12345678)
    equal(state_of(started(0xDEADBEEF, 4, 0x12345678)), source.x)
    equal([source.draw() for _ in range(5)], [17306, 54849, 49239, 43832, 65466])


def test_generator_starts_as_the_page_says():
    data = Numbers(1)
    for _ in range(300):
        seed = data.below(1 << 16) << 16 | data.below(1 << 16)
        stream, index = data.between(1, 5), data.below(1 << 30)
        equal(state_of(started(seed, stream, index)), Generator(seed, stream, index).x)
    equal(state_of(started(0xFFFFFFFF, 5, 0x3FFFFFFF)), Generator(0xFFFFFFFF, 5, 0x3FFFFFFF).x)


# --- reads ---------------------------------------------------------------------------------------


def record(transposed, base, m, n, driven, gain, q, f, bits, nz):
    return struct.pack(
        "<10I", transposed, base, m, n, driven, gain, q, f - bits + 1, nz, 1 << (bits - 1)
    )


def read(g, s, transposed, base, m, n, driven, gain, q, f, bits, nz, rng):
    lines = m if transposed else n
    out = bytearray(2 * lines)
    p = record(transposed, base, m, n, driven, gain, q, f, bits, nz)
    kernels.read(g, s, out, p, rng, bytearray(4 * max(m, n)))
    return [v - OFFSET for v in struct.unpack("<%dH" % lines, out)]


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


# --- units ---------------------------------------------------------------------------------------


def drives(*values):
    return struct.pack("<%dH" % len(values), *[v + OFFSET for v in values])


def test_activity_rounds_clamps_and_masks():
    u = (-32768, -5, 0, 2, 3, 512, 1023, 1024, 1030, 32767)
    s = bytearray(2 + len(u))
    kernels.activate(s, 1, len(u), drives(*u), drives(*u), 0, 255, 0)
    equal(list(s), [0, 0, 0, 0, 0, 1, 128, 255, 255, 255, 255, 0])
    kernels.activate(s, 1, len(u), drives(*u), drives(*u), 0, 0xC0, 0)
    equal(list(s), [0, 0, 0, 0, 0, 0, 128, 192, 192, 192, 192, 0])


def test_activity_with_feedback_and_nudge():
    s = bytearray(3)
    for sign, expected in ((1, [75, 25, 0]), (-1, [25, 75, 255]), (0, [50, 50, 100])):
        kernels.activate(s, 0, 3, drives(201, 201, 402), drives(100, -100, -700), sign, 255, 0)
        equal(list(s), expected, sign)


def competing(drive, cap, mask=255, sign=0, other=None):
    s = bytearray(len(drive) + 2)
    other = drives(*(other or drive))
    kernels.activate(s, 1, len(drive), drives(*drive), other, sign, mask, cap)
    equal((s[0], s[-1]), (0, 0), "neighbours")
    return list(s[1:-1])


def test_units_that_compete_hold_their_sum():
    # As the page's halving finds it: one winner, two equals, a quiet layer that is raised.
    equal(competing([1500, 900, 200, -300], 255), [202, 53, 0, 0])
    equal(competing([700, 700], 200), [100, 100])
    equal(competing([-900, -900, -1100], 300), [116, 116, 66])
    data = Numbers(9)
    held = 0
    for round in range(150):
        n = data.between(1, 40)
        drive = [data.between(-2500, 2500) for _ in range(n)]
        nudge = [data.between(-700, 700) for _ in range(n)]
        cap, mask = data.between(1, 255 * n), (255, 255, 0xF0)[round % 3]
        sign = data.between(-1, 1)
        total = [u + sign * v for u, v in zip(drive, nudge)]
        found = competing(drive, cap, mask, sign, nudge)
        equal(found, plain.compete(total, cap, mask), (drive, cap, mask, sign))
        held += mask == 255 and cap - 2 * n <= sum(found) <= cap
    assert held > 60, held


def test_competition_at_the_limits():
    equal(competing([0, 0], 65535), [255, 255])
    equal(competing([32767, -32768, 0], 1), [255, 0, 0])
    equal(competing([-32768] * 3, 100), [0, 0, 0])


def test_load_and_choose():
    s = bytearray(6)
    kernels.load(s, 2, 3, b"\xff\x81\x42\x33\x24", 1, 0xF0)
    equal(bytes(s), b"\0\0\x80\x40\x30\0")
    kernels.choose(s, 4, b"\0\0\1\xff\0", 1, 204, 13)
    equal(list(s), [13, 204, 204, 13, 48, 0])


def test_nudge_rounds_down():
    out = bytearray(8)
    kernels.aim(out, bytes([9, 0, 100, 200, 255]), 1, 4, bytes([204, 99, 200, 0]), 1)
    got = [v - OFFSET for v in struct.unpack("<4H", out)]
    equal(got, [204 >> 4, -1, 0, -255 >> 4])
    kernels.aim(out, bytes([0, 255, 0, 0]), 0, 4, bytes([255, 0, 0, 0]), 255)
    equal(
        [v - OFFSET for v in struct.unpack("<4H", out)], [255 * 255 >> 4, -(255 * 255) >> 4, 0, 0]
    )


def test_answers():
    s = bytes([99, 3, 7, 7, 2])
    equal(kernels.best(s, 1, 4), 1, "the lowest of a tie")
    equal(kernels.best(s, 0, 5), 0)
    equal(kernels.best(bytes(4), 0, 4), 0)
    targets = bytes([204, 204, 0, 0])
    equal(kernels.misses(bytes([5, 102, 101, 102, 101]), 1, 4, targets, 102), 2)
    equal(kernels.misses(bytes([204, 204, 0, 0]), 0, 4, targets, 102), 0)


# --- devices -------------------------------------------------------------------------------------


def traits_of(words, number):
    t = bytearray(4 * kernels.TRAIT_WORDS)
    rng = bytearray(4)
    kernels.seed(rng, words, 1, number)
    kernels.traits(t, words, rng)
    return t


def test_traits_golden_values():
    words = device_words(1)[0]
    equal(struct.unpack("<5I", traits_of(words, 0)), (268, 302, 182, 0, 133))
    equal(struct.unpack("<5I", traits_of(words, 1)), (231, 229, 193, 0, 57))


def test_traits_equal_the_page_at_any_strength():
    data = Numbers(5)
    seen = set()
    for round in range(6):
        words, found = device_words(
            data.below(1 << 30),
            d_step=(0, 44, 443)[round % 3],
            d_top=(0, 35, 346)[round % 3],
            init=(0, 48, 346)[round % 3],
            stuck=(0, 3000, 65535)[round // 2],
        )
        seed = struct.unpack("<2I", words)
        for number in list(range(60)) + [65535, 65536, 2_000_000]:
            expected = plain.traits(found, seed[0] | seed[1] << 16, number)
            equal(struct.unpack("<5I", traits_of(words, number)), expected, number)
            seen.add(expected[3])
    equal(seen, {0, 1, 2}, "ways to be stuck or not")


def pulsed(words, t, g, up, rng):
    cells = bytearray([1, g, 2])
    kernels.pulse(cells, 1, up, t, words, rng)
    equal((cells[0], cells[2]), (1, 2), "neighbours")
    return cells[1]


def test_pulses_equal_the_page():
    data = Numbers(6)
    for round in range(40):
        words, found = device_words(
            step=data.between(13, 1067),
            nl_set=data.between(-163, 163),
            nl_reset=data.between(-163, 163),
            c2c=(0, 44, 700, 2217)[round % 4],
            d_step=443,
            d_top=100,
        )
        for up in (0, 1):
            number = data.below(5000)
            t, known = traits_of(words, number), plain.traits(found, 1, number)
            rng, source = started(3, 4, round), Generator(3, 4, round)
            g = data.below(known[2] + 1)
            for _ in range(8):
                expected = plain.pulse(found, known, g, up, source)
                equal(pulsed(words, t, g, up, rng), expected, (found, g, up))
                equal(state_of(rng), source.x, "draws taken")
                g = expected


def test_a_nominal_pulse_moves_by_the_step():
    words = device_words(c2c=0, d_step=0, d_top=0, step=160)[0]
    t = traits_of(words, 0)
    rng = started(1, 4, 0)
    equal(pulsed(words, t, 100, 1, rng), 110)
    equal(pulsed(words, t, 100, 0, rng), 90)


def test_a_pulse_stops_at_the_top_and_at_zero():
    words, found = device_words(d_top=346, c2c=0)
    tops = set()
    for number in range(40):
        t = traits_of(words, number)
        top = plain.traits(found, 1, number)[2]
        tops.add(top)
        equal(pulsed(words, t, top - 1, 1, started(1, 4, 0)), top)
        equal(pulsed(words, t, 1, 0, started(1, 4, 0)), 0)
    assert len(tops) > 10 and max(tops) == 255


def test_a_stuck_device_takes_its_draws_and_never_moves():
    words, found = device_words(stuck=65535)
    for number in range(10):
        t, known = traits_of(words, number), plain.traits(found, 1, number)
        assert known[3]
        rng, source = started(1, 4, number), Generator(1, 4, number)
        for up in (0, 1):
            equal(pulsed(words, t, known[4], up, rng), known[4])
            plain.pulse(found, known, known[4], up, source)
            equal(state_of(rng), source.x)


# --- the weight change ---------------------------------------------------------------------------


def change(a, b, c, lower, m, upper, n, rate, room, rng):
    """All pulses as (bit line, word line, up), and in how many pieces they came."""
    place = bytearray(struct.pack("<5H", lower, m, upper, n, 0))
    pulses = bytearray(4 * room)
    found, pieces = [], 0
    while struct.unpack("<5H", place)[4] < n:
        count = kernels.change(a, b, c, place, rate, rng, pulses, room)
        assert count <= room
        pieces += 1
        for k in range(count):
            bit_line, line = struct.unpack_from("<2H", pulses, 4 * k)
            found.append((bit_line, line >> 1, line & 1))
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
