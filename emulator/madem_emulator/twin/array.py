"""The twin's crossbar: devices, their pulses, and the converters that turn sums into readings.

Arrays have a batch of B networks as their first axis. "Device" means a memristor here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from madem_emulator.twin.config import Config, LayerConfig
from madem_emulator.twin.noise import States, Stream, draw, draws, powers, start, variates

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Numbers = NDArray[np.intp]

FULL = 255
"""Activity of a fully active unit, and of the bias lines."""
MIDDLE = 100
"""Conductance in the middle of the nominal window."""


def by_layer(flat: NDArray[Any], sizes: Sequence[int], *within: int) -> list[NDArray[Any]]:
    """View a last axis that runs over all couplings or devices, layer by layer.

    >>> [view.shape for view in by_layer(np.zeros((7, 2 * 4 + 1 * 3)), (3, 2, 1))]
    [(7, 2, 4), (7, 1, 3)]

    Args:
        flat: (…, items).
        sizes: units of every layer, input first.
        *within: axes between row and column, such as 2 for P and N.

    Returns:
        Views by weight layer, (…, n, *within, m + 1) each.
    """
    views, begin = [], 0
    for m, n in pairwise(sizes):
        end = begin + n * math.prod(within) * (m + 1)
        views.append(flat[..., begin:end].reshape(*flat.shape[:-1], n, *within, m + 1))
        begin = end
    return views


class Sums(Protocol):
    """A weight layer as reads see it."""

    def forward(self, s: Floats) -> Floats:
        """Sums on the bit lines of each unit above.

        Args:
            s: activities of the word lines, (B, S, m).

        Returns:
            (B, S, n), in units of g times activity; the bias line is included.
        """
        ...

    def transposed(self, s: Floats) -> Floats:
        """Sums on the word lines.

        Args:
            s: activities of the units above, (B, S, n).

        Returns:
            (B, S, m), in units of g times activity.
        """
        ...


class Weights(NamedTuple):
    """The differences P − N of a weight layer; see `Sums`.

    Attributes:
        lines: of the word lines, (B, n, m).
        bias: of the bias line, times its activity: (B, 1, n).
    """

    lines: Floats
    bias: Floats

    def forward(self, s: Floats) -> Floats:
        """See `Sums`."""
        sums = s @ self.lines.swapaxes(1, 2)
        sums += self.bias
        return sums

    def transposed(self, s: Floats) -> Floats:
        """See `Sums`."""
        return s @ self.lines


class Memristors:
    """The devices of B networks.

    Attributes:
        g: conductances, uint8 (B, devices), by device number.
        layers: views of g by weight layer: uint8 (B, n, 2, m + 1); axis 2 is P, N.
        p, n: device numbers of each coupling's P and N, (couplings,). Couplings are numbered like
            devices: by layer, by row, bias last.
        set_factor, reset_factor: size of each device's steps, 256 is nominal: (B, devices).
        top: upper end of each device's window, (B, devices).
        stuck: mask of the devices that never change, (B, devices).
    """

    def __init__(self, config: Config, seeds: NDArray[np.uint64]) -> None:
        """Make devices with traits and a first conductance of their own.

        Args:
            config: the integers.
            seeds: of the networks, (B,).
        """
        self._config = config
        total = 2 * config.couplings
        numbers = np.arange(total)
        self.g = np.zeros((len(seeds), total), np.uint8)
        self.layers: list[Bytes] = by_layer(self.g, config.sizes, 2)
        pairs = by_layer(numbers, config.sizes, 2)
        self.p: Numbers = np.concatenate([layer[:, 0].ravel() for layer in pairs])
        self.n: Numbers = np.concatenate([layer[:, 1].ravel() for layer in pairs])

        taken = draws(start(seeds[:, None], Stream.DEVICE, numbers), 9)
        z1, z2, z3 = np.moveaxis(variates(taken[..., :6].copy()), -1, 0)
        self._lot = taken[..., 6]
        z4 = variates(taken[..., 7:].copy())[..., 0]
        self.set_factor = np.clip(256 + (z1 * config.d_step >> 8), 51, 511)
        self.reset_factor = np.clip(256 + (z2 * config.d_step >> 8), 51, 511)
        self.top = np.clip(200 + (z3 * config.d_top >> 8), 50, 255)
        self.g[:] = np.clip(MIDDLE + (z4 * config.init >> 8), 0, self.top)
        self.add_stuck(config.stuck)

    def add_stuck(self, stuck: int) -> None:
        """Make devices stuck from now on: those whose lot is below STUCK.

        Args:
            stuck: STUCK, 0…65535: that many in 65536.
        """
        self.stuck = self._lot < stuck
        self.g[self.stuck] = np.where(self._lot & 1, self.top, 0)[self.stuck]

    def weights(self) -> Sequence[Weights]:
        """Weights of every layer as they are now."""
        pairs = [np.subtract(g[:, :, 0], g[:, :, 1], dtype=np.float64) for g in self.layers]
        return [Weights(w[..., :-1], FULL * w[:, None, :, -1]) for w in pairs]

    def pulse(
        self,
        at: Numbers,
        is_set: NDArray[np.bool_],
        z: NDArray[np.int32],
        r: NDArray[np.int32],
    ) -> None:
        """Give one pulse to each of some devices, all different.

        Args:
            at: positions in the flattened `g`, (pulses,).
            is_set: SET, else RESET, (pulses,).
            z: the variate of each pulse, (pulses,).
            r: the draw of each pulse, (pulses,).
        """
        config = self._config
        g = self.g.reshape(-1)[at].astype(np.int32)
        bend = np.where(is_set, config.nl_set * (MIDDLE - g), config.nl_reset * (g - MIDDLE))
        factor = np.where(is_set, self.set_factor.take(at), self.reset_factor.take(at))
        d = config.step * factor >> 4
        d = d * np.clip(256 + (bend >> 6), 26, 511) >> 8
        d = d * (256 + (z * config.c2c >> 8)) >> 8
        d = d + (r & 255) >> 8
        moved = np.clip(g + np.where(is_set, d, -d), 0, self.top.take(at))
        self.g.reshape(-1)[at] = np.where(self.stuck.take(at), g, moved)


class Converter:
    """Sense amplifier and ADC of the forward or the transposed reads of a weight layer.

    Attributes:
        noise: NZ.
        lsb: drive per ADC step.
        rounding: what amplifier and ADC together add before they round down, in drive.
    """

    def __init__(self, layer: LayerConfig, bits: int, transposed: bool) -> None:
        """Work out its numbers.

        Args:
            layer: the weight layer's integers.
            bits: of the ADC.
            transposed: of the transposed reads, else of the forward ones.
        """
        full_scale = layer.range_transposed if transposed else layer.range_forward
        shift = full_scale - (bits - 1)
        self.noise = layer.noise_transposed if transposed else layer.noise_forward
        self.lsb = 2.0**shift
        self.rounding = 0.5 + (1 << shift >> 1)
        self._scale = layer.gain / 2.0 ** (layer.gain_shift + shift)
        self._low, self._high = -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1

    def read(self, sums: Floats, offsets: Floats) -> Floats:
        """Convert sums of the array.

        The page rounds down twice, in the amplifier and in the ADC. One floor at the end does
        both, because what is added between them is an integer.

        Args:
            sums: the page's `acc`, (B, S, lines); they are overwritten.
            offsets: from `Offsets`, of these readings: (B, S, lines).

        Returns:
            Readings in drive, (B, S, lines).
        """
        sums *= self._scale
        sums += offsets
        np.floor(sums, out=sums)
        np.maximum(sums, self._low, out=sums)
        np.minimum(sums, self._high, out=sums)
        sums *= self.lsb
        return sums


class Offsets:
    """Read noise and `Converter.rounding` of a sequence of readings."""

    def __init__(self, converters: Sequence[Converter]) -> None:
        """Prepare the offsets of a sequence.

        Args:
            converters: that of every reading, in order.
        """
        self._noise = np.array([c.noise for c in converters], np.int32)
        self._rounding = np.array([c.rounding for c in converters])
        self._steps = np.array([1 / c.lsb for c in converters])
        # Only readings with noise take draws: the i-th of them, from 1, those number 2i − 1
        # and 2i. One without noise is given its neighbour's here, and multiplies them by 0.
        order = np.maximum(np.cumsum(self._noise > 0), 1)
        number = np.stack([2 * order - 1, 2 * order], axis=-1).ravel()
        self._jumps = powers(int(number.max()) + 1)[number]

    def __len__(self) -> int:
        return len(self._noise)

    def make(self, states: States, count: int) -> Floats:
        """Draw the offsets of the first readings.

        Args:
            states: generators, of any shape.
            count: how many readings.

        Returns:
            ADC steps, (*states.shape, count).
        """
        if not self._noise.any():
            shape = (*states.shape, count)
            return np.broadcast_to(self._rounding[:count] * self._steps[:count], shape)
        z = variates(draw(states[..., None], self._jumps[: 2 * count]))
        noise = z * self._noise[:count] >> 8
        return np.multiply(noise + self._rounding[:count], self._steps[:count])
