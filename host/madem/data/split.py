"""Which samples are for training and which for the test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.errors import TaskError

_SPLIT = 0
"""Random stream of a seed, independent of those of task.py."""


class Parts(NamedTuple):
    """Indices of samples, int64, in ascending order.

    Attributes:
        train, test: of the training and of the test samples.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def split(y: NDArray[np.int64], test_fraction: float, seed: int) -> Parts:
    """Split samples.

    Stratified: each class gives its share to the test set, to the nearest sample that lets the
    sum come out right, and keeps at least one sample on either side.

    Args:
        y: class of each sample, (samples,), each class at least twice.
        test_fraction: between 0 and 1; the test set is rounded up.
        seed: the same seed gives the same split.

    Returns:
        Both parts.
    """
    counts = np.bincount(y)
    share = counts * test_fraction
    quota = np.floor(share + 1e-9).astype(np.int64)
    missing = math.ceil(share.sum() - 1e-9) - quota.sum()
    quota[np.argsort(quota - share, kind="stable")[:missing]] += 1
    quota = np.clip(quota, 1, counts - 1)

    random = np.random.default_rng([seed, _SPLIT])
    test = np.zeros(len(y), bool)
    for label, size in enumerate(quota):
        test[random.permutation(np.flatnonzero(y == label))[:size]] = True
    return Parts(np.flatnonzero(~test), np.flatnonzero(test))


def split_groups(
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    test_fraction: float,
    seed: int,
    class_names: Sequence[str],
) -> Parts:
    """Split samples so that a group is never on both sides.

    Groups are stratified by the class that most of their samples have, where each such class has
    two groups or more.

    Args:
        y: class of each sample, (samples,).
        groups: group of each sample, (samples,).
        test_fraction: of the groups, between 0 and 1; rounded up.
        seed: the same seed gives the same split.
        class_names: for messages.

    Returns:
        Both parts.

    Raises:
        TaskError: some class would be missing on a side.
    """
    names, members = np.unique(groups, return_inverse=True)
    votes = np.zeros((len(names), int(y.max()) + 1), np.int64)
    np.add.at(votes, (members, y), 1)
    _, strata = np.unique(votes.argmax(axis=1), return_inverse=True)
    if np.bincount(strata).min() < 2:
        strata = np.zeros(len(names), np.int64)
    if len(names) < 2:
        raise TaskError("there is only one group: nothing can be kept for the test")
    test = np.isin(members, split(strata, test_fraction, seed).test)
    for label in np.unique(y).tolist():
        if len(np.unique(test[y == label])) < 2:
            raise TaskError(
                f"class {class_names[label]} would be missing in the training or the test samples:"
                " groups stay whole, so that more of them are needed, or another seed"
            )
    return Parts(np.flatnonzero(~test), np.flatnonzero(test))
