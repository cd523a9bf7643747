"""Tasks made of a user's table: each row is a sample."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from madem.data.files.judge import MAX_CLASSES, Samples
from madem.data.files.table import listed_names
from madem.data.scaling import Scaling
from madem.data.split import Parts, split, split_groups
from madem.data.task import Task, data_task
from madem.errors import TaskError

MAX_FEATURES = 1024


def table_task(
    name: str,
    samples: Samples,
    *,
    seed: int,
    test_fraction: float,
    scaling: Scaling | None = None,
) -> Task:
    """Make a task of a table.

    The test rows are those that the file names, else whole groups if it names groups, else drawn.

    Args:
        name: of the task.
        samples: as they were read for learning.
        seed: of the split and of the order.
        test_fraction: share of the test set, between 0 and 1.
        scaling: that of a network that was taught before, some of whose classes may be missing;
            None: fitted to the training set.

    Returns:
        The task.

    Raises:
        TaskError: too many features, or classes that can't be learned and tested.
    """
    path = samples.table.name
    if len(samples.feature_names) > MAX_FEATURES:
        raise TaskError(
            f"{path} has {len(samples.feature_names)} features; at most {MAX_FEATURES} are possible"
        )
    check_classes(samples)
    counts = np.bincount(samples.y, minlength=len(samples.class_names))
    few_are = counts == 1 if scaling is not None else counts < 2
    if samples.test is None and few_are.any():
        few = listed_names([samples.class_names[k] for k in np.flatnonzero(few_are)])
        raise TaskError(
            f"{path}: a class needs at least 2 samples to be trained and tested: {few}; is"
            f" {samples.judgement.label} the label? --label chooses another"
        )
    if samples.test is not None:
        parts = Parts(np.flatnonzero(~samples.test), np.flatnonzero(samples.test))
        told = "as the file says"
    elif samples.groups is not None:
        parts = split_groups(samples.y, samples.groups, test_fraction, seed, samples.class_names)
        told = "whole groups, drawn"
    else:
        _, present = np.unique(samples.y, return_inverse=True)
        parts = split(present, test_fraction, seed)
        told = "drawn"
    return data_task(
        name,
        samples.x,
        samples.y,
        samples.class_names,
        samples.feature_names,
        seed=seed,
        test_fraction=test_fraction,
        parts=parts,
        scaling=scaling,
        reading=replace(samples.judgement, test=f"{len(parts.test):,} rows, {told}"),
    )


def array_task(x: Any, y: Any, *, seed: int, test_fraction: float) -> Task:
    """Make a task of arrays.

    Args:
        x: finite numbers, (samples, features); columns of a data frame give their names.
        y: label of each sample, (samples,).
        seed: of the split and of the order.
        test_fraction: share of the test set, between 0 and 1.

    Returns:
        The task.

    Raises:
        TaskError: shapes or values can't be used.
    """
    names = [str(name) for name in getattr(x, "columns", ())]
    try:
        if np.iscomplexobj(x):
            raise TypeError
        values = np.asarray(x, np.float64)
    except (TypeError, ValueError):
        raise TaskError("the samples must be real numbers: an array (samples, features)") from None
    try:
        labels = np.asarray(y)
        if labels.dtype == object and len({type(label) for label in labels.ravel()}) > 1:
            raise TypeError
        classes, index = np.unique(labels, return_inverse=True)
    except (TypeError, ValueError):
        raise TaskError("the labels must be one text or number each, all of one kind") from None
    if values.ndim != 2 or not values.size:
        raise TaskError(
            f"the samples have the shape {values.shape}: samples in rows and features in columns"
        )
    if labels.shape != (len(values),):
        raise TaskError(f"there are {len(values)} samples and {labels.size} labels")
    if not np.isfinite(values).all():
        raise TaskError("the samples must be finite numbers: fill in or leave out what is missing")
    kind = labels.dtype.kind
    if kind == "c" or (kind == "f" and not (labels == np.rint(labels)).all()):
        raise TaskError("the labels must be whole numbers or text: a class each")
    class_names = tuple(map(str, classes.tolist()))
    if not 2 <= len(classes) <= MAX_CLASSES:
        have = (
            f"only one class, {class_names[0]}" if len(classes) == 1 else f"{len(classes)} classes"
        )
        raise TaskError(f"the labels have {have}; a task needs 2 to {MAX_CLASSES}")
    if np.bincount(index).min() < 2:
        raise TaskError("a class needs at least 2 samples to be trained and tested")
    if values.shape[1] > MAX_FEATURES:
        raise TaskError(f"{values.shape[1]} features; at most {MAX_FEATURES} are possible")
    return data_task(
        "arrays",
        values,
        index.astype(np.int64),
        class_names,
        tuple(names or (f"column {k}" for k in range(values.shape[1]))),
        seed=seed,
        test_fraction=test_fraction,
    )


def check_classes(samples: Samples) -> None:
    """Refuse fewer than two classes, and more than can be told apart.

    Args:
        samples: as they were read for learning.

    Raises:
        TaskError: there are.
    """
    path, names = samples.table.name, samples.class_names
    if not samples.judgement.label:
        raise TaskError(f"{path} has no label: name its column or array with --label")
    hint = f"; is {samples.judgement.label} the label? --label chooses another"
    if len(names) < 2:
        have = f"only one class, {names[0]}" if names else "no labels"
        raise TaskError(f"{path} has {have}; a task needs 2 or more{hint}")
    if len(names) > MAX_CLASSES:
        raise TaskError(
            f"{path} has {len(names)} classes; at most {MAX_CLASSES} are possible{hint}"
        )
