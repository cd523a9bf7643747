"""Digital pins: their level, or how often it rose since the last sample.

A source: docs/guide/sensors.md.
"""

from machine import Pin

from .sampling_timer import SampleTimer


class Source(SampleTimer):
    """The levels of pins, or how often they rose, a channel each."""

    def __init__(self, rate, options):
        """rate: mHz. options: 1 to count rises or 0, then the pins.

        ValueError: no pins, or a rate that can't be.
        """
        SampleTimer.__init__(self, rate)
        if len(options) < 2:
            raise ValueError("a pin is needed")
        self.channels = len(options) - 1
        self._rises = options[0]
        self._pins = [Pin(pin, Pin.IN, Pin.PULL_UP) for pin in options[1:]]
        self._was = bytearray(b"\x01" * self.channels)
        self._count = bytearray(self.channels)

    def read(self, into):
        """Rises that come and go between two calls are not seen."""
        pins, was, count = self._pins, self._was, self._count
        for i in range(self.channels):
            level = pins[i].value()
            if level > was[i] and count[i] < 255:
                count[i] += 1
            was[i] = level
        if not self.due():
            return False
        for i in range(self.channels):
            into[2 * i] = count[i] if self._rises else was[i]
            into[2 * i + 1] = 0
            count[i] = 0
        return True
