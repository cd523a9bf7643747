"""Boards at work, watched: the options that all verbs of `madem monitor` have, and the watching."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.markup import escape

from madem import output
from madem.commands import options, paths, values
from madem.commands.terminal import Terminal
from madem.errors import MademError
from madem.learn import session, train
from madem.monitor import html, tui
from madem.monitor.fleet import Assignment, Fleet, names
from madem.monitor.jobs import BoardJob
from madem.monitor.run_state import Stage

_REFRESH_S = 0.25
_LINE_S = 1.0


def add_options(parser: argparse.ArgumentParser, most: str, what: str) -> None:
    """The boards, how long they work, and what is kept.

    Args:
        parser: of the verb.
        most: the option that ends a board after so many samples or windows; "": none does.
        what: these.
    """
    parser.add_argument(
        "--board",
        action="append",
        metavar="BOARD",
        help="unix, unix:heap=64K, unix32, qemu, rp2040, a port, auto; again for more boards, which"
        " work side by side (default: unix)",
    )
    options.patience(parser)
    parser.add_argument(
        "--html",
        type=paths.Written,
        metavar="FILE",
        help="one page with all pictures (default: none)",
    )
    parser.add_argument(
        "--log-dir", metavar="DIR", help="a log of each board into this folder (default: none)"
    )
    parser.add_argument(
        "--seconds", type=values.above_zero, metavar="S", help="end after so many (default: never)"
    )
    if most:
        parser.add_argument(
            most,
            dest="most",
            type=values.count,
            metavar="N",
            help=f"end a board after so many {what} (default: at the end)",
        )
    else:
        parser.set_defaults(most=None)


def add_throttle(parser: argparse.ArgumentParser, what: str) -> None:
    """The most samples or windows that a board may learn in a second.

    Args:
        parser: of the verb.
        what: "samples" or "windows".
    """
    parser.add_argument(
        "--throttle",
        type=values.above_zero,
        metavar="N",
        help=f"{what} a second at most, to follow it (default: as fast as it goes)",
    )


def watch(
    args: argparse.Namespace, terminal: Terminal, work: Callable[[str], tuple[str, BoardJob]]
) -> int:
    """Have the boards work, and show it.

    Args:
        args: with the options above.
        terminal: where it is shown.
        work: of a board's name: what to open for it, and what it is to do.

    Returns:
        The exit code: 1 if a board died.

    Raises:
        MademError: the twin is no board, or a file can't be written.
    """
    specs = args.board or ["unix"]
    if session.TWIN in specs:
        raise MademError("a monitor watches a board: the twin is none")
    posts = [Assignment(name, *work(spec)) for name, spec in zip(names(specs), specs, strict=True)]
    if args.html:
        output.check_file(args.html, make_folder=True)
    logs = Path(args.log_dir) if args.log_dir else None
    fleet = Fleet(posts, seconds=args.seconds, most=args.most, logs=logs, patience=args.patience)
    told: set[str] = set()
    with fleet, contextlib.suppress(KeyboardInterrupt):
        _show(fleet, terminal, told)
    boards = fleet.snapshots()
    dead = [facts for facts in boards if facts.stage is Stage.DEAD]
    if args.html:
        output.write_whole(args.html, html.render(boards).encode())
    output.write_json(args.json, {"boards": [facts.to_json() for facts in boards]})
    if len(boards) == 1 and fleet.failures and not boards[0].samples:
        raise fleet.failures[0]
    if terminal.is_live:  # the screen with all that was shown last is gone
        terminal.say(tui.rows(boards))
    for facts in boards:
        if facts.stage is Stage.DEAD if terminal.is_live else facts.board not in told:
            terminal.say(escape(tui.line(facts)))
    if args.html:
        terminal.saved(Path(args.html))
    for failure in fleet.failures:
        if not isinstance(failure, MademError):
            raise failure
    return 1 if dead else 0


def settings(args: argparse.Namespace, plan: train.Recipe) -> dict[str, Any]:
    """Tell what the header says of a network that learns.

    Args:
        args: with the network's options.
        plan: how it learns.

    Returns:
        What is said, by name.
    """
    config = plan.settings.integers()
    found = {
        "preset": args.preset,
        "bits": config.weight_bits,
        "rule": config.rule.name.lower().replace("_", "-"),
        "seed": config.seed,
    }
    return found | ({"frontend": "attached", "design": plan.design} if plan.design else {})


def _show(fleet: Fleet, terminal: Terminal, told: set[str]) -> None:
    """Until all boards are done, or a Ctrl-C; `told`: boards whose end has been said in a line."""
    with terminal.screen() as fill:
        if fill:
            while not fleet.wait(_REFRESH_S):
                fill(tui.Whole(fleet.snapshots()))
            return
        while not fleet.wait(_LINE_S):
            for facts in fleet.snapshots():
                if facts.board not in told:
                    terminal.say(escape(tui.line(facts)))
                if facts.stage.over:
                    told.add(facts.board)
