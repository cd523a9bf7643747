"""ADS8568, a 16-bit ADC of 8 channels sampled at once, in a daisy chain: TI SBAS543A."""

import micropython
from micropython import const

_PAUSE = bytes(3)  # clocks that no chip listens to: 1.7 µs of conversion at 12.5 MHz or less
_TRIES = const(3)
# Codes by which two conversions of a line may differ: 90 σ of the converter's own noise, 5 of the
# noisiest devices'.
_APART = const(128)


class ADS8568:
    """A chain in hardware mode: no registers, ranges and reference by pins.

    Its codes have nothing that tells whether a bit flipped on the way. So a reading is the mean of
    two conversions, which halves the variance of its noise, and is repeated if they are too far
    apart.

    Attributes:
        saturated: codes so far that were at either end.
        repeated: readings that were made again.
    """

    def __init__(self, spi, frame_sync, convst, chips, name):
        self._spi = spi
        self._frame_sync = frame_sync  # pin, active low
        self._convst = convst
        self._name = name
        self._answer = bytearray(16 * chips)
        self._second = bytearray(16 * chips)
        self.saturated = self.repeated = 0

    def read(self, zero, out):
        """Convert all channels twice; out[k] = zero[k] − mean code of channel k.

        OSError: the two are never about the same, or the chips don't answer.
        """
        answer, second = self._answer, self._second
        for _ in range(_TRIES):
            self._convert(answer)
            self._convert(second)
            saturated = _below(out, zero, answer, second, len(answer) >> 1)
            if saturated >= 0:
                self.saturated += saturated
                return
            self.repeated += 1
        raise OSError("bit errors from the %s ADS8568" % self._name)

    def glance(self, zero, out):
        """As read, of one conversion."""
        answer = self._answer
        self._convert(answer)
        _below(out, zero, answer, answer, len(answer) >> 1)

    def _convert(self, answer):
        """OSError: MISO stays low or high, where offsets and noise would make codes differ."""
        convst = self._convst
        convst.on()
        convst.off()
        spi = self._spi
        spi.write(_PAUSE)
        self._frame_sync.off()
        spi.readinto(answer)
        self._frame_sync.on()
        if _stuck(answer, len(answer)):
            raise OSError("the %s ADS8568 do not answer" % self._name)


@micropython.viper
def _below(out: ptr16, zero: ptr16, first: ptr8, second: ptr8, n: int) -> int:
    """How many of the codes are at either end of the range; −1: two differ too much."""
    saturated = 0
    for k in range(n):
        a = int(first[2 * k]) << 8 | int(first[2 * k + 1])
        b = int(second[2 * k]) << 8 | int(second[2 * k + 1])
        if a == 0x7FFF or a == 0x8000:
            saturated += 1
        a -= (a & 0x8000) << 1
        b -= (b & 0x8000) << 1
        if a - b > _APART or b - a > _APART:
            return -1
        out[k] = int(zero[k]) - (a + b >> 1)
    return saturated


@micropython.viper
def _stuck(answer: ptr8, n: int) -> bool:
    """Whether all bits are the same."""
    first = int(answer[0])
    if first != 0 and first != 0xFF:
        return False
    for k in range(1, n):
        if int(answer[k]) != first:
            return False
    return True
