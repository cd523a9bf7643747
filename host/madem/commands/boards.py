"""`madem boards`: what is attached, and what is emulated."""

from __future__ import annotations

import argparse
import contextlib
import time
from dataclasses import asdict

from madem import session
from madem.boards import list_boards, open_board
from madem.commands.terminal import Terminal

NAME = "boards"
HELP = "what is attached, and what is emulated"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--start",
        metavar="BOARD",
        help="keep an emulated board running until Ctrl-C and print its port,"
        " to use it as `--board PORT` from elsewhere",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """List boards, or keep an emulated one running."""
    if args.start:
        with open_board(args.start) as board:
            port = board.port.port
            board.port.close()  # somebody else will open it
            print(port, flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(3600)
        return 0
    found = list_boards()
    if args.json:
        session.write_json(args.json, {"boards": [asdict(info) for info in found]})
    for info in found:
        use = info.reason or f"--board {info.spec}"
        terminal.say(f"{info.spec:16} {info.description}  ({use})")
    if not any(not info.emulated for info in found):
        terminal.say("no board is attached")
    return 0
