"""Flashing programs of others, run as programs: their output read, their progress passed on."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from madem.errors import BoardError

# Whole lines without colours, also from programs that fit what they print to a terminal.
_PLAIN = {"COLUMNS": "1000", "NO_COLOR": "1", "TERM": "dumb", "LC_ALL": "C"}
_PERCENT = re.compile(rb"(\d{1,3})(?:\.\d+)?\s*%")


@dataclass(frozen=True)
class Done:
    """The end of a program.

    Attributes:
        code: its exit code.
        output: all that it printed.
    """

    code: int
    output: str

    def last_line(self) -> str:
        """The last thing that it said."""
        lines = [line.strip() for line in re.split(r"[\r\n]+", self.output) if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}, without a word"


def run(command: list[str], progress: Callable[[int], None] | None = None) -> Done:
    """Run a program to its end.

    Args:
        command: its words.
        progress: called with the percentage that the program prints, whenever it grows.

    Returns:
        How it ended.

    Raises:
        BoardError: it can't be started.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | _PLAIN,
        )
    except OSError as error:
        raise BoardError(f"can't run {command[0]}: {error.strerror}") from None
    assert process.stdout is not None
    output, percent = bytearray(), 0
    try:
        while piece := os.read(process.stdout.fileno(), 4096):
            output += piece
            found = _PERCENT.findall(bytes(output[-len(piece) - 16 :]))
            if progress and found and percent < int(found[-1]) <= 100:
                percent = int(found[-1])
                progress(percent)
        return Done(process.wait(), output.decode(errors="replace"))
    finally:
        # Also on Ctrl-C: a flash half written can be written again, a stray process would stay.
        if process.poll() is None:
            process.terminate()
        process.stdout.close()
        process.wait()
