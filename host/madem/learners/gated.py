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
from madem.learners.device import Device, Learner, Progress
from madem.learners.stream import (
    StreamDevice,
    StreamLockStep,
    StreamTwin,
)
from madem.learners.stream import Window as Reply
from madem.verify.lock_step import DiffersError, Mismatch
from madem_emulator.twin.config import Config
from madem_emulator.twin.gated import FULL, NEVER, Care, Judged, TwinKeeper
from madem_emulator.twin.twin import Trace

Bytes = NDArray[np.uint8]


class Judgement(NamedTuple):
    """What a learner made of a window.

    Attributes:
        answer: the class, before anything was learned.
        margin: activity of its output above the next, 0…255.
        learned, kept, back: the window was learned; the network was then copied; replaced by
            its copy.
    """

    answer: int
    margin: int
    learned: bool
    kept: bool
    back: bool


class Status(NamedTuple):
    """What a keeper has counted.

    Attributes:
        steps: windows tested in the network's life.
        learned: windows learned since the settings were given.
        kept_at: step at which the copy was made; None without one.
        accuracy, kept_accuracy: running, of the network and of its copy, 0…1.
        backs: times the copy was put back.
    """

    steps: int
    learned: int
    kept_at: int | None
    accuracy: float
    kept_accuracy: float
    backs: int


class CarefulLearner(Learner, Protocol):
    """A learner that tests each window and decides whether to learn it."""

    def take_care(self, care: Care) -> None:
        """Begin to decide by these settings."""
        ...

    def judge(
        self,
        rate: int,
        x: Bytes,
        labels: NDArray[np.int64],
        progress: Progress | None = None,
        train: int = 1,
    ) -> list[Judgement]:
        """Test windows and learn those that are worth it; arguments as for `Learner.learn`."""
        ...

    def keep(self) -> Status:
        """Keep a copy of the network as it is."""
        ...

    def back(self) -> Status:
        """Go back to the copy."""
        ...

    def status(self) -> Status:
        """What has been counted."""
        ...


def take_care(device: Device, care: Care) -> Status:
    """Give a board with a network its settings.

    Raises:
        DeviceError: the copy does not fit (code 4), or the front end can't be put back.
    """
    c = care
    return _ask(
        device, GATE_SETTINGS.pack(GateRequest.SETTINGS, c.gate, c.at_most, c.fade, c.drop, c.every)
    )


def keep(device: Device) -> Status:
    """Have a board that takes care keep a copy of its network."""
    return _ask(device, bytes([GateRequest.CHECKPOINT]))


def back(device: Device) -> Status:
    """Have a board go back to its copy.

    Raises:
        DeviceError: it has none.
    """
    return _ask(device, bytes([GateRequest.ROLLBACK]))


class CarefulDevice(StreamDevice):
    """A board. See `CarefulLearner`; `take_care` comes after the network is configured."""

    def take_care(self, care: Care) -> None:
        """See `CarefulLearner.take_care`."""
        take_care(self.device, care)

    def judge(
        self,
        rate: int,
        x: Bytes,
        labels: NDArray[np.int64],
        progress: Progress | None = None,
        train: int = 1,
    ) -> list[Judgement]:
        """See `CarefulLearner.judge`."""
        found = []
        step = self.device.stats().steps
        chunks = [self._task.window_samples(number_of(name)) for name in x]
        how = Flag.FOLLOW | Flag.GATED
        for reply in self.feeder.feed(chunks, step, Mode.LEARN, how, labels.tolist(), rate, train):
            found.append(_judgement(reply))
            if progress:
                progress(1)
        return found

    def keep(self) -> Status:
        """See `CarefulLearner.keep`."""
        return keep(self.device)

    def back(self) -> Status:
        """See `CarefulLearner.back`."""
        return back(self.device)

    def status(self) -> Status:
        """See `CarefulLearner.status`."""
        return _ask(self.device, bytes([GateRequest.ASK]))


class CarefulTwin(StreamTwin):
    """The twin in place of a board. See `CarefulLearner`."""

    def __init__(self, config: Config, task: StreamTask) -> None:
        super().__init__(config, task)
        self.keeper = TwinKeeper(self.network.twin, Care())

    def take_care(self, care: Care) -> None:
        """See `CarefulLearner.take_care`."""
        self.keeper = TwinKeeper(self.network.twin, care)

    def judge(
        self,
        rate: int,
        x: Bytes,
        labels: NDArray[np.int64],
        progress: Progress | None = None,
        train: int = 1,
    ) -> list[Judgement]:
        """See `CarefulLearner.judge`."""
        found = []
        for inputs, label in zip(self.inputs(x, True), labels.tolist(), strict=True):
            found.append(_of_twin(self.keeper.learn(rate, inputs, label, train)))
            if progress:
                progress(1)
        return found

    def keep(self) -> Status:
        """See `CarefulLearner.keep`."""
        self.keeper.keep()
        return self.status()

    def back(self) -> Status:
        """See `CarefulLearner.back`."""
        self.keeper.back()
        return self.status()

    def status(self) -> Status:
        """See `CarefulLearner.status`."""
        k = self.keeper
        counts = (k.learned, k.kept_at, k.accuracy, k.kept_accuracy, k.backs)
        return _status(k.twin.steps, *(int(count[0]) for count in counts))


class CarefulLockStep(StreamLockStep):
    """Board and twin in lock step. See `CarefulLearner`."""

    def __init__(self, device: Device, task: StreamTask) -> None:
        super().__init__(device, task)
        self._board = CarefulDevice(device, task)
        self._stream = self._board
        self._careful = CarefulTwin(device.config, task)
        self._stream_twin = self._careful
        self._twin = self._careful.network

    def take_care(self, care: Care) -> None:
        """See `CarefulLearner.take_care`."""
        self._board.take_care(care)
        self._careful.take_care(care)

    def judge(
        self,
        rate: int,
        x: Bytes,
        labels: NDArray[np.int64],
        progress: Progress | None = None,
        train: int = 1,
    ) -> list[Judgement]:
        """See `CarefulLearner.judge`.

        Raises:
            DiffersError: at the first window after which anything differs.
        """
        found = []
        feeder, twin = self._board.feeder, self._twin.twin
        how = Flag.FOLLOW | Flag.GATED | Flag.TRACED
        for name, label in zip(x, labels.tolist(), strict=True):
            step = twin.steps
            chunk = self._task.window_samples(number_of(name))
            (reply,) = feeder.feed([chunk], step, Mode.LEARN, how, [label], rate, train)
            inputs = self._careful.inputs(name[None], True)[0]
            if reply.inputs != zlib.crc32(inputs.tobytes()):
                self._find_input(step, inputs)
            judged = self._careful.keeper.learn(rate, inputs, label, train)
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
                    raise DiffersError(Mismatch(step, "keeper", last, field, int(one), int(other)))
            found.append(board)
            if progress:
                progress(1)
        return found

    def keep(self) -> Status:
        """See `CarefulLearner.keep`."""
        return self._same(self._board.keep(), self._careful.keep())

    def back(self) -> Status:
        """See `CarefulLearner.back`."""
        return self._same(self._board.back(), self._careful.back())

    def status(self) -> Status:
        """See `CarefulLearner.status`."""
        return self._same(self._board.status(), self._careful.status())

    def _same(self, board: Status, twin: Status) -> Status:
        for field, one, other in zip(Status._fields, board, twin, strict=True):
            if one != other:
                raise DiffersError(
                    Mismatch(board.steps, "keeper", 0, field, int(one or 0), int(other or 0))
                )
        return board


def _ask(device: Device, payload: bytes) -> Status:
    reply = device.link.request(Kind.GATE, payload)
    steps, learned, kept_at, accuracy, kept_accuracy, backs = GATE_REPLY.unpack(reply)
    return _status(steps, learned, kept_at, accuracy, kept_accuracy, backs)


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
        bool(judged.kept[0]),
        bool(judged.back[0]),
    )


def _status(
    steps: int, learned: int, kept_at: int, accuracy: int, kept_accuracy: int, backs: int
) -> Status:
    return Status(
        steps,
        learned,
        None if kept_at == NEVER else kept_at,
        accuracy / FULL,
        kept_accuracy / FULL,
        backs,
    )
