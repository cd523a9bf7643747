"""Delimited text: whatever program has written a table, it reads back equal."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from madem.data.files import text
from madem.data.files.table import MISSING, Table
from madem.errors import TaskError

PATH = Path("data.csv")


def read(content: str | bytes, **options: str) -> Table:
    return text.read(PATH, content.encode() if isinstance(content, str) else content, **options)  # pyright: ignore[reportArgumentType]


def cells(table: Table) -> list[list]:
    return [column.values.tolist() for column in table.columns]


def is_number(word: str) -> bool:
    try:
        float(word.replace(",", "."))
    except ValueError:
        return False
    return True


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


values = hnp.arrays(
    float,
    st.tuples(st.integers(3, 30), st.integers(2, 5)),
    elements=st.floats(-1e300, 1e300) | st.floats(-100, 100, width=16),
)
words = (
    st.text(
        st.characters(codec="latin-1", categories=["L", "Nd", "Zs", "P"]), min_size=1, max_size=8
    )
    .map(str.strip)
    .filter(lambda word: word and word.lower() not in MISSING and word.lower() != "none")
    .filter(lambda word: not is_number(word) and "#" not in word and word.isprintable())
)


@settings(max_examples=150, deadline=None)
@given(
    x=values,
    labels=st.lists(words, min_size=1, max_size=4),
    delimiter=st.sampled_from([*text.DELIMITERS.values()]),
    decimal=st.sampled_from(".,"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"]),
    header=st.booleans(),
    comment=st.sampled_from(["", "# made by a logger, 100 Hz\n"]),
)
def test_what_pandas_writes_in_any_dialect_reads_back_equal(
    x: np.ndarray,
    labels: list[str],
    delimiter: str,
    decimal: str,
    quoting: int,
    newline: str,
    encoding: str,
    header: bool,
    comment: str,
) -> None:
    if delimiter == decimal:
        decimal = "."
    names = [f"column_{k}" for k in range(x.shape[1])]
    frame = pd.DataFrame(x, columns=names)
    # Text goes first: a label at the end of a line is the case of the other tests.
    frame.insert(0, "what", [labels[row % len(labels)] for row in range(len(x))])
    written = comment + frame.to_csv(
        sep=delimiter, decimal=decimal, quoting=quoting, header=header, index=False
    )
    data = written.replace("\n", newline).encode(encoding)
    # Nothing tells Latin-1 that happens to be UTF-8.
    assume(encoding != "latin-1" or not is_utf8(data) or data.isascii())

    table = read(data)

    assert table.has_names == header
    assert [c.name for c in table.columns] == (
        ["what", *names] if header else [""] * len(table.columns)
    )
    assert table.columns[0].values.tolist() == frame["what"].tolist()
    assert np.array_equal(np.stack([c.values for c in table.columns[1:]], axis=1), x)
    assert not table.torn
    assert table.recording.max() == 0


@pytest.mark.parametrize(
    ("content", "names", "expected"),
    [
        ("1,2,a\n3,4,b\n", None, [[1, 3], [2, 4], ["a", "b"]]),
        ("p,q,r\n1,2,a\n3,4,b\n", ["p", "q", "r"], [[1, 3], [2, 4], ["a", "b"]]),
        ("1,5;2;a\n3;4,25;b\n", None, [[1.5, 3], [2, 4.25], ["a", "b"]]),
        ("1.5;2\n3;4\n", None, [[1.5, 3], [2, 4]]),
        ("1,5\t2,5\n3,5\t4,5\n", None, [[1.5, 3.5], [2.5, 4.5]]),
        ("  1,5   2,5 \n 3,5 4\n", None, [[1.5, 3.5], [2.5, 4]]),
        ("V I t\n1E0\t2E-3\t3\n4\t5\t6\n", ["V", "I", "t"], [[1, 4], [0.002, 5], [3, 6]]),
        ("1, 2, a b\n3 , 4,c d\n", None, [[1, 3], [2, 4], ["a b", "c d"]]),
        ("1 2\n3 4\n", None, [[1, 3], [2, 4]]),
        ("7\n8\n", None, [[7, 8]]),
        ("a|b\n1|2\n", ["a", "b"], [[1], [2]]),
        ("sep=;\na;b\n1,5;2\n", ["a", "b"], [[1.5], [2]]),
        ("# x,y\n1,2\n3,4\n", ["x", "y"], [[1, 3], [2, 4]]),
        ("# logged at home\n1,2\n3,4\n", None, [[1, 3], [2, 4]]),
        ("a,b\n1,2\n# pause\n3,4\n", ["a", "b"], [[1, 3], [2, 4]]),
        (",x,y\n0,1,2\n1,3,4\n", ["", "x", "y"], [[0, 1], [1, 3], [2, 4]]),
        ("x y\n1 5 6\n2 7 8\n", ["", "x", "y"], [[1, 2], [5, 7], [6, 8]]),
        ("x,y\n1,2,\n3,4,\n", ["x", "y"], [[1, 3], [2, 4]]),
        ('"p, q",r\n1,"a ""b"""\n2,"c\nd"\n', ["p, q", "r"], [[1, 2], ['a "b"', "c\nd"]]),
        ('1,5" pipe\n2,6" pipe\n', None, [[1, 2], ['5" pipe', '6" pipe']]),
        ("True,1\nfalse,2\n", None, [["True", "false"], [1, 2]]),
        ("1,None\n2,5\n", None, [[1, 2], [None, 5]]),
        ("x,y\n1,\n,2\n", ["x", "y"], [[1, None], [None, 2]]),
        # Cut at blanks, as many of the cells would be numbers.
        (
            "x,what,who\n,is 1,by 1\n5,is 0,by 0\n",
            ["x", "what", "who"],
            [[None, 5], ["is 1", "is 0"], ["by 1", "by 0"]],
        ),
        ("18446744073709551616,1\n1,2\n", None, [[18446744073709551616, 1], [1, 2]]),
    ],
)
def test_dialects(content: str, names: list[str] | None, expected: list[list]) -> None:
    table = read(content)
    found = [[None if v != v else v for v in column] for column in cells(table)]
    assert found == expected
    assert [c.title for c in table.columns] == (names or [""] * len(expected))


def test_units_stand_in_the_names() -> None:
    table = read('"Time (s)","X (m/s^2)",accY [g],dB(A),feature (1),T (°)\n1,2,3,4,5,6\n')
    assert [(c.name, c.unit) for c in table.columns] == [
        *(("Time", "s"), ("X", "m/s^2"), ("accY", "g"), ("dB", "A"), ("feature (1)", "")),
        ("T", "°"),
    ]
    same = read("X (g),X (m)\n1,2\n")
    assert [c.name for c in same.columns] == ["X (g)", "X (m)"]


def test_blank_lines_and_headers_that_come_again_part_recordings() -> None:
    table = read("x,y\n1,2\n3,4\n\n\n5,6\n,,,\n7,8\nx,y\n9,10\n\n")
    assert table.recording.tolist() == [0, 0, 1, 2, 3]
    assert table.lines is not None
    assert table.lines.tolist() == [2, 3, 6, 8, 10]
    assert table.columns[0].values.tolist() == [1, 3, 5, 7, 9]


def test_rows_of_another_width_are_torn_and_a_cut_last_line_is_told() -> None:
    table = read("x,y\n1,2\nboot: ok\n3,4\n5")
    assert table.torn == {1: "1 cells where 2 are expected"}
    assert np.isnan(table.columns[0].values).tolist() == [False, True, False]
    assert table.notes == ("the last line is cut off, and left out: line 5",)


def test_a_rate_in_the_comments_is_taken() -> None:
    assert read("# rate_hz: 50\nx,y\n1,2\n").rate_hz == 50
    assert read("# rate_hz: fast\nx,y\n1,2\n").rate_hz is None


def test_numbers_are_those_of_python() -> None:
    numbers = np.random.default_rng(1).normal(size=500) * 10.0 ** np.arange(-250, 250)
    written = io.StringIO()
    np.savetxt(written, np.stack([numbers, -numbers], axis=1), fmt="%.17g", delimiter=",")
    assert read(written.getvalue()).columns[0].values.tolist() == numbers.tolist()


def test_what_the_user_says_is_not_judged() -> None:
    assert len(read("1,2;3\n4,5;6\n", delimiter="comma").columns) == 2
    assert read("1,5\n2,5\n", delimiter="tab", decimal=",").columns[0].values.tolist() == [1.5, 2.5]
    assert read("0,1,label\n1.5,2,0\n", label="label").has_names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n ,\n", "is empty"),
        ("# only a comment\n", "is empty"),
        ("\0\1,2\n", "is no text"),
        (b"\xff\xfe1", "is no text"),
        ("a,b,c\n", "has a header but no samples"),
        ('1,2\n"3,4\n5,6\n', "line 2: a quote is opened and never closed"),
        ("0,1,label\n1.5,2,0\n3,4,1\n", r"line 1, is neither a header nor numbers.*--label"),
        ("1.o,2,a\n3,4,b\n", r"column 0 has '1\.o', column 1 has '2'"),
    ],
)
def test_unreadable_text(content: str | bytes, message: str) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)
