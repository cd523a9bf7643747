"""What is known of one board's run: its thread writes it, others take a picture of it."""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.boards.link import Hello, Link
from madem.learners.board import Stats
from madem.stream.windows import RunningAccuracy, WindowResult

Bytes = NDArray[np.uint8]
Event = Callable[[dict[str, Any]], None]

SHOWN_WINDOWS = 8
"""Windows of the signal that are kept to be shown."""
_POINTS = 600
"""Points that a curve keeps: more than a picture of it has columns."""


class Stage(StrEnum):
    """The stage that a board has come to."""

    STARTING = "starting"
    LEARNING = "learning"
    TESTING = "testing"
    STREAMING = "streaming"
    DONE = "done"
    STOPPED = "stopped"
    DEAD = "dead"

    @property
    def over(self) -> bool:
        """Nothing more will come."""
        return self in (Stage.DONE, Stage.STOPPED, Stage.DEAD)


class CurvePoint(NamedTuple):
    """A point of a curve.

    Attributes:
        t_s: seconds since the run began.
        samples: samples or windows so far.
        value: running accuracy, 0…1, or the novelty score.
    """

    t_s: float
    samples: int
    value: float


class WindowMark(NamedTuple):
    """A window in the signal.

    Attributes:
        end: samples of the signal up to its last one, counted from the beginning.
        window: what it gave.
    """

    end: int
    window: WindowResult


class BoardHealth(NamedTuple):
    """The state of board and link at a moment.

    Attributes:
        t_s: seconds since the run began.
        heap_used, heap_free: bytes on the board.
        bytes_in, bytes_out: on the link so far, everything included.
        resent: requests that were sent again so far.
        naks: times so far that the board asked for it.
    """

    t_s: float
    heap_used: int
    heap_free: int
    bytes_in: int
    bytes_out: int
    resent: int
    naks: int


@dataclass
class RunFacts:
    """All that is known of one board's run; arrays in it are replaced, never changed.

    Attributes:
        board: what messages call it.
        task: what it works on.
        measure: what the curve shows: "accuracy", "words recalled" or "novelty score"; "" for
            none.
        settings: what else tells how the numbers came about: preset, seed, bits, …
        stage, reason: how far it has come, and why it is dead or stopped.
        firmware, chip: what the board said of itself.
        elapsed_s: since the run began.
        samples: learned or seen so far, in windows where the task is a stream.
        total: of them, if that is known.
        worked_s: until the newest of them was done.
        passes, of_passes: over the training samples, the present one included; 0: not in passes.
        busy_us: in the learner, in microseconds; 0 where the board has no clock.
        change_at: sample from which on the world changes; None: it does not.
        value: the curve's newest.
        curve: oldest first, thinned as it grows.
        metrics: of the test in the end.
        classes: names of the outputs, if these are classes.
        image: (rows, columns) if the input is a picture.
        braille: the input begins with a word's dots, and the output too if these are no classes.
        dot_level: activity from which on an output is a raised dot.
        channels, rate_hz: of the signal.
        signal: newest samples, int16 (samples, channels); None where there is no signal, or it is
            not to leave the board.
        signal_end: samples of the signal so far.
        marks: windows in it.
        new: windows so far that the novelty detector found new.
        lost: samples of the board's own sensor that nobody took; None where the host sends them.
        names: of the network's inputs.
        inputs: the network's of the newest sample, uint8 (inputs,).
        label: true class of that sample, or None.
        free, plus, minus: activities of each layer of units; empty before they were read, `plus`
            and `minus` also where nothing is learned.
        first, weights: P - N at the beginning and now, of each layer, int (word lines, bit lines).
        health: newest last, thinned as it grows.
    """

    board: str
    task: str
    measure: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    stage: Stage = Stage.STARTING
    reason: str = ""
    firmware: str = ""
    chip: str = ""
    elapsed_s: float = 0.0
    samples: int = 0
    total: int | None = None
    worked_s: float = 0.0
    passes: int = 0
    of_passes: int = 0
    busy_us: int = 0
    change_at: int | None = None
    value: float | None = None
    curve: list[CurvePoint] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    image: tuple[int, int] | None = None
    braille: bool = False
    dot_level: int = 128
    channels: tuple[str, ...] = ()
    rate_hz: float | None = None
    signal: NDArray[np.int16] | None = None
    signal_end: int = 0
    marks: tuple[WindowMark, ...] = ()
    new: int = 0
    lost: int | None = None
    names: tuple[str, ...] = ()
    inputs: Bytes | None = None
    label: int | None = None
    free: tuple[Bytes, ...] = ()
    plus: tuple[Bytes, ...] = ()
    minus: tuple[Bytes, ...] = ()
    first: tuple[NDArray[Any], ...] = ()
    weights: tuple[NDArray[Any], ...] = ()
    health: list[BoardHealth] = field(default_factory=list)

    @property
    def samples_per_s(self) -> float | None:
        """While they came; None before there are enough."""
        return self.samples / self.worked_s if self.worked_s > 0.05 else None

    def to_json(self) -> dict[str, Any]:
        """Tell what a program wants to know in the end; no raw signal is in it."""
        health = self.health[-1]._asdict() if self.health else None
        rate = self.samples_per_s
        return {
            "board": self.board,
            "task": self.task,
            "stage": str(self.stage),
            "reason": self.reason or None,
            "firmware": self.firmware,
            "chip": self.chip,
            **self.settings,
            "samples_seen": self.samples,
            "wall_s": round(self.elapsed_s, 3),
            "samples_per_s": None if rate is None else round(rate, 1),
            "device_us_per_sample": (
                round(self.busy_us / self.samples, 2) if self.busy_us and self.samples else None
            ),
            "measure": self.measure or None,
            "running": self.value,
            "curve": [list(point) for point in self.curve],
            "new_windows": self.new if self.measure == "novelty score" else None,
            "lost_samples": self.lost,
            "metrics": self.metrics,
            "health": health,
        }


class RunState:
    """The facts of one run, kept by the thread that works with the board.

    Attributes:
        facts: its thread's own; others take a `snapshot`.
    """

    def __init__(self, board: str, event: Event | None = None) -> None:
        """Begin with nothing but a name.

        Args:
            board: what messages call it.
            event: gets everything that happens, as what JSON can hold.
        """
        self.facts = RunFacts(board, "")
        self._event = event or (lambda _: None)
        self._lock = threading.Lock()
        self._began: float | None = None
        self._accuracy = RunningAccuracy()
        self._marks: deque[WindowMark] = deque(maxlen=SHOWN_WINDOWS)
        self._keep = 0

    @property
    def t_s(self) -> float:
        """Seconds since the run began; 0 before."""
        return time.monotonic() - self._began if self._began is not None else 0.0

    def snapshot(self) -> RunFacts:
        """Take a picture of the facts that no longer changes."""
        with self._lock:
            seen = copy.copy(self.facts)
            seen.curve, seen.health = list(seen.curve), list(seen.health)
            if not seen.stage.over:
                seen.elapsed_s = self.t_s
            return seen

    def set(self, **facts: Any) -> None:
        """Note facts that have become known.

        Args:
            **facts: fields of `RunFacts`.
        """
        with self._lock:
            for name, value in facts.items():
                setattr(self.facts, name, value)

    def connected(self, hello: Hello) -> None:
        """Note that the board has answered.

        Args:
            hello: its answer.
        """
        self.set(firmware=hello.firmware, chip=hello.board)
        self._say("connected", firmware=hello.firmware, chip=hello.board)

    def begin(self, stage: Stage, *, memory: float, keep: int = 0) -> None:
        """Note that the work begins, and time with it.

        Args:
            stage: what is done.
            memory: of the running accuracy, in samples or windows.
            keep: samples of the signal to keep.
        """
        self._began = time.monotonic()
        self._accuracy = RunningAccuracy(memory)
        self._keep = keep
        self.set(stage=stage)
        self._say("begins", stage=str(stage), task=self.facts.task, **self.facts.settings)

    def end(self, stage: Stage, reason: str = "") -> None:
        """Note that nothing more will come.

        Args:
            stage: how it ended.
            reason: why it is dead or stopped; "" else.
        """
        with self._lock:
            self.facts.elapsed_s = self.t_s
            self.facts.stage, self.facts.reason = stage, reason
        found = {"reason": reason} if reason else {}
        self._say(str(stage), samples=self.facts.samples, **self.facts.metrics, **found)

    def add_samples(self, samples: NDArray[np.int16]) -> None:
        """Keep samples of the signal, to be shown.

        Args:
            samples: int16 (samples, channels).
        """
        old = self.facts.signal
        new = samples if old is None else np.concatenate([old, samples])
        self.set(signal=new[-self._keep :], signal_end=self.facts.signal_end + len(samples))

    def add_answers(self, right: Sequence[bool] | NDArray[np.bool_]) -> None:
        """Count samples that were answered, each before it was learned.

        Args:
            right: whether each answer was, (samples,).
        """
        every = max(1, (self.facts.total or 0) // _POINTS)
        with self._lock:
            facts = self.facts
            facts.worked_s = self.t_s
            for one in right:
                facts.value = self._accuracy.add(bool(one))
                facts.samples += 1
                if facts.samples % every == 0:
                    self._point(facts.value)

    def add_score(self, score: int | None) -> None:
        """Count a window that was done.

        Args:
            score: its novelty; None: there was nothing to score.
        """
        with self._lock:
            self.facts.worked_s = self.t_s
            self.facts.samples += 1
            if score is not None:
                self.facts.value = float(score)
                self._point(score)

    def _point(self, value: float) -> None:
        point = CurvePoint(round(self.t_s, 3), self.facts.samples, round(value, 6))
        _append(self.facts.curve, point)

    def add_window(self, window: WindowResult, end: int | None = None) -> None:
        """Show and count a window of a stream.

        Args:
            window: what it gave.
            end: samples of the signal up to its last one; None: all that were fed.
        """
        if window.right is not None:
            self.add_answers([window.right])
        else:
            self.add_score(window.score)
        self.set(label=window.label, new=self.facts.new + window.new)
        self.mark_window(window, end)
        self._say("window", **_plain(window))

    def mark_window(self, window: WindowResult, end: int | None = None) -> None:
        """Show a window that is counted elsewhere; arguments as for `add_window`."""
        self._marks.append(WindowMark(self.facts.signal_end if end is None else end, window))
        self.set(marks=tuple(self._marks))

    def add_health(self, stats: Stats, link: Link) -> None:
        """Note how the board and the link are.

        Args:
            stats: what the board has told.
            link: to the board.
        """
        with self._lock:
            found = BoardHealth(
                round(self.t_s, 3),
                stats.heap_alloc,
                stats.heap_free,
                link.bytes_in,
                link.bytes_out,
                link.resent,
                link.naks,
            )
            _append(self.facts.health, found)
        facts = self.facts
        self._say("health", samples=facts.samples, value=facts.value, **found._asdict())

    def add_busy(self, us: int) -> None:
        """Count time that the board was in its learner.

        Args:
            us: microseconds.
        """
        self.facts.busy_us += us

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Note the weights; the first ones are kept too.

        Args:
            weights: P - N of each layer, int (word lines, bit lines).
        """
        now = tuple(weights)
        self.set(weights=now, first=self.facts.first or now)

    def _say(self, event: str, **found: Any) -> None:
        self._event({"t_s": round(self.t_s, 3), "event": event} | found)


def _append(series: list[Any], value: Any) -> None:
    """Keep a long series within bounds: every second of the old ones goes."""
    series.append(value)
    if len(series) > _POINTS:
        del series[1:-1:2]


def _plain(window: WindowResult) -> dict[str, Any]:
    """What a window says, without what it does not know."""
    found = {name: value for name, value in vars(window).items() if value is not None}
    if not window.new:
        del found["new"]
    return found | {"back": found.pop("rolled_back")}
