"""Time the physical crossbar of the emulator: reads, updates, wires, learning.

For example:
    madem bench emulator
"""

from __future__ import annotations

import argparse

from madem import output
from madem.bench import emulator
from madem.commands.terminal import Terminal


def add_options(_parser: argparse.ArgumentParser) -> None:
    """The options of `madem bench emulator`: those of every command alone."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Measure and tell."""
    result, table = emulator.run(terminal.progress)
    output.write_json(args.json, result)
    terminal.say(table)
    return 0
