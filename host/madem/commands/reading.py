"""How files of your own are read.

The options for where the judgement would be wrong, and what is told of it.
"""

from __future__ import annotations

import argparse
from argparse import ArgumentTypeError

from madem.commands import values
from madem.commands.terminal import Terminal
from madem.data.files.judge import Judgement, ReadOptions
from madem.data.files.text import DELIMITERS


def add_label(group: argparse._ActionsContainer, where: str = "") -> None:
    """The option that is needed most.

    Args:
        group: gets it.
        where: for which tasks it is, as its help begins.
    """
    group.add_argument(
        "--label", "--target", "--y", metavar="NAME",
        help=f"{where}column or array of labels; more options of this kind: madem data --help"
        " (default: judged, and told)",
    )  # fmt: skip


def add_options(group: argparse._ActionsContainer, hidden: bool = False) -> None:
    """The other options.

    Args:
        group: gets them.
        hidden: they are taken, but not shown: `madem data --help` shows them.
    """

    def told(text: str) -> str:
        return argparse.SUPPRESS if hidden else text

    group.add_argument(
        "--drop", type=values.names, default=(), metavar="A,B…",
        help=told("columns to leave out (default: index, time; to learn also constant ones)"),
    )  # fmt: skip
    group.add_argument(
        "--time", metavar="NAME",
        help=told("column of times; none: there is none, each row is a sample by itself (default:"
        " judged)"),
    )  # fmt: skip
    group.add_argument(
        "--units", type=values.names, default=(), metavar="U,U…",
        help=told("units of the features in turn, one for all, or NAME=UNIT (default: the file's)"),
    )  # fmt: skip
    group.add_argument(
        "--delimiter", type=_delimiter, metavar="C",
        help=told(f"between cells: {', '.join(DELIMITERS)}, or a character (default: judged)"),
    )  # fmt: skip
    group.add_argument(
        "--decimal", type=_decimal, metavar="C",
        help=told("mark in numbers: point or comma (default: judged)"),
    )  # fmt: skip
    group.add_argument(
        "--x", metavar="NAME", help=told("array of the features in an .npz (default: judged)")
    )

    group.add_argument(
        "--groups", metavar="NAME",
        help=told("column or array whose equal values are never on both sides of a split (default:"
        " recordings and files, where classes have several)"),
    )  # fmt: skip


def options_of(args: argparse.Namespace) -> ReadOptions:
    """Read what the options say."""
    return ReadOptions(
        label=args.label,
        x=args.x,
        drop=args.drop,
        time=args.time,
        delimiter=args.delimiter,
        decimal=args.decimal,
        units=args.units,
        groups=args.groups,
    )


def tell(judgement: Judgement | None, terminal: Terminal) -> None:
    """Say how a file was understood.

    Args:
        judgement: what was understood; None: the task is no file.
        terminal: where it is said.
    """
    for line in judgement.lines() if judgement else ():
        terminal.say(line)


def _delimiter(text: str) -> str:
    found = DELIMITERS.get(text, "\t" if text == "\\t" else text)
    if len(found) != 1 or found.isalnum() or found in '."#':
        raise ArgumentTypeError(f"{text!r} is neither {', '.join(DELIMITERS)} nor a character")
    return found


def _decimal(text: str) -> str:
    found = {"point": ".", "comma": ","}.get(text, text)
    if found not in (".", ","):
        raise ArgumentTypeError(f"{text!r} is neither point nor comma")
    return found
