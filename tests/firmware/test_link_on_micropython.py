"""The firmware's link inside real MicroPython, through pipes: its frames, its heap, its nerves."""

import contextlib
import os
import random
import select
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from madem.boards.link import Decoder, Frame, Link, encode_frame
from madem.boards.link_protocol import NAK, REFUSAL, REPLY, Kind
from madem_emulator.boards.unix_interpreter import find_micropython

from ..conftest import SEED

_ROOT = Path(__file__).parents[2]
SESSION = 0x2F1C
MAX_BODY = 256


class PipePort:
    """As much of a serial port as Link uses, over a process's stdin and stdout."""

    write_timeout: float | None = None
    timeout: float | None = None
    in_waiting = 0

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        self._in, self._out = process.stdout, process.stdin
        self.seen: set[int] = set()

    def read(self, size: int = 1, /) -> bytes:
        data = b""
        while len(data) < size and select.select([self._in], [], [], self.timeout)[0]:
            piece = os.read(self._in.fileno(), size - len(data))
            if not piece:
                raise OSError("it ended")
            data += piece
        self.seen.update(data)
        return data

    def write(self, b: bytes, /) -> int:
        self._out.write(b)
        self._out.flush()
        return len(b)


@contextlib.contextmanager
def link_server(
    max_body: int = MAX_BODY, window: int = 2, rx_bytes: int = 256
) -> Iterator[subprocess.Popen[bytes]]:
    script = _ROOT / "tests/firmware/device/link_server.py"
    with subprocess.Popen(
        [find_micropython(), str(script), str(max_body), str(window), str(rx_bytes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"MICROPYPATH": str(_ROOT / "firmware")},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def connected(**settings: int) -> Iterator[Link]:
    """A link on which nothing is sent again because the computer is busy."""
    with link_server(**settings) as process, pytest.MonkeyPatch.context() as patch:
        patch.setattr("madem.boards.link._PATIENCE", 60.0)
        link = Link(PipePort(process))
        link.hello()
        yield link


def heap_in_use(link: Link) -> int:
    return struct.unpack("<IHI", link.request(Kind.DIGEST))[2]


@pytest.mark.parametrize("max_body", [256, 4096])
def test_the_firmware_codes_what_the_host_decodes(max_body: int) -> None:
    draw = random.Random(3)
    with connected(max_body=max_body, window=8, rx_bytes=65535) as link:
        longest = max_body - 12
        payloads = [draw.randbytes(n) for n in range(1, 239)]
        payloads += [bytes([v]) * draw.randrange(1, longest) for v in range(256)]
        payloads += [bytes((a + 77 * i) & 255 for i in range(longest)) for a in range(256)]
        payloads = [b"\1" + p[: longest - 1] for p in payloads]
        assert list(link.request_many((Kind.ECHO, p) for p in payloads)) == payloads
        assert (link.resent, link.naks, link._decoder.bad) == (0, 0, 0)
        assert isinstance(link._port, PipePort)
        assert not set(b"\1\2\3\4\5\r\n") & link._port.seen


def test_golden_reply() -> None:
    """Worked by hand but for the CRC, which is that of `gzip`."""
    with link_server() as process:
        assert process.stdin
        assert process.stdout
        hello = encode_frame(Kind.HELLO, SESSION, 0)
        process.stdin.write(hello + encode_frame(Kind.ECHO, SESSION, 1, b"\1\2\3\4"))
        process.stdin.flush()
        head = process.stdout.read(4)
        length = (head[2] ^ head[1]) | (head[3] ^ head[1]) << 8
        process.stdout.read(1 + length + (length + 29) // 30 - 4)
        # Body 10 00 8a 02 1c 2f 01 00 01 02 03 04 b8 00 d9 e6: 02 rules out 6 to 8 and f, 03 9
        # and e, 01 b and c, 10 all from 10 to 15, and 1c, which would become a 0a, 16.
        golden = bytes.fromhex("00 17 07 17 9d 15 0b 38 16 17 16 15 14 13 af 17 ce f1")
        assert process.stdout.read(18) == golden


def test_no_heap_is_used_by_ten_thousand_frames() -> None:
    with connected(window=8, rx_bytes=4000) as link:
        before = heap_in_use(link)
        link.request(Kind.WRITE, b"\1")  # from now on an allocation is a MemoryError
        list(link.request_many((Kind.LEARN, b"sample") for _ in range(5_000)))
        list(link.request_many((Kind.ECHO, b"\1" + bytes(200)) for _ in range(5_000)))
        link.request(Kind.WRITE, b"\0")
        assert heap_in_use(link) == before
        assert (link.resent, link.naks) == (0, 0)


class Malice:
    """Frames that must not be executed, while `due` is the request that is due."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._kinds = [
            *(self.flipped, self.cut, self.noise, self.spliced, self.impossible),
            *(self.oversized, self.foreign, self.gap, self.echoed, self.repeated),
        ]
        self.executed = [encode_frame(Kind.HELLO, SESSION, 0)]
        self.due = 1
        self._payload = b"never to be learned"

    def frame(self) -> bytes:
        return self._random.choice(self._kinds)()

    def good(self, payload: bytes) -> bytes:
        """The one frame that is to be executed now."""
        wire = encode_frame(Kind.LEARN, SESSION, self.due, payload)
        self.executed = [*self.executed[-5:], wire]
        self.due = (self.due + 1) & 0xFFFF
        return wire

    def _tempting(self) -> bytearray:
        """What would be executed as it is."""
        return bytearray(encode_frame(Kind.LEARN, SESSION, self.due, self._payload))

    def flipped(self) -> bytes:
        wire = self._tempting()
        for _ in range(self._random.randrange(1, 4)):
            wire[self._random.randrange(len(wire))] ^= 1 << self._random.randrange(8)
        # The same bit of a mask and of the only byte behind it: the frame is what it was.
        return b"\0" if Decoder().feed(bytes(wire)) else bytes(wire)

    def cut(self) -> bytes:
        wire = self._tempting()
        # Without its whole CRC: a single byte may well be what noise begins with.
        return bytes(wire[: self._random.randrange(len(wire) - 3)])

    def noise(self) -> bytes:
        return self._random.randbytes(self._random.randrange(60))

    def spliced(self) -> bytes:
        return self.cut() + self.cut()[1:]

    def impossible(self) -> bytes:
        body = struct.pack("<HBBHH", self._random.randrange(12), Kind.LEARN, 0, SESSION, self.due)
        body += zlib.crc32(body).to_bytes(4, "little")
        return b"\0\x80" + bytes(b ^ 0x80 for b in body)

    def oversized(self) -> bytes:
        size = MAX_BODY - 12 + self._random.randrange(1, 40)
        return encode_frame(Kind.LEARN, SESSION, self.due, bytes(size))

    def foreign(self) -> bytes:
        session = SESSION ^ self._random.randrange(1, 0x10000)
        return encode_frame(Kind.LEARN, session, self.due, self._payload)

    def gap(self) -> bytes:
        seq = (self.due + self._random.randrange(1, 0xFF00)) & 0xFFFF
        return encode_frame(Kind.LEARN, SESSION, seq, self._payload)

    def echoed(self) -> bytes:
        return encode_frame(self._random.randrange(0x80, 0x100), SESSION, self.due, self._payload)

    def repeated(self) -> bytes:
        return self._random.choice(self.executed)


@pytest.mark.parametrize(
    ("count", "seed"), [(20_000, 20_000), pytest.param(1_000_000, SEED, marks=pytest.mark.long)]
)
def test_malformed_frames_do_nothing(count: int, seed: int) -> None:
    """Bad frames by the bulk, among them good ones: only these are executed, none is missed.

    The heap is locked meanwhile: any allocation would end the server.
    """
    malice = Malice(seed)
    payloads: list[bytes] = []
    heard = bytearray()

    with link_server() as process:
        assert process.stdin
        assert process.stdout
        listen = threading.Thread(target=_drain, args=(process.stdout.fileno(), heard))
        listen.start()
        out = process.stdin
        out.write(malice.executed[0])
        for kind, payload in ((Kind.DIGEST, b""), (Kind.WRITE, b"\1")):
            out.write(encode_frame(kind, SESSION, malice.due, payload))
            malice.due += 1
        for _ in range(count // 100):
            bad = b"".join(malice.frame() for _ in range(100))
            payloads.append(bad[:20])
            out.write(bad + malice.good(payloads[-1]))
        for kind, payload in ((Kind.WRITE, b"\0"), (Kind.DIGEST, b""), (Kind.STOP, b"")):
            out.write(encode_frame(kind, SESSION, malice.due, payload))
            malice.due += 1
        out.close()
        listen.join(120)
        assert not listen.is_alive()
        assert process.wait(120) == 0

    # Answers to repetitions are equal to the first: each different frame is decoded once.
    different = list(dict.fromkeys(bytes(heard).split(b"\0")))[1:]
    said: dict[tuple[int, int, int], Frame] = {}
    for piece in different:
        (frame,) = Decoder().feed(b"\0" + piece)
        assert said.setdefault((frame.kind, frame.session, frame.seq), frame) == frame
    mine = {key[::2]: frame.payload for key, frame in said.items() if key[1] == SESSION}
    learned = [p for (kind, _), p in mine.items() if kind == Kind.LEARN | REPLY]
    assert [int.from_bytes(p, "little") for p in learned] == list(range(1, len(payloads) + 1))
    before, after = (
        struct.unpack("<IHI", p) for (kind, _), p in mine.items() if kind == Kind.DIGEST | REPLY
    )
    total = 0
    for byte in b"".join(payloads):
        total = (total * 31 + byte) & 0xFFFF
    assert after == (len(payloads), total, before[2])
    allowed = {
        Kind.HELLO | REPLY,
        Kind.DIGEST | REPLY,
        Kind.WRITE | REPLY,
        Kind.LEARN | REPLY,
        Kind.STOP | REPLY,
        NAK,
    }
    assert {kind for kind, _ in mine} == allowed
    foreign = {(f.kind, f.payload) for (_, session, _), f in said.items() if session != SESSION}
    assert foreign == {(REFUSAL, b"\6")}


def _drain(descriptor: int, into: bytearray) -> None:
    while piece := os.read(descriptor, 1 << 16):
        into += piece


def answers(*sent: bytes) -> list[Frame]:
    """What the server says to these bytes after a HELLO of SESSION with seq 0."""
    with link_server() as process:
        everything, _ = process.communicate(encode_frame(Kind.HELLO, SESSION, 0) + b"".join(sent))
    hello, *rest = Decoder().feed(everything)
    assert hello[:4] == (Kind.HELLO | REPLY, 2, SESSION, 0)
    return rest


def test_one_nak_for_a_burst_of_trouble_and_one_for_each_resend() -> None:
    first = encode_frame(Kind.LEARN, SESSION, 1, b"first")
    bad = first[:-1] + bytes([first[-1] ^ 1])
    gap = encode_frame(Kind.LEARN, SESSION, 3, b"third")
    said = answers(bad, gap, bad[:9], bad, b"\0", bad, bad, gap, first, bad, gap, gap)
    assert [(f.kind, f.seq) for f in said] == [
        (NAK, 1),
        (NAK, 1),  # after the run of zeros
        (Kind.LEARN | REPLY, 1),
        (NAK, 2),
    ]


def test_a_repeated_request_is_not_executed_again() -> None:
    learn = encode_frame(Kind.LEARN, SESSION, 1, b"once")
    refused = encode_frame(99, SESSION, 2)
    long = encode_frame(Kind.ECHO, SESSION, 3, b"\1" * 100)
    disguised = encode_frame(Kind.LEARN, SESSION, 3, b"instead")
    digest = encode_frame(Kind.DIGEST, SESSION, 4)
    said = answers(
        *(learn, learn, refused, refused, learn, long, long, disguised, digest),
        *(long, digest, learn),
    )
    assert [(f.kind, f.seq) for f in said] == [
        *[(Kind.LEARN | REPLY, 1)] * 2,
        *[(REFUSAL, 2)] * 2,
        (Kind.LEARN | REPLY, 1),
        *[(Kind.ECHO | REPLY, 3)] * 2,
        (NAK, 4),
        (Kind.DIGEST | REPLY, 4),
        (Kind.ECHO | REPLY, 3),
        (Kind.DIGEST | REPLY, 4),
        (NAK, 5),  # the reply to 1 is no longer kept, as two newer ones are
    ]
    assert {f.payload for f in said if f.seq == 1} == {b"\1\0\0\0"}
    assert {f.payload for f in said if f.seq == 2} == {b"\1no such kind"}
    assert {f.payload for f in said if f.seq == 3} == {b"\1" * 100}
    assert struct.unpack("<IHI", said[-2].payload)[0] == 1


def test_texts_of_refusals_arrive_whole_and_are_kept() -> None:
    """None is cut before a frame is full, and no refused request is executed twice."""
    longest = MAX_BODY - 13
    asked = [
        encode_frame(Kind.STATS, SESSION, seq, size.to_bytes(2, "little"))
        for seq, size in enumerate((60, longest, longest + 1), 1)
    ]
    digest = encode_frame(Kind.DIGEST, SESSION, 4)
    said = answers(asked[0], asked[1], asked[0], asked[1], asked[2], asked[1], asked[2], digest)
    assert [(f.kind, f.seq) for f in said[:-1]] == [(REFUSAL, n) for n in (1, 2, 1, 2, 3, 2, 3)]
    texts = [f.payload[1:].decode() for f in said[:-1]]
    assert texts[:2] == texts[2:4] == [f"{1:60}", f"{2:{longest}}"]
    assert texts[4:] == [f"{3:{longest + 1}}"[:longest], texts[1], texts[4]]
    assert {f.payload[0] for f in said[:-1]} == {2}
    assert struct.unpack("<IHI", said[-1].payload)[0] == 3


def test_the_names_in_a_hello_are_not_cut() -> None:
    with connected(max_body=128) as link:
        machine = subprocess.check_output(
            [find_micropython(), "-c", "import sys; print(sys.implementation._machine)"], text=True
        )
        assert link.board.firmware == "the server for the tests of the link, whose name is long"
        assert machine.strip().startswith(link.board.board)
        assert len(link.board.board) == min(len(machine.strip()), 128 - 12 - 17 - 56)


def test_a_repeated_hello_does_not_reset_the_session() -> None:
    said = answers(
        encode_frame(Kind.LEARN, SESSION, 1, b"a"),
        encode_frame(Kind.HELLO, SESSION, 0),
        encode_frame(Kind.LEARN, SESSION, 2, b"b"),
        encode_frame(Kind.HELLO, SESSION, 0),
        encode_frame(Kind.LEARN, SESSION, 1, b"a"),
        encode_frame(Kind.HELLO, SESSION + 1, 7),
        encode_frame(Kind.LEARN, SESSION, 3, b"c"),
        encode_frame(Kind.LEARN, SESSION + 1, 6, b"of nobody"),
        encode_frame(Kind.LEARN, SESSION + 1, 8, b"d"),
    )
    assert [(f.kind, f.session - SESSION, f.seq) for f in said] == [
        (Kind.LEARN | REPLY, 0, 1),
        (Kind.HELLO | REPLY, 0, 0),
        (Kind.LEARN | REPLY, 0, 2),
        (NAK, 0, 3),  # that HELLO is too old
        (Kind.LEARN | REPLY, 0, 1),
        (Kind.HELLO | REPLY, 1, 7),
        (REFUSAL, 0, 3),
        (NAK, 1, 8),
        (Kind.LEARN | REPLY, 1, 8),
    ]
    assert said[-1].payload == b"\3\0\0\0"


@pytest.mark.parametrize(
    "sent", [b"", b"\0", encode_frame(Kind.LEARN, SESSION, 1, bytes(200))[:100]]
)
def test_ctrl_c_gets_out_of_a_read_at_any_point(sent: bytes) -> None:
    with link_server() as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(encode_frame(Kind.HELLO, SESSION, 0))
        process.stdin.flush()
        process.stdout.read(14)  # it is up
        process.stdin.write(sent)
        process.stdin.flush()
        time.sleep(0.05)
        process.send_signal(2)
        assert process.stdout.read().endswith(b"interrupted\n")
        assert process.wait(120) == 0


def test_a_session_without_hello_is_refused() -> None:
    with link_server() as process:
        assert process.stdin
        assert process.stdout
        for session in (0, 1, 0xFFFF):
            process.stdin.write(encode_frame(Kind.LEARN, session, 0, b"x"))
        process.stdin.close()
        frames = Decoder().feed(process.stdout.read())
        assert [(f.kind, f.session, f.payload) for f in frames] == [
            (REFUSAL, session, b"\6") for session in (0, 1, 0xFFFF)
        ]
