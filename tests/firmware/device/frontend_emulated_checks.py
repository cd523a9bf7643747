"""The emulated front end: which devices it has, and that it reads and pulses the right ones."""

import struct

import build
import plain
from plain import Generator, Numbers, equal

from madem import frontend_emulated, kernels

SIZES = (5, 4, 3)
BASES = (0, 2 * 6 * 4)


def front_of(seed=1, sizes=SIZES, **settings):
    found = dict(plain.DEVICE)
    found.update(settings)
    return build.learner(sizes, seed=seed, **settings).network.front, found


def readings(out):
    return [v - kernels.OFFSET for v in struct.unpack("<%dI" % (len(out) // 4), out)]


def test_devices_are_numbered_through_all_layers():
    for seed in (1, 0xFFFFFFFF):
        front, found = front_of(seed, d_top=200, init=300)
        equal(tuple(front.bases), BASES)
        equal(len(front.devices), 2 * 6 * 4 + 2 * 5 * 3)
        expected = [plain.traits(found, seed, number)[4] for number in range(len(front.devices))]
        equal(list(front.devices), expected)


def test_the_stuck_are_counted():
    for share in (0, 20000, 65535):
        front, found = front_of(stuck=share)
        stuck = [plain.traits(found, 1, number)[3] for number in range(len(front.devices))]
        equal(front.stuck_count(), sum(1 for s in stuck if s), share)
    assert front.stuck_count() == len(front.devices)


def test_reads_are_those_of_the_page():
    front, _ = front_of()
    data = Numbers(1)
    s = data.bytes(sum(SIZES))
    for stream, index in ((2, 0), (2, 77), (5, 0), (5, 12345678)):
        front.begin(stream, index)
        source = Generator(1, stream, index)
        # One stream of noise runs through all reads of a sample.
        for k, transposed in ((0, 0), (1, 1), (1, 0), (1, 1), (0, 1)):
            m, n = SIZES[k], SIZES[k + 1]
            out = bytearray(4 * (m if transposed else n))
            (front.transposed if transposed else front.forward)(k, s, out)
            first = sum(SIZES[: k + transposed])
            accs = plain.sums(front.devices, BASES[k], m, n, s[first:], transposed)
            f, nz = (9, 9) if transposed else (11, 35)
            gain = (197, 15) if k else (197, 14)
            equal(readings(out), [plain.convert(acc, *gain, f, 8, nz, source) for acc in accs])


def test_pulses_hit_the_device_that_the_coin_picks():
    front, found = front_of(c2c=300, nl_set=40, nl_reset=65, stuck=9000)
    expected = list(front.devices)
    data = Numbers(2)
    hit = set()
    for step in range(100):
        front.begin(frontend_emulated.STREAM_LEARN, step)
        source = Generator(1, 4, step)
        for k in (0, 1):
            m, n = SIZES[k], SIZES[k + 1]
            wanted = [
                (data.below(n), data.below(m + 1), data.below(2)) for _ in range(data.below(6))
            ]
            due = b"".join(struct.pack("<2H", i, 2 * j + up) for i, j, up in wanted)
            pulses = 1 + step % 3
            front.pulse(k, due, len(wanted), pulses)
            for i, j, raised in wanted:
                is_set = source.draw() & 1
                on_p = is_set == raised
                number = BASES[k] + 2 * (m + 1) * i + j + (0 if on_p else m + 1)
                hit.add(number)
                known = plain.traits(found, 1, number)
                for _ in range(pulses):
                    expected[number] = plain.pulse(found, known, expected[number], is_set, source)
    equal(list(front.devices), expected)
    equal(len(hit), len(expected), "devices pulsed at least once")


def test_predictions_leave_the_pulse_generator_alone():
    front, _ = front_of()
    front.begin(frontend_emulated.STREAM_LEARN, 3)
    before = bytes(front._pulse_rng)
    front.begin(frontend_emulated.STREAM_PREDICT, 4)
    equal(bytes(front._pulse_rng), before)
