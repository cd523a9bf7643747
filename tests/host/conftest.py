"""What tests share: the link's test server behind a pty, a board with chips, and the
time of its sensor.
"""

import contextlib
import os
import pty
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from madem.boards.open import Board
from madem.boards.repl import open_port
from madem_emulator.boards.unix import UnixBoard
from madem_emulator.boards.unix_interpreter import find_micropython
from madem_emulator.wiring.bus import Bus

_ROOT = Path(__file__).parents[2]


class LinkServer(NamedTuple):
    fd: int
    """Where the host writes and reads: the pty's master."""
    device_fd: int
    """The device's own end."""
    process: subprocess.Popen[bytes]


@pytest.fixture
def start_link_server() -> Iterator[Callable[..., LinkServer]]:
    """Start tests/firmware/device/link_server.py with (max_body, window, rx_bytes)."""
    with contextlib.ExitStack() as stack:

        def start(max_body: int = 256, window: int = 2, rx_bytes: int = 256) -> LinkServer:
            master, slave = pty.openpty()
            stack.callback(os.close, master)
            stack.callback(os.close, slave)
            tty.setraw(slave)
            script = _ROOT / "tests/firmware/device/link_server.py"
            process = subprocess.Popen(
                [find_micropython(), str(script), str(max_body), str(window), str(rx_bytes)],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=os.environ | {"MICROPYPATH": str(_ROOT / "firmware")},
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return LinkServer(master, slave, process)

        yield start


@contextlib.contextmanager
def board_with(bus: Bus, flash: Path) -> Iterator[Board]:
    """An emulated board whose chips this process holds, open, without firmware."""
    board = UnixBoard(find_micropython(), flash, bus=bus)
    threading.Thread(target=board.run, args=([],), daemon=True).start()
    with Board("unix", open_port(board.port)) as opened:
        yield opened


class SensorClock:
    """The time of an MPU6050: it passes while a test lets it, and while the FIFO has room.

    So a board that waits for a busy computer loses nothing. It begins to pass when the board
    looks at the sensor.
    """

    def __init__(self, bus: Bus) -> None:
        self.until = 0.0
        self._bus = bus
        self._chip: Any = bus._i2c[0].chips[0x68]
        self._time, self._seen = bus.now(), time.monotonic()
        bus.clock = self

    def __call__(self) -> float:
        now = time.monotonic()
        passed, self._seen = now - self._seen, now
        if len(self._chip._fifo) < 256:
            # Of 1024 bytes; 20 ms are 120 more.
            self._time = max(self._time, min(self._time + min(passed, 0.02), self.until))
        return self._time

    def let_pass(self, seconds: float) -> None:
        """That much, from now on."""
        self.until = self._bus.now() + seconds

    def jump(self, seconds: float) -> None:
        """That much at once: the board has no time to look."""
        self._time = self._bus.now() + seconds
