"""Values in place of DAC codes or counts are refused in one line, by all that takes them."""

from typing import Any

import numpy as np
import pytest

from madem_emulator.twin.codes import checked_codes, checked_counts
from madem_emulator.twin.config import Rule, Settings
from madem_emulator.twin.twin import Twin


def test_codes_and_counts_are_passed_as_they_are() -> None:
    codes = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert checked_codes(codes, 3) is codes
    assert checked_codes(codes[0], 3).tolist() == [0, 1, 2]
    listed = checked_codes([[0, 128, 255]], 3)
    assert (listed.dtype, listed.tolist()) == (np.uint8, [[0, 128, 255]])
    counts = np.arange(6, dtype=np.int16).reshape(3, 2)
    assert checked_counts(counts, 2) is counts


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (np.array([[0.0, 1.0, 0.5]]), "not float64 from 0 to 1: make codes of values with Scaling"),
        (np.array([[0, 16, 4]]), "not int64 from 0 to 16"),
        ([[0, 300, -4]], "not int64 from -4 to 300"),
        ([[0, 0.5, 1]], "not float64 from 0 to 1"),
        (np.array([[True, False, True]]), "not bool from 0 to 1"),
        (np.array([["a", "b", "c"]]), "not <U1:"),
        (np.zeros((0, 3)), "not float64:"),
        (np.zeros((2, 4), np.uint8), r"shape \(2, 4\), but the network has 3 inputs"),
        (np.uint8(3), r"shape \(\), but the network has 3 inputs"),
    ],
)
def test_what_is_no_code_is_refused_with_the_remedy(x: Any, told: str) -> None:
    twin = Twin(Settings(sizes=(3, 2)).integers())
    calls = (
        lambda: checked_codes(x, 3),
        lambda: twin.predict(x),
        lambda: twin.predict_many(x),
        lambda: twin.free_phase(x),
        lambda: twin.learn(100, x, 1),
    )
    for call in calls:
        with pytest.raises(ValueError, match=told) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert twin.steps == 0


def test_a_row_alone_is_no_set_of_samples() -> None:
    with pytest.raises(ValueError, match="a row of 3 codes for each sample"):
        checked_codes(np.zeros(3, np.uint8), 3, rows=True)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        Twin(Settings(sizes=(3, 2)).integers()).predict_many(np.zeros(3, np.uint8))


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        (np.array([[0.02, 1.0]]), "are counts, int16, not float64 from 0.02 to 1: make counts"),
        (np.array([[40000, 1]]), "not int64 from 1 to 40000"),
        (np.zeros((4, 3), np.int16), "but the pipeline has 2 channels"),
        (np.zeros(4, np.int16), "but the pipeline has 2 channels"),
    ],
)
def test_what_is_no_count_is_refused_with_the_remedy(samples: np.ndarray, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        checked_counts(samples, 2)
    assert "\n" not in str(caught.value)


def test_a_rule_is_chosen_by_its_name() -> None:
    for name, rule in {
        "centred": Rule.CENTRED, "one-sided": Rule.ONE_SIDED, "clamped": Rule.CLAMPED,
    }.items():  # fmt: skip
        assert Settings(sizes=(3, 2), rule=name).integers().rule is rule  # type: ignore[arg-type]
    for wrong in ("hebb", 1, None):
        with pytest.raises(ValueError, match="must be one of centred, one-sided, clamped"):
            Settings(sizes=(3, 2), rule=wrong)  # type: ignore[arg-type]
