"""The emulated crossbar: reads, pulses, write-verify, faults, noise, time, counters."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madem_emulator import Crossbar, DeviceModel, presets
from madem_emulator.physical.device import (
    CycleToCycle,
    DeviceToDevice,
    Faults,
    Nonlinearity,
    PulseResponse,
    ReadNoise,
    TelegraphNoise,
)
from madem_emulator.physical.pulse_worth import Cell

IDEAL = presets.IDEAL
BENT = replace(
    IDEAL, pulses=PulseResponse(40, 25, curvature_set=2.0, curvature_reset=-1.5, half_select=0.1)
)


def spread(shape: tuple[int, ...], device: DeviceModel = IDEAL, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(device.g_min, device.g_max, shape)


# Reads


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    batch=st.sampled_from([(), (3,), (2, 2)]),
    vectors=st.sampled_from([None, 1, 4]),
    seed=st.integers(0, 99),
)
def test_ideal_reads_are_the_products_of_ohm_and_kirchhoff(
    rows: int, columns: int, batch: tuple[int, ...], vectors: int | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    xbar = Crossbar(rows, columns, batch=batch)
    g = rng.uniform(1e-6, 1e-4, xbar.shape)
    xbar.conductances = g
    middle = () if vectors is None else (vectors,)
    v = rng.uniform(-0.2, 0.2, (*batch, *middle, rows))
    axes = "...r,...rc->...c" if vectors is None else "...vr,...rc->...vc"
    np.testing.assert_allclose(xbar.read(v), np.einsum(axes, v, g), rtol=1e-12, atol=1e-18)
    w = rng.uniform(-0.2, 0.2, (*batch, *middle, columns))
    axes = "...c,...rc->...r" if vectors is None else "...vc,...rc->...vr"
    back = np.einsum(axes, w, g)
    np.testing.assert_allclose(xbar.read_transposed(w), back, rtol=1e-12, atol=1e-18)


def test_one_vector_is_read_by_every_array_of_a_batch() -> None:
    xbar = Crossbar(4, 3, batch=(5,))
    xbar.conductances = spread(xbar.shape)
    v = np.array([0.1, -0.2, 0.0, 0.05])
    np.testing.assert_array_equal(xbar.read(v), xbar.read(np.broadcast_to(v, (5, 4))))


def test_read_noise_has_the_variance_of_every_device_on_the_line() -> None:
    device = replace(IDEAL, read_noise=ReadNoise(relative=0.05, absolute=1e-6))
    xbar = Crossbar(8, 2, device, seed=5)
    g = spread((8, 2))
    xbar.conductances = g
    v = np.linspace(-0.2, 0.2, 8)
    reads = xbar.read(np.broadcast_to(v, (20_000, 8)))
    sigma = np.sqrt((v**2) @ ((0.05 * g) ** 2 + 1e-12))
    np.testing.assert_allclose(reads.std(axis=0), sigma, rtol=4.5 / math.sqrt(2 * 20_000))
    np.testing.assert_allclose(reads.mean(axis=0), v @ g, atol=4.5 * sigma.max() / math.sqrt(2e4))
    # Outputs and vectors are independent.
    assert abs(np.corrcoef(reads[:, 0], reads[:, 1]).item(1)) < 4.5 / math.sqrt(20_000)


def test_a_nonlinear_device_draws_more_current_at_high_voltage() -> None:
    device = replace(IDEAL, nonlinearity=Nonlinearity(relative_third=2.0))
    xbar = Crossbar(2, 1, device)
    xbar.conductances = 50e-6
    assert xbar.read([0.5, 0.0]).item() == pytest.approx(50e-6 * (0.5 + 2 * 0.125))
    assert xbar.read_transposed([0.5]) == pytest.approx([50e-6 * 0.75] * 2)


# Pulses


def level_by_level(g: float, count: int, device: DeviceModel) -> float:
    """One pulse after another, from the published curve: find n on it, go to n + 1."""
    p = device.pulses
    up = count > 0
    c = p.curvature_set if up else p.curvature_reset
    pulses = p.pulses_set if up else p.pulses_reset
    for _ in range(abs(count)):
        y = (g - device.g_min) / device.window if up else (device.g_max - g) / device.window
        n = -pulses / c * math.log(1 - y * (1 - math.exp(-c)))
        y = min((1 - math.exp(-c * (n + 1) / pulses)) / (1 - math.exp(-c)), 1.0)
        g = device.g_min + device.window * y if up else device.g_max - device.window * y
    return g


@settings(max_examples=30, deadline=None)
@given(st.integers(-30, 30), st.floats(0, 1), st.floats(0.1, 5), st.floats(-5, -0.1))
def test_pulses_at_once_are_pulses_one_by_one(
    count: int, start: float, curvature_set: float, curvature_reset: float
) -> None:
    pulses = PulseResponse(40, 25, curvature_set=curvature_set, curvature_reset=curvature_reset)
    device = replace(IDEAL, pulses=pulses)
    g = device.g_min + start * device.window
    xbar = Crossbar(1, 1, device)
    xbar.conductances = g
    xbar.pulse(count)
    expected = level_by_level(g, count, device)
    assert xbar.conductances.item() == pytest.approx(expected, rel=1e-9)


def test_a_linear_device_takes_equal_steps_both_ways() -> None:
    xbar = Crossbar(1, 1, IDEAL)
    levels = [xbar.conductances.item()]
    for count in [1] * 300 + [-1] * 300:
        xbar.pulse(count)
        levels.append(xbar.conductances.item())
    step = IDEAL.window / 256
    up = np.minimum(IDEAL.g_min + step * np.arange(301), IDEAL.g_max)
    np.testing.assert_allclose(levels[:301], up, rtol=1e-6)
    down = np.maximum(IDEAL.g_max - step * np.arange(1, 301), IDEAL.g_min)
    np.testing.assert_allclose(levels[301:], down, rtol=1e-4)


@pytest.mark.parametrize("device", [IDEAL, BENT.without("retention")])
def test_all_ways_to_pulse_agree(device: DeviceModel) -> None:
    counts = np.random.default_rng(2).integers(-5, 6, (6, 7))
    arrays = [Crossbar(6, 7, device) for _ in range(3)]
    for xbar in arrays:
        xbar.conductances = spread((6, 7))
    arrays[0].pulse(counts)
    at = np.nonzero(counts)
    arrays[1].pulse_devices(at, counts[at])
    for i, j in zip(*at, strict=True):
        arrays[2].pulse_devices((i, j), counts[i, j])
    for other in arrays[1:]:
        np.testing.assert_allclose(other.conductances, arrays[0].conductances, rtol=1e-12)


def test_pulses_of_one_array_leave_the_others_of_a_batch() -> None:
    xbar = Crossbar(3, 4, batch=(2,))
    xbar.conductances = 50e-6
    xbar.pulse_devices((1, 2, 3), 4)
    changed = xbar.conductances != 50e-6
    assert changed[1, 2, 3]
    assert changed.sum() == 1


@pytest.mark.parametrize(("cell", "weight"), [("1T1R", 0.0), ("1R", 0.1)])
def test_half_select_disturbs_only_arrays_without_transistors(cell: Cell, weight: float) -> None:
    xbar = Crossbar(4, 5, replace(IDEAL, pulses=PulseResponse(half_select=0.1)), cell=cell)
    xbar.conductances = 50e-6
    xbar.pulse_devices((1, 2), 10)
    change = (xbar.conductances - 50e-6) / (IDEAL.window / 256)
    expected = np.zeros((4, 5))
    expected[1, :] = expected[:, 2] = 10 * weight
    expected[1, 2] = 10
    np.testing.assert_allclose(change, expected, atol=1e-3)


def test_a_block_of_pulses() -> None:
    device = replace(IDEAL, pulses=PulseResponse(half_select=0.25))
    xbar = Crossbar(3, 3, device, cell="1R")
    xbar.conductances = 50e-6
    xbar.pulse_block([1, 0, 1], [0, 1, 0], -4)
    change = (xbar.conductances - 50e-6) / (IDEAL.window / 256)
    np.testing.assert_allclose(change, [[-1, -4, -1], [0, -1, 0], [-1, -4, -1]], atol=1e-3)


@pytest.mark.parametrize("pulses", [7, 31, 64])
def test_update_changes_by_the_outer_product(pulses: int) -> None:
    xbar = Crossbar(3, 4, IDEAL, batch=(2000,), seed=8)
    xbar.conductances = 50e-6
    x, d = np.array([0.9, -0.5, 0.0]), np.array([1.0, -0.3, 0.6, 0.0])
    counts = xbar.update(x, d, pulses)
    p = np.abs(np.outer(x, d))
    error = np.sqrt(pulses * p * (1 - p) / 2000) + 1e-12
    assert (np.abs(counts.mean(axis=0) - pulses * np.outer(x, d)) <= 4.5 * error).all()
    change = (xbar.conductances - 50e-6) / (IDEAL.window / 256)
    np.testing.assert_allclose(change, counts, atol=1e-3)


def test_update_without_transistors_disturbs_by_what_does_not_coincide() -> None:
    device = replace(IDEAL, pulses=PulseResponse(1e4, 1e4, half_select=0.1))
    xbar = Crossbar(2, 2, device, cell="1R", seed=3)
    xbar.conductances = 50e-6
    # Full density: every pulse of a line is there, so nothing is left to chance.
    counts = xbar.update([1.0, 1.0], [1.0, -1.0], 10)
    np.testing.assert_array_equal(counts, [[10, -10], [10, -10]])
    # In the phase of the other sign, row and column each come alone: 2 · 10 · 0.1 the other way.
    change = (xbar.conductances - 50e-6) / (IDEAL.window / 1e4)
    np.testing.assert_allclose(change, [[8, -8], [8, -8]], atol=1e-2)


def test_stuck_devices_never_move() -> None:
    device = replace(presets.CMO_HFOX_2025, faults=Faults(stuck_low=0.1, stuck_high=0.05))
    xbar = Crossbar(100, 100, device, seed=6)
    stuck = xbar.stuck
    assert abs(stuck.mean() - 0.15) < 4.5 * math.sqrt(0.15 * 0.85 / 1e4)
    before = xbar.conductances
    high = (before[stuck] == device.g_max).mean()
    assert abs(high - 1 / 3) < 4.5 * math.sqrt(2 / 9 / 1500)
    assert set(np.unique(before[stuck])) == {device.g_min, device.g_max}
    xbar.program(spread((100, 100), device))
    xbar.pulse(np.random.default_rng(1).integers(-9, 10, (100, 100)))
    xbar.wait(1000.0)
    xbar.update(np.ones(100), np.ones(100))
    xbar.conductances = 20e-6
    np.testing.assert_array_equal(xbar.conductances[stuck], before[stuck])
    assert (xbar.conductances[~stuck] == 20e-6).all()


def test_device_to_device_spreads() -> None:
    sigma = {"g_min": 0.1, "g_max": 0.05, "step_set": 0.2, "step_reset": 0.1}
    n = 20_000
    for name, value in sigma.items():
        device = replace(IDEAL, device_to_device=DeviceToDevice(**{name: value}))
        xbar = Crossbar(1, n, device, seed=7)
        if name.startswith("step"):
            xbar.conductances = 50e-6
            xbar.pulse(10 if name == "step_set" else -10)
            measured = np.abs(xbar.conductances - 50e-6) / (IDEAL.window / 25.6)
        else:
            xbar.pulse(-999 if name == "g_min" else 999)
            measured = xbar.conductances / getattr(IDEAL, name)
        np.testing.assert_allclose(measured.mean(), 1, atol=4.5 * value / math.sqrt(n))
        np.testing.assert_allclose(measured.std(), value, rtol=4.5 / math.sqrt(2 * n))


def test_device_to_device_curvature() -> None:
    pulses = PulseResponse(100, 100, curvature_set=2.0, curvature_reset=2.0)
    varied = DeviceToDevice(curvature=0.5)
    xbar = Crossbar(1, 20_000, replace(IDEAL, pulses=pulses, device_to_device=varied), seed=7)
    xbar.pulse(50)
    # Half of the pulses bring a device of curvature c to 1 / (1 + e^(−c/2)) of its window.
    y = (xbar.conductances - IDEAL.g_min) / IDEAL.window
    curvature = -2 * np.log(1 / y - 1)
    np.testing.assert_allclose(curvature.mean(), 2.0, atol=4.5 * 0.5 / math.sqrt(20_000))
    np.testing.assert_allclose(curvature.std(), 0.5, rtol=4.5 / math.sqrt(40_000))


def test_telegraph_noise_dwells_as_long_as_stated() -> None:
    noise = TelegraphNoise(fraction=0.5, amplitude=0.2, time_empty=3e-3, time_filled=1e-3)
    device = replace(IDEAL, telegraph=noise)
    n, steps, dt = 4000, 60, 2e-4
    xbar = Crossbar(1, n, device, seed=9, read_time=dt)
    xbar.conductances = 50e-6
    filled = []
    for _ in range(steps):
        seen = xbar.read([0.1]).ravel() / 0.1 / 50e-6
        assert set(np.unique(seen.round(9))) == {0.8, 1.0}
        filled.append(seen < 0.9)
    states = np.array(filled)
    # Devices without a trap never move; those with one are filled a quarter of the time.
    trapped = states.any(axis=0)
    assert abs(states.mean() / 0.5 - 0.25) < 0.02
    assert 0.45 < trapped.mean() < 0.55
    # P(still filled one read later), from the two rates.
    relax = math.exp(-dt * (1 / 3e-3 + 1 / 1e-3))
    stays = 0.25 + 0.75 * relax
    now, later = states[:-1], states[1:]
    visits = now.sum()
    assert abs(later[now].mean() - stays) < 4.5 * math.sqrt(stays * (1 - stays) / visits)


def test_a_device_outside_its_window_is_not_pulled_back_by_the_wrong_pulse() -> None:
    xbar = Crossbar(1, 2, IDEAL)
    xbar.conductances = [[110e-6, 110e-6]]
    xbar.pulse([[1, -1]])
    up, down = xbar.conductances[0]
    assert up == 110e-6
    assert down < 110e-6


# Write-verify


def test_write_verify_of_ideal_devices() -> None:
    xbar = Crossbar(8, 8, IDEAL)
    target = spread((8, 8))
    report = xbar.write_verify(target, tolerance=IDEAL.window / 256)
    assert not report.failed.any()
    assert (np.abs(report.error) <= IDEAL.window / 256).all()
    np.testing.assert_allclose(report.error, xbar.conductances - target, atol=0)
    # From g_min, a device needs as many pulses as steps, less the tolerance of one.
    steps = np.ceil((target - IDEAL.g_min) / (IDEAL.window / 256) - 1 - 1e-6)
    np.testing.assert_array_equal(report.pulses, steps)
    assert report.rounds == steps.max() + 1
    assert xbar.counters.set_pulses == report.pulses.sum()


def test_write_verify_reports_what_can_not_be_reached() -> None:
    device = replace(IDEAL, faults=Faults(stuck_low=0.3), cycle_to_cycle=CycleToCycle(0.001))
    xbar = Crossbar(20, 20, device, seed=2)
    report = xbar.write_verify(60e-6, tolerance=1e-6, max_rounds=300)
    np.testing.assert_array_equal(report.failed, xbar.stuck)
    assert (report.pulses[report.failed] == 300).all()


def test_write_verify_without_transistors_still_arrives() -> None:
    device = replace(IDEAL, pulses=PulseResponse(half_select=0.02))
    xbar = Crossbar(6, 6, device, cell="1R")
    report = xbar.write_verify(spread((6, 6)), tolerance=2e-6, max_rounds=2000)
    assert not report.failed.any()


# Repeatability and counters


def run(seed: int) -> list[bytes]:
    device = replace(
        presets.CMO_HFOX_2025,
        cycle_to_cycle=CycleToCycle(0.01),
        device_to_device=DeviceToDevice(0.1, 0.1, 0.1, 0.1, 0.1),
        telegraph=TelegraphNoise(0.2, 0.1),
        faults=Faults(0.01, 0.01),
    )
    xbar = Crossbar(5, 6, device, seed=seed, batch=(2,))
    xbar.program(40e-6)
    xbar.update(np.linspace(-1, 1, 5), np.linspace(-1, 1, 6))
    xbar.wait(10.0)
    xbar.write_verify(40e-6, 5e-6, max_rounds=10)
    return [xbar.read(np.full(5, 0.1)).tobytes(), xbar.conductances.tobytes()]


def test_the_same_seed_gives_the_same_bits() -> None:
    assert run(1) == run(1)
    assert run(1) != run(2)


def test_counters() -> None:
    xbar = Crossbar(3, 2, IDEAL, read_time=2e-6)
    xbar.conductances = 50e-6
    xbar.read(np.full((4, 3), 0.1))
    xbar.read_transposed([0.2, 0.0])
    c = xbar.counters
    assert (c.reads, c.device_reads) == (5, 30)
    assert c.read_time == pytest.approx(10e-6)
    joules = 4 * 6 * 50e-6 * 0.01 * 2e-6 + 3 * 50e-6 * 0.04 * 2e-6
    assert c.read_energy == pytest.approx(joules)
    xbar.pulse([[2, 0], [0, -1], [0, 0]])
    assert (c.set_pulses, c.reset_pulses) == (2, 1)
    assert c.write_time == pytest.approx(3 * 100e-9)
    assert c.write_energy == pytest.approx(3 * 1.5**2 * 50e-6 * 100e-9)


# Bad input


@pytest.mark.parametrize(
    ("names", "call"),
    [
        ("g_min", lambda: replace(IDEAL, g_min=-1e-6)),
        ("g_min", lambda: replace(IDEAL, g_min=2e-4)),
        ("g_min", lambda: replace(IDEAL, g_min=IDEAL.g_max)),
        ("g_max", lambda: replace(IDEAL, g_max=math.nan)),
        ("read_voltage", lambda: replace(IDEAL, read_voltage=0.6)),
        ("pulses_set", lambda: PulseResponse(pulses_set=0)),
        ("half_select", lambda: PulseResponse(half_select=1.1)),
        ("stuck_low", lambda: Faults(stuck_low=-0.1)),
        ("stuck_low", lambda: Faults(stuck_low=0.7, stuck_high=0.7)),
        ("relative", lambda: ReadNoise(relative=-1)),
        ("amplitude", lambda: TelegraphNoise(amplitude=2)),
        ("concern", lambda: IDEAL.only("gremlins")),
        ("preset", lambda: presets.get("unobtainium")),
        ("rows", lambda: Crossbar(0, 4)),
        ("columns", lambda: Crossbar(4, 0)),
        ("rows", lambda: Crossbar(2.5, 4)),  # type: ignore[arg-type]
        ("batch", lambda: Crossbar(4, 4, batch=(0,))),
        ("seed", lambda: Crossbar(4, 4, seed=-1)),
        ("cell", lambda: Crossbar(4, 4, cell="2T2R")),  # type: ignore[arg-type]
        ("device", lambda: Crossbar(4, 4, "ideal")),  # type: ignore[arg-type]
        ("voltages", lambda: Crossbar(4, 3).read([0.1] * 3)),
        ("voltages", lambda: Crossbar(4, 3).read([])),
        ("voltages", lambda: Crossbar(4, 3).read(np.zeros((0, 4)))),
        ("voltages", lambda: Crossbar(4, 3).read([0.1, math.nan, 0, 0])),
        ("voltages", lambda: Crossbar(4, 3).read([0.1, 0.6, 0, 0])),
        ("voltages", lambda: Crossbar(4, 3).read_transposed([0.1] * 4)),
        ("voltages", lambda: Crossbar(4, 3, batch=(2,)).read(np.zeros((3, 4)))),
        ("conductances", lambda: setattr(Crossbar(2, 2), "conductances", -1e-6)),
        ("conductances", lambda: setattr(Crossbar(2, 2), "conductances", np.zeros((3, 2)))),
        ("conductances", lambda: setattr(Crossbar(2, 2), "conductances", math.inf)),
        ("conductances", lambda: setattr(Crossbar(2, 2), "conductances", "high")),
        ("targets", lambda: Crossbar(2, 2).program(2e-4)),
        ("targets", lambda: Crossbar(2, 2).program(-2e-6)),
        ("targets", lambda: Crossbar(2, 2).program(math.nan)),
        ("tolerance", lambda: Crossbar(2, 2).write_verify(5e-5, 0)),
        ("counts", lambda: Crossbar(2, 2).pulse(0.5)),
        ("counts", lambda: Crossbar(2, 2).pulse([1, 2, 3])),
        ("counts", lambda: Crossbar(2, 2).pulse_devices((0, 0), 0)),
        ("index", lambda: Crossbar(2, 2).pulse_devices((0, 2), 1)),
        ("index", lambda: Crossbar(2, 2).pulse_devices(([0, 0], [1, 1]), 1)),
        ("index", lambda: Crossbar(2, 2).pulse_devices((0,), 1)),
        ("rows", lambda: Crossbar(2, 2).update([1.5, 0], [0, 0])),
        ("pulses", lambda: Crossbar(2, 2).update([1, 0], [0, 0], 65)),
        ("seconds", lambda: Crossbar(2, 2).wait(-1)),
    ],
)
def test_bad_input_is_one_clear_line_that_names_the_field(names: str, call) -> None:
    with pytest.raises(ValueError, match=names) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert "must be" in message
