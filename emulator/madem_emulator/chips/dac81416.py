"""DAC81416: 16-bit DAC, 16 channels, bipolar ranges, SPI. Texas Instruments SLASEO0B.

Sections meant here: 8.3.1 (transfer function, synchronous and asynchronous updates, broadcast),
8.3.3 (resets), 8.4.3 (power-down), 8.5.1 (stand-alone frames, streaming mode), 8.6 (register map).
In streaming mode SDO is off, which the data sheet leaves out and its maker confirms (E2E forum,
thread 1333394). Otherwise SDO tells the frame before: what a read asked for, or what was written.
For writes the data sheet says so only where it has frame error checking (8.5.3); there the chip was
seen to return the read/write bit as 1 (E2E thread 1021390). Toggle and differential modes, daisy
chain and frame error checking are refused: no board here uses them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from madem_emulator.physical.checks import Floats

CHANNELS = 16
MAX_CLOCK = 50e6
"""Hz, writing."""
DEVICE_ID = 0x29C

DEVICEID, STATUS, SPICONFIG, GENCONFIG, BRDCONFIG, SYNCCONFIG = range(1, 7)
TOGGCONFIG0, TOGGCONFIG1, DACPWDWN, DACRANGE0 = range(7, 11)
TRIGGER, BRDCAST, DAC0 = 0x0E, 0x0F, 0x10
OFFSET0, LAST = 0x20, 0x27

DEV_PWDWN, CRC_EN, STR_EN, SDO_EN = 1 << 5, 1 << 4, 1 << 3, 1 << 2
REF_PWDWN = 1 << 14
LDAC, SOFT_RESET = 1 << 4, 0b1010

RANGES = {
    0b0000: (0.0, 5.0),
    0b0001: (0.0, 10.0),
    0b0010: (0.0, 20.0),
    0b0100: (0.0, 40.0),
    0b1001: (-5.0, 5.0),
    0b1010: (-10.0, 10.0),
    0b1100: (-20.0, 20.0),
    0b1110: (-2.5, 2.5),
}
"""Volts of code 0 and of code 65536, by the four bits of a channel in DACRANGEn."""

_POWER_UP = {
    DEVICEID: DEVICE_ID << 2,
    STATUS: 0,
    SPICONFIG: 0x0AA4,
    GENCONFIG: 0x7F00,
    BRDCONFIG: 0xFFFF,
    SYNCCONFIG: 0,
    TOGGCONFIG0: 0,
    TOGGCONFIG1: 0,
    DACPWDWN: 0xFFFF,
}
_READ_ONLY = (DEVICEID, STATUS)


class Dac81416:
    """A DAC81416 in SPI mode 1, with its internal 2.5 V reference; see `SpiChip`.

    Attributes:
        registers: those that can be read, by their address.
        misuse: in words, what was done against the data sheet.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        """Power up.

        Args:
            changed: called when an output may have changed.
        """
        self._changed = changed
        self._frame = bytearray()
        self._answer = b"\xff\xff\xff"
        self._position = 0
        self.misuse: list[str] = []
        self._reset()

    def _reset(self) -> None:
        self.registers = dict(_POWER_UP)
        self._ranges = [0] * CHANNELS
        self._buffered = np.zeros(CHANNELS, np.uint16)
        self._active = np.zeros(CHANNELS, np.uint16)
        self._span()

    def _span(self) -> None:
        """Work out what a code is worth; a channel without power or reference is at ground."""
        registers = self.registers
        on = ~registers[DACPWDWN] & 0xFFFF
        if registers[SPICONFIG] & DEV_PWDWN or registers[GENCONFIG] & REF_PWDWN:
            on = 0
        ends = [RANGES[code] if on >> k & 1 else (0.0, 0.0) for k, code in enumerate(self._ranges)]
        low, high = np.array(ends).T
        self._low, self._step = low, (high - low) / 65536

    @property
    def codes(self) -> np.ndarray:
        """Active registers of the channels, uint16 (16,)."""
        return self._active.copy()

    @property
    def volts(self) -> Floats:
        """Outputs in volts, (16,)."""
        return self._low + self._step * self._active

    def select(self, selected: bool) -> None:
        """See `SpiChip`: a frame is carried out when chip select rises."""
        if not selected:
            self._carry_out(bytes(self._frame))
        self._frame.clear()
        self._position = 0

    def transfer(self, data: bytes, clock: float) -> bytes | None:
        """See `SpiChip`."""
        if clock > MAX_CLOCK:
            self.misuse.append(f"clock of {clock:g} Hz, above {MAX_CLOCK:g}")
        self._frame += data
        if self.registers[SPICONFIG] & (SDO_EN | STR_EN) != SDO_EN:
            return None
        at = self._position
        self._position += len(data)
        return (self._answer + bytes(self._position))[at : self._position]

    def _carry_out(self, frame: bytes) -> None:
        if not frame:
            return
        if len(frame) < 3:
            self.misuse.append(f"a frame of {8 * len(frame)} clocks: ignored")
            return
        address = frame[0] & 0x3F
        streaming = self.registers[SPICONFIG] & STR_EN
        if frame[0] & 0x80:
            found = self.registers.get(address, 0)
            self._answer = bytes([frame[0]]) + found.to_bytes(2)
            return
        self._answer = frame[:3]
        if not streaming:
            self._write(address, int.from_bytes(frame[1:3]))
        elif address >= DAC0 and len(frame) % 2:  # the usual case, at once
            self._write_channels(address - DAC0, np.frombuffer(frame, ">u2", offset=1))
        else:
            for k in range(len(frame) // 2):
                at = 1 + 2 * k
                self._write(address + k, int.from_bytes(frame[at : at + 2]))
        self._changed()

    def _write_channels(self, first: int, codes: np.ndarray) -> None:
        if first + len(codes) > CHANNELS:
            self.misuse.append(f"a stream of {len(codes)} channels from {first} on")
            codes = codes[: CHANNELS - first]
        place = slice(first, first + len(codes))
        self._buffered[place] = codes
        if self.registers[SYNCCONFIG]:
            at = np.flatnonzero([not self._waits(k) for k in range(CHANNELS)])
            self._active[at] = self._buffered[at]
        else:
            self._active[place] = codes

    def _waits(self, channel: int) -> bool:
        return bool(self.registers[SYNCCONFIG] >> channel & 1)

    def _write(self, address: int, value: int) -> None:
        if DAC0 <= address < DAC0 + CHANNELS:
            self._write_channels(address - DAC0, np.array([value], np.uint16))
        elif address == BRDCAST:
            for channel in range(CHANNELS):
                if self.registers[BRDCONFIG] >> channel & 1:
                    self._buffered[channel] = value
                    if not self._waits(channel):
                        self._active[channel] = value
        elif address == TRIGGER:
            self._trigger(value)
        elif DACRANGE0 <= address < DACRANGE0 + 4:
            self._set_ranges(address, value)
        elif address in (TOGGCONFIG0, TOGGCONFIG1) or OFFSET0 <= address <= LAST:
            self.misuse.append(f"register 0x{address:02x} is not modelled")
        elif address in _READ_ONLY or address not in self.registers:
            if address:  # 0 is NOP
                self.misuse.append(f"a write to register 0x{address:02x}")
        else:
            refused = {SPICONFIG: CRC_EN, GENCONFIG: 0xFF}.get(address, 0)
            if value & refused:
                self.misuse.append("frame error checking and differential mode are not modelled")
            self.registers[address] = value
            self._span()

    def _set_ranges(self, address: int, value: int) -> None:
        """DACRANGE0 holds channels 15 to 12, DACRANGE3 channels 3 to 0."""
        first = 12 - 4 * (address - DACRANGE0)
        for k in range(4):
            code = value >> 4 * k & 15
            if code not in RANGES:
                self.misuse.append(f"range {code:04b} does not exist")
                code = 0
            self._ranges[first + k] = code
        self._span()

    def _trigger(self, value: int) -> None:
        if value & 15 == SOFT_RESET:
            self._reset()
        elif value & LDAC:
            self._active[:] = self._buffered
        else:
            self.misuse.append(f"trigger 0x{value:04x} is not modelled")
