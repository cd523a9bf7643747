"""A board of chips whose lines and devices were measured.

It puts readings right, gives no pulses to devices that are dead, and counts them.
docs/hardware/calibration.md has the file.
"""

import struct
from array import array

from micropython import const

from . import link_crc

FILE = "madem.cal"
_CALIBRATION_MAGIC = const(b"madem.cal\1")
_CALIBRATION_SHIFT = const(14)  # log2 of a gain of 1


def check(data, design, rows, columns):
    """Where the cards begin, and the bytes of each.

    Raises:
        OSError: `data` is damaged, or of another design.
    """
    state = bytearray(4)
    head = len(_CALIBRATION_MAGIC) + 1
    at = head + data[head - 1] if len(data) > head + 5 else 0
    card = 2 + 2 * (rows + columns) + (rows + 7 >> 3) + (columns + 7 >> 3) * (rows + 1)
    if data[: head - 1] == _CALIBRATION_MAGIC and at:
        link_crc.update(state, data, 0, len(data) - 4)
    if state != data[-4:] or len(data) < at + 6:
        raise OSError("madem.cal is damaged: run madem calibrate")
    if data[head:at] != design.encode():
        name = "".join(chr(c) if 31 < c < 127 else "?" for c in data[head:at])
        raise OSError("madem.cal is of the design %s: calibrate anew" % name)
    if (len(data) - 6 - at) % card:
        raise OSError("madem.cal is damaged: run madem calibrate")
    return at, card


class CalibratedBoard:
    """Stands before a board design and has its methods.

    Of a dead line all devices count as in the middle of their window, so that the other line of a
    pair has something to differ from.
    """

    def __init__(self, board, data, design):
        """OSError: `data` is damaged, or of another design."""
        self.raw = board
        rows, columns = board.ROWS, board.COLUMNS
        at, size = check(data, design, rows, columns)
        self._middle = struct.unpack_from("<H", data, at)[0]  # code of a device in mid-window
        self._cards = {}  # number: gains of columns, gains of rows, dead columns, rows, devices
        at += 2
        row_bytes, column_bytes = (rows + 7) >> 3, (columns + 7) >> 3
        gains = 2 * (rows + columns)
        while at < len(data) - 4:
            card = struct.unpack_from("<H", data, at)[0]
            here = at + 2
            lines = here + gains
            devices = lines + column_bytes + row_bytes
            self._cards[card] = (
                struct.unpack_from("<%dH" % columns, data, here),
                struct.unpack_from("<%dH" % rows, data, here + 2 * columns),
                int.from_bytes(data[lines : lines + column_bytes], "little"),
                int.from_bytes(data[lines + column_bytes : devices], "little"),
                data[devices : devices + rows * column_bytes],
            )
            at += size
        self._column_bytes = column_bytes
        # Lines that are dead on all cards are not driven: what their devices add, is not known.
        self._rest_columns, self._rest_rows = -1, -1
        for _, _, dead_columns, dead_rows, _ in self._cards.values():
            self._rest_columns &= dead_columns
            self._rest_rows &= dead_rows
        self._driven = 0  # sum of the levels of the word lines
        self._column_levels = ()
        self._row_voices = array("h", bytearray(2 * rows))
        self._column_voices = array("h", bytearray(2 * columns))

    def __getattr__(self, name):
        return getattr(self.raw, name)

    def dead(self, cards):
        """How many devices of the first `cards` cards never change."""
        count = 0
        for card in self._cards:
            if card < cards:
                for byte in self._cards[card][4]:
                    while byte:
                        count += byte & 1
                        byte >>= 1
        return count

    def dead_columns(self, card, row):
        """A mask of the columns of a card whose device in that row never changes."""
        if card not in self._cards:
            return 0
        at = row * self._column_bytes
        return int.from_bytes(self._cards[card][4][at : at + self._column_bytes], "little")

    def drive_rows(self, levels):
        self._driven = sum(levels)
        self.raw.drive_rows(_without(self._rest_rows, levels, self._row_voices))

    def drive_columns(self, levels):
        self._column_levels = levels
        self.raw.drive_columns(_without(self._rest_columns, levels, self._column_voices))

    def sense_columns(self, card, out):
        self.raw.sense_columns(card, out)
        if card in self._cards:
            gains, _, dead, _, _ = self._cards[card]
            for line in range(len(out)):
                if dead >> line & 1:
                    out[line] = self._driven * self._middle // 255
                else:
                    out[line] = (
                        out[line] * gains[line] + (1 << _CALIBRATION_SHIFT - 1)
                        >> _CALIBRATION_SHIFT
                    )

    def sense_rows(self, card, out):
        self.raw.sense_rows(card, out)
        if card in self._cards:
            _, gains, columns, dead, _ = self._cards[card]
            missing = 0  # what the dead columns would have added
            if columns:
                for line in range(len(self._column_levels)):
                    if columns >> line & 1:
                        missing += self._column_levels[line]
            missing = missing * self._middle // 255
            for line in range(len(out)):
                if dead >> line & 1:
                    out[line] = 0
                else:
                    out[line] = (
                        out[line] * gains[line] + (1 << _CALIBRATION_SHIFT - 1)
                        >> _CALIBRATION_SHIFT
                    ) + missing

    def pulse(self, card, rows, columns, up, pulses):
        if card not in self._cards:
            self.raw.pulse(card, rows, columns, up, pulses)
            return
        # Lines that are pulsed together are split where one of them crosses a dead device.
        devices = self._cards[card][4]
        line = 0
        while columns >> line:
            if columns >> line & 1:
                alive = 0
                for row in range(self.raw.ROWS):
                    if rows >> row & 1 and not (
                        devices[row * self._column_bytes + (line >> 3)] >> (line & 7) & 1
                    ):
                        alive |= 1 << row
                if alive:
                    self.raw.pulse(card, alive, 1 << line, up, pulses)
            line += 1


def _without(dead, levels, place):
    """The levels, in `place` with 0 for dead lines if there are any."""
    if not dead:
        return levels
    for line in range(len(levels)):
        place[line] = 0 if dead >> line & 1 else levels[line]
    return place
