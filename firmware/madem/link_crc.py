"""CRC-32 over pieces of memory, without a big integer on any board."""

import micropython

# Of each nibble. A bytearray, because its cells are word-aligned.
_table = bytearray(
    b"\0\0\0\0\x64\x10\xb7\x1d\xc8\x20\x6e\x3b\xac\x30\xd9\x26"
    b"\x90\x41\xdc\x76\xf4\x51\x6b\x6b\x58\x61\xb2\x4d\x3c\x71\x05\x50"
    b"\x20\x83\xb8\xed\x44\x93\x0f\xf0\xe8\xa3\xd6\xd6\x8c\xb3\x61\xcb"
    b"\xb0\xc2\x64\x9b\xd4\xd2\xd3\x86\x78\xe2\x0a\xa0\x1c\xf2\xbd\xbd"
)


@micropython.viper
def update(state: ptr32, data: ptr8, start: int, count: int):
    """Carry the CRC in state[0] on over data[start:start + count].

    The state is four bytes, all zero at first and the finished CRC-32 after
    every call, little-endian.
    """
    table = ptr32(_table)
    ones = uint(0xFFFF)
    ones = (ones << 16) | ones  # 0xFFFFFFFF would be a big int on 32-bit builds
    crc = uint(state[0]) ^ ones
    i = start
    end = start + count
    while i < end:
        crc ^= uint(data[i])
        crc = (crc >> 4) ^ uint(table[int(crc) & 15])
        crc = (crc >> 4) ^ uint(table[int(crc) & 15])
        i += 1
    state[0] = int(crc ^ ones)
