"""The raw-REPL adapter on a real MicroPython, and on ports that disappoint."""

import contextlib
import os
import time
from collections.abc import Iterator

import pytest
import serial

from madem.boards.open import Board, open_board
from madem.boards.repl import Entry, Repl, open_port
from madem.errors import BoardError

pytestmark = pytest.mark.needs("unix")


@pytest.fixture
def board() -> Iterator[Board]:
    with open_board("unix") as opened:
        yield opened


@pytest.fixture
def dumb_port() -> Iterator[tuple[int, str]]:
    """A serial port without a board: its other end, and its path."""
    master, slave = os.openpty()
    yield master, os.ttyname(slave)
    os.close(slave)
    os.close(master)


def test_commands_and_their_failures(board: Board) -> None:
    with Repl(board.port, "B") as repl:
        assert repl.exec("print(6*7)") == b"42\n"
        with pytest.raises(BoardError, match=r"^B: ValueError: no$"):
            repl.exec("def f():\n raise ValueError('no')\nf()")
        with pytest.raises(BoardError, match=r"^B: MemoryError: .* too little memory"):
            repl.exec("bytearray(1 << 30)")
        with pytest.raises(BoardError, match=r"^B: OSError: 28 .* full"):
            repl.exec("raise OSError(28)")
        assert repl.exec("print('still there')") == b"still there\n"


def test_files_of_every_size_and_byte(board: Board) -> None:
    files = {
        "empty": b"",
        "small": bytes(range(256)),
        "large": os.urandom(20_000),
        'quote\'d "näme"': b"x\r\n",
    }
    steps: list[int] = []
    with Repl(board.port) as repl:
        for name, content in files.items():
            repl.write_file(name, content, steps.append if name == "large" else None)
        repl.make_directory("sub")
        repl.make_directory("sub")
        repl.write_file("sub/inner", b"1")
        assert repl.find_equal(files) == set(files)
        changed = files | {"large": b"", "small": files["small"][:-1] + b"\0", "absent": b""}
        assert repl.find_equal(changed) == {"empty", 'quote\'d "näme"'}
        entries = [*(Entry(name, False) for name in sorted(files)), Entry("sub", True)]
        assert repl.list_files() == entries
        assert repl.list_files("sub") == [Entry("inner", False)]
        with pytest.raises(BoardError, match="ENOENT"):
            repl.write_file("nowhere/file", b"1")
    assert steps == sorted(steps)
    assert steps[-1] == 20_000


def test_fingerprints_without_hashlib(board: Board) -> None:
    """Some ports lack it; a module that fails to import stands for that here."""
    content = os.urandom(3000)
    with Repl(board.port) as repl:
        repl.write_file("hashlib.py", b"raise ImportError\n")
        repl.write_file("file", content)
        with pytest.raises(BoardError, match="ImportError"):
            repl.exec("import hashlib")
        assert repl.find_equal({"file": content, "none": b""}) == {"file"}
        assert repl.find_equal({"file": content[:-1] + bytes([content[-1] ^ 1])}) == set()


def test_a_small_heap_gets_small_pieces() -> None:
    content = os.urandom(6000)
    with open_board("unix:heap=16K") as board, Repl(board.port) as repl:
        repl.write_file("file", content)
        assert repl.find_equal({"file": content}) == {"file"}


@pytest.mark.parametrize(
    "busy",
    [
        "while True: pass",
        "while True: print('flood' * 100)",
        "import sys\nwhile True: sys.stdin.buffer.read(100)",
        # Swallows the first two attempts, as a program that saves its work may.
        "import sys\nfor i in range(2):\n try: sys.stdin.buffer.read(100)\n"
        " except KeyboardInterrupt: sys.stdin.buffer.read(4)\nsys.stdin.buffer.read(100)",
        "import micropython\nmicropython.heap_lock()",
    ],
)
def test_it_gets_in_whatever_runs(board: Board, busy: str) -> None:
    repl = Repl(board.port)
    repl.enter()
    repl.start(busy)
    time.sleep(0.1)
    with Repl(board.port) as again:
        assert again.exec("print('in')") == b"in\n"


def test_it_leaves_at_the_friendly_prompt_with_the_old_timeouts(board: Board) -> None:
    board.port.timeout, board.port.write_timeout = 3.5, None
    with Repl(board.port):
        pass
    assert (board.port.timeout, board.port.write_timeout) == (3.5, None)
    assert board.port.read_until(b">>> ").endswith(b">>> ")
    board.port.write(b"1+1\r")
    assert board.port.read_until(b"\n2\n>>> ").endswith(b"\n2\n>>> ")


def test_a_started_program_has_the_port(board: Board) -> None:
    with Repl(board.port) as repl:
        repl.start("import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read(3))")
    board.port.write(b"abc")
    assert board.port.read(3) == b"abc"


def test_main_is_started_and_its_failures_are_told(board: Board) -> None:
    with Repl(board.port) as repl:
        repl.write_file("main.py", b"import sys\nprint('up!')\nprint(sys.stdin.buffer.read(2))\n")
        repl.run_main(b"up!")
    board.port.write(b"ab")
    assert board.port.read_until(b">>> ").startswith(b"\nb'ab'\n")
    for program, told, timeout in (
        (b"import nothing_such\n", "no module named 'nothing_such'", 60.0),
        (b"pass\n", "ended at once: it printed no error", 60.0),
        (b"while True: pass\n", "did not report within 0.5 s", 0.5),
    ):
        with Repl(board.port) as repl:
            repl.write_file("main.py", program)
            with pytest.raises(BoardError, match=told):
                repl.run_main(b"up!", timeout=timeout)


def test_a_path_is_opened_and_closed() -> None:
    board = open_board("unix")
    path = board.port.port
    assert path
    board.port.close()
    for _ in range(2):
        with Repl(path) as repl:
            assert repl.exec("print(1)") == b"1\n"
    board.close()


def test_a_port_that_never_answers(dumb_port: tuple[int, str]) -> None:
    with pytest.raises(BoardError, match=f"{dumb_port[1]} does not answer.*MicroPython"):
        Repl(dumb_port[1]).enter(timeout=1)


def test_a_port_that_takes_nothing(dumb_port: tuple[int, str]) -> None:
    port = open_port(dumb_port[1])
    port.write_timeout = 0.2
    for size in (1000, 1, 1):  # to the last byte, also of what the kernel makes room for
        with contextlib.suppress(serial.SerialTimeoutException):
            while True:
                port.write(bytes(size))
    with pytest.raises(BoardError, match="takes no more data"):
        Repl(port).enter(timeout=1)
    port.close()


def test_a_port_that_babbles(board: Board) -> None:
    """Endless output and deaf to Ctrl-C: given up in time, not read for ever."""
    repl = Repl(board.port)
    repl.enter()
    repl.start("import micropython\nmicropython.kbd_intr(-1)\nwhile True: print('babble')")
    with pytest.raises(BoardError, match="does not answer"):
        Repl(board.port).enter(timeout=1)


def test_a_board_that_falls_silent(board: Board) -> None:
    with Repl(board.port, "B") as repl, pytest.raises(BoardError, match=r"^B stopped answering"):
        repl.exec("import time\ntime.sleep(30)", timeout=1)


def test_a_boot_that_never_ends(board: Board) -> None:
    with Repl(board.port) as repl:
        repl.write_file("boot.py", b"while True: pass\n")
    with pytest.raises(BoardError, match=r"boot\.py"):
        Repl(board.port).enter(timeout=5)


def test_nothing_is_printed(board: Board, capfd: pytest.CaptureFixture[str]) -> None:
    with Repl(board.port) as repl:
        repl.exec("print(1)")
    with pytest.raises(BoardError):
        Repl(board.port).enter(timeout=0)
    assert capfd.readouterr() == ("", "")
