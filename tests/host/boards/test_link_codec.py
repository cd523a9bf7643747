"""Frames: against bytes worked by hand, and whatever hypothesis comes up with."""

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madem.boards.link import (
    Decoder,
    Frame,
    Hello,
    Link,
    encode_frame,
    longest_body,
    wire_length,
)
from madem.boards.link_protocol import FRAME_BYTES, NAK, Kind
from madem.errors import LinkError

# Worked by hand; the CRCs are those in the trailer of `gzip`.
GOLDEN = [
    # Body 0c 00 01 00 34 12 00 00 6b 01 3a 99. Mask 6 would make the length 0a, a line feed.
    (Frame(Kind.HELLO, 0, 0x1234, 0, b""), "00 07 0b 07 06 07 33 15 07 07 6c 06 3d 9e"),
    # Body 0c 00 fe 02 ff ff 03 00 f0 80 65 2c. 6 to 9 would leave 04, 05, 0a; 0a is none.
    (Frame(NAK, 2, 0xFFFF, 3, b""), "00 0b 07 0b f5 09 f4 f4 08 0b fb 8b 6e 27"),
    # Eight blocks, the last of two bytes; CRC 05 68 cd b1.
    (
        Frame(Kind.LEARN, 0, 0xBEEF, 0x0102, b"\x55" * 200),
        "00 10 c4 10 13 10 ff ae 12 11"
        + 22 * " 45"
        + 5 * (" 06" + 30 * " 53")
        + " 09"
        + 28 * " 5c"
        + " 0c 61 06 cb b7",
    ),
]

payloads = st.one_of(
    st.binary(max_size=300),
    st.integers(0, 4000).map(bytes),  # one value over and over
    st.binary(min_size=1, max_size=6).map(lambda b: (b * 400)[:700]),
    st.integers(0, 255).map(lambda a: bytes((a + 77 * i) & 255 for i in range(256))),  # all of them
)
frames = st.builds(
    Frame,
    kind=st.integers(0, 255),
    credit=st.integers(0, 255),
    session=st.integers(0, 0xFFFF),
    seq=st.integers(0, 0xFFFF),
    payload=payloads,
)


def encode(frame: Frame) -> bytes:
    return encode_frame(frame.kind, frame.session, frame.seq, frame.payload, frame.credit)


@pytest.mark.parametrize(("frame", "wire"), GOLDEN)
def test_golden_frames(frame: Frame, wire: str) -> None:
    assert encode(frame) == bytes.fromhex(wire)
    assert Decoder().feed(bytes.fromhex(wire)) == [frame]


def test_the_worked_example_of_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs/reference/link.md").read_text()
    (body,) = re.findall(r"^body +([0-9a-f ]+)$", text, re.MULTILINE)
    (wire,) = re.findall(r"^wire +([0-9a-f ]+)$", text, re.MULTILINE)
    body, wire = bytes.fromhex(body), bytes.fromhex(wire)
    assert zlib.crc32(body[:-4]).to_bytes(4, "little") == body[-4:]
    (frame,) = Decoder().feed(wire)
    assert encode(frame) == wire
    assert (frame.kind, frame.payload) == (Kind.LEARN, body[8:-4])


@given(frames)
def test_round_trip_without_delimiter_or_anything_that_a_repl_obeys(frame: Frame) -> None:
    wire = encode(frame)
    assert wire[0] == 0
    assert not set(b"\0\1\2\3\4\5\r\n") & set(wire[1:])
    assert len(wire) == wire_length(FRAME_BYTES + len(frame.payload))
    decoder = Decoder()
    assert decoder.feed(wire) == [frame]
    assert (decoder.bad, decoder.wants) == (0, 14)


@given(st.lists(frames, max_size=4), st.data())
def test_frames_survive_in_any_pieces_and_amid_garbage(sent: list[Frame], data: st.DataObject):
    # Garbage ends where a frame begins; should it look like a frame, it is cut there.
    garbage = st.binary(max_size=40).map(lambda b: b.replace(b"\0", b"?"))
    line = b"".join(data.draw(garbage) + encode(frame) for frame in sent)
    decoder, got = Decoder(), []
    while line:
        n = data.draw(st.integers(1, len(line)))
        got += decoder.feed(line[:n])
        line = line[n:]
    assert got == sent


@given(frames, st.data())
def test_a_cut_frame_costs_only_itself(frame: Frame, data: st.DataObject) -> None:
    wire = encode(frame)
    cut = wire[: data.draw(st.integers(1, len(wire) - 1))]
    decoder = Decoder()
    assert decoder.feed(cut) == []
    assert decoder.feed(wire) == [frame]
    assert decoder.bad == (len(cut) > 1)


@given(frames, st.data())
def test_a_damaged_byte_never_yields_a_frame(frame: Frame, data: st.DataObject) -> None:
    wire = bytearray(encode(frame))
    wire[data.draw(st.integers(0, len(wire) - 1))] ^= data.draw(st.integers(1, 255))
    assert Decoder().feed(bytes(wire)) == []


@given(st.lists(st.one_of(st.binary(max_size=60), frames.map(encode))))
def test_whatever_comes_the_decoder_asks_for_what_can_come(pieces: list[bytes]) -> None:
    """At least one byte, and no more than the shortest frame while no length is known."""
    decoder = Decoder()
    for piece in pieces:
        decoder.feed(piece)
        assert 1 <= decoder.wants <= wire_length(0xFFFF)
    decoder.drop()
    assert decoder.wants == 14


@given(st.integers(14, 70_000))
def test_longest_body_is_what_just_fits(wire_bytes: int) -> None:
    longest = longest_body(wire_bytes)
    assert wire_length(longest) <= wire_bytes < wire_length(longest + 1)


def test_hello_is_unpacked() -> None:
    payload = bytes.fromhex("03 0001 02 0001 00300000 07000000 20 0130 0178")
    assert Hello.parse(payload) == Hello(3, 256, 2, 256, 0x3000, 7, 32, "0", "x")


class Answering:
    """A port behind which a firmware answers HELLO, with this coding of a reply."""

    timeout: float | None = None
    write_timeout: float | None = None

    def __init__(self, code: Callable[[bytes], bytes]) -> None:
        self._code = code
        self._waiting = b""

    @property
    def in_waiting(self) -> int:
        return len(self._waiting)

    def write(self, b: bytes, /) -> int:
        for frame in Decoder().feed(b):
            body = struct.pack("<HBBHH", 60, 0x81, 2, frame.session, frame.seq) + b"\1" + bytes(47)
            self._waiting += self._code(body + zlib.crc32(body).to_bytes(4, "little"))
        return len(b)

    def read(self, size: int = 1, /) -> bytes:
        data, self._waiting = self._waiting[:size], self._waiting[size:]
        return data


@pytest.mark.parametrize("block", [30, 62, 100])
def test_a_firmware_of_another_version_is_told_so_whatever_its_blocks(block: int) -> None:
    """Also where its frames can't be decoded: versions 1 and 2 had blocks of 62 bytes."""

    def code(body: bytes) -> bytes:
        masked = bytes(b ^ 0x40 for b in body)
        parts = [b"\x40" + masked[at : at + block] for at in range(0, len(body), block)]
        return b"\0" + b"".join(parts)

    with pytest.raises(LinkError, match=r"speaks link version 1, this madem speaks 3: run `madem"):
        Link(Answering(code)).hello()


@pytest.mark.parametrize(
    "payload", ["02", "", "03 0001 02", "03 0001 02 0001 00300000 07000000 20"]
)
def test_a_hello_that_we_cannot_read_says_what_to_do(payload: str) -> None:
    with pytest.raises(LinkError, match="madem deploy"):
        Hello.parse(bytes.fromhex(payload))
