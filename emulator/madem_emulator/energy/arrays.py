"""Energy and time of one training sample on memristor arrays of several designs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from madem_emulator.energy.constants import Model, constant
from madem_emulator.energy.workload import Cost, LayerReads, Workload

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
_COMPARED = "4 passes of 1,437 digits: docs/figures/compare-digits.csv"


@dataclass(frozen=True)
class Cells(Model):
    """Memristors in differential pairs, and the lines that join them, in square tiles."""

    conductance: float = constant(
        5.5e-6,
        "S",
        f"mean of the 1–10 µS of {_NEUROSIM_DEVICES}; 75 µS: mean of the 0–150 µS of the array of"
        " read_voltage",
        (5.5e-6, 75e-6),
    )
    read_voltage: float = constant(
        0.2,
        "V",
        "64×64 TaOx array of He et al., Nat. Commun. 2026, doi 10.1038/s41467-026-69958-0;"
        f" 0.5 V: readVoltage of {_NEUROSIM}",
        (0.2, 0.5),
    )
    read_time: float = constant(
        10e-9, "s", f"readPulseWidth of {_NEUROSIM}; 100 ns: cycle of {_ISAAC}", (10e-9, 100e-9)
    )
    pulse_voltage: float = constant(
        1.6,
        "V",
        "TaOx/HfOx, 1.6 V for 50 ns: table of devices of the MLP+NeuroSim 3.0 manual"
        " (documents/ of github.com/neurosim/MLP_NeuroSim_V3.0)",
    )
    pulse_time: float = constant(
        50e-9, "s", f"as the pulse voltage; also writePulseWidth of {_NEUROSIM}"
    )
    mean_square: float = constant(
        0.14,
        "1",
        "of all driven lines while the twin learns digits on 64-32-10, weighted by their devices,"
        " as tests/host/bench/test_energy.py measures it; 0.03: rows in transposed reads;"
        " 0.23: inputs",
        (0.03, 0.23),
    )
    capacitance: float = constant(
        0.032e-15,
        "F",
        "of a line per cell: 0.2 fF/µm (SubArray.cpp) and 4 × 40 nm (wireWidth,"
        f" widthInFeatureSize1T1R) of {_NEUROSIM}; 2.1 fF: 130 nm, with the gate of a transistor"
        " (Wan et al., Nature 608, 2022, as in wan_nature_2022/arch.yaml of"
        " github.com/mit-emze/cimloop)",
        (0.032e-15, 2.1e-15),
    )
    segment_resistance: float = constant(
        2.1,
        "Ω",
        "of a line from cell to cell: 4 Rho / (wireWidth · AR) at wireWidth 40 nm of"
        f" {_NEUROSIM}; 0.23 Ω: at 200 nm",
        (0.23, 2.1),
    )
    tile: int = constant(128, "1", f"lines of a tile: numRowSubArray of {_NEUROSIM}; as {_ISAAC}")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tile < 1:
            raise ValueError(f"tile is {self.tile}, but must be 1 line or more")

    def device_energy(self, read: LayerReads) -> float:
        """Energy in the devices of one read: 2 G V² t a pair, by the mean square activity.

        Args:
            read: its lines; `times` does not count.

        Returns:
            Joules.
        """
        pair = 2 * self.conductance * self.read_voltage**2 * self.read_time
        return read.driven * read.sensed * pair * self.mean_square

    def line_energy(self, driven: int, across: int, voltage: float) -> float:
        """Energy to charge lines: C V² each.

        Args:
            driven: how many lines.
            across: cells on each.
            voltage: in volts.

        Returns:
            Joules.
        """
        return driven * across * self.capacitance * voltage**2

    @property
    def pulse_energy(self) -> float:
        """Joules in a device that gets one pulse: G V² t."""
        return self.conductance * self.pulse_voltage**2 * self.pulse_time

    def tiles(self, lines: int) -> int:
        """Number of tiles side by side.

        Args:
            lines: that they hold together.

        Returns:
            How many.
        """
        return -(-lines // self.tile)

    def line_drop(self, lines: int) -> float:
        """Share of the read voltage that is lost at the end of a line.

        To first order in R G: all cells at the mean conductance and fully driven, each segment
        carries the current of all cells behind it, so ½ R G N². Above some 10 % the estimate
        says no more than that such a line does not work.

        Args:
            lines: cells on the line.

        Returns:
            A fraction, which may be above 1.
        """
        return 0.5 * self.segment_resistance * self.conductance * lines**2


@dataclass(frozen=True)
class Converters(Model):
    """DACs and ADCs that every sweep goes through: a DAC a line, an ADC for the lines of a tile."""

    bits: int = constant(8, "1", "`adc_bits` and `dac_bits` of madem's settings")
    adc_step: float = constant(
        6.5e-15,
        "J per conversion step (Walden)",
        f"{_ISAAC}: 16 mW for eight of 8 bits at 1.2 GS/s, library/isaac/isaac_adc.csv of"
        f" {_LIBRARY}; 0.57 fJ: 0.145 pJ a conversion of 8 bits in time, {_TIMELY}; 10.1 fJ:"
        " 3.1 mW at 1.2 GS/s (Kull et al., ISSCC 2013, doi 10.1109/ISSCC.2013.6487818)",
        (0.57e-15, 10.1e-15),
    )
    adc_rate: float = constant(1.2e9, "1/s", "as adc_step")
    dac_bit: float = constant(
        0.42e-12,
        "J per bit",
        f"{_ISAAC}: 4 mW for 1,024 of one bit, library/isaac/isaac_dac.csv of {_LIBRARY}; 4.7 fJ:"
        f" 37.5 fJ a conversion of 8 bits in time, {_TIMELY}",
        (4.7e-15, 0.42e-12),
    )
    add: float = constant(
        0.1e-12,
        "J",
        f"32-bit integer add, {_HOROWITZ}; 0.021 pJ: shift and add of {_ISAAC},"
        f" library/isaac/isaac_shift_add.csv of {_LIBRARY}",
        (0.021e-12, 0.1e-12),
    )

    def cost(self, work: Workload, cells: Cells) -> Cost:
        """Cost between the reads of one training sample: DACs, ADCs and the sums over tiles.

        Args:
            work: the training sample.
            cells: of the arrays.

        Returns:
            Joules by part, and seconds.
        """
        adc = dac = sums = time = 0.0
        for read in work.reads:
            codes = read.sensed * cells.tiles(read.driven)
            adc += read.times * codes * self.adc_step * 2**self.bits
            dac += read.times * read.driven * cells.tiles(read.sensed) * self.dac_bit * self.bits
            sums += read.times * codes * self.add
            time += read.times * min(read.sensed, cells.tile) / self.adc_rate
        return Cost({"ADCs": adc, "DACs": dac, "sums": sums}, time)


@dataclass(frozen=True)
class Amplifiers(Model):
    """Analogue units that end lines and drive the next ones: only the input is converted."""

    settle: float = constant(
        1.45e-12,
        "J a line and read",
        f"to sample (1.2 pJ) and integrate (0.25 pJ): {_NEURRAM}; 0.081 pJ: an adder of currents, a"
        f" charging comparator and two buffers, 65 nm, {_TIMELY}",
        (0.081e-12, 1.45e-12),
    )
    dac: float = constant(3.4e-12, "J", "8 bits at the dac_bit of the converters, once an input")

    def cost(self, work: Workload, cells: Cells) -> Cost:
        """Cost during the reads of one training sample: an amplifier a sensed line of a tile.

        Args:
            work: the training sample.
            cells: of the arrays.

        Returns:
            Joules by part, and seconds.
        """
        settled = sum(read.times * read.sensed * cells.tiles(read.driven) for read in work.reads)
        return Cost(
            {"amplifiers": settled * self.settle, "DACs": work.sizes[0] * self.dac},
            0.0,
        )


@dataclass(frozen=True)
class Accumulators(Model):
    """The firmware's weight change as logic beside each tile: a byte of SRAM per coupling."""

    add: float = constant(
        0.1e-12,
        "J",
        f"32-bit integer add, {_HOROWITZ}; 0.021 pJ: as in the converters",
        (0.021e-12, 0.1e-12),
    )
    multiply: float = constant(0.2e-12, "J", f"8-bit multiply, {_HOROWITZ}")
    sram_byte: float = constant(
        1.25e-12,
        "J",
        "64 bits of an 8 KB memory take 10 pJ, 45 nm (Horowitz, as in Table 3 of"
        " pmc.ncbi.nlm.nih.gov/articles/PMC8934428)",
    )
    rate: float = constant(
        8e9, "couplings/s of a tile", f"a 64-bit word (sram_byte) at the clkFreq of {_NEUROSIM}"
    )
    pulses: float = constant(11.2 / 5748, "per coupling and sample", f"centred rule, {_COMPARED}")

    def cost(self, work: Workload, cells: Cells) -> Cost:
        """Cost of the weight change after one training sample.

        A coupling takes two products, three adds, a byte read and a byte written; a device that is
        due gets its pulse alone.

        Args:
            work: the training sample.
            cells: of the arrays.

        Returns:
            Joules by part, and seconds.
        """
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
class Coincidence(Model):
    """The weight change in the array itself: no coupling has a memory beside its devices.

    A device is pulsed where a pulsed row meets a pulsed column.
    With a and b the activities of the two nudged phases, a_i a_j − b_i b_j is half of
    (a_i − b_i)(a_j + b_j) + (a_i + b_i)(a_j − b_j): outer products of what each unit knows, hence
    four slots of pulses (two products, two signs). Selector transistors keep the other devices
    without current.
    """

    slots: int = constant(4, "1", "two outer products, two signs")
    pulses: float = constant(
        72.7 / 5748,
        "per coupling and sample",
        f"stochastic pulses, {_COMPARED}",
    )

    def cost(self, work: Workload, cells: Cells) -> Cost:
        """Cost of the weight change after one training sample.

        Every line is charged to the pulse voltage in every slot, all tiles at once.

        Args:
            work: the training sample.
            cells: of the arrays.

        Returns:
            Joules by part, and seconds.
        """
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
class Array(Model):
    """Memristor arrays, what stands between two reads, and how their weights change.

    `Array(Converters(), Accumulators())` is what the firmware computes, as a chip of its own.
    `Array(Amplifiers(), Coincidence())` converts nothing between input and update; so the paper's
    claim is read here, whose own energy model is not public to us.

    Attributes:
        reading: what stands between two reads.
        update: how the weights change.
        cells: what the arrays are made of.
    """

    reading: Converters | Amplifiers
    update: Accumulators | Coincidence
    cells: Cells = field(default_factory=Cells)

    def cost(self, work: Workload) -> Cost:
        """Cost of one training sample.

        Reads and layers come one after the other, all tiles of a layer at once.

        Args:
            work: the training sample.

        Returns:
            Joules by part, and seconds.
        """
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
