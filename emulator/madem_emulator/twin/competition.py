"""Units of a layer that hold the sum of their activities by a shared inhibition.

The page finds the inhibition by 13 halvings of an interval. The sum of the activities falls as the
inhibition rises, so that there is one place where it gets down to the layer's cap, however it is
looked for: here at several points at a time, and first of all near where it was a sweep ago.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madem_emulator.twin.array import FULL, Floats
from madem_emulator.twin.config import ONE

Singles = NDArray[np.float32]
"""Enough for drives below 2^16, which are multiples of 1/1024 here, and for sums of activities."""

_HALVINGS = 13
_LOWEST = -(2.0 ** (_HALVINGS - 1))
"""Where the halvings start. They end one above it at the lowest."""
_FEW = 1024
"""Units, over all rows, up to which a numpy call costs more than what it computes."""


class _Points:
    """Points that are tried at once, so many that they replace `bits` halvings.

    Attributes:
        stages: for each look, the points above the lower end of the interval, (points, 1), and
            their distance.
        near: points on both sides of an inhibition, (points, 1).
    """

    def __init__(self, bits: int, unit: float) -> None:
        """`unit` is what an inhibition of 1 is here."""
        self.stages: list[tuple[Singles, float]] = []
        left = _HALVINGS
        while left:
            now = min(bits, left)
            left -= now
            distance = unit * 2**left
            points = distance * np.arange(1, 2**now, dtype=np.float32)
            self.stages.append((points[:, None], distance))
        reach = 2 ** (bits - 1)
        self.near: Singles = unit * np.arange(-reach, reach, dtype=np.float32)[:, None]


class Competition:
    """A unit layer with a cap.

    Inside, drives and inhibitions have units in which `floor` gives the activity as a multiple of
    the DAC's step.
    """

    def __init__(self, cap: int, units: int, dac_mask: int) -> None:
        """Prepare the search for an inhibition.

        Args:
            cap: sum of activities that the layer is held at, 255 is a fully active unit.
            units: of the layer.
            dac_mask: DAC_MASK, the bits of an activity that the DACs have.
        """
        self._dac_step = FULL + 1 - dac_mask
        self._unit = FULL / ONE / self._dac_step
        self._cap = cap / self._dac_step
        self._full = FULL / self._dac_step
        self._ones: Singles = np.ones(units, np.float32)
        self._few, self._many = _Points(4, self._unit), _Points(3, self._unit)

    def activity(self, drive: Floats, last: Singles | None) -> tuple[Floats, Singles]:
        """Activities under the inhibition that holds their sum, and that inhibition.

        Args:
            drive: complete but for the inhibition, integers (B, S, n).
            last: the inhibition a sweep ago, (B · S,); None: not known. A near one makes this
                fast, and changes nothing otherwise.

        Returns:
            Activities (B, S, n), and an inhibition (B · S,) in units of this class.
        """
        rows = np.multiply(drive, self._unit, dtype=np.float32)
        rows += 0.5 / self._dac_step
        rows = rows.reshape(-1, 1, drive.shape[-1])
        points = self._few if rows.size <= _FEW else self._many
        if last is None:
            inhibition = self._search(rows, points)
        else:
            inhibition, found = self._look_near(rows, last, points)
            if not found.all():
                inhibition[~found] = self._search(rows[~found], points)
        s = self._steps(rows - inhibition[:, None, None]).reshape(drive.shape)
        return np.multiply(s, self._dac_step, dtype=np.float64), inhibition

    def _search(self, rows: Singles, points: _Points) -> Singles:
        inhibition = np.full(len(rows), _LOWEST * self._unit, np.float32)
        for above, distance in points.stages:
            inhibition += distance * self._too_low(rows, inhibition, above)
        inhibition += self._unit
        return inhibition

    def _look_near(
        self, rows: Singles, last: Singles, points: _Points
    ) -> tuple[Singles, NDArray[np.bool_]]:
        """Inhibitions, and whether they are right: some points were too low and some were not."""
        too_low = self._too_low(rows, last, points.near)
        inhibition = last + points.near[0]
        inhibition += self._unit * too_low
        found = too_low % len(points.near) != 0
        # Beyond the interval of the halvings there is nothing to find.
        found &= np.abs(inhibition) < -_LOWEST * self._unit
        return inhibition, found

    def _too_low(self, rows: Singles, inhibition: Singles, points: Singles) -> NDArray[np.int64]:
        """At how many of the points, from `inhibition` on, the sum exceeds the cap: (rows,)."""
        s: Singles = inhibition[:, None, None] + points
        s = self._steps(rows - s)
        return np.add.reduce(s @ self._ones > self._cap, axis=1)

    def _steps(self, drive: Singles) -> Singles:
        """Activities in steps of the DAC, for drives, which are overwritten."""
        np.maximum(drive, 0, out=drive)
        np.minimum(drive, self._full, out=drive)
        return np.floor(drive, out=drive)
