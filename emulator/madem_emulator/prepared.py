"""Builds of MicroPython that are prepared once, by emulator/prepare/build_micropython.sh."""

import contextlib
import os
from pathlib import Path

from madem_emulator.board_process import EmulatedBoardError


def prepare_command(board: str) -> str:
    """The command that prepares the board `qemu`, `unix32` or `rp2040`."""
    here = Path(__file__).resolve().parent
    # Beside the package in a checkout, inside it when it is installed from a wheel.
    folder = next(path for path in (here.parent, here) if (path / "prepare").is_dir())
    script = folder / "prepare" / "build_micropython.sh"
    with contextlib.suppress(ValueError):
        script = script.relative_to(Path.cwd())
    return f"{script} {board}"


def prepared(board: str, name: str) -> Path:
    """The file `name` of a prepared board, under MADEM_CACHE or ~/.cache/madem.

    Raises:
        EmulatedBoardError: it is missing; says how to get it.
    """
    cache = Path(os.environ.get("MADEM_CACHE") or Path.home() / ".cache" / "madem")
    path = cache / "micropython" / "current" / board / name
    if not path.is_file():
        raise EmulatedBoardError(
            f"MicroPython for the board {board} is not prepared: "
            f"run {prepare_command(board)} (once)"
        )
    return path


def find_unix32() -> Path:
    """The 32-bit Unix build of MicroPython, to be named in MADEM_MICROPYTHON.

    Raises:
        EmulatedBoardError: it is missing; says how to get it.
    """
    return prepared("unix32", "micropython")
