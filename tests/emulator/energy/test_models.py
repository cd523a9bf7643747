"""Energy models: cases worked by hand, how they scale, and where their constants come from."""

import csv
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madem_emulator import Crossbar, presets
from madem_emulator.energy import (
    A100,
    Accumulators,
    Amplifiers,
    Array,
    Cells,
    Coincidence,
    Constant,
    Converters,
    Cost,
    Epyc,
    LayerReads,
    Microcontroller,
    Workload,
    constants,
    with_constant,
)
from madem_emulator.twin.config import Rule, Settings
from madem_emulator.twin.rules import RULES

ROOT = Path(__file__).parents[3]
DESIGNS = [
    Array(Converters(), Accumulators()),
    Array(Converters(), Coincidence()),
    Array(Amplifiers(), Coincidence()),
]
MODELS = [*DESIGNS, Microcontroller(), A100(), Epyc()]
TINY = Workload((3, 2, 1), sweeps_free=1, sweeps_nudged=1)
"""Layers of 4 by 2 and 3 by 1 cells; 3 sweeps, so 1 read of the first and 6 of the second."""


def every_constant() -> list[Constant]:
    return list(dict.fromkeys(c for model in MODELS for c in constants(model)))


# --- what is counted ----------------------------------------------------------------------------


def test_reads_of_a_sample() -> None:
    # (driven, sensed, times); the bias line drives forward and is not sensed.
    assert TINY.reads == [(4, 2, 1), (3, 1, 3), (1, 2, 3)]
    assert TINY.couplings == 11


def test_reads_and_couplings_are_those_of_the_twin() -> None:
    for sizes in ((64, 32, 10), (60, 60), (20, 12, 8, 4)):
        config = Settings(sizes=sizes, rule=Rule.CENTRED).integers()
        work = Workload(sizes)
        assert sum(read.times for read in work.reads) == RULES["centred"].reads(config)
        assert work.couplings == config.couplings


# --- worked by hand -----------------------------------------------------------------------------


def test_devices_and_lines_by_hand() -> None:
    cells = Cells(
        conductance=1e-6, read_voltage=0.5, read_time=1e-6, pulse_voltage=2.0, pulse_time=1e-6,
        mean_square=1.0, capacitance=1e-15, segment_resistance=2.0, tile=100,
    )  # fmt: skip
    # A pair: 2 · 1 µS · (0.5 V)² · 1 µs = 0.5 pJ; 4·2 + 3·(3·1 + 1·2) = 23 pairs.
    cost = Array(Amplifiers(settle=0, dac=0), Coincidence(slots=0, pulses=0), cells).cost(TINY)
    assert cost.parts["devices"] == pytest.approx(23 * 0.5e-12)
    # A cell of a line: 1 fF · (0.5 V)² = 0.25 fJ, for the same 23 crossings.
    assert cost.parts["lines"] == pytest.approx(23 * 0.25e-15)
    assert cost.time == pytest.approx(7 * 1e-6)
    assert cells.pulse_energy == pytest.approx(4e-12)  # 1 µS · (2 V)² · 1 µs
    # Ten cells of 1 µS, segments of 2 Ω: ½ · 2 Ω · 1 µS · 100.
    assert cells.line_drop(10) == pytest.approx(1e-4)


def test_converters_by_hand() -> None:
    converters = Converters(bits=2, adc_step=1.0, adc_rate=10.0, dac_bit=1.0, add=1.0)
    whole = converters.cost(TINY, Cells(tile=100))
    # Codes: 2 + 3·1 + 3·2 = 11, each 2² steps; driven lines: 4 + 3·3 + 3·1 = 16, 2 bits each.
    assert whole.parts == {"ADCs": 44.0, "DACs": 32.0, "sums": 11.0}
    assert whole.time == pytest.approx(1.1)  # 11 conversions at 10 a second
    # Tiles of 2 lines: 4 driven are 2 tiles, 3 are 2; 2 sensed are 1.
    cut = converters.cost(TINY, Cells(tile=2))
    assert cut.parts == {"ADCs": 4.0 * (2 * 2 + 3 * 2 + 3 * 2), "DACs": 32.0, "sums": 16.0}


def test_amplifiers_by_hand() -> None:
    # One each for the 11 readings; three inputs are converted.
    whole = Amplifiers(settle=1.0, dac=0.5).cost(TINY, Cells(tile=100))
    assert whole.parts == {"amplifiers": 11.0, "DACs": 1.5}
    cut = Amplifiers(settle=1.0, dac=0.5).cost(TINY, Cells(tile=2))
    assert cut.parts["amplifiers"] == 2 * 2 + 3 * 2 + 3 * 2


def test_weight_changes_by_hand() -> None:
    cells = Cells(pulse_voltage=1.0, pulse_time=1.0, conductance=1.0, capacitance=1.0, tile=100)
    digital = Accumulators(add=1.0, multiply=10.0, sram_byte=100.0, rate=1.0, pulses=0.25)
    cost = digital.cost(TINY, cells)
    assert cost.parts == {"accumulators": 11 * 223.0, "pulses": 11 * 0.25}
    assert cost.time == pytest.approx(8 + 2 + 3 + 1)  # couplings, pulses: 8/4, 3/4 rounded up
    cost = Coincidence(slots=4, pulses=0.5).cost(TINY, cells)
    # Rows across columns and columns across rows: twice 11 cells of line, in four slots.
    assert cost.parts == {"lines": 4 * 2 * 11.0, "pulses": 5.5}
    assert cost.time == pytest.approx(4 * 1.0 * 2)


def test_microcontroller_by_hand() -> None:
    chip = Microcontroller(
        per_mac=1, per_reading=100, per_coupling=10_000, cycles=2, clock=1e6, current=0.01,
        voltage=3,
    )  # fmt: skip
    # 23 multiply-accumulates, 11 readings, 11 couplings.
    assert chip.instructions(TINY) == 23 + 1100 + 110_000
    cost = chip.cost(TINY)
    assert cost.time == pytest.approx(0.222246)
    assert cost.energy == pytest.approx(0.222246 * 0.03)


def test_backprop_by_hand() -> None:
    # 8 couplings of the first layer at 4 FLOP, 3 of the second at 6: 50 FLOP.
    fast_memory = A100(peak=100.0, bandwidth=1e9, power=2.0, launch=1.0, utilisation=0.5)
    assert fast_memory.cost(TINY).parts == {"arithmetic": pytest.approx(2.0)}
    assert fast_memory.cost(TINY).time == pytest.approx(1.0 + 8)  # 4 kernels a layer
    # Weights: 3·8 + 4·3 = 36, activations: 4·6 = 24, of 2 bytes each.
    slow_memory = A100(peak=1e12, bandwidth=60.0, power=2.0, launch=0.0, value_bytes=2)
    assert slow_memory.cost(TINY).parts == {"memory": pytest.approx(4.0)}
    assert replace(slow_memory, batch=36).cost(TINY).energy == pytest.approx(2 * 2 * 25 / 60)


def test_devices_take_what_the_physical_array_counts() -> None:
    """The crossbar that computes every device's current agrees on reads and pulses."""
    device, cells = presets.TAOX_HFOX_WU2018, Cells(mean_square=1.0)
    assert (device.pulses.voltage_set, device.pulses.width) == (
        cells.pulse_voltage, cells.pulse_time,
    )  # fmt: skip
    assert (device.g_min + device.g_max) / 2 == pytest.approx(cells.conductance)
    array = Crossbar(20, 30, device, read_time=cells.read_time)
    array.conductances = np.full((20, 30), cells.conductance)
    array.read(np.full(20, cells.read_voltage))
    read = cells.device_energy(LayerReads(driven=20, sensed=15, times=1))  # of pairs: 30 columns
    assert array.counters.read_energy == pytest.approx(read)
    array.pulse(1)
    assert array.counters.write_energy == pytest.approx(600 * cells.pulse_energy)


# --- how it grows -------------------------------------------------------------------------------


def growth(part: str, array: Array, small: int = 512, large: int = 1024) -> float:
    """Exponent of N in the energy of a part."""
    costs = [array.cost(Workload((n, n, n))).parts[part] for n in (small, large)]
    return math.log2(costs[1] / costs[0]) / math.log2(large / small)


def test_undivided_converters_grow_as_n_and_devices_as_n_squared() -> None:
    array = replace(DESIGNS[0], cells=Cells(tile=4096))
    for part in ("ADCs", "DACs"):
        assert growth(part, array) == pytest.approx(1, abs=0.01)
    for part in ("devices", "lines", "accumulators", "pulses"):
        assert growth(part, array) == pytest.approx(2, abs=0.01)
    amplifiers = replace(DESIGNS[2], cells=Cells(tile=4096))
    assert growth("amplifiers", amplifiers) == pytest.approx(1, abs=0.01)


def test_tiles_make_the_converters_grow_as_n_squared() -> None:
    assert growth("ADCs", DESIGNS[0]) == pytest.approx(2, abs=0.1)
    assert growth("amplifiers", DESIGNS[2]) == pytest.approx(2, abs=0.1)


def test_reads_in_tiles_take_a_time_that_does_not_grow() -> None:
    times = [DESIGNS[2].cost(Workload((n, n, n))).time for n in (64, 4096)]
    assert times[0] == times[1]


@given(st.lists(st.integers(1, 300), min_size=2, max_size=4), st.integers(1, 9), st.integers(1, 9))
def test_more_work_never_costs_less(sizes: list[int], free: int, nudged: int) -> None:
    work = Workload(tuple(sizes), free, nudged)
    larger = [
        replace(work, sizes=(*sizes[:-1], sizes[-1] + 1)),
        replace(work, sweeps_free=free + 1),
        replace(work, sweeps_nudged=nudged + 1),
    ]
    for model in MODELS:
        cost = model.cost(work)
        assert cost.energy > 0
        assert cost.time > 0
        for other in larger:
            more = model.cost(other)
            assert more.energy >= cost.energy * (1 - 1e-12)
            assert more.time >= cost.time * (1 - 1e-12)


# --- the paper's claim --------------------------------------------------------------------------


def ratio(rival: A100 | Epyc, array: Array, n: int) -> float:
    work = Workload((n, n, n))
    return rival.cost(work).energy / array.cost(work).energy


def test_the_claim_holds_sample_by_sample_without_converters() -> None:
    for n in (1024, 4096):
        assert 1e4 < ratio(A100(), DESIGNS[2], n) < 1e5
        assert 1e5 < ratio(Epyc(), DESIGNS[2], n) < 1e6


def test_the_claim_does_not_hold_with_converters_or_in_large_batches() -> None:
    for n in (64, 1024, 4096):
        assert ratio(A100(), DESIGNS[0], n) < 1e4
        assert ratio(A100(), DESIGNS[1], n) < 1e4
        for array in DESIGNS:
            assert ratio(A100(batch=1024), array, n) < 1e3


def test_what_dominates() -> None:
    work = Workload((1024, 1024, 1024))
    assert [array.cost(work).largest for array in DESIGNS] == [
        "accumulators", "DACs", "amplifiers",
    ]  # fmt: skip


# --- the constants ------------------------------------------------------------------------------


PUBLIC = re.compile(r"\bdoi 10\.|arXiv|(github|techgage|microway)\.com|\.gov/|data sheet|manual")
"""Marks of a publication, a file of a public repository or a data sheet."""
MEASURED_HERE = re.compile(r"counted in QEMU|counted as|tests/\S+\.py|docs/figures/\S+\.csv")
OF_THE_MODEL = {"bits", "slots", "value_bytes", "dac", "pulse_time", "adc_rate"}
"""What follows from the model itself, or from another constant that the source names."""
NOT_A_SOURCE = re.compile("assum|guess|about|memory of|not checked", re.IGNORECASE)


@pytest.mark.parametrize("constant", every_constant(), ids=lambda constant: constant.name)
def test_every_constant_has_a_unit_and_a_source(constant: Constant) -> None:
    assert constant.unit
    assert not NOT_A_SOURCE.search(constant.source)
    if constant == next(c for c in constants(Epyc()) if c.name == "launch"):
        assert constant.value == 0  # nothing to find
    elif constant.name not in OF_THE_MODEL:
        assert PUBLIC.search(constant.source) or MEASURED_HERE.search(constant.source)


@pytest.mark.parametrize("constant", every_constant(), ids=lambda constant: constant.name)
def test_sources_that_are_files_here_are_there(constant: Constant) -> None:
    for path in re.findall(r"(?:tests|docs)/[\w/.-]+\.(?:py|csv)", constant.source):
        assert (ROOT / path).is_file()


@pytest.mark.parametrize("constant", every_constant(), ids=lambda constant: constant.name)
def test_a_range_holds_the_value_and_its_ends_are_told(constant: Constant) -> None:
    if constant.span is not None:
        low, high = constant.span
        assert low <= constant.value <= high
        assert low < high
        # The end that is not the value is told behind a semicolon, or both in words.
        assert "; " in constant.source or "–" in constant.source


def test_values_derived_from_what_their_sources_give() -> None:
    cells, converters, amplifiers = Cells(), Converters(), Amplifiers()
    assert cells.conductance == pytest.approx((1 / 100e3 + 1 / 1000e3) / 2)
    assert cells.capacitance == pytest.approx(0.2e-15 / 1e-6 * 4 * 40e-9)
    assert cells.segment_resistance == pytest.approx(4 * 4.03e-8 / (40e-9 * 1.90), rel=0.02)
    spans = {c.name: c.span for c in constants(DESIGNS[0])}
    low, _ = spans["segment_resistance"] or (0, 0)
    assert low == pytest.approx(4 * 2.42e-8 / (200e-9 * 2.10), rel=0.02)
    assert converters.adc_step == pytest.approx(16e-3 / (8 * 1.2e9) / 2**8, rel=0.01)
    assert spans["adc_step"] == pytest.approx((0.145e-12 / 2**8, 3.1e-3 / 1.2e9 / 2**8), rel=0.01)
    # ISAAC's DACs wait for its ADCs 28 cycles of 128.
    assert converters.dac_bit == pytest.approx(4e-3 / (1024 * 12e6) * 1.28, rel=0.01)
    assert spans["dac_bit"] == pytest.approx((37.5e-15 / 8, 0.42e-12), rel=0.01)
    assert amplifiers.settle == pytest.approx(1.2e-12 + 0.25e-12)
    assert amplifiers.dac == pytest.approx(8 * converters.dac_bit, rel=0.02)
    assert Epyc().peak == pytest.approx(64 * 2.45e9 * 2 * 8 * 2, rel=0.01)
    assert Epyc().bandwidth == pytest.approx(8 * 3200e6 * 8)


def test_another_value_reaches_every_part() -> None:
    changed = with_constant(DESIGNS[0], "add", 1.0)
    assert [changed.reading.add, changed.update.add] == [1.0, 1.0]  # type: ignore[union-attr]
    assert changed.cells == DESIGNS[0].cells
    assert with_constant(A100(batch=8), "power", 1.0) == A100(batch=8, power=1.0)


def test_every_number_of_a_model_is_a_listed_constant() -> None:
    for model in MODELS:
        listed = {constant.name for constant in constants(model)}
        numbers = {name for name, value in vars(model).items() if isinstance(value, int | float)}
        assert numbers - listed <= {"batch"}


def test_the_page_lists_every_constant_with_its_value() -> None:
    page = (ROOT / "docs/science/energy.md").read_text()
    for name, value, unit, source, _ in every_constant():
        assert f"| {name} | {value:.3g} | {unit} | {source} |" in page


def test_pulses_are_those_of_the_published_comparison() -> None:
    with (ROOT / "docs/figures/compare-digits.csv").open() as file:
        pulses = {
            row["rule"]: float(row["pulses_per_coupling"])
            for row in csv.DictReader(file)
            if (row["over"], row["value"]) == ("bits", "4")
        }
    samples = 4 * 1437
    assert Accumulators().pulses == pytest.approx(pulses["centred"] / samples, rel=0.01)
    assert Coincidence().pulses == pytest.approx(pulses["stochastic"] / samples, rel=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Workload((3,)), "sizes is"),
        (lambda: Workload((3, 0)), "sizes is"),
        (lambda: Workload((3, 2), sweeps_free=0), "sweeps_free is 0"),
        (lambda: Cells(conductance=-1e-6), "conductance is -1e-06 S"),
        (lambda: Cells(tile=0), "tile is 0"),
        (lambda: A100(power=math.nan), "power is nan W"),
        (lambda: Epyc(batch=0), "batch is 0"),
    ],
)
def test_bad_values_name_the_field(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_cost_knows_its_sum_and_its_largest_part() -> None:
    cost = Cost({"a": 1.0, "b": 3.0}, time=1.0)
    assert cost.energy == 4.0
    assert cost.largest == "b"
