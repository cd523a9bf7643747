"""Learn on a board in lock step with the desktop twin, and compare every value of every step.

For example:
    madem verify digits
    madem verify digits --inject weight:77          # a bit is flipped, found and named
    madem verify DATA.csv --frontend attached       # through chips; are their codes plausible?

An endless stream is verified by `madem online TASK --verify`.
Exits with 1 when board and twin differ, or the codes are not those of a sound board.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from madem import output
from madem.commands import options, training
from madem.commands.terminal import Terminal
from madem.data.stream_task import StreamTask
from madem.errors import MademError, TaskError
from madem.frontends import attached
from madem.learn import session, train
from madem.learners.stream import BoardStream
from madem.verify import lock_step
from madem.verify.attached import AttachedLockStep
from madem_emulator.physical import presets

if TYPE_CHECKING:
    from madem.verify.plausibility import PlausibilityCheck


_ANSWERS = ("device and twin differ", "the codes of the board are not plausible")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem verify`."""
    options.board(parser)
    options.seed(parser)
    parser.add_argument(
        "--samples",
        type=int,
        default=2000,
        metavar="N",
        help="training samples to compare; predictions on the test set are compared too, with"
        " --frontend attached as many at most (default: 2000)",
    )
    parser.add_argument(
        "--inject",
        metavar="WHAT:STEP",
        help="weight:STEP or state:STEP flips one bit on the device at that step,"
        " to see that the check can fail; with --frontend attached state:STEP, or a fault of the"
        " emulated chips such as gain:c3:1.2, swap:c2:c5, dead:c4, stuck:0.r3.c2, drift:0.02"
        " (default: nothing)",
    )
    options.task(parser)
    options.network(parser)
    options.stuck_after_training(options.devices(parser, ("emulated", "attached")))


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Run device and twin in lock step; 1 when they differ."""
    task = training.load(args, terminal)
    plan = training.recipe(args, task)
    faults = training.stuck_after_training(args)
    chips = args.frontend == "attached"
    if chips and isinstance(task, StreamTask):
        raise TaskError("verify does not record chips under a stream: use another task")
    if args.samples < 1:
        raise TaskError(f"samples is {args.samples}, but must be 1 or more")
    if args.epochs is None:  # as many passes as the samples need
        epochs = -(-args.samples // task.samples_per_pass)
        plan = replace(plan, epochs=epochs)
    steps = min(args.samples, plan.epochs * task.samples_per_pass)
    flip = None if chips and attached.faults_of(args) else _injection(args, plan, steps)
    spec = attached.board_spec(args) if chips else args.board
    with session.open_learner(spec, patience=args.patience) as device:
        if device is None:
            raise MademError("verify compares a device with the twin: choose a board")
        device.configure(plan.settings.integers(), plan.design)
        if flip:
            device.flip(*flip)
        check = None
        if chips:
            lock = AttachedLockStep(device, plan.design, steps)
            check = _plausibility(lock, args.preset, steps, steps)
        else:
            board = BoardStream(device, task.pipeline) if isinstance(task, StreamTask) else device
            lock = lock_step.LockStep(board, names=task.feature_names)
        run = session.Run(task, plan, device.config, args.board, args.preset, args.frontend)
        what = f"verifying {task.name}"
        mismatch = _probe(check)
        mismatch = mismatch or training.train(run, lock, terminal, what, args.samples, faults)
        mismatch = mismatch or _probe(check)
        if mismatch is None:
            session.finish(run, device)
    tested = {"code_tests": check.test.tests} if check else {}
    output.write_json(args.json, run.to_json() | lock_step.report(lock, mismatch) | tested)
    counts = f"{lock.steps:,} steps, {lock.compared:,} values compared"
    if check:
        counts += f", {check.test.tests:,} tests of codes"
    if mismatch is not None:
        terminal.alarm(_ANSWERS[mismatch.phase == "codes"], f" after {counts}: {mismatch}")
        return 1
    terminal.say(f"{task.name} on {args.board}: {counts}, 0 mismatches")
    return 0


def _plausibility(
    lock: AttachedLockStep, preset: str, samples: int, predictions: int
) -> PlausibilityCheck:
    # Imported only here, because scipy takes its time.
    from madem.verify.plausibility import PlausibilityCheck

    try:
        return PlausibilityCheck(lock, presets.get(preset), samples, predictions)
    except ValueError as error:
        raise TaskError(str(error)) from None


def _probe(check: PlausibilityCheck | None) -> lock_step.Mismatch | None:
    """What a probe of the chips finds."""
    try:
        if check:
            check.probe()
    except lock_step.DiffersError as error:
        return error.mismatch
    return None


def _injection(
    args: argparse.Namespace, plan: train.Recipe, steps: int
) -> tuple[bool, int, int, int, int] | None:
    """The flip that `--inject` asks for, in a cell drawn from the seed."""
    if args.inject is None:
        return None
    what, _, step = args.inject.partition(":")
    flips = ("state",) if args.frontend == "attached" else ("weight", "state")
    if what not in flips or not step.isdecimal():
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
