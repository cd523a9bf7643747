"""Signed weights: a differential pair of devices for each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from madem_emulator.physical import checks
from madem_emulator.physical.checks import Floats
from madem_emulator.physical.crossbar import Crossbar, WriteReport


class PairedCrossbar:
    """rows × columns weights from −1 to 1, each (g⁺ − g⁻) / window of a pair of devices.

    Column j has two bit lines, 2j with the devices g⁺ and 2j + 1 with g⁻, side by side in one
    array.

    >>> pairs = PairedCrossbar(1, 2)
    >>> pairs.program([[0.5, -1.0]])
    >>> pairs.array.conductances.round(9)
    array([[7.525e-05, 2.575e-05, 1.000e-06, 1.000e-04]])
    >>> pairs.read([0.1]).round(12)
    array([ 4.95e-06, -9.90e-06])

    Attributes:
        array: the crossbar, rows × 2·columns devices.
        rows, columns: of weights.
    """

    def __init__(self, rows: int, columns: int, *args: Any, **options: Any) -> None:
        """Make pairs with all devices at their g_min.

        Args:
            rows: of weights.
            columns: of weights.
            *args: of `Crossbar`, from `device` on.
            **options: of `Crossbar`.

        Raises:
            ValueError: an argument is out of range; the message names it.
        """
        checks.count("columns", columns)
        self.array = Crossbar(rows, 2 * columns, *args, **options)
        self.rows, self.columns = rows, columns

    @property
    def weights(self) -> Floats:
        """The weights as they are now, without read noise: (*batch, rows, columns)."""
        g = self.array.conductances
        return (g[..., 0::2] - g[..., 1::2]) / self.array.device.window

    def targets(self, weights: ArrayLike) -> Floats:
        """Conductances for weights.

        Both devices of a pair are equally far from the middle of the window, in opposite
        directions.

        Args:
            weights: −1 to 1; what broadcasts to (*batch, rows, columns).

        Returns:
            Siemens, (*batch, rows, 2·columns).

        Raises:
            ValueError: a weight is out of range.
        """
        shape = (*self.array.batch, self.rows, self.columns)
        w = np.broadcast_to(checks.array("weights", weights, shape), shape)
        checks.need(bool(np.abs(w).max() <= 1), "weights", "outside −1…1", "from −1 to 1")
        device = self.array.device
        middle = (device.g_min + device.g_max) / 2
        g = np.empty(self.array.shape)
        g[..., 0::2] = middle + w * device.window / 2
        g[..., 1::2] = middle - w * device.window / 2
        return g

    def program(self, weights: ArrayLike) -> None:
        """Program both devices of every pair, with the device's published error.

        Args:
            weights: as for `targets`.
        """
        self.array.program(self.targets(weights))

    def write_verify(self, weights: ArrayLike, tolerance: float, **options: Any) -> WriteReport:
        """Write and verify both devices of every pair.

        Args:
            weights: as for `targets`.
            tolerance: in siemens, of each device.
            **options: of `Crossbar.write_verify`.

        Returns:
            As `Crossbar.write_verify`, by device.
        """
        return self.array.write_verify(self.targets(weights), tolerance, **options)

    def read(self, voltages: ArrayLike) -> Floats:
        """Drive the word lines, sense the difference of each pair of bit lines.

        Args:
            voltages: in volts, as for `Crossbar.read`.

        Returns:
            Amperes, (*batch, [vectors,] columns).
        """
        currents = self.array.read(voltages)
        return currents[..., 0::2] - currents[..., 1::2]

    def read_transposed(self, voltages: ArrayLike) -> Floats:
        """Drive each pair of bit lines with +v and −v, sense the word lines.

        Args:
            voltages: in volts, (*batch, [vectors,] columns), or (columns,) for all arrays of the
                batch.

        Returns:
            Amperes, (*batch, [vectors,] rows).
        """
        return self.array.read_transposed(self._mirrored(voltages))

    def update(self, rows: ArrayLike, columns: ArrayLike, pulses: int = 31) -> None:
        """Change weights in parallel, g⁺ one way and g⁻ the other.

        Args:
            rows: −1…1, (*batch, rows).
            columns: −1…1, (*batch, columns).
            pulses: as for `Crossbar.update`.
        """
        self.array.update(rows, self._mirrored(columns), pulses)

    def _mirrored(self, values: ArrayLike) -> Floats:
        v = np.asarray(values, np.float64)
        ok = v.ndim > 0 and v.shape[-1] == self.columns
        checks.need(ok, "the last axis", v.shape, f"{self.columns} columns")
        return np.stack([v, -v], axis=-1).reshape(*v.shape[:-1], 2 * self.columns)
