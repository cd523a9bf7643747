"""MCP4728, a 12-bit DAC of 4 channels on I2C: Microchip DS22187E."""

from errno import ETIMEDOUT

from micropython import const

# Section 5.6, command types.
_MULTI_WRITE = const(0x40)
_SETTINGS = const(0x90)  # internal reference, on, gain 2
_READY = const(0x80)
_TRIES = const(3)


class MCP4728:
    """Four outputs of 0 to 4.096 V, 1 mV a code."""

    def __init__(self, i2c, address):
        self._i2c = i2c
        self._address = address
        self._name = "MCP4728 at 0x%02x" % address
        self._codes = bytearray(8)
        self._said = bytearray(21)  # registers of all channels, EEPROMs of all but the last
        self._sure = memoryview(self._said)[:3]
        self._doubtful = True  # written since it was last read back
        self.repeated = 0  # writes that were made again

    def begin(self, code):
        """Set all outputs to a code, with the internal reference, and check that they took it."""
        high = _SETTINGS | code >> 8
        command = bytearray()
        for channel in range(4):
            command += bytes((_MULTI_WRITE | channel << 1, high, code & 255))
        for channel in range(4):
            self._codes[2 * channel] = code >> 8
            self._codes[2 * channel + 1] = code & 255
        for _ in range(_TRIES):
            try:
                self._i2c.writeto(self._address, command)
            except OSError as e:
                raise OSError(self._problem(e))
            if self._holds(self._said):
                return
            self.repeated += 1
        raise OSError(self._name + " does not hold what it is told: another chip?")

    def confirm(self):
        """See that what was written has arrived. OSError: it was reset, or does not answer."""
        if self._doubtful:
            for _ in range(_TRIES):
                if self._holds(self._said):
                    self._doubtful = False
                    return
                self.repeated += 1
                self._send()
            self._lost()

    def check(self):
        """As confirm, and see that it was not reset since."""
        if self._doubtful:
            self.confirm()
            return
        for _ in range(_TRIES):
            # A reset changes all channels: the first one tells.
            if self._holds(self._sure):
                return
            self.repeated += 1
        self._lost()

    def write(self, codes, first):
        """Set outputs A to D to codes[first:first + 4]: fast write, Figure 5-7."""
        new = self._codes
        changed = False
        for channel in range(4):
            code = codes[first + channel]
            at = 2 * channel
            if new[at] != code >> 8 or new[at + 1] != code & 255:
                new[at] = code >> 8
                new[at + 1] = code & 255
                changed = True
        if changed:
            self._doubtful = True
            self._send()

    def _send(self):
        try:
            self._i2c.writeto(self._address, self._codes)
        except OSError as e:
            raise OSError(self._problem(e))

    def _holds(self, said):
        """Whether the registers that `said` has room for are ready, and as they were written."""
        try:
            self._i2c.readfrom_into(self._address, said)
        except OSError as e:
            raise OSError(self._problem(e))
        codes = self._codes
        for channel in range((len(said) + 3) // 6):
            at = 6 * channel
            if (
                said[at] & 0xB8 != _READY | channel << 4
                or said[at + 1] != _SETTINGS | codes[2 * channel]
                or said[at + 2] != codes[2 * channel + 1]
            ):
                return False
        return True

    def _lost(self):
        raise OSError(self._name + " lost its settings: a supply dip, or bit errors?")

    def _problem(self, e):
        if e.args[0] == ETIMEDOUT:
            return "the I2C bus is stuck: a chip holds a line low"
        return self._name + " does not answer"
