"""Looks into a working board through its link, so seldom that the work hardly notices."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

import numpy as np

from madem.boards.link_protocol import Memory
from madem.learn import session
from madem.learners.board import BoardLearner, Stats
from madem.monitor.limits import StoppedError, TimeIsUpError
from madem.monitor.run_state import Bytes, RunState

_ACTIVITIES, _HEALTH, _WEIGHTS = (0.25, 0.05), (1.0, 0.01), (2.0, 0.04)
"""Seconds from one look to the next at least, and the share of the time that it may take: a
tenth in all."""


class PollInterval:
    """A clock that says when it is time to look again."""

    def __init__(self, every_s: float, share: float) -> None:
        """Make the first look due at once.

        Args:
            every_s: from one look to the next at least, s.
            share: of the time that looks may take, 0…1.
        """
        self._every, self._share = every_s, share
        self._next = 0.0

    def if_due(self, look: Callable[[], object]) -> None:
        """Look if it is time.

        Args:
            look: does it.
        """
        began = time.monotonic()
        if began < self._next:
            return
        look()
        took = time.monotonic() - began
        self._next = began + max(self._every, took / self._share)


class Poller:
    """Reads what a board's network does and tells a state.

    Attributes:
        network: there is one.
    """

    def __init__(
        self,
        device: BoardLearner,
        state: RunState,
        *,
        network: bool,
        learns: bool,
        chips: bool = False,
    ) -> None:
        """Read the weights for the first time.

        Args:
            device: a board; whenever it is looked into, it is between two requests.
            state: who is told.
            network: the board is configured; else it has only its health to show.
            learns: so its nudged activities mean something.
            chips: its weights are behind chips, where a look is a measurement of every device:
                they are read at the beginning and the end only.
        """
        self._device, self._state = device, state
        self.network, self._learns = network, learns
        self._activities_due = PollInterval(*_ACTIVITIES)
        self._weights_due = PollInterval(math.inf if chips else _WEIGHTS[0], _WEIGHTS[1])
        self._health_due = PollInterval(*_HEALTH)
        if network:
            self._weights_due.if_due(self.weights)

    def poll(self) -> None:
        """Read what is due."""
        if self.network:
            self._activities_due.if_due(self.activities)
            self._weights_due.if_due(self.weights)
        self._health_due.if_due(self.health)

    @contextlib.contextmanager
    def polling_at_the_end(self) -> Iterator[None]:
        """Around the work: reads all when it ends, unless it is the board that has failed."""
        try:
            yield
        except (StoppedError, TimeIsUpError):
            self._all()
            raise
        self._all()

    def _all(self) -> None:
        if self.network:
            self.activities()
            self.weights()
        self.health()

    def activities(self) -> None:
        """Read the free and the nudged activities of every layer."""
        layers = range(len(self._device.config.sizes))

        def read(which: Memory) -> tuple[Bytes, ...]:
            return tuple(np.frombuffer(self._device.read(which, k), np.uint8) for k in layers)

        free = read(Memory.FREE)
        self._state.set(free=free, inputs=free[0])
        if self._learns:
            self._state.set(plus=read(Memory.PLUS), minus=read(Memory.MINUS))

    def health(self) -> Stats:
        """Read the heap; what the link has counted comes with it."""
        stats = self._device.stats()
        self._state.add_health(stats, self._device.link)
        return stats

    def weights(self) -> None:
        """Read all devices."""
        sizes = self._device.config.sizes
        devices = [self._device.read(Memory.DEVICES, k) for k in range(1, len(sizes))]
        self._state.set_weights(session.differences(sizes, devices))
