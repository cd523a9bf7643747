"""The command line: parse, run, report. Every command exits 0 (did it), 1 (ran, and the answer
is no) or 2 (bad usage or input, said in one line)."""

from __future__ import annotations

import io
import sys

from madem import output
from madem.commands.parser import UsageError, make_parser
from madem.errors import MademError, printable


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
    except UsageError as error:
        print(printable(str(error)), file=sys.stderr)
        return 2
    except MademError as error:
        print(f"madem: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("madem: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left; nothing to tell it
        return 1
