"""`madem monitor`: what it states is not changed by it, and one board's death is its own."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from madem import cli
from madem.boards.sensor_signal import signal_of
from madem.data import concept_drift
from madem.data.files import recording
from madem.data.registry import load_task
from madem.data.stream_task import StreamTask
from madem.errors import LinkError
from madem.learn import session, train
from madem.learners.board import BoardLearner, connect
from madem.learners.gated import GatedLearner
from madem.learners.twin import TwinLearner
from madem.monitor import html
from madem.monitor.fleet import Assignment, Fleet, names
from madem.monitor.jobs import LearnJob, OnboardJob, ReplayJob
from madem.monitor.limits import RunLimits, StoppedError, TimeIsUpError
from madem.monitor.poller import Poller, PollInterval
from madem.monitor.run_state import RunFacts, RunState, Stage
from madem.stream import prequential, sensors
from madem.stream.onboard_run import OnboardOptions, OnboardRun
from madem.stream.replay import ReplayOptions
from madem_emulator.designs import sensor_signals
from madem_emulator.twin.gated import GateSettings
from madem_emulator.twin.pipeline import parse
from madem_emulator.twin.presets import PRESETS
from madem_emulator.wiring.bus import Bus

from ..conftest import SensorClock, board_with

MADEM = Path(sys.executable).with_name("madem")
WORN_LINE = "window=20 hop=10 | mean energy | norm:4"
LINE = "window=16 hop=8 | mean energy bands:2 | norm:4"

pytestmark = pytest.mark.needs("unix")


def madem(*words: str | Path) -> int:
    return cli.main(["monitor", *map(str, words)])


def boards_of(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())["boards"]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


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


@pytest.mark.parametrize("name", ["digits", "motions"])
def test_looking_does_not_change_what_is_learned(name: str) -> None:
    task = load_task(name, seed=3)
    plan = train.recipe(task, seed=3)
    with Fleet([Assignment("unix", "unix", LearnJob(task, plan))], most=250) as fleet:
        assert fleet.wait(300)
    (facts,) = fleet.snapshots()
    assert facts.stage is Stage.DONE, facts.reason

    config = plan.settings.integers()
    twin = TwinLearner(config, task.pipeline if isinstance(task, StreamTask) else None)
    result = train.train(twin, task, plan, limit=250)
    for seen, expected in zip(facts.weights, session.weights(twin.state()), strict=True):
        np.testing.assert_array_equal(seen, expected)
    assert any((a != b).any() for a, b in zip(facts.first, facts.weights, strict=True))
    assert facts.samples == result.samples == 250
    assert facts.metrics == train.evaluate(twin, task)
    # What the last sample's phases were, and its inputs.
    assert [len(s) for s in facts.free] == [len(s) for s in facts.plus] == list(config.sizes)
    assert facts.inputs is not None
    np.testing.assert_array_equal(facts.inputs & config.dac_mask, facts.free[0])


@pytest.mark.slow
def test_it_reports_what_learn_does(tmp_path: Path) -> None:
    found, expected = tmp_path / "monitor.json", tmp_path / "learn.json"
    words = ["motions", "--epochs", "1", "--seed", "2", "--bits", "3"]
    assert madem("learn", *words, "--json", found, "--quiet") == 0
    assert cli.main(["learn", *words, "--json", str(expected), "--quiet", "--no-baselines"]) == 0
    (board,) = boards_of(found)
    wanted = json.loads(expected.read_text())
    for key in ("task", "preset", "seed", "layers", "metrics", "samples_seen"):
        assert board[key] == wanted[key], key
    assert board["bits"] == wanted["weight_bits"] == 3
    assert board["curve"][-1][1] <= board["samples_seen"]
    assert board["health"]["resent"] == 0
    assert board["health"]["heap_used"] > 10_000


def test_a_stream_is_answered_as_by_a_replay(
    shaken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, found, replayed = (tmp_path / name for name in ("net", "found.json", "replayed.json"))
    taught = ["learn", "motions", "--source", shaken, "--pipeline", LINE, "--save", net]
    assert cli.main([*map(str, taught), "--epochs", "3", "--quiet", "--no-baselines"]) == 0
    options = [shaken, "--load", net, "--fast"]
    report = tmp_path / "page.html"
    logs = tmp_path / "logs"
    assert madem("replay", *options, "--json", found, "--html", report, "--log-dir", logs) == 0
    replay = ["stream", "replay", *options, "--board", "unix", "--json", replayed, "--quiet"]
    assert cli.main(list(map(str, replay))) == 0
    wanted = json.loads(replayed.read_text())
    classes = ["shaken", "still"]
    windows = [line for line in lines_of(logs / "1-unix.jsonl") if line["event"] == "window"]
    assert [classes[window["answer"]] for window in windows] == wanted["answers"]
    right = [w["answer"] == w["label"] for w in windows if "label" in w]  # not of two labels
    assert np.mean(right) == pytest.approx(wanted["accuracy"])
    (board,) = boards_of(found)
    assert board["samples_seen"] == wanted["windows"] == parse(LINE, 2).windows(800)
    out = capsys.readouterr().out
    assert f"accuracy {100 * board['running']:.1f} %" in out
    assert str(report) in out.replace("\n", "")


def test_online_learning_is_shown_window_by_window(tmp_path: Path) -> None:
    report, logs = tmp_path / "page.html", tmp_path / "logs"
    words = ["online", "motions", "--change", "swap:Walking,Running", "--windows", "60,40"]
    assert madem(*words, "--html", report, "--log-dir", logs, "--quiet") == 0
    windows = [line for line in lines_of(logs / "1-unix.jsonl") if line["event"] == "window"]

    task = load_task("motions", seed=1)
    assert isinstance(task, StreamTask)
    stream = concept_drift.drift_stream(
        task, concept_drift.parse("swap:Walking,Running", task), before=60, after=40
    )
    plan = prequential.recipe(task, seed=1, **PRESETS["default"])
    twin = TwinLearner(plan.settings.integers(), task.pipeline)
    (rate, pulses), learner = plan.schedule(0), GatedLearner(twin, GateSettings())
    judged = learner.judge(rate, stream.windows, stream.labels, None, pulses)
    assert [window["answer"] for window in windows] == [one.answer for one in judged]
    assert [window["margin"] for window in windows] == [one.margin for one in judged]
    assert [window["label"] for window in windows] == stream.truth.tolist()
    assert 'class="mark"' in report.read_text()


def test_a_stream_can_come_from_the_standard_input(
    shaken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tmp_path / "found.json"
    monkeypatch.setattr(sys, "stdin", io.StringIO(shaken.read_text()))
    words = ["replay", "-", "--pipeline", LINE, "--rate", "100", "--json", found, "--quiet"]
    assert madem(*words) == 0
    (board,) = boards_of(found)
    assert (board["task"], board["stage"]) == ("stdin", "done")
    assert board["samples_seen"] == parse(LINE, 2).windows(800)


@pytest.fixture
def worn(tmp_path: Path) -> Path:
    """A recording that an emulated motion sensor plays, over and over."""
    header = recording.Header(sensors.parse("mpu6050").channels, 100.0)
    random = np.random.default_rng(1)
    with recording.Recorder(tmp_path / "worn.csv", header) as recorder:
        for k, row in enumerate(np.rint(random.normal(0, 2000, (400, 6))).astype(int).tolist()):
            recorder.add(k * 10_000, tuple(row), "one" if k < 200 else "two")
    return tmp_path / "worn.csv"


def test_samples_of_a_boards_own_sensor_stay_there_unless_asked_for(
    worn: Path, tmp_path: Path
) -> None:
    page_file, logs = tmp_path / "page.html", tmp_path / "logs"
    board = f"unix:sensor=mpu6050+{worn}"
    words = ["live", "mpu6050:rate=100", "--pipeline", WORN_LINE]
    words += ["--novelty", "--windows", "6", "--board", board, "--quiet"]
    assert madem(*words, "--html", page_file, "--log-dir", logs) == 0
    (log,) = logs.iterdir()
    windows = [line for line in lines_of(log) if line["event"] == "window"]
    assert len(windows) >= 6
    assert all(window["score"] >= 0 for window in windows)
    steps = np.diff([window["t_s"] for window in windows])
    assert steps.min() > 0.099  # longer where a busy computer lost a sample
    assert "The samples stayed on the board." in page_file.read_text()
    assert "Signal and answers" not in page_file.read_text()

    assert madem(*words, "--html", page_file, "--stream", "raw") == 0
    assert "Signal and answers" in page_file.read_text()


def test_the_signal_of_a_boards_own_sensor_is_what_it_measured(worn: Path, tmp_path: Path) -> None:
    bus = Bus()
    sensor_signals.wire("mpu6050", signal_of(worn), bus)
    flash = tmp_path / "flash"
    flash.mkdir()
    with board_with(bus, flash) as opened:
        connect(opened, deploy_firmware=True).stop()
        port = opened.port.port
    assert port
    SensorClock(bus).let_pass(0.8)  # 80 samples
    sensor = sensors.parse("mpu6050:rate=100")
    job = OnboardJob(OnboardRun(sensor, OnboardOptions(pipeline=WORN_LINE, raw=True)))
    with Fleet([Assignment("bench", port, job)], most=5) as fleet:
        assert fleet.wait(300)
    (facts,) = fleet.snapshots()
    assert facts.stage is Stage.DONE, facts.reason
    assert facts.lost == 0
    assert facts.signal is not None
    played = recording.read(worn).samples
    at = int(np.flatnonzero((played == facts.signal[0]).all(axis=1))[0])
    expected = played[(at + np.arange(len(facts.signal))) % len(played)]
    np.testing.assert_array_equal(facts.signal, expected)
    assert [mark.end for mark in facts.marks] == [20, 30, 40, 50, 60]
    assert facts.signal_end >= 60


def test_it_shows_a_board_learn_from_its_own_sensor(worn: Path) -> None:
    sensor = sensors.parse("mpu6050:rate=100,labels=10+11")
    options = OnboardOptions(pipeline=WORN_LINE, learn=True, classes=("one", "two"))
    job = OnboardJob(OnboardRun(sensor, options))
    with Fleet([Assignment("unix", f"unix:sensor=mpu6050+{worn}", job)], most=8) as fleet:
        assert fleet.wait(300)
    (facts,) = fleet.snapshots()
    assert facts.stage is Stage.DONE, facts.reason
    assert facts.signal is None
    labels = [mark.window.label for mark in facts.marks]
    assert set(labels) & {0, 1}
    assert [mark.window.learned for mark in facts.marks] == [label is not None for label in labels]
    assert facts.curve
    assert facts.plus
    assert any((a != b).any() for a, b in zip(facts.first, facts.weights, strict=True))


@pytest.mark.slow
def test_weights_behind_chips_are_measured_twice_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    weights = Poller.weights

    def counted(poller: Poller) -> None:
        looks.append(poller)
        weights(poller)

    monkeypatch.setattr(Poller, "weights", counted)
    words = [
        "learn",
        "digits",
        "--frontend",
        "attached",
        "--design",
        "lab64x64",
        "--samples",
        "700",
    ]
    assert madem(*words, "--seconds", "1.5", "--quiet") == 0
    assert len(looks) == 2


@pytest.mark.slow
def test_novelty_and_features_of_a_stream(shaken: Path, tmp_path: Path) -> None:
    found, replayed = tmp_path / "found.json", tmp_path / "replayed.json"
    logs = tmp_path / "logs"
    options = [shaken, "--pipeline", LINE, "--novelty", "--fast"]
    watched = ["replay", *options, "--json", found, "--log-dir", logs, "--windows", "60"]
    assert madem(*watched, "--quiet") == 0
    replay = ["stream", "replay", *options, "--board", "unix", "--json", replayed, "--quiet"]
    assert cli.main(list(map(str, replay))) == 0
    windows = [line for line in lines_of(logs / "1-unix.jsonl") if line["event"] == "window"]
    wanted = json.loads(replayed.read_text())
    assert [window["score"] for window in windows] == wanted["scores"][:60]
    (board,) = boards_of(found)
    assert board["new_windows"] == sum(window.get("new", False) for window in windows)
    assert board["measure"] == "novelty score"

    job = ReplayJob(str(shaken), ReplayOptions(LINE), fast=True)
    with Fleet([Assignment("unix", "unix", job)], most=5) as fleet:
        assert fleet.wait(300)
    (facts,) = fleet.snapshots()
    assert facts.stage is Stage.DONE, facts.reason
    assert facts.samples == len(facts.marks) == 5
    assert facts.signal_end == 16 + 4 * 8
    assert facts.signal is not None
    rows = [line.split(",") for line in shaken.read_text().splitlines()[1:49]]
    np.testing.assert_array_equal(facts.signal, [[int(x), int(y)] for x, y, _ in rows])
    assert facts.inputs is not None
    assert len(facts.inputs) == parse(LINE, 2).inputs
    assert not facts.weights


@pytest.fixture
def unplugged() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The port of an emulated board, and its process."""
    with subprocess.Popen(
        [MADEM, "boards", "--start", "unix"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


def test_one_board_that_dies_does_not_stop_the_other(
    unplugged: tuple[str, subprocess.Popen[str]], tmp_path: Path
) -> None:
    port, process = unplugged
    assert cli.main(["deploy", "--board", port, "--quiet"]) == 0
    task = load_task("digits", seed=1)
    short, long = (
        LearnJob(task, train.recipe(task, seed=1, epochs=epochs), throttle=3000)
        for epochs in (4, 400)
    )
    posts = [Assignment("good", "unix", short), Assignment("bad", port, long)]
    with Fleet(posts, logs=tmp_path) as fleet:
        good, bad = fleet.states
        end = time.monotonic() + 600
        while bad.snapshot().samples < 300 or good.snapshot().samples < 300:
            assert time.monotonic() < end
            assert not fleet.wait(0.02)
        process.kill()  # what a pulled plug does to a port
        assert fleet.wait(300)
    facts = good.snapshot()
    assert facts.stage is Stage.DONE
    assert facts.samples == 4 * len(task.x_train)
    assert facts.metrics["accuracy"] > 0.9
    lost = bad.snapshot()
    assert lost.stage is Stage.DEAD
    assert "the board is gone" in lost.reason
    assert lines_of(tmp_path / "2-bad.jsonl")[-1]["reason"] == lost.reason
    assert lines_of(tmp_path / "1-good.jsonl")[-1]["event"] == "done"


@pytest.mark.parametrize(
    ("accident", "said"),
    [
        pytest.param(signal.SIGKILL, "restarted", id="reset"),
        pytest.param(
            signal.SIGSTOP, "the board stopped answering", id="hangs", marks=pytest.mark.slow
        ),
    ],
)
def test_a_firmware_that_has_ended_is_dead_with_its_reason(
    accident: signal.Signals,
    said: str,
    unplugged: tuple[str, subprocess.Popen[str]],
) -> None:
    port, process = unplugged
    assert cli.main(["deploy", "--board", port, "--quiet"]) == 0
    task = load_task("digits", seed=1)
    job = LearnJob(task, train.recipe(task, seed=1, epochs=100), throttle=3000)
    with Fleet([Assignment("board", port, job)], patience=4.0) as fleet:
        (state,) = fleet.states
        end = time.monotonic() + 600
        while state.snapshot().samples < 300:
            assert time.monotonic() < end
            assert not fleet.wait(0.02)
        os.kill(micropython_of(process.pid), accident)
        assert fleet.wait(300)
    facts = state.snapshot()
    assert facts.stage is Stage.DEAD
    assert said in facts.reason


def micropython_of(pid: int) -> int:
    """The process below this one that is MicroPython."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            if Path(f"/proc/{child}/comm").read_text().startswith("micropython"):
                return child
            if found := micropython_of(child):
                return found
    return 0


def test_a_board_that_is_stopped_leaves_its_last_pictures() -> None:
    task = load_task("braille", seed=1)
    with Fleet([Assignment("unix", "unix", LearnJob(task, train.recipe(task, seed=1)))]) as fleet:
        (state,) = fleet.states
        end = time.monotonic() + 600
        while state.snapshot().samples < 100:
            assert time.monotonic() < end
            assert not fleet.wait(0.02)
        fleet.stop()
        facts = state.snapshot()
    assert facts.stage is Stage.STOPPED
    assert facts.metrics == {}
    assert facts.health[-1].t_s <= facts.elapsed_s
    text = html.render([facts])
    assert "shown: " in text
    assert "recalled: " in text
    assert "stopped" in text


def test_a_fault_of_ours_stays_with_its_board(tmp_path: Path) -> None:
    def broken(device: BoardLearner, state: RunState, limits: RunLimits) -> None:
        limits.check(state)
        state.set(task="nothing", chip=device.hello.board)
        raise ZeroDivisionError("oops")

    with Fleet([Assignment("unix", "unix", broken)], logs=tmp_path) as fleet:
        assert fleet.wait(300)
    (facts,) = fleet.snapshots()
    assert facts.stage is Stage.DEAD
    assert facts.reason == "internal error, ZeroDivisionError: oops"
    assert "Traceback" in lines_of(tmp_path / "1-unix.jsonl")[-1]["text"]


def test_ctrl_c_ends_in_order_and_writes_the_page(tmp_path: Path) -> None:
    report, found, logs = tmp_path / "page.html", tmp_path / "found.json", tmp_path / "logs"
    words = ["monitor", "learn", "digits", "--epochs", "5000", "--board", "unix", "--board", "unix"]
    with subprocess.Popen(
        [MADEM, *words, "--html", report, "--json", found, "--log-dir", logs],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        try:
            both = {"unix  learning", "unix #2  learning"}
            for line in process.stdout:
                if "accuracy" in line:
                    both -= {name for name in both if name in line}
                if not both:
                    break
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (process.returncode, error) == (0, "")
    first, second = boards_of(found)
    assert first["stage"] == second["stage"] == "stopped"
    assert (first["board"], second["board"]) == ("unix", "unix #2")
    assert min(first["samples_seen"], second["samples_seen"]) > 0
    assert "digits on 2 boards" in report.read_text()
    assert {path.name for path in logs.iterdir()} == {"1-unix.jsonl", "2-unix_2.jsonl"}


def test_on_a_terminal_it_fills_the_screen_and_gives_it_back(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 32, 110, 0, 0))
    words = ["monitor", "learn", "digits", "--throttle", "2000", "--samples", "3000"]
    seen = b""
    try:
        with subprocess.Popen(
            [MADEM, *words, "--json", tmp_path / "found.json"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "110", "LINES": "32"},
            start_new_session=True,
        ) as process:
            while process.poll() is None or select.select([controller], [], [], 0)[0]:
                if select.select([controller], [], [], 0.2)[0]:
                    seen += os.read(controller, 1 << 16)
        assert process.returncode == 0
    finally:
        os.close(controller)
        os.close(terminal)
    alternate, back = seen.find(b"\x1b[?1049h"), seen.find(b"\x1b[?1049l")
    assert 0 <= alternate < back
    on_screen = seen[alternate:back].decode()
    for what in ("input", "activities", "weights", "running accuracy", "layer 1: 64", "▀"):
        assert what in on_screen
    after = seen[back:].decode()
    assert "done" in after
    assert "accuracy" in after


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["learn", "digits", "--seconds", "0"], "--seconds: 0 is not above 0"),
        (["learn", "digits", "--samples", "-1"], "--samples: -1 is not a whole number above 0"),
        (["learn", "motions", "--change", "gradual"], "--change is for madem monitor online"),
        (["online", "digits"], "a stream is needed"),
        (["learn", "digits", "--board", "twin"], "the twin is none"),
        (
            ["learn", "digits", "--stuck-after-training", "0.1"],
            "is for madem learn or madem verify",
        ),
        (["learn", "digits", "--fast"], "--fast is for madem monitor replay"),
        (["learn", "digits", "--stream", "raw"], "--stream is for madem monitor live"),
        (["learn", "digits", "--frontend", "physical"], "invalid choice: 'physical'"),
        (["replay", "nothing.csv", "--pipeline", LINE], "no such file"),
        (["learn", "nothing"], "nothing"),
        (["replay", "plain.csv", "--load", "no.madem"], "can't load no.madem"),
        (["replay", "plain.csv", "--novelty"], "say with --pipeline"),
        (["replay", "plain.csv", "--pipeline", LINE, "--seed", "3"], "nothing is drawn"),
        (["replay", "plain.csv", "--pipeline", "window=x"], "window"),
        (["replay", "plain.csv"], "say with --pipeline what the board shall compute"),
        (["replay", "digits", "--pipeline", LINE, "--throttle", "5"], "--throttle is for"),
        (["learn", "digits", "--board", "nonsense"], "there is no board 'nonsense'"),
        (["learn", "digits", "--log-dir", "plain.csv"], "can't write plain.csv"),
        (["learn", "digits", "--html", "plain.csv/x"], "can't write plain.csv/x"),
        (
            ["replay", "-", "--novelty", "--board", "unix", "--board", "unix"],
            "- feeds one board only",
        ),
        (["live", "mpu6050", "--learn", "--pipeline", LINE], "--classes"),
        (["learn", "digits", "--classes", "a,b"], "--classes is for madem monitor live"),
        (["live", "mpu6050:speed=9", "--pipeline", LINE], "speed"),
    ],
)
def test_wrong_use_is_said_in_one_line(
    words: list[str],
    said: str,
    shaken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(shaken.parent)
    Path("rec.csv").write_text(f"{recording.MAGIC}\nt_us,x,label\n0,1,\n")
    assert madem(*words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_limits_end_a_source_that_waits() -> None:
    released = threading.Event()

    def never() -> Iterator[int]:
        yield 1
        released.wait(120)

    state = RunState("board")
    state.begin(Stage.STREAMING, memory=1)
    stop = threading.Event()
    limits = RunLimits(stop=stop)
    items = limits.heed(never(), state)
    assert next(items) == 1
    stop.set()
    with pytest.raises(StoppedError):
        next(items)
    with pytest.raises(TimeIsUpError):
        list(RunLimits(seconds=0.05).heed(never(), state))
    released.set()
    assert list(RunLimits().heed(iter(range(10_000)), state)) == list(range(10_000))

    def fails() -> Iterator[int]:
        yield 1
        raise LinkError("gone")

    with pytest.raises(LinkError, match="gone"):
        list(RunLimits().heed(fails(), state))


def test_a_long_curve_stays_short_and_keeps_its_ends() -> None:
    state = RunState("board")
    state.begin(Stage.LEARNING, memory=10)
    for _ in range(50):
        state.add_answers([True] * 100)
    facts = state.snapshot()
    assert facts.samples == 5000
    assert len(facts.curve) <= 600
    assert (facts.curve[0].samples, facts.curve[-1].samples) == (1, 5000)
    steps = [point.samples for point in facts.curve]
    assert steps == sorted(set(steps))


def test_looks_take_no_more_than_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    now = spent = 0.0
    monkeypatch.setattr("madem.monitor.poller.time.monotonic", lambda: now)

    def slow_look() -> None:
        nonlocal now, spent
        now += 0.2
        spent += 0.2

    interval = PollInterval(every_s=0.25, share=0.05)
    while now < 100:
        interval.if_due(slow_look)
        now += 0.03  # work
    assert 0.04 < spent / now < 0.052


def test_names_differ() -> None:
    assert names(["unix", "qemu", "unix"]) == ["unix", "qemu", "unix #2"]


def test_a_view_does_not_change() -> None:
    state = RunState("board")
    state.begin(Stage.LEARNING, memory=10)
    state.add_answers([True])
    before = state.snapshot()
    state.add_answers([False] * 5)
    assert (before.samples, len(before.curve), before.value) == (1, 1, 1.0)
    assert isinstance(before, RunFacts)
