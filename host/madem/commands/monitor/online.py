"""Watch boards learn an endless stream whose world changes, window by window.

For example:
    madem monitor online motions --change swap:Walking,Running
"""

from __future__ import annotations

import argparse

from madem.commands import online, options
from madem.commands.monitor import watch
from madem.commands.terminal import Terminal
from madem.monitor.jobs import OnlineJob


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem monitor online`."""
    watch.add_options(parser, "", "")
    watch.add_throttle(parser, "windows")
    options.seed(parser)
    online.add_stream(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Have the boards learn, and show it; 1 if one of them died."""
    _, plan, stream, step, gate = online.online_run(args, terminal)
    job = OnlineJob(stream, plan, step, gate, watch.settings(args, plan), args.throttle)
    return watch.watch(args, terminal, lambda board: (board, job))
