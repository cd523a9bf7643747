"""The command loop behind streams that are made up: what it answers, and that it uses no heap."""

import binascii
import gc
import struct

import build
import micropython
from plain import Numbers, equal

from madem import link_server

SESSION = 0x2F1C
HELLO, CONFIGURE, LEARN, PREDICT, READ, WRITE, DIGEST, STATS, FLIP = range(1, 10)
_BLOCK = 30


def frame(kind, seq, payload=b""):
    """The wire bytes of a request, as docs/reference/link.md has them."""
    body = struct.pack("<HBBHH", 12 + len(payload), kind, 0, SESSION, seq) + payload
    body += struct.pack("<I", binascii.crc32(body) & 0xFFFFFFFF)
    wire = b"\0"
    for at in range(0, len(body), _BLOCK):
        block = body[at : at + _BLOCK]
        mask = next(
            mask
            for mask in range(1, 256)
            if not ({0, 1, 2, 3, 4, 5, 10, 13} & ({mask} | {c ^ mask for c in block}))
        )
        wire += bytes([mask]) + bytes(c ^ mask for c in block)
    return wire


def replies(wire):
    """(kind, seq, payload) of everything that was sent."""
    found = []
    for coded in bytes(wire).split(b"\0")[1:]:
        body = b""
        for at in range(0, len(coded), _BLOCK + 1):
            body += bytes(c ^ coded[at] for c in coded[at + 1 : at + 1 + _BLOCK])
        equal(struct.unpack("<I", body[-4:])[0], binascii.crc32(body[:-4]) & 0xFFFFFFFF)
        _, kind, _, _, seq = struct.unpack("<HBBHH", body[:8])
        found.append((kind, seq, body[8:-4]))
    return found


class Source:
    """A stream that gives what it was made with, then ends.

    From byte `lock_at` on the heap is locked: any allocation is a MemoryError.
    """

    def __init__(self, data, end, lock_at):
        self._data = data
        self._at = 0
        self._end = end
        self._lock_at = lock_at
        self._locked = False
        self.used = [0, 0]  # bytes of heap when it was locked, and unlocked

    def readinto(self, buffer, n):
        data, at = self._data, self._at
        if not self._locked and at >= self._lock_at:
            self._locked = True
            self.used[0] = gc.mem_alloc()
            micropython.heap_lock()
        if at + n > self._end:
            if self._locked:
                micropython.heap_unlock()
                self.used[1] = gc.mem_alloc()
            return 0
        i = 0
        while i < n:
            buffer[i] = data[at + i]
            i += 1
        self._at = at + n
        return n


class Sink:
    """A stream that keeps what it is given, without an allocation."""

    def __init__(self, size):
        self._data = bytearray(size)
        self._end = 0

    def write(self, data, start, n=None):
        if n is None:
            start, n = 0, start
        i = 0
        while i < n:
            self._data[self._end + i] = data[start + i]
            i += 1
        self._end += n

    def data(self):
        return self._data[: self._end]


def serve_all(requests, locked_from=None):
    """Serve requests (kind, payload) after a HELLO.

    Returns:
        Their replies, the server, and the heap's use before and after the lock.
    """
    # Buffers first: the frames' garbage leaves no large piece of the heap.
    sink = Sink(200 * len(requests) + 200)
    wire = bytearray(sum(len(payload) for _, payload in requests) * 2 + 20 * len(requests) + 20)
    end, lock_at = 0, len(wire)
    for seq, (kind, payload) in enumerate([(HELLO, b"")] + requests):
        if seq - 1 == locked_from:
            lock_at = end
        coded = frame(kind, seq, payload)
        wire[end : end + len(coded)] = coded
        end += len(coded)
    source = Source(wire, end, lock_at)
    server = link_server.Server(source, sink)
    gc.collect()
    try:
        server.run()
    except EOFError:
        pass
    found = replies(sink.data())[1:]
    equal([seq for _, seq, _ in found], list(range(1, len(requests) + 1)), "replies in order")
    return [reply[2] for reply in found], server, source.used


def learn_payload(step, samples, traced, rate=2064):
    return struct.pack("<IHBB", step, rate, 1, traced) + bytes(samples)


def test_learning_over_the_link_uses_no_heap():
    sizes = (16, 8, 4)
    data = Numbers(1)
    requests = [(CONFIGURE, build.configure(sizes, caps=(500, 0), scales=(1, 2)))]
    step = 0

    def learn(samples, traced):
        chunk = data.bytes(17 * samples)
        for k in range(samples):
            chunk[17 * k + 16] &= 3
        requests.append((LEARN, learn_payload(step, chunk, traced)))
        return samples

    while step < 20:  # warm up
        step += learn(2, 1)
    warm = len(requests)
    while step < 1020:
        step += learn(1, 1)
        step += learn(3, 0)
        requests.append((PREDICT, b"\1" + data.bytes(16)))
        requests.append((STATS, b""))
    found, server, used = serve_all(requests, locked_from=warm)
    equal(len(found), len(requests))
    equal(server.learner.steps, 1020)
    equal(used[0], used[1], "bytes in use")
    stats = {struct.unpack("<4I", r)[2] for r, (kind, _) in zip(found, requests) if kind == STATS}
    equal(stats, {used[0]}, "bytes in use at each of the STATS")


def test_replies_of_a_first_session():
    x = bytes([255, 0, 128])
    found, server, _ = serve_all(
        [
            (STATS, b""),
            (CONFIGURE, build.configure((3, 2, 2))),
            (LEARN, learn_payload(0, x + b"\0", 1)),
            (LEARN, learn_payload(1, [0, 255, 64, 1, 200, 100, 50, 0], 0)),
            (PREDICT, b"\1" + x),
            (PREDICT, b"\0" + x),
            (READ, struct.pack("<BBII", 2, 1, 0, 2)),
        ]
    )
    equal(struct.unpack("<4I", found[0])[:2], (0, 0))
    # The golden digests of docs/reference/arithmetic.md.
    expected = struct.pack("<IB4I", 1, 0, 0x88BE8695, 0x9238FC35, 0x2B122B9C, 0xE4DBF5E4)
    equal(found[2], expected)
    equal(found[3], struct.pack("<I", 3) + bytes([0, 0]))
    equal(found[4], bytes([32, 0]))
    equal(found[5], bytes([0]))
    equal(found[6], bytes([0, 16]))
    equal(server.learner.steps, 3)


def test_a_single_output_is_its_activity():
    """Its class is always 0; its activity is not."""
    payload = build.configure((2, 1), one_hot=0, gains=[(255, 12)])
    ask = (PREDICT, b"\1\xff\xff\x80\x80\0\0")
    found, _, _ = serve_all([(CONFIGURE, payload), ask])
    assert len(set(found[1])) > 1 and max(found[1]) > 1, found[1]


def test_nothing_is_served_before_configure():
    kinds = (LEARN, PREDICT, READ, WRITE, DIGEST, FLIP)
    found, server, _ = serve_all([(kind, bytes(11)) for kind in kinds])
    equal([reply[0] for reply in found], [3] * len(kinds))
    equal(server.learner, None)


PIPELINE, FEED, SOURCE, GATE = 12, 13, 15, 19
BAD_PAYLOAD, NOT_CONFIGURED, INTERNAL = 2, 3, 7
_WINDOWS = (PIPELINE, struct.pack("<BHHBBB", 1, 8, 4, 1, 0, 6))


def memory(which, offset, data):
    return struct.pack("<BBII", which, 0, offset, len(data)) + data


def refusals(requests):
    """Error and text of each reply, or None where the request was done."""
    return [
        (payload[0], payload[1:].decode()) if kind == 255 else None
        for kind, _, payload in serve_kinds(requests)
    ]


def serve_kinds(requests):
    """Replies (kind, seq, payload) of requests that come after a HELLO."""
    sink = Sink(4000)
    wire = b"".join(
        frame(kind, seq, payload) for seq, (kind, payload) in enumerate([(HELLO, b"")] + requests)
    )
    server = link_server.Server(Source(wire, len(wire), len(wire) + 1), sink)
    try:
        server.run()
    except EOFError:
        pass
    return replies(sink.data())[1:]


def test_a_normalisation_that_no_stream_leads_to_is_refused():
    """Where integers have 32 bits, the next window was computed for ever."""
    feed = (FEED, struct.pack("<IHBBBB", 0, 0, 1, 0, 2, 0) + bytes(16))
    bad = "a normalisation that no stream leads to"
    for offset, data in ((0, b"\xff" * 12), (2, b"\1"), (7, b"\1"), (6, b"\x80"), (11, b"\x7f")):
        found = refusals([_WINDOWS, (WRITE, memory(6, offset, data)), feed])
        equal(found, [None, (BAD_PAYLOAD, bad), None], offset)
    for offset, data in ((0, b"\0\x10\0\0"), (4, b"\xff\xff\x7f\0"), (9, b"\xff")):
        equal(refusals([_WINDOWS, (WRITE, memory(6, offset, data)), feed]), [None] * 3, offset)


def test_a_step_beyond_the_last_is_refused():
    configure = (CONFIGURE, build.configure((3, 2)))
    for steps, good in ((0xFFFFFFFF, False), (1 << 30, False), ((1 << 30) - 1, True)):
        found = refusals([configure, (WRITE, struct.pack("<BBII", 5, 0, 0, steps))])
        equal(found[1] is None, good, steps)


def test_names_that_are_no_text_are_refused():
    payload = bytearray(build.configure((3, 2)) + b"\xff\xfe")
    payload[11] = 1  # a board of chips, of this name
    source = struct.pack("<IBB", 1000, 0, 2) + b"\xff\xfe"
    found = refusals([(CONFIGURE, payload), (SOURCE, source), (SOURCE, b"\0\0\0\0\0\xff")])
    equal([code for code, _ in found], [BAD_PAYLOAD] * 3)


def test_a_checkpoint_after_refused_settings_is_refused():
    configure = (CONFIGURE, build.configure((2, 2)))
    bad = (GATE, struct.pack("<BHBBHH", 0, 999, 1, 6, 0, 1))
    found = refusals([_WINDOWS, configure, bad, (GATE, b"\1"), (GATE, b"\2"), (GATE, b"\3")])
    equal([each and each[0] for each in found[2:]], [BAD_PAYLOAD] + [NOT_CONFIGURED] * 3)


def test_a_fault_of_a_handler_is_told_and_the_next_request_is_served():
    kept = link_server.Server._stats

    def fails(self):
        raise KeyError("a fault on purpose")

    link_server.Server._stats = fails
    try:
        found = refusals([(STATS, b""), (CONFIGURE, build.configure((3, 2)))])
    finally:
        link_server.Server._stats = kept
    equal(found[0][0], INTERNAL)
    assert "a fault on purpose" in found[0][1], found
    equal(found[1], None)


def test_a_greeting_of_the_session_before_does_not_end_this_one():
    global SESSION
    mine = SESSION
    try:
        SESSION = 77
        earlier = frame(HELLO, 5)
        SESSION = mine
        wire = earlier + frame(HELLO, 0) + earlier + frame(STATS, 1)
    finally:
        SESSION = mine
    sink = Sink(2000)
    server = link_server.Server(Source(wire, len(wire), len(wire) + 1), sink)
    try:
        server.run()
    except EOFError:
        pass
    found = [(kind, seq) for kind, seq, _ in replies(sink.data())]
    equal(found, [(HELLO | 128, 5), (HELLO | 128, 0), (255, 5), (STATS | 128, 1)])
