"""Whether a board keeps up with a sensor: instructions a second against those that it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from madem.stream.cost import CLOCK_HZ, cost
from madem_emulator.twin.pipeline import Pipeline

ENOUGH = 0.8
"""Share of the time that may be planned; the rest is for the link, interrupts and bursts."""
CYCLES = 1.55
"""Cycles an instruction of the learner takes on a Cortex-M3: docs/science/energy.md, "cycles"."""
_SWEEPS_FREE, _SWEEPS_NUDGED = 4, 2


@dataclass(frozen=True)
class Budget:
    """What a board has to do for a stream, in instructions of a Cortex-M3.

    Attributes:
        rate_hz: samples a second.
        hop: samples from one window to the next.
        sample: to take one sample from the board's own sensor.
        features: of one window.
        looks: at the sensor while a window is worked on.
        network: to predict a window, or learn it; 0 without a network.
        learns: it is learned.
        bus_s: seconds that a sample's transfer from the sensor takes.
        clock_hz: of the processor; an instruction takes `CYCLES`.
    """

    rate_hz: float
    hop: int
    sample: int
    features: int
    looks: int
    network: int
    learns: bool
    bus_s: float = 0.0
    clock_hz: float = CLOCK_HZ

    @property
    def per_second(self) -> float:
        """Instructions a second."""
        return self.rate_hz * (self.sample + (self.features + self.looks + self.network) / self.hop)

    @property
    def load(self) -> float:
        """Share of the time that it takes."""
        return self.per_second * CYCLES / self.clock_hz + self.rate_hz * self.bus_s

    @property
    def keeps_up(self) -> bool:
        """Whether that leaves enough time for the rest."""
        return self.load <= ENOUGH

    @property
    def highest_rate_hz(self) -> float:
        """The fastest stream that it keeps up with."""
        return ENOUGH * self.rate_hz / self.load

    def verdict(self) -> str:
        """In one line."""
        who = f"a Cortex-M3 at {self.clock_hz / 1e6:.0f} MHz"
        if self.keeps_up:
            return (
                f"{who} keeps up at {self.rate_hz:g} Hz: busy {100 * self.load:.1f} % of the time"
            )
        return (
            f"{who} can't keep up at {self.rate_hz:g} Hz, which would take {100 * self.load:.0f} %"
            f" of its time: use at most {self.highest_rate_hz:.3g} Hz, a longer hop, fewer"
            " features or fewer units"
        )


def budget(
    pipeline: Pipeline,
    rate_hz: float,
    sizes: Sequence[int] = (),
    *,
    learns: bool = False,
    bus_s: float = 0.0,
) -> Budget:
    """What a stream from the board's own sensor costs.

    Args:
        pipeline: makes windows of it.
        rate_hz: samples a second.
        sizes: units of each layer of the network; empty: none.
        learns: every window is learned.
        bus_s: as in `Budget`.

    The instructions of a sample, with an empty look at the sensor before it, and of a look while
    a window is worked on are those of the firmware's live loop, counted by `qemu:icount`.
    """
    network = instructions_of(sizes, learns) if sizes else 0
    looks = pipeline.channels
    if sizes:
        looks += _SWEEPS_FREE + (2 * _SWEEPS_NUDGED + len(sizes) - 1 if learns else 0)
    window = cost(pipeline).instructions_per_window
    sample = 24400 + 90 * pipeline.channels
    return Budget(rate_hz, pipeline.hop, sample, window, 3400 * looks, network, learns, bus_s)


def instructions_of(sizes: Sequence[int], learns: bool) -> int:
    """Instructions of a Cortex-M3 to predict a sample, or to learn it.

    A least-squares fit to twelve networks of 20 to 216 inputs and one or two hidden layers,
    counted by the board `qemu:icount` while they learn random samples. The free phase is met
    within 6 %, learning within 15 %; it depends on how many couplings are pulsed, and a network
    without hidden layers that changes a lot takes up to half more.
    """
    updates, pairs = _sweep(sizes)
    first = (sizes[0] + 1) * sizes[1]
    free = _SWEEPS_FREE
    found = -8800 + 8050 * free * updates + 9.7 * (free * pairs + first)
    if learns:
        nudged = 2 * _SWEEPS_NUDGED
        synapses = sum((m + 1) * n for m, n in pairwise(sizes))
        found += 69500 + 1330 * nudged * updates + 12.2 * nudged * pairs + 13.4 * synapses
    return round(found)


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
