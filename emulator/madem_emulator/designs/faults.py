"""Faults of a board of chips on purpose: what a verification and a calibration have to find.

A fault is written as KIND:WHERE or KIND:WHERE:VALUE, with @READS behind it when it begins only
after so many reads of cards:

| fault | |
|---|---|
| `gain:c3:1.2` | the amplifier of column 3 (`r3`: of row 3) has 1.2 times its gain |
| `swap:c2:c5` | the amplifiers of columns 2 and 5 are swapped |
| `dead:c4` | the line is broken: it drives nothing and gives no current |
| `stuck:0.r3.c2` | on card 0, the device where row 3 and column 2 cross does not change any more |
| `open:0.r3.c2`, `short:0.r3.c2` | it does not conduct, or 20 times as much as it should at most |
| `cells:0.05` | this share of all devices is stuck at either end |
| `drift:0.01` | every device loses this fraction of its window in each 1000 reads |
| `flips:0.001` | in this share of the transfers to and from each chip a bit flips |
| `resistors` | cards hold resistors of 100 kΩ and 1 MΩ in place of devices |
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from madem_emulator.physical.checks import Floats
from madem_emulator.wiring.bit_errors import FlippingI2c, FlippingSpi
from madem_emulator.wiring.bus import Bus, I2cChip, SpiChip

if TYPE_CHECKING:  # it brings scipy, which takes its time
    from madem_emulator.physical.crossbar import Crossbar

_LINE = re.compile(r"([rc])(\d+)")
_CELL = re.compile(r"(\d+)\.r(\d+)\.c(\d+)")
_SHORT = 20.0
_FORMS = {
    "gain": (_LINE, True),
    "swap": (_LINE, False),
    "dead": (_LINE, None),
    "stuck": (_CELL, None),
    "open": (_CELL, None),
    "short": (_CELL, None),
    "cells": (None, True),
    "drift": (None, True),
    "flips": (None, True),
    "resistors": (None, None),
}
"""Of each kind: what WHERE looks like, and whether VALUE is a number, a second line or nothing."""


@dataclass(frozen=True)
class BoardFault:
    """One of them.

    Attributes:
        kind: a key of the table.
        columns: a line is a column, otherwise a row.
        line: its number; of a device, its column.
        other: the second line; of a device, its row.
        card: of a device.
        value: factor, share or rate.
        after: reads of cards after which it begins.
    """

    kind: str
    columns: bool = True
    line: int = 0
    other: int = 0
    card: int = 0
    value: float = 0.0
    after: int = 0


def resistors(shape: tuple[int, ...]) -> Floats:
    """Siemens of the card of resistors of docs/hardware/maker_board.md: 100 kΩ on the diagonal and
    right of it, 1 MΩ left of it. No two lines are alike, so that swapped ones show.
    """
    row, column = np.indices(shape)
    return np.where(column < row, 1e-6, 1e-5)


def parse(text: str) -> BoardFault:
    """One fault from its form in the table.

    Raises:
        ValueError: there is no such fault.
    """
    bad = ValueError(f"fault {text!r} is not one of gain:c3:1.2, swap:c2:c5, dead:c4,"
                     " stuck:0.r3.c2, open:…, short:…, cells:0.05, drift:0.01,"
                     " flips:0.001, resistors")  # fmt: skip
    body, _, after = text.partition("@")
    kind, *parts = body.split(":")
    if kind not in _FORMS or (after and not after.isdecimal()):
        raise bad
    form, extra = _FORMS[kind]
    if len(parts) != (form is not None) + (extra is not None):
        raise bad
    found = form.fullmatch(parts[0]) if form else None
    if form and not found:
        raise bad
    number = 0.0
    if extra:
        try:
            number = float(parts[-1])
        except ValueError:
            raise bad from None
    start = int(after or 0)
    if form is _CELL and found:
        card, row, column = (int(part) for part in found.groups())
        return BoardFault(kind, line=column, other=row, card=card, after=start)
    if form is _LINE and found:
        columns, line = found[1] == "c", int(found[2])
        if extra is False:
            second = _LINE.fullmatch(parts[1])
            if not second or (second[1] == "c") != columns:
                raise bad
            return BoardFault(kind, columns, line, int(second[2]), after=start)
        return BoardFault(kind, columns, line, value=number, after=start)
    return BoardFault(kind, value=number, after=start)


class BoardFaults:
    """All faults of a board; a design asks it at each read, and when it makes a card."""

    def __init__(self, faults: Iterable[BoardFault] = ()) -> None:
        self._faults = tuple(faults)
        self._reads = 0
        self._cards: dict[int, Crossbar] = {}
        self._held: dict[BoardFault, float] = {}  # a stuck device's conductance
        self._frozen: dict[int, tuple[NDArray[np.bool_], Floats]] = {}
        self._wires: list[FlippingSpi | FlippingI2c] = []

    def wire(self, bus: Bus) -> None:
        """All chips are on their buses."""
        if any(fault.kind == "flips" for fault in self._faults):

            def spi(chip: SpiChip) -> SpiChip:
                self._wires.append(wire := FlippingSpi(chip, seed=len(self._wires)))
                return wire

            def i2c(chip: I2cChip) -> I2cChip:
                self._wires.append(wire := FlippingI2c(chip, seed=len(self._wires)))
                return wire

            bus.replace_all(spi, i2c)
            self._flip()

    def made(self, number: int, array: Crossbar) -> None:
        """A card was made."""
        self._cards[number] = array
        for fault in self._faults:
            if fault.kind == "cells":
                lot = np.random.default_rng([number, 77]).random(array.shape)
                ends = np.where(lot < fault.value / 2, array.device.g_min, array.device.g_max)
                self._frozen[number] = lot < fault.value, ends
            elif fault.kind == "resistors":
                self._frozen[number] = np.ones(array.shape, bool), resistors(array.shape)

    def driven(self, columns: bool, volts: Floats) -> Floats:
        """Volts about the middle on driven lines, as they arrive."""
        if not self._faults:
            return volts
        for fault in self._now("dead"):
            if fault.columns == columns:
                volts = volts.copy()
                volts[fault.line] = 0.0
        return volts

    def sensed(self, columns: bool, currents: Floats) -> Floats:
        """Currents of sensed lines, as the ADC sees them; counts as a read."""
        self._reads += 1
        if not self._faults:
            return currents
        self._flip()
        for fault in self._now("drift"):
            self._drift(fault.value / 1000)
        for fault in self._faults:
            if self._reads < fault.after or fault.columns != columns:
                continue
            if fault.kind in ("gain", "dead"):
                currents = currents.copy()
                currents[fault.line] *= fault.value
            elif fault.kind == "swap":
                currents = currents.copy()
                pair = [fault.line, fault.other]
                currents[pair] = currents[pair[::-1]]
        return currents

    def settle(self) -> None:
        """Let faulty devices be what they are, before a read and after pulses."""
        for number, (mask, values) in self._frozen.items():
            self._freeze(self._cards[number], mask, values)
        for fault in self._faults:
            if fault.kind not in ("stuck", "open", "short") or self._reads < fault.after:
                continue
            array = self._cards.get(fault.card)
            if array is None:
                continue
            at = fault.other, fault.line
            if fault not in self._held:
                stays = {"open": 0.0, "short": _SHORT * array.device.g_max}
                self._held[fault] = stays.get(fault.kind, float(array.conductances[at]))
            mask = np.zeros(array.shape, bool)
            mask[at] = True
            self._freeze(array, mask, np.full(array.shape, self._held[fault]))

    def _now(self, kind: str) -> list[BoardFault]:
        return [f for f in self._faults if f.kind == kind and self._reads >= f.after]

    def _flip(self) -> None:
        for fault in self._now("flips"):
            for wire in self._wires:
                wire.hears = wire.says = fault.value

    def _drift(self, share: float) -> None:
        for array in self._cards.values():
            array.conductances = np.maximum(
                array.conductances - share * array.device.window, array.device.g_min
            )

    @staticmethod
    def _freeze(array: Crossbar, mask: NDArray[np.bool_], values: Floats) -> None:
        """Hold devices at conductances, whatever pulses they get."""
        if np.any(array.conductances[mask] != values[mask]):
            array.conductances = np.where(mask, values, array.conductances)
