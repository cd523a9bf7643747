"""Say what is missing, and the command that mends it; or bring up a board of chips.

For example:
    madem doctor
    madem doctor --frontend attached --board /dev/ttyACM0 --design maker8x8

Exits with 1 when something that is needed is missing, or a step fails.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from madem import doctor, output
from madem.boards.open import WITH_CHIPS
from madem.commands import options
from madem.commands.terminal import Terminal
from madem.errors import TaskError
from madem.frontends import attached
from madem.learn import session
from madem_emulator.physical import presets

_OF_CHIPS = ("board", "design", "preset", "card", "resistors", "inject")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem doctor`."""
    parser.add_argument(
        "--frontend",
        choices=("attached",),
        help="bring up a board of chips instead, step by step"
        " (docs/hardware/maker_board.md), which the others need (default: say what is missing)",
    )
    options.board(parser)
    parser.set_defaults(board=None)  # to see whether one was named
    options.chips(parser)
    parser.add_argument("--card", type=int, metavar="N", help="number of the card (default: 0)")
    parser.add_argument(
        "--resistors",
        action="store_true",
        help="the card holds resistors, as the page has them (default: devices)",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Say what is missing; 1 when something that the emulated board needs is."""
    if args.frontend:
        return _bring_up(args, terminal)
    for name in _OF_CHIPS:
        if getattr(args, name) not in (None, False):
            raise TaskError(f"--{name} needs --frontend attached")
    found = doctor.examine()
    output.write_json(args.json, {"checks": [asdict(check) for check in found]})
    terminal.say(doctor.format_checks(found))
    return 0 if all(check.ok or not check.required for check in found) else 1


def _bring_up(args: argparse.Namespace, terminal: Terminal) -> int:
    """Say what works on a board of chips; 1 when a step fails."""
    from madem.frontends import bring_up  # slow to import: the emulated cards

    args.board = args.board or "unix"
    options.choose_chips(args)
    args.card = args.card or 0
    args.seed = 1
    if not 0 <= args.card < 256:
        raise TaskError(f"--card {args.card} is not from 0 to 255")
    if args.board == session.TWIN:
        raise TaskError("bring-up needs a board: the twin has no chips")
    if args.resistors and args.board.partition(":")[0] in WITH_CHIPS:
        args.inject = "+".join(filter(None, ("resistors", args.inject)))
    found = []
    spec = attached.board_spec(args)
    with session.open_learner(spec, patience=args.patience) as device:
        assert device is not None
        found.append(doctor.Check("board", True, f"{args.board} answers, firmware is on it"))
        terminal.say(doctor.format_checks(found))
        kind = presets.get(args.preset)
        for check in bring_up.examine(device, args.design, kind, args.card, args.resistors):
            found.append(check)
            terminal.say(doctor.format_checks([check], bad="failed"))
    output.write_json(args.json, {"checks": [asdict(check) for check in found]})
    return int(not all(check.ok for check in found))
