"""Pulses through wires: what arrives, by ngspice, and what it does to the devices."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madem_emulator import Crossbar, presets
from madem_emulator.physical import write_drop
from madem_emulator.physical.device import DeviceModel, PulseResponse
from madem_emulator.physical.pulse_worth import Cell
from madem_emulator.physical.wires import Wires

from ..spice import device_voltages

WIRES = Wires(word_segment=3.0, bit_segment=5.0, driver=70.0, sense=999.0)
"""The sense resistance takes no part in writing."""
HALF = 0.02
DEVICE = replace(presets.IDEAL, pulses=PulseResponse(1000.0, 1000.0, half_select=HALF))
NONE = Wires()


def by_spice(folder: Path, g: np.ndarray, word: np.ndarray, bit: np.ndarray) -> np.ndarray:
    ends = {"word_segment": WIRES.word_segment, "bit_segment": WIRES.bit_segment}
    return device_voltages(folder, g, word, bit, **ends, end=WIRES.driver)


def some_conductances(rows: int, columns: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1e-5, 1e-4, (rows, columns))


@pytest.mark.needs("ngspice")
@pytest.mark.parametrize(("rows", "columns", "i", "j"), [(5, 7, 0, 6), (5, 7, 4, 0), (16, 9, 7, 4)])
def test_half_select_scheme(rows: int, columns: int, i: int, j: int, tmp_path: Path) -> None:
    g = some_conductances(rows, columns)
    found = write_drop.half_scheme(WIRES, g)
    volts = by_spice(tmp_path, g, 0.5 * np.eye(rows)[i], -0.5 * np.eye(columns)[j])
    assert found.selected[i, j] == pytest.approx(volts[i, j], rel=1e-6)
    # Those on one selected line: what is left out is what neighbours pass on of the other line.
    lost = 0.5 - volts[i, j] / 2
    others = np.arange(columns) != j
    np.testing.assert_allclose(found.word[i, others] / 2, volts[i, others], atol=0.5 * lost)
    others = np.arange(rows) != i
    np.testing.assert_allclose(found.bit[others, j] / 2, volts[others, j], atol=0.5 * lost)


@pytest.mark.needs("ngspice")
def test_one_device_whose_transistor_alone_is_on(tmp_path: Path) -> None:
    g = some_conductances(6, 4)
    share = write_drop.alone(write_drop.resistances(WIRES, 6, 4), g)
    for i, j in ((0, 0), (0, 3), (5, 0), (2, 2)):
        only = np.zeros_like(g)
        only[i, j] = g[i, j]
        volts = by_spice(tmp_path, only, np.eye(6)[i], np.zeros(4))
        assert share[i, j] == pytest.approx(volts[i, j], rel=1e-6)


@pytest.mark.needs("ngspice")
@pytest.mark.parametrize("transistors", [True, False])
def test_a_block_at_once(transistors: bool, tmp_path: Path) -> None:
    g = some_conductances(6, 8)
    r, c = np.arange(6) % 2 == 0, np.arange(8) % 3 != 1
    both = r[:, None] & c
    seen = g * both if transistors else g
    drive = (r[:, None] + c.astype(float)) / 2
    found = write_drop.together(WIRES, seen, drive)
    volts = by_spice(tmp_path, seen, 0.5 * r, -0.5 * c)
    np.testing.assert_allclose(found[both], volts[both], rtol=1e-6)
    if not transistors:
        np.testing.assert_allclose(found, volts, rtol=1e-6, atol=1e-9)


def crossbars(
    lose: bool, wires: Wires, cell: Cell = "1T1R", batch: tuple[int, ...] = ()
) -> Crossbar:
    array = Crossbar(6, 8, DEVICE, wires=wires, pulses_lose=lose, cell=cell, batch=batch)
    array.conductances = np.clip(some_conductances(6, 8), DEVICE.g_min, DEVICE.g_max)
    return array


def change(array: Crossbar, how: str) -> np.ndarray:
    before = array.conductances
    counts = np.zeros((6, 8), int)
    counts[1, 6], counts[4, 2] = 3, -2
    if how == "pulse":
        array.pulse(counts)
    elif how == "devices":
        at = np.nonzero(counts)
        array.pulse_devices(at, counts[at])
    elif how == "block":
        array.pulse_block(np.arange(6) < 2, np.arange(8) > 4, 5)
    else:
        array.update(np.linspace(-1, 1, 6), np.linspace(1, -1, 8))
    return array.conductances - before


HOWS = ["pulse", "devices", "block", "update"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("cell", ["1T1R", "1R"])
def test_without_resistance_nothing_is_lost(how: str, cell: Cell) -> None:
    as_ever = change(crossbars(False, WIRES, cell), how)
    np.testing.assert_array_equal(as_ever, change(crossbars(False, NONE, cell), how))
    np.testing.assert_allclose(change(crossbars(True, NONE, cell), how), as_ever, rtol=1e-9)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("cell", ["1T1R", "1R"])
def test_resistance_makes_pulses_weaker(how: str, cell: Cell) -> None:
    full, weaker = (change(crossbars(lose, WIRES, cell), how) for lose in (False, True))
    moved = np.abs(full) > 0
    assert (np.abs(weaker[moved]) < np.abs(full[moved])).all()
    assert (np.abs(weaker[moved]) > 0).all()
    assert not weaker[~moved].any()


def test_a_pulse_by_hand() -> None:
    array = Crossbar(2, 2, DEVICE, wires=Wires(100.0, 200.0, 1000.0), pulses_lose=True)
    array.conductances = 5e-5
    # Word line: 1,000 + 2 · 100 Ω; bit line: 1,000 + 2 · 200 Ω. 2,600 Ω · 50 µS = 0.13.
    share = 1 / 1.13
    array.pulse([[0, 1], [0, 0]])
    step = DEVICE.window / 1000 * HALF ** (2 - 2 * share)
    assert array.conductances[0, 1] == pytest.approx(5e-5 + step, rel=1e-9)


def test_arrays_of_a_batch_lose_what_they_lose_alone() -> None:
    g = np.stack([some_conductances(6, 8, seed) for seed in (1, 2)])
    together = write_drop.half_scheme(WIRES, g)
    for k in range(2):
        single = write_drop.half_scheme(WIRES, g[k])
        np.testing.assert_allclose(together.word[k], single.word, rtol=1e-9)
        np.testing.assert_allclose(together.bit[k], single.bit, rtol=1e-9)
    batch = crossbars(True, WIRES, "1R", batch=(2,))
    batch.pulse_block(np.ones((2, 6), bool), np.ones((2, 8), bool), 1)
    one = crossbars(True, WIRES, "1R")
    one.pulse_block(np.ones(6, bool), np.ones(8, bool), 1)
    for conductances in batch.conductances:
        np.testing.assert_allclose(conductances, one.conductances, rtol=1e-9)


@given(
    g=st.lists(st.just(0.0) | st.floats(1e-12, 1e-3), min_size=6, max_size=6),
    ohms=st.floats(0, 1000),
    terminal=st.floats(0, 1000),
)
@settings(max_examples=30, deadline=None)
def test_shares_are_between_nothing_and_everything(
    g: list[float], ohms: float, terminal: float
) -> None:
    wires, array = Wires(ohms, ohms, terminal), np.reshape(g, (2, 3))
    scheme = write_drop.half_scheme(wires, array)
    for share in (*scheme, scheme.selected, write_drop.alone(
        write_drop.resistances(wires, 2, 3), array
    )):  # fmt: skip
        assert (share >= -1e-9).all()
        assert (share <= 1 + 1e-9).all()


def test_write_verify_takes_more_pulses_behind_long_wires() -> None:
    pulses = {}
    for lose in (False, True):
        array = crossbars(lose, WIRES)
        report = array.write_verify(np.full((6, 8), 5e-5), 1e-6)
        assert not report.failed.any()
        pulses[lose] = report.pulses.sum()
    assert pulses[True] > pulses[False]


@pytest.mark.parametrize(
    ("device", "wires", "message"),
    [(DEVICE, None, "wires is None"), (presets.IDEAL, WIRES, "half_select is 0")],
)
def test_what_is_missing_is_named(device: DeviceModel, wires: Wires | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Crossbar(2, 2, device, wires=wires, pulses_lose=True)
