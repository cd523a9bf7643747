"""What sources have in common whose chip keeps samples until they are fetched."""

from time import ticks_add, ticks_diff, ticks_us


class Fifo:
    """Samples that a chip keeps until they are taken.

    It gives `_held()`, samples in its FIFO or -1 when it was full; `_fetch(into)`, which
    takes one out; and `_restart()`, which empties it.
    """

    def __init__(self, rate, room):
        """rate: mHz. room: samples that the FIFO holds."""
        self.rate = rate
        self.lost = 0
        self._room = room
        self._due = 0  # samples known to be there
        self._counted = 0  # when that was found, in µs
        self._pause = 500000000 // rate  # between two looks, in µs: half a sample

    def start(self):
        """Forget what was measured before."""
        self._restart()
        self._due = 0
        self._counted = ticks_us()

    def read(self, into):
        """See docs/guide/sensors.md."""
        if not self._due:
            passed = ticks_diff(ticks_us(), self._counted)
            if 0 <= passed < self._pause:
                return False
            held = self._held()
            if held < 0:
                # Which samples are left, and where they begin, is not known.
                self.lost += max(passed // 1000 * self.rate // 1000000, self._room)
                self.start()
                return False
            self._due = held
            self._counted = ticks_add(self._counted, passed)
            if not held:
                return False
        self._fetch(into)
        self._due -= 1
        return True

    def _restart(self):
        raise NotImplementedError

    def _held(self) -> int:
        raise NotImplementedError

    def _fetch(self, into):
        raise NotImplementedError
