"""Stream samples to a board, learn there, test what was learned, and compare it with others.

For example:
    madem learn digits
    madem learn flowers.csv --target species --plot pictures
    madem learn digits --save net.madem
    madem learn digits --load net.madem --epochs 0
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from madem import output
from madem.commands import novelty, online, options, training
from madem.commands.terminal import Terminal
from madem.errors import TaskError
from madem.frontends import attached, physical
from madem.learn import session
from madem.learners import state


def add_options(parser: argparse.ArgumentParser) -> None:
    options.board(parser)
    options.task(parser)
    parser.add_argument("--plot", metavar="DIR", help="save pictures into this folder")
    parser.add_argument("--save", metavar="FILE", help="save what was learned")
    parser.add_argument("--load", metavar="FILE", help="go on from a saved state")
    parser.add_argument(
        "--keep-weights",
        action="store_true",
        help="--frontend attached: learn on from what the devices behind the chips hold, instead of"
        " writing fresh random weights into them first",
    )
    parser.add_argument("--no-baselines", action="store_true", help="leave the comparison out")
    parser.add_argument(
        "--novelty",
        metavar="CLASS",
        help="motions: learn without labels, and without this class; test how well it is noticed",
    )
    online.add_options(parser)
    parser.add_argument(
        "--inject",
        metavar="FAULT",
        help="faults of the emulated chips of --frontend attached, such as dead:c4+cells:0.05 or"
        " flips:0.001",
    )


_FIXED = (
    *("layers", "bits", "beta", "rule", "preset", "cycle_to_cycle", "device_to_device"),
    *("read_noise", "stuck", "dac_bits", "adc_bits", "seed"),
)
"""Options that a saved state has settled."""


def _as_the_state_says(args: argparse.Namespace) -> None:
    """Take the seed, which also splits the data, and the preset from the state.

    What is behind chips is no matter of the state: there a preset may be named.

    Raises:
        TaskError: an option would have to change what the state has settled.
    """
    chips = args.frontend == "attached"
    for name in _FIXED:
        if name == "preset" and chips:
            continue
        if getattr(args, name) is not None:
            option = name.replace("_", "-")
            raise TaskError(f"--{option} can't be used with --load: the saved state settles it")
    saved = state.load(args.load)
    args.seed = saved.config.seed
    if args.frontend == "physical":
        vars(args).update(saved.notes.get("device", {}))
    if not chips or saved.notes.get("frontend") == "attached":
        args.preset = args.preset or saved.notes.get("preset")


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Train, evaluate, compare, save."""
    if args.keep_weights and (args.frontend != "attached" or args.load is not None):
        raise TaskError("--keep-weights needs --frontend attached, and can't be used with --load")
    if args.on_the_fly:
        return online.run(args, terminal)
    online.check_unused(args)
    if args.inject is not None and args.frontend != "attached":
        raise TaskError("--inject puts faults into the chips of --frontend attached")
    if args.novelty is not None and args.frontend != "attached":
        return novelty.run(args, terminal)
    if args.load is not None:
        _as_the_state_says(args)
    task, plan = training.make_plan(args)
    strike = training.strike_of(args)
    if args.save is not None:
        output.check_file(args.save)
    if args.plot is not None:
        output.check_folder(args.plot)
    spec = attached.board_spec(args) if args.frontend == "attached" else args.board
    with session.open_learner(spec) as device:
        resume = Path(args.load) if args.load else None
        learner, plan = session.prepare(
            device, plan, task, resume, args.keep_weights, terminal.progress
        )
        run = session.Run(task, plan, learner.config, args.board, args.preset, args.frontend)
        what = f"learning {task.name} on {args.board}"
        training.train(run, learner, terminal, what, strike=strike)
        session.finish(run, learner)
        if args.save:
            assert run.final is not None
            device = {"device": physical.options_of(args)} if args.frontend == "physical" else {}
            state.save(replace(run.final, notes=run.final.notes | device), args.save)
    if not args.no_baselines:
        run.baselines = session.baselines(task, plan.settings.sizes[1:-1])
    output.write_json(args.json, run.to_json())
    training.show(run, terminal)
    if args.plot:
        training.save_pictures(run, Path(args.plot), terminal)
    return 0
