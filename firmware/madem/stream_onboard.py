"""Learn from the board's own sensor: the requests SOURCE and LIVE of docs/reference/link.md.

Imported when the first of them comes. Sampling goes on while windows are worked on: whatever takes
its time calls `take` in between, which moves samples from the source into a backlog, and a sensor
with a FIFO bridges the rest. Nothing allocates once a run has started.
"""

import gc
import struct
import sys
from time import sleep_ms, ticks_add, ticks_diff, ticks_ms

from micropython import const

from . import kernels, sampling_source, stream_feed
from . import link_protocol as protocol
from .link_protocol import reason

_LIVE_ASK = const(0)
_LIVE_START = const(1)
_LIVE_STOP = const(2)
_LIVE_LABEL = const(3)
_LIVE_RAW = const(4)
_LIVE_ASK_LAYOUT = const("<BIH")
_LIVE_START_LAYOUT = const("<BBBHBH")
_LIVE_LABEL_LAYOUT = const("<BB")
_LIVE_RAW_LAYOUT = const("<BI")
_LIVE_STATUS_LAYOUT = const("<B6IB")
_LIVE_WINDOW_LAYOUT = const("<IBBI")
_SOURCE_REPLY_LAYOUT = const("<BI")

# What the windows give.
_GIVES_NOTHING = const(0)
_GIVES_CLASSES = const(1)
_GIVES_SCORES = const(2)

_OUTCOME_AFTER_GAP = const(16)  # beside what stream_feed.py has

_NO_LABEL = const(255)
_LOST = const(254)  # in place of the label of a sample that nobody has
_BACKLOG = const(32)  # samples that wait while a window is worked on
_REMEMBERED = const(32)  # windows
_WINDOW = const(10)  # bytes of what is remembered of one
_TOLD = const(3)  # windows in one reply
_HEAD = const(26)  # bytes of a reply before them
_LONGEST_WAIT = const(1000)  # ms


class OnboardRun:
    """The source of a board, and the run that it feeds.

    Attributes:
        running: it goes on.
        samples: sample times passed since its start, lost ones included.
        windows: that were whole.
    """

    def __init__(self, stream, server):
        """Wait for SOURCE.

        Args:
            stream: the `stream_feed.StreamFeed` whose pipeline takes the samples.
            server: its `link_server.Server`.
        """
        self._stream = stream
        self._server = server
        self._source = None  # until SOURCE
        self._pins = []
        self.running = False
        self._reason = ""  # why a run ended by itself
        self._gives = _GIVES_NOTHING  # what a window gives: nothing, a class or a score
        self._host_label = bytearray((_NO_LABEL,))
        self._poll = self._poller()
        self._clear()

    def _poller(self):
        """What tells whether the host has sent something; None on ports that can't."""
        try:
            from select import POLLIN, poll

            poller = poll()
            poller.register(sys.stdin, POLLIN)
            return poller
        except (ImportError, OSError):
            return None

    def _clear(self):
        """Counters of a run, all 0."""
        self.samples = 0  # taken, and lost before the newest of them
        self.windows = 0
        self._labelled = self._right = 0
        self._lost = 0  # of the source, as far as it has been noticed
        self._waiting = self._first = 0  # samples in the backlog, and where they begin
        self._gap = self._pending = self._after_gap = False
        self._label = _NO_LABEL
        self._same = 0  # samples since the label last changed, up to a window
        self._raw = None

    def serve(self):
        """Answer LIVE: what u8, and what docs/reference/link.md has behind it."""
        lk = self._server.link
        body, at = lk.body, lk.start
        size = lk.end - at
        what = body[at] if size else 255
        if what > _LIVE_RAW or size != (7, 8, 1, 2, 5)[what]:
            lk.refuse("no such LIVE")
        elif what == _LIVE_START:
            _, mode, flags, rate, pulses, raw = struct.unpack_from(_LIVE_START_LAYOUT, body, at)
            wrong = self._begin(mode, flags, rate, pulses, raw)
            if wrong:
                lk.error(*wrong)
            else:
                self._tell(0)
        elif what == _LIVE_RAW:
            self._tell_raw(struct.unpack_from(_LIVE_RAW_LAYOUT, body, at)[1])
        else:
            first = self.windows
            if what == _LIVE_ASK:
                _, first, wait = struct.unpack_from(_LIVE_ASK_LAYOUT, body, at)
                self._wait(first, min(wait, _LONGEST_WAIT))
            elif what == _LIVE_STOP:
                self._end("")
            else:
                self._host_label[0] = struct.unpack_from(_LIVE_LABEL_LAYOUT, body, at)[1]
            if self._reason:
                lk.error(protocol.FRONT_END, self._reason)
            else:
                self._tell(first)

    # The source

    def choose(self):
        """Answer SOURCE: choose the sensor.

        Rate u32 in mHz, number of label pins u8, the pins, length of name u8, name, options.
        """
        lk = self._server.link
        self._end("")
        self._source = None
        gc.collect()
        try:
            source, self._pins = sampling_source.choose(bytes(lk.body[lk.start : lk.end]))
        except OSError as e:
            lk.error(protocol.FRONT_END, reason(e))
            return
        except ValueError as e:
            lk.refuse(reason(e))
            return
        except MemoryError:
            lk.error(protocol.OUT_OF_MEMORY, "no memory for the source")
            return
        self._source = source
        struct.pack_into(_SOURCE_REPLY_LAYOUT, lk.out, lk.start, source.channels, source.rate)
        lk.reply(5)

    # A run

    def _begin(self, mode, flags, rate, pulses, raw):
        """Start a run; returns why not, as code and text, or None.

        Args:
            mode, flags, rate, pulses: as in FEED.
            raw: the newest samples that are kept for the host.
        """
        source, pipeline = self._source, self._stream.pipeline
        server = self._server
        self._end("")
        if not source:
            return protocol.NOT_CONFIGURED, "choose a source first"
        if not pipeline or pipeline.channels != source.channels:
            return (
                protocol.NOT_CONFIGURED,
                "set up a pipeline of %d channels first" % source.channels,
            )
        if mode and not server.learner:
            return protocol.NOT_CONFIGURED, "configure the network first"
        if flags & ~(stream_feed.FLAG_FOLLOW | stream_feed.FLAG_OWN | stream_feed.FLAG_GATED):
            return protocol.BAD_PAYLOAD, "no such flags"
        wrong = self._stream.objection(mode, flags, 0, rate, pulses, 0)
        if wrong:
            return protocol.BAD_PAYLOAD, wrong
        self._clear()
        gc.collect()
        width = 2 * source.channels
        try:
            self._sample = bytearray(width)
            self._backlog = bytearray(width * _BACKLOG)
            self._labels = bytearray(_BACKLOG)
            self._remembered = bytearray(_WINDOW * _REMEMBERED)
            self._found = bytearray(4)
            self._one = bytearray(1)
            if raw:
                self._raw = bytearray((width + 1) * raw)
        except MemoryError:
            return protocol.OUT_OF_MEMORY, "no memory for what waits"
        self._mode, self._flags, self._rate, self._pulses = mode, flags, rate, pulses
        if not mode:
            self._gives = _GIVES_NOTHING
        else:
            self._gives = _GIVES_SCORES if flags & stream_feed.FLAG_OWN else _GIVES_CLASSES
        self._pipeline = pipeline
        self._learner = server.learner
        # Looked up once: a bound method is a new object each time.
        self._take = self.take
        self._nap = min(10, max(1, 500000 // source.rate))
        pipeline.restart()
        try:
            source.start()
        except OSError as e:
            return protocol.FRONT_END, reason(e)
        self._lost = source.lost = 0
        self.running = True
        if self._poll:
            server.link.idle = self._idle
        return None

    def _end(self, reason):
        self.running = False
        self._reason = reason
        self._server.link.idle = None

    def _idle(self):
        """Work until the host has sent something."""
        poll = self._poll
        while self.running:
            wait = 0 if self.pump() else self._nap
            for _ in poll.ipoll(wait):  # pyright: ignore
                return

    def _wait(self, first, ms):
        """Work until there is a window `first`, or so long."""
        until = ticks_add(ticks_ms(), ms)
        while self.running and self.windows <= first and ticks_diff(until, ticks_ms()) > 0:
            if not self.pump():
                sleep_ms(self._nap)

    def pump(self):
        """Take samples, and work on one window if one is whole; whether it did."""
        if self._pipeline is not self._stream.pipeline or (
            self._mode and self._learner is not self._server.learner
        ):
            self._end("what it works with was configured anew")
            return False
        try:
            self.take()
            while self._waiting or self._gap:
                if not self._waiting:
                    self._bridge()
                elif self._push():
                    return True
        except Exception as e:  # told when the host asks; it would end the firmware
            self._end(reason(e))
        return False

    def take(self):
        """Move what the source has into the backlog; as much stays with it as has no room."""
        source = self._source
        while self._waiting < _BACKLOG and not self._gap:
            got = source.read(self._sample)  # pyright: ignore
            if source.lost != self._lost:  # pyright: ignore
                # What comes now does not join on to what waits.
                self._gap = True
                self._pending = got
            elif got:
                self._store()
            else:
                return

    def _store(self):
        at = (self._first + self._waiting) % _BACKLOG
        width = len(self._sample)
        kernels.copy_masked(self._backlog, at * width, width, self._sample, 0, 255)
        self._labels[at] = self._label_now()
        self._waiting += 1

    def _label_now(self):
        """What the host or the pins say."""
        if not self._pins or self._host_label[0] != _NO_LABEL:
            return self._host_label[0]
        label = sampling_source.label(self._pins)
        return label if label >= 0 else _NO_LABEL

    def _bridge(self):
        """Samples are lost before the next one: no window spans that."""
        lost = self._source.lost - self._lost  # pyright: ignore
        self._lost += lost
        if self._raw:
            row = 1 + len(self._sample)
            rows = len(self._raw) // row
            for number in range(self.samples, self.samples + min(lost, rows)):
                self._raw[row * (number % rows)] = _LOST
        self.samples += lost
        self._gap = False
        self._after_gap = True
        self._same = 0
        self._pipeline.restart()
        if self._pending:
            self._pending = False
            self._store()

    def _push(self):
        """Give the oldest sample of the backlog to the pipeline; whether a window was whole."""
        at = self._first
        width = len(self._sample)
        label = self._labels[at]
        if self._raw:
            row = (width + 1) * (self.samples % (len(self._raw) // (width + 1)))
            self._raw[row] = label
            kernels.copy_masked(self._raw, row + 1, width, self._backlog, at * width, 255)
        whole = self._pipeline.push(self._backlog, at * width)
        self._first = (at + 1) % _BACKLOG
        self._waiting -= 1
        self.samples += 1
        if label != self._label:
            self._label = label
            self._same = 0
        if self._same < self._pipeline.window:
            self._same += 1
        if whole:
            began = self._server.now()
            self._work(label if self._same == self._pipeline.window else _NO_LABEL)
            self._server.worked(began)
        return whole

    def _work(self, label):
        """What a whole window gives; a label counts if all its samples have it."""
        at_sample = self.samples
        found = self._found
        struct.pack_into("<I", found, 0, 0)
        flags = _OUTCOME_AFTER_GAP if self._after_gap else 0
        self._after_gap = False
        self._pipeline.compute(self._flags & stream_feed.FLAG_FOLLOW, self._take)
        if self._mode:
            net = self._learner.network
            net.pause = self._take
            try:
                flags |= self._ask(label)
            finally:
                net.pause = None
        at = _WINDOW * (self.windows % _REMEMBERED)
        remembered = self._remembered
        struct.pack_into(_LIVE_WINDOW_LAYOUT, remembered, at, at_sample, label, flags, 0)
        kernels.copy_masked(remembered, at + 6, 4, found, 0, 255)
        self.windows += 1

    def _ask(self, label):
        """Predict, or learn what may be learned; returns flags."""
        stream, found = self._stream, self._found
        net = self._learner.network
        known = net.one_hot and label < net.sizes[-1]
        learns = self._mode == stream_feed.MODE_LEARN and (
            known or self._flags & stream_feed.FLAG_OWN
        )
        mode = stream_feed.MODE_LEARN if learns else stream_feed.MODE_PREDICT
        self._one[0] = label
        flags = self._flags
        if not learns:
            flags &= ~stream_feed.FLAG_GATED
        stream.process(found, 0, mode, flags, self._rate, self._pulses, self._one, 0)
        if flags & stream_feed.FLAG_OWN:
            return protocol.OUTCOME_LEARNED if learns else 0
        if flags & stream_feed.FLAG_GATED:
            became = found[2]
            found[2] = 0
        else:
            found[1] = net.margin(found[0])
            became = protocol.OUTCOME_LEARNED if learns else 0
            if known and found[0] == label:
                became |= protocol.OUTCOME_RIGHT
        if known:
            self._labelled += 1
            self._right += became & protocol.OUTCOME_RIGHT
        return became

    # What is told

    def _tell(self, first):
        """The counters, and up to three windows from number `first` on that are remembered."""
        lk = self._server.link
        out, at = lk.out, lk.start
        first = max(first, self.windows - _REMEMBERED)
        count = min(max(self.windows - first, 0), _TOLD)
        lost = self._source.lost if self._source else 0
        struct.pack_into(
            _LIVE_STATUS_LAYOUT, out, at, self.running | self._gives << 1, self.samples, lost,
            self.windows, self._labelled, self._right, first, count,
        )  # fmt: skip
        at += _HEAD
        for number in range(first, first + count):
            row = _WINDOW * (number % _REMEMBERED)
            kernels.copy_masked(out, at, _WINDOW, self._remembered, row, 255)
            at += _WINDOW
        lk.reply(at - lk.start)

    def _tell_raw(self, first):
        """Samples from number `first` on, each behind its label, of a run that keeps them."""
        lk = self._server.link
        raw = self._raw
        if not raw:
            lk.refuse("this run keeps no samples")
            return
        row = 1 + len(self._sample)
        rows = len(raw) // row
        first = max(first, self.samples - rows)
        count = min(max(self.samples - first, 0), (lk.max_body - 16) // row)
        struct.pack_into("<I", lk.out, lk.start, first)
        at = lk.start + 4
        for number in range(first, first + count):
            kernels.copy_masked(lk.out, at, row, raw, row * (number % rows), 255)
            at += row
        lk.reply(at - lk.start)
