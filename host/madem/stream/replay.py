"""A source runs through a board: features, classes or novelty scores, window by window."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.boards.link_protocol import Flag, Mode
from madem.data.files.recording import GAP
from madem.data.match import Taught
from madem.data.stream_task import WindowSamples
from madem.errors import MademError, TaskError
from madem.learn import session
from madem.learners.board import BoardLearner
from madem.learners.protocol import Presentation
from madem.learners.stream import BoardStream
from madem.network.network import Network, StreamInputs
from madem.stream import lines
from madem.stream.novelty import NoveltyThreshold
from madem.stream.novelty import recipe as novelty_recipe
from madem.stream.sources import Sample, Source
from madem.stream.windows import WindowResult
from madem_emulator.twin.pipeline import Pipeline, PipelineError, parse


class WindowCutter:
    """Cuts a stream into the samples that complete a window each."""

    def __init__(self, pipeline: Pipeline, rate_hz: float | None) -> None:
        """Begin a stream.

        Args:
            pipeline: says how long windows are, and how far apart.
            rate_hz: samples a second; None: gaps in time are not looked for.
        """
        self._pipeline = pipeline
        self._gap_us = GAP * 1e6 / rate_hz if rate_hz else None
        self._last_us: int | None = None
        self._labels: deque[str] = deque(maxlen=pipeline.window)
        self._values: list[tuple[int, ...]] = []
        self._restart = True

    def add(self, sample: Sample) -> WindowSamples | None:
        """Take the next sample.

        Args:
            sample: the next one.

        Returns:
            The samples since the window before, if this one completes a window; else None.
        """
        before, self._last_us = self._last_us, sample.t_us
        if before is not None and self._gap_us and sample.t_us - before > self._gap_us:
            self._values.clear()
            self._labels.clear()
            self._restart = True
        self._values.append(sample.values)
        self._labels.append(sample.label)
        p = self._pipeline
        if len(self._values) < (p.window if self._restart else p.hop):
            return None
        cut = WindowSamples(np.array(self._values, np.int16), self._restart)
        self._values.clear()
        self._restart = False
        return cut

    @property
    def label(self) -> str:
        """That of all samples of the newest window; "" where they are of several, or of none."""
        return self._labels[0] if len(set(self._labels)) == 1 else ""


class ReplayedWindow(NamedTuple):
    """A window that a board has worked on.

    Attributes:
        result: what it gave; its label is None where the network has no such class.
        label: what the source calls all of the window's samples; "" where they are of several, or
            have no label.
        inputs: of the network, (2 features,), where the board computes features alone; else None.
    """

    result: WindowResult
    label: str
    inputs: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class ReplayOptions:
    """The choices of what a board does with a source.

    Attributes:
        pipeline: what it computes; None: what the network of `load` was taught with.
        load: a saved network that classifies the windows; None: no such network.
        novelty: learn without labels, and score.
        seed: of the novelty network.
    """

    pipeline: str | None = None
    load: Network | None = None
    novelty: bool = False
    seed: int = 1


class ReplayRun:
    """A source's way through a board's pipeline.

    It classifies with a saved network, learns without labels what is usual and scores, or
    computes features alone.

    Attributes:
        pipeline: what the board computes.
        saved: the network that classifies; None without one.
        classes: names of its answers; () without one.
        novelty: the board learns without labels.
    """

    def __init__(self, source: Source, options: ReplayOptions) -> None:
        """Plan a run; the board is not needed yet.

        Args:
            source: gives the samples.
            options: what the board does with them.

        Raises:
            MademError: options that don't go together, or the network does not fit the source.
        """
        self.saved = options.load
        self.pipeline = choose(source.channels, options.pipeline, options.load, options.novelty)
        self.classes: tuple[str, ...] = self.saved.names if self.saved else ()
        self.novelty = options.novelty
        self._rate_hz, self._seed = source.rate_hz, options.seed

    def prepare(self, device: BoardLearner) -> None:
        """Bring network and pipeline to the board.

        Args:
            device: the board.

        Raises:
            DeviceError: they do not fit.
        """
        follow = Flag(0) if self.saved and not self.pipeline.follow else Flag.FOLLOW
        how = Presentation(Mode.PREDICT if self.saved else Mode.FEATURES, follow)
        if self.novelty:
            settings = novelty_recipe(self.pipeline, self._seed).settings
            device.configure(settings.integers())
            how = Presentation(Mode.LEARN, Flag.FOLLOW | Flag.OWN, settings.rate())
        self._stream, self._how = BoardStream(device, self.pipeline), how
        if self.saved:
            self._stream.load(self.saved.state)

    def windows(self, samples: Iterable[Sample]) -> Iterator[tuple[WindowSamples, ReplayedWindow]]:
        """Send samples to the prepared board.

        Args:
            samples: the source's, as they are to be sent.

        Yields:
            For each window the samples that completed it, and what became of it.
        """
        cutter, threshold = WindowCutter(self.pipeline, self._rate_hz), NoveltyThreshold()
        number = 0
        for sample in samples:
            if not (cut := cutter.add(sample)):
                continue
            (reply,) = self._stream.present([cut], [0], self._how._replace(first=number))
            result, inputs = WindowResult(number, sample.t_us / 1e6), None
            if self.novelty:
                new = threshold.is_new(reply.answer)
                result = replace(result, learned=True, score=reply.answer, new=new)
            elif self.saved:
                known = cutter.label in self.classes
                label = self.classes.index(cutter.label) if known else None
                result = replace(result, answer=reply.answer, label=label)
            else:
                inputs = self._stream.inputs()
            yield cut, ReplayedWindow(result, cutter.label, inputs)
            number += 1


def replay(
    source: Source,
    samples: Iterable[Sample],
    board: str,
    options: ReplayOptions,
    say: Callable[[str], None],
    patience: float | None = None,
) -> dict[str, Any]:
    """Feed samples to a board, and say what each window gave.

    Args:
        source: where they come from.
        samples: the source's, as they are to be sent.
        board: which board.
        options: what it does with them.
        say: gets a line for each window.
        patience: how long the board may take for an answer, in s; None: as `open_board`.

    Returns:
        What all windows gave, for JSON.

    Raises:
        MademError: options that don't go together, the board is the twin, or fails, or the
            network does not fit.
    """
    run = ReplayRun(source, options)
    windows: list[ReplayedWindow] = []
    with session.open_learner(board, patience=patience) as device:
        if device is None:
            raise MademError("a stream is replayed to a board: choose one")
        began = time.monotonic()
        run.prepare(device)
        for _, window in run.windows(samples):
            windows.append(window)
            say(lines.window_line(window.result, run.classes, window.label, window.inputs))
        wall = time.monotonic() - began
    found: dict[str, Any] = {
        "board": board,
        "pipeline": str(run.pipeline),
        "channels": list(source.channels),
        "windows": len(windows),
    }
    return found | _summary(run, windows) | {"wall_s": round(wall, 3)}


def _summary(run: ReplayRun, windows: Sequence[ReplayedWindow]) -> dict[str, Any]:
    results = [window.result for window in windows]
    if run.novelty:
        return {
            "scores": [result.score for result in results],
            "new_at_s": [result.t_s for result in results if result.new],
        }
    if run.saved is None:
        return {"inputs": [w.inputs.tolist() for w in windows if w.inputs is not None]}
    answers = [run.classes[result.answer] for result in results if result.answer is not None]
    right = [w.label == answer for w, answer in zip(windows, answers, strict=True) if w.label]
    return {
        "answers": answers,
        "counts": dict(Counter(answers)),
        "accuracy": sum(right) / len(right) if right else None,
    }


def stream_of(saved: Network | None) -> Taught | None:
    """Say what a saved network asks of a source's channels.

    Args:
        saved: the network; None: there is none.

    Returns:
        Names and scale of its channels; None where it does not know them.
    """
    if saved is None or not isinstance(saved.inputs, StreamInputs) or not saved.inputs.named:
        return None
    return saved.taught


def choose(
    channels: Sequence[str], pipeline: str | None, load: Network | None, novelty: bool
) -> Pipeline:
    """Choose what the board is to compute.

    Args:
        channels: of the source.
        pipeline: as in `ReplayOptions`.
        load: as in `ReplayOptions`.
        novelty: as in `ReplayOptions`.

    Returns:
        The pipeline.

    Raises:
        MademError: they don't go together.
    """
    if load is not None and (novelty or pipeline is not None):
        raise MademError("--load brings its own pipeline, and classifies: leave the others out")
    if load is None and pipeline is None:
        raise MademError("say with --pipeline what the board shall compute, or --load a network")
    line = load.pipeline if load else pipeline
    if not line:
        raise TaskError("the saved network was not taught with a stream")
    try:
        one = parse(line, len(channels))
    except PipelineError as error:
        raise MademError(str(error)) from None
    if load and load.state.config.sizes[0] != one.inputs:
        raise TaskError(
            f"the saved network has {load.state.config.sizes[0]} inputs, but a source of"
            f" {one.channels} channels gives {one.inputs}: it is another sensor's"
        )
    return one
