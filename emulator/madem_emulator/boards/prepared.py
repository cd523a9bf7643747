"""Builds of MicroPython that are prepared once, by emulator/prepare/build_micropython.sh."""

import contextlib
import os
from pathlib import Path

from madem_emulator.boards.process import EmulatedBoardError


def prepare_folder() -> Path:
    """The folder `prepare`: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parents[1]
    return next(p / "prepare" for p in (package.parent, package) if (p / "prepare").is_dir())


def prepare_command(board: str) -> str:
    """The command that prepares a board.

    Args:
        board: `qemu`, `unix32` or `rp2040`.

    Returns:
        What to type, relative to the folder that this process is in if possible.
    """
    script = prepare_folder() / "build_micropython.sh"
    with contextlib.suppress(ValueError):
        script = script.relative_to(Path.cwd())
    return f"{script} {board}"


def prepared(board: str, name: str) -> Path:
    """Find a file of a prepared board, under MADEM_CACHE or ~/.cache/madem.

    Args:
        board: `qemu`, `unix32` or `rp2040`.
        name: of the file.

    Returns:
        Its path.

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
