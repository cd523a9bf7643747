"""Currents of an array of given conductances: I–V curve, read noise and wires together."""

from __future__ import annotations

import numpy as np

from madem_emulator.physical.checks import Floats
from madem_emulator.physical.device import DeviceModel
from madem_emulator.physical.wire_solver import WiredArray, solve_nonlinear
from madem_emulator.physical.wires import Wires


class Electrics:
    """An array, or a batch of them, while its conductances stay as they are.

    Attributes:
        g: as a read sees them, without noise, in siemens, (*batch, rows, columns).
    """

    def __init__(
        self,
        g: Floats,
        variance: Floats | None,
        device: DeviceModel,
        wires: Wires | None,
        known: bool,
    ) -> None:
        """Get ready for reads.

        Args:
            g: in siemens, (*batch, rows, columns).
            variance: of the read noise of every device, in S², of that shape; None: no noise.
            device: for its I–V curve.
            wires: resistances of the lines; None: none.
            known: these conductances will be read many times.
        """
        self.g = g
        self._variance = variance
        self._wires = wires
        self._wired = WiredArray(wires, g, known) if wires else None
        curve = device.nonlinearity
        self._bend = None if curve.is_linear else curve.coefficients(g)
        self._sums: dict[bool, Floats] = {}

    def read(self, v: Floats, transposed: bool, rng: np.random.Generator) -> Floats:
        """Currents of the sensed lines.

        Args:
            v: volts of the driven lines, (*batch, lines) or (*batch, vectors, lines).
            transposed: the bit lines are driven, else the word lines.
            rng: for the read noise, drawn for each vector anew.

        Returns:
            Amperes, (*batch, sensed lines) or (*batch, vectors, sensed lines).
        """
        if self._wired:
            return self._read_wired(self._wired, v, transposed, rng)
        currents = _through(v, self.g, transposed)
        if self._bend:
            a2, a3 = self._bend
            squares = v * v
            even = _through(squares, a2, transposed)
            # Driven from the bit lines, the device's voltage and the current sensed are both
            # reversed: only the even term changes its sign.
            currents += np.negative(even, out=even) if transposed else even
            currents += _through(squares * v, a3, transposed)
        if self._variance is not None:
            # The noise of a line is a sum of independent normal numbers, one for each device:
            # one normal number with the sum of their variances.
            variance = _through(v * v, self._variance, transposed)
            noise = rng.standard_normal(currents.shape)
            noise *= np.sqrt(variance, out=variance)
            currents += noise
        return currents

    def _read_wired(
        self, wired: WiredArray, v: Floats, transposed: bool, rng: np.random.Generator
    ) -> Floats:
        if self._variance is None and not self._bend:
            return wired.currents(v, transposed)
        single = v.ndim == self.g.ndim - 1
        vectors = v[..., None, :] if single else v
        # Through wires, a device's noise reaches all lines: each vector gets noisy devices of its
        # own, and the network is solved with them.
        g = self.noisy(rng, vectors.shape[-2])
        if self._bend:
            result = self._read_bent(wired, vectors, g, transposed)
        else:
            result = wired.noisy_currents(vectors, g, transposed)
        return result[..., 0, :] if single else result

    def _read_bent(self, wired: WiredArray, v: Floats, g: Floats, transposed: bool) -> Floats:
        assert self._bend
        a2, a3 = (a[..., None, :, :] for a in self._bend)
        even = -a2 if transposed else a2

        def curve(u: Floats) -> tuple[Floats, Floats]:
            return u * (g + u * (even + u * a3)), g + u * (2 * even + 3 * u * a3)

        drive = v[..., None, :] if transposed else v[..., :, None]
        drive = np.broadcast_to(drive, (*v.shape[:-1], *self.g.shape[-2:]))
        device = solve_nonlinear(wired.wires, curve, drive, transposed)
        return device.sum(axis=-1 if transposed else -2)

    def noisy(self, rng: np.random.Generator, vectors: int | None = None) -> Floats:
        """Conductances with read noise, 0 S or more.

        Args:
            rng: for the read noise.
            vectors: how many readings, each with noise of its own; None: one.

        Returns:
            Siemens, (*batch, [vectors,] rows, columns).
        """
        g = self.g if vectors is None else self.g[..., None, :, :]
        if self._variance is None:
            return g
        sigma = np.sqrt(self._variance if vectors is None else self._variance[..., None, :, :])
        copies = () if vectors is None else (vectors,)
        shape = (*self.g.shape[:-2], *copies, *self.g.shape[-2:])
        return np.maximum(g + sigma * rng.standard_normal(shape), 0.0)

    def one_by_one(self, rng: np.random.Generator, sneak: bool) -> Floats:
        """Conductances found by driving one word line and sensing one bit line at a time.

        Args:
            rng: for the read noise.
            sneak: the other devices conduct too, with their lines held at 0 V; else they are
                switched off by their transistors.

        Returns:
            Siemens, (*batch, rows, columns).
        """
        g = self.noisy(rng)
        if self._wires is None:
            return g.copy()
        if sneak:
            return WiredArray(self._wires, g, known=True).transfer(transposed=False)
        rows, columns = g.shape[-2:]
        word = np.diag(self._wires.word_line(columns, False))
        bit = np.diag(self._wires.bit_line(rows, False))
        return g / (1 + g * (word + bit[:, None]))

    def line_sums(self, transposed: bool) -> Floats:
        """Sums of the conductances on each driven line.

        Args:
            transposed: the bit lines are driven, else the word lines.

        Returns:
            Siemens, (*batch, lines).
        """
        if transposed not in self._sums:
            self._sums[transposed] = self.g.sum(axis=-2 if transposed else -1)
        return self._sums[transposed]


def _through(v: Floats, matrix: Floats, transposed: bool) -> Floats:
    """Sums over the driven lines: v (…, [vectors,] lines) times matrix (…, rows, columns)."""
    if transposed:
        matrix = matrix.swapaxes(-1, -2)
    if v.ndim < matrix.ndim and matrix.ndim > 2:
        return (v[..., None, :] @ matrix)[..., 0, :]
    return v @ matrix
