"""Real MicroPython in a process of its own that looks like a board on a serial port.

Run as `python -m madem_emulator.boards.unix [--heap 64K] [--dir DIR]
[--wiring DESIGN+PRESET+SEED] [--sensor mpu6050+FILE]` it prints
the path of its serial port (a pty) on one line and serves it until its parent
ends, its stdin (when that is a pipe) closes, or a signal asks it to stop.

    host program <-> pty <-> pump (this module) <-> two pipes <-> micropython

The pump adds what the Unix port of MicroPython lacks of a board:

- the flash: the root of the board's file system is a directory of the host,
  by default a fresh temporary one, and nothing above it can be seen;
- `boot.py` and `main.py` run at power-up; when the interpreter ends (Ctrl-D,
  `machine.soft_reset()`, `sys.exit()`) it prints `MPY: soft reboot` and starts
  again, into the raw REPL without `main.py` if the raw REPL was left;
- Ctrl-C interrupts a running program, however much unread input is ahead;
- as through a USB port, what it prints is lost while no program has the port open, and what it
  could not take yet when the last one leaves;
- with `--wiring` or `--sensor`, `machine` has Pin, SPI, I2C and ADC, and chip models behind
  them (wiring/unix_pipes.py).

One difference to a real board stays: the Unix port raises KeyboardInterrupt on
the spot, even amid a garbage collection, and then may report a locked heap for
everything. A soft reset, which madem and mpremote do anyway, mends that. Where
it was interrupted with a lock taken, it waits for itself for good: the pump
notices and restarts it into the REPL.

Pipes, not a second pty, lead to the interpreter: a terminal has a 4 KB buffer
and modes, which the interpreter would switch before and after every program.

Linux only (5.3 or newer): it needs /proc, pidfd and prctl.
"""

import argparse
import contextlib
import fcntl
import os
import re
import select
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from madem_emulator.boards.process import (
    CdcPort,
    add_wiring_options,
    parse_size,
    serve,
    wired_bus,
)
from madem_emulator.boards.unix_interpreter import Interpreter, find_micropython

if TYPE_CHECKING:
    from madem_emulator.wiring.bus import Bus

CTRL_A = b"\x01"
CTRL_C = b"\x03"
RAW_MARK = b"raw REPL; CTRL-B to exit\r\n"
FRIENDLY_MARK = b'Type "help()" for more information.\r\n'
SOFT_REBOOT = b"MPY: soft reboot\r\n"

# What the interpreter prints on its way through the friendly into the raw REPL.
_DETOUR = re.compile(
    rb'(\r\n)?MicroPython [^\r\n]*\r\nType "help\(\)" for more information\.\r\n>>> \r\n'
    rb"(?=raw REPL; CTRL-B to exit\r\n)"
)

# Bytes that may wait in the pump before it stops reading. Towards the board
# enough to see a Ctrl-C behind several frames; towards the host little, so
# that a program which floods it is seen to stop when it is interrupted.
_AHEAD_OF_BOARD = 256 * 1024
_AHEAD_OF_HOST = 16 * 1024
_CHUNK = 16 * 1024
_SMALLEST_HEAP = 8 * 1024

# After a Ctrl-C the interpreter is looked after for so long, this often, ms.
_CARE = 2000
_GLANCE = 100
# While no program has the port open, one is looked for this often, ms: a pty does not tell.
_LOOK_OUT = 20


class UnixBoard:
    """An emulated board: a pty, an interpreter behind it, and the pump between them.

    Attributes:
        port: path of the serial port.
    """

    def __init__(
        self,
        micropython: str,
        flash: Path,
        heap: int | None = None,
        bus: "Bus | None" = None,
    ) -> None:
        """Check that the interpreter can serve as a board, open the port and power up.

        Args:
            micropython: path of a MicroPython for Linux.
            flash: an existing directory, the board's file system.
            heap: bytes; None for the interpreter's own choice.
            bus: all that is wired to the board; None: nothing.

        Raises:
            EmulatedBoardError: the interpreter does not start.
        """
        self._interpreter = Interpreter(micropython, flash, heap, bus)
        self._port = CdcPort()
        self.port = self._port.path
        # Both ends of the pipes stay open too: they outlive the interpreter.
        self._stdin_read, self._stdin_write = os.pipe()
        self._stdout_read, self._stdout_write = os.pipe()
        fcntl.fcntl(self._stdout_write, fcntl.F_SETPIPE_SZ, _AHEAD_OF_HOST)
        for descriptor in (self._stdin_write, self._stdout_read):
            os.set_blocking(descriptor, False)
        # The pump's own view of what the interpreter has not read yet.
        self._unread = os.open(f"/proc/self/fd/{self._stdin_read}", os.O_RDONLY | os.O_NONBLOCK)

        self._to_board = bytearray()
        self._to_host = bytearray()
        self._raw = False  # the interpreter's REPL is, or was when it ended, the raw one
        self._tail = b""  # the end of the output seen so far
        self._held: bytearray | None = None  # output while the raw REPL is being re-entered
        self._glances = 0  # how often the interpreter is still to be looked at
        self._waits_at = ""  # the lock that it was seen to wait for
        self._hung = False  # it waited for itself, and the next one goes to the REPL
        self._start()

    def _start(self) -> None:
        programs = ["boot.py"] if self._raw or self._hung else ["boot.py", "main.py"]
        self._glances, self._hung = 0, False
        self._run = self._interpreter.start(programs, self._stdin_read, self._stdout_write)

    def run(self, watched: list[int]) -> None:
        """Pass bytes on until one of the watched descriptors becomes readable.

        Args:
            watched: descriptors.
        """
        poll = select.poll()
        for descriptor in watched:
            poll.register(descriptor, select.POLLIN)
        master, in_use = self._port.master, False
        while True:
            if self._port.is_open():
                in_use = True
                poll.register(
                    master,
                    (select.POLLIN if len(self._to_board) < _AHEAD_OF_BOARD else 0)
                    | (select.POLLOUT if self._to_host else 0),
                )
            else:
                if in_use:
                    in_use = False
                    poll.unregister(master)  # it would report that it hangs up without end
                self._take_rest()
            poll.register(self._stdin_write, select.POLLOUT if self._to_board else 0)
            # Also the end of the interpreter waits until somebody listens: a
            # main.py that prints and exits would fill the memory otherwise.
            hearing = select.POLLIN if len(self._to_host) < _AHEAD_OF_HOST else 0
            poll.register(self._stdout_read, hearing)
            poll.register(self._run.ended, hearing)
            looking = None if in_use else _LOOK_OUT
            ready = dict(poll.poll(_GLANCE if self._glances else looking))
            if self._glances and not ready:
                self._look_after()
            if any(descriptor in ready for descriptor in watched):
                return
            if ready.get(master, 0) & select.POLLIN:
                self._take_from_host(self._port.read(_CHUNK))
            if ready.get(self._stdout_read, 0) & select.POLLIN:
                self._take_from_board(_read(self._stdout_read))
            self._flush()
            if self._run.ended in ready:
                poll.unregister(self._run.ended)
                self._soft_reboot()

    def close(self) -> None:
        """Kill the interpreter with all that it started, and close the port."""
        self._run.close()
        for descriptor in (
            *(self._unread, self._stdin_read, self._stdin_write),
            *(self._stdout_read, self._stdout_write),
        ):
            os.close(descriptor)
        self._port.close()

    def _take_rest(self) -> None:
        """Nobody is there: of what the last program sent, the board gets what it has room for."""
        while data := self._port.read(_CHUNK):
            self._take_from_host(data)
        self._flush()
        self._to_board.clear()

    def _soft_reboot(self) -> None:
        """Pass on the interpreter's last words and start the next one."""
        self._take_from_board(_drain(self._stdout_read))
        self._release()
        status = self._run.close()
        if status < 0:
            self._to_host += b"\r\nMicroPython died by signal %d\r\n" % -status
        self._to_host += SOFT_REBOOT
        if self._raw:
            # A fresh interpreter starts in the friendly REPL: the first byte it
            # reads switches over, and what it prints until then is held back.
            self._to_board[:0] = CTRL_A + _drain(self._unread)
            self._held = bytearray()
        self._start()
        self._flush()

    def _take_from_host(self, data: bytes) -> None:
        before, *rest = data.split(CTRL_C)
        self._to_board += before
        for after in rest:
            if not self._interrupt():
                self._to_board += CTRL_C
            self._to_board += after

    def _interrupt(self) -> bool:
        """Interrupt the running program; False when none wants to be interrupted."""

        def forget_input() -> None:
            self._to_board.clear()
            _drain(self._unread)

        wanted = self._run.interrupt(forget_input)
        if wanted:
            self._glances, self._waits_at = _CARE // _GLANCE, ""
        return wanted

    def _look_after(self) -> None:
        """End an interpreter that waits for a lock which an interrupt made it keep."""
        self._glances -= 1
        lock = self._run.waits_for_lock()
        if lock and lock == self._waits_at:
            self._hung = True
            self._run.kill()
        self._waits_at = lock

    def _take_from_board(self, data: bytes) -> None:
        if self._held is None:
            self._pass_on(data)
            return
        self._held += data
        if RAW_MARK in self._held:
            self._release()
        elif len(self._held) > 4096:  # boot.py talks a lot: only the end can be the banner
            self._to_host += self._held[:-512]
            del self._held[:-512]

    def _release(self) -> None:
        """End the holding back, without the banner of the friendly REPL."""
        if self._held is not None:
            data = _DETOUR.sub(b"", bytes(self._held), count=1)
            self._held = None
            self._pass_on(data)

    def _pass_on(self, data: bytes) -> None:
        self._to_host += data
        text = self._tail + data
        raw, friendly = text.rfind(RAW_MARK), text.rfind(FRIENDLY_MARK)
        if raw != friendly:
            self._raw = raw > friendly
        self._tail = text[-max(len(RAW_MARK), len(FRIENDLY_MARK)) :]

    def _flush(self) -> None:
        """Write as much as both sides take now."""
        self._port.write(self._to_host)
        while self._to_board:
            try:
                del self._to_board[: os.write(self._stdin_write, self._to_board)]
            except BlockingIOError:
                break


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return b""


def _drain(descriptor: int) -> bytes:
    """Everything that can be read now from a descriptor that does not block."""
    parts = []
    while part := _read(descriptor):
        parts.append(part)
    return b"".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Serve one board until whoever started it is gone.

    Args:
        arguments: of the command line; None: the process's own.

    Returns:
        The process's exit code: 2 when the board can't start or fails (the reason goes to stderr).
    """
    parser = argparse.ArgumentParser(
        prog="python -m madem_emulator.boards.unix",
        description="MicroPython as a process behind a serial port; prints the port's path",
    )
    parser.add_argument("--heap", help="heap size, e.g. 64K (default: the interpreter's own)")
    parser.add_argument(
        "--dir", type=Path, help="directory that is the board's flash (default: temporary)"
    )
    add_wiring_options(parser)
    options = parser.parse_args(arguments)

    @contextlib.contextmanager
    def started() -> Iterator[UnixBoard]:
        heap = None if options.heap is None else parse_size(options.heap, _SMALLEST_HEAP, 1024**3)
        with contextlib.ExitStack() as stack:
            if options.dir is None:
                temporary = tempfile.TemporaryDirectory(
                    prefix="madem-board-", ignore_cleanup_errors=True
                )
                flash = Path(stack.enter_context(temporary))
            else:
                flash = options.dir
                flash.mkdir(parents=True, exist_ok=True)
            board = UnixBoard(find_micropython(), flash, heap, wired_bus(options))
            yield stack.enter_context(contextlib.closing(board))

    return serve(started)


if __name__ == "__main__":
    sys.exit(main())
