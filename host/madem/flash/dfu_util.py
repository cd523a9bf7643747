"""dfu-util (dfu-util.sourceforge.net), which talks to the ROM of STM32 chips."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from madem.boards.catalogue import STM32_DFU, UsbId
from madem.errors import BoardError
from madem.flash.program import Done, run

NAME = "dfu-util"
MISSING = (
    "dfu-util is not installed: `sudo apt install dfu-util`, `brew install dfu-util`,"
    " or dfu-util.sourceforge.net"
)
_NO_ACCESS = "LIBUSB_ERROR_ACCESS"

_FOUND = re.compile(
    r"Found DFU: \[([0-9a-f]{4}):([0-9a-f]{4})\].*?path=\"([^\"]*)\", alt=(\d+), name=\"([^\"]*)\""
    r"(?:, serial=\"([^\"]*)\")?"
)
_SECTORS = re.compile(r"(\d+)\*(\d+)([ BKM])")
_UNIT = {" ": 1, "B": 1, "K": 1024, "M": 1024**2}


@dataclass(frozen=True)
class DfuDevice:
    """A board in DFU mode.

    Attributes:
        usb: vendor and product.
        path: where it is plugged in, such as `1-2`.
        serial: its serial number; "UNKNOWN" where it has none.
        memory: addresses of its flash, end excluded; empty when it does not tell.
    """

    usb: UsbId
    path: str
    serial: str
    memory: range

    @property
    def name(self) -> str:
        """What tells it from others: its serial number, or where it is plugged in."""
        return self.path if self.serial in ("", "UNKNOWN") else self.serial


def devices(must: bool = False) -> list[DfuDevice]:
    """List the STM32 in DFU mode.

    Args:
        must: raise when dfu-util is not installed.

    Returns:
        The devices; none when dfu-util is not installed.

    Raises:
        BoardError: one is there that may not be used, or dfu-util is missing.
    """
    if not shutil.which(NAME):
        if must:
            raise BoardError(MISSING)
        return []
    output = run([NAME, "--list"]).output
    if _NO_ACCESS in output:
        raise BoardError(
            "no permission to use the board in DFU mode: install your system's udev rules for"
            " dfu-util (or a rule for 0483:df11), plug the board in again; or use sudo once"
        )
    found = []
    for vendor, product, path, alt, layout, serial in _FOUND.findall(output):
        usb = int(vendor, 16), int(product, 16)
        if usb == STM32_DFU and alt == "0":
            found.append(DfuDevice(usb, path, serial, _memory(layout)))
    return found


def download(
    device: DfuDevice, file: Path, address: int | None, progress: Callable[[int], None]
) -> Done:
    """Write a file and start it.

    Args:
        device: to which it is written.
        file: a DfuSe file, or a plain binary.
        address: where a plain binary goes; None for a DfuSe file, which tells.
        progress: called with the percentage done.

    Returns:
        How dfu-util ended.
    """
    return run(command(device, file, address), progress)


def command(device: DfuDevice, file: Path, address: int | None) -> list[str]:
    """Make the command line that `download` runs.

    Args:
        device: as for `download`.
        file: as for `download`.
        address: as for `download`.

    Returns:
        Its words.
    """
    start = ":leave" if address is None else f"0x{address:08x}:leave"
    usb = f"{device.usb[0]:04x}:{device.usb[1]:04x}"
    return [
        *(NAME, "--device", f",{usb}", "--path", device.path, "--alt", "0"),
        *("--dfuse-address", start, "--download", str(file)),
    ]


def _memory(layout: str) -> range:
    """Addresses of a layout such as `@Internal Flash  /0x08000000/04*016Kg,01*064Kg`."""
    parts = layout.split("/")
    if len(parts) < 3:
        return range(0)
    start = int(parts[1], 16)
    size = sum(
        int(count) * int(each) * _UNIT[unit] for count, each, unit in _SECTORS.findall(parts[2])
    )
    return range(start, start + size)
