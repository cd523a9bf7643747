"""The board's own ADC, one channel a pin. A source: docs/guide/sensors.md."""

from machine import ADC, Pin

from .sampling_timer import SampleTimer


class Source(SampleTimer):
    """The voltages at pins, a channel each."""

    def __init__(self, rate, options):
        """rate: mHz. options: the pins. ValueError: none, or a rate that can't be."""
        SampleTimer.__init__(self, rate)
        if not options:
            raise ValueError("an ADC needs a pin")
        self.channels = len(options)
        self._adcs = [ADC(Pin(pin)) for pin in options]

    def read(self, into):
        """Half of the reference is 0."""
        if not self.due():
            return False
        for i in range(self.channels):
            value = self._adcs[i].read_u16() ^ 0x8000
            into[2 * i] = value & 255
            into[2 * i + 1] = value >> 8
        return True
