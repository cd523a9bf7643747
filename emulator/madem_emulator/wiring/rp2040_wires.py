"""The wires between an emulated RP2040's own peripherals and chip models.

SPI, I2C and ADC of rp2040py move bytes and samples by callbacks; here each of them takes the time
that it takes on wires, by the board's clock. A program that does nothing but ask whether a byte has
gone is not emulated instruction by instruction: the clock jumps to where it has. Sections are those
of the RP2040 data sheet.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from rp2040py.gpio_pin import FUNCTION_SIO, GPIOPinState
from rp2040py.peripherals.i2c import (
    ENABLE,
    IC_ENABLE,
    IC_RAW_INTR_STAT,
    R_TX_EMPTY,
    RPI2C,
    TX_EMPTY_CTRL,
    I2CMode,
    I2CState,
)
from rp2040py.peripherals.spi import RPSPI, SSPDR, SSPSR

from madem_emulator.wiring.bus import Bus
from madem_emulator.wiring.i2c_wire import I2cBits, I2cWire

if TYPE_CHECKING:
    from rp2040py.rp2040 import RP2040

I2C_PINS = ((5, 4), (7, 6))
"""SCL and SDA of I2C 0 and 1 where a program moves them itself: MicroPython's default pins."""
_SPI_BASES, _I2C_BASES = (0x4003C, 0x40040), (0x40044, 0x40048)
_QUESTIONS = 2
"""Looks at the state of an SPI, without a byte in between, that are asked while there is more to
do: one for each FIFO. Whoever asks more often waits."""
_ADC_FIRST_PIN, _ADC_PINS = 26, 4
_ADC_NS = 2000
_PLL_USB_HZ, _FROM_PLL_USB = 48e6, 2
_LOOK_NS = 500_000
"""How often pins that chips drive are looked at."""


class _Transfer:
    """What takes time by the board's clock."""

    def __init__(self, chip: RP2040, done: Callable[[], None]) -> None:
        self._clock = chip.clock
        self._alarm = self._clock.create_alarm(self._end)
        self._done = done
        self._until = 0.0
        self._going = False

    def begin(self, nanoseconds: float) -> None:
        self._until = self._clock.nanos + nanoseconds
        self._going = True
        self._alarm.schedule(nanoseconds)

    def skip(self) -> None:
        """Let the time pass now, if it is going on."""
        if self._going:
            self._clock.tick(self._until - self._clock.nanos)

    def cancel(self) -> None:
        self._going = False
        self._alarm.cancel()

    def _end(self) -> None:
        self._going = False
        self._done()


class _Spi(RPSPI):
    """rp2040py's SPI with bytes that take their time."""

    def __init__(self, chip: RP2040, unit: int, bus: Bus) -> None:
        super().__init__(chip, f"SPI{unit}", chip.spi[unit].irq, chip.spi[unit].dreq)
        self._bus = bus
        self._unit = unit
        self._answer = 0
        self._asked = 0
        self._byte = _Transfer(chip, lambda: self.complete_transmit(self._answer))
        self.on_transmit = self._transmit

    def reset(self) -> None:
        self._byte.cancel()
        super().reset()

    def read_uint32(self, offset: int) -> int:
        if offset == SSPSR:
            self._asked += 1
            if self._asked > _QUESTIONS:
                self._byte.skip()
        elif offset == SSPDR:
            self._asked = 0
        return super().read_uint32(offset)

    def write_uint32(self, offset: int, value: int) -> None:
        self._asked = 0
        super().write_uint32(offset, value)

    def _transmit(self, value: int) -> None:
        # rp2040py takes clk_peri for 125 MHz, whatever the program made of it (section 2.15.7).
        source = self.rp2040.clocks.peri_ctrl >> 5 & 7
        chosen = _PLL_USB_HZ if source == _FROM_PLL_USB else self.rp2040.clk_sys
        clock = self.clock_frequency * chosen / self.rp2040.clk_peri
        self._bus.set_up_spi(self._unit, clock)
        self._answer = self._bus.spi(self._unit, bytes([value & 0xFF]))[0]
        self._byte.begin(self.data_bits * 1e9 / clock)


class _I2c(RPI2C):
    """rp2040py's I2C with bytes that take their time, and two things as the chip has them.

    With TX_EMPTY_CTRL the interrupt TX_EMPTY comes when a byte has left, not when it begins
    (section 4.3.17, IC_CON), an abort empties the FIFO and so raises it too (IC_TX_ABRT_SOURCE);
    the SDK's driver relies on both. Disabling it ends what it does.
    """

    def __init__(self, chip: RP2040, unit: int, bus: Bus) -> None:
        super().__init__(chip, f"I2C{unit}", chip.i2c[unit].irq)
        self._wire = I2cWire(bus, unit)
        self._byte = _Transfer(chip, self._finish)
        self._next = self.complete_stop
        self.on_start = self._start
        self.on_connect = self._connect
        self.on_write_byte = self._write
        self.on_read_byte = self._read
        self.on_stop = self._end

    def reset(self) -> None:
        self._give_up()
        super().reset()

    def read_uint32(self, offset: int) -> int:
        if offset == IC_RAW_INTR_STAT:
            self._byte.skip()
        return super().read_uint32(offset)

    def write_uint32(self, offset: int, value: int) -> None:
        if offset == IC_ENABLE and not value & ENABLE:
            self._give_up()
        super().write_uint32(offset, value)

    def _give_up(self) -> None:
        self._byte.cancel()
        self._busy = False
        self._state = I2CState.IDLE
        self._wire.stop()

    def _take(self, bits: int, then: Callable[[], None]) -> None:
        if self._wire.stuck:
            return  # until the driver gives up
        self._next = then
        period = self.scl_low_period + self.scl_high_period
        self._byte.begin(bits * 1e9 * period / self.rp2040.clk_sys)

    def _finish(self) -> None:
        self._next()
        if not self._busy:
            self._left()

    def _next_command(self) -> None:
        super()._next_command()
        if self._busy and self.control & TX_EMPTY_CTRL:
            self._clear_interrupts(R_TX_EMPTY)

    def _left(self) -> None:
        if self._tx_fifo.item_count <= self.tx_threshold:
            self._set_interrupts(R_TX_EMPTY)

    def _start(self, _repeated: bool) -> None:
        self._take(1, self.complete_start)

    def _connect(self, address: int, mode: I2CMode) -> None:
        found = self._wire.start(address, mode == I2CMode.READ)
        self._take(9, partial(self.complete_connect, found))

    def _write(self, value: int) -> None:
        self._take(9, partial(self.complete_write, self._wire.write(value)))

    def _read(self, _more: bool) -> None:
        self._take(9, partial(self.complete_read, self._wire.read()))

    def _end(self) -> None:
        self._wire.stop()
        self.complete_stop()
        self._left()


class Rp2040Wires:
    """The connection of a chip, before it runs, with a bus."""

    def __init__(self, chip: RP2040, bus: Bus) -> None:
        """Put the chip's SPI, I2C, ADC and pins on a bus.

        Args:
            chip: rp2040py's.
            bus: all that is wired to the board; its time is the chip's from now on.
        """
        self._chip = chip
        self._bus = bus
        bus.clock = lambda: chip.clock.nanos / 1e9
        for unit in range(2):
            chip.spi[unit] = chip.peripherals[_SPI_BASES[unit]] = _Spi(chip, unit, bus)
            chip.i2c[unit] = chip.peripherals[_I2C_BASES[unit]] = _I2c(chip, unit, bus)
            self._join_i2c_pins(unit)
        for pin in bus.watched:
            chip.gpio[pin].add_listener(partial(self._set_level, pin))
        if bus.driven:
            self._look = chip.clock.create_alarm(self._look_at_chips)
            self._look_at_chips()
        self._channel = 0
        self._sampled = chip.clock.create_alarm(self._convert)
        chip.adc.on_adc_read = self._sample

    def _join_i2c_pins(self, unit: int) -> None:
        """For programs that move the wires themselves, as MicroPython's I2C.scan does."""
        scl, sda = (self._chip.gpio[pin] for pin in I2C_PINS[unit])
        bits = I2cBits(I2cWire(self._bus, unit))

        def move(*_: GPIOPinState) -> None:
            if FUNCTION_SIO not in (scl.function_select, sda.function_select):
                return
            bits.move(scl.value != GPIOPinState.LOW, sda.value != GPIOPinState.LOW)
            if bits.low:
                sda.set_input_value(False)
            else:
                sda.release_input()

        scl.add_listener(move)
        sda.add_listener(move)

    def _set_level(self, pin: int, state: GPIOPinState, _before: GPIOPinState) -> None:
        # A pin that is let go keeps its level: no design relies on what it would be.
        if state in (GPIOPinState.LOW, GPIOPinState.HIGH):
            self._bus.set_level(pin, int(state))

    def _look_at_chips(self) -> None:
        for pin in self._bus.driven:
            self._chip.gpio[pin].set_input_value(bool(self._bus.level(pin)))
        self._look.schedule(_LOOK_NS)

    def _sample(self, channel: int) -> None:
        self._channel = channel
        self._sampled.schedule(_ADC_NS)

    def _convert(self) -> None:
        adc = self._chip.adc
        if self._channel < _ADC_PINS:
            fraction = self._bus.adc(_ADC_FIRST_PIN + self._channel)
            adc.complete_adc_read(round(4095 * fraction), False)
        else:
            adc.complete_adc_read(adc.channel_values[self._channel], False)
