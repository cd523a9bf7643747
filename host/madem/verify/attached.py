"""Level 2 of the verification: a board of chips in lock step with the twin of its digital side.

The device sends the codes that its chips gave (CODES of docs/reference/link.md). The twin replays
on them everything that is digital, bit for bit. Whether the codes are plausible is for
`madem.verify.plausibility` to say.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.boards.link_protocol import (
    CODES_EVENT,
    CODES_GO_ON,
    CODES_HEAD,
    CODES_PIECE,
    CODES_REPLY,
    CodesRequest,
    Event,
    Kind,
    Memory,
)
from madem.learners.board import BoardLearner
from madem.verify.lock_step import DiffersError, LockStep, Mismatch
from madem_emulator.twin.attached import AttachedTwin, Geometry, PlayError, Pulse, Read
from madem_emulator.twin.twin import Digests

Bytes = NDArray[np.uint8]


class RecordedSample(NamedTuple):
    """What a device says of one sample."""

    events: bytes
    answer: int
    digests: bytes


def record(
    device: BoardLearner,
    learns: bool,
    number: int,
    sample: Bytes,
    rate: int = 0,
    pulses_per_update: int = 1,
) -> RecordedSample:
    """Have one sample learned or predicted, and take what the chips said.

    Args:
        device: configured with a design.
        learns: learn it; otherwise predict it.
        number: step, or number of the prediction.
        sample: input bytes; to learn, with the target behind them.
        rate, pulses_per_update: as for `Learner.learn`.

    Raises:
        DeviceError: a chip does not answer.
    """
    head = CODES_HEAD.pack(
        CodesRequest.LEARN if learns else CodesRequest.PREDICT, number, rate, pulses_per_update
    )
    reply = device.link.request(Kind.CODES, head + sample.tobytes(), timeout=60.0)
    pieces = []
    while not reply[0]:
        pieces.append(reply[CODES_PIECE.size :])
        asked = CODES_GO_ON.pack(CodesRequest.GO_ON, len(pieces))
        reply = device.link.request(Kind.CODES, asked, timeout=60.0)
    *_, answer = CODES_REPLY.unpack_from(reply)
    return RecordedSample(b"".join(pieces), answer, reply[CODES_REPLY.size :])


def parse_events(data: bytes, geometry: Geometry) -> list[Read | Pulse]:
    """What the chips of a board did, from the pieces of CODES behind each other.

    Raises:
        ValueError: the bytes are not whole events.
    """
    events: list[Read | Pulse] = []
    row_bytes, column_bytes = ((n + 7) // 8 for n in (geometry.rows, geometry.columns))
    at = 0
    try:
        while at < len(data):
            number, card = CODES_EVENT.unpack_from(data, at)
            kind = Event(number)
            at += CODES_EVENT.size
            if kind in (Event.RESET, Event.SET):
                end = at + 1 + row_bytes + column_bytes
                if end > len(data):
                    raise ValueError
                rows = int.from_bytes(data[at + 1 : at + 1 + row_bytes], "little")
                columns = int.from_bytes(data[at + 1 + row_bytes : end], "little")
                events.append(Pulse(kind == Event.SET, card, data[at], rows, columns))
                at = end
            else:
                lines = geometry.rows if kind == Event.ROWS else geometry.columns
                codes = np.frombuffer(data, "<i2", lines, at)
                events.append(Read(kind == Event.ROWS, card, codes))
                at += 2 * lines
    except (struct.error, ValueError):
        raise ValueError("what the device recorded is not whole") from None
    return events


class AttachedLockStep(LockStep):
    """`LockStep` for a board of chips.

    Attributes:
        heard: called after each sample; `attached.log` has what the chips did in it.
        before_predicting: called before predictions.
        predictions: how many more are recorded; those after them are only asked for.
    """

    def __init__(self, device: BoardLearner, design: str, predictions: int = 100) -> None:
        """`device` is configured with that board design."""
        # Imported only here, because scipy takes its time.
        from madem_emulator.designs import GEOMETRIES

        super().__init__(device)
        self.attached = AttachedTwin(device.config, GEOMETRIES[design])
        self._twin.twin = self.attached
        self._values = 3 * sum(self.config.sizes[1:]) + self.config.couplings + 1
        self.heard: Callable[[], None] = lambda: None
        self.predictions = predictions
        self.before_predicting: Callable[[], None] = lambda: None

    def learn(
        self,
        rate: int,
        x: Bytes,
        targets: Bytes,
        progress: Callable[[int], None] | None = None,
        pulses_per_update: int = 1,
    ) -> Bytes:
        """See `LockStep.learn`."""
        answers = np.empty(len(x), np.uint8)
        for i, (sample, target) in enumerate(zip(x, targets, strict=True)):
            step = self.attached.steps
            whole = np.concatenate([sample, np.atleast_1d(target)]).astype(np.uint8)
            said = record(self.device, True, step, whole, rate, pulses_per_update)
            self._play(said)
            try:
                trace = self.attached.learn(rate, sample, target, pulses_per_update)
            except PlayError as error:
                self._compare_phases(step, self.attached.settled)
                raise self._otherwise(step, error) from None
            self._compare(trace, said.answer, Digests(*struct.unpack("<4I", said.digests)))
            self.heard()
            answers[i] = said.answer
            if progress:
                progress(1)
        return answers

    def outputs(self, x: Bytes, first: int = 0) -> Bytes:
        """See `LockStep.outputs`; of recorded ones the whole free phase is compared."""
        recorded = min(len(x), self.predictions)
        self.predictions -= recorded
        found = self._recorded_outputs(x[:recorded], first)
        if recorded < len(x):
            found += list(self.device.outputs(x[recorded:], first + recorded))
        return np.array(found, np.uint8)

    def _recorded_outputs(self, x: Bytes, first: int) -> list[Bytes]:
        if len(x):
            self.before_predicting()
        found = []
        for number, sample in enumerate(x, first):
            said = record(self.device, False, number, sample)
            self._play(said)
            try:
                free = self.attached.predict(number, sample)
            except PlayError as error:
                raise self._otherwise(number, error) from None
            self.compared += sum(len(s[0]) for s in free)
            if zlib.crc32(b"".join(s[0] for s in free)) != int.from_bytes(said.digests, "little"):
                self._compare_phases(number, {"free": free})
                raise DiffersError(Mismatch(number, "digest", 0, "no cell", 0, 0))
            self.heard()
            found.append(free[-1][0])
        return found

    def _play(self, said: RecordedSample) -> None:
        events = parse_events(said.events, self.attached.geometry)
        self.compared += sum(len(e.codes) if isinstance(e, Read) else 1 for e in events)
        self.attached.play(events)

    def _compare_phases(self, step: int, phases: dict[str, list[Bytes]]) -> None:
        for name, activities in phases.items():
            memory = {"free": Memory.FREE, "plus": Memory.PLUS, "minus": Memory.MINUS}[name]
            for layer, s in enumerate(activities, 1):
                self._search(step, name, memory, layer, s[0].tobytes())

    @staticmethod
    def _otherwise(step: int, error: PlayError) -> DiffersError:
        return DiffersError(Mismatch(step, "schedule", error.layer, str(error), 0, 0))
