"""MCP4728: 12-bit DAC, 4 channels, EEPROM, I2C. Microchip DS22187E.

Sections meant here: 4.0 (registers, EEPROM and reference), 5.4 (general calls), 5.6 (write
commands, Figures 5-7 to 5-14), 5.7 (read command, Figure 5-15), 7.0 (the worked example of
Figure 7-4). LDAC is wired low: outputs follow the input registers at each acknowledge. Changing
the address, which needs LDAC, is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

INTERNAL_REFERENCE = 2.048
"""Volts."""
EEPROM_WRITE = 0.025
"""Seconds, typical (50 ms at most): electrical characteristics."""


class Channel(NamedTuple):
    """A channel's register.

    Attributes:
        vref: V_REF: 1 is the internal reference, 0 the supply.
        pd: PD: 0 is on.
        gain: G_X: 1 is a gain of 2.
        data: D: the code, 12 bits.
    """

    vref: int = 0
    pd: int = 0
    gain: int = 0
    data: int = 0

    def packed(self) -> bytes:
        """The register as the two bytes of a write or a read."""
        word = self.vref << 15 | self.pd << 13 | self.gain << 12 | self.data
        return word.to_bytes(2)

    @staticmethod
    def of(two: bytes) -> Channel:
        """Unpack a register.

        Args:
            two: its bytes.

        Returns:
            The register.
        """
        word = int.from_bytes(two)
        return Channel(word >> 15, word >> 13 & 3, word >> 12 & 1, word & 0xFFF)


_POWER_UP = Channel(vref=1)


class Mcp4728:
    """An MCP4728; see `I2cChip`.

    Attributes:
        channels: input registers A to D.
        misuse: in words, what was done against the data sheet.
    """

    def __init__(
        self,
        now: Callable[[], float],
        address: int = 0x60,
        supply: float = 5.0,
        changed: Callable[[], None] = lambda: None,
        eeprom: Channel = _POWER_UP,
    ) -> None:
        """Power up.

        Args:
            now: gives the time in seconds, for the EEPROM.
            address: 0x60 to 0x67; its low bits are answered in a read.
            supply: V_DD in volts.
            changed: called when an output may have changed.
            eeprom: what all channels power up with. The default is declared: drivers set every
                field.
        """
        self._now = now
        self._address_bits = address & 7
        self._supply = supply
        self._changed = changed
        self._eeprom = [eeprom] * 4
        self._busy_until = -1.0
        self._said = 0  # bytes of a read, so far
        self.channels = list(self._eeprom)
        self.misuse: list[str] = []

    @property
    def volts(self) -> list[float]:
        """Outputs A to D in volts. A powered-down one is held at ground by its resistor."""
        found = []
        supply = self._supply
        for vref, pd, gain, data in self.channels:
            full = INTERNAL_REFERENCE * (1 + gain) if vref else supply
            level = full * data / 4096
            found.append(0.0 if pd else level if level < supply else supply)
        return found

    @property
    def busy(self) -> bool:
        """Whether the EEPROM is being written."""
        return self._now() < self._busy_until

    def general_call(self, data: bytes) -> int:
        """See `I2cChip`; section 5.4: 0x06 reset, 0x09 wake up, 0x08 software update."""
        if data[:1] == b"\x06":
            self.channels = list(self._eeprom)
        elif data[:1] == b"\x09":
            self.channels = [c._replace(pd=0) for c in self.channels]
        elif data[:1] != b"\x08":
            return 0
        self._changed()
        return 1

    def start(self) -> None:
        """See `I2cChip`: a read begins with channel A again."""
        self._said = 0

    def write(self, data: bytes) -> int:
        """See `I2cChip`; section 5.6: the command is in the high bits of the first byte."""
        if not data:
            return 0
        if self.busy:
            self.misuse.append("a write while the EEPROM is busy: ignored")
            return len(data)
        command = data[0] >> 5
        if command < 2:
            taken = self._fast(data)
        elif command == 2:
            taken = self._with_data(data)
        elif command == 3:
            self.misuse.append("a change of the address bits without LDAC")
            taken = 1
        else:
            taken = self._one_field(command, data)
        self._changed()
        return taken

    def read(self, n: int) -> bytes:
        """See `I2cChip`; section 5.7.

        Each channel gives 3 bytes of its register and 3 of its EEPROM; then all of it comes again.
        """
        status = (0 if self.busy else 0x80) | 0x40 | self._address_bits
        said = b"".join(
            bytes([status | channel << 4]) + part.packed()
            for channel in range(4)
            for part in (self.channels[channel], self._eeprom[channel])
        )
        at = self._said % len(said)
        self._said += n
        return (said * (n // len(said) + 2))[at : at + n]

    def _fast(self, data: bytes) -> int:
        """Figure 5-7: two bytes a channel, from A on; reference and gain stay."""
        for channel in range(min(len(data) // 2, 4)):
            high, low = data[2 * channel], data[2 * channel + 1]
            vref, _, gain, _ = self.channels[channel]
            self.channels[channel] = Channel(vref, high >> 4 & 3, gain, (high & 15) << 8 | low)
        if len(data) % 2 or len(data) > 8:
            self.misuse.append(f"a fast write of {len(data)} bytes")
        return min(len(data), 8)

    def _with_data(self, data: bytes) -> int:
        """Figures 5-8 (multi-write), 5-9 (sequential) and 5-10 (single write)."""
        function, channel = data[0] >> 3 & 3, data[0] >> 1 & 3
        if function == 0:
            whole = len(data) // 3 * 3
            for at in range(0, whole, 3):
                self.channels[data[at] >> 1 & 3] = Channel.of(data[at + 1 : at + 3])
        elif function == 1:
            self.misuse.append(f"command 0x{data[0]:02x} does not exist")
            return 1
        else:
            last = channel + 1 if function == 3 else 4
            registers = range(channel, last)
            whole = min(1 + 2 * len(registers), len(data) // 2 * 2 + len(data) % 2)
            for at, register in zip(range(1, len(data) - 1, 2), registers, strict=False):
                self.channels[register] = self._eeprom[register] = Channel.of(data[at : at + 2])
            self._busy_until = self._now() + EEPROM_WRITE
        if whole != len(data):
            self.misuse.append(f"a write of {len(data)} bytes to command 0x{data[0]:02x}")
        return whole

    def _one_field(self, command: int, data: bytes) -> int:
        """Figures 5-12 to 5-14: reference, power-down or gain of all channels."""
        first = data[0]
        if command == 4:
            values, field, taken = [first >> 3 - c & 1 for c in range(4)], "vref", 1
        elif command == 6:
            values, field, taken = [first >> 3 - c & 1 for c in range(4)], "gain", 1
        elif command == 5 and len(data) >= 2:
            word = (first & 15) << 8 | data[1]
            values, field, taken = [word >> 10 - 2 * c & 3 for c in range(4)], "pd", 2
        else:
            self.misuse.append(f"command 0x{first:02x} is not known or not whole")
            return 1
        self.channels = [
            c._replace(**{field: value}) for c, value in zip(self.channels, values, strict=True)
        ]
        return taken
