"""The command line: parse, run, report.

Every command exits with 0 (did it), 1 (ran, and the answer is no), 2 (bad usage or input), 3 (a
board, the line to it or a disk fails) or 70 (a fault of madem's own, kept in a report); what is
wrong is said in one line.
"""

from __future__ import annotations

import io
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence

from madem import __version__, output
from madem.commands import paths
from madem.commands.parser import UsageError, make_parser
from madem.errors import ENVIRONMENT, MademError, printable

_STOPPED = 130
_BUG = 70


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words behind `madem`; None: those that this program was started with.

    Returns:
        The exit code.
    """
    argv = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # `?` where a terminal has no `█`
            stream.reconfigure(errors="replace")
    try:
        # Imports the command, which takes long enough to be met by a Ctrl-C.
        args = make_parser().parse_args(argv)
        quiet = args.quiet or args.json == "-"  # the JSON alone, for a program to read
        paths.keep_apart(args)
        if args.json not in (None, "-"):
            output.check_file(args.json, make_folder=True)
        from madem.commands.terminal import Terminal

        return args.run(args, Terminal(quiet))
    except UsageError as error:
        return _say(str(error), error.exit_code)
    except MademError as error:
        return _say(f"madem: {error}", error.exit_code)
    except KeyboardInterrupt:
        return _say("madem: stopped", _STOPPED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left; nothing to tell it
        return 1
    except OSError as error:
        return _say(f"madem: {error}", ENVIRONMENT)
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        return _say(f"madem: a fault of madem's own, {told}; {_kept(argv)}", _BUG)


def _say(line: str, code: int) -> int:
    print(printable(line), file=sys.stderr)
    return code


def _kept(argv: Sequence[str]) -> str:
    """Write a report of the exception at hand; says where it is."""
    system = f"madem {__version__}, Python {sys.version.split()[0]}, {platform.platform()}"
    report = f"{system}\n{shlex.join(['madem', *argv])}\n\n{traceback.format_exc()}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="madem-report-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(report)
    except OSError as error:
        return f"no report could be written: {error}"
    return f"please report it with {file.name}"
