"""Count reads and pulses a second through emulated chips, beside what their buses allow.

For example:
    madem bench frontend --design lab64x64
"""

from __future__ import annotations

import argparse

from madem import output
from madem.bench import frontend
from madem.commands.terminal import Terminal
from madem.frontends import attached


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem bench frontend`."""
    parser.add_argument(
        "--design",
        choices=attached.DESIGNS,
        default=attached.DESIGNS[0],
        help=f"board of chips (default: {attached.DESIGNS[0]})",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Measure and tell."""
    result, table = frontend.run(args.design)
    output.write_json(args.json, result)
    terminal.say(table)
    return 0
