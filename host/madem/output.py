"""Files and folders that a user asks for: refused before the work begins, written whole or not
at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from madem.errors import MademError


def check_file(path: str | Path, make_folder: bool = False) -> None:
    """See that `write_whole` will succeed.

    Raises:
        MademError: the file can't be written there.
    """
    path = Path(path)
    if path.is_dir():
        raise MademError(f"can't write {path}: it is a folder")
    if _special(path):
        return
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        _part(path).touch()
        _part(path).unlink()
    except OSError as error:
        raise _refused(path, error) from None


def check_folder(path: str | Path) -> None:
    """Make a folder unless it is there, and see that files can be written into it.

    Raises:
        MademError: they can't.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise _refused(path, error) from None


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file; an existing one is replaced whole or not at all.

    Raises:
        MademError: it can't be written.
    """
    path = Path(path)
    try:
        if _special(path):
            path.write_bytes(data)
            return
        try:
            _part(path).write_bytes(data)
            os.replace(_part(path), path)
        finally:
            _part(path).unlink(missing_ok=True)
    except OSError as error:
        raise _refused(path, error) from None


def _special(path: Path) -> bool:
    """A device or a pipe, such as /dev/stdout: to be written to, never replaced."""
    return path.exists() and not path.is_file()


def _part(path: Path) -> Path:
    # What a link points to is replaced, not the link.
    path = Path(os.path.realpath(path))
    return path.with_name(path.name + ".part")


def _refused(path: str | Path, error: OSError) -> MademError:
    return MademError(f"can't write {path}: {error.strerror or error}")
