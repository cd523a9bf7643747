"""Recall: a network gives back the word of which it sees a distorted copy.

Each output decides for itself, so that the answer to an ambiguous sample can be a mixture of two
words. So the network is shown its own answer, until the answer stays: the dots that it gave, and
the label of the word whose output is the most active. Labels weigh more than single dots, and the
network learned which dots belong to a label: the word is chosen as a whole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem.data.task import Task
from madem.learners.protocol import Learner
from madem_emulator.twin.config import Config

Bytes = NDArray[np.uint8]
Again = Callable[[Bytes, NDArray[np.bool_]], Bytes]

ITERATIONS = 8
"""At the most, the first one included."""


def recall(
    learner: Learner,
    task: Task,
    x: Bytes,
    iterations: int = ITERATIONS,
    count: NDArray[np.int64] | None = None,
) -> Bytes:
    """Ask for words, and again for the answers until they stay.

    Args:
        learner: that has learned the task.
        task: how words and labels are shown.
        x: what is seen, uint8 (samples, inputs).
        iterations: at the most.
        count: gets those of each sample beyond the first added, int64 (samples,).

    Returns:
        Activities of the outputs in the last iteration, uint8 (samples, outputs).
    """
    config = learner.config

    def again(seen: Bytes, moved: NDArray[np.bool_]) -> Bytes:
        if count is not None:
            count[moved] += 1
        return learner.outputs(seen[moved])

    return iterate_until_it_stays(
        task,
        config,
        x,
        learner.outputs(x).copy(),
        again,
        iterations,
    )


def iterate_until_it_stays(
    task: Task, config: Config, x: Bytes, outputs: Bytes, again: Again, iterations: int = ITERATIONS
) -> Bytes:
    """Show answers to the network that gave them until they stay; of one network or of many.

    Args:
        task: how words and labels are shown.
        config: of the network.
        x: what was seen in the first iteration, (…, inputs).
        outputs: activities (…, outputs) that came of it.
        again: from what is shown (…, inputs) and whose answer has moved (…), the activities of
            those that have, (moved, outputs).
        iterations: at the most.

    Returns:
        `outputs` itself, with the activities of the last iteration.
    """
    seen = x
    for _ in range(1, iterations):
        shown = next_input(task, outputs, config.t_hi, config.t_lo)
        moved = (shown != seen).any(axis=-1)
        if not moved.any():
            break
        seen = shown
        outputs[moved] = again(seen, moved)
    return outputs


def next_input(task: Task, outputs: Bytes, high: int, low: int) -> Bytes:
    """Make of an answer what the network is shown next.

    Args:
        task: how words and labels are shown.
        outputs: activities (…, outputs).
        high: target activity of an output that is on, T_HI.
        low: of one that is off, T_LO.

    Returns:
        DAC codes, uint8 (…, inputs): the dots of the answer, and the label of its strongest word.
    """
    word: ArrayLike = -1
    if task.label_lines:
        labels = outputs[..., task.n_dots :]
        word = np.where(labels.any(axis=-1), labels.argmax(axis=-1), -1)
    return task.shown(read_dots(task, outputs, high, low), word)


def read_dots(task: Task, outputs: Bytes, high: int, low: int) -> Bytes:
    """Read outputs as dots: docs/reference/arithmetic.md, "Answers".

    Args:
        task: tells dots from labels.
        outputs: activities (…, outputs).
        high: target activity of an output that is on, T_HI.
        low: of one that is off, T_LO.

    Returns:
        On (1) or off (0), uint8 (…, dots).
    """
    return (outputs[..., : task.n_dots] >= (high + low + 1) >> 1).astype(np.uint8)


def words_right(task: Task, outputs: Bytes, high: int, low: int) -> NDArray[np.bool_]:
    """Compare answers with the words of a test set.

    Args:
        task: whose test set was asked for.
        outputs: activities (…, samples, outputs).
        high: target activity of an output that is on, T_HI.
        low: of one that is off, T_LO.

    Returns:
        Whether all dots of a sample are right, (…, samples).
    """
    assert task.patterns is not None
    return (read_dots(task, outputs, high, low) == task.patterns[task.y_test]).all(axis=-1)
