"""When the next sample of a source without a clock of its own is due."""

from time import ticks_add, ticks_diff, ticks_us


class SampleTimer:
    """Says when a sample is due. One that is taken a whole period late counts as lost.

    Attributes:
        rate: mHz, as it was rounded.
        lost: samples that nobody took.
    """

    def __init__(self, rate):
        """rate: mHz; the period is rounded to whole µs. ValueError: too fast or too slow."""
        if not 100 <= rate <= 10000000:
            raise ValueError("a rate of 0.1 to 10000 Hz is possible")
        self._period = 1000000000 // rate
        self.rate = 1000000000 // self._period
        self.lost = 0
        self._next = 0

    def start(self):
        """Begin a period now."""
        self._next = ticks_add(ticks_us(), self._period)

    def due(self):
        """Whether a sample is due; if so, the next one is waited for from now on."""
        late = ticks_diff(ticks_us(), self._next)
        if late < 0:
            return False
        missed = late // self._period
        self.lost += missed
        self._next = ticks_add(self._next, (missed + 1) * self._period)
        return True
