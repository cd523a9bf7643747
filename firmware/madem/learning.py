"""The learning rule: compare two conditions of the same network, change each
coupling by the difference of the products of its two activities.

No gradient is computed. Each coupling keeps the sum of its differences until
it is worth a whole pulse. docs/arithmetic.md, "Weight change".
"""

import struct

from . import crossbar, kernels

CENTRED = 0  # nudged toward the target against nudged away from it
ONE_SIDED = 1  # nudged toward the target against free
CLAMPED = 2  # held at the target against free

_STREAM_UPDATE = 3


class Learner:
    """A network on a front end, and the accumulators of its couplings."""

    def __init__(self, network, rule, scales):
        self.network = network
        self.rule = rule
        self.scales = scales  # of each weight layer: factor on the rate
        self.steps = 0
        sizes = network.sizes
        self.layers = len(sizes) - 1
        self.accumulators = [
            bytearray(b"\x80" * ((sizes[k] + 1) * sizes[k + 1])) for k in range(self.layers)
        ]
        self._rng = bytearray(4)
        # kernels.change: where the layer's units are, and the next bit line.
        self._places = [
            struct.pack("<4H", network.at[k], sizes[k], network.at[k + 1], sizes[k + 1])
            for k in range(self.layers)
        ]
        self._place = bytearray(10)
        self._room = max(max(sizes[:-1]) + 1, 32)
        self._pulses = bytearray(4 * self._room)
        self.flip: tuple | None = None  # a fault on purpose: (step, is_state, layer, index, bit)

    def learn(self, x, first, rate):
        """One training sample: input x[first:], the network's targets as they are set."""
        network = self.network
        network.front.begin(crossbar.STREAM_LEARN, self.steps)
        network.settle_free(x, first)
        if self.flip:
            self._flip(1, self.flip)
        plus, minus = network.plus, network.minus
        if self.rule == CLAMPED:
            network.settle_clamped(plus)
        else:
            network.aim()
            network.settle_nudged(plus, 1)
        if self.rule == CENTRED:
            network.settle_nudged(minus, -1)
        else:
            kernels.load(minus, 0, len(minus), network.free, 0, 255)
        self._change(plus, minus, rate)
        if self.flip:
            self._flip(0, self.flip)
        self.steps += 1

    def _change(self, plus, minus, rate):
        front = self.network.front
        front.start(self._rng, _STREAM_UPDATE, self.steps)
        place = self._place
        pulses = self._pulses
        for k in range(self.layers):
            kernels.load(place, 0, 8, self._places[k], 0, 255)
            place[8] = place[9] = 0
            bit_lines = self.network.sizes[k + 1]
            scaled = rate * self.scales[k]
            while place[8] | place[9] << 8 < bit_lines:
                count = kernels.change(
                    plus, minus, self.accumulators[k], place, scaled, self._rng, pulses, self._room
                )  # fmt: skip
                if count:
                    front.pulse(k, pulses, count)

    def _flip(self, is_state, flip):
        step, state, layer, index, bit = flip
        if step == self.steps and state == is_state:
            network = self.network
            if is_state:
                network.free[network.at[layer] + index] ^= 1 << bit
            else:
                network.front.devices[network.front.bases[layer - 1] + index] ^= 1 << bit
