"""Model energy and time of a training sample: arrays, a microcontroller, a GPU, a CPU.

For example:
    madem bench energy
    madem bench energy --board qemu:heap=256K,icount     # counts the instructions anew
"""

from __future__ import annotations

import argparse
from pathlib import Path

from madem import output
from madem.bench import energy
from madem.commands.terminal import Terminal


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem bench energy`."""
    parser.add_argument(
        "--board",
        default="unix",
        help="qemu:heap=256K,icount counts the microcontroller's instructions and cycles; with any"
        " other they are those that were counted before (default: unix)",
    )
    parser.add_argument(
        "--out",
        default="madem-out",
        metavar="DIR",
        help="folder of the picture (default: madem-out)",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Work it out, tell and draw it."""
    output.check_folder(args.out)
    result, table = energy.run(args.board)
    output.write_json(args.json, result)
    terminal.say(table)
    terminal.saved(energy.save_picture(result, Path(args.out)))
    return 0
