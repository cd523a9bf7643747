"""`madem verify`: learn in lock step with the desktop twin."""

from __future__ import annotations

import argparse
import random
from dataclasses import replace

from madem import learn, session, verify
from madem.commands import options, training
from madem.commands.terminal import Terminal
from madem.errors import MademError, TaskError
from madem.stream_learner import StreamLockStep
from madem.stream_task import StreamTask

NAME = "verify"
HELP = "the same in lock step with the twin"


def add_options(parser: argparse.ArgumentParser) -> None:
    options.board(parser)
    options.task(parser)
    parser.add_argument(
        "--samples",
        type=int,
        default=2000,
        help="training samples to compare (2000); predictions on the test set are compared too",
    )
    parser.add_argument(
        "--inject",
        metavar="WHAT:STEP",
        help="weight:STEP or state:STEP flips one bit on the device at that step,"
        " to see that the check can fail",
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Run device and twin in lock step; 1 when they differ."""
    if args.frontend == "attached":
        raise TaskError("verify does not know measured weights yet: use --frontend emulated")
    task, plan = training.make_plan(args)
    strike = training.strike_of(args)
    if args.samples < 1:
        raise TaskError(f"samples is {args.samples}, but must be 1 or more")
    if args.epochs is None:  # as many passes as the samples need
        epochs = -(-args.samples // task.samples_per_pass)
        plan = replace(plan, epochs=epochs)
    steps = min(args.samples, plan.epochs * task.samples_per_pass)
    flip = _injection(args, plan, steps)
    with session.open_learner(args.board) as device:
        if device is None:
            raise MademError("verify compares a device with the twin: choose a board")
        device.configure(plan.settings.integers())
        if flip:
            device.flip(*flip)
        stream = isinstance(task, StreamTask)
        lock = StreamLockStep(device, task) if stream else verify.LockStep(device)
        run = session.Run(task, plan, device.config, args.board, args.preset, args.frontend)
        what = f"verifying {task.name}"
        mismatch = training.train(run, lock, terminal, what, args.samples, strike)
        if mismatch is None:
            session.finish(run, device)
    if args.json:
        session.write_json(args.json, run.to_json() | verify.report(lock, mismatch))
    counts = f"{lock.steps:,} steps, {lock.compared:,} values compared"
    if mismatch is not None:
        terminal.say(f"[bold red]device and twin differ[/] after {counts}: {mismatch}")
        return 1
    terminal.say(f"{task.name} on {args.board}: {counts}, 0 mismatches")
    return 0


def _injection(
    args: argparse.Namespace, plan: learn.Recipe, steps: int
) -> tuple[bool, int, int, int, int] | None:
    """The flip that `--inject` asks for, in a cell drawn from the seed."""
    if args.inject is None:
        return None
    what, _, step = args.inject.partition(":")
    if what not in ("weight", "state") or not step.isdecimal():
        raise MademError(
            f"--inject {args.inject}: write weight:STEP or state:STEP, such as state:7"
        )
    if int(step) >= steps:
        raise MademError(f"--inject {args.inject}: the run has {steps} steps, counted from 0")
    draw = random.Random(args.seed)
    sizes = plan.settings.sizes
    layer = draw.randrange(1, len(sizes))
    cells = sizes[layer] if what == "state" else 2 * (sizes[layer - 1] + 1) * sizes[layer]
    return what == "state", int(step), layer, draw.randrange(cells), draw.randrange(8)
