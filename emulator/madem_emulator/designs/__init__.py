"""Boards of chips around arrays, wired as firmware/madem/board_*.py expects them: one file each."""

from __future__ import annotations

from madem_emulator.designs import faults
from madem_emulator.designs.array_board import ArrayBoard
from madem_emulator.designs.lab64x64 import Lab64x64
from madem_emulator.designs.maker8x8 import Maker8x8
from madem_emulator.physical import presets
from madem_emulator.wiring.bus import Bus

DESIGNS: dict[str, type[ArrayBoard]] = {"maker8x8": Maker8x8, "lab64x64": Lab64x64}
"""Board designs by the name that `--design` and a wiring have for them."""

GEOMETRIES = {name: design.geometry for name, design in DESIGNS.items()}
"""The facts about each design from which its digital side and its expected codes follow."""


def wire(wiring: str) -> Bus:
    """Make a board with all its chips.

    Args:
        wiring: `DESIGN`, `DESIGN+PRESET`, `DESIGN+PRESET+SEED`, or with faults behind it, as
            faults.py has them, such as `maker8x8+taox_hfox_wu2018+1+dead:c3`; the preset is `ideal`
            and the seed 1 by default.

    Returns:
        The bus that all chips of the board are on.

    Raises:
        ValueError: no such design, preset or fault, or the seed is no number.
    """
    design, preset, seed, *injected = [*wiring.split("+"), *["", ""][wiring.count("+") :]]
    if design not in DESIGNS:
        raise ValueError(f"there is no board design {design!r}: use {', '.join(DESIGNS)}")
    if preset and preset not in presets.ALL:
        raise ValueError(f"there is no preset {preset!r}: use {', '.join(presets.ALL)}")
    if seed and not seed.isdecimal():
        raise ValueError(f"wiring {wiring!r} is not DESIGN+PRESET+SEED")
    on_purpose = faults.BoardFaults(faults.parse(each) for each in injected)
    return DESIGNS[design](presets.get(preset or "ideal"), int(seed or 1), on_purpose).bus
