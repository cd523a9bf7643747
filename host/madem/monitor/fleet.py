"""Several boards at work side by side, each in a thread: one that dies does not stop the others."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from madem.errors import MademError
from madem.learn import session
from madem.monitor.jobs import BoardJob
from madem.monitor.limits import RunLimits, StoppedError, TimeIsUpError
from madem.monitor.log import BoardLog
from madem.monitor.run_state import RunFacts, RunState, Stage

_END_S = 15.0
"""What stopping boards are given to leave their firmware in order."""


class Assignment(NamedTuple):
    """A board and its work.

    Attributes:
        name: what it is called.
        spec: what `open_board` is given.
        job: its work.
    """

    name: str
    spec: str
    job: BoardJob


class Fleet:
    """Boards at work. Enter it to start them, leave it to stop them.

    Attributes:
        states: what is known of each board.
        failures: why boards died, in that order; what is no MademError is a fault of madem's own.
    """

    def __init__(
        self,
        posts: Sequence[Assignment],
        *,
        seconds: float | None = None,
        most: int | None = None,
        logs: Path | None = None,
        patience: float | None = None,
    ) -> None:
        """Make the boards ready to be started.

        Args:
            posts: the boards; their names differ.
            seconds: after which each ends, see `RunLimits`.
            most: samples or windows after which each ends, see `RunLimits`.
            logs: folder where each has its own log; None: none is kept.
            patience: how long a board may take for an answer, in s; None: as `open_board`.

        Raises:
            MademError: a log can't be written.
        """
        self._patience = patience
        self._stop = threading.Event()
        self._limits = RunLimits(seconds, most, self._stop)
        self._stack = contextlib.ExitStack()
        self.states: list[RunState] = []
        self.failures: list[Exception] = []
        self._threads: list[threading.Thread] = []
        # Not join: a Ctrl-C in it can have CPython 3.11 take a thread that runs for one that ended.
        self._ended: list[threading.Event] = []
        for number, post in enumerate(posts, 1):
            log = self._stack.enter_context(BoardLog(logs, number, post.name)) if logs else None
            state = RunState(post.name, log.write if log else None)
            self.states.append(state)
            ended = threading.Event()
            self._ended.append(ended)
            self._threads.append(
                threading.Thread(target=self._run, args=(post, state, log, ended), daemon=True)
            )

    def __enter__(self) -> Fleet:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._stack.close()

    def snapshots(self) -> list[RunFacts]:
        """A picture of each board."""
        return [state.snapshot() for state in self.states]

    def wait(self, seconds: float) -> bool:
        """Wait until every board is done.

        Args:
            seconds: at most.

        Returns:
            Whether they are.
        """
        end = time.monotonic() + seconds
        return all(ended.wait(max(0.0, end - time.monotonic())) for ended in self._ended)

    def stop(self) -> None:
        """Have all boards end what they are at, and leave them in order."""
        self._stop.set()
        self.wait(_END_S)

    def _run(
        self, post: Assignment, state: RunState, log: BoardLog | None, ended: threading.Event
    ) -> None:
        try:
            self._work(post, state, log)
        finally:
            ended.set()

    def _work(self, post: Assignment, state: RunState, log: BoardLog | None) -> None:
        try:
            with session.open_learner(post.spec, patience=self._patience) as device:
                assert device is not None, "a fleet has no twins"
                state.connected(device.hello)
                post.job(device, state, self._limits)
        except (StoppedError, TimeIsUpError) as end:
            stopped = isinstance(end, StoppedError)
            state.end(Stage.STOPPED if stopped else Stage.DONE, "stopped" if stopped else "")
        except MademError as error:
            self.failures.append(error)
            state.end(Stage.DEAD, str(error))
        except Exception as error:  # a fault of ours must not stop the other boards either
            self.failures.append(error)
            state.end(Stage.DEAD, f"internal error, {type(error).__name__}: {error}")
            if log:
                log.write({"event": "traceback", "text": traceback.format_exc()})
        else:
            state.end(Stage.DONE)


def names(specs: Sequence[str]) -> list[str]:
    """Name boards after their specs, numbered where one comes twice.

    Args:
        specs: what each board was given as.

    Returns:
        Their names, no two the same.
    """
    seen: Counter[str] = Counter()
    found = []
    for spec in specs:
        seen[spec] += 1
        found.append(spec if seen[spec] == 1 else f"{spec} #{seen[spec]}")
    return found
