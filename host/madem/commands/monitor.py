"""Watch boards at work: signal, features, activities, weights, accuracy and health.

For example:
    madem monitor digits --html report.html
"""

from __future__ import annotations

import argparse
import contextlib
import copy
from pathlib import Path
from typing import Any

from rich.markup import escape

from madem import output
from madem.commands import online, options, training
from madem.commands.terminal import Terminal
from madem.data.files import recording
from madem.errors import MademError, TaskError
from madem.frontends import attached
from madem.learn import session, train
from madem.monitor import html, tui
from madem.monitor.fleet import Fleet, Post, names
from madem.monitor.jobs import Job, LearnOnTheFly, LearnTask, OwnSensor, ReplayStream
from madem.monitor.run_state import Stage
from madem.stream import onboard_run, sensors
from madem.stream.onboard_run import RunOptions

_REFRESH_S = 0.25
_LINE_S = 1.0
_STREAM_ONLY = ("load", "novelty", "fast", "sample_rate", "scale")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--board",
        action="append",
        metavar="BOARD",
        help="unix, unix:heap=64K, unix32, qemu, rp2040, a port, auto (unix); again for more"
        " boards, which work side by side",
    )
    parser.add_argument("--html", metavar="FILE", help="write one page with all pictures")
    parser.add_argument("--log-dir", metavar="DIR", help="keep a log of each board in this folder")
    parser.add_argument("--seconds", type=float, metavar="S", help="end after so many")
    parser.add_argument(
        "--pace", type=float, metavar="N", help="samples of a task a second at most, to follow it"
    )
    parser.add_argument("--load", metavar="FILE", help="a stream: classify with a saved network")
    parser.add_argument(
        "--novelty",
        action="store_true",
        default=None,
        help="a stream: learn what is usual, say what is new",
    )
    parser.add_argument(
        "--fast", action="store_true", help="a stream: as fast as it goes, not at its rate"
    )
    parser.add_argument(
        "--sample-rate", type=float, metavar="HZ", help="of a stream that does not say"
    )
    parser.add_argument(
        "--scale", type=float, metavar="X", help="units per count of a stream's values"
    )
    parser.add_argument(
        "--learn",
        action="store_true",
        help="the board's own sensor: learn the windows whose label its pins show",
    )
    parser.add_argument(
        "--classes", metavar="A,B", help="names of the labels, for --learn without --load"
    )
    parser.add_argument(
        "--stream",
        choices=("raw",),
        help="the board's own sensor: have the samples sent and shown, which else stay on it",
    )
    options.task(
        parser,
        "; or a stream, or a board's own sensor such as mpu6050:rate=100, for --load, --novelty or"
        " --pipeline",
    )
    online.add_options(parser, "; without --on-the-fly: end after N windows, or samples of a task")


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Have the boards work, and show it; 1 if one of them died."""
    _check(args)
    specs = args.board or ["unix"]
    posts = [Post(name, *_job(args, spec)) for name, spec in zip(names(specs), specs, strict=True)]
    logs = Path(args.log_dir) if args.log_dir else None
    if args.html:
        output.check_file(args.html, make_folder=True)
    fleet = Fleet(posts, seconds=args.seconds, most=_most(args), logs=logs)
    told: set[str] = set()
    with fleet, contextlib.suppress(KeyboardInterrupt):
        _show(fleet, terminal, told)
    boards = fleet.views()
    dead = [facts for facts in boards if facts.stage is Stage.DEAD]
    if args.html:
        output.write_whole(args.html, html.render(boards).encode())
    output.write_json(args.json, {"boards": [facts.to_json() for facts in boards]})
    if len(boards) == 1 and dead and not dead[0].samples:
        raise MademError(dead[0].reason)
    if terminal.is_live:  # the screen with all that was shown last is gone
        terminal.say(tui.rows(boards))
    for facts in boards:
        if facts.stage is Stage.DEAD if terminal.is_live else facts.board not in told:
            terminal.say(escape(tui.line(facts)))
    if args.html:
        terminal.saved(Path(args.html))
    return 1 if dead else 0


def _show(fleet: Fleet, terminal: Terminal, told: set[str]) -> None:
    """Until all boards are done, or a Ctrl-C; `told`: boards whose end has been said in a line."""
    with terminal.screen() as fill:
        if fill:
            while not fleet.wait(_REFRESH_S):
                fill(tui.Whole(fleet.views()))
            return
        while not fleet.wait(_LINE_S):
            for facts in fleet.views():
                if facts.board not in told:
                    terminal.say(escape(tui.line(facts)))
                if facts.stage.over:
                    told.add(facts.board)


def _check(args: argparse.Namespace) -> None:
    for name in ("seconds", "pace"):
        if getattr(args, name) is not None and not getattr(args, name) > 0:
            raise MademError(f"--{name} {getattr(args, name):g}: must be above 0")
    if session.TWIN in (args.board or []):
        raise MademError("a monitor watches a board: the twin is none")
    if not args.on_the_fly:
        for name in ("change", "gate", "at_most", "rollback"):
            if getattr(args, name) is not None:
                raise TaskError(f"--{name.replace('_', '-')} needs --on-the-fly")
    if len(args.board or []) > 1 and (args.task == "-" or args.task.startswith("serial:")):
        raise MademError(f"{args.task} feeds one board only: record it first with `madem stream`")
    for name in ("strike", "strike_epochs"):
        if getattr(args, name) is not None:
            raise TaskError(f"--{name.replace('_', '-')} is for `madem learn`")


def _most(args: argparse.Namespace) -> int | None:
    """After how many windows or samples a board ends; on the fly the stream says so."""
    if args.windows is None or args.on_the_fly:
        return None
    if not args.windows.isdecimal() or int(args.windows) == 0:
        raise MademError(f"--windows {args.windows}: must be a whole number above 0")
    return int(args.windows)


def _job(args: argparse.Namespace, board: str) -> tuple[str, Job]:
    """What to open for this board, and what it is to do."""
    args = copy.copy(args)
    args.board = board
    seed = 1 if args.seed is None else args.seed
    if args.task.partition(":")[0] in sensors.NAMES:
        sensor = sensors.parse(args.task)
        run_options = RunOptions(
            pipeline=args.pipeline,
            load=args.load,
            learn=bool(args.learn),
            classes=tuple(args.classes.split(",")) if args.classes else (),
            novelty=bool(args.novelty),
            raw=args.stream == "raw",
            seed=seed,
        )
        onboard_run.check(sensor, run_options)
        return board, OwnSensor(sensor, run_options)
    for name in ("stream", "learn", "classes"):
        if getattr(args, name):
            raise MademError(f"--{name} is for a board's own sensor, such as mpu6050:rate=100")
    if args.load or args.novelty or (args.pipeline and args.task != "motions"):
        if args.pace:
            raise MademError("--pace is for tasks: a stream comes at its own rate")
        source = ReplayStream(
            args.task,
            args.sample_rate,
            args.scale,
            args.fast,
            args.pipeline,
            args.load,
            args.novelty,
            seed,
        )
        return board, source
    if Path(args.task).is_file() and recording.is_recording(Path(args.task)):
        raise MademError(
            f"{args.task} is a recording: say with --load or --pipeline what it is for"
        )
    for name in _STREAM_ONLY:
        if getattr(args, name):
            option = name.replace("_", "-")
            raise MademError(f"--{option} is for a stream: say with --pipeline or --load how")
    if args.on_the_fly:
        flight = online.flight_of(args)
        settings = _settings(args, flight.plan)
        _, plan, stream, steps, care = flight
        return board, LearnOnTheFly(stream, plan, steps, care, settings, args.pace)
    task, plan = training.make_plan(args)
    if plan.device is not None and not plan.design:
        raise TaskError("--frontend physical is the twin's: a board has none")
    spec = attached.board_spec(args) if plan.design else board
    return spec, LearnTask(task, plan, _settings(args, plan), args.pace)


def _settings(args: argparse.Namespace, plan: train.Recipe) -> dict[str, Any]:
    """What the header says of a network."""
    config = plan.settings.integers()
    settings = {
        "preset": args.preset,
        "bits": config.weight_bits,
        "rule": config.rule.name.lower().replace("_", "-"),
        "seed": config.seed,
    }
    return settings | ({"frontend": "attached", "design": plan.design} if plan.design else {})
