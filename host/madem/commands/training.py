"""What `demo`, `learn` and `verify` share: plan, train, show."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from madem.commands.terminal import Terminal
from madem.data.files.judge import ReadOptions
from madem.data.registry import load_task
from madem.data.task import Task
from madem.errors import TaskError
from madem.frontends import attached, physical
from madem.learn import session
from madem.learn import train as learn
from madem.learn.recall import LOOKS
from madem.learners.protocol import Learner
from madem.verify import lock_step
from madem_emulator.twin.config import Rule
from madem_emulator.twin.presets import PRESETS


def make_plan(args: argparse.Namespace) -> tuple[Task, learn.Recipe]:
    """The task that the options name, and how it will be learned; fills in their defaults."""
    args.seed = 1 if args.seed is None else args.seed
    device = None
    if args.frontend == "physical":
        device = physical.device_of(args)
    elif args.frontend == "attached":
        device = attached.device_of(args)
    if args.design is not None and args.frontend != "attached":
        raise TaskError("--design needs --frontend attached")
    args.preset = args.preset or "default"
    if device is None and args.preset not in PRESETS:
        raise TaskError(f"--preset {args.preset} needs --frontend physical or attached")
    task = load_task(
        args.task,
        seed=args.seed,
        test_fraction=args.split,
        options=ReadOptions(label=args.target),
        words=args.words,
        pipeline=args.pipeline,
        source=args.source,
    )
    names = ("cycle_to_cycle", "device_to_device", "read_noise", "stuck", "dac_bits", "adc_bits")
    chosen = PRESETS["default" if device else args.preset] | {
        name: value for name in names if (value := getattr(args, name)) is not None
    }
    rule = None if args.rule is None else Rule[args.rule.replace("-", "_").upper()]
    plan = learn.recipe(
        task,
        hidden=args.layers,
        epochs=args.epochs,
        decay=args.decay,
        stride=args.stride,
        seed=args.seed,
        weight_bits=physical.weight_bits(device) if device else args.bits,
        beta=args.beta,
        rule=rule,
        learning_rate=args.rate,
        **chosen,
    )
    if args.frontend == "attached":
        return task, replace(plan, design=args.design, device=device)
    return task, replace(plan, device=device)


def strike_of(args: argparse.Namespace) -> learn.Strike | None:
    """What `--strike` and `--strike-epochs` ask for."""
    if args.strike is None:
        if args.strike_epochs is not None:
            raise TaskError("--strike-epochs needs --strike, the share of devices that get stuck")
        return None
    epochs = {} if args.strike_epochs is None else {"epochs": args.strike_epochs}
    return learn.Strike(args.strike, **epochs)


def train(
    run: session.Run,
    learner: Learner,
    terminal: Terminal,
    what: str,
    limit: int | None = None,
    strike: learn.Strike | None = None,
) -> lock_step.Mismatch | None:
    """Train and evaluate into `run`; returns the mismatch at which a lock step stopped."""

    def samples(epochs: int) -> int:
        total = epochs * run.task.samples_per_pass
        return total if limit is None else min(total, limit)

    total = samples(run.plan.epochs)
    if strike:
        learn.check_strike(strike, learner.config)
    try:
        with terminal.progress(what, total) as advance:
            run.result = learn.train(learner, run.task, run.plan, progress=advance, limit=limit)
        with terminal.progress("testing", len(run.task.x_test)) as advance:
            # A network that is cut short hardly recalls: its answer would never stay.
            looks = LOOKS if limit is None else 1
            run.result.metrics = learn.evaluate(learner, run.task, advance, looks)
        if strike:
            with terminal.progress("learning on", samples(strike.epochs)) as advance:
                run.result = learn.recover(
                    learner, run.task, run.plan, strike, run.result, progress=advance, limit=limit
                )
            run.config = learner.config
    except lock_step.DiffersError as error:
        return error.mismatch
    return None


def show(run: session.Run, terminal: Terminal) -> None:
    """Print the table of results and what they cost."""
    from madem.learn import report

    metrics = run.result.metrics
    if "exact_word" in metrics:
        draws = len(run.task.test_words())
        terminal.say(report.recall_table(metrics["exact_word"], run.baselines, samples=draws))
    else:
        table = report.accuracy_table(
            metrics["accuracy"], run.baselines, samples=len(run.task.x_test)
        )
        terminal.say(table)
    if run.result.strike:
        terminal.say(report.strike_line(run.result.strike, metrics))
    cost = (
        f", {run.result.busy_us / run.result.samples:.0f} µs each on the device"
        if (run.result.busy_us and run.result.samples)
        else ""
    )
    terminal.say(
        f"{run.result.samples:,} samples in {run.result.wall_s:.1f} s{cost};"
        f" {run.config.couplings:,} couplings"
    )
    if run.chips and any(run.chips):
        terminal.say(
            f"{run.chips.saturated:,} conversions at the end of the ADCs' range,"
            f" {run.chips.repeated:,} transfers repeated after bit errors"
        )


def save_pictures(run: session.Run, folder: Path, terminal: Terminal) -> None:
    """Draw how it learned and what the weights have become."""
    from madem.pictures import arrays, learning, style

    task, metrics = run.task, run.result.metrics
    reconstruct = task.kind == "reconstruct"
    if run.result.train_curve:
        curve = run.result.train_curve
        if reconstruct:
            curve = [wrong / task.n_outputs for wrong in curve]
        figure = learning.learning_curve(
            curve,
            measure="outputs wrong" if reconstruct else "accuracy",
            recall=metrics.get("exact_word"),
            baselines=run.baselines if reconstruct else None,
            samples=len(task.test_words()) if reconstruct else None,
            title=f"{task.name}, learned on {run.board}",
        )
        terminal.saved(style.save_picture(figure, folder / f"{task.name}-learning.png"))
    assert run.final is not None
    figure = arrays.weights_picture(session.weights(run.final), unit="conductance difference")
    terminal.saved(style.save_picture(figure, folder / f"{task.name}-weights.png"))
