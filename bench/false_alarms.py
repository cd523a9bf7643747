"""How often the codes of a board in order are called implausible: docs/hardware/frontends.md.

    .venv/bin/python bench/false_alarms.py [--preset NAME] [--runs 300]

Each run is a network of 7-4 on a new card, 60 samples learned and 20 predicted, with all probes.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from pathlib import Path

import numpy as np

from madem.boards.open import Board
from madem.boards.repl import open_port
from madem.learners.board import connect
from madem.verify.attached import AttachedLockStep
from madem.verify.lock_step import DiffersError
from madem.verify.plausibility import PlausibilityCheck
from madem_emulator.boards.unix import UnixBoard
from madem_emulator.boards.unix_interpreter import find_micropython
from madem_emulator.designs import maker8x8
from madem_emulator.physical import presets
from madem_emulator.twin.config import Settings

_SIZES = 7, 4
_SAMPLES, _PREDICTIONS = 60, 20


def main() -> None:
    """Print each alarm, and how many there were."""
    parser = argparse.ArgumentParser(description="False alarms of the test of codes.")
    parser.add_argument("--preset", default="taox_hfox_wu2018", choices=presets.ALL)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="seed of the first run (0)")
    args = parser.parse_args()
    device = presets.get(args.preset)
    chips = maker8x8.Maker8x8(device)
    alarms = 0
    with tempfile.TemporaryDirectory() as flash:
        board = UnixBoard(find_micropython(), Path(flash), bus=chips.bus)
        threading.Thread(target=board.run, args=([],), daemon=True).start()
        with Board("unix", open_port(board.port)) as opened:
            link = connect(opened, deploy_firmware=True)
            for run in range(args.first, args.first + args.runs):
                chips.renew(run)
                settings = Settings(sizes=_SIZES, weight_bits=7, seed=run + 1)
                link.configure(settings.integers(), "maker8x8")
                lock = AttachedLockStep(link, "maker8x8")
                watch = PlausibilityCheck(lock, device, _SAMPLES, _PREDICTIONS)
                rng = np.random.default_rng(run)
                y = rng.integers(0, _SIZES[-1], _SAMPLES).astype(np.uint8)
                centres = rng.integers(0, 256, _SIZES[::-1])
                x = np.clip(centres[y] + rng.normal(0, 30, (_SAMPLES, _SIZES[0])), 0, 255)
                x = x.astype(np.uint8)
                try:
                    watch.probe()
                    lock.learn(settings.rate(4.0), x, y, pulses_per_update=5)
                    lock.outputs(x[:_PREDICTIONS])
                    watch.probe()
                except DiffersError as error:
                    alarms += 1
                    print(f"run {run}: {error}", flush=True)
    print(f"{alarms} alarms in {args.runs} runs with {args.preset}")


if __name__ == "__main__":
    main()
