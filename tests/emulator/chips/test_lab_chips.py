"""Models of the lab board's chips against hand-worked transactions of their data sheets."""

import numpy as np
import pytest

from madem_emulator.chips import dac81416
from madem_emulator.chips.adg1414 import Adg1414
from madem_emulator.chips.ads8568 import CONVERSION, Ads8568
from madem_emulator.chips.dac81416 import Dac81416


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def frame(chip: Dac81416, *data: int, clock: float = 1e7) -> bytes | None:
    chip.select(True)
    said = chip.transfer(bytes(data), clock)
    chip.select(False)
    return said


def awake() -> Dac81416:
    """All channels on, ±2.5 V, internal reference, streaming off."""
    dac = Dac81416()
    for register, value in (
        (3, 0x0A84),
        (4, 0x3F00),
        (9, 0),
        *((k, 0xEEEE) for k in range(10, 14)),
    ):
        frame(dac, register, value >> 8, value & 255)
    return dac


# DAC81416, Texas Instruments SLASEO0B


def test_dac81416_powers_up_silent_with_the_reset_values_of_section_8_6() -> None:
    dac = Dac81416()
    frame(dac, 0x10, 0xFF, 0xFF)
    assert not dac.volts.any()  # DEV-PWDWN, REF-PWDWN and DACPWDWN are all set
    found = {}
    for register in (1, 3, 4, 5, 6, 9):
        frame(dac, 0x80 | register, 0, 0)
        said = frame(dac, 0, 0, 0)
        assert said is not None
        assert said[0] == 0x80 | register
        found[register] = int.from_bytes(said[1:])
    assert found == {1: 0x29C << 2, 3: 0x0AA4, 4: 0x7F00, 5: 0xFFFF, 6: 0, 9: 0xFFFF}


def test_dac81416_transfer_function_of_section_8_3_1_1() -> None:
    """Code/65536 of the range's span above its lower end."""
    dac = awake()
    for code, volts in ((0, -2.5), (0x8000, 0.0), (0xC000, 1.25), (0xFFFF, 2.5 - 5 / 65536)):
        frame(dac, 0x17, code >> 8, code & 255)
        assert dac.volts[7] == pytest.approx(volts, abs=1e-9)
    frame(dac, 0x0D, 0x00, 0x10)  # DACRANGE3: channel 1 to 0 … 10 V, the others to 0 … 5 V
    frame(dac, 0x11, 0x80, 0)
    assert dac.volts[1] == pytest.approx(5.0)
    assert dac.misuse == []


def test_dac81416_streams_of_section_8_5_1_1_go_to_the_registers_that_follow() -> None:
    dac = awake()
    frame(dac, 0x03, 0x0A, 0x8C)  # STR-EN
    assert frame(dac, 0x15, 0x12, 0x34, 0x56, 0x78, 0x9A, 0xBC) is None  # SDO is off
    assert list(dac.codes[4:9]) == [0, 0x1234, 0x5678, 0x9ABC, 0]
    frame(dac, 0x03, 0x0A, 0x84)  # and back
    assert frame(dac, 0x10, 1, 2, 3, 4) is not None
    assert list(dac.codes[:2]) == [0x0102, 0]  # what is beyond 24 bits is no second register
    assert dac.misuse == []


def test_dac81416_updates_at_once_or_at_the_trigger() -> None:
    """Sections 8.3.1.2.1 and 8.3.1.2.2."""
    dac = awake()
    frame(dac, 0x06, 0x00, 0x02)  # channel 1 waits for LDAC
    frame(dac, 0x05, 0x00, 0x07)  # the broadcast goes to channels 0 to 2
    frame(dac, 0x0F, 0x80, 0x00)
    assert list(dac.codes[:4]) == [0x8000, 0, 0x8000, 0]
    frame(dac, 0x0E, 0x00, 0x10)
    assert list(dac.codes[:4]) == [0x8000, 0x8000, 0x8000, 0]
    frame(dac, 0x0E, 0x00, 0x0A)  # section 8.3.3.3: software reset
    assert dac.registers[3] == 0x0AA4
    assert not dac.codes.any()


@pytest.mark.parametrize(
    "data",
    [(0x10, 0x80), (0x01, 0, 0), (0x30, 0, 0), (0x07, 0, 1), (0x0A, 0x30, 0), (0x0E, 0, 0x20)],
)
def test_dac81416_notes_what_is_illegal_or_not_modelled(data: tuple[int, ...]) -> None:
    dac = awake()
    frame(dac, *data)
    assert len(dac.misuse) == 1


def test_dac81416_takes_bytes_one_at_a_time_and_no_more_than_50_mhz() -> None:
    dac = awake()
    dac.select(True)
    for byte in (0x10, 0xAB, 0xCD):
        dac.transfer(bytes([byte]), 5e7)
    assert dac.codes[0] == 0  # not before chip select rises
    dac.select(False)
    assert dac.codes[0] == 0xABCD
    assert dac.misuse == []
    frame(dac, 0, 0, 0, clock=6e7)
    assert dac.misuse
    assert dac81416.MAX_CLOCK == 5e7


# ADS8568, Texas Instruments SBAS543A


def test_ads8568_sends_two_s_complement_channel_a0_first() -> None:
    """±2 V_REF = ±5 V: LSB 10 V / 65536; A0 A1 B0 B1 C0 C1 D0 D1 in 128 clocks; then DCIN, low."""
    clock = Clock()
    volts = np.array([1.0, -1.0, 4.9999, -5.0, 6.0, 0.0, 10 / 65536, -10 / 65536])
    adc = Ads8568(1, lambda: volts, clock)
    adc.convert(True)
    adc.convert(False)
    clock.now = CONVERSION
    adc.select(True)
    said = adc.transfer(bytes(18), 2e7)
    codes = np.frombuffer(said, ">i2")
    assert list(codes) == [6554, -6554, 32767, -32768, 32767, 0, 1, -1, 0]
    assert adc.misuse == []


def test_ads8568_chain_holds_all_inputs_at_the_rising_convst() -> None:
    clock = Clock()
    volts = np.linspace(0, 2.3, 24)
    adc = Ads8568(3, lambda: volts, clock, wide=True)
    adc.convert(True)
    volts += 1.0  # after the sample
    clock.now = CONVERSION
    adc.select(True)
    said = b"".join(adc.transfer(bytes(8), 2e7) for _ in range(6))  # in any pieces
    assert list(np.frombuffer(said, ">i2")) == [round(3276.8 * k * 0.1) for k in range(24)]
    adc.select(False)
    adc.select(True)
    assert adc.transfer(bytes(48), 2e7) == said  # a second frame repeats them


def test_ads8568_busy_lasts_for_the_conversion() -> None:
    clock = Clock()
    adc = Ads8568(1, lambda: np.ones(8), clock)
    assert not adc.busy
    adc.convert(True)
    assert adc.busy
    adc.convert(True)
    assert adc.conversions == 1
    adc.select(True)
    assert adc.transfer(bytes(16), 1e7) == bytes(16)
    assert len(adc.misuse) == 2
    clock.now = CONVERSION
    assert not adc.busy


# ADG1414, Analog Devices


def test_adg1414_closes_at_the_rising_sync_and_starts_open() -> None:
    seen: list[int] = []
    chain = Adg1414(2, seen.append)
    assert chain.closed == 0
    chain.select(True)
    assert chain.transfer(b"\x12\x34", 1e7) == b"\x00\x00"
    assert chain.closed == 0
    chain.select(False)
    assert chain.closed == 0x1234
    chain.select(True)
    assert chain.transfer(b"\x56\x78\x9a", 1e7) == b"\x12\x34\x56"  # daisy chain: the end of it
    chain.select(False)
    assert seen == [0x1234, 0x789A]
    assert chain.misuse == []
    chain.select(True)
    chain.transfer(b"\x01", 6e7)
    chain.select(False)
    assert len(chain.misuse) == 2  # too fast, and too short for two chips


def test_adg1414_switches_stay_while_sync_is_low_and_open_at_a_reset() -> None:
    seen: list[int] = []
    chain = Adg1414(2, seen.append)
    chain.select(True)
    chain.transfer(b"\x12\x34", 1e7)
    chain.select(False)
    chain.select(True)
    assert chain.transfer(b"\0\0", 1e7) == b"\x12\x34"  # what the switches hold
    assert chain.closed == 0x1234
    chain.reset()
    assert chain.closed == 0
    assert chain.transfer(b"\0\0", 1e7) == b"\0\0"
    assert seen == [0x1234, 0]
