"""Images as the official builds are made, small: written after the formats' documents, not with
madem's readers."""

import hashlib
import random
import struct
import zlib

BANNER = "MicroPython {version} on 2025-09-11\0\0; {machine}\0Type"


def program(machine: str, version: str = "v1.26.1", size: int = 20_000) -> bytes:
    """Bytes of a program with what MicroPython says of itself somewhere inside."""
    filler = random.Random(machine).randbytes(size)
    banner = BANNER.format(version=version, machine=machine).encode()
    return filler[: size // 3] + banner + filler[size // 3 + len(banner) :]


def uf2(
    content: bytes, family: int | None = 0xE48BFF56, address: int = 0x1000_0000, e10: bool = False
) -> bytes:
    """A UF2 file, 256 bytes a block; `e10`: led by the block that RP2350 files have."""
    pieces = [content[i : i + 256] for i in range(0, len(content), 256)]
    rows = [(address + 256 * n, piece, n, len(pieces), family) for n, piece in enumerate(pieces)]
    if e10:
        rows.insert(0, (0x10FF_FF00, b"\xef" * 256, 0, 2, 0xE48BFF57))
    return b"".join(
        struct.pack(
            "<8I",
            *(0x0A324655, 0x9E5D5157, 0x2000 if of else 0, at, 256, number, count, of or 0),
        )
        + piece.ljust(476, b"\0")
        + struct.pack("<I", 0x0AB16F30)
        for at, piece, number, count, of in rows
    )


def esp_part(chip_id: int, content: bytes) -> bytes:
    """One image of the ESP32 family with one segment, checksum and SHA-256."""
    content = content.ljust(-(-len(content) // 4) * 4, b"\0")
    header = struct.pack("<BBBBI", 0xE9, 1, 2, 0x20, 0x4008_0000)
    header += struct.pack("<B3xHB8xB", 0xEE, chip_id, 0, 1)
    body = header + struct.pack("<II", 0x3F40_0020, len(content)) + content
    body = body.ljust(len(body) // 16 * 16 + 15, b"\0")
    checksum = 0xEF
    for byte in content:
        checksum ^= byte
    body += bytes([checksum])
    return body + hashlib.sha256(body).digest()


def esp(
    content: bytes, chip_id: int = 0, offset: int = 0x1000, app_chip: int | None = None
) -> bytes:
    """Boot loader, partition table and program, as `ESP32_GENERIC-….bin`."""
    entries = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subtype, at, size, name, 0)
        for kind, subtype, at, size, name in (
            (1, 2, 0x9000, 0x6000, b"nvs"),
            (1, 1, 0xF000, 0x1000, b"phy_init"),
            (0, 0, 0x10000, 0x1F0000, b"factory"),
        )
    )
    table = entries + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(entries).digest()
    file = esp_part(chip_id, b"boot loader" * 20).ljust(0x8000 - offset, b"\xff")
    file = (file + table).ljust(0x10000 - offset, b"\xff")
    return file + esp_part(chip_id if app_chip is None else app_chip, content)


def vectors(content: bytes, flash: int = 0x0800_0000) -> bytes:
    """A Cortex-M program: stack and reset vector first."""
    return struct.pack("<II", 0x2002_0000, flash + 0x401) + content[8:]


def dfuse(content: bytes, address: int = 0x0800_0000, product: int = 0xDF11) -> bytes:
    """A DfuSe file with one element, as MicroPython's own builds."""
    element = struct.pack("<II", address, len(content)) + content
    target = struct.pack("<6sBI255sII", b"Target", 0, 1, b"ST...", len(element), 1) + element
    body = struct.pack("<5sBIB", b"DfuSe", 1, len(target) + 11, 1) + target
    body += struct.pack("<4H3sB", 0, product, 0x0483, 0x011A, b"UFD", 16)
    return body + struct.pack("<I", zlib.crc32(body) ^ 0xFFFFFFFF)


def record(kind: int, address: int, data: bytes) -> str:
    """One line of Intel HEX."""
    raw = struct.pack(">BHB", len(data), address, kind) + data
    return f":{(raw + bytes([-sum(raw) & 0xFF])).hex().upper()}\n"


def hexadecimal(content: bytes, address: int = 0, kind: int = 0, end: bool = True) -> str:
    """Intel HEX; the kind of its data records may be another, as in a universal hex."""
    lines = []
    for at in range(0, len(content), 16):
        if (address + at) % 0x10000 == 0 or at == 0:
            lines.append(record(4, 0, struct.pack(">H", (address + at) >> 16)))
        lines.append(record(kind, (address + at) & 0xFFFF, content[at : at + 16]))
    return "".join(lines) + (record(1, 0, b"") if end else "")


def universal_hex(v1: bytes, v2: bytes) -> str:
    """A universal hex for both versions of the micro:bit, in the format of 512-byte sections."""
    first = (
        record(4, 0, b"\0\0") + record(0x0A, 0, b"\x99\x00\xc0\xde") + hexadecimal(v1, end=False)
    )
    second = record(4, 0, b"\0\0") + record(0x0A, 0, b"\x99\x03\xc0\xde")
    second += hexadecimal(v2, kind=0x0D, end=False)
    return first + record(0x0B, 0, b"\xff" * 4) + second + record(0x0B, 0, b"") + record(1, 0, b"")
