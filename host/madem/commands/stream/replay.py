"""Replay a source: as lines of text, or through a board, which answers for every window.

For example:
    madem stream replay walk.csv                                      # lines, at the true rate
    madem stream replay walk.csv --board unix --load net.madem        # which class is it now?
    madem stream replay walk.csv --board unix --pipeline 'window=32 | energy bands:4' --novelty

The lines are what another program, or `madem stream record -`, reads.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from typing import Any

from madem import output
from madem.commands import options
from madem.commands.stream import source
from madem.commands.terminal import Terminal
from madem.errors import MademError
from madem.network import file
from madem.stream.replay import ReplayOptions, replay, stream_of
from madem.stream.sources import Sample

_ON_BOARD = ("pipeline", "load", "novelty", "seed", "patience")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem stream replay`."""
    source.add_options(parser)
    source.add_fast(parser)
    parser.add_argument("--board", help="such as unix or a port (default: none, lines of text)")
    options.patience(parser)
    options.windows(parser)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Replay it until it ends, the time is up, or a Ctrl-C comes."""
    if args.board is None:
        for name in _ON_BOARD:
            if getattr(args, name) not in (None, False):
                raise MademError(f"--{name} is for a board: name one with --board")
    seed = options.seed_of_new(args, args.novelty)
    saved = file.load(args.load) if args.load else None
    # Without a board the lines are for another program to read.
    say = terminal.say if args.board else partial(terminal.say, aside=True)
    with source.opened(args, say, stream_of(saved)) as stream:
        samples = source.timed(stream, args)
        if args.board is None:
            result = _print(samples)
        else:
            work = ReplayOptions(args.pipeline, saved, args.novelty, seed)
            result = replay(stream, samples, args.board, work, terminal.say, args.patience)
    output.write_json(args.json, result)
    return 0


def _print(samples: Iterable[Sample]) -> dict[str, Any]:
    count = 0
    for sample in samples:
        label = [sample.label] if sample.label else []
        print(",".join([*map(str, sample.values), *label]), flush=True)
        count += 1
    return {"samples": count}
