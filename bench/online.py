"""Learning through a change, means over seeds: the tables and figures of docs/guide/online.md.

    .venv/bin/python bench/online.py turn gain swap new gradual --seeds 10 --csv FILE --plot FILE
    .venv/bin/python bench/online.py turn swap --gate 0,20,40,80,256
    .venv/bin/python bench/online.py classes --gate 0,40,256

Each seed has its own devices, noise, first weights and order of the stream. The twin learns;
`madem online --verify` and the tests hold it against boards, bit for bit.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from madem.data import concept_drift, motions
from madem.data.concept_drift import DriftStream
from madem.errors import MademError
from madem.learn import train
from madem.learners.twin import TwinLearner
from madem.pictures import style
from madem.pictures.online import OnlinePanel, online_picture
from madem.stream import prequential
from madem.stream.prequential import PrequentialResult
from madem_emulator.twin.gated import EVERYTHING, FULL, GateSettings


def main() -> int:
    """Run every seed of every row, and print the table."""
    args = _arguments()
    rows: list[dict[str, Any]] = []
    panels: list[OnlinePanel] = []
    try:
        for change in args.change:
            for gate, rate, found in _learn(args, change):
                rows.append(_row(change, gate, rate, found))
                print(_line(rows[-1], first=len(rows) == 1), flush=True)
                panels.append(_panel(gate, found))
    except MademError as error:
        print(f"online: {error}", file=sys.stderr)
        return 2
    if args.csv:
        _write(Path(args.csv), rows)
    if args.plot:
        print(f"saved {style.save_picture(online_picture(panels), args.plot)}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "change", nargs="+", help=f"as for madem online: {', '.join(concept_drift.KINDS)}"
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds 1 to N (5)")
    parser.add_argument("--before", type=int, default=400, metavar="N", help="windows (400)")
    parser.add_argument("--after", type=int, default=400, metavar="N", help="windows (400)")
    parser.add_argument("--gate", type=_numbers, default=[256], metavar="M,M…", help="(256: all)")
    parser.add_argument("--at-most", type=_numbers, default=[100], metavar="N,N…", help="(100)")
    parser.add_argument("--rollback", type=_numbers, default=[0], metavar="X,X…", help="(0: none)")
    parser.add_argument("--rate", type=_numbers, default=[6], metavar="R,R…", help="(6)")
    parser.add_argument("--pipeline", metavar="LINE", help="other features than the task's own")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (one for each core)")
    parser.add_argument("--csv", metavar="FILE", help="write the accuracies here")
    parser.add_argument("--plot", metavar="FILE", help="draw them here")
    return parser.parse_args()


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _settings(args: argparse.Namespace) -> list[tuple[GateSettings, float]]:
    """Every gate that is asked for, with every learning rate."""
    return [
        (GateSettings(gate=int(gate), at_most=int(most), drop=round(FULL * points / 100)), rate)
        for gate in args.gate
        for most in args.at_most
        for points in args.rollback
        for rate in args.rate
    ]


def _learn(
    args: argparse.Namespace, change: str
) -> Iterator[tuple[GateSettings, float, list[tuple[DriftStream, PrequentialResult]]]]:
    """Of each setting the streams and what came of them, a seed after the other."""
    with ProcessPoolExecutor(args.workers) as workers:
        found = list(workers.map(partial(_learn_seed, args, change), range(1, args.seeds + 1)))
    for k, (gate, rate) in enumerate(_settings(args)):
        yield gate, rate, [(stream, results[k]) for stream, results in found]


def _learn_seed(
    args: argparse.Namespace, change: str, seed: int
) -> tuple[DriftStream, list[PrequentialResult]]:
    """A seed's stream, and what came of it with each setting."""
    task = motions.load(seed, args.pipeline)
    what = concept_drift.parse(change, task)
    after = args.after + concept_drift.DURATION.get(what.kind, 0)
    stream = concept_drift.drift_stream(task, what, before=args.before, after=after)
    fresh = prequential.fresh_level(task, what, train.recipe(task, seed=seed))
    results = []
    for gate, rate in _settings(args):
        plan = prequential.recipe(task, learning_rate=rate, seed=seed)
        learner = TwinLearner(plan.settings.integers(), task.pipeline)
        results.append(prequential.run_prequential(learner, stream, plan.schedule(0), gate))
        results[-1].fresh = fresh
    return stream, results


def _row(
    change: str, gate: GateSettings, rate: float, found: list[tuple[DriftStream, PrequentialResult]]
) -> dict[str, Any]:
    """Means over the seeds; how long recovery takes is that of the mean accuracy."""
    stream = found[0][0]
    windows = [check.window for check in found[0][1].checks]
    held_out = np.array([[c.accuracy for c in r.checks] for _, r in found])
    frozen = np.array(
        [[np.nan if c.frozen is None else c.frozen for c in r.checks] for _, r in found]
    )
    fresh = float(np.mean([r.fresh for _, r in found]))
    own = [
        prequential.recovered(c, windows, accuracy, r.fresh)
        for (c, r), accuracy in zip(found, held_out, strict=True)
    ]
    before = windows.index(stream.change_at)
    lost = [prequential.forgetting(r.checks, c.change_at) for c, r in found]
    return {
        "change": change,
        "gate": gate.gate,
        "at_most": gate.at_most,
        "rollback": round(100 * gate.drop / FULL),
        "rate": rate,
        "seeds": len(found),
        "fresh": fresh,
        "before": float(held_out[:, before].mean()),
        "first": float(held_out[:, before + 1].mean()),
        "least": float(held_out[:, before + 1 :].mean(axis=0).min()),
        "end": float(held_out[:, -3:].mean()),
        "frozen": float(frozen[:, -1].mean()),
        "recovered": prequential.recovered(stream, windows, held_out.mean(axis=0).tolist(), fresh),
        "slowest": None if None in own else max(n for n in own if n is not None),
        "learned": float(np.mean([r.learned / len(r.windows) for _, r in found])),
        "learned_before": float(
            np.mean([np.mean([w.learned for w in r.windows[: c.change_at]]) for c, r in found])
        ),
        "backs": float(np.mean([r.rollbacks for _, r in found])),
        "running_end": float(np.mean([r.running[-1] for _, r in found])),
        "forgetting": None
        if None in lost
        else float(np.mean([v["forgetting"] for v in lost if v])),
        "transfer": None
        if None in lost
        else float(np.mean([v["backward_transfer"] for v in lost if v])),
        "curves": {
            "window": windows,
            "learner": held_out.mean(axis=0).tolist(),
            "learner_least": held_out.min(axis=0).tolist(),
            "frozen": frozen.mean(axis=0).tolist(),
        },
    }


def _panel(gate: GateSettings, found: list[tuple[DriftStream, PrequentialResult]]) -> OnlinePanel:
    stream = found[0][0]
    points = round(100 * gate.drop / FULL)
    settings = [f"gate {gate.gate}"] * (gate.gate < EVERYTHING)
    settings += [f"at most {gate.at_most} %"] * (gate.at_most < 100)
    settings += [f"rollback {points}"] * (points > 0)
    results = [result for _, result in found]
    length = min(len(r.running) for r in results)
    classes = None
    if stream.change.kind in concept_drift.IN_TURN:
        table = np.array(
            [[[np.nan if v is None else v for v in c.classes] for c in r.checks] for r in results]
        )
        names = stream.task.class_names
        classes = {name: table[:, :, k].mean(axis=0).tolist() for k, name in enumerate(names)}
    return OnlinePanel(
        title=", ".join([concept_drift.TITLES[stream.change.kind], *settings]),
        change_at=stream.change_at,
        change_done=stream.change_done,
        running=[r.running[:length] for r in results],
        frozen=[r.frozen[:length] for r in results],
        checks=[c.window for c in results[0].checks],
        held_out=[[c.accuracy for c in r.checks] for r in results],
        fresh=float(np.mean([r.fresh for r in results])),
        classes=classes,
    )


_COLUMNS = (
    ("change", ""), ("gate", ""), ("at_most", ""), ("rollback", ""), ("rate", ""),
    ("fresh", "%"), ("before", "%"), ("first", "%"), ("least", "%"), ("end", "%"),
    ("frozen", "%"), ("recovered", ""), ("slowest", ""), ("learned", "%"),
    ("learned_before", "%"), ("backs", ""), ("forgetting", "%"), ("transfer", "%"),
)  # fmt: skip


def _line(row: dict[str, Any], first: bool) -> str:
    """A row of a Markdown table; with its head before the first."""
    cells = []
    for name, unit in _COLUMNS:
        value = row[name]
        if value is None:
            cells.append("-")
        elif unit == "%":
            cells.append(f"{100 * value:.1f}")
        else:
            cells.append(value if isinstance(value, str) else f"{value:g}")
    line = f"| {' | '.join(cells)} |"
    if not first:
        return line
    head = " | ".join(f"{name}{f' ({unit})' if unit else ''}" for name, unit in _COLUMNS)
    return f"| {head} |\n{'|---' * len(_COLUMNS)}|\n{line}"


_SETTINGS = ("change", "gate", "at_most", "rollback", "rate", "seeds")
_MEANS = ("fresh", "learned", "backs")
_CURVES = ("window", "learner", "learner_least", "frozen")


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    """The mean accuracies over time, a line for each test on the held-out windows."""
    with path.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow([*_SETTINGS, *_MEANS, *_CURVES])
        for row in rows:
            settings = [row[name] for name in _SETTINGS]
            settings += [f"{row[name]:.4f}" for name in _MEANS]
            curves = (row["curves"][name] for name in _CURVES)
            for window, *accuracies in zip(*curves, strict=True):
                texts = ["" if np.isnan(a) else f"{a:.4f}" for a in accuracies]
                out.writerow([*settings, window, *texts])


if __name__ == "__main__":
    sys.exit(main())
