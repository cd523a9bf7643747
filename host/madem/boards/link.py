"""The host's end of docs/reference/link.md: frames, and requests that are executed exactly once.

`encode_frame` and `Decoder` are pure. `Link` adds the port: it keeps a window
of requests in flight, sends again what got lost (go-back-N) and gives up with
one clear LinkError.
"""

import contextlib
import math
import secrets
import struct
import time
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import serial

from madem.boards import console, port_users
from madem.boards.link_protocol import (
    ERROR_TEXTS,
    FRAME_BYTES,
    FRAME_HEAD,
    HELLO_REPLY,
    NAK,
    REFUSAL,
    REPLY,
    VERSION,
    Kind,
)
from madem.errors import DeviceError, LinkError

SHORTEST_WIRE = 14
RELEASE = bytes(40)  # longer than a board's longest read: frees one that waits for lost bytes

_PATIENCE = 0.2  # s beyond what is usual before a request is sent again
_TEXT_BYTES = 4096
_SILENT_READS = 20  # of 50 ms, after which a board is taken to have said all

_BLOCK = 30
_XOR = [bytes(byte ^ mask for byte in range(256)) for mask in range(256)]
# The start of a frame, and what a REPL obeys: its control characters and the ends of lines.
_FORBIDDEN = (0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0A, 0x0D)
# By mask: the bytes that it would make forbidden ones of.
_MASKS = {
    mask: frozenset(mask ^ c for c in _FORBIDDEN) for mask in range(256) if mask not in _FORBIDDEN
}


class Frame(NamedTuple):
    """A sound frame, either way.

    Attributes:
        kind: of the request, or of its reply.
        credit: of a board: requests that it allows in flight; of the host: 0.
        session: that it belongs to.
        seq: number of the request.
        payload: its bytes.
    """

    kind: int
    credit: int
    session: int
    seq: int
    payload: bytes


def wire_length(body_length: int) -> int:
    """Count the bytes of a frame on the line.

    Args:
        body_length: bytes of its body.

    Returns:
        Bytes.
    """
    return 1 + body_length + -(-body_length // _BLOCK)


def longest_body(wire_bytes: int) -> int:
    """Find the longest body of a frame that is short enough on the line.

    Args:
        wire_bytes: that the frame may have there.

    Returns:
        Bytes of the body.
    """
    blocks, rest = divmod(wire_bytes - 1, _BLOCK + 1)
    return blocks * _BLOCK + max(rest - 1, 0)


def _mask(block: bytes) -> int:
    used = set(block)
    for mask, excluded in _MASKS.items():
        if used.isdisjoint(excluded):
            return mask
    raise ValueError("a block is too long")


def encode_frame(kind: int, session: int, seq: int, payload: bytes = b"", credit: int = 0) -> bytes:
    """Encode a frame for the line: 0x00, then no 0x00 to 0x05, 0x0A or 0x0D.

    Args:
        kind: of the request, or of its reply.
        session: that it belongs to.
        seq: number of the request.
        payload: its bytes.
        credit: of a board: requests that it allows in flight; of the host: 0.

    Returns:
        The bytes on the line.
    """
    length = FRAME_BYTES + len(payload)
    body = FRAME_HEAD.pack(length, kind, credit, session, seq) + payload
    body += zlib.crc32(body).to_bytes(4, "little")
    parts = [b"\0"]
    for at in range(0, length, _BLOCK):
        block = body[at : at + _BLOCK]
        mask = _mask(block)
        parts += (bytes((mask,)), block.translate(_XOR[mask]))
    return b"".join(parts)


def _decode_body(coded: bytes) -> bytes:
    return b"".join(
        coded[at + 1 : at + 1 + _BLOCK].translate(_XOR[coded[at]])
        for at in range(0, len(coded), _BLOCK + 1)
    )


class Decoder:
    """Finds the sound frames in whatever arrives.

    Attributes:
        bad: frames seen so far that were cut, malformed or failed their CRC.
        text: what came since the last sound frame and belongs to none, its last 4 KB.
        head: how the body of the newest bad frame begins, if it was one.
    """

    def __init__(self) -> None:
        """Begin with an empty line."""
        self.bad = 0
        self.text = bytearray()
        self.head = b""
        self._buffer = bytearray()

    @property
    def wants(self) -> int:
        """Bytes that must still come before `feed` can return another frame."""
        have = len(self._buffer)
        if have < 4:
            return SHORTEST_WIRE - have
        return wire_length(self._length()) - have

    def drop(self) -> bool:
        """Give up the frame that has begun; False when there is none."""
        begun = bool(self._buffer)
        self.bad += begun
        self._stray(self._buffer)
        self.head = _decode_body(bytes(self._buffer[1 : _BLOCK + 2]))
        self._buffer.clear()
        return begun

    def _stray(self, data: bytearray) -> None:
        self.text += data
        del self.text[:-_TEXT_BYTES]

    def _length(self) -> int:
        mask = self._buffer[1]
        return (self._buffer[2] ^ mask) | (self._buffer[3] ^ mask) << 8

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes from the line.

        Args:
            data: what has arrived.

        Returns:
            The frames that they complete.
        """
        frames: list[Frame] = []
        buffer = self._buffer
        buffer += data
        while True:
            # The buffer is kept empty or starting with the 0x00 of a frame.
            start = buffer.find(0)
            start = len(buffer) if start < 0 else start
            self._stray(buffer[:start])
            del buffer[:start]
            end = buffer.find(0, 1)
            have = len(buffer) if end < 0 else end
            whole = SHORTEST_WIRE
            if have >= 4:
                length = self._length()
                if length < FRAME_BYTES:
                    self.bad += 1
                    del buffer[0]
                    continue
                whole = wire_length(length)
            if have >= whole:
                frame = _parse(_decode_body(bytes(buffer[1:whole])))
                if frame:
                    frames.append(frame)
                    self.text.clear()
                else:
                    self.bad += 1
                    self._stray(buffer[1:whole])
                    self.head = _decode_body(bytes(buffer[1 : _BLOCK + 2]))
                del buffer[:whole]
            elif end < 0:
                return frames
            else:
                self.bad += have > 1
                del buffer[0]


def _parse(body: bytes) -> Frame | None:
    if zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
        return None
    _, kind, credit, session, seq = FRAME_HEAD.unpack_from(body)
    return Frame(kind, credit, session, seq, body[8:-4])


@dataclass(frozen=True)
class Hello:
    """A board's description of itself.

    Attributes:
        version: of the link.
        max_body: longest body, in bytes, that it takes or sends.
        window: requests that may be in flight.
        rx_bytes: bytes that its line holds while the firmware is not reading.
        heap_free: bytes.
        steps: samples learned so far.
        word_bits: 32 or 64.
        firmware: version of the firmware.
        board: its name and its chip, as MicroPython tells them.
    """

    version: int
    max_body: int
    window: int
    rx_bytes: int
    heap_free: int
    steps: int
    word_bits: int
    firmware: str
    board: str

    @classmethod
    def parse(cls, payload: bytes) -> "Hello":
        """Unpack the reply to HELLO.

        Args:
            payload: of the reply.

        Returns:
            What it says.

        Raises:
            LinkError: the firmware speaks another version of the link, or can't be understood.
        """
        if payload[:1] != bytes((VERSION,)):
            raise _other_version(payload[0] if payload else "?")
        try:
            numbers = HELLO_REPLY.unpack_from(payload)
            texts, at = [], HELLO_REPLY.size
            for _ in range(2):
                end = at + 1 + payload[at]
                texts.append(payload[at + 1 : end].decode("utf-8", "replace"))
                at = end
        except (struct.error, IndexError):
            raise LinkError("the firmware's HELLO can't be read: run `madem deploy`") from None
        return cls(*numbers, *texts)


class Port(Protocol):
    """The part of serial.Serial that a Link uses."""

    @property
    def timeout(self) -> float | None:
        """Seconds that `read` waits at most."""
        ...

    @timeout.setter
    def timeout(self, timeout: float | None) -> None: ...
    @property
    def write_timeout(self) -> float | None:
        """Seconds that `write` waits at most."""
        ...

    @write_timeout.setter
    def write_timeout(self, timeout: float | None) -> None: ...
    @property
    def in_waiting(self) -> int:
        """Bytes that have arrived."""
        ...

    def read(self, size: int = 1, /) -> bytes:
        """Read bytes.

        Args:
            size: at most.

        Returns:
            What has come when all are there, or time is up.
        """
        ...

    def write(self, b: bytes, /) -> int | None:
        """Write bytes.

        Args:
            b: the bytes.

        Returns:
            How many were written.
        """
        ...


class _Request(NamedTuple):
    kind: int
    seq: int
    wire: bytes
    sent: float
    """time.monotonic(), s."""


class Link:
    """Requests to the firmware behind a port, each executed exactly once and in order.

    The port stays its opener's: close() leaves it open.

    Attributes:
        resent: requests that were sent again.
        naks: times that the board asked for it.
        bytes_in, bytes_out: on the line, everything included.
    """

    def __init__(self, port: Port, slowness: float = 1.0) -> None:
        """Use a port; nothing is sent yet.

        Args:
            port: an open port.
            slowness: what every timeout is multiplied by; more than 1 for slow boards.
        """
        self._port = port
        self._slowness = slowness
        self._baud: int = getattr(port, "baudrate", 115200)
        self._decoder = Decoder()
        self._replies: dict[int, Frame] = {}  # to requests behind the oldest in flight
        self._flight: deque[_Request] = deque()
        self._hello: Hello | None = None
        self._session = 0
        self._seq = 0
        self._last_sent = 0.0
        self._hurried = False  # the oldest request's reply was lost, and asked for again
        self._silent = 0  # reads in a row that brought nothing
        self._round_trip = 0.3  # s, the longest of late
        self.resent = self.naks = self.bytes_in = self.bytes_out = 0

    @property
    def board(self) -> Hello:
        """What the board said at hello()."""
        return self._greeted()

    @property
    def max_payload(self) -> int:
        """Longest payload, in bytes, of a request that this board can take."""
        return self._greeted().max_body - FRAME_BYTES

    @property
    def queued_payload(self) -> int:
        """Longest payload, in bytes, of a request that may wait while the board is at another."""
        return min(self.max_payload, longest_body(self._greeted().rx_bytes) - FRAME_BYTES)

    def room(self, head: int, size: int) -> int:
        """Find how many samples a request best holds.

        As many as can wait while the board is at another; a longer one goes alone.

        Args:
            head: bytes of the payload before them.
            size: bytes of a sample.

        Returns:
            How many; 0: one is too long for any request.
        """
        alone = self.max_payload >= head + size
        return max((self.queued_payload - head) // size, int(alone))

    def hello(self, timeout: float = 6.0) -> Hello:
        """Begin a new session; every other request needs one.

        Args:
            timeout: for an answer, s.

        Returns:
            What the board says of itself.

        Raises:
            LinkError: nothing that speaks this link answers in time.
        """
        # Here, because who else used the port has set times of their own.
        self._port.timeout = 0.05  # how late a timeout may be noticed
        self._port.write_timeout = 10.0
        self._decoder.drop()
        self._decoder.text.clear()
        tries = 3
        for _ in range(tries):
            # A fresh number each time: should it be the last session's, the board
            # would take the HELLO for a very late repetition.
            self._session = secrets.randbelow(0xFFFE) + 1
            self.close()
            try:
                self._send(Kind.HELLO, b"")
                self._hello = Hello.parse(self._collect(timeout / tries))
            except _SilenceError:
                continue
            return self._hello
        raise LinkError(
            "no answer from madem's firmware: put it on the board with `madem deploy`,"
            " or see what `madem doctor` finds"
        )

    def request(self, kind: int, payload: bytes = b"", timeout: float = 10.0) -> bytes:
        """Have one request executed.

        Args:
            kind: of the request, a `link_protocol.Kind`.
            payload: its bytes.
            timeout: for an answer, s.

        Returns:
            The payload of its reply.

        Raises:
            DeviceError: the firmware refused it.
            LinkError: there was no answer in time.
        """
        (reply,) = self.request_many([(kind, payload)], timeout)
        return reply

    def request_many(
        self, requests: Iterable[tuple[int, bytes]], timeout: float = 10.0
    ) -> Iterator[bytes]:
        """Have requests executed in order.

        As many as the board allows are under way at once, but only ever of one
        kind: a long reply that got lost is made again by executing the request
        again, which no request of another kind may have overtaken.

        Args:
            requests: kind and payload of each; taken only when they can be sent.
            timeout: for each answer, s.

        Yields:
            The payload of each reply.

        Raises:
            DeviceError: the firmware refused one; those under way behind it still reach the
                firmware.
            LinkError: there was no answer in time.
        """
        self._greeted()
        while self._flight:  # left by a pipeline that was not read to its end
            with contextlib.suppress(DeviceError):
                self._collect(timeout)
        source = iter(requests)
        waiting = next(source, None)
        while waiting or self._flight:
            while waiting and self._fits(*waiting):
                self._send(*waiting)
                waiting = next(source, None)
            yield self._collect(timeout)

    def close(self) -> None:
        """End the session."""
        self._flight.clear()
        self._replies.clear()
        self._hurried = False
        self._hello = None

    def _greeted(self) -> Hello:
        if self._hello is None:
            raise LinkError("no session with the board: it stopped answering or was closed")
        return self._hello

    def _fits(self, kind: int, payload: bytes) -> bool:
        """Whether a request may go out now.

        What the board has not read while it executes the oldest request waits in
        its ring: so all but the oldest must fit there.
        """
        if len(payload) > self.max_payload:
            raise LinkError(
                f"a request of {len(payload)} bytes, but the board takes {self.max_payload}"
            )
        if not self._flight:
            return True
        hello = self._greeted()
        behind = sum(len(r.wire) for r in self._flight) - len(self._flight[0].wire)
        return (
            kind == self._flight[0].kind
            and len(self._flight) < hello.window
            and behind + wire_length(FRAME_BYTES + len(payload)) <= hello.rx_bytes
        )

    def _send(self, kind: int, payload: bytes) -> None:
        wire = encode_frame(kind, self._session, self._seq, payload)
        self._last_sent = time.monotonic()
        self._flight.append(_Request(kind, self._seq, wire, self._last_sent))
        self._seq = (self._seq + 1) & 0xFFFF
        # A HELLO may meet a board that waits for the rest of an older frame.
        self._write(RELEASE + wire if kind == Kind.HELLO else wire)

    def _resend(self, everything: bool) -> None:
        """Send the oldest request in flight again, or all that are not answered."""
        again = [r for r in self._flight if r.seq not in self._replies]
        if not everything:
            del again[1:]
        self._flight = deque(r._replace(sent=math.inf) for r in self._flight)
        self._last_sent = time.monotonic()
        self.resent += len(again)
        self._write(RELEASE + b"".join(r.wire for r in again))

    def _write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except serial.SerialTimeoutException:
            self.close()
            raise LinkError("the board stopped reading: reset it and try again") from None
        except (OSError, serial.SerialException):
            self.close()
            raise LinkError(self._why_gone()) from None
        self.bytes_out += len(data)

    def _receive(self) -> None:
        """Wait for bytes, for a moment, and act upon what they bring.

        Raises:
            LinkError: the board is gone, or its console says that the firmware has ended.
        """
        bad = self._decoder.bad
        try:
            data = self._port.read(max(self._port.in_waiting, self._decoder.wants))
        except (OSError, serial.SerialException):
            self.close()
            raise LinkError(self._why_gone()) from None
        self.bytes_in += len(data)
        for frame in self._decoder.feed(data):
            self._sort(frame)
        if not data:
            self._decoder.drop()  # the rest is lost
        if self._hello is None and self._decoder.bad > bad:
            self._check_version(self._decoder.head)
        self._silent = 0 if data else self._silent + 1
        if not self._at_console() and self._decoder.bad > bad:
            self._hurry()

    def _check_version(self, head: bytes) -> None:
        """Whether a bad frame is the reply to HELLO in the coding of another version.

        Raises:
            LinkError: it is.
        """
        if len(head) > FRAME_HEAD.size:
            _, kind, _, session, _ = FRAME_HEAD.unpack_from(head)
            version = head[FRAME_HEAD.size]
            if (kind, session) == (Kind.HELLO | REPLY, self._session) and version != VERSION:
                self.close()
                raise _other_version(version)

    def _at_console(self) -> bool:
        """Whether the board's console speaks in place of its firmware.

        Raises:
            LinkError: it does, and has said what there is to say.
        """
        if self._flight and self._flight[0].seq in self._replies:
            return False  # it has answered first, as it does when it is asked to stop
        heard = console.hear(bytes(self._decoder.text)) if self._decoder.text else None
        if heard is None:
            return False
        if self._hello is None and heard.state is not console.State.ENDED:
            return False  # it is about to serve
        if heard.whole or (heard.line and self._silent) or self._silent > _SILENT_READS:
            self.close()
            self._decoder.text.clear()
            raise LinkError(console.explain(heard, self._others()))
        return True

    def _others(self) -> str:
        """Other programs that have the port open."""
        address = getattr(self._port, "port", None)
        return port_users.others(address) if address else ""

    def _why_gone(self) -> str:
        others = self._others()
        if others:
            return f"the board's answers go elsewhere: close {others}, then run this again"
        return (
            "the board is gone (unplugged, its power was cut, or another program has its port):"
            " bring it back, then run this again"
        )

    def _sort(self, frame: Frame) -> None:
        if not self._flight:
            return
        oldest = self._flight[0]
        if frame.kind == NAK and (frame.session == self._session or oldest.kind == Kind.HELLO):
            self.naks += 1
            self._resend(everything=True)
        elif frame.session == self._session:
            place = (frame.seq - oldest.seq) & 0xFFFF
            if place < len(self._flight) and frame.kind in (oldest.kind | REPLY, REFUSAL):
                self._replies[frame.seq] = frame
                if oldest.seq not in self._replies:
                    self._hurry()  # that one was answered too, earlier

    def _hurry(self) -> None:
        """The oldest request's reply seems to be lost: ask for it again, once."""
        if self._flight and not self._hurried:
            self._hurried = True
            self._resend(everything=False)

    def _collect(self, timeout: float) -> bytes:
        """The reply to the oldest request in flight."""
        timeout *= self._slowness
        oldest = self._flight[0]
        began = time.monotonic()
        in_flight = sum(len(r.wire) for r in self._flight)
        patience = _PATIENCE + 2 * self._round_trip + in_flight * 10 / self._baud
        while oldest.seq not in self._replies:
            now = time.monotonic()
            if now - began > timeout:
                self.close()
                others = self._others()
                remedy = (
                    f"close {others}, which has its port open too, and try again"
                    if others
                    else "reset it and try again, or give a slow board longer with --patience"
                )
                raise _SilenceError(
                    f"the board stopped answering: no reply to {Kind(oldest.kind).name} for"
                    f" {timeout:g} s; {remedy}"
                )
            if now - max(began, self._last_sent) > patience and not self._at_console():
                # One only: a board that is merely busy has no room for all of them.
                patience = min(2 * patience, max(patience, 2.0))
                self._resend(everything=False)
            self._receive()
        frame = self._replies.pop(oldest.seq)
        took = time.monotonic() - self._flight.popleft().sent
        if took > 0:  # not one that was sent again
            self._round_trip = max(took, 0.9 * self._round_trip)
        self._hurried = False
        if frame.kind == REFUSAL:
            raise _device_error(frame.payload)
        return frame.payload


def _other_version(version: object) -> LinkError:
    return LinkError(
        f"the firmware speaks link version {version}, this madem speaks {VERSION}:"
        " run `madem deploy`"
    )


class _SilenceError(LinkError):
    """Nothing came back in time."""


def _device_error(payload: bytes) -> DeviceError:
    code = payload[0] if payload else 0
    said = payload[1:].decode("utf-8", "replace")
    known = ERROR_TEXTS.get(code, f"the firmware reports error {code}")
    return DeviceError(code, f"{known}: {said}" if said else known)
