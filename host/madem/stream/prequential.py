"""Learn a stream as it comes, through a change: test each window, then learn it.

Prequential evaluation (Gama, Sebastião and Rodrigues, "On evaluating stream learning
algorithms", Machine Learning 90, 2013), with a network beside that stopped learning when the
world changed, and now and then a test on segments that are never learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem.data import concept_drift
from madem.data.concept_drift import Classes, DriftStream
from madem.data.stream_task import StreamTask
from madem.learn import train as learn
from madem.learners.gated import GatedLearner
from madem.learners.protocol import Engine
from madem.learners.state import NetworkState
from madem.learners.twin import TwinLearner
from madem.network import metrics
from madem.stream.windows import RunningAccuracy, WindowResult
from madem_emulator.twin.gated import GateSettings

MEMORY = 50
"""Windows that the running accuracy remembers."""
EVERY = 20
"""Windows from one test on the held-out segments to the next."""
NEAR = 0.03
"""A network has recovered when it is within three points of a fresh one."""
LEARNING_RATE = 6.0
"""Constant, in single pulses; chosen on the training recordings of motions alone."""


@dataclass(frozen=True)
class Check:
    """A test on held-out windows.

    Attributes:
        window: how many had been learned.
        accuracy, frozen: of the learner, and of the network that stopped at the change (None
            before it).
        classes: the learner's accuracy on each class; None for one that has not come yet.
    """

    window: int
    accuracy: float
    frozen: float | None
    classes: tuple[float | None, ...]


@dataclass
class PrequentialResult:
    """The figures of a learned stream.

    Attributes:
        windows: every one, in order.
        running, frozen: prequential accuracy after each window, of the learner and of the
            network that stopped at the change (NaN before it), float64 (windows,).
        checks: tests on held-out windows.
        fresh: held-out accuracy of a network that learned the changed world from the beginning.
    """

    windows: list[WindowResult] = field(default_factory=list)
    running: list[float] = field(default_factory=list)
    frozen: list[float] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    fresh: float = 0.0

    @property
    def learned(self) -> int:
        """Windows that were learned."""
        return sum(window.learned for window in self.windows)

    @property
    def rollbacks(self) -> int:
        """Times the learner went back to its copy."""
        return sum(window.rolled_back for window in self.windows)


def recipe(task: StreamTask, *, learning_rate: float | None = None, **choices: Any) -> learn.Recipe:
    """Choose how an endless stream is learned: always as in the first pass, in single pulses.

    Args:
        task: gives the sizes of the input and output layers.
        learning_rate: in single pulses; None: `LEARNING_RATE`.
        choices: as for `learn.recipe`.

    Returns:
        The recipe.

    Raises:
        TaskError: a choice is out of range; the message names it.
    """
    rate = LEARNING_RATE if learning_rate is None else learning_rate
    return learn.recipe(task, epochs=1, decay=1.0, update_size=0.0, learning_rate=rate, **choices)


def run_prequential(
    learner: Engine,
    stream: DriftStream,
    step: tuple[int, int],
    gate: GateSettings,
    *,
    progress: Callable[[int], None] | None = None,
    watch: Callable[[WindowResult, float], None] | None = None,
) -> PrequentialResult:
    """Test and learn every window of a stream.

    Args:
        learner: of the task's pipeline, with a network that is configured.
        stream: the stream.
        step: RATE and the pulses of one change.
        gate: what is learned.
        progress: called with the number of windows just done.
        watch: called with each window and the running accuracy.

    Returns:
        What came of it; `fresh` is not known yet.
    """
    task = stream.task
    result = PrequentialResult()
    gated = GatedLearner(learner, gate)
    accuracy, frozen_accuracy = RunningAccuracy(MEMORY), RunningAccuracy(MEMORY)
    tested, frozen = (TwinLearner(learner.config, task.pipeline) for _ in range(2))
    windows = stream.windows
    for begin, end in blocks(stream):
        if begin == stream.change_at:
            frozen.load(learner.state())
        block = slice(begin, end)
        rate, pulses_per_update = step
        judged = gated.judge(
            rate, windows[block], stream.labels[block], progress, pulses_per_update
        )
        for number, (one, label) in enumerate(
            zip(judged, stream.truth[block].tolist(), strict=True), begin
        ):
            window = WindowResult(
                number=number,
                t_s=_time(task, number),
                answer=one.answer,
                margin=one.margin,
                label=label,
                learned=one.learned,
                rolled_back=one.rolled_back,
            )
            result.windows.append(window)
            result.running.append(accuracy.add(bool(window.right)))
            if watch:
                watch(window, result.running[-1])
        if begin < stream.change_at:
            result.frozen += [float("nan")] * len(judged)
        else:
            answers = _answers(frozen, frozen.inputs(windows[block], follow=True))
            right = answers == stream.truth[block]
            result.frozen += [frozen_accuracy.add(bool(one)) for one in right]
        result.checks.append(_check(stream, learner.state(), tested, frozen, end))
    return result


def fresh_level(task: StreamTask, change: concept_drift.Change, plan: learn.Recipe) -> float:
    """Measure a fresh network that learns the changed world in the usual passes.

    Args:
        task: as it was.
        change: what happened to it.
        plan: of `madem learn`.

    Returns:
        Its held-out accuracy, 0…1.
    """
    changed = concept_drift.changed_task(task, change)
    fresh = TwinLearner(plan.settings.integers(), changed.pipeline)
    learn.train(fresh, changed, plan)
    return learn.evaluate(fresh, changed)["accuracy"]


def recovered(
    stream: DriftStream, checks: Sequence[int], accuracy: Sequence[float], fresh: float
) -> int | None:
    """Count the windows after the change until an accuracy is near the fresh level, and stays.

    It stays when the mean of that check and of the two after it is near as well, and so is the
    mean of all checks from there on.

    Args:
        stream: says when the world had changed for good.
        checks: windows at which the accuracies were measured.
        accuracy: of a learner, or the mean over several.
        fresh: the level.

    Returns:
        Windows from the end of the change on; None if it does not come so far.
    """
    after = [(n, a) for n, a in zip(checks, accuracy, strict=True) if n > stream.change_done]
    for k, (window, value) in enumerate(after[:-2]):
        rest = [a for _, a in after[k:]]
        near = fresh - NEAR
        if min(value, float(np.mean(rest[:3])), float(np.mean(rest))) >= near:
            return window - stream.change_done
    return None


def forgetting(checks: Sequence[Check], at: int) -> dict[str, float] | None:
    """Measure what the classes that came first lost while only others were learned.

    Args:
        checks: tests on held-out windows, in order.
        at: window at which the change begins.

    Returns:
        `forgetting`: the most that a class's held-out accuracy had been, less what it is at the
        end, mean over the classes that come first (Chaudhry et al., "Riemannian walk for
        incremental learning", ECCV 2018); `backward_transfer`: what it is at the end less what
        it was at the change (Lopez-Paz and Ranzato, "Gradient episodic memory", NeurIPS 2017).
        None if no check fell before the change.
    """
    before = [check for check in checks if check.window <= at]
    if not before:
        return None
    first = [k for k, value in enumerate(before[-1].classes) if value]
    if not first:
        return None
    table = np.array([[check.classes[k] for k in first] for check in checks], float)
    end = table[-1]
    return {
        "forgetting": float(np.mean(table.max(axis=0) - end)),
        "backward_transfer": float(np.mean(end - table[len(before) - 1])),
    }


def blocks(stream: DriftStream) -> list[tuple[int, int]]:
    """Cut a stream into the windows from one check to the next; one begins with the change.

    Args:
        stream: with its change.

    Returns:
        Begin and end of each.
    """
    cuts = [
        *range(0, stream.change_at, EVERY),
        *range(stream.change_at, len(stream.truth), EVERY),
        len(stream.truth),
    ]
    return list(pairwise(cuts))


def by_class(right: NDArray[np.bool_], labels: Classes, classes: int) -> tuple[float | None, ...]:
    """Compute the share that is right of each class.

    Args:
        right: whether each answer was, (samples,).
        labels: class of each sample, (samples,).
        classes: how many there are.

    Returns:
        The shares, 0…1; None for a class of which there is no sample.
    """
    return tuple(
        float(right[labels == k].mean()) if (labels == k).any() else None for k in range(classes)
    )


def to_json(stream: DriftStream, result: PrequentialResult, gate: GateSettings) -> dict[str, Any]:
    """Tell everything that was measured, for JSON.

    Args:
        stream: that was learned.
        result: what came of it.
        gate: what was learned of it.

    Returns:
        What JSON can hold.
    """
    checks, fresh = result.checks, result.fresh
    return {
        "change": stream.change.kind,
        "change_classes": [stream.task.class_names[k] for k in stream.change.classes],
        "change_at": stream.change_at,
        "change_done": stream.change_done,
        "care": asdict(gate),
        "windows": len(result.windows),
        "learned": result.learned,
        "backs": result.rollbacks,
        "fresh": fresh,
        "recovered_after": recovered(
            stream, [c.window for c in checks], [c.accuracy for c in checks], fresh
        ),
        "forgetting": forgetting(checks, stream.change_at)
        if stream.change.kind in concept_drift.IN_TURN
        else None,
        "no_change": metrics.no_change(stream.truth),
        "running": result.running,
        "running_frozen": [None if np.isnan(value) else value for value in result.frozen],
        "held_out": [asdict(check) for check in checks],
    }


def _check(
    stream: DriftStream, state: NetworkState, tested: TwinLearner, frozen: TwinLearner, window: int
) -> Check:
    """Test on the held-out windows of the world as it is, each with its own normalisation."""
    features, labels = stream.tests(window - 1)
    tested.load(state)
    right = _held_out(tested, features) == labels
    return Check(
        window,
        float(right.mean()),
        float(np.mean(_held_out(frozen, features) == labels))
        if window > stream.change_at
        else None,
        by_class(right, labels, len(stream.task.class_names)),
    )


def _held_out(twin: TwinLearner, features: NDArray[np.int64]) -> NDArray[np.int64]:
    assert twin.features is not None
    return _answers(twin, twin.features.codes(features, follow=False))


def _answers(twin: TwinLearner, inputs: NDArray[np.uint8]) -> NDArray[np.int64]:
    return twin.outputs_of(inputs).argmax(axis=1)


def _time(task: StreamTask, number: int) -> float | None:
    """When a window of a stream without gaps would end, in seconds."""
    if task.rate_hz is None:
        return None
    return (task.pipeline.window + number * task.pipeline.hop) / task.rate_hz
