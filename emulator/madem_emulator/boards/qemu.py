"""Upstream MicroPython on an emulated Cortex-M3, as a board on a serial port.

Run as `python -m madem_emulator.boards.qemu [--heap 64K] [--icount]` it prints
the path of its serial port (a pty) on one line and serves it until its parent
ends, its stdin (when that is a pipe) closes, or a signal asks it to stop.

The machine is QEMU's MPS2-AN385: a Cortex-M3 with 32-bit integers, Thumb code
from viper and inline assembler, and a heap that is chosen at start. Its
firmware is MicroPython's own `qemu` port, built by
emulator/prepare/build_micropython.sh with what emulator/prepare/qemu_board/
adds: Ctrl-C, `time`, `sys.stdin.buffer`, a file system of 1 MB, boot.py and
main.py. The file system starts empty and ends with the process.

The serial line has flow control: QEMU takes a byte only when the board has
room for it, so nothing is lost however fast the host writes.

With `--icount` time is counted in instructions instead of seconds: each one
lasts 64 ns, so `time.ticks_cpu()`, which counts 25 MHz, advances by 8/5 an
instruction, and what is measured with it is repeatable to a tick.

Linux only (5.3 or newer): it needs pidfd and prctl.
"""

import argparse
import contextlib
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from madem_emulator.boards.prepared import prepare_command, prepared
from madem_emulator.boards.process import (
    EmulatedBoardError,
    killed_with_parent,
    open_port,
    parse_size,
    serve,
)

DEFAULT_HEAP = 140 * 1024
SMALLEST_HEAP = 8 * 1024
LARGEST_HEAP = 1024 * 1024

# Where the firmware looks for its heap size at power-on (qemu_board/board.c).
_HEAP_SIZE_WORD = 0x2100_0000
# 2**6 ns an instruction: more than a tick of the board's clock, so none is missed.
_ICOUNT_SHIFT = 6
_BOOT_SECONDS = 20.0


def find_image() -> Path:
    """The prepared firmware of the `qemu` board.

    Raises:
        EmulatedBoardError: it, or QEMU, is missing; says how to get it.
    """
    image = prepared("qemu", "firmware.elf")
    if shutil.which("qemu-system-arm") is None:
        raise EmulatedBoardError(
            f"the board qemu needs qemu-system-arm: run {prepare_command('qemu')}"
        )
    return image


class QemuBoard:
    """An emulated board: a pty whose other end is the UART of a machine in QEMU.

    Attributes:
        port: path of the serial port.
    """

    def __init__(
        self,
        image: Path,
        heap: int = DEFAULT_HEAP,
        icount: bool = False,
        options: Sequence[str] = ("-monitor", "none"),
    ) -> None:
        """Power up.

        Args:
            image: the firmware, an ELF file.
            heap: bytes of MicroPython's heap.
            icount: count time in instructions.
            options: of QEMU, for its monitor and its log.
        """
        master, self._slave = open_port()
        self.port = os.ttyname(self._slave)
        command = [
            *("qemu-system-arm", "-machine", "mps2-an385", "-kernel", str(image)),
            *("-display", "none", "-nodefaults", *options),
            # QEMU's own `-serial pty` looks for a client only once a second.
            *("-add-fd", f"fd={master},set=1"),
            *("-chardev", "serial,id=port,path=/dev/fdset/1", "-serial", "chardev:port"),
            *("-device", f"loader,addr={_HEAP_SIZE_WORD},data={heap},data-len=4"),
            *(["-icount", f"shift={_ICOUNT_SHIFT}"] if icount else []),
        ]
        self._machine = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[master],
            # A Ctrl-C typed at the host's terminal is not meant for the board.
            start_new_session=True,
            preexec_fn=killed_with_parent(),
        )
        os.close(master)
        self._said = b""

    def boot(self) -> None:
        """Wait until the board says its first words, which stay in the port for its client.

        Raises:
            EmulatedBoardError: QEMU ended, or the board stays silent.
        """
        if not self._wait([self._slave], _BOOT_SECONDS):
            raise EmulatedBoardError(f"the emulated board is silent after {_BOOT_SECONDS:g} s")
        hung_up = select.poll()
        hung_up.register(self._slave, 0)
        if hung_up.poll(0):  # not words: the other end closed, and QEMU is about to end
            self._wait([], _BOOT_SECONDS)

    def run(self, watched: list[int]) -> None:
        """Wait until one of the watched descriptors becomes readable.

        Args:
            watched: descriptors.

        Raises:
            EmulatedBoardError: QEMU ended.
        """
        self._wait(watched, None)

    def _wait(self, watched: list[int], seconds: float | None) -> bool:
        """Whether a watched descriptor became readable before the time was over.

        Raises:
            EmulatedBoardError: QEMU ended by itself; quotes its last line.
        """
        output = self._machine.stdout
        assert output is not None
        while True:
            ready, _, _ = select.select([*watched, output], [], [], seconds)
            if output not in ready:
                return bool(ready)
            text = os.read(output.fileno(), 4096)
            if not text:
                reason = self._said.decode(errors="replace").strip().splitlines()
                raise EmulatedBoardError(
                    reason[-1] if reason else f"QEMU ended with status {self._machine.wait()}"
                )
            self._said = (self._said + text)[-4096:]

    def close(self) -> None:
        """Power off and close the port."""
        self._machine.kill()
        self._machine.wait()
        with contextlib.suppress(OSError):
            os.close(self._slave)


def main(arguments: list[str] | None = None) -> int:
    """Serve one board until whoever started it is gone.

    Args:
        arguments: of the command line; None: the process's own.

    Returns:
        The process's exit code: 2 when the board can't start or fails (the reason goes to stderr).
    """
    parser = argparse.ArgumentParser(
        prog="python -m madem_emulator.boards.qemu",
        description="MicroPython on an emulated Cortex-M3; prints the path of its serial port",
    )
    parser.add_argument("--heap", default=str(DEFAULT_HEAP), help="heap size (default: 140K)")
    parser.add_argument(
        "--icount", action="store_true", help="count time in instructions (64 ns each)"
    )
    options = parser.parse_args(arguments)

    @contextlib.contextmanager
    def started() -> Iterator[QemuBoard]:
        heap = parse_size(options.heap, SMALLEST_HEAP, LARGEST_HEAP)
        with contextlib.closing(QemuBoard(find_image(), heap, options.icount)) as board:
            board.boot()
            yield board

    return serve(started)


if __name__ == "__main__":
    sys.exit(main())
