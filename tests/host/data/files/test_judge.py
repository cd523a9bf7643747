"""What is judged of a file: label, time, index, constants, units; and that nothing crashes it."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from madem.data.files.judge import ReadOptions, Samples
from madem.data.files.read import SUFFIXES, read
from madem.data.files.recording import Header, Recorder
from madem.errors import TaskError

G = np.random.default_rng(1)
FLOWERS = "length,width,species\n1.5,2,rose\n2.5,3,lily\n3.5,2,rose\n4.5,3,lily\n"


def use(folder: Path, content: str | bytes, name: str = "data.csv", **options) -> Samples:
    """Judged as a stream or for answers."""
    return _read(folder, content, name, False, options)


def learn(folder: Path, content: str | bytes, name: str = "data.csv", **options) -> Samples:
    """Judged for learning."""
    return _read(folder, content, name, True, options)


def _read(folder: Path, content: str | bytes, name: str, learns: bool, options: dict) -> Samples:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(path, ReadOptions(**options), learn=learns)


def lines(header: str, *columns: object, separator: str = ",") -> str:
    rows = zip(*columns, strict=True)  # pyright: ignore[reportArgumentType]
    return "\n".join([header, *(separator.join(map(str, row)) for row in rows)]) + "\n"


# --- label ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "columns", "label", "features"),
    [
        ("x,y,kind", ([1.5, 2, 3, 4], [5, 6, 7, 9.5], list("abab")), "kind (the only text)", "xy"),
        ("kind,x,y", (list("abab"), [1.5, 2, 3, 4], [5, 6, 7, 9]), "kind (the only text)", "xy"),
        ("Gesture,x,y", ([1, 0, 1, 0], [1, 2, 4, 9], [5, 6, 7, 9]), "Gesture (by its name)", "xy"),
        ("class_label,x", ([1, 0, 1, 0], [1, 2, 4, 9]), "class_label (by its name)", "x"),
        ("x,y,z", ([1.5, 2, 3, 4], [5, 6, 8, 9], [1, 0, 1, 0]), "z (the last column)", "xy"),
        (
            "a,x,y",
            ([1, 2, 1, 2], [1.5, 2, 3, 4], [5.5, 6, 8, 9]),
            "a (the only column with few different whole numbers)",
            "xy",
        ),
    ],
)  # fmt: skip
def test_the_label_for_learning(
    tmp_path: Path, header: str, columns: tuple, label: str, features: str
) -> None:
    found = learn(tmp_path, lines(header, *columns))
    assert found.judgement.label == label
    assert found.feature_names == tuple(features)
    assert list(found.judgement.classes.values()) == [2, 2]


def test_a_stream_without_a_label_has_only_channels(tmp_path: Path) -> None:
    text = lines("x,y,z", [1, 2, 1, 2], [0, 0, 1, 1], [3, 3, 4, 4])
    assert use(tmp_path, text).feature_names == ("x", "y", "z")
    assert use(tmp_path, text).class_names == ()
    assert use(tmp_path, text).y.tolist() == [-1] * 4
    assert learn(tmp_path, text).feature_names == ("x", "y")


def test_a_label_that_is_asked_for(tmp_path: Path) -> None:
    text = lines("kind,left,right", [7, 8, 7, 8], [1, 3, 5, 7], [2, 4, 6, 9])
    for label in ("kind", "0", 0, -3, "-3"):
        found = learn(tmp_path, text, label=label)
        assert found.class_names == ("7", "8")
        assert found.feature_names == ("left", "right")
    with pytest.raises(TaskError, match="no column 'colour' for --label: its columns are kind"):
        learn(tmp_path, text, label="colour")
    with pytest.raises(TaskError, match="no column 3 for --label: its columns are 0 to 2"):
        learn(tmp_path, text, label="3")
    with pytest.raises(TaskError, match="'colour' for --label: its columns have no names"):
        learn(tmp_path, "1,2\n3,4\n", label="colour")
    with pytest.raises(TaskError, match="2 columns named 'p': name it by its index"):
        learn(tmp_path, "p,p,r\n1,2,a\n3,4,b\n", label="p")
    with pytest.raises(TaskError, match="several columns that can be the label, class, label"):
        learn(tmp_path, "class,x,label\n1,2,a\n2,4,b\n")


def test_classes_are_sorted_as_numbers_and_kept_apart(tmp_path: Path) -> None:
    big = 2**53
    text = f"1,10\n2,9.0\n4,9\n5,{big}\n6,{big + 1}\n7,10\n8,{big}\n9,{big + 1}\n"
    found = learn(tmp_path, text)
    assert found.class_names == ("9", "10", str(big), str(big + 1))
    assert found.y.tolist() == [1, 0, 0, 2, 3, 1, 2, 3]
    comma = learn(tmp_path, "1,5;2\n2,5;1,0\n4,5;1\n7;2,0\n")
    assert comma.class_names == ("1", "2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2,a\n3,4,\n5,6,a\n", r"line 2, column 2: the label is missing"),
        ("p,q\n1,0.5\n3,1.5\n", "no column can be the label, text or whole numbers"),
        ("p,q,r\nred,1,a\nblue,2,b\n", "line 2, column 'p': 'red' is not a number; .*--drop p"),
        ("1,2,a\n3,,b\n", r"line 2, column 1: missing value; .*--drop 1"),
        ("p,q,r\n1,2,a\n3,NaN,b\n", r"line 3, column 'q': missing value"),
        ("1,2,a\n3,1_000,b\n4,5,a\n", r"line 2, column 1: '1_000' is not a number"),
        ("1,2,a\n3,-inf,b\n", r"line 2, column 1: -inf is too large"),
        ("1,2,a\n3,b\n4,5,a\n", r"line 2: 2 cells where 3 are expected; mend or remove it"),
        ("x,kind\n7,a\n7,b\n", "all columns are constant and can't teach"),
    ],
)
def test_tables_that_are_not_whole(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        learn(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_labels_that_are_no_classes(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"line 2, column 'q': the label 0\.5 is no class"):
        learn(tmp_path, "p,q\n1,0.5\n3,1\n", label="q")
    with pytest.raises(TaskError, match="has no features: no column of numbers is left"):
        learn(tmp_path, "q\n1\n2\n", label="q")


# --- columns that are left out -------------------------------------------------------------------


def test_index_constant_empty_and_dropped_columns_are_named(tmp_path: Path) -> None:
    n = 20
    text = lines(
        "Id,x,one,empty,name,y,label",
        range(n),
        G.normal(size=n),
        [1] * n,
        [""] * n,
        [f"row {k}" for k in range(n)],
        G.normal(size=n),
        list("ab") * (n // 2),
    )
    found = learn(tmp_path, text, drop=("y",))
    assert found.feature_names == ("x",)
    assert found.judgement.left_out == {
        "Id": "it counts the rows",
        "one": "it is always 1",
        "empty": "it is empty",
        "name": "it counts the rows",
        "y": "as asked for",
    }
    assert use(tmp_path, text).feature_names == ("x", "one", "y")
    with pytest.raises(TaskError, match="no column 'q' for --drop"):
        learn(tmp_path, text, drop=("q",))


def test_a_column_that_counts_is_an_index_whatever_its_name(tmp_path: Path) -> None:
    text = lines(",x,label", range(5, 15), G.normal(size=10), [0, 1] * 5)
    assert learn(tmp_path, text).judgement.left_out == {"column 0": "it counts the rows"}
    # The only feature stays.
    assert learn(tmp_path, lines("x,label", range(10), [0, 1] * 5)).feature_names == ("x",)
    # Nor do few rows prove anything.
    assert learn(tmp_path, "1,2,a\n2,9,b\n3,4,a\n4,5,b\n").x.shape == (4, 2)


def test_an_index_begins_again_in_each_file(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(lines("Id,x,label", range(10), G.normal(size=10), [0, 1] * 5))
    found = read([tmp_path / "a.csv", tmp_path / "b.csv"], learn=True)
    assert found.judgement.left_out == {"Id": "it counts the rows"}
    assert found.feature_names == ("x",)


def test_control_characters_stay_out_of_names_and_classes(tmp_path: Path) -> None:
    text = "a\x1b]0;title\x07,b\u202e,label\n1,2,x\x1b[2J\n3,5,y\n4,4,x\x1b[2J\n9,6,y\n"
    found = learn(tmp_path, text)
    told = "\n".join(found.judgement.lines())
    assert told.replace("\n", "").isprintable()
    assert found.feature_names == ("a\\x1b]0;title\\x07", "b\\u202e")
    assert found.class_names == ("x\\x1b[2J", "y")
    json.dumps(found.judgement.to_json())


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "times", "rate"),
    [
        ('"Time (s)"', [f"{k * 0.00502:.9E}" for k in range(60)], 1 / 0.00502),
        ("timestamp", [4 * k for k in range(60)], 250),
        ("timestamp", [k * 8 + k // 2 for k in range(60)], 1000 * 59 / (59 * 8 + 29)),
        ("t_us", [20000 * k for k in range(60)], 50),
        ("time [ms]", [5 * k for k in range(60)], 200),
        ("Time", [1.7e9 + k / 10 for k in range(60)], 10),
        ("unix_timestamp", [1_700_000_000_000 + 20 * k for k in range(60)], 50),
        ("time_ns", [1_700_000_000_000_000_000 + 20_000_000 * k for k in range(60)], 50),
        ("date", [f"2026-01-31T12:00:{k:02}.5" for k in range(60)], 1),
        ("date", [f"2026-01-31 12:{k:02}:00" for k in range(60)], 1 / 60),
        ("time", [f"12:00:{k:02}.250" for k in range(60)], 1),
    ],
)
def test_time_gives_the_rate(tmp_path: Path, header: str, times: list, rate: float) -> None:
    text = lines(f"{header},x,y", times, G.normal(size=60), G.normal(size=60))
    found = use(tmp_path, text)
    assert found.judgement.rate_hz == pytest.approx(rate, rel=2e-6)
    assert found.judgement.series
    assert found.feature_names == ("x", "y")
    assert found.judgement.gaps == 0
    assert next(iter(found.judgement.left_out.values())).startswith("the time, in ")


def test_time_gives_gaps_and_recordings(tmp_path: Path) -> None:
    times = [*range(0, 200, 10), *range(300, 400, 10), *range(0, 100, 10)]
    found = use(tmp_path, lines("ms,x", times, G.normal(size=40)), time="ms")
    assert found.judgement.rate_hz == pytest.approx(100)
    assert found.judgement.gaps == 1
    assert found.judgement.recordings == 2
    assert np.flatnonzero(~found.joins).tolist() == [0, 20, 30]
    assert found.t_s is not None
    assert found.t_s[20] == pytest.approx(0.3)


def test_a_time_that_is_none(tmp_path: Path) -> None:
    # A table of patients: `time` is the weeks until something happened, in no order.
    text = lines("time,age,label", G.permutation(40), G.normal(size=40), [0, 1] * 20)
    assert learn(tmp_path, text).feature_names == ("time", "age")
    with pytest.raises(TaskError, match="column 'age' is no time: its values do not rise"):
        learn(tmp_path, text, time="age")
    rising = lines("t,x,label", [k * 10 for k in range(20)], G.normal(size=20), [0, 1] * 10)
    assert learn(tmp_path, rising).judgement.series
    table = learn(tmp_path, rising, time="none")
    assert not table.judgement.series
    assert table.feature_names == ("t", "x")
    named = use(tmp_path, rising, units=("t=s",))
    assert named.judgement.rate_hz == pytest.approx(0.1)
    with pytest.raises(TaskError, match="the unit 'week' of the time 't' is none of s, ms"):
        use(tmp_path, rising, units=("t=week",))


# --- series and gaps -----------------------------------------------------------------------------


def test_missing_values_are_gaps_in_a_series(tmp_path: Path) -> None:
    rows = [[1, 2, "nan"], [4, 5, 6], [7, 8, 9], ["z", 1, 2], [3, 4, 5], [6, "", 8], [9, 1, 2]]
    rows += [[k, k + 1, k * k] for k in range(20)]
    text = "\n".join(",".join(map(str, row)) for row in rows) + "\nboot: ok\n1,2,3\n"
    path = tmp_path / "data.csv"
    path.write_text(text)
    found = read(path, learn=False, series=True)
    assert found.judgement.missing == 4
    assert np.flatnonzero(~found.joins).tolist() == [0, 1, 3, 4, 5, 6, 27, 28]
    assert found.judgement.notes == (
        f"2 rows can't be read and counted as missing, the first: {path}, line 4, column 0:"
        " 'z' is not a number",
    )
    with pytest.raises(TaskError, match="line 4, column 0: 'z' is not a number; mend or remove"):
        read(path, learn=False)


def test_units(tmp_path: Path) -> None:
    text = "x (g),y,z\n1,2,3\n2,3,5\n"
    assert use(tmp_path, text).units == ("g", "", "")
    assert use(tmp_path, text, units=("m/s2",)).units == ("m/s2",) * 3
    assert use(tmp_path, text, units=("a", "b", "c")).units == ("a", "b", "c")
    assert use(tmp_path, text, units=("y=deg/s",)).units == ("g", "deg/s", "")
    with pytest.raises(TaskError, match=r"--units names 2 units, but .* has 3 features: x, y, z"):
        use(tmp_path, text, units=("a", "b"))
    with pytest.raises(TaskError, match=r"--units: .* has no column 'q'"):
        use(tmp_path, text, units=("q=g",))


def gesture(recordings: int, swing: float) -> str:
    parts = []
    for _ in range(recordings):
        rows = swing * G.normal(size=(12, 2))
        parts.append("\n".join(",".join(f"{v:.3f}" for v in row) for row in rows))
    return "x,y\n" + "\n\n".join(parts) + "\n"


def test_a_folder_with_a_file_for_each_class(tmp_path: Path) -> None:
    for name, swing in (("punch.csv", 2.5), ("flex.csv", 1.0)):
        (tmp_path / name).write_text(gesture(5, swing))
    (tmp_path / "README.md").write_text("gestures")
    found = read(tmp_path, learn=True)
    assert found.judgement.label == "file (what the files are called)"
    assert dict(found.judgement.classes) == {"flex": 60, "punch": 60}
    assert found.judgement.series
    assert found.judgement.recordings == 10
    assert found.judgement.notes == (f"other files in {tmp_path} are left out: README.md",)


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["up.1.csv", "up.2.csv", "down.1.csv", "down.2.csv"], ["down", "down", "up", "up"]),
        (["up_01.csv", "up_02.csv", "down_01.csv"], ["down", "up", "up"]),
        (["level1.csv", "level2.csv"], ["level1", "level2"]),
        (["up/1.csv", "up/2.csv", "down/1.csv"], ["down", "up", "up"]),
        (["training/up.1.csv", "training/down.1.csv"], ["down", "up"]),
    ],
)
def test_what_files_are_called(tmp_path: Path, names: list[str], classes: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(gesture(1, 1.0))
    found = read(tmp_path, learn=True)
    assert [found.class_names[k] for k in found.y[::12]] == classes


def test_files_whose_names_say_train_and_test(tmp_path: Path) -> None:
    (tmp_path / "flowers_train.csv").write_text(FLOWERS)
    (tmp_path / "flowers_TEST.csv").write_text("species,width,length\nrose,5,6\nlily,7,8\n")
    found = read([tmp_path / "flowers_train.csv", tmp_path / "flowers_TEST.csv"], learn=True)
    assert found.test is not None
    assert found.test.tolist() == [False] * 4 + [True] * 2
    assert found.x[4].tolist() == [6, 5]
    assert found.judgement.label == "species (by its name)"
    assert not found.judgement.series
    assert found.table.place(4) == f"{tmp_path / 'flowers_TEST.csv'}, line 2"


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3,4\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n3,4\n")
    with pytest.raises(TaskError, match=r"b.csv has the columns x, z, but .*a.csv x, y"):
        read(tmp_path, learn=True)
    (tmp_path / "b.csv").write_text("# rate_hz: 5\nx,y\n1,2\n3,4\n")
    with pytest.raises(TaskError, match=r"a.csv has no rate, .*b.csv 5 Hz"):
        read(tmp_path, learn=True)
    (tmp_path / "a.csv").write_text("x (g),y\n1,2\n3,4\n")
    (tmp_path / "b.csv").write_text("x (mg),y\n1,2\n3,4\n")
    with pytest.raises(TaskError, match="column 'x' is in g and in mg"):
        read(tmp_path, learn=True)


# --- recordings ----------------------------------------------------------------------------------


def record(path: Path, rows: int) -> None:
    with Recorder(path, Header(("x", "y"), 50.0, ("g", "g"), (0.5, 0.25), "test")) as recorder:
        for k in range(rows):
            recorder.add(20_000 * k, (k, -k), "walk" if k % 2 else "")


def test_a_recording_has_units_rate_and_labels(tmp_path: Path) -> None:
    record(tmp_path / "a.csv", 100)
    found = read(tmp_path / "a.csv", learn=False)
    assert found.x[3].tolist() == [1.5, -0.75]
    assert found.scale is not None
    assert found.scale.tolist() == [0.5, 0.25]
    assert found.units == ("g", "g")
    assert found.judgement.rate_hz == 50
    assert found.judgement.unlabelled == 50
    assert found.joins[1:].all()
    assert not found.judgement.notes


def test_a_recording_that_is_cut_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    record(path, 150)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:107]))
    found = read(path, learn=False)
    assert found.judgement.rows == 64
    assert found.judgement.notes == (
        "it was cut: 36 rows behind its last whole block are left out",
    )


def test_a_recording_that_pandas_has_written_reads(tmp_path: Path) -> None:
    import pandas as pd

    path = tmp_path / "a.csv"
    record(path, 150)
    frame = pd.read_csv(path, comment="#")
    head = "".join(line for line in path.open() if line.startswith("#") and "block" not in line)
    path.write_text(head + frame.to_csv(index=False))
    found = read(path, learn=False)
    assert found.judgement.rows == 150
    assert found.units == ("g", "g")
    assert "it has no block lines" in found.judgement.notes[0]
    frame.to_csv(path, index=False)  # without a word of what it is
    found = read(path, learn=False)
    assert (found.judgement.rows, found.judgement.rate_hz) == (150, pytest.approx(50))
    assert found.judgement.label == "label (by its name)"
    assert found.judgement.unlabelled == 75


# --- anything ------------------------------------------------------------------------------------

WHOLE = [
    FLOWERS.encode(),
    b"# madem recording 1\n# rate_hz: 5\nt_us,x,label\n0,1,a\n200000,2,a\n400000,3,b\n",
    b'"Time (s)";"X (g)"\n0,1;2,5\n0,2;3,5\n0,3;1\n',
    b"@relation a\n@attribute x numeric\n@attribute y {a,b}\n@data\n1,a\n2,b\n",
    b"@classLabel true a b\n@data\n1,2,3:a\n4,5,6:b\n",
    b'{"payload":{"interval_ms":4,"sensors":[{"name":"x","units":"g"}],"values":[[1],[2]]}}',
    b"\xa1gpayload\xa3kinterval_ms\x04gsensors\x81\xa1dnameaxfvalues\x82\x81\x01\x81\x02",
]


def _npy() -> bytes:
    import io

    file = io.BytesIO()
    np.savez(file, X=np.arange(12.0).reshape(6, 2), y=np.array([0, 1] * 3))
    return file.getvalue()


def _wav() -> bytes:
    import io

    from scipy.io import wavfile

    file = io.BytesIO()
    wavfile.write(file, 8000, np.arange(60, dtype=np.int16).reshape(30, 2))
    return file.getvalue()


WHOLE += [_npy(), _wav()]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    suffix=st.sampled_from(SUFFIXES),
    data=st.binary(max_size=200)
    | st.text(st.characters(codec="utf-8"), max_size=80).map(str.encode)
    | st.text("0123456789.,;-\t \n\"#eEabn'", max_size=80).map(str.encode),
    learns=st.booleans(),
    series=st.sampled_from([None, True, False]),
)
@example(suffix=".csv", data=b'"', learns=False, series=None)
def test_random_bytes_give_samples_or_one_line(
    tmp_path: Path, suffix: str, data: bytes, learns: bool, series: bool | None
) -> None:
    path = tmp_path / f"data{suffix}"
    path.write_bytes(data)
    _samples_or_one_line(path, learns, series)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), learns=st.booleans(), suffix=st.sampled_from(SUFFIXES))
def test_damaged_files_give_samples_or_one_line(
    tmp_path: Path, data: st.DataObject, learns: bool, suffix: str
) -> None:
    whole = bytearray(data.draw(st.sampled_from(WHOLE)))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"data{suffix}"
    path.write_bytes(whole[: data.draw(st.integers(1, len(whole)))])
    _samples_or_one_line(path, learns, None)


def _samples_or_one_line(path: Path, learns: bool, series: bool | None) -> None:
    try:
        found = read(path, learn=learns, series=series)
    except TaskError as error:
        message = str(error)
        assert "\n" not in message
        assert str(path) in message
        return
    assert found.x.shape == (found.judgement.rows, len(found.feature_names))
    assert len(found.y) == len(found.joins) == len(found.recording) == len(found.x) > 0
    assert found.judgement.series or np.isfinite(found.x).all()
    assert all(line.isprintable() for line in found.judgement.lines())
    json.dumps(found.judgement.to_json())
