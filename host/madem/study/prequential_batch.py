"""Learning on the fly with many twins at once: the same bits as `on_the_fly`, for figures.

A pipeline's output does not depend on the network, so every stream's inputs are worked out first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.data import concept_drift
from madem.data.concept_drift import DriftStream
from madem.data.stream_task import StreamTask, number_of
from madem.learn import train as learn
from madem.stream.prequential import MEMORY, Check, PrequentialResult, blocks, by_class
from madem.stream.windows import RunningAccuracy, WindowResult
from madem_emulator.twin.config import Config
from madem_emulator.twin.features import TwinFeatures
from madem_emulator.twin.gated import GateSettings, UpdateGate
from madem_emulator.twin.twin import Twin

Bytes = NDArray[np.uint8]
Labels = NDArray[np.int64]


class _Inputs(NamedTuple):
    """What the networks of one course are shown.

    Attributes:
        stream: of each window, uint8 (windows, inputs).
        tests: held-out windows at each check, with the stream's normalisation, and their labels.
    """

    stream: Bytes
    tests: list[tuple[Bytes, Labels]]


def run(
    courses: Sequence[DriftStream],
    config: Config,
    seeds: Sequence[int],
    pace: tuple[int, int],
    care: GateSettings,
) -> list[PrequentialResult]:
    """A network for each course: see `on_the_fly.run`.

    Args:
        courses: of equal length, with the change at the same window.
        config: of all networks, but for the seed.
        seeds: of each.
        pace: RATE and TRAIN.
        care: what is learned.
    """
    shown = [_inputs(course) for course in courses]
    cuts = blocks(courses[0])
    at = courses[0].change_at
    stream = np.stack([one.stream for one in shown])
    labels = np.stack([course.labels for course in courses])
    truth = np.stack([course.truth for course in courses])
    twin, frozen = Twin(config, seeds), Twin(config, seeds)
    gate = UpdateGate(twin, care)
    results = [PrequentialResult() for _ in courses]
    memories = [RunningAccuracy(MEMORY) for _ in courses]
    rate, pulses_per_update = pace
    for k, (begin, end) in enumerate(cuts):
        if begin == at:
            frozen.load_state(twin.state())
        for t in range(begin, end):
            judged = gate.learn(rate, stream[:, t], labels[:, t], pulses_per_update)
            for b, result in enumerate(results):
                window = WindowResult(
                    number=t,
                    answer=int(judged.answer[b]),
                    margin=int(judged.margin[b]),
                    label=int(truth[b, t]),
                    learned=bool(judged.learned[b]),
                    rolled_back=bool(judged.rolled_back[b]),
                )
                result.windows.append(window)
                result.running.append(memories[b].add(bool(window.right)))
        x = np.stack([one.tests[k][0] for one in shown])
        answers = _answers(twin, x, 0)
        stopped = _answers(frozen, x, 0) if begin >= at else None
        for b, result in enumerate(results):
            wanted = shown[b].tests[k][1]
            right = answers[b] == wanted
            stale = None if stopped is None else float(np.mean(stopped[b] == wanted))
            names = courses[b].task.class_names
            result.checks.append(
                Check(end, float(right.mean()), stale, by_class(right, wanted, len(names)))
            )
    later = _answers(frozen, stream[:, at:], at) == truth[:, at:]
    for b, result in enumerate(results):
        memory = RunningAccuracy(MEMORY)
        result.frozen = [float("nan")] * at + [memory.add(bool(right)) for right in later[b]]
    return results


def fresh_levels(
    tasks: Sequence[StreamTask],
    changes: Sequence[concept_drift.Change],
    plan: learn.Recipe,
    seeds: Sequence[int],
) -> list[float]:
    """Of each task and seed: see `on_the_fly.fresh_level`."""
    changed = [
        concept_drift.changed_task(task, what) for task, what in zip(tasks, changes, strict=True)
    ]
    features = [concept_drift.features_of(task, list(task.segments))[0] for task in changed]
    pipelines = [TwinFeatures(task.pipeline) for task in changed]
    twin = Twin(plan.settings.integers(), seeds)
    for k in range(plan.epochs):
        rate, pulses_per_update = plan.schedule(k)
        codes, targets = [], []
        for task, windows, pipeline in zip(changed, features, pipelines, strict=True):
            batch = task.feed.train_pass(k)
            order = [number_of(name) for name in batch.x]
            codes.append(pipeline.codes(windows[order], follow=True))
            targets.append(batch.target)
        for x, target in zip(np.stack(codes, axis=1), np.stack(targets, axis=1), strict=True):
            twin.learn(rate, x, target, pulses_per_update)
    tested = [
        pipeline.codes(windows[len(task.y_train) :], follow=False)
        for task, windows, pipeline in zip(changed, features, pipelines, strict=True)
    ]
    right = _answers(twin, np.stack(tested), 0) == np.stack([task.y_test for task in changed])
    return right.mean(axis=1).tolist()


def _inputs(course: DriftStream) -> _Inputs:
    task = course.task
    features, _ = concept_drift.features_of(task, list(task.segments))
    pipeline = TwinFeatures(task.pipeline)
    stream, tests = [], []
    for begin, end in blocks(course):
        stream.append(pipeline.codes(features[begin:end], follow=True))
        windows, labels = course.tests(end - 1)
        tests.append((pipeline.codes(windows, follow=False), labels))
    return _Inputs(np.concatenate(stream), tests)


def _answers(twin: Twin, x: Bytes, first: int) -> Labels:
    """Of each board to each of its windows x, (B, windows, inputs): (B, windows)."""
    return twin.predict_many(first, x)[-1].argmax(axis=-1)
