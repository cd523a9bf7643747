"""The behaviour of a memristive device: a dataclass for each imperfection, all ideal by default.

SI units throughout: siemens, volts, seconds, ohms. The *window* of a device is g_max − g_min.
Each can be switched on alone (`DeviceModel.only`) or off alone (`DeviceModel.without`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from madem_emulator.physical import checks
from madem_emulator.physical.checks import Floats


def _polynomial(x: Floats, coefficients: tuple[float, ...]) -> Floats:
    """Σ coefficients_i x^i; 0 when there are none."""
    result = np.zeros_like(x)
    for coefficient in reversed(coefficients):
        result = result * x + coefficient
    return result


@dataclass(frozen=True)
class Polynomial:
    """A published fit over conductance: Σ c_i (g / reference)^i, held at 0 from below.

    >>> sigma = Polynomial((1e-6, 2e-6), reference=10e-6)
    >>> sigma(np.array([0.0, 10e-6]))
    array([1.e-06, 3.e-06])
    """

    coefficients: tuple[float, ...]
    """c_0, c_1, … in siemens."""
    reference: float = 1e-6
    """Conductance that the fit is normalised by, in siemens."""

    def __call__(self, g: Floats) -> Floats:
        """Evaluate the fit.

        Args:
            g: conductances in siemens, of any shape.

        Returns:
            Siemens, of that shape.
        """
        return np.maximum(_polynomial(g / self.reference, self.coefficients), 0.0)


@dataclass(frozen=True)
class PulseResponse:
    """Conductance against identical pulses, level by level.

    n SET pulses from g_min give g_min + window · (1 − e^(−c n / P)) / (1 − e^(−c)), with P = pulses
    for the whole window and c = the curvature; RESET is the mirror image from g_max. (MLP+NeuroSim
    3.0 manual, weight update; its A is 1/c.) So every pulse moves a device by a fixed fraction of
    its distance from a point beyond the end of the window.
    """

    pulses_set: float = 256.0
    """P of SET: pulses from g_min to g_max."""
    pulses_reset: float = 256.0
    """P of RESET."""
    curvature_set: float = 0.0
    """c of SET: 0 is linear, above 0 steps shrink toward g_max, below 0 they grow."""
    curvature_reset: float = 0.0
    """c of RESET: above 0 steps shrink toward g_min."""
    voltage_set: float = 1.5
    """Amplitude of a SET pulse across the device, in volts."""
    voltage_reset: float = 1.5
    """Amplitude of a RESET pulse, in volts, as a positive number."""
    width: float = 100e-9
    """Length of a pulse, in seconds."""
    half_select: float = 0.0
    """Pulses that one pulse of half the amplitude is worth, on a device without a transistor that
    shares only one line with the selected device. 0: no disturb."""

    def __post_init__(self) -> None:
        for name in ("pulses_set", "pulses_reset"):
            checks.number(name, getattr(self, name), 1.0, 1e9)
        for name in ("curvature_set", "curvature_reset"):
            checks.number(name, getattr(self, name), -100.0, 100.0)
        for name in ("voltage_set", "voltage_reset", "width"):
            checks.number(name, getattr(self, name))
        checks.fraction("half_select", self.half_select)


@dataclass(frozen=True)
class CycleToCycle:
    """Variation from pulse to pulse."""

    step: float = 0.0
    """σ of one pulse's change, as a fraction of the window; n pulses give √n of it. (MLP+NeuroSim
    3.0 manual, cycle-to-cycle variation.)"""

    def __post_init__(self) -> None:
        checks.fraction("step", self.step)


@dataclass(frozen=True)
class DeviceToDevice:
    """Variation from device to device; every σ is relative to the nominal value."""

    g_min: float = 0.0
    """σ of g_min over devices."""
    g_max: float = 0.0
    """σ of g_max over devices."""
    step_set: float = 0.0
    """σ of the size of a SET step."""
    step_reset: float = 0.0
    """σ of the size of a RESET step."""
    curvature: float = 0.0
    """σ of both curvatures, absolute, in units of the curvature."""

    def __post_init__(self) -> None:
        for each in fields(self):
            checks.fraction(each.name, getattr(self, each.name))


@dataclass(frozen=True)
class States:
    """Number of levels that a device can be programmed to."""

    levels: int | None = None
    """Equally spaced from g_min to g_max, both included; None: any conductance."""

    def __post_init__(self) -> None:
        if self.levels is not None:
            checks.count("levels", self.levels, 2)


@dataclass(frozen=True)
class ProgrammingError:
    """The error of programming a device to a target, as published statistics.

    g = target + bias + σ(target) · N(0, 1).
    """

    sigma: Polynomial | None = None
    """σ over the target conductance; None: no error."""
    bias: float = 0.0
    """Mean error in siemens."""

    def __post_init__(self) -> None:
        checks.number("bias", self.bias, -1.0, 1.0)


@dataclass(frozen=True)
class ReadNoise:
    """Noise of the conductance that a read sees, drawn anew for each device and read."""

    relative: float = 0.0
    """σ as a fraction of the conductance."""
    absolute: float = 0.0
    """σ in siemens, added in quadrature."""
    flicker: float = 0.0
    """K in siemens of the 1/f noise σ = K · log10(g / 1 µS) · √ln((t + t_read) / (2 t_read))
    with t the time observed; 0 below 1 µS. (IBM aihwkit, inference noise of CMO/HfOx ReRAM.)"""
    t_read: float = 1e-6
    """t_read of `flicker`, in seconds."""

    def __post_init__(self) -> None:
        for each in fields(self):
            checks.number(each.name, getattr(self, each.name))
        checks.need(self.t_read > 0, "t_read", self.t_read, "above 0 s")

    def variance(self, g: Floats, observed: float) -> Floats:
        """Variance of the read noise.

        Args:
            g: conductances in siemens, of any shape.
            observed: t of `flicker`, in seconds.

        Returns:
            σ² in S², of the shape of g.
        """
        result = (self.relative * g) ** 2 + self.absolute**2
        if self.flicker and observed > self.t_read:
            decades = np.log10(np.maximum(g, 1e-6) / 1e-6)
            spread = math.log((observed + self.t_read) / (2 * self.t_read))
            result += (self.flicker * decades) ** 2 * spread
        return result


@dataclass(frozen=True)
class TelegraphNoise:
    """Random telegraph noise: some devices jump between two conductances.

    A device with a trap conducts g while the trap is empty and g · (1 − amplitude) while it is
    filled; both times are exponentially distributed.
    """

    fraction: float = 0.0
    """Fraction of the devices that have a trap."""
    amplitude: float = 0.0
    """Relative loss of conductance while the trap is filled."""
    time_empty: float = 1e-3
    """Mean time that a trap stays empty, in seconds."""
    time_filled: float = 1e-3
    """Mean time that a trap stays filled, in seconds."""

    def __post_init__(self) -> None:
        checks.fraction("fraction", self.fraction)
        checks.fraction("amplitude", self.amplitude)
        for name in ("time_empty", "time_filled"):
            checks.number(name, getattr(self, name), 1e-12)


@dataclass(frozen=True)
class LogDrift:
    """Relaxation whose mean and σ grow with ln t, whatever the conductance.

    At t ≥ 1 s after programming: g + mean_slope · ln t + (sigma + sigma_slope · ln t) · N(0, 1),
    with one normal number per device and programming. At less than 1 s, as at 1 s.
    """

    mean_slope: float
    """Shift of the mean in siemens per factor e of time."""
    sigma: float
    """σ after 1 s, in siemens."""
    sigma_slope: float
    """Growth of σ in siemens per factor e of time."""

    def moments(self, t: Floats, target: Floats) -> tuple[Floats, Floats]:
        """Mean and spread of the relaxation.

        Args:
            t: seconds since programming, of any shape.
            target: conductances in siemens that were programmed; only their shape counts.

        Returns:
            Mean shift and σ in siemens, of the targets' shape.
        """
        log = np.log(np.maximum(t, 1.0))
        return self.mean_slope * log, self.sigma + self.sigma_slope * log + 0.0 * target


@dataclass(frozen=True)
class Relaxation:
    """Relaxation given as the total σ about the target at some times after programming.

    The first of them is the programming error itself. What comes later is independent of it and
    adds in quadrature; between two times the variance is linear in ln t, after the last it stays.
    """

    times: tuple[float, ...]
    """In seconds, rising."""
    sigmas: tuple[Polynomial, ...]
    """Total σ about the target at those times."""

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.times, self.times[1:], strict=False))
        checks.need(rising and self.times[0] > 0, "times", self.times, "rising and above 0 s")
        both = f"{len(self.times)} times, {len(self.sigmas)} sigmas"
        checks.need(len(self.times) == len(self.sigmas), "relaxation", both, "as many as times")

    def moments(self, t: Floats, target: Floats) -> tuple[Floats, Floats]:
        """Mean and spread of the relaxation.

        Args:
            t: seconds since programming, of any shape.
            target: conductances in siemens that were programmed, of that shape.

        Returns:
            Mean shift and σ in siemens, of that shape.
        """
        log = np.log(np.clip(t, self.times[0], self.times[-1]))
        total = self.sigmas[0](target) ** 2
        programmed = total
        for i in range(1, len(self.times)):
            begin, end = math.log(self.times[i - 1]), math.log(self.times[i])
            part = np.clip((log - begin) / (end - begin), 0.0, 1.0)
            before, after = self.sigmas[i - 1](target) ** 2, self.sigmas[i](target) ** 2
            total = total + part * (after - before)
        return np.zeros_like(target), np.sqrt(np.maximum(total - programmed, 0.0))


@dataclass(frozen=True)
class Retention:
    """Change of a conductance that nobody touches."""

    drift: LogDrift | Relaxation | None = None
    """None: it stays."""


@dataclass(frozen=True)
class Faults:
    """Devices that never change."""

    stuck_low: float = 0.0
    """Fraction that is stuck at g_min."""
    stuck_high: float = 0.0
    """Fraction that is stuck at g_max."""

    def __post_init__(self) -> None:
        checks.fraction("stuck_low", self.stuck_low)
        checks.fraction("stuck_high", self.stuck_high)
        together = self.stuck_low + self.stuck_high
        checks.need(together <= 1, "stuck_low + stuck_high", together, "at most 1")


@dataclass(frozen=True)
class Nonlinearity:
    """I–V curve: I = g V + a2 V² + a3 V³, with g the conductance near 0 V.

    V is the word line's voltage less the bit line's, so a transposed read sees a2 reversed.
    """

    second: tuple[float, ...] = ()
    """a2 in A/V² as Σ c_i log10(g / 1 S)^i; empty: 0."""
    third: tuple[float, ...] = ()
    """a3 in A/V³ as Σ c_i log10(g / 1 S)^i; empty: 0."""
    relative_third: float = 0.0
    """a3 / g in 1/V², added to `third`: the same curve at every conductance."""
    g_low: float = 1e-9
    """The fits hold from this conductance on, in siemens; below it the value there is used …"""
    g_high: float = 1.0
    """… and above this one the value there."""

    def __post_init__(self) -> None:
        checks.number("relative_third", self.relative_third, -1e3, 1e3)
        ok = 0 < self.g_low < self.g_high
        checks.need(ok, "g_low", self.g_low, f"above 0 S and below g_high ({self.g_high:g} S)")

    @property
    def is_linear(self) -> bool:
        """Whether the device obeys Ohm's law."""
        return not (self.second or self.third or self.relative_third)

    def coefficients(self, g: Floats) -> tuple[Floats, Floats]:
        """Coefficients of the curve.

        Args:
            g: conductances in siemens, of any shape.

        Returns:
            a2 in A/V² and a3 in A/V³, of the shape of g.
        """
        log = np.log10(np.clip(g, self.g_low, self.g_high))
        a2 = _polynomial(log, self.second)
        return a2, _polynomial(log, self.third) + self.relative_third * g


@dataclass(frozen=True)
class DeviceModel:
    """A kind of device: its conductance window, and how it departs from the ideal.

    >>> from madem_emulator import presets
    >>> device = presets.TAOX_HFOX_WU2018
    >>> device.cycle_to_cycle.step, device.states.levels
    (0.037, 128)
    >>> device.only("states").cycle_to_cycle.step
    0.0
    >>> device.without("states").states.levels is None
    True

    Attributes:
        name: of the kind.
        g_min: lowest conductance in siemens.
        g_max: highest conductance in siemens.
        source: where the numbers come from.
        read_voltage: full-scale voltage of a read, in volts.
        max_read_voltage: voltage up to which the numbers hold; reads beyond it are refused.
        pulses: how conductance answers pulses.
        cycle_to_cycle: how one pulse differs from the next.
        device_to_device: how one device differs from the next.
        states: how many levels there are.
        programming: how far write-verify misses its target.
        read_noise: noise of a reading.
        telegraph: jumps between two levels.
        retention: how conductance changes with time.
        faults: devices that can't change.
        nonlinearity: how the current depends on the voltage.
    """

    name: str
    g_min: float
    g_max: float
    source: str = ""
    read_voltage: float = 0.2
    max_read_voltage: float = 0.5
    pulses: PulseResponse = field(default_factory=PulseResponse)
    cycle_to_cycle: CycleToCycle = field(default_factory=CycleToCycle)
    device_to_device: DeviceToDevice = field(default_factory=DeviceToDevice)
    states: States = field(default_factory=States)
    programming: ProgrammingError = field(default_factory=ProgrammingError)
    read_noise: ReadNoise = field(default_factory=ReadNoise)
    telegraph: TelegraphNoise = field(default_factory=TelegraphNoise)
    retention: Retention = field(default_factory=Retention)
    faults: Faults = field(default_factory=Faults)
    nonlinearity: Nonlinearity = field(default_factory=Nonlinearity)

    def __post_init__(self) -> None:
        checks.number("g_min", self.g_min)
        checks.number("g_max", self.g_max)
        ok = self.g_min < self.g_max
        checks.need(ok, "g_min", f"{self.g_min:g} S", f"below g_max ({self.g_max:g} S)")
        checks.number("max_read_voltage", self.max_read_voltage)
        checks.number("read_voltage", self.read_voltage, 0.0, self.max_read_voltage)

    @property
    def window(self) -> float:
        """g_max − g_min in siemens."""
        return self.g_max - self.g_min

    def only(self, *concerns: str) -> DeviceModel:
        """Copy the device with these imperfections and no other.

        Args:
            *concerns: names of `CONCERNS`. The curvature of the pulse response counts as one
                (`pulses`); without it the response is linear, in as many pulses.

        Returns:
            The copy.

        Raises:
            ValueError: there is no such name.
        """
        return self.without(*(name for name in CONCERNS if name not in _known(concerns)))

    def without(self, *concerns: str) -> DeviceModel:
        """Copy the device with these imperfections made ideal; the others stay.

        Args:
            *concerns: names of `CONCERNS`, as for `only`.

        Returns:
            The copy.

        Raises:
            ValueError: there is no such name.
        """
        ideal: dict[str, Any] = {name: CONCERNS[name]() for name in _known(concerns)}
        if "pulses" in ideal:
            ideal["pulses"] = replace(
                self.pulses, curvature_set=0.0, curvature_reset=0.0, half_select=0.0
            )
        return replace(self, **ideal)


CONCERNS: dict[str, type] = {
    "pulses": PulseResponse,
    "cycle_to_cycle": CycleToCycle,
    "device_to_device": DeviceToDevice,
    "states": States,
    "programming": ProgrammingError,
    "read_noise": ReadNoise,
    "telegraph": TelegraphNoise,
    "retention": Retention,
    "faults": Faults,
    "nonlinearity": Nonlinearity,
}
"""The imperfections of a `DeviceModel`, by the name of the field that holds each."""


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        checks.need(name in CONCERNS, "concern", name, f"one of {', '.join(CONCERNS)}")
    return names
