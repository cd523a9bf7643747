"""MCP3208, a 12-bit ADC of 8 channels on SPI: Microchip DS21298E."""

import micropython
from micropython import const

_TRIES = const(3)
_TOP = const(4095)
_APART = const(32)  # codes by which two conversions may differ: 40 σ of their noise, and devices'


class MCP3208:
    """Eight single-ended inputs.

    Its null bit, which is low, tells in every conversion whether it answers: an open line is
    pulled up. It sends each code twice, the second time from its lowest bit on (Figure 5-2), which
    tells whether the code changed on its way.

    Attributes:
        saturated: codes so far that were at either end.
        repeated: conversions that were made again.
    """

    def __init__(self, spi, select, name):
        # Looked up once: nothing is called more often.
        self._transfer = spi.write_readinto
        self._select, self._deselect = select.off, select.on  # active low
        self._name = name
        self._answer = bytearray(5)
        self.saturated = self.repeated = 0
        # Figure 6-1: five zeros, start bit, SGL, D2 | D1, D0, zeros.
        self._commands = [bytes((6 | n >> 2, (n & 3) << 6, 0, 0, 0)) for n in range(8)]

    @micropython.native
    def read(self, channel):
        """One conversion, 0 to 4095. OSError: the chip does not answer, or never twice the same."""
        answer = self._answer
        silent = True
        for _ in range(_TRIES):
            self._select()
            self._transfer(self._commands[channel], answer)
            self._deselect()
            if not answer[1] & 0x10:
                silent = False
                code = (answer[1] & 15) << 8 | answer[2]
                # Bits 1 to 11 come once more.
                if _backward(answer[3] << 3 | answer[4] >> 5) == code & 0xFFE:
                    if code == 0 or code == _TOP:
                        self.saturated += 1
                    return code
            self.repeated += 1
        if silent:
            raise OSError("the %s MCP3208 does not answer" % self._name)
        raise OSError("bit errors from the %s MCP3208" % self._name)

    def read_twice(self, channel):
        """As read, and so that a bit that flipped in the number of the channel shows."""
        for _ in range(_TRIES):
            code = self.read(channel)
            if abs(self.read(channel) - code) <= _APART:
                return code
            self.repeated += 1
        raise OSError("bit errors on the way to the %s MCP3208" % self._name)


@micropython.viper
def _backward(bits: int) -> int:
    """Twelve bits the other way round."""
    bits = (bits & 0x555) << 1 | (bits & 0xAAA) >> 1
    bits = (bits & 0x333) << 2 | (bits & 0xCCC) >> 2
    return (bits & 0x00F) << 8 | bits & 0x0F0 | bits >> 8
