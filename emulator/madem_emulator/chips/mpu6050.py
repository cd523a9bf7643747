"""MPU6050: accelerometer and gyroscope of three axes each, with a FIFO, I2C.

InvenSense RM-MPU-6000A-00 (registers; numbers in brackets are its decimal ones) and
PS-MPU-6000A-00 (electrical). Meant here: sample rate (25, 26), full scales (27, 28), FIFO_EN (35),
INT_STATUS (58), measurements (59 to 72), USER_CTRL (106), power management (107, 108), the FIFO
(114 to 116), WHO_AM_I (117). Filters, self-test, motion detection, the temperature sensor's
signal and the auxiliary bus are not modelled: the temperature is 36.53 °C, code 0.
"""

from __future__ import annotations

from collections.abc import Callable

from madem_emulator.chips.sampling import Motion, Sampling

SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG = 0x19, 0x1A, 0x1B, 0x1C
FIFO_EN, INT_STATUS, ACCEL_XOUT_H, GYRO_ZOUT_L = 0x23, 0x3A, 0x3B, 0x48
USER_CTRL, PWR_MGMT_1, PWR_MGMT_2 = 0x6A, 0x6B, 0x6C
FIFO_COUNTH, FIFO_COUNTL, FIFO_R_W, WHO_AM_I = 0x72, 0x73, 0x74, 0x75

FIFO_BYTES = 1024
COUNTS_PER_G = 16384.0
"""At the range of 2 g; half of it at each next one."""
COUNTS_PER_DPS = 131.0
"""In °/s at the range of 250 °/s; half of it at each next one."""

_FIFO_OFLOW_INT, _DATA_RDY_INT = 0x10, 0x01
_USER_FIFO_EN, _FIFO_RESET, _SIG_COND_RESET = 0x40, 0x04, 0x01
_DEVICE_RESET, _SLEEP = 0x80, 0x40
_READ_ONLY = {INT_STATUS, FIFO_COUNTH, FIFO_COUNTL, WHO_AM_I, *range(ACCEL_XOUT_H, 0x61)}
# Bits of FIFO_EN and the two measurement registers or six that they put into the FIFO, in order.
_INTO_FIFO = ((0x08, 0, 6), (0x80, 6, 8), (0x40, 8, 10), (0x20, 10, 12), (0x10, 12, 14))


class Mpu6050:
    """An MPU6050; see `I2cChip`.

    Attributes:
        misuse: in words, what was done against the data sheet.
        overflows: samples that came when the FIFO was full.
    """

    def __init__(self, now: Callable[[], float], motion: Motion) -> None:
        """Power up, asleep.

        Args:
            now: gives the time in seconds.
            motion: gives what the chip feels.
        """
        self._sampling = Sampling(now)
        self._motion = motion
        self.misuse: list[str] = []
        self.overflows = 0
        self._pointer = 0
        self._reset()

    @property
    def rate_hz(self) -> float:
        """Samples a second (25, 26): gyroscope output rate / (1 + SMPLRT_DIV)."""
        filtered = self._registers[CONFIG] & 7 not in (0, 7)
        return (1000.0 if filtered else 8000.0) / (1 + self._registers[SMPLRT_DIV])

    def start(self) -> None:
        """See `I2cChip`: it goes on where it was."""

    def write(self, data: bytes) -> int:
        """See `I2cChip`: a register's address, then bytes for it and for those after it.

        FIFO_R_W is not left: all bytes go into the FIFO.
        """
        if data:
            self._catch_up()
            self._pointer = data[0]
            for value in data[1:]:
                self._set(self._pointer, value)
                self._advance()
        return len(data)

    def read(self, n: int) -> bytes:
        """See `I2cChip`: registers from the address on that was written last."""
        self._catch_up()
        said = bytearray()
        for _ in range(n):
            said.append(self._get(self._pointer))
            self._advance()
        return bytes(said)

    def general_call(self, data: bytes) -> int:
        """See `I2cChip`: it does not answer those."""
        return 0

    def _reset(self) -> None:
        """Section 3: all registers 0 but 107, which is asleep, and 117."""
        self._registers = bytearray(128)
        self._registers[PWR_MGMT_1] = _SLEEP
        self._registers[WHO_AM_I] = 0x68
        self._fifo = bytearray()
        self._last = 0  # byte that left the FIFO
        self._count = bytes(2)  # what FIFO_COUNT shows
        self._sampling.begin()

    def _advance(self) -> None:
        if self._pointer != FIFO_R_W:
            self._pointer = (self._pointer + 1) & 127

    def _set(self, register: int, value: int) -> None:
        held = self._registers
        if register in _READ_ONLY:
            self.misuse.append(f"a write to register 0x{register:02x}, which can only be read")
        elif register == FIFO_R_W:
            self._put(bytes([value]))
        elif register == PWR_MGMT_1 and value & _DEVICE_RESET:
            self._reset()
        elif register == USER_CTRL:
            # Bits 2 to 0 act and clear themselves. The FIFO is reset while FIFO_EN is 0.
            if value & _FIFO_RESET:
                if value & _USER_FIFO_EN:
                    self.misuse.append("FIFO_RESET while FIFO_EN is 1: ignored")
                else:
                    self._fifo.clear()
            if value & _SIG_COND_RESET:
                held[ACCEL_XOUT_H : GYRO_ZOUT_L + 1] = bytes(14)
            held[register] = value & 0xF8
        else:
            asleep = held[PWR_MGMT_1] & _SLEEP
            if asleep and register in (SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG, FIFO_EN):
                self.misuse.append(f"register 0x{register:02x} was set in sleep mode")
            held[register] = value
            if register in (SMPLRT_DIV, CONFIG, PWR_MGMT_1):
                self._sampling.begin()

    def _get(self, register: int) -> int:
        if register == FIFO_COUNTH:
            # Reading it loads both; FIFO_COUNTL alone shows an old count.
            self._count = len(self._fifo).to_bytes(2)
            return self._count[0]
        if register == FIFO_COUNTL:
            return self._count[1]
        if register == FIFO_R_W:
            if self._fifo:
                self._last = self._fifo.pop(0)
            else:
                self.misuse.append("the FIFO was read when it was empty")
            return self._last
        value = self._registers[register]
        if register == INT_STATUS:  # reading it clears it
            self._registers[register] = 0
        return value

    def _catch_up(self) -> None:
        """Take the samples whose time has come."""
        if not self._registers[PWR_MGMT_1] & _SLEEP:
            # Of those that nobody fetched, only what the FIFO can hold, and a little more, matters.
            for time in self._sampling.due(self.rate_hz, FIFO_BYTES):
                self._sample(time)

    def _sample(self, time: float) -> None:
        held = self._registers
        values = self._motion(time)
        scales = [COUNTS_PER_G / (1 << (held[ACCEL_CONFIG] >> 3 & 3))] * 3
        scales += [COUNTS_PER_DPS / (1 << (held[GYRO_CONFIG] >> 3 & 3))] * 3
        codes = [min(max(round(v * s), -32768), 32767) for v, s in zip(values, scales, strict=True)]
        codes.insert(3, 0)  # the temperature
        measured = b"".join(code.to_bytes(2, signed=True) for code in codes)
        held[ACCEL_XOUT_H : GYRO_ZOUT_L + 1] = measured
        held[INT_STATUS] |= _DATA_RDY_INT
        if held[USER_CTRL] & _USER_FIFO_EN:
            for flag, begin, end in _INTO_FIFO:
                if held[FIFO_EN] & flag:
                    self._put(measured[begin:end])

    def _put(self, data: bytes) -> None:
        """Into the FIFO, the oldest bytes of which are lost when it is full."""
        self._fifo += data
        if len(self._fifo) > FIFO_BYTES:
            del self._fifo[: len(self._fifo) - FIFO_BYTES]
            self._registers[INT_STATUS] |= _FIFO_OFLOW_INT
            self.overflows += 1
