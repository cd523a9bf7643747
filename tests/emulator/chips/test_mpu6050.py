"""The MPU6050's model against hand-worked transactions of RM-MPU-6000A-00, revision 4.2.

Numbers in brackets are registers, in decimal as its sections are titled.
"""

from collections.abc import Sequence

import pytest

from madem_emulator.chips.mpu6050 import FIFO_BYTES, Mpu6050


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def still(_time: float) -> Sequence[float]:
    return (0.0, 0.5, 1.0, 0.0, 100.0, -250.0)


def counting(time: float) -> Sequence[float]:
    """The x axis tells which millisecond it is, in counts."""
    return (round(time * 1000) / 16384, 0, 0, 0, 0, 0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def set_up(clock: Clock, motion=still, divider: int = 9, fifo: int = 0x78) -> Mpu6050:
    """Awake, 1 kHz / (1 + divider), FIFO on."""
    chip = Mpu6050(clock, motion)
    for register, value in ((107, 1), (26, 1), (25, divider), (35, fifo), (106, 0x04), (106, 0x40)):
        chip.write(bytes([register, value]))
    assert chip.misuse == []
    return chip


def get(chip: Mpu6050, register: int, n: int = 1) -> bytes:
    chip.write(bytes([register]))
    return chip.read(n)


def count(chip: Mpu6050) -> int:
    return int.from_bytes(get(chip, 114, 2))


def test_it_powers_up_asleep_with_the_reset_values_of_section_3(clock: Clock) -> None:
    """All registers 0, but 107 is 0x40 and 117 is 0x68."""
    chip = Mpu6050(clock, still)
    assert get(chip, 107) == b"\x40"
    assert get(chip, 117) == b"\x68"
    assert get(chip, 13, 94) == bytes(94)
    clock.now = 1.0
    assert get(chip, 59, 14) == bytes(14)  # nothing is measured in sleep mode (107)
    chip.write(bytes([25, 9]))
    assert "sleep mode" in chip.misuse[0]


def test_measurements_are_big_endian_two_s_complement_at_the_ranges_of_27_and_28(
    clock: Clock,
) -> None:
    """(59 to 72): 16384 counts a g at 2 g, 131 a °/s at 250 °/s; the temperature between them."""
    chip = set_up(clock)
    clock.now = 0.011
    said = get(chip, 59, 14)
    assert said == bytes.fromhex("0000 2000 4000 0000 0000 332c 8012")
    # 100 · 131 = 13100 = 0x332c; -250 · 131 = -32750 = 0x8012
    chip.write(bytes([27, 3 << 3, 2 << 3]))  # 2000 °/s in 27; 8 g in 28, which follows it
    clock.now = 0.021
    assert get(chip, 28) == b"\x10"
    said = get(chip, 59, 14)
    assert said[2:6] == bytes.fromhex("0800 1000")  # 0.5 g and 1 g · 4096
    assert said[10:14] == ((100 * 131 + 4) // 8).to_bytes(2) + (-4094).to_bytes(2, signed=True)


def test_values_beyond_the_range_saturate(clock: Clock) -> None:
    chip = set_up(clock, lambda _: (3.0, -3.0, 0, 0, 0, 0))
    clock.now = 0.011
    assert get(chip, 59, 4) == bytes.fromhex("7fff 8000")


@pytest.mark.parametrize(
    ("filter", "divider", "rate"), [(0, 0, 8000), (7, 79, 100), (1, 0, 1000), (6, 255, 1000 / 256)]
)
def test_sample_rate_of_25(clock: Clock, filter: int, divider: int, rate: float) -> None:
    """Gyroscope output rate / (1 + SMPLRT_DIV): 8 kHz without filter (26: 0 or 7), else 1 kHz."""
    chip = set_up(clock)
    chip.write(bytes([25, divider, filter]))
    assert chip.rate_hz == rate
    chip.write(bytes([106, 0x04]))
    chip.write(bytes([106, 0x40]))
    clock.now += 10.5 / rate
    assert count(chip) == 10 * 12


def test_the_fifo_holds_what_35_says_in_the_order_of_registers(clock: Clock) -> None:
    """(116): lowest register first; FIFO_R_W does not advance in a burst."""
    chip = set_up(clock)
    clock.now = 0.025
    assert count(chip) == 24
    assert get(chip, 116, 12) == bytes.fromhex("0000 2000 4000 0000 332c 8012")
    assert count(chip) == 12
    chip = set_up(clock, fifo=0x90)  # the temperature and the z gyroscope
    clock.now += 0.011
    assert get(chip, 116, 4) == bytes.fromhex("0000 8012")
    assert chip.misuse == []


def test_an_empty_fifo_repeats_its_last_byte(clock: Clock) -> None:
    chip = set_up(clock)
    clock.now = 0.011
    assert get(chip, 116, 14)[11:] == b"\x12\x12\x12"
    assert "empty" in chip.misuse[0]


def test_the_count_is_loaded_by_its_high_byte(clock: Clock) -> None:
    """(114, 115)"""
    chip = set_up(clock)
    clock.now = 0.011
    assert get(chip, 115) == b"\x00"
    assert get(chip, 114, 2) == b"\x00\x0c"
    clock.now = 0.021
    assert get(chip, 115) == b"\x0c"


def test_a_full_fifo_loses_its_oldest_bytes_and_says_so(clock: Clock) -> None:
    """1024 bytes are 85 samples and 4 bytes: what is left begins in the middle of a sample."""
    chip = set_up(clock, counting, divider=0)
    clock.now = 0.0855
    assert count(chip) == 85 * 12
    assert get(chip, 58)[0] & 0x10 == 0
    clock.now = 0.0865
    assert count(chip) == FIFO_BYTES
    assert get(chip, 58) == b"\x11"
    assert get(chip, 58) == b"\x00"  # reading clears it (58)
    first = get(chip, 116, 1024)
    assert first[4:6] == (2).to_bytes(2)  # of sample 1 the last four bytes are left
    clock.now = 20.0
    assert count(chip) == FIFO_BYTES
    assert get(chip, 116, 1024)[4:6] == (20000 - 84).to_bytes(2)


def test_the_fifo_is_reset_while_it_is_off(clock: Clock) -> None:
    """(106): FIFO_RESET while FIFO_EN is 0, and clears itself."""
    chip = set_up(clock)
    clock.now = 0.05
    chip.write(bytes([106, 0x44]))
    assert count(chip) == 60
    assert "FIFO_RESET" in chip.misuse[0]
    chip.write(bytes([106, 0x04]))
    assert get(chip, 106) == b"\x00"
    assert count(chip) == 0
    clock.now = 0.1
    assert count(chip) == 0  # off


def test_device_reset_and_read_only_registers(clock: Clock) -> None:
    """(107), (117)"""
    chip = set_up(clock)
    chip.write(bytes([117, 0]))
    assert "0x75" in chip.misuse[0]
    clock.now = 0.05
    chip.write(bytes([107, 0x80]))
    assert get(chip, 107) == b"\x40"
    assert get(chip, 25, 2) == bytes(2)
    assert count(chip) == 0


def test_bursts_advance_registers_and_general_calls_are_not_answered(clock: Clock) -> None:
    chip = set_up(clock)
    assert chip.write(bytes([25, 4, 3])) == 3
    assert get(chip, 25, 2) == bytes([4, 3])
    assert chip.general_call(b"\x06") == 0
