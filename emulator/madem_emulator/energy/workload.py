"""One training sample as energy models see it, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from madem_emulator.twin.config import Settings


class LayerReads(NamedTuple):
    """The reads of one weight layer in one direction.

    Attributes:
        driven: lines that are driven.
        sensed: lines that are sensed.
        times: reads in one training sample.
    """

    driven: int
    sensed: int
    times: int


@dataclass(frozen=True)
class Workload:
    """One training sample of a layered network under the centred rule of docs/science/learning.md.

    Attributes:
        sizes: units of every layer, input first.
        sweeps_free: sweeps of the free phase.
        sweeps_nudged: sweeps of each nudged phase.

    Raises:
        ValueError: a size or a number of sweeps is not a positive integer.
    """

    sizes: tuple[int, ...]
    """Units of every layer, input first."""
    sweeps_free: int = Settings.sweeps_free
    sweeps_nudged: int = Settings.sweeps_nudged

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ValueError(f"sizes is {self.sizes}, but must be two or more positive numbers")
        for name in ("sweeps_free", "sweeps_nudged"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be 1 or more")

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Word lines (the bias line included) and bit lines of each weight layer."""
        return [(m + 1, n) for m, n in pairwise(self.sizes)]

    @property
    def couplings(self) -> int:
        """Number of couplings, biases included."""
        return sum(m * n for m, n in self.layers)

    @property
    def reads(self) -> list[LayerReads]:
        """All reads of a training sample.

        The first layer is read once and held; each further one is read forward and transposed in
        every free sweep and in every sweep of the two nudged phases.
        """
        sweeps = self.sweeps_free + 2 * self.sweeps_nudged
        (m, n), *further = self.layers
        found = [LayerReads(m, n, 1)]
        for m, n in further:
            found += [LayerReads(m, n, sweeps), LayerReads(n, m - 1, sweeps)]
        return found


@dataclass(frozen=True)
class Cost:
    """Energy and time that one training sample takes.

    Attributes:
        parts: joules by where they go.
        time: seconds.
    """

    parts: Mapping[str, float]
    time: float

    @property
    def energy(self) -> float:
        """Joules, all parts together."""
        return math.fsum(self.parts.values())

    @property
    def largest(self) -> str:
        """The part that takes most."""
        return max(self.parts, key=lambda name: self.parts[name])
