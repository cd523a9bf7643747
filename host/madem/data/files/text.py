"""Delimited text as a table.

What separates cells, the decimal mark, the encoding, the header and where recordings end are judged
by what the lines look like; pandas reads the cells.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.data.files.table import MISSING, Column, Table, column, number, with_unique_names
from madem.errors import TaskError

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "blank": " "}
_UNLIKELY = 0.9
"""Of a dialect in which the first row has another number of cells than the others."""
_SAMPLE = 200
"""Rows by which the dialect is judged."""
_NA = sorted({s for word in MISSING for s in (word, word.upper(), word.capitalize(), "NaN", "N/a")})
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_SEP_LINE = re.compile(r"sep=(.)", re.IGNORECASE)


class Dialect(NamedTuple):
    """The way in which lines are cut into cells.

    Attributes:
        delimiter: one of `DELIMITERS`; a blank stands for any number of blanks and tabs.
        decimal: "." or ",".
    """

    delimiter: str
    decimal: str


@dataclass(eq=False)
class _Lines:
    """The lines of a file that are rows, and what the others said.

    Attributes:
        rows: text of each row; a quoted cell may go over several lines.
        numbers: line at which each row begins, from 1.
        recordings: number of the recording of each row: blank lines stand between them.
        comments: what stands behind `#`, in order; of the lines before the first row.
        delimiter: from a line `sep=;`.
    """

    rows: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    recordings: list[int] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    delimiter: str | None = None

    def without(self, rows: set[int], restart: bool = False) -> _Lines:
        """The lines without some rows; `restart`: what follows one is another recording."""
        kept = [k for k in range(len(self.rows)) if k not in rows]
        begun = np.cumsum([k in rows for k in range(len(self.rows))]) if restart else None
        return replace(
            self,
            rows=[self.rows[k] for k in kept],
            numbers=[self.numbers[k] for k in kept],
            recordings=[self.recordings[k] + (0 if begun is None else int(begun[k])) for k in kept],
        )


def read(
    path: Path,
    data: bytes,
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    label: str | int | None = None,
) -> Table:
    """Read delimited text.

    Args:
        path: for messages.
        data: what the file holds.
        delimiter: a key or a value of `DELIMITERS`; None: judged.
        decimal: "." or ","; None: judged.
        label: name of a column that the user asks for: a first row that has it is a header.

    Returns:
        The table.

    Raises:
        TaskError: it is no text, or no table.
    """
    lines = _lines(path, decode(path, data), delimiter)
    if not lines.rows:
        raise TaskError(f"{path} is empty: it has no rows")
    dialect = _dialect(lines, delimiter or lines.delimiter, decimal)
    width = Counter(_width(row, dialect) for row in lines.rows).most_common(1)[0][0]
    header, lines = _header(path, lines, dialect, width, label)
    if not lines.rows:
        raise TaskError(f"{path} has a header but no samples")
    torn, notes = {}, []
    for k, row in enumerate(lines.rows):
        if (cells := _width(row, dialect)) != width:
            torn[k] = f"{cells} cells where {width} are expected"
    last = len(lines.rows) - 1
    if last in torn and last and not data.endswith((b"\n", b"\r", b"\n\0", b"\r\0")):
        notes.append(f"the last line is cut off, and left out: line {lines.numbers[last]}")
        del torn[last]
        lines = lines.without({last})
    if len(torn) > len(lines.rows) // 2:
        row = min(torn)
        raise TaskError(f"{path}, line {lines.numbers[row]}: {torn[row]}; is it a table?")
    columns = _columns(path, lines, dialect, width, header, torn)
    rate = [c.partition(":")[2] for c in lines.comments if c.startswith("rate_hz:")]
    return Table(
        ((path, 0),),
        columns,
        np.unique(lines.recordings, return_inverse=True)[1].astype(np.int64),
        lines=np.array(lines.numbers, np.int64),
        rate_hz=_positive(rate[0]) if rate else None,
        has_names=header is not None,
        torn=torn,
        notes=tuple(notes),
    )


def decode(path: Path, data: bytes) -> str:
    """Decode the text of a file: by its byte order mark, else UTF-8, else Latin-1.

    Args:
        path: for messages.
        data: what the file holds.

    Returns:
        The text.

    Raises:
        TaskError: it is no text.
    """
    encodings = [name for mark, name in _BOMS if data.startswith(mark)][:1]
    if not encodings and b"\0" in data[:1024]:
        # UTF-16 without its mark: every other byte of plain text is 0.
        encodings = [
            "utf-16-le" if data[1:1024:2].count(0) > data[:1024:2].count(0) else "utf-16-be"
        ]
    for encoding in encodings or ("utf-8", "cp1252", "latin-1"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise TaskError(f"{path} is no text: it is of another format than its name says, or damaged")


def split(row: str, dialect: Dialect) -> list[str]:
    """Split a row into its cells, without blanks around them.

    Args:
        row: a line of the file.
        dialect: how cells are written.

    Returns:
        The cells.
    """
    mark = dialect.delimiter
    if '"' not in row:
        return row.split() if mark == " " else [cell.strip() for cell in row.split(mark)]
    if mark == " ":
        row = row.replace("\t", " ").strip()
    try:
        cells = next(csv.reader([row], delimiter=mark, skipinitialspace=True))
    except (csv.Error, StopIteration):
        return [row]
    return [cell.strip() for cell in cells]


def _width(row: str, dialect: Dialect) -> int:
    """How many cells a row has."""
    if '"' in row or dialect.delimiter == " ":
        return len(split(row, dialect))
    return row.count(dialect.delimiter) + 1


# --- lines ---------------------------------------------------------------------------------------


def _lines(path: Path, text: str, delimiter: str | None) -> _Lines:
    found = _Lines()
    marks = re.escape(DELIMITERS.get(delimiter or "", delimiter or ",;\t|"))
    open_quote = re.compile(rf'(?:^|[{marks}\s])\s*"(?:[^"]|"")*$')
    recording, blank, opened = 0, False, 0
    for at, raw in enumerate(io.StringIO(text, newline=None), 1):
        line = raw.removesuffix("\n")
        if opened:
            found.rows[-1] += "\n" + line
            if line.count('"') % 2:
                opened = 0
        elif not line.strip(' ,;\t|"\f\v\x1a'):
            blank = True
        elif line.lstrip().startswith("#"):
            if not found.rows:
                found.comments.append(line.lstrip().lstrip("#").strip())
        elif not found.rows and (match := _SEP_LINE.fullmatch(line.strip(' "'))):
            found.delimiter = match[1]
        else:
            recording += blank and bool(found.rows)
            blank = False
            found.rows.append(line)
            found.numbers.append(at)
            found.recordings.append(recording)
            if line.count('"') % 2 and open_quote.search(line):
                opened = at
    if opened:
        raise TaskError(f"{path}, line {opened}: a quote is opened and never closed")
    return found


def _dialect(lines: _Lines, delimiter: str | None, decimal: str | None) -> Dialect:
    """The dialect in which most rows have equally many cells, and most cells are numbers.

    Where the first row, which may be a header, has another number of them, it is less likely.
    """
    marks = [DELIMITERS.get(delimiter, delimiter)] if delimiter else [*DELIMITERS.values()]
    sample = lines.rows[:_SAMPLE]
    candidates = [
        Dialect(mark, point)
        for mark in marks
        for point in ([decimal] if decimal else [".", ","])
        if mark != point
    ]

    def fit(dialect: Dialect) -> tuple[bool, float]:
        rows = [split(row, dialect) for row in sample]
        width, count = Counter(map(len, rows)).most_common(1)[0]
        cells = [
            c for row in rows[1:] if len(row) == width for c in row if c.lower() not in MISSING
        ]
        numbers = sum(number(cell, dialect.decimal) is not None for cell in cells)
        share = numbers / len(cells) if cells else 0.0
        first = len(rows[0])  # an index may have no name
        likely = 1.0 if first == width or 1 < first == width - 1 else _UNLIKELY
        return width > 1, round(count / len(rows) * (0.05 + share) * likely, 6)

    return max(candidates, key=fit, default=Dialect(marks[0], "."))


# --- header --------------------------------------------------------------------------------------


def _header(
    path: Path, lines: _Lines, dialect: Dialect, width: int, label: str | int | None
) -> tuple[list[str] | None, _Lines]:
    """The column names, if the first row or the comment above it has them, and the other rows.

    A header has text above every column of numbers. A column that is asked for by name proves a
    header, too. Where the header comes again, another recording begins.
    """
    first = split(lines.rows[0], dialect)
    again = {k for k, row in enumerate(lines.rows) if row == lines.rows[0]}
    rest = lines.without({0})
    if len(first) == width - 1 and rest.rows:
        below = [cells for row in rest.rows[:_SAMPLE] if len(cells := split(row, dialect)) == width]
        # A delimiter at the end of each row, or an index without a name.
        first = [*first, ""] if all(cells[-1] == "" for cells in below) else ["", *first]
    asked = isinstance(label, str) and label in first
    if asked or _is_header(path, lines, rest, dialect, width, first):
        return first, lines.without(again, restart=True)
    names = split(lines.comments[-1], dialect) if lines.comments else []
    above = len(names) == width > 1 and not any(number(n, dialect.decimal) for n in names)
    return (names if above else None), lines


def _is_header(
    path: Path, lines: _Lines, rest: _Lines, dialect: Dialect, width: int, first: list[str]
) -> bool:
    if len(first) != width:
        return False
    numeric = [number(cell, dialect.decimal) is not None for cell in first]
    known = [k for k, cell in enumerate(first) if cell.lower() not in {*MISSING, "none"}]
    if not rest.rows or not any(numeric):
        # Text alone: a header, unless there are no numbers below either.
        below = [split(row, dialect) for row in rest.rows[:_SAMPLE]]
        return not any(numeric) and (
            not below or any(number(c, dialect.decimal) is not None for row in below for c in row)
        )
    if all(numeric[k] for k in known):
        return False
    rows = [cells for row in rest.rows if len(cells := split(row, dialect)) == width]
    judged = []  # the columns that hold numbers, and nothing else, below the first row
    for k in known:
        below = [cells[k] for cells in rows if cells[k].lower() not in MISSING]
        if below and all(number(cell, dialect.decimal) is not None for cell in below):
            judged.append(k)
    text = [k for k in judged if not numeric[k]]
    if text and len(text) < len(judged):
        odd, plain = text[0], next(k for k in judged if k not in text)
        raise TaskError(
            f"{path}, line {lines.numbers[0]}, is neither a header nor numbers: column {odd} has"
            f" {first[odd]!r}, column {plain} has {first[plain]!r}; if it is a header, give the"
            " name of the label column with --label"
        )
    return bool(text)


# --- cells ---------------------------------------------------------------------------------------


def _columns(
    path: Path,
    lines: _Lines,
    dialect: Dialect,
    width: int,
    header: list[str] | None,
    torn: dict[int, str],
) -> tuple[Column, ...]:
    mark = dialect.delimiter
    empty = mark.join(["nan"] * width)
    rows = [empty if k in torn else row for k, row in enumerate(lines.rows)]
    frame = _frame(path, rows, dialect, width)
    found = []
    for k in range(width):

        def spelled(k: int = k) -> NDArray[np.object_]:
            return _texts(path, rows, dialect, width, k)

        values = frame[k]
        is_number = values.dtype.kind in "iuf"
        one = column(
            header[k] if header else "",
            values.to_numpy(np.float64, copy=True) if is_number else spelled(),
            decimal=dialect.decimal,
            spelled=spelled,
        )
        if not is_number:  # perhaps to pandas alone
            numbers, odd = one.numbers()
            if not odd and not np.isnan(numbers).all():
                one = replace(one, values=numbers)
        found.append(one)
    if header and not header[-1] and not found[-1].is_text and np.isnan(found[-1].values).all():
        found.pop()  # each line ends with a delimiter
    return with_unique_names(found)


def _frame(
    path: Path, rows: Sequence[str], dialect: Dialect, width: int, **more: Any
) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(
            io.StringIO("\n".join(rows)),
            sep=r"\s+" if dialect.delimiter == " " else dialect.delimiter,
            decimal=dialect.decimal,
            header=None,
            names=range(width),
            index_col=False,
            skipinitialspace=True,
            skip_blank_lines=False,
            keep_default_na=False,
            na_values=_NA,
            float_precision="round_trip",
            low_memory=False,
            **more,
        )
    except (ValueError, OverflowError) as error:  # pandas' ParserError among them
        raise TaskError(f"{path} is no table: {str(error).splitlines()[0]}") from None


def _texts(
    path: Path, rows: Sequence[str], dialect: Dialect, width: int, k: int
) -> NDArray[np.object_]:
    """The cells of a column as they are spelled, None where missing."""
    cells = _frame(path, rows, dialect, width, usecols=[k], dtype=str)[k].to_numpy(object)
    return np.array([c.strip() if isinstance(c, str) else None for c in cells], object)


def _positive(text: str) -> float | None:
    value = number(text.strip())
    return value if value is not None and 0 < value < math.inf else None
