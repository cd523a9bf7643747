"""What could be flashed: ports, volumes and DFU devices, each board once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from madem.boards import catalogue
from madem.boards.catalogue import BoardType
from madem.errors import BoardError
from madem.flash import dfu_util
from madem.flash.dfu_util import DfuDevice
from madem.flash.volumes import UF2, Volume, find_volumes, read_volume, unmounted_hint

# A path, a Windows port, or an address such as rfc2217://host:port.
_PORT = re.compile(r"[/\\]|COM\d+$|\w+://", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """One attached board, in whatever state it is.

    Attributes:
        port: its serial port.
        volume: the volume that it shows.
        dfu: it as a DFU device.
        types: what it is for certain, by its boot loader; several where those share one.
        hints: what its USB numbers let expect; others have them too.
        title: for people.
    """

    port: str | None = None
    volume: Volume | None = None
    dfu: DfuDevice | None = None
    types: tuple[BoardType, ...] = ()
    hints: tuple[BoardType, ...] = ()
    title: str = ""

    @property
    def where(self) -> str:
        """What to give to `--board`."""
        if self.port:
            return self.port
        if self.volume:
            return str(self.volume.folder)
        return f"dfu:{self.dfu.name}" if self.dfu else "nothing"

    @property
    def in_bootloader(self) -> bool:
        """It waits for a program already."""
        return self.dfu is not None or (self.volume is not None and self.volume.kind == UF2)

    def describe(self) -> str:
        """Tell people where and what it is."""
        kinds = self.types or self.hints
        title = self.title or " or ".join(kind.title for kind in kinds) or "unknown board"
        return f"{self.where} ({title})"


def find_targets() -> list[Target]:
    """Find everything attached that could be flashed."""
    ports = _usb_ports()
    found = []
    for volume in find_volumes():
        port = _port_of(volume, ports)
        if port:
            ports.remove(port)
        found.append(_of_volume(volume, port))
    found += [_of_port(port) for port in ports]
    found += [_of_dfu(device) for device in dfu_util.devices()]
    return found


def choose(board: str) -> Target:
    """Find the board that is meant.

    Args:
        board: `auto`, a port, the folder of a volume, `dfu` or `dfu:NAME`.

    Returns:
        The board; a port that the system does not list is taken as it is.

    Raises:
        BoardError: there is none, or several could be meant.
    """
    if board == "auto":
        advice = unmounted_hint() or "plug one in"
        return _only(find_targets(), f"no board is attached: {advice}")
    kind, _, name = board.partition(":")
    if kind == "dfu":
        devices = [_of_dfu(device) for device in dfu_util.devices(must=True)]
        chosen = [one for one in devices if one.dfu and name in ("", one.dfu.name)]
        return _only(chosen, f"there is no board in DFU mode{f' called {name}' if name else ''}")
    if board and Path(board).is_dir():
        volume = read_volume(Path(board))
        if volume is None:
            raise BoardError(
                f"{board} is no board's volume: INFO_UF2.TXT or DETAILS.TXT should be there"
            )
        return _of_volume(volume, _port_of(volume, _usb_ports()))
    for target in find_targets():
        if target.port and os.path.realpath(target.port) == os.path.realpath(board):
            return replace(target, port=board)
    if not _PORT.match(board):
        raise BoardError(
            f"there is no board {board!r} to flash: choose a port (/dev/ttyACM0, COM3), the folder"
            " of a boot loader's volume, dfu, or auto (the one that is attached)"
        )
    return Target(port=board)  # no USB port, or one that the system does not list


def _only(targets: list[Target], none: str) -> Target:
    if not targets:
        raise BoardError(none)
    if len(targets) > 1:
        listed = ", ".join(target.describe() for target in targets)
        raise BoardError(f"several boards are attached, name one with --board: {listed}")
    return targets[0]


def _usb_ports() -> list[ListPortInfo]:
    return sorted(port for port in list_ports.comports() if port.vid is not None)


def _of_port(port: ListPortInfo) -> Target:
    return Target(
        port=port.device,
        hints=catalogue.by_usb(port.vid, port.pid),
        title=port.product or "",
    )


def _of_volume(volume: Volume, port: ListPortInfo | None) -> Target:
    types = catalogue.by_volume(volume.identity)
    target = Target(volume=volume, types=types, title=volume.title)
    return replace(target, port=port.device) if port else target


def _of_dfu(device: DfuDevice) -> Target:
    types = tuple(kind for kind in catalogue.BOARD_TYPES if device.usb in kind.bootloader_usb)
    return Target(dfu=device, hints=types, title=f"in DFU mode, {device.name}")


def _port_of(volume: Volume, ports: list[ListPortInfo]) -> ListPortInfo | None:
    """The port of the board that shows a volume."""
    same = [port for port in ports if volume.serial and port.serial_number == volume.serial]
    if not same:
        types = catalogue.by_volume(volume.identity)
        usb = {ids for kind in types for ids in (*kind.bootloader_usb, *kind.usb)}
        if volume.kind == UF2:  # with its program gone, so is the program's port
            usb = {ids for kind in types for ids in kind.bootloader_usb}
        same = [port for port in ports if (port.vid, port.pid) in usb]
    return same[0] if len(same) == 1 else None
