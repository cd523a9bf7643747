"""The LSM6DS3's model against hand-worked transactions of ST DocID026899."""

from collections.abc import Sequence

import pytest

from madem_emulator.chips.lsm6ds3 import FIFO_WORDS, Lsm6ds3


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def still(_time: float) -> Sequence[float]:
    return (0.061, -0.061, 1.0, 8.75, -8.75, 0.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def put(chip: Lsm6ds3, register: int, *values: int) -> None:
    """Section 6.2.2: RW = 0 and the address, then data."""
    chip.select(True)
    chip.transfer(bytes([register, *values]), 4e6)
    chip.select(False)


def get(chip: Lsm6ds3, register: int, n: int = 1) -> bytes:
    """Section 6.2.1: RW = 1 and the address, then as many bytes as are clocked."""
    chip.select(True)
    said = chip.transfer(bytes([0x80 | register, *bytes(n)]), 4e6)
    chip.select(False)
    return said[1:]


def set_up(clock: Clock, odr: int = 4, motion=still) -> Lsm6ds3:
    """Both sensors at ODR 4, 104 Hz, into a continuous FIFO."""
    chip = Lsm6ds3(clock, motion)
    put(chip, 0x10, odr << 4, odr << 4)
    put(chip, 0x08, 0x09)
    put(chip, 0x0A, odr << 3 | 6)
    assert chip.misuse == []
    return chip


def words(chip: Lsm6ds3) -> int:
    """FIFO_STATUS1 and 2: the number of unread words, 12 bits."""
    low, high = get(chip, 0x3A, 2)
    return low | (high & 15) << 8


def test_it_powers_up_down_with_its_reset_values(clock: Clock) -> None:
    """Table of registers: WHO_AM_I 69h, CTRL3_C 04h; both sensors in power-down."""
    chip = Lsm6ds3(clock, still)
    assert get(chip, 0x0F) == b"\x69"
    assert get(chip, 0x10, 3) == b"\x00\x00\x04"
    clock.now = 1.0
    assert words(chip) == 0
    assert get(chip, 0x3B)[0] & 0x10  # FIFO_EMPTY


def test_words_are_little_endian_the_gyroscope_first(clock: Clock) -> None:
    """0.061 g is 1000 counts at 2 g, 8.75 °/s 1000 at 245 °/s (Table 3)."""
    chip = set_up(clock)
    clock.now = 2.5 / 104
    assert words(chip) == 12
    said = get(chip, 0x3E, 12)
    assert said[:6] == bytes.fromhex("e803 18fc 0000")
    assert said[6:10] == bytes.fromhex("e803 18fc")
    assert int.from_bytes(said[10:], "little") == round(1 / 0.061e-3)
    assert words(chip) == 6
    assert get(chip, 0x22, 6) == said[:6]  # OUTX_L_G … holds the newest one too


def test_ranges_of_10h_and_11h(clock: Clock) -> None:
    """FS_XL: 00 2 g, 01 16 g, 10 4 g, 11 8 g. FS_G: 00 245, 01 500, 10 1000, 11 2000 °/s."""
    for xl, g, acc, gyro in ((1, 3, 125, 125), (2, 1, 500, 500), (3, 2, 250, 250)):
        chip = set_up(clock)
        put(chip, 0x10, 4 << 4 | xl << 2, 4 << 4 | g << 2)
        clock.now += 1.5 / 104
        said = get(chip, 0x3E, 12)
        assert int.from_bytes(said[:2], "little") == gyro
        assert int.from_bytes(said[6:8], "little") == acc


@pytest.mark.parametrize(("odr", "rate"), [(1, 12.5), (4, 104), (8, 1660)])
def test_rates_of_odr(clock: Clock, odr: int, rate: float) -> None:
    chip = set_up(clock, odr)
    clock.now = 10.5 / rate
    assert words(chip) == 60


def test_a_burst_goes_round_within_the_output_and_status_tells_the_next_word(clock: Clock) -> None:
    """FIFO_PATTERN (3Ch): the word that is read next, 0 to 5."""
    chip = set_up(clock)
    clock.now = 2.5 / 104
    assert get(chip, 0x3E, 4) == bytes.fromhex("e803 18fc")
    assert get(chip, 0x3C) == b"\x02"
    get(chip, 0x3E, 20)
    assert get(chip, 0x3C) == b"\x00"
    assert chip.misuse == []
    assert get(chip, 0x3E, 2) == b"\x00\x00"
    assert "empty" in chip.misuse[0]


def test_a_full_fifo_overwrites_its_oldest_words(clock: Clock) -> None:
    """4096 words: 682 samples and four words. The 12 bits of the count then read 0."""
    chip = set_up(clock, 8, lambda t: (round(t * 1660) * 0.061e-3, 0, 0, 0, 0, 0))
    clock.now = 682.5 / 1660
    assert words(chip) == 682 * 6
    assert get(chip, 0x3B)[0] & 0x60 == 0
    clock.now = 683.5 / 1660
    assert get(chip, 0x3A, 2) == b"\x00\x60"  # FIFO_OVER_RUN and FIFO_FULL
    # Two words of the first sample are gone: what comes first is its third.
    assert get(chip, 0x3C) == b"\x02"
    assert len(chip._words) == FIFO_WORDS
    put(chip, 0x0A, 0)  # bypass empties it (section 5.4.1)
    put(chip, 0x0A, 8 << 3 | 6)
    assert get(chip, 0x3A, 3) == b"\x00\x10\x00"


def test_fifo_mode_stops_when_it_is_full(clock: Clock) -> None:
    """Section 5.4.2."""
    chip = set_up(clock, 8, lambda t: (round(t * 1660) * 0.061e-3, 0, 0, 0, 0, 0))
    put(chip, 0x0A, 8 << 3 | 1)
    clock.now = 2.0
    said = get(chip, 0x3E, 12)
    assert int.from_bytes(said[6:8], "little") == 1


def test_software_reset_and_what_is_not_allowed(clock: Clock) -> None:
    chip = set_up(clock)
    put(chip, 0x0F, 1)
    assert "0x0f" in chip.misuse[0]
    put(chip, 0x0A, 5 << 3 | 6)
    assert "above that of a sensor" in chip.misuse[1]
    put(chip, 0x0A, 4 << 3 | 3)
    assert "not modelled" in chip.misuse[2]
    chip.select(True)
    chip.transfer(b"\x8f\x00", 20e6)
    assert "clock" in chip.misuse[3]
    put(chip, 0x12, 1)
    assert get(chip, 0x10, 3) == b"\x00\x00\x04"
    put(chip, 0x12, 0)  # IF_INC off: a burst stays where it is
    assert get(chip, 0x0F, 3) == b"\x69\x69\x69"
