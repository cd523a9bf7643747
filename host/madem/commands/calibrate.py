"""Measure a board of chips, and have it keep what was found: gains, dead lines, dead devices.

For example:
    madem calibrate --board /dev/ttyACM0 --design lab64x64 --cards 4 --plot health.png

Exits with 1 when devices are dead. docs/hardware/calibration.md tells what is measured.
"""

from __future__ import annotations

import argparse

from rich import box
from rich.table import Table
from rich.text import Text

from madem import output
from madem.commands import options, paths
from madem.commands.terminal import Terminal
from madem.errors import TaskError
from madem.frontends import attached, calibrate, physical
from madem.learn import session
from madem.learners.chips import Chips
from madem_emulator.physical import presets
from madem_emulator.twin.config import Settings

_SHADES = (" ", "░", "▒", "▓", "█")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem calibrate`."""
    options.board(parser)
    options.chips(parser)
    parser.add_argument(
        "--cards", type=int, metavar="N", help="how many are measured, from 0 on (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the emulated devices (default: 1)")
    parser.add_argument(
        "--plot",
        type=paths.Written,
        metavar="FILE.png",
        help="save the heat map (default: not saved)",
    )
    parser.add_argument(
        "--forget",
        action="store_true",
        help="throw the board's calibration away (default: measure and keep)",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Measure, store and show; 1 when devices are dead."""
    for name in ("cards", "plot"):
        if args.forget and getattr(args, name) is not None:
            raise TaskError(f"--{name} is of a measurement: --forget makes none")
    options.choose_chips(args)
    args.cards = 1 if args.cards is None else args.cards
    if not 1 <= args.cards <= 256:
        raise TaskError(f"--cards is {args.cards}, but must be from 1 to 256")
    if args.board == session.TWIN:
        raise TaskError("calibrate needs a board: the twin has no chips")
    if args.plot is not None:
        output.check_file(args.plot)
    config = Settings(sizes=(1, 1)).integers()
    spec = attached.board_spec(args)
    with session.open_learner(spec, patience=args.patience) as device:
        # Imported only here, because scipy takes its time.
        from madem_emulator.designs import GEOMETRIES

        assert device is not None
        chips = Chips(device, GEOMETRIES[args.design])
        device.configure(config, args.design)
        if args.forget:
            chips.forget()
            output.write_json(args.json, {"board": args.board, "forgotten": True})
            terminal.say("the board has no calibration any more")
            return 0
        pulses = 2 ** (physical.weight_bits(presets.get(args.preset)) - 1)
        with terminal.progress("calibrating", calibrate.STEPS * args.cards) as advance:
            found = calibrate.run(chips, args.design, args.cards, pulses, advance)
        chips.store(found.to_bytes())
        device.configure(config, args.design)  # loads it, or says why not
    output.write_json(args.json, {"board": args.board, "seed": args.seed} | found.to_json())
    for card in found.cards:
        terminal.say(_table(card))
    dead = sum(int(card.dead.sum()) for card in found.cards)
    devices = sum(card.dead.size for card in found.cards)
    terminal.say(f"{dead} of {devices} devices are dead and will be left alone; kept on the board")
    if args.plot is not None:
        from madem.pictures import arrays, style

        figure = arrays.health_picture([(c.codes, c.dead, f"card {c.card}") for c in found.cards])
        terminal.saved(style.save_picture(figure, args.plot))
    return int(dead > 0)


def _table(card: calibrate.CardHealth) -> Table:
    """A card as a heat map, and its numbers."""
    top = max(float(card.codes.max()), 1.0)
    rows, columns = card.codes.shape
    marks = {"#": card.shorted, "o": card.open, "x": card.stuck}
    heat = Text()
    for row in range(rows):
        for column in range(columns):
            shade = _SHADES[min(int(5 * max(card.codes[row, column], 0) / top), 4)]
            mark = next((m for m, where in marks.items() if where[row, column]), None)
            if card.dead_rows[row] or card.dead_columns[column]:
                mark = "-"
            heat.append(mark or shade, style="bold red" if mark else "")
        heat.append("\n")
    gains = [
        f"{side} gains {g.min():.3f} to {g.max():.3f}"
        for side, g in (("column", card.column_gains), ("row", card.row_gains))
    ]
    lines = [
        f"dead {side}s {', '.join(map(str, flags.nonzero()[0]))}"
        for side, flags in (("column", card.dead_columns), ("row", card.dead_rows))
        if flags.any()
    ]
    counts = [
        f"{int(where.sum())} {name} ({mark})"
        for name, mark, where in (
            ("shorted", "#", card.shorted),
            ("open", "o", card.open),
            ("stuck", "x", card.stuck),
        )
        if where.any()
    ]
    table = Table(
        box=box.SIMPLE, title=f"card {card.card}", title_justify="left", show_header=False
    )
    bend = f"at most {card.bend:.1f} codes from a straight line"
    table.add_row(heat, "\n".join([*gains, bend, *lines, *counts]))
    return table
