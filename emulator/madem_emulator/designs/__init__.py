"""Boards of chips around arrays, wired as firmware/madem/board_*.py expects them: one file each."""

from __future__ import annotations

from collections.abc import Callable

from madem_emulator.designs import faults, lab64x64, maker8x8
from madem_emulator.physical import presets
from madem_emulator.twin.attached import Geometry
from madem_emulator.wiring.bus import Bus

ArrayBoard = maker8x8.ArrayBoard | lab64x64.ArrayBoard

DESIGNS: dict[str, Callable[..., ArrayBoard]] = {
    "maker8x8": maker8x8.ArrayBoard,
    "lab64x64": lab64x64.ArrayBoard,
}

GEOMETRIES = {
    name: Geometry(
        module.LINES, module.LINES, module.SPAN, module.NOISE, module.share, module.CONVERSIONS
    )
    for name, module in (("maker8x8", maker8x8), ("lab64x64", lab64x64))
}
"""What the digital side and the expected codes of each design follow from."""


def wire(wiring: str) -> Bus:
    """A bus with all chips of a board on it.

    Args:
        wiring: `DESIGN`, `DESIGN+PRESET`, `DESIGN+PRESET+SEED`, or with faults behind it, as
            faults.py has them, such as `maker8x8+taox_hfox_wu2018+1+dead:c3`; the preset is `ideal`
            and the seed 1 by default.

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
