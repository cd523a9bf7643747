"""The numbers and layouts of docs/reference/link.md: what a board and the host say to each other.

All of them stand here once for the host, and once in the firmware. Layouts are `struct.Struct`s,
little-endian and without padding; the page names their fields.
"""

from enum import IntEnum, IntFlag
from struct import Struct

VERSION = 3
"""Of the link, in the reply to HELLO."""

REPLY = 0x80
"""Is added to the kind of a request for its reply."""
NAK = 0xFE
"""Kind of a frame that asks for the requests that are due."""
REFUSAL = 0xFF
"""Kind of a reply that refuses the request: an `Error`, and a text."""

FRAME_HEAD = Struct("<HBBHH")
"""Length of the body, kind, credit, session, number of the request."""
FRAME_BYTES = FRAME_HEAD.size + 4
"""Body bytes beside the payload: the head and a CRC-32."""
KEPT_REPLY = 60
"""The longest payload of a reply that a board keeps for a repeated request."""


class Kind(IntEnum):
    """Of a request."""

    HELLO = 1
    CONFIGURE = 2
    LEARN = 3
    PREDICT = 4
    READ = 5
    WRITE = 6
    DIGEST = 7
    STATS = 8
    FLIP = 9
    ECHO = 10
    STOP = 11
    PIPELINE = 12
    FEED = 13
    ADD_STUCK = 14
    SOURCE = 15
    LIVE = 16
    CALIBRATE = 17
    CODES = 18
    GATE = 19


class Error(IntEnum):
    """Why a request is refused."""

    BAD_KIND = 1
    BAD_PAYLOAD = 2
    NOT_CONFIGURED = 3
    OUT_OF_MEMORY = 4
    STEP_MISMATCH = 5
    WRONG_SESSION = 6
    INTERNAL = 7
    FRONT_END = 8


ERROR_TEXTS: dict[int, str] = {
    Error.BAD_KIND: "the firmware does not know this request",
    Error.BAD_PAYLOAD: "the firmware could not use the request's content",
    Error.NOT_CONFIGURED: "the device is not configured",
    Error.OUT_OF_MEMORY: "the device is out of memory",
    Error.STEP_MISMATCH: "the device has learned another number of samples",
    Error.WRONG_SESSION: "the device has been restarted or serves somebody else",
    Error.INTERNAL: "the firmware failed",
    Error.FRONT_END: "the front end",
}


class Memory(IntEnum):
    """A region of a board's memory, for READ, WRITE and DIGEST."""

    DEVICES = 0
    ACCUMULATORS = 1
    FREE = 2
    PLUS = 3
    MINUS = 4
    STEPS = 5
    NORMALISATION = 6
    CODES = 7
    SAMPLE = 8
    """One sample with its target, for which a frame is too short."""


class PredictReply(IntEnum):
    """The reply to PREDICT."""

    ANSWERS = 0
    OUTPUTS = 1
    """Their activities."""
    NOTHING = 2
    """They are read afterwards: too many for a frame."""


CENTRE_OFFSET = 1 << 22
"""What is added to a centre of the running normalisation in `Memory.NORMALISATION`."""

HELLO_REPLY = Struct("<BHBHIIB")
"""Before the two texts."""

CONFIGURE_FORMAT = 2
CONFIGURE_HEAD = Struct("<12BI")
CONFIGURE_DEVICE = Struct("<HhhHHHHH")
CONFIGURE_LAYER = Struct("<4B3HB")
CONFIGURE_REPLY = Struct("<III")

LEARN_HEAD = Struct("<IHBB")
"""Step of the first sample, rate, pulses of a change, traced."""
PREDICT_HEAD = Struct("<B")
"""A `PredictReply`."""
MEMORY_HEAD = Struct("<BBII")
"""Of READ, WRITE and DIGEST: region, layer, offset, count."""
WRITE_VERIFY_REPLY = Struct("<II")
"""Of the WRITE that completes devices behind chips: pulses given, devices that failed."""
STATS_REPLY = Struct("<4I")
FLIP = Struct("<BIBIB")
ADD_STUCK = Struct("<H")
ECHO_MODE_MANY = 2
ECHO_MANY = Struct("<BH")
"""`ECHO_MODE_MANY`, and how many bytes shall come back."""


# Streams


class Feature(IntFlag):
    """Of a window: the features of PIPELINE."""

    MEAN = 1
    ENERGY = 2
    ZERO = 4
    MINMAX = 8


PIPELINE = Struct("<BHHBBB")
PIPELINE_REPLY = Struct("<HI")


class Mode(IntEnum):
    """The work of FEED and LIVE on a window."""

    FEATURES = 0
    """Nothing more: only the pipeline goes on."""
    PREDICT = 1
    LEARN = 2


class Flag(IntFlag):
    """Choices of how FEED and LIVE do it."""

    RESTART = 1
    """Begin a new window with the first sample."""
    FOLLOW = 2
    """The running normalisation follows the stream."""
    TRACED = 4
    """Tell the digests of what was computed."""
    OWN = 8
    """The targets are the inputs themselves: an answer is a novelty score."""
    GATED = 16
    """The gate decides whether the window is learned."""


class Outcome(IntFlag):
    """The facts of a window that was gated, or of one of LIVE."""

    RIGHT = 1
    LEARNED = 2
    CHECKPOINT = 4
    """The network was then copied."""
    ROLLBACK = 8
    """The network was then replaced by its copy."""
    AFTER_GAP = 16
    """Samples were lost before it."""


FEED_HEAD = Struct("<IHBBBB")
"""Number of the first window, rate, pulses of a change, mode, flags, label."""
FEED_REPLY = Struct("<IB")
"""Steps learned, windows completed; before what each gave."""


class GateRequest(IntEnum):
    """The requests of GATE."""

    SETTINGS = 0
    CHECKPOINT = 1
    ROLLBACK = 2
    ASK = 3


GATE_SETTINGS = Struct("<BHBBHH")
GATE_REPLY = Struct("<3I3H")
NEVER = 0xFFFFFFFF
"""Step of a copy that was not made."""


# The board's own sensor

SOURCE_HEAD = Struct("<IB")
"""Rate in mHz, how many label pins follow."""
SOURCE_REPLY = Struct("<BI")
"""Channels, rate in mHz."""


class LiveRequest(IntEnum):
    """The requests of LIVE."""

    ASK = 0
    START = 1
    STOP = 2
    LABEL = 3
    RAW = 4


class Gives(IntEnum):
    """The kind of answers that the windows of LIVE give."""

    NOTHING = 0
    CLASSES = 1
    SCORES = 2


LIVE_ASK = Struct("<BIH")
LIVE_START = Struct("<BBBHBH")
LIVE_LABEL = Struct("<BB")
LIVE_RAW = Struct("<BI")
LIVE_STATUS = Struct("<B6IB")
LIVE_WINDOW = Struct("<IBBI")
NO_LABEL = 255
LOST = 254
"""In place of the label of a sample that was lost."""


# Boards of chips


class CalibrateRequest(IntEnum):
    """The requests of CALIBRATE."""

    MEASURE = 0
    PULSE = 1
    STORE = 2
    KEEP = 3
    FORGET = 4
    COUNTS = 5


CALIBRATE_MEASURE = Struct("<BHBBhBB")
CALIBRATE_PULSE = Struct("<BHBB")
CALIBRATE_STORE = Struct("<BI")
CALIBRATE_COUNTS_REPLY = Struct("<II")

CALIBRATION_MAGIC = b"madem.cal\1"
"""What a calibration that is stored on a board begins with."""
CALIBRATION_SHIFT = 14
"""log2 of a gain of 1 in it."""


class Event(IntEnum):
    """The acts of a board's chips."""

    COLUMNS = 0
    """The bit lines of a card were read."""
    ROWS = 1
    """The word lines of a card were read."""
    RESET = 2
    SET = 3


class CodesRequest(IntEnum):
    """The requests of CODES."""

    GO_ON = 0
    LEARN = 1
    PREDICT = 2


CODES_HEAD = Struct("<BIHB")
"""What, step of the sample if it is learned, rate, pulses of a change."""
CODES_GO_ON = Struct("<BH")
"""What, number of the piece that is due."""
CODES_PIECE = Struct("<BH")
"""0, number of the piece; before its events."""
CODES_EVENT = Struct("<BH")
"""`Event`, card; before codes or masks."""
CODES_REPLY = Struct("<BHIB")
"""1, number of pieces, steps learned, answer; before the digests."""
