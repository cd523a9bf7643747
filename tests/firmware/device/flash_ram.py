"""MicroPython's own file systems on a flash in RAM whose power is cut at any write, or amid one."""

import os
import struct

import vfs

BEFORE = 0  # nothing of the write that is cut arrives,
HALF_OLD = 1  # or its first half, and the rest is as it was,
HALF_ERASED = 2  # or erased
TEARS = (BEFORE, HALF_OLD, HALF_ERASED)

MOUNT = "/flash"


class Flash:
    """A block device whose every write and erase counts; of number `cut_at` it remembers what a
    power cut there would have left. (The program goes on, as if on another board.)

    Attributes:
        writes: all writes and erases so far.
        erasures: of each block; a write of whole blocks, as FAT does it, erases them first.
    """

    def __init__(self, content, block):
        self.content = content
        self.block = block
        self.writes = 0
        self.cut_at = -1
        self.tear = BEFORE
        self.left = None
        self.erasures = [0] * (len(content) // block)

    def readblocks(self, number, buffer, offset=0):
        at = number * self.block + offset
        buffer[:] = self.content[at : at + len(buffer)]

    def writeblocks(self, number, buffer, offset=None):
        at = number * self.block + (offset or 0)
        for first in range(0, len(buffer), self.block):
            if offset is None:
                self.erasures[number + first // self.block] += 1
            self._change(at + first, buffer[first : first + self.block])

    def ioctl(self, what, argument):
        if what == 4:
            return len(self.content) // self.block
        if what == 5:
            return self.block
        if what == 6:
            self.erasures[argument] += 1
            self._change(argument * self.block, b"\xff" * self.block)
        return 0

    def _change(self, at, data):
        size = len(data)
        if self.writes == self.cut_at:
            self.left = torn(self.content, at, data, self.tear)
        self.writes += 1
        self.content[at : at + size] = data


def torn(content, at, data, tear):
    """What a flash of that content has after the writing of `data` at that place was cut."""
    left = bytearray(content)
    half = len(data) // 2
    if tear != BEFORE:
        left[at : at + half] = data[:half]
    if tear == HALF_ERASED:
        left[at + half : at + len(data)] = b"\xff" * (len(data) - half)
    return left


def changes(journal):
    """Yield place and bytes of each write in a file where they stand with their place and length,
    u32 each.
    """
    while True:
        head = journal.read(8)
        if not head:
            return
        at, size = struct.unpack("<II", head)
        yield at, journal.read(size)


class Lfs:
    """littlefs, as most boards have it."""

    block = 4096
    small = 24  # blocks of a flash that some files of a few kilobytes fill

    @staticmethod
    def make(flash):
        vfs.VfsLfs2.mkfs(flash)

    @staticmethod
    def open(flash):
        return vfs.VfsLfs2(flash)


class Fat:
    """FAT, as boards with a USB drive have it."""

    block = 512
    small = 128

    @staticmethod
    def make(flash):
        vfs.VfsFat.mkfs(flash)

    @staticmethod
    def open(flash):
        return vfs.VfsFat(flash)


SYSTEMS = (Lfs, Fat)


def fresh(system, blocks=0):
    """A formatted flash, not mounted."""
    size = blocks or 131072 // system.block
    flash = Flash(bytearray(b"\xff" * (size * system.block)), system.block)
    system.make(flash)
    return flash


def started(content, block):
    """The flash as the next start finds it."""
    return Flash(bytearray(content), block)


def mounted(system, flash, work):
    """The result of `work()` with the flash at MOUNT."""
    vfs.mount(system.open(flash), MOUNT)
    try:
        return work()
    finally:
        vfs.umount(MOUNT)


def cuts(system, flash, work):
    """Yield the flash as it is after `work()` was cut at each of its writes, torn in each way; at
    last as it is uncut.

    Yields:
        Number of the write, how it was torn, and the flash.
    """
    whole = started(flash.content, flash.block)
    mounted(system, whole, work)
    for cut_at in range(whole.writes):
        for tear in TEARS:
            one = started(flash.content, flash.block)
            one.cut_at, one.tear = cut_at, tear
            mounted(system, one, work)
            yield cut_at, tear, started(one.left, one.block)
    yield whole.writes, BEFORE, started(whole.content, whole.block)


def filled(system, flash, most):
    """Yield copies of the flash with `most`, `most` - 1 … and at last 0 blocks free.

    What fills it are files whose names begin with FILLER.

    Yields:
        Number of free blocks, and the flash.
    """
    whole = started(flash.content, flash.block)
    free = mounted(system, whole, lambda: _fill(most, whole.block))
    for number in range(most, -1, -1):
        assert free == number, (free, number)
        yield free, started(whole.content, whole.block)
        if free:
            free = mounted(system, whole, lambda: _take_block(free, whole.block))


FILLER = "filler"


def free_blocks():
    """Of the flash that is mounted."""
    return os.statvfs(MOUNT)[4]


def remove_fillers():
    """Make room on the flash that is mounted."""
    for name in os.listdir(MOUNT):
        if name.startswith(FILLER):
            os.remove(MOUNT + "/" + name)


def _fill(most, block):
    """Leave so many blocks free, or one more; and tell how many."""
    with open(MOUNT + "/" + FILLER, "wb") as file:
        while free_blocks() > most:
            file.write(bytes(block // 2))
            file.flush()
    return free_blocks()


def _take_block(number, block):
    """Write a file of one block, and tell how many are free."""
    with open("%s/%s%d" % (MOUNT, FILLER, number), "wb") as file:
        file.write(bytes(block // 2))
    return free_blocks()
