"""MCP3208: 12-bit ADC, 8 channels, SPI. Microchip DS21298E.

Sections meant here: 1.0 (electrical characteristics: f_CLK at most 2 MHz at 5 V), 4.2 (input
voltage to code), 5.0 (serial communication, Figures 5-1 and 5-2, Table 5-2).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

BITS = 12
MAX_CLOCK = 2e6
"""Hz at 5 V."""


class Mcp3208:
    """An MCP3208 in SPI mode 0,0 or 1,1; see `SpiChip`.

    Attributes:
        misuse: in words, what was done against the data sheet.
        conversions: how many it has made.
    """

    def __init__(self, volts: Callable[[int], float], reference: float) -> None:
        """Power up.

        Args:
            volts: gives the voltage of an input channel (0…7) when it is sampled.
            reference: voltage of pin V_REF.
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
        """See `SpiChip`; before the null bit DOUT is high impedance: pulled up, it reads 1."""
        if clock > MAX_CLOCK:
            self.misuse.append(f"clock of {clock:g} Hz, above {MAX_CLOCK:g}")
        n = 8 * len(data)
        self._word = self._word << n | int.from_bytes(data)
        self._clocks += n
        # The first 1 on DIN is the start bit, at clock `start` from 0.
        start = self._clocks - self._word.bit_length()
        if self._code is None and self._clocks > start + 6:
            self.conversions += 1
            # Table 5-2: SGL/DIFF, D2, D1, D0.
            configuration = self._word >> (self._clocks - start - 5) & 15
            channel = configuration & 7
            volts = self._volts(channel)
            if not configuration & 8:  # pseudo-differential: IN+ less IN−, its pair's other
                volts -= self._volts(channel ^ 1)
            code = math.floor(4096 * volts / self._reference)  # Equation 4-2
            self._code = code if 0 <= code <= 4095 else 4095 * (code > 0)
        return _said(start, self._clocks, self._code, len(data))


@functools.lru_cache(16384)  # a driver asks in one way, and gets some codes again and again
def _said(start: int, clocks: int, code: int | None, n: int) -> bytes:
    """The last n bytes of DOUT in `clocks` clocks of which the first `start` were zeros on DIN."""
    length = min(start + 6, clocks)
    out = (1 << length) - 1  # silent
    if code is not None:
        out, length = out << 1 + BITS | code, length + 1 + BITS
        if clocks > length:  # the least significant bit first; B0 is not repeated
            backward = int(f"{code:012b}"[::-1], 2) & 0x7FF
            out, length = out << BITS - 1 | backward, length + BITS - 1
    spare = clocks - length
    out = out << spare if spare >= 0 else out >> -spare
    return (out & ((1 << 8 * n) - 1)).to_bytes(n)
