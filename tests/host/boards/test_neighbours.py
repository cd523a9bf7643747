"""Other tools find the board as they would without madem: mpremote, and a plain terminal."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

import pytest
import serial

from madem.boards import open as boards
from madem.boards import port_users
from madem.boards.link_protocol import Kind
from madem.boards.open import open_board
from madem.boards.repl import Repl
from madem.errors import BoardError, LinkError
from madem.learners.board import connect

BIN = Path(sys.executable).parent
on_linux = pytest.mark.needs("unix")

SMALL = ["flowers.csv", "--layers", "4"]
LONG = ["digits", "--epochs", "500", "--no-baselines"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{3 * i % 7},{i % 2 * 5 + i % 3},{'ab'[i % 2]}" for i in range(30)]
    (tmp_path / "flowers.csv").write_text("x,y,kind\n" + "\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)


def madem(*words: str) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run([BIN / "madem", *words], capture_output=True, timeout=300)
    # A bar, a colour or a moved cursor is for terminals.
    assert not {0x1B, 0x0D, 0x08} & {*done.stdout, *done.stderr}
    return done


def mpremote_works(port: str) -> None:
    """Without its own soft reset, which would mend much."""
    done = subprocess.run(
        [BIN / "mpremote", "connect", port, "resume", "exec", "print(6*7)"],
        capture_output=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"42", b"")


def terminal_works(port: str) -> None:
    """What a person at screen or Thonny's shell does: interrupt, and type."""
    with serial.Serial(port, timeout=60, exclusive=True) as line:
        line.write(b"\x03")
        assert line.read_until(b">>> ").endswith(b">>> ")
        line.write(b"print(6*7)\r")
        said = line.read_until(b">>> ").replace(b"\r", b"")
        assert said == b"print(6*7)\n42\n>>> "


def thonny_works(port: str) -> None:
    """What Thonny's backend does: interrupt, a raw prompt, a command, the friendly prompt."""
    with serial.Serial(port, timeout=60, exclusive=True) as line:
        line.write(b"\x03\x03\x01")
        assert line.read_until(b"CTRL-B to exit\r\n>").endswith(b"CTRL-B to exit\r\n>")
        line.write(b"print(6*7)\x04")
        assert line.read_until(b"\x04>").replace(b"\r", b"") == b"OK42\n\x04\x04>"
        line.write(b"\x02")
        assert line.read_until(b">>> ").endswith(b">>> ")


@pytest.fixture
def served(port: str) -> str:
    assert madem("deploy", "--board", port).returncode == 0
    return port


COMMANDS = {
    "deploy": ["deploy"],
    "learn": ["learn", *SMALL, "--epochs", "1", "--no-baselines"],
    "verify": ["verify", *SMALL, "--samples", "5"],
    "stream": [
        *("stream", "replay", "flowers.csv", "--rate", "100", "--fast"),
        *("--pipeline", "window=8 hop=8 | mean energy"),
    ],
    "bench": ["bench", "link"],
}
# Without a board, or that choose their own.
OTHERS = {
    "boards": ["boards"],
    "boards --known": ["boards", "--known"],
    "compare": ["compare", "--help"],
    "demo": ["demo", "--help"],
    "doctor": ["doctor"],
    "flash": ["flash", "--dry-run", "--type", "rp2040", "flowers.csv"],
    "completion": ["completion", "bash"],
    "stream show": ["stream", "show", "flowers.csv", "--rate", "100", "--fast"],
    "sweep": ["sweep", "--help"],
}


@on_linux
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("check", [mpremote_works, terminal_works, thonny_works])
def test_after_a_command(served: str, command: str, check: Callable[[str], None]) -> None:
    assert madem(*COMMANDS[command], "--board", served).returncode == 0
    check(served)
    # And back again.
    assert madem(*COMMANDS[command], "--board", served).returncode == 0


@on_linux
@pytest.mark.parametrize("json", [[], ["--json", "-"]], ids=" ".join)
def test_nothing_but_text_is_piped(json: list[str], served: str) -> None:
    for name, words in (COMMANDS | OTHERS).items():
        board = ["--board", served] if name in COMMANDS else []
        assert madem(*words, *board, *json).returncode in (0, 2), name


@on_linux
def test_after_a_refused_command(served: str) -> None:
    too_large = ["learn", "flowers.csv", "--layers", "1000,1000,1000", "--no-baselines"]
    done = madem(*too_large, "--board", served)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done
    assert b"does not fit the board" in done.stderr
    # What was read is told, and nothing more.
    assert done.stdout.splitlines()[-1] == b"for the test: 6 rows, drawn"
    mpremote_works(served)
    terminal_works(served)


@on_linux
def test_after_a_verification_that_found_a_difference(served: str) -> None:
    done = madem("verify", *SMALL, "--samples", "5", "--inject", "weight:2", "--board", served)
    assert done.returncode == 1
    mpremote_works(served)


@on_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_after_a_command_that_was_stopped(served: str, number: signal.Signals) -> None:
    words = [BIN / "madem", "learn", *LONG, "--board", served]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until_it_holds(process, served)
        time.sleep(0.5)
        process.send_signal(number)
        process.communicate(timeout=120)
    terminal_works(served)
    mpremote_works(served)


@on_linux
def test_it_takes_a_board_that_mpremote_left_in_its_raw_repl(served: str) -> None:
    with serial.Serial(served, timeout=60) as line:
        line.write(b"\x03\x01")
        assert line.read_until(b"CTRL-B to exit\r\n>").endswith(b">")
    assert madem(*COMMANDS["learn"], "--board", served).returncode == 0
    mpremote_works(served)


@on_linux
def test_each_says_when_the_other_has_the_port(served: str) -> None:
    with serial.Serial(served, exclusive=True):
        done = madem(*COMMANDS["learn"], "--board", served)
        assert done.returncode == 3
        assert done.stderr.startswith(f"madem: {served} is in use by ".encode())
        assert f"(process {os.getpid()}): close it".encode() in done.stderr
    words = [BIN / "madem", "learn", *LONG, "--board", served]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until_it_holds(process, served)
        done = subprocess.run(
            [BIN / "mpremote", "connect", served, "exec", "1"], capture_output=True, timeout=300
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    assert done.returncode != 0
    assert b"in use" in done.stdout + done.stderr


@pytest.fixture
def thief(port: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that reads what the board says to others."""
    read = f"import os\nf = os.open({port!r}, os.O_RDONLY)\nwhile True: os.read(f, 9)"
    with subprocess.Popen([sys.executable, "-c", read]) as process:
        wait_until_it_holds(process, port)
        yield process
        process.kill()


def test_a_program_that_reads_the_port_too_is_named(
    port: str, thief: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(BoardError) as caught:
        talk_for_ever(port)
    assert f" (process {thief.pid}), which has the port open too" in str(caught.value)
    assert "vanished" not in str(caught.value)


@pytest.mark.usefixtures("thief")
def test_a_program_that_can_not_be_seen_is_supposed(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs of other users: only root sees what they have open."""
    monkeypatch.setattr(port_users, "others", lambda address: "")
    with pytest.raises(BoardError, match=r"[Cc]lose (other programs|it)") as caught:
        talk_for_ever(port)
    assert "vanished" not in str(caught.value)


def talk_for_ever(port: str) -> None:
    """Until what the board says goes elsewhere."""
    with open_board(port) as board:
        while True:
            with Repl(board.port) as repl:
                repl.exec("print('x' * 5000)", timeout=2)


@on_linux
def test_a_link_names_who_takes_its_frames(served: str) -> None:
    with open_board(served) as board:
        link = connect(board).link
        read = f"import os\nf = os.open({served!r}, os.O_RDONLY)\nwhile True: os.read(f, 9)"
        with subprocess.Popen([sys.executable, "-c", read]) as process:
            wait_until_it_holds(process, served)
            echoes = link.request_many(repeat((Kind.ECHO, bytes([1] * 200))), timeout=2)
            with pytest.raises(LinkError) as caught:
                deque(echoes, maxlen=0)
            process.kill()
    assert f" (process {process.pid})" in str(caught.value)


def wait_until_it_holds(process: subprocess.Popen[bytes], port: str) -> None:
    end = time.monotonic() + 600
    while process.poll() is None and time.monotonic() < end:
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(descriptor) == port:
                    return
        time.sleep(0.01)
    pytest.fail(f"it did not open {port}: {process.poll()}")


@pytest.mark.parametrize(("system", "driver"), [("win32", True), ("linux", False)])
def test_where_no_port_appears_a_driver_may_be_missing(
    system: str, driver: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards.list_ports, "comports", list)
    monkeypatch.setattr(boards.sys, "platform", system)
    with pytest.raises(BoardError, match="no board is attached") as raised:
        open_board("auto")
    assert ("install the driver" in str(raised.value)) == driver


@pytest.mark.parametrize(
    "address",
    [
        "COM3",
        "com12",
        r"\\.\COM12",
        "/dev/ttyACM0",
        "/dev/ttyUSB1",
        "/dev/cu.usbmodem14101",
        "/dev/tty.usbserial-0001",
        "/dev/serial/by-id/usb-MicroPython_Board_in_FS_mode_e6614c311b7e6f35-if00",
        "socket://192.168.1.7:2323",
        "rfc2217://bench.local:4000",
    ],
)
def test_port_names_of_all_systems_are_taken(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def open_port(address: str) -> serial.Serial:
        opened.append(address)
        return serial.Serial()

    monkeypatch.setattr(boards, "open_port", open_port)
    with open_board(address) as board:
        assert board.name == address
    assert opened == [address]
