"""The learning rule: compare two conditions of the same network, change each
coupling by the difference of the products of its two activities.

No gradient is computed. Each coupling keeps the sum of its differences until
it is worth a whole pulse. docs/reference/arithmetic.md, "Weight change".
"""

import struct

from micropython import const

from . import frontend_emulated, kernels, kernels_select

_CENTRED = const(0)  # nudged toward the target against nudged away from it
_ONE_SIDED = const(1)  # nudged toward the target against free
_CLAMPED = const(2)  # held at the target against free

_STREAM_UPDATE = const(3)

# Offsets into the work of inner.change, in bytes.
_RATE = const(16)
_NEXT = const(20)
_RNG = const(24)
_ROOM = const(28)
_PULSES = const(32)
_SPARE = const(16)  # bit lines with few pulses go together as far as there is room for more


class Learner:
    """A network on a front end, and the accumulators of its couplings."""

    def __init__(self, network, rule, scales):
        self.network = network
        self.rule = rule
        self.scales = scales  # of each weight layer: factor on the rate
        self.steps = 0
        sizes = network.sizes
        self.layers = len(sizes) - 1
        self.accumulators = [bytearray((sizes[k] + 1) * sizes[k + 1]) for k in range(self.layers)]
        for cells in self.accumulators:  # filled in place: there may be no room for a second one
            kernels.select(cells, len(cells), cells, 0, 0, 128, 128)
        # inner.change: where the layer's units are, and the rest of its work.
        self._places = [
            struct.pack("<4I", network.at[k], sizes[k], sizes[k + 1], network.at[k + 1])
            for k in range(self.layers)
        ]
        room = max(sizes[:-1]) + _SPARE
        self._work = bytearray(_PULSES + 4 * room)
        struct.pack_into("<I", self._work, _ROOM, room)
        self._rng = memoryview(self._work)[_RNG : _RNG + 4]
        self._pulses = memoryview(self._work)[_PULSES:]
        self.flip: tuple | None = None  # a fault on purpose: (step, is_state, layer, index, bit)

    def learn(self, x, first, rate, train):
        """One training sample: input x[first:], the network's targets as they are set.

        train: pulses that a change of a coupling is made of.
        """
        self.test(x, first)
        self.change(rate, train)

    def test(self, x, first):
        """The first half of a sample: the free phase, of which nothing is learned yet."""
        self.network.front.begin(frontend_emulated.STREAM_LEARN, self.steps)
        self.network.settle_free(x, first)
        if self.flip:
            self._flip(1, self.flip)

    def change(self, rate, train):
        """The second half: the two conditions compared, and the couplings changed."""
        network = self.network
        plus, minus = network.plus, network.minus
        if self.rule == _CLAMPED:
            network.settle_clamped(plus)
        else:
            network.aim()
            network.settle_nudged(plus, 1)
        if self.rule == _CENTRED:
            network.settle_nudged(minus, -1)
        else:
            kernels.load(minus, 0, len(minus), network.free, 0, 255)
        self._change(plus, minus, rate, train)
        if self.flip:
            self._flip(0, self.flip)
        self.steps += 1

    def _change(self, plus, minus, rate, train):
        front = self.network.front
        front.start(self._rng, _STREAM_UPDATE, self.steps)
        work = self._work
        pulses = self._pulses
        for k in range(self.layers):
            kernels.load(work, 0, 16, self._places[k], 0, 255)
            scaled = rate * self.scales[k]
            work[_RATE] = scaled & 255
            work[_RATE + 1] = scaled >> 8
            work[_NEXT] = work[_NEXT + 1] = 0
            bit_lines = self.network.sizes[k + 1]
            while work[_NEXT] | work[_NEXT + 1] << 8 < bit_lines:
                count = kernels_select.change(plus, minus, self.accumulators[k], work)
                if count:
                    front.pulse(k, pulses, count, train)
            if self.network.pause:
                self.network.pause()

    def _flip(self, is_state, flip):
        step, state, layer, index, bit = flip
        if step == self.steps and state == is_state:
            network = self.network
            if is_state:
                network.free[network.at[layer] + index] ^= 1 << bit
            else:
                network.front.devices[network.front.bases[layer - 1] + index] ^= 1 << bit
