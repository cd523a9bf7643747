"""Deployments on MicroPython's own littlefs and FAT: cut at any write of a block, and amid one; and
with every number of free blocks.
"""

import contextlib
import os
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from madem.boards import firmware
from madem.boards.deploy import deploy
from madem.boards.open import Board
from madem.boards.repl import Repl, open_port
from madem.errors import BoardError
from madem_emulator.boards.unix_interpreter import find_micropython

pytestmark = pytest.mark.needs("unix")

_DEVICE = Path(__file__).parents[2] / "firmware/device"
_BLOCKS = {"Lfs": (4096, 48), "Fat": (512, 384)}
_ENOUGH, _MOST = 8, 9  # free blocks in which the small firmware of these tests finds room
_FULL = (
    r"^the firmware needs \d+ KB of unix's file system beside what is there, \d+ KB are free: "
    "delete files that it does not need$"
)

# The board's own flash, at the root, is in RAM; its blocks come from a file of the host's, and what
# is written to them goes to another.
_BOOT = """\
import os, struct, sys, vfs
vfs.mount(vfs.VfsPosix({root!r}), "/host")
vfs.umount("/")
os.chdir("/host")
sys.path.append("/host")
import flash_ram
system = flash_ram.{system}

class Kept(flash_ram.Flash):
    def _change(self, at, data):
        journal.write(struct.pack("<II", at, len(data)))
        journal.write(data)
        journal.flush()
        super()._change(at, data)

with open("/host/image", "rb") as file:
    flash = flash_ram.Flash(bytearray(file.read()), system.block)
with open("/host/journal", "rb") as file:
    for at, data in flash_ram.changes(file):
        flash._change(at, data)
journal = open("/host/journal", "ab")
vfs.mount(system.open(Kept(flash.content, system.block)), "/")
os.chdir("/")
"""

# What a start finds after a cut at each of the writes, torn in each way.
_STARTS = """\
import os, sys
import flash_ram
system = flash_ram.{system}

def start():
    for name in list(sys.modules):
        if name.startswith("madem"):
            del sys.modules[name]
    sys.path[:] = ["", flash_ram.MOUNT + "/lib"]
    os.chdir(flash_ram.MOUNT)
    try:
        with open("main.py") as file:
            exec(file.read(), {{}})
    except (OSError, ImportError, SyntaxError):
        print("nothing")
    finally:
        os.chdir("/")

with open("image", "rb") as file:
    content = bytearray(file.read())
with open("journal", "rb") as file:
    changes = list(flash_ram.changes(file))
for at, data in changes + [(0, b"")]:
    for tear in flash_ram.TEARS:
        left = flash_ram.torn(content, at, data, tear)
        flash_ram.mounted(system, flash_ram.started(left, system.block), start)
    content[at : at + len(data)] = data
"""

# Names that fill the first block of the root, and of lib.
_MORE_NAMES = """\
import flash_ram as f
with open("image", "rb") as file:
    flash = f.Flash(bytearray(file.read()), f.Fat.block)
with open("journal", "rb") as file:
    for at, data in f.changes(file):
        flash._change(at, data)
def work():
    for k in range(12):
        open(f.MOUNT + "/NAME%d" % k, "w").close()
f.mounted(f.Fat, flash, work)
open("image", "wb").write(flash.content)
open("journal", "wb").close()
"""

_FIRMWARE = """\
import madem.one, madem.two
VERSION = {0}
def run(): print('runs', VERSION, madem.one.VERSION, madem.two.VERSION)
"""


def micropython(folder: Path, code: str) -> str:
    """What a program prints in that folder."""
    done = subprocess.run(
        [find_micropython(), "-X", "heapsize=8M", "-c", code],
        cwd=folder,
        env=os.environ | {"MICROPYPATH": f".frozen:{_DEVICE}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class Flash:
    """A board's flash in a folder: an image, and the writes since."""

    def __init__(self, folder: Path, system: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.system = system
        block, blocks = _BLOCKS[system]
        micropython(
            folder,
            f"import flash_ram as f\nf.{system}.block = {block}\n"
            f"open('image', 'wb').write(f.fresh(f.{system}, {blocks}).content)",
        )
        (folder / "journal").touch()
        (folder / "flash_ram.py").write_bytes((_DEVICE / "flash_ram.py").read_bytes())
        (folder / "boot.py").write_text(_BOOT.format(root=str(folder), system=system))
        (folder / "main.py").touch()  # or else the board looks for none

    def settle(self) -> None:
        """Take the writes into the image."""
        content = bytearray((self.folder / "image").read_bytes())
        for at, data in self.writes():
            content[at : at + len(data)] = data
        (self.folder / "image").write_bytes(content)
        (self.folder / "journal").write_bytes(b"")

    def writes(self) -> list[tuple[int, bytes]]:
        """Since the flash was settled."""
        data, at, found = (self.folder / "journal").read_bytes(), 0, []
        while at < len(data):
            place, size = struct.unpack_from("<II", data, at)
            found.append((place, data[at + 8 : at + 8 + size]))
            at += 8 + size
        return found

    def restore(self, image: bytes, writes: list[tuple[int, bytes]]) -> None:
        """Have this image, and these writes since."""
        (self.folder / "image").write_bytes(image)
        (self.folder / "journal").write_bytes(
            b"".join(struct.pack("<II", at, len(data)) + data for at, data in writes)
        )

    def starts(self) -> list[str]:
        """What runs after a cut at each write, three lines for each."""
        return micropython(self.folder, _STARTS.format(system=self.system)).splitlines()

    @contextlib.contextmanager
    def board(self) -> Iterator[Board]:
        """A board that has it."""
        with subprocess.Popen(
            [sys.executable, "-m", "madem_emulator.boards.unix", "--dir", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            try:
                with open_port(process.stdout.readline().strip()) as port:
                    yield Board("unix", port)
            finally:
                process.kill()


def deploy_on(flash: Flash, folder: Path, library: bool = False) -> None:
    """With a board that has this flash."""
    with flash.board() as board:
        deploy(board, folder=folder, library=library)


def deploy_library(flash: Flash, folder: Path) -> None:
    """With a main.py of the board's own, that uses it."""
    with flash.board() as board, Repl(board.port) as repl:
        repl.write_file("main.py", b"from madem import boot\nboot.run()\n")
    deploy_on(flash, folder, True)


@pytest.fixture
def folders(tmp_path: Path) -> dict[int, Path]:
    """Two versions of a small firmware; every file of the package but one differs."""
    found = {}
    for version in (1, 2):
        package = tmp_path / f"version{version}" / "madem"
        package.mkdir(parents=True)
        found[version] = package.parent
        (package / "__init__.py").write_text("")
        (package / "boot.py").write_text(_FIRMWARE.format(version))
        (package / "one.py").write_text(f"VERSION = {version}\n")
        (package / "two.py").write_text(f"VERSION = {version}\n" + "# so that it is longer\n" * 40)
        (package.parent / "main.py").write_bytes(firmware.main())
    return found


@pytest.mark.parametrize("system", _BLOCKS)
@pytest.mark.parametrize("before", ["nothing", "runs 1 1 1"])
def test_a_cut_at_any_write_of_a_block_leaves_the_old_or_the_new(
    system: str, before: str, folders: dict[int, Path], tmp_path: Path
) -> None:
    flash = Flash(tmp_path / "flash", system)
    if before != "nothing":
        deploy_on(flash, folders[1])
        flash.settle()
    deploy_on(flash, folders[2])
    found = flash.starts()
    assert len(found) == 3 * (len(flash.writes()) + 1)
    assert set(found) == {before, "runs 2 2 2"}, Counter(found)
    assert found[0] == before
    assert found[-1] == "runs 2 2 2"


@pytest.mark.parametrize("system", _BLOCKS)
def test_a_library_that_is_cut_is_the_old_or_the_new_or_there_is_none(
    system: str, folders: dict[int, Path], tmp_path: Path
) -> None:
    """Between two renames."""
    flash = Flash(tmp_path / "flash", system)
    deploy_library(flash, folders[1])
    flash.settle()
    deploy_on(flash, folders[2], True)
    found = flash.starts()
    assert set(found) <= {"runs 1 1 1", "runs 2 2 2", "nothing"}, Counter(found)
    assert (found[0], found[-1]) == ("runs 1 1 1", "runs 2 2 2")


@pytest.mark.parametrize("library", [False, True])
@pytest.mark.parametrize(
    "around", [pytest.param(2, marks=pytest.mark.slow), pytest.param(999, marks=pytest.mark.long)]
)
def test_the_next_ones_go_on_from_what_a_cut_left_on_fat(
    around: int, library: bool, folders: dict[int, Path], tmp_path: Path
) -> None:
    """Whose renames are two writes: in between, a folder has two names."""
    flash = Flash(tmp_path / "flash", "Fat")
    deploy_library(flash, folders[1]) if library else deploy_on(flash, folders[1])
    # More names, so that those of the firmware are in more than one block.
    micropython(flash.folder, _MORE_NAMES)
    deploy_on(flash, folders[2], library)
    image, writes = (flash.folder / "image").read_bytes(), flash.writes()
    # The first cut behind which the old one does not start.
    switch = next(k for k, runs in enumerate(flash.starts()) if runs != "runs 1 1 1") // 3
    for cut_at in range(max(0, switch - around), min(switch + around + 1, len(writes))):
        flash.restore(image, writes[:cut_at])
        # The next one of the same version, and then of another.
        deploy_on(flash, folders[2], library)
        assert flash.starts()[-1] == "runs 2 2 2", cut_at
        deploy_on(flash, folders[1], library)
        assert flash.starts()[-1] == "runs 1 1 1", cut_at


@pytest.mark.slow
@pytest.mark.parametrize("library", [False, True])
@pytest.mark.parametrize("system", _BLOCKS)
def test_a_full_flash_is_told_and_the_old_firmware_starts(
    system: str, library: bool, folders: dict[int, Path], tmp_path: Path
) -> None:
    flash = Flash(tmp_path / "flash", system)
    deploy_library(flash, folders[1]) if library else deploy_on(flash, folders[1])
    flash.settle()
    micropython(
        flash.folder,
        f"import flash_ram as f\nwhole = f.started(open('image', 'rb').read(), f.{system}.block)\n"
        f"for free, left in f.filled(f.{system}, whole, {_MOST}):\n"
        "  with open('image%d' % free, 'wb') as file: file.write(left.content)",
    )
    for free in range(_MOST + 1):
        flash.restore((flash.folder / f"image{free}").read_bytes(), [])
        refused = free < _ENOUGH
        with pytest.raises(BoardError, match=_FULL) if refused else contextlib.nullcontext():
            deploy_on(flash, folders[2], library)
        assert bool(flash.writes()) != refused
        runs = "runs 1 1 1" if refused else "runs 2 2 2"
        assert flash.starts()[-1] == runs
