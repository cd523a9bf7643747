"""A board that is fed raw streams: its own pipeline makes the network's inputs of them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from madem.boards.link_protocol import (
    FEED_HEAD,
    FEED_REPLY,
    PIPELINE,
    Feature,
    Flag,
    GateRequest,
    Kind,
    Memory,
    Mode,
    Outcome,
)
from madem.data.stream_task import WindowSamples
from madem.data.task import Samples
from madem.learners.board import BoardLearner
from madem.learners.protocol import Bytes, Engine, GateStatus, Presentation, Reply
from madem.learners.state import NetworkState, normalisation_of, stream_notes
from madem_emulator.twin.codes import checked_counts
from madem_emulator.twin.config import Config
from madem_emulator.twin.gated import GateSettings
from madem_emulator.twin.pipeline import Pipeline
from madem_emulator.twin.twin import Digests

_TRACE = struct.Struct("<5I")
"""Of a traced window: digests, and the CRC-32 of the network's inputs."""


class BoardStream(Engine):
    """A board with a pipeline. See `Engine`.

    Attributes:
        board: with a network, for all but `Mode.FEATURES`.
        pipeline: that it computes.
    """

    def __init__(self, board: BoardLearner, pipeline: Pipeline) -> None:
        """Set the pipeline up, with a fresh normalisation.

        Args:
            board: which may get its network later.
            pipeline: what it is to compute.

        Raises:
            DeviceError: it does not fit.
        """
        self.board, self.pipeline = board, pipeline
        board.link.request(Kind.PIPELINE, pack_pipeline(pipeline), timeout=20.0)
        # Samples in a request. A sample of 16 channels, the most, fits any.
        self._room = board.link.room(FEED_HEAD.size, 2 * pipeline.channels)

    @property
    def config(self) -> Config:
        """See `Learner.config`."""
        return self.board.config

    def present(
        self, samples: Iterable[WindowSamples], targets: Iterable[Any], how: Presentation
    ) -> Iterator[Reply]:
        """See `Engine.present`."""
        first = how.first
        if first is None:
            first = self.board.stats().steps if how.mode == Mode.LEARN else 0
        return self._replies(self._frames(samples, targets, how, first), how.flags)

    def outputs(self, x: Samples) -> Bytes:
        """See `Learner.outputs`."""
        last = len(self.config.sizes) - 1
        rows = []
        for window in x:
            for _ in self.present([window], [0], Presentation(Mode.PREDICT)):
                rows.append(self.board.read(Memory.FREE, last))
        return np.frombuffer(b"".join(rows), np.uint8).reshape(len(x), -1)

    def add_stuck(self, stuck: int) -> None:
        """See `Learner.add_stuck`."""
        self.board.add_stuck(stuck)

    def ask_gate(self, request: GateRequest, settings: GateSettings | None = None) -> GateStatus:
        """See `Engine.ask_gate`."""
        return self.board.ask_gate(request, settings)

    def state(self) -> NetworkState:
        """See `Engine.state`."""
        notes = stream_notes(self.pipeline, self.normalisation())
        return replace(self.board.state(), notes=notes)

    def load(self, state: NetworkState) -> None:
        """See `Engine.load`."""
        normalisation = normalisation_of(state, self.pipeline)
        self.board.load(state)
        self.set_normalisation(normalisation)

    def normalisation(self) -> bytes:
        """Read the state of the running normalisation, as docs/reference/link.md has it."""
        return self.board.read(Memory.NORMALISATION, 0, count=4 + 8 * self.pipeline.features)

    def set_normalisation(self, state: bytes) -> None:
        """Go on from a state of the normalisation that was read before.

        Args:
            state: the bytes of docs/reference/link.md.
        """
        self.board.write(Memory.NORMALISATION, 0, state)

    def inputs(self) -> Bytes:
        """Read the network's inputs of the newest window, uint8 (inputs,)."""
        data = self.board.read(Memory.CODES, 0, count=self.pipeline.inputs)
        return np.frombuffer(data, np.uint8)

    def _frames(
        self,
        windows: Iterable[WindowSamples],
        targets: Iterable[Any],
        how: Presentation,
        first: int,
    ) -> Iterator[tuple[int, bytes]]:
        """FEED requests; a window's samples may take several."""
        for number, (window, label) in enumerate(zip(windows, targets, strict=True), first):
            restart = Flag.RESTART if window.restart else 0
            counts = checked_counts(window.samples, self.pipeline.channels)
            for begin in range(0, len(counts), self._room):
                part = counts[begin : begin + self._room]
                # Only the part that completes the window can be traced.
                last = begin + self._room >= len(counts)
                flags = (how.flags if last else how.flags & ~Flag.TRACED) | restart
                head = FEED_HEAD.pack(
                    number, how.rate, how.pulses_per_update, how.mode, flags, label
                )
                yield Kind.FEED, head + part.astype("<i2").tobytes()
                restart = 0

    def _replies(self, frames: Iterator[tuple[int, bytes]], flags: Flag) -> Iterator[Reply]:
        """What each window gave: frames that complete none give nothing."""
        size = 4 if flags & Flag.OWN else 3 if flags & Flag.GATED else 1
        end = FEED_REPLY.size + size
        for data in self.board.link.request_many(frames):
            _, windows = FEED_REPLY.unpack_from(data)
            if not windows:
                continue
            gave = data[FEED_REPLY.size : end]
            if flags & Flag.GATED:
                reply = Reply(gave[0], gave[1], Outcome(gave[2]))
            else:
                reply = Reply(int.from_bytes(gave, "little"))
            if flags & Flag.TRACED:
                *digests, inputs = _TRACE.unpack_from(data, end)
                reply = reply._replace(digests=Digests(*digests), inputs=inputs)
            yield reply


def pack_pipeline(pipeline: Pipeline) -> bytes:
    """Pack a pipeline into the payload of PIPELINE in docs/reference/link.md.

    Args:
        pipeline: what to pack.

    Returns:
        The payload.
    """
    p = pipeline
    features = (
        Feature.MEAN * p.mean
        + Feature.ENERGY * p.energy
        + Feature.ZERO * p.zero
        + Feature.MINMAX * p.minmax
    )
    return PIPELINE.pack(p.channels, p.window, p.hop, features, p.bands, p.norm)


def board_of(learner: object) -> BoardLearner | None:
    """Find the board that a learner learns on.

    Args:
        learner: any.

    Returns:
        The board; None for a twin, and for a lock step, whose time is not the board's alone.
    """
    if isinstance(learner, BoardStream):
        return learner.board
    return learner if isinstance(learner, BoardLearner) else None
