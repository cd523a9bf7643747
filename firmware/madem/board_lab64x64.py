"""The lab board: cards of 64×64 devices with a transistor each, docs/hardware/lab_board.md.

Every line has one amplifier that drives it to its DAC's voltage and whose output tells its current.
A card conducts only where the gates of its word lines are on. Members as of board_maker8x8.
"""

from array import array

from machine import SPI, Pin
from micropython import const

from .chip_adg1414 import ADG1414
from .chip_ads8568 import ADS8568
from .chip_dac81416 import DAC81416

_LINES = const(64)
_READ_SCALE = const(2631)  # 255 * 2631 >> 8 = 2620 codes = 200 mV
_PULSE = const(23593)  # codes: 1.8 V on the bit line of a selected device
# Codes of the gates' voltage: 1.8 V limits the current of a SET, 2.5 V turns them on. One output
# is joined to them while the one-shot's pulse lasts, the other one at all other times.
_GATE_SET = const(23593)
_GATE_ON = const(32767)
_IN_PULSES = const(1)
_IN_READS = const(2)
_ALL = b"\xff" * 8
_ZERO_READS = const(8)
_ZERO_LIMIT = const(100)  # codes of 153 µV: 15 mV
_LOOP = const(128)  # a level of half a read, for the check of each line
_TRIES = const(3)


class ArrayBoard:
    """The chips of the board, as frontend_chips.py drives them."""

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
        self._row_dacs = dacs[:4]
        self._column_dacs = dacs[4:8]
        self._gate_voltage = dacs[8]
        self._row_adc = ADS8568(
            spi, Pin(17, Pin.OUT, value=1), Pin(21, Pin.OUT, value=0), 8, "word lines'"
        )
        self._column_adc = ADS8568(
            spi, Pin(20, Pin.OUT, value=1), Pin(22, Pin.OUT, value=0), 8, "bit lines'"
        )
        self._gates = ADG1414(spi, Pin(15, Pin.OUT, value=1), Pin(27, Pin.OUT, value=1), 8)
        self._address = [Pin(n, Pin.OUT, value=0) for n in range(11, 15)]
        self._card = 0
        # Measured since they were driven: all lines of a side are as they should be.
        self._rows_seen = self._columns_seen = False
        self._pulsing = False  # nothing was driven for a read since the first pulse
        self._readable = False  # the gates' voltage is that of a read
        self._check_gates()
        for dac in dacs:
            dac.begin()
        self._rows_driven = self._columns_driven = False
        self._codes = array("h", bytearray(2 * _LINES))
        self._row_zero = array("h", bytearray(2 * _LINES))
        self._column_zero = array("h", bytearray(2 * _LINES))
        self._check_lines(self._row_dacs, self._row_adc, self._row_zero, "word")
        self._check_lines(self._column_dacs, self._column_adc, self._column_zero, "bit")

    def _check_gates(self):
        """See which sockets hold a card, as they need not all do, and turn all gates off."""
        self._cards = 0  # mask of those that answer
        for card in range(self.CARDS):
            self._turn_to(card)
            if self._gates.answers():
                self._cards |= 1 << card
        self._gates.open_all()
        if not self._cards:
            raise OSError("no card answers: the gates' ADG1414 are silent")

    def _check_lines(self, dacs, adc, zero, name):
        """Measure the zeros, and whether each DAC channel moves its own ADC channel."""
        codes = self._codes
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
        self._pulsing = False
        for k in range(4):
            if self._row_dacs[k].write(levels, 16 * k, _READ_SCALE):
                self._rows_seen = False

    def drive_columns(self, levels):
        """Put activities on the bit lines, and the word lines to 0 V."""
        if self._rows_driven:
            self._clear_rows()
        if self._pulsing:
            self._clear_columns()
        self._columns_driven = True
        self._pulsing = False
        for k in range(4):
            if self._column_dacs[k].write(levels, 16 * k, _READ_SCALE):
                self._columns_seen = False

    def sense_columns(self, card, out):
        """Read the bit lines of a card into out."""
        self._sense(card, self._column_adc, self._column_zero, out)

    def sense_rows(self, card, out):
        """Read the word lines of a card into out."""
        self._sense(card, self._row_adc, self._row_zero, out)

    def pulse(self, card, rows, columns, up, pulses):
        """Pulse: SET if up or RESET, where the rows and columns of two masks cross.

        No pulse is given before all that decides it is known to be right.
        """
        level = _PULSE if up else -_PULSE
        self._choose(card)
        if not self._pulsing:
            self._prepare(level)
        self._columns_driven = True
        for k in range(4):
            self._column_dacs[k].put_some(columns >> 16 * k & 0xFFFF, level)
        # Lines keep their voltage between pulses: gates must not.
        self._gate_voltage.put_some(_IN_PULSES, _GATE_SET if up else _GATE_ON)
        self._readable = False
        self._gates.hold(rows.to_bytes(8, "big"))
        fire = self._fire
        for _ in range(pulses):
            fire.on()  # the one-shot ends the pulse, whatever this program does
            fire.off()
        self._gates.release()

    def rest(self):
        """Bring all lines back to 0 V after pulses. OSError: a DAC was reset."""
        self._clear_columns()
        self.check()

    def check(self):
        """OSError: a DAC was reset."""
        for dac in self._dacs:
            dac.check()

    def counts(self):
        """Conversions at either end of the range, and transfers that were repeated."""
        adcs = [self._row_adc, self._column_adc]
        repeated = sum([chip.repeated for chip in self._dacs + adcs]) + self._gates.repeated
        return adcs[0].saturated + adcs[1].saturated, repeated

    def _prepare(self, level):
        """See that all lines are where they should be, before the first pulse after reads.

        Bits that flipped in a stream of a read may have changed anything in a DAC, and its
        settings can't be read back. So the bit lines are measured at the level of the pulse.
        """
        self.check()
        self._clear_rows()
        for dac in self._column_dacs:
            dac.fill(level)
        self._see_columns()
        for dac in self._column_dacs:
            dac.zero()
        self._see_columns()
        self._see_rows()
        self._pulsing = True

    def _see_rows(self):
        self._see(self._row_dacs, self._row_adc, self._row_zero, "word")
        self._rows_seen = True

    def _see_columns(self):
        self._see(self._column_dacs, self._column_adc, self._column_zero, "bit")
        self._columns_seen = True

    def _see(self, dacs, adc, zero, name):
        """Measure whether all lines of a side follow their DACs, while no card conducts.

        OSError: one doesn't, or a DAC was reset.
        """
        line = -1
        for _ in range(_TRIES):
            adc.glance(zero, self._codes)
            right = True
            for k in range(4):
                differs = dacs[k].differs(self._codes, 16 * k)
                if differs >= 0:
                    right = False
                    line = 16 * k + differs
                    dacs[k].renew()
            if right:
                return
        raise OSError("%s line %d does not follow its DAC" % (name, line))

    def _clear_rows(self):
        for dac in self._row_dacs:
            dac.zero()
        self._rows_driven = self._rows_seen = False

    def _clear_columns(self):
        for dac in self._column_dacs:
            if self._pulsing:
                dac.put_some(0, 0)  # a read must not find the voltage of a pulse
            else:
                dac.zero()
                self._columns_seen = False
        self._columns_driven = False

    def _turn_to(self, card):
        """Have the gates' SYNC go to a card; only changed address pins move."""
        changed = card ^ self._card
        for bit in range(4):
            if changed >> bit & 1:
                self._address[bit].value(card >> bit & 1)
        self._card = card

    def _choose(self, card):
        if card != self._card:
            if not self._cards >> card & 1:
                raise OSError("there is no card %d" % card)
            self._turn_to(card)

    def _sense(self, card, adc, zero, out):
        """Let a card conduct while it is read, and not before all lines are known to be right."""
        self._choose(card)
        if not self._rows_seen:
            self._see_rows()
        if not self._columns_seen:
            self._see_columns()
        if not self._readable:
            self._gate_voltage.put_some(_IN_READS, _GATE_ON)
            self._readable = True
        gates = self._gates
        for _ in range(_TRIES):
            gates.write(_ALL)
            try:
                adc.read(zero, out)
            finally:  # what is driven next finds no card that conducts
                right = gates.were(_ALL)
            if right:
                return
        gates.fail()
