"""Chip models against hand-worked transactions of their data sheets."""

import os

import numpy as np
import pytest

from madem_emulator.chips.hc595 import Hc595
from madem_emulator.chips.mcp3208 import Mcp3208
from madem_emulator.chips.mcp4728 import EEPROM_WRITE, Channel, Mcp4728
from madem_emulator.wiring.bus import Bus
from madem_emulator.wiring.unix_pipes import connect


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


# MCP4728, Microchip DS22187E


def test_mcp4728_sequential_write_of_figure_7_4() -> None:
    """Section 7, Figure 7-4: the voltages of its test points A to D, V_DD = 5 V."""
    clock = Clock()
    dac = Mcp4728(clock, supply=5.0)
    taken = dac.write(bytes([0b01010000, 0x08, 0x00, 0x0F, 0xFF, 0x98, 0x00, 0x9F, 0xFF]))
    assert taken == 9
    assert dac.volts == pytest.approx([2.5, 5 * 4095 / 4096, 2.048, 4.096 * 4095 / 4096])
    assert dac.misuse == []


def test_mcp4728_fast_write_keeps_reference_and_gain() -> None:
    """Section 5.6.1, Figure 5-7: 0 0 PD1 PD0 D11…D8, D7…D0, channel A first."""
    dac = Mcp4728(Clock())
    dac.write(bytes([0x40, 0x98, 0x00]))  # A: internal reference, gain 2, half
    dac.write(bytes([0x04, 0x00, 0x00, 0x10]))
    assert dac.channels[0] == Channel(vref=1, gain=1, data=0x400)
    assert dac.volts[0] == pytest.approx(1.024)
    assert dac.channels[1].data == 0x010
    dac.write(bytes([0x24, 0x00]))  # PD = 2: 100 kΩ to ground
    assert dac.volts[0] == 0.0


def test_mcp4728_multi_write_names_its_channels() -> None:
    """Figure 5-8: 0 1 0 0 0 DAC1 DAC0 UDAC, then two bytes; repeated for other channels."""
    dac = Mcp4728(Clock())
    dac.write(bytes([0x46, 0x91, 0x23, 0x42, 0x0A, 0xBC]))
    assert dac.channels[3] == Channel(vref=1, gain=1, data=0x123)
    assert dac.channels[1] == Channel(vref=0, gain=0, data=0xABC)


def test_mcp4728_single_write_keeps_the_eeprom_busy_and_ignores_writes() -> None:
    """Figure 5-10, and RDY/BSY of Figure 5-15."""
    clock = Clock()
    dac = Mcp4728(clock)
    dac.write(bytes([0x5C, 0x98, 0x00]))  # C, with EEPROM
    assert not dac.read(1)[0] & 0x80
    dac.write(bytes([0x00, 0x01]))
    assert dac.channels[0].data == 0
    assert len(dac.misuse) == 1
    clock.now = EEPROM_WRITE
    dac.start()
    assert dac.read(1)[0] & 0x80
    dac.write(bytes([0x04, 0x00] * 4))
    dac.general_call(b"\x06")  # section 5.4.1: the EEPROM is loaded
    assert dac.channels[2] == Channel(vref=1, gain=1, data=0x800)


def test_mcp4728_read_of_figure_5_15() -> None:
    dac = Mcp4728(Clock(), address=0x62)
    dac.write(bytes([0x42, 0x91, 0x23]))
    said = dac.read(24)
    # RDY, POR, DAC1 DAC0, 0, A2 A1 A0; register; the same again with the EEPROM.
    assert said[6:9] == bytes([0b11010010, 0x91, 0x23])
    assert said[9] == 0b11010010
    assert [byte >> 4 & 3 for byte in said[::6]] == [0, 1, 2, 3]


def test_mcp4728_fields_of_all_channels() -> None:
    """Figures 5-12 and 5-14: reference and gain; section 5.4.2: wake-up clears power-down."""
    dac = Mcp4728(Clock())
    dac.write(bytes([0b10000101]))
    dac.write(bytes([0b11001010]))
    assert [c.vref for c in dac.channels] == [0, 1, 0, 1]
    assert [c.gain for c in dac.channels] == [1, 0, 1, 0]
    dac.write(bytes([0x30, 0x00]))
    dac.general_call(b"\x09")
    assert [c.pd for c in dac.channels] == [0, 0, 0, 0]


@pytest.mark.parametrize("command", [b"\x48", b"\x60", b"\xa0"])
def test_mcp4728_notes_illegal_commands(command: bytes) -> None:
    dac = Mcp4728(Clock())
    before = list(dac.channels)
    dac.write(command)
    assert dac.channels == before
    assert dac.misuse


# MCP3208, Microchip DS21298E


def converted(sent: bytes, volts: list[float], clock: float = 2e6) -> tuple[bytes, Mcp3208]:
    adc = Mcp3208(volts.__getitem__, 4.096)
    adc.select(True)
    return adc.transfer(sent, clock), adc


def test_mcp3208_in_three_bytes_of_figure_6_1() -> None:
    """Section 6.1: five leading zeros; then three unknown bits, the null bit and B11…B0."""
    said, adc = converted(bytes([0b00000110 | 5 >> 2, (5 & 3) << 6, 0]), [0, 0, 0, 0, 0, 1.5, 0, 0])
    assert said == bytes([0xFF, 0b11100000 | 1500 >> 8, 1500 & 255])
    assert adc.misuse == []


def test_mcp3208_least_significant_bit_first_after_that() -> None:
    """Section 5.0, Figure 5-2: B1…B11 follow B0, then zeros for good."""
    said, _ = converted(bytes([0x06, 0, 0, 0, 0, 0]), [2.741] + [0.0] * 7)
    bits = f"{int.from_bytes(said):048b}"
    code = f"{2741:012b}"
    assert bits[11:24] == "0" + code
    assert bits[24:35] == code[::-1][1:]
    assert bits[35:] == "0" * 13


def test_mcp3208_differential_inputs_of_table_5_2() -> None:
    """SGL/DIFF = 0: D2 D1 D0 = 010 is CH2+ CH3−, 011 is CH3+ CH2−; below zero reads 0."""
    volts = [0.0, 0.0, 2.0, 0.5, 0.0, 0.0, 0.0, 0.0]
    said, _ = converted(bytes([0x04, 0x80, 0]), volts)
    assert int.from_bytes(said) & 0xFFF == 1500
    said, _ = converted(bytes([0x04, 0xC0, 0]), volts)
    assert int.from_bytes(said) & 0xFFF == 0


def test_mcp3208_code_of_section_4_2_saturates() -> None:
    for volts, code in ((-0.1, 0), (4.0955, 4095), (5.0, 4095), (0.00101, 1), (0.00099, 0)):
        said, _ = converted(bytes([6, 0, 0]), [volts] * 8)
        assert int.from_bytes(said) & 0xFFF == code


def test_mcp3208_bytes_may_come_one_at_a_time_and_select_starts_anew() -> None:
    adc = Mcp3208(lambda _: 1.0, 4.096)
    adc.select(True)
    parts = b"".join(adc.transfer(bytes([b]), 1e6) for b in (6, 0, 0))
    assert parts[1:] == bytes([0xE0 | 1000 >> 8, 1000 & 255])
    adc.select(False)
    adc.select(True)
    assert adc.transfer(b"\x00", 1e6) == b"\xff"  # no start bit yet
    adc.transfer(b"\x06", 3e6)
    assert adc.misuse  # section 1.0: 2 MHz at 5 V


# 74HC595


def test_hc595_shifts_latches_and_is_silent_until_enabled() -> None:
    seen: list[int | None] = []
    chain = Hc595(2, seen.append)
    assert chain.transfer(b"\x12\x34\x56", 1e6) == b"\0\0\x12"
    chain.latch(True)
    assert chain.outputs is None
    chain.enable(False)
    assert chain.outputs == 0x3456  # the oldest bits fell out of the end
    assert chain.transfer(b"\x99", 1e6) == b"\x34"  # the oldest bit first
    assert chain.outputs == 0x3456  # not latched yet
    chain.latch(False)
    chain.latch(True)
    assert seen[-1] == 0x5699


# The bus


def test_chips_share_a_bus_by_their_selects() -> None:
    bus = Bus()
    for pin, volts in ((5, 1.0), (6, 2.0)):
        bus.attach_spi(0, Mcp3208(lambda _, volts=volts: volts, 4.096), pin)
    assert bus.spi(0, b"\x06\x00\x00") == b"\xff\xff\xff"
    codes = []
    for pin in (5, 6):
        bus.set_level(pin, 0)
        codes.append(int.from_bytes(bus.spi(0, b"\x06\x00\x00")) & 0xFFF)
        bus.set_level(pin, 1)
    assert codes == [1000, 2000]
    assert bus.seconds == pytest.approx(3 * 24e-6)


def test_an_absent_chip_and_a_held_bus_have_their_own_status() -> None:
    bus = Bus()
    bus.attach_i2c(0, 0x60, Mcp4728(bus.now))
    assert bus.i2c_write(0, 0x61, b"\x00")[0] == 1
    bus.hold_i2c(0)
    assert bus.i2c_write(0, 0x60, b"\x00\x00")[0] == 2
    bus.hold_i2c(0, False)
    assert bus.i2c_write(0, 0x60, b"\x00\x00") == (0, 2)
    with pytest.raises(ValueError, match="0x60"):
        bus.attach_i2c(0, 0x60, Mcp4728(bus.now))
    assert np.isclose(bus.seconds, (20 + 29 + 29) / 4e5)


def test_what_a_board_sends_may_come_in_any_pieces() -> None:
    """The table of bus.py: low, a transfer, high; then the board ends, and so do the pipes."""
    bus = Bus()
    bus.attach_spi(0, Mcp3208(lambda channel: 0.1 * channel, 4.096), 17)
    low, high = bytes((1, 17, 1, 0, 0)), bytes((1, 17, 1, 0, 1))
    ask = [bytes((5, 0, 3, 0, 6, channel << 6, 0)) for channel in range(4)]
    messages = b"".join(low + each + high for each in ask)
    for size in (1, 3, 6, len(messages)):
        reads, writes = connect(bus)
        for at in range(0, len(messages), size):
            os.write(writes, messages[at : at + size])
        os.close(writes)
        with open(reads, "rb") as answers:
            said = answers.read()
        codes = [int.from_bytes(said[at : at + 3]) & 0xFFF for at in range(0, len(said), 3)]
        assert codes == [0, 100, 200, 300]


def test_time_begins_with_the_bus() -> None:
    """Sensors play their recordings from there."""
    assert 0 <= Bus().now() < 1
