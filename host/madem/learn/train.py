"""Train a device on a task, pass by pass, and measure what it has learned."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem.data.task import Task, distortion_key
from madem.errors import TaskError
from madem.learn.recall import ITERATIONS, recall, words_right
from madem.learners.protocol import Learner
from madem.learners.stream import board_of
from madem.network import metrics
from madem_emulator.physical.device import DeviceModel
from madem_emulator.twin.config import Config, Settings, stuck_limit
from madem_emulator.twin.twin import MAX_PULSES_PER_UPDATE

Bytes = NDArray[np.uint8]


_SCHEDULE = 20
"""Passes over which the learning rate and the update size fall; they fall more slowly over more."""
_ENOUGH = 6000
"""Training samples that a user's small file is shown at least, in at most 200 passes."""


@dataclass(frozen=True)
class Recipe:
    """A plan of how a task is learned, and how long.

    Attributes:
        settings: the network and its devices.
        epochs: passes over the training samples.
        decay: factor on the learning rate after each pass.
        update_size: how far one change moves a device in the first pass, as a fraction of its
            window. It is made of whole pulses, and of one at least.
        update_decay: factor on the update size after each pass.
        earlier: passes left out at the start: the first pass is the one that would come after them.
        device: what the twin's array is made of; None: the integer crossbar.
        design: board of chips that holds the weights; "": the emulated front end.
    """

    settings: Settings
    epochs: int
    decay: float
    update_size: float = 0.0
    update_decay: float = 1.0
    earlier: int = 0
    device: DeviceModel | None = None
    design: str = ""

    def schedule(self, k: int) -> tuple[int, int]:
        """Work out how pass k is learned.

        The learning rate counts changes of the first pass's size. When the size falls, more
        of the shorter changes make up for it; where RATE ends, changes stay as long as it takes.

        Args:
            k: number of the pass, from 0.

        Returns:
            RATE, and the pulses of one change.

        Raises:
            ValueError: the learning rate is out of range.
        """
        settings, k = self.settings, k + self.earlier
        first = max(1, round(self.update_size * (2**settings.weight_bits - 1)))
        pulses = settings.learning_rate * self.decay**k * first
        pulses_per_update = max(
            round(first * self.update_decay**k), math.ceil(pulses / settings.highest_rate), 1
        )
        if pulses_per_update > MAX_PULSES_PER_UPDATE:
            most = settings.highest_rate * MAX_PULSES_PER_UPDATE / first
            raise ValueError(
                f"learning_rate is {settings.learning_rate}, but must be at most {most:.4g}"
            )
        return settings.rate(pulses / pulses_per_update), pulses_per_update


@dataclass
class StuckAfterTraining:
    """Faults that come later, and how a network learns around them.

    Attributes:
        share: devices that are stuck from then on, as a fraction of all.
        epochs: passes of learning on.
    """

    share: float
    epochs: int = 5


@dataclass
class TrainingResult:
    """Figures of a training and its test.

    Attributes:
        train_curve: per pass, before each sample was learned: accuracy, or mean wrong outputs.
        samples: learned.
        metrics: of the test, as in the JSON contract.
        stuck_after_training: metrics before devices got stuck and right after; `metrics` are then
            of the network that has learned on.
        busy_us: time of a board in its learner, µs; 0 without a board.
        wall_s: time of the training, s.
    """

    train_curve: list[float] = field(default_factory=list)
    samples: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    stuck_after_training: dict[str, Any] | None = None
    busy_us: int = 0
    wall_s: float = 0.0


def classifying(hidden: int) -> dict[str, Any]:
    """Choose fields of `Settings` for a network that learns classes.

    Args:
        hidden: how many hidden layers it has.

    Returns:
        The fields, by name.
    """
    return {
        "w_max": (0.3, *(0.2,) * hidden),
        "rate_scale": (1, *(2,) * hidden),
        "adc_range_transposed": 1.0,
        "target_high": 0.6,
    }


def recipe(
    task: Task,
    *,
    hidden: tuple[int, ...] | None = None,
    epochs: int | None = None,
    decay: float | None = None,
    update_size: float | None = None,
    **settings: Any,
) -> Recipe:
    """Choose how a task is learned: defaults, with a user's choices in their place.

    Args:
        task: gives the sizes of the input and output layers.
        hidden: sizes of the layers between; () for a single weight layer.
        epochs: passes over the training samples.
        decay: factor on the learning rate after each pass.
        update_size: of the first pass: see `Recipe`.
        settings: fields of `Settings`; None stands for the default.

    Returns:
        A recipe whose rates are all in range.

    Raises:
        TaskError: a choice is out of range; the message names it.
    """
    words = task.patterns is not None
    recalls = task.kind == "reconstruct"
    if hidden is None:
        # A label needs no hidden units to choose a word as a whole.
        hidden = () if task.label_lines else (64,) if words else (32,)
    # Sparse dots and many samples: a narrower window holds finer couplings.
    chosen: dict[str, Any] = (
        {"w_max": (0.2, *(0.3,) * len(hidden))} if words else classifying(len(hidden))
    )
    if words and hidden:
        # Competition makes one word of an ambiguous input, not a mixture of two.
        chosen |= {
            "competition": (*(min(3.0, n - 1) for n in hidden), 0.0),
            "learning_rate": 1.0,
            "init": 0.05,
        }
    if recalls and (hidden or task.label_lines):
        chosen["adc_range_forward"] = 1.0
    if recalls and hidden:
        chosen |= {
            "rate_scale": (1, *(4,) * len(hidden)),
            "learning_rate": 2.0,
            "adc_range_transposed": 2.0,
            "target_high": 0.4,
            "sweeps_free": 12,
            "sweeps_nudged": 4,
        }
    chosen |= {name: value for name, value in settings.items() if value is not None}
    try:
        result = Settings(
            sizes=(task.n_features, *hidden, task.n_outputs),
            one_hot=task.kind == "classify",
            **chosen,
        )
        result.integers()
    except ValueError as error:
        raise TaskError(str(error)) from None
    if epochs is None:
        # A small file needs more passes to show the device as many samples.
        epochs = 80 if words else min(max(_SCHEDULE, -(-_ENOUGH // task.samples_per_pass)), 200)
    if decay is None:
        # The learning rate ends where it does after the passes that were tried.
        fall = 0.95**80 if recalls else 0.9**20 if words else 0.84**20
        decay = math.pow(fall, 1 / max(epochs, _SCHEDULE))
    if update_size is None:
        update_size = 1 / 15 if words else 0.19
    # Coarse changes at first and fine ones at the end: they find what fine ones alone do not.
    update_decay = 1.0 if words else math.pow(0.9**20, 1 / max(epochs, _SCHEDULE))
    if epochs < 0:
        raise TaskError(f"epochs is {epochs}, but must be 0 or more")
    if not 0 < decay <= 1:
        raise TaskError(f"decay is {decay}, but must be above 0 and at most 1")
    if not 0 <= update_size <= 1:
        raise TaskError(f"update-size is {update_size}, but must be from 0 to 1")
    plan = Recipe(result, epochs, decay, update_size, update_decay)
    try:
        plan.schedule(0)
    except ValueError as error:
        raise TaskError(str(error)) from None
    return plan


def train(
    learner: Learner,
    task: Task,
    plan: Recipe,
    *,
    progress: Callable[[int], None] | None = None,
    limit: int | None = None,
) -> TrainingResult:
    """Stream all passes to a learner.

    Args:
        learner: configured with `plan.settings`, or loaded from a state.
        task: where the samples come from.
        plan: how many passes, and the learning rate of each.
        progress: called with the number of samples just learned.
        limit: stop after so many samples.

    Returns:
        What was measured on the way; there are no metrics yet.
    """
    result = TrainingResult()
    began = time.monotonic()
    for k in range(plan.epochs):
        x, target = task.feed.train_pass(plan.earlier + k)
        n = len(x) if limit is None else min(len(x), limit - result.samples)
        if n <= 0:
            break
        x, target = x[:n], target[:n]
        rate, pulses_per_update = plan.schedule(k)
        answers = learner.learn(rate, x, target, progress, pulses_per_update)
        result.samples += n
        right = answers == target if task.kind == "classify" else answers
        result.train_curve.append(float(np.mean(right)))
        if board := board_of(learner):
            result.busy_us += board.stats().busy_us
    result.wall_s = time.monotonic() - began
    return result


def recover(
    learner: Learner,
    task: Task,
    plan: Recipe,
    faults: StuckAfterTraining,
    result: TrainingResult,
    *,
    progress: Callable[[int], None] | None = None,
    limit: int | None = None,
) -> TrainingResult:
    """Let devices of a trained network get stuck, test it, learn on, and test it again.

    Learning goes on at the pace of the middle of the schedule: the end's is too slow to make up
    for what is lost, the beginning's loses what is left.

    Args:
        learner: that was trained.
        task: what it was trained on.
        plan: of the training.
        faults: what happens.
        result: of the training and its test; this one's comes on top.
        progress: called with the number of samples just learned.
        limit: of samples to learn on.

    Returns:
        The result of both trainings, with metrics before, right after, and in the end.

    Raises:
        TaskError: the faults are out of range; the message names what.
    """
    check_faults(faults, learner.config)
    learner.add_stuck(stuck_limit(faults.share))
    stuck = evaluate(learner, task)
    middle = max(plan.epochs, _SCHEDULE) // 2
    on = replace(plan, epochs=faults.epochs, earlier=middle)
    after = train(learner, task, on, progress=progress, limit=limit)
    return TrainingResult(
        train_curve=result.train_curve + after.train_curve,
        samples=result.samples + after.samples,
        metrics=evaluate(learner, task),
        stuck_after_training={
            "share": faults.share,
            "epochs": faults.epochs,
            "before": result.metrics,
            "stuck": stuck,
        },
        busy_us=result.busy_us + after.busy_us,
        wall_s=result.wall_s + after.wall_s,
    )


def check_faults(faults: StuckAfterTraining, config: Config) -> None:
    """See that faults can come.

    Args:
        faults: what is to happen.
        config: of the network.

    Raises:
        TaskError: they are out of range; the message names what.
    """
    if not 0 < faults.share <= 1:
        raise TaskError(
            f"stuck-after-training is {faults.share}, but must be above 0 and at most 1"
        )
    if stuck_limit(faults.share) <= config.stuck:
        raise TaskError(
            f"stuck-after-training is {faults.share}, but {config.stuck / 65536:.3g} of the"
            " devices are stuck already"
        )
    if faults.epochs < 0:
        raise TaskError(f"passes of learning on are {faults.epochs}, but must be 0 or more")


def evaluate(
    learner: Learner,
    task: Task,
    progress: Callable[[int], None] | None = None,
    iterations: int = ITERATIONS,
) -> dict[str, Any]:
    """Test a learner on a task's test set.

    Args:
        learner: that has learned the task.
        task: what it has learned.
        progress: called with the number of samples just tested.
        iterations: of recalling a word, at the most: see `recall`.

    Returns:
        Metrics, as in the JSON contract.
    """
    outputs = []
    recalls = task.kind == "reconstruct"
    x_test = task.feed.x_test
    for start in range(0, len(x_test), 256):
        part = x_test[start : start + 256]
        outputs.append(
            recall(learner, task, task.x_test[start : start + 256], iterations)
            if recalls
            else learner.outputs(part)
        )
        if progress:
            progress(len(part))
    found = np.concatenate(outputs)
    if task.counted is not None:
        found = found[task.counted]
    return scores(task, learner.config.t_hi, learner.config.t_lo, found)


def scores(task: Task, high: int, low: int, outputs: Bytes) -> dict[str, Any]:
    """Score answers to a test set.

    Args:
        task: whose test set was asked for.
        high: target activity of an output that is on, T_HI.
        low: of one that is off, T_LO.
        outputs: activities, uint8 (samples, outputs).

    Returns:
        Metrics, as in the JSON contract.
    """
    found: dict[str, Any] = {}
    if task.kind == "classify":
        answers, _, margins = metrics.top_two(outputs)
        right = answers == task.y_test
        found |= metrics.classification(task.y_test, answers, task.class_names)
        found["calibration"] = metrics.calibration(task.y_test, answers, margins)
    else:
        right = words_right(task, outputs, high, low)
    if task.test_distortions:
        name = "exact_word" if task.kind == "reconstruct" else "accuracy_by_distortion"
        parts = np.split(right, len(task.test_distortions))
        found[name] = {
            distortion_key(p): float(part.mean())
            for p, part in zip(task.test_distortions, parts, strict=True)
        }
    return found
