"""When the work of a watched board ends before it is done."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

from madem.monitor.run_state import RunState

T = TypeVar("T")

_WAIT_S = 0.1
"""How late a stop may be noticed."""
_WAITING = 4096
"""Items of a live source that wait for the board at most; then the source waits."""


class TimeIsUpError(Exception):
    """The seconds that were asked for are over."""


class StoppedError(Exception):
    """Somebody wants all boards to stop."""


class RunLimits:
    """The end of a run: after a time, after so many samples, or when somebody wants it.

    Attributes:
        most: samples or windows; None: all.
    """

    def __init__(
        self,
        seconds: float | None = None,
        most: int | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Set the limits.

        Args:
            seconds: since the run began; None: as long as it takes.
            most: see above.
            stop: set when everybody shall stop.
        """
        self.most = most
        self._seconds = seconds
        self._stop = stop or threading.Event()

    def check(self, state: RunState) -> None:
        """See whether it is time to end.

        Args:
            state: of the run.

        Raises:
            StoppedError: somebody wants all boards to stop.
            TimeIsUpError: the seconds are over.
        """
        if self._stop.is_set():
            raise StoppedError
        if self._seconds is not None and state.t_s > self._seconds:
            raise TimeIsUpError

    def wait(self, seconds: float) -> None:
        """Sleep, but not past a stop.

        Args:
            seconds: how long.
        """
        self._stop.wait(seconds)

    def heed(self, items: Iterable[T], state: RunState) -> Iterator[T]:
        """Pass on the items of a source that may be slow; a thread of its own takes from it.

        Args:
            items: of the source.
            state: of the run.

        Yields:
            The items.

        Raises:
            StoppedError: somebody wants all boards to stop, whether an item comes or not.
            TimeIsUpError: the seconds are over, whether an item comes or not.
        """
        waiting: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(_WAITING)
        over = threading.Event()

        def put(what: tuple[T] | BaseException | None) -> None:
            while not over.is_set():
                with contextlib.suppress(queue.Full):
                    waiting.put(what, timeout=_WAIT_S)
                    return

        def take() -> None:
            try:
                for item in items:
                    put((item,))
                    if over.is_set():
                        return
                put(None)
            except BaseException as error:  # the board's thread is told, whatever it is
                put(error)

        threading.Thread(target=take, daemon=True).start()
        try:
            while True:
                self.check(state)
                try:
                    found = waiting.get(timeout=_WAIT_S)
                except queue.Empty:
                    continue
                if found is None:
                    return
                if isinstance(found, BaseException):
                    raise found
                yield found[0]
        finally:
            over.set()
