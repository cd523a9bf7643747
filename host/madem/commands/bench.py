"""`madem bench`: figures of the device, its memory, the link and its energy."""

from __future__ import annotations

import argparse
from pathlib import Path

from madem import output
from madem.bench import run as bench
from madem.commands import options
from madem.commands.terminal import Terminal
from madem.frontends import attached
from madem.learn import session


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=tuple(bench.RUNS), help="what to measure")
    options.board(parser)
    parser.add_argument(
        "--task", default="digits", help="memory: the task that has to complete (digits)"
    )
    parser.add_argument(
        "--design",
        default=attached.DESIGNS[0],
        help=f"frontend: board of chips, {' or '.join(attached.DESIGNS)} ({attached.DESIGNS[0]})",
    )
    parser.add_argument(
        "--out", default="madem-out", metavar="DIR", help="folder of the picture, if there is one"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Measure it, show it, and draw it where there is something to draw."""
    draw = bench.PICTURES.get(args.what)
    out = Path(args.out)
    if draw:
        output.check_folder(out)
    subject = args.design if args.what == "frontend" else args.task
    result, table = bench.RUNS[args.what](args.board, subject, terminal.progress)
    if args.json:
        session.write_json(args.json, result)
    terminal.say(table)
    if draw:
        terminal.saved(draw(result, out))
    return 0
