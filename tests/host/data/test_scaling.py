"""From values to DAC codes: monotonic, whole at the ends, and the integers of the page."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from madem.data.scaling import COUNTS, FULL_SCALE, Scaling


def test_scaling_reaches_both_ends_clips_and_rounds() -> None:
    scaling = Scaling.fit(np.array([[0.0, -5.0], [10.0, 5.0]]))

    codes = scaling.codes([[0, -5], [10, 5], [5, 0], [-1, 99], [0.02, 4.99]])

    assert codes.tolist() == [[0, 0], [255, 255], [128, 128], [0, 255], [1, 255]]
    assert scaling.clipped([[0, -5], [10, 5], [-1, 99]]) == 2


def test_a_feature_that_is_constant_in_the_training_part_gives_zero() -> None:
    scaling = Scaling.fit(np.array([[3.0, 0.0], [3.0, 1.0]]))

    assert scaling.codes([[3, 0], [7, 1]]).tolist() == [[0, 0], [0, 255]]


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=20),
    st.floats(-1e300, 1e300),
)
@example([1e9, 1e9 + 1], 1e9 + 0.5)
@example([0.0, 5e-324], 1.0)
@example([1.0, 1.0, 1.0, -9.2e-290], 0.0)
def test_scaling_is_monotonic_and_never_leaves_the_codes(train: list[float], other: float) -> None:
    scaling = Scaling.fit(np.array(train)[:, None])

    values = np.sort([*train, other])
    codes = scaling.codes(values[:, None]).ravel().astype(int)

    assert np.all(np.diff(codes) >= 0)
    if max(train) - min(train) > 1e-290:
        assert scaling.codes([[min(train)], [max(train)]]).ravel().tolist() == [0, 255]


@given(
    st.integers(-COUNTS, COUNTS - 1),
    st.integers(-COUNTS, COUNTS - 1),
    st.lists(st.integers(-COUNTS, COUNTS - 1), min_size=1),
)
def test_codes_are_the_page_s_integers_and_fit_32_bits(a: int, b: int, counts: list[int]) -> None:
    low, high = min(a, b), max(a, b)
    scaling = Scaling(
        np.array([low]), np.array([high]), np.zeros(1, np.int64), np.zeros(1), fitted=True
    )
    shift = max(0, (high - low).bit_length() - 21)
    width = (high - low) >> shift
    expected = []
    for count in counts:
        inside = min(max(count - low, 0), high - low) >> shift
        assert inside * 2 * FULL_SCALE + width < 2**31
        expected.append((inside * 2 * FULL_SCALE + width) // (2 * width) if width else 0)
    assert scaling.encode(np.array(counts)[:, None]).ravel().tolist() == expected


@pytest.mark.parametrize(
    ("low", "span"),
    [
        *((low, span) for low in (0.0, -1.0, 1e-12, 1e9) for span in (1e-3, 1.0, 16.0, 1e6)),
        (-3e15, 1e6),
        (1e280, 1e280),
    ],
)
def test_every_code_is_reached_and_they_are_evenly_wide(low: float, span: float) -> None:
    high = low + span
    scaling = Scaling.between([low], [high])
    values = np.linspace(low, high, 2551)[:, None]
    codes = scaling.codes(values).ravel()
    exact = (values.ravel() - low) / (high - low) * FULL_SCALE
    assert np.abs(codes - exact).max() <= 0.6
    assert len(set(codes.tolist())) == 256


def test_ranges_are_those_that_were_asked_for() -> None:
    low, high = Scaling.between([0.0, -4.3, 1e9], [16.0, 7.9, 1e9 + 1]).range()
    assert low == pytest.approx([0.0, -4.3, 1e9])
    assert high == pytest.approx([16.0, 7.9, 1e9 + 1])


def test_outliers_do_not_stretch_the_range_and_are_counted() -> None:
    g = np.random.default_rng(1)
    x = g.normal(5, 1, (150, 2))
    x[[3, 70], 0] = 65535
    robust, plain = Scaling.fit(x), Scaling.fit(x, "range")
    assert robust.range()[1][0] < 10
    assert plain.range()[1][0] == pytest.approx(65535, rel=1e-3)
    assert robust.clipped(x) == 2
    assert np.array_equal(robust.codes(x)[:, 1], plain.codes(x)[:, 1])


def test_a_feature_that_is_mostly_one_value_keeps_its_others() -> None:
    x = np.zeros((100, 1))
    x[:5] = [[1], [2], [3], [4], [5]]
    assert Scaling.fit(x).codes(x[:5]).ravel().tolist() == [51, 102, 153, 204, 255]
