"""Figures of a classifier's answers against the truth, and what in them is worth a warning.

An accuracy alone misleads: a class that is rare may never be answered, and in a stream whoever
repeats the last label is nearly always right. So every accuracy comes with the figures here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

NONE = -1
"""The answer of a sample whose margin was too small to answer."""
MARGIN_BINS = 8
"""Parts of the range of margins, 0 to 255, in which they are held against the truth."""


def classification(truth: ArrayLike, answers: ArrayLike, names: Sequence[str]) -> dict[str, Any]:
    """Scores of answers, as in the JSON of `learn` and `predict`.

    Args:
        truth: class of each sample, int (samples,).
        answers: class that was answered, int (samples,); `NONE` where none was.
        names: of the classes, in their order.

    Returns:
        "accuracy": fraction answered right; an answer `NONE` is not right.
        "balanced_accuracy": mean of the recalls of the classes that occur.
        "confusion": counts (classes, classes) as lists, rows = truth, columns = answer.
        "per_class": for each name "samples", "recall" (None where the class does not occur) and
        "precision" (None where it was never answered).
        "unanswered": how many answers are `NONE`.

    Raises:
        ValueError: the lengths differ, or there are no samples.
    """
    y, a = np.asarray(truth, np.int64), np.asarray(answers, np.int64)
    if y.shape != a.shape or y.ndim != 1 or not len(y):
        raise ValueError("truth and answers must be as long as each other, and not empty")
    n = len(names)
    answered = a != NONE
    confusion = np.bincount(y[answered] * n + a[answered], minlength=n * n).reshape(n, n)
    samples = np.bincount(y, minlength=n)
    right, given = confusion.diagonal(), confusion.sum(axis=0)
    occurs = samples > 0
    return {
        "accuracy": float(np.mean(a == y)),
        "balanced_accuracy": float(np.mean(right[occurs] / samples[occurs])),
        "confusion": confusion.tolist(),
        "per_class": {
            name: {
                "samples": int(samples[k]),
                "recall": float(right[k] / samples[k]) if samples[k] else None,
                "precision": float(right[k] / given[k]) if given[k] else None,
            }
            for k, name in enumerate(names)
        },
        "unanswered": int(np.count_nonzero(~answered)),
    }


def calibration(
    truth: ArrayLike, answers: ArrayLike, margins: ArrayLike
) -> list[dict[str, float | int]]:
    """Tell how often answers are right that come with a margin from here to there.

    Args:
        truth: class of each sample, int (samples,).
        answers: the class that was answered, int (samples,).
        margins: of each answer, 0…255: how far the most active output is ahead of the second.

    Returns:
        For each part of the range that has samples: "from" and "to" (margins, both included),
        "samples", and "right", the fraction of them.
    """
    y, a, m = (np.asarray(each, np.int64) for each in (truth, answers, margins))
    width = 256 // MARGIN_BINS
    found: list[dict[str, float | int]] = []
    for low in range(0, 256, width):
        inside = (m >= low) & (m < low + width)
        if inside.any():
            found.append(
                {
                    "from": low,
                    "to": low + width - 1,
                    "samples": int(inside.sum()),
                    "right": float(np.mean(a[inside] == y[inside])),
                }
            )
    return found


def no_change(truth: ArrayLike, begins: ArrayLike | None = None) -> float | None:
    """Accuracy of repeating the label of the sample before, in the order of time.

    Args:
        truth: class of each sample, int (samples,).
        begins: whether a sample is the first of a recording, bool (samples,), and so has none
            before it; None: only the first one.

    Returns:
        The fraction of the samples with one before them; None where there is none.
    """
    y = np.asarray(truth, np.int64)
    follows = np.arange(len(y)) > 0
    if begins is not None:
        follows &= ~np.asarray(begins, bool)
    follows[1:] &= (y[1:] != NONE) & (y[:-1] != NONE)
    at = np.flatnonzero(follows)
    return float(np.mean(y[at] == y[at - 1])) if len(at) else None


def top_two(outputs: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The answer, the second best and the margin of output activities.

    Args:
        outputs: 0…255, (samples, classes).

    Returns:
        The most active output, the lowest index on a tie; the most active of the others, likewise;
        and by how much the first is ahead, 0…255; int64 (samples,) each. With one class the
        second is the first, and the margin its activity.
    """
    u = np.asarray(outputs, np.int64)
    rows = np.arange(len(u))
    first = u.argmax(axis=1)
    if u.shape[1] == 1:
        return first, first, u[:, 0]
    others = u.copy()
    others[rows, first] = -1
    second = others.argmax(axis=1)
    return first, second, u[rows, first] - u[rows, second]


def warnings(found: dict[str, Any] | None, *, clipped: int = 0, values: int = 0) -> list[str]:
    """Say what a user should know of these scores.

    Args:
        found: from `classification`; None without labels.
        clipped: how many values of the test set lay outside the scale.
        values: how many there are.

    Returns:
        A sentence each.
    """
    said = []
    never = [
        name
        for name, one in (found["per_class"].items() if found else ())
        if one["samples"] and one["precision"] is None
    ]
    if found and never:
        each = [found["per_class"][name]["samples"] for name in never]
        said.append(
            f"never answered: {', '.join(never)} ({sum(each):,} of"
            f" {sum(one['samples'] for one in found['per_class'].values()):,} samples);"
            f" balanced accuracy is {100 * found['balanced_accuracy']:.1f} %"
        )
    if clipped:
        said.append(
            f"{clipped:,} of {values:,} values lie outside the range that was learned from,"
            " and were clipped to its ends"
        )
    return said
