"""The learning rule: compare two conditions of the same network.

Each coupling changes by the difference of the products of its two activities.
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

# Offsets into the work of kernels_select.change, in bytes.
_RATE = const(16)
_NEXT = const(20)
_RNG = const(24)
_ROOM = const(28)
_DUE = const(32)
_SPARE = const(
    16
)  # bit lines with few couplings that are due go together as far as there is room for more


class Learner:
    """A network on a front end, and the accumulators of its couplings.

    Attributes:
        steps: samples learned so far.
        layers: weight layers.
        accumulators: of each weight layer, a byte for each coupling; 128 is 0.
        flip: a fault on purpose, or None: step, whether of an activity, layer, index, bit.
    """

    def __init__(self, network, rule, scales):
        """Begin with empty accumulators.

        Args:
            network: the `network.Network`.
            rule: 0 centred, 1 one-sided, 2 clamped.
            scales: of each weight layer, the factor on the rate.
        """
        self.network = network
        self.rule = rule
        self.scales = scales
        self.steps = 0
        sizes = network.sizes
        self.layers = len(sizes) - 1
        self.accumulators = [bytearray((sizes[k] + 1) * sizes[k + 1]) for k in range(self.layers)]
        for cells in self.accumulators:  # filled in place: there may be no room for a second one
            kernels.select(cells, len(cells), cells, 0, 0, 128, 128)
        # kernels_select.change: where the layer's units are, and the rest of its work.
        self._places = [
            struct.pack("<4I", network.at[k], sizes[k], sizes[k + 1], network.at[k + 1])
            for k in range(self.layers)
        ]
        room = max(sizes[:-1]) + _SPARE
        self._work = bytearray(_DUE + 4 * room)
        struct.pack_into("<I", self._work, _ROOM, room)
        self._rng = memoryview(self._work)[_RNG : _RNG + 4]
        self._due = memoryview(self._work)[_DUE:]
        self.flip: tuple | None = None

    def objection(self, rate, pulses):
        """Why samples can't be learned so, or None."""
        if not pulses:
            return "a change of no pulses"
        if rate * max(self.scales) > 16383:
            return "a rate above 16383"
        return None

    def learn(self, x, first, rate, pulses):
        """Learn one sample; the network's targets are set.

        Args:
            x: DAC codes, of which those from x[first] on are the input.
            rate: RATE of the page.
            pulses: PULSES of the page, which a change of a coupling is made of.
        """
        self.free_phase(x, first)
        self.update(rate, pulses)

    def free_phase(self, x, first):
        """The first half of `learn`: settle without a nudge. Nothing is learned yet."""
        self.network.front.begin(frontend_emulated.STREAM_LEARN, self.steps)
        self.network.settle_free(x, first)
        if self.flip:
            self._flip(1, self.flip)

    def update(self, rate, pulses):
        """The second half of `learn`: compare the two conditions and change the couplings."""
        network = self.network
        plus, minus = network.plus, network.minus
        if self.rule == _CLAMPED:
            network.settle_clamped(plus)
        else:
            network.set_nudges()
            network.settle_nudged(plus, 1)
        if self.rule == _CENTRED:
            network.settle_nudged(minus, -1)
        else:
            kernels.copy_masked(minus, 0, len(minus), network.free, 0, 255)
        self._change_couplings(plus, minus, rate, pulses)
        if self.flip:
            self._flip(0, self.flip)
        self.steps += 1

    def _change_couplings(self, plus, minus, rate, pulses):
        front = self.network.front
        front.start(self._rng, _STREAM_UPDATE, self.steps)
        work = self._work
        due = self._due
        for k in range(self.layers):
            kernels.copy_masked(work, 0, 16, self._places[k], 0, 255)
            scaled = rate * self.scales[k]
            work[_RATE] = scaled & 255
            work[_RATE + 1] = scaled >> 8
            work[_NEXT] = work[_NEXT + 1] = 0
            bit_lines = self.network.sizes[k + 1]
            while work[_NEXT] | work[_NEXT + 1] << 8 < bit_lines:
                count = kernels_select.change(plus, minus, self.accumulators[k], work)
                if count:
                    front.pulse(k, due, count, pulses)
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
