"""The link over a line that drops, flips, repeats, delays, cuts and invents bytes.

Whatever the line does, every request is executed once and in order.
"""

import fcntl
import os
import random
import struct
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import serial

from madem.bench.slow_line import Line
from madem.boards.link import Link, encode_frame
from madem.boards.link_protocol import Kind
from madem.errors import DeviceError, LinkError

from ...conftest import SEED
from ..conftest import LinkServer

Start = Callable[..., LinkServer]


class Faults:
    """Damage to one direction, drawn from a seed.

    On average one of `every` bytes begins one fault.
    """

    def __init__(self, seed: int, every: float, kinds: str = "drop flip repeat cut noise delay"):
        self._random = random.Random(seed)
        self._every = every
        self._kinds = kinds.split()
        self._last = b""
        self.count = 0

    def __call__(self, data: bytes) -> bytes:
        draw = self._random
        out = bytearray()
        at = 0
        while True:
            clean = int(draw.expovariate(1 / self._every)) if self._every else len(data)
            out += data[at : at + clean]
            at += clean
            if at >= len(data):
                break
            self.count += 1
            kind = draw.choice(self._kinds)
            if kind == "drop":
                at += 1
            elif kind == "flip":
                out.append(data[at] ^ 1 << draw.randrange(8))
                at += 1
            elif kind == "repeat":  # also whole frames, when the line is slow to repeat
                out += self._last or data[:at]
            elif kind == "cut":
                at += draw.randrange(1, 100)
            elif kind == "noise":
                out += draw.randbytes(draw.randrange(1, 20))
            elif kind == "delay":
                time.sleep(draw.uniform(0, 0.01))
        self._last = data[-300:]
        return bytes(out)


def total_of(payloads: list[bytes]) -> int:
    """The server's running sum over everything that it was to learn."""
    total = 0
    for byte in b"".join(payloads):
        total = (total * 31 + byte) & 0xFFFF
    return total


def learned(link: Link) -> tuple[int, int]:
    count, total, _ = struct.unpack("<IHI", link.request(Kind.DIGEST))
    return count, total


def connect(line: Line) -> tuple[Link, serial.Serial]:
    port = serial.Serial(line.port, baudrate=3_000_000)
    link = Link(port)
    link._seq = 0xFFE0  # soon to wrap around
    link.hello(timeout=20)
    return link, port


@pytest.mark.parametrize("window", [1, 2, 7])
@pytest.mark.parametrize(
    ("seed", "requests"),
    [(1, 100), pytest.param(SEED, 2000, marks=pytest.mark.long)],
)
def test_every_request_is_executed_once_and_in_order(
    start_link_server: Start, window: int, seed: int, requests: int
) -> None:
    server = start_link_server(window=window, rx_bytes=2048)
    down, up = Faults(seed, 700), Faults(seed + 1000, 700)
    draw = random.Random(seed)
    payloads = [draw.randbytes(draw.choice((0, 4, 40, 200))) for _ in range(requests)]
    with Line(server.fd, to_board=down, to_host=up) as line:
        link, port = connect(line)
        with port:
            replies = list(link.request_many((Kind.LEARN, p) for p in payloads))
            assert [int.from_bytes(r, "little") for r in replies] == list(range(1, requests + 1))
            assert learned(link) == (requests, total_of(payloads))
    assert down.count + up.count > requests / 50
    assert link.resent > 0


@pytest.mark.parametrize("kind", ["drop", "flip", "repeat", "cut", "noise", "delay"])
def test_each_kind_of_fault_alone(start_link_server: Start, kind: str) -> None:
    server = start_link_server(window=3, rx_bytes=1024)
    faults = Faults(5, 600, kind)
    payloads = [bytes([i]) * 50 for i in range(80)]
    with Line(server.fd, to_board=faults) as line:
        link, port = connect(line)
        with port:
            list(link.request_many((Kind.LEARN, p) for p in payloads))
            assert learned(link) == (80, total_of(payloads))
    assert faults.count >= 5


def test_long_replies_are_of_their_moment(start_link_server: Start) -> None:
    """They are not kept: a repeated READ must not see what a later LEARN did."""
    server = start_link_server(window=4, rx_bytes=2048)
    with Line(server.fd, to_board=Faults(1, 800), to_host=Faults(2, 400)) as line:
        link, port = connect(line)
        with port:
            work = [
                (Kind.LEARN, b"abc"),
                (Kind.READ, b""),
                (Kind.READ, b""),
                (Kind.LEARN, b"d"),
            ] * 8
            replies = list(link.request_many(work))
    counts = [int.from_bytes(reply[:4], "little") for reply in replies]
    learns = 0
    for (kind, _), count in zip(work, counts, strict=True):
        learns += kind == Kind.LEARN
        assert count == learns
    assert {len(r) for r in replies} == {4, 100}


def ring(server: LinkServer, size: int, lost: list[int]) -> Callable[[bytes], bytes]:
    """A UART's ring: what does not fit while the device is busy is lost.

    The line waits for a device that would read but has to wait for the computer.
    """
    status = Path(f"/proc/{server.process.pid}/stat")

    def unread() -> int:
        count = bytearray(4)
        fcntl.ioctl(server.device_fd, termios.FIONREAD, count)
        return int.from_bytes(count, "little")

    def deliver(data: bytes) -> bytes:
        for at in range(0, len(data), 16):
            while unread() and status.read_text().rpartition(")")[2].split()[0] == "R":
                time.sleep(0.001)
            piece = data[at : at + 16]
            room = max(size - unread(), 0)
            lost[0] += len(piece[room:])
            os.write(server.fd, piece[:room])
        return b""

    return deliver


@pytest.mark.parametrize("claimed", [256, 700])
def test_a_small_ring_never_overflows_unless_the_board_overstates_it(
    start_link_server: Start, claimed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madem.boards.link._PATIENCE", 60.0 if claimed == 256 else 0.2)
    server = start_link_server(window=4, rx_bytes=claimed)
    lost = [0]
    with Line(server.fd, 19_200, to_board=ring(server, 256, lost)) as line:
        link, port = connect(line)
        with port:
            work = [bytes([250]) * size for size in (234, 1, 100, 234, 234, 50, 233)]  # 250 ms each
            assert len(list(link.request_many((Kind.PREDICT, p) for p in work))) == len(work)
            assert learned(link) == (len(work), total_of(work))
    if claimed == 256:
        assert (lost[0], link.resent) == (0, 0)
    else:
        assert lost[0] > 0
        assert link.resent > 0


def test_a_frame_that_is_longer_than_the_ring_goes_alone(
    start_link_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madem.boards.link._PATIENCE", 60.0)
    server = start_link_server(max_body=1024, window=4, rx_bytes=256)
    lost = [0]
    with Line(server.fd, 19_200, to_board=ring(server, 256, lost)) as line:
        link, port = connect(line)
        with port:
            assert (link.max_payload, link.queued_payload) == (1012, 234)
            work = [bytes([50]) * size for size in (234, 235, 1012, 20, 234, 1012, 1012)]
            assert len(list(link.request_many((Kind.PREDICT, p) for p in work))) == len(work)
            assert learned(link) == (len(work), total_of(work))
    assert (lost[0], link.resent) == (0, 0)


@pytest.mark.parametrize("seed", [1, pytest.param(SEED + 1, marks=pytest.mark.long)])
def test_long_frames_on_a_faulty_line(start_link_server: Start, seed: int) -> None:
    server = start_link_server(max_body=1024, window=2, rx_bytes=256)
    draw = random.Random(seed)
    payloads = [draw.randbytes(draw.choice((20, 234, 500, 1012))) for _ in range(60)]
    with Line(server.fd, to_board=Faults(seed, 2000), to_host=Faults(-seed, 700)) as line:
        link, port = connect(line)
        with port:
            list(link.request_many((Kind.LEARN, p) for p in payloads))
            assert learned(link) == (60, total_of(payloads))
    assert link.resent > 0


class FramesLost:
    """Loses all but the 0x00 of the frames of these numbers; 0 is the HELLO.

    A resend's run of zeros counts as the start of its first frame.
    """

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self._number = -1
        self._zero = False

    def __call__(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            self._number += byte == 0 and not self._zero
            self._zero = byte == 0
            if byte == 0 or self._number not in self._numbers:
                out.append(byte)
        return bytes(out)


@pytest.mark.parametrize(
    ("to_board", "to_host", "naks"),
    [
        # What follows a lost request makes the board ask for it ...
        ((3,), (), 1),
        # ... and again if the first frame of the resend is lost too.
        ((3, 6, 7), (), 2),
        # A reply behind a lost one shows that it was lost.
        ((), (3,), 0),
    ],
)
def test_losses_are_noticed_without_waiting_for_a_timeout(
    start_link_server: Start,
    monkeypatch: pytest.MonkeyPatch,
    to_board: tuple[int, ...],
    to_host: tuple[int, ...],
    naks: int,
) -> None:
    monkeypatch.setattr("madem.boards.link._PATIENCE", 600.0)
    server = start_link_server(window=4, rx_bytes=2048)
    down, up = FramesLost(*to_board), FramesLost(*to_host)
    with Line(server.fd, to_board=down, to_host=up) as line:
        link, port = connect(line)
        with port:
            work = [bytes([100, i]) for i in range(9)]
            assert len(list(link.request_many((Kind.PREDICT, p) for p in work))) == 9
            assert learned(link) == (9, total_of(work))
    assert link.naks == naks
    assert link.resent > 0


def test_patience_with_a_board_that_is_busy_for_long(start_link_server: Start) -> None:
    server = start_link_server(window=2)
    with Line(server.fd) as line:
        link, port = connect(line)
        with port:
            link._round_trip = 0.0  # so that it sends again while the board works
            work = [bytes([250, i]) for i in range(5)]
            assert len(list(link.request_many((Kind.PREDICT, p) for p in work))) == 5
            assert learned(link) == (5, total_of(work))
            assert link.resent > 0


def test_a_new_session_takes_over_from_one_that_died_in_mid_frame(
    start_link_server: Start,
) -> None:
    server = start_link_server(max_body=4096, rx_bytes=8000)
    with Line(server.fd) as line:
        first, port = connect(line)
        with port:
            first.request(Kind.LEARN, b"first")
            port.write(encode_frame(Kind.LEARN, first._session, first._seq, bytes(4000))[:2000])
            second = Link(port)
            assert second.hello(timeout=60).steps == 1
            second.request(Kind.LEARN, b"second")
            assert learned(second) == (2, total_of([b"first", b"second"]))
            with pytest.raises(DeviceError, match="restarted") as caught:
                first.request(Kind.LEARN, b"too late")
            assert caught.value.code == 6
            assert learned(second)[0] == 2


def test_an_abandoned_pipeline_does_not_disturb_the_next_request(
    start_link_server: Start,
) -> None:
    server = start_link_server(window=4, rx_bytes=2048)
    with Line(server.fd) as line:
        link, port = connect(line)
        with port:
            for reply in link.request_many((Kind.LEARN, bytes([i])) for i in range(100)):
                if reply == b"\x05\0\0\0":
                    break
            assert link.request(Kind.ECHO, b"\1still here") == b"\1still here"
            assert 5 <= learned(link)[0] <= 9


def test_a_refused_request_is_a_device_error_and_the_session_lives_on(
    start_link_server: Start,
) -> None:
    server = start_link_server()
    with Line(server.fd) as line:
        link, port = connect(line)
        with port:
            with pytest.raises(DeviceError, match="does not know this request: no such kind") as e:
                link.request(99)
            assert e.value.code == 1
            with pytest.raises(DeviceError):
                link.request(Kind.ECHO, struct.pack("<BH", 2, 5000))
            assert link.request(Kind.ECHO, struct.pack("<BH", 2, 244)) != b""
            with pytest.raises(LinkError, match="245 bytes, but the board takes 244"):
                link.request(Kind.LEARN, bytes(245))
            assert learned(link) == (0, 0)


def test_a_board_that_dies_is_one_clear_error(start_link_server: Start) -> None:
    server = start_link_server()
    with Line(server.fd) as line:
        link, port = connect(line)
        with port:
            link.request(Kind.STOP)
            with pytest.raises(LinkError, match="stopped answering: no reply to LEARN for 1 s"):
                link.request(Kind.LEARN, b"x", timeout=1)
            with pytest.raises(LinkError, match="no session"):
                link.request(Kind.LEARN, b"x")
            with pytest.raises(LinkError, match="madem deploy"):
                link.hello(timeout=0.6)


def test_a_port_that_vanishes_is_one_clear_error(start_link_server: Start) -> None:
    with Line(start_link_server().fd) as line:
        port = serial.Serial(line.port)
        link = Link(port)
        port.close()
        with pytest.raises(LinkError, match="the board is gone"):
            link.hello(timeout=1)
