"""Novelty without labels: a network for it, and how well it tells a class that it never saw."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from madem.data.stream_task import StreamTask
from madem.errors import TaskError
from madem.learn.train import Recipe
from madem.learners.novelty import NoveltyDetector
from madem_emulator.twin.config import Settings
from madem_emulator.twin.pipeline import Pipeline

HIDDEN = 16
"""Few hidden units that compete: what is familiar must share them."""
_USUAL = 16
"""Windows that are learned before one can be called new."""
_NEW = 3.0
"""Mean absolute deviations above the usual score at which a window is called new: 2.4 σ of
normally distributed scores, so that about one usual window in a hundred is."""
_RECENT = 128
"""Usual windows that are looked back at."""


class NoveltyThreshold:
    """Follows the scores that are usual, and tells which is far above them."""

    def __init__(self) -> None:
        """Begin without any usual score."""
        self._scores: list[int] = []

    def is_new(self, score: int) -> bool:
        """Judge the next window's score; it counts among the usual ones if it is not new.

        Args:
            score: of the window.

        Returns:
            Whether it is far above what is usual.
        """
        recent = self._scores[-_RECENT:]
        if len(recent) >= _USUAL:
            centre = float(np.median(recent))
            spread = float(np.mean(np.abs(np.array(recent) - centre)))
            if score > centre + _NEW * max(spread, 1.0):
                return True
        self._scores.append(score)
        return False


def recipe(pipeline: Pipeline, seed: int = 1, epochs: int = 25) -> Recipe:
    """Choose a network that gives back the inputs of a pipeline.

    Chosen on the training recordings of motions, each class in turn taken for the new one.

    Args:
        pipeline: whose inputs they are.
        seed: of everything random.
        epochs: passes over the training windows.

    Returns:
        The recipe.
    """
    inputs = pipeline.inputs
    settings = Settings(
        sizes=(inputs, HIDDEN, inputs),
        one_hot=False,
        seed=seed,
        w_max=(0.2, 0.3),
        init=0.05,
        learning_rate=1.0,
        competition=(3.0, 0.0),
        target_high=0.6,
    )
    return Recipe(settings, epochs, decay=0.95)


def run(
    detector: NoveltyDetector,
    task: StreamTask,
    plan: Recipe,
    new_class: str,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Learn the training windows of all classes but one, without labels; score the test windows.

    Args:
        detector: with the plan's network.
        task: where the windows come from.
        plan: passes and learning rate.
        new_class: what is never learned, and should score high.
        progress: called with the number of windows just learned.

    Returns:
        What came of it, for JSON.

    Raises:
        TaskError: there is no such class.
    """
    label = class_number(task, new_class)
    began = time.monotonic()
    learned = 0
    for k in range(plan.epochs):
        windows, classes = task.feed.train_pass(k)
        familiar = windows[classes != label]
        detector.learn(plan.settings.rate(plan.settings.learning_rate * plan.decay**k), familiar)
        learned += len(familiar)
        if progress:
            progress(len(familiar))
    wall = time.monotonic() - began
    scores = np.array(detector.scores(task.feed.x_test))
    is_new = task.y_test == label
    return {
        "new_class": new_class,
        "auc": auc(scores[~is_new], scores[is_new]),
        "familiar_windows": int(np.count_nonzero(~is_new)),
        "new_windows": int(np.count_nonzero(is_new)),
        "median_familiar": float(np.median(scores[~is_new])),
        "median_new": float(np.median(scores[is_new])),
        "windows_learned": learned,
        "wall_s": round(wall, 3),
    }


def class_number(task: StreamTask, name: str) -> int:
    """Find the index of a class.

    Args:
        task: that has it.
        name: of the class.

    Returns:
        The index.

    Raises:
        TaskError: there is none of this name.
    """
    if name not in task.class_names:
        raise TaskError(f"{task.name} has no class {name!r}: it has {', '.join(task.class_names)}")
    return task.class_names.index(name)


def auc(familiar: ArrayLike, new: ArrayLike) -> float:
    """Area under the ROC curve: how often a new window scores above a familiar one.

    Ties count half (the Mann-Whitney statistic over the product of the two sizes).

    Args:
        familiar: scores of familiar windows.
        new: scores of new windows.

    Returns:
        The area, 0…1.
    """
    familiar, new = np.sort(np.asarray(familiar)), np.asarray(new)
    below = np.searchsorted(familiar, new, side="left")
    not_above = np.searchsorted(familiar, new, side="right")
    return float((below + not_above).sum() / (2 * len(familiar) * len(new)))
