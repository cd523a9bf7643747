"""A stream that the host feeds: the requests PIPELINE and FEED of docs/reference/link.md.

Imported when the first of them comes; a board that is fed whole samples never
loads this.
"""

import gc
import struct

import micropython
from micropython import const

from . import kernels, stream_features
from . import link_protocol as protocol
from .link_protocol import u16, u32

# What is done with each window,
_MODE_FEATURES = const(0)
MODE_PREDICT = 1
MODE_LEARN = 2
# how,
_FLAG_RESTART = const(1)
FLAG_FOLLOW = 2
_FLAG_TRACED = const(4)
FLAG_OWN = 8  # the target is the input itself: no label, and a score for an answer
FLAG_GATED = 16  # the gate decides whether it is learned: answer, margin, what became of it

_PIPELINE_LAYOUT = const("<BHHBBB")
_PIPELINE_REPLY_LAYOUT = const("<HI")
_FEED_REPLY_LAYOUT = const("<IB")

_HEAD = const(10)  # bytes of a FEED before the samples
_REPLY_HEAD = const(5)  # bytes of its reply before what the windows gave


@micropython.viper
def score(targets: ptr8, s: ptr8, at: int, count: int) -> int:
    """The energy of the nudge: the squared distance of the outputs s[at:] from the targets."""
    total = 0
    i = 0
    while i < count:
        d = targets[i] - s[at + i]
        total += d * d
        i += 1
    return total


class StreamFeed:
    """The pipeline of a server, and what is done with its windows.

    Attributes:
        pipeline: what makes windows and features of the samples.
        gate: the `learn_gate.UpdateGate`, or None.
    """

    def __init__(self, server):
        self._server = server
        # None until PIPELINE; every handler that needs it refuses until then.
        self.pipeline: stream_features.Pipeline = None  # pyright: ignore
        self.gate = None  # until GATE

    def configure(self):
        """Answer PIPELINE: channels u8, window u16, hop u16, flags u8, bands u8, norm u8."""
        lk = self._server.link
        self.pipeline = None  # pyright: ignore
        gc.collect()
        free = gc.mem_free()
        try:
            if lk.end - lk.start != 8:
                raise ValueError("not 8 bytes")
            self.pipeline = stream_features.Pipeline(
                *struct.unpack_from(_PIPELINE_LAYOUT, lk.body, lk.start)
            )
        except ValueError as e:
            lk.refuse(protocol.reason(e))
            return
        except MemoryError:
            gc.collect()
            lk.error(protocol.OUT_OF_MEMORY, "out of memory with %d bytes free" % free)
            return
        gc.collect()
        taken = free - gc.mem_free()
        struct.pack_into(_PIPELINE_REPLY_LAYOUT, lk.out, lk.start, self.pipeline.features, taken)
        lk.reply(6)

    def feed(self):
        """Answer FEED: step u32, rate u16, pulses u8, mode u8, flags u8, label u8, samples."""
        server = self._server
        lk, learner, pipeline = server.link, server.learner, self.pipeline
        body, out, at = lk.body, lk.out, lk.start
        size = lk.end - at - _HEAD
        if not pipeline:
            lk.error(protocol.NOT_CONFIGURED, "set up the pipeline first")
            return
        if server.onboard and server.onboard.running:
            lk.refuse("the board's own sensor is feeding")
            return
        width = 2 * pipeline.channels
        if size < 0 or size % width:
            lk.refuse("not a whole number of samples")
            return
        rate = u16(body, at + 4)
        pulses, mode, flags = body[at + 6], body[at + 7], body[at + 8]
        if mode and not server.has_learner():
            return
        if mode == MODE_LEARN and u32(body, at) != learner.steps:
            lk.error(protocol.STEP_MISMATCH, str(learner.steps))
            return
        wrong = self.objection(mode, flags, body[at + 9], rate, pulses, size // width)
        if wrong:
            lk.refuse(wrong)
            return
        began = server.now()
        if flags & _FLAG_RESTART:
            pipeline.restart()
        windows = 0
        n = at + _REPLY_HEAD
        first, end = at + _HEAD, lk.end
        while first < end:
            if pipeline.push(body, first):
                pipeline.compute(flags & FLAG_FOLLOW)
                if mode:
                    n = self.process(out, n, mode, flags, rate, pulses, body, at + 9)
                windows += 1
            first += width
        server.worked(began)
        struct.pack_into(_FEED_REPLY_LAYOUT, out, at, learner.steps if learner else 0, windows)
        if flags & _FLAG_TRACED:
            n += server.trace(n)
            server.digest(pipeline.codes, 0, len(pipeline.codes), n)
            n += 4
        lk.reply(n - at)

    def objection(self, mode, flags, label, rate, pulses, samples):
        """Why windows can't be worked on so, or None.

        Args:
            mode, flags, label, rate, pulses: as in FEED.
            samples: how many are to be taken at once.
        """
        learner, pipeline = self._server.learner, self.pipeline
        own = flags & FLAG_OWN
        gated = flags & FLAG_GATED
        windows = pipeline.due(samples, flags & _FLAG_RESTART)
        if mode > MODE_LEARN:
            return "no such mode"
        size = 4 if own else 3 if gated else 1
        if _REPLY_HEAD + windows * size + (20 if flags & _FLAG_TRACED else 0) > protocol.KEPT_REPLY:
            return "too many windows for one reply"
        if mode == _MODE_FEATURES:
            return "nothing to trace" if flags & _FLAG_TRACED else None
        net = learner.network
        if net.sizes[0] != len(pipeline.codes):
            return "the network has not the pipeline's inputs"
        if own:
            if net.one_hot or net.sizes[-1] != net.sizes[0]:
                return "the outputs are not those of the inputs"
        elif mode == MODE_LEARN and (not net.one_hot or label >= net.sizes[-1]):
            return "a class that has no output"
        wrong = mode == MODE_LEARN and learner.objection(rate, pulses)
        if wrong:
            return wrong
        if gated:
            if own or mode != MODE_LEARN:
                return "only a class that is learned is gated"
            if not self.gate or self.gate.learner is not learner:
                return "send GATE's settings first"
        return None

    def process(self, out, n, mode, flags, rate, pulses, labels, at):
        """Learn or predict the newest window.

        Args:
            out: where its answer goes, from out[n] on.
            mode, flags, rate, pulses: as in FEED.
            labels: the class is labels[at].

        Returns:
            The end of the answer in `out`.
        """
        learner = self._server.learner
        net = learner.network
        codes = self.pipeline.codes
        own = flags & FLAG_OWN
        if own:
            kernels.select(net.targets, len(codes), codes, 0, 128, net.high, net.low)
        elif mode == MODE_LEARN:
            net.set_targets(labels, at)
        if flags & FLAG_GATED:
            gate = self.gate
            gate.free_phase(codes)  # pyright: ignore
            gate.update(labels[at], rate, pulses)  # pyright: ignore
            out[n] = net.answer()
            out[n + 1] = gate.margin  # pyright: ignore
            out[n + 2] = gate.outcome  # pyright: ignore
            return n + 3
        if mode == MODE_LEARN:
            learner.learn(codes, 0, rate, pulses)
        else:
            net.predict(codes, 0)
        if not own:
            out[n] = net.answer()
            return n + 1
        energy = score(net.targets, net.free, net.at[-1], net.sizes[-1])
        struct.pack_into("<I", out, n, energy)
        return n + 4
