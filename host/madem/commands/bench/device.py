"""Time a board: a training sample, a multiply-accumulate, a weight change.

For example:
    madem bench device --board rp2040

The board takes the times itself, beside those of plain Python; on `qemu:icount` it counts
instructions.
"""

from __future__ import annotations

import argparse

from madem import output
from madem.bench import device
from madem.commands import options
from madem.commands.terminal import Terminal


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem bench device`."""
    options.board(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Measure and tell."""
    result, table = device.run(args.board, patience=args.patience)
    output.write_json(args.json, result)
    terminal.say(table)
    return 0
