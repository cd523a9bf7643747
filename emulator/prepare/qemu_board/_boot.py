"""Runs before boot.py and main.py: mounts the file system, made if there is none.

The board's "flash" is a piece of memory outside the heap. It survives soft and
hard resets and ends with the emulator.
"""

import uctypes
import vfs

FLASH = const(0x2110_0000)
BLOCK = const(4096)
BLOCKS = const(256)


class Flash:
    """The block device protocol of MicroPython, its extended form."""

    def __init__(self):
        self.memory = memoryview(uctypes.bytearray_at(FLASH, BLOCK * BLOCKS))

    def readblocks(self, block, buffer, offset=0):
        start = block * BLOCK + offset
        buffer[:] = self.memory[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        start = block * BLOCK + offset
        self.memory[start : start + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        if operation == 4:
            return BLOCKS
        if operation == 5:
            return BLOCK
        return 0  # 6 = erase: writing needs none


flash = Flash()
try:
    vfs.mount(flash, "/")
except OSError:
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(flash, "/")

del uctypes, vfs, Flash, flash
