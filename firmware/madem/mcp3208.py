"""MCP3208, a 12-bit ADC of 8 channels on SPI: Microchip DS21298E."""


class MCP3208:
    """Eight single-ended inputs."""

    def __init__(self, spi, select):
        self._spi = spi
        self._select = select  # pin, active low
        self._answer = bytearray(3)
        # Figure 6-1: five zeros, start bit, SGL, D2 | D1, D0, zeros.
        self._commands = [bytes((6 | n >> 2, (n & 3) << 6, 0)) for n in range(8)]

    def begin(self, name):
        """Check that it answers: its null bit is low, where an open line is pulled up."""
        self.read(0)
        if self._answer[1] & 0x10:
            raise OSError("the %s MCP3208 does not answer" % name)

    def read(self, channel):
        """One conversion, 0 to 4095."""
        answer = self._answer
        self._select.off()
        self._spi.write_readinto(self._commands[channel], answer)
        self._select.on()
        return (answer[1] & 15) << 8 | answer[2]
