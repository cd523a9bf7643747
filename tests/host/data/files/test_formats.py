"""Arrays, sound, acquisitions and archives: what independent writers write is read."""

import io
import json
import struct
import wave
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest
from scipy.io import wavfile

from madem.data import motions
from madem.data.files import acquisition, archives, arrays, sound
from madem.data.files.table import Table
from madem.errors import TaskError

PATH = Path("data.npz")
X = np.array([[1, 2], [3, 4], [5, 6], [7, 9]])
Y = [10, 9, 10, 9]


def save(**named: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{name: np.asarray(value) for name, value in named.items()})  # pyright: ignore[reportArgumentType]
    return file.getvalue()


def npz(*, choose: dict[str, str] | None = None, **named: Any) -> Table:
    return arrays.read(PATH, save(**named), **(choose or {}))


def npy(array: np.ndarray) -> Table:
    file = io.BytesIO()
    np.save(file, array)
    return arrays.read(Path("data.npy"), file.getvalue())


def features(table: Table) -> np.ndarray:
    return np.stack([c.values for c in table.columns if c.role in ("", "feature")], axis=1)


def texts(table: Table, role: str) -> list[str | None]:
    return next(column.texts() for column in table.columns if column.role == role)


# --- arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y"),
    [("X", "y"), ("x", "Y"), ("data", "target"), ("features", "labels"), ("a", "b"), ("sig", "y")],
)
@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (Y, ["10", "9", "10", "9"]),
        ([[1.0], [0.0], [1.0], [0.0]], ["1", "0", "1", "0"]),
        ([True, False, True, False], ["1", "0", "1", "0"]),
        (["b", "a ", "b", "a"], ["b", "a", "b", "a"]),
        (np.array(["b", "a", "b", "a"], "S3"), ["b", "a", "b", "a"]),
        (np.eye(3)[[2, 0, 2, 1]], ["2", "0", "2", "1"]),
        ([2**53, 2**53 + 1, 0, 0], [str(2**53), str(2**53 + 1), "0", "0"]),
    ],
)
def test_npz_of_any_names_and_labels(x: str, y: str, labels: Any, expected: list[str]) -> None:
    table = npz(**{x: X, y: labels})
    assert np.array_equal(features(table), X)
    assert texts(table, "label") == expected
    assert table.series is None


def test_npz_with_names_groups_rate_and_a_test_part() -> None:
    table = npz(
        X=X, y=[0, 1, 0, 1], groups=[7, 7, 8, 8], feature_names=["len (cm)", "w"],
        target_names=["cat", "dog"], rate_hz=50.0,
    )  # fmt: skip
    assert [(c.name, c.unit) for c in table.columns[:2]] == [("len", "cm"), ("w", "")]
    assert texts(table, "label") == ["cat", "dog", "cat", "dog"]
    assert texts(table, "group") == ["7", "7", "8", "8"]
    assert table.rate_hz == 50

    table = npz(x_train=X, y_train=Y, x_test=X[:1], y_test=[9])
    assert features(table).tolist() == [*X.tolist(), [1, 2]]
    assert texts(table, "label") == ["10", "9", "10", "9", "9"]
    assert texts(table, "test") == ["0", "0", "0", "0", "1"]
    assert table.recording.max() == 0


@pytest.mark.parametrize("turned", [False, True])
def test_windows_are_recordings_with_channels_on_either_side(turned: bool) -> None:
    windows = np.random.default_rng(1).normal(size=(5, 20, 3))
    table = npz(X=windows.transpose(0, 2, 1) if turned else windows, y=[0, 1, 0, 1, 1])
    assert table.series
    assert np.array_equal(table.recording, np.repeat(np.arange(5), 20))
    assert np.array_equal(features(table), windows.reshape(100, 3))
    assert texts(table, "label")[::20] == ["0", "1", "0", "1", "1"]
    assert npz(X=np.zeros((5, 8, 8)), y=[0, 1, 0, 1, 1]).series is None  # pictures


def test_arrays_that_are_chosen() -> None:
    named = {"a": X, "b": X + 1, "p": Y, "q": ["u", "v", "u", "v"]}
    table = npz(**named, choose={"x": "b", "y": "q"})
    assert np.array_equal(features(table), X + 1)
    assert texts(table, "label") == ["u", "v", "u", "v"]
    with pytest.raises(TaskError, match=r"which array holds the features\? It has a \(4, 2\), b"):
        npz(**named)
    with pytest.raises(TaskError, match=r"several arrays that can be the labels, p, q: .*--label"):
        npz(a=X, p=Y, q=Y)


def test_a_single_array() -> None:
    table = npy(X)
    assert np.array_equal(features(table), X)
    assert [c.role for c in table.columns] == ["", ""]
    assert npy(np.zeros((3, 9, 2))).series
    fields = np.array([(1.5, b"up"), (2.5, b"down")], [("size (mm)", float), ("way", "S4")])
    table = npy(fields)
    assert [(c.name, c.unit) for c in table.columns] == [("size", "mm"), ("way", "")]
    assert table.columns[1].texts() == ["up", "down"]


@pytest.mark.parametrize(
    ("named", "choose", "message"),
    [
        ({}, {}, "holds no arrays"),
        ({"X": X, "x": X, "y": Y}, {}, "several arrays that can be the features, X, x"),
        ({"X": X, "y": Y}, {"y": "z"}, r"no array 'z' for --label: it has X \(4, 2\), y \(4,\)"),
        ({"X": X, "y": Y}, {"x": "z"}, "no array 'z' for --x"),
        ({"X": X[None, None], "y": [0]}, {}, r"X has the shape \(1, 1, 4, 2\): reshape it"),
        ({"X": X, "y": [0, 1, 0]}, {}, r"X has 4 samples but y has the shape \(3,\)"),
        ({"X": X, "y": X}, {}, r"y has the shape \(4, 2\), but its rows are not one-hot"),
        ({"X": X * 1j, "y": Y}, {}, "X holds complex128, not real numbers"),
        ({"X": X.astype(str), "y": Y}, {}, r"X holds <U\d+, not real numbers"),
        ({"X": X, "y": np.array(Y) * 1j}, {}, r"y holds complex128 of shape \(4,\)"),
        ({"X": X, "y": [0, 1, 0, 5], "class_names": ["a", "b"]}, {}, "beyond its 2 class names"),
        ({"X": X, "y": np.array(["a", 1, 2, 3], object)}, {}, "pickled Python objects"),
        ({"X": X, "y": Y, "groups": [1, 2]}, {}, r"groups has the shape \(2,\)"),
    ],
)
def test_unusable_arrays(named: dict, choose: dict, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        npz(**named, choose=choose)


def test_damaged_arrays() -> None:
    whole = save(X=np.random.default_rng(1).random((50, 20)), y=np.arange(50) % 2)
    for data in (b"", b"PK\3\4 nonsense", b"text", b"\x80\x04K\x01.", whole[: len(whole) // 2],
                 whole[:300] + b"\xff" * 40 + whole[340:]):  # fmt: skip
        with pytest.raises(TaskError, match=r"is no \.npz file, or it is damaged"):
            arrays.read(PATH, data)


# --- sound ---------------------------------------------------------------------------------------

TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(800) / 8000)
STEREO = np.stack([TONE, -TONE], axis=1)


def wav(data: np.ndarray) -> bytes:
    file = io.BytesIO()
    wavfile.write(file, 8000, data)
    return file.getvalue()


def wav24(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(3)
        out.setframerate(8000)
        whole = np.rint(values * 2**23).astype("<i4").ravel()
        out.writeframes(whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    return file.getvalue()


def extensible(values: np.ndarray) -> bytes:
    """WAVE_FORMAT_EXTENSIBLE, 16 of 16 bits, PCM."""
    data = np.rint(values * 32767).astype("<i2").tobytes()
    pcm = bytes.fromhex("0100000000001000800000aa00389b71")
    head = struct.pack("<HHIIHHHHI", 0xFFFE, 2, 8000, 32000, 4, 16, 22, 16, 3) + pcm
    return (
        b"RIFF" + struct.pack("<I", 36 + 24 + len(data)) + b"WAVEfmt " + struct.pack("<I", 40)
        + head + b"data" + struct.pack("<I", len(data)) + data
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (wav(np.rint(STEREO * 127 + 128).astype(np.uint8)), 2 / 128),
        (wav(np.rint(STEREO * 32767).astype(np.int16)), 2 / 32768),
        (wav24(STEREO), 1 / 2**23),
        (wav(np.rint(STEREO * (2**31 - 1)).astype(np.int32)), 1 / 2**30),
        (wav(STEREO.astype(np.float32)), 1e-7),
        (wav(STEREO), 0),
        (extensible(STEREO), 2 / 32768),
    ],
    ids=["8 bits", "16 bits", "24 bits", "32 bits", "float", "double", "extensible"],
)
def test_sound_of_any_coding(data: bytes, error: float) -> None:
    table = sound.read(Path("tone.wav"), data)
    assert table.rate_hz == 8000
    assert table.series
    assert np.abs(features(table) - STEREO).max() <= error
    assert [c.name for c in table.columns] == ["channel 0", "channel 1"]
    assert not table.notes


def test_counts_of_16_bits_stay_what_they_are() -> None:
    counts = np.array([-32768, -1, 0, 1, 32767], np.int16)
    table = sound.read(Path("a.wav"), wav(counts))
    assert (table.columns[0].values / sound.SCALE).tolist() == counts.tolist()


def test_sound_that_is_cut_or_none() -> None:
    whole = wav(np.rint(STEREO * 32767).astype(np.int16))
    table = sound.read(Path("a.wav"), whole[:-1200])
    assert len(table) == 500
    assert table.notes == ("it was cut: it is shorter than it says",)
    for data in (b"hello", whole[:30], b"RIFF\0\0\0\0WAVE"):
        with pytest.raises(TaskError, match="is not a WAV file that can be read"):
            sound.read(Path("a.wav"), data)


# --- acquisitions --------------------------------------------------------------------------------

ACQUISITION = {
    "protected": {"ver": "v1", "alg": "none"},
    "signature": "0" * 64,
    "payload": {
        "device_type": "board",
        "interval_ms": 4,
        "sensors": [{"name": "accX", "units": "m/s2"}, {"name": "temp", "units": "Cel"}],
        "values": [[0.5, 20], [None, 21], [1.5, 22]],
    },
}


@pytest.mark.parametrize("write", [lambda d: json.dumps(d).encode(), cbor2.dumps])
def test_an_acquisition(write: Any) -> None:
    table = acquisition.read(Path("a.json"), write(ACQUISITION))
    assert table.rate_hz == 250
    assert [(c.name, c.unit) for c in table.columns] == [("accX", "m/s2"), ("temp", "Cel")]
    assert features(table)[:, 1].tolist() == [20, 21, 22]
    assert np.isnan(features(table)[:, 0]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interval_ms": "often"}, "are not those of a data acquisition"),
        ({"sensors": [{"name": "x"}]}, "has 1 sensors, but 2 values a sample"),
        ({"values": [[1, 2], [3]]}, "are not those of a data acquisition"),
        ({"values": []}, "has 2 sensors, but 0 values"),
    ],
)
def test_unusable_acquisitions(change: dict, message: str) -> None:
    bad = ACQUISITION | {"payload": ACQUISITION["payload"] | change}
    with pytest.raises(TaskError, match=message):
        acquisition.read(Path("a.json"), json.dumps(bad).encode())
    for data, why in (
        (b'{"a": 1}', "it has no payload"),
        (b'{"payload": {}}', "lacks 'interval_ms'"),
        (b'{"payload', "is neither JSON nor CBOR"),
        (b"\x81", "is neither JSON nor CBOR"),
    ):
        with pytest.raises(TaskError, match=why):
            acquisition.read(Path("a.cbor"), data)


# --- archives ------------------------------------------------------------------------------------

TS = """\
# two channels
@problemName Toy
@timeStamps false
@univariate false
@classLabel true up down
@data
1,2,3:4,5,6:up
7,?:8,9:down
"""


def test_time_series() -> None:
    table = archives.read_ts(Path("a.ts"), TS.encode())
    assert table.recording.tolist() == [0, 0, 0, 1, 1]
    assert features(table)[:, 1].tolist() == [4, 5, 6, 8, 9]
    assert np.isnan(features(table)[4, 0])
    assert texts(table, "label") == ["up", "up", "up", "down", "down"]
    assert table.place(3) == "a.ts, line 8"
    unlabelled = archives.read_ts(Path("a.ts"), b"@classLabel false\n@data\n1,2\n3,4\n")
    assert [c.name for c in unlabelled.columns] == ["channel 0"]


def test_the_values_of_motions_are_those_that_numpy_reads() -> None:
    path = motions._folder() / "BasicMotions_TEST.ts"
    lines = path.read_text().splitlines()
    rows = lines[lines.index("@data") + 1 :]
    channels = [[np.fromstring(c, sep=",") for c in row.split(":")[:-1]] for row in rows if row]
    expected = np.concatenate([np.array(one).T for one in channels])
    assert np.array_equal(features(archives.read_ts(path, path.read_bytes())), expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2:a\n", "it has no line @data"),
        ("@data\n", "has no series behind the line @data"),
        ("@timestamps true\n@data\n(1,2):a\n", "has time stamps"),
        ("@data\n1,x:a\n", "line 2: a value is no number"),
        ("@data\n1,2:3:a\n", "line 2: no channels, or not of one length"),
        ("@data\n1,2:a\n1,2:3,4:a\n", "line 3: 2 channels where 1 are expected"),
        ("@data\nup\n", "line 2: no channels"),
    ],
)
def test_unusable_time_series(content: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        archives.read_ts(Path("a.ts"), content.encode())


ARFF = """\
% made by hand
@relation weather
@attribute 'temperature (C)' numeric
@attribute windy {yes, no}
@attribute play {in, out}
@data
20.5,yes,out
?,no,in
"""
RELATIONAL = """\
@relation motion
@attribute series relational
  @attribute t0 numeric
  @attribute t1 numeric
  @attribute t2 numeric
@end series
@attribute class {a, b}
@data
"1,2,3\\n4,5,6",a
"7,8,9\\n10,11,12",b
"""


def test_arff() -> None:
    table = archives.read_arff(Path("a.arff"), ARFF.encode())
    assert [(c.name, c.unit) for c in table.columns] == [
        *(("temperature", "C"), ("windy", ""), ("play", "")),
    ]
    assert table.columns[0].values[0] == 20.5
    assert np.isnan(table.columns[0].values[1])
    assert table.columns[1].texts() == ["yes", "no"]


def test_arff_of_series() -> None:
    table = archives.read_arff(Path("a.arff"), RELATIONAL.encode())
    assert table.recording.tolist() == [0, 0, 0, 1, 1, 1]
    assert features(table).tolist() == [[1, 4], [2, 5], [3, 6], [7, 10], [8, 11], [9, 12]]
    assert texts(table, "label") == ["a"] * 3 + ["b"] * 3


@pytest.mark.parametrize("content", ["", "hello", "@relation a\n@data\n", ARFF[:60], "@relation"])
def test_unusable_arff(content: str) -> None:
    with pytest.raises(TaskError, match=r"is not an ARFF file that can be read|no attributes"):
        archives.read_arff(Path("a.arff"), content.encode())


def test_an_archive_that_unpacks_to_far_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.npz"
    whole = np.zeros((5_000_000, 3))
    np.savez_compressed(path, x=whole, y=np.zeros(len(whole), np.uint8))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(TaskError, match=r"bytes and unpacks to 125,000,\d\d\d: if that is meant"):
        arrays.read(path, path.read_bytes())
    np.savez_compressed(path, x=whole[:1000], y=np.arange(1000) % 2)  # dense, but small
    assert len(arrays.read(path, path.read_bytes())) == 1000
