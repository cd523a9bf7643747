"""Watch boards work on a source: classify its windows, say what is new, or compute features.

For example:
    madem monitor replay walk.csv --load net.madem
    madem monitor replay machine.csv --pipeline 'window=32 | energy bands:8' --novelty
"""

from __future__ import annotations

import argparse

from madem.commands import options, reading
from madem.commands.monitor import watch
from madem.commands.stream import source
from madem.commands.terminal import Terminal
from madem.errors import MademError
from madem.monitor.jobs import ReplayJob
from madem.network import file
from madem.stream.replay import ReplayOptions


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem monitor replay`."""
    watch.add_options(parser, "--windows", "windows")
    source.add_source(parser)
    source.add_fast(parser)
    options.windows(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Have the boards work on it, and show it; 1 if one of them died."""
    if len(args.board or []) > 1 and (args.source == "-" or args.source.startswith("serial:")):
        raise MademError(
            f"{args.source} feeds one board only: record it first with `madem stream record`"
        )
    seed = options.seed_of_new(args, args.novelty)
    saved = file.load(args.load) if args.load else None
    work = ReplayOptions(args.pipeline, saved, args.novelty, seed)
    how = reading.options_of(args)
    job = ReplayJob(args.source, work, args.rate, args.scale, args.fast, how)
    return watch.watch(args, terminal, lambda board: (board, job))
