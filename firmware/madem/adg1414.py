"""ADG1414, eight analog switches on SPI, in a daisy chain: Analog Devices."""

from micropython import const

_TRIES = const(3)


class ADG1414:
    """A chain of them; all switches are off at power-up.

    The switches change when SYNC rises, to what the shift register then holds. What was shifted in
    before comes out of its end, so a second shift tells what the switches are, and would put
    something unknown in its place: therefore pulses are given before SYNC rises again, and then
    RESET opens all switches, without a bit that could flip.

    Attributes:
        repeated: masks that were sent again.
    """

    def __init__(self, spi, sync, reset, chips):
        self._spi = spi
        self._sync = sync  # pin, active low
        self._reset = reset  # pin, active low, of all chains
        self._none = bytes(chips)
        self._said = bytearray(chips)
        self.repeated = 0

    def open_all(self):
        """Open all switches of all chains."""
        self._reset.off()
        self._reset.on()

    def write(self, closed):
        """Close the switches of a mask, bit 0 = S1 of the last chip, and open all others."""
        self._sync.off()
        self._spi.write(closed.to_bytes(len(self._none), "big"))
        self._sync.on()

    def write_twice(self, closed):
        """As write, and once more, which tells whether bits flip on the way."""
        mask = closed.to_bytes(len(self._none), "big")
        self._shift(mask, mask)
        self._sync.on()

    def hold(self, closed):
        """As write, surely; until `release` nothing else may use the bus."""
        self._shift(closed.to_bytes(len(self._none), "big"), self._none)

    def _shift(self, mask, then):
        for _ in range(_TRIES):
            self._sync.off()
            self._spi.write(mask)
            self._sync.on()
            self._sync.off()
            self._spi.write_readinto(then, self._said)
            if self._said == mask:
                return
            self.release()
            self.repeated += 1
        raise OSError("bit errors on the way to the gates' ADG1414, or a supply dip?")

    def release(self):
        """Open all switches, after `hold`."""
        self._sync.on()
        self.open_all()

    def answers(self):
        """Whether what is shifted in comes out of the end of the chain; opens all switches."""
        pattern = bytes(0xA0 + k for k in range(len(self._none)))
        self._sync.off()
        self._spi.write(pattern)
        # Still in one frame: no switch sees the pattern.
        self._spi.write_readinto(self._none, self._said)
        self._sync.on()
        return self._said == pattern
