"""`madem bench`: figures of the device, its memory and the link."""

from __future__ import annotations

import argparse

from madem import session
from madem.commands import options
from madem.commands.terminal import Terminal

NAME = "bench"
HELP = "figures of the device and the link"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("device", "memory", "link"), help="what to measure")
    options.board(parser)
    parser.add_argument(
        "--task", default="digits", help="memory: the task that has to complete (digits)"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Measure the device, its memory or the link."""
    from madem import bench as benches

    result, table = benches.RUNS[args.what](args.board, args.task, terminal.progress)
    if args.json:
        session.write_json(args.json, result)
    terminal.say(table)
    return 0
