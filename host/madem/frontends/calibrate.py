"""Measure a board of chips and have it keep what was found: `madem calibrate`.

docs/hardware/calibration.md has the method and its limits.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.boards.link_protocol import CALIBRATION_MAGIC, CALIBRATION_SHIFT
from madem.learners.chips import Card, Chips
from madem_emulator.twin.cards import Geometry

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

STEPS = 5
"""Of a card, for a progress bar."""
READS = 16
"""Readings that are averaged."""
_RAMP = np.arange(-255, 256, 51)
"""Levels at which linearity is measured."""
_SILENT = 0.1
"""A line whose codes are all below this share of the others' median gives no current."""
_MOVES = 0.1
"""A device that moves less than this share of the card's median swing is stuck …"""
_ROUNDS = 3
"""… if it does so in as many rounds: pulses vary, and a good device may come back by chance."""
_SHORT = 3.0
"""A device of more codes than this many windows is shorted: it takes its line with it."""
_LEAST, _MOST = 0.5, 3.9
"""Gains that can be put right; beyond, the line counts as dead."""


@dataclass(frozen=True)
class CardHealth:
    """Findings on a card.

    Attributes:
        card: its number.
        codes: of every device as it was found, forward: (rows, columns).
        column_gains, row_gains: of the amplifiers, relative to the mean of the card.
        dead_columns, dead_rows: lines that give no current.
        shorted, open, stuck: devices, (rows, columns); those on dead lines in none of them.
        bend: largest deviation of a line's codes from a straight line over the read voltage, in
            codes.
    """

    card: int
    codes: Floats
    column_gains: Floats
    row_gains: Floats
    dead_columns: Flags
    dead_rows: Flags
    shorted: Flags
    open: Flags
    stuck: Flags
    bend: float

    @property
    def dead(self) -> Flags:
        """Devices that get no pulses any more: bool (rows, columns)."""
        lines = self.dead_rows[:, None] | self.dead_columns
        return lines | self.shorted | self.open | self.stuck


@dataclass(frozen=True)
class Calibration:
    """Of a board.

    Attributes:
        design: of the board.
        middle: codes of a device in the middle of its window.
        cards: what was measured.
    """

    design: str
    middle: float
    cards: list[CardHealth]

    def to_bytes(self) -> bytes:
        """Make the file on the board: docs/hardware/calibration.md."""
        name = self.design.encode()
        data = CALIBRATION_MAGIC + bytes([len(name)]) + name + struct.pack("<H", round(self.middle))
        for card in self.cards:
            data += struct.pack("<H", card.card)
            for gains in (card.column_gains, card.row_gains):
                data += np.round((1 << CALIBRATION_SHIFT) / gains).astype("<u2").tobytes()
            for flags in (card.dead_columns, card.dead_rows, card.dead):
                data += np.packbits(flags, axis=-1, bitorder="little").tobytes()
        return data + struct.pack("<I", zlib.crc32(data))

    def to_json(self) -> dict[str, Any]:
        """Make what `madem calibrate --json` writes; gains are factors, codes the chips'."""
        return {
            "design": self.design,
            "middle": round(self.middle, 2),
            "dead_devices": int(sum(card.dead.sum() for card in self.cards)),
            "cards": [
                {
                    "card": card.card,
                    "column_gains": [round(float(g), 4) for g in card.column_gains],
                    "row_gains": [round(float(g), 4) for g in card.row_gains],
                    "nonlinearity_codes": round(card.bend, 2),
                    "dead_columns": np.flatnonzero(card.dead_columns).tolist(),
                    "dead_rows": np.flatnonzero(card.dead_rows).tolist(),
                    "shorted": np.argwhere(card.shorted).tolist(),
                    "open": np.argwhere(card.open).tolist(),
                    "stuck": np.argwhere(card.stuck).tolist(),
                    "codes": np.round(card.codes, 1).tolist(),
                }
                for card in self.cards
            ],
        }


def run(
    chips: Chips, design: str, cards: int, pulses: int, progress: Callable[[int], None]
) -> Calibration:
    """Measure cards, which moves every device up, down and about back.

    Args:
        chips: of a configured board.
        design: its name.
        cards: how many, from number 0 on.
        pulses: that move a device by half its window.
        progress: called with 1 for each of `STEPS` of a card.

    Returns:
        Gains, lines and devices of every card.
    """
    found = [_card(chips, card, pulses, progress) for card in range(cards)]
    return Calibration(
        design, float(np.median([middle for _, middle in found])), [h for h, _ in found]
    )


def _card(
    chips: Chips, card: int, pulses: int, progress: Callable[[int], None]
) -> tuple[CardHealth, float]:
    """A card's health, and the codes of its devices in mid-window."""
    geometry = chips.geometry

    steps = STEPS - 1

    def measured() -> Card:
        nonlocal steps
        if steps:  # there are more when devices are suspected
            steps -= 1
            progress(1)
        return chips.card(card, reads=READS, raw=True)

    def pulsed(up: bool, times: int) -> Card:
        columns = (1 << geometry.columns) - 1
        for row in range(geometry.rows):
            left = times * pulses
            while left:
                now = min(left, 255)
                chips.pulse(card, 1 << row, columns, up, now)
                left -= now
        return measured()

    states = [measured()]
    found = None
    while not found or (found.stuck.any() and len(states) < 1 + 3 * _ROUNDS):
        # To the top, to the bottom, and half the way back.
        states += [pulsed(True, 2), pulsed(False, 4), pulsed(True, 1)]
        found = _Judged.of(states, geometry.span)
    good = ~(found.lines | found.shorted | found.stuck)
    column_gains, row_gains = _gains(found.forward, found.transposed, good)
    bad_columns = (column_gains < _LEAST) | (column_gains > _MOST)
    bad_rows = (row_gains < _LEAST) | (row_gains > _MOST)
    codes = (found.forward + found.transposed) / 2
    top, bottom = (np.median(codes[k][good]) if good.any() else 0.0 for k in (1, 2))
    health = CardHealth(
        card=card,
        codes=found.forward[0],
        column_gains=np.where(bad_columns, 1.0, column_gains),
        row_gains=np.where(bad_rows, 1.0, row_gains),
        dead_columns=found.dead_columns | bad_columns,
        dead_rows=found.dead_rows | bad_rows,
        shorted=found.shorted,
        open=found.open & ~found.lines,
        stuck=found.stuck & ~found.open & ~found.lines,
        bend=_bend(chips, card, codes[-1], good, geometry),
    )
    progress(1)
    return health, float(top + bottom) / 2


class _Judged(NamedTuple):
    """Judges the devices of a card by the states in which it was measured.

    Attributes:
        forward, transposed: codes, (states, rows, columns).
        dead_columns, dead_rows, shorted, open: as in `CardHealth`.
        stuck: devices that did not move, open ones among them, (rows, columns).
    """

    forward: Floats
    transposed: Floats
    dead_columns: Flags
    dead_rows: Flags
    shorted: Flags
    open: Flags
    stuck: Flags

    @classmethod
    def of(cls, states: list[Card], span: int) -> _Judged:
        """Judge the devices by where they were and how far they moved."""
        forward = np.array([state.forward for state in states])
        transposed = np.array([state.transposed for state in states])
        both = (forward + transposed) / 2
        highest = both.max(axis=0)
        swing = highest - both.min(axis=0)
        dead_columns = _silent(forward, axis=1)
        dead_rows = _silent(transposed, axis=2)
        alive = ~(dead_rows[:, None] | dead_columns)
        shorted = alive & (highest > _SHORT * span)
        movable = alive & ~shorted
        usual = float(np.median(swing[movable])) if movable.any() else 0.0
        stuck = movable & (swing < _MOVES * usual)
        silent = stuck & (highest < _SILENT * float(np.median(both)))
        columns = dead_columns | shorted.any(axis=0)
        return cls(forward, transposed, columns, dead_rows, shorted, silent, stuck)

    @property
    def lines(self) -> Flags:
        """Devices on dead lines: (rows, columns)."""
        return self.dead_rows[:, None] | self.dead_columns


def _silent(states: Floats, axis: int) -> Flags:
    """Lines, whose devices lie along an axis of (states, rows, columns), that give no current."""
    loudest = np.abs(states).max(axis=(0, axis))
    return loudest < _SILENT * np.median(loudest)


def _gains(forward: Floats, transposed: Floats, good: Flags) -> tuple[Floats, Floats]:
    """Of columns' and rows' amplifiers, from forward over transposed codes of the same devices.

    That is the column's gain over the row's. Nothing tells their common factor, so the logarithms
    of all lines' gains have the mean 0. Least squares over all good devices.
    """
    _, rows, columns = forward.shape
    row, column = np.nonzero(good)
    gains = np.zeros(rows + columns)
    if len(row):
        # Devices in their highest state, where noise counts least.
        best = np.argmax(forward + transposed, axis=0)[row, column]
        ratio = np.log(
            np.maximum(forward[best, row, column], 1) / np.maximum(transposed[best, row, column], 1)
        )
        lines = np.zeros((len(row) + 1, rows + columns))
        lines[np.arange(len(row)), rows + column] = 1
        lines[np.arange(len(row)), row] = -1
        lines[-1] = 1  # … the mean, of lines that have devices
        gains = np.linalg.lstsq(lines, np.append(ratio, 0.0), rcond=None)[0]
    return np.exp(gains[rows:]), np.exp(gains[:rows])


def _bend(chips: Chips, card: int, codes: Floats, good: Flags, geometry: Geometry) -> float:
    """Departure from a straight line: DAC, devices and ADC together, in codes."""
    if not good.any():
        return 0.0
    row = int(np.argmax(np.where(good, codes, 0).sum(axis=1)))
    said = np.array([chips.lines(card, False, row, int(v), reads=READS, raw=True) for v in _RAMP])[
        :, good[row]
    ]
    share = geometry.share(_RAMP.astype(np.float64))
    line = np.polynomial.polynomial.polyfit(share, said, 1)
    return float(np.abs(said - np.polynomial.polynomial.polyval(share, line).T).max())
