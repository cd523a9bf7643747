"""74HC595, an 8-bit shift register with output latches, two in a chain."""

from micropython import const

_TRIES = const(3)


class HC595:
    """Sixteen outputs on an SPI bus; they are high impedance until `enable`.

    After the latch the same bits are shifted in once more: what then comes out of the end of the
    chain is what was latched. A buffer puts it on MISO while `readback` is low.

    Attributes:
        repeated: values that were sent again.
    """

    def __init__(self, spi, latch, output_enable, readback):
        self._spi = spi
        self._latch = latch
        self._output_enable = output_enable  # pin, active low
        self._readback = readback  # pin, active low
        self._bits = bytearray(2)
        self._said = bytearray(2)
        self.repeated = 0
        output_enable.on()
        readback.on()
        latch.off()

    def write(self, value):
        """Set the outputs, bit 0 = QA of the first chip. OSError: they are not as they were set."""
        bits, said = self._bits, self._said
        bits[0] = value >> 8
        bits[1] = value & 255
        for _ in range(_TRIES):
            self._spi.write(bits)
            self._latch.on()
            self._latch.off()
            self._readback.off()
            self._spi.write_readinto(bits, said)
            self._readback.on()
            if said == bits:
                return
            self.repeated += 1
        raise OSError("74HC595: bit errors, or they do not answer")

    def enable(self):
        """Let the outputs drive."""
        self._output_enable.off()
