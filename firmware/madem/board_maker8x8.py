"""The maker board: cards of 8×8 devices, docs/hardware/maker_board.md.

A board design is one file with a class `ArrayBoard` of these constants and methods, and no others
are used: frontend_chips.py maps a network onto the cards. Levels are -255 to 255, where 255 is full
activity. Readings are codes, SPAN of them for a device's whole window at full activity.
"""

from array import array

from machine import I2C, SPI, Pin
from micropython import const

from .chip_hc595 import HC595
from .chip_mcp3208 import MCP3208
from .chip_mcp4728 import MCP4728

_MIDDLE = const(2048)  # code of VMID, for DACs and ADCs
_READ_SCALE = const(201)  # 255 * 201 >> 8 = 200 mV
_PULSE = const(900)  # mV on each of the two lines of a selected device
_READ = const(0x8000)
_TRANSPOSED = const(0x4000)
_ZERO_READS = const(8)
_EVERY = const(16)  # reads from one whose conversions are made twice to the next


class ArrayBoard:
    """The chips of the board, as frontend_chips.py drives them."""

    ROWS = 8
    COLUMNS = 8
    CARDS = 256
    SPAN = 224

    def __init__(self):
        """Check every chip; OSError: one does not answer."""
        spi = SPI(0, baudrate=2000000, sck=Pin(18), mosi=Pin(19), miso=Pin(16))
        i2c = I2C(0, scl=Pin(5), sda=Pin(4), freq=400000)
        # Select pins high before anything is clocked.
        self._row_adc = MCP3208(spi, Pin(17, Pin.OUT, value=1), "word lines'")
        self._column_adc = MCP3208(spi, Pin(20, Pin.OUT, value=1), "bit lines'")
        self._fire = Pin(26, Pin.OUT, value=0)
        self._switches = HC595(
            spi, Pin(21, Pin.OUT), Pin(22, Pin.OUT, value=1), Pin(27, Pin.OUT, value=1)
        )
        self._row_dacs = (MCP4728(i2c, 0x60), MCP4728(i2c, 0x61))
        self._column_dacs = (MCP4728(i2c, 0x62), MCP4728(i2c, 0x63))
        self._dacs = self._row_dacs + self._column_dacs
        for dac in self._dacs:
            dac.begin(_MIDDLE)
        self._codes = array("H", bytearray(16))
        self._switched = -1
        self._reads = 0
        self._switch(0)
        self._switches.enable()
        # Without current, what the ADCs read is the zero of each line.
        self._row_zero = array("H", bytearray(16))
        self._column_zero = array("H", bytearray(16))
        for adc, zero in (
            (self._row_adc, self._row_zero),
            (self._column_adc, self._column_zero),
        ):
            for line in range(8):
                total = _ZERO_READS // 2
                for _ in range(_ZERO_READS):
                    total += adc.read(line)
                zero[line] = total // _ZERO_READS
                if not 1948 <= zero[line] <= 2148:
                    raise OSError("line %d reads code %d without current" % (line, zero[line]))

    def drive_rows(self, levels):
        """Put activities on the word lines of all cards, while none is connected."""
        self._drive(self._row_dacs, levels)

    def drive_columns(self, levels):
        """Put activities on the bit lines of all cards, while none is connected."""
        self._drive(self._column_dacs, levels)

    def sense_columns(self, card, out):
        """Read the bit lines of a card into out."""
        self._connect(self._row_dacs, _READ | card)
        self._sense(self._column_adc, self._column_zero, out)

    def sense_rows(self, card, out):
        """Read the word lines of a card into out."""
        self._connect(self._column_dacs, _READ | _TRANSPOSED | card)
        self._sense(self._row_adc, self._row_zero, out)

    def pulse(self, card, rows, columns, up, pulses):
        """Pulse: SET if up or RESET, where the rows and columns of two masks cross."""
        self._switch(card)
        self._level(self._row_dacs, rows, _PULSE if up else -_PULSE)
        self._level(self._column_dacs, columns, -_PULSE if up else _PULSE)
        # No voltage is connected before all lines are known to have theirs.
        self.check()
        fire = self._fire
        for _ in range(pulses):
            fire.on()  # the one-shot ends the pulse, whatever this program does
            fire.off()

    def rest(self):
        """Bring all lines back to the middle after pulses."""
        self._level(self._row_dacs, 0, 0)
        self._level(self._column_dacs, 0, 0)
        self.check()

    def check(self):
        """OSError: a DAC lost its settings, or has others than it was given."""
        for dac in self._dacs:
            dac.check()

    def counts(self):
        """Conversions at either end of the range, and transfers that were repeated."""
        adcs = self._row_adc, self._column_adc
        repeated = sum([chip.repeated for chip in adcs + self._dacs]) + self._switches.repeated
        return adcs[0].saturated + adcs[1].saturated, repeated

    def _connect(self, dacs, control):
        """No device feels a voltage before it is known to be right."""
        for dac in dacs:
            dac.confirm()
        self._switch(control)

    def _sense(self, adc, zero, out):
        """One read in _EVERY converts every line twice: for all that would take twice the time."""
        self._reads = (self._reads + 1) % _EVERY
        read = adc.read if self._reads else adc.read_twice
        for line in range(8):
            out[line] = zero[line] - read(line)

    def _switch(self, control):
        if control != self._switched:
            self._switches.write(control)
            self._switched = control

    def _drive(self, dacs, levels):
        self._switch(0)
        codes = self._codes
        for line in range(8):
            codes[line] = _MIDDLE + (levels[line] * _READ_SCALE >> 8)
        dacs[0].write(codes, 0)
        dacs[1].write(codes, 4)

    def _level(self, dacs, mask, level):
        codes = self._codes
        for line in range(8):
            codes[line] = _MIDDLE + (level if mask >> line & 1 else 0)
        dacs[0].write(codes, 0)
        dacs[1].write(codes, 4)
