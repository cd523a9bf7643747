"""The lab board: cards of 64×64 devices with a transistor each, docs/lab_board.md.

Every line has one amplifier that drives it to its DAC's voltage and whose output tells its current.
A card conducts only where the gates of its word lines are on. Members as of board_maker8x8.
"""

from array import array

from machine import SPI, Pin
from micropython import const

from .adg1414 import ADG1414
from .ads8568 import ADS8568
from .dac81416 import DAC81416

_LINES = const(64)
_READ_SCALE = const(2631)  # 255 * 2631 >> 8 = 2620 codes = 200 mV
_PULSE = const(23593)  # codes: 1.8 V on the bit line of a selected device
# Codes of the gates' voltage: 1.8 V limits the current of a SET, 2.5 V turns them on.
_GATE_SET = const(23593)
_GATE_ON = const(32767)
_ALL = const((1 << 64) - 1)
_ZERO_READS = const(8)
_ZERO_LIMIT = const(100)  # codes of 153 µV: 15 mV
_LOOP = const(128)  # a level of half a read, for the check of each line


class Board:
    ROWS = 64
    COLUMNS = 64
    CARDS = 16
    SPAN = 400

    def __init__(self):
        """Check every chip and every line; OSError: one does not answer or is off."""
        spi = SPI(
            0, baudrate=12500000, polarity=0, phase=1, sck=Pin(18), mosi=Pin(19), miso=Pin(16)
        )
        self._fire = Pin(26, Pin.OUT, value=0)
        # Select pins high before anything is clocked.
        selects = [Pin(n, Pin.OUT, value=1) for n in range(2, 11)]
        dacs = self._dacs = [DAC81416(spi, pin, "%d" % k) for k, pin in enumerate(selects)]
        self._asked = 0
        self._row_dacs = dacs[:4]
        self._column_dacs = dacs[4:8]
        self._gate_voltage = dacs[8]
        self._row_adc = ADS8568(spi, Pin(17, Pin.OUT, value=1), Pin(21, Pin.OUT, value=0), 8)
        self._column_adc = ADS8568(spi, Pin(20, Pin.OUT, value=1), Pin(22, Pin.OUT, value=0), 8)
        self._gates = ADG1414(spi, Pin(15, Pin.OUT, value=1), 8)
        self._address = [Pin(n, Pin.OUT, value=0) for n in range(11, 15)]
        self._card = 0
        self._gated = 0  # word lines of that card whose gates are on
        self._check_gates()
        for dac in dacs:
            dac.begin()
        self._rows_driven = self._columns_driven = False
        self._row_zero = array("h", bytearray(2 * _LINES))
        self._column_zero = array("h", bytearray(2 * _LINES))
        self._check_lines(self._row_dacs, self._row_adc, self._row_zero, "word")
        self._check_lines(self._column_dacs, self._column_adc, self._column_zero, "bit")

    def _check_gates(self):
        """Turn all gates off, and see which sockets hold a card: they need not all do."""
        self._cards = 0  # mask of those that answer
        for card in range(self.CARDS):
            self._turn_to(card)
            if self._gates.answers():
                self._cards |= 1 << card
        if not self._cards:
            raise OSError("no card answers: the gates' ADG1414 are silent")

    def _check_lines(self, dacs, adc, zero, name):
        """Measure the zeros, and whether each DAC channel moves its own ADC channel."""
        codes = array("h", bytearray(2 * _LINES))
        none = bytes(2 * _LINES)
        total = [_ZERO_READS // 2] * _LINES
        for _ in range(_ZERO_READS):
            adc.read(none, codes)
            for line in range(_LINES):
                total[line] -= codes[line]
        for line in range(_LINES):
            zero[line] = total[line] // _ZERO_READS
            if abs(zero[line]) > _ZERO_LIMIT:
                raise OSError("%s line %d reads code %d at 0 V" % (name, line, zero[line]))
        levels = array("h", bytearray(2 * _LINES))
        for bit in range(7):  # a pattern for each bit of the number of a line; then for all
            for line in range(_LINES):
                levels[line] = _LOOP if (line | 64) >> bit & 1 else -_LOOP
            for k in range(4):
                dacs[k].write(levels, 16 * k, _READ_SCALE)
            adc.read(zero, codes)
            for line in range(_LINES):
                # Its amplifier's output is the DAC's 100 mV, 658 codes of the ADC.
                if not 500 < -codes[line] * (1 if levels[line] > 0 else -1) < 800:
                    raise OSError("%s line %d does not follow its DAC" % (name, line))
        for dac in dacs:
            dac.zero()

    def drive_rows(self, levels):
        """Put activities on the word lines, and the bit lines to 0 V."""
        if self._columns_driven:
            self._clear_columns()
        self._rows_driven = True
        for k in range(4):
            self._row_dacs[k].write(levels, 16 * k, _READ_SCALE)

    def drive_columns(self, levels):
        """Put activities on the bit lines, and the word lines to 0 V."""
        if self._rows_driven:
            self._clear_rows()
        self._columns_driven = True
        for k in range(4):
            self._column_dacs[k].write(levels, 16 * k, _READ_SCALE)

    def sense_columns(self, card, out):
        """Read the bit lines of a card into out."""
        self._gate(card, _ALL, _GATE_ON)
        self._column_adc.read(self._column_zero, out)

    def sense_rows(self, card, out):
        """Read the word lines of a card into out."""
        self._gate(card, _ALL, _GATE_ON)
        self._row_adc.read(self._row_zero, out)

    def pulse(self, card, rows, columns, up, train):
        """`train` pulses, SET if up or RESET, where the rows and columns of two masks cross."""
        if self._rows_driven:
            self._clear_rows()
        self._gate(card, rows, _GATE_SET if up else _GATE_ON)
        self._columns_driven = True
        level = _PULSE if up else -_PULSE
        for k in range(4):
            self._column_dacs[k].put_some(columns >> 16 * k & 0xFFFF, level)
        fire = self._fire
        for _ in range(train):
            fire.on()  # the one-shot ends the pulse, whatever this program does
            fire.off()

    def rest(self):
        """Bring all lines back to 0 V after pulses; one DAC in turn tells that it was not reset."""
        self._clear_columns()
        self.check()

    def check(self):
        """OSError: a DAC, one of them in turn, was reset."""
        self._asked = (self._asked + 1) % len(self._dacs)
        self._dacs[self._asked].check()

    def counts(self):
        """Conversions at either end of the range, and transfers that were repeated: never any."""
        return self._row_adc.saturated + self._column_adc.saturated, 0

    def _clear_rows(self):
        for dac in self._row_dacs:
            dac.zero()
        self._rows_driven = False

    def _clear_columns(self):
        for dac in self._column_dacs:
            dac.zero()
        self._columns_driven = False

    def _turn_to(self, card):
        """Have the gates' SYNC go to a card; only changed address pins move."""
        changed = card ^ self._card
        for bit in range(4):
            if changed >> bit & 1:
                self._address[bit].value(card >> bit & 1)
        self._card = card

    def _gate(self, card, rows, voltage):
        if card != self._card:
            if not self._cards >> card & 1:
                raise OSError("there is no card %d" % card)
            if self._gated:
                self._gates.write(0)
                self._gated = 0
            self._turn_to(card)
        if rows != self._gated:
            self._gates.write(rows)
            self._gated = rows
        self._gate_voltage.put(0, voltage)
