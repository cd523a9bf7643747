"""What saving a network costs a flash: a line for each file system and size of its blocks."""

import flash_ram
from flash_ram import MOUNT

import madem

SIZES = (64, 32, 10)
SAVES = 400
SYSTEMS = ((flash_ram.Lfs, 4096, 128), (flash_ram.Fat, 4096, 128), (flash_ram.Fat, 512, 1024))


def measure(system, block, blocks):
    """Blocks that a save erases, and how often it erases the block that wears most."""

    class Sized(system):
        pass

    Sized.block = block
    flash = flash_ram.fresh(Sized, blocks)
    net = madem.Network(SIZES)
    x = bytearray(range(SIZES[0]))

    def work():
        for _ in range(2):
            net.learn(x, 3)
            net.save(MOUNT + "/net.madem")
        flash.erasures = [0] * blocks
        for k in range(SAVES):
            net.learn(x, k % 10)
            net.save(MOUNT + "/net.madem")

    flash_ram.mounted(Sized, flash, work)
    return sum(flash.erasures), max(flash.erasures)


if __name__ == "__main__":
    for system, block, blocks in SYSTEMS:
        total, most = measure(system, block, blocks)
        print(system.__name__, block, blocks, SAVES, total, most)
