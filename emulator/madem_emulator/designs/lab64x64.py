"""The lab board: cards of 64×64 devices, each with a transistor, fully driven.

docs/hardware/lab_board.md has the parts and the wires. Every line has an amplifier that holds it
at its DAC's voltage; its output is that voltage less I·R, where I flows from the array, and goes
to the line's ADC channel. In a pulse a switch joins the line to the DAC itself. The transistors of
a row have their gates in common: off, or at a voltage that the one-shot switches, so that nothing
but its pulse is ever felt by a device, and that limits the current of a SET.
"""

from __future__ import annotations

import numpy as np

from madem_emulator.chips import ads8568
from madem_emulator.chips.adg1414 import Adg1414
from madem_emulator.chips.ads8568 import Ads8568
from madem_emulator.chips.dac81416 import Dac81416
from madem_emulator.designs.array_board import ArrayBoard
from madem_emulator.designs.faults import BoardFaults
from madem_emulator.physical.checks import Floats
from madem_emulator.physical.device import DeviceModel
from madem_emulator.twin.cards import Geometry
from madem_emulator.wiring.bus import Bus

LINES = 64
SOCKETS = 16
CODE = 4 * ads8568.REFERENCE / 65536
"""Volts of an ADC code: ±2 V_REF."""
SPAN = 400
"""ADC codes."""
FULL_READ = 0.2
"""Volts of a line at full activity."""
PULSE = 1.8
"""Volts across a selected device, the bit line above the word line in a SET."""
SILENT = 0.01
"""Volts up to which a line does nothing to a device in a pulse (declared)."""
THRESHOLD = 0.7
"""Volts between a gate and its word line from which a transistor conducts (declared)."""
TRANSCONDUCTANCE = 400e-6
"""A/V² of its saturation current I = k (V_G − V_T)² (declared)."""
ADC_NOISE = 0.00015
"""σ of a sample in volts, a code: amplifier and converter together (declared)."""
CONVERSIONS = 2
"""That a reading is the mean of."""
NOISE = (((ADC_NOISE / CODE) ** 2 + 1 / 12) / CONVERSIONS + 1 / 16) ** 0.5
"""σ of a reading, its roundings included: half of all means of two codes are rounded down."""
OFFSET = 0.0005
"""σ of a line's zero in volts: amplifier and converter together (declared)."""

# Pins of the board.
PIN_DACS = tuple(range(2, 11))
"""Chip selects: four chips of the word lines, four of the bit lines, one of the gates' voltage."""
PIN_ADDRESS = (11, 12, 13, 14)
PIN_GATES, PIN_PULSE, PIN_RESET = 15, 26, 27
PIN_ROW_ADC, PIN_COLUMN_ADC, PIN_ROW_CONVST, PIN_COLUMN_CONVST = 17, 20, 21, 22


def share(level: Floats) -> Floats:
    """Voltage of driven lines for activities, as the firmware's DAC codes give it.

    Args:
        level: activities, −255 to 255, of any shape.

    Returns:
        Shares of the full read voltage, −1 to 1, of the same shape.
    """
    return np.floor(level * 2631 / 256) * (5 / 65536) / FULL_READ


class Lab64x64(ArrayBoard):
    """The lab board's chips and cards.

    Attributes:
        dacs: four of the word lines, four of the bit lines, one of the gates' voltages.
        row_adc, column_adc: they sense the word lines and the bit lines.
        gates: the gate switches of each card's rows.
        chains: the gates of all cards as they are wired to the bus.
    """

    geometry = Geometry(LINES, LINES, SPAN, NOISE, share, CONVERSIONS)

    def __init__(
        self, device: DeviceModel, seed: int = 1, faults: BoardFaults | None = None
    ) -> None:
        """Wire all chips to the bus; see `ArrayBoard`."""
        super().__init__(device, seed, faults)
        bus = self.bus
        self._resistance = SPAN * CODE / (FULL_READ * device.window)
        self._offsets = OFFSET * self._rng.standard_normal((2, LINES))
        self._gated: dict[int, np.ndarray] = {}  # rows with their gates on, of cards with any
        self._volts = np.zeros(LINES * 2 + 16)  # of all DACs
        self.dacs = [Dac81416(lambda k=k: self._turn_dac(k)) for k in range(len(PIN_DACS))]
        for pin, dac in zip(PIN_DACS, self.dacs, strict=True):
            bus.attach_spi(0, dac, pin)
        self.row_adc = Ads8568(8, lambda: self._outputs(False), bus.now)
        self.column_adc = Ads8568(8, lambda: self._outputs(True), bus.now)
        bus.attach_spi(0, self.row_adc, PIN_ROW_ADC)
        bus.attach_spi(0, self.column_adc, PIN_COLUMN_ADC)
        bus.watch(PIN_ROW_CONVST, self.row_adc.convert)
        bus.watch(PIN_COLUMN_CONVST, self.column_adc.convert)
        self.gates = [
            Adg1414(8, lambda closed, card=card: self._turn_gates(card, closed))
            for card in range(SOCKETS)
        ]
        self.chains = _Decoder(bus, self.gates)
        bus.attach_spi(0, self.chains, PIN_GATES)
        bus.watch(PIN_RESET, self._reset_gates)
        bus.watch(PIN_PULSE, self._pulse)
        self.faults.wire(bus)

    @property
    def chips(self) -> list[Dac81416 | Ads8568 | Adg1414]:
        """All chip models."""
        return [*self.dacs, self.row_adc, self.column_adc, *self.gates]

    @property
    def pulse_gate_volts(self) -> float:
        """Voltage of the gates that are on, while the one-shot's pulse lasts."""
        return float(self._volts[2 * LINES])

    @property
    def gate_volts(self) -> float:
        """Voltage of the gates that are on, at all other times."""
        return float(self._volts[2 * LINES + 1])

    def _turn_dac(self, k: int) -> None:
        self._pulses.lines_changed()
        self._volts[16 * k : 16 * k + 16] = self.dacs[k].volts
        self._look_for_stress()

    def _look_for_stress(self) -> None:
        """Amplifiers hold lines at their voltage at all times: only gates keep it off devices."""
        if self._gated and self.gate_volts >= THRESHOLD:
            most = np.abs(self._volts[: 2 * LINES]).max()
            if most > self.device.max_read_voltage + 0.01:
                self.misuse.append(f"{most:.2f} V on a line of a card that conducts")

    def _turn_gates(self, card: int, closed: int) -> None:
        if not closed and card not in self._gated:
            return
        self._pulses.lines_changed()
        self._gated.pop(card, None)
        if closed:
            bits = np.frombuffer(closed.to_bytes(8, "little"), np.uint8)
            self._gated[card] = np.unpackbits(bits, bitorder="little").astype(bool)
            self._look_for_stress()

    def _reset_gates(self, level: bool) -> None:
        if not level:
            for chain in self.gates:
                chain.reset()

    def _driven(self, columns: bool) -> Floats:
        """Volts of the DACs of one side, (64,)."""
        volts = self._volts[LINES : 2 * LINES] if columns else self._volts[:LINES]
        return self.faults.driven(columns, volts)

    def _outputs(self, columns: bool) -> Floats:
        """Volts at the amplifiers' outputs of one side, when they are sampled."""
        noise = ADC_NOISE * self._rng.standard_normal(LINES)
        currents = self._currents(columns)
        zero = self._driven(columns) + self._offsets[int(columns)]
        return zero - currents * self._resistance + noise

    def _currents(self, columns: bool) -> Floats:
        """From the array into the lines of one side, in amperes."""
        total = np.zeros(LINES)
        if self.gate_volts < THRESHOLD:
            return total
        if self._gated and np.abs(self._driven(columns)).max() > 0.001:
            self.misuse.append("a read of lines that are driven")
        volts = self._driven(not columns)
        limit = self.device.max_read_voltage
        if self._gated and np.abs(volts).max() > limit:
            self.misuse.append(f"a read at {np.abs(volts).max():.3f} V, above {limit:g} V")
            volts = np.clip(volts, -limit, limit)
        self._settle()
        for number, rows in self._gated.items():
            if columns:
                total += self.card(number).read(volts * rows)
            else:
                total += self.card(number).read_transposed(volts) * rows
        return self.faults.sensed(columns, total) if self._gated else total

    def _pulse(self, level: bool) -> None:
        """A rising edge fires the one-shot, which joins all lines to their DACs for one pulse."""
        if not level:
            return
        if self._pulses.again():
            return
        if len(self._gated) != 1:
            self.misuse.append(f"a pulse with gates on in {len(self._gated)} cards")
            return
        ((number, gated),) = self._gated.items()
        volts = self._driven(columns=True)
        rows, columns = np.flatnonzero(gated)[:, None], np.flatnonzero(np.abs(volts) > SILENT)
        across = volts[columns] - self._driven(columns=False)[rows]
        strength = np.abs(across) / PULSE
        if np.any(np.abs(strength - 1) > 0.1):
            self.misuse.append(f"a pulse of {np.abs(across).max():.2f} V")
        if self.pulse_gate_volts < THRESHOLD:
            return
        # A SET ends where the transistor lets no more current through.
        most = TRANSCONDUCTANCE * (self.pulse_gate_volts - THRESHOLD) ** 2 / PULSE
        limited = most < 2 * self.device.g_max
        selected = strength >= 0.9
        array = self._array(number)
        if limited:
            self._settle()
            selected &= (across < 0) | (array.conductances[rows, columns] < most)
        at = np.nonzero(selected)
        self._pulses.add(
            array, rows[at[0], 0], columns[at[1]], np.sign(across[at]).astype(np.int64)
        )
        if limited:  # the next one may find other devices beyond it
            self._settle()

    def _settle(self) -> None:
        """Let the devices be what pulses and faults make of them."""
        if self._pulses.give() or self._gated:
            self.faults.settle()


class _Decoder:
    """A 74HC154: the SYNC of the gates goes to the card that the address pins name."""

    def __init__(self, bus: Bus, cards: list[Adg1414]) -> None:
        self._cards = cards
        self._address = 15
        for bit, pin in enumerate(PIN_ADDRESS):
            bus.watch(pin, lambda level, bit=bit: self._turn(bit, level))

    def _turn(self, bit: int, level: bool) -> None:
        self._address = self._address & ~(1 << bit) | level << bit

    def select(self, selected: bool) -> None:
        self._cards[self._address].select(selected)

    def transfer(self, data: bytes, clock: float) -> bytes:
        return self._cards[self._address].transfer(data, clock)
