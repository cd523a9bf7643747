"""Volumes that boot loaders and debug probes show: found by the files on them, never by name."""

from __future__ import annotations

import errno
import os
import re
import string
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from madem.errors import BoardError

UF2, DAPLINK = "uf2", "daplink"
_INFO = {UF2: "INFO_UF2.TXT", DAPLINK: "DETAILS.TXT"}

_PIECE = 32 * 1024
_GLANCE = 0.05

# Names under which Linux knows the volumes of the table before they are mounted.
_LABELS = ("RPI-RP2", "RP2350", "MICROBIT", "DAPLINK", "XIAO-SENSE", "NOD_F446RE")


@dataclass(frozen=True)
class Volume:
    """A mounted volume of a board.

    Attributes:
        folder: where it is mounted.
        kind: `UF2` or `DAPLINK`.
        identity: which board it is, as `BoardType.volume`; "" when it does not tell.
        serial: the serial number of the board's USB; "" when it does not tell.
        title: for people.
    """

    folder: Path
    kind: str
    identity: str
    serial: str
    title: str


def find_volumes() -> list[Volume]:
    """Find every mounted volume of a board, by folder."""
    found = (read_volume(folder) for folder in sorted(mounted()))
    return [volume for volume in found if volume]


def read_volume(folder: Path) -> Volume | None:
    """Read what a mounted volume tells of its board.

    Args:
        folder: where it is mounted.

    Returns:
        The volume; None if it is no board's.
    """
    for kind, name in _INFO.items():
        try:
            text = (folder / name).read_text("ascii", errors="replace")
        except (OSError, ValueError):
            continue
        lines = (line.partition(":") for line in text.splitlines())
        info = {key.strip(): value.strip() for key, _, value in lines}
        if kind == UF2:
            identity, serial = info.get("Board-ID", ""), ""
            title = info.get("Model", identity)
        else:
            serial = info.get("Unique ID", "")
            identity = serial[:4] or _st_link_code(folder)
            title = f"drag-and-drop programmer {identity}".rstrip()
        return Volume(folder, kind, identity, serial, title)
    return None


def mounted() -> list[Path]:
    """Folders at which a board's volume could be mounted."""
    if sys.platform == "win32":
        drives = (Path(f"{letter}:\\") for letter in string.ascii_uppercase[3:])
        return [drive for drive in drives if drive.exists()]
    if sys.platform == "darwin":
        return list(Path("/Volumes").iterdir())
    try:
        return mounted_on_linux(Path("/proc/mounts").read_bytes())
    except OSError:
        return []


def mounted_on_linux(table: bytes) -> list[Path]:
    """Find where FAT file systems are mounted.

    Args:
        table: such as /proc/mounts.

    Returns:
        The folders.
    """
    fields = (line.split(b" ") for line in table.splitlines())
    # proc(5): white space in names is written in octal, such as \040.
    return [
        Path(os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), field[1])))
        for field in fields
        if field[2] in (b"vfat", b"msdos", b"fuseblk")
    ]


def unmounted_hint() -> str:
    """On Linux, say how to mount a board's volume that is there and is not mounted; else ""."""
    for label in _LABELS:
        device = Path("/dev/disk/by-label") / label
        if device.exists():
            return f"mount the volume of its boot loader: `udisksctl mount -b {device}`"
    return ""


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    """Wait until a condition is true.

    Args:
        condition: asked twenty times a second.
        seconds: at most.

    Returns:
        Whether it became true; False when time is up.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_GLANCE)
    return True


def write(volume: Volume, name: str, content: bytes, progress: Callable[[int], None]) -> None:
    """Write a file, every piece of it through to the board.

    Args:
        volume: of the board.
        name: of the file.
        content: its bytes.
        progress: called with the number of bytes of each piece.

    Raises:
        BoardError: the volume is full, read-only or not ours to write, or it vanished early.
    """
    done = 0
    try:
        with open(volume.folder / name, "wb", buffering=0) as file:
            while done < len(content):
                done += file.write(content[done : done + _PIECE])
                os.fsync(file.fileno())
                progress(min(_PIECE, done))
    except OSError as error:
        # A board that has all of its program starts it, and takes the volume away with it.
        if done < len(content) or error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BoardError(_explain(error, volume, done, len(content))) from None


def _st_link_code(folder: Path) -> str:
    """The board's number, in the link that an ST-LINK puts on its volume."""
    try:
        found = re.search(r"code=(\w{4})", (folder / "MBED.HTM").read_text("ascii", "replace"))
    except OSError:
        return ""
    return found[1] if found else ""


def _explain(error: OSError, volume: Volume, done: int, total: int) -> str:
    where = str(volume.folder)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"{where} is full after {done:,} of {total:,} bytes: unplug the board, plug it in"
            " again and delete what was copied there"
        )
    if error.errno == errno.EROFS:
        return f"{where} is read-only: unplug the board, plug it in again, then run this again"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"no permission to write to {where}: mount it as yourself (`udisksctl mount`)"
    return (
        f"{where} vanished after {done:,} of {total:,} bytes (unplugged?): its boot loader is"
        " unharmed; plug it in in boot loader mode and run this again"
    )
