"""Files of the archives of machine learning as a table: `.ts` of time series, and `.arff`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem.data.files import text
from madem.data.files.table import Column, Table, column
from madem.errors import TaskError


def read_ts(path: Path, data: bytes) -> Table:
    """Read time series: behind the line `@data` each line is one recording.

    Channels stand apart by `:`, the values of a channel by `,` with `?` for one that is missing,
    and the label stands behind the last channel, unless `@classLabel false` says that there is
    none.

    Args:
        path: for messages.
        data: what the file holds.

    Returns:
        The table.

    Raises:
        TaskError: the file is not of this format.
    """
    lines = text.decode(path, data).splitlines()
    facts = [line.strip().lower().split() for line in lines if line.strip().startswith("@")]
    begin = next((k for k, line in enumerate(lines, 1) if line.strip().lower() == "@data"), None)
    if begin is None:
        raise TaskError(f"{path} is not a time-series file: it has no line @data")
    if ["@timestamps", "true"] in facts:
        raise TaskError(f"{path} has time stamps in its series: save it without them")
    labelled = ["@classlabel", "false"] not in [fact[:2] for fact in facts]
    recordings: list[NDArray[np.float64]] = []
    labels, numbers = [], []
    for number, line in enumerate(lines[begin:], begin + 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        *channels, label = line.split(":") if labelled else [*line.split(":"), ""]
        recordings.append(_series(f"{path}, line {number}", channels))
        if recordings[-1].shape[1] != recordings[0].shape[1]:
            raise TaskError(
                f"{path}, line {number}: {recordings[-1].shape[1]} channels where"
                f" {recordings[0].shape[1]} are expected"
            )
        labels.append(label.strip() or None)
        numbers.append(number)
    if not recordings:
        raise TaskError(f"{path} has no series behind the line @data")
    recording = np.repeat(np.arange(len(recordings)), [len(series) for series in recordings])
    columns = [
        Column(f"channel {k}", values, role="feature")
        for k, values in enumerate(np.concatenate(recordings).T)
    ]
    if labelled:
        columns.append(Column("label", np.array(labels, object)[recording], role="label"))
    return Table(
        ((path, 0),),
        tuple(columns),
        recording,
        lines=np.array(numbers, np.int64)[recording],
        series=bool(np.any(np.diff(recording) == 0)),
    )


def _series(place: str, channels: list[str]) -> NDArray[np.float64]:
    """The values of one recording, float64 (samples, channels)."""
    try:
        found = [
            [np.nan if (v := value.strip()) == "?" else float(v) for value in channel.split(",")]
            for channel in channels
        ]
    except ValueError:
        raise TaskError(f"{place}: a value is no number") from None
    if len({len(values) for values in found}) != 1:
        raise TaskError(f"{place}: no channels, or not of one length")
    return np.array(found, np.float64).T


def read_arff(path: Path, data: bytes) -> Table:
    """Read numeric and nominal attributes; a relational one holds a recording in each row.

    Args:
        path: for messages.
        data: what the file holds.

    Returns:
        The table.

    Raises:
        TaskError: the file is not of this format.
    """
    from scipy.io import arff

    try:
        rows, _ = arff.loadarff(io.StringIO(text.decode(path, data)))
    except (arff.ArffError, ValueError, NotImplementedError, StopIteration, IndexError, KeyError,
            TypeError, AttributeError, RuntimeError) as error:  # fmt: skip
        why = (str(error).splitlines() or ["it is damaged"])[0]
        raise TaskError(f"{path} is not an ARFF file that can be read: {why}") from None
    names = rows.dtype.names or ()
    if not names:
        raise TaskError(f"{path} is not an ARFF file that can be read: it has no attributes")
    relational = [name for name in names if rows.dtype[name].kind == "O"]
    if not relational:
        columns = [column(name, _values(rows[name])) for name in names]
        return Table(((path, 0),), tuple(columns), np.zeros(len(rows), np.int64))
    if len(relational) > 1 or len(names) > 2:
        raise TaskError(f"{path} has more attributes than one of series and a class")
    # Each attribute of the inner table is a moment, each of its rows a channel.
    series = [np.array(cell.tolist(), np.float64).T for cell in rows[relational[0]]]
    recording = np.repeat(np.arange(len(series)), [len(one) for one in series])
    columns = [
        Column(f"channel {k}", values, role="feature")
        for k, values in enumerate(np.concatenate(series).T)
    ]
    columns += [
        Column(name, _values(rows[name])[recording], role="label")
        for name in names
        if name not in relational
    ]
    return Table(((path, 0),), tuple(columns), recording, series=True)


def _values(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "S":
        texts = [cell.decode(errors="replace") for cell in array.tolist()]
        return np.array([None if cell == "?" else cell for cell in texts], object)
    return array.astype(np.float64)
