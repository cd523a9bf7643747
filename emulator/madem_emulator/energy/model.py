"""Energy and time of one training sample: memristor arrays of several designs, the microcontroller
that runs the firmware, and a processor that does backprop.

Every constant is a field that carries its unit and its source (`constants` lists them): a
publication or file that anyone can read, or the command or test here that measures it. Where
sources disagree it carries the range too. A model takes a `Workload` and gives a `Cost`, so
another chip is an instance with other values. What is left out, what the figures come to, and what
the ranges do to them, is in docs/science/energy.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

from madem_emulator.twin.config import Settings

_T = TypeVar("_T")

# Where several constants come from.
_NEUROSIM = "DNN+NeuroSim 2.1, Param.cpp (github.com/neurosim/DNN_NeuroSim_V2.1)"
_NEUROSIM_DEVICES = (
    "TaOx/HfOx: 100 kΩ, on/off ratio 10 in Table 1 of DNN+NeuroSim (Peng et al., IEDM 2019,"
    " doi 10.1109/IEDM19573.2019.8993491)"
)
_ISAAC = "ISAAC (Shafiee et al., ISCA 2016, doi 10.1109/ISCA.2016.12)"
_LIBRARY = "github.com/Accelergy-Project/accelergy-library-plug-in"
_TIMELY = "TIMELY (Li et al., ISCA 2020, doi 10.1109/ISCA45697.2020.00073, Table II)"
_HOROWITZ = "45 nm (Horowitz, ISSCC 2014, doi 10.1109/ISSCC.2014.6757323, Fig. 1.1.9)"
_NEURRAM = (
    "neuron of NeuRRAM, 130 nm (Wan et al., Nature 608, 2022),"
    f" library/wan/components.csv of {_LIBRARY}"
)
_A100 = "A100 data sheet (nvidia-a100-datasheet-us-nvidia-1758950), column of the SXM 40 GB"
_MICROWAY = "microway.com, Detailed Specifications of the AMD EPYC “Milan” CPUs"
_TECHGAGE = "techgage.com/article/amd-epyc-milan-launch-performance"
_STM32 = "STM32L100R8 data sheet (DocID024295 Rev 1), Table 15"
_COMPARED = "4 passes of 1,437 digits: docs/figures/compare-digits.csv"


def _constant(value: float, unit: str, source: str, span: tuple[float, float] | None = None) -> Any:
    """A field; `span` is the range of what sources say, and `source` names those of its ends."""
    return field(default=value, metadata={"unit": unit, "source": source, "span": span})


class Constant(NamedTuple):
    """A field of a model, as `constants` lists it."""

    name: str
    value: float
    unit: str
    source: str
    span: tuple[float, float] | None
    """Least and largest value in the sources; None where they agree."""


class _Model:
    """What every dataclass of constants checks."""

    def __post_init__(self) -> None:
        for name, value, unit, *_ in constants(self):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value} {unit}, but must be a number of 0 or more")


def constants(model: Any) -> list[Constant]:
    """The constants of a model, those of its parts included."""
    found = []
    for item in fields(model):
        value = getattr(model, item.name)
        if "unit" in item.metadata:
            found.append(Constant(item.name, value, **item.metadata))
        elif hasattr(value, "__dataclass_fields__"):
            found += constants(value)
    return found


def with_constant(model: _T, name: str, value: float) -> _T:
    """The model with another value of a constant, in every part that has one of that name."""
    changed: dict[str, Any] = {}
    for item in fields(model):  # type: ignore[arg-type]
        part = getattr(model, item.name)
        if "unit" in item.metadata and item.name == name:
            changed[name] = value
        elif hasattr(part, "__dataclass_fields__"):
            changed[item.name] = with_constant(part, name, value)
    return replace(model, **changed)  # type: ignore[type-var]


class Read(NamedTuple):
    """Reads of one weight layer in one direction."""

    driven: int
    """Lines that are driven."""
    sensed: int
    """Lines that are sensed."""
    times: int
    """How often, in one training sample."""


@dataclass(frozen=True)
class Workload:
    """One training sample of a layered network under the centred rule of docs/science/learning.md.

    Raises:
        ValueError: a size or a number of sweeps is not a positive integer.
    """

    sizes: tuple[int, ...]
    """Units of every layer, input first."""
    sweeps_free: int = Settings.sweeps_free
    sweeps_nudged: int = Settings.sweeps_nudged

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ValueError(f"sizes is {self.sizes}, but must be two or more positive numbers")
        for name in ("sweeps_free", "sweeps_nudged"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be 1 or more")

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Word lines (the bias line included) and bit lines of each weight layer."""
        return [(m + 1, n) for m, n in pairwise(self.sizes)]

    @property
    def couplings(self) -> int:
        return sum(m * n for m, n in self.layers)

    @property
    def reads(self) -> list[Read]:
        """The first layer is read once and held; each further one is read forward and transposed
        in every free sweep and in every sweep of the two nudged phases."""
        sweeps = self.sweeps_free + 2 * self.sweeps_nudged
        (m, n), *further = self.layers
        found = [Read(m, n, 1)]
        for m, n in further:
            found += [Read(m, n, sweeps), Read(n, m - 1, sweeps)]
        return found


@dataclass(frozen=True)
class Cost:
    """What one training sample takes."""

    parts: Mapping[str, float]
    """Joules by where they go."""
    time: float
    """Seconds."""

    @property
    def energy(self) -> float:
        """Joules, all parts together."""
        return math.fsum(self.parts.values())

    @property
    def largest(self) -> str:
        """The part that takes most."""
        return max(self.parts, key=lambda name: self.parts[name])


@dataclass(frozen=True)
class Cells(_Model):
    """Memristors in differential pairs, and the lines that join them, in square tiles."""

    conductance: float = _constant(
        5.5e-6,
        "S",
        f"mean of the 1–10 µS of {_NEUROSIM_DEVICES}; 75 µS: mean of the 0–150 µS of the array of"
        " read_voltage",
        (5.5e-6, 75e-6),
    )
    read_voltage: float = _constant(
        0.2,
        "V",
        "64×64 TaOx array of He et al., Nat. Commun. 2026, doi 10.1038/s41467-026-69958-0;"
        f" 0.5 V: readVoltage of {_NEUROSIM}",
        (0.2, 0.5),
    )
    read_time: float = _constant(
        10e-9, "s", f"readPulseWidth of {_NEUROSIM}; 100 ns: cycle of {_ISAAC}", (10e-9, 100e-9)
    )
    pulse_voltage: float = _constant(
        1.6,
        "V",
        "TaOx/HfOx, 1.6 V for 50 ns: table of devices of the MLP+NeuroSim 3.0 manual"
        " (documents/ of github.com/neurosim/MLP_NeuroSim_V3.0)",
    )
    pulse_time: float = _constant(
        50e-9, "s", f"as the pulse voltage; also writePulseWidth of {_NEUROSIM}"
    )
    mean_square: float = _constant(
        0.14,
        "1",
        "of all driven lines while the twin learns digits on 64-32-10, weighted by their devices,"
        " as tests/host/bench/test_energy.py measures it; 0.03: rows in transposed reads;"
        " 0.23: inputs",
        (0.03, 0.23),
    )
    capacitance: float = _constant(
        0.032e-15,
        "F",
        "of a line per cell: 0.2 fF/µm (SubArray.cpp) and 4 × 40 nm (wireWidth,"
        f" widthInFeatureSize1T1R) of {_NEUROSIM}; 2.1 fF: 130 nm, with the gate of a transistor"
        " (Wan et al., Nature 608, 2022, as in wan_nature_2022/arch.yaml of"
        " github.com/mit-emze/cimloop)",
        (0.032e-15, 2.1e-15),
    )
    segment_resistance: float = _constant(
        2.1,
        "Ω",
        "of a line from cell to cell: 4 Rho / (wireWidth · AR) at wireWidth 40 nm of"
        f" {_NEUROSIM}; 0.23 Ω: at 200 nm",
        (0.23, 2.1),
    )
    tile: int = _constant(128, "1", f"lines of a tile: numRowSubArray of {_NEUROSIM}; as {_ISAAC}")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tile < 1:
            raise ValueError(f"tile is {self.tile}, but must be 1 line or more")

    def device_energy(self, read: Read) -> float:
        """Joules in the devices of one read: 2 G V² t a pair, by the mean square activity."""
        pair = 2 * self.conductance * self.read_voltage**2 * self.read_time
        return read.driven * read.sensed * pair * self.mean_square

    def line_energy(self, driven: int, across: int, voltage: float) -> float:
        """Joules to charge `driven` lines across `across` cells: C V² each."""
        return driven * across * self.capacitance * voltage**2

    @property
    def pulse_energy(self) -> float:
        """Joules in a device that gets one pulse: G V² t."""
        return self.conductance * self.pulse_voltage**2 * self.pulse_time

    def tiles(self, lines: int) -> int:
        """Tiles side by side that so many lines take."""
        return -(-lines // self.tile)

    def line_drop(self, lines: int) -> float:
        """Share of the read voltage that is lost at the end of a line of so many cells.

        To first order in R G: all cells at the mean conductance and fully driven, each segment
        carries the current of all cells behind it, so ½ R G N². Above some 10 % the estimate
        says no more than that such a line does not work.
        """
        return 0.5 * self.segment_resistance * self.conductance * lines**2


@dataclass(frozen=True)
class Converters(_Model):
    """Each sweep goes through DACs and ADCs: a DAC a line, an ADC for the lines of a tile."""

    bits: int = _constant(8, "1", "`adc_bits` and `dac_bits` of madem's settings")
    adc_step: float = _constant(
        6.5e-15,
        "J per conversion step (Walden)",
        f"{_ISAAC}: 16 mW for eight of 8 bits at 1.2 GS/s, library/isaac/isaac_adc.csv of"
        f" {_LIBRARY}; 0.57 fJ: 0.145 pJ a conversion of 8 bits in time, {_TIMELY}; 10.1 fJ:"
        " 3.1 mW at 1.2 GS/s (Kull et al., ISSCC 2013, doi 10.1109/ISSCC.2013.6487818)",
        (0.57e-15, 10.1e-15),
    )
    adc_rate: float = _constant(1.2e9, "1/s", "as adc_step")
    dac_bit: float = _constant(
        0.42e-12,
        "J per bit",
        f"{_ISAAC}: 4 mW for 1,024 of one bit, library/isaac/isaac_dac.csv of {_LIBRARY}; 4.7 fJ:"
        f" 37.5 fJ a conversion of 8 bits in time, {_TIMELY}",
        (4.7e-15, 0.42e-12),
    )
    add: float = _constant(
        0.1e-12,
        "J",
        f"32-bit integer add, {_HOROWITZ}; 0.021 pJ: shift and add of {_ISAAC},"
        f" library/isaac/isaac_shift_add.csv of {_LIBRARY}",
        (0.021e-12, 0.1e-12),
    )

    def cost(self, work: Workload, cells: Cells) -> Cost:
        """Between the reads of one training sample: DACs, ADCs and the sums over tiles."""
        adc = dac = sums = time = 0.0
        for read in work.reads:
            codes = read.sensed * cells.tiles(read.driven)
            adc += read.times * codes * self.adc_step * 2**self.bits
            dac += read.times * read.driven * cells.tiles(read.sensed) * self.dac_bit * self.bits
            sums += read.times * codes * self.add
            time += read.times * min(read.sensed, cells.tile) / self.adc_rate
        return Cost({"ADCs": adc, "DACs": dac, "sums": sums}, time)


@dataclass(frozen=True)
class Amplifiers(_Model):
    """Lines end in analogue units, which drive the next lines: only the input is converted."""

    settle: float = _constant(
        1.45e-12,
        "J a line and read",
        f"to sample (1.2 pJ) and integrate (0.25 pJ): {_NEURRAM}; 0.081 pJ: an adder of currents, a"
        f" charging comparator and two buffers, 65 nm, {_TIMELY}",
        (0.081e-12, 1.45e-12),
    )
    dac: float = _constant(3.4e-12, "J", "8 bits at the dac_bit of the converters, once an input")

    def cost(self, work: Workload, cells: Cells) -> Cost:
        """During the reads of one training sample, an amplifier for each sensed line of a tile."""
        settled = sum(read.times * read.sensed * cells.tiles(read.driven) for read in work.reads)
        return Cost(
            {"amplifiers": settled * self.settle, "DACs": work.sizes[0] * self.dac},
            0.0,
        )


@dataclass(frozen=True)
class Accumulators(_Model):
    """The firmware's weight change, as logic beside each tile: a byte of SRAM per coupling."""

    add: float = _constant(
        0.1e-12,
        "J",
        f"32-bit integer add, {_HOROWITZ}; 0.021 pJ: as in the converters",
        (0.021e-12, 0.1e-12),
    )
    multiply: float = _constant(0.2e-12, "J", f"8-bit multiply, {_HOROWITZ}")
    sram_byte: float = _constant(
        1.25e-12,
        "J",
        "64 bits of an 8 KB memory take 10 pJ, 45 nm (Horowitz, as in Table 3 of"
        " pmc.ncbi.nlm.nih.gov/articles/PMC8934428)",
    )
    rate: float = _constant(
        8e9, "couplings/s of a tile", f"a 64-bit word (sram_byte) at the clkFreq of {_NEUROSIM}"
    )
    pulses: float = _constant(11.2 / 5748, "per coupling and sample", f"centred rule, {_COMPARED}")

    def cost(self, work: Workload, cells: Cells) -> Cost:
        """A coupling takes two products, three adds, a byte read and a byte written; a device that
        is due gets its pulse alone."""
        each = 2 * self.multiply + 3 * self.add + 2 * self.sram_byte
        time = 0.0
        for m, n in work.layers:
            in_tile = min(m, cells.tile) * min(n, cells.tile)
            time += in_tile / self.rate + math.ceil(self.pulses * in_tile) * cells.pulse_time
        return Cost(
            {
                "accumulators": work.couplings * each,
                "pulses": work.couplings * self.pulses * cells.pulse_energy,
            },
            time,
        )


@dataclass(frozen=True)
class Coincidence(_Model):
    """The weight change in the array itself: a device is pulsed where a pulsed row meets a pulsed
    column, and no coupling has a memory beside its devices.

    With a and b the activities of the two nudged phases, a_i a_j − b_i b_j is half of
    (a_i − b_i)(a_j + b_j) + (a_i + b_i)(a_j − b_j): outer products of what each unit knows, hence
    four slots of pulses (two products, two signs). Selector transistors keep the other devices
    without current.
    """

    slots: int = _constant(4, "1", "two outer products, two signs")
    pulses: float = _constant(
        72.7 / 5748,
        "per coupling and sample",
        f"stochastic pulses, {_COMPARED}",
    )

    def cost(self, work: Workload, cells: Cells) -> Cost:
        """Every line is charged to the pulse voltage in every slot; all tiles at once."""
        lines = sum(
            cells.line_energy(m, n, cells.pulse_voltage)
            + cells.line_energy(n, m, cells.pulse_voltage)
            for m, n in work.layers
        )
        return Cost(
            {
                "lines": self.slots * lines,
                "pulses": work.couplings * self.pulses * cells.pulse_energy,
            },
            self.slots * cells.pulse_time * len(work.layers),
        )


@dataclass(frozen=True)
class Array(_Model):
    """Memristor arrays, what stands between two reads, and how their weights change.

    `Array(Converters(), Accumulators())` is what the firmware computes, as a chip of its own.
    `Array(Amplifiers(), Coincidence())` converts nothing between input and update; so the paper's
    claim is read here, whose own energy model is not public to us.
    """

    reading: Converters | Amplifiers
    update: Accumulators | Coincidence
    cells: Cells = field(default_factory=Cells)

    def cost(self, work: Workload) -> Cost:
        """One training sample; reads and layers one after the other, all tiles of a layer at
        once."""
        cells = self.cells
        parts = {"devices": 0.0, "lines": 0.0}
        time = 0.0
        for read in work.reads:
            parts["devices"] += read.times * cells.device_energy(read)
            parts["lines"] += read.times * cells.line_energy(
                read.driven, read.sensed, cells.read_voltage
            )
            time += read.times * cells.read_time
        for cost in (self.reading.cost(work, cells), self.update.cost(work, cells)):
            for name, joules in cost.parts.items():
                parts[name] = parts.get(name, 0.0) + joules
            time += cost.time
        return Cost(parts, time)


@dataclass(frozen=True)
class Microcontroller(_Model):
    """A Cortex-M3 that runs this firmware with the emulated crossbar.

    Instructions are counted by `madem bench energy --board qemu:heap=256K,icount`.
    """

    per_mac: float = _constant(8.1, "instructions per multiply-accumulate", "counted in QEMU")
    per_reading: float = _constant(
        108.0, "instructions per reading", "counted in QEMU: noise, ADC and activity of a line"
    )
    per_coupling: float = _constant(
        60.0, "instructions per coupling", "counted in QEMU: weight change, and what is left"
    )
    cycles: float = _constant(
        1.55,
        "cycles per instruction",
        "instructions of one training sample in QEMU, at the cycles of Table 3-1 of the Cortex-M3"
        " Technical Reference Manual (100165), no wait states: counted as the instructions;"
        " 1.43 and 1.80: the least and most that the table allows",
        (1.43, 1.80),
    )
    clock: float = _constant(32e6, "1/s", _STM32)
    current: float = _constant(
        9.6e-3, "A", f"{_STM32}: run mode, code from flash, 32 MHz, peripherals off, typical"
    )
    voltage: float = _constant(3.6, "V", f"{_STM32}: its conditions")

    def instructions(self, work: Workload) -> float:
        macs = sum(read.driven * read.sensed * read.times for read in work.reads)
        readings = sum(read.sensed * read.times for read in work.reads)
        return (
            macs * self.per_mac + readings * self.per_reading + work.couplings * self.per_coupling
        )

    def cost(self, work: Workload) -> Cost:
        """One training sample, as if the memory were large enough."""
        time = self.instructions(work) * self.cycles / self.clock
        return Cost({"instructions": time * self.current * self.voltage}, time)


@dataclass(frozen=True)
class Processor(_Model):
    """A GPU or a CPU that does backprop with plain gradient descent: a roofline at full power.

    Attributes:
        peak: FLOP/s.
        bandwidth: of its memory, bytes/s.
        power: while it is busy, W.
        value_bytes: of a weight or an activation.
        launch: seconds per kernel, in which other work is assumed to use the energy.
        utilisation: share of the peak that is reached.
        batch: samples of one step.
    """

    peak: float
    bandwidth: float
    power: float
    value_bytes: int
    launch: float
    utilisation: float = _constant(
        0.462,
        "1",
        "model FLOPs utilisation of PaLM (Chowdhery et al., 2022, arXiv 2204.02311); 57.8 %: its"
        " hardware FLOPs utilisation",
        (0.462, 0.578),
    )
    batch: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch < 1:
            raise ValueError(f"batch is {self.batch}, but must be 1 sample or more")

    def cost(self, work: Workload) -> Cost:
        """One training sample, its share of a step of `batch`.

        Arithmetic: 2 FLOP a coupling forward, 2 for the gradient of the weight, 2 for that of the
        input (not in the first layer). Memory: the weights are read forward and backward (not in
        the first layer) and read and written in the update, once a step; activations are written
        and read in both directions, for each sample.
        """
        first = math.prod(work.layers[0])
        flops = 6 * work.couplings - 2 * first
        weights = (4 * work.couplings - first) * self.value_bytes
        activations = 4 * sum(work.sizes) * self.value_bytes
        arithmetic = flops / (self.peak * self.utilisation)
        memory = (weights / self.batch + activations) / self.bandwidth
        busy = max(arithmetic, memory)
        kernels = 4 * len(work.layers)  # forward, two gradients, update
        return Cost(
            {"memory" if memory > arithmetic else "arithmetic": busy * self.power},
            busy + kernels * self.launch / self.batch,
        )


@dataclass(frozen=True)
class A100(Processor):
    """NVIDIA A100 SXM 40 GB, half precision on its tensor cores."""

    peak: float = _constant(312e12, "FLOP/s", f"{_A100}: FP16 tensor core, dense")
    bandwidth: float = _constant(1.555e12, "B/s", f"{_A100}: memory bandwidth")
    power: float = _constant(400.0, "W", f"{_A100}: largest thermal design power")
    value_bytes: int = _constant(2, "B", "half precision")
    launch: float = _constant(
        5e-6,
        "s per kernel",
        "5–20 µs (cuda_kernel_launch_stats.rst of"
        " github.com/facebookresearch/HolisticTraceAnalysis); costs time only",
        (5e-6, 20e-6),
    )


@dataclass(frozen=True)
class Epyc(Processor):
    """AMD EPYC 7763, single precision on all 64 cores."""

    peak: float = _constant(
        5.0e12,
        "FLOP/s",
        f"64 cores at 2.45 GHz ({_TECHGAGE}), two 256-bit multiply-add units each ({_MICROWAY})",
    )
    bandwidth: float = _constant(204.8e9, "B/s", f"8 channels of DDR4-3200 ({_MICROWAY})")
    power: float = _constant(280.0, "W", f"{_TECHGAGE}: largest thermal design power")
    value_bytes: int = _constant(4, "B", "single precision")
    launch: float = _constant(0.0, "s per kernel", "a function call of the same program")
