"""Runs on a sensor, with sources that a program plays: whatever their timing, windows are those of
the samples that came, and nothing allocates."""

import gc
import struct

import build
import link_server_checks
import micropython
from plain import Numbers, equal

from madem import (
    link_server,
    network_config,
    sampling_timer,
    stream_features,
    stream_feed,
    stream_onboard,
)

PREDICT, LEARN, FOLLOW = 1, 2, 2
WINDOW, HOP = 16, 6
AFTER_GAP = 16
NONE = 255


class Erratic:
    """Time passes with every look; its FIFO is short, and what it loses, it loses at once."""

    channels = 2
    rate = 100000

    def __init__(self, seed, hurry, fifo, pause):
        """fifo: samples that it holds. Time passes at up to (hurry - 1) // 5 samples a look, and
        now and then by as many as a pause."""
        self._pause = pause
        self._numbers = Numbers(seed)
        self._hurry = hurry
        self._room = fifo
        self.lost = 0
        self.label = NONE
        self.run = None
        self._fifo = []
        self._slot = 0
        self._dropped = 0
        self.delivered = []

    def start(self):
        pass

    def _tick(self):
        values = (self._numbers.below(65536), self._numbers.below(65536))
        if len(self._fifo) == self._room:
            self._dropped += self._room + 1
            self._fifo.clear()
        else:
            self._fifo.append((self._slot, values))
        self._slot += 1

    def read(self, into):
        n = self._numbers
        if not n.below(50):
            self.label = n.below(3) if n.below(4) else NONE
        # Long pauses now and then: somebody has kept the board busy.
        for _ in range(self._pause if not n.below(400) else n.below(self._hurry) // 5):
            self._tick()
        self.run._host_label[0] = self.label
        told = self._dropped
        self.lost += told
        self._dropped = 0
        # Some sources tell a loss with the next sample, others before it.
        if not self._fifo or (told and n.below(2)):
            return False
        slot, values = self._fifo.pop(0)
        struct.pack_into("<HH", into, 0, *values)
        self.delivered.append((slot, values, self.label))
        return True


def start(source, mode=0, rate=0, raw=0, configured=None):
    """A server's run on this source."""
    server = link_server.Server(link_server_checks.Source(b"", 0, 0), link_server_checks.Sink(64))
    if configured:
        server.learner = network_config.build(network_config.parse(configured, 0, len(configured)))
    stream = server.stream = stream_feed.StreamFeed(server)
    stream.pipeline = stream_features.Pipeline(source.channels, WINDOW, HOP, 15, 2, 3)
    one = server.onboard = stream_onboard.OnboardRun(stream, server)
    one._poll = None
    one._source = source
    source.run = one
    equal(one._begin(mode, FOLLOW, rate, 1, raw), None)
    return one, stream


def remembered(one):
    """Of the newest window: sample times passed, label, flags, value."""
    at = 10 * ((one.windows - 1) % 32)
    return struct.unpack("<IBBI", one._remembered[at : at + 10])


def expected(delivered):
    """End, label, after a gap, inputs: of each window of the samples that came."""
    pipeline = stream_features.Pipeline(2, WINDOW, HOP, 15, 2, 3)
    found = []
    before = None
    gap = False
    same = 0
    label = None
    for slot, values, says in delivered:
        if slot != (0 if before is None else before + 1):
            pipeline.restart()
            gap = True
            same = 0
        before = slot
        same = same + 1 if says == label else 1
        label = says
        if pipeline.push(struct.pack("<HH", *values), 0):
            pipeline.compute(FOLLOW)
            known = label if same >= WINDOW else NONE
            found.append((slot + 1, known, gap, bytes(pipeline.codes)))
            gap = False
    return found


def check_timing(seed, hurry, fifo, pause):
    source = Erratic(seed, hurry, fifo, pause)
    one, stream = start(source, raw=4000)
    found = []
    while one.windows < 120:
        if one.pump():
            at, label, flags, _ = remembered(one)
            found.append((at, label, bool(flags & AFTER_GAP), bytes(stream.pipeline.codes)))
    wanted = expected(source.delivered)[:120]
    equal([row[:3] for row in found], [row[:3] for row in wanted])
    equal(found, wanted)
    # The ring of samples: what was taken, where it was; the rest is marked as lost.
    taken = {slot: (label, values) for slot, values, label in source.delivered}
    lost = 0
    for slot in range(max(0, one.samples - 4000), one.samples):
        row = bytes(one._raw[5 * (slot % 4000) : 5 * (slot % 4000) + 5])
        if slot in taken:
            equal(row, bytes((taken[slot][0],)) + struct.pack("<HH", *taken[slot][1]), slot)
        else:
            lost += 1
            equal(row[0], 254)
    if one.samples <= 4000:
        equal(lost, one._lost)
    return one._lost


def test_a_source_in_time_loses_nothing():
    for seed in range(3):
        equal(check_timing(seed, 6, 400, 100), 0)


def test_whatever_the_timing_no_window_spans_what_was_lost():
    lost = []
    for seed in range(12):
        fifo = (3, 20, 60, 85)[seed % 4]
        lost.append(check_timing(10 + seed, 10, fifo, 3 * fifo))
    assert min(lost) > 0, lost


class Steady:
    """A sample every other look; uses no heap."""

    channels = 1
    rate = 100000
    lost = 0
    run = None

    def __init__(self):
        self._looks = 0

    def start(self):
        pass

    def read(self, into):
        self._looks += 1
        if self._looks & 1:
            return False
        into[0] = self._looks * 37 & 255
        into[1] = self._looks >> 3 & 7
        return True


def test_learning_on_a_sensor_uses_no_heap():
    # 2 · (mean, energy, zero, min, max and two bands) inputs
    one, stream = start(Steady(), LEARN, 2064, 50, build.configure((14, 6, 3)))
    learner = stream._server.learner
    one._host_label[0] = 1
    while one.windows < 40:
        one.pump()
    gc.collect()
    used = gc.mem_alloc()
    micropython.heap_lock()
    try:
        while one.windows < 140:
            one.pump()
    finally:
        micropython.heap_unlock()
    equal(gc.mem_alloc(), used)
    equal(learner.steps, 140)
    equal(learner.network.pause, None)


def check_failure(error, reason):
    class Failing(Steady):
        def read(self, into):
            if self._looks > 100:
                raise error
            return Steady.read(self, into)

    one, stream = start(Failing(), LEARN, 2064, 0, build.configure((14, 6, 3)))
    while one.running:
        one.pump()
    equal(one._reason, reason)
    equal(stream._server.learner.network.pause, None)


def test_a_source_that_fails_ends_the_run():
    check_failure(OSError("gone"), "gone")


def test_so_does_a_fault_of_its_code_and_not_the_firmware():
    check_failure(IndexError("a fault on purpose"), "a fault on purpose")


def test_a_timer_counts_the_periods_that_nobody_came():
    class Clock:
        now = 0

    p = sampling_timer.SampleTimer(100000)
    sampling_timer.ticks_us = lambda: Clock.now
    equal(p.rate, 100000)
    p.start()
    found = []
    for now in (0, 9999, 10000, 10001, 20500, 29999, 55000, 55001, 60000):
        Clock.now = now
        found.append((p.due(), p.lost))
    wanted = [(False, 0), (False, 0), (True, 0), (False, 0), (True, 0), (False, 0)]
    equal(found, wanted + [(True, 2), (False, 2), (True, 2)])
    for rate in (99, 10000001):
        try:
            sampling_timer.SampleTimer(rate)
        except ValueError:
            continue
        raise AssertionError(rate)
