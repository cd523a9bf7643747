"""Wires that flip bits on the way to a chip, or from it."""

from __future__ import annotations

import random
from typing import Protocol

from madem_emulator.wiring.bus import I2cChip


class _Shifts(Protocol):
    def transfer(self, data: bytes, clock: float) -> bytes | None: ...


class _Wire:
    """Bytes on their way.

    Attributes:
        hears, says: share of the transfers to and from the chip in which a bit flips.
        flipped: bits so far.
    """

    def __init__(self, hears: float, says: float, seed: int) -> None:
        self.hears, self.says = hears, says
        self._random = random.Random(seed)
        self.flipped = 0

    def _through(self, data: bytes, share: float) -> bytes:
        if not data or self._random.random() >= share:
            return data
        self.flipped += 1
        flipped = bytearray(data)
        flipped[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        return bytes(flipped)


class FlippingSpi(_Wire):
    """Data lines to a chip on SPI (`Bus.replace_spi`); chip select stays wired to the chip."""

    def __init__(
        self, chip: _Shifts, *, hears: float = 0.0, says: float = 0.0, seed: int = 5
    ) -> None:
        """Stand before a chip.

        Args:
            chip: the chip behind the wires.
            hears: share of the transfers to it in which a bit flips.
            says: the same for those from it.
            seed: of the bits that flip.
        """
        super().__init__(hears, says, seed)
        self._chip = chip

    def select(self, selected: bool) -> None:
        """See `SpiChip`: the chip itself hears it."""

    def transfer(self, data: bytes, clock: float) -> bytes | None:
        """See `SpiChip`."""
        said = self._chip.transfer(self._through(data, self.hears), clock)
        return said and self._through(said, self.says)


class FlippingI2c(_Wire):
    """Data lines to a chip on I2C (`Bus.replace_all`)."""

    def __init__(
        self, chip: I2cChip, *, hears: float = 0.0, says: float = 0.0, seed: int = 5
    ) -> None:
        """As `FlippingSpi`."""
        super().__init__(hears, says, seed)
        self._chip = chip

    def start(self) -> None:
        """See `I2cChip`."""
        self._chip.start()

    def write(self, data: bytes) -> int:
        """See `I2cChip`."""
        return self._chip.write(self._through(data, self.hears))

    def read(self, n: int) -> bytes:
        """See `I2cChip`."""
        return self._through(self._chip.read(n), self.says)

    def general_call(self, data: bytes) -> int:
        """See `I2cChip`."""
        return self._chip.general_call(data)
