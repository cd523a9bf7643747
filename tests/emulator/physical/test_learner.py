"""Learning on the physical crossbar: its sums are the crossbar's currents, and it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madem.data.registry import load_task
from madem.learn import train as learn
from madem_emulator import Crossbar, DeviceModel, presets
from madem_emulator.physical.device import (
    CycleToCycle,
    DeviceToDevice,
    Faults,
    LogDrift,
    ReadNoise,
    Retention,
    TelegraphNoise,
)
from madem_emulator.physical.generators import Generators
from madem_emulator.physical.learner import PhysicalTwin
from madem_emulator.physical.wires import Wires
from madem_emulator.twin.config import Settings
from madem_emulator.twin.noise import row_indices

SMALL = Settings(sizes=(6, 4, 3), read_noise=0.0, seed=3).integers()
BENT = presets.RRAM_MILO_2021.without("programming")
CODES = np.array([255, 0, 128, 30, 60, 200], np.uint8)


def arrays(twin: PhysicalTwin, board: int, wires: Wires | None = None) -> list[Crossbar]:
    """A crossbar for each weight layer: word lines with the bias last, P and N side by side."""
    found = []
    for g in twin.conductances:
        n, _, lines = g.shape[1:]
        xbar = Crossbar(lines, 2 * n, twin.device.without("read_noise"), wires=wires)
        xbar.conductances = g[board].reshape(2 * n, lines).T
        found.append(xbar)
    return found


def train_a_little(twin: PhysicalTwin, samples: int = 30) -> None:
    rng = np.random.default_rng(1)
    for k in range(samples):
        x = rng.integers(0, 256, (len(twin.seeds), 6)).astype(np.uint8)
        twin.learn(8000, x, rng.integers(0, 3, len(twin.seeds)), pulses_per_update=1 + k % 3)


@pytest.mark.parametrize(
    ("device", "wires"),
    [
        (presets.TAOX_HFOX_WU2018, None),
        (BENT, None),
        (presets.TAOX_64X64_HE2026, Wires(20.0, 30.0, 100.0, 50.0)),
    ],
)
def test_sums_are_the_currents_of_the_array(device: DeviceModel, wires: Wires | None) -> None:
    """After learning, too: what is kept per coupling follows the pulses."""
    twin = PhysicalTwin(SMALL, device, [1, 2], wires)
    train_a_little(twin)
    # Currents in units of the page: full activity is 255 and the read voltage.
    per_unit = device.read_voltage / 255 * device.window / 200
    for k, weights in enumerate(twin.weights):
        n, lines = SMALL.sizes[k + 1], SMALL.sizes[k] + 1
        s = np.random.default_rng(k).integers(0, 256, (2, 5, lines - 1)).astype(float)
        forward = weights.forward(s)
        up = np.random.default_rng(k).integers(0, 256, (2, 5, n)).astype(float)
        backward = weights.transposed(up)
        for board in range(2):
            xbar = arrays(twin, board, wires)[k]
            v = np.concatenate([s[board], np.full((5, 1), 255.0)], axis=1) / 255
            currents = xbar.read(v * device.read_voltage)
            difference = currents[:, 0::2] - currents[:, 1::2]
            np.testing.assert_allclose(forward[board], difference / per_unit, rtol=1e-8)
            both = np.stack([up[board], -up[board]], axis=-1).reshape(5, 2 * n)
            currents = xbar.read_transposed(both / 255 * device.read_voltage)
            expected = currents[:, :-1] / per_unit
            np.testing.assert_allclose(backward[board], expected, rtol=1e-8, atol=1e-6)


def test_read_noise_of_the_sums() -> None:
    device = replace(presets.IDEAL, read_noise=ReadNoise(relative=0.02, absolute=1e-7))
    twin = PhysicalTwin(SMALL, device, [1])
    (g, _), unit = twin.conductances, device.window / 200
    variance = (((0.02 * g[0]) ** 2 + 1e-14) / unit**2).sum(axis=1)
    s = np.broadcast_to(CODES.astype(float), (1, 20_000, 6))
    weights = twin.weights[0]
    driven = np.append(CODES, 255.0) ** 2
    np.testing.assert_allclose(
        weights.forward(s)[0].std(axis=0), np.sqrt(variance @ driven), rtol=0.03
    )
    up = np.array([255.0, 10.0, 100.0, 0.0])
    found = weights.transposed(np.broadcast_to(up, (1, 20_000, 4)))[0].std(axis=0)
    np.testing.assert_allclose(found, np.sqrt(up**2 @ variance[:, :-1]), rtol=0.03)


def test_what_changes_by_itself_is_read_anew() -> None:
    noise = TelegraphNoise(fraction=1.0, amplitude=0.5)
    drift = Retention(LogDrift(-1e-6, 0.0, 0.0))
    for device in (
        replace(presets.IDEAL, telegraph=noise),
        replace(presets.IDEAL, retention=drift),
    ):
        twin = PhysicalTwin(SMALL, device)
        before = twin.weights[0].bias.copy()
        twin.wait(100.0)
        twin.learn(8000, CODES, 0)
        twin.wait(100.0)
        after = twin.weights[0].bias
        if device.retention.drift:
            # All devices lose the same, so that pairs stay; conductances do not.
            assert all(g.mean() < 49e-6 for g in twin.conductances)
        else:
            assert not np.array_equal(before, after)


def test_a_seed_gives_the_same_bits_in_any_batch() -> None:
    noise = TelegraphNoise(fraction=0.3, amplitude=0.1)
    device = replace(
        presets.CMO_HFOX_2025,
        telegraph=noise,
        cycle_to_cycle=CycleToCycle(0.02),
        device_to_device=DeviceToDevice(0.1, 0.1, 0.1, 0.1, 0.1),
        faults=Faults(0.05, 0.05),
    )
    x = np.random.default_rng(2).integers(0, 256, (300, 6)).astype(np.uint8)

    def run(seeds: list[int]) -> dict[int, bytes]:
        twin = PhysicalTwin(SMALL, device, seeds)
        for k in range(40):
            twin.learn(8000, x[k], k % 3, pulses_per_update=1 + k % 3)
        twin.wait(100.0)
        twin.add_stuck(0x1000)
        twin.learn(8000, x[0], 0)
        answers = twin.predict_many(x)[-1]
        everything = [*twin.conductances, answers, twin.pulses]
        return {s: b"".join(a[b].tobytes() for a in everything) for b, s in enumerate(seeds)}

    three = run([1, 2, 3])
    assert run([2]) == {2: three[2]}
    assert run([3, 1]) == {3: three[3], 1: three[1]}
    assert len(set(three.values())) == 3


@pytest.mark.parametrize("wires", [None, Wires(word_segment=5.0, bit_segment=5.0)])
@pytest.mark.parametrize(
    "device",
    [
        presets.IDEAL,  # sums of its steps lie where the ADC rounds
        presets.CMO_HFOX_2025,
        replace(BENT, read_noise=ReadNoise(0.02)),
    ],
    ids=["ideal", "noisy", "bent"],
)
@settings(max_examples=15)
@given(data=st.data())
def test_an_answer_does_not_depend_on_what_else_is_asked(
    device: DeviceModel, wires: Wires | None, data: st.DataObject
) -> None:
    if wires and not device.nonlinearity.is_linear:
        return
    codes = st.lists(st.integers(0, 255), min_size=6, max_size=6)
    rows = np.array(data.draw(st.lists(codes, min_size=1, max_size=9)), np.uint8)
    order = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
    twin = PhysicalTwin(SMALL, device, [1, 2], wires)
    train_a_little(twin)
    undisturbed = PhysicalTwin(SMALL, device, [1, 2], wires)
    train_a_little(undisturbed)

    together = twin.predict_many(rows[order])
    for s, alone in zip(together, zip(*map(twin.predict, rows), strict=True), strict=True):
        np.testing.assert_array_equal(s, np.stack(alone, axis=1)[:, order])
    # Nor does learning depend on what was asked in between.
    for one in (twin, undisturbed):
        one.learn(8000, CODES, 1)
    for one, other in zip(twin.conductances, undisturbed.conductances, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("device", [presets.IDEAL, replace(BENT, read_noise=ReadNoise(0.02))])
def test_sums_of_a_prediction_do_not_depend_on_the_rows_beside_it(device: DeviceModel) -> None:
    """To the last bit, which others would have that are added in another order."""
    twin = PhysicalTwin(Settings(sizes=(64, 32, 10)).integers(), device)
    rng = np.random.default_rng(1)
    for k in range(5):
        twin.learn(8000, rng.integers(0, 256, 64).astype(np.uint8), k)
    x, s = (rng.integers(0, 256, (1, 200, n), np.uint8) for n in (64, 32))
    indices, weights = row_indices(x[0]), twin._weights_to_predict()

    def sums(rows: slice) -> np.ndarray:
        layer = weights(indices[rows])[0]
        up, down = (a[:, rows].astype(np.float64) for a in (x, s))
        return np.concatenate([layer.forward(up), layer.transposed(down)], axis=2)

    alone = [sums(slice(i, i + 1)) for i in range(200)]
    np.testing.assert_array_equal(sums(slice(None)), np.concatenate(alone, axis=1))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=8), st.integers(0, 9))
def test_streams_are_those_of_each_seed_however_they_are_cut(counts: list[int], seed: int) -> None:
    together, alone = Generators([seed, 77]), Generators([seed])
    for count in counts:
        other = np.ones(count // 3, np.intp)
        networks = np.concatenate([np.zeros(count, np.intp), other])
        mixed = together.standard_normal_of(networks)[:count] if len(networks) else []
        np.testing.assert_array_equal(mixed, alone.standard_normal((1, count))[0])
        # Numbers of the other kind in between change nothing.
        together.random((2, 5))


def test_state_shows_the_conductances_as_bytes() -> None:
    twin = PhysicalTwin(SMALL, presets.IDEAL)
    train_a_little(twin)
    state = twin.state()
    for shown, g in zip(state.devices, twin.conductances, strict=True):
        units = (g - presets.IDEAL.g_min) / presets.IDEAL.window * 200
        assert np.abs(shown - units).max() <= 0.5 + 1e-9
    with pytest.raises(ValueError, match="of the emulated front end"):
        twin.load_state(state._replace(physical=None))
    assert PhysicalTwin(SMALL, presets.IDEAL, [1, 2]).state().physical is None


def test_stuck_devices_do_not_learn() -> None:
    twin = PhysicalTwin(SMALL, replace(presets.IDEAL, faults=Faults(0.5, 0.5)))
    before = [g.copy() for g in twin.conductances]
    train_a_little(twin)
    assert np.sum(twin.pulses) > 0
    for was, now in zip(before, twin.conductances, strict=True):
        np.testing.assert_array_equal(was, now)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cmo_hfox_2025", "taox_64x64_he2026"])
def test_learns_the_digits(name: str) -> None:
    """Two passes, 8 networks on devices of their own."""
    task = load_task("digits", seed=1)
    plan = learn.recipe(task, weight_bits=5, epochs=2)
    twin = PhysicalTwin(plan.settings.integers(), presets.get(name), range(8))
    for k in range(plan.epochs):
        batch, (rate, train) = task.train_pass(k), plan.schedule(k)
        for x, target in zip(batch.x, batch.target, strict=True):
            twin.learn(rate, x, target, train)
    found = twin.predict_many(task.x_test)[-1].argmax(axis=-1)
    accuracy = (found == task.y_test).mean(axis=1)
    assert accuracy.mean() > 0.93
    assert accuracy.min() > 0.90


@pytest.mark.parametrize(
    ("names", "call"),
    [
        ("device", lambda: PhysicalTwin(SMALL, "ideal")),  # type: ignore[arg-type]
        ("seconds", lambda: PhysicalTwin(SMALL, presets.IDEAL).wait(0)),
        ("nonlinearity", lambda: PhysicalTwin(SMALL, BENT, wires=Wires(1.0))),
    ],
)
def test_bad_input(names: str, call) -> None:
    with pytest.raises(ValueError, match=names):
        call()
