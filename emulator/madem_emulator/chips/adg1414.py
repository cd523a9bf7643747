"""ADG1414: eight analog switches on SPI, chained. Analog Devices, ADG1414 data sheet.

Sections meant here: "General description" (at power-up all switches are off, registers hold
zeros, to 50 MHz), "Input shift register" (8 bits, a rising SYNC makes them the switches),
"Daisy chain" (SDO is the end of the shift register), "RESET/VL" (low for 15 ns opens all switches
and clears the registers).
"""

from __future__ import annotations

from collections.abc import Callable

MAX_CLOCK = 50e6
"""Hz."""


class Adg1414:
    """A chain of ADG1414 with SYNC and SCLK in common; see `SpiChip`.

    Attributes:
        closed: the switches that are closed, bit 0 = S1 of the last chip of the chain.
        misuse: in words, what was done against the data sheet.
    """

    def __init__(self, chips: int, changed: Callable[[int], None] = lambda _: None) -> None:
        """Power up, all switches open.

        Args:
            chips: length of the chain.
            changed: called with `closed` at each rising SYNC.
        """
        self._bytes = chips
        self._shift = bytes(chips)
        self._clocked = 0
        self._changed = changed
        self.closed = 0
        self.misuse: list[str] = []

    def select(self, selected: bool) -> None:
        """See `SpiChip`: SYNC."""
        if selected:
            self._clocked = 0
            return
        if self._clocked < self._bytes:
            self.misuse.append(f"a frame of {8 * self._clocked} clocks for {self._bytes} chips")
        self.closed = int.from_bytes(self._shift)
        self._changed(self.closed)

    def reset(self) -> None:
        """Hear that pin RESET/VL fell."""
        self._shift = bytes(self._bytes)
        self.closed = 0
        self._changed(0)

    def transfer(self, data: bytes, clock: float) -> bytes:
        """See `SpiChip`: bits that were shifted in before come out of the end."""
        if clock > MAX_CLOCK:
            self.misuse.append(f"clock of {clock:g} Hz, above {MAX_CLOCK:g}")
        self._clocked += len(data)
        whole = self._shift + data
        self._shift = whole[-self._bytes :]
        return whole[: len(data)]
