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

    Attributes:
        rows: word lines of a card.
        columns: bit lines of a card.
        span: codes by which a device's whole window changes a reading at full activity.
        noise: σ of a code: amplifier and converter, rounding included.
        share: gives the share of the full read voltage that a line gets for activities of −255 to
            255.
        conversions: conversions that a reading is the mean of.
    """

    rows: int
    columns: int
    span: int
    noise: float
    share: Callable[[Floats], Floats]
    conversions: int


@dataclass(frozen=True, eq=False)
class CardRead:
    """One read of a card.

    Attributes:
        rows: the word lines were sensed; otherwise the bit lines.
        card: its number.
        codes: of every sensed line.
    """

    rows: bool
    card: int
    codes: Codes


@dataclass(frozen=True)
class CardPulse:
    """Pulses given to lines of a card.

    Attributes:
        up: SET; otherwise RESET.
        card: its number.
        pulses: how many, one after another.
        rows: mask of word lines, bit 0 the first.
        columns: mask of bit lines.
    """

    up: bool
    card: int
    pulses: int
    rows: int
    columns: int

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
