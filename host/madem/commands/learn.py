"""Stream samples to a board, learn there, test what was learned, and compare it with others.

For example:
    madem learn digits
    madem learn flowers.csv --label species --plot pictures
    madem learn digits --save net.madem
    madem learn digits --load net.madem --epochs 0          # test it, on a fresh board

Streams without an end: `madem online`. Without labels: `madem novelty`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from madem import output
from madem.commands import options, paths, training
from madem.commands.terminal import Terminal
from madem.errors import TaskError
from madem.frontends import attached, physical
from madem.learn import session
from madem.network import file
from madem.network.network import Network

CHIPS = "chips"
"""In place of a file to go on from: what the devices behind chips hold."""
_FIXED = ("layers", "bits", "beta", "rule", "preset", "device", "seed")
"""Options that a saved state has settled."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem learn`."""
    options.board(parser, twin=True)
    options.seed(parser)
    options.task(parser)
    options.network(parser)
    group = options.devices(parser, ("emulated", "attached", "physical"))
    options.stuck_after_training(group)
    group.add_argument(
        "--inject",
        metavar="FAULT",
        help=argparse.SUPPRESS,  # `madem calibrate --help` shows it
    )
    group = parser.add_argument_group("results")
    group.add_argument(
        "--save",
        type=paths.Written,
        metavar="FILE",
        help="what was learned (default: not saved)",
    )
    group.add_argument(
        "--load",
        type=paths.Read,
        metavar="FILE",
        help=f"go on from what was saved, or with --frontend attached from {CHIPS}: from what the"
        " devices behind them hold (default: fresh random weights)",
    )
    group.add_argument(
        "--refit",
        action="store_true",
        help="with --load: fit columns and scale to these data (default: the saved network's)",
    )
    group.add_argument(
        "--plot", metavar="DIR", help="save pictures into this folder (default: none)"
    )
    group.add_argument(
        "--no-baselines",
        action="store_true",
        help="leave out what others reach on the same task (default: compare)",
    )


def _as_saved(args: argparse.Namespace) -> Network:
    """The saved network, from which the seed, which also splits the data, and the preset are taken.

    What is behind chips is no matter of the network: there a preset may be named.

    Raises:
        TaskError: an option would have to change what the network has settled.
    """
    chips = args.frontend == "attached"
    for name in _FIXED:
        if getattr(args, name) not in (None, {}) and not (chips and name == "preset"):
            raise TaskError(f"--{name} can't be used with --load: the saved network settles it")
    saved = file.load(args.load)
    if args.pipeline is not None and saved.pipeline and args.pipeline != saved.pipeline:
        raise TaskError(f"--pipeline can't be used with --load: it has learned {saved.pipeline}")
    args.seed = saved.state.config.seed
    if args.frontend == "physical":
        noted = saved.notes.get("device", {})
        args.bits = noted.get("bits")
        args.device = {n: x for n in physical.FIGURES if (x := noted.get(n)) is not None}
    if not chips or saved.chips:
        args.preset = args.preset or saved.notes.get("preset")
    if chips:
        args.design = args.design or saved.notes.get("design")
    return saved


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Train, evaluate, compare, save."""
    keep_weights = args.load == CHIPS
    if args.frontend != "attached":
        if keep_weights:
            raise TaskError(f"--load {CHIPS} needs --frontend attached")
        if args.inject is not None:
            raise TaskError("--inject puts faults into the chips of --frontend attached")
    saved = None
    if args.load is not None and not keep_weights:
        saved = _as_saved(args)
    elif args.refit:
        raise TaskError("--refit fits a saved network's scale anew: name it with --load")
    task = training.load(args, terminal, None if args.refit else saved)
    plan = training.recipe(args, task)
    faults = training.stuck_after_training(args)
    if args.save is not None:
        output.check_file(args.save)
    if args.plot is not None:
        output.check_folder(args.plot)
    spec = attached.board_spec(args) if args.frontend == "attached" else args.board
    with session.open_learner(spec, patience=args.patience) as device:
        learner, plan = session.prepare(device, plan, task, saved, keep_weights, terminal.progress)
        run = session.Run(task, plan, learner.config, args.board, args.preset, args.frontend)
        what = f"learning {task.name} on {args.board}"
        training.train(run, learner, terminal, what, faults=faults)
        session.finish(run, learner)
        if args.save:
            chosen = {
                "bits": args.bits,
                **{name: args.device.get(name) for name in physical.FIGURES},
            }
            device = {"device": chosen} if args.frontend == "physical" else {}
            file.save(session.network_of(run, **device), args.save)
    if not args.no_baselines:
        run.baselines = session.baselines(task, plan.settings.sizes[1:-1])
    output.write_json(args.json, run.to_json())
    training.show(run, terminal)
    if args.plot:
        training.save_pictures(run, Path(args.plot), terminal)
    return 0
