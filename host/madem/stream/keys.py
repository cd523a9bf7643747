"""Keys that are pressed while something else goes on."""

from __future__ import annotations

import os
import select
import sys
from typing import Self

from madem.errors import MademError

try:
    import termios
    import tty
except ImportError:  # Windows
    termios = tty = None


class Keys:
    """The keys of the terminal that is the standard input; a context manager.

    Ctrl-C keeps its meaning. The terminal is as before at the end.
    """

    def __init__(self) -> None:
        """See that keys can be read.

        Raises:
            MademError: the standard input is no terminal, or one without single keys.
        """
        if termios is None:
            raise MademError("--label-keys needs a terminal of Linux or macOS: use label pins")
        if not sys.stdin.isatty():
            raise MademError("--label-keys needs a terminal to press keys in")
        self._descriptor = sys.stdin.fileno()

    def __enter__(self) -> Self:
        assert termios
        assert tty
        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        assert termios
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def pressed(self) -> str:
        """Read all keys since the last time, without waiting."""
        text = b""
        while select.select([self._descriptor], [], [], 0)[0]:
            part = os.read(self._descriptor, 64)
            if not part:
                break
            text += part
        return text.decode(errors="ignore")
