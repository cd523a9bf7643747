"""Train a task on many emulated devices: every combination of some settings, some devices each.

For example:
    madem sweep digits --bits 2,4,6 --seeds 10
    madem sweep digits --stuck 0:0.2:5 --plan

The same command goes on with what is there. Exits with 1 if nothing could be trained.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from madem import output
from madem.commands import paths, reading
from madem.commands.terminal import Terminal
from madem.data.registry import TEST_FRACTION, load_task
from madem.errors import MademError
from madem.study import sweep_plan, sweep_table
from madem.study.sweep_store import Store


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem sweep`."""
    parser.add_argument(
        "task", type=paths.Read, help="braille, braille-words, digits, or DATA.csv / DATA.npz"
    )
    for name, axis in sweep_plan.AXES.items():
        form = "V,V… or LOW:HIGH:COUNT" if axis.ranges else "V,V…"
        example = {"layers": ", such as none,32,64-32"}.get(name, "")
        parser.add_argument(
            f"--{name}",
            metavar="VALUES",
            help=f"{axis.label}{example}: {form} (default: one value, as for madem learn)",
        )
    parser.add_argument(
        "--frontend",
        choices=sweep_plan.FRONTENDS,
        default=sweep_plan.EMULATED,
        help="what holds the weights: integers, or devices in siemens (default: emulated)",
    )
    parser.add_argument(
        "--seeds", type=int, default=5, metavar="N", help="devices of each combination (default: 5)"
    )
    parser.add_argument(
        "--epochs",
        type=int,
        help=f"passes (default: {sweep_plan.EPOCHS}; words {sweep_plan.WORD_EPOCHS})",
    )
    parser.add_argument(
        "--goal", type=float, default=0.9, metavar="X", help="score of a good device (default: 0.9)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="of everything that is drawn (default: 1)"
    )
    parser.add_argument(
        "--split",
        type=float,
        metavar="X",
        help=f"digits, your own: share of the test set (default: {TEST_FRACTION})",
    )
    reading.add_label(parser, "your own: ")
    reading.add_options(parser, hidden=True)
    parser.add_argument(
        "--words",
        type=paths.Read,
        metavar="FILE",
        help="braille, braille-words: others, one a line (default: nine)",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes on this machine (default: one a core)"
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a Dask scheduler, such as tcp://host:8786 (default: this machine)",
    )
    parser.add_argument(
        "--plan", action="store_true", help="only say how many points and how long (default: train)"
    )
    parser.add_argument(
        "--out", default="madem-out", metavar="DIR",
        help="folder of the results; the same command goes on with it (default: madem-out)",
    )  # fmt: skip


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Train every point; 1 if none could be trained."""
    _check(args)
    task = load_task(
        args.task,
        seed=args.seed,
        test_fraction=args.split,
        options=reading.options_of(args),
        words=args.words,
    )
    reading.tell(task.reading, terminal)
    given = {name: getattr(args, name.replace("-", "_")) for name in sweep_plan.AXES}
    plan = sweep_plan.plan_sweep(
        task, {name: text for name, text in given.items() if text is not None},
        devices=args.seeds, seed=args.seed, epochs=args.epochs, frontend=args.frontend,
    )  # fmt: skip
    from madem.study import sweep_run

    if args.plan:
        workers = args.workers or sweep_run.cores()
        seconds = sweep_run.estimate(plan, workers)
        terminal.say(_summary(plan))
        terminal.say(f"about {_duration(seconds)} on {workers} workers")
        facts = {"points": len(plan.points), "seconds": seconds, "workers": workers}
        output.write_json(args.json, facts)
        return 0
    out = Path(args.out)
    output.check_folder(out)
    what = f"{task.name}, {plan.frontend}, {plan.epochs} passes, seed {plan.seed}"
    with Store(sweep_table.path(plan, out, "jsonl"), plan.context, what) as store:
        keys = {point.key for point in plan.points}
        known = {key for key in keys & set(store.outcomes) if not store.outcomes[key].error}
        terminal.say(_summary(plan) + (f"; {len(known):,} are known" if known else ""))
        try:
            with terminal.progress(f"sweeping {task.name}", len(keys)) as advance:
                advance(len(known))
                sweep_run.run_sweep(
                    plan, store, advance, workers=args.workers, scheduler=args.scheduler
                )
        except KeyboardInterrupt:
            done = len(keys & set(store.outcomes))
            _save(plan, store, args, terminal)
            terminal.say(
                f"{done:,} of {len(keys):,} points are kept in {store.path}:"
                " the same command goes on from there"
            )
            raise
        _save(plan, store, args, terminal)
        failed = [key for key in keys if store.outcomes[key].error]
    if failed:
        terminal.say(
            f"{len(failed):,} points failed, for example: {store.outcomes[failed[0]].error}"
        )
    return 1 if len(failed) == len(keys) else 0


def _save(
    plan: sweep_plan.SweepPlan, store: Store, args: argparse.Namespace, terminal: Terminal
) -> None:
    for table in sweep_table.tables(plan, store.outcomes, args.goal):
        terminal.say(table)
    for path in sweep_table.save(plan, store.outcomes, args.goal, Path(args.out)):
        terminal.saved(path)
    output.write_json(args.json, sweep_table.to_json(plan, store.outcomes, args.goal))


def _check(args: argparse.Namespace) -> None:
    missing = [name for name in ("distributed", "pyarrow") if not _installed(name)]
    if missing:
        raise MademError(
            f"sweep needs {' and '.join(missing)}, not installed: pip install 'madem[sweep]'"
        )
    if args.workers is not None and args.workers < 1:
        raise MademError(f"--workers is {args.workers}, but must be 1 or more")
    if args.workers is not None and args.scheduler:
        raise MademError("choose --workers for this machine or --scheduler for a cluster, not both")
    if not 0 <= args.goal <= 1:
        raise MademError(f"--goal is {args.goal}, but must be between 0 and 1")


def _installed(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def _summary(plan: sweep_plan.SweepPlan) -> str:
    return (
        f"{len(plan.points):,} points: {len(plan.conditions):,} combinations,"
        f" devices of each: {plan.devices}, passes: {plan.epochs}"
    )


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"
