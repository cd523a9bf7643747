"""Arrays of numpy as a table: `.npy`, and `.npz` whatever its arrays are called."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem.data.files.table import MISSING, Column, Role, Table, column, listed_names
from madem.errors import TaskError, printable

_X = ("x", "data", "features", "samples", "inputs", "signals", "windows")
_Y = ("y", "target", "targets", "label", "labels", "classes")
_GROUPS = ("group", "groups", "subject", "subjects")
_NAMES = ("feature_names", "channels", "columns")
_CLASS_NAMES = ("target_names", "class_names", "label_names")
_RATES = ("rate_hz", "fs", "sampling_rate", "sample_rate")
_LARGE = 64 << 20
"""Bytes that any archive may unpack to."""
_DENSEST = 100
"""How many times its size one that is larger may: arrays of measured numbers pack to a third."""
_PARTS = re.compile(r"(?:^|[_.\- ])?(train|test)(?:ing)?(?:$|[_.\- ])?", re.IGNORECASE)


def read(
    path: Path,
    data: bytes,
    *,
    x: str | None = None,
    y: str | None = None,
    groups: str | None = None,
) -> Table:
    """Read a `.npy` or `.npz` file.

    Samples are the rows of the array of features: (samples, features); or windows, each of them a
    recording: (windows, samples, channels) or (windows, channels, samples); or square pictures.

    Args:
        path: for messages.
        data: what the file holds.
        x: name of the array of features in an `.npz`; None: judged.
        y: name of the array of labels in an `.npz`; None: judged.
        groups: name of the array of groups in an `.npz`; None: judged.

    Returns:
        The table.

    Raises:
        TaskError: it can't be read, or it is unclear which array is what.
    """
    arrays = _load(path, data)
    if "" in arrays:
        return _single(path, arrays[""])
    small = {name.lower(): array for name, array in arrays.items()}
    parts = [_pair(path, arrays, part, x, y) for part in _parts(arrays)]
    if not parts:
        raise TaskError(f"{path} holds no arrays")
    tables = []
    for number, (x_name, y_name) in enumerate(parts):
        columns, recording = _features(path, x_name, arrays[x_name], _feature_names(small))
        n = int(recording[-1]) + 1 if len(recording) else 0
        if y_name is not None:
            labels = _labels(path, y_name, arrays[y_name], n, x_name, small)
            columns.append(Column(y_name, labels[recording], role="label"))
        named = _named(arrays, _GROUPS if groups is None else (groups.lower(),))
        if named and len(parts) == 1:
            columns.append(_group_column(path, named[0], arrays[named[0]], recording, n))
        if len(parts) > 1:
            test = np.full(len(recording), float(number))
            columns.append(Column("test", test, role="test"))
        tables.append((columns, recording))
    rates = [float(small[name]) for name in _RATES if name in small and small[name].size == 1]
    return _together(path, tables, rates[0] if rates else None)


def _load(path: Path, data: bytes) -> dict[str, NDArray[Any]]:
    """All arrays by name; a single one has the name ""."""
    kind = path.suffix.lower()
    try:
        _check_size(path, data)
        archive = np.load(io.BytesIO(data), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            return {"": archive}
        with archive:
            return {name: archive[name] for name in archive.files}
    except ValueError as error:
        if "allow_pickle" in str(error) and data[:4] in (b"PK\3\4", b"\x93NUM"):
            raise TaskError(
                f"{path} holds pickled Python objects, which are not loaded for safety; save"
                " arrays of numbers or text"
            ) from None
        raise TaskError(f"{path} is no {kind} file, or it is damaged") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, KeyError,
            SyntaxError, TypeError, MemoryError, NotImplementedError):  # fmt: skip
        raise TaskError(f"{path} is no {kind} file, or it is damaged") from None


def _check_size(path: Path, data: bytes) -> None:
    """Whether an archive unpacks to what its size lets expect.

    Raises:
        TaskError: it is far larger; whoever made it may mean harm.
    """
    if data[:4] != b"PK\3\4":
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(file.file_size for file in archive.infolist())
    if size > max(_LARGE, _DENSEST * len(data)):
        raise TaskError(
            f"{path} has {len(data):,} bytes and unpacks to {size:,}: if that is meant, save it"
            " with numpy.savez, which does not compress"
        )


def _listed(arrays: dict[str, NDArray[Any]]) -> str:
    return listed_names([f"{name} {array.shape}" for name, array in arrays.items()]) or "nothing"


def _named(names: Sequence[str] | dict[str, Any], accepted: Sequence[str]) -> list[str]:
    return [name for name in names if name.lower() in accepted]


# --- which array is what -------------------------------------------------------------------------


def _parts(arrays: dict[str, NDArray[Any]]) -> list[dict[str, str]]:
    """The arrays, by their names without `train` and `test`: one part, or training and test."""
    parts: dict[str, dict[str, str]] = {}
    for name in arrays:
        match = _PARTS.search(name)
        part = match[1].lower() if match else ""
        bare = name[: match.start()] + name[match.end() :] if match else name
        parts.setdefault(part, {})[bare.strip("_.- ") or "x"] = name
    if "train" in parts and "test" in parts:
        return [parts["train"], parts["test"]]
    return [{name: name for name in arrays}] if arrays else []


def _pair(
    path: Path,
    arrays: dict[str, NDArray[Any]],
    part: dict[str, str],
    x: str | None,
    y: str | None,
) -> tuple[str, str | None]:
    """The names of the arrays of features and of labels in a part."""
    x_name = _chosen(path, arrays, part, x, "--x")
    if x_name is None:
        known = _named(part, _X)
        if len(known) > 1:
            raise TaskError(
                f"{path} has several arrays that can be the features, {listed_names(known)}:"
                " choose one with --x"
            )
        if not known:
            known = [k for k, name in part.items() if _can_be_features(arrays[name])]
            known = [k for k in known if k.lower() not in (*_Y, *_GROUPS) and part[k] != y]
        if len(known) != 1:
            raise TaskError(
                f"{path}: which array holds the features? It has {_listed(arrays)}; choose with --x"
            )
        x_name = part[known[0]]
    n = arrays[x_name].shape[:1]
    y_name = _chosen(path, arrays, part, y, "--label")
    if y_name is None:
        known = _named(part, _Y)
        if not known:
            known = [
                key
                for key, name in part.items()
                if name != x_name and arrays[name].shape[:1] == n and key.lower() not in _GROUPS
            ]
        if len(known) > 1:
            raise TaskError(
                f"{path} has several arrays that can be the labels, {listed_names(known)}:"
                " choose one with --label"
            )
        y_name = part[known[0]] if known else None
    return x_name, y_name


def _chosen(
    path: Path,
    arrays: dict[str, NDArray[Any]],
    part: dict[str, str],
    wanted: str | None,
    option: str,
) -> str | None:
    if wanted is None:
        return None
    found = part.get(wanted) or (wanted if wanted in part.values() else None)
    if found is None:
        raise TaskError(f"{path} has no array {wanted!r} for {option}: it has {_listed(arrays)}")
    return found


def _can_be_features(array: NDArray[Any]) -> bool:
    """Whether an array has samples of several numbers; one-hot rows are labels."""
    if array.dtype.kind not in "biuf" or array.ndim not in (2, 3) or array.shape[1] < 2:
        return False
    return array.ndim == 3 or not _is_one_hot(array)


def _is_one_hot(array: NDArray[Any]) -> bool:
    return bool(np.all((array == 0) | (array == 1)) and np.all(array.sum(axis=1) == 1))


# --- arrays to columns ---------------------------------------------------------------------------


def _single(path: Path, array: NDArray[Any]) -> Table:
    """One array without a name: what its columns are is judged."""
    if array.dtype.names:
        columns = [column(name, _cells(path, name, array[name])) for name in array.dtype.names]
        return _together(path, [(columns, np.arange(len(array)))], None)
    columns, recording = _features(path, "the array", array, [], role="")
    return _together(path, [(columns, recording)], None)


def _features(
    path: Path, name: str, x: NDArray[Any], names: Sequence[str], role: Role = "feature"
) -> tuple[list[Column], NDArray[np.int64]]:
    """Columns of features, and which sample, window or picture each row belongs to."""
    if x.dtype.kind not in "biuf":
        raise TaskError(f"{path}: {name} holds {x.dtype}, not real numbers")
    if x.ndim == 3 and x.shape[1] == x.shape[2]:
        x = x.reshape(len(x), -1)  # pictures
    if x.ndim == 1:
        x = x[:, None]
    if x.ndim == 2:
        recording = np.arange(len(x))
    elif x.ndim == 3:
        if x.shape[1] < x.shape[2]:
            x = x.transpose(0, 2, 1)
        recording = np.repeat(np.arange(len(x)), x.shape[1])
        x = x.reshape(-1, x.shape[2])
    else:
        raise TaskError(
            f"{path}: {name} has the shape {x.shape}: reshape it to (samples, features) or"
            " (windows, samples, channels)"
        )
    x = x.astype(np.float64)
    titles = names if len(names) == x.shape[1] else [""] * x.shape[1]
    found = [column(t, x[:, k].copy(), role=role) for k, t in enumerate(titles)]
    return found, recording


def _feature_names(small: dict[str, NDArray[Any]]) -> list[str]:
    names = _first_text(small, _NAMES)
    return [] if names is None else _texts(names)


def _first_text(small: dict[str, NDArray[Any]], accepted: Sequence[str]) -> NDArray[Any] | None:
    """The first array of text with such a name, flat."""
    found = (small[name] for name in accepted if name in small)
    return next((array.ravel() for array in found if array.dtype.kind in "US"), None)


def _texts(array: NDArray[Any]) -> list[str]:
    cells = array.tolist()
    if array.dtype.kind == "S":
        cells = [cell.decode(errors="replace") for cell in cells]
    return [printable(cell.strip()) for cell in cells]


def _labels(
    path: Path, name: str, y: NDArray[Any], n: int, x_name: str, small: dict[str, NDArray[Any]]
) -> NDArray[Any]:
    """A label for each of n samples, numbers or text; one-hot rows become the column's number."""
    if y.shape[:1] != (n,) or y.ndim > 2 or y.size == 0:
        raise TaskError(f"{path}: {x_name} has {n} samples but {name} has the shape {y.shape}")
    if y.ndim == 2 and y.shape[1] > 1:
        if y.dtype.kind not in "biuf" or not _is_one_hot(y):
            raise TaskError(
                f"{path}: {name} has the shape {y.shape}, but its rows are not one-hot: exactly one"
                " 1, else 0"
            )
        y = y.argmax(axis=1)
    y = y.ravel()
    names = _first_text(small, _CLASS_NAMES)
    if names is not None and y.dtype.kind in "biu":
        if y.min() < 0 or y.max() >= len(names):
            raise TaskError(f"{path}: {name} has labels beyond its {len(names)} class names")
        y = names[y.astype(np.int64)]
    if y.dtype.kind in "biu":  # exact, however large
        return np.array([str(int(label)) for label in y.tolist()], object)
    return _cells(path, name, y)


def _cells(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Numbers as float64, text as objects."""
    if array.ndim == 1 and array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.ndim == 1 and array.dtype.kind in "US":
        return np.array([None if t.lower() in MISSING else t for t in _texts(array)], object)
    raise TaskError(
        f"{path}: {name} holds {array.dtype} of shape {array.shape}: numbers or text are needed"
    )


def _group_column(
    path: Path, name: str, groups: NDArray[Any], recording: NDArray[np.int64], n: int
) -> Column:
    if groups.shape != (n,):
        raise TaskError(f"{path}: {name} has the shape {groups.shape}, but there are {n} samples")
    return Column(name, _cells(path, name, groups)[recording], role="group")


def _together(
    path: Path,
    tables: Sequence[tuple[list[Column], NDArray[np.int64]]],
    rate_hz: float | None,
) -> Table:
    """One table below the other; samples that are no windows are rows of one recording."""
    first = tables[0][0]
    for columns, _ in tables[1:]:
        if [c.name for c in columns] != [c.name for c in first] and len(columns) != len(first):
            raise TaskError(
                f"{path}: its training and test arrays have {len(first)} and {len(columns)} columns"
            )
    samples = [recording for _, recording in tables]
    windows = any(len(np.unique(sample)) < len(sample) for sample in samples)
    begins = np.cumsum([0, *(int(sample[-1]) + 1 if len(sample) else 0 for sample in samples)])
    recordings = [s + begin for s, begin in zip(samples, begins, strict=False)]
    columns = [
        Column(
            one.name,
            np.concatenate([columns[k].values for columns, _ in tables]),
            unit=one.unit,
            role=one.role,
            title=one.title,
        )
        for k, one in enumerate(first)
    ]
    return Table(
        ((path, 0),),
        tuple(columns),
        np.concatenate(recordings).astype(np.int64) * windows,
        series=windows or None,
        rate_hz=rate_hz,
        has_names=any(column.name for column in columns),
    )
