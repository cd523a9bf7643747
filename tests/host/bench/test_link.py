"""How the link's speed is measured, on a paced line, and what it can reach there."""

import contextlib
import os
import pty
import time
import tty
from collections.abc import Callable, Iterator

import pytest
import serial

from madem.bench.link import Goodput, goodput, paced_goodput
from madem.bench.slow_line import Line
from madem.boards.link import Link
from madem.boards.link_protocol import ECHO_MANY, ECHO_MODE_MANY, FRAME_BYTES, Kind
from madem.errors import LinkError

from ..conftest import LinkServer

Start = Callable[..., LinkServer]


@contextlib.contextmanager
def greeted(line: Line) -> Iterator[Link]:
    with serial.Serial(line.port, baudrate=3_000_000) as port:
        link = Link(port)
        link.hello()
        yield link


def test_goodput_has_a_figure_for_each_way(start_link_server: Start) -> None:
    with Line(start_link_server().fd) as line, greeted(line) as link:
        found = goodput(link, 0.2)
    assert found.request_bytes == 234
    assert min(found.to_board, found.to_host, found.both, found.round_trip) > 0
    assert (found.baud, found.to_board_ratio, found.to_host_ratio) == (None, None, None)


def test_a_ratio_is_payload_bits_of_the_line_s() -> None:
    found = Goodput(9600, 480.0, 240.0, 1.0, 1.0, 234, 0)
    assert (found.to_board_ratio, found.to_host_ratio) == (0.5, 0.25)


class Counter:
    """Counts the bytes that a line delivers."""

    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self, data: bytes) -> bytes:
        self.bytes += len(data)
        return data


def test_nine_tenths_of_a_line_with_a_small_ring_are_payload(
    start_link_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bytes; `madem bench link` has what a line then carries in a second."""
    monkeypatch.setattr("madem.boards.link._PATIENCE", 60.0)
    server = start_link_server(max_body=256, window=2, rx_bytes=256)
    down, up = Counter(), Counter()
    with (
        Line(server.fd, to_board=down, to_host=up) as line,
        greeted(line) as link,
    ):
        request, reply = link.queued_payload, link.board.max_body - FRAME_BYTES
        down.bytes = 0
        for _ in link.request_many([(Kind.ECHO, b"\0" + bytes(request - 1))] * 100):
            pass
        assert 0.90 <= 100 * request / down.bytes <= 0.96
        up.bytes = 0
        for _ in link.request_many([(Kind.ECHO, ECHO_MANY.pack(ECHO_MODE_MANY, reply))] * 100):
            pass
        assert 0.90 <= 100 * reply / up.bytes <= 0.96
        # The line never waits for the board: the next request is under way meanwhile.
        payload = bytes(request)
        link._send(Kind.ECHO, payload)
        assert link._fits(Kind.ECHO, payload)
        link._send(Kind.ECHO, payload)
        assert not link._fits(Kind.ECHO, payload)


@pytest.mark.parametrize("baud", [9600, 115_200, 921_600])
def test_a_line_takes_the_time_that_its_baud_rate_says(baud: int) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    data = os.urandom(baud // 50)  # a fifth of a second
    with Line(os.ttyname(slave), baud) as line, serial.Serial(line.port, timeout=60) as port:
        began = time.monotonic()
        port.write(data)
        got = b""
        while len(got) < len(data):
            got += os.read(master, 4096)
        took = time.monotonic() - began
        os.write(master, b"back")
        assert port.read(4) == b"back"
    assert got == data
    assert took > 0.19  # other work may delay it, nothing may hurry it
    os.close(master)
    os.close(slave)


def test_a_line_to_nowhere_is_one_clear_error() -> None:
    with pytest.raises(LinkError, match="can't be opened"):
        Line("/dev/no-such-port")


def test_paced_goodput_opens_the_line_itself(start_link_server: Start) -> None:
    with Line(start_link_server().fd) as board:
        found = paced_goodput(board.port, 921_600, 0.1)
    assert found.baud == 921_600
    assert found.to_board_ratio is not None
    assert 0 < found.to_board_ratio < 1.0
