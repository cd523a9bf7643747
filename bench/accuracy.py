"""Mean accuracy over seeds, learned on a board: the tables of README.md and
docs/science/learning.md.

    .venv/bin/python bench/accuracy.py digits --bits 2,3,4,5,6,8
    .venv/bin/python bench/accuracy.py digits --stuck-after-training 0.1
    .venv/bin/python bench/accuracy.py braille --layers 64
    .venv/bin/python bench/accuracy.py braille --word-sets 7

Each seed has its own devices, noise, first weights, order of samples and, for data, its own split.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from madem.data.registry import load_task
from madem.data.task import Task
from madem.errors import MademError
from madem.learn import session, train
from madem.learners.board import BoardLearner
from madem.learners.twin import TwinLearner

SIMILAR = ("cat", "bat", "rat", "car", "bar", "far", "can", "ban", "ran")
"""Words that differ in one letter: the hardest set."""
VOCABULARY = (
    "apple bread candle dinner engine father garden hammer island jacket kitchen ladder market "
    "needle orange pencil quarter river silver table umbrella valley window yellow zebra bridge "
    "cloud doctor evening forest glass honey iron journey kettle lemon mountain number ocean paper "
    "question road stone thunder uncle village water summer winter spring autumn music letter "
    "sister brother mother cousin teacher student school science history picture language sun sky "
    "sea oak elm fox owl bee ant hen cow pig dog strawberry background friendship everything"
)


def word_sets(count: int) -> list[tuple[str, ...] | None]:
    """The task's own words (None), similar ones, and words drawn from a vocabulary."""
    drawn = [tuple(random.Random(k).sample(VOCABULARY.split(), 9)) for k in range(count)]
    return [None, SIMILAR, *drawn][:count]


def main() -> int:
    """Train every seed of every row, and print the table."""
    args = _arguments()
    bits = [int(text) for text in args.bits.split(",")]
    rows: list[dict[str, Any]] = []
    try:
        with session.open_learner(args.board) as device:
            for weight_bits in bits:
                for words in word_sets(args.word_sets):
                    rows.append(_row(device, args, weight_bits, words))
                    print(_line(rows[-1], first=len(rows) == 1), flush=True)
    except MademError as error:
        print(f"accuracy: {error}", file=sys.stderr)
        return 2
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("task", help="digits, braille, braille-words or a data file")
    parser.add_argument("--bits", default="4", metavar="B,B…", help="of the devices (4)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 1 to N (5)")
    parser.add_argument("--layers", help="hidden units, or none (the task's default)")
    parser.add_argument("--update-size", type=float, metavar="X", help="as for madem learn")
    parser.add_argument("--stuck", type=float, metavar="X", help="devices stuck from the start")
    parser.add_argument(
        "--stuck-after-training", type=float, metavar="X", help="share of the devices"
    )
    parser.add_argument(
        "--word-sets", type=int, default=1, metavar="N",
        help="sets of nine words: the task's own, similar ones, and N - 2 from a vocabulary (1)",
    )  # fmt: skip
    parser.add_argument("--no-labels", action="store_true", help="braille: dots alone")
    parser.add_argument("--board", default="unix", help="a board, or twin (unix)")
    parser.add_argument("--json", metavar="FILE", help="write the rows here too")
    return parser.parse_args()


def _row(
    device: BoardLearner | None, args: argparse.Namespace, bits: int, words: tuple[str, ...] | None
) -> dict[str, Any]:
    """Means over the seeds of everything that was measured."""
    hidden = None
    if args.layers:
        hidden = () if args.layers == "none" else tuple(map(int, args.layers.split(",")))
    found: dict[str, list[list[float]]] = {}
    columns: list[str] = []
    for seed in range(1, args.seeds + 1):
        task = load_task(args.task, seed=seed, words=words, labels=not args.no_labels)
        plan = train.recipe(
            task,
            hidden=hidden,
            update_size=args.update_size,
            seed=seed,
            weight_bits=bits,
            stuck=args.stuck,
        )
        config = plan.settings.integers()
        learner = TwinLearner(config) if device is None else device
        if device is not None:
            device.configure(config)
        result = train.train(learner, task, plan)
        result.metrics = train.evaluate(learner, task)
        if args.stuck_after_training is not None:
            faults = train.StuckAfterTraining(args.stuck_after_training)
            result = train.recover(learner, task, plan, faults, result)
        for name, scores in _scores(task, plan, result):
            columns = [key for key, _ in scores]
            found.setdefault(name, []).append([value for _, value in scores])
    return {
        "task": args.task,
        "words": None if words is None else list(words),
        "bits": bits,
        "seeds": args.seeds,
        "columns": columns,
        "mean": {name: np.mean(runs, axis=0).tolist() for name, runs in found.items()},
        "least": {name: np.min(runs, axis=0).tolist() for name, runs in found.items()},
    }


def _scores(
    task: Task, plan: train.Recipe, result: train.TrainingResult
) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Name of what was measured, and its value in every column."""
    if result.stuck_after_training:
        yield "before", _columns(result.stuck_after_training["before"])
        yield "stuck", _columns(result.stuck_after_training["stuck"])
    yield "device", _columns(result.metrics)
    if task.patterns is None:
        for name, value in session.baselines(task, plan.settings.sizes[1:-1]).items():
            yield name, [("accuracy", value)]
        return
    from madem.learn import baselines

    for name, recall in baselines.word_baselines(task).items():
        yield name, list(recall.items())


def _columns(metrics: dict[str, Any]) -> list[tuple[str, float]]:
    for name in ("exact_word", "accuracy_by_distortion"):
        if name in metrics:
            return list(metrics[name].items())
    return [("accuracy", metrics["accuracy"])]


def _line(row: dict[str, Any], first: bool) -> str:
    """Rows of a Markdown table, in per cent; with its head before the first."""
    lines = []
    if first:
        lines.append(" | ".join(["| bits, words", "", *row["columns"], "least |"]))
        lines.append("|---" * (len(row["columns"]) + 3) + "|")
    words = "" if row["words"] is None else " ".join(row["words"])
    for name, means in row["mean"].items():
        cells = [f"{100 * value:.1f}" for value in (*means, min(row["least"][name]))]
        lines.append(" | ".join([f"| {row['bits']} {words}".rstrip(), name, *cells]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
