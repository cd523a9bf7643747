"""Find the smallest heap in which a task completes, by trying emulated boards.

For example:
    madem bench memory --board qemu
"""

from __future__ import annotations

import argparse

from madem import output
from madem.bench import memory
from madem.commands import options
from madem.commands.terminal import Terminal


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem bench memory`."""
    options.board(parser)
    parser.add_argument("--task", default="digits", help="what has to complete (default: digits)")


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Search and tell."""
    result, table = memory.run(args.board, args.task, terminal.progress, patience=args.patience)
    output.write_json(args.json, result)
    terminal.say(table)
    return 0
