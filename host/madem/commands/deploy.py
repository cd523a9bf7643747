"""Put the firmware on a board, only what changed, and start it once to see that it runs.

For example:
    madem deploy
    madem deploy --board /dev/ttyACM0 --dry-run
    madem deploy --board /dev/ttyACM0 --library
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from madem import output
from madem.boards import deploy
from madem.boards.open import open_board
from madem.commands import options
from madem.commands.terminal import Terminal


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem deploy`."""
    options.board(parser, default="auto")
    parser.add_argument(
        "--force",
        action="store_true",
        help="write unchanged files too, and keep a main.py that is not madem's as main_old1.py"
        " (default: neither)",
    )
    parser.add_argument(
        "--source",
        action="store_true",
        help="send source even where it could be compiled (default: compiled)",
    )
    parser.add_argument(
        "--library",
        action="store_true",
        help="into /lib/madem, for a main.py of your own, which stays as it is (default: as the"
        " board's program)",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="change nothing, only say what would be done (default: do it)",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Put the firmware on a board and start it once to see that it runs."""
    with open_board(args.board, args.patience) as board:
        with terminal.progress(f"deploying to {board.name}, %", 100) as advance:
            percent = 0

            def report(_path: str, written: int, total: int) -> None:
                nonlocal percent
                advance(100 * written // total - percent)
                percent = 100 * written // total

            summary = deploy.deploy(
                board,
                args.force,
                report,
                source=args.source,
                dry_run=args.dry_run,
                library=args.library,
            )
        served = not (args.dry_run or args.library)
        deploy.start(board, ready=deploy.READY if served else None)
    output.write_json(args.json, asdict(summary))
    for line in _describe(summary, args.dry_run, args.library):
        terminal.say(f"{args.board}: {line}")
    return 0


def _describe(summary: deploy.Summary, dry_run: bool, library: bool) -> list[str]:
    """What was done, or would be."""
    done = "`import madem` finds it in /lib" if library else "it runs"
    lines = [
        f"{len(summary.written)} files {'to write' if dry_run else 'written'}"
        f" ({summary.bytes_written:,} bytes), {len(summary.unchanged)} unchanged"
        + ("; nothing was changed" if dry_run else f", {summary.seconds:.1f} s; {done}")
    ]
    form = {"frozen": "is frozen into MicroPython", "mpy": "is compiled", "source": "is source"}
    reason = f" because {summary.why}" if summary.why else ""
    lines.append(f"the firmware {form[summary.form]}{reason}, {summary.firmware_bytes:,} bytes")
    if summary.free_bytes is not None:
        lines[-1] += f"; {summary.free_bytes // 1024:,} KB are free"
    if summary.removed:
        lines.append(f"{'to remove' if dry_run else 'removed'}: {', '.join(summary.removed)}")
    if summary.kept:
        lines.append(f"its own main.py {'would be' if dry_run else 'is now'} {summary.kept}")
    return lines
