"""The one adapter around mpremote's raw-REPL transport, and the only place that opens ports.

Everything that mpremote or pyserial can raise leaves here as a `BoardError`
whose line says what to do. mpremote's Python API is not promised to stay:
pyproject.toml pins it, and nothing else in the repository imports it.
"""

import ast
import contextlib
import hashlib
import math
import os
import re
import shlex
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import serial
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from madem.boards import port_users
from madem.boards.console import explain_traceback
from madem.errors import BoardError

if sys.platform == "win32":
    _PORT_ERRORS: tuple[type[Exception], ...] = (OSError,)
else:
    import grp
    import termios

    # pyserial's SerialException is an OSError, but it lets this one through.
    _PORT_ERRORS = (OSError, termios.error)

BAUDRATE = 115200

_RAW_BANNER = b"raw REPL; CTRL-B to exit\r\n"
_SOFT_REBOOT = b"soft reboot\r\n"
_FRIENDLY_PROMPT = b">>> "

# The longest silence in the middle of an exchange, seconds: a board that
# erases flash or collects garbage pauses, but not for so long.
_PATIENCE = 2.0
# File bytes sent in one command. mpremote's 256 suit the smallest boards; a
# command costs a round trip, so more goes where the heap is large enough.
_SMALLEST_CHUNK, _LARGEST_CHUNK = 256, 4096

# A fingerprint per file: SHA-256 where the board has it, else Adler-32 in
# small integers (some ports have no hashlib); None for a missing file.
_FINGERPRINTS = """\
try:
 from hashlib import sha256
except ImportError:
 sha256=None
def fingerprint(path):
 try:f=open(path,'rb')
 except OSError:return None
 b=memoryview(bytearray(256))
 h=sha256() if sha256 else None
 x=1
 y=0
 while 1:
  n=f.readinto(b)
  if not n:break
  if h:h.update(b[:n])
  else:
   for c in b[:n]:
    x=(x+c)%65521
    y=(y+x)%65521
 f.close()
 return h.digest() if h else (y,x)
for path in {paths!r}:print(fingerprint(path))
"""


def open_port(address: str) -> serial.Serial:
    """Open a serial port for this process alone.

    Args:
        address: `/dev/ttyACM0`, `COM3` or a pyserial URL such as `socket://host:port`.

    Returns:
        The open port.

    Raises:
        BoardError: it does not exist, is in use, or may not be opened.
    """
    try:
        return serial.serial_for_url(address, baudrate=BAUDRATE, timeout=_PATIENCE, exclusive=True)
    except ValueError as error:  # a URL that pyserial does not understand
        raise BoardError(f"{address} is not a serial port: {error}") from None
    except _PORT_ERRORS as error:
        raise BoardError(_explain_open(address, error)) from None


@contextlib.contextmanager
def port_errors(name: str, doing: str, address: str) -> Iterator[None]:
    """Turn what mpremote and pyserial raise into a BoardError that names the board.

    Args:
        name: of the board.
        doing: what is done meanwhile, for the message.
        address: of its port.

    Yields:
        Nothing.

    Raises:
        BoardError: the board takes no data, does not answer, or vanished.
    """
    try:
        yield
    except serial.SerialTimeoutException:
        raise BoardError(
            f"{name} takes no more data while {doing}: reset it, then run this again"
        ) from None
    except (TransportError, struct.error):
        raise BoardError(
            f"{name} stopped answering while {doing}: {_close_others(address)}, "
            "reset the board, then run this again"
        ) from None
    except _PORT_ERRORS as error:
        raise BoardError(_explain_loss(name, doing, address, error)) from None


@dataclass(frozen=True)
class Entry:
    """One entry of a directory on the board.

    Attributes:
        name: without the path.
        is_directory: it is no file.
    """

    name: str
    is_directory: bool


class _Transport(SerialTransport):
    """mpremote's transport on a port that is open already."""

    def __init__(self, port: serial.Serial, slowness: float) -> None:
        self._slowness = slowness
        self.in_raw_repl = False
        self.use_raw_paste = True
        self.device_name = port.port
        self.mounted = False
        self.serial = port
        # Makes mpremote wait in read() with the port's timeout, instead of
        # sleeping 10 ms whenever nothing has arrived yet.
        self.is_pty = True

    def read_until(self, *args: Any, timeout: int = 10, **named: Any) -> bytes:
        """As mpremote's, where all waiting is done, for a board of this slowness."""
        return super().read_until(*args, timeout=math.ceil(timeout * self._slowness), **named)


class Repl:
    """The raw REPL of one board; a context manager that leaves it again.

    On entry the running program is interrupted and the board soft-reset
    without running main.py; on exit the friendly REPL waits at its prompt.

    Attributes:
        name: what messages call the board.
    """

    def __init__(
        self, port: serial.Serial | str, name: str | None = None, slowness: float = 1.0
    ) -> None:
        """Use a port; nothing is sent yet.

        Args:
            port: an open pyserial port, or an address that is opened and closed here.
            name: what messages call the board; default: the port's address.
            slowness: what every timeout is multiplied by.
        """
        self._own = isinstance(port, str)
        self._port = open_port(port) if isinstance(port, str) else port
        self.name = name or str(self._port.port)
        self._slowness = slowness
        self._transport = _Transport(self._port, slowness)
        self._timeouts = self._port.timeout, self._port.write_timeout
        self._inside = False
        self._chunk = 0  # bytes of a file that one command carries; 0: not yet chosen

    def __enter__(self) -> Self:
        try:
            self.enter()
        except BoardError:
            self._release()
            raise
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        # A board that just failed would only fail again, hiding the first error.
        with contextlib.suppress(BoardError) if exc_type else contextlib.nullcontext():
            self.leave()
        self._release()

    def enter(self, timeout: float = 10.0) -> None:
        """Interrupt whatever runs, soft-reset, and wait at the prompt of the raw REPL.

        Args:
            timeout: how long the board may take to be interrupted, in seconds.

        Raises:
            BoardError: it does not answer, or vanished.
        """
        timeout *= self._slowness
        with self._errors("interrupting its program"):
            self._port.write_timeout = timeout
            end = time.monotonic() + timeout
            patience = 0.25 * self._slowness
            while not self._interrupt(min(patience, timeout)):
                if time.monotonic() > end:
                    raise BoardError(
                        f"{self.name} does not answer with a MicroPython prompt: is MicroPython "
                        f"on it? If so, {_close_others(str(self._port.port))}, reset the board, "
                        "then run this again"
                    )
                # A program that cleans up may have eaten the command: say it again.
                patience *= 2
            self._port.write(b"\x04")
            if not (self._wait(_SOFT_REBOOT, timeout) and self._wait(_RAW_BANNER, timeout)):
                raise BoardError(
                    f"{self.name} does not come back from a soft reset: does its boot.py end? If "
                    f"so, {_close_others(str(self._port.port))}, reset the board, then run this "
                    "again"
                )
            self._port.timeout = self._port.write_timeout = _PATIENCE * self._slowness
            self._inside = True

    def exec(self, code: str, timeout: int = 10) -> bytes:
        """Run code on the board.

        Args:
            code: Python.
            timeout: the longest pause of its output, in seconds.

        Returns:
            What it printed.

        Raises:
            BoardError: it raised (the last line of its traceback is quoted), or stopped answering.
        """
        with self._errors("running a command"):
            output, failure = self._transport.exec_raw(code, timeout=timeout)
        if failure:
            raise BoardError(f"{self.name}: {explain_traceback(failure)}")
        return output

    def start(self, code: str) -> None:
        """Start code that takes over the port, and don't follow it.

        Args:
            code: Python.
        """
        with self._errors("starting a program"):
            self._transport.exec_raw_no_follow(code)
        self._inside = False

    def run_main(self, ready: bytes | None, timeout: float = 10.0) -> None:
        """Soft-reset into main.py, as at power-up; the port then belongs to main.py.

        Args:
            ready: what main.py prints when it is up; None: don't wait for it.
            timeout: how long that may take, in seconds.

        Raises:
            BoardError: main.py raised, ended, or did not print it in time.
        """
        timeout *= self._slowness
        self.leave()
        with self._errors("starting main.py"):
            self._wait(_FRIENDLY_PROMPT, timeout)
            self._port.write(b"\x04")
            if not self._wait(_SOFT_REBOOT, timeout):
                raise BoardError(f"{self.name} does not soft-reset: reset it, then try again")
            if ready is None:
                return
            said = self._wait((ready, _FRIENDLY_PROMPT), timeout)
        if not said:
            raise BoardError(
                f"main.py on {self.name} did not report within {timeout:g} s: "
                "deploy the firmware again, or give a slow board longer with --patience"
            )
        if not said.endswith(ready):
            reason = explain_traceback(said)
            if reason.startswith("MemoryError"):
                reason += (
                    ": freeze the firmware into its MicroPython, as docs/start/deploy.md tells"
                )
            elif b"Traceback" not in said:  # most likely a board that never had the firmware
                reason += (
                    f"; `madem deploy --board {shlex.quote(self.name)}` puts the firmware on it"
                )
            raise BoardError(f"main.py on {self.name} ended at once: {reason}")

    def leave(self) -> None:
        """Go to the friendly REPL."""
        if self._inside:
            self._inside = False
            with self._errors("leaving the raw REPL"):
                self._port.write(b"\r\x02")

    def _errors(self, doing: str) -> contextlib.AbstractContextManager[None]:
        return port_errors(self.name, doing, str(self._port.port))

    def list_files(self, directory: str = "") -> list[Entry]:
        """List a directory of the board.

        Args:
            directory: its path; default: where the board starts.

        Returns:
            Its entries, sorted by name.
        """
        listed = self.exec(f"import os\nfor e in os.ilistdir({directory!r}):print(e[:2])")
        entries = [ast.literal_eval(line) for line in listed.decode().splitlines()]
        return sorted(
            (Entry(name, kind == 0x4000) for name, kind in entries), key=lambda entry: entry.name
        )

    def find_equal(self, files: Mapping[str, bytes]) -> set[str]:
        """Compare files on the board.

        Args:
            files: by path, the bytes that are expected.

        Returns:
            The paths whose files hold exactly these bytes.
        """
        if not files:
            return set()
        # In plain Python a fingerprint takes up to 0.1 ms a byte.
        patience = 10 + max(len(content) for content in files.values()) // 2000
        printed = self.exec(_FINGERPRINTS.format(paths=tuple(files)), timeout=patience)
        found = [ast.literal_eval(line) for line in printed.decode().splitlines()]
        return {
            path
            for (path, content), fingerprint in zip(files.items(), found, strict=True)
            if fingerprint in (hashlib.sha256(content).digest(), _adler32(content))
        }

    def write_file(
        self, path: str, content: bytes, progress: Callable[[int], None] | None = None
    ) -> None:
        """Write a whole file; its directory must exist.

        Args:
            path: of the file.
            content: its bytes.
            progress: called after every piece with the number of bytes written so far.
        """
        chunk = self._chunk = self._chunk or self._chunk_size()
        self.exec(f"f=open({path!r},'wb')\nw=f.write")
        for start in range(0, len(content), chunk):
            piece = content[start : start + chunk]
            self.exec(f"w({piece!r})")
            if progress:
                progress(start + len(piece))
        self.exec("f.close()")

    def make_directory(self, path: str) -> None:
        """Make a directory unless it exists.

        Args:
            path: of the directory.
        """
        self.exec(f"import os\ntry:os.mkdir({path!r})\nexcept OSError as e:\n if e.errno!=17:raise")

    def _chunk_size(self) -> int:
        free = int(self.exec("import gc\ngc.collect()\nprint(gc.mem_free())"))
        return max(_SMALLEST_CHUNK, min(_LARGEST_CHUNK, free // 16))

    def _interrupt(self, patience: float) -> bool:
        self._port.reset_input_buffer()
        # Without a line end: what somebody left in the prompt's line must not be executed.
        self._port.write(b"\x03")
        self._port.write(b"\x01")
        return bool(self._wait(_RAW_BANNER + b">", patience))

    def _wait(self, endings: bytes | tuple[bytes, ...], patience: float) -> bytes:
        """Read up to one of the endings, never beyond; b"" when time is up."""
        end = time.monotonic() + patience
        self._port.timeout = min(patience, 0.1)
        seen = bytearray()
        while time.monotonic() < end:
            seen += self._port.read(1)
            if seen.endswith(endings):
                return bytes(seen)
            del seen[:-4096]
        return b""

    def _release(self) -> None:
        with contextlib.suppress(*_PORT_ERRORS):
            if self._own:
                self._port.close()
            else:
                self._port.timeout, self._port.write_timeout = self._timeouts


def _adler32(content: bytes) -> tuple[int, int]:
    return divmod(zlib.adler32(content), 65536)


def _close_others(address: str) -> str:
    others = port_users.others(address)
    if others:
        return f"close {others}, which has the port open too"
    return "close other programs that use the port"


def _explain_loss(name: str, doing: str, address: str, error: Exception) -> str:
    """Why a port failed that was open, and what to do, in one line."""
    others = port_users.others(address)
    if others:
        return (
            f"{name} was cut off while {doing}: close {others}, which has the port open too, "
            "then run this again"
        )
    if "multiple access" in str(error) and os.path.exists(address):
        return (
            f"{name} was cut off while {doing}: another program reads from its port, one of "
            "another user or one that has just ended; close it, then run this again"
        )
    return (
        f"{name} vanished while {doing} (unplugged, or its power was cut): "
        "bring it back, then run this again"
    )


def _explain_open(address: str, error: Exception) -> str:
    """Why a port can't be opened and what to do, in one line."""
    text = str(error)
    number = getattr(error, "errno", None)
    if isinstance(error, FileNotFoundError) or number == 2 or "FileNotFoundError" in text:
        return f"there is no port {address}: plug the board in; `madem boards` lists what is there"
    if "exclusively lock" in text or number == 16 or "PermissionError" in text:
        others = port_users.others(address)
        if others:
            return f"{address} is in use by {others}: close it, then try again"
        return f"{address} is in use: close the other program that has it open, then try again"
    if number in (1, 13):
        group = group_of_port(address)
        return (
            f"no permission to open {address}: run `sudo usermod -aG {group} $USER`, "
            "then log out and in again"
        )
    reasons = re.findall(r"(?:\[Errno -?\d+\] |\(\d+, ')([^:']+)", text)
    why = f": {reasons[-1]}" if reasons else ""
    if "://" in address:
        return f"{address} can't be reached{why}"
    return f"{address} is no serial port that works{why}"


def group_of_port(address: str) -> str:
    """Find the group that may use a port.

    Args:
        address: path of the port.

    Returns:
        Its name; dialout when that can't be told.
    """
    if sys.platform != "win32":
        with contextlib.suppress(OSError, KeyError):
            group = grp.getgrgid(os.stat(address).st_gid).gr_name
            if group != "root":
                return group
    return "dialout"
