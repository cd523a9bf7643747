"""The maker board: cards of 8×8 devices behind four MCP4728, two MCP3208 and two 74HC595.

docs/hardware/maker_board.md has the parts and the wires. All analog levels are about VMID, half of
the ADCs' reference. A line is driven by its DAC channel or held at VMID by its sense amplifier,
whose output is VMID − I·R. R belongs to the card: a device that changes from g_min to g_max
changes the ADC's code by SPAN at full read voltage.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from madem_emulator.chips.hc595 import Hc595
from madem_emulator.chips.mcp3208 import Mcp3208
from madem_emulator.chips.mcp4728 import Mcp4728
from madem_emulator.designs.array_board import ArrayBoard
from madem_emulator.designs.faults import BoardFaults
from madem_emulator.physical.checks import Floats
from madem_emulator.physical.device import DeviceModel
from madem_emulator.twin.cards import Geometry
from madem_emulator.wiring.bus import Bus

LINES = 8
REFERENCE = 4.096
VMID = REFERENCE / 2
SUPPLY = 5.0
SPAN = 224
"""ADC codes."""
FULL_READ = 0.2
"""Volts of a line at full activity."""
PULSE = 1.8
"""Volts across a selected device; half of it across one that shares a line with it."""
ADC_NOISE = 0.0005
"""σ of a sample in volts, half a code: amplifier and converter together (declared)."""
CONVERSIONS = 1
"""That a reading is the mean of."""
NOISE = ((ADC_NOISE * 4096 / REFERENCE) ** 2 + 1 / 12) ** 0.5
"""σ of a code, its rounding included."""

# Pins of the board, and outputs of the shift registers.
PIN_ROW_ADC, PIN_COLUMN_ADC, PIN_LATCH, PIN_OE, PIN_PULSE, PIN_READBACK = 17, 20, 21, 22, 26, 27
READ, TRANSPOSED, CARD = 1 << 15, 1 << 14, 0xFF
ROW_DACS, COLUMN_DACS = (0x60, 0x61), (0x62, 0x63)


def share(level: Floats) -> Floats:
    """Voltage of driven lines for activities, as the firmware's DAC codes give it.

    Args:
        level: activities, −255 to 255, of any shape.

    Returns:
        Shares of the full read voltage, −1 to 1, of the same shape.
    """
    return np.floor(level * 201 / 256) / 200


class Maker8x8(ArrayBoard):
    """The maker board's chips and cards.

    Attributes:
        dacs: the drivers of the word lines, then those of the bit lines.
        row_adc, column_adc: they sense the word lines and the bit lines.
        registers: they select a card and its side.
        chain: the shift registers as they are wired to the bus.
    """

    geometry = Geometry(LINES, LINES, SPAN, NOISE, share, CONVERSIONS)

    def __init__(
        self, device: DeviceModel, seed: int = 1, faults: BoardFaults | None = None
    ) -> None:
        """Wire all chips to the bus; see `ArrayBoard`."""
        super().__init__(device, seed, faults)
        self._resistance = SPAN * REFERENCE / 4096 / (FULL_READ * device.window)
        self._noise: list[float] = []
        self._control: int | None = None
        self._sensed: bool | None = None  # whether those are rows, if any are
        # Volts of the ADCs, and about VMID of the drivers of rows and of columns with whether all
        # are low enough to read, until they change.
        self._levels: list[float] | None = None
        self._volts: list[tuple[Floats, bool] | None] = [None, None]
        bus = self.bus
        self.dacs = [
            Mcp4728(bus.now, address, SUPPLY, partial(self._turn, address in COLUMN_DACS))
            for address in ROW_DACS + COLUMN_DACS
        ]
        for address, dac in zip(ROW_DACS + COLUMN_DACS, self.dacs, strict=True):
            bus.attach_i2c(0, address, dac)
        self.row_adc = Mcp3208(partial(self._sample, True), REFERENCE)
        self.column_adc = Mcp3208(partial(self._sample, False), REFERENCE)
        self.registers = Hc595(2, self._select)
        bus.attach_spi(0, self.row_adc, PIN_ROW_ADC)
        bus.attach_spi(0, self.column_adc, PIN_COLUMN_ADC)
        self.chain = _Readback(bus, self.registers)
        bus.attach_spi(0, self.chain, None)
        bus.watch(PIN_LATCH, self.registers.latch)
        bus.watch(PIN_OE, self.registers.enable)
        bus.watch(PIN_PULSE, self._pulse)
        self.faults.wire(bus)

    @property
    def chips(self) -> list[Mcp4728 | Mcp3208 | Hc595]:
        """All chip models."""
        return [*self.dacs, self.row_adc, self.column_adc, self.registers]

    def _driven(self, columns: bool) -> tuple[Floats, bool]:
        """Volts of eight drivers about VMID, and whether a read may be made at them."""
        found = self._volts[columns]
        if found is None:
            pair = self.dacs[2:] if columns else self.dacs[:2]
            volts = np.array(pair[0].volts + pair[1].volts) - VMID
            found = volts, bool(np.abs(volts).max() <= self.device.max_read_voltage)
            self._volts[columns] = found
        volts, low = found
        return self.faults.driven(columns, volts), low

    def _turn(self, columns: bool) -> None:
        self._pulses.lines_changed()
        self._levels = self._volts[columns] = None

    def _select(self, outputs: int | None) -> None:
        self._pulses.lines_changed()
        self._levels = None
        self._control = outputs
        reads = outputs or 0
        self._sensed = bool(reads & TRANSPOSED) if reads & READ else None

    def _sample(self, rows: bool, line: int) -> float:
        if not self._noise:  # drawn many at a time: one costs as much as the rest of a sample
            self._noise = (ADC_NOISE * self._rng.standard_normal(256)).tolist()
        noise = self._noise.pop()
        if rows != self._sensed:
            return VMID + noise  # no current into this side's amplifiers
        if self._levels is None:
            self._levels = self._sense(rows)
        return self._levels[line] + noise

    def _sense(self, rows: bool) -> list[float]:
        assert self._control is not None
        array = self.card(self._control & CARD)
        self.faults.settle()
        volts, low = self._driven(columns=rows)
        if not low:
            limit = self.device.max_read_voltage
            self.misuse.append(f"a read at {np.abs(volts).max():.3f} V, above {limit:g} V")
            volts = np.clip(volts, -limit, limit)
        currents = array.read_transposed(volts) if rows else array.read(volts)
        currents = self.faults.sensed(not rows, currents)
        levels = VMID - currents * self._resistance
        # np.clip takes longer than all of this.
        return np.minimum(np.maximum(levels, 0.0, out=levels), SUPPLY, out=levels).tolist()

    def _pulse(self, level: bool) -> None:
        """A rising edge fires the one-shot, which connects all drivers for one pulse width."""
        if not level:
            return
        if self._pulses.again():
            return
        if self._control is None or self._control & READ:
            self.misuse.append("a pulse without a card, or in a read")
            return
        across = self._driven(columns=False)[0][:, None] - self._driven(columns=True)[0]
        strength = np.abs(across) / PULSE
        if np.any((strength > 0.6) & (strength < 0.9)) or np.any(strength > 1.1):
            self.misuse.append(f"a pulse of {np.abs(across).max():.2f} V")
        at = np.nonzero(strength >= 0.9)
        if len(at[0]):
            array = self._array(self._control & CARD)
            self._pulses.add(array, at[0], at[1], np.sign(across[at]).astype(np.int64))


class _Readback:
    """The shift registers, and a 74LVC1G125 that puts the end of their chain on MISO."""

    def __init__(self, bus: Bus, registers: Hc595) -> None:
        self._registers = registers
        self._enabled = False
        bus.watch(PIN_READBACK, self._turn)

    def _turn(self, level: bool) -> None:
        self._enabled = not level

    def select(self, selected: bool) -> None:
        """Shift registers have no chip select."""

    def transfer(self, data: bytes, clock: float) -> bytes | None:
        said = self._registers.transfer(data, clock)
        return said if self._enabled else None
