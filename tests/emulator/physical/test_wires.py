"""Wires: against ngspice, against a second solver, against laws that hold for every network."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madem_emulator import Crossbar, presets
from madem_emulator.physical.device import Nonlinearity, ReadNoise
from madem_emulator.physical.wire_solver import WiredArray, transfer
from madem_emulator.physical.wires import Wires

from ..spice import terminal_currents

IDEAL = presets.IDEAL
NAN = math.nan


def some_array(rows: int, columns: int, seed: int, empty: float = 0.0) -> np.ndarray:
    """Conductances from 1 to 100 µS, spread evenly over the decades, some of them 0 S."""
    rng = np.random.default_rng(seed)
    g = 10 ** rng.uniform(-6, -4, (rows, columns))
    g[rng.random((rows, columns)) < empty] = 0.0
    return g


def spice_wires(wires: Wires, transposed: bool) -> dict[str, float]:
    ends = (wires.sense, wires.driver) if transposed else (wires.driver, wires.sense)
    return {
        "word_segment": wires.word_segment,
        "bit_segment": wires.bit_segment,
        "word_end": ends[0],
        "bit_end": ends[1],
    }


CASES = [
    # rows, columns, wires, fraction of devices at 0 S
    (1, 1, Wires(1.0, 2.0, 30.0, 40.0), 0.0),
    (7, 4, Wires(2.5, 1.5, 100.0, 50.0), 0.0),
    (5, 9, Wires(1.0, 0.0, 10.0, 0.0), 0.2),
    (6, 6, Wires(0.0, 3.0, 0.0, 25.0), 0.0),
    (8, 3, Wires(0.0, 0.0, 200.0, 100.0), 0.0),
    (9, 12, Wires(500.0, 800.0, 1e4, 1e3), 0.1),
    (20, 33, Wires(5.0, 10.0, 1.0, 1.0), 0.0),
    pytest.param(64, 64, Wires(2.0, 3.0, 50.0, 20.0), 0.05, marks=pytest.mark.slow),
]


@pytest.mark.needs("ngspice")
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("rows", "columns", "wires", "empty"), CASES)
def test_reads_agree_with_ngspice(
    tmp_path: Path, rows: int, columns: int, wires: Wires, empty: float, transposed: bool
) -> None:
    g = some_array(rows, columns, rows * columns, empty)
    rng = np.random.default_rng(columns)
    driven, sensed = (columns, rows) if transposed else (rows, columns)
    v, ground = rng.uniform(0.05, 0.5, driven), np.zeros(sensed)
    word, bit = (ground, v) if transposed else (v, ground)
    into = terminal_currents(tmp_path, g, word, bit, **spice_wires(wires, transposed))
    expected = -into[0 if transposed else 1]

    direct = WiredArray(wires, g, known=True).currents(v, transposed)
    iterated = WiredArray(wires, g, known=False).currents(v, transposed)
    np.testing.assert_allclose(direct, expected, rtol=1e-6, atol=0)
    np.testing.assert_allclose(iterated, expected, rtol=1e-6, atol=0)
    xbar = Crossbar(rows, columns, wires=wires)
    xbar.conductances = g
    read = xbar.read_transposed(v) if transposed else xbar.read(v)
    np.testing.assert_allclose(read, expected, rtol=1e-6, atol=0)


@pytest.mark.needs("ngspice")
@pytest.mark.parametrize("wires", [Wires(), Wires(2.0, 3.0, 50.0, 20.0), Wires(0.0, 5.0, 0.0, 1.0)])
def test_floating_lines_agree_with_ngspice(tmp_path: Path, wires: Wires) -> None:
    """One device of a 1R array is read with all other lines floating: three others join in."""
    rows, columns = 6, 9
    g = some_array(rows, columns, 3)
    word, bit = np.full(rows, NAN), np.full(columns, NAN)
    word[2], bit[4] = 0.2, 0.0
    expected = terminal_currents(tmp_path, g, word, bit, **spice_wires(wires, False))
    xbar = Crossbar(rows, columns, cell="1R", wires=wires)
    xbar.conductances = g
    found = xbar.read_terminals(word, bit)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-18)
    # The sneak current comes on top of the selected device's own.
    assert found[0][2] > 1.2 * 0.2 * g[2, 4] / (1 + 100 * g[2, 4])


@pytest.mark.needs("ngspice")
@pytest.mark.parametrize("transposed", [False, True])
def test_bent_devices_agree_with_ngspice(tmp_path: Path, transposed: bool) -> None:
    wires, bend = Wires(20.0, 30.0, 100.0, 200.0), 3.0
    g = some_array(7, 5, 4)
    v = np.linspace(0.1, 0.5, 5 if transposed else 7)
    word, bit = (np.zeros(7), v) if transposed else (v, np.zeros(5))
    both = terminal_currents(tmp_path, g, word, bit, **spice_wires(wires, transposed), bend=bend)
    device = replace(IDEAL, nonlinearity=Nonlinearity(relative_third=bend))
    xbar = Crossbar(7, 5, device, wires=wires)
    xbar.conductances = g
    read = xbar.read_transposed(v) if transposed else xbar.read(v)
    np.testing.assert_allclose(read, -both[0 if transposed else 1], rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 8),
    columns=st.integers(1, 8),
    ohms=st.tuples(*[st.sampled_from([0.0, 0.5, 20.0, 3000.0])] * 4),
    seed=st.integers(0, 999),
)
def test_the_solvers_agree(rows: int, columns: int, ohms: tuple, seed: int) -> None:
    """Elimination, iteration and nodal analysis are three ways to the same currents."""
    wires = Wires(*ohms)
    g = some_array(rows, columns, seed, empty=0.1)
    xbar = Crossbar(rows, columns, wires=wires)
    xbar.conductances = g
    v = np.random.default_rng(seed).uniform(0.1, 0.5, rows)
    _, into = xbar.read_terminals(v, np.zeros(columns))
    np.testing.assert_allclose(xbar.read(v), -into, rtol=1e-7, atol=1e-18)
    iterated = WiredArray(wires, g, known=False).currents(v, False)
    np.testing.assert_allclose(iterated, -into, rtol=1e-7, atol=1e-18)


def test_rows_and_columns_are_not_swapped() -> None:
    """The same array laid down the other way round, lines and all, gives the same currents."""
    g = some_array(5, 8, 1)
    wires = Wires(10.0, 70.0, 300.0, 20.0)
    v = np.linspace(0.1, 0.5, 5)
    xbar = Crossbar(5, 8, wires=wires)
    xbar.conductances = g
    # A word line has its terminal at the first crossing, a bit line at its last: turning the
    # array over reverses both.
    turned = Crossbar(8, 5, wires=replace(wires, word_segment=70.0, bit_segment=10.0))
    turned.conductances = g.T[::-1, ::-1]
    currents = turned.read_transposed(v[::-1])[::-1]
    np.testing.assert_allclose(currents, xbar.read(v), rtol=1e-9)
    other = Crossbar(5, 8, wires=replace(wires, word_segment=70.0, bit_segment=10.0))
    other.conductances = g
    assert np.abs(other.read(v) / xbar.read(v) - 1).max() > 0.01


def test_the_far_corner_loses_most() -> None:
    xbar = Crossbar(16, 16, wires=Wires(5.0, 5.0))
    xbar.conductances = 50e-6
    seen = WiredArray(Wires(5.0, 5.0), xbar.conductances, known=True).transfer(False) / 50e-6
    # Word line 0 is farthest from the bit lines' terminals, bit line 15 from the word lines'.
    assert seen.argmin() == 15
    assert seen.argmax() == 15 * 16
    assert (seen < 1).all()


def test_reciprocity() -> None:
    wires = Wires(3.0, 4.0, 50.0, 50.0)
    g = some_array(6, 9, 2)
    forward, backward = (transfer(wires, g, t) for t in (False, True))
    np.testing.assert_allclose(forward, backward, rtol=1e-12)
    array = WiredArray(wires, g, known=True)
    np.testing.assert_allclose(array.transfer(True), array.transfer(False).T, rtol=1e-12)


def test_ideal_wires_are_no_wires() -> None:
    g = some_array(6, 9, 2)
    v = np.linspace(-0.5, 0.5, 6)
    np.testing.assert_allclose(WiredArray(Wires(), g, False).currents(v, False), v @ g, rtol=1e-9)
    np.testing.assert_allclose(transfer(Wires(), g, False), g, rtol=1e-12)


def test_batches_and_vectors() -> None:
    wires = Wires(3.0, 4.0, 50.0, 20.0)
    g = np.stack([some_array(6, 5, seed) for seed in range(3)])
    v = np.random.default_rng(1).uniform(0.1, 0.5, (3, 4, 6))
    batch = Crossbar(6, 5, batch=(3,), wires=wires)
    batch.conductances = g
    together = batch.read(v)
    for b in range(3):
        for k in range(4):
            alone = Crossbar(6, 5, wires=wires)
            alone.conductances = g[b]
            np.testing.assert_allclose(alone.read(v[b, k]), together[b, k], rtol=1e-8)


def test_reads_follow_the_pulses() -> None:
    """Old solutions are not used for new conductances, whichever way a read is solved."""
    wires = Wires(3.0, 4.0, 50.0, 20.0)
    xbar = Crossbar(6, 5, wires=wires)
    xbar.conductances = some_array(6, 5, 1)
    v = np.linspace(0.1, 0.5, 6)
    for _ in range(4):
        xbar.pulse(np.random.default_rng(2).integers(-9, 10, (6, 5)))
        fresh = transfer(wires, xbar.conductances, False)
        for _ in range(12):
            np.testing.assert_allclose(xbar.read(v), v @ fresh, rtol=1e-8)
            back = transfer(wires, xbar.conductances, True)
            found = xbar.read_transposed(np.full(5, 0.3))
            np.testing.assert_allclose(found, back @ np.full(5, 0.3), rtol=1e-8)


def test_noise_goes_through_the_wires() -> None:
    """Against first-order theory: each device's noise times what the outputs owe to it."""
    wires = Wires(100.0, 150.0, 200.0, 100.0)
    g = some_array(4, 3, 5)
    xbar = Crossbar(4, 3, replace(IDEAL, read_noise=ReadNoise(relative=0.01)), seed=3, wires=wires)
    xbar.conductances = g
    v = np.array([0.5, 0.2, -0.3, 0.4])
    reads = xbar.read(np.broadcast_to(v, (20_000, 4)))
    step = 1e-4
    clean = v @ transfer(wires, g, False)
    variance = np.zeros(3)
    for at in np.ndindex(4, 3):
        moved = g.copy()
        moved[at] *= 1 + step
        variance += (0.01 * (v @ transfer(wires, moved, False) - clean) / step) ** 2
    np.testing.assert_allclose(reads.std(axis=0), np.sqrt(variance), rtol=0.03)
    np.testing.assert_allclose(reads.mean(axis=0), clean, rtol=2e-3)


@pytest.mark.parametrize("cell", ["1T1R", "1R"])
def test_verify_reads_see_the_wires(cell) -> None:
    xbar = Crossbar(8, 8, wires=Wires(50.0, 50.0, 100.0, 100.0), cell=cell)
    report = xbar.write_verify(60e-6, tolerance=0.5e-6)
    assert not report.failed.any()
    # What was verified is device and wires together: the device itself is written higher.
    assert (report.error > -0.5e-6).all()
    assert report.error.max() > 2e-6
    assert report.error.argmax() == 7


def test_a_floating_line_without_devices_carries_nothing() -> None:
    xbar = Crossbar(2, 2)
    xbar.conductances = [[50e-6, 50e-6], [0.0, 0.0]]
    word, bit = xbar.read_terminals([0.2, NAN], [0.0, NAN])
    np.testing.assert_allclose(word, [1e-5, 0.0])
    np.testing.assert_allclose(bit, [-1e-5, 0.0])


@pytest.mark.parametrize(
    ("names", "call"),
    [
        ("word_segment", lambda: Wires(-1.0)),
        ("sense", lambda: Wires(sense=NAN)),
        ("driver", lambda: Wires(driver=math.inf)),
        ("word", lambda: Crossbar(2, 2).read_terminals([NAN, NAN], [0, 0])),
        ("word", lambda: Crossbar(2, 2).read_terminals([0.1], [0, 0])),
        ("bit", lambda: Crossbar(2, 2).read_terminals([0.1, 0], [9.0, 0])),
        ("batch", lambda: Crossbar(2, 2, batch=(2,)).read_terminals([0, 0], [0, 0])),
        (
            "nonlinearity",
            lambda: Crossbar(2, 2, presets.RRAM_MILO_2021).read_terminals([0, 0], [0, 0]),
        ),
    ],
)
def test_bad_wires_and_terminals(names: str, call) -> None:
    with pytest.raises(ValueError, match=names) as caught:
        call()
    assert "must be" in str(caught.value)
