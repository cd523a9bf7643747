"""What a network answers for new data: the path that the test of a task takes, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem.data import braille
from madem.data.files.counts import beyond
from madem.data.files.judge import Samples
from madem.data.labelled import runs
from madem.data.match import classes_matched, matched
from madem.data.registry import load_task
from madem.data.stream_task import StreamWindows
from madem.errors import TaskError
from madem.learn.recall import read_dots, recall
from madem.learners.protocol import Engine
from madem.network import metrics
from madem.network.network import Network, WordInputs

Codes = NDArray[np.uint8]
Progress = Callable[[int], None]
_AT_ONCE = 256
"""Samples that are asked for between two words of progress."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers for the rows of a table, or for the windows of a stream.

    Attributes:
        answer: class, or `metrics.NONE`, int64 (answers,).
        second: second best class, int64 (answers,).
        margin: how far the first is ahead, 0…255, int64 (answers,).
        rows: row of each answer, or the last row of its window, int64 (answers,).
        truth: class by the labels of the data, int64 (answers,); -1: no label.
        asked: what the network was asked: DAC codes, or the windows of a stream.
        clipped: values outside the range that was learned from, of `values`.
        values: how many there are.
        notes: what to tell of the data, a sentence each.
    """

    answer: NDArray[np.int64]
    second: NDArray[np.int64]
    margin: NDArray[np.int64]
    rows: NDArray[np.int64]
    truth: NDArray[np.int64]
    asked: Codes | StreamWindows
    clipped: int
    values: int
    notes: tuple[str, ...] = field(default=())

    def rejecting(self, margin: int) -> Answers:
        """Take back answers that are too close.

        Args:
            margin: least one, 0…255.

        Returns:
            The same, with no answer where the margin is smaller.
        """
        return replace(self, answer=np.where(self.margin < margin, metrics.NONE, self.answer))


@dataclass(frozen=True, eq=False)
class Recalled:
    """Words that a network gave back.

    Attributes:
        dots: on (1) or off (0), uint8 (answers, 60).
        words: as the dots spell them; `braille.UNREADABLE` for a cell that is no letter.
        iterations: how often the network was asked until its answer stayed, int64 (answers,).
        truth: word by the labels of the data, int64 (answers,), an index into the classes; -1:
            none.
    """

    dots: NDArray[np.uint8]
    words: tuple[str, ...]
    iterations: NDArray[np.int64]
    truth: NDArray[np.int64]


def answers(
    network: Network,
    samples: Samples,
    learner: Engine,
    progress: Progress = lambda n: None,
) -> Answers:
    """Ask a network for the samples of a file.

    Nothing is fitted: scale, units and normalisation are the network's. An answer depends on its
    own row or window alone.

    Args:
        network: that tells classes apart.
        samples: as the file was read and judged.
        learner: what answers, from `session.ready`.
        progress: called with the number of answers just given.

    Returns:
        The answers.

    Raises:
        TaskError: the data do not fit the network; the message names both sides.
    """
    fitting, notes = _labels_matched(network, samples)
    values, count = fitting.x, fitting.x.size
    if isinstance(network.inputs, WordInputs):  # words that are told apart
        x, rows, truth, clipped = _dots(fitting), np.arange(len(values)), fitting.y, 0
    elif (scaling := network.taught.scaling) is not None:
        x, rows, truth = scaling.codes(values), np.arange(len(values)), fitting.y
        clipped = scaling.clipped(values)
    else:
        scale, pipeline = network.taught.scale, network.task_pipeline
        assert scale is not None
        assert pipeline is not None
        parts = runs(fitting, np.ones(len(values), bool), scale)
        x = StreamWindows(pipeline, [part.samples for part in parts])
        if not len(x):
            raise TaskError(
                f"{samples.table.name} has no whole window: the network takes windows of"
                f" {pipeline.window} samples without a gap"
            )
        rows = np.concatenate([part.window_ends(pipeline) for part in parts])
        truth = np.concatenate([part.window_labels(pipeline) for part in parts])
        count = sum(part.samples.size for part in parts)
        clipped = beyond(values[~fitting.missing], scale)
    found = []
    for start in range(0, len(x), _AT_ONCE):
        part = x[start : start + _AT_ONCE]
        found.append(learner.outputs(part))
        progress(len(part))
    outputs = np.concatenate(found)
    return Answers(*metrics.top_two(outputs), rows, truth, x, clipped, count, notes)


def recalled(
    network: Network,
    samples: Samples,
    learner: Engine,
    progress: Progress = lambda n: None,
) -> Recalled:
    """Ask a network of words in Braille for the words of which it sees distorted dots.

    Args:
        network: that recalls words.
        samples: 60 columns of dots, 0 or 1.
        learner: what answers, from `session.ready`.
        progress: called with the number of answers just given.

    Returns:
        What it gave back.

    Raises:
        TaskError: the data are no dots.
    """
    assert isinstance(network.inputs, WordInputs)
    fitting, _ = _labels_matched(network, samples)
    lines = network.inputs.label_lines
    task = load_task("braille", words=network.classes, labels=bool(lines))
    if (task.label_lines, task.n_features) != (lines, network.state.config.sizes[0]):
        raise TaskError("the network shows its words in another way than this madem does")
    x = task.shown(_dots(fitting) // 255)
    config = network.state.config
    found, iterations = [], np.ones(len(x), np.int64)
    for start in range(0, len(x), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        found.append(recall(learner, task, x[part], count=iterations[part]))
        progress(len(x[part]))
    dots = read_dots(task, np.concatenate(found), config.t_hi, config.t_lo)
    words = tuple(braille.decode(row).rstrip() for row in dots)
    return Recalled(dots, words, iterations, fitting.y)


def _dots(samples: Samples) -> NDArray[np.uint8]:
    """DAC codes of words in Braille, (words, 60)."""
    x = samples.x
    if x.shape[1] != braille.DOTS or not np.isin(x, (0, 1)).all():
        raise TaskError(
            f"{samples.table.name} has {x.shape[1]} columns, the network takes words in Braille:"
            f" {braille.DOTS} columns of dots, each 0 or 1"
        )
    return (x * 255).astype(np.uint8)


def _labels_matched(network: Network, samples: Samples) -> tuple[Samples, tuple[str, ...]]:
    """The samples as the network takes them; labels that are none of its classes are told of."""
    told: tuple[str, ...] = ()
    known = set(samples.class_names) & set(network.classes)
    is_label = samples.judgement.label_column == network.label
    if samples.class_names and not known and not is_label:
        told = (f"the column {samples.judgement.label_column} names none of the network's classes",)
        samples = replace(samples, y=np.full(len(samples.x), -1), class_names=())
    if isinstance(network.inputs, WordInputs):
        return classes_matched(samples, network.classes), told
    return matched(samples, network.taught), told


def figures(found: Answers, classes: Sequence[str]) -> dict[str, Any]:
    """Score the answers that have a label.

    Args:
        found: the answers.
        classes: names of the classes.

    Returns:
        Scores as in the JSON of `learn` and `predict`.
    """
    known = found.truth >= 0
    truth, answer, margin = (each[known] for each in (found.truth, found.answer, found.margin))
    scores = metrics.classification(truth, answer, classes)
    scores["calibration"] = metrics.calibration(truth, answer, margin)
    return scores
