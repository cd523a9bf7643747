"""Say how a file of samples is understood, before anything is learned from it.

For example:
    madem data flowers.csv
    madem data walk.csv --drop Id --label what
    madem data gestures                     # a folder with a file for each class

The options are those of `madem learn` and of every other command that reads your files.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from madem import output
from madem.commands import paths, reading
from madem.commands.terminal import Terminal
from madem.data.files.read import KINDS, read
from madem.data.tabular import check_classes
from madem.errors import TaskError


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem data`."""
    parser.add_argument("file", type=paths.Read, metavar="FILE", nargs="+", help=KINDS)
    reading.add_label(parser)
    reading.add_options(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Read, judge, tell; 1 if nothing can be learned from it, for want of a label say."""
    options = reading.options_of(args)
    try:
        samples = read(args.file, options, learn=True)
        judgement = samples.judgement
        learnable = bool(judgement.label)
        if learnable:
            check_classes(samples)
    except TaskError as error:
        learnable = False
        judgement = read(args.file, options, learn=False).judgement
        judgement = replace(judgement, notes=(*judgement.notes, f"not for learning: {error}"))
    reading.tell(judgement, terminal)
    output.write_json(args.json, judgement.to_json() | {"learnable": learnable})
    return 0 if learnable else 1
