"""Layers of units that settle on a front end: docs/reference/arithmetic.md, "Units and phases"."""

import micropython

from . import frontend_emulated, kernels, link_crc


@micropython.viper
def _margin(s: ptr8, at: int, count: int, best: int) -> int:
    next = 0
    i = 0
    while i < count:
        if i != best:
            if s[at + i] > next:
                next = s[at + i]
        i += 1
    return s[at + best] - next


class Network:
    """Activities of all units, in the free phase and in the two compared conditions.

    An activity buffer holds every layer's units one after the other, input
    first; layer k's are buffer[at[k]:at[k] + sizes[k]].

    Attributes:
        free, plus, minus: activity buffers of the three phases.
        targets: of the output units.
        front: the front end that holds the weights, as frontend_emulated.py says.
        pause: called after each sweep and each layer's change, to do something else; or None.
    """

    def __init__(
        self, sizes, front, caps, one_hot, high, low, mask, beta, sweeps_free, sweeps_nudged
    ):
        """Make the buffers of a network.

        Args:
            sizes: units of each layer, input first.
            front: the front end.
            caps: of each layer, the sum that its activities are held to; 0: they don't compete.
            one_hot: targets are classes, not on/off outputs.
            high, low: activity of a target that is on, off.
            mask: DAC_MASK of the page.
            beta: strength of the nudge, in 1/16.
            sweeps_free, sweeps_nudged: of each phase.
        """
        self.sizes = sizes
        self.at = [sum(sizes[:k]) for k in range(len(sizes))]
        self.last = len(sizes) - 1
        # In which order a sweep updates the layers: up to settle, down to follow the nudge.
        self._up = tuple(range(1, len(sizes)))
        self._down = tuple(reversed(self._up))
        self._below_output = self._down[1:]
        self.front = front
        # Looked up once: a bound method is a new object each time.
        self._forward = front.forward
        self._transposed = front.transposed
        self.caps = caps
        self.one_hot = one_hot
        self.high = high & mask
        self.low = low & mask
        self.threshold = (high + low + 1) >> 1
        self.targets = bytearray(sizes[-1])
        self.mask = mask
        self.beta = beta
        self.sweeps_free = sweeps_free
        self.sweeps_nudged = sweeps_nudged
        total = sum(sizes)
        self.free = bytearray(total)
        self.plus = bytearray(total)
        self.minus = bytearray(total)
        self._silence = bytes(total)
        # Readings and nudges, 32 bits each.
        widest = 4 * max(sizes[1:])
        self._held = bytearray(4 * sizes[1])
        self._drive = bytearray(widest)
        self._feedback = bytearray(widest)
        self._nudges = bytearray(4 * sizes[-1])
        self.pause = None

    def predict(self, x, first):
        """Hold the input x[first:] and let everything else settle, with the input's own noise.

        Whatever was asked before, the same input settles to the same activities.
        """
        s = self.free
        crc = self._drive  # not needed before the first sweep
        kernels.copy_masked(s, 0, self.sizes[0], x, first, self.mask)
        crc[0] = crc[1] = crc[2] = crc[3] = 0
        link_crc.update(crc, s, 0, self.sizes[0])
        # 30 bits, the most of an integer that takes no heap on any board.
        index = crc[0] | crc[1] << 8 | crc[2] << 16 | (crc[3] & 63) << 24
        self.front.begin(frontend_emulated.STREAM_PREDICT, index)
        self._settle_free()

    def settle_free(self, x, first):
        """Hold the input x[first:] and let everything else settle."""
        kernels.copy_masked(self.free, 0, self.sizes[0], x, first, self.mask)
        self._settle_free()

    def _settle_free(self):
        s = self.free
        kernels.copy_masked(s, self.at[1], len(s) - self.at[1], self._silence, 0, 0)
        # The input does not change again, so its drive is read once and held.
        self.front.forward(0, s, self._held)
        self._sweep(s, self.sweeps_free, self._up, 0)

    def set_targets(self, source, first):
        """Take the target at source[first:]: a class number, or a byte for each output."""
        n = self.sizes[-1]
        if self.one_hot:
            kernels.select(self.targets, n, self._silence, 0, 1, self.high, self.low)
            self.targets[source[first]] = self.high
        else:
            kernels.select(self.targets, n, source, first, 1, self.high, self.low)

    def answer(self):
        """The predicted class, or how many outputs differ from the targets."""
        if self.one_hot:
            return kernels.best(self.free, self.at[-1], self.sizes[-1])
        return kernels.misses(self.free, self.at[-1], self.sizes[-1], self.targets, self.threshold)

    def margin(self, answer):
        """How far the predicted class `answer` is above the next, 0 to 255."""
        return _margin(self.free, self.at[-1], self.sizes[-1], answer)

    def set_nudges(self):
        """Work out the nudge from the free outputs to the targets."""
        kernels.nudge(self._nudges, self.free, self.at[-1], self.sizes[-1], self.targets, self.beta)

    def settle_nudged(self, s, sign):
        """Settle again into s, from the free activities, under sign times the nudge."""
        kernels.copy_masked(s, 0, len(s), self.free, 0, 255)
        self._sweep(s, self.sweeps_nudged, self._down, sign)

    def settle_clamped(self, s):
        """Settle again into s, from the free activities, with the outputs held."""
        kernels.copy_masked(s, 0, self.at[-1], self.free, 0, 255)
        kernels.copy_masked(s, self.at[-1], self.sizes[-1], self.targets, 0, 255)
        self._sweep(s, self.sweeps_nudged, self._below_output, 0)

    @micropython.native
    def _sweep(self, s, sweeps, layers, sign):
        """Update these layers in order, `sweeps` times; the output layer is nudged."""
        forward = self._forward
        transposed = self._transposed
        activate = kernels.activate
        at = self.at
        sizes = self.sizes
        caps = self.caps
        mask = self.mask
        last = self.last
        for _ in range(sweeps):
            for k in layers:
                drive = self._held
                if k > 1:
                    drive = self._drive
                    forward(k - 1, s, drive)
                if k < last:
                    other = self._feedback
                    times = 1
                    transposed(k, s, other)
                else:
                    other = self._nudges
                    times = sign
                less = 0
                if caps[k]:
                    less = kernels.compete(drive, other, sizes[k], times, mask, caps[k])
                activate(s, drive, other, at[k], sizes[k], times, mask, less)
            if self.pause:
                self.pause()
