"""Compare learning rules with each other on emulated devices, under one limit after the other.

For example:
    madem compare --quick
    madem compare --task braille-words --rules centred,one-sided --over bits
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from pathlib import Path

from madem import output
from madem.commands import paths
from madem.commands.terminal import Terminal
from madem.errors import MademError
from madem.study import compare_plan, compare_run, compare_table
from madem_emulator.twin.rules import RULES


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem compare`."""
    parser.add_argument(
        "--task",
        type=paths.Read,
        default="digits",
        help="digits, braille-words, braille, a file (default: digits)",
    )
    parser.add_argument(
        "--rules",
        type=lambda text: text.split(","),
        metavar="A,B…",
        help=f"of {', '.join(RULES)} (default: all)",
    )
    parser.add_argument(
        "--over",
        default="all",
        choices=(*compare_plan.LIMITS, "all"),
        help="what is varied (default: all)",
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="devices of each rule (default: 5)")
    parser.add_argument(
        "--epochs", type=int, help="passes (default: digits 4, braille-words 10, braille 4)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer values, 2 seeds, 1 pass: a first look (default: all of it)",
    )
    parser.add_argument(
        "--tune",
        action="store_true",
        help="choose the learning rates anew, on validation samples (default: as tuned before)",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one for each core; quick: 1)"
    )
    parser.add_argument(
        "--out",
        default="madem-out",
        metavar="DIR",
        help="folder of the picture and the CSV file (default: madem-out)",
    )


def _workers(args: argparse.Namespace) -> int:
    """How many processes, which need the packages of `madem sweep`."""
    able = importlib.util.find_spec("distributed") is not None
    if args.workers is None:
        # Starting processes takes longer than a first look.
        return (os.cpu_count() or 1) if able and not args.quick else 1
    if args.workers < 1:
        raise MademError(f"--workers is {args.workers}, but must be 1 or more")
    if args.workers > 1 and not able:
        raise MademError(
            f"--workers {args.workers} needs distributed, not installed: pip install 'madem[sweep]'"
        )
    return args.workers


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Train every rule under every limit; save the table and the picture."""
    plan = compare_plan.plan_comparison(
        args.task, rules=args.rules, over=args.over, seeds=args.seeds, epochs=args.epochs,
        quick=args.quick,
    )  # fmt: skip
    out = Path(args.out)
    output.check_folder(out)
    workers = _workers(args)
    if args.tune:
        plan = compare_run.tuned(plan, terminal.progress, workers)
    result = compare_run.compare_rules(plan, terminal.progress, workers)
    output.write_json(args.json, compare_table.to_json(result))
    for table in compare_table.tables(result):
        terminal.say(table)
    name = f"compare-{Path(plan.task.name).stem}"
    csv_file = out / f"{name}.csv"
    output.write_whole(csv_file, compare_table.to_csv(result).encode())
    terminal.saved(csv_file)
    if result.on_device:
        terminal.saved(compare_table.save_picture(result, out / f"{name}.png"))
    return 0
