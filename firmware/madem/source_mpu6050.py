"""MPU6050: six axes through its FIFO, on I2C. A source: docs/guide/sensors.md.

Registers are those of InvenSense RM-MPU-6000A-00.
"""

from time import sleep_ms

import micropython
from machine import I2C, Pin
from micropython import const

from .sampling_fifo import Fifo

_SMPLRT_DIV = const(0x19)
_CONFIG = const(0x1A)
_GYRO_CONFIG = const(0x1B)
_ACCEL_CONFIG = const(0x1C)
_FIFO_EN = const(0x23)
_USER_CTRL = const(0x6A)
_PWR_MGMT_1 = const(0x6B)
_FIFO_COUNTH = const(0x72)
_FIFO_R_W = const(0x74)
_WHO_AM_I = const(0x75)

_FIFO_BYTES = const(1024)
_SAMPLE = const(12)
_BANDWIDTHS = (188, 98, 42, 20, 10, 5)  # Hz of DLPF_CFG 1 to 6


@micropython.viper
def _swap(sample: ptr8):
    """The chip sends the high byte first."""
    i = 0
    while i < 12:
        high = sample[i]
        sample[i] = sample[i + 1]
        sample[i + 1] = high
        i += 2


class Source(Fifo):
    """Acceleration and rotation by an MPU-6050 at an I²C bus."""

    channels = 6

    def __init__(self, rate, options):
        """rate: mHz. options: bus, SCL and SDA pin, address, AFS_SEL, FS_SEL.

        OSError: it does not answer, or is another chip. ValueError: a rate that it hasn't.
        """
        bus, scl, sda, self._address, accel, gyro = options
        divider = 1000000 // rate if rate else 0
        if not 1 <= divider <= 256:
            raise ValueError("an MPU6050 samples at 4 to 1000 Hz")
        Fifo.__init__(self, 1000000 // divider, _FIFO_BYTES // _SAMPLE)
        self._i2c = I2C(bus, scl=Pin(scl), sda=Pin(sda), freq=400000)
        self._byte = bytearray(1)
        self._two = bytearray(2)
        self._set(_PWR_MGMT_1, 0x80)
        sleep_ms(100)
        if self._get(_WHO_AM_I) != 0x68:
            raise OSError("the chip at 0x%02x is no MPU6050" % self._address)
        self._set(_PWR_MGMT_1, 1)  # awake, clocked by the gyroscope
        filter = 1
        while filter < 6 and _BANDWIDTHS[filter - 1] * 2000 > self.rate:
            filter += 1
        self._set(_CONFIG, filter)
        self._set(_SMPLRT_DIV, divider - 1)
        self._set(_GYRO_CONFIG, gyro << 3)
        self._set(_ACCEL_CONFIG, accel << 3)
        self._set(_FIFO_EN, 0x78)
        if self._get(_FIFO_EN) != 0x78:
            raise OSError("the MPU6050 does not hold what it is told")

    def _restart(self):
        self._set(_USER_CTRL, 0)
        self._set(_USER_CTRL, 0x04)
        self._set(_USER_CTRL, 0x40)

    def _held(self):
        two = self._two
        self._ask(_FIFO_COUNTH, two)
        n = two[0] << 8 | two[1]
        return n // _SAMPLE if n < _FIFO_BYTES else -1

    def _fetch(self, into):
        self._ask(_FIFO_R_W, into)
        _swap(into)

    def _get(self, register):
        self._ask(register, self._byte)
        return self._byte[0]

    def _ask(self, register, into):
        try:
            self._i2c.readfrom_mem_into(self._address, register, into)
        except OSError:
            self._absent()

    def _set(self, register, value):
        self._byte[0] = value
        try:
            self._i2c.writeto_mem(self._address, register, self._byte)
        except OSError:
            self._absent()

    def _absent(self):
        raise OSError("no MPU6050 answers at 0x%02x" % self._address)
