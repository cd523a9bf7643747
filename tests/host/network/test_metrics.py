"""Figures of answers, held against scikit-learn's."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as judge

from madem.network import metrics


@st.composite
def answered(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    n = draw(st.integers(1, 6))
    size = draw(st.integers(1, 60))
    each = st.lists(st.integers(0, n - 1), min_size=size, max_size=size)
    names = tuple(f"class {k}" for k in range(n))
    return np.array(draw(each)), np.array(draw(each)), names


@given(answered())
def test_scores_are_those_of_scikit_learn(
    case: tuple[np.ndarray, np.ndarray, tuple[str, ...]],
) -> None:
    y, a, names = case
    found = metrics.classification(y, a, names)
    labels = list(range(len(names)))
    assert found["accuracy"] == pytest.approx(judge.accuracy_score(y, a))
    assert found["confusion"] == judge.confusion_matrix(y, a, labels=labels).tolist()
    each: Any = {"labels": labels, "average": None, "zero_division": 0}  # a score for each class
    recall = np.asarray(judge.recall_score(y, a, **each))
    precision = np.asarray(judge.precision_score(y, a, **each))
    occurs = np.bincount(y, minlength=len(names)) > 0
    assert found["balanced_accuracy"] == pytest.approx(recall[occurs].mean())
    for k, one in enumerate(found["per_class"].values()):
        assert one["samples"] == np.count_nonzero(y == k)
        assert one["recall"] == (pytest.approx(recall[k]) if occurs[k] else None)
        assert one["precision"] == (pytest.approx(precision[k]) if (a == k).any() else None)


def test_no_answer_is_not_right_and_in_no_column() -> None:
    found = metrics.classification([0, 0, 1], [0, metrics.NONE, metrics.NONE], ("a", "b"))
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["confusion"] == [[1, 0], [0, 0]]
    assert found["unanswered"] == 2
    assert found["per_class"]["b"] == {"samples": 1, "recall": 0.0, "precision": None}


@pytest.mark.parametrize(("y", "a"), [([], []), ([0], [0, 0]), ([[0]], [[0]])])
def test_lengths_must_agree(y: list, a: list) -> None:
    with pytest.raises(ValueError, match="as long as each other"):
        metrics.classification(y, a, ("a",))


def test_repeating_the_last_label() -> None:
    assert metrics.no_change([0, 0, 0, 1, 1]) == 3 / 4
    assert metrics.no_change([0, 0, 0, 1, 1], [True, False, False, True, False]) == 1.0
    assert metrics.no_change([0]) is None
    assert metrics.no_change([0, 1], [True, True]) is None


def test_the_first_of_equal_outputs_is_the_answer_and_the_next_the_second() -> None:
    first, second, margin = metrics.top_two([[5, 9, 9], [0, 0, 0], [255, 3, 254]])
    assert (first.tolist(), second.tolist(), margin.tolist()) == ([1, 0, 0], [2, 1, 2], [0, 0, 1])
    first, second, margin = metrics.top_two([[7]])
    assert (first.tolist(), second.tolist(), margin.tolist()) == ([0], [0], [7])


def test_margins_are_counted_once_each_from_end_to_end() -> None:
    margins = np.arange(256)
    right = np.where(margins >= 128, 1, 0)
    found = metrics.calibration(np.ones(256, int), right, margins)
    assert [one["from"] for one in found] == list(range(0, 256, 32))
    assert sum(one["samples"] for one in found) == 256
    assert [one["right"] for one in found] == [0.0] * 4 + [1.0] * 4


def test_a_class_that_is_never_answered_is_told() -> None:
    found = metrics.classification([0] * 19 + [1], [0] * 20, ("usual", "rare"))
    (said,) = metrics.warnings(found)
    assert said.startswith("never answered: rare (1 of 20 samples)")
    assert "50.0 %" in said
    assert metrics.warnings(metrics.classification([0, 1], [0, 1], ("a", "b"))) == []


def test_clipped_values_are_told() -> None:
    found = metrics.classification([0, 1], [0, 1], ("a", "b"))
    (said,) = metrics.warnings(found, clipped=3, values=8)
    assert said.startswith("3 of 8 values lie outside")
