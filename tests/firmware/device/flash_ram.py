"""MicroPython's own file systems on a flash in RAM whose power is cut at any write, or amid one."""

import vfs

BEFORE = 0  # nothing of the write that is cut arrives,
HALF_OLD = 1  # or its first half, and the rest is as it was,
HALF_ERASED = 2  # or erased

MOUNT = "/flash"


class Flash:
    """A block device whose every write and erase counts; of number `cut_at` it remembers what a
    power cut there would have left. (The program goes on, as if on another board.)
    """

    def __init__(self, content, block):
        self.content = content
        self.block = block
        self.writes = 0
        self.cut_at = -1
        self.tear = BEFORE
        self.left = None

    def readblocks(self, number, buffer, offset=0):
        at = number * self.block + offset
        buffer[:] = self.content[at : at + len(buffer)]

    def writeblocks(self, number, buffer, offset=0):
        at = number * self.block + offset
        for first in range(0, len(buffer), self.block):
            self._change(at + first, buffer[first : first + self.block])

    def ioctl(self, what, argument):
        if what == 4:
            return len(self.content) // self.block
        if what == 5:
            return self.block
        if what == 6:
            self._change(argument * self.block, b"\xff" * self.block)
        return 0

    def _change(self, at, data):
        size = len(data)
        if self.writes == self.cut_at:
            self.left = left = bytearray(self.content)
            half = size // 2
            if self.tear != BEFORE:
                left[at : at + half] = data[:half]
            if self.tear == HALF_ERASED:
                left[at + half : at + size] = b"\xff" * (size - half)
        self.writes += 1
        self.content[at : at + size] = data


class Lfs:
    """littlefs, as most boards have it."""

    block = 4096
    small = 12  # blocks of a flash that two files of a few kilobytes fill

    @staticmethod
    def make(flash):
        vfs.VfsLfs2.mkfs(flash)

    @staticmethod
    def open(flash):
        return vfs.VfsLfs2(flash)


class Fat:
    """FAT, as boards with a USB drive have it."""

    block = 512
    small = 64

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
        for tear in (BEFORE, HALF_OLD, HALF_ERASED):
            one = started(flash.content, flash.block)
            one.cut_at, one.tear = cut_at, tear
            mounted(system, one, work)
            yield cut_at, tear, started(one.left, one.block)
    yield whole.writes, BEFORE, started(whole.content, whole.block)
