"""The link's speed, and the paced line with which it is measured."""

import math
import os
import pty
import time
import tty
from collections.abc import Callable

import pytest
import serial

from madem.bench.link import Goodput, goodput, paced_goodput
from madem.bench.slow_line import Line
from madem.boards.link import Link
from madem.errors import LinkError

from ..conftest import LinkServer

Start = Callable[..., LinkServer]


def measure(server: LinkServer, baud: int | None, seconds: float) -> Goodput:
    with Line(server.fd, baud) as line, serial.Serial(line.port, baudrate=3_000_000) as port:
        link = Link(port)
        link.hello()
        return goodput(link, seconds, baud)


def test_goodput_counts_payload_each_way(start_link_server: Start) -> None:
    found = measure(start_link_server(), None, 0.2)
    assert found.request_bytes == 238
    assert min(found.to_board, found.to_host, found.both) > 20_000
    assert 0 < found.round_trip < 0.1
    assert (found.baud, found.to_board_ratio, found.to_host_ratio) == (None, None, None)


def reaches(least: float, figure: Callable[[], float | None], most: float = math.inf) -> bool:
    """In one of forty tries: other work on the computer is not the link's doing."""
    for _ in range(40):
        found = figure() or 0.0
        assert found < most
        if found >= least:
            return True
    return False


def test_a_small_ring_carries_nine_tenths_of_the_line(start_link_server: Start) -> None:
    server = start_link_server(max_body=256, window=2, rx_bytes=256)
    most = 0.96  # the line carries no more: 238 bytes in 256
    assert reaches(0.90, lambda: measure(server, 115_200, 0.75).to_board_ratio, most)
    assert reaches(0.88, lambda: measure(server, 115_200, 0.75).to_host_ratio, most)


@pytest.mark.slow
def test_a_small_ring_carries_nine_tenths_of_a_fast_line_too(start_link_server: Start) -> None:
    server = start_link_server(max_body=256, window=2, rx_bytes=256)
    assert reaches(0.90, lambda: measure(server, 921_600, 0.5).to_board_ratio)


@pytest.mark.slow
def test_python_is_not_what_limits_the_line(start_link_server: Start) -> None:
    server = start_link_server(max_body=4096, window=8, rx_bytes=8192)
    assert reaches(1.3e6, lambda: measure(server, None, 0.3).to_board)
    assert reaches(1.3e6, lambda: measure(server, None, 0.3).to_host)


@pytest.mark.parametrize("baud", [9600, 115_200, 921_600])
def test_a_line_takes_the_time_that_its_baud_rate_says(baud: int) -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    data = os.urandom(baud // 50)  # a fifth of a second
    with Line(os.ttyname(slave), baud) as line, serial.Serial(line.port, timeout=2) as port:
        began = time.monotonic()
        port.write(data)
        got = b""
        while len(got) < len(data):
            got += os.read(master, 4096)
        took = time.monotonic() - began
        os.write(master, b"back")
        assert port.read(4) == b"back"
    assert got == data
    assert 0.19 < took < 2  # other work may delay it, nothing may hurry it
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
    assert 0.3 < found.to_board_ratio < 1.0
