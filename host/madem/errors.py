"""Everything that madem tells a user in one line instead of a traceback.

`str(error)` is the whole message: what is wrong and what to do about it. The
command line prints it, as `printable` has it, and exits with the error's code.
"""

from __future__ import annotations

USAGE = 2
"""Exit code: what was asked for, or given as input, can't be used."""
ENVIRONMENT = 3
"""Exit code: a board, the line to it, a disk or the network fails."""


class MademError(Exception):
    """Root of all expected errors.

    Attributes:
        exit_code: of a command that it ends.
    """

    exit_code = USAGE


class BoardError(MademError):
    """A board can't be found, opened, reset or written to."""

    exit_code = ENVIRONMENT


class BoardSpecError(BoardError):
    """A value of `--board` that is no board, or one that can't be made."""

    exit_code = USAGE


class LinkError(MademError):
    """The serial link to the firmware failed for good."""

    exit_code = ENVIRONMENT


class DiskError(MademError):
    """A file can't be written."""

    exit_code = ENVIRONMENT


class DownloadError(MademError):
    """A site can't be reached, or does not have what it should."""

    exit_code = ENVIRONMENT


class DeviceError(LinkError):
    """The firmware refused a request.

    Attributes:
        code: the error code of docs/reference/link.md.
    """

    def __init__(self, code: int, message: str) -> None:
        """Tell what the firmware says.

        Args:
            code: the error code of docs/reference/link.md.
            message: for people.
        """
        super().__init__(message)
        self.code = code


class TooLargeError(DeviceError):
    """The firmware has no room for a network."""

    exit_code = USAGE


class TaskError(MademError):
    """A task, data file or option that can't be used."""


def printable(text: str) -> str:
    """Write each character that steers a terminal, or can't be seen, as its escape.

    Args:
        text: whatever it is.

    Returns:
        Text that can be printed.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
