"""What share of a pulse's amplitude reaches the devices behind lines that have resistance.

Both ends of a pulse are driven, so that `Wires.driver` is at every terminal. Devices are taken as
linear, with the conductance they have before the pulse. Of that, what is said to be exact is the
solution of the resistor network.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from madem_emulator.physical.checks import Floats
from madem_emulator.physical.wire_solver import solve
from madem_emulator.physical.wires import Wires


class HalfScheme(NamedTuple):
    """An array without transistors whose selected word line is at +½ of the amplitude, its
    selected bit line at −½, and all others at 0: twice what each device sees of either line alone,
    (*batch, rows, columns). Together they are exact for the selected device, (word + bit) / 2; one
    on a selected line sees half of that line's, but for what the other line puts on it by way of
    neighbours, which is left out.
    """

    word: Floats
    bit: Floats

    @property
    def selected(self) -> Floats:
        """Share of the amplitude at each device when it is the selected one."""
        return (self.word + self.bit) / 2


def resistances(wires: Wires, rows: int, columns: int) -> Floats:
    """Ohms between the terminals of a device's two lines and the device, (rows, columns)."""
    word = wires.driver + wires.word_segment * np.arange(1, columns + 1)
    bit = wires.driver + wires.bit_segment * np.arange(rows, 0, -1)
    return word + bit[:, None]


def alone(resistance: Floats, g: Floats) -> Floats:
    """Share at a device that is pulsed while all other transistors are off: exact."""
    return 1 / (1 + g * resistance)


def half_scheme(wires: Wires, g: Floats) -> HalfScheme:
    """Shares in an array without transistors, for each device as the selected one.

    Args:
        wires: resistances in ohms.
        g: siemens, (*batch, rows, columns).
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
    """
    driven = _driven_at_both_ends(wires)
    current = solve(driven, g, drive, transposed=False)
    rows, columns = g.shape[-2:]
    lost = current @ driven.word_line(columns, False) + driven.bit_line(rows, False) @ current
    return drive - lost


def _driven_at_both_ends(wires: Wires) -> Wires:
    return replace(wires, sense=wires.driver)
