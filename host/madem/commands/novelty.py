"""Learn a stream without labels and without one class; test how well that class is noticed.

For example:
    madem novelty motions --novel Badminton
    madem novelty motions --novel Walking --board qemu --epochs 10

The network learns to give back its own inputs; what it gives back badly is new.
"""

from __future__ import annotations

import argparse
from typing import Any

from madem import output
from madem.commands import options, training
from madem.commands.terminal import Terminal
from madem.learn import session
from madem.learners.novelty import NoveltyDetector
from madem.stream import novelty


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem novelty`."""
    options.board(parser, twin=True)
    options.seed(parser)
    parser.add_argument(
        "--novel", metavar="CLASS", required=True, help="the class that is never learned (needed)"
    )
    parser.add_argument(
        "--epochs", type=int, default=25, metavar="N", help="passes over the others (default: 25)"
    )
    options.stream_task(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Train on all classes but one, and tell how well its windows are told from the others."""
    task = training.load_stream(args, terminal)
    plan = novelty.recipe(task.pipeline, task.seed, args.epochs)
    label = novelty.class_number(task, args.novel)
    config = plan.settings.integers()
    with session.open_learner(args.board, patience=args.patience) as device:
        detector = NoveltyDetector(session.fresh(device, config, task))
        total = plan.epochs * int((task.y_train != label).sum())
        with terminal.progress(f"learning {task.name} without {args.novel}", total) as advance:
            metrics = novelty.run(detector, task, plan, args.novel, advance)
    result: dict[str, Any] = {
        "task": task.name,
        "board": args.board,
        "seed": task.seed,
        "weight_bits": config.weight_bits,
        "layers": list(config.sizes),
        "epochs": plan.epochs,
        "samples_seen": metrics.pop("windows_learned"),
        "wall_s": metrics.pop("wall_s"),
        "metrics": metrics,
        "data": task.describe(),
    }
    output.write_json(args.json, result)
    terminal.say(
        f"{task.name} without labels and without {args.novel}: its {metrics['new_windows']} test"
        f" windows score {metrics['median_new']:,.0f} in the median, the"
        f" {metrics['familiar_windows']} others {metrics['median_familiar']:,.0f};"
        f" area under the ROC curve {metrics['auc']:.3f}"
    )
    return 0
