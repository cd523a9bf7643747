"""Bit flips on purpose, to see that a check can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from madem_emulator.twin.array import Bytes
from madem_emulator.twin.config import Config
from madem_emulator.twin.phases import Activities

Flipped = Literal["state", "weight"]
"""A unit's activity after the free phase, or a device after the pulses."""


@dataclass(frozen=True)
class _Flip:
    step: int
    what: Flipped
    layer: int
    index: int
    bit: int


class BitFlips:
    """The flips that are asked for, on every network of a batch."""

    def __init__(self) -> None:
        """Begin without any."""
        self._flips: list[_Flip] = []

    def add(
        self, config: Config, step: int, what: Flipped, layer: int, index: int, bit: int
    ) -> None:
        """Ask for a flip in networks of that configuration: see `Twin.flip`."""
        sizes = config.sizes
        if not 1 <= layer < len(sizes):
            raise ValueError(f"there is no layer {layer} to flip a bit of")
        items = sizes[layer] if what == "state" else 2 * sizes[layer] * (sizes[layer - 1] + 1)
        if not (0 <= index < items and 0 <= bit < 8):
            raise ValueError(f"there is no bit {bit} of {what} {index} in layer {layer}")
        self._flips.append(_Flip(step, what, layer, index, bit))

    def _now(self, step: int, what: Flipped) -> list[_Flip]:
        return [flip for flip in self._flips if (flip.step, flip.what) == (step, what)]

    def in_states(self, step: int, s: Activities) -> None:
        """Flip bits of activities.

        Args:
            step: number of the sample.
            s: after the free phase, of unit layers 0…L; they are changed.
        """
        for flip in self._now(step, "state"):
            unit = s[flip.layer][..., flip.index]
            unit[:] = unit.astype(np.int64) ^ (1 << flip.bit)

    def in_weights(self, step: int, devices: list[Bytes]) -> None:
        """Flip bits of conductances.

        Args:
            step: number of the sample.
            devices: by weight layer, uint8 (B, …); they are changed.
        """
        for flip in self._now(step, "weight"):
            layer = devices[flip.layer - 1]
            layer.reshape(len(layer), -1)[:, flip.index] ^= np.uint8(1 << flip.bit)
