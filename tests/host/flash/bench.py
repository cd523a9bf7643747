"""A work bench: boards whose boot loaders are models and whose MicroPython is real, and the
computer's view of them (USB ports, mounted volumes, dfu-util) as it would be."""

import contextlib
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from madem.flash import volumes

RP2040_INFO = "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"
RP2350_INFO = "UF2 Bootloader v1.0\r\nModel: Raspberry Pi RP2350\r\nBoard-ID: RP2350\r\n"
MICROBIT_V2 = (
    "# DAPLink Firmware - see https://mbed.com/daplink\r\n"
    "Unique ID: 9904360258824e45005680040000004b000000009796990b\r\n"
    "HIC ID: 9796990b\r\nDaplink Mode: Interface\r\nInterface Version: 0255\r\n"
)

# Runs on the board: its `machine.bootloader()` leaves a mark and ends MicroPython's life.
_MACHINE = "def bootloader():\n open('BOOTLOADER','w').close()\n"


class Bench:
    """What is attached to the computer.

    Attributes:
        folder: where ports and volumes appear.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._ports: dict[str, ListPortInfo] = {}
        self._unopenable: set[str] = set()
        self._volumes: list[Path] = []
        monkeypatch.setattr(list_ports, "comports", self._comports)
        monkeypatch.setattr(volumes, "mounted", self._mounted)
        monkeypatch.setattr(volumes, "unmounted_hint", lambda: "")

    def port(
        self, usb: tuple[int, int], path: str | None = None, serial: str = "", product: str = ""
    ) -> str:
        """Attach a USB port; with a path, what is behind it can be opened."""
        name = str(self.folder / f"ttyACM{len(self._ports)}")
        info = ListPortInfo(name, skip_link_detection=True)
        info.vid, info.pid = usb
        info.serial_number, info.product = serial, product or None
        self._ports[name] = info
        if path:
            os.symlink(path, name)
        else:
            self._unopenable.add(name)
        return name

    def volume(self, name: str, info: str, file: str = "INFO_UF2.TXT") -> Path:
        """Mount a board's volume."""
        folder = self.folder / name
        folder.mkdir()
        (folder / file).write_bytes(info.encode())
        self._volumes.append(folder)
        return folder

    def _comports(self) -> list[ListPortInfo]:
        return [
            info
            for name, info in self._ports.items()
            if name in self._unopenable or os.path.islink(name)
        ]

    def _mounted(self) -> list[Path]:
        return [folder for folder in self._volumes if folder.exists()]

    def expect_volume(self, folder: Path) -> None:
        """A volume that will be mounted at this folder."""
        self._volumes.append(folder)


class UnixBoard:
    """Real MicroPython whose `machine.bootloader()` asks for the boot loader.

    Attributes:
        path: of its pty.
    """

    def __init__(self, flash: Path) -> None:
        flash.mkdir()
        (flash / "machine.py").write_text(_MACHINE)
        self._mark = flash / "BOOTLOADER"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "madem_emulator.boards.unix", "--dir", str(flash)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self.path = self._process.stdout.readline().strip()

    def asked_for_bootloader(self) -> bool:
        """Whether `machine.bootloader()` was called since this was last asked."""
        with contextlib.suppress(FileNotFoundError):
            self._mark.unlink()
            return True
        return False

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(120)
        self._process.stdout.close()


@contextlib.contextmanager
def playing(step: Callable[[], object]) -> Iterator[None]:
    """Call a model's step again and again, in a thread of its own."""
    stop = threading.Event()
    faults: list[BaseException] = []

    def play() -> None:
        while not stop.is_set():
            try:
                step()
            except BaseException as fault:
                faults.append(fault)
                return
            time.sleep(0.003)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(120)
    if faults:
        raise faults[0]


class Uf2Rom:
    """The UF2 boot loader of an RP2 chip: a volume that takes blocks and reboots after the last.

    Attributes:
        flash: what it wrote, by address.
        started: it has all blocks and has started them.
    """

    def __init__(self, folder: Path, info: str, families: set[int], on_start: Callable[[], object]):
        self.folder, self._info, self._families, self._on_start = folder, info, families, on_start
        self.flash: dict[int, bytes] = {}
        self.started = False
        self._read = 0
        self._numbers: set[int] = set()

    def appear(self) -> None:
        """Show the volume."""
        hidden = self.folder.with_name("." + self.folder.name)
        hidden.mkdir()
        (hidden / "INFO_UF2.TXT").write_bytes(self._info.encode())
        hidden.rename(self.folder)

    def step(self) -> None:
        """Take the blocks that have arrived."""
        files = [] if self.started else list(self.folder.glob("*.[uU][fF]2"))
        if not files:
            return
        with open(files[0], "rb") as file:
            file.seek(self._read)
            while len(block := file.read(512)) == 512:
                self._read += 512
                if self._take(block):
                    shutil.rmtree(self.folder)
                    self.started = True
                    self._on_start()
                    return

    def _take(self, block: bytes) -> bool:
        """Write one block; True when it was the last that was missing."""
        head = struct.unpack_from("<8I", block)
        assert head[:2] == (0x0A324655, 0x9E5D5157)
        assert struct.unpack_from("<I", block, 508) == (0x0AB16F30,)
        _, _, _, address, size, number, count, family = head
        if family not in self._families:
            return False  # ignored, as the ROM does
        self.flash[address] = block[32 : 32 + size]
        self._numbers.add(number)
        return len(self._numbers) == count


class DragAndDrop:
    """A DAPLink volume: takes a hex file, goes away to flash it, comes back.

    Attributes:
        received: the file that it flashed.
    """

    def __init__(self, folder: Path, details: str, failure: str | None = None) -> None:
        self.folder, self._details, self._failure = folder, details, failure
        self.received = b""

    def step(self) -> None:
        """Flash a file that is complete."""
        for file in self.folder.glob("*.hex"):
            content = file.read_bytes()
            if not content.rstrip().endswith(b":00000001FF"):
                continue
            self.received = content
            shutil.rmtree(self.folder)
            time.sleep(0.05)
            hidden = self.folder.with_name("." + self.folder.name)
            hidden.mkdir()
            (hidden / "DETAILS.TXT").write_bytes(self._details.encode())
            if self._failure:
                (hidden / "FAIL.TXT").write_bytes(self._failure.encode())
            hidden.rename(self.folder)


DFU_LIST = (
    'Found DFU: [0483:df11] ver=2200, devnum=9, cfg=1, intf=0, path="{path}", alt=1, '
    'name="@Option Bytes  /0x1FFFC000/01*016 e", serial="{serial}"\n'
    'Found DFU: [0483:df11] ver=2200, devnum=9, cfg=1, intf=0, path="{path}", alt=0, '
    'name="@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg", serial="{serial}"\n'
)

# It keeps what it is told in files beside it: `list` is what --list prints, `log` gets its
# arguments, `says` is printed and `code` returned by --download, which removes `list`.
_DFU_UTIL = """\
#!/bin/sh
cd "$(dirname "$0")"
echo "$@" >> log
case "$1" in
--list) cat list 2>/dev/null; exit 0;;
esac
cat says
code=$(cat code)
[ "$code" = 0 ] && rm -f list && touch started
exit "$code"
"""


def install_dfu_util(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a double of dfu-util on the PATH; returns the folder of its files."""
    folder.mkdir()
    script = folder / "dfu-util"
    script.write_text(_DFU_UTIL)
    script.chmod(0o755)
    (folder / "says").write_text(
        "dfu-util 0.11\nDownload\t[=====     ]  50%  5000 bytes\rDownload\t[==========] 100%"
        "  9999 bytes\nDownload done.\nFile downloaded successfully\n"
    )
    (folder / "code").write_text("0")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder
