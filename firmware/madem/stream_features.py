"""Features of a stream of samples, in integers: docs/reference/features.md.

Imported only when a pipeline is configured. Nothing allocates once a Pipeline
is made. As in kernels.py, what may be negative is stored with an offset.
"""

import struct

import micropython
from micropython import const

_FEATURE_MEAN = const(1)
_FEATURE_ENERGY = const(2)
_FEATURE_ZERO = const(4)
_FEATURE_MINMAX = const(8)

_OFFSET = const(32768)  # of a sample and of a feature in 16 bits
_CENTRE_OFFSET = const(4194304)  # of a running centre in 32 bits

# round(127 cos(2 pi j / 64)) + 128
_WAVE = bytes(
    (255, 254, 253, 250, 245, 240, 234, 226, 218, 209, 199, 188, 177, 165, 153, 140)
    + (128, 116, 103, 91, 79, 68, 57, 47, 38, 30, 22, 16, 11, 6, 3, 2)
    + (1, 2, 3, 6, 11, 16, 22, 30, 38, 47, 57, 68, 79, 91, 103, 116)
    + (128, 140, 153, 165, 177, 188, 199, 209, 218, 226, 234, 240, 245, 250, 253, 254)
)

# The place in the stream, in 16-bit words.
_CHANNELS = const(0)
_WINDOW = const(1)
_HOP = const(2)
_NEXT = const(3)  # row of the ring that the next sample takes: the oldest
_LEFT = const(4)  # samples until a window is whole


@micropython.viper
def _push(ring: ptr16, place: ptr16, source: ptr8, at: int) -> int:
    channels = place[_CHANNELS]
    row = place[_NEXT]
    first = row * channels
    c = 0
    while c < channels:
        ring[first + c] = (source[at] | (source[at + 1] << 8)) ^ 0x8000
        at += 2
        c += 1
    row += 1
    if row == place[_WINDOW]:
        row = 0
    place[_NEXT] = row
    left = place[_LEFT] - 1
    if left:
        place[_LEFT] = left
        return 0
    place[_LEFT] = place[_HOP]
    return 1


@micropython.viper
def level(power: int, h: int) -> int:
    """64 log2 of a power whose amplitudes count 2**h units each, at least 0."""
    if power == 0:
        return 0
    e = 0 - 1
    v = power
    while v:
        v >>= 1
        e += 1
    if e < 6:
        v = power << (6 - e)
    else:
        v = power >> (e - 6)
    v = 64 * e + (v & 63) + 128 * h
    if v < 0:
        v = 0
    return v


@micropython.viper
def _analyse(
    ring: ptr16, place: ptr16, channel: int, d: ptr32, out: ptr16, at: int, flags: int
) -> int:
    """One channel's features but the bands into out[at:], + _OFFSET.

    Leaves the block in `d`, + 4096, and returns its exponent h + 11.
    """
    channels = place[_CHANNELS]
    window = place[_WINDOW]
    x = place[_NEXT] * channels + channel
    end = window * channels
    total = 0
    low = 65535
    high = 0
    i = 0
    while i < window:
        v = ring[x]
        d[i] = v
        total += v
        if v < low:
            low = v
        if v > high:
            high = v
        x += channels
        if x >= end:
            x -= end
        i += 1
    mean = total // window
    v = high - mean
    if mean - low > v:
        v = mean - low
    h = 0 - 11
    while v:
        v >>= 1
        h += 1
    up = 0
    down = h
    if h < 0:
        up = 0 - h
        down = 0
    crossings = 0 - 1  # the first sample crosses from nowhere
    was = 2
    power = 0
    i = 0
    while i < window:
        v = int(d[i]) - mean
        below = 0
        if v < 0:
            below = 1
        if below != was:
            crossings += 1
            was = below
        v = (v << up) >> down
        d[i] = v + 4096
        power += v * v
        i += 1
    if flags & _FEATURE_MEAN:
        out[at] = mean
        at += 1
    if flags & _FEATURE_ENERGY:
        out[at] = int(level(power // window, h)) + _OFFSET
        at += 1
    if flags & _FEATURE_ZERO:
        out[at] = crossings + _OFFSET
        at += 1
    if flags & _FEATURE_MINMAX:
        out[at] = low
        out[at + 1] = high
    return h + 11


@micropython.viper
def _transform(d: ptr32, first: int, n: int, bands: int, h: int, out: ptr16, at: int):
    """Levels of the bands of the n block samples from d[first] on into out[at:], + _OFFSET.

    `d` is used up.
    """
    wave = ptr8(_WAVE)
    x = ptr32(int(d) + 4 * first)
    step = 64 // n
    half = n >> 1
    i = n
    while i < 64:  # a shorter sum of the same amplitude is smaller
        i <<= 1
        h += 1
    i = 0
    while i < n:
        x[i] = (((int(x[i]) - 4096) * (255 - wave[i * step])) >> 7) + 16384
        i += 1
    # Cosines are even and sines odd around the middle: sums of mirrored samples go to x[i],
    # differences to x[n - i], and half of the multiplications are saved.
    i = 1
    while i < half:
        a = int(x[i])
        b = int(x[n - i])
        x[i] = a + b - 16384
        x[n - i] = a - b + 16384
        i += 1
    band = 0
    k = 0
    while band < bands:
        end = ((band + 1) * half) // bands
        power = 0
        while k < end:
            k += 1
            turn = k * step
            real = int(x[half]) - 16384
            if k & 1:
                real = 0 - real
            real = 127 * (int(x[0]) - 16384 + real)
            imaginary = 0
            phase = turn
            i = 1
            while i < half:
                phase &= 63
                real += (int(x[i]) - 16384) * (wave[phase] - 128)
                imaginary += (int(x[n - i]) - 16384) * (wave[(phase + 48) & 63] - 128)
                phase += turn
                i += 1
            real >>= 12
            imaginary >>= 12
            power += real * real + imaginary * imaginary
        out[at + band] = int(level(power, h)) + _OFFSET
        band += 1


@micropython.viper
def _encode(raw: ptr16, state: ptr32, codes: ptr8, count: int, follow: int, norm: int):
    """Inputs of the network from features; with `follow` the normalisation goes along first."""
    seen = int(state[0])
    shift = 0
    v = seen
    while v:
        v >>= 1
        shift += 1
    if shift > norm:
        shift = norm
    i = 0
    while i < count:
        f = (raw[i] - _OFFSET) << 6
        centre = int(state[2 * i + 1]) - _CENTRE_OFFSET
        spread = int(state[2 * i + 2])
        if follow:
            centre += (f - centre) >> shift
            v = f - centre
            if v < 0:
                v = 0 - v
            spread += (v - spread) >> shift
            state[2 * i + 1] = centre + _CENTRE_OFFSET
            state[2 * i + 2] = spread
        if spread < 64:
            spread = 64
        v = (96 * (f - centre)) // spread
        above = 0
        below = 0
        if v > 0:
            above = v
            if v > 255:
                above = 255
        else:
            below = 0 - v
            if below > 255:
                below = 255
        codes[2 * i] = above
        codes[2 * i + 1] = below
        i += 1
    if follow:
        if seen < 4096:
            state[0] = seen + 1


class Pipeline:
    """Windows of a stream and their features.

    codes: inputs of the network, two for each feature; state: the running
    normalisation, 32-bit words: windows followed, then centre and spread of
    each feature.
    """

    def __init__(self, channels, window, hop, flags, bands, norm):
        """Limits are those of docs/reference/features.md. ValueError: out of range."""
        self.transform = 64
        while self.transform > window:
            self.transform >>= 1
        each = bands
        for flag in (
            _FEATURE_MEAN,
            _FEATURE_ENERGY,
            _FEATURE_ZERO,
            _FEATURE_MINMAX,
            _FEATURE_MINMAX,
        ):
            if flags & flag:
                each += 1
        if (
            not (1 <= channels <= 16 and 8 <= window <= 256 and 1 <= hop <= window and norm <= 12)
            or not 1 <= each * channels <= 512
            or flags > 15
            or bands * 2 > self.transform
            or (bands and window < 16)
        ):
            raise ValueError("a pipeline that this firmware does not know")
        self._each = each
        self._flags = flags
        self._bands = bands
        self._norm = norm
        self.window = window
        self.channels = channels
        self.features = each * channels
        self.codes = bytearray(2 * self.features)
        self.state = bytearray(4 + 8 * self.features)
        for i in range(self.features):
            struct.pack_into("<I", self.state, 4 + 8 * i, _CENTRE_OFFSET)
        self._ring = bytearray(2 * channels * window)
        self._place = bytearray(10)
        struct.pack_into("<5H", self._place, 0, channels, window, hop, 0, window)
        self._d = bytearray(4 * window)
        self._raw = bytearray(2 * self.features)

    def restart(self):
        """Forget the samples: what follows does not join on to them."""
        struct.pack_into("<H", self._place, 2 * _LEFT, self.window)

    def due(self, samples, restarted):
        """How many windows so many further samples complete, after a restart or without."""
        place = self._place
        left = self.window if restarted else place[2 * _LEFT] | place[2 * _LEFT + 1] << 8
        if samples < left:
            return 0
        return 1 + (samples - left) // (place[2 * _HOP] | place[2 * _HOP + 1] << 8)

    def accepts(self, source, first, offset, count):
        """Whether source[first:] can be `count` bytes of `state` from `offset` on.

        Numbers that no stream leads to would not fit the words of `compute`. Byte by byte, as
        pieces may come one after the other.
        """
        for i in range(count):
            place = offset + i
            if place & 3 == 3:
                most = 0
            elif place & 3 == 2:
                most = 127 if place > 3 else 0
            else:
                continue
            if source[first + i] > most:
                return False
        return True

    def push(self, source, at):
        """Take the sample at source[at:], 16 bits a channel; 1 when a window is whole."""
        return _push(self._ring, self._place, source, at)

    def compute(self, follow, pause=None):
        """Features of the newest whole window, into `codes`; `pause()` after each channel."""
        for channel in range(self.channels):
            self.analyse(channel)
            if pause:
                pause()
        _encode(self._raw, self.state, self.codes, self.features, follow, self._norm)

    def analyse(self, channel):
        """Features of one channel of the window, not yet normalised."""
        at = channel * self._each
        h = _analyse(self._ring, self._place, channel, self._d, self._raw, at, self._flags) - 11
        bands = self._bands
        if bands:
            n = self.transform
            at += self._each - bands
            _transform(self._d, self.window - n, n, bands, h, self._raw, at)
