"""A crossbar of simulated devices: reads forward and backward, pulses, write-verify, time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem_emulator.physical import checks, write_drop
from madem_emulator.physical.checks import Flags, Floats
from madem_emulator.physical.device import DeviceModel
from madem_emulator.physical.device_array import DeviceArray
from madem_emulator.physical.electrics import Electrics
from madem_emulator.physical.presets import IDEAL
from madem_emulator.physical.terminals import terminal_currents
from madem_emulator.physical.wires import Wires

Cell = Literal["1T1R", "1R"]


@dataclass
class Counters:
    """What a crossbar has done since it was made: the quantities that time and energy follow from.

    All are summed over the batch.
    """

    reads: int = 0
    """Vectors read, forward and transposed."""
    device_reads: int = 0
    """Devices that took part in reads: vectors times devices of the array."""
    set_pulses: float = 0.0
    """SET pulses that devices received, half-selected ones counted by their strength."""
    reset_pulses: float = 0.0
    """RESET pulses, likewise."""
    read_time: float = 0.0
    """Seconds spent reading, one vector after another, arrays of a batch at the same time."""
    write_time: float = 0.0
    """Seconds of pulses, one after another except where they were given in parallel."""
    read_energy: float = 0.0
    """Joules dissipated in the devices by reads: Σ g V² · read_time, wires and curvature of the
    I–V curve left out."""
    write_energy: float = 0.0
    """Joules dissipated in the devices by pulses: Σ g V² · width, with g before the pulses."""


class WriteReport(NamedTuple):
    """What `Crossbar.write_verify` did.

    Attributes:
        pulses: pulses that each device got, int (*batch, rows, columns).
        failed: devices that did not come within the tolerance, bool (*batch, rows, columns).
        error: conductance less target in siemens, (*batch, rows, columns).
        rounds: verify reads of the whole array.
    """

    pulses: NDArray[np.int64]
    failed: NDArray[np.bool_]
    error: Floats
    rounds: int


class Crossbar:
    """rows × columns devices, or a batch of independent such arrays.

    Word lines are rows, bit lines are columns; the device at (i, j) joins word line i to bit line
    j. All random numbers come from one generator: the same seed and the same calls give the same
    bits.

    Attributes:
        counters: what was done so far.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        device: DeviceModel = IDEAL,
        *,
        seed: int = 1,
        batch: tuple[int, ...] = (),
        cell: Cell = "1T1R",
        wires: Wires | None = None,
        pulses_lose: bool = False,
        read_time: float = 1e-6,
    ) -> None:
        """All devices begin at their g_min.

        Args:
            rows, columns: size of one array, 1 or more.
            device: what kind of device; `presets` has published ones.
            seed: of the generator, 0 or more.
            batch: shape of a batch of independent arrays; () for one array.
            cell: "1T1R", a transistor at every device, or "1R", none: then pulses disturb the
                devices that share a line with the selected one (`PulseResponse.half_select`).
            wires: resistances of the lines, their drivers and sense amplifiers; None: none.
            pulses_lose: pulses lose voltage in the wires, as reads do; otherwise they reach the
                devices at full voltage. A pulse of v times its amplitude is worth h^(2 − 2 v)
                pulses, with h the device's `PulseResponse.half_select`: exponential in the
                voltage, through what a pulse of half the amplitude is worth.
            read_time: seconds that a read holds its voltages.

        Raises:
            ValueError: an argument is out of range; the message names it.
        """
        checks.count("rows", rows)
        checks.count("columns", columns)
        checks.count("seed", seed, 0)
        for size in batch:
            checks.count("batch", size)
        checks.need(cell in ("1T1R", "1R"), "cell", cell, "1T1R or 1R")
        checks.number("read_time", read_time)
        checks.need(isinstance(device, DeviceModel), "device", device, "a preset or DeviceModel")
        self.rows, self.columns, self.batch = rows, columns, tuple(batch)
        self.device, self.cell, self.wires, self.read_time = device, cell, wires, read_time
        if pulses_lose:
            checks.need(wires is not None, "wires", wires, "given where pulses lose voltage")
            half = device.pulses.half_select
            checks.need(half > 0, "half_select", half, "above 0 where pulses lose voltage")
        self.pulses_lose = pulses_lose
        self.counters = Counters()
        self.rng = np.random.Generator(np.random.SFC64(seed))
        self._devices = DeviceArray(device, (*self.batch, rows, columns), self.rng)
        self._electrics: Electrics | None = None
        self._seen_changes = -1

    @property
    def shape(self) -> tuple[int, ...]:
        """(*batch, rows, columns)."""
        return self._devices.shape

    @property
    def conductances(self) -> Floats:
        """Conductances in siemens without read noise: a copy, float64 (*batch, rows, columns).

        Assigning sets them exactly, as if an array with these had been found; what broadcasts to
        the shape will do. Stuck devices keep theirs.
        """
        return self._devices.g.copy()

    @conductances.setter
    def conductances(self, value: ArrayLike) -> None:
        self._devices.assign(checks.conductances("conductances", value, self.shape))

    @property
    def stuck(self) -> NDArray[np.bool_]:
        """Which devices never change: bool (*batch, rows, columns)."""
        return self._devices.stuck

    # Reading

    def read(self, voltages: ArrayLike) -> Floats:
        """Drive the word lines, sense the bit lines.

        Args:
            voltages: in volts, (*batch, rows), (*batch, vectors, rows), or (rows,) for all arrays
                of the batch; within ±max_read_voltage of the device.

        Returns:
            Currents in amperes, (*batch, columns) or (*batch, vectors, columns). Every vector has
            read noise of its own.
        """
        limit = self.device.max_read_voltage
        v = checks.voltages("voltages", voltages, self.batch, self.rows, limit)
        return self._sense(v, transposed=False)

    def read_transposed(self, voltages: ArrayLike) -> Floats:
        """Drive the bit lines, sense the word lines, through the same devices.

        Args:
            voltages: in volts, shapes as for `read` with columns in place of rows.

        Returns:
            Currents in amperes, (*batch, rows) or (*batch, vectors, rows).
        """
        limit = self.device.max_read_voltage
        v = checks.voltages("voltages", voltages, self.batch, self.columns, limit)
        return self._sense(v, transposed=True)

    def _sense(self, v: Floats, transposed: bool) -> Floats:
        electrics = self._now()
        currents = electrics.read(v, transposed, self.rng)
        self._count_read(v, electrics, transposed)
        return currents

    def read_terminals(self, word: ArrayLike, bit: ArrayLike) -> tuple[Floats, Floats]:
        """Hold terminals at any voltages or let them float: sneak paths, half-voltage schemes.

        Exact, with the wires' driver resistance at the word lines and sense resistance at the bit
        lines. One array, and devices of linear I–V curve, only.

        Args:
            word: volts at the word lines' terminals, (rows,); NaN: floating.
            bit: volts at the bit lines' terminals, (columns,).

        Returns:
            Currents into the array in amperes at both, (rows,) and (columns,); 0 where floating.
        """
        checks.need(not self.batch, "batch", self.batch, "() for read_terminals")
        linear = self.device.nonlinearity.is_linear
        checks.need(linear, "nonlinearity", "on", "off for read_terminals")
        held = [
            checks.terminals(name, value, size, self.device.max_read_voltage)
            for name, value, size in (("word", word, self.rows), ("bit", bit, self.columns))
        ]
        g = self._now().noisy(self.rng)
        result = terminal_currents(self.wires or Wires(), g, *held)
        self.counters.reads += 1
        self.counters.device_reads += g.size
        self.counters.read_time += self.read_time
        self._devices.elapse_traps(self.read_time)
        return result

    def _now(self) -> Electrics:
        devices = self._devices
        if self._electrics is None or self._seen_changes != devices.changes:
            g = devices.seen()
            first = self._electrics is None
            variance = devices.noise_variance(g)
            self._electrics = Electrics(g, variance, self.device, self.wires, known=first)
            self._seen_changes = devices.changes
        return self._electrics

    def _count_read(self, v: Floats, electrics: Electrics, transposed: bool) -> None:
        counters = self.counters
        many = v.ndim > len(self.batch) + 1
        vectors = v.size // v.shape[-1]
        spent = self.read_time * (v.shape[-2] if many else 1)
        counters.reads += vectors
        counters.device_reads += vectors * self.rows * self.columns
        counters.read_time += spent
        sums = electrics.line_sums(transposed)
        power = v * v * (sums[..., None, :] if many else sums)
        counters.read_energy += self.read_time * float(np.add.reduce(power, axis=None))
        self._devices.elapse_traps(spent)

    # Writing

    def program(self, targets: ArrayLike) -> None:
        """Bring every device to about its target, with the published error of the device.

        Args:
            targets: in siemens, within the device's window; what broadcasts to the shape.
        """
        self._devices.program(self._in_window(targets))

    def pulse(self, counts: ArrayLike) -> None:
        """Give each device its own number of pulses, one device after another.

        In a 1R array each of them half-selects the other devices on its two lines.

        Args:
            counts: whole numbers that broadcast to the shape; above 0 SET, below 0 RESET.
        """
        numbers = np.broadcast_to(checks.whole("counts", counts, self.shape), self.shape)
        amount, is_set = np.abs(numbers).astype(np.float64), numbers > 0
        one_by_one = float(amount.sum(axis=(-1, -2)).max())
        if not self._disturbs:
            if self.pulses_lose:
                amount *= self._worth_alone()
            self._give(amount, is_set, one_by_one)
            return
        for polarity in (is_set, ~is_set):
            full = amount * polarity
            on_row = full.sum(-1, keepdims=True) - full
            on_column = full.sum(-2, keepdims=True) - full
            direction = np.broadcast_to(polarity is is_set, self.shape)
            whole, half_row, half_column = self._worth_half_scheme()
            self._give(full * whole + on_row * half_row + on_column * half_column, direction, 0.0)
        self.counters.write_time += one_by_one * self.device.pulses.width

    def pulse_devices(self, index: tuple[ArrayLike, ...], counts: ArrayLike) -> None:
        """Give pulses to some devices, all different, one after another: `pulse` for few devices.

        Args:
            index: as for numpy, one array for each axis of the shape.
            counts: whole numbers but 0, of the shape of the indices; above 0 SET, below 0 RESET.
        """
        at = checks.positions("index", index, self.shape)
        numbers = np.broadcast_to(checks.whole("counts", counts, at.shape), at.shape)
        checks.need(bool(np.all(numbers)), "counts", "0 for some device", "other than 0")
        if self._disturbs:
            all_counts = np.zeros(self.shape, np.int64)
            all_counts.reshape(-1)[at] = numbers
            self.pulse(all_counts)
            return
        amount, is_set = np.abs(numbers).astype(np.float64), numbers > 0
        if self.pulses_lose:
            amount = amount * self._worth_alone().reshape(-1)[at]
        self._add_pulses(amount, is_set, self._devices.g.reshape(-1)[at], float(amount.sum()))
        self._devices.pulse_some(at, amount, is_set)

    def pulse_block(self, rows: ArrayLike, columns: ArrayLike, count: int) -> None:
        """Give the same pulses to all devices where selected word and bit lines cross, at once.

        In a 1R array the devices on only one selected line are half-selected.

        Args:
            rows: bool (*batch, rows), the selected word lines.
            columns: bool (*batch, columns).
            count: number of pulses; above 0 SET, below 0 RESET.
        """
        r = checks.array("rows", rows, (*self.batch, self.rows)) != 0
        c = checks.array("columns", columns, (*self.batch, self.columns)) != 0
        number = int(checks.whole("count", count, ()))
        both, one = r[..., :, None] & c[..., None, :], r[..., :, None] ^ c[..., None, :]
        pulsed = both | one if self._disturbs else both
        worth = both + self.device.pulses.half_select * one
        if self.wires and self.pulses_lose:
            drive = (r[..., :, None] + c[..., None, :].astype(np.float64)) / 2
            g = self._devices.g if self.cell == "1R" else self._devices.g * both
            worth = self._worth(write_drop.together(self.wires, g, drive * pulsed))
        amount = np.broadcast_to(abs(number) * worth * pulsed, self.shape)
        self._give(amount, np.broadcast_to(number > 0, self.shape), abs(number))

    def update(self, rows: ArrayLike, columns: ArrayLike, pulses: int = 31) -> NDArray[np.int8]:
        """Change all devices in parallel by about `pulses` · rows_i · columns_j pulses each.

        Every line carries a train of random pulses, as dense as the size of its number; a device
        is pulsed where both of its trains coincide (Gokmen and Vlasov, Front. Neurosci. 10:333,
        2016). The sign of the product decides between SET and RESET. In a 1R array the pulses that
        do not coincide half-select.

        Args:
            rows: −1…1, (*batch, rows).
            columns: −1…1, (*batch, columns).
            pulses: length of the trains, 1…64.

        Returns:
            The pulses that each device got, above 0 SET, below 0 RESET: (*batch, rows, columns).
        """
        x = checks.signals("rows", rows, (*self.batch, self.rows))
        d = checks.signals("columns", columns, (*self.batch, self.columns))
        checks.count("pulses", pulses)
        checks.need(pulses <= 64, "pulses", pulses, "at most 64")
        density = np.abs(np.concatenate([x, d], axis=-1, dtype=np.float32))
        trains = self._trains(density, pulses)
        a, b = trains[..., : self.rows, None], trains[..., None, self.rows :]
        number = np.bitwise_count(a & b)
        amount = number.astype(np.float64)
        sign = _signs(x)[..., :, None] * _signs(d)[..., None, :]
        is_set = sign > 0
        whole, half = self._worth_in_trains(x, d)
        if not self._disturbs:
            self._give(amount * whole, is_set, pulses)
        else:
            # With SET and RESET in phases of their own, a device sees the pulses of one of its
            # lines alone in its own phase, and those of both lines, each alone, in the other.
            own = amount * whole + half * np.bitwise_count(a ^ b)
            other = half * (np.bitwise_count(a) + np.bitwise_count(b)).astype(np.float64)
            for polarity in (is_set, ~is_set):
                direction = np.broadcast_to(polarity is is_set, self.shape)
                self._give(np.where(polarity, own, other), direction, pulses / 2)
        return number.view(np.int8) * sign

    def _trains(self, density: NDArray[np.float32], pulses: int) -> NDArray[np.unsignedinteger]:
        """Random bits of those densities: a word of `pulses` bits for each."""
        bits = np.zeros((*density.shape, 32 if pulses <= 32 else 64), np.bool_)
        chance = self.rng.random((*density.shape, pulses), np.float32)
        np.less(chance, density[..., None], out=bits[..., :pulses])
        word = np.uint32 if pulses <= 32 else np.uint64
        return np.packbits(bits, axis=-1).view(word)[..., 0]

    def write_verify(
        self, targets: ArrayLike, tolerance: float, max_rounds: int = 1000, pulses: int = 1
    ) -> WriteReport:
        """Pulse each device until a read finds it within the tolerance of its target.

        Every round reads all devices, one by one, at the read voltage, with read noise, and gives
        a pulse in the right direction to each that is off.

        Args:
            targets: in siemens, within the device's window; what broadcasts to the shape.
            tolerance: in siemens, above 0.
            max_rounds: rounds after which a device counts as failed.
            pulses: what a device gets in a round while it is off.

        Returns:
            A `WriteReport`.
        """
        target = np.broadcast_to(self._in_window(targets), self.shape)
        checks.number("tolerance", tolerance)
        checks.need(tolerance > 0, "tolerance", tolerance, "above 0 S")
        checks.count("max_rounds", max_rounds)
        checks.count("pulses", pulses)
        used = np.zeros(self.shape, np.int64)
        rounds = 0
        off = np.ones(self.shape, bool)
        while rounds < max_rounds:
            rounds += 1
            error = self._verify() - target
            off = np.abs(error) > tolerance
            if not off.any():
                break
            at = np.nonzero(off)
            step = np.where(error[at] < 0, pulses, -pulses)
            self.pulse_devices(at, step)
            used[at] += pulses
        return WriteReport(used, off, self._devices.g - target, rounds)

    def _verify(self) -> Floats:
        """Noisy conductances in siemens of all devices, read one by one at the read voltage."""
        g = self._now().one_by_one(self.rng, self.cell == "1R")
        counters, devices = self.counters, self.rows * self.columns
        counters.reads += g.size
        counters.device_reads += g.size
        counters.read_time += self.read_time * devices
        counters.read_energy += self.read_time * self.device.read_voltage**2 * float(g.sum())
        self._devices.elapse_traps(self.read_time * devices)
        return g

    # Time

    def wait(self, seconds: float) -> None:
        """Let time pass without touching the array: drift, relaxation, telegraph noise.

        Args:
            seconds: above 0.
        """
        checks.number("seconds", seconds)
        checks.need(seconds > 0, "seconds", seconds, "above 0")
        self._devices.wait(float(seconds))

    # Helpers

    def _worth(self, share: Floats) -> Floats:
        """Pulses that one pulse is worth of which this share of the amplitude arrives."""
        return self.device.pulses.half_select ** (2 - 2 * share)

    def _worth_alone(self) -> Floats:
        """The same for each device while it is the only one that conducts."""
        assert self.wires is not None
        way = write_drop.resistances(self.wires, self.rows, self.columns)
        return self._worth(write_drop.alone(way, self._devices.g))

    def _worth_half_scheme(self) -> tuple[Floats | float, Floats | float, Floats | float]:
        """The same for the selected device, and for those on its word line and its bit line."""
        half = self.device.pulses.half_select
        if not (self.wires and self.pulses_lose):
            return 1.0, half, half
        scheme = write_drop.half_scheme(self.wires, self._devices.g)
        return (
            self._worth(scheme.selected), self._worth(scheme.word / 2), self._worth(scheme.bit / 2)
        )  # fmt: skip

    def _worth_in_trains(self, x: Floats, d: Floats) -> tuple[Floats | float, Floats | float]:
        """The same for pulses that coincide in a random train and for those that don't.

        Of voltage they lose what the mean current of all devices takes, instead of that of each
        slot of the train.
        """
        half = self.device.pulses.half_select
        if not (self.wires and self.pulses_lose):
            return 1.0, half
        x, d = np.abs(x)[..., :, None], np.abs(d)[..., None, :]
        if self.cell == "1R":
            g, drive = self._devices.g, (x + d) / 2
        else:
            g, drive = self._devices.g * x * d, np.ones(self.shape)
        lost = drive - write_drop.together(self.wires, g, drive)
        return self._worth(1 - lost), self._worth(0.5 * (1 - lost))

    @property
    def _disturbs(self) -> bool:
        return self.cell == "1R" and self.device.pulses.half_select > 0

    def _in_window(self, targets: ArrayLike) -> Floats:
        g = checks.conductances("targets", targets, self.shape)
        low, high = self.device.g_min, self.device.g_max
        slack = 1e-9 * high
        ok = bool(g.min() >= low - slack and g.max() <= high + slack)
        found = f"from {g.min():g} to {g.max():g} S"
        checks.need(ok, "targets", found, f"from g_min to g_max, {low:g} to {high:g} S")
        return g

    def _give(self, amount: Floats, is_set: Flags, slots: float) -> None:
        """Pulse all devices, and count it; `slots` pulse widths pass."""
        self._add_pulses(amount, is_set, self._devices.g, slots)
        self._devices.pulse(amount, is_set)

    def _add_pulses(self, amount: Floats, is_set: Flags, g: Floats, slots: float) -> None:
        pulses, counters = self.device.pulses, self.counters
        upward = amount * is_set
        total, up = float(amount.sum()), float(upward.sum())
        charge, charge_up = float(np.vdot(amount, g)), float(np.vdot(upward, g))
        counters.set_pulses += up
        counters.reset_pulses += total - up
        counters.write_time += slots * pulses.width
        spent = pulses.voltage_set**2 * charge_up + pulses.voltage_reset**2 * (charge - charge_up)
        counters.write_energy += spent * pulses.width


def _signs(values: Floats) -> NDArray[np.int8]:
    return np.sign(values).astype(np.int8)
