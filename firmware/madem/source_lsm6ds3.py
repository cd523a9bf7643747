"""LSM6DS3: six axes through its FIFO, on SPI. A source: docs/guide/sensors.md.

Registers are those of ST DocID026899. The LSM6DS3TR-C has the same ones here.
"""

from time import sleep_ms

import micropython
from machine import SPI, Pin
from micropython import const

from .sampling_fifo import Fifo

_FIFO_CTRL3 = const(0x08)
_FIFO_CTRL5 = const(0x0A)
_WHO_AM_I = const(0x0F)
_CTRL1_XL = const(0x10)
_CTRL2_G = const(0x11)
_CTRL3_C = const(0x12)
_FIFO_STATUS1 = const(0x3A)
_FIFO_DATA_OUT_L = const(0x3E)
_READ = const(0x80)

_OVER_RUN = const(0x40)
_WORDS = const(6)  # of a sample
_ROOM = const(4096)  # words
_RATES = (12500, 26000, 52000, 104000, 208000, 416000, 833000, 1660000)  # mHz of ODR 1 to 8


@micropython.viper
def _turn(sample: ptr8):
    """The chip sends the gyroscope first."""
    i = 0
    while i < 6:
        gyro = sample[i]
        sample[i] = sample[i + 6]
        sample[i + 6] = gyro
        i += 1


class Source(Fifo):
    """Acceleration and rotation by an LSM6DS3 at an SPI bus."""

    channels = 6

    def __init__(self, rate, options):
        """rate: mHz. options: bus, SCK, MOSI, MISO and CS pin, FS_XL, FS_G.

        OSError: it does not answer, or is another chip. ValueError: a rate that it hasn't.
        """
        bus, sck, mosi, miso, cs, accel, gyro = options
        odr = 1
        # 100 Hz means the 104 Hz that it has.
        while odr <= len(_RATES) and _RATES[odr - 1] < rate:
            odr += 1
        if odr > len(_RATES):
            raise ValueError("an LSM6DS3 samples at 12.5 to 1660 Hz")
        Fifo.__init__(self, _RATES[odr - 1], _ROOM // _WORDS)
        self._cs = Pin(cs, Pin.OUT, value=1)
        self._spi = SPI(
            bus, baudrate=4000000, polarity=1, phase=1, sck=Pin(sck), mosi=Pin(mosi), miso=Pin(miso)
        )
        self._address = bytearray(1)
        self._two = bytearray(2)
        self._set(_CTRL3_C, 0x01)  # SW_RESET
        sleep_ms(10)
        self._ask(_WHO_AM_I, self._two)
        if self._two[0] not in (0x69, 0x6A):
            raise OSError("no LSM6DS3 answers on SPI %d: it says 0x%02x" % (bus, self._two[0]))
        self._set(_CTRL3_C, 0x44)  # BDU, IF_INC
        self._set(_CTRL1_XL, odr << 4 | accel << 2)
        self._set(_CTRL2_G, odr << 4 | gyro << 2)
        self._set(_FIFO_CTRL3, 0x09)  # both, every sample
        self._continuous = odr << 3 | 6
        self._ask(_FIFO_CTRL3, self._two)
        if self._two[0] != 0x09:
            raise OSError("the LSM6DS3 does not hold what it is told")

    def _restart(self):
        self._set(_FIFO_CTRL5, 0)  # bypass empties it
        self._set(_FIFO_CTRL5, self._continuous)

    def _held(self):
        two = self._two
        self._ask(_FIFO_STATUS1, two)
        if two[1] == 0xFF:  # full and empty at once: nobody drives the line
            raise OSError("no LSM6DS3 answers")
        if two[1] & _OVER_RUN:
            return -1
        return (two[0] | (two[1] & 15) << 8) // _WORDS

    def _fetch(self, into):
        self._ask(_FIFO_DATA_OUT_L, into)  # after the high byte follows the next word's low one
        _turn(into)

    def _ask(self, register, into):
        self._address[0] = register | _READ
        self._cs.off()
        self._spi.write(self._address)
        self._spi.readinto(into)
        self._cs.on()

    def _set(self, register, value):
        self._two[0] = register
        self._two[1] = value
        self._cs.off()
        self._spi.write(self._two)
        self._cs.on()
