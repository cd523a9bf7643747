"""How many pulses a pulse is worth at each device of an array: what wires and lines leave of it.

A pulse of v times its amplitude is worth h^(2 − 2 v) pulses, with h the device's
`PulseResponse.half_select`: exponential in the voltage, through what a pulse of half the amplitude
is worth.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from madem_emulator.physical import checks, write_drop
from madem_emulator.physical.checks import Flags, Floats
from madem_emulator.physical.device import DeviceModel
from madem_emulator.physical.wires import Wires

Cell = Literal["1T1R", "1R"]
"""A transistor at every device, or none."""


class PulseWorth:
    """Worth of pulses in one array, by the scheme in which they are given.

    Attributes:
        disturbs: whether pulses reach devices that share only one line with the selected one.
        loses: whether pulses lose voltage in the wires.
    """

    def __init__(
        self, device: DeviceModel, cell: Cell, wires: Wires | None, pulses_lose: bool
    ) -> None:
        """Check that the losses can be worked out.

        Args:
            device: the kind of device.
            cell: with a transistor or without.
            wires: resistances of the lines; None: none.
            pulses_lose: pulses lose voltage in the wires.

        Raises:
            ValueError: pulses lose voltage, but there are no wires or h is 0.
        """
        self._half = device.pulses.half_select
        self._cell = cell
        self._wires = wires if pulses_lose else None
        self.loses = pulses_lose
        self.disturbs = cell == "1R" and self._half > 0
        if pulses_lose:
            checks.need(wires is not None, "wires", wires, "given where pulses lose voltage")
            must = "above 0 where pulses lose voltage"
            checks.need(self._half > 0, "half_select", self._half, must)

    def _of(self, share: Floats) -> Floats:
        """Worth of a pulse of which this share of the amplitude arrives."""
        return self._half ** (2 - 2 * share)

    def alone(self, g: Floats) -> Floats:
        """Worth at each device when it is the only one that conducts.

        Args:
            g: conductances in siemens, (*batch, rows, columns).

        Returns:
            Of that shape, or of shape () when nothing is lost.
        """
        if self._wires is None:
            return np.ones(())
        way = write_drop.resistances(self._wires, *g.shape[-2:])
        return self._of(write_drop.alone(way, g))

    def half_scheme(self, g: Floats) -> tuple[Floats | float, Floats | float, Floats | float]:
        """Worth in an array without transistors, one device selected after another.

        Args:
            g: conductances in siemens, (*batch, rows, columns).

        Returns:
            At the selected device, at those on its word line, and at those on its bit line: of
            that shape each, or one number each when nothing is lost.
        """
        if self._wires is None:
            return 1.0, self._half, self._half
        scheme = write_drop.half_scheme(self._wires, g)
        return self._of(scheme.selected), self._of(scheme.word / 2), self._of(scheme.bit / 2)

    def block(self, g: Floats, rows: Flags, columns: Flags) -> Floats:
        """Worth where all devices at the crossings of selected lines are pulsed at once.

        Args:
            g: conductances in siemens, (*batch, rows, columns).
            rows: the selected word lines, (*batch, rows).
            columns: the selected bit lines, (*batch, columns).

        Returns:
            (*batch, rows, columns), 0 at devices that no pulse reaches.
        """
        r, c = rows[..., :, None], columns[..., None, :]
        both, one = r & c, r ^ c
        pulsed = both | one if self.disturbs else both
        worth: Floats = np.where(both, 1.0, np.where(one, self._half, 0.0))
        if self._wires is not None:
            drive = (r + c.astype(np.float64)) / 2
            conducting = g if self._cell == "1R" else g * both
            worth = self._of(write_drop.together(self._wires, conducting, drive * pulsed))
        return worth * pulsed

    def trains(self, g: Floats, x: Floats, d: Floats) -> tuple[Floats | float, Floats | float]:
        """Worth of pulses that coincide in random trains, and of those that don't.

        Of voltage they lose what the mean current of all devices takes, instead of that of each
        slot of the trains.

        Args:
            g: conductances in siemens, (*batch, rows, columns).
            x: how dense the trains of the word lines are, −1…1: (*batch, rows).
            d: the same for the bit lines, (*batch, columns).

        Returns:
            Of g's shape each, or one number each when nothing is lost.
        """
        if self._wires is None:
            return 1.0, self._half
        x, d = np.abs(x)[..., :, None], np.abs(d)[..., None, :]
        if self._cell == "1R":
            drive = (x + d) / 2
        else:
            g, drive = g * x * d, np.ones(g.shape)
        lost = drive - write_drop.together(self._wires, g, drive)
        return self._of(1 - lost), self._of(0.5 * (1 - lost))
