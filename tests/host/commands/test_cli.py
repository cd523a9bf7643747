"""The command line: what it promises to people and to programs, and how it refuses."""

import contextlib
import dataclasses
import errno
import functools
import json
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import serial

from madem import __version__, cli, doctor
from madem.boards import deploy, firmware
from madem.boards.open import Board, open_board
from madem.boards.repl import Repl, open_port
from madem.commands import COMMANDS, boards, training
from madem.data.task import Task
from madem.learn import session
from madem.learn import train as learn
from madem.learners.board import BoardLearner
from madem.network import file
from madem.verify import lock_step

pytestmark = pytest.mark.needs("unix")

MADEM = Path(sys.executable).with_name("madem")

LEARN_KEYS = (
    "task board frontend preset seed weight_bits samples_seen metrics baselines heap_peak_bytes "
    "device_us_per_sample wall_s"
)
DISTORTIONS = ["0.10", "0.15", "0.20", "0.25", "0.30", "0.35", "0.40"]


class Outcome(NamedTuple):
    code: int
    out: str
    error: str


Run = Callable[..., Outcome]


@pytest.fixture
def madem(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Outcome:
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as end:  # argparse
            code = end.code
        out, error = capsys.readouterr()
        assert isinstance(code, int)
        return Outcome(code, out, error)

    return run


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A small data file of two classes that can be told apart."""
    random = np.random.default_rng(1)
    x = random.normal(size=(60, 3))
    rows = [",".join(map(str, row)) + f",{'high' if row[0] > 0 else 'low'}" for row in x.round(3)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["a,b,c,level", *rows]) + "\n")
    return path


# --- help -----------------------------------------------------------------------------------------


def test_help_teaches(madem: Run) -> None:
    done = madem("--help")
    assert (done.code, done.error) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^    {command}( |$)", done.out, re.MULTILINE)
    assert "madem demo" in done.out
    assert madem("--version").out == f"madem {__version__}\n"


# --- what learn says ------------------------------------------------------------------------------


def test_learn_digits_on_the_board(madem: Run, tmp_path: Path) -> None:
    done = madem("learn", "digits", "--epochs", "1", "--json", "deep/er/found.json")
    assert (done.code, done.error) == (0, "")
    found = json.loads((tmp_path / "deep/er/found.json").read_text())
    assert set(found) >= set(LEARN_KEYS.split())
    assert (found["task"], found["board"], found["frontend"]) == ("digits", "unix", "emulated")
    assert (found["preset"], found["seed"], found["weight_bits"]) == ("default", 1, 4)
    assert found["samples_seen"] == 1437
    assert 0.85 < found["metrics"]["accuracy"] <= 1
    assert set(found["baselines"]) == {"majority", "logistic_regression", "mlp", "random_forest"}
    assert 0.9 < found["baselines"]["mlp"] <= 1
    assert 3 * 2410 < found["heap_peak_bytes"] < 1_000_000
    assert 0 < 1437e-6 * found["device_us_per_sample"] < found["wall_s"]
    assert found["data"]["test_fraction"] == 0.2
    assert "1,437 samples" in done.out
    assert f"{100 * found['metrics']['accuracy']:.1f}" in done.out


def test_learn_braille_has_recall_by_distortion(madem: Run) -> None:
    done = madem("learn", "braille", "--epochs", "1", "--layers", "none", "--json", "-")
    found = json.loads(done.out)
    assert set(found) >= set(LEARN_KEYS.split())
    assert list(found["metrics"]["exact_word"]) == DISTORTIONS
    for baseline in ("pseudo_inverse", "ml_bound"):
        assert list(found["baselines"][baseline]) == DISTORTIONS
        assert all(0 <= share <= 1 for share in found["baselines"][baseline].values())
    assert found["baselines"]["ml_bound"]["0.10"] > 0.99


def test_the_twin_gives_the_same_result_as_the_board(madem: Run, table: Path) -> None:
    found = []
    for board in ("unix", "twin"):
        done = madem("learn", table, "--board", board, "--json", "-", "--save", f"{board}.madem")
        found.append(json.loads(done.out))
    for key in ("metrics", "train_curve", "samples_seen", "baselines", "data"):
        assert found[0][key] == found[1][key]
    assert Path("unix.madem").read_bytes() == Path("twin.madem").read_bytes()
    assert (found[1]["heap_peak_bytes"], found[1]["device_us_per_sample"]) == (None, None)


def test_options_reach_the_device(madem: Run, table: Path) -> None:
    command = (
        "--board twin --epochs 3 --layers 5,4 --bits 6 --beta 0.5 --rule one-sided --rate 2 "
        "--preset harsh --device stuck=0.25,dac_bits=7,adc_bits=9 --seed 77 --split 0.5 "
        "--no-baselines --save it --json -"
    )
    found = json.loads(madem("learn", table, *command.split()).out)
    assert (found["layers"], found["epochs"], found["weight_bits"]) == ([3, 5, 4, 2], 3, 6)
    assert (found["preset"], found["seed"], found["baselines"]) == ("harsh", 77, {})
    assert found["samples_seen"] == 3 * 30

    config = file.load("it").state.config
    assert (config.beta, config.rule, config.seed) == (32, 1, 77)
    assert (config.dac_mask, config.adc_bits, config.stuck) == (254, 9, 16384)
    assert config.nl_set == round(81.92 * 0.5)


def test_save_and_load(madem: Run, table: Path) -> None:
    first = madem("learn", table, "--epochs", "2", "--save", "a.madem", "--json", "-")
    test = madem("learn", table, "--epochs", "0", "--load", "a.madem", "--json", "-")
    assert json.loads(test.out)["metrics"] == json.loads(first.out)["metrics"]
    assert json.loads(test.out)["samples_seen"] == 0
    more = madem("learn", table, "--epochs", "2", "--load", "a.madem", "--save", "a.madem")
    assert more.code == 0

    assert file.load("a.madem").state.steps == 4 * 48
    assert file.load("a.madem").classes == ("high", "low")


def test_plot_saves_pictures(madem: Run, table: Path) -> None:
    done = madem("learn", table, "--epochs", "1", "--board", "twin", "--plot", "pictures/mine")
    pictures = sorted(Path("pictures/mine").iterdir())
    assert len(pictures) == 3
    for path in pictures:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f"saved {path}" in done.out


@pytest.fixture
def short_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass instead of many."""
    recipe = learn.recipe

    def short(task: Task, **choices: Any) -> learn.Recipe:
        choices["epochs"] = 1
        return recipe(task, **choices)

    monkeypatch.setattr(learn, "recipe", short)


@pytest.mark.slow
@pytest.mark.usefixtures("short_demo")
def test_the_demo_learns_verifies_and_draws(madem: Run) -> None:
    done = madem("demo", "--out", "pictures", "--json", "found.json")
    assert (done.code, done.error) == (0, "")
    assert "verified: 450 steps" in done.out
    assert "0 mismatches" in done.out
    found = json.loads(Path("found.json").read_text())
    assert set(found) >= set(LEARN_KEYS.split())
    assert (found["task"], found["steps"], found["mismatches"]) == ("braille", 450, 0)
    assert list(found["metrics"]["exact_word"]) == DISTORTIONS
    pictures = sorted(path.name for path in Path("pictures").iterdir())
    assert pictures == ["braille-learning.png", "braille-weights.png", "braille-words.png"]
    for name in pictures:
        assert (Path("pictures") / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("short_demo")
def test_the_demo_stops_at_a_difference(madem: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Faulty(lock_step.LockStep):
        def __init__(self, device: BoardLearner) -> None:
            device.flip(True, 9, 1, 0, 3)
            super().__init__(device)

    monkeypatch.setattr(lock_step, "LockStep", Faulty)
    done = madem("demo", "--json", "found.json")
    assert (done.code, done.error) == (1, "")
    assert "device and twin differ: step 9, free, layer 1, unit 0" in " ".join(done.out.split())
    assert json.loads(Path("found.json").read_text())["first_mismatch"]["step"] == 9
    assert list(Path("madem-out").iterdir()) == []


def test_bench_device_measures_beside_references(madem: Run) -> None:
    done = madem("bench", "device", "--json", "found.json")
    assert (done.code, done.error) == (0, "")
    found = json.loads(Path("found.json").read_text())
    assert all(us > 0 for us in found["us"].values())
    assert {"bare_loop", "forward_read", "train_sample", "python_backprop"} <= set(found["us"])
    assert found["forward_read_vs_bare_loop"] == pytest.approx(
        found["ns_per_mac"]["forward_read"] / found["ns_per_mac"]["bare_loop"]
    )
    assert "one training sample" in done.out
    # Around 20 where nothing else runs; both are timed in one run.
    assert found["backprop_vs_train_sample"] > 10


@pytest.mark.slow
def test_bench_memory_finds_the_smallest_heap(madem: Run) -> None:
    found = json.loads(madem("bench", "memory", "--json", "-").out)
    heap = found["smallest_heap_kb"]
    assert found["weights_bytes"] == 3 * 2410 < heap * 1024 < 256 * 1024
    command = ["learn", "digits", "--epochs", "1", "--no-baselines", "--quiet"]
    assert madem(*command, "--board", f"unix:heap={heap}K").code == 0
    assert madem(*command, "--board", f"unix:heap={heap - 4}K").code == 2
    error = one_line_error(madem("bench", "memory", "--board", "/dev/ttyACM0"), 2)
    assert "use --board unix" in error


# --- for programs ---------------------------------------------------------------------------------

QUICK = {
    "learn": ["learn", "digits", "--epochs", "0", "--no-baselines", "--plot", "pictures"],
    "verify": ["verify", "digits", "--samples", "5"],
    "verify that differs": ["verify", "digits", "--samples", "5", "--inject", "state:3"],
    "boards": ["boards"],
    "deploy": ["deploy", "--board", "unix"],
    "doctor": ["doctor"],
}


@pytest.mark.parametrize("command", QUICK.values(), ids=QUICK.keys())
def test_json_on_standard_output_is_alone_there(command: list[str], madem: Run) -> None:
    done = madem(*command, "--json", "-")
    assert isinstance(json.loads(done.out), dict)
    assert done.error == ""


@pytest.mark.parametrize("command", QUICK.values(), ids=QUICK.keys())
def test_quiet_prints_nothing(command: list[str], madem: Run) -> None:
    done = madem(*command, "--quiet", "--json", "found.json")
    assert (done.out, done.error) == ("", "")
    assert isinstance(json.loads(Path("found.json").read_text()), dict)
    assert done.code == ("--inject" in command)


def test_errors_are_told_in_spite_of_quiet(madem: Run) -> None:
    done = madem("learn", "digit", "--quiet", "--json", "-")
    assert (done.code, done.out) == (2, "")
    assert "did you mean digits" in done.error


def test_a_command_that_prints_to_an_ascii_terminal(table: Path) -> None:
    done = subprocess.run(
        [MADEM, "learn", table, "--board", "twin", "--epochs", "0", "--no-baselines"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"0 samples" in done.stdout


def test_a_reader_that_leaves_is_no_error_message(table: Path) -> None:
    with subprocess.Popen(
        [
            MADEM,
            "learn",
            table,
            "--board",
            "twin",
            "--epochs",
            "1",
            "--no-baselines",
            "--json",
            "-",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""


def test_a_progress_bar_is_for_terminals_only(table: Path) -> None:
    command = [MADEM, "learn", table, "--board", "twin", "--epochs", "2", "--no-baselines"]
    piped = subprocess.run(command, capture_output=True, timeout=300)
    assert b"\r" not in piped.stdout + piped.stderr
    assert b"\x1b" not in piped.stdout + piped.stderr
    assert b"learning table.csv" not in piped.stdout
    master, slave = pty.openpty()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, master)
        environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
        process = subprocess.Popen(command, stdout=slave, stderr=slave, env=environment)
        stack.callback(process.wait)
        os.close(slave)
        shown = b""
        with contextlib.suppress(OSError):  # how a pty ends
            while piece := os.read(master, 4096):
                shown += piece
    assert b"learning table.csv on twin" in shown
    assert b"96/96" in shown


# --- errors ---------------------------------------------------------------------------------------


def write_files(folder: Path) -> None:
    """Data files with something wrong, and other things to trip over."""
    rows = [f"{i * 3 % 8},{i * i % 7},{'ab'[i % 2]}" for i in range(20)]
    texts = {
        "empty.csv": "",
        "header.csv": "a,b,y\n",
        "one-class.csv": "\n".join(f"{i},{i * 2},a" for i in range(9)),
        "nan.csv": "\n".join([*rows, "nan,3,a"]),
        "missing.csv": "\n".join([*rows, ",3,a"]),
        "text.csv": "\n".join([*rows, "red,3,a"]),
        "constant.csv": "\n".join(f"1,{i},{'ab'[i % 2]}" for i in range(9)),
        "ragged.csv": "\n".join([*rows, "1,2", rows[0]]),
        "wide.csv": "\n".join(
            ",".join(str(i * i * j) for j in range(1, 1026)) + f",{'ab'[i % 2]}" for i in range(9)
        ),
        "long.words": "turing\nmicrocontroller\n",
        "capital.words": "turing\nHopper\n",
        "umlaut.words": "turing\ngödel\n",
        "one.words": "turing\n",
        "rubbish": "this is no state\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "latin.csv").write_bytes("1,2,ä\n3,4,ö\n".encode("latin-1"))
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 4)
    (folder / "damaged.npz").write_bytes(b"PK\x03\x04 and no more")
    np.savez(folder / "no-y.npz", X=np.eye(4))
    np.savez(folder / "nan.npz", X=np.array([[1, np.nan], [2, 3]] * 4), y=np.arange(8) % 2)
    np.savez(folder / "text.npz", X=np.array([["a", "b"]] * 8), y=np.arange(8) % 2)
    (folder / "folder.csv").mkdir()
    (folder / "closed").mkdir()


BEFORE_ANY_BOARD = {
    # no such task, no such file, nothing in it that can be learned
    "learn digit": "unknown task 'digit': did you mean digits?",
    "learn none.csv": "no such file: none.csv",
    "learn rubbish": "can't learn from rubbish",
    "learn folder.csv": "no samples in the folder folder.csv",
    "learn empty.csv": "empty.csv is empty",
    "learn header.csv": "header.csv has a header but no samples",
    "learn one-class.csv": "only one class, a",
    "learn nan.csv": "nan.csv, line 21, column 0: missing value",
    "learn missing.csv": "missing.csv, line 21, column 0: missing value",
    "learn constant.csv": "constant and can't teach anything",
    "learn wide.csv": "1025 features; at most 1024",
    "learn latin.csv": "a class needs at least 2 samples to be trained and tested: ä, ö",
    "learn binary.csv": "binary.csv is no text",
    "learn damaged.npz": "is no .npz file, or it is damaged",
    "learn no-y.npz": "no-y.npz has no label: name its column or array with --label",
    "learn nan.npz": "nan.npz, row 0, column 1: missing value",
    "learn text.npz": "not real numbers",
    "learn ragged.csv --label 7": "no column 7 for --label: its columns are 0 to 2",
    "learn text.csv --label colour": "no column 'colour'",
    "learn digits --label 3": "not for digits",
    # words
    "learn braille --words long.words": "'microcontroller' has 15 letters; 1 to 10 fit",
    "learn braille-words --words capital.words": "'Hopper' may only have the letters a-z",
    "learn braille --words umlaut.words": "'gödel' may only have the letters a-z",
    "learn braille --words one.words": "at least two different words",
    "learn braille --words none.words": "can't read the words file none.words",
    "learn digits --words one.words": "only be given for braille",
    # option values
    "learn digits --bits 9": "weight_bits is 9, but must be between 2 and 8",
    "learn digits --bits 1": "weight_bits is 1",
    "learn digits --bits four": "argument --bits: invalid int value: 'four'",
    "learn digits --beta 0": "beta is 0.0, but must be between",
    "learn digits --beta 4": "beta is 4.0",
    "learn digits --beta nan": "beta is nan",
    "learn digits --beta inf": "beta is inf",
    "learn digits --rate inf": "learning_rate is inf",
    "learn digits --rate nan": "learning_rate is nan",
    "learn digits --rate -1": "learning_rate is -1.0",
    "learn digits --decay 0": "decay is 0.0",
    "learn digits --decay nan": "decay is nan",
    "learn digits --layers x": "'x' is neither `none` nor numbers",
    "learn digits --layers 3,,4": "neither `none` nor numbers",
    "learn digits --layers 0": "sizes is",
    "learn digits --layers 1025": "sizes is",
    f"learn digits --layers {','.join(['1'] * 255)}": "256 layers",
    "learn digits --epochs -1": "epochs is -1",
    "learn digits --epochs 1.5": "invalid int value",
    "learn digits --split 2": "test fraction must be between 0 and 1",
    "learn digits --split 0": "test fraction must be between 0 and 1",
    "learn digits --split nan": "test fraction must be between 0 and 1",
    "learn digits --device stuck=2": "stuck is 2.0",
    "learn digits --device stuck=nan": "stuck is nan",
    "learn digits --device read_noise=-1": "read_noise is -1.0",
    "learn digits --device cycle_to_cycle=9": "cycle_to_cycle is 9.0",
    "learn digits --device device_to_device=2": "device_to_device is 2.0",
    "learn digits --device dac_bits=9": "dac_bits is 9",
    "learn digits --device adc_bits=1": "adc_bits is 1",
    "learn digits --seed -1": "seed must be 0 or more",
    "learn digits --seed 4294967296": "seed is 4294967296",
    "learn digits --rule hebb": "invalid choice: 'hebb'",
    "learn digits --preset taox": "invalid choice: 'taox'",
    "learn digits --frontend none": "invalid choice: 'none'",
    "verify digits --samples 0": "samples is 0",
    "verify digits --samples -5": "samples is -5",
    "verify digits --inject state:2000": "the run has 2000 steps",
    "verify digits --inject row:3": "write weight:STEP or state:STEP",
    # where results can't go
    "learn digits --json closed": "can't write closed: Is a directory",
    "learn digits --json /proc/x.json": "can't write /proc/x.json",
    "learn digits --json rubbish/x.json": "can't write rubbish/x.json",
    "learn digits --save none/x.madem": "can't write none/x.madem: No such file or directory",
    "learn digits --save closed": "can't write closed: Is a directory",
    "learn digits --plot rubbish": "can't write rubbish: File exists",
    "learn digits --plot /proc/x": "can't write /proc/x",
    "verify digits --json closed": "can't write closed: Is a directory",
    "demo --out rubbish": "can't write rubbish: File exists",
    "demo --json closed": "can't write closed",
    "bench device --json closed": "can't write closed",
    # commands
    "": "required: COMMAND",
    "lern digits": "invalid choice: 'lern'",
    "learn": "required: TASK",
    "learn digits --no-such-option": "there is no --no-such-option",
    "bench speed": "invalid choice: 'speed'",
    "boards --start none": "no board 'none'",
    "learn digits --board none": "no board 'none': choose unix",
    "learn digits --board unix:heap=5": "heap size 5 is outside",
    "learn digits --board unix:heap=much": "'much' is not a size",
    "learn digits --board unix:flash=1M": "only the option heap=SIZE",
    "deploy --board twin": "no board 'twin'",
    "verify digits --board twin": "choose a board",
}


@pytest.mark.parametrize("command", BEFORE_ANY_BOARD)
def test_errors_that_are_told_before_any_work(
    command: str, madem: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, exit code 2, nothing written; and before anything learns."""
    write_files(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    def too_late(*_: object, **__: object) -> None:
        raise AssertionError("it went to work")

    monkeypatch.setattr(session, "prepare", too_late)
    monkeypatch.setattr(training, "train", too_late)
    monkeypatch.setattr(deploy, "deploy", too_late)
    done = madem(*command.split())
    assert (done.code, done.out) == (2, "")
    assert re.match(r"madem( \w+)*: .+\n\Z", done.error), "one line"
    assert re.search(BEFORE_ANY_BOARD[command], done.error)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("board", "told"),
    [("/dev/none", "no port /dev/none"), ("socket://127.0.0.1:1", "can't be reached")],
)
def test_a_board_that_is_not_there(board: str, told: str, madem: Run) -> None:
    assert told in one_line_error(madem("learn", "digits", "--board", board))


def test_a_disk_that_is_full(madem: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    error = one_line_error(madem("boards", "--json", "found.json"))
    assert error == "madem: can't write found.json: No space left on device\n"
    monkeypatch.setattr(boards, "list_boards", full)
    assert one_line_error(madem("boards")) == "madem: [Errno 28] No space left on device\n"


def test_a_fault_of_madems_own_is_kept_in_a_report(
    madem: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def faulty() -> None:
        raise ValueError("one\ntwo")

    monkeypatch.setattr(boards, "list_boards", faulty)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    error = one_line_error(madem("boards", "--quiet"), 70)
    assert error.startswith("madem: a fault of madem's own, ValueError: one two; please report it")
    (report,) = tmp_path.iterdir()
    assert error.endswith(f" {report}\n")
    text = report.read_text()
    assert f"madem {__version__}" in text
    assert "madem boards --quiet\n" in text
    assert "in faulty\n" in text
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert "no report could be written" in one_line_error(madem("boards"), 70)


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("rubbish", "rubbish is not a network saved by madem"),
        ("none", "can't load none: No such file"),
        ("closed", "can't load closed: Is a directory"),
        ("other.madem", "3 inputs and 2 outputs, digits needs 64 and 10"),
        ("cut.madem", "cut.madem is damaged"),
    ],
)
@pytest.mark.parametrize("board", ["unix", "twin"])
def test_a_state_that_can_not_be_loaded(
    file: str, told: str, board: str, madem: Run, tmp_path: Path, table: Path
) -> None:
    write_files(tmp_path)
    assert madem("learn", table, "--board", "twin", "--epochs", 0, "--save", "other.madem")[0] == 0
    Path("cut.madem").write_bytes(Path("other.madem").read_bytes()[:-9])
    command = ["learn", "digits", "--load", file, "--board", board, "--json", "result.json"]
    done = madem(*command, "--save", "new.madem")
    assert (done.code, done.out) == (2, "")
    assert re.match(r"madem: .+\n\Z", done.error)
    assert told in done.error
    assert not Path("result.json").exists()
    assert not Path("new.madem").exists()


# --- boards ---------------------------------------------------------------------------------------


def one_line_error(done: Outcome, code: int = 3) -> str:
    assert (done.code, done.out) == (code, "")
    assert re.match(r"madem: .+\n\Z", done.error)
    return done.error


def test_a_network_that_does_not_fit(madem: Run) -> None:
    command = "learn digits --board unix:heap=96K --layers 500 --json found.json --save it.madem"
    error = one_line_error(madem(*command.split()), 2)
    assert "does not fit the board" in error
    assert "use fewer or smaller hidden layers" in error
    assert list(Path().iterdir()) == []


def test_a_board_that_is_too_small_for_the_firmware(madem: Run) -> None:
    error = one_line_error(madem("learn", "digits", "--board", "unix:heap=20K"))
    assert "too little memory" in error
    assert "freeze the firmware" in error


def test_a_board_that_does_not_answer(madem: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = functools.partialmethod(Repl.enter, timeout=0.3)
    monkeypatch.setattr(Repl, "enter", impatient)
    master, slave = pty.openpty()
    try:
        name = os.ttyname(slave)
        for command in (["learn", "digits"], ["deploy"]):
            error = one_line_error(madem(*command, "--board", name))
            assert f"{name} does not answer with a MicroPython prompt" in error
    finally:
        os.close(master)
        os.close(slave)


def test_a_board_that_is_unplugged(madem: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port vanishes when the learning begins."""
    board = open_board("unix")
    monkeypatch.setattr(session, "open_board", lambda _spec, _patience: board)
    train = learn.train

    def unplugged(*args: object, **options: object) -> object:
        # Its port stays open: the name of one that is closed may soon be another's.
        assert board._process
        board._process.kill()
        return train(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(learn, "train", unplugged)
    error = one_line_error(madem("learn", "digits", "--json", "found.json"))
    assert "the board is gone" in error
    assert not Path("found.json").exists()


def test_a_port_in_use(madem: Run, port: str) -> None:
    with open_port(port):
        for command in (["learn", "digits"], ["verify", "digits"], ["deploy"]):
            error = one_line_error(madem(*command, "--board", port))
            assert f"{port} is in use: close the other program" in error


_PIPELINE = "--pipeline 'window=8 hop=8 | mean'"


@pytest.mark.parametrize(
    "command",
    [
        *("learn digits", "verify digits", "demo", "online motions"),
        "novelty motions --novel Running",
        *(f"stream live mpu6050 {_PIPELINE}", f"stream replay x.csv --fast {_PIPELINE}"),
        "calibrate",
        *("bench link", "bench device", "doctor --frontend attached", "monitor learn digits"),
    ],
)
def test_every_verb_hands_on_how_long_a_board_may_take(
    command: str, madem: Run, silent: str
) -> None:
    """Its main.py does not begin to serve in 1.5 s, nor ever."""
    Path("x.csv").write_text("time,x\n" + "".join(f"{t / 50},{t % 7}\n" for t in range(200)))
    done = madem(*shlex.split(command), "--board", silent, "--patience", 1.5)
    assert done.code in (1, 3), done
    assert "did not report within 1.5 s" in done.error + done.out


@pytest.fixture
def silent(port: str) -> str:
    """A board whose main.py says nothing."""
    with Repl(port) as repl:
        repl.write_file("main.py", b'"""madem: a slow one"""\nwhile True: pass\n')
    return port


def test_a_board_without_firmware_then_with_one_of_another_version(
    madem: Run, port: str, tmp_path: Path
) -> None:
    error = one_line_error(madem("learn", "digits", "--board", port))
    assert f"`madem deploy --board {port}`" in error

    package = tmp_path / "other" / "madem"
    package.mkdir(parents=True)
    (tmp_path / "other" / "main.py").write_bytes(firmware.main())
    for name, content in firmware.sources(0).items():
        (package / name).write_bytes(content)
    (package / "__init__.py").write_text('__version__ = "9.8.7"\n')
    with Board(port, open_port(port)) as board:
        deploy.deploy(board, folder=tmp_path / "other")
    for command in (["learn", "digits"], ["verify", "digits"]):
        error = one_line_error(madem(*command, "--board", port))
        assert f"{port} runs firmware 9.8.7, this is madem {__version__}" in error
        assert f"`madem deploy --board {port}`" in error

    done = madem("deploy", "--board", port)
    assert done.code == 0
    assert "1 files written" in done.out
    done = madem("learn", "digits", "--epochs", 1, "--no-baselines", "--board", port)
    assert (done.code, done.error) == (0, "")


def test_a_board_that_stays_behind_is_left_at_its_repl(madem: Run, port: str) -> None:
    assert madem("deploy", "--board", port).code == 0
    for _ in range(2):
        done = madem("learn", "digits", "--epochs", 0, "--no-baselines", "--board", port)
        assert (done.code, done.error) == (0, "")
        with serial.Serial(port, timeout=60) as line:
            line.write(b"\r\n6*7\r\n")
            assert b"6*7\r\n42\n" in line.read_until(b"42\n")


def test_start_prints_a_port_and_ends_with_ctrl_c(port: str) -> None:
    assert os.path.exists(port)
    with serial.Serial(port, timeout=60) as line:
        line.write(b"\r\n")
        assert line.read_until(b">>> ").endswith(b">>> ")


def test_deploy_tells_what_it_wrote(madem: Run, port: str) -> None:
    first = json.loads(madem("deploy", "--board", port, "--json", "-").out)
    assert "main.py" in first["written"]
    assert first["unchanged"] == []
    again = json.loads(madem("deploy", "--board", port, "--json", "-").out)
    assert (again["written"], again["unchanged"]) == ([], first["written"])
    forced = json.loads(madem("deploy", "--board", port, "--force", "--json", "-").out)
    assert len(forced["written"]) == len(first["written"])


def test_boards_lists_the_emulated_one(madem: Run) -> None:
    done = madem("boards", "--json", "found.json")
    listed = json.loads(Path("found.json").read_text())["boards"]
    (unix,) = (board for board in listed if board["spec"] == "unix")
    assert unix["emulated"]
    assert unix["reason"] is None
    assert "--board unix" in " ".join(done.out.split())


def test_doctor_has_an_answer(madem: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = madem("doctor", "--json", "found.json")
    assert json.loads(Path("found.json").read_text())["checks"]
    assert (done.code, done.error) == (0, "")
    bad = doctor.examine()
    required = next(i for i, check in enumerate(bad) if check.required)
    bad[required] = dataclasses.replace(bad[required], ok=False)
    monkeypatch.setattr(doctor, "examine", lambda: bad)
    assert madem("doctor").code == 1
