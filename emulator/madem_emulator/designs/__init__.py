"""Boards of chips around arrays, wired as firmware/madem/board_*.py expects them: one file each."""

from __future__ import annotations

from collections.abc import Callable

from madem_emulator.bus import Bus
from madem_emulator.designs import maker8x8
from madem_emulator.physical import presets

DESIGNS: dict[str, Callable[..., maker8x8.Board]] = {"maker8x8": maker8x8.Board}


def wire(wiring: str) -> Bus:
    """A bus with all chips of a board on it.

    Args:
        wiring: `DESIGN`, `DESIGN+PRESET` or `DESIGN+PRESET+SEED`, such as
            `maker8x8+taox_hfox_wu2018+1`; the preset is `ideal` and the seed 1 by default.

    Raises:
        ValueError: no such design or preset, or the seed is no number.
    """
    design, _, rest = wiring.partition("+")
    preset, _, seed = rest.partition("+")
    if design not in DESIGNS:
        raise ValueError(f"there is no board design {design!r}: use {', '.join(DESIGNS)}")
    if preset and preset not in presets.ALL:
        raise ValueError(f"there is no preset {preset!r}: use {', '.join(presets.ALL)}")
    if seed and not seed.isdecimal():
        raise ValueError(f"wiring {wiring!r} is not DESIGN+PRESET+SEED")
    return DESIGNS[design](presets.get(preset or "ideal"), int(seed or 1)).bus
