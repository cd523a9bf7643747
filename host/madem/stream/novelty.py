"""Novelty without labels: a network that gives back what it is used to. docs/reference/features.md.

The targets are made on the board from the inputs, so that no label is needed, and the score of a
window comes back: small for what the network has seen often.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from madem.boards.link_protocol import Flag, Mode
from madem.data.stream_task import StreamTask, WindowSamples, number_of
from madem.errors import TaskError
from madem.learn.train import Recipe
from madem.learners.board import BoardLearner
from madem.learners.stream import Feeder
from madem_emulator.twin.config import Config, Settings
from madem_emulator.twin.features import TwinFeatures
from madem_emulator.twin.pipeline import Pipeline
from madem_emulator.twin.twin import Twin

HIDDEN = 16
"""Few hidden units that compete: what is familiar must share them."""


class Detector(Protocol):
    """A network that scores windows."""

    def learn(self, rate: int, chunks: Sequence[WindowSamples]) -> list[int]:
        """Scores of windows, each learned after it was scored; the normalisation follows."""
        ...

    def scores(self, chunks: Sequence[WindowSamples]) -> list[int]:
        """Scores of windows; nothing is learned."""
        ...


class NoveltyBoard:
    """A board, configured with a recipe's network. See `Detector`."""

    def __init__(self, device: BoardLearner, pipeline: Pipeline) -> None:
        self._device = device
        self._feeder = Feeder(device, pipeline)
        self._scored = 0

    def learn(self, rate: int, chunks: Sequence[WindowSamples]) -> list[int]:
        """See `Detector.learn`."""
        step = self._device.stats().steps
        windows = self._feeder.feed(chunks, step, Mode.LEARN, Flag.FOLLOW | Flag.OWN, rate=rate)
        return [window.answer for window in windows]

    def scores(self, chunks: Sequence[WindowSamples]) -> list[int]:
        """See `Detector.scores`."""
        windows = list(self._feeder.feed(chunks, self._scored, Mode.PREDICT, Flag.OWN))
        self._scored += len(windows)
        return [window.answer for window in windows]


class NoveltyTwin:
    """The twin in place of a board. See `Detector`."""

    def __init__(self, config: Config, pipeline: Pipeline) -> None:
        self._twin = Twin(config)
        self._features = TwinFeatures(pipeline)
        self._scored = 0

    def learn(self, rate: int, chunks: Sequence[WindowSamples]) -> list[int]:
        """See `Detector.learn`."""
        found = []
        for x in self._inputs(chunks, True):
            trace = self._twin.learn(rate, x, x >= 128)
            found.append(self._score(x, trace.free[-1][0]))
        return found

    def scores(self, chunks: Sequence[WindowSamples]) -> list[int]:
        """See `Detector.scores`."""
        found = []
        for x in self._inputs(chunks, False):
            found.append(self._score(x, self._twin.predict(self._scored, x)[-1][0]))
            self._scored += 1
        return found

    def _inputs(self, chunks: Sequence[WindowSamples], follow: bool) -> list[np.ndarray]:
        rows = []
        for chunk in chunks:
            if chunk.restart:
                self._features.restart()
            rows += list(self._features.codes(self._features.windows(chunk.samples), follow))
        return rows

    def _score(self, x: np.ndarray, outputs: np.ndarray) -> int:
        config = self._twin.config
        high, low = config.t_hi & config.dac_mask, config.t_lo & config.dac_mask
        targets = np.where(x >= 128, high, low).astype(np.int64)
        return int(((targets - outputs) ** 2).sum())


def recipe(pipeline: Pipeline, seed: int = 1, epochs: int = 25) -> Recipe:
    """A network that gives back the inputs of a pipeline.

    Chosen on the training recordings of motions, each class in turn taken for the new one.
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
    detector: Detector,
    task: StreamTask,
    plan: Recipe,
    new_class: str,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Learn the training windows of all classes but one, without labels; score the test windows.

    Args:
        detector: configured with the plan's network.
        task: where the windows come from.
        plan: passes and learning rate.
        new_class: what is never learned, and should score high.
        progress: called with the number of windows just learned.

    Raises:
        TaskError: there is no such class.
    """
    label = class_number(task, new_class)
    began = time.monotonic()
    learned = 0
    for k in range(plan.epochs):
        batch = task.feed.train_pass(k)
        chunks = [task.window_samples(number_of(name)) for name in batch.x[batch.target != label]]
        detector.learn(plan.settings.rate(plan.settings.learning_rate * plan.decay**k), chunks)
        learned += len(chunks)
        if progress:
            progress(len(chunks))
    wall = time.monotonic() - began
    scores = np.array(
        detector.scores([task.window_samples(number_of(name)) for name in task.feed.x_test])
    )
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
    """The index of a class.

    Raises:
        TaskError: there is none of this name.
    """
    if name not in task.class_names:
        raise TaskError(f"{task.name} has no class {name!r}: it has {', '.join(task.class_names)}")
    return task.class_names.index(name)


def auc(familiar: ArrayLike, new: ArrayLike) -> float:
    """Area under the ROC curve: how often a new window scores above a familiar one.

    Ties count half (the Mann-Whitney statistic over the product of the two sizes).
    """
    familiar, new = np.sort(np.asarray(familiar)), np.asarray(new)
    below = np.searchsorted(familiar, new, side="left")
    not_above = np.searchsorted(familiar, new, side="right")
    return float((below + not_above).sum() / (2 * len(familiar) * len(new)))
