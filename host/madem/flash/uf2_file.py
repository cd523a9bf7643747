"""UF2 files: 512-byte blocks, each with its own address (github.com/microsoft/uf2)."""

from __future__ import annotations

import struct

MAGIC = b"UF2\n"
BLOCK = 512
_HEADER = struct.Struct("<8I")
_MAGIC_START = (0x0A324655, 0x9E5D5157)
_MAGIC_END = 0x0AB16F30
_MOST_PAYLOAD = 476
_NOT_FOR_FLASH, _HAS_FAMILY = 0x0001, 0x2000

# One block of this family leads the files for RP2350 and works around its erratum E10. It says
# that it is one of two, and there is no second (RP2350 datasheet, section 5.5.3 and E10).
ABSOLUTE = 0xE48BFF57

# Chips by family number (RP2350 datasheet, section 5.5.3; uf2families.json of the format).
CHIPS = {
    0xE48BFF56: "RP2040",
    0xE48BFF59: "RP2350",
    0xE48BFF5A: "RP2350",
    0xE48BFF5B: "RP2350",
    0xADA52840: "NRF52840",
    0x621E937A: "NRF52833",
    0xC47E5767: "ESP32S3",
    0xBFDD4EEE: "ESP32S2",
    0x57755A57: "STM32",
    0x68ED2B88: "SAMD21",
    0x55114460: "SAMD51",
}


def parse(content: bytes) -> tuple[frozenset[int], list[tuple[int, bytes]]]:
    """Check every block of a file.

    Args:
        content: the file's bytes.

    Returns:
        Family numbers without `ABSOLUTE`, none when the blocks name none; and contiguous pieces
        of memory as (address, bytes), by address.

    Raises:
        ValueError: a block is damaged or missing.
    """
    if not content or len(content) % BLOCK:
        raise ValueError(f"its length is no multiple of {BLOCK} bytes")
    seen: dict[int, set[int]] = {}
    counts: dict[int, int] = {}
    pieces: dict[int, bytes] = {}
    for at in range(0, len(content), BLOCK):
        start, start2, flags, address, size, number, count, family = _HEADER.unpack_from(
            content, at
        )
        (end,) = struct.unpack_from("<I", content, at + BLOCK - 4)
        if (start, start2) != _MAGIC_START or end != _MAGIC_END or size > _MOST_PAYLOAD:
            raise ValueError(f"block {at // BLOCK} is no UF2 block")
        if flags & _NOT_FOR_FLASH:
            continue
        family = family if flags & _HAS_FAMILY else 0
        if counts.setdefault(family, count) != count or number >= count:
            raise ValueError(f"block {at // BLOCK} does not say how many there are as others do")
        if number in seen.setdefault(family, set()):
            raise ValueError(f"block {number} of {count} is there twice")
        seen[family].add(number)
        if family != ABSOLUTE:
            pieces[address] = content[at + _HEADER.size : at + _HEADER.size + size]
    for family, numbers in seen.items():
        if family != ABSOLUTE and len(numbers) != counts[family]:
            raise ValueError(f"it has {len(numbers)} of {counts[family]} blocks")
    if not pieces:
        raise ValueError("it holds nothing for the flash")
    return frozenset(seen) - {ABSOLUTE, 0}, _contiguous(pieces)


def _contiguous(pieces: dict[int, bytes]) -> list[tuple[int, bytes]]:
    runs: list[tuple[int, bytearray]] = []
    for address in sorted(pieces):
        if runs and runs[-1][0] + len(runs[-1][1]) == address:
            runs[-1][1].extend(pieces[address])
        else:
            runs.append((address, bytearray(pieces[address])))
    return [(address, bytes(data)) for address, data in runs]
