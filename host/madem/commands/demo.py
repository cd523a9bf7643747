"""Learn Braille on an emulated board, every bit verified, and save pictures of it.

For example:
    madem demo
    madem demo --board qemu --out pictures
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from madem import output
from madem.commands import options, training
from madem.commands.terminal import Terminal
from madem.data.registry import load_task
from madem.errors import MademError
from madem.learn import recall, session, train
from madem.verify import lock_step


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem demo`."""
    options.board(parser)
    parser.add_argument(
        "--out",
        default="madem-out",
        metavar="DIR",
        help="folder of the pictures (default: madem-out)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="of everything that is drawn (default: 1)"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Learn Braille on a board, every bit verified, and save pictures."""
    task = load_task("braille", seed=args.seed)
    # Half of the usual passes: enough to see it, with every one of them verified.
    plan = train.recipe(task, seed=args.seed, epochs=40)
    out = Path(args.out)
    output.check_folder(out)
    with session.open_learner(args.board, patience=args.patience) as device:
        if device is None:
            raise MademError("the demo shows a device: choose a board, not the twin")
        terminal.say(f"board {args.board}: {device.hello.board}, firmware {device.hello.firmware}")
        device.configure(plan.settings.integers())
        lock = lock_step.LockStep(device)
        run = session.Run(task, plan, device.config, args.board, "default")
        mismatch = training.train(run, lock, terminal, "learning, checked by the twin")
        shown = task.test_set(0.2, draws=1)
        recalled = recall.recall(device, task, shown.x)
        if mismatch is None:
            session.finish(run, device)
            run.baselines = session.baselines(task, ())
    result = run.to_json() | lock_step.report(lock, mismatch)
    output.write_json(args.json, result)
    if mismatch is not None:
        terminal.alarm("device and twin differ", f": {mismatch}")
        return 1
    terminal.say(
        f"verified: {lock.steps:,} steps, {lock.compared:,} values, 0 mismatches"
        f" ({run.result.wall_s:.1f} s)"
    )
    dots = recall.read_dots(task, recalled, run.config.t_hi, run.config.t_lo)
    training.show(run, terminal)
    training.save_pictures(run, out, terminal)
    _braille_picture(run, shown.x[:, : task.n_dots], dots, out, terminal)
    return 0


def _braille_picture(
    run: session.Run, shown: Any, dots: Any, folder: Path, terminal: Terminal
) -> None:
    from madem.pictures import style, words

    figure = words.braille_picture(
        run.task.class_names, shown, dots, title="Seen with p = 0.2, and recalled"
    )
    terminal.saved(style.save_picture(figure, folder / "braille-words.png"))
