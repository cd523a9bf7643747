"""Level 2 of the verification: a board of chips in lock step with the twin of its digital side.

The device sends the codes that its chips gave (CODES of docs/reference/link.md). The twin replays
on them everything that is digital, bit for bit. Whether the codes are plausible is for
`madem.verify.plausibility` to say.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from madem.boards.link_protocol import (
    CODES_EVENT,
    CODES_GO_ON,
    CODES_HEAD,
    CODES_PIECE,
    CODES_REPLY,
    CodesRequest,
    Event,
    Kind,
    Mode,
)
from madem.data.task import Samples
from madem.learners.board import BoardLearner, pack_samples
from madem.learners.protocol import Bytes, Presentation, Reply
from madem.learners.twin import TwinLearner, TwinStep
from madem.verify.lock_step import DiffersError, LockStep, Mismatch
from madem_emulator.twin.attached import AttachedTwin, ReplayError
from madem_emulator.twin.cards import CardPulse, CardRead, Geometry
from madem_emulator.twin.codes import checked_codes
from madem_emulator.twin.twin import Digests


class RecordedSample(NamedTuple):
    """A board's record of what its chips did in one sample.

    Attributes:
        events: what its chips did: see `parse_events`.
        answer: of the free phase.
        digests: four CRC-32 of a sample that was learned, one of a prediction.
    """

    events: bytes
    answer: int
    digests: bytes


def record(
    board: BoardLearner, sample: Bytes, how: Presentation, target: Any = None
) -> RecordedSample:
    """Have one sample learned or predicted, and take what the chips said.

    Args:
        board: configured with a design.
        sample: DAC codes, uint8 (features,).
        how: to learn or to predict; `first` is its step, or its number in what is said of it.
        target: to learn: its class, or 0/1 of each output.

    Returns:
        What the board said.

    Raises:
        DeviceError: a chip does not answer.
        ValueError: the sample is no codes, or the target none of the network's.
    """
    if how.mode == Mode.LEARN:
        what, data = CodesRequest.LEARN, pack_samples([sample], [target], board.config)
    else:
        codes = checked_codes(sample, board.config.sizes[0])
        what, data = CodesRequest.PREDICT, codes.tobytes()
    head = CODES_HEAD.pack(what, how.first, how.rate, how.pulses_per_update)
    reply = board.link.request(Kind.CODES, head + data, timeout=60.0)
    pieces = []
    while not reply[0]:
        pieces.append(reply[CODES_PIECE.size :])
        asked = CODES_GO_ON.pack(CodesRequest.GO_ON, len(pieces))
        reply = board.link.request(Kind.CODES, asked, timeout=60.0)
    *_, answer = CODES_REPLY.unpack_from(reply)
    return RecordedSample(b"".join(pieces), answer, reply[CODES_REPLY.size :])


def parse_events(data: bytes, geometry: Geometry) -> list[CardRead | CardPulse]:
    """Read what the chips of a board did.

    Args:
        data: the pieces of CODES, one behind the other.
        geometry: of the board's design.

    Returns:
        Reads and pulses of cards, in order.

    Raises:
        ValueError: the bytes are not whole events.
    """
    events: list[CardRead | CardPulse] = []
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
                events.append(CardPulse(kind == Event.SET, card, data[at], rows, columns))
                at = end
            else:
                lines = geometry.rows if kind == Event.ROWS else geometry.columns
                codes = np.frombuffer(data, "<i2", lines, at)
                events.append(CardRead(kind == Event.ROWS, card, codes))
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

    def __init__(self, board: BoardLearner, design: str, predictions: int = 100) -> None:
        """Compare a board of chips.

        Args:
            board: configured with the design.
            design: of the board of chips.
            predictions: see `AttachedLockStep`.
        """
        # Imported only here, because scipy takes its time.
        from madem_emulator.designs import GEOMETRIES

        self.attached = AttachedTwin(board.config, GEOMETRIES[design])
        super().__init__(board, TwinLearner(board.config, twin=self.attached))
        self._values = 3 * sum(self.config.sizes[1:]) + self.config.couplings + 1
        self.heard: Callable[[], None] = lambda: None
        self.predictions = predictions
        self.before_predicting: Callable[[], None] = lambda: None

    def present(
        self, samples: Iterable[Any], targets: Iterable[Any], how: Presentation
    ) -> Iterator[Reply]:
        """See `LockStep.present`."""
        for reply in super().present(samples, targets, how):
            self.heard()
            yield reply

    def outputs(self, x: Samples) -> Bytes:
        """See `LockStep.outputs`; of recorded ones the whole free phase is compared."""
        recorded = min(len(x), self.predictions)
        self.predictions -= recorded
        found = self._recorded_outputs(list(x[:recorded]), self._next_prediction(len(x)))
        if recorded < len(x):
            found += list(self.device.outputs(x[recorded:]))
        return np.array(found, np.uint8)

    def _recorded_outputs(self, x: Sequence[Bytes], first: int) -> list[Bytes]:
        if len(x):
            self.before_predicting()
        found = []
        for number, sample in enumerate(x, first):
            said = record(self.device, sample, Presentation(Mode.PREDICT, first=number))
            self._replay(said)
            try:
                free = self.attached.predict(sample)
            except ReplayError as error:
                self._differ(number, "schedule", str(error), 0, 0, error.layer)
            self.compared += sum(len(s[0]) for s in free)
            if zlib.crc32(b"".join(s[0] for s in free)) != int.from_bytes(said.digests, "little"):
                self._search_phases(number, {"free": free})
                raise DiffersError(Mismatch(number, "digest", 0, "no cell", 0, 0))
            self.heard()
            found.append(free[-1][0])
        return found

    def _replay(self, said: RecordedSample) -> None:
        events = parse_events(said.events, self.attached.geometry)
        self.compared += sum(len(e.codes) if isinstance(e, CardRead) else 1 for e in events)
        self.attached.replay(events)

    def _both(self, sample: Bytes, target: Any, how: Presentation) -> tuple[Reply, TwinStep]:
        number = self.attached.steps
        said = record(self.device, sample, how, target)
        self._replay(said)
        try:
            step = self.twin.step(sample, target, how)
        except ReplayError as error:
            self._search_phases(number, self.attached.settled)
            self._differ(number, "schedule", str(error), 0, 0, error.layer)
        return Reply(said.answer, digests=Digests(*struct.unpack("<4I", said.digests))), step
