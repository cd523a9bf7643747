"""A crossbar of simulated devices: reads forward and backward, pulses, write-verify, time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from madem_emulator.physical import checks
from madem_emulator.physical.checks import Flags, Floats
from madem_emulator.physical.counters import Counters
from madem_emulator.physical.device import DeviceModel
from madem_emulator.physical.device_array import DeviceArray
from madem_emulator.physical.electrics import Electrics
from madem_emulator.physical.presets import IDEAL
from madem_emulator.physical.pulse_worth import Cell, PulseWorth
from madem_emulator.physical.terminals import terminal_currents
from madem_emulator.physical.wires import Wires


class WriteReport(NamedTuple):
    """Result of `Crossbar.write_verify`.

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
    """An array of rows × columns devices, or a batch of independent such arrays.

    Word lines are rows, bit lines are columns; the device at (i, j) joins word line i to bit line
    j. All random numbers come from one generator: the same seed and the same calls give the same
    bits.

    Reads multiply by the matrix of conductances, in either direction:

    >>> from madem_emulator import Crossbar, presets
    >>> array = Crossbar(2, 3, presets.IDEAL)
    >>> array.program([[10e-6, 20e-6, 30e-6], [40e-6, 50e-6, 60e-6]])
    >>> array.read([0.1, 0.2])  # volts on the word lines; amperes from the bit lines
    array([9.0e-06, 1.2e-05, 1.5e-05])
    >>> array.read_transposed([0.1, 0.0, 0.0])  # through the same devices, backward
    array([1.e-06, 4.e-06])

    Attributes:
        rows, columns: size of one array.
        batch: shape of the batch, () for one array.
        device: the kind of device.
        cell: "1T1R" or "1R".
        wires: resistances of the lines, or None.
        read_time: seconds that a read holds its voltages.
        rng: generator of all random numbers.
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
        """Make an array with all devices at their g_min.

        Args:
            rows: word lines of one array, 1 or more.
            columns: bit lines of one array, 1 or more.
            device: the kind of device; `presets` has published ones.
            seed: of the generator, 0 or more.
            batch: shape of a batch of independent arrays; () for one array.
            cell: "1T1R", a transistor at every device, or "1R", none: then pulses disturb the
                devices that share a line with the selected one (`PulseResponse.half_select`).
            wires: resistances of the lines, their drivers and sense amplifiers; None: none.
            pulses_lose: pulses lose voltage in the wires, as reads do (`pulse_worth`); otherwise
                they reach the devices at full voltage.
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
        self.counters = Counters()
        self.rng = np.random.Generator(np.random.SFC64(seed))
        self._worth = PulseWorth(device, cell, wires, pulses_lose)
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
        """Mask of the devices that never change: bool (*batch, rows, columns)."""
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

        Raises:
            ValueError: the voltages have another shape, or reach too high.
        """
        return self._read(voltages, self.rows, transposed=False)

    def read_transposed(self, voltages: ArrayLike) -> Floats:
        """Drive the bit lines, sense the word lines, through the same devices.

        Args:
            voltages: in volts, shapes as for `read` with columns in place of rows.

        Returns:
            Currents in amperes, (*batch, rows) or (*batch, vectors, rows).

        Raises:
            ValueError: the voltages have another shape, or reach too high.
        """
        return self._read(voltages, self.columns, transposed=True)

    def _read(self, voltages: ArrayLike, lines: int, transposed: bool) -> Floats:
        limit = self.device.max_read_voltage
        v = checks.voltages("voltages", voltages, self.batch, lines, limit)
        electrics = self._now()
        currents = electrics.read(v, transposed, self.rng)

        many = v.ndim > len(self.batch) + 1
        seconds = self.read_time * (v.shape[-2] if many else 1)
        sums = electrics.line_sums(transposed)
        power = v * v * (sums[..., None, :] if many else sums)
        joules = self.read_time * float(np.add.reduce(power, axis=None))
        self.counters.add_reads(v.size // lines, self.rows * self.columns, seconds, joules)
        self._devices.elapse_traps(seconds)
        return currents

    def read_terminals(self, word: ArrayLike, bit: ArrayLike) -> tuple[Floats, Floats]:
        """Hold terminals at any voltages or let them float: sneak paths, half-voltage schemes.

        Exact, with the wires' driver resistance at the word lines and sense resistance at the bit
        lines. For one array of devices with a linear I–V curve.

        Args:
            word: volts at the word lines' terminals, (rows,); NaN: floating.
            bit: volts at the bit lines' terminals, (columns,).

        Returns:
            Currents into the array in amperes at both, (rows,) and (columns,); 0 where floating.

        Raises:
            ValueError: the array is a batch, the I–V curve is bent, or a voltage reaches too high.
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
        self.counters.add_reads(1, g.size, self.read_time)
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

    # Writing

    def program(self, targets: ArrayLike) -> None:
        """Bring every device to about its target, with the published error of the device.

        Args:
            targets: in siemens, within the device's window; what broadcasts to the shape.

        Raises:
            ValueError: a target is outside the window.
        """
        self._devices.program(self._in_window(targets))

    def pulse(self, counts: ArrayLike) -> None:
        """Give each device its own number of pulses, one device after another.

        In a 1R array each of them half-selects the other devices on its two lines.

        Args:
            counts: whole numbers that broadcast to the shape; above 0 SET, below 0 RESET.

        Raises:
            ValueError: they are no whole numbers or don't broadcast.
        """
        numbers = np.broadcast_to(checks.whole("counts", counts, self.shape), self.shape)
        amount, is_set = np.abs(numbers).astype(np.float64), numbers > 0
        one_by_one = float(amount.sum(axis=(-1, -2)).max())
        if not self._worth.disturbs:
            self._give(amount * self._worth.alone(self._devices.g), is_set, one_by_one)
            return
        for polarity in (is_set, ~is_set):
            full = amount * polarity
            on_row = full.sum(-1, keepdims=True) - full
            on_column = full.sum(-2, keepdims=True) - full
            direction = np.broadcast_to(polarity is is_set, self.shape)
            whole, half_row, half_column = self._worth.half_scheme(self._devices.g)
            self._give(full * whole + on_row * half_row + on_column * half_column, direction, 0.0)
        self.counters.write_time += one_by_one * self.device.pulses.width

    def pulse_devices(self, index: tuple[ArrayLike, ...], counts: ArrayLike) -> None:
        """Give pulses to some devices, one after another: `pulse` for few devices.

        Args:
            index: as for numpy, one array (devices,) for each axis of the shape; all different.
            counts: whole numbers but 0, (devices,); above 0 SET, below 0 RESET.

        Raises:
            ValueError: a device is outside the array or named twice, or a count is no such number.
        """
        at = checks.positions("index", index, self.shape)
        numbers = np.broadcast_to(checks.whole("counts", counts, at.shape), at.shape)
        checks.need(bool(np.all(numbers)), "counts", "0 for some device", "other than 0")
        if self._worth.disturbs:
            all_counts = np.zeros(self.shape, np.int64)
            all_counts.reshape(-1)[at] = numbers
            self.pulse(all_counts)
            return
        amount, is_set = np.abs(numbers).astype(np.float64), numbers > 0
        g = self._devices.g
        if self._worth.loses:
            amount = amount * self._worth.alone(g).reshape(-1)[at]
        pulses = self.device.pulses
        self.counters.add_pulses(pulses, amount, is_set, g.reshape(-1)[at], float(amount.sum()))
        self._devices.pulse_some(at, amount, is_set)

    def pulse_block(self, rows: ArrayLike, columns: ArrayLike, count: int) -> None:
        """Give the same pulses to all devices where selected word and bit lines cross, at once.

        In a 1R array the devices on only one selected line are half-selected.

        Args:
            rows: the selected word lines, bool (*batch, rows).
            columns: the selected bit lines, bool (*batch, columns).
            count: number of pulses; above 0 SET, below 0 RESET.

        Raises:
            ValueError: a mask has another shape, or the count is no whole number.
        """
        r = checks.array("rows", rows, (*self.batch, self.rows)) != 0
        c = checks.array("columns", columns, (*self.batch, self.columns)) != 0
        number = int(checks.whole("count", count, ()))
        worth = self._worth.block(self._devices.g, r, c)
        amount = np.broadcast_to(abs(number) * worth, self.shape)
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

        Raises:
            ValueError: an argument has another shape or is out of range.
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
        whole, half = self._worth.trains(self._devices.g, x, d)
        if not self._worth.disturbs:
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

        >>> array = Crossbar(2, 2, IDEAL)
        >>> report = array.write_verify(30e-6, tolerance=1e-6)
        >>> report.rounds, report.pulses.tolist(), bool(report.failed.any())
        (74, [[73, 73], [73, 73]], False)

        Args:
            targets: in siemens, within the device's window; what broadcasts to the shape.
            tolerance: in siemens, above 0.
            max_rounds: rounds after which a device counts as failed.
            pulses: what a device gets in a round while it is off.

        Returns:
            What it took and what is left.

        Raises:
            ValueError: an argument is out of range.
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
        seconds = self.read_time * (self.rows * self.columns)
        joules = self.read_time * self.device.read_voltage**2 * float(g.sum())
        self.counters.add_reads(g.size, 1, seconds, joules)
        self._devices.elapse_traps(seconds)
        return g

    # Time

    def wait(self, seconds: float) -> None:
        """Let time pass without touching the array: drift, relaxation, telegraph noise.

        Args:
            seconds: above 0.

        Raises:
            ValueError: it is not.
        """
        checks.number("seconds", seconds)
        checks.need(seconds > 0, "seconds", seconds, "above 0")
        self._devices.wait(float(seconds))

    # Helpers

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
        self.counters.add_pulses(self.device.pulses, amount, is_set, self._devices.g, slots)
        self._devices.pulse(amount, is_set)


def _signs(values: Floats) -> NDArray[np.int8]:
    return np.sign(values).astype(np.int8)
