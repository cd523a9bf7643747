"""The Cortex-M3 board in QEMU against what people do with a real one, and the 32-bit Unix build."""

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

pytestmark = pytest.mark.needs("qemu")
if sys.platform == "linux":
    from madem_emulator.boards.prepared import find_unix32, prepare_command
    from madem_emulator.boards.process import EmulatedBoardError

COMMAND = [sys.executable, "-P", "-m", "madem_emulator.boards.qemu"]
RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"


class Running:
    """A started board in the raw REPL, and a client on its port."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.path = self.process.stdout.readline().decode().strip()
        self.client = serial.Serial(self.path, timeout=60, write_timeout=60, exclusive=True)
        self.client.write(b"\r\x03\r\x01")
        self.until(RAW_PROMPT)

    def stop(self) -> None:
        self.client.close()
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(120) == 0

    def until(self, ending: bytes) -> bytes:
        seen = self.client.read_until(ending)
        assert seen.endswith(ending), seen
        return seen

    def start(self, code: str) -> None:
        self.client.write(code.encode() + b"\x04")
        assert self.client.read(2) == b"OK"

    def finish(self) -> bytes:
        """Output and traceback of what was started."""
        output = self.until(b"\x04")[:-1]
        failure = self.until(b"\x04")[:-1]
        self.until(b">")
        return output + failure

    def run(self, code: str) -> bytes:
        self.start(code)
        return self.finish()


@pytest.fixture
def board() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


def machines_of(launcher: int) -> list[int]:
    """The QEMU processes of a launcher."""
    return [
        int(pid) for pid in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    ]


def is_running(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_it_is_a_32_bit_cortex_m3(board: Running) -> None:
    assert board.run("import sys;print(sys.implementation._machine,sys.maxsize)") == (
        b"mps2-an385 with Cortex-M3 2147483647\r\n"
    )


def test_viper_and_thumb_code_run(board: Running) -> None:
    code = """\
import micropython
@micropython.viper
def total(p:ptr8,n:int)->int:
 s=0
 for i in range(n):s+=p[i]
 return s
@micropython.asm_thumb
def twice(r0):
 add(r0,r0,r0)
print(total(bytes(range(10)),10),twice(21))
"""
    assert board.run(code) == b"45 42\r\n"


@pytest.mark.parametrize(
    "program",
    [
        "while True:pass",
        "import time;time.sleep(100)",
        "import sys;sys.stdin.buffer.read(9999)",
    ],
)
def test_ctrl_c_interrupts_and_takes_unread_input_along(board: Running, program: str) -> None:
    board.start(f"print('up')\n{program}")
    board.until(b"up\r\n")
    board.client.write(b"x" * 3000)
    time.sleep(0.1)
    board.client.write(b"\x03")
    assert b"KeyboardInterrupt" in board.finish()
    assert board.run("print(1)") == b"1\r\n"


def test_files_survive_resets_and_main_runs_after_them(board: Running) -> None:
    board.run("f=open('main.py','w');f.write('print(\"main\",6*7)');f.close();x=1")
    board.client.write(b"\x04")  # a soft reset in the raw REPL stays there, without main.py
    assert b"main" not in board.until(RAW_PROMPT)
    assert b"NameError" in board.run("x")
    board.client.write(b"\x02")
    board.until(b">>> ")
    board.client.write(b"\x04")
    assert b"soft reboot\r\nmain 42\r\n" in board.until(b">>> ")
    board.client.write(b"import machine;machine.reset()\r")
    assert b"\r\nmain 42\r\n" in board.until(b"\r\n>>> ")


def test_echo_of_64_kb_loses_nothing(board: Running) -> None:
    sent = random.Random(1).randbytes(64 * 1024)
    board.start(
        """\
import sys,micropython
micropython.kbd_intr(-1)
b=bytearray(64)
for _ in range(1024):
 sys.stdin.buffer.readinto(b);sys.stdout.buffer.write(b)
"""
    )
    writer = threading.Thread(target=board.client.write, args=(sent,))
    writer.start()
    received = board.client.read(len(sent))
    writer.join()
    assert received == sent
    assert board.finish() == b""


@pytest.mark.parametrize("kilobytes", [8, 64, 1024])
def test_heap_has_the_size_that_was_asked_for(kilobytes: int) -> None:
    running = Running("--heap", f"{kilobytes}K")
    total = int(running.run("import gc;print(gc.mem_alloc()+gc.mem_free())"))
    running.stop()
    # One bit in 17 or so is MicroPython's own table.
    assert 0.9 * kilobytes * 1024 < total < kilobytes * 1024


def test_icount_counts_instructions() -> None:
    running = Running("--icount")
    out = running.run(
        """\
import time
@micropython.asm_thumb
def loop(r0):
 label(AGAIN)
 nop()
 sub(r0,r0,1)
 bne(AGAIN)
def ticks(n):
 t=time.ticks_cpu();loop(n);return time.ticks_diff(time.ticks_cpu(),t)
ticks(1)
print([ticks(11000)-ticks(1000) for _ in range(3)])
"""
    )
    running.stop()
    expected = 10_000 * 3 * 8 // 5  # 3 instructions a round, 8/5 ticks an instruction
    # The clock's interrupt, once in a millisecond, may fall into one of them.
    counts = sorted(int(ticks) for ticks in out.strip(b"[]\r\n").split(b","))
    assert abs(counts[1] - expected) <= 1


def test_clock_keeps_wall_time(board: Running) -> None:
    begin = time.monotonic()
    out = board.run(
        "import time;t=time.ticks_us();time.sleep_ms(400);print(time.ticks_diff(time.ticks_us(),t))"
    )
    assert 0.4 <= int(out) / 1e6 <= time.monotonic() - begin + 0.01


@pytest.mark.parametrize("end", ["terminate", "kill", "stdin"])
def test_no_qemu_is_left_behind(end: str) -> None:
    running = Running()
    (machine,) = machines_of(running.process.pid)
    assert is_running(machine)
    if end == "stdin":
        running.stop()
    else:
        getattr(running.process, end)()
        running.process.wait(120)
        running.client.close()
    until = time.monotonic() + 600
    while is_running(machine) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_running(machine)


def launch(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Exit code and message of a board that can't start."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_missing_firmware_names_the_command(tmp_path: Path) -> None:
    code, said = launch({"MADEM_CACHE": str(tmp_path)})
    assert code == 2
    assert said == (
        f"MicroPython for the board qemu is not prepared: run {prepare_command('qemu')} (once)\n"
    )


def test_missing_qemu_names_the_command(tmp_path: Path) -> None:
    image = tmp_path / "micropython/current/qemu/firmware.elf"
    image.parent.mkdir(parents=True)
    image.touch()
    code, said = launch({"MADEM_CACHE": str(tmp_path), "PATH": str(tmp_path)})
    assert (code, said.count("\n")) == (2, 1)
    assert f"run {prepare_command('qemu')}" in said


def test_the_command_that_prepares_a_board_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[3]
    monkeypatch.chdir(root)
    assert prepare_command("qemu") == "emulator/prepare/build_micropython.sh qemu"
    monkeypatch.chdir(tmp_path)
    assert prepare_command("qemu") == f"{root}/emulator/prepare/build_micropython.sh qemu"


def test_dying_qemu_is_quoted(tmp_path: Path) -> None:
    image = tmp_path / "micropython/current/qemu/firmware.elf"
    image.parent.mkdir(parents=True)
    image.touch()
    fake = tmp_path / "qemu-system-arm"
    fake.write_text("#!/bin/sh\necho first >&2\necho unknown machine >&2\nexit 1\n")
    fake.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert launch({"MADEM_CACHE": str(tmp_path), "PATH": path}) == (2, "unknown machine\n")


@pytest.mark.parametrize("size", ["7K", "2M", "many"])
def test_impossible_heap_is_refused(size: str) -> None:
    code, said = launch({}, "--heap", size)
    assert (code, said.count("\n")) == (2, 1)
    assert size in said


@pytest.mark.needs("unix32")
def test_unix32_is_a_32_bit_interpreter_with_viper() -> None:
    interpreter = find_unix32()
    program = (
        "import sys,micropython\n@micropython.viper\ndef f(x:int)->int:\n return x*3\n"
        "print(sys.maxsize,f(5))"
    )
    done = subprocess.run([interpreter, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.stdout == "2147483647 15\n"


@pytest.mark.needs("unix32")
def test_unix32_has_the_raw_repl_of_boards() -> None:
    done = subprocess.run(
        [find_unix32(), "-i"],
        input=b"\x01print(6*7)\x04raise SystemExit\x04",
        capture_output=True,
        timeout=300,
    )
    assert done.stdout.endswith(RAW_PROMPT + b"OK42\n\x04\x04>OK\x04\x04")
    assert done.returncode == 0


def test_missing_unix32_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADEM_CACHE", str(tmp_path))
    with pytest.raises(EmulatedBoardError, match=r"build_micropython\.sh unix32"):
        find_unix32()
