"""A board that learns from its own sensor: real firmware, chip models, one process."""

import contextlib
import json
import math
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from madem import cli
from madem.boards import link
from madem.boards.link_protocol import Flag, Kind, Memory, Mode
from madem.boards.open import Board
from madem.boards.repl import open_port
from madem.boards.sensor_signal import signal_of
from madem.data.files import recording
from madem.data.stream_task import WindowSamples
from madem.errors import DeviceError, MademError
from madem.learners.board import BoardLearner, connect
from madem.learners.protocol import Presentation
from madem.learners.stream import BoardStream
from madem.stream import onboard_run, sensors
from madem.stream.novelty import recipe as novelty_recipe
from madem.stream.onboard import Live
from madem.stream.windows import WindowResult
from madem_emulator.designs import sensor_signals
from madem_emulator.twin.pipeline import parse
from madem_emulator.wiring.bus import Bus

from ..conftest import SensorClock

pytestmark = pytest.mark.needs("unix")

LINE = "window=40 hop=20 | mean energy zero bands:4 | norm:6"
SENSOR = "mpu6050:rate=500,labels=10+11"
CLASSES = ("shaken", "still")


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.4 s still and 0.4 s shaken, in turn; 500 Hz."""
    path = tmp_path_factory.mktemp("recording") / "walk.csv"
    random = np.random.default_rng(1)
    head = recording.Header(("a", "b", "c", "d", "e", "f"), 500.0)
    with recording.Recorder(path, head) as recorder:
        for k in range(800):
            still = k // 200 % 2
            values = np.rint(random.normal(0, (5000, 500)[still], 6)).astype(int)
            recorder.add(k * 2000, values.tolist(), CLASSES[still])
    return path


class Bench(NamedTuple):
    bus: Bus
    port: str
    clock: SensorClock


@pytest.fixture(scope="module")
def bench(walk: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A board whose sensor this process holds, with firmware."""
    from madem_emulator.boards.unix import UnixBoard
    from madem_emulator.boards.unix_interpreter import find_micropython

    bus = Bus()
    sensor_signals.wire("mpu6050", signal_of(walk), bus)
    clock = SensorClock(bus)
    board = UnixBoard(find_micropython(), tmp_path_factory.mktemp("flash"), bus=bus)
    threading.Thread(target=board.run, args=([],), daemon=True).start()
    with Board("bench", open_port(board.port)) as opened:
        connect(opened, deploy_firmware=True).stop()
    return Bench(bus, board.port, clock)


@pytest.fixture
def device(bench: Bench) -> Iterator[BoardLearner]:
    with Board("bench", open_port(bench.port)) as opened:
        device = connect(opened)
        yield device
        device.stop()


def begin(
    device: BoardLearner,
    mode: int = Mode.LEARN,
    flags: int = Flag.FOLLOW,
    raw: int = 0,
    sensor: str = SENSOR,
    line: str = LINE,
) -> tuple[Live, BoardStream, int]:
    """A run with a fresh network."""
    one = sensors.parse(sensor)
    pipeline = parse(line, len(one.channels))
    settings = onboard_run.classifier(pipeline.inputs, 2, 1)
    device.configure(settings.integers())
    live = Live(device, one, pipeline)
    feeder = live.prepare()
    rate = settings.rate() if mode == Mode.LEARN else 0
    live.start(mode, rate=rate, flags=flags, raw=raw)
    return live, feeder, rate


def take(bench: Bench, live: Live, n: int) -> list[WindowResult]:
    """The next windows, n or a few more; no time passes before and behind them."""
    found: list[WindowResult] = []
    hop_s = live.pipeline.hop / live.rate_hz
    end = time.monotonic() + 300
    while len(found) < n:
        assert time.monotonic() < end, f"only {len(found)} windows: {live.status()}"
        bench.clock.let_pass(hop_s)
        found += live.new(100)[1]
    return found


def test_it_learns_what_it_measures_and_loses_nothing(bench: Bench, device: BoardLearner) -> None:
    line = "window=20 hop=10 | mean energy zero bands:4 | norm:6"
    live, _, _ = begin(device, sensor="mpu6050:rate=100,labels=10+11", line=line)
    windows = take(bench, live, 80)[:80]
    status = live.stop()
    assert status.lost == 0
    assert live.forgotten == 0
    assert [w.number for w in windows] == list(range(80))
    assert windows[0].t_s == pytest.approx(0.2)
    assert windows[79].t_s == pytest.approx(0.2 + 7.9)
    assert all(w.learned == (w.label is not None) for w in windows)
    assert {w.label for w in windows} >= {0, 1}
    # A window that spans a change of the label has none.
    assert 20 <= sum(w.label is None for w in windows) <= 60
    late = [w.right for w in windows[40:] if w.right is not None]
    assert np.mean(late) > 0.7
    assert status.labelled >= sum(w.label is not None for w in windows)
    assert device.stats().steps == status.labelled


def test_its_bits_are_those_of_the_same_samples_sent_by_a_host(
    bench: Bench, device: BoardLearner
) -> None:
    """Recorded on the way, then fed: the same answers, weights and normalisation."""
    live, feeder, rate = begin(device, raw=500)
    windows: list[WindowResult] = []
    samples = []
    while len(windows) < 40:
        windows += take(bench, live, 1)
        samples += live.raw()
    status = live.stop()
    while live._next < status.windows:
        windows += live.new()[1]
    samples += live.raw()
    assert (len(samples), status.lost) == (status.samples, 0)
    state, normalisation = device.state(), feeder.normalisation()

    values = {s.number: s.values for s in samples}
    settings = onboard_run.classifier(feeder.pipeline.inputs, 2, 1)
    device.configure(settings.integers())
    again = BoardStream(device, feeder.pipeline)
    steps = 0
    for window in windows:
        end = round((window.t_s or 0) * live.rate_hz)
        numbers = range(end - 20 if window.number else 0, end)
        chunk = WindowSamples(np.array([values[k] for k in numbers], np.int16), not window.number)
        if window.label is not None:
            how = Presentation(Mode.LEARN, Flag.FOLLOW, rate, first=steps)
            steps += 1
        else:
            how = Presentation(Mode.PREDICT, Flag.FOLLOW)
        (fed,) = again.present([chunk], [window.label or 0], how)
        assert fed.answer == window.answer
    assert again.normalisation() == normalisation
    assert device.state() == state


class Tap:
    """A serial port that keeps what goes through it."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.sent, self.received = bytearray(), bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_port", "sent", "received"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._port, name, value)

    def read(self, n: int = 1) -> bytes:
        data = self._port.read(n)
        self.received += data
        return data

    def write(self, data: bytes) -> int | None:
        self.sent += data
        return self._port.write(data)


def leaks(capture: bytes, samples: np.ndarray) -> list[int]:
    """Which samples a line's bytes hold: all channels of one, in either byte order, in the bytes
    themselves or within the payloads of their frames."""
    payloads = [bytes(capture), *(f.payload for f in link.Decoder().feed(bytes(capture)))]
    everything = b"\xff\x00\xff".join(payloads)
    return [
        k
        for k, row in enumerate(samples)
        if row.astype("<i2").tobytes() in everything or row.astype(">i2").tobytes() in everything
    ]


@pytest.mark.parametrize("asked", [False, True])
def test_no_sample_crosses_the_link_unless_it_is_asked_for(
    bench: Bench, walk: Path, asked: bool
) -> None:
    """A capture of every byte both ways, from the first to the last."""
    with Board("bench", open_port(bench.port)) as opened:
        tap: Any = Tap(opened.port)
        opened.port = tap
        device = connect(opened)
        live, feeder, _ = begin(device, raw=100 if asked else 0)
        for _ in range(12):
            take(bench, live, 1)
            feeder.inputs()
            device.stats()
            if asked:
                live.raw()
            else:
                with pytest.raises(DeviceError, match="keeps no samples"):
                    live.raw()
        assert live.stop().samples >= 40 + 11 * 20
        device.state()
        device.stop()
    assert len(tap.received) > 1000
    frames = link.Decoder().feed(bytes(tap.received))
    kinds = {frame.kind & 0x7F for frame in frames}
    assert {Kind.LIVE, Kind.SOURCE, Kind.PIPELINE} <= kinds
    found = leaks(tap.received, recording.read(walk).samples)
    assert leaks(tap.sent, recording.read(walk).samples) == []
    if asked:
        assert len(found) >= 200
    else:
        assert found == []
        # The longest that a run's own replies are, whatever it measures: counters and windows.
        assert max(len(f.payload) for f in frames if f.kind == Kind.LIVE | 0x80) <= 56


def test_the_sensor_overflows_when_the_board_is_kept_from_it(
    bench: Bench, device: BoardLearner
) -> None:
    """The start of a frame that does not go on: the board waits for it, and the sensor's FIFO is
    full 0.43 s later. What is lost is counted, and no window spans it."""
    live, _, _ = begin(device, Mode.PREDICT, raw=2000, sensor="mpu6050:rate=200")
    before = take(bench, live, 5)
    device.link._port.write(b"\0")
    bench.clock.jump(0.6)
    device.link._port.write(link.RELEASE)
    windows = take(bench, live, 10)
    samples = live.raw()
    status = live.status()
    assert status.lost >= 85
    assert status.running
    numbers = [s.number for s in samples]
    missing = set(range(numbers[0], numbers[-1] + 1)) - set(numbers)
    assert len(missing) == status.lost
    gap = max(missing) + 1
    # A window is 40 samples, each 20 after the one before, but for the first behind the gap.
    ends = [round((w.t_s or 0) * 200) for w in (*before, *windows)]
    steps = np.diff(ends)
    jump = int(np.argmax(steps != 20))
    assert ends[jump + 1] == gap + 40
    assert (np.delete(steps, jump) == 20).all()
    assert ends[jump] <= min(missing)


def test_a_sensor_that_is_pulled_off_ends_the_run_by_name(
    bench: Bench, device: BoardLearner
) -> None:
    live, _, _ = begin(device)
    take(bench, live, 2)
    chip = bench.bus._i2c[0].chips[0x68]
    bench.bus.remove_i2c(0, 0x68)
    try:
        with pytest.raises(DeviceError, match="no MPU6050 answers at 0x68"):
            take(bench, live, 20)
        with pytest.raises(DeviceError, match="no MPU6050 answers at 0x68"):
            live.prepare()
    finally:
        bench.bus.attach_i2c(0, 0x68, chip)
    begin(device)
    take(bench, live, 1)


def test_the_board_goes_on_without_a_host(bench: Bench) -> None:
    with Board("bench", open_port(bench.port)) as opened:
        device = connect(opened)
        live, _, _ = begin(device)
        take(bench, live, 2)
        steps = device.stats().steps
    bench.clock.let_pass(1.0)
    end = time.monotonic() + 600
    while bench.bus.now() < bench.clock.until:
        assert time.monotonic() < end
        time.sleep(0.01)
    with Board("bench", open_port(bench.port)) as opened:
        device = connect(opened)
        assert device.hello.steps > steps + 10
        again = Live(device, sensors.parse(SENSOR), parse(LINE, 6))
        again.rate_hz = 500.0
        status, windows = again.new()
        assert status.running
        # It remembers the last 32.
        assert windows[0].number == max(0, status.windows - 32)
        assert again.stop().windows >= status.windows
        device.stop()


def test_labels_come_from_the_host_too_and_gating_applies(
    bench: Bench, device: BoardLearner
) -> None:
    live, _, _ = begin(device, sensor="mpu6050:rate=500")
    assert all(w.label is None and not w.learned for w in take(bench, live, 3))
    live.label(1)
    labelled = take(bench, live, 8)[4:]
    assert all(w.label == 1 and w.learned for w in labelled)
    live.label(None)
    assert take(bench, live, 6)[-1].label is None
    live.label(7)  # no output of this network
    odd = take(bench, live, 8)[-1]
    assert odd.label == 7
    assert not odd.learned
    # gate 0: only what is answered wrong is learned
    device.link.request(Kind.GATE, b"\0" + bytes([0, 0, 100, 6, 0, 0, 16, 0]))
    live.start(Mode.LEARN, rate=100, flags=Flag.FOLLOW | Flag.GATED)
    live.label(1)
    judged = [w for w in take(bench, live, 30) if w.label == 1]
    assert all(w.learned == (not w.right) for w in judged)
    assert not judged[-1].learned
    assert device.stats().steps >= len(judged)


def test_novelty_without_labels(bench: Bench, device: BoardLearner) -> None:
    pipeline = parse("window=40 | energy", 6)
    plan = novelty_recipe(pipeline, 1)
    device.configure(plan.settings.integers())
    live = Live(device, sensors.parse(SENSOR), pipeline)
    live.prepare()
    live.start(Mode.LEARN, rate=plan.settings.rate(), flags=Flag.FOLLOW | Flag.OWN)
    windows = take(bench, live, 10)
    assert all(w.score is not None and w.answer is None and w.learned for w in windows)
    assert live.stop().labelled == 0


def test_features_alone_need_no_network(bench: Bench, device: BoardLearner) -> None:
    live = Live(device, sensors.parse(SENSOR), parse(LINE, 6))
    feeder = live.prepare()
    live.start(Mode.FEATURES, flags=Flag.FOLLOW)
    assert take(bench, live, 3)[-1].answer is None
    assert feeder.inputs().any()


def test_what_can_t_be_is_refused_by_name(device: BoardLearner) -> None:
    live, feeder, _ = begin(device)
    chunk = WindowSamples(np.zeros((40, 6), np.int16), True)
    with pytest.raises(DeviceError, match="own sensor is feeding"):
        list(feeder.present([chunk], [0], Presentation(Mode.FEATURES)))
    with pytest.raises(DeviceError, match="no such flags"):
        live.start(Mode.LEARN, rate=100, flags=4)
    with pytest.raises(DeviceError, match="rate above 16383"):
        live.start(Mode.LEARN, rate=20000)
    device.configure(onboard_run.classifier(8, 2, 1).integers())
    with pytest.raises(DeviceError, match="the pipeline's inputs"):
        live.start(Mode.PREDICT)
    with pytest.raises(MademError, match="gives 1 channels, the pipeline takes 6"):
        Live(device, sensors.parse("adc:rate=10"), parse(LINE, 6)).prepare()
    with pytest.raises(DeviceError, match="samples at 4 to 1000 Hz"):
        Live(device, sensors.parse("mpu6050:rate=2"), parse(LINE, 6)).prepare()
    with pytest.raises(DeviceError, match="choose a source first"):
        live.start(0)
    for payload in (b"", b"\x05", b"\x01\x00", b"\x00\x01"):
        with pytest.raises(DeviceError, match="no such LIVE"):
            device.link.request(Kind.LIVE, payload)
    for payload in (b"", bytes([1, 2, 3, 4, 9]), bytes([0, 0, 0, 0, 0, 99])):
        with pytest.raises(DeviceError):
            device.link.request(Kind.SOURCE, payload)
    with pytest.raises(DeviceError, match="no source nose"):
        device.link.request(Kind.SOURCE, bytes([1, 0, 0, 0, 0, 4]) + b"nose")


def test_a_new_network_ends_the_run(bench: Bench, device: BoardLearner) -> None:
    live, feeder, _ = begin(device)
    take(bench, live, 1)
    device.configure(onboard_run.classifier(feeder.pipeline.inputs, 2, 1).integers())
    with pytest.raises(DeviceError, match="configured anew"):
        take(bench, live, 20)


@pytest.mark.parametrize(("kind", "sensor"), [("adc", "adc:pins=26+27"), ("pin", "pin:pins=2+3")])
def test_the_board_s_own_adc_and_pins(
    kind: str, sensor: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slow square wave on two channels, the second upside down."""
    path = tmp_path / "square.csv"
    with recording.Recorder(path, recording.Header(("x", "y"), 100.0)) as recorder:
        for k in range(100):
            level = 20000 if k % 50 < 25 else -20000
            recorder.add(k * 10000, (level, -level), "")
    out, result = tmp_path / "raw.csv", tmp_path / "raw.json"
    words = ["stream", "live", f"{sensor},rate=100", "--board", f"unix:sensor={kind}+{path}"]
    words += ["--pipeline", "window=8 | mean", "--seconds", "2", "--stream", "raw"]
    assert cli.main([*words, "--out", str(out), "--json", str(result)]) == 0
    found = recording.read(out)
    high, low = (20000, -20000) if kind == "adc" else (1, 0)
    assert set(found.samples[:, 0].tolist()) == {high, low}
    # A level may change between one channel and the next, four times a second.
    split = found.samples.sum(axis=1) != high + low
    assert split.sum() <= 1 + found.t_us[-1] / 250_000
    report = json.loads(result.read_text())
    assert report["samples_sent"] == len(found.samples) > 8
    assert report["windows"] >= 1
    assert found.header.rate_hz == 100
    # Half a second a period, whatever this machine is busy with.
    rises = found.t_us[1:][(np.diff(found.samples[:, 0]) > 0)]
    assert np.median(np.diff(rises)) == pytest.approx(500000, abs=200000)


@pytest.mark.parametrize("spec", ["mpu6050:accel=4,gyro=500", "lsm6ds3:accel=8,gyro=1000"])
def test_six_axes_arrive_as_they_were_recorded(spec: str, tmp_path: Path) -> None:
    """A ramp in the counts of the range that is chosen: the same counts, in the same order."""
    sensor = sensors.parse(spec)
    path, out = tmp_path / "ramp.csv", tmp_path / "raw.csv"
    head = recording.Header(sensor.channels, 104.0, sensor.units, sensor.units_per_count)
    with recording.Recorder(path, head) as recorder:
        for k in range(1000):
            recorder.add(round(k * 1e6 / 104), (k, -k, 2 * k, 3 * k - 9, 7 - 5 * k, 30 * k), "")
    words = ["stream", "live", spec, "--board", f"unix:sensor={sensor.name}+{path}"]
    words += ["--pipeline", "window=8 | mean", "--seconds", "2", "--stream", "raw"]
    assert cli.main([*words, "--out", str(out)]) == 0
    found, known = recording.read(out), recording.read(path)
    assert found.header.units == sensor.units
    assert len(found.samples) >= 8
    numbers = found.samples[:, 0]
    assert np.array_equal(found.samples, known.samples[numbers])
    assert (np.diff(numbers) >= 0).all()


def test_it_learns_with_care_and_goes_on_when_it_is_left(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what is answered wrongly; then the program ends, and the run does not."""
    bench.clock.until = math.inf
    out = tmp_path / "care.json"
    words = ["stream", "live", SENSOR, "--board", bench.port, "--pipeline", LINE, "--learn"]
    words += ["--classes", ",".join(CLASSES), "--gate", "0", "--seconds", "3", "--leave"]
    assert cli.main([*words, "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    said = capsys.readouterr().out
    assert not report["keeps_up"]  # a Cortex-M3 wouldn't
    assert "can't keep up at 500 Hz" in said.replace("\n", " ")
    wrong = [line for line in said.splitlines() if "learned" in line and "labelled" in line]
    assert 0 < report["learned"] == len(wrong) < report["labelled"]
    for line in wrong:
        answer, label = re.findall(r"s  (\w+)  \(labelled (\w+)", line)[0]
        assert answer != label
    with Board("bench", open_port(bench.port)) as opened:
        device = connect(opened)
        live = Live(device, sensors.parse(SENSOR), parse(LINE, 6))
        assert live.status().running
        assert any(window.number > report["windows"] for window in live.windows(300.0))
        device.stop()
    bench.clock.until = 0.0


def test_keys_label_what_comes(walk: Path, tmp_path: Path) -> None:
    """In a terminal of its own: key 2, then Ctrl-C."""
    master, slave = pty.openpty()
    out, net = tmp_path / "keys.json", tmp_path / "net.madem"
    command = [sys.executable, "-m", "madem", "stream", "live", "mpu6050:rate=500"]
    command += ["--board", f"unix:sensor=mpu6050+{walk}", "--pipeline", LINE, "--learn"]
    command += ["--classes", "a,b", "--label-keys", "--gate", "255"]
    command += ["--json", str(out), "--save", str(net)]
    with subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    ) as process:  # fmt: skip
        os.close(slave)
        said = b""
        pressed = interrupted = False
        with contextlib.suppress(OSError):
            while part := os.read(master, 4096):
                said += part
                if not pressed and b"Ctrl-C ends" in said:
                    os.write(master, b"bx2k")
                    pressed = True
                if not interrupted and b"labelled b" in said:
                    os.write(master, b"\x03")
                    interrupted = True
        assert process.wait(120) == 0
    os.close(master)
    assert b"1 a  2 b  0 none  k keep a copy  b go back to it; Ctrl-C ends" in said
    assert b"there is no checkpoint" in said
    assert re.search(rb"kept a copy after \d+ windows", said)
    report = json.loads(out.read_text())
    assert report["learned"] > 0
    assert net.stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nose"], "there is no sensor 'nose'"),
        (["mpu6050:rate=fast"], "rate is fast, but must be 0.1 to 10000 Hz"),
        (["mpu6050:accel=3"], "accel is 3, but must be 2, 4, 8, 16"),
        (["mpu6050:pins=3"], "no option 'pins', only rate, labels"),
        (["mpu6050:rate"], "'rate' is not one OPTION=VALUE"),
        (["adc:pins=a"], "pins is a, but must be up to 16 pin numbers"),
        (["mpu6050", "--learn", "--pipeline", LINE], "--learn needs two or more names"),
        (
            ["mpu6050", "--learn", "--classes", "a,b", "--pipeline", LINE],
            "--learn needs labels: press keys",
        ),
        (["mpu6050", "--pipeline", LINE, "--out", "x.csv"], "ask with --stream raw"),
        (["mpu6050", "--pipeline", LINE, "--label-keys"], "add --learn"),
        (["mpu6050", "--pipeline", LINE, "--save", "x"], "add --learn"),
        (["mpu6050", "--pipeline", LINE, "--gate", "9"], "choose what is learned: add --learn"),
        (["mpu6050"], "say with --pipeline"),
        (["mpu6050", "--pipeline", "window=7 | mean"], "window is 7"),
        (
            ["mpu6050", "--learn", "--classes", "a,b", "--label-keys", "--pipeline", LINE],
            "needs a terminal",
        ),
        (["mpu6050", "--pipeline", LINE], "this board has no sensors of its own"),
        (
            ["mpu6050", "--pipeline", LINE, "--board", "unix:sensor=nose+x"],
            "there is no sensor 'nose'",
        ),
        (
            ["mpu6050", "--pipeline", LINE, "--board", "unix:sensor=adc+none.csv"],
            "no such file: none.csv",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    code = 3 if message.startswith("this board") else 2
    assert cli.main(["stream", "live", *words]) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(message, said)


def test_regions_hold_no_samples(bench: Bench, device: BoardLearner) -> None:
    """READ knows no name for the ring of samples."""
    live, _, _ = begin(device)
    take(bench, live, 2)
    known = {int(which) for which in Memory}
    for which in range(256):
        if which in known:
            continue
        payload = bytes([which, 0]) + bytes(4) + bytes([1, 0, 0, 0])
        with pytest.raises(DeviceError, match="no such memory"):
            device.link.request(Kind.READ, payload)
