"""Cards of a board of chips as the digital side knows them.

What the digital side has to know of a design, how weight layers lie on its cards, and the record
that a board makes of a sample: a list of reads and pulses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem_emulator.twin.array import FULL, Floats
from madem_emulator.twin.config import Config

Codes = NDArray[np.int16]

_WINDOW_AT_FULL = 200 * FULL
"""One device's window at full activity, in the units of a layer's gain
(docs/reference/arithmetic.md).
"""


class Geometry(NamedTuple):
    """A board design as the digital side has to know it.

    See docs/hardware/frontends.md, "Adding a board design".
    """

    rows: int
    """Word lines of a card."""
    columns: int
    """Bit lines of a card."""
    span: int
    """Codes by which a device's whole window changes a reading at full activity."""
    noise: float
    """σ of a code: amplifier and converter, rounding included."""
    share: Callable[[Floats], Floats]
    """Gives the share of the full read voltage that a line gets for activities of −255 to 255."""
    conversions: int
    """Conversions that a reading is the mean of."""


@dataclass(frozen=True, eq=False)
class CardRead:
    """One read of a card."""

    rows: bool
    """The word lines were sensed; otherwise the bit lines."""
    card: int
    codes: Codes
    """Of every sensed line."""


@dataclass(frozen=True)
class CardPulse:
    """Pulses given to lines of a card."""

    up: bool
    """SET; otherwise RESET."""
    card: int
    pulses: int
    """How many, one after another."""
    rows: int
    """Mask of word lines, bit 0 the first."""
    columns: int
    """Mask of bit lines."""

    def __str__(self) -> str:
        kind = "SET" if self.up else "RESET"
        return (
            f"{self.pulses} {kind} on card {self.card}, rows {self.rows:#x},"
            f" columns {self.columns:#x}"
        )


class Place(NamedTuple):
    """Cards of a weight layer, and the gain that turns their codes into readings."""

    lines: int
    """Word lines without the bias line."""
    units: int
    """Units that the layer feeds; each has two bit lines, P and N."""
    first: int
    """Number of its first card."""
    across: int
    """Cards side by side for all its bit lines."""
    down: int
    """Cards one below another for all its word lines, the bias line included."""
    gain: int
    """A reading is the sum of codes times `gain`, …"""
    shift: int
    """… over 2^shift."""


def places(config: Config, geometry: Geometry) -> list[Place]:
    """Lay weight layers on cards, as firmware/madem/frontend_chips.py does.

    Args:
        config: of the network.
        geometry: of the board.

    Returns:
        One for each weight layer.
    """
    found = []
    first = 0
    for k, layer in enumerate(config.layers):
        m, n = config.sizes[k], config.sizes[k + 1]
        across, down = -(-2 * n // geometry.columns), -(-(m + 1) // geometry.rows)
        gain, shift = layer.gain * _WINDOW_AT_FULL // geometry.span, layer.gain_shift
        while shift and gain >= 1 << 15:
            gain, shift = gain >> 1, shift - 1
        found.append(Place(m, n, first, across, down, gain, shift))
        first += across * down
    return found
