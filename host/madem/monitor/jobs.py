"""What a watched board can be set to work on."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from madem.boards.link_protocol import Flag, Mode
from madem.boards.timing import stream_load
from madem.data.concept_drift import DriftStream
from madem.data.stream_task import StreamTask, WindowSamples
from madem.data.task import Samples, Task
from madem.errors import MademError
from madem.learn import session
from madem.learn import train as learn
from madem.learners.board import BoardLearner
from madem.learners.novelty import NoveltyDetector
from madem.learners.protocol import Bytes, Learner, Presentation, Progress
from madem.learners.state import NetworkState
from madem.learners.stream import BoardStream
from madem.monitor.limits import Limits
from madem.monitor.poller import Look
from madem.monitor.run_state import SHOWN_WINDOWS, Stage, Watch
from madem.stream import onboard_run, prequential, replay, sources
from madem.stream.novelty import recipe
from madem.stream.onboard import Live
from madem.stream.onboard_run import RunOptions
from madem.stream.sensors import Sensor
from madem.stream.sources import Sample, Source
from madem.stream.windows import WindowResult
from madem_emulator.twin.gated import GateSettings
from madem_emulator.twin.pipeline import Pipeline

_WAIT_MS = 100
"""That a board may keep a question waiting for a window."""
_PIECE_S = 0.2
"""Seconds of learning between two looks."""
Each = Callable[[WindowSamples, int, Sample], None]
"""Takes the samples that complete a window, its number, and the last of the samples."""

_MEMORY_TASK, _MEMORY_STREAM = 200, 50
"""Samples or windows that the running accuracy remembers."""


class Job(Protocol):
    """Work for a board."""

    def __call__(self, device: BoardLearner, watch: Watch, limits: Limits) -> None:
        """Work until it is done.

        Raises:
            MademError: the board can't go on.
            StoppedError, TimeIsUpError: it shall not.
        """
        ...


@dataclass(frozen=True)
class LearnTask:
    """Learn a task, then test it.

    Attributes:
        task, plan: as for `learn.train`.
        settings: what the header shall say of it.
        pace: samples a second at most, so that one can follow; None: as fast as it goes.
    """

    task: Task
    plan: learn.Recipe
    settings: dict[str, Any] = field(default_factory=dict)
    pace: float | None = None

    def __call__(self, device: BoardLearner, watch: Watch, limits: Limits) -> None:
        """See `Job`."""
        task = self.task
        # Nothing could be seen, and nothing stopped, while devices behind chips are written.
        learner, plan = session.prepare(device, self.plan, task, None, keep_weights=True)
        config = learner.config
        total = plan.epochs * task.samples_per_pass
        watch.set(
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
            watch.set(channels=task.channel_names, rate_hz=task.rate_hz)
            keep = task.pipeline.window + (SHOWN_WINDOWS - 1) * task.pipeline.hop
        look = Look(device, watch, network=True, learns=True, chips=bool(plan.design))
        watched = _Watched(learner, task, watch, look, limits, self.pace)
        watch.begin(Stage.LEARNING, memory=_MEMORY_TASK, keep=keep)
        with look.to_the_end():
            learn.train(watched, task, plan, limit=limits.most)
        watch.set(stage=Stage.TESTING)
        watch.set(metrics=learn.evaluate(watched, task))


class _Watched:
    """A learner that is looked into between pieces of its work. See `Learner`."""

    def __init__(
        self,
        learner: Learner,
        task: Task,
        watch: Watch,
        look: Look,
        limits: Limits,
        pace: float | None,
    ) -> None:
        self._learner, self._task, self._watch = learner, task, watch
        self._look, self._limits, self._pace = look, limits, pace
        self._piece = 4
        self._most = 4096 if pace is None else max(1, round(pace * _PIECE_S))

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
        self._watch.set(passes=self._watch.facts.passes + 1)
        answers: list[Bytes] = []
        begin = 0
        while begin < len(x):
            self._limits.check(self._watch)
            began = time.monotonic()
            piece = slice(begin, begin + min(self._piece, self._most))
            found = self._learner.learn(rate, x[piece], targets[piece], progress, pulses_per_update)
            answers.append(found)
            begin = piece.stop
            took = time.monotonic() - began
            self._piece = max(1, min(4 * self._piece, int(self._piece * _PIECE_S / took)))
            # The learner's time counts from the last question on.
            self._watch.busy(self._look.health().busy_us)
            self._tell(found, x[piece], targets[piece])
            self._look.glance()
            if self._pace:
                self._limits.wait(self._watch.facts.samples / self._pace - self._watch.t_s)
        return np.concatenate(answers)

    def strike(self, stuck: int) -> None:
        """See `Learner.strike`."""
        self._learner.strike(stuck)

    def outputs(self, x: Samples, first: int = 0) -> Bytes:
        """See `Learner.outputs`."""
        self._limits.check(self._watch)
        return self._learner.outputs(x, first)

    def state(self) -> NetworkState:
        """See `Learner.state`."""
        return self._learner.state()

    def _tell(self, answers: Bytes, x: Samples, targets: Bytes) -> None:
        """What became of samples."""
        classes = self._task.kind == "classify"
        before = self._watch.facts.samples
        self._watch.answered(answers == targets if classes else answers == 0)
        if classes:
            self._watch.set(label=int(targets[-1]))
        if not isinstance(self._task, StreamTask):
            return
        for i in range(max(0, len(x) - SHOWN_WINDOWS), len(x)):
            self._watch.fed(x[i].samples)
            self._watch.mark(
                WindowResult(
                    before + i, answer=int(answers[i]), label=int(targets[i]), learned=True
                )
            )


@dataclass(frozen=True)
class LearnOnTheFly:
    """Test and learn an endless stream, window by window, while its world changes.

    Attributes:
        stream, steps, care: as for `on_the_fly.run`, with RATE and PULSES as `steps`.
        plan: gives the network.
        settings: what the header shall say of it.
        pace: windows a second at most; None: as fast as it goes.
    """

    stream: DriftStream
    plan: learn.Recipe
    steps: tuple[int, int]
    care: GateSettings
    settings: dict[str, Any] = field(default_factory=dict)
    pace: float | None = None

    def __call__(self, device: BoardLearner, watch: Watch, limits: Limits) -> None:
        """See `Job`."""
        stream, task = self.stream, self.stream.task
        config = self.plan.settings.integers()
        device.configure(config)
        watch.set(
            task=f"{task.name} on the fly",
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
        look = Look(device, watch, network=True, learns=True)
        keep = task.pipeline.window + (SHOWN_WINDOWS - 1) * task.pipeline.hop
        watch.begin(Stage.LEARNING, memory=prequential.MEMORY, keep=keep)

        def each(window: WindowResult, _: float) -> None:
            limits.check(watch)
            watch.fed(task.windows[window.number].samples)
            watch.window(window)
            look.glance()
            if self.pace:
                limits.wait(watch.facts.samples / self.pace - watch.t_s)

        with look.to_the_end():
            prequential.run(learner, stream, self.steps, self.care, watch=each)


@dataclass(frozen=True)
class ReplayStream:
    """Feed a source to a board's pipeline.

    Attributes:
        spec, rate_hz, scale: as for `stream.open_source`.
        fast: as fast as the board takes it, not at the source's rate.
        pipeline, load, novelty, seed: as for `stream_run.replay`.
    """

    spec: str
    rate_hz: float | None = None
    scale: tuple[float, ...] | None = None
    fast: bool = False
    pipeline: str | None = None
    load: str | None = None
    novelty: bool = False
    seed: int = 1

    def open(self) -> Source:
        """The source; a new one each time."""
        lines = sources.stdin_lines(sys.stdin) if self.spec == "-" else None
        return sources.open_source(self.spec, rate_hz=self.rate_hz, scale=self.scale, stdin=lines)

    def __call__(self, device: BoardLearner, watch: Watch, limits: Limits) -> None:
        """See `Job`."""
        with self.open() as source:
            saved, pipeline = replay.choose(source.channels, self.pipeline, self.load, self.novelty)
            watch.set(
                task=Path(source.name).name,
                settings={"pipeline": str(pipeline)},
                channels=source.channels,
                rate_hz=source.rate_hz,
                names=pipeline.names(source.channels),
            )
            keep = pipeline.window + (SHOWN_WINDOWS - 1) * pipeline.hop
            if saved:
                work = self._classify(device, watch, pipeline, saved)
            elif self.novelty:
                work = self._detect(device, watch, pipeline)
            else:
                work = self._features(device, watch, pipeline)
            look = Look(device, watch, network=bool(saved) or self.novelty, learns=self.novelty)
            watch.begin(Stage.STREAMING, memory=_MEMORY_STREAM, keep=keep)
            cutter = replay.Cutter(pipeline, source.rate_hz)
            chunks = self._chunks(source, cutter, watch, limits)
            with look.to_the_end():
                for number, (chunk, sample) in enumerate(islice(chunks, limits.most)):
                    watch.fed(chunk.samples)
                    work(chunk, number, sample)
                    look.glance()

    def _chunks(
        self, source: Source, cutter: replay.Cutter, watch: Watch, limits: Limits
    ) -> Iterator[tuple[WindowSamples, Sample]]:
        """Chunks that complete a window, each with its last sample."""
        samples = iter(source) if source.live or self.fast else sources.at_true_rate(source)
        for sample in limits.heed(samples, watch):
            if chunk := cutter.add(sample):
                yield chunk, sample

    def _classify(
        self, device: BoardLearner, watch: Watch, pipeline: Pipeline, saved: NetworkState
    ) -> Each:
        """Say which class each window is."""
        feeder = replay.classifier(device, pipeline, saved)
        names = saved.notes["classes"]
        watch.set(measure="accuracy", classes=tuple(names))

        def each(chunk: WindowSamples, number: int, sample: Sample) -> None:
            label = names.index(sample.label) if sample.label in names else None
            how = Presentation(Mode.PREDICT, Flag.FOLLOW, first=number)
            for found in feeder.present([chunk], [0], how):
                watch.window(WindowResult(number, sample.t_us / 1e6, found.answer, label=label))

        return each

    def _detect(self, device: BoardLearner, watch: Watch, pipeline: Pipeline) -> Each:
        """Learn what is usual, and say how new each window is."""
        plan = recipe(pipeline, self.seed)
        device.configure(plan.settings.integers())
        detector = NoveltyDetector(BoardStream(device, pipeline))
        rate, usual = plan.settings.rate(), replay.Usual()
        watch.set(measure="novelty score")

        def each(chunk: WindowSamples, number: int, sample: Sample) -> None:
            (score,) = detector.learn(rate, [chunk])
            window = WindowResult(number, sample.t_us / 1e6, learned=True, score=score)
            watch.window(window, new=usual.judge(score))

        return each

    def _features(self, device: BoardLearner, watch: Watch, pipeline: Pipeline) -> Each:
        """Compute the features alone."""
        feeder = BoardStream(device, pipeline)

        def each(chunk: WindowSamples, number: int, sample: Sample) -> None:
            for _ in feeder.present([chunk], [0], Presentation(Mode.FEATURES, Flag.FOLLOW)):
                watch.set(inputs=feeder.inputs())
                watch.window(WindowResult(number, sample.t_us / 1e6))

        return each


@dataclass(frozen=True)
class OwnSensor:
    """Have a board work on what its own sensor measures.

    Attributes:
        sensor: which one.
        options: as for `live_run.run`; without `raw` the samples stay on the board.
    """

    sensor: Sensor
    options: RunOptions

    def __call__(self, device: BoardLearner, watch: Watch, limits: Limits) -> None:
        """See `Job`."""
        sensor, options = self.sensor, self.options
        onboard_run.check(sensor, options)
        saved, pipeline = replay.choose(
            sensor.channels, options.pipeline, options.load, options.novelty
        )
        classes = onboard_run.class_names(options, saved)
        live = Live(device, sensor, pipeline)
        feeder = live.prepare()
        mode, flags, rate = onboard_run.network(device, feeder, saved, options, len(classes))
        learns = mode == Mode.LEARN
        sizes = device.config.sizes if mode else ()
        load = stream_load(pipeline, live.rate_hz, sizes, learns=learns, bus_s=sensor.bus_s)
        watch.set(
            task=sensor.spec,
            measure="novelty score" if options.novelty else "accuracy" if classes else "",
            settings={
                "pipeline": str(pipeline),
                "load of a Cortex-M3 at 48 MHz": f"{100 * load.share:.0f} %",
            },
            channels=sensor.channels,
            rate_hz=live.rate_hz,
            names=pipeline.names(sensor.channels),
            classes=classes,
            lost=0,
        )
        look = Look(device, watch, network=mode > 0, learns=learns)
        keep = pipeline.window + (SHOWN_WINDOWS - 1) * pipeline.hop
        stage = Stage.LEARNING if learns else Stage.STREAMING
        watch.begin(stage, memory=_MEMORY_STREAM, keep=keep)
        room = onboard_run.raw_room(live) if options.raw else 0
        live.start(mode, rate=rate, flags=flags, raw=room)
        try:
            with look.to_the_end():
                self._follow(live, feeder, watch, limits, look)
        finally:
            with contextlib.suppress(MademError):
                live.stop()

    def _follow(
        self, live: Live, feeder: BoardStream, watch: Watch, limits: Limits, look: Look
    ) -> None:
        """Tell the watch what comes, until it ends."""
        usual = replay.Usual()
        while limits.most is None or watch.facts.samples < limits.most:
            limits.check(watch)
            status, windows = live.new(_WAIT_MS)
            watch.set(lost=status.lost)
            if self.options.raw and (rows := live.raw()):
                watch.fed(np.array([row.values for row in rows], np.int16))
            for window in windows:
                assert window.t_s is not None
                end = round(window.t_s * live.rate_hz)
                new = window.score is not None and usual.judge(window.score)
                if window.label is not None and window.label >= len(watch.facts.classes):
                    window = replace(window, label=None)  # pins can show more than there are
                watch.window(window, new, end)
            if windows and not look.network:
                watch.set(inputs=feeder.inputs())
            look.glance()
            if not status.running and not windows:
                return
