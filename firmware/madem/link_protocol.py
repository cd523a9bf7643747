"""What more than one file says or reads of docs/reference/link.md; it imports nothing of madem.

What one file alone has to do with stands there as a private constant, which takes no memory: kinds
of requests in link_server.py, what a request asks for and how it is laid out where it is served.
"""

# Why a request is refused.
BAD_KIND = 1
BAD_PAYLOAD = 2
NOT_CONFIGURED = 3
OUT_OF_MEMORY = 4
STEP_MISMATCH = 5
WRONG_SESSION = 6
INTERNAL = 7
FRONT_END = 8

# What became of a window, of FEED and of LIVE; more in learn_gate.py and stream_onboard.py.
OUTCOME_RIGHT = 1
OUTCOME_LEARNED = 2

KEPT_REPLY = 60  # the longest payload of a reply that is kept for a repeated request


def u16(body, at):
    """The unsigned number in the two bytes from `at` on."""
    return body[at] | body[at + 1] << 8


def u32(body, at):
    """The unsigned number in the four bytes from `at` on, without struct's tuple on the heap."""
    return body[at] | body[at + 1] << 8 | body[at + 2] << 16 | body[at + 3] << 24


def reason(e):
    """What an exception says; of an OSError with a bare number, that number."""
    first = e.args[0] if e.args else None
    if isinstance(first, str):
        return first
    return "bus error %d" % first if isinstance(e, OSError) and first else repr(e)
