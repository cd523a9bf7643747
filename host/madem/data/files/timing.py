"""Which column is the time, and what it says of rate, gaps and recordings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from madem.data.files.table import Column, Table
from madem.errors import TaskError

GAP = 1.5
"""Sample times after which samples do not join on to each other."""
_NAME = re.compile(
    r"(?:unix|sample|sensor|log)?[ _]?"
    r"(?:t|time|times?tamp|date|datetime|date[ _]?time|elapsed|seconds|millis|micros)"
    r"(?:[ _]?(?P<unit>s|sec|seconds|ms|millis|us|µs|micros|ns|elapsed))?",
    re.IGNORECASE,
)
_SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "µs", "μs", "usec", "micros", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanoseconds"), 1e-9),
    **dict.fromkeys(("min", "minutes"), 60.0),
    **dict.fromkeys(("h", "hours"), 3600.0),
}
_REGULAR = 0.8
"""Share of intervals within half of the usual one from which on there is a rate."""
_FAULTS = 0.1
"""Share of times before the one before from which on a column is no time."""


@dataclass(frozen=True, eq=False)
class Timing:
    """The times in a column.

    Attributes:
        column: its index.
        unit: that its numbers are in, or "date" for text.
        t_s: seconds, float64 (rows,).
        rate_hz: samples a second; None: they come as they come.
        begins: rows at which the time jumps back, so that another recording begins.
        gaps: rows before which samples are missing, bool (rows,).
    """

    column: int
    unit: str
    t_s: NDArray[np.float64]
    rate_hz: float | None
    begins: NDArray[np.bool_]
    gaps: NDArray[np.bool_]


def is_named(column: Column) -> bool:
    """Whether a column has the name of a time.

    Args:
        column: of a file.

    Returns:
        Whether it has.
    """
    return _NAME.fullmatch(column.name) is not None


def find(table: Table, named: str | None, units: Mapping[str, str]) -> Timing | None:
    """Find the time column, by its name and by its values, which must rise.

    Args:
        table: what was read.
        named: the column that the user says it is.
        units: what the user says of units, by column name.

    Returns:
        The times; None: there is no such column.

    Raises:
        TaskError: the column that the user names is no time.
    """
    if named is not None:
        at = table.find(named, "--time")
        found = _timing(table, at, units, asked=True)
        if found is None:
            raise TaskError(
                f"{table.name}: {table.called(at)} is no time: its values do not rise, or are"
                " neither numbers nor dates such as 2026-01-31 12:00:00.5"
            )
        return found
    for at, column in enumerate(table.columns):
        if column.role == "time" or (not column.role and is_named(column)):
            found = _timing(table, at, units, asked=False)
            if found is not None:
                return found
    return None


def _timing(table: Table, at: int, units: Mapping[str, str], asked: bool) -> Timing | None:
    column = table.columns[at]
    if len(table) < 2 and not asked and column.role != "time":
        return None
    dates = column.is_text
    values = _dates(column) if dates else column.numbers()[0]
    known = ~np.isnan(values)
    if not known.any():
        return None
    # A row without a time has that of the row before: nothing can be said of it.
    index = np.maximum.accumulate(np.where(known, np.arange(len(values)), 0))
    values = values[np.maximum(index, int(np.argmax(known)))]
    same = np.diff(table.recording, prepend=-1) == 0
    steps = np.diff(values, prepend=values[0])
    back = same & (steps < 0)
    if back.sum() > _FAULTS * max(1, same.sum()) or not (steps[same] > 0).any():
        return None if len(table) > 1 else Timing(at, "s", values * 0, None, back, back)
    said = "date" if dates else units.get(column.name) or _said_unit(column)
    if not said and np.all(steps[same] == 1) and len(values) > 2:
        return None  # it counts the rows
    unit = said or _likely_unit(values)
    if unit not in _SECONDS and unit != "date":
        raise TaskError(
            f"{table.name}: the unit {unit!r} of the time {column.name!r} is none of s, ms, us, ns,"
            " min, h; say it with --units"
        )
    seconds = _SECONDS.get(unit, 1.0)
    intervals = steps * seconds
    inner = intervals[same & ~back]
    usual = float(np.median(inner))
    rate = table.rate_hz
    if not rate and usual > 0 and np.mean(np.abs(inner - usual) <= usual / 2) >= _REGULAR:
        rate = float(1 / np.mean(inner[inner <= GAP * usual]))
    gaps = same & ~back & (intervals * (rate or 0.0) > GAP * (1 + 1e-9))
    return Timing(at, unit, values * seconds, rate, back, gaps)


def _said_unit(column: Column) -> str:
    """The unit of a time as its title or its name says it, or ""."""
    if column.unit:
        return column.unit.lower()
    name = column.name.lower()
    match = _NAME.fullmatch(name)
    said = (match["unit"] if match else None) or name
    return said if said in _SECONDS else ""


def _likely_unit(values: NDArray[np.float64]) -> str:
    """The unit of a time by its numbers: those of today since 1970, else whole ones are in ms."""
    largest = float(np.max(values))
    for least, unit in ((1e17, "ns"), (1e14, "us"), (1e11, "ms"), (1e8, "s")):
        if least <= largest < 1e20:
            return unit
    return "ms" if np.all(values == np.rint(values)) else "s"


def _dates(column: Column) -> NDArray[np.float64]:
    """Seconds of dates or of times of day; NaN for what is neither."""
    import pandas as pd

    texts = pd.Series(column.values, dtype=object)
    for convert in (
        lambda: pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce"),
        lambda: pd.to_datetime(texts, format="%H:%M:%S.%f", utc=True, errors="coerce"),
        lambda: pd.to_datetime(texts, format="%H:%M:%S", utc=True, errors="coerce"),
    ):
        found = convert()
        if found.notna().sum() > 0.9 * texts.notna().sum():
            since = (found - found.min()).dt.total_seconds()
            return since.to_numpy(np.float64)
    return np.full(len(texts), np.nan)
