"""Simulated devices in an array: their traits, pulses, programming, and what time does to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem_emulator.physical.checks import Flags, Floats
from madem_emulator.physical.device import DeviceModel
from madem_emulator.physical.generators import RandomSource, normals_at, uniforms_at

_LINEAR = 1e-6
"""Curvatures below this are computed as this one: the curve is then off by 1e-7 of the window."""
_SMALLEST_STEP = 0.05
"""Device-to-device variation leaves a step at least this fraction of the nominal one …"""
_SMALLEST_WINDOW = 0.05
"""… and a window at least this fraction."""


@dataclass
class _Polarity:
    """How pulses of one polarity move devices: toward `goal`, by `rate` a pulse.

    After n pulses g becomes goal + (g − goal) e^(−rate n): the curve of `PulseResponse` for any
    starting point. The goal lies beyond the end of the window.

    Attributes:
        goal: in siemens, of the devices' shape or of shape ().
        rate: per pulse, likewise.
    """

    goal: Floats
    rate: Floats

    @classmethod
    def make(
        cls, start: Floats, span: Floats, pulses: float, curvature: Floats, size: Floats
    ) -> _Polarity:
        """Fit devices that need `pulses` from `start` over `span` (negative: downward)."""
        curvature = np.where(np.abs(curvature) < _LINEAR, _LINEAR, curvature)
        return cls(start - span / np.expm1(-curvature), curvature / pulses * size)


class DeviceArray:
    """Devices of one kind, in an array of any shape.

    Attributes:
        device: the kind.
        shape: of the array.
        g: conductances in siemens, of that shape. Change them through the methods.
        low, high: ends of each device's own window in siemens, of that shape.
        changes: number of changes of g, for those who keep something derived from it.
        elapsed: seconds since the devices were last programmed.
    """

    def __init__(self, device: DeviceModel, shape: tuple[int, ...], rng: RandomSource) -> None:
        """Make devices at their g_min, each with traits of its own.

        Args:
            device: the kind.
            shape: of the array, such as (*batch, rows, columns).
            rng: draws everything that is random.
        """
        self.device = device
        self.shape = shape
        self.changes = 0
        self.elapsed = 0.0
        self._rng = rng
        self._sigma = device.cycle_to_cycle.step * device.window
        spread, pulses, faults = device.device_to_device, device.pulses, device.faults

        def vary(sigma: float) -> Floats:
            return rng.standard_normal(shape) * sigma if sigma else np.zeros(())

        g_min = np.maximum(device.g_min * (1 + vary(spread.g_min)), 0.0)
        g_max = device.g_max * (1 + vary(spread.g_max))
        g_max = np.maximum(g_max, g_min + _SMALLEST_WINDOW * device.window)
        window = g_max - g_min
        size_set = np.maximum(1 + vary(spread.step_set), _SMALLEST_STEP)
        size_reset = np.maximum(1 + vary(spread.step_reset), _SMALLEST_STEP)
        bend = vary(spread.curvature)
        self._set = _Polarity.make(
            g_min, window, pulses.pulses_set, pulses.curvature_set + bend, size_set
        )
        self._reset = _Polarity.make(
            g_max, -window, pulses.pulses_reset, pulses.curvature_reset + bend, size_reset
        )
        self.low: Floats = np.broadcast_to(g_min, shape).copy()
        self.high: Floats = np.broadcast_to(g_max, shape).copy()
        self._stuck: NDArray[np.bool_] | None = None
        if faults.stuck_low or faults.stuck_high:
            lot = rng.random(shape)
            low = lot < faults.stuck_low
            self._stick(low, ~low & (lot < faults.stuck_low + faults.stuck_high))
        self.g: Floats = self.low.copy()
        self._relaxing = _Relaxing(self.g) if device.retention.drift else None
        if self._relaxing:
            self._relaxing.restart(self.g, self.g, rng)
        self._traps = _Traps(device, shape, rng) if device.telegraph.fraction else None

    @property
    def stuck(self) -> NDArray[np.bool_]:
        """Mask of the devices that never change: bool, of the devices' shape."""
        return np.zeros(self.shape, bool) if self._stuck is None else self._stuck.copy()

    def add_stuck(self, share: float) -> None:
        """Let devices get stuck, half of them at either end of their window.

        Args:
            share: of the devices that still change, 0 to 1.
        """
        lot = self._rng.random(self.shape)
        newly = (lot < share) & ~self.stuck
        high = newly & (lot < share / 2)
        self._stick(newly & ~high, high)
        self.g = np.where(newly, self.low, self.g)
        self.changes += 1

    def _stick(self, low: Flags, high: Flags) -> None:
        self._stuck = low | high if self._stuck is None else self._stuck | low | high
        # A stuck device has no window, so that no pulse can move it.
        self.low[high], self.high[low] = self.high[high], self.low[low]

    def state(self) -> dict[str, NDArray[Any]]:
        """Copy all that has changed since the devices were made, by name."""
        found: dict[str, NDArray[Any]] = {
            "g": self.g, "low": self.low, "high": self.high, "stuck": self.stuck,
            "elapsed": np.array(self.elapsed),
        }  # fmt: skip
        if self._relaxing:
            found |= self._relaxing.state()
        if self._traps:
            found |= {"filled": self._traps.filled}
        return {name: array.copy() for name, array in found.items()}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a state.

        Args:
            state: from `state` of devices that were made alike.

        Raises:
            ValueError: they were not.
        """
        own = self.state()
        if {name: array.shape for name, array in own.items()} != {
            name: array.shape for name, array in state.items()
        }:
            raise ValueError("the state is one of other devices")
        self.g, self.low, self.high = (state[name].copy() for name in ("g", "low", "high"))
        self._stuck = state["stuck"].copy() if state["stuck"].any() else None
        self.elapsed = float(state["elapsed"])
        if self._relaxing:
            self._relaxing.set_state(state)
        if self._traps:
            self._traps.filled = state["filled"].copy()
        self.changes += 1

    def seen(self) -> Floats:
        """Conductances in siemens as a read sees them, traps included; of the devices' shape."""
        return self._traps.seen(self.g) if self._traps else self.g

    def noise_variance(self, g: Floats) -> Floats | None:
        """Variance of the read noise.

        Args:
            g: conductances in siemens, of any shape.

        Returns:
            σ² in S², of the shape of g; None when there is no noise.
        """
        noise = self.device.read_noise
        if not (noise.relative or noise.absolute or noise.flicker):
            return None
        return noise.variance(g, max(self.elapsed, 1.0))

    def assign(self, g: Floats) -> None:
        """Take conductances as they are; stuck devices keep theirs.

        Args:
            g: siemens; what broadcasts to the devices' shape.
        """
        self._replace(np.broadcast_to(g, self.shape), self._targets(g))

    def program(self, target: Floats) -> None:
        """Bring every device to about its target, with the device's `ProgrammingError`.

        Args:
            target: siemens; what broadcasts to the devices' shape.
        """
        device = self.device
        target = self._targets(target)
        if device.states.levels is not None:
            spacing = device.window / (device.states.levels - 1)
            target = device.g_min + np.round((target - device.g_min) / spacing) * spacing
        # A device with a narrower window than its kind stops at its own ends.
        target = np.clip(target, self.low, self.high)
        g = target + device.programming.bias
        if device.programming.sigma is not None:
            g = g + device.programming.sigma(target) * self._rng.standard_normal(self.shape)
        self._replace(np.maximum(g, 0.0), target)

    def pulse(self, amount: Floats, is_set: Flags) -> None:
        """Give every device its number of pulses at once.

        Args:
            amount: pulses, 0 or more, of the devices' shape; fractions are weaker pulses.
            is_set: SET, else RESET, of the devices' shape.
        """
        goal = np.where(is_set, self._set.goal, self._reset.goal)
        rate = np.where(is_set, self._set.rate, self._reset.rate)
        noise = self._rng.standard_normal(self.shape) if self._sigma else None
        self.g = self._advance(self.g, goal, rate, amount, noise, self.low, self.high)
        if self._relaxing:
            self._relaxing.restart_some(np.flatnonzero(amount), self.g.ravel(), self._rng)
        self.changes += 1

    def pulse_some(self, at: NDArray[np.intp], amount: Floats, is_set: Flags) -> None:
        """Give pulses to some devices, all different.

        Args:
            at: positions in the flattened array, (devices,).
            amount: as for `pulse`, (devices,).
            is_set: as for `pulse`, (devices,).
        """

        def here(values: Floats) -> Floats:
            return values.ravel()[at] if values.ndim else values

        goal = np.where(is_set, here(self._set.goal), here(self._reset.goal))
        rate = np.where(is_set, here(self._set.rate), here(self._reset.rate))
        low, high, flat = here(self.low), here(self.high), self.g.reshape(-1)
        noise = normals_at(self._rng, at, self.shape) if self._sigma else None
        flat[at] = self._advance(flat[at], goal, rate, amount, noise, low, high)
        if self._relaxing:
            self._relaxing.restart_some(at, flat, self._rng)
        self.changes += 1

    def wait(self, seconds: float) -> None:
        """Let time pass: conductances drift and traps jump.

        Args:
            seconds: above 0.
        """
        self.elapsed += seconds
        self.elapse_traps(seconds)
        if self._relaxing:
            g = self._relaxing.after(seconds, self.device)
            self.g = g if self._stuck is None else np.where(self._stuck, self.g, g)
        # The 1/f noise depends on the time observed.
        self.changes += 1

    def elapse_traps(self, seconds: float) -> None:
        """Let only the telegraph noise go on, as during reads.

        Args:
            seconds: 0 or more.
        """
        if self._traps:
            self._traps.elapse(seconds, self._rng)
            self.changes += 1

    def _advance(
        self,
        g: Floats,
        goal: Floats,
        rate: Floats,
        amount: Floats,
        noise: Floats | None,
        low: Floats,
        high: Floats,
    ) -> Floats:
        """Conductances after the pulses; `goal`, `rate` and `noise` are overwritten."""
        decay = np.multiply(rate, amount, out=rate)
        decay = np.expm1(np.negative(decay, out=decay), out=decay)
        moved = np.multiply(np.subtract(g, goal, out=goal), decay, out=goal)
        if noise is not None:
            # Over the rates, which are not needed any more.
            spread = np.sqrt(amount, out=rate)
            spread *= self._sigma
            noise *= spread
            moved += noise
        moved += g
        # A device that its programming error left outside its window stays where it is.
        np.minimum(moved, np.maximum(high, g), out=moved)
        return np.maximum(moved, np.minimum(low, g), out=moved)

    def _targets(self, target: Floats) -> Floats:
        return np.broadcast_to(target, self.shape).astype(np.float64)

    def _replace(self, g: Floats, target: Floats) -> None:
        self.g = np.array(g) if self._stuck is None else np.where(self._stuck, self.g, g)
        self.elapsed = 0.0
        if self._relaxing:
            self._relaxing.restart(self.g, target, self._rng)
        self.changes += 1


class _Relaxing:
    """Where each device was left, when, and its normal number of the relaxation since."""

    def __init__(self, g: Floats) -> None:
        self._origin = np.zeros(g.size)
        self._target = np.zeros(g.size)
        self._age = np.zeros(g.size)
        self._z = np.zeros(g.size)
        self._shape = g.shape

    def state(self) -> dict[str, Floats]:
        return {
            "origin": self._origin, "target": self._target, "age": self._age, "z": self._z
        }  # fmt: skip

    def set_state(self, state: Mapping[str, Floats]) -> None:
        for name, array in self.state().items():
            array[:] = state[name]

    def restart(self, g: Floats, target: Floats, rng: RandomSource) -> None:
        self._origin[:] = g.ravel()
        self._target[:] = target.ravel()
        self._age[:] = 0.0
        self._z[:] = rng.standard_normal(self._shape).ravel()

    def restart_some(self, at: NDArray[np.intp], g: Floats, rng: RandomSource) -> None:
        self._origin[at] = self._target[at] = g[at]
        self._age[at] = 0.0
        self._z[at] = normals_at(rng, at, self._shape)

    def after(self, seconds: float, device: DeviceModel) -> Floats:
        drift = device.retention.drift
        assert drift is not None
        self._age += seconds
        mean, sigma = drift.moments(self._age, self._target)
        g = np.maximum(self._origin + mean + sigma * self._z, 0.0)
        return g.reshape(self._shape)


class _Traps:
    """The devices with a trap.

    Attributes:
        filled: which of the traps are, bool (traps,).
    """

    def __init__(self, device: DeviceModel, shape: tuple[int, ...], rng: RandomSource) -> None:
        noise = device.telegraph
        self._noise = noise
        self._at = np.flatnonzero(rng.random(shape) < noise.fraction)
        self._share = noise.time_filled / (noise.time_filled + noise.time_empty)
        self._shape = shape
        self.filled: NDArray[Any] = uniforms_at(rng, self._at, shape) < self._share

    def elapse(self, seconds: float, rng: RandomSource) -> None:
        # The probability of being filled decays to its share at the sum of both rates.
        decay = np.exp(-seconds * (1 / self._noise.time_empty + 1 / self._noise.time_filled))
        probability = self._share + (self.filled - self._share) * decay
        self.filled = uniforms_at(rng, self._at, self._shape) < probability

    def seen(self, g: Floats) -> Floats:
        result = g.copy()
        result.reshape(-1)[self._at[self.filled]] *= 1 - self._noise.amplitude
        return result
