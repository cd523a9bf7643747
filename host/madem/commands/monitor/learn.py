"""Watch boards learn a task, and be tested.

For example:
    madem monitor learn digits --html report.html
    madem monitor learn digits --board unix --board /dev/ttyACM0 --throttle 4000
"""

from __future__ import annotations

import argparse
import copy

from madem.commands import options, training
from madem.commands.monitor import watch
from madem.commands.terminal import Terminal
from madem.frontends import attached
from madem.monitor.jobs import BoardJob, LearnJob


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem monitor learn`."""
    watch.add_options(parser, "--samples", "samples")
    watch.add_throttle(parser, "samples")
    options.seed(parser)
    options.task(parser)
    options.network(parser)
    options.devices(parser, ("emulated", "attached"))


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Have the boards learn, and show it; 1 if one of them died."""
    task = training.load(args, terminal)

    def work(board: str) -> tuple[str, BoardJob]:
        own = copy.copy(args)
        own.board = board
        plan = training.recipe(own, task)
        spec = attached.board_spec(own) if plan.design else board
        return spec, LearnJob(task, plan, watch.settings(own, plan), own.throttle)

    return watch.watch(args, terminal, work)
