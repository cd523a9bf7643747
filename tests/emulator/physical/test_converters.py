"""DAC, ADC, sense amplifier, and the front end that they make with a crossbar."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madem_emulator import Crossbar
from madem_emulator.physical.converters import Adc, Conversion, Dac, SenseAmplifier
from madem_emulator.physical.front_end import FrontEnd

RNG = np.random.default_rng(1)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.floats(-1, 1), st.floats(0.1, 2))
def test_ideal_converters_are_each_others_inverse(bits: int, low: float, span: float) -> None:
    data = Conversion(bits, low, low + span)
    codes = np.arange(2**bits)
    volts = Dac(data).convert(codes)
    assert volts[0] == pytest.approx(low)
    assert volts[-1] == pytest.approx(low + span)
    np.testing.assert_array_equal(Adc(data).convert(volts), codes)
    # Half a step to either side is still the same code, a little more is the next.
    inside = volts + 0.49 * data.step
    np.testing.assert_array_equal(Adc(data).convert(inside), codes)
    above = Adc(data).convert(volts + 0.51 * data.step)
    np.testing.assert_array_equal(above, np.minimum(codes + 1, data.top))


def test_converters_saturate() -> None:
    data = Conversion(8, -0.2, 0.2)
    np.testing.assert_array_equal(Adc(data).convert([-5.0, 5.0]), [0, 255])
    np.testing.assert_allclose(Dac(data).convert(np.array([-9, 999])), [-0.2, 0.2])


def test_offset_and_gain_error() -> None:
    data = Conversion(10, 0.0, 1.0, offset=0.01, gain_error=0.05)
    np.testing.assert_allclose(Dac(data).convert(np.array([0, 1023])), [0.01, 1.06])
    assert Adc(data).convert(0.5) == round((0.5 * 1.05 + 0.01) * 1023)


def test_inl_bows_the_middle_and_dnl_spreads_the_steps() -> None:
    bow = Dac(Conversion(8, 0.0, 255.0, inl=2.0)).convert(np.arange(256))
    off = bow - np.arange(256)
    assert off[0] == off[-1] == 0
    assert np.abs(off).max() == pytest.approx(2.0, abs=1e-3)
    assert np.abs(off).argmax() in (127, 128)

    data = Conversion(14, 0.0, 1.0, dnl=0.2)
    rough = Dac(data, seed=3).convert(np.arange(2**14)) / data.step
    steps = np.diff(rough)
    assert rough[0] == 0
    assert rough[-1] == pytest.approx(16383)
    assert steps.std() == pytest.approx(0.2, rel=4.5 / math.sqrt(2 * 16383))
    again = Dac(data, seed=3).convert(np.arange(2**14)) / data.step
    np.testing.assert_array_equal(again, rough)


def test_an_adc_with_the_errors_of_a_dac_reads_that_dac_back() -> None:
    """Static errors have one meaning for both: the ADC's codes sit at the DAC's levels."""
    data = Conversion(8, 0.0, 1.0, inl=1.5, dnl=0.1)
    codes = np.arange(256)
    found = Adc(data, seed=5).convert(Dac(data, seed=5).convert(codes))
    np.testing.assert_array_equal(found, codes)
    assert (Adc(Conversion(8, 0.0, 1.0)).convert(Dac(data, seed=5).convert(codes)) != codes).any()


def test_converter_noise() -> None:
    volts = Dac(Conversion(8, 0.0, 1.0, noise=0.003)).convert(np.full(20_000, 100))
    assert volts.std() == pytest.approx(0.003, rel=4.5 / math.sqrt(40_000))
    codes = Adc(Conversion(16, 0.0, 1.0, noise=0.003)).convert(np.full(20_000, 0.5))
    assert codes.std() / 65535 == pytest.approx(0.003, rel=4.5 / math.sqrt(40_000))


def test_gain_ranging_takes_the_largest_gain_that_fits() -> None:
    amplifier = SenseAmplifier(gains=(1e3, 1e4, 1e5), limit=1.0)
    currents = np.array([[1e-6, -9e-6], [1e-6, 2e-5], [1e-6, 5e-3]])
    volts, gain = amplifier.convert(currents, RNG)
    np.testing.assert_allclose(gain, [1e5, 1e4, 1e3])
    np.testing.assert_allclose(volts, [[0.1, -0.9], [0.01, 0.2], [1e-3, 1.0]])


def test_amplifier_offset_noise_and_settling() -> None:
    amplifier = SenseAmplifier((1e4,), 1.0, offset=1e-6, time_constant=1e-7, sample_time=2e-7)
    volts, _ = amplifier.convert(np.array([1e-5]), RNG)
    np.testing.assert_allclose(volts, 1.1e-5 * 1e4 * (1 - math.exp(-2)))
    noisy = SenseAmplifier((1e4,), 1.0, noise=1e-7)
    volts, _ = noisy.convert(np.zeros(20_000), RNG)
    assert volts.std() == pytest.approx(1e-3, rel=4.5 / math.sqrt(40_000))


def make_front_end(lines_per_adc: int = 1) -> FrontEnd:
    xbar = Crossbar(6, 4)
    xbar.conductances = np.random.default_rng(1).uniform(1e-6, 1e-4, (6, 4))
    return FrontEnd(
        xbar,
        Dac(Conversion(8, -0.2, 0.2, time=1e-7, energy=1e-12)),
        SenseAmplifier((1e3, 1e4), 1.0, sample_time=5e-7, energy=2e-12),
        Adc(Conversion(12, -1.0, 1.0, time=1e-6, energy=3e-12)),
        lines_per_adc=lines_per_adc,
    )


def test_front_end_reads_products_in_both_directions() -> None:
    front = make_front_end()
    g = front.crossbar.conductances
    codes = np.array([0, 50, 100, 150, 200, 255])
    reading = front.forward(codes)
    exact = front.dac.value(codes) @ g
    # One step of the ADC at the larger gain is 2 V / 4095 / 10 kΩ.
    np.testing.assert_allclose(reading.amperes, exact, atol=0.51 * 2 / 4095 / 1e4)
    assert reading.codes.shape == (4,)
    back = front.transposed(np.array([[10, 20, 30, 40], [255, 0, 255, 0]]))
    exact = front.dac.value([[10, 20, 30, 40], [255, 0, 255, 0]]) @ g.T
    np.testing.assert_allclose(back.amperes, exact, atol=0.51 * 2 / 4095 / 1e3)


def test_front_end_counts_time_and_energy() -> None:
    front = make_front_end(lines_per_adc=3)
    front.forward(np.zeros((5, 6), int))
    # 4 lines on ADCs of 3 lines each: two turns.
    assert front.time == pytest.approx(5 * (1e-7 + 5e-7 + 2e-6))
    assert front.energy == pytest.approx(30 * 1e-12 + 20 * 5e-12)
    assert (front.dac.conversions, front.adc.conversions) == (30, 20)
    assert front.crossbar.counters.reads == 5


@pytest.mark.parametrize(
    ("names", "call"),
    [
        ("bits", lambda: Conversion(0, 0.0, 1.0)),
        ("bits", lambda: Conversion(17, 0.0, 1.0)),
        ("low", lambda: Conversion(8, 1.0, 1.0)),
        ("noise", lambda: Conversion(8, 0.0, 1.0, noise=-1.0)),
        ("gains", lambda: SenseAmplifier((), 1.0)),
        ("gains", lambda: SenseAmplifier((2e3, 1e3), 1.0)),
        ("limit", lambda: SenseAmplifier((1e3,), 0.0)),
        ("codes", lambda: Dac(Conversion(8, 0.0, 1.0)).convert(np.array([0.5]))),
        ("lines_per_adc", lambda: make_front_end(0)),
        (
            "DAC",
            lambda: FrontEnd(
                Crossbar(2, 2),
                Dac(Conversion(8, -2.0, 2.0)),
                SenseAmplifier((1e3,), 1.0),
                Adc(Conversion(8, -1.0, 1.0)),
            ),
        ),
    ],
)
def test_bad_converters(names: str, call) -> None:
    with pytest.raises(ValueError, match=names) as caught:
        call()
    assert "must be" in str(caught.value)
