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

    def write(self, mask):
        """Close the switches of a mask, the first byte the first chip's, and open all others."""
        self._sync.off()
        self._spi.write(mask)
        self._sync.on()

    def hold(self, mask):
        """As write, surely; until `release` nothing else may use the bus."""
        for _ in range(_TRIES):
            self.write(mask)
            if self._asked(mask):
                return
            self.release()
            self.repeated += 1
        self.fail()

    def fail(self):
        """OSError: a mask did not arrive in all its tries."""
        raise OSError("bit errors on the way to the gates' ADG1414, or a supply dip?")

    def release(self):
        """Open all switches, after `hold`."""
        self._sync.on()
        self.open_all()

    def were(self, mask):
        """Open all switches; whether those of a mask were closed, and no others."""
        right = self._asked(mask)
        self.release()
        if not right:
            self.repeated += 1
        return right

    def _asked(self, mask):
        self._sync.off()
        self._spi.write_readinto(self._none, self._said)
        return self._said == mask

    def answers(self):
        """Whether what is shifted in comes out of the end of the chain; opens all switches."""
        pattern = bytes(0xA0 + k for k in range(len(self._none)))
        self._sync.off()
        self._spi.write(pattern)
        # Still in one frame: no switch sees the pattern.
        self._spi.write_readinto(self._none, self._said)
        self._sync.on()
        return self._said == pattern
