"""What two choices of the network bought: the centred rule of `madem compare` with and without.

    .venv/bin/python bench/ablation.py [--seeds 5]

4 bits, the passes and learning rates of `madem compare`. Rows of
docs/science/learning.md.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from madem.study import compare_plan, compare_run
from madem_emulator.twin.rules import RULES

CHOICES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("digits", "4 sweeps up, 2 down", {}),
    ("digits", "8 sweeps up, 8 down", {"sweeps_free": 8, "sweeps_nudged": 8}),
    ("braille", "hidden units compete", {}),
    ("braille", "they do not", {"competition": ()}),
)
"""Task, what it is called, and the settings that differ from the task's."""


def main() -> None:
    """Train and test each, and print the mean and the spread in per cent."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n", 1)[0], allow_abbrev=False
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="devices of each (5)")
    args = parser.parse_args()
    for task, name, changed in CHOICES:
        plan = compare_plan.plan_comparison(task, rules=["centred"], seeds=args.seeds)
        settings = replace(plan.recipe.settings, **changed)
        rate = compare_plan.rate_at(plan.rates["centred"], settings.weight_bits)
        cell = compare_run.train_cell(RULES["centred"], plan, settings, [rate] * len(plan.seeds))
        reads = RULES["centred"].reads(settings.integers())
        print(
            f"{task:8} {name:22} {100 * cell.mean:5.1f} ± {100 * cell.spread:.1f}  {reads} reads",
            flush=True,
        )


if __name__ == "__main__":
    main()
