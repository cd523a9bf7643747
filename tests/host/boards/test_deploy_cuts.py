"""A deployment that is cut at any write leaves the old firmware or the new one, never a mix."""

import contextlib
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from madem.boards import firmware
from madem.boards.deploy import deploy
from madem.boards.open import Board
from madem.boards.repl import Repl, open_port
from madem.errors import BoardError

pytestmark = pytest.mark.needs("unix")

BOOT = """\
import madem.one, madem.two
VERSION = {0}
def run(): print('runs', VERSION, madem.one.VERSION, madem.two.VERSION)
"""


class CutPort(serial.Serial):
    """A port that loses the board in the middle of its nth write."""

    writes = 0
    cut_at: int | None = None
    process: subprocess.Popen[str] | None = None  # None: only the line goes, the board stays

    def write(self, b: bytes, /) -> int | None:  # pyright: ignore
        if self.writes == self.cut_at:
            super().write(b[: len(b) // 2])
            if self.process:
                self.process.kill()
                self.process.wait()
            raise serial.SerialException("the board is gone")
        self.writes += 1
        return super().write(b)


@contextlib.contextmanager
def powered(flash: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A board with this flash, and its port."""
    with subprocess.Popen(
        [sys.executable, "-m", "madem_emulator.boards.unix", "--dir", str(flash)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def what_runs(flash: Path) -> str:
    """What the firmware reports after power-up."""
    # What it says before the port is open is lost, so that it has to wait.
    wait = flash / "boot.py"
    wait.write_text("import sys\nsys.stdin.buffer.read(1)\n")
    said = b""
    with powered(flash) as (_, path), open(path, "r+b", buffering=0) as port:
        port.write(b"!")
        while b">>> " not in said:
            ready, _, _ = select.select([port], [], [], 30)
            assert ready, f"the board has only said {said!r}"
            said += port.read(4096)
    wait.unlink()
    first = said.decode().splitlines()[0]
    return first if first.startswith("runs") else "nothing"


def deploy_cut(flash: Path, folder: Path, cut_at: int | None, library: bool = False) -> int:
    """Deploy until a write is cut; returns how many writes there were."""
    with powered(flash) as (process, path), CutPort(path, exclusive=True, timeout=2) as port:
        port.process = process
        port.cut_at = cut_at
        try:
            deploy(Board("unix", port), folder=folder, library=library)
        except BoardError:
            assert cut_at is not None
        return port.writes


@pytest.fixture
def folders(tmp_path: Path) -> dict[int, Path]:
    """Two versions of a small firmware; every file but one differs."""
    found = {}
    for version in (1, 2):
        package = tmp_path / f"version{version}" / "madem"
        package.mkdir(parents=True)
        found[version] = package.parent
        (package / "__init__.py").write_text("")
        (package / "boot.py").write_text(BOOT.format(version))
        for name in ("one", "two"):
            (package / f"{name}.py").write_text(f"VERSION = {version}\n")
        main = firmware.main() + b"# %d\n" % version
        (package.parent / "main.py").write_bytes(main)
    return found


@pytest.mark.parametrize(
    ("before", "step"),
    [
        pytest.param("nothing", 5, marks=pytest.mark.slow),
        pytest.param("runs 1 1 1", 5, marks=pytest.mark.slow),
        pytest.param("nothing", 1, marks=pytest.mark.long),
        pytest.param("runs 1 1 1", 1, marks=pytest.mark.long),
    ],
)
def test_a_cut_at_any_write_leaves_the_old_or_the_new(
    before: str, step: int, folders: dict[int, Path], tmp_path: Path
) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    if before != "nothing":
        deploy_cut(origin, folders[1], None)
    whole = tmp_path / "whole"
    shutil.copytree(origin, whole)
    writes = deploy_cut(whole, folders[2], None)
    assert what_runs(whole) == "runs 2 2 2"
    seen = set()
    # The last writes are those behind the rename that makes the new one the firmware.
    for cut_at in sorted({*range(0, writes, step), *range(writes - 6, writes)}):
        flash = tmp_path / "cut"
        shutil.copytree(origin, flash)
        deploy_cut(flash, folders[2], cut_at)
        seen.add(what_runs(flash))
        if cut_at % 6 == 0:  # and the next one repairs whatever was left
            deploy_cut(flash, folders[2], None)
            assert what_runs(flash) == "runs 2 2 2"
            assert sorted(path.suffix for path in flash.iterdir()) == ["", ".py"]
        shutil.rmtree(flash)
    assert seen == {before, "runs 2 2 2"}


@pytest.mark.parametrize(
    "step",
    [pytest.param(7, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.long)],
)
def test_a_library_that_is_cut_at_any_write_is_the_old_or_the_new_or_put_there_by_the_next(
    step: int, folders: dict[int, Path], tmp_path: Path
) -> None:
    """Between two renames there is none."""
    origin = tmp_path / "origin"
    origin.mkdir()
    (origin / "main.py").write_text("from madem import boot\nboot.run()\n")
    deploy_cut(origin, folders[1], None, library=True)
    assert what_runs(origin) == "runs 1 1 1"
    whole = tmp_path / "whole"
    shutil.copytree(origin, whole)
    writes = deploy_cut(whole, folders[2], None, library=True)
    assert what_runs(whole) == "runs 2 2 2"
    # The last writes are those around the renames.
    for cut_at in sorted({*range(0, writes, step), *range(writes - 6, writes)}):
        flash = tmp_path / "cut"
        shutil.copytree(origin, flash)
        deploy_cut(flash, folders[2], cut_at, library=True)
        assert what_runs(flash) in ("runs 1 1 1", "runs 2 2 2", "nothing")
        deploy_cut(flash, folders[2], None, library=True)
        assert what_runs(flash) == "runs 2 2 2"
        assert sorted(path.name for path in flash.iterdir()) == ["lib", "main.py"]
        shutil.rmtree(flash)


@pytest.mark.slow
def test_a_board_whose_line_was_cut_takes_the_next_deployment(
    folders: dict[int, Path], tmp_path: Path
) -> None:
    """Without a reset in between: it may wait for the rest of a command or of a file."""
    flash = tmp_path / "flash"
    flash.mkdir()
    with powered(flash) as (_, path):
        for cut_at in range(3, 100, 11):
            version = 1 + cut_at % 2
            with CutPort(path, exclusive=True, timeout=2) as port:
                port.cut_at = cut_at
                with contextlib.suppress(BoardError):
                    deploy(Board("unix", port), folder=folders[version])
            with CutPort(path, exclusive=True, timeout=2) as port:
                deploy(Board("unix", port), folder=folders[version])
            with open_port(path) as port, Repl(port) as repl:
                repl.run_main(f"runs {version} {version} {version}".encode())
