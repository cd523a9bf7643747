"""Prequential accuracy is what its definition says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madem.stream.windows import RunningAccuracy, WindowResult


@given(rights=st.lists(st.booleans(), min_size=1, max_size=60), memory=st.integers(1, 40))
def test_the_running_accuracy_is_the_weighted_mean(rights: list[bool], memory: int) -> None:
    running = RunningAccuracy(memory)
    assert running.value is None
    found = [running.add(right) for right in rights]
    weights = [(1 - 1 / memory) ** age for age in range(len(rights))]
    weighted = sum(w * right for w, right in zip(weights, reversed(rights), strict=True))
    assert found[-1] == running.value == pytest.approx(weighted / sum(weights))
    assert running.count == len(rights)
    assert found[0] == rights[0]


def test_a_memory_of_less_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        RunningAccuracy(0.5)


def test_a_window_without_a_label_is_neither_right_nor_wrong() -> None:
    assert WindowResult(0, answer=2).right is None
    assert WindowResult(0, answer=2, label=2).right is True
    assert WindowResult(0, answer=2, label=1).right is False
