"""ADG1414, eight analog switches on SPI, in a daisy chain: Analog Devices."""


class ADG1414:
    """A chain of them; all switches are off at power-up."""

    def __init__(self, spi, sync, chips):
        self._spi = spi
        self._sync = sync  # pin, active low
        self._chips = chips

    def write(self, closed):
        """Close the switches of a mask, bit 0 = S1 of the last chip, and open all others."""
        self._sync.off()
        self._spi.write(closed.to_bytes(self._chips, "big"))
        self._sync.on()

    def answers(self):
        """Whether what is shifted in comes out of the end of the chain; opens all switches."""
        pattern = bytes(0xA0 + k for k in range(self._chips))
        said = bytearray(self._chips)
        self._sync.off()
        self._spi.write(pattern)
        # Still in one frame: no switch sees the pattern.
        self._spi.write_readinto(bytes(self._chips), said)
        self._sync.on()
        return said == pattern
