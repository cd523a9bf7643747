"""What was meant: which column is the label, which is time, index or constant.

And what the rest is, in which unit. The judgement is data, to be told before anything is learned.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.data.files import timing
from madem.data.files.table import Column, Table, listed_names, number
from madem.errors import TaskError, printable

MAX_CLASSES = 64
LARGEST = 1e300
"""Differences of two values must stay finite."""
_LABEL = re.compile(
    r"(?:class|target|activity|gesture|category)?[ _]?(?:labels?|class|classes|targets?)"
    r"|activity|activities|gestures?|category|species|outcome|diagnosis",
    re.IGNORECASE,
)
_INDEX = re.compile(
    r"(?:row|sample|packet|sequence|line|record)?[ _]?"
    r"(?:id|index|idx|no|nr|number|num|seq|sequence|count|counter|unnamed: 0)\.?",
    re.IGNORECASE,
)
BY_FILE = "file"
"""Name of the column of a label that is the file's name."""
_LEAST_ROWS = 8
"""Rows from which on a column that counts them, or a recording, is taken for one."""
_ODD = 0.5
"""Share of a column's cells that may be no numbers before it is called text."""


@dataclass(frozen=True)
class ReadOptions:
    """What the user says where the judgement would be wrong.

    Attributes:
        label: the column, or array of an `.npz`, that holds the label: a name or an index.
        x: the array of features in an `.npz`.
        drop: columns to leave out.
        time: the column that holds the time; "none": there is none, each row is by itself.
        delimiter: between cells: a key of `text.DELIMITERS` or a character.
        decimal: "." or ",".
        units: for each feature in turn, or `NAME=UNIT`; one alone is that of all features.
        groups: the column, or array of an `.npz`, whose equal values must not be apart.
    """

    label: str | int | None = None
    x: str | None = None
    drop: tuple[str, ...] = ()
    time: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    units: tuple[str, ...] = ()
    groups: str | int | None = None

    def units_by_name(self) -> dict[str, str]:
        """What is said of columns by their names."""
        pairs = (word.partition("=") for word in self.units if "=" in word)
        return {name.strip(): unit.strip() for name, _, unit in pairs}


@dataclass(frozen=True)
class Known:
    """What is known of a file before it is read, because a network was taught with its like.

    Attributes:
        features: names of columns that are features, whatever they look like.
        label: name of the label's column; "" where it is not known.
    """

    features: tuple[str, ...]
    label: str = ""

    def label_of(self, table: Table) -> int | None:
        """Find the label by what is known.

        Args:
            table: what was read.

        Returns:
            Its column; None: there is none.
        """
        if not self.label:
            return None
        names = [column.name or f"column {k}" for k, column in enumerate(table.columns)]
        if not table.has_names and len(names) == len(self.features):
            return None  # the label is not in the file
        return names.index(self.label) if self.label in names else None

    def features_of(self, table: Table) -> set[int]:
        """Find the features by what is known.

        Args:
            table: what was read.

        Returns:
            Their columns.
        """
        return {
            k
            for k, column in enumerate(table.columns)
            if (column.name or f"column {k}") in self.features
        }


class Feature(NamedTuple):
    """A feature of a table or a channel of a stream.

    Attributes:
        name, unit: of its column; unit "" if not known.
        low, high: least and largest value.
        scale: units per count, if the values are a converter's counts in that unit; else None.
    """

    name: str
    unit: str
    low: float
    high: float
    scale: float | None


@dataclass(frozen=True)
class Judgement:
    """How a file was understood.

    Attributes:
        name: the file, or the folder and how many files.
        series: rows follow one another in time; else each is a sample by itself.
        rows: how many.
        label: the column, and why it is taken for the label; "" if there is none.
        label_column: the column alone.
        classes: how many rows each class has.
        unlabelled: rows without a label.
        features: each feature or channel.
        rate_hz: samples a second of a series; None: not known.
        recordings: recordings in the file.
        groups: values of the column of groups; 0: there is none.
        gaps: places where samples of a recording are missing.
        missing: rows in which values are missing.
        test: what is kept for the test; "" before that is chosen.
        left_out: columns that are no features, and why.
        notes: what else to tell.
    """

    name: str
    series: bool
    rows: int
    label: str
    label_column: str
    classes: Mapping[str, int]
    unlabelled: int
    features: tuple[Feature, ...]
    rate_hz: float | None
    recordings: int
    groups: int
    gaps: int
    missing: int
    test: str
    left_out: Mapping[str, str]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything, for a report."""
        return asdict(self) | {"features": [feature._asdict() for feature in self.features]}

    def lines(self) -> list[str]:
        """For people, one fact a line."""
        what = "channel" if self.series else "feature"
        first = f"{self.name}: {_count(self.rows, 'sample')} of {_count(len(self.features), what)}"
        if self.series:
            first += f" at {self.rate_hz:.4g} Hz" if self.rate_hz else ", at a rate not known"
            first += f", {_count(self.recordings, 'recording')}"
        found = [first]
        if self.label:
            shares = [f"{name}: {count:,}" for name, count in self.classes.items()]
            shares += [f"without: {self.unlabelled:,}"] if self.unlabelled else []
            found.append(f"label: {self.label}; {listed_names(shares, 10)}")
        else:
            found.append("label: none")
        found.append(f"{what}s: {listed_names([_range(f) for f in self.features])}")
        if self.groups:
            found.append(f"groups: {self.groups}")
        if self.test:
            found.append(f"for the test: {self.test}")
        if self.left_out:
            found.append(
                "left out: " + "; ".join(f"{name} ({why})" for name, why in self.left_out.items())
            )
        if self.missing:
            found.append(f"missing: values in {self.missing:,} rows, which are gaps")
        if self.gaps:
            found.append(f"gaps: {_count(self.gaps, 'time')} samples do not join on")
        return found + [f"note: {note}" for note in self.notes]


@dataclass(frozen=True, eq=False)
class Samples:
    """Judged samples, in the order of their files.

    Attributes:
        x: float64 (rows, features), in the features' units; NaN where missing, in series only.
        y: class of each row, int64 (rows,), an index into class_names; -1: no label.
        class_names: in numerical order if all labels are integers, else alphabetical.
        recording: number of the recording that a row belongs to, int64 (rows,), rising.
        joins: the row follows on the one before without a gap, bool (rows,); for series.
        t_s: time of each row in seconds, float64 (rows,); None: at the rate.
        groups: rows that must not be apart, int64 (rows,); None: none are named.
        test: rows that the file keeps for the test, bool (rows,); None: it does not say.
        judgement: the rest, and what to tell.
        table: what was read, to name places in it.
    """

    x: NDArray[np.float64] = field(repr=False)
    y: NDArray[np.int64] = field(repr=False)
    class_names: tuple[str, ...]
    recording: NDArray[np.int64] = field(repr=False)
    joins: NDArray[np.bool_] = field(repr=False)
    t_s: NDArray[np.float64] | None = field(repr=False)
    groups: NDArray[np.int64] | None = field(repr=False)
    test: NDArray[np.bool_] | None = field(repr=False)
    judgement: Judgement
    table: Table = field(repr=False)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Rows in which a value is missing, bool (rows,)."""
        return np.any(np.isnan(self.x), axis=1)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(feature.name for feature in self.judgement.features)

    @property
    def units(self) -> tuple[str, ...]:
        """Units of the features, "" where not known."""
        return tuple(feature.unit for feature in self.judgement.features)

    @property
    def scale(self) -> NDArray[np.float64] | None:
        """Units per count of each feature, (features,), if the file has counts; else None."""
        scales = [feature.scale for feature in self.judgement.features]
        return None if None in scales else np.array(scales, np.float64)


def judge(
    table: Table,
    options: ReadOptions,
    *,
    learn: bool,
    series: bool | None = None,
    by_file: bool = False,
    known: Known | None = None,
) -> Samples:
    """Judge what the columns of a table are.

    Args:
        table: what was read.
        options: what the user says.
        learn: for learning: a label is needed, and columns that can't teach are left out.
        series: the rows follow one another in time; None: judged.
        by_file: the label is that of the file, so that each file is a recording of something.
        known: what is known of it before.

    Returns:
        The samples, and the judgement with them.

    Raises:
        TaskError: something is missing, or is not what the user says.
    """
    left_out = {table.find(name, "--drop"): "as asked for" for name in options.drop}
    units = options.units_by_name()
    kept = known.features_of(table) - set(left_out) if known else set()
    time = None if options.time == "none" else timing.find(table, options.time, units)
    if time is not None and time.column in kept and options.time is None:
        time = None
    if time is not None:
        left_out[time.column] = f"the time, in {time.unit}"
    group = None if options.groups is None else table.find(options.groups, "--groups")
    label, why = None, ""
    if known and options.label is None:
        label, why = known.label_of(table), "as the network was taught"
    if label is None:
        others = {*left_out, *kept} | ({group} if group is not None else set())
        label, why = _label_column(table, options.label, learn, others)
    y, class_names = _labels(table, label)
    recording = _recordings(table, time)
    if series is None:
        series = _is_series(table, options, time, recording, class_names, by_file)
    taken = {k for k, c in enumerate(table.columns) if c.role in ("label", "group", "test")}
    rest = [k for k in range(len(table.columns)) if k not in {*taken, label, group, *left_out}]
    if known and kept and len(kept) == len(known.features):
        # Nothing in the others matters: words, or a value that is missing.
        left_out |= {k: "the network was taught without it" for k in rest if k not in kept}
        rest = [k for k in rest if k in kept]
    features, torn = _features(table, rest, left_out, kept)
    if learn and not series:
        _leave_out_constants(table, features, left_out, kept)
    x = np.stack(list(features.values()), axis=1)
    missing = np.any(np.isnan(x), axis=1)
    if not series:
        _check_whole(table, list(features), x, torn)
        if learn and label is not None and (y < 0).any():
            raise TaskError(f"{table.place(int(np.argmax(y < 0)), label)}: the label is missing")
    inner = np.diff(recording, prepend=-1) == 0
    joins = np.logical_and(inner, ~missing)
    joins[1:] &= ~missing[:-1]
    if time is not None:
        joins &= ~time.gaps
    test = next((c.values > 0 for c in table.columns if c.role == "test"), None)
    grouped = [c for k, c in enumerate(table.columns) if k == group]
    grouped += [c for c in table.columns if c.role == "group"]
    groups = _numbered(grouped[0]) if grouped else None
    notes = list(table.notes)
    if torn:
        notes.append(
            f"{_count(len(torn), 'row')} can't be read and counted as missing, the first:"
            f" {torn[min(torn)]}"
        )
    called = [column.name or f"column {k}" for k, column in enumerate(table.columns)]
    counts = np.bincount(y[y >= 0], minlength=len(class_names)).tolist()
    judgement = Judgement(
        name=printable(table.name),
        series=series,
        rows=len(table),
        label="" if label is None else f"{called[label]} ({why})",
        label_column="" if label is None else called[label],
        classes=dict(zip(class_names, counts, strict=True)),
        unlabelled=int(np.count_nonzero(y < 0)) if label is not None else 0,
        features=_described(table, features, x, options),
        rate_hz=(time.rate_hz if time else None) or table.rate_hz,
        recordings=int(recording[-1]) + 1,
        groups=0 if groups is None else int(groups.max()) + 1,
        gaps=int(np.count_nonzero(inner & ~joins & ~missing)),
        missing=int(missing.sum()),
        test="" if test is None else f"{int(test.sum()):,} rows, as the file says",
        left_out={called[k]: reason for k, reason in sorted(left_out.items())},
        notes=tuple(printable(note) for note in notes),
    )
    return Samples(
        x=x,
        y=y,
        class_names=class_names,
        recording=recording,
        joins=joins,
        t_s=time.t_s if time else None,
        groups=groups,
        test=test,
        judgement=judgement,
        table=table,
    )


# --- the label -----------------------------------------------------------------------------------


def certain_label(table: Table, left_out: Collection[int] = ()) -> tuple[int | None, str]:
    """Find the column that is surely the label: by the format, by its name, or as the only text.

    Args:
        table: what was read.
        left_out: columns that it can't be.

    Returns:
        The column and why it is the label; None if there is none.

    Raises:
        TaskError: several columns have such a name.
    """
    known = [k for k in range(len(table.columns)) if k not in left_out]
    by_role = [k for k in known if table.columns[k].role == "label"]
    if by_role:
        by_file = table.columns[by_role[0]].name == BY_FILE
        return by_role[0], "what the files are called" if by_file else "as the file says"
    known = [k for k in known if not table.columns[k].role and _can_be(table.columns[k])]
    named = [k for k in known if _LABEL.fullmatch(table.columns[k].name)]
    if len(named) > 1:
        raise TaskError(
            f"{table.name} has several columns that can be the label,"
            f" {listed_names([table.columns[k].name for k in named])}: choose one with --label"
        )
    if named:
        return named[0], "by its name"
    texts = [k for k in known if _is_words(*table.columns[k].numbers())]
    if len(texts) == 1 and len(table.columns) > 1 and not timing.is_named(table.columns[texts[0]]):
        return texts[0], "the only text"
    return None, ""


def _label_column(
    table: Table, wanted: str | int | None, learn: bool, left_out: Collection[int]
) -> tuple[int | None, str]:
    if wanted is not None:
        return table.find(wanted, "--label"), "as asked for"
    found, why = certain_label(table, left_out)
    known = [k for k, c in enumerate(table.columns) if not c.role and k not in left_out]
    if found is not None or not learn or len(known) < 2:
        return found, why
    few = [k for k in known if _has_few_values(table.columns[k])]
    if len(few) == 1 and known[-1] not in few and not table.columns[known[-1]].is_text:
        return few[0], "the only column with few different whole numbers"
    if not table.columns[known[-1]].is_text and not _can_be(table.columns[known[-1]]):
        raise TaskError(
            f"{table.name}: no column can be the label, text or whole numbers of which each comes"
            " again; name one with --label"
        )
    return known[-1], "the last column"


def _can_be(column: Column) -> bool:
    """Whether values can name classes: text that comes again, or whole numbers."""
    if not column.is_text:
        values = column.values[~np.isnan(column.values)]
        return bool(np.all(values == np.rint(values)))
    texts = [text for text in column.values.tolist() if text is not None]
    return len(set(texts)) <= max(2, len(texts) // 2) or len(texts) < _LEAST_ROWS


def _has_few_values(column: Column) -> bool:
    if column.is_text:
        return False
    values, counts = np.unique(column.values, return_counts=True)
    whole = np.all(values == np.rint(values))
    return bool(whole and 2 <= len(values) <= MAX_CLASSES and counts.min() >= 2)


def _labels(table: Table, label: int | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class of each row, -1 for none, and the names of the classes."""
    if label is None:
        return np.full(len(table), -1, np.int64), ()
    column = table.columns[label]
    texts = [None if t is None else printable(t) for t in column.texts()]
    known = [text for text in texts if text is not None]
    if known and all(number(text, column.decimal) is not None for text in known):
        for row, text in enumerate(texts):
            value = None if text is None else number(text, column.decimal)
            if value is not None and not value.is_integer():
                raise TaskError(
                    f"{table.place(row, label)}: the label {text} is no class: labels are whole"
                    " numbers or text; --label chooses another column"
                )
        # int(text) first: a float would merge large neighbours.
        whole = [None if t is None else _integer(t, column.decimal) for t in texts]
        class_names = [str(value) for value in sorted({v for v in whole if v is not None})]
        texts = [None if value is None else str(value) for value in whole]
    else:
        class_names = sorted(set(known))
    index: dict[str | None, int] = {name: k for k, name in enumerate(class_names)}
    return np.array([index.get(text, -1) for text in texts], np.int64), tuple(class_names)


def _integer(text: str, decimal: str) -> int:
    value = number(text, decimal)
    return int(text) if value is None or text.lstrip("+-").isdecimal() else int(value)


# --- features ------------------------------------------------------------------------------------


def _features(
    table: Table, rest: Sequence[int], left_out: dict[int, str], kept: Collection[int]
) -> tuple[dict[int, NDArray[np.float64]], dict[int, str]]:
    """The values of each column that is a feature, and rows that can't be read, with the message.

    What is no feature comes into `left_out`. Those that are kept are features in any case.
    """
    found: dict[int, NDArray[np.float64]] = {}
    torn = {row: f"{table.place(row)}: {why}" for row, why in table.torn.items()}
    index = [k for k in rest if k not in kept and not table.columns[k].role and _is_index(table, k)]
    if len(index) < len(rest):
        left_out.update(dict.fromkeys(index, "it counts the rows"))
    for k in rest:
        if k in left_out:
            continue
        column = table.columns[k]
        values, odd = column.numbers()
        if _is_words(values, odd):
            row = min(odd)
            raise TaskError(
                f"{table.place(row, k)}: {odd[row]!r} is not a number; leave the column out with"
                f" --drop {column.name or k}, or choose it with --label"
            )
        for row, cell in odd.items():
            torn.setdefault(row, f"{table.place(row, k)}: {cell!r} is not a number")
        for row in np.flatnonzero(np.abs(values) > LARGEST).tolist():
            torn.setdefault(row, f"{table.place(row, k)}: {values[row]:g} is too large")
        values = np.where(np.abs(values) > LARGEST, np.nan, values)
        if column.role or k in kept or not np.isnan(values).all():
            found[k] = values
        else:
            left_out[k] = "it is empty"
    if not found:
        raise TaskError(f"{table.name} has no features: no column of numbers is left")
    return found, torn


def _leave_out_constants(
    table: Table,
    features: dict[int, NDArray[np.float64]],
    left_out: dict[int, str],
    kept: Collection[int],
) -> None:
    constant = [
        k for k, v in features.items() if k not in kept and len(v) > 1 and v.min() == v.max()
    ]
    if constant and len(constant) == len(features):
        raise TaskError(f"{table.name}: all columns are constant and can't teach anything")
    for k in constant:
        left_out[k] = f"it is always {features.pop(k)[0]:g}"


def _is_words(values: NDArray[np.float64], odd: Mapping[int, str]) -> bool:
    """Whether cells, of which these are numbers and those odd, are words."""
    return len(odd) > _ODD * (int(np.count_nonzero(~np.isnan(values))) + len(odd))


def _is_index(table: Table, k: int) -> bool:
    """Whether a column only counts or names the rows of each file."""
    column = table.columns[k]
    if column.is_text and not _is_words(*column.numbers()):
        return False  # numbers, and something odd
    named = _INDEX.fullmatch(column.name) is not None
    bounds = [*(begin for _, begin in table.files), len(table)]
    return all(_counts_rows(column.values[begin:end], named) for begin, end in pairwise(bounds))


def _counts_rows(values: NDArray[Any], named: bool) -> bool:
    """Whether no value comes twice, and there are enough of them or they have an index's name.

    Without such a name they are words, or numbers that rise by 1.
    """
    enough = named or len(values) >= _LEAST_ROWS
    if values.dtype == object:
        words = values.tolist()
        return enough and None not in words and len(set(words)) == len(words)
    if not enough or np.any(values != np.rint(values)):
        return False
    return len(np.unique(values)) == len(values) if named else bool(np.all(np.diff(values) == 1))


def _described(
    table: Table,
    features: Mapping[int, NDArray[np.float64]],
    x: NDArray[np.float64],
    options: ReadOptions,
) -> tuple[Feature, ...]:
    """Names, units and ranges."""
    columns = [table.columns[k] for k in features]
    named = options.units_by_name()
    plain = [unit for unit in options.units if "=" not in unit]
    unknown = set(named) - {column.name for column in table.columns}
    if unknown:
        raise TaskError(f"--units: {table.name} has no column {min(unknown)!r}")
    if len(plain) not in (0, 1, len(columns)):
        raise TaskError(
            f"--units names {len(plain)} units, but {table.name} has {len(columns)} features:"
            f" {listed_names([column.name for column in columns])}"
        )
    given = plain * len(columns) if len(plain) == 1 else plain or [""] * len(columns)
    known = np.where(np.isnan(x).all(axis=0), 0.0, x)
    low, high = np.nanmin(known, axis=0), np.nanmax(known, axis=0)
    return tuple(
        Feature(
            column.name or f"column {k}",
            printable(named.get(column.name) or unit or column.unit),
            float(low[at]),
            float(high[at]),
            column.scale,
        )
        for at, (k, column, unit) in enumerate(zip(features, columns, given, strict=True))
    )


def _check_whole(
    table: Table, columns: Sequence[int], x: NDArray[np.float64], torn: Mapping[int, str]
) -> None:
    """Refuse a table in which anything is missing."""
    if torn:
        raise TaskError(f"{torn[min(torn)]}; mend or remove it")
    for row, at in np.argwhere(np.isnan(x))[:1].tolist():
        k = columns[at]
        raise TaskError(
            f"{table.place(row, k)}: missing value; fill it in, remove the sample, or leave the"
            f" column out with --drop {table.columns[k].name or k}"
        )


# --- rows ----------------------------------------------------------------------------------------


def _recordings(table: Table, time: timing.Timing | None) -> NDArray[np.int64]:
    """Number of the recording of each row, from 0 without a gap."""
    changes = np.diff(table.recording, prepend=table.recording[:1]) != 0
    if time is not None:
        changes |= time.begins
    return np.cumsum(changes)


def _is_series(
    table: Table,
    options: ReadOptions,
    time: timing.Timing | None,
    recording: NDArray[np.int64],
    class_names: Sequence[str],
    by_file: bool,
) -> bool:
    """Whether rows follow one another in time."""
    if options.time == "none":
        return False
    if table.series is not None:
        return table.series
    if (time and time.rate_hz) or table.rate_hz or by_file:
        return True
    lengths = np.bincount(recording)
    several = len(lengths) - len(table.files) >= 2 * max(1, len(class_names))
    return bool(several and np.median(lengths) >= _LEAST_ROWS)


def _numbered(column: Column) -> NDArray[np.int64]:
    return np.unique(np.array(column.texts(), str), return_inverse=True)[1].astype(np.int64)


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _range(feature: Feature) -> str:
    return f"{feature.name} {feature.low:.4g} to {feature.high:.4g} {feature.unit}".rstrip()
