"""DfuSe files for STM32 (ST UM0391) with the suffix of USB DFU 1.1, appendix B."""

from __future__ import annotations

import struct
import zlib

MAGIC = b"DfuSe"
_PREFIX = struct.Struct("<5sBIB")
_TARGET = struct.Struct("<6sBI255sII")
_ELEMENT = struct.Struct("<II")
_SUFFIX = struct.Struct("<HHHH3sBI")
_ST, _ST_DFU, _ANY = 0x0483, 0xDF11, 0xFFFF


def parse(content: bytes) -> list[tuple[int, bytes]]:
    """Check a file.

    Args:
        content: its bytes.

    Returns:
        Its pieces of memory as (address, bytes).

    Raises:
        ValueError: it is damaged, or not for an STM32.
    """
    try:
        return _parse(content)
    except struct.error:
        raise ValueError("it is cut off") from None


def _parse(content: bytes) -> list[tuple[int, bytes]]:
    body = content[: -_SUFFIX.size]
    _, product, vendor, _, mark, length, crc = _SUFFIX.unpack(content[-_SUFFIX.size :])
    if mark != b"UFD" or length != _SUFFIX.size:
        raise ValueError("its DFU suffix is missing")
    # The CRC of DFU is the usual one without the inversion at the end.
    if zlib.crc32(content[:-4]) ^ 0xFFFFFFFF != crc:
        raise ValueError("its CRC is wrong")
    if vendor not in (_ST, _ANY) or product not in (_ST_DFU, _ANY):
        raise ValueError(f"it is for the USB device {vendor:04x}:{product:04x}, no STM32")
    _, version, size, targets = _PREFIX.unpack_from(body)
    # Some writers count the suffix, some don't.
    if version != 1 or size not in (len(body), len(content)):
        raise ValueError("its header gives another length")
    memory, at = [], _PREFIX.size
    for _ in range(targets):
        mark, _, _, _, _, elements = _TARGET.unpack_from(body, at)
        if mark != b"Target":
            raise ValueError("a part of it does not begin as one")
        at += _TARGET.size
        for _ in range(elements):
            address, size = _ELEMENT.unpack_from(body, at)
            at += _ELEMENT.size + size
            if at > len(body):
                raise ValueError("it is cut off")
            memory.append((address, body[at - size : at]))
    return memory
