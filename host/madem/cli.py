"""The command line: parse, run, report. Every command exits 0 (did it), 1 (ran, and the answer
is no) or 2 (bad usage or input, said in one line)."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from typing import Any, NoReturn

from madem import __version__, output
from madem.commands import ALL
from madem.errors import MademError

_EPILOG = """\
three steps:
  madem demo                      learn Braille on an emulated board, verify it, see pictures
  madem learn digits              learn on a board, test, compare with the desktop
  madem verify digits             the same in lock step with the desktop twin, bit by bit

learning rules against each other: madem compare
sensor data, recorded or live:     madem stream

tasks: braille, braille-words, digits, motions, or your own DATA.csv / DATA.npz
boards: unix (emulated, the default), unix:heap=64K, unix32, qemu, rp2040:FILE.uf2, a port such
        as /dev/ttyACM0 or COM3, auto (the one attached), and for learn: twin (the desktop model
        alone)
exit codes: 0 did it, 1 ran and the answer is no, 2 bad usage or input
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


class _CommandParser(_Parser):
    """The parser of one command, which is imported when its options are needed."""

    def __init__(self, command: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._command = command
        self._complete = False

    def complete(self) -> None:
        """Add the options; done by itself before they are parsed."""
        if self._complete:
            return
        self._complete = True
        command = importlib.import_module(f"madem.commands.{self._command}")
        command.add_options(self)
        self.add_argument("--json", metavar="FILE", help="write the result as JSON (- for stdout)")
        self.add_argument("--quiet", action="store_true", help="print errors only")
        self.set_defaults(run=command.run)

    def parse_known_args(self, *args: Any, **named: Any) -> Any:
        self.complete()
        return super().parse_known_args(*args, **named)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # `?` where a terminal has no `█`
            stream.reconfigure(errors="replace")
    try:
        # Imports the command, which takes long enough to be met by a Ctrl-C.
        args = make_parser().parse_args(argv)
        quiet = args.quiet or args.json == "-"  # the JSON alone, for a program to read
        if args.json not in (None, "-"):
            output.check_file(args.json, make_folder=True)
        from madem.commands.terminal import Terminal

        return args.run(args, Terminal(quiet))
    except MademError as error:
        print(f"madem: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("madem: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left; nothing to tell it
        return 1


def make_parser(complete: bool = False) -> argparse.ArgumentParser:
    """The parser of all commands; `complete`: with the options of each, to be looked at."""
    parser = _Parser(
        prog="madem",
        description="Learn on a microcontroller with a memristor crossbar, and check every bit.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"madem {__version__}")
    add = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_CommandParser
    )
    for name, purpose in ALL.items():
        one = add.add_parser(
            name,
            command=name,
            help=purpose,
            description=purpose[0].upper() + purpose[1:] + ".",
        )
        if complete:
            one.complete()
    return parser
