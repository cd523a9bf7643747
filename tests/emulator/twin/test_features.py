"""The features mean what they are called: against floating-point signal processing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madem_emulator.twin.features import TwinFeatures, features_of, log2_64
from madem_emulator.twin.pipeline import Pipeline


def features(pipeline: Pipeline, x: np.ndarray) -> np.ndarray:
    return TwinFeatures(pipeline).windows(x)[0]


def test_golden_values() -> None:
    """Worked out by hand: x = −4 … 3, its mean rounds to −1."""
    every = Pipeline(1, 8, 8, mean=True, energy=True, zero=True, minmax=True)
    # d = −3 … 4 in a block of 2^−8: Σ d² = 44, // 8 after scaling: 44 · 65536 / 8 = 360448,
    # 64 log2 is 64 · 18 + 24, less 128 · 8.
    assert features(every, np.arange(-4, 4)).tolist() == [-1, 64 * 18 + 24 - 1024, 1, -4, 3]


@given(st.integers(1, 2**30))
def test_the_logarithm_is_right_to_a_tenth_of_an_octave(value: int) -> None:
    exact = 64 * np.log2(value)
    assert exact - 6.6 < log2_64(np.array(value)) <= exact + 1e-9


@given(seed=st.integers(0, 1000), exponent=st.integers(5, 14))
def test_energy_is_the_logarithm_of_the_variance(seed: int, exponent: int) -> None:
    x = np.random.default_rng(seed).integers(-(2**exponent), 2**exponent, 100)
    found = features(Pipeline(1, 100, 100, energy=True), x)
    assert found[0] == pytest.approx(64 * np.log2(x.var()), abs=8)


def test_energy_does_not_see_an_offset_and_follows_the_gain() -> None:
    x = np.random.default_rng(1).integers(-500, 500, 64)
    one = Pipeline(1, 64, 64, energy=True, bands=8)
    quiet = features(one, x)
    assert np.abs(features(one, x + 7000) - quiet).max() <= 2
    assert np.abs(features(one, 8 * x) - quiet - 3 * 128).max() <= 4


@pytest.mark.parametrize("scale", [30, 300, 30000])
@pytest.mark.parametrize("n", [16, 32, 64])
def test_bands_are_those_of_a_windowed_fourier_transform(scale: int, n: int) -> None:
    random = np.random.default_rng(2)
    window = n + n // 4
    x = np.rint(np.clip(random.normal(0, scale / 3, window), -scale, scale)).astype(int)
    found = features(Pipeline(1, window, window, bands=4), x)

    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    spectrum = np.fft.rfft((x[-n:] - x.mean()) * hann)[1:]
    amplitude = np.abs(spectrum) / (n / 4)  # of a tone that has this line
    exact = 64 * np.log2((amplitude**2).reshape(4, -1).sum(axis=1))
    assert found == pytest.approx(exact, abs=14)


def test_a_tone_has_its_amplitude() -> None:
    for n, amplitude in ((16, 50), (32, 700), (64, 20000)):
        x = np.rint(amplitude * np.cos(2 * np.pi * 4 * np.arange(n) / n)).astype(int)
        found = features(Pipeline(1, n, n, bands=n // 2), x)
        # A Hann taper puts half of the amplitude into either neighbour.
        assert found[3] == pytest.approx(128 * np.log2(amplitude), abs=9)
        assert found[2:5:2] == pytest.approx(128 * np.log2(amplitude / 2), abs=9)


def test_a_tone_is_in_its_band() -> None:
    t = np.arange(64)
    for cycles in range(2, 31):
        x = np.rint(1000 * np.sin(2 * np.pi * cycles * t / 64 + 0.3)).astype(int)
        found = features(Pipeline(1, 64, 64, bands=8), x)
        assert found.argmax() == (cycles - 1) // 4, cycles


def test_zero_crossings_count_half_waves() -> None:
    t = np.arange(200)
    x = np.rint(1000 * np.sin(2 * np.pi * 5 * (t + 0.5) / 200)).astype(int) + 4000
    assert features(Pipeline(1, 200, 200, zero=True), x)[0] == 9


def test_a_silent_channel_has_no_levels() -> None:
    found = features(Pipeline(1, 32, 32, energy=True, zero=True, bands=4), np.full(32, -77))
    assert found.tolist() == [0] * 6


def test_in_pieces_the_same_windows_come() -> None:
    pipeline = Pipeline(2, 16, 5, mean=True, minmax=True)
    x = np.random.default_rng(3).integers(-9, 9, (100, 2))
    twin = TwinFeatures(pipeline)
    pieces = np.concatenate([twin.windows(part) for part in np.array_split(x, 13)])
    assert np.array_equal(pieces, TwinFeatures(pipeline).windows(x))
    assert len(pieces) == pipeline.windows(100)
    twin.restart()
    assert np.array_equal(twin.windows(x), pieces)


def test_channels_do_not_mix() -> None:
    x = np.random.default_rng(4).integers(-99, 99, (32, 3))
    one = Pipeline(1, 32, 32, mean=True, energy=True, bands=2)
    three = Pipeline(3, 32, 32, mean=True, energy=True, bands=2)
    assert features(three, x).tolist() == [v for c in range(3) for v in features(one, x[:, c])]


def test_the_normalisation_follows_a_drift() -> None:
    """After a gain and an offset change, inputs come back to what they were."""
    random = np.random.default_rng(5)
    pipeline = Pipeline(1, 16, 16, mean=True, energy=True, norm=4)
    twin = TwinFeatures(pipeline)
    x = random.normal(0, 100, 16 * 600)
    x[16 * 300 :] = 5 * x[16 * 300 :] + 2000
    codes = twin.codes(twin.windows(np.rint(x).astype(int)), True).astype(int)
    size = codes.sum(axis=1)
    before, shock, after = size[150:300], size[300:304], size[450:]
    assert shock.mean() > 2 * before.mean()
    assert after.mean() == pytest.approx(before.mean(), rel=0.2)
    # Above and below never together.
    assert not np.any(codes[:, ::2] * codes[:, 1::2])


def test_a_frozen_normalisation_stays() -> None:
    twin = TwinFeatures(Pipeline(1, 8, 8, mean=True))
    windows = twin.windows(np.random.default_rng(6).integers(-50, 50, 80))
    twin.codes(windows, True)
    state = twin.centre.copy(), twin.spread.copy(), twin.seen
    first = twin.codes(windows, False)
    assert np.array_equal(first, twin.codes(windows, False))
    assert (twin.centre == state[0]).all()
    assert (twin.spread == state[1]).all()
    assert twin.seen == state[2] == 10


def test_every_intermediate_fits_the_word() -> None:
    """The largest sums of the page, from the inputs that make them largest."""
    x = np.where(np.arange(64) % 2, 32767, -32768)
    block = x >> 5
    tapered = np.abs((block * (127 - np.full(64, -127))) >> 7)
    assert (2048**2) * 256 <= 2**30
    assert 127 * tapered.sum() < 2**31
    found = features_of(Pipeline(1, 64, 64, energy=True, bands=32), x[None])
    assert found.max() < 2**15
