"""Signed weights in differential pairs, and matrices larger than an array."""

from __future__ import annotations

import numpy as np
import pytest

from madem_emulator import presets
from madem_emulator.physical.pairs import PairedCrossbar
from madem_emulator.physical.tiles import TiledCrossbar
from madem_emulator.physical.wires import Wires


@pytest.mark.parametrize("batch", [(), (3,)])
def test_pairs_multiply_by_signed_weights(batch: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    pairs = PairedCrossbar(5, 4, presets.IDEAL, batch=batch)
    w = rng.uniform(-1, 1, (*batch, 5, 4))
    pairs.program(w)
    np.testing.assert_allclose(pairs.weights, w, atol=1e-12)
    window = presets.IDEAL.window
    v, c = rng.uniform(-0.2, 0.2, (*batch, 5)), rng.uniform(-0.2, 0.2, (*batch, 4))
    forward = np.einsum("...r,...rc->...c", v, w) * window
    np.testing.assert_allclose(pairs.read(v), forward, atol=1e-15)
    back = np.einsum("...c,...rc->...r", c, w) * window
    np.testing.assert_allclose(pairs.read_transposed(c), back, atol=1e-15)


def test_pairs_are_updated_in_opposite_directions() -> None:
    pairs = PairedCrossbar(2, 3, presets.IDEAL, batch=(500,), seed=2)
    pairs.program(0.0)
    x, d = np.array([1.0, -0.5]), np.array([0.8, 0.0, -1.0])
    pairs.update(x, d, pulses=20)
    # Both devices take 20 x d pulses of 1/256 of the window.
    expected = 2 * 20 / 256 * np.outer(x, d)
    np.testing.assert_allclose(pairs.weights.mean(axis=0), expected, atol=0.01)


def test_pairs_write_and_verify() -> None:
    pairs = PairedCrossbar(4, 4, presets.IDEAL)
    w = np.linspace(-0.9, 0.9, 16).reshape(4, 4)
    report = pairs.write_verify(w, tolerance=0.5e-6)
    assert not report.failed.any()
    np.testing.assert_allclose(pairs.weights, w, atol=1e-6 / presets.IDEAL.window)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_tiles_are_one_matrix(batch: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    tiled = TiledCrossbar(10, 7, presets.IDEAL, tile=(4, 3), batch=batch)
    assert [len(row) for row in tiled.tiles] == [3, 3, 3]
    g = rng.uniform(1e-6, 1e-4, (*batch, 10, 7))
    tiled.conductances = g
    np.testing.assert_array_equal(tiled.conductances, g)
    v, c = rng.uniform(-0.2, 0.2, (*batch, 6, 10)), rng.uniform(-0.2, 0.2, (*batch, 6, 7))
    np.testing.assert_allclose(tiled.read(v), v @ g, rtol=1e-10)
    np.testing.assert_allclose(tiled.read_transposed(c), c @ g.swapaxes(-1, -2), rtol=1e-10)
    counts = rng.integers(-3, 4, tiled.shape)
    tiled.pulse(counts)
    expected = np.clip(g + counts * presets.IDEAL.window / 256, 1e-6, 1e-4)
    np.testing.assert_allclose(tiled.conductances, expected, rtol=1e-5)


def test_tiles_lose_less_in_their_wires_than_one_large_array() -> None:
    losses = []
    for tile in ((32, 32), (8, 8)):
        tiled = TiledCrossbar(32, 32, presets.IDEAL, tile=tile, wires=Wires(2.0, 2.0))
        tiled.conductances = 50e-6
        losses.append(1 - tiled.read(np.full(32, 0.2)).mean() / (32 * 0.2 * 50e-6))
    assert losses[0] > 4 * losses[1] > 0


def test_tiles_have_noise_of_their_own_and_repeat_with_the_seed() -> None:
    def programmed(seed: int) -> np.ndarray:
        tiled = TiledCrossbar(8, 8, presets.RRAM_MILO_2021, tile=(4, 4), seed=seed)
        tiled.program(1e-4)
        tiled.update(np.ones(8), np.ones(8))
        tiled.wait(1.0)
        return tiled.conductances

    first = programmed(1)
    np.testing.assert_array_equal(first, programmed(1))
    assert not np.array_equal(first, programmed(2))
    assert len(np.unique(first)) == 64


@pytest.mark.parametrize(
    ("names", "call"),
    [
        ("columns", lambda: PairedCrossbar(2, 0)),
        ("weights", lambda: PairedCrossbar(2, 2).program(1.5)),
        ("weights", lambda: PairedCrossbar(2, 2).program(np.zeros((3, 2)))),
        ("last axis", lambda: PairedCrossbar(2, 2).read_transposed([0.1])),
        ("tile", lambda: TiledCrossbar(4, 4, tile=(0, 2))),
        ("rows", lambda: TiledCrossbar(0, 4)),
        ("voltages", lambda: TiledCrossbar(4, 4).read([0.1])),
        ("targets", lambda: TiledCrossbar(4, 4).program(-1.0)),
    ],
)
def test_bad_pairs_and_tiles(names: str, call) -> None:
    with pytest.raises(ValueError, match=names) as caught:
        call()
    assert "must be" in str(caught.value)
