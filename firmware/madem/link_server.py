"""Serve the link: each request of docs/reference/link.md, executed on the learner."""

import gc
import struct
import sys

from micropython import const

from . import __version__, kernels, learn_rule, link, link_crc, network_config
from . import link_protocol as protocol
from .link_protocol import reason, u16, u32

# Kinds of requests, beside link.HELLO.
_CONFIGURE = const(2)
_LEARN = const(3)
_PREDICT = const(4)
_READ = const(5)
_WRITE = const(6)
_DIGEST = const(7)
_STATS = const(8)
_FLIP = const(9)
_ECHO = const(10)
_STOP = const(11)
_PIPELINE = const(12)
_FEED = const(13)
_ADD_STUCK = const(14)
_SOURCE = const(15)
_LIVE = const(16)
_CALIBRATE = const(17)
_CODES = const(18)
_GATE = const(19)

_STREAM_KINDS = const((_PIPELINE, _FEED, _SOURCE, _LIVE, _GATE))

# What READ, WRITE and DIGEST name.
_MEMORY_DEVICES = const(0)
_MEMORY_ACCUMULATORS = const(1)
_MEMORY_FREE = const(2)
_MEMORY_PLUS = const(3)
_MEMORY_MINUS = const(4)
_MEMORY_STEPS = const(5)
_MEMORY_NORMALISATION = const(6)
_MEMORY_CODES = const(7)
_MEMORY_SAMPLE = const(8)

# What PREDICT replies.
_PREDICT_ANSWERS = const(0)
_PREDICT_OUTPUTS = const(1)
_PREDICT_NOTHING = const(2)

_CONFIGURE_REPLY_LAYOUT = const("<III")
_WRITE_VERIFY_REPLY_LAYOUT = const("<II")
_STATS_REPLY_LAYOUT = const("<4I")
_MEMORY_HEAD_LAYOUT = const("<BBII")
_FLIP_LAYOUT = const("<BIBIB")

_HOSTED = sys.platform in ("linux", "darwin", "win32")  # a process, not a chip

try:
    import time
except ImportError:  # a port without a clock: the busy time stays 0
    time = None


class Server:
    """One board: its link and, once configured, its learner.

    Attributes:
        link: the `link.Link`.
        learner: the `learn_rule.Learner`; None until CONFIGURE.
        busy_us: time spent in it since the last STATS, in µs.
        stream: the `stream_feed.StreamFeed`; None until a stream is fed.
        onboard: the `stream_onboard.OnboardRun`; None until a source is chosen.
    """

    def __init__(self, stream_in, stream_out):
        """Streams like sys.stdin.buffer."""
        window = 8 if _HOSTED else 2
        self.link = link.Link(stream_in, stream_out, link.longest_body(), window)
        # Every handler that needs it refuses until CONFIGURE.
        self.learner: learn_rule.Learner = None  # pyright: ignore
        self.busy_us = 0
        # Room for a sample that is too long for a frame, once one has been written.
        self._sample: bytearray = None  # pyright: ignore
        self.stream = self.onboard = self._serve_gate = None
        self._waiting = 0  # kind of a request that came while another was served
        self._crc = bytearray(4)  # of the digest that is being worked out

    def run(self):
        """Serve until STOP, Ctrl-C or the end of the stream."""
        lk = self.link
        while True:
            kind = self._waiting or lk.receive()
            self._waiting = 0
            try:
                if kind == _LEARN:
                    self._learn()
                elif kind == _PREDICT:
                    self._predict()
                elif kind == link.HELLO:
                    steps = self.learner.steps if self.learner else 0
                    lk.hello(__version__, steps, 65535 if _HOSTED else 255)
                elif kind == _CONFIGURE:
                    self._configure()
                elif kind == _READ or kind == _WRITE or kind == _DIGEST:
                    self._memory(kind)
                elif kind == _STATS:
                    self._stats()
                elif kind == _FLIP:
                    self._set_flip()
                elif kind == _ECHO:
                    lk.echo()
                elif kind == _ADD_STUCK:
                    self._add_stuck()
                elif kind == _CALIBRATE or kind == _CODES:
                    self._chips(kind)
                elif kind == _STOP:
                    lk.reply(0)
                    return
                elif kind in _STREAM_KINDS:
                    self._stream(kind)
                else:
                    lk.error(protocol.BAD_KIND, "unknown request")
            except EOFError:  # the line has ended
                raise
            except Exception as e:  # a fault of the firmware: told, and no end of it
                gc.collect()
                lk.error(protocol.INTERNAL, repr(e))

    def _configure(self):
        lk = self.link
        try:
            wanted = network_config.parse(lk.body, lk.start, lk.end)
        except ValueError as e:  # the learner stays as it is
            lk.refuse(reason(e))
            return
        self.learner = self._sample = None  # pyright: ignore
        gc.collect()
        free = gc.mem_free()
        try:
            self.learner = network_config.build(wanted)
        except MemoryError:
            gc.collect()
            lk.error(protocol.OUT_OF_MEMORY, "out of memory with %d bytes free" % free)
            return
        except (OSError, ValueError) as e:
            lk.error(protocol.FRONT_END, reason(e))
            return
        self.busy_us = 0
        gc.collect()
        left = gc.mem_free()
        stuck = self.learner.network.front.stuck_count()
        struct.pack_into(_CONFIGURE_REPLY_LAYOUT, lk.out, lk.start, free - left, left, stuck)
        lk.reply(12)

    def has_learner(self):
        """Whether there is a network; if not, the request is refused."""
        if self.learner:
            return True
        self.link.error(protocol.NOT_CONFIGURED, "configure the network first")
        return False

    def _samples(self, head, target):
        """How many samples follow `head` bytes, each with its target or without; 0: refused.

        Where none follows, the one that was written to the board's memory is meant.
        """
        lk = self.link
        if not self.has_learner():
            return 0
        size = lk.end - lk.start - head
        sample = self.sample_size(target)
        if size == 0 and self._sample:
            return 1
        if size <= 0 or size % sample:
            lk.refuse("not a whole number of samples")
            return 0
        return size // sample

    def sample_size(self, target):
        """Bytes of a sample, with its target or without."""
        net = self.learner.network
        size = net.sizes[0]
        if target:
            size += 1 if net.one_hot else net.sizes[-1]
        return size

    def _learn(self):
        """LEARN: step u32, rate u16, pulses u8, traced u8, samples with targets."""
        lk = self.link
        body, out, at = lk.body, lk.out, lk.start
        count = self._samples(8, True)
        if not count:
            return
        learner = self.learner
        net = learner.network
        if u32(body, at) != learner.steps:
            lk.error(protocol.STEP_MISMATCH, str(learner.steps))
            return
        rate = u16(body, at + 4)
        pulses = body[at + 6]
        traced = body[at + 7]
        inputs = net.sizes[0]
        size = self.sample_size(True)
        # No pair of both in one line: it would be made on the heap.
        source = body
        first = at + 8
        if lk.end == first:
            source = self._sample
            first = 0
        wrong = learner.objection(rate, pulses)
        if not self._room(4 + count + (16 if traced else 0)):
            wrong = "too many samples for one reply"
        if traced and not net.front.exact:
            wrong = "no digests of measured devices"
        if net.one_hot:
            for i in range(count):
                if source[first + i * size + inputs] >= net.sizes[-1]:
                    wrong = "a class that has no output"
        if wrong:
            lk.refuse(wrong)
            return
        began = self.now()
        try:
            for i in range(count):
                net.set_targets(source, first + inputs)
                learner.learn(source, first, rate, pulses)
                out[at + 4 + i] = net.answer()
                first += size
        except OSError as e:
            lk.error(protocol.FRONT_END, "sample %d: %s" % (learner.steps, reason(e)))
            return
        self.worked(began)
        struct.pack_into("<I", out, at, learner.steps)
        n = 4 + count
        if traced:
            n += self.trace(at + n)
        lk.reply(n)

    def trace(self, at):
        """Put the digests of the newest sample's stages at out[at:]; returns their length."""
        learner = self.learner
        net = learner.network
        self.trace_phase(net.free, at)
        self.trace_phase(net.plus, at + 4)
        self.trace_phase(net.minus, at + 8)
        crc = self._crc
        crc[0] = crc[1] = crc[2] = crc[3] = 0
        for k in range(learner.layers):
            couplings = len(learner.accumulators[k])
            if net.front.exact:  # measured devices have no digest
                link_crc.update(crc, net.front.devices, net.front.bases[k], 2 * couplings)
            link_crc.update(crc, learner.accumulators[k], 0, couplings)
        kernels.copy_masked(self.link.out, at + 12, 4, crc, 0, 255)
        return 16

    def trace_phase(self, s, at):
        """Put the digest of the activities s, without the input's, at out[at:]."""
        hidden = self.learner.network.at[1]
        self.digest(s, hidden, len(s) - hidden, at)

    def digest(self, buffer, first, count, at):
        """Put the CRC-32 of `count` bytes from buffer[first] on at out[at:]."""
        crc = self._crc
        crc[0] = crc[1] = crc[2] = crc[3] = 0
        link_crc.update(crc, buffer, first, count)
        kernels.copy_masked(self.link.out, at, 4, crc, 0, 255)

    def _predict(self):
        """PREDICT: what u8, samples. Replied: answers, or activities of the outputs, or nothing."""
        lk = self.link
        body, out, at = lk.body, lk.out, lk.start
        count = self._samples(1, False)
        if not count:
            return
        net = self.learner.network
        what = body[at]
        if what == _PREDICT_ANSWERS and not net.one_hot:
            what = _PREDICT_OUTPUTS
        if what > _PREDICT_NOTHING:
            lk.refuse("no such reply")
            return
        size = 0
        if what != _PREDICT_NOTHING:
            size = net.sizes[-1] if what else 1
        if not self._room(count * size):
            lk.refuse("too many samples for one reply")
            return
        # No pair of both in one line: it would be made on the heap.
        source = body
        first = at + 1
        if lk.end == first:
            source = self._sample
            first = 0
        began = self.now()
        try:
            for _ in range(count):
                net.predict(source, first)
                if what == _PREDICT_OUTPUTS:
                    kernels.copy_masked(out, at, size, net.free, net.at[-1], 255)
                elif what == _PREDICT_ANSWERS:
                    out[at] = net.answer()
                at += size
                first += net.sizes[0]
        except OSError as e:
            lk.error(protocol.FRONT_END, reason(e))
            return
        self.worked(began)
        lk.reply(at - lk.start)

    def _stream(self, kind):
        """A request about a stream; its code is imported when it is first needed."""
        stream, onboard = self.stream, self.onboard
        try:
            if not stream:
                from . import stream_feed

                stream = self.stream = stream_feed.StreamFeed(self)
            if (kind == _SOURCE or kind == _LIVE) and not onboard:
                from . import stream_onboard

                onboard = self.onboard = stream_onboard.OnboardRun(stream, self)
            if kind == _GATE and not self._serve_gate:
                from . import stream_gate

                self._serve_gate = stream_gate.serve
        except MemoryError:
            self.link.error(protocol.OUT_OF_MEMORY, "no memory for the code of this request")
            return
        except ImportError:  # of a clock
            self.link.refuse("this board has no clock")
            return
        if kind == _FEED:
            stream.feed()
        elif kind == _PIPELINE:
            stream.configure()
        elif kind == _GATE:
            self._serve_gate(stream, self)  # pyright: ignore
        elif kind == _SOURCE:
            onboard.choose()  # pyright: ignore
        else:
            onboard.serve()  # pyright: ignore

    def _chips(self, kind):
        """CALIBRATE and CODES, for which the weights have to be behind chips."""
        lk = self.link
        if not self.has_learner():
            return
        if self.learner.network.front.exact:
            lk.refuse("there are no chips")
        elif kind == _CALIBRATE:
            from . import calibration_measure  # only now: learning has no use for it

            calibration_measure.serve(self)
        else:
            from . import frontend_codes

            self._waiting = frontend_codes.serve(self, kind)

    def _region(self, which, layer):
        """The memory that READ, WRITE and DIGEST mean: buffer, its first byte, its length."""
        if which == _MEMORY_SAMPLE:
            if not self._sample:
                self._sample = bytearray(self.sample_size(True))
            return self._sample, 0, len(self._sample)
        if which >= _MEMORY_NORMALISATION:
            pipeline = self.stream.pipeline if self.stream else None
            if not pipeline or which > _MEMORY_CODES:
                return None, 0, 0
            buffer = pipeline.state if which == _MEMORY_NORMALISATION else pipeline.codes
            return buffer, 0, len(buffer)
        learner = self.learner
        net = learner.network
        if which <= _MEMORY_ACCUMULATORS and 1 <= layer <= learner.layers:
            cells = learner.accumulators[layer - 1]
            if which == _MEMORY_ACCUMULATORS:
                return cells, 0, len(cells)
            return net.front.devices, net.front.bases[layer - 1], 2 * len(cells)
        if _MEMORY_FREE <= which <= _MEMORY_MINUS and layer <= learner.layers:
            s = net.plus if which == _MEMORY_PLUS else net.minus
            return net.free if which == _MEMORY_FREE else s, net.at[layer], net.sizes[layer]
        return None, 0, 0

    def _memory(self, kind):
        """READ, WRITE and DIGEST: region u8, layer u8, offset u32, count u32, data for WRITE."""
        lk = self.link
        body, at = lk.body, lk.start
        size = lk.end - at
        if size < 10:
            lk.refuse("too short")
            return
        which, layer, offset, count = struct.unpack_from(_MEMORY_HEAD_LAYOUT, body, at)
        needs_learner = which < _MEMORY_NORMALISATION or which == _MEMORY_SAMPLE
        if needs_learner and not self.has_learner():
            return
        if kind == _WRITE and which == _MEMORY_STEPS and size == 10 and not count >> 30:
            self.learner.steps = count
            lk.reply(0)
            return
        try:
            buffer, base, length = self._region(which, layer)
        except MemoryError:
            lk.error(protocol.OUT_OF_MEMORY, "no memory for a sample")
            return
        if buffer is None or offset > length or count > length - offset:
            lk.refuse("no such memory")
            return
        base += offset
        measured = which == _MEMORY_DEVICES and not self.learner.network.front.exact
        if measured and kind != _WRITE:
            if kind == _DIGEST:
                lk.refuse("no digest of devices that were measured")
                return
            if not offset:
                try:
                    self.learner.network.front.refresh(layer - 1)
                except OSError as e:
                    lk.error(protocol.FRONT_END, reason(e))
                    return
        if kind == _DIGEST:
            self.digest(buffer, base, count, at)
            lk.reply(4)
        elif kind == _READ:
            if self._room(count):
                kernels.copy_masked(lk.out, at, count, buffer, base, 255)
                lk.reply(count)
            else:
                lk.refuse("too much for one reply")
        elif _MEMORY_FREE <= which <= _MEMORY_STEPS or which == _MEMORY_CODES or count != size - 10:
            lk.refuse("not to be written so")
        elif which == _MEMORY_NORMALISATION and not self.stream.pipeline.accepts(  # pyright: ignore
            body, at + 10, offset, count
        ):
            lk.refuse("a normalisation that no stream leads to")
        else:
            kernels.copy_masked(buffer, base, count, body, at + 10, 255)
            if measured and offset + count == length:
                self._program(layer - 1)
            else:
                lk.reply(0)

    def _program(self, k):
        """Answer the WRITE that completed what the devices of weight layer k should be."""
        lk = self.link
        try:
            found = self.learner.network.front.program(k)
        except OSError as e:
            lk.error(protocol.FRONT_END, reason(e))
            return
        struct.pack_into(_WRITE_VERIFY_REPLY_LAYOUT, lk.out, lk.start, *found)
        lk.reply(8)

    def _stats(self):
        """STATS: collect u8 (0 or absent: leave the heap alone). Starts the busy time anew."""
        lk = self.link
        if lk.end > lk.start and lk.body[lk.start]:
            gc.collect()
        steps = self.learner.steps if self.learner else 0
        struct.pack_into(
            _STATS_REPLY_LAYOUT,
            lk.out,
            lk.start,
            steps,
            self.busy_us,
            gc.mem_alloc(),
            gc.mem_free(),
        )
        self.busy_us = 0
        lk.reply(16)

    def _set_flip(self):
        """FLIP: state u8, step u32, layer u8, index u32, bit u8."""
        lk = self.link
        body, at = lk.body, lk.start
        if not self.has_learner():
            return
        if lk.end - at != 11:
            lk.refuse("not 11 bytes")
            return
        state, step, layer, index, bit = struct.unpack_from(_FLIP_LAYOUT, body, at)
        length = self._region(_MEMORY_FREE if state else _MEMORY_DEVICES, layer)[2]
        exact = self.learner.network.front.exact
        if state > 1 or layer < 1 or index >= length or bit > 7 or not (state or exact):
            lk.refuse("no such cell")
            return
        self.learner.flip = (step, state, layer, index, bit)
        lk.reply(0)

    def _add_stuck(self):
        """ADD_STUCK: stuck u16, as in CONFIGURE, and no lower than before."""
        lk = self.link
        body, at = lk.body, lk.start
        if not self.has_learner():
            return
        front = self.learner.network.front
        if lk.end - at != 2:
            lk.refuse("not 2 bytes")
            return
        try:
            front.add_stuck(u16(body, at))
        except ValueError as e:
            lk.refuse(e.args[0])
            return
        struct.pack_into("<I", lk.out, at, front.stuck_count())
        lk.reply(4)

    def _room(self, n):
        return n + 12 <= self.link.max_body

    def now(self):
        """The time, for `worked`."""
        return time.ticks_us() if time else 0

    def worked(self, began):
        """Count the time since `began`, of `now`, as spent in the learner."""
        if time:
            self.busy_us += time.ticks_diff(time.ticks_us(), began)


def run():
    """Serve the line of the REPL; Ctrl-C or STOP gives the REPL back."""
    try:
        # Ports without `buffer` have streams of bytes already.
        server = Server(
            getattr(sys.stdin, "buffer", sys.stdin), getattr(sys.stdout, "buffer", sys.stdout)
        )
        print("madem: ready")
        server.run()
    except (KeyboardInterrupt, EOFError):
        pass
    print("madem: stopped")
