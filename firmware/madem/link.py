"""Frames on the serial line of the REPL: the device's end of docs/reference/link.md.

Small on purpose: it shares a heap of a few ten kilobytes with the learner.
Everything is allocated when a Link is made, nothing per frame. Reads block
until all the bytes asked for have come (some ports have no select), so the
receiver never asks for more bytes than the shortest possible rest of a frame.
"""

import gc
import struct
import sys

import micropython
from micropython import const

from . import link_crc, link_protocol
from .link_protocol import KEPT_REPLY, u16

HELLO = 1  # the kind that begins a session; the others are in link_server.py

_VERSION = const(3)
_REPLY = const(0x80)
_NAK = const(0xFE)
_REFUSAL = const(0xFF)
_FRAME_HEAD_LAYOUT = const("<HBBHH")
_HELLO_REPLY_LAYOUT = const("<BHBHIIB")
_ECHO_MODE_MANY = const(2)

_HEAD = const(8)  # body bytes before the payload
_FRAME_BYTES = const(12)  # body bytes beside the payload: header and CRC
_BLOCK = const(30)  # bytes behind one mask
_PIECE = const(32)  # most bytes asked for in one read; the host's release run is longer
_SLOT = const(64)  # a kept reply: kind, payload length (255: not kept), 2 spare, payload
_ERROR_BYTES = const(13)  # of a refusal's body beside its text

# Bodies of this firmware's frames: 1/128 of the free heap, from 256 bytes to 4 KB.
_HEAP_SHIFT = const(7)
_LEAST = const(256)
_MOST = const(4096)

# Receiver state, 16-bit cells: 0 next byte of the piece, 1 bytes in the piece,
# 2 body bytes so far + 1 (0: between frames), 3 body length (0: not yet known),
# 4 bytes left in the block, 5 mask, 6 longest body, 7 a NAK has been sent.
_NAKED = const(14)  # byte offset of cell 7

_SOUND = const(b"\x1c\xdf\x44\x21")  # CRC-32 of anything followed by its own CRC-32


@micropython.viper
def _take(state: ptr16, fresh: int, piece: ptr8, body: ptr8) -> int:
    """Decode a piece (`fresh` > 0: one just read) up to the next event.

    Returns the number of bytes to read next, 0 for a whole body, or -1 when a
    frame was cut short or has an impossible length.
    """
    if fresh > 0:
        state[0] = 0
        state[1] = fresh
    i = state[0]
    n = state[1]
    at = state[2]
    length = state[3]
    left = state[4]
    mask = state[5]
    event = 1
    while event > 0 and i < n:
        c = piece[i]
        i += 1
        if c == 0:  # only ever the start of a frame
            if at == 1 and mask == 0:
                state[7] = 0  # a run of zeros announces a resend: answer it afresh
            elif at:
                event = -1
            at = 1
            length = 0
            left = 0
            mask = 0
        elif at:
            if left == 0:
                mask = c
                left = 30
            else:
                body[at - 1] = c ^ mask
                left -= 1
                at += 1
                if at == 3:
                    length = body[0] | (body[1] << 8)
                    if length < 12 or length > state[6]:
                        at = 0
                        event = -1
                elif at > length and length:
                    at = 0
                    event = 0
    state[0] = i
    state[2] = at
    state[3] = length
    state[4] = left
    state[5] = mask
    if event < 1:
        return event
    if at == 0:
        return 14  # the shortest frame
    n = (length if length else 12) + 1 - at
    if n > left:
        n += (n - left + 29) // 30
    return n if n < 32 else 32


@micropython.viper
def _code(body: ptr8, at: int, n: int, wire: ptr8):
    """Code n bytes of the body from `at` as one block in wire[1 : n + 2]."""
    mask = 6  # the first byte that is none of these
    end = at + n
    i = at
    while i < end:
        c = body[i] ^ mask
        if c < 14 and (0x243F >> c) & 1:  # one of 0 to 5, 10 and 13
            mask += 1
            if mask == 10 or mask == 13:
                mask += 1
            i = at
        else:
            wire[i - at + 2] = c
            i += 1
    wire[1] = mask


@micropython.viper
def _copy(to: ptr8, at: int, source: ptr8, first: int, n: int):
    while n > 0:
        n -= 1
        to[at + n] = source[first + n]


def longest_body():
    """What a link on this heap should take, in bytes; it makes two buffers of that."""
    return max(_LEAST, min(gc.mem_free() >> _HEAP_SHIFT, _MOST) & -_LEAST)


class Link:
    """Hands out requests in order, each new one once, and sends the replies.

    A request's payload is body[8:end]; a reply's goes to out[8:8 + n].
    """

    start = _HEAD

    def __init__(self, stream_in, stream_out, max_body, window):
        """Streams like sys.stdin.buffer; max_body: payload + 12, from 128 to 65535 bytes.

        window: requests that the host may have in flight, 1 to 128.
        """
        self._read = stream_in.readinto
        self._write = stream_out.write
        self.window = window
        self.max_body = max_body
        self.body = bytearray(max_body)
        self.out = bytearray(max_body)
        self.end = _HEAD
        self._piece = bytearray(_PIECE)
        self._wire = bytearray(_BLOCK + 2)  # the first byte stays 0
        self._sum = bytearray(4)
        self._state = bytearray(16)
        struct.pack_into("<H", self._state, 12, max_body)
        self._kept = bytearray(_SLOT * window)
        self._texts = [""] * window  # of the kept refusals
        self._slot = 0  # of the newest reply
        self._done = 0  # slots that belong to this session
        self._session = self._before = -1  # none yet
        self._seq = 0  # of the request being served
        self._next = 0  # of the next new request
        self.idle = None  # called before every read; returns when there is something to read

    def receive(self):
        """Block until a request is to be executed; returns its kind.

        Answers everything else itself. EOFError when the stream has ended.
        """
        body = self.body
        n = 0
        while True:
            n = _take(self._state, n, self._piece, body)
            if n > 0:
                if self.idle:
                    self.idle()
                if self._read(self._piece, n) != n:
                    raise EOFError
            elif n == 0 and self._crc(body, u16(body, 0)) == _SOUND:
                kind = self._sort(body[2], u16(body, 4), u16(body, 6))
                if kind >= 0:
                    self.end = u16(body, 0) - 4
                    return kind
            else:
                self._nak()
                n = 0

    def _sort(self, kind, session, seq):
        """What to do with a sound frame: its kind when it is to be executed, else -1."""
        if kind >= _REPLY:  # our own voice, on a line that echoes
            return -1
        if session != self._session:
            if kind != HELLO or session == self._before:  # that one was repeated on the line
                self.out[_HEAD] = link_protocol.WRONG_SESSION
                self._send(_REFUSAL, 1, session, seq)
                return -1
            self._before = self._session
            self._session = session
            self._next = seq
            self._done = 0
        back = (self._next - seq) & 0xFFFF
        kept = self._kept
        slot = (self._slot + len(kept) - (back - 1) * _SLOT) % len(kept)
        if back == 0:
            self._next = (seq + 1) & 0xFFFF
            self._slot = slot
            if self._done < self.window:
                self._done += 1
            # What a repetition is told, should there never be a reply.
            kept[slot] = _REFUSAL
            kept[slot + 1] = 1
            kept[slot + 4] = link_protocol.INTERNAL
            self._texts[slot // _SLOT] = ""
        elif back > self._done or kept[slot + 1] > KEPT_REPLY and kept[slot] != kind | _REPLY:
            self._nak()
            return -1
        elif kept[slot + 1] <= KEPT_REPLY:
            n = kept[slot + 1]
            if kept[slot] == _REFUSAL:
                n = self._refusal(kept[slot + 4], self._texts[slot // _SLOT])
            else:
                _copy(self.out, _HEAD, kept, slot + 4, n)
            self._send(kept[slot], n, session, seq)
            kind = -1
        self._state[_NAKED] = 0
        self._seq = seq
        return kind

    def _crc(self, body, n):
        sum = self._sum
        sum[0] = sum[1] = sum[2] = sum[3] = 0
        link_crc.update(sum, body, 0, n)
        return sum

    def _nak(self):
        """Ask for the next new request, once until a good one or a resend comes."""
        if not self._state[_NAKED]:
            self._state[_NAKED] = 1
            self._send(_NAK, 0, self._session & 0xFFFF, self._next)

    def _send(self, kind, n, session, seq):
        out = self.out
        wire = self._wire
        n += _FRAME_BYTES
        struct.pack_into(_FRAME_HEAD_LAYOUT, out, 0, n, kind, self.window, session, seq)
        _copy(out, n - 4, self._crc(out, n - 4), 0, 4)
        at = 0
        while at < n:
            length = min(n - at, _BLOCK)
            _code(out, at, length, wire)
            if at:
                self._write(wire, 1, length + 1)
            else:
                self._write(wire, length + 2)
            at += length

    def reply(self, n):
        """Answer the request with out[8:8 + n].

        Up to 60 bytes are kept for a repeated request. A kind with longer
        replies must be harmless to execute twice.
        """
        kind = self.body[2] | _REPLY
        if (self._seq + 1) & 0xFFFF == self._next:  # else an old one, executed again
            kept = self._kept
            slot = self._slot
            kept[slot] = kind
            kept[slot + 1] = 255
            if n <= KEPT_REPLY:
                kept[slot + 1] = n
                _copy(kept, slot + 4, self.out, _HEAD, n)
        self._send(kind, n, self._session, self._seq)

    def error(self, code, text):
        """Refuse the request. text: str, ASCII; as much of it arrives as a frame holds."""
        if (self._seq + 1) & 0xFFFF == self._next:  # else an old one, executed again
            kept = self._kept
            slot = self._slot
            kept[slot] = _REFUSAL
            kept[slot + 1] = 1  # the text is kept as it is, not copied
            kept[slot + 4] = code
            self._texts[slot // _SLOT] = text
        self._send(_REFUSAL, self._refusal(code, text), self._session, self._seq)

    def _refusal(self, code, text):
        """Put the payload of a refusal into `out`; returns its length."""
        n = min(len(text), self.max_body - _ERROR_BYTES)
        self.out[_HEAD] = code
        _copy(self.out, _HEAD + 1, text, 0, n)
        return n + 1

    def refuse(self, text):
        """Refuse the request for its payload."""
        self.error(link_protocol.BAD_PAYLOAD, text)

    def hello(self, firmware, steps, rx_bytes):
        """Answer a HELLO.

        firmware: version, str; steps: samples learned so far; rx_bytes: what
        the line holds while nothing is read (a UART's ring, say 256).
        """
        gc.collect()
        bits = 64 if sys.maxsize >> 31 else 32
        struct.pack_into(
            _HELLO_REPLY_LAYOUT,
            self.out,
            _HEAD,
            _VERSION,
            self.max_body,
            self.window,
            rx_bytes,
            gc.mem_free(),
            steps,
            bits,
        )
        n = _HEAD + 15
        for text in (firmware, getattr(sys.implementation, "_machine", sys.platform)):
            length = min(len(text), 255, self.max_body - 6 - n)  # the other length, and the CRC
            self.out[n] = length
            _copy(self.out, n + 1, text, 0, length)
            n += length + 1
        self.reply(n - _HEAD)

    def echo(self):
        """Answer an ECHO: nothing, the payload, or as many bytes as it asks for."""
        body = self.body
        n = self.end - _HEAD
        mode = body[_HEAD] if n else 0
        if mode == _ECHO_MODE_MANY and n == 3:
            n = u16(body, _HEAD + 1)
            if n > self.max_body - _FRAME_BYTES:
                self.refuse("too long")
                return
        elif mode:
            _copy(self.out, _HEAD, body, _HEAD, n)
        else:
            n = 0
        self.reply(n)
