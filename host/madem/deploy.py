"""Put the firmware on a board, only what changed, and start it."""

import importlib.resources
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from madem.boards import Board
from madem.errors import BoardError
from madem.repl import Repl

# The line with which firmware/main.py reports that it serves the link starts so.
READY = b"madem: ready"

MAIN = "main.py"
PACKAGE = "madem"


@dataclass(frozen=True)
class Summary:
    """What a deployment did.

    Attributes:
        written: paths on the board that were written, in this order.
        unchanged: paths that already held the right bytes.
        bytes_written: of all written files together.
        kept: the new name of a main.py that was not madem's; None if there was none.
        seconds: duration.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    bytes_written: int
    kept: str | None
    seconds: float


def deploy(
    board: Board,
    force: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    folder: Traversable | None = None,
) -> Summary:
    """Bring the firmware's files on a board up to date; other files stay.

    The running program is interrupted. `main.py` is written last, and every
    written file is read back and compared on the board.

    Args:
        board: an open board.
        force: write also what is unchanged.
        progress: called with the path, the bytes written so far and all that will be.
        folder: what holds `main.py` and `madem/`; default: the firmware that came with madem.

    Raises:
        BoardError: the board does not answer, vanished, is full, or a file arrived damaged.
    """
    begin = time.monotonic()
    files = firmware_files(folder)
    with Repl(board.port, board.name) as repl:
        same = set() if force else repl.find_equal(files)
        pending = {path: content for path, content in files.items() if path not in same}
        total = sum(map(len, pending.values()))
        kept = _keep_foreign_main(repl) if MAIN in pending else None
        if pending:
            repl.make_directory(PACKAGE)
        done = 0
        for path, content in pending.items():

            def report(written: int, path: str = path, before: int = done) -> None:
                if progress:
                    progress(path, before + written, total)

            repl.write_file(path, content, report)
            done += len(content)
        damaged = sorted(set(pending) - repl.find_equal(pending))
        if damaged:
            raise BoardError(
                f"{', '.join(damaged)} arrived damaged on {board.name}: deploy again; "
                "if that does not help, its flash is worn or full"
            )
    return Summary(
        written=tuple(pending),
        unchanged=tuple(path for path in files if path in same),
        bytes_written=total,
        kept=kept,
        seconds=time.monotonic() - begin,
    )


def start(board: Board, ready: bytes | None = READY, timeout: float = 10.0) -> None:
    """Reset the board softly into its main.py, as after power-up.

    The port is then the firmware's: the first byte that is not read here
    follows the `ready` text.

    Args:
        board: an open board with the firmware on it.
        ready: the text that main.py prints when it serves; None: don't wait for it.
        timeout: how long main.py may take to print it, in seconds.

    Raises:
        BoardError: main.py raised (its error is quoted), ended, or did not report in time.
    """
    with Repl(board.port, board.name) as repl:
        repl.run_main(ready, timeout)


def firmware_files(folder: Traversable | None = None) -> dict[str, bytes]:
    """Content by path on the board, in the order of writing: main.py is the last.

    Paths are relative: boards start in their own file system, not all of them at `/`.

    Raises:
        BoardError: the folder holds no firmware.
    """
    root = importlib.resources.files("madem_firmware") if folder is None else folder
    package = root / PACKAGE
    if not ((root / MAIN).is_file() and package.is_dir()):
        raise BoardError(f"{root} holds no firmware: {MAIN} and {PACKAGE}/ are expected there")
    modules = sorted(
        (item for item in package.iterdir() if item.name.endswith(".py") and item.is_file()),
        key=lambda item: item.name,
    )
    files = {f"{PACKAGE}/{item.name}": item.read_bytes() for item in modules}
    return files | {MAIN: (root / MAIN).read_bytes()}


def _keep_foreign_main(repl: Repl) -> str | None:
    """Rename a main.py that does not mention madem; returns its new name."""
    name = repl.exec(
        f"""\
import os
def keep():
 try:
  with open('{MAIN}','rb') as f:
   if b'{PACKAGE}' in f.read(2048):return
 except OSError:return
 n=1
 while 'main_old%d.py'%n in os.listdir():n+=1
 os.rename('{MAIN}','main_old%d.py'%n)
 print('main_old%d.py'%n,end='')
keep()
"""
    ).decode()
    return name or None
