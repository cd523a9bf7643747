"""What a kind of board can be expected to do, worked out and not measured on one."""

from __future__ import annotations

from madem.boards import capacity
from madem.boards.catalogue import BoardType

INPUTS, OUTPUTS = 64, 10
"""Of the networks that are compared: those of `digits`."""
MOST_UNITS = 1024
"""Of a layer (docs/reference/arithmetic.md)."""

SAMPLE_INSTRUCTIONS = {"assembler": 245_000, "viper": 416_000}
"""Of a training sample of a 64-32-10 network on a Cortex-M3, as `madem bench device --board
qemu:icount` counts them: with the inner loops in Thumb assembler, and without it in viper."""

CYCLES_PER_INSTRUCTION = 1.6
"""Between 1.7, measured for a Cortex-M0+ (29 cycles where a Cortex-M3 needs 17 instructions), and
what a Cortex-M4 needs when its program comes from cached flash. Other processors need another
number of instructions too: expect a factor of two."""


def sample_seconds(kind: BoardType) -> float:
    """Time of a training sample of a 64-32-10 network, in seconds."""
    way = "assembler" if kind.mpy_arch.startswith("armv") else "viper"
    return SAMPLE_INSTRUCTIONS[way] * CYCLES_PER_INSTRUCTION / kind.clock_hz


def most_hidden_units(kind: BoardType) -> int:
    """The largest N for which a network 64-N-10 fits beside the compiled firmware; 0: none does."""
    fitting = 0
    for units in range(1, MOST_UNITS + 1):
        if not kind.viper or capacity.heap_bytes((INPUTS, units, OUTPUTS), "mpy") > kind.heap:
            break
        fitting = units
    return fitting
