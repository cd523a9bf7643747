"""When the next sample of a source without a clock of its own is due."""

from time import ticks_add, ticks_diff, ticks_us


class Pace:
    """A sample every period, or lost: one that comes a whole period late is none any more."""

    def __init__(self, rate):
        """rate: mHz, rounded to whole microseconds. ValueError: too fast or too slow."""
        if not 100 <= rate <= 10000000:
            raise ValueError("a rate of 0.1 to 10000 Hz is possible")
        self._period = 1000000000 // rate
        self.rate = 1000000000 // self._period
        self.lost = 0
        self._next = 0

    def start(self):
        self._next = ticks_add(ticks_us(), self._period)

    def due(self):
        """Whether it is time; if so, for the next one from then on."""
        late = ticks_diff(ticks_us(), self._next)
        if late < 0:
            return False
        missed = late // self._period
        self.lost += missed
        self._next = ticks_add(self._next, (missed + 1) * self._period)
        return True
