"""Files after a power cut at any block write, on MicroPython's own littlefs and FAT."""

import os

import flash_ram
from flash_ram import MOUNT
from plain import Numbers, equal

from madem import flash_file

PATH = MOUNT + "/net.madem"
OTHER = MOUNT + "/main.py"


def content(seed, size):
    return bytes(Numbers(seed).bytes(size))


def read(path=PATH):
    with open(flash_file.find(path), "rb") as file:
        return file.read()[:-4]


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)


def check(system, first, prepare=None, sizes=(3000, 3000, 3000)):
    """Cut the writing of a second content; count what was found afterwards."""
    one, two, three = [content(seed, size) for seed, size in enumerate(sizes)]
    flash = flash_ram.fresh(system)

    def begin():
        put(OTHER, b"import madem\n")
        for _ in range(first):
            flash_file.replace(PATH, (one,))
        if prepare:
            prepare()

    flash_ram.mounted(system, flash, begin)
    found = {"before": 0, "newest": 0}

    def look():
        data = read()
        assert data in (one, two), "neither the newest nor the one before"
        found["before" if data == one else "newest"] += 1
        with open(OTHER, "rb") as file:
            equal(file.read(), b"import madem\n")
        flash_file.replace(PATH, (three,))
        equal(read(), three)

    for cut_at, tear, left in flash_ram.cuts(
        system, flash, lambda: flash_file.replace(PATH, (two[:100], two[100:]))
    ):
        try:
            flash_ram.mounted(system, left, look)
        except OSError as e:
            raise AssertionError("%s, cut at %d, torn %d: %s" % (system, cut_at, tear, e))
    assert found["before"] and found["newest"], "both kinds of cut were met"


def test_a_cut_leaves_the_newest_or_the_one_before():
    for system in flash_ram.SYSTEMS:
        check(system, 1)
        check(system, 3)


def test_so_does_one_where_the_lengths_differ():
    for system in flash_ram.SYSTEMS:
        check(system, 2, sizes=(3000, 5000, 2000))


def test_so_does_a_cut_after_a_cut():
    """The file is damaged already, and its copy is all that there is."""
    for system in flash_ram.SYSTEMS:
        check(system, 2, lambda: put(PATH, b"torn"))
        check(system, 2, lambda: os.remove(PATH))


def check_full(system, first, second):
    """Replace the one by the other with every number of free blocks; how many were too few."""
    refused = 0
    flash = flash_ram.fresh(system, system.small)

    def begin():
        put(OTHER, b"import madem\n")
        flash_file.replace(PATH, (first,))

    flash_ram.mounted(system, flash, begin)
    blocks = 2 * len(second) // system.block + 4
    for free, left in flash_ram.filled(system, flash, blocks):

        def work():
            told = None
            for _ in range(2):  # a second attempt finds what the first one left
                try:
                    flash_file.replace(PATH, (second,))
                except OSError as e:
                    told = e.args[0]
                    assert told.startswith("the flash is full: " + PATH), told
                    assert told.endswith(" takes %d bytes" % (len(second) + 4)), told
                    # The copy may have found room, and has the new content if the file is gone.
                    assert read() in (first, second), free
                else:
                    equal((read(), told), (second, None))
            with open(OTHER, "rb") as file:
                equal(file.read(), b"import madem\n")
            flash_ram.remove_fillers()
            flash_file.replace(PATH, (second,))
            equal(read(), second)
            return told is not None

        refused += flash_ram.mounted(system, left, work)
    assert refused <= blocks, "with that many it fits"
    return refused


def test_a_full_flash_is_told_and_nothing_is_lost():
    for system in flash_ram.SYSTEMS:
        one, two, short = content(1, 3000), content(2, 3000), content(3, 1500)
        assert check_full(system, one, content(4, 9000))
        assert check_full(system, short, two)
        check_full(system, one, two)  # on FAT the same length goes in place
        check_full(system, one, short)


def test_what_is_missing_or_damaged_is_told():
    flash = flash_ram.fresh(flash_ram.Lfs)

    def told():
        try:
            flash_file.find(PATH)
        except OSError as e:
            return e.args[0]

    def work():
        equal(told(), "there is no file " + PATH)
        put(PATH, b"anything else")
        equal(told(), PATH + " is damaged: its checksum is wrong")
        put(PATH, b"")
        equal(told(), PATH + " is damaged: its checksum is wrong")
        flash_file.replace(PATH, (b"a", b"bc"))
        equal(read(), b"abc")
        flash_file.replace(PATH, (b"abcd",))
        flash_file.remove(PATH)
        equal(told(), "there is no file " + PATH)

    flash_ram.mounted(flash_ram.Lfs, flash, work)
