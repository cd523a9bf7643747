"""A file with MicroPython in it: what it is, which chip it is for, and that it is whole."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from madem.errors import MademError
from madem.flash import dfuse, esp_image, intel_hex, uf2_file

# No image of a board in the table is larger; a disk image taken by mistake is.
_MOST_BYTES = 32 * 1024 * 1024

# What MicroPython prints after its version when it starts: `; BOARD with CHIP`.
_MACHINE = re.compile(rb"; ([ -~]{2,60} with [\w+/.-]{4,24})[\r\0]")
_VERSION = re.compile(rb"MicroPython ([\w.+-]{3,40}) on \d{4}-\d\d-\d\d")

# Reset vectors of STM32 images lie in flash, stacks in RAM (ST RM0090, memory map).
_STM32_FLASH = range(0x0800_0000, 0x0820_0000)
_STM32_RAM = (range(0x1000_0000, 0x1001_0000), range(0x2000_0000, 0x200A_0000))

_Memory = list[tuple[int, bytes]]
# An address for what the file puts where its boot loader is, wherever that may be.
_NOWHERE = -1


@dataclass(frozen=True)
class Image:
    """A checked image.

    Attributes:
        path: the file.
        content: its bytes.
        kind: `uf2`, `esp`, `dfu`, `hex` or `bin`.
        chips: chips that it runs on, as `BoardType.chip`; empty: the file does not tell.
        families: for `uf2`: family numbers of its blocks.
        segments: (address, size) of what goes into memory; empty where the file does not tell.
        boards: for a universal `hex`: the board numbers that it has a part for.
        machine: `sys.implementation._machine` of the MicroPython in it; None if not found.
        version: its version, such as `v1.26.1`; None if not found.
    """

    path: Path
    content: bytes = field(repr=False)
    kind: str
    chips: frozenset[str] = frozenset()
    families: frozenset[int] = frozenset()
    segments: tuple[tuple[int, int], ...] = ()
    boards: frozenset[str] = frozenset()
    machine: str | None = None
    version: str | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    def describe(self) -> str:
        """Tell people its format, size, version and what it is for."""
        target = self.machine or "/".join(sorted(self.chips)) or "a chip that it does not name"
        version = f"MicroPython {self.version}" if self.version else "image"
        return f"{version} for {target} ({self.kind}, {len(self.content):,} bytes)"


def read_image(path: Path, sha256: str | None = None) -> Image:
    """Read and check an image.

    Args:
        path: the file.
        sha256: what its SHA-256 should be, in hexadecimal; None: whatever it is.

    Returns:
        The image.

    Raises:
        MademError: it can't be read, is damaged, is not the expected file, or is no image.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise MademError(f"{path} is larger than any board's flash: which file is meant?")
        content = path.read_bytes()
    except OSError as error:
        raise MademError(f"can't read {path}: {error.strerror}") from None
    if sha256:
        found = hashlib.sha256(content).hexdigest()
        if found != sha256.strip().lower():
            raise MademError(f"{path} has SHA-256 {found}, not {sha256}: download it again")
    try:
        return _parse(path, content)
    except ValueError as error:
        raise MademError(f"{path} is damaged: {error}; download it again") from None


def _parse(path: Path, content: bytes) -> Image:
    def image(kind: str, memory: _Memory, chips: Iterable[str], **more: frozenset) -> Image:
        inside = b"".join(data for _, data in memory)
        machine, version = _MACHINE.search(inside), _VERSION.search(inside)
        return Image(
            path,
            content,
            kind,
            frozenset(chips),
            segments=tuple((address, len(data)) for address, data in memory if address >= 0),
            machine=machine[1].decode("ascii") if machine else None,
            version=version[1].decode("ascii") if version else None,
            **more,
        )

    if content.startswith(uf2_file.MAGIC):
        families, memory = uf2_file.parse(content)
        chips = (uf2_file.CHIPS[family] for family in families if family in uf2_file.CHIPS)
        return image("uf2", memory, chips, families=families)
    if content.startswith(dfuse.MAGIC):
        memory = dfuse.parse(content)
        return image("dfu", memory, _stm32(memory))
    if content.startswith(esp_image.MAGIC):
        return image("esp", [(_NOWHERE, content)], [esp_image.parse(content)])
    if content.startswith(b":"):
        memory, boards = intel_hex.parse(content)
        return image("hex", memory, () if boards else _stm32(memory), boards=boards)
    memory = [(_STM32_FLASH.start, content)]
    if chips := _stm32(memory):
        return image("bin", memory, chips)
    if content.lstrip().startswith(b"<"):
        raise MademError(f"{path} is a web page, not an image: download the file that it links to")
    raise MademError(f"{path} is no image of a board: .uf2, .bin, .dfu or .hex is expected")


def _stm32(memory: _Memory) -> frozenset[str]:
    """`STM32` when the first piece of memory is a vector table of such a chip."""
    address, data = memory[0] if memory else (0, b"")
    if address not in _STM32_FLASH or len(data) < 8:
        return frozenset()
    stack, reset = struct.unpack_from("<II", data)
    in_ram = any(stack in ram or stack == ram.stop for ram in _STM32_RAM)
    return frozenset({"STM32"}) if in_ram and reset & 1 and reset in _STM32_FLASH else frozenset()
