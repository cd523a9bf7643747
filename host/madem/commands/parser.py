"""The parsers of madem's commands: one for each verb, and each knows its own options alone.

A verb is a module of madem.commands, `learn` or `stream.replay`. It is imported when its options
are needed, and has `add_options(parser)`, `run(args, terminal)`, which gives the exit code, and a
docstring, with which its `--help` begins.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import inspect
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NoReturn

from madem import __version__
from madem.commands import COMMANDS, VERBS, paths
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
exit codes: 0 did it, 1 ran and the answer is no, 2 bad usage or input, 3 a board, its line or a
            disk fails, 70 a fault of madem's own, kept in a report
"""
_MOST_OWNERS = 3
"""Verbs that a message names for an option which they have and this one has not."""
_ALIKE = 0.75
"""How alike two options must be, from 0 to 1, for one to be a slip of the other."""


class UsageError(MademError):
    """Words that a parser does not take; the message begins with the command."""


class Parser(argparse.ArgumentParser):
    """Takes options by their whole names, shows help as it is written, and refuses in one line."""

    def __init__(self, **settings: Any) -> None:
        """Make a parser.

        Args:
            **settings: as for `argparse.ArgumentParser`.
        """
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong and where help is.

        Args:
            message: what is wrong.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self.prog}: {message}; see `{self.prog} --help`")


class VerbParser(Parser):
    """The parser of one verb, whose module is imported when its options are needed.

    Attributes:
        module: below madem.commands; None for a command that is made of verbs.
    """

    def __init__(self, module: str | None = None, **settings: Any) -> None:
        """Make a parser without options; `complete` adds them.

        Args:
            module: below madem.commands; None for a command that is made of verbs.
            **settings: as for `argparse.ArgumentParser`.
        """
        super().__init__(**settings)
        self.module = module
        self._complete = False

    def complete(self) -> None:
        """Add the options and the help; done by itself before words are parsed."""
        if self._complete or self.module is None:
            return
        self._complete = True
        verb = importlib.import_module(f"madem.commands.{self.module}")
        self.description = inspect.cleandoc(verb.__doc__ or "")
        verb.add_options(self)
        self.add_argument(
            "--json",
            type=paths.Written,
            metavar="FILE",
            help="the result as JSON, - for stdout (default: not written)",
        )
        self.add_argument(
            "--quiet", action="store_true", help="print errors only (default: results too)"
        )
        self.set_defaults(run=verb.run)

    @property
    def options(self) -> Collection[str]:
        """As they are typed, such as --json."""
        return self._option_string_actions

    def parse_known_args(self, *args: Any, **named: Any) -> Any:
        """As `argparse` does, but words that are left over are refused here, by the verb itself."""
        self.complete()
        found, rest = super().parse_known_args(*args, **named)
        if rest:
            self.error(self._what_about(rest))
        return found, rest

    def _what_about(self, words: list[str]) -> str:
        """Of words that this verb does not take: who takes them, or what was meant."""
        unknown = [word.partition("=")[0] for word in words if word.startswith("-")]
        if not unknown:
            return f"unrecognized arguments: {' '.join(words)}"
        return ", ".join(self._where_is(option) for option in dict.fromkeys(unknown))

    def _where_is(self, option: str) -> str:
        verbs = [v.prog for v in leaves(make_parser(complete=True)) if option in v.options]
        family = self.prog.rpartition(" ")[0]
        near = [prog for prog in verbs if prog.rpartition(" ")[0] == family]
        if verbs:
            return f"{option} is for {' or '.join((near or verbs)[:_MOST_OWNERS])}"
        meant = difflib.get_close_matches(option, self.options, 1, _ALIKE)
        return f"there is no {option}" + (f", did you mean {meant[0]}?" if meant else "")


def make_parser(complete: bool = False) -> Parser:
    """Make the parser of all commands.

    Args:
        complete: with the options of every verb, to be looked at.

    Returns:
        The parser.
    """
    parser = Parser(
        prog="madem",
        description="Learn on a microcontroller with a memristor crossbar, and check every bit.",
        epilog=_EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"madem {__version__}")
    _add_verbs(parser, "commands", "COMMAND", COMMANDS)
    if complete:
        for verb in leaves(parser):
            verb.complete()
    return parser


def leaves(parser: argparse.ArgumentParser) -> Iterator[VerbParser]:
    """Find the parsers of all verbs below a parser, in the order of its help.

    Args:
        parser: whose help it is.

    Yields:
        The parsers.
    """
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from leaves(below) if below.module is None else (below,)


def _add_verbs(
    parser: Parser, title: str, metavar: str, verbs: Mapping[str, str], prefix: str = ""
) -> None:
    add = parser.add_subparsers(
        title=title, metavar=metavar, required=True, parser_class=VerbParser
    )
    for name, purpose in verbs.items():
        below = VERBS.get(prefix + name)
        one = add.add_parser(
            name,
            module=None if below else prefix + name,
            help=purpose,
            description=f"{purpose[0].upper()}{purpose[1:]}.",
        )
        if below:
            _add_verbs(one, "verbs", "VERB", below, f"{name}.")
