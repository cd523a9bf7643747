"""`madem learn motions --novelty CLASS`: learn without labels what is usual, detect the rest."""

from __future__ import annotations

import argparse
from typing import Any

from madem import output
from madem.commands.terminal import Terminal
from madem.data.files.judge import ReadOptions
from madem.data.registry import load_task
from madem.data.stream_task import StreamTask
from madem.errors import TaskError
from madem.learn import session
from madem.stream import novelty

_OWN = ("layers", "bits", "beta", "rule", "rate", "decay", "save", "load", "plot", "strike")
"""Options of `madem learn` that the detector has no use for."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Train on all classes but one, and tell how well its windows are told from the others."""
    for name in _OWN:
        if getattr(args, name, None) is not None:
            raise TaskError(f"--{name} can't be used with --novelty, which has its own network")
    task = load_task(
        args.task,
        seed=args.seed if args.seed is not None else 1,
        test_fraction=args.split,
        options=ReadOptions(label=args.target),
        pipeline=args.pipeline,
        source=args.source,
    )
    if not isinstance(task, StreamTask):
        raise TaskError(f"--novelty is for streams, so for the task motions, not for {task.name}")
    plan = novelty.recipe(task.pipeline, task.seed)
    if args.epochs is not None:
        plan = novelty.recipe(task.pipeline, task.seed, args.epochs)
    label = novelty.class_number(task, args.novelty)
    config = plan.settings.integers()
    with session.open_learner(args.board) as device:
        detector: novelty.Detector
        if device is None:
            detector = novelty.NoveltyTwin(config, task.pipeline)
        else:
            device.configure(config)
            detector = novelty.NoveltyBoard(device, task.pipeline)
        total = plan.epochs * int((task.y_train != label).sum())
        with terminal.progress(f"learning {task.name} without {args.novelty}", total) as advance:
            metrics = novelty.run(detector, task, plan, args.novelty, advance)
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
        f"{task.name} without labels and without {args.novelty}: its {metrics['new_windows']} test"
        f" windows score {metrics['median_new']:,.0f} in the median, the"
        f" {metrics['familiar_windows']} others {metrics['median_familiar']:,.0f};"
        f" area under the ROC curve {metrics['auc']:.3f}"
    )
    return 0
