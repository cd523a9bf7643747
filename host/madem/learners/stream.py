"""Learners that are fed raw streams: a board's pipeline, the twin's, and both in lock step.

They take the samples of `StreamTask.feed`, which name windows, and look the raw samples up.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from madem.boards.link_protocol import (
    CENTRE_OFFSET,
    FEED_HEAD,
    FEED_REPLY,
    PIPELINE,
    Feature,
    Flag,
    Kind,
    Memory,
    Mode,
)
from madem.data.stream_task import StreamTask, WindowSamples, number_of
from madem.errors import LinkError, TaskError
from madem.learners.board import BoardLearner
from madem.learners.protocol import Progress
from madem.learners.state import NetworkState
from madem.learners.twin import TwinLearner
from madem.verify.lock_step import DiffersError, LockStep, Mismatch
from madem_emulator.twin.config import Config
from madem_emulator.twin.features import TwinFeatures
from madem_emulator.twin.pipeline import Pipeline
from madem_emulator.twin.twin import Digests

Bytes = NDArray[np.uint8]


class WindowReply(NamedTuple):
    """What a board made of one window.

    Attributes:
        answer: the class, or the novelty score.
        margin, fate: of a judged window, else 0: its margin, and what became of it.
        digests: of a traced window, else None.
        inputs: CRC-32 of the network's inputs of a traced window, else None.
    """

    answer: int
    margin: int = 0
    fate: int = 0
    digests: Digests | None = None
    inputs: int | None = None


class Feeder:
    """Sends a stream to a board's pipeline.

    Attributes:
        device: the board, with or without a network.
        pipeline: what it computes.
    """

    def __init__(self, device: BoardLearner, pipeline: Pipeline) -> None:
        """Set the pipeline up, with a fresh normalisation.

        Raises:
            DeviceError: it does not fit.
            LinkError: a sample does not fit a frame.
        """
        p = pipeline
        self.device, self.pipeline = device, p
        features = Feature.MEAN * p.mean | Feature.ENERGY * p.energy
        features |= Feature.ZERO * p.zero | Feature.MINMAX * p.minmax
        payload = PIPELINE.pack(p.channels, p.window, p.hop, features, p.bands, p.norm)
        device.link.request(Kind.PIPELINE, payload, timeout=20.0)
        self._room = (device.link.max_payload - FEED_HEAD.size) // (2 * p.channels)
        if self._room < 1:
            raise LinkError(f"a sample of {p.channels} channels does not fit one frame")

    def feed(
        self,
        chunks: Sequence[WindowSamples],
        number: int,
        mode: int,
        flags: int = 0,
        labels: Sequence[int] | None = None,
        rate: int = 0,
        pulses_per_update: int = 1,
    ) -> Iterator[WindowReply]:
        """Send chunks that complete a window each; gives what became of each.

        Args:
            number: step of the first window, or number of its prediction.
            mode, flags: see docs/reference/link.md; RESTART is set where a chunk says so.
            labels: class of each window.
            rate, pulses_per_update: as in `Learner.learn`.
        """

        def frames() -> Iterator[tuple[int, bytes]]:
            for i, chunk in enumerate(chunks):
                label = labels[i] if labels is not None else 0
                restart = Flag.RESTART if chunk.restart else 0
                for begin in range(0, len(chunk.samples), self._room):
                    part = chunk.samples[begin : begin + self._room]
                    # Only the part that completes the window can be traced.
                    last = begin + self._room >= len(chunk.samples)
                    how = (flags if last else flags & ~Flag.TRACED) | restart
                    head = FEED_HEAD.pack(number + i, rate, pulses_per_update, mode, how, label)
                    yield Kind.FEED, head + part.astype("<i2").tobytes()
                    restart = 0

        size = 4 if flags & Flag.OWN else 3 if flags & Flag.GATED else 1
        for reply in self.device.link.request_many(frames()):
            _, windows = FEED_REPLY.unpack_from(reply)
            if not windows:
                continue
            traced_at = FEED_REPLY.size + size
            gave = reply[FEED_REPLY.size : traced_at]
            if flags & Flag.GATED:
                window = WindowReply(gave[0], gave[1], gave[2])
            else:
                window = WindowReply(int.from_bytes(gave, "little"))
            if flags & Flag.TRACED:
                *digests, inputs = struct.unpack_from("<5I", reply, traced_at)
                window = window._replace(digests=Digests(*digests), inputs=inputs)
            yield window

    def normalisation(self) -> bytes:
        """The state of the running normalisation, as docs/reference/link.md has it."""
        return self.device.read(Memory.NORMALISATION, 0, count=4 + 8 * self.pipeline.features)

    def set_normalisation(self, state: bytes) -> None:
        """Go on from a state that was read before."""
        self.device.write(Memory.NORMALISATION, 0, state)

    def inputs(self) -> Bytes:
        """The network's inputs of the newest window, uint8 (inputs,)."""
        data = self.device.read(Memory.CODES, 0, count=self.pipeline.inputs)
        return np.frombuffer(data, np.uint8)


class StreamBoard:
    """A board that learns from raw streams. See `Learner`.

    Attributes:
        device: the board.
        feeder: its pipeline.
    """

    def __init__(self, device: BoardLearner, task: StreamTask) -> None:
        self.device = device
        self._task = task
        self.feeder = Feeder(device, task.pipeline)

    @property
    def config(self) -> Config:
        """What the network was configured with."""
        return self.device.config

    def learn(
        self,
        rate: int,
        x: Bytes,
        targets: Bytes,
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> Bytes:
        """See `Learner.learn`."""
        answers = []
        step = self.device.stats().steps
        chunks, labels = _chunks(self._task, x), targets.tolist()
        for window in self.feeder.feed(
            chunks, step, Mode.LEARN, Flag.FOLLOW, labels, rate, pulses_per_update
        ):
            answers.append(window.answer)
            if progress:
                progress(1)
        return np.array(answers, np.uint8)

    def strike(self, stuck: int) -> None:
        """See `Learner.strike`."""
        self.device.strike(stuck)

    def outputs(self, x: Bytes, first: int = 0) -> Bytes:
        """See `Learner.outputs`; the normalisation stays."""
        last = len(self.config.sizes) - 1
        rows = []
        for i, chunk in enumerate(_chunks(self._task, x)):
            for _ in self.feeder.feed([chunk], first + i, Mode.PREDICT):
                rows.append(self.device.read(Memory.FREE, last))
        return np.frombuffer(b"".join(rows), np.uint8).reshape(len(x), -1)

    def state(self) -> NetworkState:
        """See `Learner.state`; the notes hold the pipeline and its normalisation."""
        notes = _notes(self._task.pipeline, self.feeder.normalisation())
        return replace(self.device.state(), notes=notes)

    def load(self, state: NetworkState) -> None:
        """Make the board what it was when the state was taken.

        Raises:
            TaskError: the state is of another pipeline.
        """
        normalisation = _noted(state, self._task.pipeline)
        self.device.load(state)
        self.feeder.set_normalisation(normalisation)


class StreamTwin:
    """The twin in place of a board. See `Learner`."""

    def __init__(self, config: Config, task: StreamTask) -> None:
        self.network = TwinLearner(config)
        self.features = TwinFeatures(task.pipeline)
        self._task = task

    @property
    def config(self) -> Config:
        """The network's."""
        return self.network.config

    def inputs(self, x: Bytes, follow: bool) -> Bytes:
        """Inputs of the network for the windows that `x` names, uint8 (windows, inputs)."""
        rows = []
        for chunk in _chunks(self._task, x):
            if chunk.restart:
                self.features.restart()
            rows.append(self.features.codes(self.features.windows(chunk.samples), follow))
        return np.concatenate(rows)

    def learn(
        self,
        rate: int,
        x: Bytes,
        targets: Bytes,
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> Bytes:
        """See `Learner.learn`."""
        return self.network.learn(rate, self.inputs(x, True), targets, progress, pulses_per_update)

    def strike(self, stuck: int) -> None:
        """See `Learner.strike`."""
        self.network.strike(stuck)

    def outputs(self, x: Bytes, first: int = 0) -> Bytes:
        """See `StreamBoard.outputs`."""
        return self.network.outputs(self.inputs(x, False), first)

    def state(self) -> NetworkState:
        """See `StreamBoard.state`."""
        features = self.features
        words = np.empty(1 + 2 * len(features.centre), "<u4")
        words[0] = features.seen
        words[1::2] = features.centre + CENTRE_OFFSET
        words[2::2] = features.spread
        notes = _notes(features.pipeline, words.tobytes())
        return replace(self.network.state(), notes=notes)

    def load(self, state: NetworkState) -> None:
        """See `StreamBoard.load`."""
        words = np.frombuffer(_noted(state, self.features.pipeline), "<u4").astype(np.int64)
        self.network.load(state)
        self.features.seen = int(words[0])
        self.features.centre = words[1::2] - CENTRE_OFFSET
        self.features.spread = words[2::2].copy()


class StreamLockStep(LockStep):
    """Board and twin in lock step, from the raw samples on."""

    def __init__(self, device: BoardLearner, task: StreamTask) -> None:
        super().__init__(device)
        self._task = task
        self._stream = StreamBoard(device, task)
        self._stream_twin = StreamTwin(device.config, task)
        self._twin = self._stream_twin.network
        self._values += task.pipeline.inputs

    def learn(
        self,
        rate: int,
        x: Bytes,
        targets: Bytes,
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> Bytes:
        """See `verify.LockStep.learn`."""
        answers = np.empty(len(x), np.uint8)
        feeder, labels = self._stream.feeder, targets.tolist()
        for i, chunk in enumerate(_chunks(self._task, x)):
            step = self._twin.twin.steps
            # One at a time: the board must not go on before its memory has been compared.
            (window,) = feeder.feed(
                [chunk],
                step,
                Mode.LEARN,
                Flag.FOLLOW | Flag.TRACED,
                labels[i:],
                rate,
                pulses_per_update,
            )
            inputs = self._stream_twin.inputs(x[i : i + 1], True)[0]
            if window.inputs != zlib.crc32(inputs.tobytes()):
                self._find_input(step, inputs)
            trace = self._twin.twin.learn(rate, inputs, targets[i], pulses_per_update)
            assert window.digests is not None
            self._compare(trace, window.answer, window.digests)
            answers[i] = window.answer
            if progress:
                progress(1)
        return answers

    def state(self) -> NetworkState:
        """See `StreamBoard.state`."""
        return self._stream.state()

    def _predict(self, x: Bytes, first: int) -> tuple[Bytes, Bytes]:
        return self._stream.outputs(x, first), self._stream_twin.outputs(x, first)

    def _find_input(self, step: int, twin: Bytes) -> NoReturn:
        """Raise DiffersError for the first of the network's inputs that differs."""
        device = self._stream.feeder.inputs()
        unit = int(np.flatnonzero(device != twin)[0])
        raise DiffersError(
            Mismatch(
                step,
                "inputs",
                0,
                f"unit {unit}, {self._task.feature_names[unit]}",
                int(device[unit]),
                int(twin[unit]),
            )
        )


def board_of(learner: object) -> BoardLearner | None:
    """The board that a learner learns on; None for a twin or a lock step."""
    if isinstance(learner, StreamBoard):
        return learner.device
    return learner if isinstance(learner, BoardLearner) else None


def _chunks(task: StreamTask, x: Bytes) -> list[WindowSamples]:
    """The chunks that samples of `StreamTask.feed` name."""
    return [task.window_samples(number_of(name)) for name in x]


def _notes(pipeline: Pipeline, normalisation: bytes) -> dict[str, Any]:
    return {"pipeline": str(pipeline), "normalisation": normalisation.hex()}


def _noted(state: NetworkState, pipeline: Pipeline) -> bytes:
    """The normalisation that a state holds for this pipeline."""
    notes = state.notes
    if notes.get("pipeline") != str(pipeline):
        raise TaskError(
            f"the saved network has learned from {notes.get('pipeline') or 'no stream'},"
            f" not from {pipeline}"
        )
    return bytes.fromhex(notes["normalisation"])
