"""Everything that madem tells a user in one line instead of a traceback.

`str(error)` is the whole message: what is wrong and what to do about it. The
command line prints it, as `printable` has it, and exits with 2.
"""


class MademError(Exception):
    """Root of all expected errors."""


class BoardError(MademError):
    """A board can't be found, opened, reset or written to."""


class LinkError(MademError):
    """The serial link to the firmware failed for good."""


class DeviceError(LinkError):
    """The firmware refused a request.

    Attributes:
        code: the error code of docs/reference/link.md.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class TaskError(MademError):
    """A task, data file or option that can't be used."""


def printable(text: str) -> str:
    """The text with each character that steers a terminal, or can't be seen, as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
