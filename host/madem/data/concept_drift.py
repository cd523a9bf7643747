"""Worlds that change while a network learns: long streams made of a task's labelled segments.

The kinds of change are those of Gama et al., "A survey on concept drift adaptation", ACM
Computing Surveys 46, 2014: sudden ones of the inputs (`turn`, `gain`), of what they mean (`swap`)
and of which classes there are (`new`, `classes`, `rare`), and a `gradual` one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from madem.data.files.counts import saturated
from madem.data.stream_task import Segment, StreamTask, StreamWindows
from madem.errors import TaskError
from madem_emulator.twin.features import TwinFeatures

Classes = NDArray[np.int64]
Features = NDArray[np.int64]

KINDS = {
    "none": "nothing changes",
    "turn": "the sensor is turned by 90 degrees",
    "gain": "its gain falls to half",
    "swap": "two classes swap their names (swap:A,B)",
    "new": "a class comes that was not there before (new:A)",
    "gradual": "it turns by 90 degrees, its gain falls to half and its zero moves, slowly",
    "wrong": "labels are drawn at random for a while",
    "classes": "only the other half of the classes comes from then on (classes:A,B come first)",
    "rare": "the same, but one in ten of the first classes' segments still comes",
}
TITLES = {
    "none": "nothing changes",
    "turn": "sensor turned by 90°",
    "gain": "gain halved",
    "swap": "two classes swapped",
    "new": "a new class",
    "gradual": "gradual drift",
    "wrong": "wrong labels for a while",
    "classes": "other classes from here on",
    "rare": "other classes, the first ones rarely",
}
IN_TURN = ("classes", "rare")
"""Changes in which classes come one after the other, so that the first are forgotten."""
DURATION = {"gradual": 400, "wrong": 100}
"""Windows that a change takes, where it is not sudden."""
_RARE = 0.1
"""Share of the first classes' segments that still come in `rare`."""
_OFFSET = 2048
"""How far `gradual` moves the zero, in counts: 1/16 of the range."""
_CUT_WINDOWS = 4
"""Windows of a longer segment that follow one another in the stream."""
_ORDER, _WRONG = 18, 19  # independent random streams of one seed, apart from stream_task.py's


@dataclass(frozen=True)
class Change:
    """A change of the world.

    Attributes:
        kind: a key of `KINDS`.
        classes: the two that swap, the one that is new, or those that come first.
    """

    kind: str
    classes: tuple[int, ...] = ()

    def applied(self, segment: Segment, amount: float) -> Segment:
        """Change a segment.

        Args:
            segment: as it was before the change.
            amount: how much of the change has come, 0…1.

        Returns:
            The segment as it is then.
        """
        samples, label = segment
        if amount == 0:
            return segment
        if self.kind in ("turn", "gradual"):
            samples = turned(samples, 90 * amount)
        if self.kind in ("gain", "gradual"):
            samples = saturated(samples * (1 - 0.5 * amount), 1.0)
        if self.kind == "gradual":
            samples = saturated(samples + _OFFSET * amount, 1.0)
        if self.kind == "swap" and label in self.classes:
            label = self.classes[1 - self.classes.index(label)]
        return Segment(samples, label)

    def comes(self, label: int, changed: bool) -> bool:
        """Whether segments of a class come in the stream.

        Args:
            label: the class.
            changed: the change has begun.

        Returns:
            Whether they do.
        """
        if self.kind == "new":
            return changed or label not in self.classes
        if self.kind == "classes" or (self.kind == "rare" and not changed):
            return (label in self.classes) != changed
        return True


@dataclass(frozen=True, eq=False)
class DriftStream:
    """A stream and the change in it.

    Attributes:
        change: what happens.
        task: its segments are the stream's, in order.
        truth: the class of each window in its world, int64 (windows,).
        labels: what the learner is told, int64 (windows,); other than the truth in `wrong`.
        change_at: first window of the changed world.
        change_done: first window of a world that stays as it is.
        held_out: segments that are never learned, as they were before the change.
    """

    change: Change
    task: StreamTask
    truth: Classes
    labels: Classes
    change_at: int
    change_done: int
    held_out: tuple[Segment, ...]

    @property
    def windows(self) -> StreamWindows:
        """The raw samples of the stream's windows."""
        return self.task.windows

    def amount(self, window: int) -> float:
        """How much of the change has come at a window.

        Args:
            window: its number.

        Returns:
            0…1.
        """
        if window < self.change_at:
            return 0.0
        return (
            1.0
            if window >= self.change_done
            else (window - self.change_at) / (self.change_done - self.change_at)
        )

    def tests(self, window: int) -> tuple[Features, Classes]:
        """Compute the held-out windows in the world of a window of the stream.

        Classes that have not come yet are left out.

        Args:
            window: its number.

        Returns:
            Features, int64 (n, features), and labels, int64 (n,).
        """
        return features_of(self.task, self._world(self.held_out, window))

    def _world(self, segments: tuple[Segment, ...], window: int) -> list[Segment]:
        change = self.change
        amount = self.amount(window)
        changed = window >= self.change_at
        return [
            change.applied(segment, amount)
            for segment in segments
            if change.kind in IN_TURN or change.comes(segment.label, changed)
        ]


def features_of(task: StreamTask, segments: list[Segment]) -> tuple[Features, Classes]:
    """Compute the features of all windows of segments.

    Args:
        task: whose pipeline it is.
        segments: each of which begins anew.

    Returns:
        Features, int64 (n, features), and their labels, int64 (n,).
    """
    twin = TwinFeatures(task.pipeline)
    found, labels = [], []
    for segment in segments:
        twin.restart()
        found.append(twin.windows(segment.samples))
        labels.append(np.full(len(found[-1]), segment.label))
    return np.concatenate(found), np.concatenate(labels)


def parse(text: str, task: StreamTask) -> Change:
    """Read a change in words.

    Args:
        text: such as `turn` or `swap:Running,Walking`.
        task: that it is a change of.

    Returns:
        The change.

    Raises:
        TaskError: there is no such change, or not with this task.
    """
    kind, _, listed = text.partition(":")
    if kind not in KINDS:
        raise TaskError(f"there is no change {kind!r}: choose from {', '.join(KINDS)}")
    names = task.class_names
    if listed and kind not in ("swap", "new", *IN_TURN):
        raise TaskError(f"the change {kind} takes no classes")
    half = names[: len(names) // 2]
    wanted = {"swap": names[:2], "new": names[-1:], "classes": half, "rare": half}
    chosen = listed.split(",") if listed else wanted.get(kind, ())
    for name in chosen:
        if name not in names:
            raise TaskError(f"{task.name} has no class {name!r}: it has {', '.join(names)}")
    classes = tuple(names.index(name) for name in chosen)
    if len(set(classes)) < len(classes) or (kind == "swap" and len(classes) != 2):
        raise TaskError(f"--change {text}: {KINDS['swap'] if kind == 'swap' else 'a class twice'}")
    if kind in ("new", *IN_TURN) and not 0 < len(classes) < len(names):
        raise TaskError(f"--change {text}: some class must come before, and some after")
    if kind in ("turn", "gradual") and len(task.channel_names) % 3:
        raise TaskError(
            f"--change {kind} turns axes in threes (x, y, z, …), {task.name} has"
            f" {len(task.channel_names)} channels"
        )
    return Change(kind, classes)


def drift_stream(task: StreamTask, change: Change, *, before: int, after: int) -> DriftStream:
    """Make a stream of the task's training segments, in passes of seeded order.

    Longer segments are cut into pieces of a few windows. The change begins with the first
    piece after `before` windows, and takes `DURATION` where it is not sudden.

    Args:
        task: gives segments and seed.
        change: what happens.
        before: windows before the change begins, at least.
        after: windows after the change has begun, at least.

    Returns:
        The stream.

    Raises:
        TaskError: there are no windows before or after it.
    """
    if before < 1 or after < 1:
        raise TaskError(f"a stream of {before} and {after} windows: both must be 1 or more")
    pieces = [piece for s in task.segments[: task.training] for piece in _cut(task, s)]
    random = np.random.default_rng([task.seed, _ORDER])
    duration = DURATION.get(change.kind, 0)
    stream: list[Segment] = []
    truth: list[int] = []
    at: int | None = None
    while at is None or len(truth) < at + after:
        for number in random.permutation(len(pieces)).tolist():
            n = len(truth)
            if at is None and n >= before:
                at = n
            if at is not None and n >= at + after:
                break
            label = pieces[number].label
            if not change.comes(label, at is not None):
                continue
            rare = change.kind == "rare" and at is not None and label in change.classes
            if rare and random.random() >= _RARE:
                continue
            amount = 0.0 if at is None else min(1.0, (n - at) / duration) if duration else 1.0
            piece = change.applied(pieces[number], amount)
            stream.append(piece)
            truth += [piece.label] * task.pipeline.windows(len(piece.samples))
    true = np.array(truth, np.int64)
    labels = true.copy()
    if change.kind == "wrong":
        draw = np.random.default_rng([task.seed, _WRONG])
        segment = slice(at, at + duration)
        labels[segment] = draw.integers(0, len(task.class_names), len(labels[segment]))
    return DriftStream(
        change=change,
        task=replace(task, segments=tuple(stream), training=len(stream), y_train=true),
        truth=true,
        labels=labels,
        change_at=at,
        change_done=at + duration,
        held_out=task.segments[task.training :],
    )


def changed_task(task: StreamTask, change: Change) -> StreamTask:
    """Make the task as it is in the world after the change, for a fresh network to learn.

    Its samples are those of `feed`; the inputs that desktop tools use are the old world's.

    Args:
        task: before the change.
        change: what happens.

    Returns:
        The changed task.
    """
    segments = tuple(change.applied(segment, 1.0) for segment in task.segments)
    counts = [task.pipeline.windows(len(segment.samples)) for segment in segments]
    labels = np.repeat([segment.label for segment in segments], counts)
    train = len(task.y_train)
    return replace(
        task,
        segments=segments,
        y_train=labels[:train],
        y_test=labels[train:],
        counted=None,
        test_runs=None,
    )


def turned(samples: NDArray[np.int16], degrees: float) -> NDArray[np.int16]:
    """Turn a sensor about every third axis.

    Channels are x, y, z of one sensor after the other: x' = x cos a - y sin a,
    y' = x sin a + y cos a.

    Args:
        samples: of the sensor, (n, channels).
        degrees: the angle a.

    Returns:
        The samples of the turned sensor, (n, channels).
    """
    angle = np.deg2rad(degrees)
    x, y = samples[:, 0::3].astype(float), samples[:, 1::3].astype(float)
    found = samples.astype(float)
    found[:, 0::3] = x * np.cos(angle) - y * np.sin(angle)
    found[:, 1::3] = x * np.sin(angle) + y * np.cos(angle)
    return saturated(found, 1.0)


def _cut(task: StreamTask, segment: Segment) -> list[Segment]:
    """A segment in pieces of a few windows, that overlap as much as windows do."""
    p = task.pipeline
    windows = p.windows(len(segment.samples))
    return [
        Segment(
            segment.samples[k * p.hop : (min(k + _CUT_WINDOWS, windows) - 1) * p.hop + p.window],
            segment.label,
        )
        for k in range(0, windows, _CUT_WINDOWS)
    ]
