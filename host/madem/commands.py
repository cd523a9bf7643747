"""What each command does, from its options to what a person or a machine reads."""

from __future__ import annotations

import argparse
import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from madem import compare as comparison
from madem import deploy as deployment
from madem import doctor as checks
from madem import learn as learning
from madem import output, session, state
from madem import verify as verification
from madem.boards import list_boards, open_board
from madem.device import Learner
from madem.errors import MademError, TaskError
from madem.tasks import Task, load_task
from madem_emulator.config import Rule
from madem_emulator.presets import PRESETS


class Terminal:
    """Where a command prints: to people, and only when they want it."""

    def __init__(self, quiet: bool) -> None:
        self._console = Console(quiet=quiet, highlight=False)

    def say(self, what: RenderableType) -> None:
        """Print a line or a table."""
        self._console.print(what)

    @contextlib.contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar, on a terminal only; gives the function that advances it."""
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        ) as bar:
            task = bar.add_task(what, total=total)
            yield lambda n: bar.advance(task, n)


def demo(args: argparse.Namespace, terminal: Terminal) -> int:
    """Learn Braille on a board, every bit verified, and save pictures."""
    task = load_task("braille", seed=args.seed)
    # Half of the usual passes: enough to see it, with every one of them verified.
    plan = learning.recipe(task, seed=args.seed, epochs=40)
    out = Path(args.out)
    output.check_folder(out)
    with session.open_learner(args.board) as device:
        if device is None:
            raise MademError("the demo shows a device: choose a board, not the twin")
        terminal.say(f"board {args.board}: {device.hello.board}, firmware {device.hello.firmware}")
        device.configure(plan.settings.integers())
        lock = verification.LockStep(device)
        run = session.Run(task, plan, device.config, args.board, "default")
        mismatch = _learn(run, lock, terminal, "learning, checked by the twin")
        shown = task.test_set(0.2, draws=1)
        recalled = device.outputs(shown.x)
        if mismatch is None:
            session.finish(run, device)
            run.baselines = session.baselines(task, ())
    result = run.to_json() | verification.report(lock, mismatch)
    if args.json:
        session.write_json(args.json, result)
    if mismatch is not None:
        terminal.say(f"[bold red]device and twin differ[/]: {mismatch}")
        return 1
    terminal.say(
        f"verified: {lock.steps:,} steps, {lock.compared:,} values, 0 mismatches"
        f" ({run.result.wall_s:.1f} s)"
    )
    dots = learning.read_dots(recalled, run.config.t_hi, run.config.t_lo)
    _show(run, terminal)
    _pictures(run, out, terminal)
    _braille_picture(run, shown.x, dots, out, terminal)
    return 0


def boards(args: argparse.Namespace, terminal: Terminal) -> int:
    """List boards, or keep an emulated one running."""
    if args.start:
        with open_board(args.start) as board:
            port = board.port.port
            board.port.close()  # somebody else will open it
            print(port, flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(3600)
        return 0
    found = list_boards()
    if args.json:
        session.write_json(args.json, {"boards": [asdict(info) for info in found]})
    for info in found:
        use = info.reason or f"--board {info.spec}"
        terminal.say(f"{info.spec:16} {info.description}  ({use})")
    if not any(not info.emulated for info in found):
        terminal.say("no board is attached")
    return 0


def deploy(args: argparse.Namespace, terminal: Terminal) -> int:
    """Put the firmware on a board and start it once to see that it runs."""
    with open_board(args.board) as board:
        total = sum(map(len, deployment.firmware_files().values()))
        done = 0
        with terminal.progress(f"deploying to {board.name}", total) as advance:

            def report(_path: str, written: int, _total: int) -> None:
                nonlocal done
                advance(written - done)
                done = written

            summary = deployment.deploy(board, args.force, report)
        deployment.start(board)
    if args.json:
        session.write_json(args.json, asdict(summary))
    kept = f"; its own main.py is now {summary.kept}" if summary.kept else ""
    terminal.say(
        f"{args.board}: {len(summary.written)} files written ({summary.bytes_written:,} bytes),"
        f" {len(summary.unchanged)} unchanged, {summary.seconds:.1f} s; the firmware runs{kept}"
    )
    return 0


def learn(args: argparse.Namespace, terminal: Terminal) -> int:
    """Train, evaluate, compare, save."""
    task, plan = _plan(args)
    if args.save is not None:
        output.check_file(args.save)
    if args.plot is not None:
        output.check_folder(args.plot)
    with session.open_learner(args.board) as device:
        resume = Path(args.load) if args.load else None
        learner, plan = session.prepare(device, plan, task, resume)
        run = session.Run(task, plan, learner.config, args.board, args.preset, args.frontend)
        _learn(run, learner, terminal, f"learning {task.name} on {args.board}")
        session.finish(run, learner)
        if args.save:
            assert run.final is not None
            state.save(run.final, args.save)
    if not args.no_baselines:
        run.baselines = session.baselines(task, plan.settings.sizes[1:-1])
    if args.json:
        session.write_json(args.json, run.to_json())
    _show(run, terminal)
    if args.plot:
        _pictures(run, Path(args.plot), terminal)
    return 0


def verify(args: argparse.Namespace, terminal: Terminal) -> int:
    """Run device and twin in lock step; 1 when they differ."""
    task, plan = _plan(args)
    if args.samples < 1:
        raise TaskError(f"samples is {args.samples}, but must be 1 or more")
    if args.epochs is None:  # as many passes as the samples need
        epochs = -(-args.samples // task.samples_per_pass)
        plan = learning.Recipe(plan.settings, epochs, plan.decay)
    steps = min(args.samples, plan.epochs * task.samples_per_pass)
    flip = _injection(args, plan, steps)
    with session.open_learner(args.board) as device:
        if device is None:
            raise MademError("verify compares a device with the twin: choose a board")
        device.configure(plan.settings.integers())
        if flip:
            device.flip(*flip)
        lock = verification.LockStep(device)
        run = session.Run(task, plan, device.config, args.board, args.preset, args.frontend)
        mismatch = _learn(run, lock, terminal, f"verifying {task.name}", args.samples)
        if mismatch is None:
            session.finish(run, device)
    if args.json:
        session.write_json(args.json, run.to_json() | verification.report(lock, mismatch))
    counts = f"{lock.steps:,} steps, {lock.compared:,} values compared"
    if mismatch is not None:
        terminal.say(f"[bold red]device and twin differ[/] after {counts}: {mismatch}")
        return 1
    terminal.say(f"{task.name} on {args.board}: {counts}, 0 mismatches")
    return 0


def bench(args: argparse.Namespace, terminal: Terminal) -> int:
    """Measure the device, its memory or the link."""
    from madem import bench as benches

    result, table = benches.RUNS[args.what](args.board, args.task, terminal.progress)
    if args.json:
        session.write_json(args.json, result)
    terminal.say(table)
    return 0


def compare(args: argparse.Namespace, terminal: Terminal) -> int:
    """Train every rule under every limit; save the table and the picture."""
    plan = comparison.make_plan(
        args.task, rules=args.rules, over=args.over, seeds=args.seeds, epochs=args.epochs,
        quick=args.quick,
    )  # fmt: skip
    out = Path(args.out)
    output.check_folder(out)
    if args.tune:
        plan = comparison.tuned(plan, terminal.progress)
    result = comparison.run(plan, terminal.progress)
    if args.json:
        session.write_json(args.json, comparison.to_json(result))
    for table in comparison.tables(result):
        terminal.say(table)
    name = f"compare-{Path(plan.task.name).stem}"
    csv_file = out / f"{name}.csv"
    output.write_whole(csv_file, comparison.to_csv(result).encode())
    _saved(csv_file, terminal)
    if result.on_device:
        _saved(comparison.save_picture(result, out / f"{name}.png"), terminal)
    return 0


def doctor(args: argparse.Namespace, terminal: Terminal) -> int:
    """Say what is missing; 1 when something that the emulated board needs is."""
    found = checks.examine()
    if args.json:
        session.write_json(args.json, {"checks": [asdict(check) for check in found]})
    terminal.say(checks.format_checks(found))
    return 0 if all(check.ok or not check.required for check in found) else 1


def _plan(args: argparse.Namespace) -> tuple[Task, learning.Recipe]:
    task = load_task(
        args.task, seed=args.seed, test_fraction=args.split, target=args.target, words=args.words
    )
    names = ("cycle_to_cycle", "device_to_device", "read_noise", "stuck", "dac_bits", "adc_bits")
    chosen = PRESETS[args.preset] | {
        name: value for name in names if (value := getattr(args, name)) is not None
    }
    rule = None if args.rule is None else Rule[args.rule.replace("-", "_").upper()]
    plan = learning.recipe(
        task,
        hidden=args.layers,
        epochs=args.epochs,
        decay=args.decay,
        seed=args.seed,
        weight_bits=args.bits,
        beta=args.beta,
        rule=rule,
        learning_rate=args.rate,
        **chosen,
    )
    return task, plan


def _injection(
    args: argparse.Namespace, plan: learning.Recipe, steps: int
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


def _learn(
    run: session.Run,
    learner: Learner,
    terminal: Terminal,
    what: str,
    limit: int | None = None,
) -> verification.Mismatch | None:
    """Train and evaluate into `run`; returns the mismatch at which a lock step stopped."""
    total = run.plan.epochs * run.task.samples_per_pass
    total = total if limit is None else min(total, limit)
    try:
        with terminal.progress(what, total) as advance:
            run.result = learning.train(learner, run.task, run.plan, progress=advance, limit=limit)
        with terminal.progress("testing", len(run.task.x_test)) as advance:
            run.result.metrics = learning.evaluate(learner, run.task, advance)
    except verification.DiffersError as error:
        return error.mismatch
    return None


def _show(run: session.Run, terminal: Terminal) -> None:
    from madem import report

    metrics = run.result.metrics
    if "exact_word" in metrics:
        draws = len(run.task.test_words())
        terminal.say(report.recall_table(metrics["exact_word"], run.baselines, samples=draws))
    else:
        table = report.accuracy_table(
            metrics["accuracy"], run.baselines, samples=len(run.task.x_test)
        )
        terminal.say(table)
    cost = (
        f", {run.result.busy_us / run.result.samples:.0f} µs each on the device"
        if (run.result.busy_us and run.result.samples)
        else ""
    )
    terminal.say(
        f"{run.result.samples:,} samples in {run.result.wall_s:.1f} s{cost};"
        f" {run.config.couplings:,} couplings"
    )


def _pictures(run: session.Run, folder: Path, terminal: Terminal) -> None:
    from madem import pictures

    task, metrics = run.task, run.result.metrics
    reconstruct = task.kind == "reconstruct"
    if run.result.train:
        curve = run.result.train
        if reconstruct:
            curve = [wrong / task.n_outputs for wrong in curve]
        figure = pictures.learning_curve(
            curve,
            measure="dots wrong" if reconstruct else "accuracy",
            recall=metrics.get("exact_word"),
            baselines=run.baselines if reconstruct else None,
            samples=len(task.test_words()) if reconstruct else None,
            title=f"{task.name}, learned on {run.board}",
        )
        _saved(pictures.save_picture(figure, folder / f"{task.name}-learning.png"), terminal)
    assert run.final is not None
    figure = pictures.weights_picture(session.weights(run.final), unit="conductance difference")
    _saved(pictures.save_picture(figure, folder / f"{task.name}-weights.png"), terminal)


def _braille_picture(
    run: session.Run, shown: Any, dots: Any, folder: Path, terminal: Terminal
) -> None:
    from madem import pictures

    figure = pictures.braille_picture(
        run.task.class_names, shown, dots, title="Seen with p = 0.2, and recalled"
    )
    _saved(pictures.save_picture(figure, folder / "braille-words.png"), terminal)


def _saved(path: Path, terminal: Terminal) -> None:
    terminal.say(f"saved {path}")
