"""What files hold, column by column and row by row, before anyone has judged what is what."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from madem.errors import TaskError, printable

Role = Literal["", "feature", "label", "time", "group", "test"]

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "?"})
"""How files write that a value is missing, in lower case; among numbers also `none`."""
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_UNIT = re.compile(r"(.*\S)\s*[(\[]([^()\[\]]*[^\W\d_%][^()\[\]]*|[%°])[)\]]")


@dataclass(frozen=True, eq=False)
class Column:
    """One column.

    Attributes:
        name: without control characters and unit; "" if it has none.
        values: float64 (rows,), NaN where missing; or text, object (rows,), None where missing.
        unit: such as "m/s^2"; "" if not known.
        role: what the format says that it is; "" if that is to be judged.
        scale: units per count, if the values are counts of a converter in that unit; else None.
        decimal: decimal mark of its cells, if they are text.
        spelled: gives the cells as the file spells them, object (rows,), None where missing.
        title: the name as the file has it, unit included.
    """

    name: str
    values: NDArray[Any] = field(repr=False)
    unit: str = ""
    role: Role = ""
    scale: float | None = None
    decimal: str = "."
    spelled: Callable[[], NDArray[np.object_]] | None = field(default=None, repr=False)
    title: str = ""

    @property
    def is_text(self) -> bool:
        """Whether its cells are text."""
        return self.values.dtype == object

    def texts(self) -> list[str | None]:
        """Its cells as text, None where missing."""
        if self.is_text:
            return self.values.tolist()
        if self.spelled is not None:
            return self.spelled().tolist()
        return [None if np.isnan(value) else f"{value:.17g}" for value in self.values.tolist()]

    def numbers(self) -> tuple[NDArray[np.float64], dict[int, str]]:
        """Read its cells as numbers.

        Returns:
            The numbers, float64 (rows,), NaN where missing or odd; and row and text of each that is
            odd.
        """
        if not self.is_text:
            return self.values, {}
        values = np.full(len(self.values), np.nan)
        odd = {}
        for row, cell in enumerate(self.values.tolist()):
            if cell is None or cell.lower() == "none":
                continue
            value = number(cell, self.decimal)
            if value is None:
                odd[row] = cell
            else:
                values[row] = value
        return values, odd


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of the same length, from one file or from several.

    Attributes:
        files: each file and the first row that is its.
        columns: all columns.
        recording: number of the recording that a row belongs to, int64 (rows,), rising: what is
            apart by a blank line, a file, or a format's own word.
        lines: line of each row in its file, int64 (rows,), from 1; None: the format has no lines.
        series: rows of a recording follow one another in time; None: that is to be judged.
        rate_hz: samples a second, if the file says it.
        has_names: the columns' names are the file's.
        torn: rows that can't be read, and why; their values are missing.
        notes: what else the user should be told.
    """

    files: tuple[tuple[Path, int], ...]
    columns: tuple[Column, ...]
    recording: NDArray[np.int64] = field(repr=False)
    lines: NDArray[np.int64] | None = field(default=None, repr=False)
    series: bool | None = None
    rate_hz: float | None = None
    has_names: bool = True
    torn: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.recording)

    @property
    def name(self) -> str:
        """What messages call it."""
        first = self.files[0][0]
        return str(first) if len(self.files) == 1 else f"{first.parent} ({len(self.files)} files)"

    def place(self, row: int, column: int | None = None) -> str:
        """Tell where a cell or row stands: `FILE, line 3, column 'x'`.

        Args:
            row: its number.
            column: its number; None: the whole row.

        Returns:
            The place, for messages.
        """
        at = bisect_right([begin for _, begin in self.files], row) - 1
        path, begin = self.files[at]
        where = f"row {row - begin}" if self.lines is None else f"line {self.lines[row]}"
        return f"{path}, {where}" + ("" if column is None else f", {self.called(column)}")

    def called(self, column: int) -> str:
        """Name a column in messages.

        Args:
            column: its number.

        Returns:
            Its name, or its number.
        """
        name = self.columns[column].name
        return f"column {name!r}" if name else f"column {column}"

    def find(self, wanted: str | int, what: str) -> int:
        """Find the column that is meant by a name, or by an index that counts from 0.

        Args:
            wanted: name, with or without its unit, or index; negative ones count from the end.
            what: which option asks, such as "--label".

        Returns:
            Its index.

        Raises:
            TaskError: there is none, or several have that name.
        """
        names = [(column.name, column.title) for column in self.columns]
        found = [k for k, both in enumerate(names) if wanted in both and wanted != ""]
        if len(found) > 1:
            raise TaskError(
                f"{self.name} has {len(found)} columns named {wanted!r}: name it by its index"
            )
        if found:
            return found[0]
        try:
            index = int(wanted)
        except ValueError:
            listed = listed_names([name for name, _ in names])
            have = f"its columns are {listed}" if self.has_names else "its columns have no names"
            raise TaskError(f"{self.name} has no column {wanted!r} for {what}: {have}") from None
        if not -len(names) <= index < len(names):
            raise TaskError(
                f"{self.name} has no column {index} for {what}: its columns are 0 to"
                f" {len(names) - 1}"
            )
        return index % len(names)


def column(title: str, values: NDArray[Any], **more: Any) -> Column:
    """Make a column whose title, as a file has it, may hold a unit: `X (m/s^2)`, `accX [g]`.

    Args:
        title: as the file has it.
        values: as for `Column`.
        **more: other fields of `Column`.

    Returns:
        The column.
    """
    title = printable(title.strip())
    match = _UNIT.fullmatch(title)
    name, unit = (match[1], match[2].strip()) if match else (title, "")
    return Column(name, values, more.pop("unit", "") or unit, title=title, **more)


def with_unique_names(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Give columns whose names are equal without their units the titles as names.

    Args:
        columns: of a file.

    Returns:
        The columns.
    """
    names = [column.name for column in columns]
    return tuple(
        replace(column, name=column.title) if names.count(column.name) > 1 else column
        for column in columns
    )


def number(cell: str, decimal: str = ".") -> float | None:
    """Read the number in a cell; neither nan nor Python's 1_000 is a number in a file.

    Args:
        cell: its text.
        decimal: the decimal mark.

    Returns:
        The number; None if it is none.
    """
    if decimal == "," and "," in cell:
        if not _DECIMAL_COMMA.fullmatch(cell):
            return None
        cell = cell.replace(",", ".")
    try:
        value = float(cell)
    except ValueError:
        return None
    return None if "_" in cell or math.isnan(value) else value


def listed_names(names: Sequence[str], most: int = 8) -> str:
    """List names, apart by commas.

    Args:
        names: all of them.
        most: how many are listed; of the others only the number.

    Returns:
        The text.
    """
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def joined(tables: Sequence[Table]) -> Table:
    """Put one table below the other: the same columns, matched by their names.

    Args:
        tables: at least one.

    Returns:
        One table.

    Raises:
        TaskError: they have other columns or rates.
    """
    first = tables[0]
    if len(tables) == 1:
        return first
    aligned = [first, *(_aligned(first, table) for table in tables[1:])]
    rates = {table.rate_hz for table in aligned}
    if len(rates) > 1:
        other = next(t for t in aligned if t.rate_hz != first.rate_hz)
        raise TaskError(
            f"{first.name} has {_hertz(first)}, {other.name} {_hertz(other)}: what is learned"
            " together must have one rate"
        )
    begins = np.cumsum([0, *(len(table) for table in aligned)]).tolist()
    numbers = np.cumsum([0, *(int(t.recording[-1]) + 1 if len(t) else 0 for t in aligned)])
    return Table(
        tuple(
            (path, begin + at)
            for table, at in zip(aligned, begins, strict=False)
            for path, begin in table.files
        ),
        tuple(_below([table.columns[k] for table in aligned]) for k in range(len(first.columns))),
        np.concatenate([t.recording + n for t, n in zip(aligned, numbers, strict=False)]),
        lines=None
        if any(table.lines is None for table in aligned)
        else np.concatenate([t.lines for t in aligned if t.lines is not None]),
        series=first.series,
        rate_hz=first.rate_hz,
        has_names=first.has_names,
        torn={
            row + at: why
            for table, at in zip(aligned, begins, strict=False)
            for row, why in table.torn.items()
        },
        notes=tuple(dict.fromkeys(note for table in aligned for note in table.notes)),
    )


def _hertz(table: Table) -> str:
    return "no rate" if table.rate_hz is None else f"{table.rate_hz:g} Hz"


def _aligned(first: Table, table: Table) -> Table:
    """The table with its columns in the order of the first one's."""
    wanted, names = ([column.name for column in t.columns] for t in (first, table))
    if wanted == names or (len(wanted) == len(names) and not (first.has_names and table.has_names)):
        return table
    if sorted(wanted) != sorted(names) or len(set(names)) < len(names):
        own, others = (
            listed_names([c.name for c in t.columns if c.role in ("", "feature", "time")])
            for t in (table, first)
        )
        raise TaskError(
            f"{table.name} has the columns {own}, but {first.name} {others}:"
            " files that belong together have the same"
        )
    return replace(table, columns=tuple(table.columns[names.index(name)] for name in wanted))


def _below(parts: Sequence[Column]) -> Column:
    """Columns one below the other."""
    texts = any(part.is_text for part in parts)
    values = [np.array(part.texts(), object) if texts else part.values for part in parts]
    units = {part.unit for part in parts} - {""}
    scales = {part.scale for part in parts}
    if len(units) > 1:
        raise TaskError(
            f"column {parts[0].name!r} is in {' and in '.join(sorted(units))}: what is learned"
            " together must have one unit"
        )
    return replace(
        parts[0],
        values=np.concatenate(values),
        unit=min(units, default=""),
        scale=scales.pop() if len(scales) == 1 else None,
        spelled=lambda: np.array([text for part in parts for text in part.texts()], object),
    )
