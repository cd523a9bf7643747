"""GATE, and windows that are gated: what they answer, what they refuse, and no heap."""

import struct

import build
import link_server_checks
from plain import Numbers, equal
from stream_feed_checks import FOLLOW, LEARN, OWN, PREDICT, TRACED, feed, pipeline, refusal

from madem import learn_gate

GATE = 19
GATED = 16
SETTINGS, CHECKPOINT, ROLLBACK, ASK = 0, 1, 2, 3
NEVER = 0xFFFFFFFF
NETWORK = (2, build.configure((8, 6, 3)))


def request(what, *settings):
    return GATE, bytes([what]) + (struct.pack("<HBBHH", *settings) if settings else b"")


def asked(reply):
    return struct.unpack("<3I3H", reply)


def test_gated_windows_use_no_heap_and_are_counted():
    data = Numbers(2).bytes(4 * 8)
    requests = [pipeline(), NETWORK, request(SETTINGS, 40, 60, 3, 300, 2)]
    for k in range(240):
        traced = TRACED if k % 2 else 0
        # The first fills the window only, so step k is learned with the one after.
        requests.append(feed(data, max(k - 1, 0), LEARN, FOLLOW | GATED | traced, k // 7 % 3))
    found, server, used = link_server_checks.serve_all(requests, locked_from=20)
    equal(used[0], used[1])
    windows = found[4:]
    equal({len(reply) for reply in windows}, {8, 28})
    gate = server.stream.gate
    equal(server.learner.steps, 239)
    flags = [reply[7] for reply in windows]
    equal(gate.learned, sum(1 for f in flags if f & 2))
    equal(gate.rollbacks, sum(1 for f in flags if f & 8))
    counts = gate.learned, gate.checkpoint_at, gate.rollbacks
    assert counts[0] < 239 and counts[1] > 0 and counts[2], counts


def test_by_hand():
    one = struct.pack("<BBII", 0, 1, 0, 6 * 9 * 2)
    two = struct.pack("<BBII", 1, 1, 0, 6 * 9)
    data = Numbers(3).bytes(4 * 16)
    step = [feed(data, k, LEARN, GATED | 1, k % 3) for k in range(20)]
    requests = [pipeline(), NETWORK, request(SETTINGS, 256, 100, 3, 0, 100)] + step[:10]
    requests += [request(CHECKPOINT), (5, one)] + step[10:]
    requests += [(5, one), request(ROLLBACK), (5, one), (5, two), request(ASK)]
    found = link_server_checks.serve_all(requests)[0]
    equal(asked(found[2]), (0, 0, NEVER, 0, 0, 0))
    checkpoint, devices = found[13], found[14]
    equal(asked(checkpoint)[:3], (10, 10, 10))
    after, rolled_back, again, sums, status = found[25:]
    assert after != devices
    equal(asked(rolled_back)[0:3] + asked(rolled_back)[5:], (20, 20, 10, 1))
    equal(again, devices)
    equal(status, rolled_back)
    equal(sums, bytes([128] * len(sums)))


def test_a_new_network_has_no_gate():
    some = Numbers(4).bytes(4 * 16)
    requests = [pipeline(), NETWORK, request(SETTINGS, 256, 100, 3, 0, 100), NETWORK]
    equal(refusal(request(ASK), *requests), (3, "send GATE's settings first"))
    equal(
        refusal(feed(some, 0, LEARN, GATED), *requests),
        (2, "send GATE's settings first"),
    )


def test_refusals():
    some = Numbers(4).bytes(4 * 16)
    good = request(SETTINGS, 256, 100, 3, 0, 100)
    equal(refusal(good), (3, "configure the network first"))
    equal(refusal(request(ASK), NETWORK), (3, "send GATE's settings first"))
    equal(refusal(request(ROLLBACK), NETWORK, good), (2, "there is no checkpoint"))
    for wrong in ((GATE, b""), request(4), request(ASK, 1, 1, 1, 1, 1), (GATE, good[1][:-1])):
        equal(refusal(wrong, NETWORK), (2, "no such GATE"))
    for wrong in ((257, 100, 3, 0, 1), (0, 101, 3, 0, 1), (0, 1, 0, 0, 1), (0, 1, 13, 0, 1)):
        equal(refusal(request(SETTINGS, *wrong), NETWORK), (2, "a setting out of range"))
    equal(refusal(request(SETTINGS, 0, 1, 3, 0, 0), NETWORK), (2, "a setting out of range"))
    pairs = (2, build.configure((8, 6, 3), one_hot=0))
    equal(refusal(good, pairs), (2, "only classes have a margin"))
    equal(
        refusal(feed(some, 0, PREDICT, GATED), pipeline(), NETWORK, good),
        (2, "only a class that is learned is gated"),
    )
    own = (2, build.configure((8, 5, 8), one_hot=0))
    equal(
        refusal(feed(some, 0, LEARN, GATED | OWN), pipeline(), own),
        (2, "only a class that is learned is gated"),
    )
    many = feed(bytes(2 * 27), 0, LEARN, GATED)
    small = (2, build.configure((10, 6, 3)))
    equal(
        refusal(many, pipeline(1, 8, 1, 15), small, good),
        (2, "too many windows for one reply"),
    )


def test_a_copy_that_does_not_fit_is_refused():
    learner = build.learner((60, 60, 3))
    gate = learn_gate.UpdateGate(learner, 256, 100, 3, 0, 100)
    rest = [None] * 10000
    count = 0
    try:
        while True:
            rest[count] = bytearray(4000)  # smaller than the copy
            count += 1
    except MemoryError:
        pass
    try:
        gate.checkpoint()
        raise AssertionError("it fits")
    except MemoryError:
        pass
    equal(gate.checkpoint_at, NEVER)
