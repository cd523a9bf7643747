"""74HC595: 8-bit shift register with output latches; several in a chain are one longer register.

Function table of the data sheet (onsemi MC74HC595A): shift on a rising shift clock, latch on a
rising latch clock, OE low enables the outputs, which are high impedance otherwise. The serial
output SQH (QH' of other makers) is the last stage of the shift register and always on: a clock
that shifts a bit in finds there the one that falls out.
"""

from __future__ import annotations

from collections.abc import Callable


class Hc595:
    """A chain of 74HC595; see `SpiChip`. Shift clock and data are the bus's, the rest are pins.

    Attributes:
        misuse: empty: every input is legal.
    """

    def __init__(self, chips: int, changed: Callable[[int | None], None]) -> None:
        """Power up, outputs off.

        Args:
            chips: how many, the serial output of one on the input of the next.
            changed: called with the outputs when they change, bit 0 = QA of the first; None: high
                impedance.
        """
        self._mask = (1 << 8 * chips) - 1
        self._shift = self._latched = 0
        self._enabled = False  # OE has a pull-up: off at power-up
        self._changed = changed
        self.misuse: list[str] = []

    @property
    def outputs(self) -> int | None:
        """The parallel outputs as one number; None when disabled."""
        return self._latched if self._enabled else None

    def select(self, selected: bool) -> None:
        """See `SpiChip`: it has no chip select."""

    def transfer(self, data: bytes, clock: float) -> bytes:
        """See `SpiChip`: every clock shifts, and bits fall out of the end of the chain."""
        whole = self._shift << 8 * len(data) | int.from_bytes(data)
        self._shift = whole & self._mask
        return (whole >> self._mask.bit_length()).to_bytes(len(data))

    def latch(self, level: bool) -> None:
        """Hear that the latch clock changed.

        Args:
            level: of the pin.
        """
        if level:
            self._latched = self._shift
            self._changed(self.outputs)

    def enable(self, level: bool) -> None:
        """Hear that OE changed, which is active low.

        Args:
            level: of the pin.
        """
        self._enabled = not level
        self._changed(self.outputs)
