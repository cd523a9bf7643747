"""Boards: what is attached, what can be emulated here, and one opened for use."""

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import serial
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from madem.boards import catalogue, port_users
from madem.boards.repl import open_port
from madem.errors import BoardError, BoardSpecError

SPECS = (
    "unix, unix:heap=64K, unix32, qemu, rp2040:FILE.uf2, a serial port (/dev/ttyACM0, COM3, "
    "socket://host:port) or auto (the one that is attached)"
)

# USB vendors of boards that often run MicroPython ...
_BOARD_VENDORS = {
    0x2E8A: "Raspberry Pi",
    0xF055: "MicroPython pyboard",
    0x303A: "Espressif",
    0x239A: "Adafruit",
    0x2341: "Arduino",
    0x0D28: "micro:bit",
    0x1FC9: "NXP",
    0x0483: "STMicroelectronics",
}
# ... and of adapter chips, which sit on boards but on many other things too.
_ADAPTER_VENDORS = {0x10C4: "CP210x", 0x1A86: "CH340", 0x0403: "FTDI", 0x067B: "PL2303"}

_STARTUP_SECONDS = 30.0

# By name: the module that runs it, what it is, and its options; FILE is one without a name.
_EMULATED = {
    "unix": (
        "madem_emulator.boards.unix",
        "real MicroPython as a process behind a serial port",
        ("heap=SIZE", "wiring=DESIGN", "sensor=CHIP+FILE", "dir=FOLDER"),
    ),
    "unix32": (
        "madem_emulator.boards.unix",
        "the same, a 32-bit build",
        ("heap=SIZE", "wiring=DESIGN", "sensor=CHIP+FILE"),
    ),
    "qemu": (
        "madem_emulator.boards.qemu",
        "real MicroPython on a Cortex-M3 in QEMU",
        ("heap=SIZE", "icount"),
    ),
    "rp2040": (
        "madem_emulator.boards.rp2040",
        "real MicroPython on an emulated RP2040",
        ("FILE", "wiring=DESIGN", "sensor=CHIP+FILE"),
    ),
}

PATIENCE_S = 10.0
"""How long a board may take for an answer; for what takes longer on every board, in proportion."""
# The same of emulated boards that compute slower than a chip.
_PATIENCE_S = {"rp2040": 200.0}

# The emulated boards on which `heap=SIZE` chooses the heap.
HEAP_CHOOSABLE = tuple(kind for kind, (_, _, known) in _EMULATED.items() if "heap=SIZE" in known)


# The emulated boards whose pins lead to the emulator's chips.
WITH_CHIPS = tuple(kind for kind, (_, _, known) in _EMULATED.items() if "wiring=DESIGN" in known)


@dataclass(frozen=True)
class BoardInfo:
    """A board that could be opened.

    Attributes:
        spec: what to give to `open_board` or `--board`.
        description: what it is, for people.
        emulated: it runs on this computer.
        likely: for a port: MicroPython is likely behind it, judged by its USB vendor.
        reason: why it can't be used here; None when it can.
    """

    spec: str
    description: str
    emulated: bool
    likely: bool
    reason: str | None = None


class Board:
    """An opened board; a context manager that closes it.

    Attributes:
        name: what messages call it: the spec it was opened with, or its port.
        port: the open pyserial port, this process's alone.
        emulated: it runs on this computer and ends with `close`.
        slowness: what timeouts are multiplied by for it.
    """

    def __init__(
        self,
        name: str,
        port: serial.Serial,
        process: subprocess.Popen[str] | None = None,
        slowness: float = 1.0,
    ) -> None:
        """Take an open port over.

        Args:
            name: what messages call the board.
            port: open, this process's alone.
            process: of an emulated board; it ends with `close`.
            slowness: what timeouts are multiplied by.
        """
        self.name = name
        self.port = port
        self.slowness = slowness
        self.emulated = process is not None
        self._process = process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the port; an emulated board ends and its flash is deleted."""
        with contextlib.suppress(OSError):  # it may have vanished
            self.port.close()
        if self._process is not None:
            _end(self._process)
            self._process = None


def open_board(spec: str, patience: float | None = None) -> Board:
    """Open a board.

    Args:
        spec: `unix`, `unix:heap=64K`, another emulated one, a port, or `auto`.
        patience: how long it may take for an answer, in s; None: 10, and 200 for the emulated
            rp2040, also behind a port.

    Returns:
        The board, to be closed.

    Raises:
        BoardError: no such board, it is in use, or it can't run here.
    """
    spec = spec.strip()
    kind, _, options = spec.partition(":")
    if kind in _EMULATED:
        return _open_emulated(spec, kind, options, patience)
    if spec == "auto":
        spec = _only_attached()
    elif not (spec.startswith(("/", "\\\\")) or "://" in spec or kind.upper().startswith("COM")):
        raise BoardSpecError(f"there is no board {spec!r}: choose {SPECS}")
    port = open_port(spec)
    return Board(spec, port, slowness=_slowness(patience, port_users.emulated_kind(spec)))


def list_boards() -> list[BoardInfo]:
    """List the attached serial ports, then the emulated boards."""
    return [
        *(_describe(port) for port in sorted(list_ports.comports())),
        *(
            BoardInfo(
                spec=spec,
                description=description,
                emulated=True,
                likely=True,
                reason=why_no_emulated_board(spec),
            )
            for spec, (_, description, _) in _EMULATED.items()
        ),
    ]


def why_no_emulated_board(spec: str = "unix", file: str | None = None) -> str | None:
    """See whether an emulated board can run on this computer.

    Args:
        spec: its name.
        file: the image that it shall run, where it takes one.

    Returns:
        Why it can't; None when it can.
    """
    if sys.platform != "linux":
        return "the emulated boards need Linux: attach a board, or use WSL or a container"
    # These modules import what only Linux has.
    from madem_emulator.boards.prepared import find_unix32
    from madem_emulator.boards.process import EmulatedBoardError
    from madem_emulator.boards.qemu import find_image
    from madem_emulator.boards.rp2040 import find_uf2
    from madem_emulator.boards.unix_interpreter import find_micropython

    try:
        if spec == "qemu":
            find_image()
        elif spec == "unix32":
            find_unix32()
        elif spec == "rp2040":
            find_uf2(file)
        else:
            find_micropython()
    except EmulatedBoardError as error:
        return str(error)
    return None


def _describe(port: ListPortInfo) -> BoardInfo:
    maker, adapter = _BOARD_VENDORS.get(port.vid), _ADAPTER_VENDORS.get(port.vid)
    known = catalogue.by_usb(port.vid, port.pid)
    if maker and known:
        title = known[0].title if len(known) == 1 else f"{' or '.join(_chips(known))} board"
        hint = f"{title}, may run MicroPython"
    elif maker:
        hint = f"{maker} board, may run MicroPython"
    elif adapter:
        hint = f"{adapter} adapter, perhaps a board"
    else:
        hint = "USB device" if port.vid is not None else "not USB, hardly a board"
    product = port.product or (port.description if port.description != "n/a" else None)
    return BoardInfo(
        spec=port.device,
        description=f"{product} ({hint})" if product else hint,
        emulated=False,
        likely=maker is not None,
    )


def _chips(types: Iterable[catalogue.BoardType]) -> list[str]:
    return list(dict.fromkeys(kind.chip for kind in types))


def _only_attached() -> str:
    """The one USB port; refuses to guess. Ports of the mainboard are never meant by `auto`."""
    ports = sorted(port for port in list_ports.comports() if port.vid is not None)
    if not ports:
        # Linux and macOS bring the drivers of all common adapters.
        driver = " (and install the driver of its USB chip)" if sys.platform == "win32" else ""
        raise BoardError(
            f"no board is attached: plug one in{driver}, name its port, or use the board unix"
        )
    if len(ports) > 1:
        listed = ", ".join(f"{port.device} ({port.product or 'unnamed'})" for port in ports)
        raise BoardError(f"several boards are attached, name one of them: {listed}")
    return ports[0].device


def _slowness(patience: float | None, kind: str | None) -> float:
    """What timeouts are multiplied by, of an emulated kind of board or another (None)."""
    if patience is None:
        patience = _PATIENCE_S.get(kind or "", PATIENCE_S)
    return patience / PATIENCE_S


def _open_emulated(spec: str, kind: str, options: str, patience: float | None) -> Board:
    module, _, known = _EMULATED[kind]
    arguments, others = [], []
    for option in options.split(",") if options else []:
        key, equals, value = option.partition("=")
        taken = [name.partition("=")[0] for name in known if ("=" in name) == bool(value)]
        if key in taken and (value or not equals):
            arguments.append(f"--{option}")
        else:
            others.append(option)
    if others and "FILE" not in known:
        raise BoardSpecError(
            f"board {spec!r}: {kind} has only the option {' and the option '.join(known)}"
        )
    file = ",".join(others) or None
    reason = why_no_emulated_board(kind, file)
    if reason:
        raise (BoardSpecError if file else BoardError)(reason)
    if file:
        arguments.append(file)
    with tempfile.TemporaryDirectory(prefix="madem-") as folder:
        arguments = [_readable(argument, Path(folder)) for argument in arguments]
        process = _started(kind, module, arguments)
        try:
            return Board(spec, open_port(_port_of(process)), process, _slowness(patience, kind))
        except BaseException:
            _end(process)
            raise


def _readable(argument: str, folder: Path) -> str:
    """The argument; a user's file that a sensor is to measure becomes one that the board reads."""
    if not argument.startswith("--sensor="):
        return argument
    from madem.boards import sensor_signal

    return sensor_signal.handed_over(argument, folder)


def _started(kind: str, module: str, arguments: Sequence[str]) -> subprocess.Popen[str]:
    """The process of an emulated board."""
    return subprocess.Popen(
        # -P: a file of the current directory must not pose as a module.
        [sys.executable, "-P", "-m", module, *arguments],
        # The board ends when this pipe closes, so also when this process is killed.
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(kind),
        # Ctrl-C at the terminal is for this process, which then closes the board.
        start_new_session=True,
    )


def _environment(kind: str) -> dict[str, str] | None:
    """What the emulated board's process finds in its environment; None: all that is here."""
    if kind != "unix32":
        return None
    from madem_emulator.boards.prepared import find_unix32

    return os.environ | {"MADEM_MICROPYTHON": str(find_unix32())}


def _port_of(process: subprocess.Popen[str]) -> str:
    """The path that a starting emulated board prints."""
    assert process.stdout is not None
    assert process.stderr is not None
    ready, _, _ = select.select([process.stdout], [], [], _STARTUP_SECONDS)
    path = process.stdout.readline().strip() if ready else ""
    if path:
        return path
    if not ready:
        raise BoardError(f"the emulated board did not start within {_STARTUP_SECONDS:g} s")
    said = process.stderr.read().strip().splitlines()
    if not said:
        raise BoardError("the emulated board ended while it started")
    raise BoardSpecError(said[-1])  # what this computer lacks has been looked for before


def _end(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
