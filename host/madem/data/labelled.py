"""Labelled streams in files: a recording, or a CSV or NPZ file in the order of time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.data import tabular
from madem.data.files import recording
from madem.errors import TaskError


class Piece(NamedTuple):
    """Rows begin…end − 1 of a stream: without a gap and of one label.

    Attributes:
        begin, end: rows.
        label: an index into the stream's class_names.
    """

    begin: int
    end: int
    label: int


class Stream(NamedTuple):
    """A labelled stream.

    Attributes:
        values: float64 (samples, channels), unlabelled samples included.
        pieces: the labelled stretches.
        class_names: labels.
        channel_names: of the columns.
        rate_hz: nominal samples a second; None where the file does not say.
        scale: units per count, (channels,), if the values are counts in these units; else None.
    """

    values: NDArray[np.float64]
    pieces: list[Piece]
    class_names: tuple[str, ...]
    channel_names: tuple[str, ...]
    rate_hz: float | None
    scale: NDArray[np.float64] | None


def read(path: Path, target: str | int | None = None) -> Stream:
    """Read a labelled stream.

    Args:
        path: a recording of madem, or a .csv or .npz file.
        target: label column or array of a .csv or .npz; see `datafile.read_data_file`.

    Raises:
        TaskError: the file can't be used.
    """
    if recording.is_recording(path):
        if target not in (None, "label"):
            raise TaskError(f"{path} is a recording: its labels are in the column label")
        return _from_recording(path)
    if path.suffix.lower() not in tabular.SUFFIXES:
        raise TaskError(f"{path} is neither a recording nor a .csv or .npz file")
    data = tabular.read_data_file(path, target)
    changes = np.flatnonzero(np.diff(data.y)) + 1
    return Stream(
        data.x,
        _pieces(changes, data.y),
        data.class_names,
        data.feature_names,
        rate_hz=None,
        scale=None,
    )


def _from_recording(path: Path) -> Stream:
    try:
        found = recording.read(path)
    except recording.RecordingError as error:
        raise TaskError(str(error)) from None
    class_names = tuple(sorted(set(found.labels) - {""}))
    if len(class_names) < 2:
        raise TaskError(f"{path} has {len(class_names)} labels; a task needs 2 or more")
    labels = np.array([class_names.index(name) if name else -1 for name in found.labels])
    breaks = np.diff(labels) != 0
    rate = found.header.rate_hz
    if rate:
        breaks |= np.diff(found.t_us) > recording.GAP * 1e6 / rate
    units = found.header.units_per_count or (1.0,) * len(found.header.channels)
    scale = np.array(units)
    return Stream(
        found.samples.astype(np.float64) * scale,
        _pieces(np.flatnonzero(breaks) + 1, labels),
        class_names,
        found.header.channels,
        rate,
        scale,
    )


def _pieces(changes: NDArray[np.int64], labels: NDArray[np.int64]) -> list[Piece]:
    """The stretches between changes that have a label."""
    bounds = [0, *changes.tolist(), len(labels)]
    return [
        Piece(begin, end, int(labels[begin]))
        for begin, end in pairwise(bounds)
        if labels[begin] >= 0
    ]
