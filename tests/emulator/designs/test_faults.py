"""Faults on purpose: their forms, and what they do to a card."""

import numpy as np
import pytest

from madem_emulator.designs import GEOMETRIES
from madem_emulator.designs.faults import BoardFault, BoardFaults, parse
from madem_emulator.physical import presets
from madem_emulator.physical.crossbar import Crossbar
from madem_emulator.plausibility.codes import AlarmBudget, PlausibilityTest
from madem_emulator.wiring.bus import Bus

DEVICE = presets.IDEAL


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("gain:c3:1.2", BoardFault("gain", True, 3, value=1.2)),
        ("gain:r0:0@50", BoardFault("gain", False, 0, value=0.0, after=50)),
        ("swap:r2:r5", BoardFault("swap", False, 2, 5)),
        ("dead:c4", BoardFault("dead", True, 4)),
        ("stuck:7.r3.c2@9", BoardFault("stuck", line=2, other=3, card=7, after=9)),
        ("cells:0.05", BoardFault("cells", value=0.05)),
        ("drift:1e-3", BoardFault("drift", value=1e-3)),
        ("flips:0.001@20", BoardFault("flips", value=0.001, after=20)),
    ],
)
def test_a_fault_is_parsed(text: str, fault: BoardFault) -> None:
    assert parse(text) == fault


@pytest.mark.parametrize(
    "text",
    [
        "", "gain", "gain:c3", "gain:c3:x", "gain:3:1", "swap:c1:r2", "swap:c1", "dead",
        "dead:c4:1", "dead:c", "dead:c4 ", "stuck:r3.c2", "stuck:0.c2.r3", "cells", "cells:a",
        "drift:", "flips", "dead:c1@x", "dead:c1@", "other:c1", "cells:nan", "resistors:",
    ],
)  # fmt: skip
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not one of gain:c3:1\.2"):
        parse(text)


def card() -> Crossbar:
    array = Crossbar(8, 8, DEVICE, seed=1)
    array.conductances = DEVICE.g_min + 0.5 * DEVICE.window
    return array


def made(*texts: str) -> tuple[BoardFaults, Crossbar]:
    faults, array = BoardFaults(parse(text) for text in texts), card()
    faults.made(0, array)
    faults.settle()
    return faults, array


class Chip:
    """It hears, and says the complement."""

    def __init__(self) -> None:
        self.heard = b""

    def start(self) -> None: ...

    def select(self, selected: bool) -> None: ...

    def transfer(self, data: bytes, clock: float) -> bytes:
        self.heard = data
        return bytes(0xFF ^ byte for byte in data)

    def write(self, data: bytes) -> int:
        self.heard = data
        return len(data)

    def read(self, n: int) -> bytes:
        return bytes(n)

    def general_call(self, data: bytes) -> int:
        return 0


def test_bits_flip_on_all_wires_from_that_read_on() -> None:
    bus, chips = Bus(), [Chip(), Chip()]
    bus.attach_spi(0, chips[0], None)
    bus.attach_i2c(0, 0x50, chips[1])
    faults = BoardFaults([parse("flips:1@2")])
    faults.wire(bus)
    sent = bytes(4)
    for reads in range(4):
        ones = [int.from_bytes(bus.spi(0, sent), "big").bit_count()]
        bus.i2c_write(0, 0x50, sent)
        ones += [int.from_bytes(chip.heard, "big").bit_count() for chip in chips]
        ones.append(int.from_bytes(bus.i2c_read(0, 0x50, 4)[1], "big").bit_count())
        if reads < 2:
            assert ones == [32, 0, 0, 0]
        else:  # to a chip, and from it
            assert ones[1:] == [1, 1, 1]
            assert ones[0] in (30, 32)
        faults.sensed(True, np.zeros(8))


def test_lines_are_changed_as_they_say() -> None:
    currents = np.arange(1.0, 9.0)
    faults, _ = made("gain:c3:2", "swap:c0:c7", "dead:r5")
    seen = faults.sensed(True, currents)
    assert seen.tolist() == [8, 2, 3, 8, 5, 6, 7, 1]
    assert currents[0] == 1, "what was given is left as it is"
    assert faults.sensed(False, currents).tolist() == [1, 2, 3, 4, 5, 0, 7, 8]
    assert faults.driven(False, currents)[5] == 0
    assert faults.driven(True, currents).tolist() == currents.tolist()


def test_it_begins_after_its_reads() -> None:
    faults, _ = made("gain:c0:3@3")
    seen = [faults.sensed(True, np.ones(8))[0] for _ in range(5)]
    assert seen == [1, 1, 3, 3, 3]


def test_devices_stay_what_they_are() -> None:
    faults, array = made("stuck:0.r1.c1", "open:0.r2.c2", "short:0.r3.c3")
    before = array.conductances
    array.pulse_block(np.ones(8), np.ones(8), 20)
    faults.settle()
    after = array.conductances
    assert after[1, 1] == before[1, 1]
    assert after[2, 2] == 0
    assert after[3, 3] == 20 * DEVICE.g_max
    assert after[0, 0] > before[0, 0]


def test_a_share_of_the_devices_is_stuck_and_drift_takes_from_all() -> None:
    faults, array = made("cells:0.3")
    array.pulse_block(np.ones(8), np.ones(8), 1)
    faults.settle()
    stuck = np.isin(array.conductances, (DEVICE.g_min, DEVICE.g_max))
    assert 8 <= stuck.sum() <= 32
    faults, array = made("drift:0.1")
    before = array.conductances
    for _ in range(100):
        faults.sensed(True, np.ones(8))
    assert before - array.conductances == pytest.approx(np.full((8, 8), 0.01 * DEVICE.window))


def test_a_preset_whose_codes_are_no_sums_is_refused() -> None:
    with pytest.raises(ValueError, match="rram_milo_2021 can't be tested"):
        PlausibilityTest(presets.RRAM_MILO_2021, GEOMETRIES["maker8x8"], 1, AlarmBudget(1, 1))
