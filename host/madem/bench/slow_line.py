"""A serial line in between: a pty in front of an emulated board that is as slow as a UART.

    host program <-> Line.port <-> pump (a thread) <-> the board's pty

An emulated board answers as fast as the computer can. `Line` lets bytes through
at the pace of a baud rate, one direction independent of the other, so that
figures for real lines can be had without one. Tests put damage into it.
"""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Self

from madem.errors import LinkError

Damage = Callable[[bytes], bytes]

_QUEUE = 4096  # bytes under way in one direction before the sender has to wait
_TICK = 0.0003  # s between two deliveries


class _Direction:
    """Bytes on their way from one descriptor to another."""

    def __init__(self, source: int, target: int, rate: float, damage: Damage | None) -> None:
        """rate: bytes per second, or inf."""
        self.source = source
        self.target = target
        self._rate = rate
        self._damage = damage
        self._queue = bytearray()  # on the line
        self._arrived = bytearray()  # what the target had no room for yet
        self._paid = 0.0  # time up to which the line has been used, s

    @property
    def hungry(self) -> bool:
        return len(self._queue) + len(self._arrived) < _QUEUE

    @property
    def busy(self) -> bool:
        return bool(self._queue or self._arrived)

    def take(self) -> None:
        try:
            data = os.read(self.source, _QUEUE)
        except BlockingIOError:
            return
        if not self._queue:
            self._paid = max(self._paid, time.monotonic())
        self._queue += data

    def deliver(self) -> None:
        """Pass on what a line of this rate would have passed on by now."""
        count = len(self._queue)
        if self._rate != float("inf"):
            count = min(count, int((time.monotonic() - self._paid) * self._rate))
            self._paid += count / self._rate
        data = bytes(self._queue[:count])
        del self._queue[:count]
        if data and self._damage:
            data = self._damage(data)
        self._arrived += data
        if self._arrived:
            with contextlib.suppress(BlockingIOError):
                del self._arrived[: os.write(self.target, self._arrived)]


class Line:
    """An open line; a context manager that closes it.

    Attributes:
        port: path of the host's end.
    """

    def __init__(
        self,
        board: str | int,
        baud: int | None = None,
        to_board: Damage | None = None,
        to_host: Damage | None = None,
    ) -> None:
        """Put a line in front of a board.

        Args:
            board: path of its pty, or an open descriptor (which stays its owner's).
            baud: bits per second, ten to a byte; None: as fast as it goes.
            to_board: called with the bytes that are about to be delivered; returns what is
                delivered instead.
            to_host: the same for the other direction.

        Raises:
            LinkError: this computer has no ptys, or the board's can't be opened.
        """
        try:
            import pty
            import tty
        except ImportError:
            raise LinkError("a line in between needs ptys, which this system lacks") from None
        self._opened = isinstance(board, str)
        try:
            self._board = (
                os.open(board, os.O_RDWR | os.O_NOCTTY) if isinstance(board, str) else board
            )
        except OSError as error:
            raise LinkError(f"the board's port can't be opened: {error}") from None
        if self._opened:
            tty.setraw(self._board)
        self._master, self._slave = pty.openpty()  # the slave stays open: clients come and go
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        for descriptor in (self._board, self._master):
            os.set_blocking(descriptor, False)
        rate = baud / 10 if baud else float("inf")
        self._ways = (
            _Direction(self._master, self._board, rate, to_board),
            _Direction(self._board, self._master, rate, to_host),
        )
        self._wake = os.pipe()
        self._thread = threading.Thread(target=self._pump, name="madem line", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the pump and close what was opened here."""
        os.write(self._wake[1], b".")
        self._thread.join()
        for descriptor in (self._master, self._slave, *self._wake):
            os.close(descriptor)
        if self._opened:
            os.close(self._board)

    def _pump(self) -> None:
        while True:
            sources = [way.source for way in self._ways if way.hungry]
            busy = any(way.busy for way in self._ways)
            ready, _, _ = select.select([self._wake[0], *sources], [], [], _TICK if busy else None)
            if self._wake[0] in ready:
                return
            try:
                for way in self._ways:
                    if way.source in ready:
                        way.take()
                    way.deliver()
            except OSError:  # the board has ended; the host notices by its silence
                return
