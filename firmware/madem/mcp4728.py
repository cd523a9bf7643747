"""MCP4728, a 12-bit DAC of 4 channels on I2C: Microchip DS22187E."""

from micropython import const

# Section 5.6, command types.
_MULTI_WRITE = const(0x40)
_VREF_INTERNAL = const(0x80)
_GAIN_2 = const(0x10)
_READY = const(0x80)


class MCP4728:
    """Four outputs of 0 to 4.096 V, 1 mV a code."""

    def __init__(self, i2c, address):
        self._i2c = i2c
        self._address = address
        self._codes = bytearray(8)

    def begin(self, code):
        """Set all outputs to a code, with the internal reference, and check that they took it."""
        high = _VREF_INTERNAL | _GAIN_2 | code >> 8
        command = bytearray()
        for channel in range(4):
            command += bytes((_MULTI_WRITE | channel << 1, high, code & 255))
        name = "MCP4728 at I2C address 0x%02x" % self._address
        try:
            self._i2c.writeto(self._address, command)
            said = self._i2c.readfrom(self._address, 24)
        except OSError:
            raise OSError(name + " does not answer")
        for channel in range(4):
            at = 6 * channel
            if said[at] & 0xB8 != _READY | channel << 4 or said[at + 1 : at + 3] != bytes(
                (high, code & 255)
            ):
                raise OSError(name + " does not hold what was written: is it another chip?")
        for channel in range(4):
            self._codes[2 * channel] = code >> 8
            self._codes[2 * channel + 1] = code & 255

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
        if changed and self._i2c.writeto(self._address, new) != 8:
            raise OSError("MCP4728 at I2C address 0x%02x stopped answering" % self._address)
