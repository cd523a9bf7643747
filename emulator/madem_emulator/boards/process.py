"""Processes of emulated boards: ports, wiring, and a life that ends with whoever started it."""

import argparse
import contextlib
import ctypes
import errno
import os
import re
import select
import signal
import stat
import sys
import termios
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from madem_emulator.wiring.bus import Bus

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


class EmulatedBoardError(Exception):
    """The emulated board can't run here; `str` is one line that says why."""


class EmulatedBoard(Protocol):
    """An emulated board that has started.

    Attributes:
        port: path of its serial port.
    """

    port: str

    def run(self, watched: list[int]) -> None:
        """Serve the port until one of the descriptors becomes readable.

        Args:
            watched: descriptors.
        """
        ...


def parse_size(text: str, least: int, most: int) -> int:
    """Read a heap size.

    Args:
        text: such as `65536`, `64K` or `2M`.
        least: bytes that it must be.
        most: bytes that it may be.

    Returns:
        Bytes.

    Raises:
        EmulatedBoardError: it is no size, or not in `least` to `most` bytes.
    """
    match = re.fullmatch(r"(\d{1,9})([KM]?)", text.strip().upper())
    if not match:
        raise EmulatedBoardError(f"heap size {text!r} is not a size such as 64K or 2M")
    size = int(match[1]) * {"": 1, "K": 1024, "M": 1024**2}[match[2]]
    if not least <= size <= most:
        raise EmulatedBoardError(f"heap size {text} is outside {_name(least)} to {_name(most)}")
    return size


def _name(size: int) -> str:
    return f"{size >> 20}M" if size >= 1024**3 else f"{size >> 10}K"


def add_wiring_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for chips that are wired to a board.

    Args:
        parser: of a board's command line; `wired_bus` takes what it parses.
    """
    parser.add_argument(
        "--wiring", help="chips that are wired to it: DESIGN+PRESET+SEED (default: none)"
    )
    parser.add_argument(
        "--sensor",
        help="a sensor, and the signal that it measures, as designs.sensor_signals writes it:"
        " mpu6050+FILE (default: none)",
    )


def wired_bus(options: argparse.Namespace) -> "Bus | None":
    """Make the chips that the options ask for.

    Args:
        options: from a parser with `add_wiring_options`.

    Returns:
        The bus that they are on; None when no chips are asked for.

    Raises:
        EmulatedBoardError: there is no such wiring or sensor.
    """
    bus = None
    try:
        if options.wiring is not None:
            from madem_emulator import designs  # with numpy, which a bare board does without

            bus = designs.wire(options.wiring)
        if options.sensor is not None:
            from madem_emulator.designs import sensor_signals
            from madem_emulator.wiring.bus import Bus

            bus = bus or Bus()
            kind, _, file = options.sensor.partition("+")
            if not file:
                raise ValueError(f"the sensor {kind!r} needs a recording: {kind}+FILE")
            sensor_signals.wire(kind, sensor_signals.read(Path(file)), bus)
    except (ValueError, OSError) as error:
        raise EmulatedBoardError(str(error)) from None
    return bus


def open_port() -> tuple[int, int]:
    """Open a pty that passes every byte on as it is.

    Returns:
        Descriptors of its master and its slave. Keep the slave open: the port then outlives its
        clients.
    """
    master, slave = os.openpty()
    # No echo, no line editing, no signals, no newline translation.
    attributes = termios.tcgetattr(slave)
    attributes[0] = attributes[1] = attributes[3] = 0
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    return master, slave


class CdcPort:
    """The board's end of a pty that behaves as a board's USB port (CDC) does.

    While no program has the port open, what the board says is lost, and what a program has not
    read when it leaves is no one else's.

    Attributes:
        master: descriptor of the board's end; it does not block.
        path: of the port.
    """

    def __init__(self) -> None:
        """Open a pty that passes every byte on as it is."""
        self.master, slave = open_port()
        self.path = os.ttyname(slave)
        os.close(slave)  # so that the master tells whether somebody else has it open
        os.set_blocking(self.master, False)
        self._hang_up = select.poll()
        self._hang_up.register(self.master, 0)
        self._was_open = False

    def is_open(self) -> bool:
        """Tell whether a program has the port open.

        Returns:
            Whether one has.
        """
        opened = not self._hang_up.poll(0)
        if self._was_open and not opened:
            self._forget()
        self._was_open = opened
        return opened

    def _forget(self) -> None:
        """Drop what the last program has left unread."""
        slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        termios.tcflush(slave, termios.TCIFLUSH)
        os.close(slave)

    def read(self, size: int) -> bytes:
        """Take what a program has sent, also one that has left since.

        Args:
            size: bytes at most.

        Returns:
            The bytes; none when there are none.
        """
        try:
            return os.read(self.master, size)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EIO):
                raise
            return b""

    def write(self, data: bytearray) -> None:
        """Send as much as there is room for, or lose it when no program has the port open.

        Args:
            data: what the board says; what is sent or lost is taken out of it.
        """
        if not self.is_open():
            data.clear()
        while data:
            try:
                del data[: os.write(self.master, data)]
            except BlockingIOError:
                break

    def close(self) -> None:
        """Close the port."""
        os.close(self.master)


def killed_with_parent() -> Callable[[], None]:
    """Make a child process die with this one, however this one ends.

    Returns:
        A function for `Popen(preexec_fn=...)`.
    """
    parent = os.getpid()

    def in_child() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before prctl
            os.kill(os.getpid(), signal.SIGKILL)

    return in_child


def lifelines() -> list[int]:
    """Find how to notice that whoever started the board is gone.

    A pipe as stdin ends with its writer; the parent's pidfd covers a writer
    that was inherited by some third process. A terminal or a file as stdin
    tells nothing.

    Returns:
        Descriptors that become readable then.
    """
    watched = []
    with contextlib.suppress(OSError):
        mode = os.fstat(0).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            watched.append(0)
    with contextlib.suppress(OSError):
        watched.append(os.pidfd_open(os.getppid()))
    return watched


def exit_on_signals() -> None:
    """Make SIGTERM, SIGINT and SIGHUP raise SystemExit(0), once, so that cleaning up is done."""

    def stop(_signum: int, _frame: object) -> None:
        for again in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(again, signal.SIG_IGN)
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)


def serve(started: Callable[[], AbstractContextManager[EmulatedBoard]]) -> int:
    """Print the port of a board and run the board until whoever started it is gone.

    Args:
        started: starts the board, which ends with the context.

    Returns:
        The process's exit code: 2 when the board can't start or fails (the reason goes to stderr).
    """
    exit_on_signals()
    watched = lifelines()  # before the parent hears of the port, and may go
    try:
        with started() as board:
            print(board.port, flush=True)
            board.run(watched)
    except (EmulatedBoardError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0
