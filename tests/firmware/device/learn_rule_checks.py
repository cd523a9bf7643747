"""The learning rule: golden values of the page, faults on purpose, and no heap."""

import gc
import struct

import build
import micropython
import plain
from plain import Generator, Numbers, equal

from madem import link_crc

SAMPLES = (((255, 0, 128), 0), ((0, 255, 64), 1), ((200, 100, 50), 0))
GOLDEN = (  # activities of layers 1 and 2 in the free, plus and minus phase
    ((0, 7, 12, 0), (0, 23, 211, 0), (0, 6, 0, 8)),
    ((10, 5, 28, 0), (40, 14, 0, 203), (10, 10, 56, 0)),
    ((0, 7, 24, 0), (0, 26, 215, 4), (0, 6, 0, 0)),
)
DIGESTS = (
    (0x88BE8695, 0x9238FC35, 0x2B122B9C, 0xE4DBF5E4),
    (0xAE45A0CE, 0x42EA6EFF, 0x54F10655, 0xA25DE979),
    (0xA61051C0, 0xF9E16E7B, 0x25C9A3AE, 0x18457A8F),
)


def crc32(*parts):
    state = bytearray(4)
    for part in parts:
        link_crc.update(state, part, 0, len(part))
    return struct.unpack("<I", state)[0]


def weights(one):
    """Devices, then accumulators, of each layer."""
    front = one.network.front
    parts = []
    for k in range(one.layers):
        cells = one.accumulators[k]
        parts += [front.devices[front.bases[k] : front.bases[k] + 2 * len(cells)], cells]
    return parts


def test_golden_values_of_the_page():
    one = build.learner((3, 2, 2))
    net = one.network
    for step, (x, target) in enumerate(SAMPLES):
        build.learn(one, x, target)
        phases = [bytes(s[3:]) for s in (net.free, net.plus, net.minus)]
        equal([tuple(s) for s in phases], list(GOLDEN[step]), step)
        digests = [crc32(s) for s in phases] + [crc32(*weights(one))]
        equal(tuple(digests), DIGESTS[step], step)
        equal(one.steps, step + 1)
    net.predict(bytes(SAMPLES[0][0]), 0)
    equal(list(net.free[3:]), [0, 16, 32, 0])


def test_a_fresh_learner():
    one = build.learner((3, 4, 2))
    equal((one.steps, one.layers), (0, 2))
    equal(one.accumulators, [bytearray(b"\x80" * 16), bytearray(b"\x80" * 10)])


def check_rule(rule, sizes, scales):
    """The weight change is the page's, for the activities that the phases gave."""
    one = build.learner(sizes, rule=rule, one_hot=0, scales=scales)
    net = one.network
    front = net.front
    data = Numbers(rule)
    changed = 0
    for step in range(12):
        devices, cells = list(front.devices), [bytearray(c) for c in one.accumulators]
        target = bytes(data.below(2) for _ in range(sizes[-1]))
        build.learn(one, data.bytes(sizes[0]), target, rate=3000, pulses=rule + 1)
        if rule:
            equal(net.minus, net.free, "nothing but the free activities")
        if rule == 2:
            equal(list(net.plus[net.at[-1] :]), [204 * t for t in target])
        update, pulses = Generator(1, 3, step), Generator(1, 4, step)
        for k in range(one.layers):
            m, n = sizes[k], sizes[k + 1]
            rate = 3000 * scales[k]
            wanted = plain.change(
                net.plus, net.minus, cells[k], net.at[k], m, net.at[k + 1], n, rate, update
            )
            changed += len(wanted)
            for i, j, raised in wanted:
                is_set = pulses.draw() & 1
                number = front.bases[k] + 2 * (m + 1) * i + j
                number += 0 if is_set == raised else m + 1
                known = plain.traits(plain.DEVICE, 1, number)
                for _ in range(rule + 1):
                    g = devices[number]
                    devices[number] = plain.pulse(plain.DEVICE, known, g, is_set, pulses)
        equal(cells, one.accumulators, step)
        equal(devices, list(front.devices), step)
    assert changed > 20, changed


def test_the_weight_change_of_each_rule_and_depth():
    for rule in (0, 1, 2):
        for sizes in ((6, 5), (6, 5, 4), (40, 3, 4, 5)):
            check_rule(rule, sizes, (5, 3, 4)[: len(sizes) - 1])


def test_a_layer_of_more_bit_lines_than_a_byte_counts():
    check_rule(0, (2, 300, 2), (5, 1))


def test_without_a_rate_nothing_changes():
    one = build.learner((3, 4, 2))
    before = [bytes(part) for part in weights(one)]
    for x, target in SAMPLES:
        build.learn(one, x, target, rate=0)
    equal([bytes(part) for part in weights(one)], before)
    equal(one.steps, 3)


def run_with(flip):
    """Weights and free activities of all steps, with a flip or None."""
    one = build.learner((3, 2, 2))
    one.flip = flip
    history = []
    for x, target in SAMPLES:
        build.learn(one, x, target)
        history.append((bytes(one.network.free), [bytes(part) for part in weights(one)]))
    return history


def test_a_flipped_weight_is_one_bit_of_its_step():
    clean = run_with(None)
    broken = run_with((1, 0, 2, 5, 6))
    equal(broken[0], clean[0])
    equal(broken[1][0], clean[1][0], "activities come before the flip")
    differences = [
        (part, i, a ^ b)
        for part, (was, now) in enumerate(zip(clean[1][1], broken[1][1]))
        for i, (a, b) in enumerate(zip(was, now))
        if a != b
    ]
    equal(differences, [(2, 5, 1 << 6)])


def test_a_flipped_state_is_one_bit_of_its_step_and_is_learned_from():
    clean = run_with(None)
    broken = run_with((1, 1, 1, 1, 7))
    equal(broken[0], clean[0])
    differences = [(i, a ^ b) for i, (a, b) in enumerate(zip(clean[1][0], broken[1][0])) if a != b]
    equal(differences, [(4, 1 << 7)])


def check_heap(rule):
    """A thousand samples with the heap locked, its use the same after each."""
    one = build.learner((16, 8, 4), rule=rule, caps=(500, 200), scales=(1, 3))
    data = Numbers(3)
    samples = data.bytes(17 * 8)
    for k in range(8):
        samples[17 * k + 16] &= 3
    one.flip = (1500, 0, 1, 0, 0)  # looked for at every step, never met
    for k in range(16):  # warm up
        one.network.set_targets(samples, 17 * (k & 7) + 16)
        one.learn(samples, 17 * (k & 7), 2064, 2)
    gc.collect()
    gc.disable()
    used = gc.mem_alloc()
    changed = False
    micropython.heap_lock()  # from here on an allocation is a MemoryError
    try:
        for k in range(1000):
            one.network.set_targets(samples, 17 * (k & 7) + 16)
            one.learn(samples, 17 * (k & 7), 2064, 2)
            one.network.answer()
            if gc.mem_alloc() != used:
                changed = True
    finally:
        micropython.heap_unlock()
        gc.enable()
    equal(one.steps, 1016)
    assert not changed, "the heap's use changed"
    assert any(c != 128 for c in one.accumulators[0]), "it has learned"


def test_a_thousand_samples_use_no_heap():
    for rule in (0, 1, 2):
        check_heap(rule)


def test_the_check_for_heap_can_fail():
    used = gc.mem_alloc()
    kept = bytearray(100)
    assert gc.mem_alloc() > used and kept
    micropython.heap_lock()
    try:
        bytearray(100)
    except MemoryError:
        return
    finally:
        micropython.heap_unlock()
    raise AssertionError("a locked heap gave memory")
