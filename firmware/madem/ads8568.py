"""ADS8568, a 16-bit ADC of 8 channels sampled at once, in a daisy chain: TI SBAS543A."""

import micropython

_PAUSE = bytes(3)  # clocks that no chip listens to: 1.7 µs of conversion at 12.5 MHz or less


class ADS8568:
    """A chain in hardware mode: no registers, ranges and reference by pins.

    Attributes:
        saturated: codes so far that were at either end.
    """

    def __init__(self, spi, frame_sync, convst, chips):
        self._spi = spi
        self._frame_sync = frame_sync  # pin, active low
        self._convst = convst
        self._answer = bytearray(16 * chips)
        self.saturated = 0

    def read(self, zero, out):
        """Convert all channels at once; out[k] = zero[k] − code of channel k."""
        convst = self._convst
        convst.on()
        convst.off()
        spi = self._spi
        spi.write(_PAUSE)
        self._frame_sync.off()
        answer = self._answer
        spi.readinto(answer)
        self._frame_sync.on()
        self.saturated += _below(out, zero, answer, len(answer) >> 1)


@micropython.viper
def _below(out: ptr16, zero: ptr16, answer: ptr8, n: int) -> int:
    """How many of the codes are at either end of the range."""
    saturated = 0
    for k in range(n):
        code = int(answer[2 * k]) << 8 | int(answer[2 * k + 1])
        out[k] = int(zero[k]) - code
        if code == 0x7FFF or code == 0x8000:
            saturated += 1
    return saturated
