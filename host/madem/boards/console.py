"""What a board prints where frames should come, and what that tells of its firmware.

The firmware prints `madem: ready` before its first frame and `madem: stopped` after its last, and
MicroPython a traceback, a banner and a prompt when a program has ended. So the last of these marks
tells whether the firmware runs.
"""

import re
from enum import Enum
from typing import NamedTuple

READY = b"madem: ready"
"""How the line begins with which firmware/madem/link_server.py reports that it serves the link."""

_TRACEBACK = "Traceback (most recent call last):"
_STOPPED = "madem: stopped"
_REBOOT = b"MPY: soft reboot"
_MARKS = re.compile(
    rb"madem: (?:ready|stopped)|Traceback \(most recent call last\):|MPY: soft reboot"
    rb"|raw REPL; CTRL-B to exit|^MicroPython .*|^>>> ",
    re.MULTILINE,
)
_PROMPT = re.compile(rb"^(?:>>> |>)\Z", re.MULTILINE)


class State(Enum):
    """Of a board, as what it printed last tells."""

    SERVES = "the firmware has started"
    STARTS = "the interpreter starts"
    ENDED = "the firmware has ended, or was never started"


class Heard(NamedTuple):
    """What a board's console told.

    Attributes:
        state: of the board.
        whole: nothing more is to be expected before somebody types.
        line: of what was printed, the one that says most; "" while it has not come.
    """

    state: State
    whole: bool
    line: str


def hear(text: bytes) -> Heard | None:
    """Find what a board printed.

    Args:
        text: all that came and was no sound frame.

    Returns:
        What it tells; None when it is noise.
    """
    text = text[max(text.rfind(READY), 0) :]  # what was before it is over
    marks = _MARKS.findall(text)
    if not marks:
        return None
    if marks[-1] == READY:
        return Heard(State.SERVES, True, READY.decode())
    state = State.STARTS if marks[-1] == _REBOOT else State.ENDED
    marks = [mark for mark in marks if mark != READY]
    printed = text.decode(errors="replace")
    if _TRACEBACK in printed:
        line = _exception(printed)
    elif _STOPPED in printed:
        line = _STOPPED
    else:
        line = marks[0].decode(errors="replace").strip()
    return Heard(state, bool(_PROMPT.search(text)), line)


def explain(heard: Heard, others: str) -> str:
    """Say in one line what became of the firmware, and what to do.

    Args:
        heard: what the board's console told in place of a frame.
        others: other programs that have its port open; "" when none is known.

    Returns:
        The line.
    """
    close = f"close {others}, which has the port open too" if others else "close that program"
    said = f"the board says {heard.line!r} in place of an answer"
    if heard.state is State.SERVES:
        return (
            f"{said}: it was restarted, by its reset or a dip of its power; check its cable and"
            " supply, then run this again"
        )
    if heard.line == _STOPPED or heard.line.startswith("KeyboardInterrupt"):
        return f"{said}: another program's Ctrl-C ended the firmware; {close}, then run this again"
    if heard.line.startswith((">>>", "MicroPython ", "raw REPL", "MPY:")):
        why = f"{others} has the port open too" if others else "by a reset or another program"
        return f"{said}: the firmware has ended ({why}); run this again, which starts it anew"
    return (
        f"{said}: the firmware has ended by a fault; run this again, which starts it anew, and"
        " report it if it comes back"
    )


def explain_traceback(output: bytes) -> str:
    """Find the line that matters of a traceback, with advice where there is any.

    Args:
        output: what the board printed.

    Returns:
        The line.
    """
    text = output.decode(errors="replace")
    reason = _exception(text) if _TRACEBACK in text else ""
    if not reason:  # the heap may be too full even for the traceback
        reason = next(iter(re.findall(r"MemoryError.*", text)), "it printed no error").strip()
    if reason.startswith("MemoryError"):
        return f"{reason} (the board has too little memory for this)"
    if re.search(r"ENOSPC|OSError: 28\b", reason):
        return f"{reason} (its file system is full: delete files that it does not need)"
    if re.search(r"EROFS|OSError: 30\b", reason):
        return f"{reason} (its file system is read-only: eject its USB drive)"
    return reason


def _exception(text: str) -> str:
    """The exception's own line behind the last traceback; "" while it has not come."""
    lines = text.rpartition(_TRACEBACK)[2].splitlines()[1:]
    return next((line.strip() for line in lines if line.strip() and line[0] != " "), "")
