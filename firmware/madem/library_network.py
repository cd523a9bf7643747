"""A network for a user's own program: docs/reference/device.md.

    net = madem.load("gestures.madem")
    k = net.predict(codes)
    net.learn(codes, 2)
    net.autosave("gestures.madem", seconds=600)

`predict`, `learn`, `encode` and `recall` allocate nothing, nor does `autosave` while it waits.
"""

import struct
import time
from array import array

import micropython
from micropython import const

from . import flash_file, kernels, library_settings, network_config

_MAGIC = const(b"MADEM\0")
_VERSION = const(3)
_HEAD = const(10)
_ITERATIONS = const(8)  # of recall, the first one included
_STEPS = const(1073741823)
_COUNTS = const(1073741823)  # the largest; the smallest is one less than its negative
_WRITINGS = const(0xFFFFFFFF)
_LONGEST = const(500000)  # seconds; differences of ticks go to 2**29 ms where integers are smallest


class Network:
    """Layers of units on an emulated crossbar that tell classes apart or give back words.

    Attributes:
        names: of the classes or words, a list of str.
        inputs: DAC codes that `predict` takes.
        outputs: bytearray, activities of the outputs after `predict`, `learn` or `recall`.
        rate, pulses: how fast it learns: RATE and PULSES of docs/reference/arithmetic.md. Of a new
            network those of a first pass; of one that has learned, those of a later pass.
        features: the pipeline that its inputs come from, None: there is none.
        dots: bytearray, what `recall` read, 1 = raised; None: it gives back no words.
        gate: the `learn_gate.UpdateGate` that decides what is learned; None: everything is.
        source: payload of SOURCE in docs/reference/link.md, the sensor that its samples come
            from; None: it is not known.
        saves: how often boards have written it to a file, as the file keeps count.
    """

    def __init__(self, conf, names):
        """What a payload of CONFIGURE describes, fresh.

        Raises:
            ValueError: it makes no sense, or the number of names does not fit it.
            MemoryError: it does not fit.
        """
        wanted = network_config.parse(conf, 0, len(conf))
        if wanted[-1]:
            raise ValueError("a network behind chips: the library has the emulated front end only")
        self._conf = conf
        self._learner = learner = network_config.build(wanted)
        self._network = network = learner.network
        self.names = names
        self.inputs = network.sizes[0]
        at = network.at[-1]
        self.outputs = memoryview(network.free)[at:]
        self.rate, self.pulses = library_settings.RATE, library_settings.PULSES
        self.features = None
        self.dots = None
        self.gate = None
        self.source = None
        self.saves = 0
        self._kept = None  # checksums: of the network, and of the file that has it
        self._tried_at = time.ticks_ms()  # to save it
        self._columns = None  # as in the file
        self._x = bytearray(self.inputs)  # what encode and recall make
        self._target = bytearray(1)
        self._held = None  # the sample that `begin` was given
        self._answered = False
        if names and network.one_hot and len(names) != network.sizes[-1]:
            raise ValueError("%d names for %d outputs" % (len(names), network.sizes[-1]))

    @property
    def steps(self):
        """Samples learned so far."""
        return self._learner.steps

    @property
    def margin(self):
        """How far the most active output is above the next, 0 to 255."""
        network = self._network
        return network.margin(kernels.best(network.free, network.at[-1], network.sizes[-1]))

    def predict(self, x):
        """The class of a sample.

        Args:
            x: buffer of `inputs` DAC codes.

        Raises:
            ValueError: x has another length.
            RuntimeError: a sample is being learned.
        """
        self._check(x)
        self._network.predict(x, 0)
        return self._network.answer()

    def learn(self, x, target):
        """Learn one sample; with a gate, perhaps: `gate.outcome` then says what became of it.

        Args:
            x: buffer of `inputs` DAC codes.
            target: the class; or a buffer of on/off bytes, one for each output, where the network
                gives back words.

        Returns:
            The class that it took the sample for before it learned; or how many outputs were
            wrong.

        Raises:
            ValueError: x or the target does not fit.
            RuntimeError: another sample is being learned.
        """
        self.begin(x, target)
        answer = self.step()
        self.step()
        return answer

    def begin(self, x, target):
        """Learn one sample in steps, as `learn` does at once.

        x must stay as it is until the first one.
        """
        self._check(x)
        network = self._network
        if network.one_hot:
            if not 0 <= target < network.sizes[-1]:
                raise ValueError("there is no class %d" % target)
            self._target[0] = target
            target = self._target
        elif len(target) != network.sizes[-1]:
            raise ValueError("a target has %d bytes" % network.sizes[-1])
        network.set_targets(target, 0)
        self._held = x
        self._answered = False

    def step(self):
        """Do the next step of the sample.

        Returns:
            After the first one, its answer as `learn` gives it; after the last one None.
        """
        learner = self._learner
        if self._held is None:
            return None
        gate = self.gate
        if not self._answered:
            if gate:
                gate.free_phase(self._held)
            else:
                learner.free_phase(self._held, 0)
            self._answered = True
            return self._network.answer()
        self._held = None
        if gate:
            gate.update(self._target[0], self.rate, self.pulses)
        else:
            learner.update(self.rate, self.pulses)
        return None

    def use_gate(self, gate=256, at_most=100, fade=4, drop=0, every=100):
        """Have a gate decide what is learned from now on; `self.gate = None` ends that.

        Its settings are GATE, AT_MOST, FADE, DROP and EVERY of docs/guide/online.md.

        Raises:
            ValueError: one is out of range, or the network tells no classes apart.
            MemoryError: there is no room for the checkpoint that `drop` asks for.
        """
        from . import learn_gate  # only now: other networks have no use for it

        self.gate = None
        self.gate = learn_gate.UpdateGate(self._learner, gate, at_most, fade, drop, every)

    def open_source(self):
        """The sensor that its samples come from, a `library_source.Sensor`.

        Raises:
            ValueError: it is not known, or this board has none of that name.
            OSError: the chip does not answer.
        """
        from . import library_source

        if self.source is None:
            raise ValueError("the network's file names no sensor: madem export --sensor writes it")
        return library_source.Sensor(self.source)

    def meanwhile(self, call):
        """Have `call()` called after each sweep and each layer's change; None: nothing.

        Samples can be taken then.
        """
        self._network.pause = call

    def encode(self, counts):
        """DAC codes of values, by the scale in the network's file.

        Args:
            counts: for each input its value − origin in steps of 10^-decimals (`columns` has
                both), a sequence of whole numbers; beyond ±2³⁰ they are clipped.

        Returns:
            bytearray of `inputs` codes, the same one each time.

        Raises:
            ValueError: there is no scale, or counts has another length.
        """
        if self._columns is None:
            raise ValueError("this network has no scale of columns")
        if len(counts) != self.inputs:
            raise ValueError("%d values, not %d" % (self.inputs, len(counts)))
        held = self._counts
        for i in range(len(held)):
            held[i] = max(-_COUNTS - 1, min(counts[i], _COUNTS))
        _encode(self._x, held, self._ends, len(held))
        return self._x

    def columns(self):
        """Of each input: name, unit, decimals, origin (eight bytes of a float, little-endian)."""
        data = self._columns or b"\0\0"
        return [
            (name, unit, struct.unpack_from("<h", data, at)[0], data[at + 10 : at + 18])
            for at, name, unit in _columns(data)
        ]

    def recall(self, dots):
        """Give back the word of which these are distorted dots; `dots` and `outputs` have more.

        Args:
            dots: buffer, a byte for each dot, 0: not raised.

        Returns:
            The number of the word whose label is the most active; -1: there are no labels.

        Raises:
            ValueError: the network gives back no words, or dots has another length.
            RuntimeError: a sample is being learned.
        """
        known = self.dots
        if known is None:
            raise ValueError("this network gives back no words")
        if len(dots) != len(known):
            raise ValueError("a word has %d dots" % len(known))
        network = self._network
        outputs, x, shown = self.outputs, self._x, self._shown
        n = len(known)
        for i in range(len(x)):
            x[i] = 255 if i < n and dots[i] else 0
        word = -1
        for _ in range(_ITERATIONS):
            self._check(x)
            network.predict(x, 0)
            word = self._best_label()
            for i in range(n):
                known[i] = outputs[i] >= network.threshold
                shown[i] = 255 if known[i] else 0
            for i in range(n, len(shown)):
                shown[i] = 255 if (i - n) // self._lines == word else 0
            if shown == x:
                break
            for i in range(len(x)):
                x[i] = shown[i]
        return word

    def save(self, path):
        """Write the network; after a cut at any moment `load` finds this one or the one before.

        Returns:
            Whether it wrote: not if the file has this network already.

        Raises:
            OSError: the flash is full or worn; what was there before is there still.
        """
        self._tried_at = time.ticks_ms()
        parts = self._parts()
        own = flash_file.checksum_of(parts)
        if self._kept == (own, flash_file.checksum(path)):
            return False
        saves = min(self.saves + 1, _WRITINGS)
        _add(parts, "SAVE", [struct.pack("<I", saves)])
        flash_file.replace(path, parts)
        self.saves = saves
        self._kept = own, flash_file.checksum(path)
        return True

    def autosave(self, path, seconds=600):
        """Save at most so often, and not so soon after it was loaded; for a loop to call.

        Args:
            path: of the file.
            seconds: between two writings, 1 to 500000.

        Returns:
            Whether it wrote.

        Raises:
            OSError: the flash is full or worn; the next attempt is as many seconds away.
        """
        if not 1 <= seconds <= _LONGEST:
            raise ValueError("seconds must be from 1 to %d" % _LONGEST)
        # After days without a call the difference may be negative: that is long enough, too.
        if 0 <= time.ticks_diff(time.ticks_ms(), self._tried_at) < 1000 * seconds:
            return False
        return self.save(path)

    def _parts(self):
        """What a file holds of it, but for the count of its writings and the checksum."""
        learner = self._learner
        parts = [struct.pack("<6sHH", _MAGIC, _VERSION, 0)]
        names = [struct.pack("<H", len(self.names))]
        for name in self.names:
            data = name.encode()[:255]
            names.append(bytes([len(data)]) + data)
        _add(parts, "CONF", [self._conf])
        _add(parts, "STEP", [struct.pack("<I", learner.steps)])
        _add(parts, "DEVS", [learner.network.front.devices])
        _add(parts, "ACCS", learner.accumulators)
        _add(parts, "NAMS", names)
        if self._columns is not None:
            _add(parts, "COLS", [self._columns])
        elif self.features is not None:
            features = self.features
            in_use = bytes([features.follows_in_use])
            _add(parts, "PIPE", [features.settings, in_use, features.state])
        elif self.dots is not None:
            _add(parts, "WORD", [bytes([self._lines])])
        _add(parts, "RATE", [struct.pack("<HB", self.rate, self.pulses)])
        if self.gate is not None:
            _add(parts, "GATE", [self.gate.state(), self.gate.copy()])
        if self.source is not None:
            _add(parts, "SRCE", [self.source])
        return parts

    def _check(self, x):
        if len(x) != self.inputs:
            raise ValueError("a sample has %d codes, not %d" % (self.inputs, len(x)))
        if self._held is not None:
            raise RuntimeError("a sample is being learned: finish its steps first")

    def _best_label(self):
        """The word whose label is the most active; -1: none is."""
        n, outputs = len(self.dots), self.outputs
        if n == len(outputs):
            return -1
        word = n
        for i in range(n + 1, len(outputs)):
            if outputs[i] > outputs[word]:
                word = i
        return word - n if outputs[word] else -1

    def _take(self, tag, file, size):
        """Read the section's bytes.

        Raises:
            ValueError: they don't fit the network.
        """
        network = self._network
        if tag == "DEVS":
            _fill(file, network.front.devices, size, tag)
        elif tag == "ACCS":
            left = size
            for cells in self._learner.accumulators:
                _fill(file, cells, min(left, len(cells)), tag)
                left -= len(cells)
            _fit(not left, tag)
        elif tag == "STEP":
            _fit(size == 4, tag)
            steps = struct.unpack("<I", file.read(4))[0]
            _fit(steps <= _STEPS, tag)
            self._learner.steps = steps
            if steps:  # unless RATE, which comes later, says otherwise
                self.rate, self.pulses = library_settings.RATE_ON, library_settings.PULSES_ON
        elif tag == "RATE":
            _fit(size == 3, tag)
            self.rate, self.pulses = struct.unpack("<HB", file.read(3))
        elif tag == "COLS":
            self._take_columns(file.read(size))
        elif tag == "PIPE":
            self._take_pipeline(file.read(size))
        elif tag == "WORD":
            _fit(size == 1, tag)
            self._take_words(file.read(1)[0])
        elif tag == "GATE":
            self._take_gate(file, size)
        elif tag == "SRCE":
            self.source = file.read(size)
        elif tag == "SAVE":
            _fit(size == 4, tag)
            self.saves = struct.unpack("<I", file.read(4))[0]

    def _take_columns(self, data):
        self._columns = data
        self._counts = array("i", bytearray(4 * self.inputs))
        self._ends = array("i", bytearray(8 * self.inputs))
        k = 0
        for at, _, _ in _columns(data):
            _fit(k < self.inputs, "COLS")
            low, high = struct.unpack_from("<ii", data, at + 2)
            _fit(-_COUNTS - 1 <= low <= high <= _COUNTS, "COLS")
            self._ends[2 * k] = low
            self._ends[2 * k + 1] = high
            k += 1
        _fit(k == self.inputs, "COLS")

    def _take_pipeline(self, data):
        from . import library_pipeline  # only now: other networks have no use for it

        _fit(len(data) > 13, "PIPE")
        self.features = library_pipeline.Pipeline(data[:8], data[8] != 0, data[9:])
        _fit(len(self.features.codes) == self.inputs, "PIPE")

    def _take_gate(self, file, size):
        from . import learn_gate

        _fit(size >= learn_gate.STATE_BYTES, "GATE")
        self.gate = gate = learn_gate.of_state(self._learner, file.read(learn_gate.STATE_BYTES))
        _fill(file, gate.copy(), size - learn_gate.STATE_BYTES, "GATE")

    def _take_words(self, lines):
        """lines: that carry a word's label."""
        outputs = self._network.sizes[-1]
        words = len(self.names) if lines else 0
        _fit(self._network.one_hot or self.inputs == outputs - words + words * lines, "WORD")
        if not self._network.one_hot:
            self._lines = lines
            self._shown = bytearray(self.inputs)
            self.dots = bytearray(outputs - words)


def fresh(sizes, names=None, seed=1):
    """A network that learns classes.

    Args:
        sizes: units of each layer, input first.
        names: of the classes, in the order of the outputs; None: their numbers.
        seed: of all its draws.

    Raises:
        ValueError: a size, the seed or the number of names is out of range.
        MemoryError: it does not fit.
    """
    if names is None:
        names = [str(k) for k in range(sizes[-1])]
    return Network(library_settings.payload(sizes, seed), list(names))


def load(path):
    """The network in a file; of one whose last writing was cut, the one before.

    Raises:
        OSError: there is no such file, or it is damaged.
        ValueError: it is no network that this firmware can use.
        MemoryError: it does not fit.
    """
    found = flash_file.find(path)
    with open(found, "rb") as file:
        try:
            net = _read(file)
        except ValueError as e:
            raise ValueError("%s: %s" % (path, e.args[0] if e.args else "text that is no UTF-8"))
    net._kept = flash_file.checksum_of(net._parts()), flash_file.checksum(found)
    return net


def _read(file):
    end = file.seek(0, 2) - 4
    file.seek(0)
    head = file.read(_HEAD)
    if head[:6] != _MAGIC:
        raise ValueError("not a network saved by madem")
    if head[6] | head[7] << 8 != _VERSION:
        raise ValueError("of another format: write it with madem export")
    conf = names = b""
    # The names first: they tell how many words there are.
    for tag, size in _sections(file, end):
        if tag == "NAMS":
            names = file.read(size)
        elif tag == "CONF":
            conf = file.read(size)
    net = Network(conf, _texts(names))
    seen = 0
    for tag, size in _sections(file, end):
        net._take(tag, file, size)
        if tag in ("STEP", "DEVS", "ACCS"):
            seen += 1
    _fit(seen == 3, "STEP, DEVS or ACCS")
    return net


def _sections(file, end):
    """Tag and length of each section, with the file where its bytes are."""
    at = _HEAD
    while at < end:
        file.seek(at)
        tag, size = struct.unpack("<4sI", file.read(8))
        at += 8 + size
        _fit(at <= end, tag)
        yield tag.decode(), size


def _fit(ok, tag):
    if not ok:
        raise ValueError(
            "its section %s does not fit" % (tag if isinstance(tag, str) else tag.decode())
        )


def _fill(file, buffer, size, tag):
    _fit(size == len(buffer) and file.readinto(buffer) == size, tag)


def _texts(data):
    found = []
    if data:
        at = 2
        for _ in range(_count(data, "NAMS")):
            text, at = _text(data, at)
            found.append(text)
        _fit(at == len(data), "NAMS")
    return found


def _count(data, tag):
    _fit(len(data) > 1, tag)
    return data[0] | data[1] << 8


def _text(data, at):
    """The text at data[at:], and where it ends."""
    _fit(at < len(data), "NAMS")
    end = at + 1 + data[at]
    _fit(end <= len(data), "NAMS")
    return data[at + 1 : end].decode(), end


def _columns(data):
    """Of each column in a section COLS: where its numbers are, its name and its unit."""
    at = 2
    for _ in range(_count(data, "COLS")):
        name, at = _text(data, at)
        unit, at = _text(data, at)
        _fit(at + 18 <= len(data), "COLS")
        yield at, name, unit
        at += 18
    _fit(at == len(data), "COLS")


def _add(parts, tag, contents):
    parts.append(struct.pack("<4sI", tag, sum(map(len, contents))))
    parts.extend(contents)


@micropython.viper
def _encode(codes: ptr8, counts: ptr16, ends: ptr16, count: int):
    """Codes of counts between the ends of each input: docs/reference/network_file.md."""
    i = 0
    while i < count:
        # Halves of words: the upper one has the sign.
        low = ((int(ends[4 * i + 1]) ^ 0x8000) - 0x8000) << 16 | int(ends[4 * i])
        span = (((int(ends[4 * i + 3]) ^ 0x8000) - 0x8000) << 16 | int(ends[4 * i + 2])) - low
        v = (((int(counts[2 * i + 1]) ^ 0x8000) - 0x8000) << 16 | int(counts[2 * i])) - low
        if v < 0:
            v = 0
        elif v > span:
            v = span
        shift = 0
        while span >> shift >= 0x200000:
            shift += 1
        width = span >> shift
        code = 0
        if width:
            code = ((v >> shift) * 510 + width) // (2 * width)
        codes[i] = code
        i += 1
