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
    """

    pipeline: Pipeline
    segments: tuple[Segment, ...] = field(repr=False)
    training: int
    channel_names: tuple[str, ...]
    rate_hz: float | None
    scale: NDArray[np.float64] = field(repr=False)

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
        """The test windows."""
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

    Returns:
        The task.

    Raises:
        TaskError: the training or the test segments give no window of some class.
    """
    windows = [
        np.repeat(
            [segment.label for segment in part],
            [pipeline.windows(len(segment.samples)) for segment in part],
        )
        for part in (train, test)
    ]
    for labels, what in zip(windows, ("training", "test"), strict=True):
        for missing in set(range(len(class_names))) - set(labels.tolist()):
            raise TaskError(
                f"{name}: class {class_names[missing]} has no {what} window of"
                f" {pipeline.window} samples: record more of it or use a shorter window"
            )
    twin = TwinFeatures(pipeline)
    found = []
    for segment in (*train, *test):
        twin.restart()
        found.append(twin.windows(segment.samples))
    order = np.random.default_rng([seed, _SETTLE]).permutation(len(train))
    for k in order:
        twin.codes(found[k], follow=True)
    codes = [twin.codes(features, follow=False) for features in found]
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
        y_train=windows[0].astype(np.int64),
        x_test=np.concatenate(codes[len(train) :]),
        y_test=windows[1].astype(np.int64),
        scaling=Scaling.between(np.zeros(inputs), np.full(inputs, 255.0)),
        clipped=0,
        samples_per_pass=len(windows[0]),
        test_fraction=test_fraction,
        pipeline=pipeline,
        segments=(*train, *test),
        training=len(train),
        channel_names=channel_names,
        rate_hz=rate_hz,
        scale=scale,
        reading=reading,
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
