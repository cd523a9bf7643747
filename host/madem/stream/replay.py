"""A stream runs through a board: features, classes or novelty scores, window by window."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from madem.boards.link_protocol import Flag, Mode
from madem.data.files.recording import GAP
from madem.data.stream_task import WindowSamples
from madem.errors import MademError, TaskError
from madem.learn import session
from madem.learners import state
from madem.learners.board import BoardLearner
from madem.learners.novelty import NoveltyDetector
from madem.learners.protocol import Presentation
from madem.learners.stream import BoardStream
from madem.stream.novelty import recipe
from madem.stream.sources import Sample, Source
from madem_emulator.twin.pipeline import Pipeline, PipelineError, parse

_USUAL = 16
"""Windows that the novelty detector learns before it says that one is new."""
_NEW = 3.0
"""Mean absolute deviations above the usual score at which a window is called new: 2.4 σ of
normally distributed scores, so that about one usual window in a hundred is."""
_RECENT = 128
"""Usual windows that are looked back at."""
_BARS = " ▁▂▃▄▅▆▇█"

Say = Callable[[str], None]


class Cutter:
    """Cuts a stream into the chunks that complete a window each."""

    def __init__(self, pipeline: Pipeline, rate_hz: float | None) -> None:
        self._pipeline = pipeline
        self._gap_us = GAP * 1e6 / rate_hz if rate_hz else None
        self._last_us: int | None = None
        self._values: list[tuple[int, ...]] = []
        self._restart = True

    def add(self, sample: Sample) -> WindowSamples | None:
        """Take a sample; a chunk if it completes a window."""
        before, self._last_us = self._last_us, sample.t_us
        if before is not None and self._gap_us and sample.t_us - before > self._gap_us:
            self._values.clear()
            self._restart = True
        self._values.append(sample.values)
        p = self._pipeline
        if len(self._values) < (p.window if self._restart else p.hop):
            return None
        chunk = WindowSamples(np.array(self._values, np.int16), self._restart)
        self._values.clear()
        self._restart = False
        return chunk


class Usual:
    """What scores are usual: follows them, and says how far above one is."""

    def __init__(self) -> None:
        self._scores: list[int] = []

    def judge(self, score: int) -> bool:
        """Whether the score is that of something new; it counts among the usual if not."""
        recent = self._scores[-_RECENT:]
        if len(recent) >= _USUAL:
            centre = float(np.median(recent))
            spread = float(np.mean(np.abs(np.array(recent) - centre)))
            if score > centre + _NEW * max(spread, 1.0):
                return True
        self._scores.append(score)
        return False


def replay(
    source: Source,
    samples: Iterable[Sample],
    board: str,
    say: Say,
    *,
    pipeline: str | None = None,
    load: str | None = None,
    novelty: bool = False,
    seed: int = 1,
) -> dict[str, Any]:
    """Feed samples to a board and say what each window gave.

    Args:
        source, samples: where they come from, and they as they are to be sent.
        board: which board.
        say: gets a line for each window.
        pipeline: what the board computes; with `load` what the network was taught with.
        load: a saved network that classifies the windows.
        novelty: learn without labels, and score.
        seed: of the novelty network.

    Raises:
        MademError: options that don't go together, or the board or the network does not fit.
    """
    saved, one = choose(source.channels, pipeline, load, novelty)
    with session.open_learner(board) as device:
        if device is None:
            raise MademError("a stream is replayed to a board: choose one")
        cutter = Cutter(one, source.rate_hz)
        began = time.monotonic()
        if saved:
            results = _classify(device, one, saved, cutter, samples, say)
        elif novelty:
            results = _detect(device, one, seed, cutter, samples, say)
        else:
            results = _features(device, one, cutter, samples, say)
        results["wall_s"] = round(time.monotonic() - began, 3)
    return {"board": board, "pipeline": str(one), "channels": list(source.channels)} | results


def choose(
    channels: Sequence[str], pipeline: str | None, load: str | None, novelty: bool
) -> tuple[state.NetworkState | None, Pipeline]:
    """The saved network, if one is to classify, and what the board is to compute.

    Args:
        channels: of the source.
        pipeline, load, novelty: as for `replay`.

    Raises:
        MademError: they don't go together.
    """
    if load is not None and (novelty or pipeline is not None):
        raise MademError("--load brings its own pipeline, and classifies: leave the others out")
    if load is None and pipeline is None:
        raise MademError("say with --pipeline what the board shall compute, or --load a network")
    saved = state.load(load) if load else None
    line = saved.notes.get("pipeline") if saved else pipeline
    if line is None:
        raise TaskError(f"{load} was not taught with a stream")
    try:
        one = parse(line, len(channels))
    except PipelineError as error:
        raise MademError(str(error)) from None
    if saved and saved.config.sizes[0] != one.inputs:
        raise TaskError(
            f"the saved network has {saved.config.sizes[0]} inputs, but a source of"
            f" {one.channels} channels gives {one.inputs}: it is another sensor's"
        )
    return saved, one


def classifier(device: BoardLearner, pipeline: Pipeline, saved: state.NetworkState) -> BoardStream:
    """A board that has a saved network and its normalisation."""
    device.load(saved)
    feeder = BoardStream(device, pipeline)
    feeder.set_normalisation(bytes.fromhex(saved.notes["normalisation"]))
    return feeder


def picture(channels: Sequence[str], samples: Sequence[Sample]) -> str:
    """A line for each channel: its range in these samples, drawn 60 columns wide."""
    values = np.array([sample.values for sample in samples], float)
    lines = [f"{samples[-1].t_us / 1e6:8.1f} s  {samples[-1].label}".rstrip()]
    width = max(map(len, channels))
    for name, column in zip(channels, values.T, strict=True):
        parts = [part.mean() for part in np.array_split(column, min(60, len(column)))]
        low, high = column.min(), column.max()
        lines.append(f"  {name:<{width}}  {bars(parts, low, high)}  {low:g} to {high:g}")
    return "\n".join(lines)


def bars(values: Iterable[float], low: float, high: float) -> str:
    """A character a value, higher ones for what is nearer to `high`."""
    span = max(high - low, 1e-9)
    steps = len(_BARS) - 2
    return "".join(_BARS[1 + round((value - low) / span * steps)] for value in values)


def _features(
    device: BoardLearner, pipeline: Pipeline, cutter: Cutter, samples: Iterable[Sample], say: Say
) -> dict[str, Any]:
    feeder = BoardStream(device, pipeline)
    rows = []
    for sample in samples:
        if chunk := cutter.add(sample):
            for _ in feeder.present([chunk], [0], Presentation(Mode.FEATURES, Flag.FOLLOW)):
                inputs = feeder.inputs()
                rows.append(inputs.tolist())
                # Above the centre less below it, one bar a feature.
                both = inputs.reshape(-1, 2).astype(int)
                drawn = bars((both[:, 0] - both[:, 1]).tolist(), -255, 255)
                say(f"{sample.t_us / 1e6:8.1f} s  {drawn}")
    return {"windows": len(rows), "inputs": rows}


def _classify(
    device: BoardLearner,
    pipeline: Pipeline,
    saved: state.NetworkState,
    cutter: Cutter,
    samples: Iterable[Sample],
    say: Say,
) -> dict[str, Any]:
    feeder = classifier(device, pipeline, saved)
    names = saved.notes["classes"]
    answers: list[str] = []
    right = labelled = 0
    for sample in samples:
        if chunk := cutter.add(sample):
            how = Presentation(Mode.PREDICT, Flag.FOLLOW, first=len(answers))
            for window in feeder.present([chunk], [0], how):
                answers.append(names[window.answer])
                labelled += bool(sample.label)
                right += answers[-1] == sample.label
                mark = f"  (labelled {sample.label})" if sample.label else ""
                say(f"{sample.t_us / 1e6:8.1f} s  {answers[-1]}{mark}")
    return {
        "windows": len(answers),
        "answers": answers,
        "counts": dict(Counter(answers)),
        "accuracy": right / labelled if labelled else None,
    }


def _detect(
    device: BoardLearner,
    pipeline: Pipeline,
    seed: int,
    cutter: Cutter,
    samples: Iterable[Sample],
    say: Say,
) -> dict[str, Any]:
    plan = recipe(pipeline, seed)
    device.configure(plan.settings.integers())
    detector = NoveltyDetector(BoardStream(device, pipeline))
    rate = plan.settings.rate()
    usual = Usual()
    scores: list[int] = []
    new: list[float] = []
    for sample in samples:
        if chunk := cutter.add(sample):
            (score,) = detector.learn(rate, [chunk])
            scores.append(score)
            is_new = usual.judge(score)
            if is_new:
                new.append(sample.t_us / 1e6)
            say(f"{sample.t_us / 1e6:8.1f} s  {score:8,}{'  new' if is_new else ''}")
    return {"windows": len(scores), "scores": scores, "new_at_s": new}
