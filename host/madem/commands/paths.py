"""Options that name files: which are read and which are written, and that these are kept apart."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from madem import output
from madem.errors import MademError

_GOES_ON = {"save": "load"}
"""An output that may be the input of that name: the command goes on in that file."""
_SIGNAL = re.compile(r"\bsensor=\w+\+([^,+]+)")
"""The file that an emulated board plays to its sensor."""


class Read(str):
    """A file or folder that a command reads, or a word such as the name of a task."""

    __slots__ = ()


class Written(str):
    """A file that a command writes; - is the standard output."""

    __slots__ = ()


def keep_apart(args: argparse.Namespace) -> None:
    """Refuse a file to be written that is also read, or that two options name.

    Args:
        args: of any command, whose options have the types `Read` and `Written`.

    Raises:
        MademError: two are the same file, by the same name or by way of links.
    """
    writes = [(name, path) for name, path in _given(args, Written) if path != "-"]
    if not writes:
        return
    reads = [(name, file) for name, path in _given(args, Read) for file in _files(path)]
    reads += [("board", file) for file in _SIGNAL.findall(str(getattr(args, "board", "")))]
    for number, (name, path) in enumerate(writes):
        others = [(n, p) for n, p in reads if n != _GOES_ON.get(name)] + writes[:number]
        for _, other in others:
            if output.same_file(path, other):
                raise MademError(
                    f"--{name.replace('_', '-')} {path} would write over {other}, which this"
                    " command needs: choose another name"
                )


def _given(args: argparse.Namespace, kind: type[str]) -> Iterator[tuple[str, Any]]:
    """Names and values of the options of a type."""
    for name, value in vars(args).items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, kind):
                yield name, one


def _files(path: str) -> list[str]:
    """The files that are read where a path is named; a word such as `digits` names none."""
    if not Path(path).is_dir():
        return [path] if Path(path).exists() else []
    from madem.data.files import read  # only now: most commands read no folder

    try:
        return [str(file) for file in read.files_of(Path(path))[0]]
    except MademError:
        return []  # the command will say why
