"""74HC595, an 8-bit shift register with output latches, two in a chain."""


class HC595:
    """Sixteen outputs on an SPI bus; they are high impedance until `enable`."""

    def __init__(self, spi, latch, output_enable):
        self._spi = spi
        self._latch = latch
        self._output_enable = output_enable  # pin, active low
        self._bits = bytearray(2)
        output_enable.on()
        latch.off()

    def write(self, value):
        """Set the outputs, bit 0 = QA of the first chip."""
        self._bits[0] = value >> 8
        self._bits[1] = value & 255
        self._spi.write(self._bits)
        self._latch.on()
        self._latch.off()

    def enable(self):
        """Let the outputs drive."""
        self._output_enable.off()
