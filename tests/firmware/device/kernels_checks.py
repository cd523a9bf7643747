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
    names = ("step", "nl_set", "nl_reset", "c2c", "d_step", "d_top", "stuck", "init")
    return kernels.device_words(seed, *[found[name] for name in names]), found


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


# --- units ---------------------------------------------------------------------------------------


def drives(*values):
    return struct.pack("<%dI" % len(values), *[v + OFFSET for v in values])


def test_activity_rounds_clamps_and_masks():
    u = (-32768, -5, 0, 2, 3, 512, 1023, 1024, 1030, 32767)
    s = bytearray(2 + len(u))
    kernels.activate(s, drives(*u), drives(*u), 1, len(u), 0, 255, 0)
    equal(list(s), [0, 0, 0, 0, 0, 1, 128, 255, 255, 255, 255, 0])
    kernels.activate(s, drives(*u), drives(*u), 1, len(u), 0, 0xC0, 0)
    equal(list(s), [0, 0, 0, 0, 0, 0, 128, 192, 192, 192, 192, 0])


def test_activity_with_feedback_and_nudge():
    s = bytearray(3)
    for sign, expected in ((1, [75, 25, 0]), (-1, [25, 75, 255]), (0, [50, 50, 100])):
        drive, other = drives(201, 201, 402), drives(100, -100, -700)
        kernels.activate(s, drive, other, 0, 3, sign, 255, 0)
        equal(list(s), expected, sign)


def competing(drive, cap, mask=255, sign=0, other=None):
    s = bytearray(len(drive) + 2)
    other = drives(*(other or drive))
    drive = drives(*drive)
    less = kernels.compete(drive, other, len(s) - 2, sign, mask, cap)
    kernels.activate(s, drive, other, 1, len(s) - 2, sign, mask, less)
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


def test_load_and_select():
    s = bytearray(6)
    kernels.copy_masked(s, 2, 3, b"\xff\x81\x42\x33\x24", 1, 0xF0)
    equal(bytes(s), b"\0\0\x80\x40\x30\0")
    kernels.select(s, 4, b"\0\0\1\xff\0", 1, 1, 204, 13)
    equal(list(s), [13, 204, 204, 13, 48, 0])
    kernels.select(s, 3, b"\x7f\x80\xff", 0, 128, 204, 13)
    equal(list(s), [13, 204, 204, 13, 48, 0])


def test_nudge_rounds_down():
    out = bytearray(16)
    kernels.nudge(out, bytes([9, 0, 100, 200, 255]), 1, 4, bytes([204, 99, 200, 0]), 1)
    got = [v - OFFSET for v in struct.unpack("<4I", out)]
    equal(got, [204 >> 4, -1, 0, -255 >> 4])
    kernels.nudge(out, bytes([0, 255, 0, 0]), 0, 4, bytes([255, 0, 0, 0]), 255)
    equal(
        [v - OFFSET for v in struct.unpack("<4I", out)], [255 * 255 >> 4, -(255 * 255) >> 4, 0, 0]
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
    kernels.seed(t, words, 1, number)
    kernels.traits(t, words)
    return t


def test_traits_golden_values():
    words = device_words(1)[0]
    equal(struct.unpack("<5I", traits_of(words, 0)), (268, 302, 182, 0, 133))
    equal(struct.unpack("<5I", traits_of(words, 1)), (231, 229, 193, 0, 57))


def test_traits_equal_the_page_at_any_strength():
    data = Numbers(5)
    seen = set()
    for round in range(6):
        seed = data.below(1 << 30)
        words, found = device_words(
            seed,
            d_step=(0, 44, 443)[round % 3],
            d_top=(0, 35, 346)[round % 3],
            init=(0, 48, 346)[round % 3],
            stuck=(0, 3000, 65535)[round // 2],
        )
        for number in list(range(60)) + [65535, 65536, 2_000_000]:
            expected = plain.traits(found, seed, number)
            equal(struct.unpack("<5I", traits_of(words, number)), expected, number)
            seen.add(expected[3])
    equal(seen, {0, 1, 2}, "ways to be stuck or not")


def pulsed(words, number, g, up, index=0):
    """One pulse on a device at g: (g after it, generator after it, the page's generator before it).

    The generator is the first from `index` on whose coin makes it SET (`up`) or RESET.
    """
    source = Generator(1, 4, index)
    while source.draw() & 1 != up:
        index += 1
        source = Generator(1, 4, index)
    cells = bytearray(number + 2)
    cells[number] = g
    rng = started(1, 4, index)
    pair = struct.pack("<2H", 0, up)
    scratch = bytearray(4 * kernels.TRAIT_WORDS)
    kernels.pulse_pairs(cells, rng, pair, 1, 1, number, 1, scratch, words)
    equal(sum(cells), cells[number], "neighbours")
    return cells[number], state_of(rng), source


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
            known = plain.traits(found, 1, number)
            g = data.below(known[2] + 1)
            for index in range(8):
                after, state, source = pulsed(words, number, g, up, 8 * round + index)
                expected = plain.pulse(found, known, g, up, source)
                equal(after, expected, (found, g, up))
                equal(state, source.x, "draws taken")
                g = expected


def test_a_nominal_pulse_moves_by_the_step():
    words = device_words(c2c=0, d_step=0, d_top=0, step=160)[0]
    equal(pulsed(words, 0, 100, 1)[0], 110)
    equal(pulsed(words, 0, 100, 0)[0], 90)


def test_a_pulse_stops_at_the_top_and_at_zero():
    words, found = device_words(d_top=346, c2c=0)
    tops = set()
    for number in range(40):
        top = plain.traits(found, 1, number)[2]
        tops.add(top)
        equal(pulsed(words, number, top - 1, 1)[0], top)
        equal(pulsed(words, number, 1, 0)[0], 0)
    assert len(tops) > 10 and max(tops) == 255


def test_a_stuck_device_takes_its_draws_and_never_moves():
    words, found = device_words(stuck=65535)
    for number in range(10):
        known = plain.traits(found, 1, number)
        assert known[3]
        for up in (0, 1):
            after, state, source = pulsed(words, number, known[4], up, number)
            equal(after, known[4])
            plain.pulse(found, known, known[4], up, source)
            equal(state, source.x)


def check_list(pulses):
    words, found = device_words(c2c=700, stuck=9000)
    data = Numbers(10)
    base, width = 7, 5
    cells = data.bytes(base + 2 * width * 6)
    for number in range(len(cells)):
        cells[number] = min(cells[number], plain.traits(found, 1, number)[2])
    expected = list(cells)
    wanted = [(data.below(6), data.below(width), data.below(2)) for _ in range(40)]
    rng, source = started(1, 4, 3), Generator(1, 4, 3)
    for i, j, raised in wanted:
        is_set = source.draw() & 1
        number = base + (2 * i + (is_set != raised)) * width + j
        known = plain.traits(found, 1, number)
        for _ in range(pulses):
            expected[number] = plain.pulse(found, known, expected[number], is_set, source)
    pairs = b"".join(struct.pack("<2H", i, 2 * j + raised) for i, j, raised in wanted)
    scratch = bytearray(4 * kernels.TRAIT_WORDS)
    kernels.pulse_pairs(cells, rng, pairs, len(wanted), pulses, base, width, scratch, words)
    equal(list(cells), expected)
    equal(state_of(rng), source.x)


def test_a_list_of_couplings_is_pulsed_in_order():
    for pulses in (1, 2, 7, 255):
        check_list(pulses)
