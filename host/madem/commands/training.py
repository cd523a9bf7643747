"""What `demo`, `learn` and `verify` share: plan, train, show."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from madem.commands import reading
from madem.commands.terminal import Terminal
from madem.data.match import Taught
from madem.data.registry import TASKS, load_task
from madem.data.stream_task import StreamTask
from madem.data.task import Task
from madem.errors import TaskError
from madem.frontends import attached, physical
from madem.learn import session
from madem.learn import train as learn
from madem.learn.recall import ITERATIONS
from madem.learners.protocol import Learner
from madem.network.network import Network
from madem.verify import lock_step
from madem_emulator.twin.presets import PRESETS

_CLASSES_SHOWN = 20
"""Most classes that are told one by one."""


def load(args: argparse.Namespace, terminal: Terminal, saved: Network | None = None) -> Task:
    """Load the task that the options name, and say how it was understood.

    Fills in the default seed.

    Args:
        args: with the options of `options.task`.
        terminal: gets what is said.
        saved: columns, classes, scale and pipeline are those of this network; None: there is none.

    Returns:
        The task.

    Raises:
        TaskError: it can't be used, or an option is not for it.
    """
    args.seed = 1 if args.seed is None else args.seed
    task = load_task(
        args.task if len(args.task) > 1 else args.task[0],
        seed=args.seed,
        test_fraction=args.split,
        options=reading.options_of(args),
        words=args.words,
        pipeline=args.pipeline or (saved.pipeline if saved else "") or None,
        source=args.source,
        test=args.test,
        taught=_taught(args, saved),
    )
    reading.tell(task.reading, terminal)
    return task


def _taught(args: argparse.Namespace, saved: Network | None) -> Taught | None:
    """What a saved network asks of one's own data; None of a task that is built in."""
    own = args.source is not None or len(args.task) > 1 or args.task[0] not in TASKS
    return saved.taught if saved and own else None


def load_stream(args: argparse.Namespace, terminal: Terminal) -> StreamTask:
    """Load a task as `load` does, for a verb that learns streams alone.

    Raises:
        TaskError: it can't be used, or is no stream.
    """
    task = load(args, terminal)
    if not isinstance(task, StreamTask):
        raise TaskError(f"a stream is needed, such as motions, not {task.name}")
    return task


def recipe(args: argparse.Namespace, task: Task) -> learn.Recipe:
    """Choose how the task will be learned; fills in the default preset and design.

    Args:
        args: with the options of the network and its devices.
        task: what is learned.

    Returns:
        The recipe.

    Raises:
        TaskError: options can't be used, or not together.
    """
    device = None
    if args.frontend == "physical":
        if args.board != session.TWIN:
            raise TaskError("--frontend physical is the desktop's alone: use it with --board twin")
        args.preset = args.preset or physical.DEFAULT
        device = physical.device_of(args.preset, args.bits, args.device)
    elif args.frontend == "attached":
        device = attached.device_of(args)
    if args.design is not None and args.frontend != "attached":
        raise TaskError("--design needs --frontend attached")
    if args.rule == "clamped" and args.beta is not None:
        raise TaskError("--beta nudges the outputs, which --rule clamped holds: leave --beta out")
    args.preset = args.preset or "default"
    if device is None and args.preset not in PRESETS:
        raise TaskError(f"--preset {args.preset} needs --frontend physical or attached")
    found = learn.recipe(
        task,
        hidden=args.layers,
        epochs=args.epochs,
        decay=args.decay,
        update_size=args.update_size,
        seed=args.seed,
        weight_bits=physical.weight_bits(device) if device else args.bits,
        beta=args.beta,
        rule=args.rule,
        learning_rate=args.rate,
        **PRESETS["default" if device else args.preset] | args.device,
    )
    return replace(found, design=args.design or "", device=device)


def stuck_after_training(args: argparse.Namespace) -> learn.StuckAfterTraining | None:
    """Read the faults that `--stuck-after-training` asks for.

    Raises:
        TaskError: they can't be made.
    """
    if args.stuck_after_training is None:
        return None
    if args.frontend == "attached":
        raise TaskError("--stuck-after-training can't be used with --frontend attached")
    share, epochs = args.stuck_after_training
    return learn.StuckAfterTraining(share, **({} if epochs is None else {"epochs": epochs}))


def train(
    run: session.Run,
    learner: Learner,
    terminal: Terminal,
    what: str,
    limit: int | None = None,
    faults: learn.StuckAfterTraining | None = None,
) -> lock_step.Mismatch | None:
    """Train and evaluate, and note it in the run.

    Args:
        run: gets the result.
        learner: that is trained.
        terminal: where progress is shown.
        what: is done, for the bar.
        limit: stop after so many samples.
        faults: that come after the test.

    Returns:
        The mismatch at which a lock step stopped; None if it did not.
    """

    def samples(epochs: int) -> int:
        total = epochs * run.task.samples_per_pass
        return total if limit is None else min(total, limit)

    total = samples(run.plan.epochs)
    if faults:
        learn.check_faults(faults, learner.config)
    try:
        with terminal.progress(what, total) as advance:
            run.result = learn.train(learner, run.task, run.plan, progress=advance, limit=limit)
        with terminal.progress("testing", len(run.task.x_test)) as advance:
            # A network that is cut short hardly recalls: its answer would never stay.
            iterations = ITERATIONS if limit is None else 1
            run.result.metrics = learn.evaluate(learner, run.task, advance, iterations)
        if faults:
            with terminal.progress("learning on", samples(faults.epochs)) as advance:
                run.result = learn.recover(
                    learner, run.task, run.plan, faults, run.result, progress=advance, limit=limit
                )
            run.config = learner.config
    except lock_step.DiffersError as error:
        return error.mismatch
    return None


def show(run: session.Run, terminal: Terminal) -> None:
    """Print the table of results and what they cost.

    Args:
        run: that has ended.
        terminal: where it is printed.
    """
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
        if len(run.task.class_names) <= _CLASSES_SHOWN:
            terminal.say(report.classes_table(metrics))
        for warning in run.warnings():
            terminal.alarm("warning: ", warning)
    if run.result.stuck_after_training:
        terminal.say(report.stuck_line(run.result.stuck_after_training, metrics))
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
    """Draw how it learned and what the weights have become.

    Args:
        run: that has ended.
        folder: where the pictures go.
        terminal: where their names are said.
    """
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
    if not reconstruct:
        from madem.pictures import classes

        title = f"{task.name}, learned on {run.board}"
        counts = np.array(metrics["confusion"])
        figure = classes.confusion_picture(counts, task.class_names, title=title)
        terminal.saved(style.save_picture(figure, folder / f"{task.name}-confusion.png"))
