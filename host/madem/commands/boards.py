"""List what is attached, what is emulated, and which boards are known.

For example:
    madem boards
    madem boards --known
    madem boards --start unix
"""

from __future__ import annotations

import argparse
import contextlib
import time
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from madem import output
from madem.boards import capacity, timing
from madem.boards.catalogue import BOARD_TYPES, BoardType
from madem.boards.open import list_boards, open_board
from madem.commands.terminal import Terminal
from madem.flash.targets import find_targets


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem boards`."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--start",
        metavar="BOARD",
        help="keep an emulated board running until Ctrl-C and print its port,"
        " to use it as `--board PORT` from elsewhere (default: none)",
    )
    group.add_argument(
        "--known",
        action="store_true",
        help="the table of boards: how each is flashed and wired, and what fits on it (default:"
        " what is here)",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """List boards or kinds of them, or keep an emulated one running."""
    if args.known:
        output.write_json(args.json, {"known": [_figures(kind) for kind in BOARD_TYPES]})
        for table in known_tables():
            terminal.say(table)
        terminal.say(
            "heap: free after power-up; sample: time to learn one with a network 64-32-10;"
            " N: largest for 64-N-10; ≈: estimates (docs/hardware/boards.md)"
        )
        return 0
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
    waiting = [target for target in find_targets() if target.in_bootloader]
    result = {
        "boards": [asdict(info) for info in found],
        "in_bootloader": [target.where for target in waiting],
    }
    output.write_json(args.json, result)
    for target in waiting:
        terminal.say(f"{target.describe()} waits for a program  (madem flash)")
    for info in found:
        use = info.reason or f"--board {info.spec}"
        terminal.say(f"{info.spec:16} {info.description}  ({use})")
    if not waiting and all(info.emulated for info in found):
        terminal.say("no board is attached")
    return 0


def known_tables() -> list[Table]:
    """The table of boards, in parts that fit a terminal."""
    able = _table("board", "", "MHz", "heap", "sample ≈", "N ≈")
    wired = _table("board", "I2C: scl sda", "SPI: sck mosi miso", "ADC", "architecture")
    flashed = _table("board", "flashed by", "official build")
    for kind in BOARD_TYPES:
        units = capacity.most_hidden_units(kind)
        able.add_row(
            *(kind.name, kind.title, f"{kind.clock_hz / 1e6:.0f}", f"{kind.heap // 1000} KB"),
            *((f"{1000 * timing.sample_seconds(kind):.1f} ms", str(units)) if units else "--"),
        )
        wired.add_row(kind.name, " ".join(kind.i2c), " ".join(kind.spi), kind.adc, kind.mpy_arch)
        flashed.add_row(kind.name, " ".join(kind.methods), kind.download or "-")
    return [able, wired, flashed]


def _figures(kind: BoardType) -> dict[str, Any]:
    return asdict(kind) | {
        "estimated_sample_us": round(1e6 * timing.sample_seconds(kind)),
        "estimated_most_hidden_units": capacity.most_hidden_units(kind),
    }


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for k, column in enumerate(columns):
        table.add_column(column, no_wrap=k == 0)
    return table
