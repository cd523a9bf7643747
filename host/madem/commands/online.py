"""Learn an endless stream while its world changes: test each window, then learn it.

For example:
    madem online motions --change turn --plot pictures
    madem online motions --change wrong --rollback 20 --gate 40
    madem online motions --source my.csv --change gain --windows 1000,500
    madem online motions --change swap --gate 40 --rollback 20 --verify

With --verify board and twin learn in lock step; exits with 1 when they differ.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from madem import output
from madem.commands import options, paths, training, values
from madem.commands.terminal import Terminal
from madem.data import concept_drift
from madem.data.concept_drift import DriftStream
from madem.data.stream_task import StreamTask
from madem.errors import MademError, TaskError
from madem.learn import report, session, train
from madem.learners.stream import BoardStream, board_of
from madem.network import file, metrics
from madem.network.from_task import from_task
from madem.stream import prequential
from madem.stream.lines import no_change_line
from madem.stream.prequential import PrequentialResult
from madem.verify import lock_step
from madem_emulator.twin.gated import EVERYTHING, GateSettings

if TYPE_CHECKING:  # matplotlib is slow to import
    from madem.pictures.online import OnlinePanel


class OnlineRun(NamedTuple):
    """A stream with its change, and how it is learned.

    Attributes:
        task, plan: as for `madem learn`; the plan is that of the fresh network for comparison.
        stream: the windows in their order.
        step: RATE and pulses of an update, the same all the time.
        gate: what is learned, and when learning is taken back.
    """

    task: StreamTask
    plan: train.Recipe
    stream: DriftStream
    step: tuple[int, int]
    gate: GateSettings


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem online`."""
    options.board(parser, twin=True)
    options.seed(parser)
    parser.add_argument(
        "--verify",
        action="store_true",
        help="in lock step with the twin: every value is compared (default: not compared)",
    )
    add_stream(parser)
    group = parser.add_argument_group("results")
    group.add_argument(
        "--save",
        type=paths.Written,
        metavar="FILE",
        help="what was learned (default: not saved)",
    )
    group.add_argument("--plot", metavar="DIR", help="a picture into this folder (default: none)")


def add_stream(parser: argparse.ArgumentParser) -> None:
    """The stream, its change, the network and the gate: read by `online_run`."""
    options.stream_task(parser)
    group = parser.add_argument_group("the stream")
    group.add_argument(
        "--change",
        metavar="KIND",
        default="none",
        help=f"what happens on the way: {', '.join(concept_drift.KINDS)}; swap:A,B, new:A,"
        " classes:A,B and rare:A,B name classes (default: none)",
    )
    group.add_argument(
        "--windows",
        type=values.before_and_after,
        metavar="N,N",
        default=(400, 400),
        help="windows before and after the change begins (default: 400,400)",
    )
    options.gate(group)
    options.network(parser, endless=True)
    options.devices(parser, ("emulated",))


def online_run(args: argparse.Namespace, terminal: Terminal) -> OnlineRun:
    """Read what the options ask for.

    Raises:
        TaskError: they can't be used, or not together.
    """
    gate = options.gate_of(args) or GateSettings()
    rate, args.rate = args.rate, None  # the fresh network has its own
    task = training.load_stream(args, terminal)
    plan = training.recipe(args, task)
    # The same network and devices, at a rate that never falls.
    endless = prequential.recipe(task, learning_rate=rate).settings.learning_rate
    settings = replace(plan.settings, learning_rate=endless)
    try:
        step = replace(plan, settings=settings, update_size=0.0, decay=1.0).schedule(0)
    except ValueError as error:
        raise TaskError(str(error)) from None
    change = concept_drift.parse(args.change, task)
    before, after = args.windows
    stream = concept_drift.drift_stream(
        task, change, before=before, after=after + concept_drift.DURATION.get(change.kind, 0)
    )
    return OnlineRun(task, plan, stream, step, gate)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Learn the stream and tell how it went; 1 when board and twin differ."""
    task, plan, stream, step, gate = online_run(args, terminal)
    if args.save is not None:
        output.check_file(args.save)
    if args.plot is not None:
        output.check_folder(args.plot)
    config = plan.settings.integers()
    with session.open_learner(args.board, patience=args.patience) as device:
        if device is None and args.verify:
            raise MademError("verify compares a device with the twin: choose a board")
        learner = session.fresh(device, config, task)
        lock = None
        if isinstance(learner, BoardStream) and args.verify:
            learner = lock = lock_step.LockStep(learner, names=task.feature_names)
        what = f"{'verifying' if args.verify else 'learning'} {task.name} on {args.board}"
        mismatch = None
        result = PrequentialResult()
        try:
            with terminal.progress(what, len(stream.truth)) as advance:
                result = prequential.run_prequential(learner, stream, step, gate, progress=advance)
        except lock_step.DiffersError as error:
            mismatch = error.mismatch
        final = learner.state() if args.save and mismatch is None else None
        board = board_of(learner)
        heap = board.stats().heap_alloc if board else None
    facts: dict[str, Any] = {
        "task": task.name,
        "board": args.board,
        "seed": config.seed,
        "layers": list(config.sizes),
        "rate": step[0],
        "train": step[1],
        "heap_peak_bytes": heap,
        "data": task.describe(),
    }
    if lock:
        facts |= lock_step.report(lock, mismatch)
        counts = f"{lock.steps:,} windows, {lock.compared:,} values compared"
        if mismatch is not None:
            output.write_json(args.json, facts)
            terminal.alarm("device and twin differ", f" after {counts}: {mismatch}")
            return 1
        terminal.say(f"{task.name} as a stream on {args.board}: {counts}, 0 mismatches")
    result.fresh = prequential.fresh_level(task, stream.change, plan)
    if args.save and final is not None:
        notes = {"preset": args.preset, "training": {"task": f"{task.name}, online"}}
        if task.reading is not None:
            notes["label"] = task.reading.label_column
        file.save(from_task(task, final, notes), args.save)
    output.write_json(args.json, facts | prequential.to_json(stream, result, gate))
    _show(terminal, stream, result)
    if args.plot:
        from madem.pictures import online, style

        figure = online.online_picture([_panel(stream, result, gate)])
        name = f"{task.name}-online-{stream.change.kind}.png"
        terminal.saved(style.save_picture(figure, Path(args.plot) / name))
    return 0


def _show(terminal: Terminal, stream: DriftStream, result: PrequentialResult) -> None:
    """The table of accuracies and what they cost."""
    checks = result.checks
    before = [check for check in checks if check.window <= stream.change_at][-1]
    last = checks[-1]
    assert last.frozen is not None
    terminal.say(
        report.online_table(
            {
                "before the change": (result.running[stream.change_at - 1], before.accuracy),
                "at the end": (result.running[-1], last.accuracy),
                "at the end, frozen at the change": (result.frozen[-1], last.frozen),
                "a fresh network": (None, result.fresh),
            }
        )
    )
    windows = [check.window for check in checks]
    if stream.change.kind in concept_drift.IN_TURN:
        lost = prequential.forgetting(checks, stream.change_at)
        if lost is not None:
            terminal.say(
                f"forgetting {100 * lost['forgetting']:.1f} points, backward transfer"
                f" {100 * lost['backward_transfer']:.1f} points"
            )
    elif stream.change.kind != "none":
        accuracy = [check.accuracy for check in checks]
        after = prequential.recovered(stream, windows, accuracy, result.fresh)
        near = f"within {100 * prequential.NEAR:.0f} points of a fresh network"
        terminal.say(f"never {near}" if after is None else f"{near} after {after} windows")
    repeating = metrics.no_change(stream.truth)
    if repeating is not None:
        terminal.say(no_change_line(repeating))
    total = len(result.windows)
    rollbacks = f", {result.rollbacks} times gone back" if result.rollbacks else ""
    terminal.say(f"{total:,} windows, {result.learned:,} of them learned{rollbacks}")


def _panel(stream: DriftStream, result: PrequentialResult, gate: GateSettings) -> OnlinePanel:
    """What the picture shows of one run."""
    from madem.pictures.online import OnlinePanel

    names = stream.task.class_names
    by_class = {
        name: [float("nan") if (v := c.classes[k]) is None else v for c in result.checks]
        for k, name in enumerate(names)
    }
    gated = gate.gate < EVERYTHING or gate.at_most < 100
    return OnlinePanel(
        title=f"{stream.task.name}: {concept_drift.TITLES[stream.change.kind]}",
        change_at=stream.change_at,
        change_done=stream.change_done,
        running=[result.running],
        frozen=[result.frozen],
        checks=[check.window for check in result.checks],
        held_out=[[check.accuracy for check in result.checks]],
        fresh=result.fresh,
        classes=by_class if stream.change.kind in concept_drift.IN_TURN else None,
        learned=[window.learned for window in result.windows] if gated else None,
        backs=[window.number for window in result.windows if window.rolled_back],
    )
