"""`madem learn motions --on-the-fly`: test and learn a stream window by window, while its world
changes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from madem import output
from madem.commands import training
from madem.commands.terminal import Terminal
from madem.data import concept_drift
from madem.data.concept_drift import DriftStream
from madem.data.stream_task import StreamTask
from madem.errors import MademError, TaskError
from madem.learn import report, session, train
from madem.learners import state
from madem.learners.board import BoardLearner
from madem.learners.gated import GatedBoard, GatedLearner, GatedLockStep, GatedTwin
from madem.learners.stream import board_of
from madem.stream import prequential
from madem.stream.prequential import PrequentialResult
from madem.verify import lock_step as verify
from madem_emulator.twin.gated import EVERYTHING, FULL, GateSettings

if TYPE_CHECKING:  # matplotlib is slow to import
    from madem.pictures.online import OnlinePanel

_OWN = ("change", "windows", "gate", "at_most", "rollback")
"""Options that only mean something on the fly."""
_NONE = ("decay", "stride", "strike", "load", "novelty", "inject")
"""Options of `learn` and `verify` that an endless stream has no use for."""


class Flight(NamedTuple):
    """A stream with its change, and how it is learned.

    Attributes:
        task, plan: as for `madem learn`.
        stream: the stream.
        pace: RATE and TRAIN, the same all the time.
        care: what is learned.
    """

    task: StreamTask
    plan: train.Recipe
    stream: DriftStream
    pace: tuple[int, int]
    care: GateSettings


def add_options(parser: argparse.ArgumentParser, windows: str = "") -> None:
    """Those of learning on the fly; `windows`: what else that option means."""
    group = parser.add_argument_group("learning on the fly")
    group.add_argument(
        "--on-the-fly",
        action="store_true",
        help="motions: an endless stream at one learning rate (6); test each window, then learn"
        " it; --epochs is for the fresh network that it is compared with",
    )
    group.add_argument(
        "--change",
        metavar="KIND",
        help=f"what happens on the way (none): {', '.join(concept_drift.KINDS)};"
        " swap:A,B, new:A, classes:A,B and rare:A,B name classes",
    )
    group.add_argument(
        "--windows",
        metavar="N,N",
        help=f"windows before and after the change begins (400,400){windows}",
    )
    add_care(group)


def add_care(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """What is learned, and when learning is taken back: read by `care_of`."""
    parser.add_argument(
        "--gate",
        type=int,
        metavar="M",
        help="learn only what is answered wrongly, or with a margin below M of 255 (all)",
    )
    parser.add_argument(
        "--at-most", type=int, metavar="N", help="learn at most N of a hundred windows (100)"
    )
    parser.add_argument(
        "--rollback",
        type=float,
        metavar="X",
        help="go back to a copy on the board when the accuracy is X points below the copy's",
    )


def care_of(args: argparse.Namespace) -> GateSettings:
    """The settings that the options ask for.

    Raises:
        TaskError: one is out of range.
    """
    if args.gate is not None and not 0 <= args.gate < EVERYTHING:
        raise TaskError(f"--gate is {args.gate}, but must be from 0 to 255")
    if args.at_most is not None and not 0 <= args.at_most <= 100:
        raise TaskError(f"--at-most is {args.at_most}, but must be from 0 to 100")
    if args.rollback is not None and not 0 < args.rollback <= 100:
        raise TaskError(f"--rollback is {args.rollback:g}, but must be above 0 and at most 100")
    care = GateSettings()
    if args.gate is not None:
        care = replace(care, gate=args.gate)
    if args.at_most is not None:
        care = replace(care, at_most=args.at_most)
    if args.rollback is not None:
        care = replace(care, drop=max(1, round(FULL * args.rollback / 100)))
    return care


def wanted_care(args: argparse.Namespace) -> GateSettings | None:
    """The same; None if no option asks for care."""
    return None if args.gate is args.at_most is args.rollback is None else care_of(args)


def check_unused(args: argparse.Namespace) -> None:
    """See that no option was given that only means something on the fly.

    Raises:
        TaskError: one was.
    """
    for name in _OWN:
        if getattr(args, name) is not None:
            raise TaskError(f"--{name.replace('_', '-')} needs --on-the-fly")


def flight_of(args: argparse.Namespace) -> Flight:
    """What the options ask for.

    Raises:
        TaskError: they can't be used, or not together.
    """
    for name in _NONE:
        if getattr(args, name, None) is not None:
            raise TaskError(f"--{name.replace('_', '-')} can't be used with --on-the-fly")
    if args.frontend != "emulated":
        raise TaskError("--on-the-fly needs --frontend emulated")
    before, after = _windows(args.windows)
    care = care_of(args)
    rate, args.rate = args.rate, None  # the fresh network has its own
    task, plan = training.make_plan(args)
    if not isinstance(task, StreamTask):
        raise TaskError(f"--on-the-fly is for streams, so for the task motions, not {task.name}")
    # The same network and devices, at a pace that never ends.
    settings = plan.settings
    endless = prequential.recipe(task, learning_rate=rate).settings.learning_rate
    steady = replace(plan, settings=replace(settings, learning_rate=endless), stride=0.0, decay=1.0)
    pace = _pace(steady)
    change = concept_drift.parse(args.change or "none", task)
    stream = concept_drift.drift_stream(
        task, change, before=before, after=after + concept_drift.DURATION.get(change.kind, 0)
    )
    return Flight(task, plan, stream, pace, care)


def run(args: argparse.Namespace, terminal: Terminal, *, lock_step: bool = False) -> int:
    """Learn the stream and tell how it went; 1 when board and twin differ in lock step."""
    task, plan, stream, pace, care = flight_of(args)
    for path, check in (
        (getattr(args, "save", None), output.check_file),
        (getattr(args, "plot", None), output.check_folder),
    ):
        if path is not None:
            check(path)
    config = plan.settings.integers()
    with session.open_learner(args.board) as device:
        learner = _learner(device, stream, config, lock_step)
        what = f"{'verifying' if lock_step else 'learning'} {task.name} on {args.board}"
        mismatch = None
        result = PrequentialResult()
        try:
            with terminal.progress(what, len(stream.truth)) as advance:
                result = prequential.run(learner, stream, pace, care, progress=advance)
        except verify.DiffersError as error:
            mismatch = error.mismatch
        final = learner.state() if getattr(args, "save", None) else None
        board = board_of(learner)
        heap = board.stats().heap_alloc if board else None
    if lock_step:
        assert isinstance(learner, GatedLockStep)
        return _say_verified(args, terminal, learner, mismatch)
    result.fresh = prequential.fresh_level(task, stream.change, plan)
    if final is not None:
        notes = {"task": task.name, "classes": list(task.class_names), "preset": args.preset}
        state.save(replace(final, notes=final.notes | notes), args.save)
    head: dict[str, Any] = {
        "task": task.name,
        "board": args.board,
        "seed": config.seed,
        "layers": list(config.sizes),
        "rate": pace[0],
        "train": pace[1],
        "heap_peak_bytes": heap,
        "data": task.describe(),
    }
    output.write_json(args.json, head | prequential.to_json(stream, result, care))
    _show(terminal, stream, result)
    if args.plot:
        from madem.pictures import online, style

        figure = online.online_picture([_panel(stream, result, care)])
        name = f"{task.name}-on-the-fly-{stream.change.kind}.png"
        terminal.saved(style.save_picture(figure, Path(args.plot) / name))
    return 0


def _windows(text: str | None) -> tuple[int, int]:
    if text is None:
        return 400, 400
    try:
        before, after = (int(part) for part in text.split(","))
    except ValueError:
        raise TaskError(f"--windows {text}: write two numbers such as 400,400") from None
    return before, after


def _pace(plan: train.Recipe) -> tuple[int, int]:
    try:
        return plan.schedule(0)
    except ValueError as error:
        raise TaskError(str(error)) from None


def _learner(
    device: BoardLearner | None, stream: DriftStream, config: Any, lock: bool
) -> GatedLearner:
    if device is None:
        if lock:
            raise MademError("verify compares a device with the twin: choose a board")
        return GatedTwin(config, stream.task)
    device.configure(config)
    return GatedLockStep(device, stream.task) if lock else GatedBoard(device, stream.task)


def _say_verified(
    args: argparse.Namespace,
    terminal: Terminal,
    lock: GatedLockStep,
    mismatch: verify.Mismatch | None,
) -> int:
    head = {"task": args.task, "board": args.board, "seed": args.seed}
    output.write_json(args.json, head | verify.report(lock, mismatch))
    counts = f"{lock.steps:,} windows, {lock.compared:,} values compared"
    if mismatch is not None:
        terminal.say(f"[bold red]device and twin differ[/] after {counts}: {mismatch}")
        return 1
    terminal.say(f"{args.task} on the fly on {args.board}: {counts}, 0 mismatches")
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
    total = len(result.windows)
    rollbacks = f", {result.rollbacks} times gone back" if result.rollbacks else ""
    terminal.say(f"{total:,} windows, {result.learned:,} of them learned{rollbacks}")


def _panel(stream: DriftStream, result: PrequentialResult, care: GateSettings) -> OnlinePanel:
    """What the picture shows of one run."""
    from madem.pictures.online import OnlinePanel

    names = stream.task.class_names
    by_class = {
        name: [float("nan") if (v := c.classes[k]) is None else v for c in result.checks]
        for k, name in enumerate(names)
    }
    careful = care.gate < EVERYTHING or care.at_most < 100
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
        learned=[window.learned for window in result.windows] if careful else None,
        backs=[window.number for window in result.windows if window.rolled_back],
    )
