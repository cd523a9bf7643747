"""`madem stream` from the command line: record, replay, show, cost."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from madem import cli
from madem.data.files import recording
from madem.stream.lines import channel_bars
from madem.stream.novelty import NoveltyThreshold
from madem.stream.replay import WindowCutter
from madem.stream.sources import Sample
from madem_emulator.twin.features import TwinFeatures
from madem_emulator.twin.pipeline import parse

LINE = "window=16 hop=8 | mean energy bands:2 | norm:4"


def madem(*words: str | Path) -> int:
    return cli.main(["stream", *map(str, words)])


@pytest.fixture
def shaken(tmp_path: Path) -> Path:
    """Half still, half shaken, labelled; 100 Hz."""
    random = np.random.default_rng(1)
    rows = ["x,y,what"]
    for k in range(8):
        for x, y in np.rint(random.normal(0, (20, 900)[k % 2], (100, 2))).astype(int):
            rows.append(f"{x},{y},{('still', 'shaken')[k % 2]}")
    path = tmp_path / "plain.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_record_then_replay_gives_what_was_recorded(
    shaken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, result = tmp_path / "a.csv", tmp_path / "a.json"
    assert madem("record", shaken, "--out", out, "--rate", "100", "--json", result) == 0
    assert "800 samples of 2 channels" in capsys.readouterr().out.replace("\n", "")
    assert json.loads(result.read_text())["samples"] == 800
    found = recording.read(out)
    assert found.header.rate_hz == 100
    assert set(found.labels) == {"still", "shaken"}

    assert madem("replay", out, "--fast", "--seconds", "0.5") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == shaken.read_text().splitlines()[1:51]

    assert madem("record", out, "--out", out.with_name("b.csv"), "--seconds", "1") == 0
    assert len(recording.read(out.with_name("b.csv")).samples) == 100
    assert madem("record", shaken, "--out", out, "--append") == 0
    assert len(recording.read(out).samples) == 1600


def test_a_recording_that_is_stopped_or_killed_keeps_what_was_finished(tmp_path: Path) -> None:
    for stop, name in ((signal.SIGINT, "stopped.csv"), (signal.SIGKILL, "killed.csv")):
        out = tmp_path / name
        process = subprocess.Popen(
            [sys.executable, "-m", "madem", "stream", "record", "-", "--out", out, "--rate", "100"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        for k in range(130):
            process.stdin.write(f"{k},{-k}\n")
        process.stdin.flush()
        end = time.monotonic() + 600
        while not (out.exists() and out.read_bytes().count(b"# block") >= 2):
            assert time.monotonic() < end
            time.sleep(0.02)
        os.kill(process.pid, stop)
        output, _ = process.communicate()
        found = recording.read(out)
        assert found.samples[:, 0].tolist() == list(range(len(found.samples)))
        if stop == signal.SIGINT:
            assert process.returncode == 0
            assert f"{len(found.samples)} samples" in output.replace("\n", "")
        assert len(found.samples) >= 128


def test_show_draws_every_channel(shaken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert madem("show", shaken, "--fast", "--seconds", "2") == 0
    printed = capsys.readouterr().out
    assert printed.count(" s  ") == 2
    assert printed.count("\n  x  ") == printed.count("\n  y  ") == 2


def test_cost_of_a_pipeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.json"
    line = "window=40 hop=20 | mean energy"
    assert madem("cost", line, "--channels", "3", "--rate", "100", "--json", out) == 0
    found = json.loads(out.read_text())
    assert found["inputs"] == 12
    assert 0.005 < found["load"] < 0.1
    assert "a Cortex-M3 at 48 MHz keeps up at 100 Hz" in capsys.readouterr().out.replace("\n", " ")
    taught = ("--layers", "32,4", "--learn", "--rate", "100", "--json", out)
    assert madem("cost", line, *taught) == 0
    assert json.loads(out.read_text())["load"] > found["load"]
    assert madem("cost", line, "--layers", "32,4", "--learn", "--rate", "3000") == 1
    assert "can't keep up at 3000 Hz" in capsys.readouterr().out.replace("\n", " ")
    longer = "window=64 hop=20 | mean energy bands:8"
    assert madem("cost", longer, "--channels", "3", "--json", out) == 0
    more = json.loads(out.read_text())
    assert more["instructions_per_window"] > 2 * found["instructions_per_window"]
    assert more["heap_bytes"] > found["heap_bytes"]


def test_features_of_a_replay_are_those_of_the_twin(shaken: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    options = ("--fast", "--seconds", "2", "--board", "unix", "--json", out, "--quiet")
    assert madem("replay", shaken, "--pipeline", LINE, *options) == 0
    found = json.loads(out.read_text())
    x = np.genfromtxt(shaken, delimiter=",", skip_header=1, usecols=(0, 1))[:200]
    twin = TwinFeatures(parse(LINE, 2))
    assert found["inputs"] == twin.codes(twin.windows(x.astype(int)), True).tolist()
    assert found["windows"] == 24


def test_a_taught_network_classifies_a_replay(shaken: Path, tmp_path: Path) -> None:
    net, out = tmp_path / "a.madem", tmp_path / "a.json"
    words = ["learn", "motions", "--source", str(shaken), "--pipeline", LINE, "--save", str(net)]
    assert cli.main([*words, "--epochs", "10", "--no-baselines", "--quiet"]) == 0
    replay = ("replay", shaken, "--fast", "--board", "unix", "--quiet")
    assert madem(*replay, "--load", net, "--json", out) == 0
    found = json.loads(out.read_text())
    assert found["windows"] == 99
    assert found["accuracy"] > 0.9
    assert set(found["counts"]) == {"still", "shaken"}


def test_ctrl_c_ends_a_replay_with_its_results(shaken: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    words = ["stream", "replay", str(shaken), "--board", "unix", "--pipeline", LINE]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "madem", *words, "--json", str(out)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    # The first window, behind what is told of the file: samples come at their true rate.
    assert any(re.match(r" +\d+\.\d s  ", line) for line in process.stdout)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert 1 <= json.loads(out.read_text())["windows"] < 99


def test_novelty_needs_no_label(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    usual = np.rint(random.normal(0, 100, (1600, 2)))
    usual[1400:] = np.rint(8000 * np.sin(np.arange(200) * 0.9))[:, None]
    path, out = tmp_path / "machine.csv", tmp_path / "a.json"
    path.write_text("\n".join(f"{x:.0f},{y:.0f}" for x, y in usual))
    line = "window=16 hop=8 | mean energy zero minmax bands:2"
    words = ("--fast", "--board", "unix", "--pipeline", line, "--novelty", "--quiet")
    assert madem("replay", path, *words, "--json", out) == 0
    found = json.loads(out.read_text())
    scores = np.array(found["scores"])
    assert found["windows"] == 199
    # The normalisation and the network grow used to what was new, so its beginning counts.
    assert np.median(scores[176:182]) > 1.5 * np.median(scores[50:170])
    assert any(14.0 < at < 14.5 for at in found["new_at_s"])
    assert len([at for at in found["new_at_s"] if at < 14.0]) <= 5


def test_gaps_begin_new_windows() -> None:
    pipeline = parse("window=8 hop=4 | mean", 1)
    cutter = WindowCutter(pipeline, 100.0)
    times = [10_000 * k for k in range(14)] + [
        10_000 * k + 5_000 + 130_000 + 50_000 for k in range(9)
    ]
    found = [(k, cutter.add(Sample(t, (k,), ""))) for k, t in enumerate(times)]
    whole = [(k, chunk) for k, chunk in found if chunk]
    assert [k for k, _ in whole] == [7, 11, 21]
    assert [chunk.restart for _, chunk in whole] == [True, False, True]
    assert whole[2][1].samples[:, 0].tolist() == list(range(14, 22))


def test_only_the_unusual_is_new() -> None:
    threshold = NoveltyThreshold()
    assert not any(threshold.is_new(score) for score in [100, 110, 90, 105] * 10)
    assert threshold.is_new(300)
    assert not threshold.is_new(104)


def test_a_picture_has_a_bar_for_each_part() -> None:
    samples = [Sample(1000 * k, (k, 5), "on") for k in range(9)]
    lines = channel_bars(("ramp", "flat"), samples).splitlines()
    assert lines[0].endswith("on")
    bars = lines[1].split()[1]
    assert (len(bars), bars[0], bars[-1]) == (9, "▁", "█")
    assert list(bars) == sorted(bars)
    assert lines[1].endswith("0 to 8")
    assert lines[2].endswith("5 to 5")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["replay", "FILE", "--pipeline", LINE], "--pipeline is for a board: name one"),
        (["replay", "FILE", "--novelty"], "--novelty is for a board: name one with --board"),
        (["replay", "FILE", "--board", "unix"], "say with --pipeline what the board shall"),
        (["replay", "FILE", "--board", "twin", "--pipeline", LINE], "is replayed to a board"),
        (["cost", "window=4 | mean"], "window is 4, but must be from 8 to 256"),
        (["cost", "window=40 | mean", "--channels", "17"], "channels is 17"),
    ],
)
def test_refusals(
    words: list[str], message: str, shaken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert madem(*[str(shaken) if word == "FILE" else word for word in words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
