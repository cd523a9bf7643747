"""Sources of samples: every kind gives the same samples, and says what is none."""

import os
import pty
import signal
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from madem.data.files.judge import ReadOptions
from madem.data.files.recording import Header, Recorder
from madem.errors import BoardError, MademError, TaskError
from madem.stream.sources import (
    Sample,
    Source,
    SourceError,
    at_true_rate,
    open_source,
    until_interrupted,
)

VALUES = [(1, -2), (300, 400), (-32768, 32767)]


def rows(source: Source) -> list[tuple[int, ...]]:
    with source:
        return [sample.values for sample in source]


def test_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with Recorder(path, Header(("x", "y"), 20.0, ("g", "g"), (0.5, 0.5))) as recorder:
        for k, values in enumerate(VALUES):
            recorder.add(50_000 * k, values, "on" if k else "")
    source = open_source(str(path))
    samples = list(source)
    assert [sample.values for sample in samples] == VALUES
    assert [sample.t_us for sample in samples] == [0, 50_000, 100_000]
    assert [sample.label for sample in samples] == ["", "on", "on"]
    assert (source.channels, source.rate_hz, source.live) == (("x", "y"), 20.0, False)
    assert source.header().units_per_count == (0.5, 0.5)


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
def test_a_csv(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "a.csv"
    lines = [separator.join(map(str, values)) for values in VALUES]
    path.write_text("\n".join([separator.join(["x", "y"]), "# a comment", *lines, ""]))
    source = open_source(str(path), rate_hz=10.0)
    assert source.channels == ("x", "y")
    samples = list(source)
    assert [sample.values for sample in samples] == VALUES
    assert samples[2].t_us == 200_000
    assert source.skipped == 0


def test_a_csv_with_a_label_column_and_odd_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y,what\n1,2,on\n1,2\nnoise\n5,6,7\n3,4,off\n1,z,on\n")
    source = open_source(str(path))
    samples = list(source)
    assert source.channels == ("x", "y")
    # What can't be read is a gap in time, not closed up.
    assert [(sample.t_us, sample.values, sample.label) for sample in samples] == [
        (0, (1, 2), "on"),
        (30_000, (5, 6), "7"),
        (40_000, (3, 4), "off"),
    ]
    assert source.skipped == 3
    assert source.notes[-2:] == (
        "note: 3 rows can't be read and counted as missing, the first:"
        f" {path}, line 3: 2 cells where 3 are expected",
        "rate: not known, 100 Hz are assumed; say it with --rate",
    )


def test_values_that_are_no_counts_get_a_scale(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("0.5,1\n-1,1e6\n")
    source = open_source(str(path))
    assert source.units_per_count == (1 / 8192, 1e6 / 8192)
    assert rows(source) == [(4096, 0), (-8192, 8192)]
    assert any(
        "units per count, fitted: column 0 0.000122, column 1 122" in n for n in source.notes
    )


def test_a_scale_for_each_channel_and_what_is_clipped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("0.5,1\n-1,1e6\n2,3\n")
    source = open_source(str(path), scale=(0.25,))
    assert source.units_per_count == (0.25, 0.25)
    assert rows(source) == [(2, 4), (-4, 32767), (8, 12)]
    assert source.clipped == 1
    assert source.notes[-1] == (
        "clipped: 1 of 3 samples are beyond 16 bits at this scale, in column 1: choose a larger"
        " --scale, one for each channel if they differ"
    )
    source = open_source(str(path), scale=(0.25, 100.0))
    assert rows(source) == [(2, 0), (-4, 10000), (8, 0)]
    assert (source.units_per_count, source.clipped) == ((0.25, 100.0), 0)
    with pytest.raises(TaskError, match="--scale has 3 values, but there are 2 channels"):
        open_source(str(path), scale=(1.0, 2.0, 3.0))


def test_lines_need_a_scale_and_are_clipped_in_it() -> None:
    with pytest.raises(SourceError, match=r"stdin, sample 0: 0.5 is no count of 16.*--scale"):
        rows(open_source("-", stdin=["0.5,1"]))
    source = open_source("-", stdin=["0.5,1", "1,9e9"], scale=(0.25, 1.0))
    assert rows(source) == [(2, 1), (4, 32767)]
    assert source.clipped == 1


def test_recordings_in_a_file_are_apart_in_time(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("ms,x\n0,1\n10,2\n20,3\n\n0,4\n10,5\n40,6\n50,7\n")
    options = ReadOptions(time="ms")
    times = [sample.t_us for sample in open_source(str(path), options=options)]
    assert times == [0, 10_000, 20_000, 1_020_000, 1_030_000, 1_060_000, 1_070_000]
    # At a rate of the user's, what did not join on still does not.
    times = [s.t_us for s in open_source(str(path), options=options, rate_hz=50)]
    assert times == [0, 20_000, 40_000, 1_040_000, 1_060_000, 2_060_000, 2_080_000]


def test_names_that_a_recording_can_have(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('"a, b";a#;x;x\n1;2;3;4\n2;3;4;5\n')
    with (
        open_source(str(path)) as source,
        Recorder(tmp_path / "b.csv", source.header()) as recorder,
    ):
        for sample in source:
            recorder.add(*sample)
    assert open_source(str(tmp_path / "b.csv")).channels == ("a; b", "a_", "x", "x (3)")


def test_an_npz(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(
        path, X=np.array(VALUES), y=np.array(["a", "b", "b"]), rate_hz=5.0, channels=["p", "q"]
    )
    source = open_source(str(path))
    samples = list(source)
    assert [sample.values for sample in samples] == VALUES
    assert (source.channels, source.rate_hz) == (("p", "q"), 5.0)
    assert [sample.label for sample in samples] == ["a", "b", "b"]
    np.savez(path, X=np.arange(4.0))
    assert rows(open_source(str(path))) == [(0,), (1,), (2,), (3,)]


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_wav(tmp_path: Path, width: int) -> None:
    path = tmp_path / "a.wav"
    wanted = np.array([(0, 256), (-32768, 32512), (512, -512)])
    if width == 1:
        data = ((wanted >> 8) + 128).astype(np.uint8).tobytes()
    else:
        whole = (wanted << 8 * (width - 2)).astype("<i8")
        data = whole[..., None].view(np.uint8)[..., :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(width)
        file.setframerate(8000)
        file.writeframes(data)
    source = open_source(str(path))
    assert source.rate_hz == 8000
    assert rows(source) == [tuple(row) for row in wanted.tolist()]


def test_the_standard_input_is_live_and_timed_by_arrival() -> None:
    def lines() -> Iterator[str]:
        yield "1 2\n"
        time.sleep(0.05)
        yield "3 4 walking\n"

    source = open_source("-", stdin=lines())
    samples = list(source)
    assert source.live
    assert source.channels == ("channel 0", "channel 1")
    assert [(sample.values, sample.label) for sample in samples] == [
        ((1, 2), ""),
        ((3, 4), "walking"),
    ]
    assert samples[1].t_us - samples[0].t_us >= 50_000


def test_a_serial_line_until_it_is_unplugged() -> None:
    master, slave = pty.openpty()
    name = os.ttyname(slave)

    def talk() -> None:
        time.sleep(0.2)
        # The first line has begun before anyone listened.
        os.write(master, b"99,9\r\n1,2\r\nboot: ok\r\n3,4,on\r\n")
        time.sleep(0.3)
        os.close(master)

    talker = threading.Thread(target=talk)
    talker.start()
    source = open_source(f"serial:{name}:9600")
    os.close(slave)
    samples = list(source)
    source.close()
    talker.join()
    assert [(sample.values, sample.label) for sample in samples] == [((1, 2), ""), ((3, 4), "on")]
    assert source.skipped == 1


def test_the_true_rate_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1\n2\n3\n4\n")
    began = time.monotonic()
    times = [time.monotonic() - began for _ in at_true_rate(open_source(str(path), rate_hz=20.0))]
    assert all(at >= 0.05 * k for k, at in enumerate(times))


def test_ctrl_c_lets_a_sample_be_finished_and_is_then_the_end() -> None:
    def samples() -> Iterator[Sample]:
        for k in range(9):
            yield Sample(k, (k,), "")

    before = signal.getsignal(signal.SIGINT)
    taken = []
    for sample in until_interrupted(samples()):
        if sample.t_us == 3:
            signal.raise_signal(signal.SIGINT)
        taken.append(sample.t_us)
    assert taken == [0, 1, 2, 3]
    assert signal.getsignal(signal.SIGINT) is before

    def waits() -> Iterator[Sample]:
        yield Sample(0, (0,), "")
        signal.raise_signal(signal.SIGINT)
        yield Sample(1, (1,), "")

    assert [sample.t_us for sample in until_interrupted(waits())] == [0]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_stops_at_once() -> None:
    taken = until_interrupted(iter([Sample(0, (0,), ""), Sample(1, (1,), "")]))
    next(taken)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    taken.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("no.csv", {}, "no such file: no.csv; a source is a recording"),
        (__file__, {}, "samples come in a recording, a file"),
        ("-", {}, "stdin has no samples: a sample is a line of numbers"),
        ("-", {"rate_hz": 0.0}, "the rate is 0 Hz, but must be above 0"),
        ("-", {"scale": (-1.0,)}, "the scale is -1, but must be above 0"),
    ],
)
def test_refusals(spec: str, options: dict, message: str) -> None:
    with pytest.raises(MademError, match=message) as error:
        open_source(spec, **options)
    assert "\n" not in str(error.value)


def test_files_that_are_not_what_they_are_called(tmp_path: Path) -> None:
    for name, message in (
        ("a.npz", "is no .npz file, or it is damaged"),
        ("a.wav", "is not a WAV file that can be read"),
        ("a.csv", "has a header but no samples"),
    ):
        (tmp_path / name).write_text("hello")
        with pytest.raises(TaskError, match=message):
            open_source(str(tmp_path / name))
    with pytest.raises(BoardError, match="there is no port /dev/nothing"):
        open_source("serial:/dev/nothing")


def test_the_training_recordings_of_motions_at_a_rate_of_one_s_own() -> None:
    with open_source("motions", rate_hz=100) as source:
        samples = list(source)
    assert (source.rate_hz, len(source.channels), len(samples)) == (100, 6, 4000)
    assert samples[-1].t_us == 39_990_000
    assert {sample.label for sample in samples} == {"Standing", "Running", "Walking", "Badminton"}
    assert source.units_per_count == (1 / 512,) * 6
