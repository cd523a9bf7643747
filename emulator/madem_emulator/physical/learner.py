"""Networks that learn on the physical crossbar.

They have the twin's phases, rule and digital side, with devices of a preset in place of the integer
ones.

The configuration's ADC, DAC, amplifier noise and ranges hold as on the page
docs/reference/arithmetic.md; what it says of devices (steps, spreads, faults) does not. Full
activity drives a line with the device's read voltage; one unit of g of the page is 1/200 of the
device's window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem_emulator.physical import checks
from madem_emulator.physical.device import DeviceModel
from madem_emulator.physical.device_array import DeviceArray
from madem_emulator.physical.generators import Generators, uniforms_at
from madem_emulator.physical.wire_solver import WiredArray
from madem_emulator.physical.wires import Wires
from madem_emulator.twin.array import (
    FULL,
    MIDDLE,
    Floats,
    Memristors,
    Numbers,
    Sums,
    Weights,
    by_layer,
)
from madem_emulator.twin.config import WINDOW, Config
from madem_emulator.twin.twin import Twin, TwinState, Update

Z_PER_UNIT = 256 / 147.8
"""The page's INIT is in 1/256 unit of g for each unit of z, whose σ is 147.8."""

_EXACT_BITS = 52
"""Sums of integers are exact in float64, in whatever order, if none has more bits."""

_POWERS = {"noise": 2, "even_minus": 2, "even_plus": 2, "odd": 3}
"""With what power of the activities `_PhysicalWeights.parts` are multiplied."""


class PhysicalTwin(Twin):
    """B networks with the same configuration, each on devices of its own.

    As `Twin`, but `devices` is brought up to date by `state` only. A seed gives the same network
    whatever the others of the batch are.

    Attributes:
        device: the kind of device that the couplings are made of.
    """

    def __init__(
        self,
        config: Config,
        device: DeviceModel,
        seeds: Sequence[int] | None = None,
        wires: Wires | None = None,
    ) -> None:
        """Make networks that have learned nothing.

        Args:
            config: the integers.
            device: the kind of device that the couplings are made of.
            seeds: one for each network; None: the configuration's.
            wires: of the array of each weight layer, whose bit lines of P and N lie side by side;
                None: without resistance.

        Raises:
            ValueError: there are wires, and the device's I–V curve is bent.
        """
        super().__init__(config, seeds)
        checks.need(isinstance(device, DeviceModel), "device", device, "a preset or DeviceModel")
        self.device = device
        self._physical = _Physical(config, self.seeds, device, wires)
        self._memristors = self._physical
        self.devices = self._physical.layers

    @property
    def conductances(self) -> list[Floats]:
        """Conductances in siemens by weight layer, (B, n, 2, m + 1): axis 2 is P, N. Copies."""
        return by_layer(self._physical.conductances(), self.config.sizes, 2)

    @property
    def weights(self) -> Sequence[Weights]:
        """Weight layers as they are now; each `forward` or `transposed` is a read with noise."""
        return self._physical.weights()

    def wait(self, seconds: float) -> None:
        """Let time pass: drift, relaxation, telegraph noise. Learning itself takes none.

        Args:
            seconds: above 0.

        Raises:
            ValueError: it is not.
        """
        checks.number("seconds", seconds)
        checks.need(seconds > 0, "seconds", seconds, "above 0")
        self._physical.wait(seconds)

    def state(self) -> TwinState:
        """As `Twin.state`, with conductances rounded to bytes.

        Of a single network it also has the conductances in siemens, with all that the devices and
        their noise go on from.
        """
        self._physical.round()
        state = super().state()
        return state if len(self.seeds) > 1 else state._replace(physical=self._physical.state())

    def add_stuck(self, stuck: int) -> None:
        """As `Twin.add_stuck`, on top of the devices that the preset has stuck."""
        before = self.config.stuck
        super().add_stuck(stuck)
        self._physical.add_stuck_share((stuck - before) / (0x10000 - before))

    def load_state(self, state: TwinState) -> None:
        """Continue a single network from its state, as if it had never stopped.

        Args:
            state: of a network with the same configuration, seed, device and wires.

        Raises:
            ValueError: they are not, or the state has bytes alone, which don't tell conductances.
        """
        if state.physical is None:
            raise ValueError("the state is one of the emulated front end, not of the physical one")
        super().load_state(state)
        self._physical.set_state(state.physical)

    def _weights_to_predict(self) -> Callable[[NDArray[np.int64]], Sequence[Sums]]:
        weights = self._physical.rounded_weights()
        if not any("noise" in layer.parts for layer in weights):
            return lambda indices: weights
        readings = self._phases.readings_to_predict

        def with_noise(indices: NDArray[np.int64]) -> Sequence[Sums]:
            rng = _RowNoise(self.seeds, indices, readings)
            return [layer.with_noise(rng) for layer in weights]

        return with_noise

    def _pulse(self, couplings: Numbers, raised: NDArray[np.bool_], update: Update) -> None:
        board = couplings // self.config.couplings
        self.pulses += update.pulses * np.bincount(board, minlength=len(self.pulses))
        if len(couplings):
            self._physical.give(couplings, raised, update.pulses)


class _Physical(Memristors):
    """Devices of a preset where the twin looks for its own."""

    def __init__(
        self, config: Config, seeds: NDArray[np.uint64], device: DeviceModel, wires: Wires | None
    ) -> None:
        super().__init__(config, seeds)
        curve = device.nonlinearity
        if wires:
            checks.need(curve.is_linear, "nonlinearity", "on", "off for learning through wires")
        self._sizes = config.sizes
        self._wires = wires
        self._rng = Generators([int(seed) for seed in seeds])
        self._devices = DeviceArray(device, self.g.shape, self._rng)
        self._unit = device.window / WINDOW
        sigma = config.init / Z_PER_UNIT
        first = MIDDLE + sigma * self._rng.standard_normal(self.g.shape)
        self._devices.program(device.g_min + self._unit * np.clip(first, 0, WINDOW))

        # What reads need of each coupling, (B, couplings), kept up to date where pulses fall.
        self._pairs = np.empty((len(seeds), config.couplings))
        parts = ["noise"] * (self._devices.noise_variance(np.zeros(1)) is not None)
        parts += [] if curve.is_linear else ["even_minus", "even_plus", "odd"]
        self._parts = {name: np.empty_like(self._pairs) for name in parts}
        self._known_changes = -1
        self._made: list[_PhysicalWeights] = []
        self._rounded: list[_PhysicalWeights] = []

    def weights(self) -> Sequence[_PhysicalWeights]:
        """Weight layers as they are now, with read noise, I–V curve and wires."""
        # What changes without pulses, changes everywhere.
        if self._known_changes != self._devices.changes:
            self._renew(np.arange(self._pairs.size))
            self._made = []
        if not self._made:
            self._made = self._make()
            self._rounded = []
        return self._made

    def rounded_weights(self) -> Sequence[_PhysicalWeights]:
        """`weights`, rounded: see `_PhysicalWeights.rounded`."""
        made = self.weights()
        if not self._rounded:
            self._rounded = [layer.rounded() for layer in made]
        return self._rounded

    def give(self, couplings: Numbers, raised: NDArray[np.bool_], pulses_per_update: int) -> None:
        """Raise or lower couplings by some pulses each, on P or N by lot.

        Args:
            couplings: all different, as positions in the flattened (B, couplings).
            raised: raise it, else lower it.
            pulses_per_update: of each.
        """
        up_to_date = self._known_changes == self._devices.changes
        is_set = uniforms_at(self._rng, couplings, self._pairs.shape) < 0.5
        p, n = self._places(couplings)
        at = np.where(is_set == raised, p, n)
        self._devices.pulse_some(at, np.full(len(at), float(pulses_per_update)), is_set)
        if up_to_date:
            self._renew(couplings)
        self._made = []

    def add_stuck_share(self, share: float) -> None:
        """Let this share of the devices that still change get stuck at either end."""
        self._devices.add_stuck(share)

    def wait(self, seconds: float) -> None:
        """See `PhysicalTwin.wait`."""
        self._devices.wait(seconds)

    def conductances(self) -> Floats:
        """In siemens, (B, devices), by device number."""
        return self._devices.g.copy()

    def state(self) -> dict[str, NDArray[Any]]:
        """Of a single network: see `DeviceArray.state`, and the generators' state."""
        return self._devices.state() | {"generators": self._rng.state()}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a `state`."""
        if "generators" not in state:
            raise ValueError("the state has no generators")
        devices = dict(state)
        generators = devices.pop("generators")
        self._devices.set_state(devices)
        self._rng.set_state(generators)

    def round(self) -> None:
        """Show the conductances as they are now in `g` and `layers`, as bytes."""
        units = (self._devices.g - self._devices.device.g_min) / self._unit
        self.g[:] = np.clip(np.rint(units), 0, 255)

    def _places(self, couplings: Numbers) -> tuple[Numbers, Numbers]:
        """Positions of P and N of couplings in the flattened devices."""
        board, coupling = np.divmod(couplings, self._pairs.shape[1])
        board *= self.g.shape[1]
        return board + self.p[coupling], board + self.n[coupling]

    def _renew(self, couplings: Numbers) -> None:
        devices, unit = self._devices, self._unit
        seen = devices.seen().reshape(-1)
        p, n = (seen[at] for at in self._places(couplings))
        self._pairs.reshape(-1)[couplings] = (p - n) / unit
        found: dict[str, Floats] = {}
        if "noise" in self._parts:
            of_p, of_n = devices.noise_variance(p), devices.noise_variance(n)
            assert of_p is not None
            assert of_n is not None
            found["noise"] = (of_p + of_n) / unit**2
        if "odd" in self._parts:
            volts = devices.device.read_voltage / FULL
            curve = devices.device.nonlinearity
            (second_p, third_p), (second_n, third_n) = curve.coefficients(p), curve.coefficients(n)
            found["even_minus"] = (second_p - second_n) * (volts / unit)
            found["even_plus"] = (second_p + second_n) * (volts / unit)
            found["odd"] = (third_p - third_n) * (volts**2 / unit)
        for name, part in found.items():
            self._parts[name].reshape(-1)[couplings] = part
        self._known_changes = devices.changes

    def _make(self) -> list[_PhysicalWeights]:
        forward = backward = by_layer(self._pairs, self._sizes)
        if self._wires:
            forward, backward = self._through_wires(self._wires)
        parts = {name: by_layer(part, self._sizes) for name, part in self._parts.items()}
        made: list[_PhysicalWeights] = []
        for k, (f, b) in enumerate(zip(forward, backward, strict=True)):
            own = {name: layers[k] for name, layers in parts.items()}
            made.append(_PhysicalWeights.make(f, b[..., :-1], own, self._rng))
        return made

    def _through_wires(self, wires: Wires) -> tuple[list[Floats], list[Floats]]:
        """Each coupling's share of the sums of forward and of transposed reads.

        In units of g, by weight layer (B, n, m + 1).
        """
        forward, backward = [], []
        for layer in by_layer(self._devices.seen(), self._sizes, 2):
            boards, n, _, lines = layer.shape
            # Word lines are rows: (B, m + 1, 2 n), P and N of a unit next to each other.
            array = layer.reshape(boards, 2 * n, lines).swapaxes(1, 2)
            wired = WiredArray(wires, array, known=True)
            shares = wired.transfer(False).swapaxes(1, 2), wired.transfer(True)
            for share, found in zip(shares, (forward, backward), strict=True):
                pairs = share.reshape(layer.shape) / self._unit
                found.append(pairs[:, :, 0] - pairs[:, :, 1])
        return forward, backward


class _PhysicalWeights(Weights):
    """`Weights` of devices that are not ideal; sums are in the page's units.

    Attributes:
        back: P − N of the word lines for transposed reads, (B, n, m).
        parts: those imperfections that there are, (B, n, m + 1) each: "noise", the variance of the
            pairs' read noise; "even_minus" and "even_plus", a2 of the I–V curve as P − N and as
            P + N, which transposed reads see; "odd", a3 as P − N.
        rng: draws the read noise.
    """

    back: Floats
    parts: dict[str, Floats]
    rng: Generators | _RowNoise

    @classmethod
    def make(
        cls,
        forward: Floats,
        backward: Floats,
        parts: dict[str, Floats],
        rng: Generators | _RowNoise,
    ) -> _PhysicalWeights:
        """Make them of couplings (B, n, m + 1) and (B, n, m), in units of g."""
        result = cls(forward[..., :-1], FULL * forward[:, None, :, -1])
        result.back, result.parts, result.rng = backward, parts, rng
        return result

    def rounded(self) -> _PhysicalWeights:
        """The same to within some 1e-6 of the largest, with sums that are exact.

        Otherwise their last bits would depend on how many rows are read together, because that
        changes the order in which the terms of a sum are added.
        """
        forward = np.concatenate([self.lines, self.bias.swapaxes(1, 2) / FULL], axis=2)
        parts = {name: _rounded(part, _POWERS[name]) for name, part in self.parts.items()}
        return self.make(_rounded(forward, 1), _rounded(self.back, 1), parts, self.rng)

    def with_noise(self, rng: _RowNoise) -> _PhysicalWeights:
        """The same with noise from elsewhere."""
        result = _PhysicalWeights(*self)
        result.back, result.parts, result.rng = self.back, self.parts, rng
        return result

    def forward(self, s: Floats) -> Floats:
        """As `Weights.forward`."""
        sums = super().forward(s)
        if "odd" in self.parts:
            sums += _driven(s, 2, self.parts["even_minus"])
            sums += _driven(s, 3, self.parts["odd"])
        if "noise" in self.parts:
            variance = _driven(s, 2, self.parts["noise"])
            sums += self.rng.standard_normal(sums.shape) * np.sqrt(variance)
        return sums

    def transposed(self, s: Floats) -> Floats:
        """As `Weights.transposed`: P's bit line is driven with +v, N's with −v."""
        sums = s @ self.back
        if "odd" in self.parts:
            squares = s * s
            # Voltage and current of a device are reversed here: P's even part counts against, and
            # so does N's, whose line has the other sign of voltage but is not subtracted again.
            sums -= squares @ self.parts["even_plus"][..., :-1]
            sums += (squares * s) @ self.parts["odd"][..., :-1]
        if "noise" in self.parts:
            variance = (s * s) @ self.parts["noise"][..., :-1]
            sums += self.rng.standard_normal(sums.shape) * np.sqrt(variance)
        return sums


class _RowNoise:
    """Read noise of predictions: normal numbers that are each row's own."""

    def __init__(
        self, seeds: NDArray[np.uint64], indices: NDArray[np.int64], readings: int
    ) -> None:
        """Draw for all reads.

        Args:
            seeds: of the networks, (B,).
            indices: of the rows, (S,) or (B, S): see `row_indices`.
            readings: of a prediction.
        """
        keys = np.broadcast_to(indices, (len(seeds), indices.shape[-1]))
        self._drawn = np.empty((*keys.shape, readings))
        # One generator that is started anew for each row: to make one takes ten times as long.
        bits = np.random.Philox(key=0)
        generator, start = np.random.Generator(bits), bits.state
        for network, seed in enumerate(seeds):
            for row, key in enumerate(keys[network].tolist()):
                start["state"]["key"][:] = seed, key
                bits.state = start
                generator.standard_normal(out=self._drawn[network, row])
        self._next = 0

    def standard_normal(self, shape: tuple[int, ...]) -> Floats:
        """Take the numbers of the next read.

        Args:
            shape: of its readings, (B, S, lines).
        """
        begin = self._next
        self._next += shape[-1]
        return self._drawn[..., begin : self._next]


def _rounded(couplings: Floats, power: int) -> Floats:
    """Round so that sums of couplings times activities to a power are exact.

    Args:
        couplings: (B, n, m).
        power: of the activities, which are integers up to 255.
    """
    terms = max(couplings.shape[1:])
    most = np.abs(couplings).max(axis=(1, 2), keepdims=True) * (terms * float(FULL) ** power)
    _, bits = np.frexp(most)
    quantum = np.ldexp(1.0, bits - _EXACT_BITS)
    return np.rint(couplings / quantum) * quantum


def _driven(s: Floats, power: int, couplings: Floats) -> Floats:
    """Sums over word lines and bias line of a power of their activities: (B, S, n)."""
    bias = float(FULL) ** power * couplings[:, None, :, -1]
    return s**power @ couplings[..., :-1].swapaxes(1, 2) + bias
