"""Read a user's CSV or NPZ file into features and classes, or say exactly what is wrong with it.

Columns and arrays are counted from 0, lines from 1.
"""

import csv
import math
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from madem.errors import TaskError

MAX_FEATURES = 1024
MAX_CLASSES = 64
SUFFIXES = (".csv", ".npz")

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_LARGEST = 1e300  # differences of two values must stay finite


@dataclass(frozen=True, eq=False)
class DataFile:
    """What a data file holds, checked.

    Attributes:
        x: finite features, float64 (samples, features).
        y: class of each sample, int64 (samples,), an index into class_names.
        class_names: in numerical order if all labels are integers, else alphabetical.
        feature_names: from the header, or "column 3", or "feature 3".
        target_name: what the labels were called.
    """

    x: NDArray[np.float64]
    y: NDArray[np.int64]
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    target_name: str


def read_data_file(path: Path, target: str | int | None = None) -> DataFile:
    """Read a .csv or .npz file of labelled samples.

    Args:
        path: the file. A CSV may have a header or not; all columns but the label are features.
            An NPZ holds a 2-D array X (or data) and a 1-D array y (or target), in any case.
        target: name or index of the label column (default: the last); for an NPZ the name of
            the label array.

    Raises:
        TaskError: anything that keeps the file from being used.
    """
    if not path.exists():
        raise TaskError(f"no such file: {path}")
    if not path.is_file():
        raise TaskError(f"{path} is not a file")
    try:
        data = _read_csv(path, target) if path.suffix.lower() == ".csv" else _read_npz(path, target)
    except OSError as error:
        raise TaskError(f"can't read {path}: {error.strerror or error}") from None
    _check_sizes(path, data)
    _check_classes(path, data)  # before the columns: a file of one sample has only constant ones
    _check_constant(path, data)
    return data


# --- CSV ---------------------------------------------------------------------------------------


def _read_csv(path: Path, target: str | int | None) -> DataFile:
    rows = _csv_rows(path)
    width = len(rows[0][1])
    names = _header(path, rows, target)
    if names is not None:
        rows = rows[1:]
        if not rows:
            raise TaskError(f"{path} has a header but no samples")
    column = _target_column(path, target, names, width)
    names = names or [f"column {index}" for index in range(width)]
    features = [index for index in range(width) if index != column]
    y, class_names = _classes(
        [cells[column] for _, cells in rows],
        lambda row: f"{path}, line {rows[row][0]}, {_quoted(names[column])}",
    )
    return DataFile(
        x=_numbers(path, rows, features, names),
        y=y,
        class_names=class_names,
        feature_names=tuple(names[index] for index in features),
        target_name=names[column],
    )


def _csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """The rows that aren't blank, as (line number, stripped cells), all of one width >= 2."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except UnicodeDecodeError:
        raise TaskError(f"{path} is not UTF-8 text; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise TaskError(f"{path} is not a CSV file: {error}") from None
    rows = [(line, cells) for line, cells in rows if any(cells)]
    if not rows:
        raise TaskError(f"{path} is empty")
    width = len(rows[0][1])
    if width < 2:
        first = rows[0][1][0]
        other = next((mark for mark in ";\t|" if mark in first), None)
        hint = f"; it seems to use {other!r} instead" if other else ""
        raise TaskError(
            f"{path} has one column: features and label must be separated by commas{hint}"
        )
    for line, cells in rows:
        if len(cells) != width:
            raise TaskError(f"{path}, line {line}: {len(cells)} cells where {width} are expected")
    return rows


def _header(
    path: Path, rows: list[tuple[int, list[str]]], target: str | int | None
) -> list[str] | None:
    """The column names if the first row is a header, else None.

    A header has text above every column of numbers. A label column that is asked for by name
    proves a header, too.
    """
    line, first = rows[0]
    names = [cell or f"column {index}" for index, cell in enumerate(first)]
    if isinstance(target, str) and target in names:
        return names
    judged = []  # the columns that hold numbers, and nothing else, below the first row
    for index, cell in enumerate(first):
        below = [cells[index] for _, cells in rows[1:] if not _missing(cells[index])]
        if below and not _missing(cell) and all(_number(other) is not None for other in below):
            judged.append(index)
    text = [index for index in judged if _number(first[index]) is None]
    if not text:
        return None
    if len(text) < len(judged):
        odd = text[0]
        plain = next(index for index in judged if index not in text)
        raise TaskError(
            f"{path}, line {line}, is neither a header nor numbers: column {odd} has "
            f"{first[odd]!r}, column {plain} has {first[plain]!r}; if it is a header, give the "
            f"name of the label column with --target"
        )
    return names


def _target_column(
    path: Path, target: str | int | None, names: list[str] | None, width: int
) -> int:
    if target is None:
        return width - 1
    if isinstance(target, str):
        if names is not None and target in names:
            if names.count(target) > 1:
                raise TaskError(f"{path} has {names.count(target)} columns named {target!r}")
            return names.index(target)
        try:
            target = int(target)
        except ValueError:
            have = f"its columns are {_listed(names)}" if names else "it has no header"
            raise TaskError(f"{path} has no column {target!r}: {have}") from None
    if not -width <= target < width:
        raise TaskError(f"{path} has no column {target}: its columns are 0 to {width - 1}")
    return target % width


def _numbers(
    path: Path, rows: list[tuple[int, list[str]]], columns: list[int], names: list[str]
) -> NDArray[np.float64]:
    x = np.empty((len(rows), len(columns)))
    for row, (line, cells) in enumerate(rows):
        for at, index in enumerate(columns):
            value = _number(cells[index])
            if value is None or not abs(value) <= _LARGEST:
                place = f"{path}, line {line}, {_quoted(names[index])}"
                if _missing(cells[index]):
                    raise TaskError(f"{place}: missing value; remove or fill in the sample")
                if value is None:
                    raise TaskError(f"{place}: {cells[index]!r} is not a number")
                raise TaskError(f"{place}: {cells[index]} is too large")
            x[row, at] = value
    return x


# --- NPZ ---------------------------------------------------------------------------------------


def _read_npz(path: Path, target: str | int | None) -> DataFile:
    if isinstance(target, int):
        raise TaskError(f"{path}: for an .npz file the target is the name of the label array")
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise TaskError(f"{path} is a single array, not an .npz archive with X and y")
        with archive:
            x_name = _array_name(path, archive.files, "X", "data")
            y_name = target if target in archive.files else None
            if target is not None and y_name is None:
                raise TaskError(f"{path} has no array {target!r}: it has {_listed(archive.files)}")
            y_name = y_name or _array_name(path, archive.files, "y", "target")
            x, labels = (_load_array(path, archive, name) for name in (x_name, y_name))
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError):
        raise TaskError(f"{path} is not an .npz file, or it is damaged") from None

    if x.ndim != 2:
        raise TaskError(
            f"{path}: {x_name} must have 2 dimensions (samples, features), not shape {x.shape}"
        )
    if x.dtype.kind not in "biuf":
        raise TaskError(f"{path}: {x_name} holds {x.dtype}, not real numbers")
    if labels.shape not in ((len(x),), (len(x), 1)):
        raise TaskError(
            f"{path}: {x_name} has {len(x)} samples but {y_name} has shape {labels.shape}"
        )
    x = x.astype(np.float64)
    bad = np.argwhere(~(np.abs(x) <= _LARGEST))
    if len(bad):
        row, column = map(int, bad[0])
        raise TaskError(
            f"{path}: {x_name}[{row}, {column}] is {x[row, column]}; values must be finite numbers"
        )
    y, class_names = _classes(
        _label_texts(path, y_name, labels.ravel()), lambda row: f"{path}: {y_name}[{row}]"
    )
    return DataFile(x, y, class_names, tuple(f"feature {i}" for i in range(x.shape[1])), y_name)


def _array_name(path: Path, names: Sequence[str], *accepted: str) -> str:
    wanted = {name.lower() for name in accepted}
    found = [name for name in names if name.lower() in wanted]
    if len(found) > 1:
        raise TaskError(f"{path} has several arrays for {accepted[0]}: {_listed(found)}")
    if not found:
        have = _listed(names) if names else "nothing"
        raise TaskError(f"{path} needs arrays named X and y: it has {have}")
    return found[0]


def _load_array(path: Path, archive: np.lib.npyio.NpzFile, name: str) -> NDArray:
    try:
        return archive[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise TaskError(
                f"{path}: {name} holds pickled Python objects, which are not loaded for safety; "
                f"save it as an array of numbers or text"
            ) from None
        raise


def _label_texts(path: Path, name: str, labels: NDArray) -> list[str]:
    if labels.dtype.kind in "biu":
        return [str(int(label)) for label in labels]
    if labels.dtype.kind == "f":
        return [repr(float(label)) for label in labels]
    if labels.dtype.kind == "U":
        return [str(label).strip() for label in labels]
    raise TaskError(f"{path}: {name} holds {labels.dtype}; labels must be integers or text")


# --- both --------------------------------------------------------------------------------------


def _missing(cell: str) -> bool:
    return cell.lower() in _MISSING


def _number(cell: str) -> float | None:
    """The number in a cell, or None; Python's 1_000 is no number in a file."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return None if "_" in cell or math.isnan(value) else value


def _classes(
    labels: Sequence[str], place: Callable[[int], str]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class index of each label and the names of the classes."""
    for row, label in enumerate(labels):
        if _missing(label):
            raise TaskError(f"{place(row)}: the label is missing")
    numbers = [_number(label) for label in labels]
    if all(number is not None for number in numbers):
        integers = []
        for row, (label, number) in enumerate(zip(labels, numbers, strict=True)):
            assert number is not None
            if not number.is_integer():
                raise TaskError(
                    f"{place(row)}: the label {label} is no class; labels must be integers or text"
                )
            # int(text) first: a float would merge large neighbours.
            integers.append(int(label) if label.lstrip("+-").isdecimal() else int(number))
        names = [str(integer) for integer in sorted(set(integers))]
        labels = [str(integer) for integer in integers]
    else:
        names = sorted(set(labels))
    index = {name: at for at, name in enumerate(names)}
    return np.array([index[label] for label in labels], np.int64), tuple(names)


def _check_sizes(path: Path, data: DataFile) -> None:
    features = data.x.shape[1]
    if features == 0:
        raise TaskError(f"{path} has no features")
    if features > MAX_FEATURES:
        raise TaskError(f"{path} has {features} features; at most {MAX_FEATURES} are possible")
    if len(data.x) == 0:
        raise TaskError(f"{path} has no samples")


def _check_classes(path: Path, data: DataFile) -> None:
    hint = f"; is {_quoted(data.target_name)} the label? --target chooses another"
    classes = len(data.class_names)
    if classes < 2:
        raise TaskError(f"{path} has only one class, {', '.join(data.class_names)}{hint}")
    if classes > MAX_CLASSES:
        raise TaskError(f"{path} has {classes} classes; at most {MAX_CLASSES} are possible{hint}")
    single = np.flatnonzero(np.bincount(data.y) < 2)
    if len(single):
        names = _listed([data.class_names[index] for index in single])
        raise TaskError(
            f"{path}: a class needs at least 2 samples to be trained and tested: {names}{hint}"
        )


def _check_constant(path: Path, data: DataFile) -> None:
    constant = np.flatnonzero(data.x.min(axis=0) == data.x.max(axis=0))
    if len(constant):
        what = "column is" if len(constant) == 1 else f"{len(constant)} columns are"
        raise TaskError(
            f"{path}: {what} constant and can't teach anything, remove: "
            f"{_listed([data.feature_names[index] for index in constant])}"
        )


def _quoted(name: str) -> str:
    return name if name.startswith(("column ", "feature ")) else f"column {name!r}"


def _listed(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
