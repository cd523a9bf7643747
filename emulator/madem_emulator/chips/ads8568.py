"""ADS8568: 16-bit ADC, 8 channels sampled at once, serial. Texas Instruments SBAS543A.

Sections meant here: "Serial Interface" (frames by FS, one output port, Figure of SDO_A with
SEL_B = SEL_CD = 0: A0 A1 B0 B1 C0 C1 D0 D1 in 128 clocks), the daisy chain of it, "Hardware mode"
(range and reference by pins) and the timing of a conversion. In hardware mode, which is the only
one here, there is no register that a dip of the supply could change. SDI is tied low.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from madem_emulator.physical.checks import Floats

CHANNELS = 8
CONVERSION = 1.7e-6
"""Seconds from a rising CONVST to the falling BUSY, at most, with the internal clock."""
MAX_CLOCK = 45e6
"""Hz."""
REFERENCE = 2.5
"""Volts, internal."""


class Ads8568:
    """A daisy chain of ADS8568 with CONVST, FS and SCLK in common; see `SpiChip`.

    Data come from the chip whose SDO_A is the bus's first, then from the one at its DCIN_A.

    Attributes:
        misuse: in words, what was done against the data sheet.
        conversions: how many the whole chain has made.
    """

    def __init__(
        self,
        chips: int,
        volts: Callable[[], Floats],
        now: Callable[[], float],
        wide: bool = False,
    ) -> None:
        """Power up.

        Args:
            chips: length of the chain, 1 or more.
            volts: gives the voltages of all inputs when they are sampled, (8 · chips,).
            now: gives the time in seconds.
            wide: pin RANGE: ±4 V_REF instead of ±2 V_REF.
        """
        self._volts = volts
        self._now = now
        self._codes_per_volt = 32768 / (REFERENCE * (4 if wide else 2))
        self._silence = bytes(2 * CHANNELS * chips)
        self._latched = self._silence
        self._position = 0
        self._done = -1.0
        self.misuse: list[str] = []
        self.conversions = 0

    @property
    def busy(self) -> bool:
        """Whether a conversion is going on: pin BUSY."""
        return self._now() < self._done

    def convert(self, level: bool) -> None:
        """Hear that pin CONVST changed: a rising edge holds all inputs and starts.

        Args:
            level: of the pin.
        """
        if not level:
            return
        if self.busy:
            self.misuse.append("CONVST in a conversion: ignored")
            return
        codes = np.rint(self._volts() * self._codes_per_volt)
        self._latched = np.clip(codes, -32768, 32767).astype(">i2").tobytes()
        self._done = self._now() + CONVERSION
        self.conversions += 1

    def select(self, selected: bool) -> None:
        """See `SpiChip`: FS."""
        self._position = 0
        if selected and self.busy:
            self.misuse.append("a frame in a conversion: its data mean nothing")
            self._latched = self._silence

    def transfer(self, data: bytes, clock: float) -> bytes:
        """See `SpiChip`; after the last chip come zeros: its DCIN_A is tied low."""
        if clock > MAX_CLOCK:
            self.misuse.append(f"clock of {clock:g} Hz, above {MAX_CLOCK:g}")
        at = self._position
        self._position += len(data)
        found = self._latched[at : self._position]
        return found + bytes(len(data) - len(found))
