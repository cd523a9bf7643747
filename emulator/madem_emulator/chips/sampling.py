"""Samples of a motion sensor, one after another at its rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

Motion = Callable[[float], Sequence[float]]
"""At a time in seconds: acceleration of x, y, z in g, then rotation in °/s."""


class Sampling:
    """The times at which a sensor takes its samples."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin now.

        Args:
            now: gives the time in seconds.
        """
        self._now = now
        self.begin()

    def begin(self) -> None:
        """Begin anew: the next sample comes one period from now."""
        self._since = self._now()
        self._taken = 0

    def due(self, rate_hz: float, most: int) -> Iterator[float]:
        """Times of the samples that have come due since this was last asked.

        Args:
            rate_hz: samples a second, above 0.
            most: how many of the newest matter; older ones are left out.

        Yields:
            Seconds.
        """
        due = math.floor((self._now() - self._since) * rate_hz)
        self._taken = max(self._taken, due - most)
        while self._taken < due:
            self._taken += 1
            yield self._since + self._taken / rate_hz
