"""New data held against what was taught: columns and classes by their names, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from madem.data.files.judge import Known, ReadOptions, Samples
from madem.data.files.read import read
from madem.data.files.table import listed_names
from madem.data.scaling import Scaling
from madem.errors import TaskError


@dataclass(frozen=True, eq=False)
class Taught:
    """What a network was taught with, for data that come later.

    Attributes:
        names, units: of the columns or channels in the network's order; a unit "" is not known.
        class_names: in the order of the outputs.
        label: name of the label's column; "" where it is not known.
        scaling: of a table's columns; None: of a stream.
        scale: units per count of a stream's channels, float64 (channels,); None: of a table.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    class_names: tuple[str, ...]
    label: str = ""
    scaling: Scaling | None = None
    scale: NDArray[np.float64] | None = None

    @property
    def known(self) -> Known:
        """What is known of a file that is to fit, before it is read."""
        return Known(self.names, self.label)


def matched(samples: Samples, taught: Taught, labelled: bool = True) -> Samples:
    """Put samples into the columns that were taught, in that order, and the classes likewise.

    Args:
        samples: as a file was read. Columns that were not taught are passed over; where the file
            names none, their number has to be right.
        taught: what they have to fit.
        labelled: match the classes as well.

    Returns:
        The samples as the network takes them.

    Raises:
        TaskError: a column is missing or has another unit, or a label is no class; the message
            names both sides.
    """
    order = _order(samples, taught)
    judgement = replace(
        samples.judgement,
        features=tuple(
            samples.judgement.features[at]._replace(name=name)
            for at, name in zip(order, taught.names, strict=True)
        ),
    )
    found = replace(samples, x=samples.x[:, order], judgement=judgement)
    return classes_matched(found, taught.class_names) if labelled else found


def classes_matched(samples: Samples, class_names: tuple[str, ...]) -> Samples:
    """Number the classes of samples as a network does.

    Args:
        samples: as a file was read.
        class_names: of the network, in the order of its outputs.

    Returns:
        The samples; as they are if they have no labels.

    Raises:
        TaskError: a label is no class; the message names both sides.
    """
    if not samples.class_names:
        return samples
    unknown = [name for name in samples.class_names if name not in class_names]
    if unknown:
        raise TaskError(
            f"{samples.table.name} has the label{'s' * (len(unknown) > 1)}"
            f" {listed_names([repr(name) for name in unknown])}, the network knows"
            f" {listed_names(class_names) or 'no names of classes'}"
        )
    places = np.array([class_names.index(name) for name in samples.class_names])
    y = np.where(samples.y >= 0, places[samples.y], -1)
    return replace(samples, y=y, class_names=class_names)


def of_samples(samples: Samples) -> Taught:
    """Say what samples that are to be learned ask of others beside them.

    Args:
        samples: as they were read.

    Returns:
        Their columns and classes, without a scale.
    """
    label = samples.judgement.label_column
    return Taught(samples.feature_names, samples.units, samples.class_names, label)


def read_test(
    source: str | Path, options: ReadOptions | None, taught: Taught, series: bool
) -> Samples:
    """Read samples that are for the test alone.

    Args:
        source: a file or a folder of them.
        options: what the user says where the judgement would be wrong.
        taught: what they have to fit.
        series: rows follow one another in time, as those that are learned do.

    Returns:
        The samples, matched.

    Raises:
        TaskError: they do not fit, or have no labels.
    """
    found = matched(read(source, options, learn=False, series=series, known=taught.known), taught)
    if not found.class_names or not (found.y >= 0).any():
        raise TaskError(f"{found.table.name} has no labels to test with")
    return found


def with_test(samples: Samples, test: Samples) -> Samples:
    """Put samples and those for the test together.

    Args:
        samples: for training.
        test: for the test, matched to them.

    Returns:
        All of them, with `Samples.test`.

    Raises:
        TaskError: a label is missing in a table.
    """
    if not samples.judgement.series and (test.y < 0).any():
        row = int(np.argmax(test.y < 0))
        raise TaskError(f"{test.table.place(row)}: the label is missing")
    return replace(
        samples,
        x=np.concatenate([samples.x, test.x]),
        y=np.concatenate([samples.y, test.y]),
        recording=np.concatenate([samples.recording, test.recording + samples.recording[-1] + 1]),
        joins=np.concatenate([samples.joins, test.joins]),
        t_s=None,
        groups=None,
        test=np.arange(len(samples.x) + len(test.x)) >= len(samples.x),
    )


def column_order(where: str, there: Sequence[str], named: bool, taught: Taught) -> list[int]:
    """Find the column that each taught one is.

    Args:
        where: the columns are, for messages.
        there: their names.
        named: the names are the data's own; otherwise columns are taken in their order.
        taught: what they have to fit.

    Returns:
        Indices into `there`, in the network's order.

    Raises:
        TaskError: a column is missing; the message names both sides.
    """
    if not named:
        if len(there) != len(taught.names):
            raise TaskError(
                f"{where} has {len(there)} columns without names, the network takes"
                f" {len(taught.names)}: {listed_names(taught.names)}"
            )
        return list(range(len(there)))
    missing = [name for name in taught.names if name not in there]
    if missing:
        raise TaskError(
            f"{where} has no column {listed_names([repr(name) for name in missing])}: the network"
            f" was taught with {listed_names(taught.names)}, there are {listed_names(there)}"
        )
    return [there.index(name) for name in taught.names]


def _order(samples: Samples, taught: Taught) -> list[int]:
    """The column of the samples that each taught one is, in the unit that was taught."""
    file = samples.table.name
    order = column_order(file, samples.feature_names, samples.table.has_names, taught)
    for name, unit, at in zip(taught.names, taught.units, order, strict=True):
        if unit and samples.units[at] and unit != samples.units[at]:
            raise TaskError(
                f"column {name!r} of {file} is in {samples.units[at]}, the network was taught with"
                f" {unit}: convert it, or say --units if only the name of the unit differs"
            )
    return order
