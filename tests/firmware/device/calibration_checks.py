"""A calibration after a power cut at any block write, as the start of the firmware finds it."""

import os
import struct

import flash_ram
from flash_ram import MOUNT
from plain import equal

from madem import calibration_measure, frontend_chips, link_crc, link_protocol

STORE, KEEP, FORGET = 2, 3, 4


class Board:
    """As a board design."""

    ROWS = COLUMNS = 8
    CARDS = 4


class Front:
    """As a front end of chips."""

    design = "maker8x8"
    board = Board


def calibration(middle, cards=3, design=b"maker8x8"):
    data = b"madem.cal\1" + bytes([len(design)]) + design + struct.pack("<H", middle)
    for card in range(cards):
        data += struct.pack("<17H", card, *[16384 + middle] * 16) + bytes(2 + 8)
    state = bytearray(4)
    link_crc.update(state, data, 0, len(data))
    return data + state


def ask(what, data=b"", offset=0):
    body = bytes([what]) + (struct.pack("<I", offset) + data if what == STORE else b"")
    calibration_measure._do(body, Front, bytearray(16), 0)


def store(data):
    for at in range(0, len(data), 50):
        ask(STORE, data[at : at + 50], at)
    ask(KEEP)


def middle():
    """Of the calibration that a start finds; None: the board reads uncalibrated."""
    board = frontend_chips._calibrated(Board, "maker8x8")
    return None if board is Board else board._middle


def there(work):
    os.chdir(MOUNT)
    try:
        return work()
    finally:
        os.chdir("/")


def test_a_cut_leaves_the_newest_or_the_one_before():
    for system in flash_ram.SYSTEMS:
        for times in (1, 3):
            flash = flash_ram.fresh(system)

            def begin():
                for _ in range(times):
                    store(calibration(1))

            flash_ram.mounted(system, flash, lambda: there(begin))
            found = {1: 0, 2: 0}

            def look():
                found[middle()] += 1
                store(calibration(3, 2))
                equal(middle(), 3)

            for _, _, left in flash_ram.cuts(
                system, flash, lambda: there(lambda: store(calibration(2)))
            ):
                flash_ram.mounted(system, left, lambda: there(look))
            assert found[1] and found[2], found


def refused(kind, *arguments):
    try:
        ask(*arguments)
    except kind as e:
        return e.args
    raise AssertionError("not refused: %r" % (arguments,))


def test_what_a_start_would_refuse_is_not_kept():
    def work():
        store(calibration(1))
        for data in (
            calibration(2)[:-1], calibration(2, design=b"other"), b"", b"madem.cal\1",
            calibration(2, design=b"\xff\xfe"), calibration(2, design=b""),
            calibration(2)[:-9] + bytes(9),
        ):  # fmt: skip
            ask(STORE, data)
            refused(OSError, KEEP)
            equal(middle(), 1)
        refused(ValueError, STORE, b"x", 400000)
        ask(STORE, b"x" * 10)
        refused(ValueError, STORE, b"x", 9)
        refused(ValueError, STORE, b"x", 11)
        refused(OSError, KEEP)
        ask(FORGET)
        equal(middle(), None)
        ask(FORGET)

    flash = flash_ram.fresh(flash_ram.Lfs)
    flash_ram.mounted(flash_ram.Lfs, flash, lambda: there(work))


def test_a_full_flash_is_told_and_no_calibration_is_lost():
    longer = calibration(2, 40)
    for system in flash_ram.SYSTEMS:
        flash = flash_ram.fresh(system, system.small)
        flash_ram.mounted(system, flash, lambda: there(lambda: store(calibration(1, 20))))
        refusals = 0
        for free, left in flash_ram.filled(system, flash, 3 * len(longer) // system.block + 4):

            def work():
                try:
                    store(longer)
                except OSError as e:
                    told = e.args[0]
                    assert told.startswith("the flash is full: madem.cal"), (free, told)
                    assert " takes " in told, told
                    assert middle() in (1, 2), free
                    # What came of it takes no room.
                    assert calibration_measure._NEW not in os.listdir(MOUNT), free
                    flash_ram.remove_fillers()
                    store(longer)
                    refused = 1
                else:
                    refused = 0
                equal(middle(), 2)
                return refused

            refusals += flash_ram.mounted(system, left, lambda: there(work))
        assert refusals


def test_a_full_flash_is_told_over_the_link():
    system = flash_ram.Lfs
    flash = flash_ram.fresh(system, system.small)
    *_, (_, full) = flash_ram.filled(system, flash, 2)
    said = []

    class Link:
        body = bytes([STORE]) + struct.pack("<I", 0) + bytes(1000)
        start, end, out, reply = 0, len(body), bytearray(16), None

        @staticmethod
        def error(code, text):
            said.append((code, text))

    class Server:
        link = Link

        class learner:
            class network:
                front = Front

    flash_ram.mounted(system, full, lambda: there(lambda: calibration_measure.serve(Server)))
    equal(said, [(link_protocol.FRONT_END, "the flash is full: madem.cal.new takes 1000 bytes")])
