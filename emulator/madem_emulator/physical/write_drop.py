"""The share of a pulse's amplitude that reaches devices behind lines that have resistance.

Both ends of a pulse are driven, so that `Wires.driver` is at every terminal. Devices are taken as
linear, with the conductance they have before the pulse; "exact" means the solution of that
resistor network.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from madem_emulator.physical.checks import Floats
from madem_emulator.physical.wire_solver import solve
from madem_emulator.physical.wires import Wires


class HalfScheme(NamedTuple):
    """Shares of the amplitude in an array without transistors.

    The selected word line is at +½ of the amplitude, the selected bit line at −½, all others at 0.
    For the selected device (word + bit) / 2 is exact. A device on one selected line sees half of
    that line's share; what the other line puts on it by way of neighbours is left out.

    Attributes:
        word, bit: twice what each device sees of its word line or its bit line alone, of the
            amplitude: (*batch, rows, columns).
    """

    word: Floats
    bit: Floats

    @property
    def selected(self) -> Floats:
        """Share of the amplitude at each device when it is selected: (*batch, rows, columns)."""
        return (self.word + self.bit) / 2


def resistances(wires: Wires, rows: int, columns: int) -> Floats:
    """Resistances between the terminals of a device's two lines and the device.

    Args:
        wires: resistances in ohms.
        rows: word lines of the array.
        columns: bit lines of the array.

    Returns:
        Ohms, (rows, columns).
    """
    word = wires.driver + wires.word_segment * np.arange(1, columns + 1)
    bit = wires.driver + wires.bit_segment * np.arange(rows, 0, -1)
    return word + bit[:, None]


def alone(resistance: Floats, g: Floats) -> Floats:
    """Share at a device that is pulsed while all other transistors are off: exact.

    Args:
        resistance: from `resistances`, (rows, columns).
        g: siemens, (*batch, rows, columns).

    Returns:
        Shares of the amplitude, (*batch, rows, columns).
    """
    return 1 / (1 + g * resistance)


def half_scheme(wires: Wires, g: Floats) -> HalfScheme:
    """Shares in an array without transistors, for each device as the selected one.

    Args:
        wires: resistances in ohms.
        g: siemens, (*batch, rows, columns).

    Returns:
        Shares of the amplitude.
    """
    rows, columns = g.shape[-2:]
    driven = _driven_at_both_ends(wires)
    # One solution for each line that is driven alone; of it, only what is on that line counts.
    each_word = np.broadcast_to(np.eye(rows)[:, :, None], (rows, rows, columns))
    each_bit = np.broadcast_to(np.eye(columns)[:, None, :], (columns, rows, columns))
    of_word = solve(driven, g[..., None, :, :], each_word, transposed=False)
    of_bit = solve(driven, g[..., None, :, :], each_bit, transposed=False)
    word, bit = driven.word_line(columns, False), driven.bit_line(rows, False)
    lost_of_word = np.einsum("...iik,kj->...ij", of_word, word)
    lost_of_word += np.einsum("ik,...ikj->...ij", bit, of_word)
    lost_of_bit = np.einsum("...jik,kj->...ij", of_bit, word)
    lost_of_bit += np.einsum("ik,...jkj->...ij", bit, of_bit)
    return HalfScheme(1 - lost_of_word, 1 - lost_of_bit)


def together(wires: Wires, g: Floats, drive: Floats) -> Floats:
    """Shares where many devices are pulsed at once: exact.

    Args:
        wires: resistances in ohms.
        g: siemens, (*batch, rows, columns); 0 where the transistor is off.
        drive: voltage between the terminals of each device's lines, over the amplitude.

    Returns:
        Shares of the amplitude, (*batch, rows, columns).
    """
    driven = _driven_at_both_ends(wires)
    current = solve(driven, g, drive, transposed=False)
    rows, columns = g.shape[-2:]
    lost = current @ driven.word_line(columns, False) + driven.bit_line(rows, False) @ current
    return drive - lost


def _driven_at_both_ends(wires: Wires) -> Wires:
    return replace(wires, sense=wires.driver)
