"""Any file of samples, several, or a folder of them: read and judged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from madem.data.files import acquisition, archives, arrays, judge, recording, sound, text
from madem.data.files.judge import Known, ReadOptions, Samples
from madem.data.files.table import Column, Role, Table, joined
from madem.errors import TaskError, printable

_Reader = Callable[[Path, bytes, ReadOptions], Table]


def _text(path: Path, data: bytes, options: ReadOptions) -> Table:
    return text.read(
        path,
        data,
        delimiter=options.delimiter,
        decimal=options.decimal,
        label=options.label,
    )


def _arrays(path: Path, data: bytes, options: ReadOptions) -> Table:
    label = options.label
    if isinstance(label, int) and path.suffix.lower() == ".npz":
        raise TaskError(f"{path}: the label of an .npz file is the name of an array, not {label}")
    y = label if isinstance(label, str) and path.suffix.lower() == ".npz" else None
    groups = options.groups if isinstance(options.groups, str) else None
    return arrays.read(path, data, x=options.x, y=y, groups=groups)


_READERS: dict[str, _Reader] = {
    ".csv": _text,
    ".tsv": _text,
    ".txt": _text,
    ".npz": _arrays,
    ".npy": _arrays,
    ".wav": lambda path, data, _: sound.read(path, data),
    ".json": lambda path, data, _: acquisition.read(path, data),
    ".cbor": lambda path, data, _: acquisition.read(path, data),
    ".ts": lambda path, data, _: archives.read_ts(path, data),
    ".arff": lambda path, data, _: archives.read_arff(path, data),
}
SUFFIXES = tuple(_READERS)
KINDS = f"a recording, a file ending in {', '.join(SUFFIXES)}, or a folder of them"
_TEST = re.compile(r"(?:^|[ _.\-])(train|test)(?:ing)?(?:$|[ _.\-])", re.IGNORECASE)
_NUMBER = re.compile(r"[ _.\-]*\d+$")


def read(
    source: str | Path | Sequence[str | Path],
    options: ReadOptions | None = None,
    *,
    learn: bool,
    series: bool | None = None,
    known: Known | None = None,
) -> Samples:
    """Read and judge samples.

    Args:
        source: a file, a folder, or several of them.
        options: what the user says where the judgement would be wrong.
        learn: for learning: a label is needed, and columns that can't teach are left out.
        series: rows follow one another in time; None: judged.
        known: what is known of the files before, because a network was taught with their like.

    Returns:
        The samples, and how they were understood.

    Raises:
        TaskError: anything that keeps the files from being used, in one line.
    """
    options = options or ReadOptions()
    sources = [source] if isinstance(source, str | Path) else list(source)
    files, notes = [], []
    for one in sources:
        found, note = files_of(Path(one))
        files += found
        notes += note
    tables = [read_table(path, options) for path in files]
    by_file = False
    if len(tables) > 1:
        tables = _marked_for_test(tables, files)
        if options.label is None and all(judge.certain_label(t)[0] is None for t in tables):
            classes = _classes(files)
            by_file = len(set(classes)) > 1
            if by_file:
                pairs = zip(tables, classes, strict=True)
                tables = [_with(table, judge.BY_FILE, name, "label") for table, name in pairs]
    table = joined(tables)
    if not len(table):
        raise TaskError(f"{table.name} has no samples")
    table = replace(table, notes=(*table.notes, *notes))
    return judge.judge(table, options, learn=learn, series=series, by_file=by_file, known=known)


def read_table(path: Path, options: ReadOptions | None = None) -> Table:
    """Read one file, unjudged.

    Args:
        path: of the file.
        options: what the user says of its form.

    Returns:
        The table.

    Raises:
        TaskError: it can't be read, in one line.
    """
    if not path.exists():
        raise TaskError(f"no such file: {printable(str(path))}")
    if not path.is_file():
        raise TaskError(f"{printable(str(path))} is not a file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TaskError(f"can't read {path}: {error.strerror or error}") from None
    if data.startswith(recording.MAGIC.encode()):
        return recording.table(path, data)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise TaskError(f"can't read {path}: samples come in {KINDS}")
    if not data.strip():
        raise TaskError(f"{path} is empty")
    return reader(path, data, options or ReadOptions())


def is_source(name: str | Path) -> bool:
    """Whether a name is meant as a file or folder of samples.

    Args:
        name: as the user gave it.

    Returns:
        Whether it is.
    """
    path = Path(name)
    return path.suffix.lower() in SUFFIXES or path.is_dir() or recording.is_recording(path)


def files_of(path: Path) -> tuple[list[Path], list[str]]:
    """Find the files that a path stands for.

    Args:
        path: of a file or a folder.

    Returns:
        The files in order, and what to tell of others beside them.

    Raises:
        TaskError: the folder has none.
    """
    if not path.is_dir():
        return [path], []
    inside = sorted(file for file in path.rglob("*") if file.is_file() and file.name[0] != ".")
    kinds = Counter(f.suffix.lower() for f in inside if f.suffix.lower() in SUFFIXES)
    if not kinds:
        raise TaskError(f"no samples in the folder {path}: they come in {KINDS}")
    kind = kinds.most_common(1)[0][0]
    files = [file for file in inside if file.suffix.lower() == kind]
    others = [printable(file.name) for file in inside if file.suffix.lower() != kind]
    return files, [f"other files in {path} are left out: {', '.join(others)}"] if others else []


def _with(table: Table, name: str, value: str | float, role: Role) -> Table:
    """The table with another column, which has one value."""
    values = np.full(len(table), value, object if isinstance(value, str) else np.float64)
    return replace(table, columns=(*table.columns, Column(name, values, role=role)))


def _marked_for_test(tables: Sequence[Table], files: Sequence[Path]) -> list[Table]:
    """The tables; where file or folder names say `train` and `test`, that is a column."""
    parts = [match[1].lower() if (match := _part(file)) else "" for file in files]
    if set(parts) != {"train", "test"}:
        return list(tables)
    return [
        _with(table, "test", float(part == "test"), "test")
        for table, part in zip(tables, parts, strict=True)
    ]


def _part(file: Path) -> re.Match[str] | None:
    return _TEST.search(file.stem) or _TEST.fullmatch(file.parent.name)


def _classes(files: Sequence[Path]) -> list[str]:
    """What each file is of: its folder's name where folders differ, else its own name.

    Of a name the part before the first dot counts, without a number at its end if that leaves
    different classes, some of them with several files.
    """
    folders = [file.parent.name for file in files]
    if len({f for f in folders if not _TEST.fullmatch(f)}) > 1:
        return folders
    names = [_TEST.sub("", file.name.partition(".")[0]) for file in files]
    bare = [_NUMBER.sub("", name) for name in names]
    if "" not in bare and 1 < len(set(bare)) < len(bare):
        return bare
    return names
