"""Tasks whose samples are streams: labelled segments of raw samples, cut into windows on the way.

To tools that work on the desktop a `StreamTask` is a task like any other: its samples are the
windows' inputs, as the twin computes them with a normalisation that has settled. A learner gets
its `feed`: the raw samples of the same windows, from which the learner computes the inputs itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from madem.data.files.judge import Judgement
from madem.data.scaling import Scaling
from madem.data.task import Batch, Task
from madem.errors import TaskError
from madem_emulator.twin.features import TwinFeatures
from madem_emulator.twin.pipeline import Pipeline, PipelineError, parse

Samples = NDArray[np.int16]

# Independent random streams of one seed, apart from those of task.py.
_ORDER, _SETTLE = 16, 17


class Segment(NamedTuple):
    """Samples that follow one another without a gap and mean one thing.

    Attributes:
        samples: counts of the sensor, int16 (samples, channels).
        label: class, an index into the task's class_names.
    """

    samples: Samples
    label: int


class LabelledRun(NamedTuple):
    """Samples that follow one another without a gap, while their label may change.

    Attributes:
        samples: counts of the sensor, int16 (samples, channels).
        labels: class of each, int64 (samples,); -1: none.
        begin: row of the first in its file.
    """

    samples: Samples
    labels: NDArray[np.int64]
    begin: int = 0

    def window_ends(self, pipeline: Pipeline) -> NDArray[np.int64]:
        """Find where windows end.

        Args:
            pipeline: what cuts them.

        Returns:
            Row of the last sample of each in the file, int64 (windows,).
        """
        count = pipeline.windows(len(self.samples))
        return self.begin + pipeline.window - 1 + pipeline.hop * np.arange(count)

    def window_labels(self, pipeline: Pipeline) -> NDArray[np.int64]:
        """Label windows.

        Args:
            pipeline: what cuts them.

        Returns:
            Class of each, int64 (windows,): that of all its samples, or -1.
        """
        ends = self.window_ends(pipeline) - self.begin
        inside = self.labels[ends[:, None] + np.arange(1 - pipeline.window, 1)]
        return np.where((inside == inside[:, :1]).all(axis=1), inside[:, 0], -1)


class WindowSamples(NamedTuple):
    """The samples that complete one window.

    Attributes:
        samples: int16 (samples, channels).
        restart: they do not join on to what was sent before.
    """

    samples: Samples
    restart: bool


class StreamWindows(Sequence[WindowSamples]):
    """Windows of runs of samples, in any order: each item is what completes one.

    Attributes:
        pipeline: what cuts them.
        numbers: of the windows, counted through all runs, int64 (windows,).
    """

    def __init__(self, pipeline: Pipeline, runs: Sequence[Samples]) -> None:
        """All windows of runs, in order.

        Args:
            pipeline: what cuts them.
            runs: samples that follow one another without a gap, int16 (samples, channels) each.
        """
        self.pipeline, self._runs = pipeline, runs
        self._first = np.cumsum([0, *(pipeline.windows(len(run)) for run in runs)])
        self.numbers = np.arange(self._first[-1])

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, which: int) -> WindowSamples: ...
    @overload
    def __getitem__(self, which: slice | NDArray[Any]) -> StreamWindows: ...
    def __getitem__(self, which: int | slice | NDArray[Any]) -> WindowSamples | StreamWindows:
        """One window, or those of a slice, of a mask or of positions."""
        if isinstance(which, slice | np.ndarray):
            chosen = copy(self)
            chosen.numbers = self.numbers[which]
            return chosen
        number = self.numbers[which]
        run = int(np.searchsorted(self._first, number, side="right")) - 1
        k = int(number - self._first[run])
        end = self.pipeline.window + k * self.pipeline.hop
        begin = end - self.pipeline.hop if k else 0
        return WindowSamples(self._runs[run][begin:end], k == 0)

    def of_run(self, run: int) -> NDArray[np.int64]:
        """Number the windows of a run.

        Args:
            run: its index.

        Returns:
            Numbers of its windows, (windows,).
        """
        return np.arange(self._first[run], self._first[run + 1])


@dataclass(frozen=True, eq=False, kw_only=True)
class StreamTask(Task):
    """A task that is learned from raw streams.

    Attributes:
        pipeline: what the board computes from the samples.
        segments: all of them, those for training first.
        training: how many of them are for training.
        channel_names: one per channel.
        rate_hz: samples a second; None when it is not known.
        scale: units per count of each channel, float64 (channels,).
        test_runs: recordings that are tested from their start, through changes of the label, as
            they are in use, int16 (samples, channels) each; None: the test segments, of which each
            is a run. Windows in which the label changes, or there is none, do not count.
    """

    pipeline: Pipeline
    segments: tuple[Segment, ...] = field(repr=False)
    training: int
    channel_names: tuple[str, ...]
    rate_hz: float | None
    scale: NDArray[np.float64] = field(repr=False)
    test_runs: tuple[Samples, ...] | None = field(default=None, repr=False)

    def train_pass(self, k: int) -> Batch:
        """Draw a pass: the segments in a seeded order, the windows of each in theirs.

        Args:
            k: number of the pass, from 0.

        Returns:
            The inputs of the windows, and their targets.
        """
        order = self.order(k)
        return Batch(self.x_train[order], self.targets(self.y_train[order]))

    def order(self, k: int) -> NDArray[np.int64]:
        """Draw the order of the windows in a pass.

        Args:
            k: number of the pass, from 0.

        Returns:
            Numbers of the windows, (windows,).
        """
        segments = self._random(_ORDER, k).permutation(self.training)
        return np.concatenate([self.windows.of_run(i) for i in segments])

    @property
    def test_values(self) -> int:
        """See `Task.test_values`: those of the samples."""
        runs = self.test_runs
        if runs is None:
            runs = [segment.samples for segment in self.segments[self.training :]]
        return sum(samples.size for samples in runs)

    @property
    def feed(self) -> StreamFeed:
        """The raw samples of the windows, for a learner with the task's pipeline."""
        return StreamFeed(self)

    @cached_property
    def windows(self) -> StreamWindows:
        """The raw samples of all windows, in the order of the segments."""
        return StreamWindows(self.pipeline, [segment.samples for segment in self.segments])

    def describe(self) -> dict[str, object]:
        """See `Task.describe`."""
        facts = super().describe()
        del facts["scaling"]
        return facts | {
            "pipeline": str(self.pipeline),
            "channels": list(self.channel_names),
            "rate_hz": self.rate_hz,
            "units_per_count": self.scale.tolist(),
            "stretches": {
                "train": self.training,
                "test": len(self.segments) - self.training,
            },
        }


@dataclass(frozen=True)
class StreamFeed:
    """The part of a stream task that a learner takes: see `Feed`.

    Attributes:
        task: whose windows they are.
    """

    task: StreamTask

    @property
    def x_test(self) -> StreamWindows:
        """The test windows, those that do not count included."""
        if self.task.test_runs is not None:
            return StreamWindows(self.task.pipeline, self.task.test_runs)
        return self.task.windows[len(self.task.y_train) :]

    def train_pass(self, k: int) -> tuple[StreamWindows, NDArray[np.uint8]]:
        """Draw a pass, in the order of `StreamTask.train_pass`.

        Args:
            k: number of the pass, from 0.

        Returns:
            The windows, and their targets.
        """
        order = self.task.order(k)
        return self.task.windows[order], self.task.targets(self.task.y_train[order])


def stream_task(
    name: str,
    pipeline: Pipeline,
    train: Sequence[Segment],
    test: Sequence[Segment],
    *,
    seed: int,
    class_names: tuple[str, ...],
    channel_names: tuple[str, ...],
    scale: NDArray[np.float64],
    rate_hz: float | None = None,
    test_fraction: float | None = None,
    reading: Judgement | None = None,
    test_runs: Sequence[LabelledRun] | None = None,
    partial: bool = False,
    clipped: int = 0,
) -> StreamTask:
    """Make a task of segments.

    Args:
        name: of the task.
        pipeline: what the board computes from the samples.
        train: segments for training.
        test: segments for the test.
        seed: of the order of the segments.
        class_names: in the order of the labels.
        channel_names: of a sample.
        scale: units per count of each channel, float64 (channels,).
        rate_hz: samples a second; None: not known.
        test_fraction: share of the test part, if it was drawn.
        reading: how the user's file was understood, if it is one.
        test_runs: in place of the test segments: see `StreamTask.test_runs`.
        partial: classes may be missing, of those that a network was taught before.
        clipped: values of the test part that saturate.

    Returns:
        The task.

    Raises:
        TaskError: the training or the test part gives no window of some class.
    """
    tested = test_runs
    if tested is None:
        tested = [LabelledRun(s.samples, np.full(len(s.samples), s.label)) for s in test]
    y_train, y_test = (
        np.concatenate([np.empty(0, np.int64), *labels])
        for labels in (
            [np.full(pipeline.windows(len(s.samples)), s.label, np.int64) for s in train],
            [run.window_labels(pipeline) for run in tested],
        )
    )
    for labels, what in ((y_train, "training"), (y_test, "test")):
        there = set(labels.tolist())
        for missing in set(range(len(class_names))) - there:
            if partial and len(there - {-1}) > 1:
                continue
            raise TaskError(
                f"{name}: class {class_names[missing]} has no {what} window of"
                f" {pipeline.window} samples: record more of it or use a shorter window"
            )
    twin = TwinFeatures(pipeline)
    found = []
    for samples in [*(s.samples for s in train), *(run.samples for run in tested)]:
        twin.restart()
        found.append(twin.windows(samples))
    order = np.random.default_rng([seed, _SETTLE]).permutation(len(train))
    for k in order:
        twin.codes(found[k], follow=True)
    codes = [twin.codes(features, follow=False) for features in found]
    counted = y_test >= 0
    values = (
        np.concatenate(found[: len(train)]).astype(np.float64),
        np.concatenate(found[len(train) :]).astype(np.float64)[counted],
    )
    inputs = pipeline.inputs
    return StreamTask(
        name=name,
        kind="classify",
        seed=seed,
        n_features=inputs,
        n_outputs=len(class_names),
        class_names=class_names,
        feature_names=pipeline.names(channel_names),
        x_train=np.concatenate(codes[: len(train)]),
        y_train=y_train,
        x_test=np.concatenate(codes[len(train) :])[counted],
        y_test=y_test[counted],
        scaling=Scaling.between(np.zeros(inputs), np.full(inputs, 255.0)),
        clipped=clipped,
        samples_per_pass=len(y_train),
        test_fraction=test_fraction,
        pipeline=pipeline,
        segments=(*train, *test),
        training=len(train),
        channel_names=channel_names,
        rate_hz=rate_hz,
        scale=scale,
        reading=reading,
        values=None if reading is None else values,
        counted=None if counted.all() else counted,
        test_runs=None if test_runs is None else tuple(run.samples for run in test_runs),
    )


def parse_pipeline(text: str, channels: int) -> Pipeline:
    """Read the pipeline that a line of text stands for.

    Args:
        text: the line.
        channels: of a sample.

    Returns:
        The pipeline.

    Raises:
        TaskError: it can't be read so.
    """
    try:
        return parse(text, channels)
    except PipelineError as error:
        raise TaskError(str(error)) from None
