"""Recordings: what is written is read again, and a cut one loses at most its last block."""

import re
import zlib
from pathlib import Path

import numpy as np
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madem.data.files.recording import (
    BLOCK_ROWS,
    Header,
    Recorder,
    RecordingError,
    is_recording,
    read,
)
from madem.errors import MademError

HEADER = Header(("acc x", "acc y"), 50.0, ("g", "g"), (0.001, 0.002), "test", "2026-01-01")
PAGE = Path(__file__).parents[4] / "docs/guide/recordings.md"


def write(path: Path, rows: int, append: bool = False, first: int = 0) -> None:
    with Recorder(path, HEADER, append=append) as recorder:
        for k in range(first, first + rows):
            recorder.add(20_000 * (k - first), (k, -k), "walk" if k % 2 else "")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, 200)

    found = read(path)

    assert found.header == HEADER
    assert found.t_us.tolist() == [20_000 * k for k in range(200)]
    assert found.samples.dtype == np.int16
    assert found.samples.tolist() == [[k, -k] for k in range(200)]
    assert found.labels == ("", "walk") * 100
    assert found.cut_bytes == 0
    assert is_recording(path)


def test_the_example_of_the_page_is_a_recording(tmp_path: Path) -> None:
    text = re.findall(r"```\n(# madem recording.*?)```", PAGE.read_text(), re.DOTALL)[0]
    path = tmp_path / "page.csv"
    path.write_text(text)
    found = read(path)
    assert found.header.channels == ("acc x", "acc y", "acc z")
    assert found.header.units == ("g", "g", "g")
    assert found.samples.tolist() == [[-12, 3, 4101], [-11, 5, 4098]]
    assert found.labels == ("", "walking")


def test_other_readers_of_csv_with_comments_see_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, 100)
    names = ["t", "x", "y"]
    table = np.genfromtxt(path, delimiter=",", skip_header=7, names=names, usecols=(0, 1, 2))
    assert table["y"].tolist() == [-k for k in range(100)]
    frame = pandas.read_csv(path, comment="#")
    assert list(frame.columns) == ["t_us", "acc x", "acc y", "label"]
    assert frame["acc y"].tolist() == [-k for k in range(100)]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_anywhere_keeps_its_whole_blocks(tmp_path: Path, data: st.DataObject) -> None:
    path, cut = tmp_path / "whole.csv", tmp_path / "cut.csv"
    if not path.exists():
        write(path, 3 * BLOCK_ROWS + 10)
    whole = path.read_bytes()
    begin = whole.index(b"label\n") + 6
    at = data.draw(st.integers(begin, len(whole)))
    cut.write_bytes(whole[:at])

    found = read(cut)
    kept = sum(not line.startswith(b"#") for line in whole[begin:at].split(b"\n")[:-1])

    assert kept - len(found.t_us) < BLOCK_ROWS + 1
    assert len(found.t_us) in (64, 128, 192, 202) if found.has_blocks else len(found.t_us) <= 64
    assert found.has_blocks == (b"# block" in whole[: whole.rindex(b"\n", 0, at) + 1])
    assert found.has_blocks or len(found.t_us) == kept
    assert np.array_equal(found.samples, read(path).samples[: len(found.t_us)])
    assert found.cut_bytes < 3000

    write(cut, 5, append=True, first=1000)
    again = read(cut)
    assert again.samples[-5:, 0].tolist() == [1000, 1001, 1002, 1003, 1004]
    assert len(again.t_us) == len(found.t_us) + 5
    if len(found.t_us):
        assert again.t_us[-5] - again.t_us[-6] >= 1_000_000


def test_damage_before_the_end_is_found_and_placed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, 150)
    whole = path.read_bytes()
    for old, new, line in (
        (b"\n20000,1,-1,", b"\n20000,2,-1,", 1),
        (b"# units: g,g", b"# units: h,g", 1),
        (b"\n1340000,67,-67,walk", b"\n1340000,67,-67,wall", 73),
        (b"rows=64", b"rows=63", 1),
    ):
        path.write_bytes(whole.replace(old, new, 1))
        with pytest.raises(RecordingError, match=f"damaged in the block of .* from line {line} on"):
            read(path)
    # A block that is missing altogether.
    first, second = (m.end() for m in list(re.finditer(rb"# block.*\n", whole))[:2])
    path.write_bytes(whole[:first] + whole[second:])
    with pytest.raises(RecordingError, match="damaged in the block of 22 rows"):
        read(path)


def test_an_interrupted_write_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    recorder = Recorder(path, HEADER)
    for k in range(10):
        recorder.add(k, (k, k))
    original = recorder._write

    def half(at: int, data: bytes) -> None:
        original(at, data[: len(data) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(recorder, "_write", half)
    with pytest.raises(KeyboardInterrupt):
        recorder.flush()
    monkeypatch.setattr(recorder, "_write", original)
    recorder.close()
    assert len(read(path).t_us) == 10


def test_refusals(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write(path, 3)
    with pytest.raises(RecordingError, match="exists already: choose another name, or --append"):
        Recorder(path, HEADER)
    with pytest.raises(RecordingError, match="has the channels acc x, acc y, not q"):
        Recorder(path, Header(("q",)), append=True)
    with pytest.raises(MademError, match=r"can't write .*No such file"):
        Recorder(tmp_path / "no" / "a.csv", HEADER)
    with pytest.raises(RecordingError, match=r"can't read .*No such file"):
        read(tmp_path / "b.csv")
    for channels in ((), ("a", "a"), ("a,b",), ("label",), ("#",)):
        with pytest.raises(RecordingError, match="a recording can't have"):
            Recorder(tmp_path / "c.csv", Header(channels))
    with Recorder(path, HEADER, append=True) as recorder:
        with pytest.raises(RecordingError, match="a sample of 1 values in a recording of 2"):
            recorder.add(0, (1,))
        with pytest.raises(RecordingError, match="the label 'a,b' has a comma"):
            recorder.add(0, (1, 2), "a,b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "t_us,a,label\n",
        "# madem recording 2\nt_us,a,label\n",
        "# madem recording 1\nt_us,label\n",
        "# madem recording 1\nt_us,a,la",
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(RecordingError, match="is not a recording of madem"):
        read(path)


@pytest.mark.parametrize("row", ["0,1.5,2,x", "0,1,2", "0,1,40000,x", "z,1,2,x"])
def test_rows_that_are_none_are_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "a.csv"
    text = f"# madem recording 1\nt_us,a,b,label\n{row}\n"
    path.write_text(f"{text}# block rows=1 crc32={zlib.crc32(text.encode()):08x}\n")
    with pytest.raises(RecordingError, match="line 3: the row is not t_us, 2 counts of 16 bits"):
        read(path)


def test_comments_that_a_reader_does_not_know_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    text = "# madem recording 1\n# weather: fine\nt_us,a,label\n0,1,\n"
    path.write_text(f"{text}# block rows=1 crc32={zlib.crc32(text.encode()):08x}\n")
    assert read(path).header == Header(("a",))
