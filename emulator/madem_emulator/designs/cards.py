"""Cards that a board design carries: arrays that are made when they are first used."""

from __future__ import annotations

import numpy as np

from madem_emulator.physical.crossbar import Crossbar
from madem_emulator.physical.device import DeviceModel


def new_card(lines: int, device: DeviceModel, seed: int, number: int) -> Crossbar:
    """The array of a card that nobody has used: its devices about mid-window, σ 0.14 of it.

    Args:
        lines: word lines, and bit lines.
        device: what it is made of.
        seed: of all cards of a board.
        number: of the card.
    """
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    array = Crossbar(lines, lines, device, seed=own)
    spread = 0.5 + 0.14 * array.rng.standard_normal(array.shape)
    array.program(device.g_min + device.window * np.clip(spread, 0, 1))
    return array
