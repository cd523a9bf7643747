"""Tasks whose samples are streams: labelled segments of raw samples, cut into windows on the way.

To tools that work on the desktop a `StreamTask` is a task like any other: its samples are the
windows' inputs, as the twin computes them with a normalisation that has settled. To a learner on
a board it offers `feed`, the same task whose samples only name windows; `window_samples` then
gives the raw samples that complete one, and the board computes the rest (see
`learners/stream.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

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
        """Pass k: the segments in a seeded order, the windows of each in theirs."""
        segments = self._random(_ORDER, k).permutation(self.training)
        order = np.concatenate([np.arange(*self._windows_of(i)) for i in segments])
        return Batch(self.x_train[order], self.targets(self.y_train[order]))

    @property
    def feed(self) -> StreamTask:
        """This task with samples that name windows, uint8 (windows, 4): what `number_of` reads."""
        numbers = np.arange(len(self.y_train) + len(self.y_test), dtype="<u4")
        names = numbers.view(np.uint8).reshape(-1, 4)
        return replace(self, x_train=names[: len(self.y_train)], x_test=names[len(self.y_train) :])

    def window_samples(self, window: int) -> WindowSamples:
        """The raw samples that complete a window, counted through all segments."""
        at = int(np.searchsorted(self._first, window, side="right")) - 1
        k = window - int(self._first[at])
        end = self.pipeline.window + k * self.pipeline.hop
        begin = end - self.pipeline.hop if k else 0
        return WindowSamples(self.segments[at].samples[begin:end], k == 0)

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

    @cached_property
    def _first(self) -> NDArray[np.int64]:
        """The first window of each segment, and behind them the number of all windows."""
        counts = [self.pipeline.windows(len(segment.samples)) for segment in self.segments]
        return np.cumsum([0, *counts])

    def _windows_of(self, segment: int) -> tuple[int, int]:
        return int(self._first[segment]), int(self._first[segment + 1])


def number_of(name: NDArray[np.uint8]) -> int:
    """The window that a sample of `StreamTask.feed` names."""
    return int.from_bytes(name.tobytes(), "little")


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
    """A task of these segments.

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
    """The pipeline that a line of text stands for, of samples with so many channels.

    Raises:
        TaskError: it can't be read so.
    """
    try:
        return parse(text, channels)
    except PipelineError as error:
        raise TaskError(str(error)) from None
