"""A board's own sensor for a user's own program: docs/guide/sensors.md.

sensor = net.open_source()
sensor.start()
while True:
    if sensor.read() and net.features.feed(sensor.sample):
        k = net.predict(net.features.codes)
"""

from . import sampling_source


class Sensor:
    """Samples of a sensor, and the label that pins show.

    Attributes:
        channels: of a sample.
        rate: in mHz.
        sample: bytearray, the newest one: 16 bits a channel, little-endian.
    """

    def __init__(self, payload):
        """The sensor that a payload of SOURCE describes.

        Raises:
            ValueError: it makes no sense, or this board has no such sensor.
            OSError: the chip does not answer.
        """
        self._source, self._pins = sampling_source.choose(payload)
        self.channels = self._source.channels
        self.rate = self._source.rate
        self.sample = bytearray(2 * self.channels)

    @property
    def lost(self):
        """Samples that nobody fetched in time, since `start`."""
        return self._source.lost

    def start(self):
        """Sample from now on."""
        self._source.start()
        self._source.lost = 0

    def read(self):
        """Have the next sample in `sample`; whether there was one. OSError: the chip is gone."""
        return self._source.read(self.sample)

    def label(self):
        """The class that the label pins show; None: none."""
        found = sampling_source.label(self._pins)
        return found if found >= 0 else None
