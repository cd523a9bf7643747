"""What a pipeline costs a board, known before it runs."""

from __future__ import annotations

from dataclasses import dataclass

from madem_emulator.twin.pipeline import Pipeline

CLOCK_HZ = 48e6
"""Of the Cortex-M3-class board that costs are related to."""


@dataclass(frozen=True)
class Cost:
    """Costs of a pipeline.

    Attributes:
        heap_bytes: buffers, without the heads of the objects (about 0.5 KB).
        instructions_per_sample: to take a sample in.
        instructions_per_window: to compute and normalise a window's features.
    """

    heap_bytes: int
    instructions_per_sample: int
    instructions_per_window: int


def cost(pipeline: Pipeline) -> Cost:
    """Instructions are those of a Cortex-M3 running the firmware's viper code.

    The coefficients are a least-squares fit to 13 pipelines counted by the board
    `qemu:heap=256K,icount`, all of which it meets within 1 %.
    """
    p = pipeline
    features = p.features
    heap = 2 * p.channels * p.window + 4 * p.window + 12 * features + 14
    half = p.transform // 2
    bands = 102 * half * (half - 1) + 526 * half + 442 * p.bands if p.bands else 0
    window = 2730 + p.channels * (3150 + 187 * p.window + bands) + 388 * features
    return Cost(heap, 1820 + 60 * p.channels, window)
