"""What a board of chips measures of its cards on request: CALIBRATE of docs/reference/link.md."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.boards.link_protocol import (
    CALIBRATE_COUNTS_REPLY,
    CALIBRATE_MEASURE,
    CALIBRATE_PULSE,
    CALIBRATE_STORE,
    CalibrateRequest,
    Kind,
)
from madem.errors import DeviceError
from madem.learners.board import BoardLearner
from madem_emulator.twin.cards import Geometry

Floats = NDArray[np.float64]

_NONE = 255
"""No line is driven."""


class Card(NamedTuple):
    """Of every device of a card, the codes at full activity of its line alone, less the zero.

    Attributes:
        forward: word line driven, bit line sensed: (rows, columns).
        transposed: the other way round: (rows, columns).
    """

    forward: Floats
    transposed: Floats


class Counts(NamedTuple):
    """Counters of the drivers since CONFIGURE.

    Attributes:
        saturated: conversions at either end of an ADC's range.
        repeated: transfers that were made again because of bit errors.
    """

    saturated: int
    repeated: int


class Chips:
    """The chips of a board, asked one card at a time.

    Attributes:
        geometry: of the board's design.
    """

    def __init__(self, board: BoardLearner, geometry: Geometry) -> None:
        """Ask a board.

        Args:
            board: configured with the design.
            geometry: of the design.
        """
        self._board = board
        self.geometry = geometry

    def lines(
        self, card: int, columns: bool, line: int, level: int = 255, *, reads: int, raw: bool
    ) -> Floats:
        """Drive one line, and read all lines of the other side.

        Args:
            card: its number.
            columns: drive a column and sense the rows; otherwise the other way round.
            line: which; `_NONE` for none.
            level: activity, −255 to 255.
            reads: how many are averaged.
            raw: as the converters say it; otherwise put right by the board's calibration.

        Returns:
            Mean codes, float64 (rows,) or (columns,).

        Raises:
            DeviceError: a chip does not answer (8).
        """
        payload = CALIBRATE_MEASURE.pack(
            CalibrateRequest.MEASURE, card, columns, line, level, reads, raw
        )
        said = np.frombuffer(self._ask(payload), np.uint8).reshape(-1, 3).astype(np.int64)
        whole = said[:, 0] | said[:, 1] << 8 | said[:, 2] << 16
        return (whole - (whole >> 23 << 24)) / 256

    def card(self, card: int, *, reads: int, raw: bool = False) -> Card:
        """Measure all devices of a card, both ways.

        Args:
            card: its number.
            reads: how many are averaged of each device; four times as many of the zero.
            raw: as for `lines`.

        Returns:
            Codes of every device.
        """
        both = []
        for columns, count in ((False, self.geometry.rows), (True, self.geometry.columns)):
            zero = self.lines(card, columns, _NONE, reads=4 * reads, raw=raw)
            codes = [self.lines(card, columns, n, reads=reads, raw=raw) for n in range(count)]
            both.append(np.array(codes) - zero)
        return Card(both[0], both[1].T)

    def pulse(self, card: int, rows: int, columns: int, up: bool, pulses: int) -> None:
        """Pulse the devices where lines cross.

        Args:
            card: its number.
            rows: mask of word lines, bit 0 the first.
            columns: mask of bit lines.
            up: SET; otherwise RESET.
            pulses: that each device gets, 1…255.
        """
        masks = [
            mask.to_bytes((n + 7) // 8, "little")
            for mask, n in ((rows, self.geometry.rows), (columns, self.geometry.columns))
        ]
        self._ask(CALIBRATE_PULSE.pack(CalibrateRequest.PULSE, card, up, pulses) + b"".join(masks))

    def store(self, data: bytes) -> None:
        """Have the board keep a calibration; it takes effect at the next CONFIGURE.

        Args:
            data: as in docs/hardware/calibration.md.

        Raises:
            DeviceError: the board's flash is full, or it can't use this calibration.
        """
        room = self._board.link.queued_payload - CALIBRATE_STORE.size
        try:
            for at in range(0, len(data), room):
                self._ask(CALIBRATE_STORE.pack(CalibrateRequest.STORE, at) + data[at : at + room])
            self._ask(bytes([CalibrateRequest.KEEP]))
        except DeviceError as error:
            _, full, rest = str(error).partition("the flash is full")
            if not full:
                raise
            raise DeviceError(
                error.code,
                f"{full}{rest}: delete files that the board does not need, and calibrate again; a"
                " calibration from before is still there",
            ) from None

    def forget(self) -> None:
        """Have the board throw its calibration away."""
        self._ask(bytes([CalibrateRequest.FORGET]))

    def counts(self) -> Counts:
        """Ask what the drivers have met since CONFIGURE."""
        return Counts(*CALIBRATE_COUNTS_REPLY.unpack(self._ask(bytes([CalibrateRequest.COUNTS]))))

    def _ask(self, payload: bytes) -> bytes:
        return self._board.link.request(Kind.CALIBRATE, payload, timeout=60.0)
