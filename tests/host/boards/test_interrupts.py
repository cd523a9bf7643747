"""Ctrl-C, and worse, at any moment: nothing hangs, nothing strays, the board can be used again."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import serial

from madem.boards import deploy, link
from madem.boards.link_protocol import Kind
from madem.boards.open import Board, open_board
from madem.boards.repl import Repl, open_port
from madem.learners.board import BoardLearner, connect
from madem_emulator.twin.config import Settings

from ...conftest import SEED

pytestmark = pytest.mark.needs("unix")

MADEM = Path(sys.executable).with_name("madem")
LONG = ["digits", "--epochs", "200", "--no-baselines"]
SHORT = ["digits", "--epochs", "1", "--no-baselines"]


def drawn(count: int) -> list[object]:
    """More moments to interrupt at, in seconds."""
    draw = random.Random(SEED)
    return [
        pytest.param(round(draw.uniform(0, 2), 3), marks=pytest.mark.long) for _ in range(count)
    ]


@contextlib.contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [MADEM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def wait_for(condition: Callable[[], bool], of: subprocess.Popen[bytes] | None = None) -> None:
    """Until something holds, as long as the process that it is about has not ended."""
    end = time.monotonic() + 600
    while not condition():
        if of is not None and of.poll() is not None:
            pytest.fail(f"ended with {of.returncode}: {of.communicate()}")
        assert time.monotonic() < end
        time.sleep(0.005)


def descendants(pid: int) -> set[int]:
    """A process's children, their children and so on."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found |= {child} | descendants(child)
    return found


def runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def stopped(process: subprocess.Popen[bytes]) -> bytes:
    """Interrupt a command; see that it says so in one line and takes all it started with it.

    Returns what it had printed.
    """
    others = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (130, b"madem: stopped\n")
    wait_for(lambda: not any(map(runs, others)))
    return out


def works(port: str) -> None:
    """The next command finds the board usable."""
    done = subprocess.run(
        [MADEM, "learn", *SHORT, "--board", port], capture_output=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"1,437 samples" in done.stdout


@pytest.fixture
def board(port: str) -> str:
    """The port of a board with the firmware on it, at its REPL."""
    with Board(port, open_port(port)) as opened:
        deploy.deploy(opened)
    return port


# --- the host is interrupted ----------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.1, 0.8, *drawn(8)])
@pytest.mark.parametrize("command", ["learn", "verify"])
def test_ctrl_c_stops_a_run_at_any_moment(command: str, after: float) -> None:
    words = [*LONG] if command == "learn" else ["digits", "--samples", "100000"]
    with started(command, *words) as process:
        wait_for(lambda: bool(descendants(process.pid)), process)  # the board that it starts
        time.sleep(after)
        assert stopped(process) == b""


def test_ctrl_c_while_it_is_still_importing() -> None:
    with started("learn", *LONG) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        wait_for(lambda: "_multiarray_umath" in maps.read_text(), process)
        stopped(process)


def test_ctrl_c_stops_the_demo_and_leaves_no_half_pictures(tmp_path: Path) -> None:
    with started("demo", "--out", str(tmp_path / "out")) as process:
        wait_for(lambda: bool(descendants(process.pid)), process)
        time.sleep(0.7)
        assert b"verified" not in stopped(process)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("after", [0.6, *drawn(4)])
def test_a_board_is_usable_after_ctrl_c(board: str, after: float) -> None:
    with started("learn", *LONG, "--board", board) as process:
        wait_for(lambda: holds(process.pid, board), process)
        time.sleep(after)
        stopped(process)
    with serial.Serial(board, timeout=60) as line:  # at its REPL, free for other tools
        line.write(b"\x03\r\n6*7\r\n")
        assert line.read_until(b"42").endswith(b"42")
    works(board)


def test_a_deployment_is_finished_after_ctrl_c(port: str) -> None:
    with started("deploy", "--board", port) as process:
        wait_for(lambda: holds(process.pid, port), process)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
        assert process.returncode in (0, 130)
        assert error in (b"", b"madem: stopped\n")
    done = subprocess.run([MADEM, "deploy", "--board", port], capture_output=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, b"")
    works(port)


def holds(pid: int, port: str) -> bool:
    """Whether a process has a port open."""
    for link_to in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(link_to) == port:
                return True
    return False


# --- the host is killed ---------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_takes_its_board_with_it(sent: int) -> None:
    with started("learn", *LONG) as process:
        wait_for(
            lambda: len(descendants(process.pid)) >= 2, process
        )  # the pump and the interpreter
        time.sleep(0.3)
        others = descendants(process.pid)
        process.send_signal(sent)
        process.wait(120)
        wait_for(lambda: not any(map(runs, others)))


@pytest.mark.parametrize("after", [0.6, *drawn(4)])
@pytest.mark.parametrize("command", ["learn", "verify"])
def test_a_host_killed_in_mid_stream_leaves_a_board_that_works(
    board: str, command: str, after: float
) -> None:
    words = LONG if command == "learn" else ["digits", "--samples", "100000"]
    with started(command, *words, "--board", board) as process:
        wait_for(lambda: holds(process.pid, board), process)
        time.sleep(after)
        process.kill()
    works(board)


@pytest.mark.parametrize("killed", [False, True])
def test_another_program_s_ctrl_c_ends_a_run_and_resets_nothing(board: str, killed: bool) -> None:
    """However long the host goes on sending: at the prompt, frames do nothing."""
    with started("learn", *LONG, "--board", board) as process:
        wait_for(lambda: holds(process.pid, board), process)
        # Some time into the run; earlier it may be the deployment that is interrupted.
        wait_for(lambda: cpu_ticks(interpreter(board)) > 60, process)
        with serial.Serial(board, timeout=60) as line:
            runs_now = interpreter(board)
            line.write(b"\x03")
            if killed:
                process.kill()
            _, error = process.communicate(timeout=300)
    assert interpreter(board) == runs_now  # not restarted
    if not killed:
        assert process.returncode == 3
        assert error.count(b"\n") == 1
        assert b"in place of an answer" in error
    with serial.Serial(board, timeout=60) as line:
        answers(line)
    assert interpreter(board) == runs_now
    works(board)


def interpreter(port: str) -> int:
    """The process that a board's MicroPython is."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and runs_board(entry, port):
                while not (children := descendants(int(entry.name))):
                    time.sleep(0.1)  # it is being started again
                (child,) = children
                return child
    raise AssertionError(f"no board serves {port}")


def runs_board(process: Path, port: str) -> bool:
    for details in (process / "fdinfo").iterdir():
        number = port.removeprefix("/dev/pts/")
        if f"tty-index:\t{number}\n" in details.read_text():
            return True
    return False


def cpu_ticks(pid: int) -> int:
    """Time that a process has worked, in ticks; 0 of one that has ended."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
    return 0


def test_the_state_survives_the_host(board: str) -> None:
    """Another session finds what was learned, to the bit, and every sample once."""
    config = Settings(sizes=(8, 6, 3)).integers()
    random = np.random.default_rng(1)
    x = random.integers(0, 256, (400, 8), np.uint8)
    targets = random.integers(0, 3, 400, np.uint8)
    with Board(board, open_port(board)) as opened:
        deploy.start(opened)
        device = connect(opened, deploy_firmware=False)
        device.configure(config)
        reference_start = device.state()
        # The host vanishes with frames on their way, one of them cut.
        frames = device.link
        for start in range(0, 200, 50):
            payload = start.to_bytes(4, "little") + b"\x10\x08\1\0"
            data = np.concatenate([x[start : start + 50], targets[start : start + 50, None]], 1)
            frames._send(Kind.LEARN, payload + data.astype(np.uint8).tobytes())
        opened.port.write(
            link.encode_frame(Kind.LEARN, frames._session, frames._seq, bytes(99))[:40]
        )
    with Board(board, open_port(board)) as opened:
        device = connect(opened, deploy_firmware=False)
        assert device.hello.steps == 200
        device._config = config
        after = device.state()
        assert after != reference_start
        device.learn(2064, x[200:], targets[200:])
        final = device.state()
        device.configure(config)
        device.learn(2064, x[:200], targets[:200])
        assert device.state() == after
        device.learn(2064, x[200:], targets[200:])
        assert device.state() == final


# --- the firmware is interrupted ------------------------------------------------------------------


def answers(port: serial.Serial, presses: int = 1) -> None:
    """One Ctrl-C gives the REPL back, or one of a few."""
    port.timeout = 60 / presses
    seen = b""
    for _ in range(presses):
        port.write(b"\x03")
        seen = port.read_until(b">>> ")
        if seen.endswith(b">>> "):
            break
    else:
        pytest.fail(f"no prompt after Ctrl-C: {seen!r}")
    port.timeout = 60
    port.write(b"print(6*7)\r\n")
    seen = port.read_until(b"42\n")
    assert seen.endswith(b"42\n"), seen
    port.read_until(b">>> ")


def busy(device: BoardLearner, port: serial.Serial, draw: random.Random) -> None:
    """Give the firmware something to do, or leave it waiting in the middle of something."""
    session, seq = device.link._session, device.link._seq

    def frame(kind: int, payload: bytes, number: int = 0) -> bytes:
        return link.encode_frame(kind, session, seq + number & 0xFFFF, payload)

    samples = b"".join(draw.randbytes(8) + bytes([draw.randrange(3)]) for _ in range(50))
    learn = [
        frame(Kind.LEARN, (50 * n).to_bytes(4, "little") + b"\x10\x08\1\1" + samples, n)
        for n in range(4)
    ]
    port.write(
        draw.choice(
            [
                b"".join(learn),
                learn[0][: draw.randrange(len(learn[0]))],
                frame(Kind.PREDICT, bytes(1) + draw.randbytes(8 * 400)),
                frame(Kind.ECHO, b"\1" + bytes(4000)),
                frame(Kind.HELLO, b"")[:3],
                link.RELEASE,
                draw.randbytes(200).replace(b"\3", b""),
                b"",
            ]
        )
    )


@pytest.mark.parametrize(
    ("times", "seed"), [(25, 25), pytest.param(300, SEED, marks=pytest.mark.long)]
)
def test_ctrl_c_to_the_firmware_always_gives_the_repl_back(times: int, seed: int) -> None:
    draw = random.Random(seed)
    config = Settings(sizes=(8, 6, 3)).integers()
    with open_board("unix") as board:
        deploy.deploy(board)
        for _ in range(times):
            deploy.start(board)
            device = connect(board, deploy_firmware=False)
            device.configure(config)
            busy(device, board.port, draw)
            time.sleep(draw.choice([0, draw.uniform(0, 0.003), draw.uniform(0, 0.02)]))
            answers(board.port)


def test_ctrl_c_while_the_firmware_starts(board: str) -> None:
    """Also before it is up, when its modules are compiled and when it is configured."""
    draw = random.Random(3)
    big = Settings(sizes=(300, 200, 3)).integers()
    with Board(board, open_port(board)) as opened:
        for round in range(10):
            deploy.start(opened, ready=None)
            time.sleep(draw.uniform(0.01, 0.15))
            if round % 2:
                opened.port.timeout = 60
                assert opened.port.read_until(deploy.READY).endswith(deploy.READY)
                device = connect(opened, deploy_firmware=False)
                device.link._send(Kind.CONFIGURE, link_payload(big))
                time.sleep(draw.uniform(0, 0.1))
            # Until the interpreter has its flash, it takes no notice.
            answers(opened.port, presses=20)
    works(board)


def test_an_interpreter_that_waits_for_itself_is_restarted_into_the_repl() -> None:
    """The Unix port can be interrupted with a lock taken; here it takes one on purpose."""
    program = (
        "import _thread\nlock = _thread.allocate_lock()\nlock.acquire()\nprint('up')\n"
        "try:\n while True: pass\nexcept KeyboardInterrupt: lock.acquire()\n"
    )
    with open_board("unix") as board:
        with Repl(board.port) as repl:
            repl.write_file("main.py", program.encode())
        for _ in range(2):
            deploy.start(board, ready=b"up\n")
            answers(board.port)


def link_payload(config: object) -> bytes:
    from madem.learners.board import pack_config

    return pack_config(config)  # type: ignore[arg-type]
