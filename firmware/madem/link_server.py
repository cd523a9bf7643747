"""Serve the link: each request of docs/reference/link.md, executed on the learner."""

import gc
import struct
import sys

from . import __version__, frontend_emulated, kernels, learn_rule, link, link_crc, network

_HELLO = 1
_CONFIGURE = 2
_LEARN = 3
_PREDICT = 4
_READ = 5
_WRITE = 6
_DIGEST = 7
_STATS = 8
_FLIP = 9
_ECHO = 10
_STOP = 11
_PIPELINE = 12
_FEED = 13
_STRIKE = 14
_SOURCE = 15
_LIVE = 16
_CALIBRATE = 17
_CODES = 18
_KEEP = 19

_SENSED = (_PIPELINE, _FEED, _SOURCE, _LIVE, _KEEP)

_BAD_KIND = 1
_BAD_PAYLOAD = 2
_NOT_CONFIGURED = 3
_OUT_OF_MEMORY = 4
_STEP_MISMATCH = 5
_FRONT_END = 8

# What READ, WRITE, DIGEST and FLIP name.
_DEVICES = 0
_ACCUMULATORS = 1
_FREE = 2
_MINUS = 4
_STEPS = 5
_NORMALISATION = 6  # and what comes after it, is sensing's

_FORMAT = 2  # of CONFIGURE
_HOSTED = sys.platform in ("linux", "darwin", "win32")  # a process, not a chip

try:
    import time
except ImportError:  # a port without a clock: the busy time stays 0
    time = None


class Server:
    """One board: its link and, once configured, its learner."""

    def __init__(self, stream_in, stream_out):
        if _HOSTED:
            self.link = link.Link(stream_in, stream_out, 4096, 8)
        else:
            self.link = link.Link(stream_in, stream_out, 256, 2)
        # None until CONFIGURE; every handler that needs it refuses until then.
        self.learner: learn_rule.Learner = None  # pyright: ignore
        self.busy_us = 0
        self.sensing = None  # until a stream is fed
        self._waiting = 0  # kind of a request that came while another was served
        self._crc = bytearray(4)

    def run(self):
        """Serve until STOP, Ctrl-C or the end of the stream."""
        lk = self.link
        while True:
            kind = self._waiting or lk.receive()
            self._waiting = 0
            if kind == _LEARN:
                self._learn()
            elif kind == _PREDICT:
                self._predict()
            elif kind == _HELLO:
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
            elif kind in _SENSED:
                self._sense(kind)
            elif kind == _STRIKE:
                self._strike()
            elif kind == _CALIBRATE or kind == _CODES:
                self._chips(kind)
            elif kind == _STOP:
                lk.reply(_STOP, 0)
                return
            else:
                lk.error(_BAD_KIND, "unknown request")

    def _configure(self):
        lk = self.link
        try:
            wanted = parse(lk.body, lk.start, lk.end)
        except ValueError as e:  # the learner stays as it is
            lk.error(_BAD_PAYLOAD, e.args[0])
            return
        self.learner = None  # pyright: ignore
        gc.collect()
        free = gc.mem_free()
        try:
            self.learner = build(wanted)
        except MemoryError:
            gc.collect()
            lk.error(_OUT_OF_MEMORY, "out of memory with %d bytes free" % free)
            return
        except (OSError, ValueError) as e:
            lk.error(_FRONT_END, reason(e))
            return
        self.busy_us = 0
        gc.collect()
        left = gc.mem_free()
        stuck = self.learner.network.front.health()
        struct.pack_into("<III", lk.out, lk.start, free - left, left, stuck)
        lk.reply(_CONFIGURE, 12)

    def _samples(self, head, target):
        """How many samples follow `head` bytes, each with its target or without; 0: refused."""
        lk = self.link
        if not self.learner:
            lk.error(_NOT_CONFIGURED, "configure the network first")
            return 0
        size = lk.end - lk.start - head
        sample = self.sample_size(target)
        if size <= 0 or size % sample:
            lk.error(_BAD_PAYLOAD, "not a whole number of samples")
            return 0
        return size // sample

    def sample_size(self, target):
        net = self.learner.network
        size = net.sizes[0]
        if target:
            size += 1 if net.one_hot else net.sizes[-1]
        return size

    def _learn(self):
        """step u32, rate u16, train u8, traced u8, samples with targets."""
        lk = self.link
        body, out, at = lk.body, lk.out, lk.start
        count = self._samples(8, True)
        if not count:
            return
        learner = self.learner
        net = learner.network
        if _u32(body, at) != learner.steps:
            lk.error(_STEP_MISMATCH, str(learner.steps))
            return
        rate = body[at + 4] | body[at + 5] << 8
        train = body[at + 6]
        traced = body[at + 7]
        inputs = net.sizes[0]
        size = self.sample_size(True)
        first = at + 8
        if not train:
            lk.error(_BAD_PAYLOAD, "a train of no pulses")
            return
        if rate * max(learner.scales) > 16383 or not self._room(4 + count + (16 if traced else 0)):
            lk.error(_BAD_PAYLOAD, "too many samples, or a rate above 16383")
            return
        if net.one_hot:
            for i in range(count):
                if body[first + i * size + inputs] >= net.sizes[-1]:
                    lk.error(_BAD_PAYLOAD, "a class that has no output")
                    return
        if traced and not net.front.exact:
            lk.error(_BAD_PAYLOAD, "no digests of measured devices")
            return
        began = now()
        try:
            for i in range(count):
                net.set_targets(body, first + inputs)
                learner.learn(body, first, rate, train)
                out[at + 4 + i] = net.answer()
                first += size
        except OSError as e:
            lk.error(_FRONT_END, "sample %d: %s" % (learner.steps, reason(e)))
            return
        self.busy_us += since(began)
        put_u32(out, at, learner.steps)
        n = 4 + count
        if traced:
            n += self.trace(at + n)
        lk.reply(_LEARN, n)

    def trace(self, at):
        """The digests of the newest sample's stages, from out[at] on."""
        learner = self.learner
        net = learner.network
        self.trace_phase(net.free, at)
        self.trace_phase(net.plus, at + 4)
        self.trace_phase(net.minus, at + 8)
        fresh = True
        for k in range(learner.layers):
            base = net.front.bases[k]
            couplings = len(learner.accumulators[k])
            # Measured devices have no digest.
            self._digest(net.front.devices, base, 2 * couplings * net.front.exact, fresh)
            self._digest(learner.accumulators[k], 0, couplings, False)
            fresh = False
        self._put_digest(at + 12)
        return 16

    def trace_phase(self, s, at):
        hidden = self.learner.network.at[1]
        self._digest(s, hidden, len(s) - hidden, True)
        self._put_digest(at)

    def _predict(self):
        """First sample number u32, wide u8, samples: answers, or (wide) output activities."""
        lk = self.link
        body, out, at = lk.body, lk.out, lk.start
        count = self._samples(5, False)
        if not count:
            return
        net = self.learner.network
        number = _u32(body, at)
        wide = body[at + 4] or not net.one_hot
        outputs = net.sizes[-1]
        size = outputs if wide else 1
        if not self._room(count * size):
            lk.error(_BAD_PAYLOAD, "too many samples for one reply")
            return
        first = at + 5
        began = now()
        try:
            for _ in range(count):
                net.front.begin(frontend_emulated.STREAM_PREDICT, number)
                net.settle_free(body, first)
                if wide:
                    kernels.load(out, at, outputs, net.free, net.at[-1], 255)
                else:
                    out[at] = net.answer()
                at += size
                first += net.sizes[0]
                number += 1
        except OSError as e:
            lk.error(_FRONT_END, reason(e))
            return
        self.busy_us += since(began)
        lk.reply(_PREDICT, at - lk.start)

    def _sense(self, kind):
        if not self.sensing:
            try:
                from . import (
                    stream_feed,  # only now: a board that is fed no stream has no use for it
                )
            except MemoryError:
                self.link.error(_OUT_OF_MEMORY, "no memory for the features' code")
                return
            self.sensing = stream_feed.Sensing(self)
        self.sensing.serve(kind)

    def _chips(self, kind):
        lk = self.link
        if not self.learner:
            lk.error(_NOT_CONFIGURED, "configure the network first")
        elif self.learner.network.front.exact:
            lk.error(_BAD_PAYLOAD, "there are no chips")
        elif kind == _CALIBRATE:
            from . import calibration_measure  # only now: learning has no use for it

            calibration_measure.serve(self)
        else:
            from . import frontend_codes

            recorder = frontend_codes.Recorder(self)
            recorder.serve()
            self._waiting = recorder.waiting

    def _region(self, which, layer):
        """The memory that READ, WRITE and DIGEST mean: buffer, its first byte, its length."""
        if which >= _NORMALISATION:
            return self.sensing.region(which) if self.sensing else (None, 0, 0)
        learner = self.learner
        net = learner.network
        if which <= _ACCUMULATORS and 1 <= layer <= learner.layers:
            cells = learner.accumulators[layer - 1]
            if which == _ACCUMULATORS:
                return cells, 0, len(cells)
            return net.front.devices, net.front.bases[layer - 1], 2 * len(cells)
        if _FREE <= which <= _MINUS and layer <= learner.layers:
            s = (net.free, net.plus, net.minus)[which - _FREE]
            return s, net.at[layer], net.sizes[layer]
        return None, 0, 0

    def _memory(self, kind):
        """which u8, layer u8, offset u32, count u32, data for WRITE."""
        lk = self.link
        body, at = lk.body, lk.start
        size = lk.end - at
        if size < 10:
            lk.error(_BAD_PAYLOAD, "too short")
            return
        which = body[at]
        if not self.learner and which < _NORMALISATION:
            lk.error(_NOT_CONFIGURED, "configure the network first")
            return
        offset = _u32(body, at + 2)
        count = _u32(body, at + 6)
        if kind == _WRITE and which == _STEPS and size == 10:
            self.learner.steps = count
            lk.reply(_WRITE, 0)
            return
        buffer, base, length = self._region(which, body[at + 1])
        if buffer is None or offset > length or count > length - offset:
            lk.error(_BAD_PAYLOAD, "no such memory")
            return
        base += offset
        measured = which == _DEVICES and not self.learner.network.front.exact
        if measured and kind != _WRITE:
            if kind == _DIGEST:
                lk.error(_BAD_PAYLOAD, "no digest of devices that were measured")
                return
            if not offset:
                try:
                    self.learner.network.front.refresh(body[at + 1] - 1)
                except OSError as e:
                    lk.error(_FRONT_END, reason(e))
                    return
        if kind == _DIGEST:
            self._digest(buffer, base, count, True)
            self._put_digest(at)
            lk.reply(_DIGEST, 4)
        elif kind == _READ:
            if self._room(count):
                kernels.load(lk.out, at, count, buffer, base, 255)
                lk.reply(_READ, count)
            else:
                lk.error(_BAD_PAYLOAD, "too much for one reply")
        elif which > _ACCUMULATORS and which != _NORMALISATION or count != size - 10:
            lk.error(_BAD_PAYLOAD, "not to be written so")
        else:
            kernels.load(buffer, base, count, body, at + 10, 255)
            if measured and offset + count == length:
                self._program(body[at + 1] - 1)
            else:
                lk.reply(_WRITE, 0)

    def _program(self, k):
        """Answer the WRITE that completed what the devices of weight layer k should be."""
        lk = self.link
        try:
            found = self.learner.network.front.program(k)
        except OSError as e:
            lk.error(_FRONT_END, reason(e))
            return
        put_u32(lk.out, lk.start, found[0])
        put_u32(lk.out, lk.start + 4, found[1])
        lk.reply(_WRITE, 8)

    def _stats(self):
        """collect u8 (0 or absent: leave the heap alone). Starts the busy time anew."""
        lk = self.link
        if lk.end > lk.start and lk.body[lk.start]:
            gc.collect()
        put_u32(lk.out, lk.start, self.learner.steps if self.learner else 0)
        put_u32(lk.out, lk.start + 4, self.busy_us)
        put_u32(lk.out, lk.start + 8, gc.mem_alloc())
        put_u32(lk.out, lk.start + 12, gc.mem_free())
        self.busy_us = 0
        lk.reply(_STATS, 16)

    def _set_flip(self):
        """state u8, step u32, layer u8, index u32, bit u8."""
        lk = self.link
        body, at = lk.body, lk.start
        if not self.learner:
            lk.error(_NOT_CONFIGURED, "configure the network first")
            return
        if lk.end - at != 11:
            lk.error(_BAD_PAYLOAD, "not 11 bytes")
            return
        state = body[at]
        layer = body[at + 5]
        index = _u32(body, at + 6)
        length = self._region(_FREE if state else _DEVICES, layer)[2]
        exact = self.learner.network.front.exact
        if state > 1 or layer < 1 or index >= length or body[at + 10] > 7 or not (state or exact):
            lk.error(_BAD_PAYLOAD, "no such cell")
            return
        self.learner.flip = (_u32(body, at + 1), state, layer, index, body[at + 10])
        lk.reply(_FLIP, 0)

    def _strike(self):
        """stuck u16: as in CONFIGURE, and no lower than before."""
        lk = self.link
        body, at = lk.body, lk.start
        if not self.learner:
            lk.error(_NOT_CONFIGURED, "configure the network first")
            return
        front = self.learner.network.front
        if lk.end - at != 2:
            lk.error(_BAD_PAYLOAD, "not 2 bytes")
            return
        try:
            front.strike(body[at] | body[at + 1] << 8)
        except ValueError as e:
            lk.error(_BAD_PAYLOAD, e.args[0])
            return
        put_u32(lk.out, at, front.health())
        lk.reply(_STRIKE, 4)

    def _room(self, n):
        return n + 12 <= self.link.max_body

    def _digest(self, buffer, first, count, fresh):
        if fresh:
            put_u32(self._crc, 0, 0)
        link_crc.update(self._crc, buffer, first, count)

    def _put_digest(self, at):
        kernels.load(self.link.out, at, 4, self._crc, 0, 255)


def now():
    return time.ticks_us() if time else 0


def since(began):
    return time.ticks_diff(time.ticks_us(), began) if time else 0


def reason(e):
    """What an exception of a front end says; of an OSError with a bare number, that number."""
    return e.args[0] if isinstance(e.args[0], str) else "bus error %d" % e.args[0]


def _u32(body, at):
    return body[at] | body[at + 1] << 8 | body[at + 2] << 16 | body[at + 3] << 24


def put_u32(out, at, value):
    out[at] = value & 255
    out[at + 1] = value >> 8 & 255
    out[at + 2] = value >> 16 & 255
    out[at + 3] = value >> 24 & 255


def parse(body, at, end):
    """What a CONFIGURE asks `build` for. ValueError: the payload makes no sense."""
    if end - at < 32:
        raise ValueError("too short")
    kind, depth, one_hot, rule, sweeps_free, sweeps_nudged, beta, high, low, mask, bits, front = (
        struct.unpack_from("<12B", body, at)
    )
    if (
        kind != _FORMAT
        or front > 1
        or rule > 2
        or not 2 <= bits <= 10
        or not sweeps_nudged * sweeps_free
    ):
        raise ValueError("a setting that this firmware does not know")
    seed = _u32(body, at + 12)
    device = struct.unpack_from("<HhhHHHHH", body, at + 16)
    name = at + 32 + 2 * (depth + 1) + 11 * depth
    if depth < 1 or (end <= name if front else end != name):
        raise ValueError("a length that does not fit the layers")
    design = bytes(body[name:end]).decode() if front else ""
    sizes = struct.unpack_from("<%dH" % (depth + 1), body, at + 32)
    at += 32 + 2 * (depth + 1)
    layers = [struct.unpack_from("<4B3HB", body, at + 11 * k) for k in range(depth)]
    if not 1 <= min(sizes) <= max(sizes) <= 1024 or one_hot and sizes[-1] > 255:
        raise ValueError("a layer size out of range")
    for layer in layers:
        if not 1 <= layer[1] <= 30 or min(layer[2], layer[3]) < bits - 1 or max(layer[2:4]) > 14:
            raise ValueError("a gain or converter range out of range")
    caps = [0] + [layer[6] for layer in layers]
    units = (caps, one_hot, high, low, mask, beta, sweeps_free, sweeps_nudged)
    scales = [layer[7] for layer in layers]
    if min(scales) < 1:
        raise ValueError("a rate scale of 0")
    return sizes, (device, layers, bits, seed), units, (rule, scales), design


def build(wanted):
    """The learner of a parsed CONFIGURE."""
    sizes, cells, units, rules, design = wanted
    if design:
        from . import frontend_chips  # only now: a board without chips has no use for it

        device, layers, _, seed = cells
        front = frontend_chips.Attached(sizes, device, layers, seed, design)
    else:
        front = frontend_emulated.Crossbar(sizes, *cells)
    net = network.Network(sizes, front, *units)
    return learn_rule.Learner(net, *rules)


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
