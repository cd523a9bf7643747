"""CRC-32 on the device."""

import binascii

from plain import Numbers, equal

from madem import link_crc


def crc32(data, *cuts):
    """The CRC of data, taken in pieces that end at the cuts."""
    state = bytearray(4)
    at = 0
    for cut in list(cuts) + [len(data)]:
        link_crc.update(state, data, at, cut - at)
        at = cut
    return state[0] | state[1] << 8 | state[2] << 16 | state[3] << 24


def test_golden_value():
    equal(crc32(b"123456789"), 0xCBF43926)


def test_short_ones():
    equal(crc32(b""), 0)
    equal(crc32(b"\0"), 0xD202EF8D)
    equal(crc32(b"\xff\xff\xff\xff"), 0xFFFFFFFF)


def test_in_pieces():
    for cut in range(10):
        equal(crc32(b"123456789", cut), 0xCBF43926, cut)
        equal(crc32(b"123456789", cut, cut), 0xCBF43926, "an empty piece")


def test_a_piece_from_the_middle():
    state = bytearray(4)
    link_crc.update(state, b"xx123456789yy", 2, 9)
    equal(bytes(state), b"\x26\x39\xf4\xcb")


def test_equals_another_implementation():
    data = Numbers(1)
    for n in range(1, 200):
        block = data.bytes(n)
        equal(crc32(block), binascii.crc32(block) & 0xFFFFFFFF, n)
