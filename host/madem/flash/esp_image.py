"""Images of the ESP32 family: boot loader, partition table and program in one file.

Formats: esptool documentation, "Firmware Image Format"; ESP-IDF programming guide, "Partition
Tables". A file begins where the boot loader goes, so the table is at 0x8000 less that address.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np

MAGIC = b"\xe9"
_HEADER_BYTES = 24
_CHIP_ID_AT, _HASH_FLAG_AT = 12, 23
_CHECKSUM_SEED = 0xEF
_MOST_SEGMENTS = 16

_TABLE = 0x8000
_ENTRY = struct.Struct("<2sBBII16sI")
_ENTRY_MAGIC, _DIGEST_MAGIC = b"\xaa\x50", b"\xeb\xeb"
_TABLE_BYTES = 0xC00
_APP = 0
_STARTABLE = {0x00, 0x10}  # factory, ota_0

# Chip by the number in the header, and where its boot loader goes
# (esp_chip_id_t and CONFIG_BOOTLOADER_OFFSET_IN_FLASH of ESP-IDF).
CHIPS = {
    0: ("ESP32", 0x1000),
    2: ("ESP32S2", 0x1000),
    5: ("ESP32C3", 0x0),
    9: ("ESP32S3", 0x0),
    12: ("ESP32C2", 0x0),
    13: ("ESP32C6", 0x0),
    16: ("ESP32H2", 0x0),
    18: ("ESP32P4", 0x2000),
    23: ("ESP32C5", 0x2000),
}
OFFSETS = dict(CHIPS.values())


def parse(content: bytes) -> str:
    """Check every checksum of a file.

    Args:
        content: its bytes.

    Returns:
        Its chip, such as `ESP32S3`.

    Raises:
        ValueError: it is damaged, or not a whole image.
    """
    chip_id = _check(content, 0, "boot loader")
    if chip_id not in CHIPS:
        raise ValueError(f"its chip number {chip_id} is unknown")
    chip, offset = CHIPS[chip_id]
    table = _TABLE - offset
    if content[table : table + 2] != _ENTRY_MAGIC:
        raise ValueError(
            "it has no partition table, so it is only a program or a boot loader:"
            " take the file that is meant for the first installation"
        )
    for address in _programs(content, table):
        if address - offset < len(content):
            if _check(content, address - offset, "program") != chip_id:
                raise ValueError("its boot loader and its program are for different chips")
            return chip
    raise ValueError("it ends before its program")


def _programs(content: bytes, table: int) -> list[int]:
    """Flash addresses of the programs that the boot loader may start."""
    found = []
    for at in range(table, min(table + _TABLE_BYTES, len(content) - _ENTRY.size), _ENTRY.size):
        magic, kind, subtype, address, *_ = _ENTRY.unpack_from(content, at)
        if magic == _DIGEST_MAGIC:
            digest = content[at + 16 : at + 32]
            if hashlib.md5(content[table:at], usedforsecurity=False).digest() != digest:
                raise ValueError("the checksum of its partition table is wrong")
            return found
        if magic != _ENTRY_MAGIC:
            return found
        if kind == _APP and subtype in _STARTABLE:
            found.append(address)
    return found


def _check(content: bytes, start: int, what: str) -> int:
    """Check one image within a file; returns its chip number."""
    try:
        if content[start : start + 1] != MAGIC:
            raise ValueError(f"its {what} does not begin as one")
        segments = content[start + 1]
        if not 0 < segments <= _MOST_SEGMENTS:
            raise ValueError(f"its {what} has {segments} segments")
        at, checksum = start + _HEADER_BYTES, _CHECKSUM_SEED
        for _ in range(segments):
            _, size = struct.unpack_from("<II", content, at)
            data = content[at + 8 : at + 8 + size]
            if len(data) != size:
                raise IndexError
            checksum ^= int(np.bitwise_xor.reduce(np.frombuffer(data, np.uint8)))
            at += 8 + size
        # The checksum is the last byte of a 16-byte line.
        at = start + (at - start) // 16 * 16 + 15
        if content[at] != checksum:
            raise ValueError(f"the checksum of its {what} is wrong")
        if content[start + _HASH_FLAG_AT]:
            digest = hashlib.sha256(content[start : at + 1]).digest()
            if content[at + 1 : at + 33] != digest:
                raise ValueError(f"the SHA-256 of its {what} is wrong")
        return struct.unpack_from("<H", content, start + _CHIP_ID_AT)[0]
    except (IndexError, struct.error):
        raise ValueError(f"its {what} is cut off") from None
