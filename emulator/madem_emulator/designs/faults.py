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

_SHORT = 20.0
"""Conductance of a shorted device, over g_max."""
_LINE = r"(?P<side>[rc])(?P<line>\d+)"
_VALUE = r"(?P<value>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_FORMS = (
    rf"(?P<kind>gain):{_LINE}:{_VALUE}",
    rf"(?P<kind>swap):{_LINE}:(?P=side)(?P<other>\d+)",
    rf"(?P<kind>dead):{_LINE}",
    r"(?P<kind>stuck|open|short):(?P<card>\d+)\.r(?P<other>\d+)\.c(?P<line>\d+)",
    rf"(?P<kind>cells|drift|flips):{_VALUE}",
    r"(?P<kind>resistors)",
)
"""The table's forms; the groups have the names of `BoardFault`'s fields."""


@dataclass(frozen=True)
class BoardFault:
    """One row of the table, with its place and value.

    Attributes:
        kind: a key of the table.
        columns: whether a line is a column; otherwise it is a row.
        line: number of the line; of a device, of its column.
        other: number of the second line; of a device, of its row.
        card: of a device, the number of its card.
        value: the factor, share or rate.
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
    """Conductances of the card of resistors of docs/hardware/maker_board.md.

    No two lines are alike, so that swapped ones show.

    Args:
        shape: (rows, columns).

    Returns:
        Siemens, of that shape: 100 kΩ on the diagonal and right of it, 1 MΩ left of it.
    """
    row, column = np.indices(shape)
    return np.where(column < row, 1e-6, 1e-5)


def parse(text: str) -> BoardFault:
    """Read one fault.

    Args:
        text: in a form of the table.

    Returns:
        The fault.

    Raises:
        ValueError: there is no such fault.
    """
    for form in _FORMS:
        if found := re.fullmatch(rf"{form}(?:@(?P<after>\d+))?", text):
            break
    else:
        raise ValueError(f"fault {text!r} is not one of gain:c3:1.2, swap:c2:c5, dead:c4,"
                         " stuck:0.r3.c2, open:…, short:…, cells:0.05, drift:0.01,"
                         " flips:0.001, resistors")  # fmt: skip
    parts = {name: part for name, part in found.groupdict().items() if part}
    kind, side, value = parts.pop("kind"), parts.pop("side", "c"), float(parts.pop("value", 0))
    numbers = {name: int(part) for name, part in parts.items()}
    return BoardFault(kind, columns=side == "c", value=value, **numbers)


class BoardFaults:
    """All faults of a board; its design asks at each read, and when it makes a card."""

    def __init__(self, faults: Iterable[BoardFault] = ()) -> None:
        """Break nothing yet: each fault begins after its number of reads.

        Args:
            faults: what is broken on purpose.
        """
        self._faults = tuple(faults)
        self._reads = 0
        self._cards: dict[int, Crossbar] = {}
        self._held: dict[BoardFault, float] = {}  # a stuck device's conductance
        self._frozen: dict[int, tuple[NDArray[np.bool_], Floats]] = {}
        self._wires: list[FlippingSpi | FlippingI2c] = []

    def wire(self, bus: Bus) -> None:
        """Let wires flip bits, if a fault asks for it.

        Args:
            bus: with all chips of the board on it.
        """
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
        """Take over a card that was just made.

        Args:
            number: of the card.
            array: its devices.
        """
        self._cards[number] = array
        for fault in self._faults:
            if fault.kind == "cells":
                lot = np.random.default_rng([number, 77]).random(array.shape)
                ends = np.where(lot < fault.value / 2, array.device.g_min, array.device.g_max)
                self._frozen[number] = lot < fault.value, ends
            elif fault.kind == "resistors":
                self._frozen[number] = np.ones(array.shape, bool), resistors(array.shape)

    def driven(self, columns: bool, volts: Floats) -> Floats:
        """Voltages of driven lines, as they arrive at the array.

        Args:
            columns: the columns are driven, else the rows.
            volts: as the drivers give them, about the middle, (lines,).

        Returns:
            Volts, (lines,).
        """
        if not self._faults:
            return volts
        for fault in self._now("dead"):
            if fault.columns == columns:
                volts = volts.copy()
                volts[fault.line] = 0.0
        return volts

    def sensed(self, columns: bool, currents: Floats) -> Floats:
        """Currents of sensed lines, as the ADC sees them; counts as a read.

        Args:
            columns: the columns are sensed, else the rows.
            currents: that leave the array, in amperes, (lines,).

        Returns:
            Amperes, (lines,).
        """
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
        """Bring faulty devices back to what they are; for before a read and after pulses."""
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
