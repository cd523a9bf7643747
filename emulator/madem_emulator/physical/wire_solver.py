"""Reads through wires that have resistance: the exact solution of the resistor network.

With I the currents of all devices, the voltage that word line i loses on the way to its crossings
is the vector I_i Rw, where Rw[j, k] is the resistance that the ways to crossings j and k share; Rb
does the same for bit lines. Ohm's law of every device, I = g (V − I Rw − Rb I), is the whole
problem. Resistances of the wires appear in it, not conductances: ideal wires are no special case.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import get_lapack_funcs

from madem_emulator.physical.checks import Floats
from madem_emulator.physical.wires import Wires

(_posv,) = get_lapack_funcs(("posv",), dtype=np.float64)

_RESIDUAL = 1e-11
"""Relative size of the residual at which an iteration ends."""
_MAX_ITERATIONS = 2000
_MAX_NEWTON_STEPS = 50
_WORTH_TRANSFER = 8
"""Vectors that may be solved one by one before the transfer matrix, which costs about as much as
they together, is worth its time."""


class WiredArray:
    """Arrays of fixed conductances in their wires.

    Attributes:
        wires: the resistances.
        g: conductances in siemens, (*batch, rows, columns).
    """

    def __init__(self, wires: Wires, g: Floats, known: bool) -> None:
        """Get ready for reads.

        Args:
            wires: the resistances.
            g: conductances in siemens, (*batch, rows, columns).
            known: g will be read many times, so that the transfer matrix is worth its time at
                once.
        """
        self.g = g
        self.wires = wires
        self._solved = _WORTH_TRANSFER if known else 0
        self._transfer: dict[bool, Floats] = {}

    def currents(self, v: Floats, transposed: bool) -> Floats:
        """Currents of the sensed lines, without read noise.

        Args:
            v: volts of the driven lines, (*batch, lines) or (*batch, vectors, lines).
            transposed: the bit lines are driven, else the word lines.

        Returns:
            Amperes, (*batch, sensed lines) or (*batch, vectors, sensed lines).
        """
        batch = self.g.ndim - 2
        single = v.ndim == batch + 1
        vectors = v[..., None, :] if single else v
        if transposed not in self._transfer:
            self._solved += vectors.shape[-2]
            if self._solved < _WORTH_TRANSFER:
                result = self.noisy_currents(vectors, self.g[..., None, :, :], transposed)
                return result[..., 0, :] if single else result
        result = vectors @ self.transfer(transposed)
        return result[..., 0, :] if single else result

    def noisy_currents(self, v: Floats, g: Floats, transposed: bool) -> Floats:
        """Currents of the sensed lines, with other conductances for each vector.

        Args:
            v: volts of the driven lines, (*batch, vectors, lines).
            g: siemens; what broadcasts to (*batch, vectors, rows, columns).
            transposed: the bit lines are driven, else the word lines.

        Returns:
            Amperes, (*batch, vectors, sensed lines).
        """
        drive = v[..., None, :] if transposed else v[..., :, None]
        device = solve(self.wires, g, drive, transposed)
        return device.sum(axis=-1 if transposed else -2)

    def transfer(self, transposed: bool) -> Floats:
        """Currents of the sensed lines for 1 V on each driven one.

        Args:
            transposed: the bit lines are driven, else the word lines.

        Returns:
            Siemens, (*batch, driven lines, sensed lines).
        """
        if transposed not in self._transfer:
            self._transfer[transposed] = self._make_transfer(transposed)
        return self._transfer[transposed]

    def _make_transfer(self, transposed: bool) -> Floats:
        if self.wires.driver == self.wires.sense and (not transposed) in self._transfer:
            # Reciprocity: with the same resistance at both ends, current and source may be swapped.
            return self._transfer[not transposed].swapaxes(-1, -2)
        rows, columns = self.g.shape[-2:]
        flat = self.g.reshape(-1, rows, columns)
        made = np.stack([transfer(self.wires, g, transposed) for g in flat])
        made = made.reshape(*self.g.shape)
        return made.swapaxes(-1, -2) if transposed else made


def solve(wires: Wires, g: Floats, drive: Floats, transposed: bool) -> Floats:
    """Currents of all devices, by conjugate gradients.

    With I = √g y the equations are (1 + √g (Rw ⊕ Rb) √g) y = √g drive, symmetric and positive
    definite. Wires take little of the voltage in any array that is of use, so that nearly all
    eigenvalues are near 1 and few iterations are needed.

    Args:
        wires: the resistances.
        g: siemens, (…, rows, columns).
        drive: volts between the terminals of each device's lines; what broadcasts to g's shape.
        transposed: the bit lines are driven, else the word lines.

    Returns:
        Amperes, (…, rows, columns).

    Raises:
        ValueError: the wires take nearly all of the voltage.
    """
    word, bit = _lines(wires, g.shape, transposed)
    root = np.sqrt(g)
    right = root * drive
    y = np.zeros(right.shape)
    residual = right.copy()
    direction = residual.copy()
    size = _dot(residual, residual)
    goal = _RESIDUAL**2 * size
    for _ in range(_MAX_ITERATIONS):
        if (size <= goal).all():
            return root * y
        flow = root * direction
        image = flow @ word
        image += bit @ flow
        image *= root
        image += direction
        # Where a batch's member is solved already, its direction is 0 and 0 / 0 must not spread.
        step = size / np.maximum(_dot(direction, image), np.finfo(float).tiny)
        y += step * direction
        residual -= step * image
        before, size = size, _dot(residual, residual)
        direction *= size / np.maximum(before, np.finfo(float).tiny)
        direction += residual
    raise ValueError(
        f"wires take nearly all of the voltage: no solution within {_MAX_ITERATIONS} iterations; "
        "lower the wire resistances or the conductances"
    )


def solve_nonlinear(
    wires: Wires,
    curve: Callable[[Floats], tuple[Floats, Floats]],
    drive: Floats,
    transposed: bool,
) -> Floats:
    """Currents of all devices whose current is no multiple of their voltage, by Newton's method.

    Args:
        wires: the resistances.
        curve: gives current in amperes and differential conductance in siemens of all devices for
            their voltages, all (…, rows, columns).
        drive: volts between the terminals of each device's lines, (…, rows, columns).
        transposed: the bit lines are driven, else the word lines.

    Returns:
        Amperes, (…, rows, columns).

    Raises:
        ValueError: the curve falls, or the wires take nearly all of the voltage.
    """
    word, bit = _lines(wires, drive.shape, transposed)
    voltage = drive
    current, slope = curve(voltage)
    smallest = _RESIDUAL * max(float(np.abs(drive).max()), np.finfo(float).tiny)
    for _ in range(_MAX_NEWTON_STEPS):
        if not (slope > 0).all():
            break
        missing = drive - voltage - current @ word - bit @ current
        if np.abs(missing).max() <= smallest:
            return current
        # A change of current δ changes a device's voltage by δ / slope and the wires' by R δ.
        voltage = voltage + solve(wires, slope, missing, transposed) / slope
        current, slope = curve(voltage)
    raise ValueError(
        "nonlinearity: the current falls where the voltage rises, or the wires take too much; "
        "lower the voltages"
    )


def transfer(wires: Wires, g: Floats, transposed: bool) -> Floats:
    """Currents into the bit lines' terminals for 1 V on each word line.

    Direct elimination, word line by word line. The part of the array above a crossing row acts on
    the bit lines there as currents a V − Y B, with B their voltages; one more word line adds to a
    and Y, one more row of segments divides both by 1 + r Y.

    Args:
        wires: the resistances.
        g: siemens of one array, (rows, columns).
        transposed: only which resistance is at which terminal; the bit lines' currents are given
            in either case, and by reciprocity they are the word lines' for 1 V on each bit line.

    Returns:
        Siemens, (rows, columns).
    """
    rows, columns = g.shape
    near, far = _word_line_profiles(
        g, wires.word_segment, wires.sense if transposed else wires.driver
    )
    # LAPACK works on columns: Fortran order lets it solve in place.
    both = np.zeros((columns, columns + rows), order="F")
    y, diagonal = both[:, :columns], np.einsum("ii->i", both[:, :columns])
    outer = np.empty((columns, columns), order="F")
    for i in range(rows):
        _past_segment(both[:, : columns + i], wires.bit_segment)
        # The word line alone: (diag(1/g_i) + Rw)⁻¹ = G − G N G, N[j, k] = near_j far_k for j ≤ k.
        # `near` grows and `far` falls along the line, so that the smaller one is the right one.
        np.multiply(near[i], far[i][:, None], out=outer)
        y -= np.minimum(outer, outer.T)
        diagonal += g[i]
        both[:, columns + i] = far[i]
    end = wires.bit_segment + (wires.driver if transposed else wires.sense)
    _past_segment(both, end)
    return both[:, columns:].T.copy()


def _past_segment(both: Floats, resistance: float) -> None:
    """Divide [Y | a] by 1 + resistance · Y, in place."""
    if resistance == 0:
        return
    matrix = resistance * both[:, : both.shape[0]]
    np.einsum("ii->i", matrix)[:] += 1.0
    # `both` is in Fortran order, so that LAPACK solves in place.
    _, _, failed = _posv(matrix, both, overwrite_a=True, overwrite_b=True)
    assert not failed


def _word_line_profiles(g: Floats, segment: float, terminal: float) -> tuple[Floats, Floats]:
    """Two solutions of every word line with its bit lines grounded, times g: (rows, columns) each.

    Both are built from one end as sums of positive terms, so that nothing cancels.

    Returns:
        near: seen from the terminal, held at 0 V, in amperes per ampere … times ohms: normalised so
            that near_j far_k is the current of device j for a unit current into crossing k ≥ j.
        far: currents of the devices in siemens, for 1 V at the terminal.
    """
    near, far = np.empty_like(g), np.empty_like(g)
    loss = segment * g
    near[:, 0] = segment + terminal
    rise = np.full(len(g), segment)
    far[:, -1] = 1.0
    fall = np.zeros(len(g))
    for j in range(1, g.shape[1]):
        # The drop over the segment between crossings j − 1 and j.
        rise = rise + loss[:, j - 1] * near[:, j - 1]
        near[:, j] = near[:, j - 1] + rise
        fall = fall + loss[:, -j] * far[:, -j]
        far[:, -j - 1] = far[:, -j] + fall
    drawn = (far * g).sum(axis=1)
    far /= (far[:, 0] + (segment + terminal) * drawn)[:, None]
    return near * g, far * g


def _lines(wires: Wires, shape: tuple[int, ...], transposed: bool) -> tuple[Floats, Floats]:
    return wires.word_line(shape[-1], transposed), wires.bit_line(shape[-2], transposed)


def _dot(a: Floats, b: Floats) -> Floats:
    return np.einsum("...ij,...ij->...", a, b)[..., None, None]
