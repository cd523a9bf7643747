"""How much of a board's heap networks and pipelines take, worked out before a board is asked.

MicroPython's heap gives memory in blocks of four machine words (MICROPY_BYTES_PER_GC_BLOCK
in its py/mpconfig.h), and each object that holds bytes takes one block beside its content.
"""

from collections.abc import Sequence
from itertools import pairwise

from madem.boards.catalogue import BoardType
from madem.boards.deploy import Form
from madem_emulator.twin.pipeline import Pipeline

# Heap that a chip needs beside its network, in bytes: what MicroPython and the firmware keep
# (frozen 7,970 bytes, compiled 28,430), or what compiling the source takes for a while; and 2.8 KB
# for what is in use for a moment and for gaps. From `madem bench memory --board qemu`.
FIRMWARE_BYTES: dict[Form, int] = {"frozen": 10_700, "mpy": 31_300, "source": 87_700}

# What a network takes beside its buffers, in blocks: the learner's objects and lists, and what
# each weight layer adds to them; by word size. Measured: see tests/host/boards/test_capacity.py.
_OBJECT_BLOCKS = {32: 56, 64: 54}
_LAYER_BLOCKS = {32: 17, 64: 14}

_MOST_UNITS = 1024
"""Of a layer (docs/reference/arithmetic.md)."""


def buffers(sizes: Sequence[int]) -> list[int]:
    """List every buffer that the firmware allocates for a network.

    Args:
        sizes: units of each layer, input first.

    Returns:
        The bytes of each.
    """
    couplings = [(m + 1) * n for m, n in pairwise(sizes)]
    units, widest = sum(sizes), 4 * max(sizes[1:])
    return [
        2 * sum(couplings),  # devices, in one piece
        *couplings,  # accumulators
        *(units, units, units, units),  # activities: free, plus, minus, and silence
        *(4 * sizes[1], widest, widest, 4 * sizes[-1]),  # readings and nudges
        sizes[-1],  # targets
        32 + 4 * (max(sizes[:-1]) + 16),  # pulses of a bit line
    ]


def network_bytes(sizes: Sequence[int], word_bits: int = 32) -> int:
    """Work out the heap that a network takes on a board.

    Args:
        sizes: units of each layer, input first.
        word_bits: of the board's processor, 32 or 64.

    Returns:
        Bytes.
    """
    block = 4 * word_bits // 8
    blocks = _OBJECT_BLOCKS[word_bits] + _LAYER_BLOCKS[word_bits] * (len(sizes) - 1)
    blocks += sum(1 + -(-size // block) for size in buffers(sizes))
    return blocks * block


def heap_bytes(sizes: Sequence[int], form: Form) -> int:
    """Work out the smallest heap with which a chip learns a network.

    Args:
        sizes: units of each layer, input first.
        form: how the board has the firmware.

    Returns:
        Bytes, to 2.5 KB.
    """
    least = FIRMWARE_BYTES[form] + network_bytes(sizes)
    # The link's two buffers: of 256 bytes on a small heap, of a 128th of a larger one each.
    return max(least, (least - 2 * 256) * 64 // 63)


def most_hidden_units(kind: BoardType) -> int:
    """Find the largest N for which a network 64-N-10, as for `digits`, fits on a kind of board.

    Args:
        kind: the board, which has the compiled firmware.

    Returns:
        N; 0: none fits.
    """
    fitting = 0
    for units in range(1, _MOST_UNITS + 1):
        if not kind.viper or heap_bytes((64, units, 10), "mpy") > kind.heap:
            break
        fitting = units
    return fitting


def pipeline_bytes(pipeline: Pipeline) -> int:
    """Work out the buffers of a pipeline; the heads of its objects take about 0.5 KB more.

    Args:
        pipeline: that a board shall have.

    Returns:
        Bytes.
    """
    p = pipeline
    return 2 * p.channels * p.window + 4 * p.window + 12 * p.features + 14
