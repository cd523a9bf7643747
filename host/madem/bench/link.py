"""How fast the link is: `madem bench link`."""

import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import serial
from rich import box
from rich.table import Table

from madem.bench.slow_line import Line
from madem.boards.link import Link
from madem.boards.link_protocol import ECHO_MANY, ECHO_MODE_MANY, FRAME_BYTES, Kind
from madem.boards.open import open_board
from madem.learners.board import connect


@dataclass(frozen=True)
class Goodput:
    """Payload on the line, without headers, coding and replies' overhead.

    A ratio is payload bits, ten to a byte, over the baud rate: what a UART's
    start and stop bits alone would allow is 1.

    Attributes:
        baud: bits per second of the line; None: not limited.
        to_board: bytes per second, requests with empty replies.
        to_host: bytes per second, empty requests with long replies.
        both: bytes per second each way, echoed.
        round_trip: seconds, median of an empty request and its empty reply.
        request_bytes: payload of a request.
        resent: requests sent again meanwhile.
    """

    baud: int | None
    to_board: float
    to_host: float
    both: float
    round_trip: float
    request_bytes: int
    resent: int

    @property
    def to_board_ratio(self) -> float | None:
        """Ratio of requests with empty replies; None where the line is not limited."""
        return self.to_board * 10 / self.baud if self.baud else None

    @property
    def to_host_ratio(self) -> float | None:
        """Ratio of empty requests with long replies; None where the line is not limited."""
        return self.to_host * 10 / self.baud if self.baud else None


def run(spec: str, patience: float | None = None) -> tuple[dict[str, Any], Table]:
    """Measure goodput as fast as the line goes, and for an emulated board at two baud rates too.

    Args:
        spec: the board, as `--board` names it.
        patience: how long it may take for an answer, in s; None: as `open_board`.

    Returns:
        What was measured, for JSON, and as a table.
    """
    rows = []
    with open_board(spec, patience) as board:
        rows.append(goodput(connect(board).link))
        if board.emulated:
            path = board.port.port
            assert path is not None
            board.port.close()
            rows += [paced_goodput(path, baud) for baud in (115200, 921600)]
    title = f"{spec}: payload on the link"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("line")
    for column in ("to board", "to host", "both ways", "round trip"):
        table.add_column(column, justify="right")
    for row in rows:
        line = "not limited" if row.baud is None else f"{row.baud:,} baud"
        cells = [_told(value, row.baud) for value in (row.to_board, row.to_host, row.both)]
        table.add_row(line, *cells, f"{1000 * row.round_trip:.2f} ms")
    return {"board": spec, "goodput": [asdict(row) for row in rows]}, table


def _told(per_second: float, baud: int | None) -> str:
    if baud is None:
        return f"{per_second / 1e6:.2f} MB/s"
    return f"{per_second / 1000:.1f} kB/s ({1000 * per_second / baud:.0f} %)"


def goodput(link: Link, seconds: float = 1.0, baud: int | None = None) -> Goodput:
    """Measure a greeted link, both directions apart and together.

    Args:
        link: that has been greeted.
        seconds: that each of the three measurements takes.
        baud: of the line, for the ratios; None: not limited.

    Returns:
        What was measured.
    """
    resent = link.resent
    trips = []
    for _ in range(50):
        began = time.perf_counter()
        link.request(Kind.ECHO)
        trips.append(time.perf_counter() - began)
    size = link.queued_payload
    reply_size = link.board.max_body - FRAME_BYTES
    ballast = os.urandom(size - 1)
    return Goodput(
        baud=baud,
        to_board=size * _rate(link, b"\0" + ballast, seconds),
        to_host=reply_size * _rate(link, ECHO_MANY.pack(ECHO_MODE_MANY, reply_size), seconds),
        both=size * _rate(link, b"\1" + ballast, seconds),
        round_trip=statistics.median(trips),
        request_bytes=size,
        resent=link.resent - resent,
    )


def paced_goodput(port: str, baud: int, seconds: float = 1.0) -> Goodput:
    """Measure an emulated board behind a line of a baud rate.

    Args:
        port: path of the board's pty, whose firmware must be running.
        baud: bits per second.
        seconds: that each of the three measurements takes.

    Returns:
        What was measured.
    """
    with Line(port, baud) as line, serial.Serial(line.port, baudrate=baud) as near:
        link = Link(near)
        link.hello()
        return goodput(link, seconds, baud)


def _rate(link: Link, payload: bytes, seconds: float) -> float:
    """Count echoes per second, many in flight."""
    end = time.perf_counter() + seconds

    def requests() -> Iterator[tuple[int, bytes]]:
        while time.perf_counter() < end:
            yield Kind.ECHO, payload

    began = time.perf_counter()
    count = sum(1 for _ in link.request_many(requests()))
    return count / (time.perf_counter() - began)
