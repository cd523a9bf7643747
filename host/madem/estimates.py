"""What a kind of board can be expected to do, worked out and not measured on one."""

from __future__ import annotations

from madem.board_types import BoardType

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
