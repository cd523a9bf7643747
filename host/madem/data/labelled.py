"""Tasks made of a user's labelled stream: rows that follow one another in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.data.files.counts import beyond, fitting, saturated, whole_counts
from madem.data.files.judge import Samples
from madem.data.split import split_groups
from madem.data.stream_task import LabelledRun, Segment, StreamTask, parse_pipeline, stream_task
from madem.data.tabular import check_classes


class LabelledSpan(NamedTuple):
    """Rows begin…end − 1 of a stream: without a gap and of one label.

    Attributes:
        begin, end: rows.
        label: an index into the samples' class_names.
    """

    begin: int
    end: int
    label: int


def labelled_task(
    name: str,
    samples: Samples,
    pipeline: str,
    *,
    seed: int,
    test_fraction: float,
    scale: NDArray[np.float64] | None = None,
) -> StreamTask:
    """Make a task of a labelled stream.

    The test part is what the file says; else whole groups, or whole recordings of one class each
    where there are several for each class; else the last share in time of each labelled span:
    what comes later is predicted from what came before. Recordings that are held out are tested as
    they are used: from their start, through all changes of the label. Whole numbers of 16 bits
    are counts; other values are scaled so that the largest of a channel in the training part is a
    quarter of the range.

    Args:
        name: of the task.
        samples: as they were read, a series.
        pipeline: what a board computes from them.
        seed: of the order in which segments come, and of the recordings that are held out.
        test_fraction: share of the test part, between 0 and 1.
        scale: units per count, (channels,), of a network that was taught before, some of whose
            classes may be missing; None: the file's own, else fitted to the training part.

    Returns:
        The task.

    Raises:
        TaskError: the labels can't be used, or segments are too short for the pipeline.
    """
    check_classes(samples)
    train, test, held_out, told = _parts(samples, spans(samples), seed, test_fraction)
    partial = scale is not None
    if scale is None:
        scale = samples.scale
    if scale is None and whole_counts(samples.x):
        scale = np.ones(len(samples.feature_names))
    if scale is None:
        scale = fitting(np.concatenate([samples.x[s.begin : s.end] for s in train]))
    segments = [
        [Segment(saturated(samples.x[s.begin : s.end], scale), s.label) for s in part]
        for part in (train, test)
    ]
    tested = [samples.x[s.begin : s.end] for s in test]
    if held_out is not None:
        tested = [samples.x[held_out & ~samples.missing]]
    return stream_task(
        name,
        parse_pipeline(pipeline, len(samples.feature_names)),
        *segments,
        seed=seed,
        class_names=samples.class_names,
        channel_names=samples.feature_names,
        scale=scale,
        rate_hz=samples.judgement.rate_hz,
        test_fraction=test_fraction,
        reading=replace(samples.judgement, test=told),
        test_runs=None if held_out is None else runs(samples, held_out, scale),
        partial=partial,
        clipped=sum(beyond(part, scale) for part in tested),
    )


def runs(
    samples: Samples, rows: NDArray[np.bool_], scale: NDArray[np.float64]
) -> list[LabelledRun]:
    """Find the runs of samples that follow one another without a gap.

    Args:
        samples: as they were read, a series.
        rows: which rows, bool (rows,).
        scale: units per count of each channel, (channels,).

    Returns:
        The runs, in order.
    """
    taken = np.where(rows & ~samples.missing, 0, -1)
    return [
        LabelledRun(saturated(samples.x[begin:end], scale), samples.y[begin:end], begin)
        for begin, end in _cut(samples, taken)
    ]


def spans(samples: Samples) -> list[LabelledSpan]:
    """Find the labelled rows, cut where they do not join on or the label changes.

    Args:
        samples: as they were read, a series.

    Returns:
        The spans, in order.
    """
    labels = np.where(samples.missing, -1, samples.y)
    return [LabelledSpan(begin, end, int(labels[begin])) for begin, end in _cut(samples, labels)]


def _cut(samples: Samples, key: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Where stretches without a gap and of one key begin and end; those of key -1 are left out."""
    breaks = ~samples.joins
    breaks[1:] |= np.diff(key) != 0
    bounds = [*np.flatnonzero(breaks).tolist(), len(key)]
    return [(begin, end) for begin, end in pairwise(bounds) if key[begin] >= 0]


def _parts(
    samples: Samples, found: Sequence[LabelledSpan], seed: int, test_fraction: float
) -> tuple[list[LabelledSpan], list[LabelledSpan], NDArray[np.bool_] | None, str]:
    """The spans for training and for the test, rows held out as whole recordings, and how."""
    if samples.test is not None:
        held_out = samples.test
        tested = {k for k, span in enumerate(found) if held_out[span.begin]}
        told = "as the file says"
    elif samples.groups is not None or _has_recordings_of_each_class(samples, found):
        by = samples.recording if samples.groups is None else samples.groups
        labels, groups = np.array([(span.label, by[span.begin]) for span in found]).T
        tested = set(
            split_groups(labels, groups, test_fraction, seed, samples.class_names).test.tolist()
        )
        held_out = np.isin(by, [by[found[k].begin] for k in tested])
        what = "recordings" if samples.groups is None else "groups"
        told = f"{len({groups[k] for k in tested})} whole {what}, drawn"
    else:
        train, test = [], []
        for span in found:
            cut = span.begin + round((span.end - span.begin) * (1 - test_fraction))
            train.append(span._replace(end=cut))
            test.append(span._replace(begin=cut))
        told = f"the last {test_fraction:.0%} of each of {len(found)} labelled spans"
        return train, test, None, told
    parts = [[span for k, span in enumerate(found) if (k in tested) == side] for side in (0, 1)]
    return parts[0], parts[1], held_out, told


def _has_recordings_of_each_class(samples: Samples, found: Sequence[LabelledSpan]) -> bool:
    """Whether each recording is of one class, and each class has two or more."""
    pairs = {(int(samples.recording[span.begin]), span.label) for span in found}
    recordings = {recording for recording, _ in pairs}
    classes = [label for _, label in pairs]
    return len(recordings) == len(pairs) and all(classes.count(label) > 1 for label in set(classes))
