"""GATE, and windows that the keeper judges: what they answer, what they refuse, and no heap."""

import struct

import build
import link_server_checks
from plain import Numbers, equal
from stream_feed_checks import FOLLOW, LEARN, OWN, PREDICT, TRACED, feed, pipeline, refusal

from madem import stream_gate

GATE = 19
JUDGED = 16
SETTINGS, NOW, BACK, ASK = 0, 1, 2, 3
NEVER = 0xFFFFFFFF
NETWORK = (2, build.configure((8, 6, 3)))


def keep(what, *settings):
    return GATE, bytes([what]) + (struct.pack("<HBBHH", *settings) if settings else b"")


def asked(reply):
    return struct.unpack("<3I3H", reply)


def test_judged_windows_use_no_heap_and_are_counted():
    data = Numbers(2).bytes(4 * 8)
    requests = [pipeline(), NETWORK, keep(SETTINGS, 40, 60, 3, 300, 2)]
    for k in range(240):
        traced = TRACED if k % 2 else 0
        # The first fills the window only, so step k is learned with the one after.
        requests.append(feed(data, max(k - 1, 0), LEARN, FOLLOW | JUDGED | traced, k // 7 % 3))
    found, server, used = link_server_checks.serve_all(requests, locked_from=20)
    equal(used[0], used[1])
    windows = found[4:]
    equal({len(reply) for reply in windows}, {8, 28})
    keeper = server.stream.keeper
    equal(server.learner.steps, 239)
    flags = [reply[7] for reply in windows]
    equal(keeper.learned, sum(1 for f in flags if f & 2))
    equal(keeper.backs, sum(1 for f in flags if f & 8))
    counts = keeper.learned, keeper.kept_at, keeper.backs
    assert counts[0] < 239 and counts[1] > 0 and counts[2], counts


def test_by_hand():
    one = struct.pack("<BBII", 0, 1, 0, 6 * 9 * 2)
    two = struct.pack("<BBII", 1, 1, 0, 6 * 9)
    data = Numbers(3).bytes(4 * 16)
    step = [feed(data, k, LEARN, JUDGED | 1, k % 3) for k in range(20)]
    requests = [pipeline(), NETWORK, keep(SETTINGS, 256, 100, 3, 0, 100)] + step[:10]
    requests += [keep(NOW), (5, one)] + step[10:]
    requests += [(5, one), keep(BACK), (5, one), (5, two), keep(ASK)]
    found = link_server_checks.serve_all(requests)[0]
    equal(asked(found[2]), (0, 0, NEVER, 0, 0, 0))
    kept, devices = found[13], found[14]
    equal(asked(kept)[:3], (10, 10, 10))
    after, gone_back, again, sums, status = found[25:]
    assert after != devices
    equal(asked(gone_back)[0:3] + asked(gone_back)[5:], (20, 20, 10, 1))
    equal(again, devices)
    equal(status, gone_back)
    equal(sums, bytes([128] * len(sums)))


def test_a_new_network_has_no_keeper():
    some = Numbers(4).bytes(4 * 16)
    requests = [pipeline(), NETWORK, keep(SETTINGS, 256, 100, 3, 0, 100), NETWORK]
    equal(refusal(keep(ASK), *requests), (3, "send GATE's settings first"))
    equal(
        refusal(feed(some, 0, LEARN, JUDGED), *requests),
        (2, "send GATE's settings first"),
    )


def test_refusals():
    some = Numbers(4).bytes(4 * 16)
    good = keep(SETTINGS, 256, 100, 3, 0, 100)
    equal(refusal(good), (3, "configure the network first"))
    equal(refusal(keep(ASK), NETWORK), (3, "send GATE's settings first"))
    equal(refusal(keep(BACK), NETWORK, good), (2, "nothing has been kept"))
    for request in ((GATE, b""), keep(4), keep(ASK, 1, 1, 1, 1, 1), (GATE, good[1][:-1])):
        equal(refusal(request, NETWORK), (2, "no such GATE"))
    for wrong in ((257, 100, 3, 0, 1), (0, 101, 3, 0, 1), (0, 1, 0, 0, 1), (0, 1, 13, 0, 1)):
        equal(refusal(keep(SETTINGS, *wrong), NETWORK), (2, "a setting out of range"))
    equal(refusal(keep(SETTINGS, 0, 1, 3, 0, 0), NETWORK), (2, "a setting out of range"))
    pairs = (2, build.configure((8, 6, 3), one_hot=0))
    equal(refusal(good, pairs), (2, "only classes have a margin"))
    equal(
        refusal(feed(some, 0, PREDICT, JUDGED), pipeline(), NETWORK, good),
        (2, "only a class that is learned is judged"),
    )
    own = (2, build.configure((8, 5, 8), one_hot=0))
    equal(
        refusal(feed(some, 0, LEARN, JUDGED | OWN), pipeline(), own),
        (2, "only a class that is learned is judged"),
    )
    many = feed(bytes(2 * 27), 0, LEARN, JUDGED)
    small = (2, build.configure((10, 6, 3)))
    equal(
        refusal(many, pipeline(1, 8, 1, 15), small, good),
        (2, "too many windows for one reply"),
    )


def test_a_copy_that_does_not_fit_is_refused():
    learner = build.learner((60, 60, 3))
    keeper = stream_gate.Keeper(learner, 256, 100, 3, 0, 100)
    rest = [None] * 10000
    count = 0
    try:
        while True:
            rest[count] = bytearray(4000)  # smaller than the copy
            count += 1
    except MemoryError:
        pass
    try:
        keeper.keep()
        raise AssertionError("it fits")
    except MemoryError:
        pass
    equal(keeper.kept_at, NEVER)
