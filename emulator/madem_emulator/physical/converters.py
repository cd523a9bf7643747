"""DAC, sense amplifier and ADC, which stand between codes and currents, with their imperfections.

A converter's static errors are drawn once, from its seed; its noise anew for every conversion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem_emulator.physical import checks
from madem_emulator.physical.checks import Floats

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Conversion:
    """Data of a DAC or an ADC: 2^bits codes stand for equally spaced voltages from low to high.

    >>> dac = Dac(Conversion(bits=2, low=0.0, high=0.3))
    >>> dac.convert([0, 1, 3])
    array([0. , 0.1, 0.3])
    """

    bits: int
    """Resolution, 1…16."""
    low: float
    """Value of code 0, in volts."""
    high: float
    """Value of the last code, in volts."""
    offset: float = 0.0
    """Added to the analog side, in volts."""
    gain_error: float = 0.0
    """Relative error of the analog side: 0.01 is 1 % too much."""
    dnl: float = 0.0
    """σ of the width of one step about 1, in steps, drawn for each code. The ends are held, so that
    offset and gain stay as stated."""
    inl: float = 0.0
    """Bow of the curve: how far its middle is off the line between its ends, in steps."""
    noise: float = 0.0
    """σ of the noise on the analog side, in volts."""
    time: float = 0.0
    """Of one conversion, in seconds."""
    energy: float = 0.0
    """Of one conversion, in joules."""

    def __post_init__(self) -> None:
        checks.count("bits", self.bits)
        checks.need(self.bits <= 16, "bits", self.bits, "at most 16")
        for name in ("low", "high", "offset", "inl"):
            checks.number(name, getattr(self, name), -1e4, 1e4)
        checks.need(self.low < self.high, "low", self.low, f"below high ({self.high})")
        checks.number("gain_error", self.gain_error, -0.99, 100.0)
        checks.number("dnl", self.dnl, 0.0, 1.0)
        for name in ("noise", "time", "energy"):
            checks.number(name, getattr(self, name))

    @property
    def step(self) -> float:
        """Volts from one code to the next."""
        return (self.high - self.low) / (2**self.bits - 1)

    @property
    def top(self) -> int:
        """The last code."""
        return 2**self.bits - 1


class _Converter:
    """A DAC or ADC with its static errors.

    Attributes:
        data: range, resolution and errors.
        conversions: how many it has made.
    """

    def __init__(self, data: Conversion, *, seed: int = 1) -> None:
        """Draw the static errors.

        Args:
            data: range, resolution and errors.
            seed: of the static errors and of the noise, 0 or more.
        """
        checks.count("seed", seed, 0)
        self.data = data
        self.conversions = 0
        self._rng = np.random.Generator(np.random.SFC64(seed))
        position = np.arange(2**data.bits, dtype=np.float64)
        if data.dnl:
            widths = 1 + data.dnl * self._rng.standard_normal(data.top)
            walk = np.concatenate([[0.0], np.cumsum(widths)])
            position = walk - position * (walk[-1] / data.top - 1)
        part = np.arange(2**data.bits) / data.top
        position = position + data.inl * 4 * part * (1 - part)
        self._levels: Floats = data.low + data.step * position
        self._straight = not (data.dnl or data.inl)

    def value(self, codes: ArrayLike) -> Floats:
        """Voltages that codes stand for, without errors.

        Args:
            codes: of any shape.

        Returns:
            Volts, of that shape.
        """
        return self.data.low + self.data.step * np.asarray(codes, np.float64)

    def code(self, volts: ArrayLike) -> Codes:
        """Codes that stand for voltages best, without errors.

        Args:
            volts: of any shape.

        Returns:
            Codes, of that shape; beyond the range its ends.
        """
        position = (np.asarray(volts, np.float64) - self.data.low) / self.data.step
        return np.clip(np.rint(position), 0, self.data.top).astype(np.int64)

    def _noise(self, shape: tuple[int, ...]) -> Floats | float:
        return self.data.noise * self._rng.standard_normal(shape) if self.data.noise else 0.0


class Dac(_Converter):
    """A DAC: codes to volts."""

    def convert(self, codes: ArrayLike) -> Floats:
        """Convert codes, with all errors.

        Args:
            codes: whole numbers of any shape; those beyond the range give its ends.

        Returns:
            Volts, of that shape.

        Raises:
            ValueError: they are no whole numbers.
        """
        codes = np.asarray(codes)
        checks.need(codes.dtype.kind in "iu", "codes", codes.dtype, "whole numbers")
        self.conversions += codes.size
        levels = self._levels[np.clip(codes, 0, self.data.top)]
        return levels * (1 + self.data.gain_error) + self.data.offset + self._noise(codes.shape)


class Adc(_Converter):
    """An ADC: volts to codes."""

    def convert(self, volts: ArrayLike) -> Codes:
        """Convert voltages, with all errors.

        Args:
            volts: of any shape; those beyond the range give the first or the last code.

        Returns:
            Codes, of that shape.
        """
        volts = np.asarray(volts, np.float64)
        self.conversions += volts.size
        seen = volts * (1 + self.data.gain_error) + self.data.offset + self._noise(volts.shape)
        if self._straight:
            return self.code(seen)
        # A code begins half-way between its own level and the one before. Where large errors put
        # levels out of order, the code in between is missing.
        thresholds = (self._levels[1:] + self._levels[:-1]) / 2
        return np.searchsorted(np.maximum.accumulate(thresholds), seen, side="right")


@dataclass(frozen=True)
class SenseAmplifier:
    """A transimpedance amplifier on every line, with switched gains: currents to volts."""

    gains: tuple[float, ...]
    """Transimpedances in ohms, rising. One vector is read with the largest of them that keeps all
    its lines within the range; with the smallest where none does."""
    limit: float
    """Output range is ±limit, in volts; beyond it saturates."""
    offset: float = 0.0
    """Input current that gives 0 V, sign reversed, in amperes."""
    noise: float = 0.0
    """σ of the input current noise, in amperes."""
    time_constant: float = 0.0
    """Of the settling, in seconds."""
    sample_time: float = 1e-6
    """From the beginning of the read to the sample, in seconds: the output has then come to
    1 − e^(−sample_time / time_constant) of its way from 0 V."""
    energy: float = 0.0
    """Of one sample of one line, in joules."""

    def __post_init__(self) -> None:
        ok = len(self.gains) > 0 and all(g > 0 and math.isfinite(g) for g in self.gains)
        rising = all(a < b for a, b in zip(self.gains, self.gains[1:], strict=False))
        checks.need(ok and rising, "gains", self.gains, "above 0 ohms and rising")
        checks.number("limit", self.limit, 1e-12)
        checks.number("offset", self.offset, -1.0, 1.0)
        for name in ("noise", "time_constant", "sample_time", "energy"):
            checks.number(name, getattr(self, name))

    def convert(self, currents: Floats, rng: np.random.Generator) -> Amplified:
        """Amplify currents, with all errors.

        Args:
            currents: amperes, (…, lines).
            rng: for the noise.

        Returns:
            Voltages and the gain of each vector.
        """
        seen = currents + self.offset
        if self.noise:
            seen = seen + self.noise * rng.standard_normal(currents.shape)
        if self.time_constant:
            seen = seen * -math.expm1(-self.sample_time / self.time_constant)
        gains = np.array(self.gains)
        largest = np.abs(seen).max(axis=-1)
        fitting = (largest[..., None] * gains <= self.limit).sum(axis=-1)
        gain = gains[np.maximum(fitting - 1, 0)]
        volts = seen * gain[..., None]
        return Amplified(np.clip(volts, -self.limit, self.limit), gain)


class Amplified(NamedTuple):
    """Outputs of a sense amplifier.

    Attributes:
        volts: (…, lines).
        gain: the transimpedance that was used, in ohms: (…).
    """

    volts: Floats
    gain: Floats
