"""Measure the goodput of the serial link; of an emulated board also at two baud rates.

For example:
    madem bench link --board unix
"""

from __future__ import annotations

import argparse

from madem import output
from madem.bench import link
from madem.commands import options
from madem.commands.terminal import Terminal


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem bench link`."""
    options.board(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Measure and tell."""
    result, table = link.run(args.board, patience=args.patience)
    output.write_json(args.json, result)
    terminal.say(table)
    return 0
