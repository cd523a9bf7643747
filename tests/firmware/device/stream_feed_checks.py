"""Requests that feed a stream: what they answer, what they refuse, and that they use no heap."""

import struct

import build
import link_server_checks
from plain import Numbers, equal

CONFIGURE, READ, WRITE = 2, 5, 6
NORMALISATION, CODES = 6, 7
PIPELINE, FEED = 12, 13
PREDICT, LEARN = 1, 2
RESTART, FOLLOW, TRACED, OWN = 1, 2, 4, 8


def pipeline(channels=2, window=16, hop=8, flags=3, bands=0, norm=3):
    return PIPELINE, struct.pack("<BHHBBB", channels, window, hop, flags, bands, norm)


def feed(samples, number=0, mode=0, flags=0, label=0, rate=2064, pulses=1):
    head = struct.pack("<IHBBBB", number, rate, pulses, mode, flags, label)
    return FEED, head + bytes(samples)


def refusal(request, *before):
    (last,) = link_server_checks.serve_all(list(before) + [request])[0][-1:]
    return last[0], last[1:].decode()


def test_windows_are_counted_over_frames():
    data = Numbers(1).bytes(4 * 40)
    requests = [pipeline()] + [feed(data[4 * k : 4 * k + 20]) for k in range(0, 40, 5)]
    found = link_server_checks.serve_all(requests)[0]
    equal(struct.unpack("<H", found[0][:2])[0], 4)
    equal([reply[4] for reply in found[1:]], [0, 0, 0, 1, 1, 0, 1, 1])


def test_learning_from_a_stream_uses_no_heap():
    data = Numbers(2).bytes(4 * 8)
    requests = [pipeline(), (CONFIGURE, build.configure((8, 6, 3)))]
    step = 0
    for k in range(300):
        traced = TRACED if k % 2 else 0
        requests.append(feed(data, step, LEARN, FOLLOW | traced, k % 3))
        if k:
            step += 1
        requests.append(feed(data, k, PREDICT))
    found, server, used = link_server_checks.serve_all(requests, locked_from=20)
    equal(used[0], used[1])
    equal(server.learner.steps, step)
    equal([len(reply) for reply in found[-4:]], [6, 6, 26, 6])


def test_own_targets_and_the_score():
    sizes = (8, 5, 8)
    own = build.configure(sizes, one_hot=0)
    data = Numbers(3).bytes(4 * 16)
    requests = [pipeline(), (CONFIGURE, own), feed(data, 0, LEARN, RESTART | FOLLOW | OWN)]
    requests += [(READ, struct.pack("<BBII", CODES, 0, 0, 8))]
    requests += [(READ, struct.pack("<BBII", 2, 2, 0, 8))]
    found = link_server_checks.serve_all(requests)[0]
    equal(len(found[2]), 9)
    codes, outputs = found[3], found[4]
    expected = sum((204 * (c >= 128) - y) ** 2 for c, y in zip(codes, outputs))
    equal(struct.unpack("<I", found[2][5:])[0], expected)


def test_the_normalisation_can_be_put_back():
    state = struct.pack("<9I", 5, *[1 << 22, 70] * 4)
    where = struct.pack("<BBII", NORMALISATION, 0, 0, 36)
    found = link_server_checks.serve_all([pipeline(), (WRITE, where + state), (READ, where)])[0]
    equal(found[2], state)


def test_refusals():
    some = Numbers(4).bytes(4 * 16)
    net = (CONFIGURE, build.configure((8, 6, 3)))
    other = (CONFIGURE, build.configure((4, 3)))
    pairs = (CONFIGURE, build.configure((8, 6, 3), one_hot=0))
    equal(refusal(feed(some)), (3, "set up the pipeline first"))
    equal(refusal(feed(some, mode=LEARN), pipeline()), (3, "configure the network first"))
    equal(refusal(feed(some[:-1]), pipeline()), (2, "not a whole number of samples"))
    equal(refusal(feed(some, 7, LEARN), pipeline(), net), (5, "0"))
    equal(refusal(feed(some, mode=3), pipeline(), net), (2, "no such mode"))
    equal(refusal(feed(some, flags=TRACED), pipeline(), net), (2, "nothing to trace"))
    equal(
        refusal(feed(some, mode=LEARN, label=3), pipeline(), net),
        (2, "a class that has no output"),
    )
    equal(
        refusal(feed(some, mode=LEARN), pipeline(), pairs),
        (2, "a class that has no output"),
    )
    equal(
        refusal(feed(some, mode=LEARN, flags=OWN), pipeline(), pairs),
        (2, "the outputs are not those of the inputs"),
    )
    equal(
        refusal(feed(some, mode=PREDICT), pipeline(), other),
        (2, "the network has not the pipeline's inputs"),
    )
    equal(refusal(feed(some, mode=LEARN, rate=16384), pipeline(), net), (2, "a rate above 16383"))
    equal(refusal(feed(some, mode=LEARN, pulses=0), pipeline(), net), (2, "a change of no pulses"))
    equal(
        refusal(feed(bytes(2 * 63), mode=PREDICT), pipeline(1, 8, 1, 15), net),
        (2, "too many windows for one reply"),
    )
    equal(refusal((PIPELINE, b"\1")), (2, "not 8 bytes"))
    equal(refusal(pipeline(window=7)), (2, "a pipeline that this firmware does not know"))
    where = struct.pack("<BBII", CODES, 0, 0, 1)
    equal(refusal((WRITE, where + b"\1"), pipeline()), (2, "not to be written so"))
    equal(refusal((READ, where)), (2, "no such memory"))
