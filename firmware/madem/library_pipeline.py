"""Features of a stream for a user's own program: docs/reference/features.md, from one line.

features = madem.pipeline("window=40 hop=20 | mean energy | norm:8", channels=3)
while True:
    if features.feed(read_sensor()):
        k = net.predict(features.codes)
"""

import struct
from array import array

from . import stream_features

_FLAGS = {"mean": 1, "energy": 2, "zero": 4, "minmax": 8}
_NAMES = ("window", "hop", "bands", "norm")
_PLACES = (("window", "hop"), ("mean", "energy", "zero", "minmax", "bands"), ("norm", "follow"))


class Pipeline:
    """Windows of samples and their features; `codes` are the inputs of a network.

    Attributes:
        codes: bytearray, two for each feature, of the newest window.
        state: bytearray, the normalisation, as READ of docs/reference/link.md gives it.
        follow: whether the normalisation goes along with the stream. Of a new pipeline it does;
            of a loaded network's it does if the line says so.
        follows_in_use: whether the line says `follow`.
        settings: bytes, the payload of PIPELINE.
    """

    def __init__(self, settings, follows_in_use, state=None):
        """What a payload of PIPELINE describes, with a new normalisation or the one of a file.

        Raises:
            ValueError: a number is out of range, or this can't be the normalisation.
        """
        features = stream_features.Pipeline(*struct.unpack("<BHHBBB", settings))
        self._features = features
        self._row = array("h", bytearray(2 * features.channels))
        self.settings = settings
        self.codes = features.codes
        self.state = features.state
        self.follows_in_use = follows_in_use
        self.follow = follows_in_use or state is None
        if state is not None:
            if len(state) != len(features.state) or not features.accepts(state, 0, 0, len(state)):
                raise ValueError("this is no normalisation of the pipeline")
            features.state[:] = state

    def feed(self, samples):
        """Take samples, and say whether a window is whole: then `codes` is new.

        Args:
            samples: one as a tuple or list of whole numbers, or a buffer of one or several:
                array("h"), or bytes with 16 bits a channel, little-endian.

        Raises:
            ValueError: not whole samples, or so many that they would complete two windows.
        """
        features = self._features
        if isinstance(samples, tuple) or isinstance(samples, list):
            samples = self._take(samples)
        size = 2 * len(samples) if isinstance(samples, array) else len(samples)
        width = 2 * features.channels
        if size % width:
            raise ValueError("not whole samples of %d channels" % features.channels)
        if features.due(size // width, False) > 1:
            raise ValueError("these samples complete more than one window: feed fewer at once")
        whole = False
        at = 0
        while at < size:
            if features.push(samples, at):
                features.compute(self.follow)
                whole = True
            at += width
        return whole

    def restart(self):
        """Forget the samples: what follows does not join on to them."""
        self._features.restart()

    def _take(self, sample):
        row = self._row
        if len(sample) != len(row):
            raise ValueError("a sample of %d channels, not %d" % (len(row), len(sample)))
        for i in range(len(row)):
            if not -32768 <= sample[i] <= 32767:
                raise ValueError("a sample beyond 16 bits")
            row[i] = sample[i]
        return row


def pipeline(line, channels=1):
    """The pipeline that a line describes, for samples of so many channels.

    Raises:
        ValueError: a word that does not belong there, or a number out of range.
    """
    return Pipeline(*parse(line, channels))


def parse(line, channels):
    """The payload of PIPELINE, and whether the line says `follow`."""
    found = {}
    parts = line.split("|")
    if not 2 <= len(parts) <= 3:
        raise ValueError("a pipeline is written window=W hop=H | FEATURES | norm:K")
    for place in range(len(parts)):
        for word in parts[place].split():
            name, number = _word(word, place)
            if name in found:
                raise ValueError("%s is there twice in the pipeline" % name)
            found[name] = number
    if "window" not in found:
        raise ValueError("the pipeline has no window=W")
    flags = 0
    for name in _FLAGS:
        if name in found:
            flags |= _FLAGS[name]
    window = found["window"]
    numbers = (window, found.get("hop", window), flags, found.get("bands", 0), found.get("norm", 6))
    if max(window, numbers[1]) > 65535 or max(channels, *numbers[3:]) > 255 or channels < 0:
        raise ValueError("a number in the pipeline is out of range")
    return struct.pack("<BHHBBB", channels, *numbers), "follow" in found


def _word(word, place):
    """Name and number of a word in the line's part number `place`."""
    name, sign, number = word, "", ""
    for sign in "=:":
        if sign in word:
            name, number = word.split(sign, 1)
            break
    numbered = name in _NAMES
    if (
        name not in _PLACES[place]
        or numbered != bool(number)
        or numbered
        and (not number.isdigit() or (sign == "=") != (place == 0))
        or not numbered
        and name != word
    ):
        raise ValueError("%s in the pipeline: expected %s" % (word, " or ".join(_PLACES[place])))
    return name, int(number) if numbered else 1
