"""`madem deploy`: put the firmware on a board."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from madem import deploy, session
from madem.boards import open_board
from madem.commands import options
from madem.commands.terminal import Terminal

NAME = "deploy"
HELP = "put the firmware on a board"


def add_options(parser: argparse.ArgumentParser) -> None:
    options.board(parser, default="auto")
    parser.add_argument("--force", action="store_true", help="write unchanged files too")


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Put the firmware on a board and start it once to see that it runs."""
    with open_board(args.board) as board:
        total = sum(map(len, deploy.firmware_files().values()))
        done = 0
        with terminal.progress(f"deploying to {board.name}", total) as advance:

            def report(_path: str, written: int, _total: int) -> None:
                nonlocal done
                advance(written - done)
                done = written

            summary = deploy.deploy(board, args.force, report)
        deploy.start(board)
    if args.json:
        session.write_json(args.json, asdict(summary))
    kept = f"; its own main.py is now {summary.kept}" if summary.kept else ""
    terminal.say(
        f"{args.board}: {len(summary.written)} files written ({summary.bytes_written:,} bytes),"
        f" {len(summary.unchanged)} unchanged, {summary.seconds:.1f} s; the firmware runs{kept}"
    )
    return 0
