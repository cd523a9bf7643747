"""How much of a processor's time learning and streams take, worked out before a board is asked.

Times are counted in instructions of a Cortex-M3, which the board `qemu:icount` counts. The
coefficients are least-squares fits to such counts: see tests/host/boards/test_timing.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from madem.boards.catalogue import BoardType
from madem_emulator.energy.processors import Microcontroller
from madem_emulator.twin.pipeline import Pipeline

CORTEX_M3_HZ = 48e6
"""Clock of the Cortex-M3 that loads are told of."""
CORTEX_M3_CYCLES = Microcontroller().cycles
"""Cycles that an instruction of the learner takes there."""
ENOUGH = 0.8
"""Share of the time that may be planned; the rest is for the link, interrupts and bursts."""

ESTIMATED_SIZES = (64, 32, 10)
"""The network whose training sample is estimated for all kinds of boards: that of `digits`."""
_VIPER = 416 / 245
"""Instructions of a training sample where the inner loops are viper, over those where they are
Thumb assembler: both in thousands, for the network above."""
_OTHER_CYCLES = 1.6
"""Cycles an instruction on other processors: between 1.7, measured for a Cortex-M0+ (29 cycles
where a Cortex-M3 needs 17 instructions), and what a Cortex-M4 needs when its program comes from
cached flash. They need another number of instructions too: expect a factor of two."""
_SWEEPS_FREE, _SWEEPS_NUDGED = 4, 2


class PipelineInstructions(NamedTuple):
    """The instructions that a pipeline takes of a Cortex-M3.

    Attributes:
        per_sample: instructions to take a sample in.
        per_window: instructions to compute and normalise a window's features.
    """

    per_sample: int
    per_window: int


def pipeline_instructions(pipeline: Pipeline) -> PipelineInstructions:
    """Work out the instructions of a pipeline; the 13 pipelines of the fit are met within 1 %.

    Args:
        pipeline: that makes windows of a stream.

    Returns:
        Instructions of a sample and of a window.
    """
    p = pipeline
    half = p.transform // 2
    bands = 102 * half * (half - 1) + 526 * half + 442 * p.bands if p.bands else 0
    window = 2730 + p.channels * (3150 + 187 * p.window + bands) + 388 * p.features
    return PipelineInstructions(1820 + 60 * p.channels, window)


def network_instructions(sizes: Sequence[int], learns: bool) -> int:
    """Work out the instructions to predict a sample, or to learn it.

    The fit is to twelve networks of 20 to 216 inputs and one or two hidden layers, while they
    learn random samples, and to the CRC-32 that a prediction takes of its inputs. It meets the
    free phase within 6 % and learning within 15 %: that depends on how many couplings are pulsed,
    and a network without hidden layers that changes a lot takes up to half more.

    Args:
        sizes: units of each layer, input first.
        learns: the sample is learned, not only predicted.

    Returns:
        Instructions of a Cortex-M3.
    """
    updates, pairs = _sweep(sizes)
    first = (sizes[0] + 1) * sizes[1]
    free = _SWEEPS_FREE
    found = -8800 + 8050 * free * updates + 9.7 * (free * pairs + first)
    if learns:
        nudged = 2 * _SWEEPS_NUDGED
        synapses = sum((m + 1) * n for m, n in pairwise(sizes))
        found += 69500 + 1330 * nudged * updates + 12.2 * nudged * pairs + 13.4 * synapses
    else:
        found += 2000 + 75 * sizes[0]
    return round(found)


def sample_seconds(kind: BoardType) -> float:
    """Estimate the time that a kind of board needs for a training sample of `ESTIMATED_SIZES`.

    Args:
        kind: the board.

    Returns:
        Seconds.
    """
    slower = 1.0 if kind.mpy_arch.startswith("armv") else _VIPER
    counted = round(network_instructions(ESTIMATED_SIZES, True), -3)  # the fit is no finer
    return counted * slower * _OTHER_CYCLES / kind.clock_hz


@dataclass(frozen=True)
class StreamLoad:
    """The load of a stream on a Cortex-M3 at `CORTEX_M3_HZ`, in instructions.

    Attributes:
        rate_hz: samples a second.
        hop: samples from one window to the next.
        sample: to take one sample from the board's own sensor.
        features: of one window.
        polls: of the sensor while a window is worked on.
        network: to predict a window, or learn it; 0 without a network.
        bus_s: seconds that a sample's transfer from the sensor takes.
    """

    rate_hz: float
    hop: int
    sample: int
    features: int
    polls: int
    network: int
    bus_s: float = 0.0

    @property
    def per_second(self) -> float:
        """Instructions a second."""
        window = self.features + self.polls + self.network
        return self.rate_hz * (self.sample + window / self.hop)

    @property
    def share(self) -> float:
        """Share of the processor's time, where 1 is all of it."""
        return self.per_second * CORTEX_M3_CYCLES / CORTEX_M3_HZ + self.rate_hz * self.bus_s

    @property
    def keeps_up(self) -> bool:
        """Whether enough time is left for the rest."""
        return self.share <= ENOUGH

    @property
    def highest_rate_hz(self) -> float:
        """Samples a second of the fastest stream that it keeps up with."""
        return ENOUGH * self.rate_hz / self.share

    def verdict(self) -> str:
        """Say whether it keeps up, in one line."""
        who = f"a Cortex-M3 at {CORTEX_M3_HZ / 1e6:.0f} MHz"
        if self.keeps_up:
            return (
                f"{who} keeps up at {self.rate_hz:g} Hz: busy {100 * self.share:.1f} % of the time"
            )
        return (
            f"{who} can't keep up at {self.rate_hz:g} Hz, which would take {100 * self.share:.0f} %"
            f" of its time: use at most {self.highest_rate_hz:.3g} Hz, a longer hop, fewer"
            " features or fewer units"
        )


def stream_load(
    pipeline: Pipeline,
    rate_hz: float,
    sizes: Sequence[int] = (),
    *,
    learns: bool = False,
    bus_s: float = 0.0,
) -> StreamLoad:
    """Work out what a stream from the board's own sensor asks of a Cortex-M3.

    Instructions of a sample include an empty poll of the sensor before it; they and those of a
    poll while a window is worked on are those of the firmware's live loop.

    Args:
        pipeline: makes windows of the stream.
        rate_hz: samples a second.
        sizes: units of each layer of the network, input first; empty: no network.
        learns: every window is learned.
        bus_s: seconds that a sample's transfer from the sensor takes.

    Returns:
        The load.
    """
    network = network_instructions(sizes, learns) if sizes else 0
    polls = pipeline.channels
    if sizes:
        polls += _SWEEPS_FREE + (2 * _SWEEPS_NUDGED + len(sizes) - 1 if learns else 0)
    window = pipeline_instructions(pipeline).per_window
    sample = 24400 + 90 * pipeline.channels
    return StreamLoad(rate_hz, pipeline.hop, sample, window, 3400 * polls, network, bus_s)


def _sweep(sizes: Sequence[int]) -> tuple[int, int]:
    """Layers that a sweep updates, and pairs of devices that it reads."""
    last = len(sizes) - 1
    pairs = 0
    for k in range(1, last + 1):
        if k > 1:
            pairs += (sizes[k - 1] + 1) * sizes[k]
        if k < last:
            pairs += sizes[k] * sizes[k + 1]
    return last, pairs
