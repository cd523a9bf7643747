"""MCP3208: 12-bit ADC, 8 channels, SPI. Microchip DS21298E.

Sections meant here: 1.0 (electrical characteristics: f_CLK at most 2 MHz at 5 V), 4.2 (input
voltage to code), 5.0 (serial communication, Figures 5-1 and 5-2, Table 5-2).
"""

from __future__ import annotations

import math
from collections.abc import Callable

BITS = 12
MAX_CLOCK = 2e6
"""Hz at 5 V."""


class Mcp3208:
    """The chip, in SPI mode 0,0 or 1,1.

    Attributes:
        misuse: what was done against the data sheet.
        conversions: made so far.
    """

    def __init__(self, volts: Callable[[int], float], reference: float) -> None:
        """Args:
        volts: what an input channel (0…7) is at, when it is sampled.
        reference: of pin V_REF, in volts.
        """
        self._volts = volts
        self._reference = reference
        self._word = 0  # what came on DIN since chip select fell
        self._clocks = 0
        self._code: int | None = None
        self.misuse: list[str] = []
        self.conversions = 0

    def select(self, selected: bool) -> None:
        """See `SpiChip`."""
        self._word = self._clocks = 0
        self._code = None

    def transfer(self, data: bytes, clock: float) -> bytes:
        """See `SpiChip`. Clocks before the null bit are high impedance: pulled up, they read 1."""
        n = 8 * len(data)
        if clock > MAX_CLOCK:
            self.misuse.append(f"clock of {clock:g} Hz, above {MAX_CLOCK:g}")
        self._word = self._word << n | int.from_bytes(data)
        self._clocks += n
        # The first 1 on DIN is the start bit, at clock `start` from 0.
        start = self._clocks - self._word.bit_length()
        silent = min(start + 6, self._clocks)
        out, length = (1 << silent) - 1, silent
        if self._clocks > start + 6:
            if self._code is None:
                configuration = self._word >> (self._clocks - start - 5) & 15
                self._code = self._convert(configuration, clock)
            out, length = out << 1 + BITS | self._code, length + 1 + BITS
            if self._clocks > length:  # the least significant bit first; B0 is not repeated
                backward = int(f"{self._code:012b}"[::-1], 2) & 0x7FF
                out, length = out << BITS - 1 | backward, length + BITS - 1
        spare = self._clocks - length
        out = out << spare if spare >= 0 else out >> -spare
        return (out & ((1 << n) - 1)).to_bytes(len(data))

    def _convert(self, configuration: int, clock: float) -> int:
        """Table 5-2: SGL/DIFF, D2, D1, D0."""
        channel = configuration & 7
        self.conversions += 1
        volts = self._volts(channel)
        if not configuration & 8:  # pseudo-differential: IN+ less IN−, which is its pair's other
            volts -= self._volts(channel ^ 1)
        code = math.floor(4096 * volts / self._reference)  # Equation 4-2
        return min(max(code, 0), 4095)
