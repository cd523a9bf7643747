"""The emulated board against what people do with a real one: mpremote, Ctrl-C, resets."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

pytestmark = pytest.mark.needs("unix")

COMMAND = [sys.executable, "-P", "-m", "madem_emulator.boards.unix"]
RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"


class Running:
    """A started board process and a client on its port."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.path = self.process.stdout.readline().decode().strip()
        self.client = serial.Serial(self.path, timeout=60, write_timeout=60, exclusive=True)

    def stop(self) -> None:
        self.client.close()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(120)

    def until(self, ending: bytes) -> bytes:
        seen = self.client.read_until(ending)
        assert seen.endswith(ending), seen
        return seen

    def enter_raw(self) -> None:
        self.client.write(b"\r\x03\r\x01")
        self.until(RAW_PROMPT)

    def run(self, code: str) -> bytes:
        """Output and traceback of code run in the raw REPL."""
        self.start(code)
        output = self.until(b"\x04")[:-1]
        failure = self.until(b"\x04")[:-1]
        self.until(b">")
        return output + failure

    def start(self, code: str) -> None:
        self.client.write(code.encode() + b"\x04")
        assert self.client.read(2) == b"OK"


@pytest.fixture
def board() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[tuple[Running, Path]]:
    """A board whose flash can be looked into, in the raw REPL."""
    running = Running("--dir", str(tmp_path / "flash"))
    running.enter_raw()
    yield running, tmp_path / "flash"
    running.stop()


def interpreters_of(pump: int) -> list[int]:
    """Processes whose parent is the pump."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pump:
                found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    try:
        return (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) != "Z"
    except OSError:
        return False


def wait_until_gone(pids: list[int]) -> None:
    end = time.monotonic() + 600
    while any(map(alive, pids)):
        assert time.monotonic() < end, "left a process behind"
        time.sleep(0.01)


def mpremote(port: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", port, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mpremote_works_on_it(tmp_path: Path) -> None:
    running = Running()
    running.client.close()
    program = tmp_path / "program.py"
    program.write_text("import sys\nprint('ran on', sys.implementation[0])\n")

    assert mpremote(running.path, "exec", "print(6*7)") == "42\n"
    assert mpremote(running.path, "run", str(program)) == "ran on micropython\n"
    mpremote(running.path, "cp", str(program), ":main.py")
    assert "main.py" in mpremote(running.path, "ls")
    mpremote(running.path, "soft-reset")
    mpremote(running.path, "resume", "exec", "kept = 5")
    assert mpremote(running.path, "resume", "exec", "print(kept)") == "5\n"
    mounted = mpremote(running.path, "mount", str(tmp_path), "exec", "import program")
    assert mounted.endswith("ran on micropython\n")
    running.stop()


def test_ctrl_c_interrupts_programs_and_clears_the_prompt(board: Running) -> None:
    board.client.write(b"at first\x03")
    board.until(b"at first\r\n>>> ")
    board.enter_raw()
    for program in (
        "while True: pass",
        "import time\ntime.sleep(60)",
        "import sys\nsys.stdin.buffer.read(10)",
        "import micropython\n@micropython.viper\ndef f():\n while 1: pass\nf()",
        "while True: print('x' * 1000)",
    ):
        board.start(f"print('up')\n{program}")
        board.until(b"up\n")
        board.client.write(b"\x03")
        assert b"KeyboardInterrupt" in board.until(b"\x04>"), program
    board.client.write(b"\x02")
    board.until(b">>> ")
    board.client.write(b"half a li\x03")
    board.until(b"half a li\r\n>>> ")


def test_ctrl_c_discards_what_the_program_has_not_read(board: Running) -> None:
    board.enter_raw()
    board.start("print('up')\nwhile True: pass")
    board.until(b"up\n")
    board.client.write(b"print('never')\x04" * 1000)
    time.sleep(0.1)
    board.client.write(b"\x03")
    assert b"KeyboardInterrupt" in board.until(b"\x04>")
    assert board.run("print(1)") == b"1\n"


def test_ctrl_c_is_data_for_a_program_that_asks_for_it(board: Running) -> None:
    board.enter_raw()
    board.start(
        "import micropython, sys\nmicropython.kbd_intr(-1)\nprint('up')\n"
        "got = sys.stdin.buffer.read(3)\nmicropython.kbd_intr(3)\nprint(got)"
    )
    board.until(b"up\n")
    board.client.write(b"a\x03b")
    assert b"a\\x03b" in board.until(b"\x04>")


def test_ctrl_c_never_kills_the_interpreter(board: Running) -> None:
    """Also when it comes just as a program begins or ends. (The loop allocates nothing.)"""
    board.enter_raw()
    assert board.run("alive = 1") == b""
    rng = random.Random(1)
    for _ in range(1200):
        board.client.write(b"for i in range(10000): pass\x04")
        time.sleep(rng.random() * 0.001)
        board.client.write(b"\x03")
        board.until(b"\x04>")
    board.enter_raw()
    assert board.run("print(alive)") == b"1\n"


def test_ctrl_c_while_it_starts_does_no_harm(kept: tuple[Running, Path]) -> None:
    board, flash = kept
    (flash / "main.py").write_text("import os\nprint(os.listdir('/'))\n")
    board.client.write(b"\x02")
    board.until(b">>> ")
    rng = random.Random(3)
    for _ in range(15):
        board.client.write(b"\x04")
        board.until(b"soft reboot\r\n")
        for _ in range(100):
            board.client.write(b"\x03" * 10)
            time.sleep(rng.random() * 0.001)
        board.client.write(b"\rprint('up')\r")
        assert b"soft reboot" not in board.until(b"\nup\n>>> ")
        board.client.write(b"import os;os.listdir('/')\r")
        assert b"\n['main.py']\n" in board.until(b">>> ")


def test_power_up_and_soft_reset_run_boot_and_main(kept: tuple[Running, Path]) -> None:
    board, flash = kept
    (flash / "boot.py").write_text("print('booted')\nvalue = 7\n")
    (flash / "main.py").write_text("print('main', value)\n")
    board.client.write(b"\x02")
    board.until(b">>> ")
    board.client.write(b"\x04")
    assert b"MPY: soft reboot\r\nbooted\nmain 7\n" in board.until(b">>> ")
    board.client.write(b"print(value)\r")
    assert b"\n7\n" in board.until(b">>> ")


def test_soft_reset_in_the_raw_repl_stays_there_without_main(kept: tuple[Running, Path]) -> None:
    board, flash = kept
    (flash / "boot.py").write_text("print('booted')\n")
    (flash / "main.py").write_text("print('main')\n")
    board.client.write(b"\x04")
    assert board.until(RAW_PROMPT) == b"OK\r\nMPY: soft reboot\r\nbooted\n" + RAW_PROMPT
    # What is typed ahead of the reset's end is not lost.
    board.client.write(b"import machine\nmachine.soft_reset()\x04print(2)\x04")
    board.until(b"MPY: soft reboot\r\n")
    assert board.until(b"\x04\x04>") == b"booted\n" + RAW_PROMPT + b"OK2\n\x04\x04>"


def test_talkative_boot_is_passed_on_whole(kept: tuple[Running, Path]) -> None:
    board, flash = kept
    (flash / "boot.py").write_text("for i in range(3000): print(i)\n")
    board.client.write(b"\x04")
    board.until(b"soft reboot\r\n")
    assert board.until(RAW_PROMPT) == b"".join(b"%d\n" % i for i in range(3000)) + RAW_PROMPT


def test_main_that_fails_ends_in_the_repl_and_main_that_exits_resets(
    kept: tuple[Running, Path],
) -> None:
    board, flash = kept
    (flash / "main.py").write_text("raise ValueError('broken')\n")
    board.client.write(b"\x02")
    board.until(b">>> ")
    board.client.write(b"\x04")
    assert b"ValueError: broken" in board.until(b">>> ")
    (flash / "main.py").write_text(
        "import os, sys\nif 'again' in os.listdir(): raise ValueError('second')\n"
        "open('again', 'w').close()\nsys.exit()\n"
    )
    board.client.write(b"\x04")
    assert board.until(b">>> ").count(b"MPY: soft reboot") == 2


def test_crash_of_the_interpreter_is_told_and_survived(board: Running) -> None:
    board.enter_raw()
    board.client.write(b"import os\nos.system('kill -SEGV $PPID')\x04")
    assert b"died by signal 11\r\nMPY: soft reboot\r\n" in board.until(RAW_PROMPT)
    assert board.run("print(1)") == b"1\n"


def test_the_board_sees_its_flash_and_no_home(kept: tuple[Running, Path]) -> None:
    board, flash = kept
    (flash / "lib").mkdir()
    (flash / "lib" / "helper.py").write_text("print('helped')\n")
    shown = board.run(
        "import os, sys, helper\nprint(os.getcwd(), os.listdir('/'), sys.path)\n"
        "print(os.getenv('HOME'))\nopen('/made', 'w').close()"
    )
    assert shown == (b"helped\n/ ['lib'] ['', '.frozen', '/lib']\n/nonexistent\n")
    assert (flash / "made").is_file()


def test_heap_size_is_honoured() -> None:
    running = Running("--heap", "64K")
    running.enter_raw()
    printed = running.run("import gc\nprint(gc.mem_free() + gc.mem_alloc())")
    assert 60_000 < int(printed) <= 65_536
    assert b"MemoryError" in running.run("bytearray(70_000)")
    running.stop()


@pytest.mark.parametrize("heap", ["abc", "1K", "-5", "9999M", "64KB"])
def test_wrong_heap_is_one_line(heap: str) -> None:
    done = subprocess.run([*COMMAND, f"--heap={heap}"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert heap in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("program", ["/nonexistent/micropython", "/bin/false", "/bin/echo"])
def test_wrong_interpreter_is_one_line(program: str) -> None:
    done = subprocess.run(
        COMMAND,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"MADEM_MICROPYTHON": program},
    )
    assert done.returncode == 2
    assert program in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_megabyte_each_way_arrives_intact_under_backpressure(board: Running) -> None:
    size = 1 << 20
    board.enter_raw()
    board.start(
        "import sys, time\nb = bytearray(1024)\n"
        "source, sink = sys.stdin.buffer, sys.stdout.buffer\n"
        f"for i in range({size // 1024}):\n"
        " source.readinto(b)\n sink.write(b)\n if i == 100: time.sleep(0.3)\n"
    )
    data = random.Random(2).randbytes(size).replace(b"\x03", b"\x04")
    writer = threading.Thread(target=board.client.write, args=(data,))
    writer.start()
    time.sleep(0.3)  # the host does not read, then the board does not
    received = board.client.read(size)
    writer.join()
    assert received == data


def test_what_is_printed_while_nobody_is_there_is_lost(kept: tuple[Running, Path]) -> None:
    """As through a USB port: also what the last program did not read."""
    board, flash = kept
    counter = flash / "count"
    board.start(
        "import time\nn = 0\nwhile True:\n n += 1\n print('number', n, 'x' * 90)\n"
        " if n % 50 == 0:\n  with open('count', 'w') as f: f.write(str(n))"
    )
    board.until(b"number 9 ")
    board.client.close()

    def counted() -> int:
        return int(counter.read_text() or 0) if counter.exists() else 0

    begin, end = counted(), time.monotonic() + 600
    while counted() < begin + 2000:  # nothing holds it up
        assert time.monotonic() < end
        time.sleep(0.01)
    passed = counted()
    descriptor = os.open(board.path, os.O_RDONLY | os.O_NOCTTY)  # and nothing is flushed
    seen = b""
    while seen.count(b"\n") < 3:
        seen += os.read(descriptor, 1000)
    os.close(descriptor)
    assert int(re.findall(rb"number (\d+) ", seen)[0]) >= passed


def test_what_the_board_has_no_room_for_is_lost_with_who_sent_it(board: Running) -> None:
    board.enter_raw()
    board.start(
        "import sys, time\nprint('up')\nread = sys.stdin.buffer.read\nread(1)\ntime.sleep(1)\n"
        "n = 0\nwhile read(1) != b'Z': n += 1\nprint('counted', n)"
    )
    board.until(b"up\n")
    board.client.write(bytes(200_000))
    board.client.close()
    time.sleep(0.3)
    board.client = serial.Serial(board.path, timeout=60)
    board.client.write(b"Z")
    board.until(b"counted ")
    assert int(board.until(b"\n")) <= 65_536  # the pipe to it


def test_a_board_that_reads_nothing_stops_the_host(board: Running) -> None:
    board.enter_raw()
    board.start("import sys, time\nprint('up')\nsys.stdin.buffer.read(1)\ntime.sleep(60)")
    board.until(b"up\n")
    board.client.write_timeout = 0.5
    with pytest.raises(serial.SerialTimeoutException):
        board.client.write(bytes(4 << 20))


@pytest.mark.parametrize("how", ["stdin closes", "SIGTERM", "SIGINT"])
def test_it_ends_cleanly(how: str) -> None:
    running = Running()
    running.enter_raw()
    where = running.run("import os, vfs\nprint(repr(vfs.mount()[0][0]))")
    assert b"VfsPosix" in where
    running.start("while True: pass")
    children = interpreters_of(running.process.pid)
    assert len(children) == 1
    flash = Path(os.readlink(f"/proc/{children[0]}/cwd"))
    assert flash.is_dir()
    if how == "stdin closes":
        assert running.process.stdin is not None
        running.process.stdin.close()
    else:
        running.process.send_signal(getattr(signal, how))
    assert running.process.wait(120) == 0
    wait_until_gone(children)
    assert not flash.exists()
    running.client.close()


def test_killed_pump_leaves_no_interpreter(tmp_path: Path) -> None:
    running = Running("--dir", str(tmp_path))
    running.enter_raw()
    running.start("while True: pass")
    children = interpreters_of(running.process.pid)
    running.process.kill()
    running.process.wait()
    wait_until_gone(children)
    running.client.close()


def test_killed_starter_leaves_nothing() -> None:
    """Even when the starter's end of the board's stdin lives on in another process."""
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, time\n"
            f"board = subprocess.Popen({COMMAND!r}, stdin=-1, stdout=-1)\n"
            "board.stdout.readline()\n"
            "heir = subprocess.Popen(['sleep', '30'], close_fds=False,"
            " pass_fds=[board.stdin.fileno()])\n"
            "print(board.pid, heir.pid, flush=True)\ntime.sleep(60)\n",
        ],
        stdout=subprocess.PIPE,
    )
    assert starter.stdout is not None
    pump, heir = map(int, starter.stdout.readline().split())
    children = interpreters_of(pump)
    assert len(children) == 1
    starter.kill()
    starter.wait()
    wait_until_gone([pump, *children])
    os.kill(heir, signal.SIGKILL)
