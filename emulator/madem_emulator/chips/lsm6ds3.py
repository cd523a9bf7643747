"""LSM6DS3: accelerometer and gyroscope of three axes each, with a FIFO, SPI.

ST DocID026899. Meant here: SPI read and write (section 6.2), FIFO (section 5.4 and registers 08h,
0Ah, 3Ah to 3Fh), WHO_AM_I (0Fh), rates and ranges (10h, 11h), CTRL3_C (12h), STATUS_REG (1Eh),
outputs (22h to 2Dh). Filters, interrupts, tap, step and sensor-hub functions are not modelled, nor
other FIFO modes than bypass, FIFO and continuous, decimation and I2C.
"""

from __future__ import annotations

from collections.abc import Callable

from madem_emulator.chips.sampling import Motion, Sampling

FIFO_CTRL3, FIFO_CTRL5, WHO_AM_I = 0x08, 0x0A, 0x0F
CTRL1_XL, CTRL2_G, CTRL3_C, STATUS_REG = 0x10, 0x11, 0x12, 0x1E
OUTX_L_G, OUTZ_H_XL = 0x22, 0x2D
FIFO_STATUS1, FIFO_STATUS2, FIFO_STATUS3 = 0x3A, 0x3B, 0x3C
FIFO_DATA_OUT_L, FIFO_DATA_OUT_H = 0x3E, 0x3F

FIFO_WORDS = 4096
MAX_CLOCK = 10e6
"""Hz."""
G_PER_COUNT = {0: 0.061e-3, 2: 0.122e-3, 3: 0.244e-3, 1: 0.488e-3}
"""By FS_XL: 2, 4, 8 and 16 g (Table 3)."""
DPS_PER_COUNT = (8.75e-3, 17.50e-3, 35e-3, 70e-3)
"""By FS_G: 245, 500, 1000 and 2000 °/s (Table 3)."""
RATES = (0.0, 12.5, 26.0, 52.0, 104.0, 208.0, 416.0, 833.0, 1660.0)
"""Hz by ODR."""

_BYPASS, _FIFO, _CONTINUOUS = 0, 1, 6
_READ_ONLY = {WHO_AM_I, STATUS_REG, *range(OUTX_L_G, OUTZ_H_XL + 1), *range(0x3A, 0x40)}


class Lsm6ds3:
    """An LSM6DS3 in SPI mode 0 or 3; see `SpiChip`.

    Attributes:
        misuse: in words, what was done against the data sheet.
    """

    def __init__(self, now: Callable[[], float], motion: Motion) -> None:
        """Power up.

        Args:
            now: gives the time in seconds.
            motion: gives what the chip feels.
        """
        self._sampling = Sampling(now)
        self._motion = motion
        self.misuse: list[str] = []
        self._pointer: int | None = None  # no address yet
        self._reads = False
        self._reset()

    def select(self, selected: bool) -> None:
        """See `SpiChip`: the next byte is an address."""
        self._pointer = None

    def transfer(self, data: bytes, clock: float) -> bytes:
        """See `SpiChip`: RW and the address, then data of registers that follow each other."""
        if clock > MAX_CLOCK:
            self.misuse.append(f"clock of {clock:g} Hz, above {MAX_CLOCK:g}")
        said = bytearray()
        for byte in data:
            if self._pointer is None:
                self._catch_up()
                self._pointer, self._reads = byte & 0x7F, bool(byte & 0x80)
                said.append(0xFF)
                continue
            if self._reads:
                said.append(self._get(self._pointer))
            else:
                self._set(self._pointer, byte)
                said.append(0xFF)
            if self._registers[CTRL3_C] & 4:  # IF_INC
                # A burst over the FIFO's output goes round within it.
                last = self._pointer == FIFO_DATA_OUT_H
                self._pointer = FIFO_DATA_OUT_L if last else (self._pointer + 1) & 127
        return bytes(said)

    @property
    def rate_hz(self) -> float:
        """Samples a second that go into the FIFO; 0: they don't."""
        held = self._registers
        odr = held[FIFO_CTRL5] >> 3 & 15
        slowest = min(held[CTRL1_XL] >> 4, held[CTRL2_G] >> 4)
        if not held[FIFO_CTRL5] & 7 or odr >= len(RATES) or slowest >= len(RATES):
            return 0.0
        return RATES[min(odr, slowest)]

    def _reset(self) -> None:
        self._registers = bytearray(128)
        self._registers[CTRL3_C] = 0x04
        self._registers[WHO_AM_I] = 0x69
        self._words: list[int] = []
        self._high = 0  # byte of the word whose low one was read
        self._pattern = 0
        self._sampling.begin()

    def _set(self, register: int, value: int) -> None:
        held = self._registers
        if register in _READ_ONLY:
            self.misuse.append(f"a write to register 0x{register:02x}, which can only be read")
            return
        if register == CTRL3_C and value & 1:  # SW_RESET clears itself
            self._reset()
            return
        held[register] = value
        if register == FIFO_CTRL5:
            if value & 7 not in (_BYPASS, _FIFO, _CONTINUOUS):
                self.misuse.append(f"FIFO mode {value & 7}, which is not modelled")
            if value & 7 == _BYPASS:
                self._words.clear()
                self._pattern = 0
        if register in (FIFO_CTRL5, CTRL1_XL, CTRL2_G):
            odr = held[FIFO_CTRL5] >> 3 & 15
            if held[FIFO_CTRL5] & 7 and odr > min(held[CTRL1_XL] >> 4, held[CTRL2_G] >> 4):
                self.misuse.append("the FIFO's rate is above that of a sensor")
            self._sampling.begin()

    def _get(self, register: int) -> int:
        n = len(self._words)
        if register == FIFO_STATUS1:
            return n & 255  # 4096 words read 0
        if register == FIFO_STATUS2:
            full = 0x60 if n >= FIFO_WORDS else 0
            return full | (0 if n else 0x10) | n >> 8 & 15
        if register == FIFO_STATUS3:
            return self._pattern
        if register == FIFO_DATA_OUT_L:
            if not self._words:
                self.misuse.append("the FIFO was read when it was empty")
                self._high = 0
                return 0
            word = self._words.pop(0)
            self._pattern = (self._pattern + 1) % self._width
            self._high = word >> 8
            return word & 255
        if register == FIFO_DATA_OUT_H:
            return self._high
        return self._registers[register]

    @property
    def _width(self) -> int:
        """Words of a sample in the FIFO."""
        chosen = self._registers[FIFO_CTRL3]
        return 3 * (bool(chosen & 7) + bool(chosen & 0x38)) or 1

    def _catch_up(self) -> None:
        """Take the samples whose time has come."""
        if rate := self.rate_hz:
            for time in self._sampling.due(rate, FIFO_WORDS):
                self._sample(time)

    def _sample(self, time: float) -> None:
        held = self._registers
        values = self._motion(time)
        per_g = G_PER_COUNT[held[CTRL1_XL] >> 2 & 3]
        per_dps = DPS_PER_COUNT[held[CTRL2_G] >> 2 & 3]
        scaled = [v / per_dps for v in values[3:]] + [v / per_g for v in values[:3]]
        words = [min(max(round(v), -32768), 32767) & 0xFFFF for v in scaled]
        held[OUTX_L_G : OUTZ_H_XL + 1] = b"".join(word.to_bytes(2, "little") for word in words)
        held[STATUS_REG] |= 3
        chosen = held[FIFO_CTRL3]
        kept = (words[:3] if chosen & 0x38 else []) + (words[3:] if chosen & 7 else [])
        for word in kept:
            if len(self._words) >= FIFO_WORDS:
                if held[FIFO_CTRL5] & 7 == _FIFO:
                    return
                del self._words[0]
                self._pattern = (self._pattern + 1) % self._width
            self._words.append(word)
