"""Who else has a port open, and which emulated board is behind it, as far as /proc tells.

Only Linux has a /proc that does, and it shows the processes of other users to root alone: what
is found is true, but where nothing is found there may still be somebody.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def others(address: str) -> str:
    """Name the other programs that have a port open.

    Args:
        address: of the port, such as `/dev/ttyACM0`.

    Returns:
        Such as `screen (process 4711)`, or several with commas; "" when none can be seen.
    """
    port = os.path.realpath(address)
    found = [
        f"{_name(process)} (process {process.name})"
        for process in _processes()
        if process.name != str(os.getpid())
        and any(target == port for _, target in _opened(process))
        and not _emulates(process)
    ]
    return ", ".join(found)


def emulated_kind(address: str) -> str | None:
    """Tell which emulated board serves a port.

    Args:
        address: of the port.

    Returns:
        `unix`, `qemu` or `rp2040`; None when it is another port, or that can't be seen.
    """
    port = os.path.realpath(address)
    number = port.removeprefix("/dev/pts/")
    for process in _processes() if port != number else ():
        kind = _emulates(process)
        if kind and any(
            target == port or (target.endswith("/ptmx") and _is_master(process, descriptor, number))
            for descriptor, target in _opened(process)
        ):
            return kind
    return None


def _processes() -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from (entry for entry in _PROC.iterdir() if entry.name.isdigit())


def _opened(process: Path) -> Iterator[tuple[str, str]]:
    """The descriptors of a process, and the paths that they lead to."""
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield descriptor.name, os.readlink(descriptor)


def _emulates(process: Path) -> str | None:
    """The kind of the board that a process is."""
    with contextlib.suppress(OSError):
        command = (process / "cmdline").read_bytes().decode(errors="replace")
        module = re.search(r"\0madem_emulator\.boards\.(\w+)\0", command)
        return module[1] if module else None
    return None


def _is_master(process: Path, descriptor: str, number: str) -> bool:
    """Whether a descriptor is the other end of this pty."""
    with contextlib.suppress(OSError):
        details = (process / "fdinfo" / descriptor).read_text()
        return bool(re.search(rf"^tty-index:\s*{number}$", details, re.MULTILINE))
    return False


def _name(process: Path) -> str:
    with contextlib.suppress(OSError):
        return (process / "comm").read_text().strip()
    return "a program"
