"""Learning from a stream: the requests PIPELINE and FEED of docs/reference/link.md.

Imported when the first of them comes; a board that is fed whole samples never
loads this.
"""

import gc
import struct

import micropython

from . import frontend_emulated, kernels, link_crc, link_server, stream_features

_PIPELINE = 12
_FEED = 13
_SOURCE = 15
_LIVE = 16
_KEEP = 19

_BAD_PAYLOAD = 2
_NOT_CONFIGURED = 3
_OUT_OF_MEMORY = 4
_STEP_MISMATCH = 5

# FEED: what is done with each window,
PREDICT = 1
LEARN = 2
# and how.
RESTART = 1
FOLLOW = 2
_TRACED = 4
OWN = 8  # the target is the input itself: no label, and a score for an answer
JUDGED = 16  # learned or not as the keeper decides: answer, margin, what became of it

_HEAD = 10  # bytes before the samples
_KEPT = 60  # a longer reply would not be kept for a repeated request

# What READ, WRITE and DIGEST name.
NORMALISATION = 6
CODES = 7


@micropython.viper
def take_own(targets: ptr8, codes: ptr8, count: int, high: int, low: int):
    """The targets of a network that shall give back its input."""
    i = 0
    while i < count:
        t = low
        if codes[i] >= 128:
            t = high
        targets[i] = t
        i += 1


@micropython.viper
def score(targets: ptr8, s: ptr8, at: int, count: int) -> int:
    """The energy of the nudge: squared distance of the outputs s[at:] from the targets."""
    total = 0
    i = 0
    while i < count:
        d = targets[i] - s[at + i]
        total += d * d
        i += 1
    return total


@micropython.viper
def margin_of(s: ptr8, at: int, count: int, best: int) -> int:
    """How far the most active unit is above the next."""
    next = 0
    i = 0
    while i < count:
        if i != best:
            if s[at + i] > next:
                next = s[at + i]
        i += 1
    return s[at + best] - next


class Sensing:
    """The pipeline of a server, and what is done with its windows."""

    def __init__(self, server):
        self._server = server
        # None until PIPELINE; every handler that needs it refuses until then.
        self.pipeline: stream_features.Pipeline = None  # pyright: ignore
        self.keeper = None  # until KEEP
        self.live = None  # until SOURCE
        self._crc = bytearray(4)

    def serve(self, kind):
        if kind == _PIPELINE:
            self._configure()
        elif kind == _KEEP:
            self._keep()
        elif kind == _SOURCE or kind == _LIVE:
            self._be_live(kind)
        else:
            self._feed()

    def region(self, which):
        """The memory that READ, WRITE and DIGEST mean: buffer, its first byte, its length."""
        if not self.pipeline or which > CODES:
            return None, 0, 0
        buffer = self.pipeline.state if which == NORMALISATION else self.pipeline.codes
        return buffer, 0, len(buffer)

    def _configure(self):
        """channels u8, window u16, hop u16, flags u8, bands u8, norm u8."""
        lk = self._server.link
        self.pipeline = None  # pyright: ignore
        gc.collect()
        free = gc.mem_free()
        try:
            if lk.end - lk.start != 8:
                raise ValueError("not 8 bytes")
            self.pipeline = stream_features.Pipeline(
                *struct.unpack_from("<BHHBBB", lk.body, lk.start)
            )
        except ValueError as e:
            lk.error(_BAD_PAYLOAD, e.args[0])
            return
        except MemoryError:
            gc.collect()
            lk.error(_OUT_OF_MEMORY, "out of memory with %d bytes free" % free)
            return
        gc.collect()
        struct.pack_into("<HI", lk.out, lk.start, self.pipeline.features, free - gc.mem_free())
        lk.reply(_PIPELINE, 6)

    def _keep(self):
        try:
            from . import (
                stream_gate,  # only now: a board that learns every window has no use for it
            )
        except MemoryError:
            self._server.link.error(_OUT_OF_MEMORY, "no memory for the keeper's code")
            return
        stream_gate.serve(self, self._server)

    def _be_live(self, kind):
        if not self.live:
            try:
                from . import stream_onboard  # only now: a board that is fed has no use for it
            except MemoryError:
                self._server.link.error(_OUT_OF_MEMORY, "no memory for the live code")
                return
            except ImportError:  # of a clock
                self._server.link.error(_BAD_PAYLOAD, "this board has no clock")
                return
            self.live = stream_onboard.Live(self, self._server)
        self.live.serve(kind)

    def _feed(self):
        """number u32, rate u16, train u8, mode u8, flags u8, label u8, samples."""
        server = self._server
        lk, learner, pipeline = server.link, server.learner, self.pipeline
        body, out, at = lk.body, lk.out, lk.start
        size = lk.end - at - _HEAD
        if not pipeline:
            lk.error(_NOT_CONFIGURED, "set up the pipeline first")
            return
        if self.live and self.live.running:
            lk.error(_BAD_PAYLOAD, "the board's own sensor is feeding")
            return
        width = 2 * pipeline.channels
        if size < 0 or size % width:
            lk.error(_BAD_PAYLOAD, "not a whole number of samples")
            return
        number = body[at] | body[at + 1] << 8 | body[at + 2] << 16 | body[at + 3] << 24
        rate = body[at + 4] | body[at + 5] << 8
        train, mode, flags = body[at + 6], body[at + 7], body[at + 8]
        if mode and not learner:
            lk.error(_NOT_CONFIGURED, "configure the network first")
            return
        if mode == LEARN and number != learner.steps:
            lk.error(_STEP_MISMATCH, str(learner.steps))
            return
        wrong = self.refuse(mode, flags, body[at + 9], rate, train, size // width)
        if wrong:
            lk.error(_BAD_PAYLOAD, wrong)
            return
        began = link_server.now()
        if flags & RESTART:
            pipeline.restart()
        windows = 0
        n = at + 5
        first, end = at + _HEAD, lk.end
        while first < end:
            if pipeline.push(body, first):
                pipeline.compute(flags & FOLLOW)
                if mode:
                    n = self.use(out, n, mode, flags, rate, train, number + windows, body, at + 9)
                windows += 1
            first += width
        server.busy_us += link_server.since(began)
        link_server.put_u32(out, at, learner.steps if learner else 0)
        out[at + 4] = windows
        if flags & _TRACED:
            n += server.trace(n)
            self._trace_codes(n)
            n += 4
        lk.reply(_FEED, n - at)

    def _trace_codes(self, at):
        codes, sum = self.pipeline.codes, self._crc
        sum[0] = sum[1] = sum[2] = sum[3] = 0
        link_crc.update(sum, codes, 0, len(codes))
        kernels.load(self._server.link.out, at, 4, sum, 0, 255)

    def refuse(self, mode, flags, label, rate, train, samples):
        """Why a FEED can't be, or None."""
        learner, pipeline = self._server.learner, self.pipeline
        own = flags & OWN
        judged = flags & JUDGED
        windows = pipeline.due(samples, flags & RESTART)
        if mode > LEARN:
            return "no such mode"
        size = 4 if own else 3 if judged else 1
        if 5 + windows * size + (20 if flags & _TRACED else 0) > _KEPT:
            return "too many windows for one reply"
        if not mode:
            return "nothing to trace" if flags & _TRACED else None
        net = learner.network
        if net.sizes[0] != len(pipeline.codes):
            return "the network has not the pipeline's inputs"
        if own:
            if net.one_hot or net.sizes[-1] != net.sizes[0]:
                return "the outputs are not those of the inputs"
        elif mode == LEARN and (not net.one_hot or label >= net.sizes[-1]):
            return "a class that has no output"
        if rate * max(learner.scales) > 16383:
            return "a rate above 16383"
        if mode == LEARN and not train:
            return "a train of no pulses"
        if judged:
            if own or mode != LEARN:
                return "only a class that is learned is judged"
            if not self.keeper or self.keeper.learner is not learner:
                return "send KEEP's settings first"
        return None

    def use(self, out, n, mode, flags, rate, train, number, labels, at):
        """Learn or predict the window; its answer goes to out[n:], the end of which is returned.

        The class is labels[at].
        """
        learner = self._server.learner
        net = learner.network
        codes = self.pipeline.codes
        own = flags & OWN
        if own:
            take_own(net.targets, codes, len(codes), net.high, net.low)
        elif mode == LEARN:
            net.set_targets(labels, at)
        if flags & JUDGED:
            keeper = self.keeper
            out[n + 2] = keeper.learn(codes, labels[at], rate, train)  # pyright: ignore
            out[n] = net.answer()
            out[n + 1] = keeper.margin  # pyright: ignore
            return n + 3
        if mode == LEARN:
            learner.learn(codes, 0, rate, train)
        else:
            net.front.begin(frontend_emulated.STREAM_PREDICT, number)
            net.settle_free(codes, 0)
        if not own:
            out[n] = net.answer()
            return n + 1
        link_server.put_u32(out, n, score(net.targets, net.free, net.at[-1], net.sizes[-1]))
        return n + 4
