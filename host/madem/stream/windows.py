"""The result of a window of a stream, and how well a learner does along a stream of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class WindowResult:
    """One window of a stream, tested and perhaps learned after that.

    Attributes:
        number: counts the windows of a run, from 0.
        t_s: when its last sample was taken, in seconds from the stream's beginning; None where
            the stream has no rate.
        answer: the class that the free phase gave, before anything was learned; None where there
            are no classes.
        margin: activity of the answer's output above the next highest, 0…255; None where it was
            not asked for.
        label: the true class; None where it is not known.
        learned: the weights were changed by it.
        rolled_back: the network then went back to its checkpoint.
        score: how new the window is (docs/reference/features.md, "Novelty"); None where nothing
            is scored.
        new: the score is far above what is usual.
    """

    number: int
    t_s: float | None = None
    answer: int | None = None
    margin: int | None = None
    label: int | None = None
    learned: bool = False
    rolled_back: bool = False
    score: int | None = None
    new: bool = False

    @property
    def right(self) -> bool | None:
        """Whether the answer is the label; None where one of them is missing."""
        return None if self.label is None or self.answer is None else self.answer == self.label


def taught_in_blocks(labels: Sequence[int]) -> bool:
    """Tell whether each class came only once, in a block of its own.

    A network that is taught so unlearns the first classes while it learns the last.

    Args:
        labels: class of each window that was learned, in their order.

    Returns:
        Whether there are two classes or more, and none came again after another.
    """
    blocks = [label for label, _ in groupby(labels)]
    return len(blocks) > 1 and len(set(blocks)) == len(blocks)


class RunningAccuracy:
    """Prequential accuracy with a fading memory: test each window, then learn it.

    With fading factor α = 1 - 1/windows the newest window weighs 1, the one before α, then α², …
    (Gama, Sebastião and Rodrigues, "On evaluating stream learning algorithms", Machine Learning
    90, 2013: S_i / B_i with S_i = right_i + α S_(i-1) and B_i = 1 + α B_(i-1)).

    Attributes:
        value: the accuracy, 0…1; None before the first window.
        count: windows so far.
    """

    def __init__(self, windows: float = 50.0) -> None:
        """Begin with no window.

        Args:
            windows: that are remembered.

        Raises:
            ValueError: there is less than one.
        """
        if not windows >= 1:
            raise ValueError(f"windows is {windows}, but must be at least 1")
        self._fading = 1 - 1 / windows
        self._right = self._weight = 0.0
        self.count = 0

    @property
    def value(self) -> float | None:
        """The accuracy, 0…1; None before the first window."""
        return self._right / self._weight if self.count else None

    def add(self, right: bool) -> float:
        """Take the next window.

        Args:
            right: whether its answer was.

        Returns:
            The accuracy with it, 0…1.
        """
        self._right = right + self._fading * self._right
        self._weight = 1 + self._fading * self._weight
        self.count += 1
        return self._right / self._weight
