"""The jobs that a monitor gives to boards: each watches a run that other commands have too."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from madem.boards.link_protocol import Mode
from madem.data.concept_drift import DriftStream
from madem.data.files.judge import ReadOptions
from madem.data.stream_task import StreamTask
from madem.data.task import Samples, Task
from madem.errors import MademError
from madem.learn import session
from madem.learn import train as learn
from madem.learners.board import BoardLearner
from madem.learners.protocol import Bytes, Learner, Progress
from madem.learners.state import NetworkState
from madem.learners.stream import BoardStream
from madem.monitor.limits import RunLimits
from madem.monitor.poller import Poller
from madem.monitor.run_state import SHOWN_WINDOWS, RunState, Stage
from madem.stream import sources
from madem.stream.onboard_run import OnboardBatch, OnboardRun
from madem.stream.prequential import MEMORY, run_prequential
from madem.stream.replay import ReplayOptions, ReplayRun, stream_of
from madem.stream.windows import WindowResult
from madem_emulator.twin.gated import GateSettings
from madem_emulator.twin.pipeline import Pipeline

_PIECE_S = 0.2
"""Seconds of learning between two polls."""
_MEMORY_TASK, _MEMORY_STREAM = 200, 50
"""Samples or windows that the running accuracy remembers."""


class BoardJob(Protocol):
    """Something that a board is to do."""

    def __call__(self, device: BoardLearner, state: RunState, limits: RunLimits) -> None:
        """Have a board do it to the end, and tell how it goes.

        Args:
            device: the board, connected.
            state: is told.
            limits: say when to end before that.

        Raises:
            MademError: the board can't go on.
            StoppedError, TimeIsUpError: it shall not go on.
        """
        ...


@dataclass(frozen=True)
class LearnJob:
    """Learn a task, then test it.

    Attributes:
        task, plan: as for `train.train`.
        settings: what else is shown of it, by name.
        throttle: samples a second at most, so that one can follow; None: as fast as it goes.
    """

    task: Task
    plan: learn.Recipe
    settings: dict[str, Any] = field(default_factory=dict)
    throttle: float | None = None

    def __call__(self, device: BoardLearner, state: RunState, limits: RunLimits) -> None:
        """See `BoardJob`."""
        task = self.task
        # Nothing could be seen, and nothing stopped, while devices behind chips are written.
        learner, plan = session.prepare(device, self.plan, task, None, keep_weights=True)
        config = learner.config
        total = plan.epochs * task.samples_per_pass
        state.set(
            task=task.name,
            measure="accuracy" if task.kind == "classify" else "words recalled",
            settings=self.settings | {"layers": list(config.sizes)},
            total=total if limits.most is None else min(total, limits.most),
            of_passes=plan.epochs,
            classes=task.class_names if task.kind == "classify" else (),
            image=task.image_shape,
            braille=task.patterns is not None,
            dot_level=(config.t_hi + config.t_lo + 1) >> 1,
            names=task.feature_names,
        )
        keep = 0
        if isinstance(task, StreamTask):
            state.set(channels=task.channel_names, rate_hz=task.rate_hz)
            keep = _shown(task.pipeline)
        poller = Poller(device, state, network=True, learns=True, chips=bool(plan.design))
        watched = _Watched(learner, task, state, poller, limits, self.throttle)
        state.begin(Stage.LEARNING, memory=_MEMORY_TASK, keep=keep)
        with poller.polling_at_the_end():
            learn.train(watched, task, plan, limit=limits.most)
        state.set(stage=Stage.TESTING)
        state.set(metrics=learn.evaluate(watched, task))


class _Watched:
    """A learner whose board is polled between pieces of its work. See `Learner`."""

    def __init__(
        self,
        learner: Learner,
        task: Task,
        state: RunState,
        poller: Poller,
        limits: RunLimits,
        throttle: float | None,
    ) -> None:
        self._learner, self._task, self._state = learner, task, state
        self._poller, self._limits, self._throttle = poller, limits, throttle
        self._piece = 4
        self._most = 4096 if throttle is None else max(1, round(throttle * _PIECE_S))

    @property
    def config(self) -> Any:
        """See `Learner.config`."""
        return self._learner.config

    def learn(
        self,
        rate: int,
        x: Samples,
        targets: Bytes,
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> Bytes:
        """See `Learner.learn`."""
        self._state.set(passes=self._state.facts.passes + 1)
        answers: list[Bytes] = []
        begin = 0
        while begin < len(x):
            self._limits.check(self._state)
            began = time.monotonic()
            piece = slice(begin, begin + min(self._piece, self._most))
            found = self._learner.learn(rate, x[piece], targets[piece], progress, pulses_per_update)
            answers.append(found)
            begin = piece.stop
            took = time.monotonic() - began
            self._piece = max(1, min(4 * self._piece, int(self._piece * _PIECE_S / took)))
            # The learner's time counts from the last question on.
            self._state.add_busy(self._poller.health().busy_us)
            self._tell(found, x[piece], targets[piece])
            self._poller.poll()
            if self._throttle:
                self._limits.wait(self._state.facts.samples / self._throttle - self._state.t_s)
        return np.concatenate(answers)

    def add_stuck(self, stuck: int) -> None:
        """See `Learner.add_stuck`."""
        self._learner.add_stuck(stuck)

    def outputs(self, x: Samples) -> Bytes:
        """See `Learner.outputs`."""
        self._limits.check(self._state)
        return self._learner.outputs(x)

    def state(self) -> NetworkState:
        """See `Learner.state`."""
        return self._learner.state()

    def _tell(self, answers: Bytes, x: Samples, targets: Bytes) -> None:
        """Show what became of samples that were learned."""
        classes = self._task.kind == "classify"
        before = self._state.facts.samples
        self._state.add_answers(answers == targets if classes else answers == 0)
        if classes:
            self._state.set(label=int(targets[-1]))
        if not isinstance(self._task, StreamTask):
            return
        for i in range(max(0, len(x) - SHOWN_WINDOWS), len(x)):
            self._state.add_samples(x[i].samples)
            self._state.mark_window(
                WindowResult(
                    before + i, answer=int(answers[i]), label=int(targets[i]), learned=True
                )
            )


@dataclass(frozen=True)
class OnlineJob:
    """Test and learn an endless stream, window by window, while its world changes.

    Attributes:
        stream, step, gate: as for `run_prequential`.
        plan: gives the network.
        settings: what else is shown of it, by name.
        throttle: windows a second at most; None: as fast as it goes.
    """

    stream: DriftStream
    plan: learn.Recipe
    step: tuple[int, int]
    gate: GateSettings
    settings: dict[str, Any] = field(default_factory=dict)
    throttle: float | None = None

    def __call__(self, device: BoardLearner, state: RunState, limits: RunLimits) -> None:
        """See `BoardJob`."""
        stream, task = self.stream, self.stream.task
        config = self.plan.settings.integers()
        device.configure(config)
        state.set(
            task=f"{task.name}, online",
            measure="accuracy",
            settings=self.settings | {"change": stream.change.kind, "layers": list(config.sizes)},
            total=len(stream.truth),
            change_at=stream.change_at,
            classes=task.class_names,
            channels=task.channel_names,
            rate_hz=task.rate_hz,
            names=task.feature_names,
        )
        learner = BoardStream(device, task.pipeline)
        poller = Poller(device, state, network=True, learns=True)
        state.begin(Stage.LEARNING, memory=MEMORY, keep=_shown(task.pipeline))

        def each(window: WindowResult, _: float) -> None:
            limits.check(state)
            state.add_samples(task.windows[window.number].samples)
            state.add_window(window)
            poller.poll()
            if self.throttle:
                limits.wait(state.facts.samples / self.throttle - state.t_s)

        with poller.polling_at_the_end():
            run_prequential(learner, stream, self.step, self.gate, watch=each)


@dataclass(frozen=True)
class ReplayJob:
    """Feed a source to a board's pipeline.

    Attributes:
        spec, rate_hz, scale: as for `sources.open_source`.
        options: what the board does with it.
        fast: as fast as the board takes it, not at the source's rate.
        reading: of a file: what is not to be judged.
    """

    spec: str
    options: ReplayOptions
    rate_hz: float | None = None
    scale: tuple[float, ...] | None = None
    fast: bool = False
    reading: ReadOptions | None = None

    def __call__(self, device: BoardLearner, state: RunState, limits: RunLimits) -> None:
        """See `BoardJob`."""
        stdin = sources.stdin_lines(sys.stdin) if self.spec == "-" else None
        with sources.open_source(
            self.spec,
            rate_hz=self.rate_hz,
            scale=self.scale,
            options=self.reading,
            stdin=stdin,
            taught=stream_of(self.options.load),
        ) as source:
            run = ReplayRun(source, self.options)
            state.set(
                task=Path(source.name).name,
                measure="novelty score" if run.novelty else "accuracy" if run.saved else "",
                settings={"pipeline": str(run.pipeline)},
                channels=source.channels,
                rate_hz=source.rate_hz,
                names=run.pipeline.names(source.channels),
                classes=run.classes,
            )
            run.prepare(device)
            network = run.novelty or run.saved is not None
            poller = Poller(device, state, network=network, learns=run.novelty)
            state.begin(Stage.STREAMING, memory=_MEMORY_STREAM, keep=_shown(run.pipeline))
            samples = iter(source) if source.live or self.fast else sources.at_true_rate(source)
            windows = run.windows(limits.heed(samples, state))
            with poller.polling_at_the_end():
                for cut, window in islice(windows, limits.most):
                    state.add_samples(cut.samples)
                    if window.inputs is not None:
                        state.set(inputs=window.inputs)
                    state.add_window(window.result)
                    poller.poll()


@dataclass(frozen=True)
class OnboardJob:
    """Have a board work on what its own sensor measures.

    Attributes:
        run: what it does; without the option `raw` the samples stay on the board.
    """

    run: OnboardRun

    def __call__(self, device: BoardLearner, state: RunState, limits: RunLimits) -> None:
        """See `BoardJob`."""
        run, sensor = self.run, self.run.sensor
        run.prepare(device)
        state.set(
            task=sensor.spec,
            measure="novelty score" if run.options.novelty else "accuracy" if run.classes else "",
            settings={
                "pipeline": str(run.pipeline),
                "load of a Cortex-M3 at 48 MHz": f"{100 * run.load.share:.0f} %",
            },
            channels=sensor.channels,
            rate_hz=run.live.rate_hz,
            names=run.pipeline.names(sensor.channels),
            classes=run.classes,
            lost=0,
        )
        poller = Poller(device, state, network=run.mode != Mode.FEATURES, learns=run.learns)
        stage = Stage.LEARNING if run.learns else Stage.STREAMING
        state.begin(stage, memory=_MEMORY_STREAM, keep=_shown(run.pipeline))
        run.start()
        try:
            with poller.polling_at_the_end():
                for batch in run.batches():
                    _take(batch, run, state)
                    poller.poll()
                    limits.check(state)
                    if limits.most is not None and state.facts.samples >= limits.most:
                        break
        finally:
            with contextlib.suppress(MademError):
                run.stop()


def _take(batch: OnboardBatch, run: OnboardRun, state: RunState) -> None:
    """Show what a board has told of its own sensor."""
    state.set(lost=batch.status.lost)
    if batch.samples:
        state.add_samples(np.array([sample.values for sample in batch.samples], np.int16))
    for window in batch.windows:
        assert window.t_s is not None
        state.add_window(window, end=round(window.t_s * run.live.rate_hz))
    if batch.inputs is not None:
        state.set(inputs=batch.inputs)


def _shown(pipeline: Pipeline) -> int:
    """Samples of the windows that are shown."""
    return pipeline.window + (SHOWN_WINDOWS - 1) * pipeline.hop
