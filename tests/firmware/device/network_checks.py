"""Layers that settle: what is held, what is reset, what is nudged."""

import binascii
import struct

import build
import plain
from plain import Numbers, equal

from madem import kernels

SIZES = (4, 5, 3)


class SameReadings:
    """A front end that senses the same readings always, and writes down what it is asked."""

    def __init__(self, forward, transposed=0):
        self.asked = []
        self._forward = forward
        self._transposed = transposed

    def forward(self, k, s, out):
        self.asked.append(("forward", k, bytes(s)))
        self._put(out, self._forward)

    def transposed(self, k, s, out):
        self.asked.append(("transposed", k, bytes(s)))
        self._put(out, self._transposed)

    def _put(self, out, value):
        for i in range(len(out) // 4):
            struct.pack_into("<I", out, 4 * i, value + kernels.OFFSET)


def network(forward=400, transposed=100, **settings):
    net = build.learner(SIZES, **settings).network
    front = SameReadings(forward, transposed)
    net.front = front
    net._forward, net._transposed = front.forward, front.transposed
    return net, front


def layer(net, s, k):
    return list(s[net.at[k] : net.at[k] + SIZES[k]])


def test_the_order_of_the_reads_and_the_held_drive():
    net, front = network(sweeps=(3, 2))
    net.settle_free(b"\x11\x22\x33\x44", 0)
    sweep = [("transposed", 1), ("forward", 1)]
    equal([ask[:2] for ask in front.asked], [("forward", 0)] + 3 * sweep)
    front.asked.clear()
    net.settle_nudged(net.plus, 1)
    equal([ask[:2] for ask in front.asked], 2 * sweep[::-1], "downward")
    front.asked.clear()
    net.settle_clamped(net.plus)
    equal([ask[:2] for ask in front.asked], 2 * sweep[:1])


def test_a_nudge_reaches_the_lowest_layer_in_one_sweep():
    net = build.learner((2, 3, 3, 2), sweeps=(1, 1)).network
    front = SameReadings(400, 100)
    net.front = front
    net._forward, net._transposed = front.forward, front.transposed
    net.settle_free(bytes(2), 0)
    free = bytes(net.free)
    net.set_targets(b"\0", 0)
    net.set_nudges()
    front.asked.clear()
    net.settle_nudged(net.plus, 1)
    asked = [("forward", 2), ("forward", 1), ("transposed", 2), ("transposed", 1)]
    equal([ask[:2] for ask in front.asked], asked)
    seen = [ask[2] for ask in front.asked]
    equal(seen[0], free)
    assert seen[1][8:] == net.plus[8:] != free[8:], "the layer below sees the nudged outputs"


def test_each_read_sees_the_activities_of_its_moment():
    net, front = network(sweeps=(2, 1))
    net.settle_free(bytes(4), 0)
    # 400 + 100 of drive in the hidden layer, 400 in the output layer.
    hidden, out = (500 * 255 + 512) >> 10, (400 * 255 + 512) >> 10
    first, second, third = (ask[2] for ask in front.asked[1:4])
    equal(list(first), 12 * [0], "silence")
    equal(list(second), 4 * [0] + 5 * [hidden] + 3 * [0])
    equal(list(third), 4 * [0] + 5 * [hidden] + 3 * [out])


def test_the_free_phase_starts_from_silence_with_masked_inputs():
    net, front = network(mask=0xF0)
    for i in range(len(net.free)):
        net.free[i] = 77
    net.settle_free(b"\x99\xff\x7f\x0f\x80\x99", 1)
    equal(front.asked[0][2], b"\xf0\x70\0\x80" + bytes(8))
    equal(layer(net, net.free, 0), [0xF0, 0x70, 0, 0x80])


def test_targets_and_answers():
    net, _ = network(targets=(204, 13), mask=0xF0)
    net.set_targets(b"\0\2", 1)
    equal(list(net.targets), [0, 0, 0xC0])
    net.free[net.at[2] :] = b"\1\5\5"
    equal(net.answer(), 1)

    net, _ = network(one_hot=0, targets=(204, 13))
    net.set_targets(b"\0\1\0\xff", 1)
    equal(list(net.targets), [204, 13, 204])
    # On from (204 + 13 + 1) >> 1 = 109 on.
    for outputs, wrong in ((b"\x6d\x6c\xff", 0), (b"\x6c\x6d\0", 3), (b"\xff\xff\xff", 1)):
        net.free[net.at[2] :] = outputs
        equal(net.answer(), wrong, outputs)


def test_the_threshold_is_taken_before_the_mask():
    net, _ = network(one_hot=0, targets=(250, 31), mask=0x80)
    equal(net.threshold, (250 + 31 + 1) >> 1)
    equal((net.high, net.low), (0x80, 0))


def test_the_nudge_pulls_toward_the_target_and_away_from_it():
    net, _ = network(forward=400, sweeps=(1, 1), beta=64)
    net.settle_free(bytes(4), 0)
    out = (400 * 255 + 512) >> 10
    equal(layer(net, net.free, 2), [out] * 3)
    net.set_targets(b"\1", 0)
    net.set_nudges()
    nudges = [(64 * (t - out)) >> 4 for t in (0, 204, 0)]
    for s, sign in ((net.plus, 1), (net.minus, -1)):
        net.settle_nudged(s, sign)
        expected = [max(0, min(255, ((400 + sign * u) * 255 + 512) >> 10)) for u in nudges]
        equal(layer(net, s, 2), expected, sign)
        equal(s[: net.at[2]], net.free[: net.at[2]], "only the output layer is nudged")
    equal(layer(net, net.free, 2), [out] * 3, "the free phase is kept")


def test_only_the_layers_that_shall_compete_do():
    for caps in ((0, 0), (400, 0), (0, 300), (400, 300)):
        net, _ = network(forward=700, transposed=100, sweeps=(1, 1), caps=caps)
        net.settle_free(bytes(4), 0)
        hidden, out = [800] * 5, [700] * 3
        for k, u, cap in ((1, hidden, caps[0]), (2, out, caps[1])):
            expected = plain.compete(u, cap) if cap else [plain.activity(v) for v in u]
            equal(layer(net, net.free, k), expected, caps)
        # In the nudged phase too, the nudge included.
        net.set_targets(b"\2", 0)
        net.set_nudges()
        pull = [64 * (t - y) >> 4 for t, y in zip((0, 0, 204), layer(net, net.free, 2))]
        net.settle_nudged(net.minus, -1)
        u = [700 - v for v in pull]
        expected = plain.compete(u, caps[1]) if caps[1] else [plain.activity(v) for v in u]
        equal(layer(net, net.minus, 2), expected, caps)


def test_clamped_outputs_stay():
    net, _ = network(sweeps=(2, 5))
    net.settle_free(b"\1\2\3\4", 0)
    net.set_targets(b"\0", 0)
    net.settle_clamped(net.plus)
    equal(layer(net, net.plus, 2), [204, 0, 0])
    equal(layer(net, net.plus, 0), [1, 2, 3, 4])


def test_a_single_weight_layer_has_no_feedback():
    net = build.learner((4, 3)).network
    front = SameReadings(300)
    net.front = front
    net._forward, net._transposed = front.forward, front.transposed
    net.settle_free(bytes(4), 0)
    net.settle_clamped(net.plus)
    equal([ask[:2] for ask in front.asked], [("forward", 0)])


def test_settling_is_a_function_of_the_input_and_the_stream():
    net = build.learner(SIZES).network
    data = Numbers(1)
    x, other = data.bytes(4), data.bytes(4)

    def free(sample, index):
        net.front.begin(5, index)
        net.settle_free(sample, 0)
        return bytes(net.free)

    first = free(x, 0)
    found = {free(other, 0), free(x, 1), free(other, 1)}
    assert first not in found and len(found) == 3
    equal(free(x, 0), first)


def test_the_noise_of_a_prediction_is_that_of_the_row():
    """Its index is the CRC-32 of what the DACs give, cut to 30 bits."""
    net = build.learner(SIZES, mask=0xF0).network
    for x, masked in ((b"\x12\x34\x56\x78", b"\x10\x30\x50\x70"), (bytes(4), bytes(4))):
        net.front.begin(5, binascii.crc32(masked) & 0x3FFFFFFF)
        net.settle_free(x, 0)
        expected = bytes(net.free)
        net.predict(b"\xff" + x, 1)
        equal(bytes(net.free), expected)


def test_a_prediction_does_not_depend_on_what_was_asked_before():
    one = build.learner(SIZES, noise=(350, 90))
    net, data = one.network, Numbers(7)
    rows = [data.bytes(4) for _ in range(12)]

    def settled(row):
        net.predict(row, 0)
        return bytes(net.free)

    found = [settled(row) for row in rows]
    assert len(set(found)) == 12
    for k in (5, 5, 0, 11, 3, 5, 1):
        equal(settled(rows[k]), found[k])
    one.free_phase(rows[2], 0)  # as a sample begins that is learned
    equal(settled(rows[5]), found[5])
