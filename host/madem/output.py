"""Files and folders that a user asks for.

They are refused before the work begins, and written whole or not at all.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from madem.errors import DiskError, MademError

_NO_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)


def refused(path: str | Path, error: OSError) -> MademError:
    """Make the error to raise where a file can't be written.

    Args:
        path: the file.
        error: what the system said.

    Returns:
        A `DiskError`, unless the path itself is none for a file.
    """
    told = f"can't write {path}: {error.strerror or error}"
    return MademError(told) if error.errno in _NO_PLACE else DiskError(told)


def check_file(path: str | Path, make_folder: bool = False) -> None:
    """See that `write_whole` will succeed.

    Args:
        path: of the file.
        make_folder: make its folder unless it is there.

    Raises:
        MademError: the file can't be written there.
    """
    try:
        target = _place(path)
        if make_folder:
            target.parent.mkdir(parents=True, exist_ok=True)
        if not _special(target):
            with tempfile.TemporaryFile(dir=target.parent):
                pass
    except OSError as error:
        raise refused(path, error) from None


def same_file(path: str | Path, other: str | Path) -> bool:
    """Tell whether two paths lead to one file, there or not, also by way of links.

    Args:
        path: of a file to be written.
        other: of another.

    Returns:
        Whether they do; never of a device or a pipe, which keeps nothing.
    """
    one, two = Path(path), Path(other)
    if _special(one):
        return False
    if one.exists() and two.exists():
        return one.samefile(two)
    return one.resolve() == two.resolve()


def check_folder(path: str | Path) -> None:
    """Make a folder unless it is there, and see that files can be written into it.

    Args:
        path: of the folder.

    Raises:
        MademError: they can't.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise refused(path, error) from None


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file; an existing one is replaced whole or not at all.

    Args:
        path: of the file.
        data: its bytes.

    Raises:
        MademError: it can't be written.
    """
    try:
        target = _place(path)
        if _special(target):
            target.write_bytes(data)
            return
        mode = _mode(target)
        file, part = tempfile.mkstemp(".part", ".madem-", target.parent)  # a name of its own
        try:
            with open(file, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(file)
            os.chmod(part, mode)
            os.replace(part, target)
        finally:
            Path(part).unlink(missing_ok=True)
    except OSError as error:
        raise refused(path, error) from None


def write_json(path: str | None, result: Mapping[str, Any]) -> None:
    """Write a result as JSON, whole or not at all.

    Args:
        path: `-` is the standard output; None: nobody asked for it.
        result: what JSON can hold.

    Raises:
        MademError: the file can't be written.
    """
    if path is None:
        return
    text = json.dumps(result, indent=2) + "\n"
    if path == "-":
        print(text, end="")
    else:
        write_whole(path, text.encode())


def _place(path: str | Path) -> Path:
    """Where the file goes; what a link points to is replaced, not the link."""
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return target if _special(target) else target.resolve()  # /dev/stdout leads to what is no path


def _mode(target: Path) -> int:
    """The permissions of the file that is replaced, or those of any new file."""
    if target.exists():
        return target.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _special(path: Path) -> bool:
    """A device or a pipe, such as /dev/stdout: to be written to, never replaced."""
    return path.exists() and not path.is_file()
