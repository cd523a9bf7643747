"""One module a command: its `NAME`, its `HELP`, `add_options(parser)` and `run(args, terminal)`,
which gives the exit code. cli.py lists them in the order below."""

from madem.commands import (
    bench,
    boards,
    calibrate,
    compare,
    completion,
    demo,
    deploy,
    doctor,
    flash,
    learn,
    monitor,
    stream,
    sweep,
    verify,
)
from madem.commands.terminal import Terminal

ALL = (
    demo,
    boards,
    flash,
    deploy,
    learn,
    verify,
    stream,
    monitor,
    compare,
    sweep,
    bench,
    calibrate,
    doctor,
    completion,
)

__all__ = ["ALL", "Terminal"]
