"""Intel HEX, and the micro:bit's universal hex, which holds one hex a board.

Formats: Intel "Hexadecimal Object File Format Specification" (1988) and
github.com/microbit-foundation/spec-universal-hex.
"""

from __future__ import annotations

_DATA, _END, _SEGMENT, _LINEAR = 0, 1, 2, 4
# The universal hex adds five kinds, 0x0A to 0x0E.
_BLOCK_START, _CUSTOM_DATA, _HIGHEST = 0x0A, 0x0D, 0x0E


def parse(content: bytes) -> tuple[list[tuple[int, bytes]], frozenset[str]]:
    """Check every record of a file.

    Args:
        content: the file's bytes.

    Returns:
        Contiguous pieces of memory as (address, bytes), in the order of the file, and the board
        numbers (such as `9903`) of a universal hex, whose pieces are of all boards.

    Raises:
        ValueError: a record is damaged, or the file is cut off.
    """
    boards: set[str] = set()
    runs: list[tuple[int, bytearray]] = []
    base, ended = 0, False
    for number, line in enumerate(content.split(), 1):
        try:
            record = bytes.fromhex(line[1:].decode("ascii")) if line[:1] == b":" else b""
        except ValueError:
            record = b""
        if len(record) < 5 or len(record) != record[0] + 5 or sum(record) & 0xFF:
            raise ValueError(f"line {number} has a wrong checksum or length")
        kind, data = record[3], record[4:-1]
        if kind > _HIGHEST:
            raise ValueError(f"line {number} is of an unknown kind")
        ended = kind == _END or (ended and kind > 5)
        if kind == _LINEAR:
            base = int.from_bytes(data, "big") << 16
        elif kind == _SEGMENT:
            base = int.from_bytes(data, "big") << 4
        elif kind == _BLOCK_START:
            boards.add(data[:2].hex())
        elif kind in (_DATA, _CUSTOM_DATA):
            address = base + int.from_bytes(record[1:3], "big")
            if runs and runs[-1][0] + len(runs[-1][1]) == address:
                runs[-1][1].extend(data)
            else:
                runs.append((address, bytearray(data)))
    if not ended:
        raise ValueError("its last record is missing")
    return [(address, bytes(data)) for address, data in runs], frozenset(boards)
