"""Signed weights: a differential pair of devices for each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from madem_emulator.physical import checks
from madem_emulator.physical.checks import Floats
from madem_emulator.physical.crossbar import Crossbar, WriteReport


class PairedCrossbar:
    """rows × columns weights from −1 to 1: (g⁺ − g⁻) / window.

    Column j has two bit lines, 2j with the devices g⁺ and 2j + 1 with g⁻, side by side in one
    array.

    Attributes:
        array: the crossbar, rows × 2·columns devices.
    """

    def __init__(self, rows: int, columns: int, *args: Any, **options: Any) -> None:
        """Args:
        rows, columns: of weights.
        args, options: of `Crossbar`, from `device` on.
        """
        checks.count("columns", columns)
        self.array = Crossbar(rows, 2 * columns, *args, **options)
        self.rows, self.columns = rows, columns

    @property
    def weights(self) -> Floats:
        """As they are now, without read noise: (*batch, rows, columns)."""
        g = self.array.conductances
        return (g[..., 0::2] - g[..., 1::2]) / self.array.device.window

    def targets(self, weights: ArrayLike) -> Floats:
        """Conductances for weights, in siemens, (*batch, rows, 2·columns): both devices are equally
        far from the middle of the window, in opposite directions.
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
        """Program both devices of every pair, with the device's published error."""
        self.array.program(self.targets(weights))

    def write_verify(self, weights: ArrayLike, tolerance: float, **options: Any) -> WriteReport:
        """Write and verify both devices of every pair; the tolerance is in siemens."""
        return self.array.write_verify(self.targets(weights), tolerance, **options)

    def read(self, voltages: ArrayLike) -> Floats:
        """Differences of the currents of each pair of bit lines in amperes.

        Args:
            voltages: of the word lines, as for `Crossbar.read`.

        Returns:
            (*batch, [vectors,] columns).
        """
        currents = self.array.read(voltages)
        return currents[..., 0::2] - currents[..., 1::2]

    def read_transposed(self, voltages: ArrayLike) -> Floats:
        """Currents of the word lines, with +v on one bit line of each pair and −v on the other.

        Args:
            voltages: (*batch, [vectors,] columns), or (columns,) for all arrays of the batch.

        Returns:
            (*batch, [vectors,] rows) in amperes.
        """
        return self.array.read_transposed(self._mirrored(voltages))

    def update(self, rows: ArrayLike, columns: ArrayLike, pulses: int = 31) -> None:
        """Change weights in parallel, g⁺ one way and g⁻ the other: see `Crossbar.update`."""
        self.array.update(rows, self._mirrored(columns), pulses)

    def _mirrored(self, values: ArrayLike) -> Floats:
        v = np.asarray(values, np.float64)
        ok = v.ndim > 0 and v.shape[-1] == self.columns
        checks.need(ok, "the last axis", v.shape, f"{self.columns} columns")
        return np.stack([v, -v], axis=-1).reshape(*v.shape[:-1], 2 * self.columns)
