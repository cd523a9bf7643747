"""Learners of streams that decide, window by window, what to learn: docs/guide/online.md.

A board, the twin in its place, and both in lock step.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from madem.boards.link_protocol import (
    GATE_REPLY,
    GATE_SETTINGS,
    Flag,
    GateRequest,
    Kind,
    Mode,
    Outcome,
)
from madem.data.stream_task import StreamTask, number_of
from madem.learners.board import BoardLearner
from madem.learners.protocol import Learner, Progress
from madem.learners.stream import (
    StreamBoard,
    StreamLockStep,
    StreamTwin,
)
from madem.learners.stream import WindowReply as Reply
from madem.verify.lock_step import DiffersError, Mismatch
from madem_emulator.twin.config import Config
from madem_emulator.twin.gated import FULL, NEVER, GateSettings, Judged, UpdateGate
from madem_emulator.twin.twin import Trace

Bytes = NDArray[np.uint8]


class Judgement(NamedTuple):
    """What a learner made of a window.

    Attributes:
        answer: the class, before anything was learned.
        margin: activity of its output above the next, 0…255.
        learned, checkpointed, rolled_back: the window was learned; the network was then copied;
            replaced by its copy.
    """

    answer: int
    margin: int
    learned: bool
    checkpointed: bool
    rolled_back: bool


class GateStatus(NamedTuple):
    """What a gate has counted.

    Attributes:
        steps: windows tested in the network's life.
        learned: windows learned since the settings were given.
        checkpoint_at: step at which the copy was made; None without one.
        accuracy, checkpoint_accuracy: running, of the network and of its copy, 0…1.
        rollbacks: times the copy was put back.
    """

    steps: int
    learned: int
    checkpoint_at: int | None
    accuracy: float
    checkpoint_accuracy: float
    rollbacks: int


class GatedLearner(Learner, Protocol):
    """A learner that tests each window and decides whether to learn it."""

    def set_gate(self, settings: GateSettings) -> None:
        """Begin to decide by these settings."""
        ...

    def judge(
        self,
        rate: int,
        x: Bytes,
        labels: NDArray[np.int64],
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> list[Judgement]:
        """Test windows and learn those that are worth it; arguments as for `Learner.learn`."""
        ...

    def checkpoint(self) -> GateStatus:
        """Keep a copy of the network as it is."""
        ...

    def rollback(self) -> GateStatus:
        """Go back to the copy."""
        ...

    def status(self) -> GateStatus:
        """What has been counted."""
        ...


def set_gate(device: BoardLearner, settings: GateSettings) -> GateStatus:
    """Give a board with a network its settings.

    Raises:
        DeviceError: the copy does not fit (code 4), or the front end can't be put back.
    """
    c = settings
    return _ask(
        device, GATE_SETTINGS.pack(GateRequest.SETTINGS, c.gate, c.at_most, c.fade, c.drop, c.every)
    )


def checkpoint(device: BoardLearner) -> GateStatus:
    """Have a board that has a gate keep a copy of its network."""
    return _ask(device, bytes([GateRequest.CHECKPOINT]))


def rollback(device: BoardLearner) -> GateStatus:
    """Have a board go back to its copy.

    Raises:
        DeviceError: it has none.
    """
    return _ask(device, bytes([GateRequest.ROLLBACK]))


class GatedBoard(StreamBoard):
    """A board. See `GatedLearner`; `set_gate` comes after the network is configured."""

    def set_gate(self, settings: GateSettings) -> None:
        """See `GatedLearner.set_gate`."""
        set_gate(self.device, settings)

    def judge(
        self,
        rate: int,
        x: Bytes,
        labels: NDArray[np.int64],
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> list[Judgement]:
        """See `GatedLearner.judge`."""
        found = []
        step = self.device.stats().steps
        chunks = [self._task.window_samples(number_of(name)) for name in x]
        how = Flag.FOLLOW | Flag.GATED
        for reply in self.feeder.feed(
            chunks, step, Mode.LEARN, how, labels.tolist(), rate, pulses_per_update
        ):
            found.append(_judgement(reply))
            if progress:
                progress(1)
        return found

    def checkpoint(self) -> GateStatus:
        """See `GatedLearner.checkpoint`."""
        return checkpoint(self.device)

    def rollback(self) -> GateStatus:
        """See `GatedLearner.rollback`."""
        return rollback(self.device)

    def status(self) -> GateStatus:
        """See `GatedLearner.status`."""
        return _ask(self.device, bytes([GateRequest.ASK]))


class GatedTwin(StreamTwin):
    """The twin in place of a board. See `GatedLearner`."""

    def __init__(self, config: Config, task: StreamTask) -> None:
        super().__init__(config, task)
        self.gate = UpdateGate(self.network.twin, GateSettings())

    def set_gate(self, settings: GateSettings) -> None:
        """See `GatedLearner.set_gate`."""
        self.gate = UpdateGate(self.network.twin, settings)

    def judge(
        self,
        rate: int,
        x: Bytes,
        labels: NDArray[np.int64],
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> list[Judgement]:
        """See `GatedLearner.judge`."""
        found = []
        for inputs, label in zip(self.inputs(x, True), labels.tolist(), strict=True):
            found.append(_of_twin(self.gate.learn(rate, inputs, label, pulses_per_update)))
            if progress:
                progress(1)
        return found

    def checkpoint(self) -> GateStatus:
        """See `GatedLearner.checkpoint`."""
        self.gate.checkpoint()
        return self.status()

    def rollback(self) -> GateStatus:
        """See `GatedLearner.rollback`."""
        self.gate.rollback()
        return self.status()

    def status(self) -> GateStatus:
        """See `GatedLearner.status`."""
        k = self.gate
        counts = (k.learned, k.checkpoint_at, k.accuracy, k.checkpoint_accuracy, k.rollbacks)
        return _status(k.twin.steps, *(int(count[0]) for count in counts))


class GatedLockStep(StreamLockStep):
    """Board and twin in lock step. See `GatedLearner`."""

    def __init__(self, device: BoardLearner, task: StreamTask) -> None:
        super().__init__(device, task)
        self._board = GatedBoard(device, task)
        self._stream = self._board
        self._gated = GatedTwin(device.config, task)
        self._stream_twin = self._gated
        self._twin = self._gated.network

    def set_gate(self, settings: GateSettings) -> None:
        """See `GatedLearner.set_gate`."""
        self._board.set_gate(settings)
        self._gated.set_gate(settings)

    def judge(
        self,
        rate: int,
        x: Bytes,
        labels: NDArray[np.int64],
        progress: Progress | None = None,
        pulses_per_update: int = 1,
    ) -> list[Judgement]:
        """See `GatedLearner.judge`.

        Raises:
            DiffersError: at the first window after which anything differs.
        """
        found = []
        feeder, twin = self._board.feeder, self._twin.twin
        how = Flag.FOLLOW | Flag.GATED | Flag.TRACED
        for name, label in zip(x, labels.tolist(), strict=True):
            step = twin.steps
            chunk = self._task.window_samples(number_of(name))
            (reply,) = feeder.feed([chunk], step, Mode.LEARN, how, [label], rate, pulses_per_update)
            inputs = self._gated.inputs(name[None], True)[0]
            if reply.inputs != zlib.crc32(inputs.tobytes()):
                self._find_input(step, inputs)
            judged = self._gated.gate.learn(rate, inputs, label, pulses_per_update)
            assert reply.digests is not None
            trace, digests = judged.trace, reply.digests
            if trace is None:
                # Nothing came after the free phase.
                trace = Trace(step, judged.free, [], [], judged.answer, twin)
                digests = digests._replace(plus=0, minus=0)
            self._compare(trace, reply.answer, digests)
            board, own = _judgement(reply), _of_twin(judged)
            for field, one, other in zip(Judgement._fields, board, own, strict=True):
                if one != other:
                    last = len(self.config.sizes) - 1
                    raise DiffersError(Mismatch(step, "gate", last, field, int(one), int(other)))
            found.append(board)
            if progress:
                progress(1)
        return found

    def checkpoint(self) -> GateStatus:
        """See `GatedLearner.checkpoint`."""
        return self._same(self._board.checkpoint(), self._gated.checkpoint())

    def rollback(self) -> GateStatus:
        """See `GatedLearner.rollback`."""
        return self._same(self._board.rollback(), self._gated.rollback())

    def status(self) -> GateStatus:
        """See `GatedLearner.status`."""
        return self._same(self._board.status(), self._gated.status())

    def _same(self, board: GateStatus, twin: GateStatus) -> GateStatus:
        for field, one, other in zip(GateStatus._fields, board, twin, strict=True):
            if one != other:
                raise DiffersError(
                    Mismatch(board.steps, "gate", 0, field, int(one or 0), int(other or 0))
                )
        return board


def _ask(device: BoardLearner, payload: bytes) -> GateStatus:
    reply = device.link.request(Kind.GATE, payload)
    steps, learned, checkpoint_at, accuracy, checkpoint_accuracy, rollbacks = GATE_REPLY.unpack(
        reply
    )
    return _status(steps, learned, checkpoint_at, accuracy, checkpoint_accuracy, rollbacks)


def _judgement(reply: Reply) -> Judgement:
    fate = reply.fate
    return Judgement(
        reply.answer,
        reply.margin,
        bool(fate & Outcome.LEARNED),
        bool(fate & Outcome.CHECKPOINT),
        bool(fate & Outcome.ROLLBACK),
    )


def _of_twin(judged: Judged) -> Judgement:
    """That of the first board."""
    return Judgement(
        int(judged.answer[0]),
        int(judged.margin[0]),
        bool(judged.learned[0]),
        bool(judged.checkpointed[0]),
        bool(judged.rolled_back[0]),
    )


def _status(
    steps: int,
    learned: int,
    checkpoint_at: int,
    accuracy: int,
    checkpoint_accuracy: int,
    rollbacks: int,
) -> GateStatus:
    return GateStatus(
        steps,
        learned,
        None if checkpoint_at == NEVER else checkpoint_at,
        accuracy / FULL,
        checkpoint_accuracy / FULL,
        rollbacks,
    )
