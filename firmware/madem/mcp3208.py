"""MCP3208, a 12-bit ADC of 8 channels on SPI: Microchip DS21298E."""


class MCP3208:
    """Eight single-ended inputs.

    Its null bit, which is low, tells in every conversion whether it answers: an open line is
    pulled up.
    """

    def __init__(self, spi, select, name):
        self._spi = spi
        self._select = select  # pin, active low
        self._name = name
        self._answer = bytearray(3)
        # Figure 6-1: five zeros, start bit, SGL, D2 | D1, D0, zeros.
        self._commands = [bytes((6 | n >> 2, (n & 3) << 6, 0)) for n in range(8)]

    def read(self, channel):
        """One conversion, 0 to 4095. OSError: the chip does not answer."""
        answer = self._answer
        self._select.off()
        self._spi.write_readinto(self._commands[channel], answer)
        self._select.on()
        if answer[1] & 0x10:
            raise OSError("the %s MCP3208 does not answer" % self._name)
        return (answer[1] & 15) << 8 | answer[2]
