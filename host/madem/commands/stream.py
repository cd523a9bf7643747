"""`madem stream`: sensor data to or from a board, recorded or live."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from madem import output
from madem.commands import online
from madem.commands.terminal import Terminal
from madem.data.recording_file import Recorder
from madem.errors import MademError
from madem.learn import session
from madem.stream import onboard_run, replay, sensors, sources
from madem.stream.budget import budget, instructions_of
from madem.stream.cost import cost
from madem.stream.sources import Sample, Source
from madem_emulator.twin.pipeline import Pipeline, PipelineError, parse

_FLUSH_S = 1.0
"""A recording is closed to a block at least so often: what a pulled plug can cost."""
_SHOWN_S = 1.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        choices=tuple(_RUNS),
        help="record a source; replay one to a board or as text; show one; cost of a pipeline;"
        " live: a board works on its own sensor",
    )
    parser.add_argument(
        "source", help=f"{sources.SPECS}; for cost: a pipeline; for live: {sensors.SPECS}"
    )
    parser.add_argument("--out", metavar="FILE", help="record, live: the recording to write")
    parser.add_argument(
        "--append", action="store_true", help="record: go on with a recording that exists"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after so much of it")
    parser.add_argument("--rate", type=float, metavar="HZ", help="of a source that does not say")
    parser.add_argument(
        "--scale", type=float, metavar="X", help="units per count, for values that are no counts"
    )
    parser.add_argument(
        "--fast", action="store_true", help="replay, show: as fast as it goes, not at its rate"
    )
    parser.add_argument(
        "--board",
        help="replay, live: this board, such as unix or a port (replay without: as text to stdout)",
    )
    parser.add_argument(
        "--pipeline", metavar="LINE", help="replay, live: features that the board computes"
    )
    parser.add_argument(
        "--load", metavar="FILE", help="replay, live: classify with a saved network"
    )
    parser.add_argument(
        "--novelty",
        action="store_true",
        help="replay, live: learn without labels what is usual, and say what is new",
    )
    parser.add_argument(
        "--learn", action="store_true", help="live: learn windows with a label; cost: with learning"
    )
    parser.add_argument(
        "--classes", metavar="A,B…", type=_names, default=(), help="live: names of the classes"
    )
    parser.add_argument(
        "--label-keys", action="store_true", help="live: keys 1, 2, … label what comes, 0 ends it"
    )
    parser.add_argument(
        "--stream",
        choices=("raw",),
        help="live: have the samples sent, which else stay on the board",
    )
    parser.add_argument("--save", metavar="FILE", help="live: what was learned")
    parser.add_argument(
        "--leave", action="store_true", help="live: let the board go on when this program ends"
    )
    online.add_care(parser.add_argument_group("live with --learn"))
    parser.add_argument("--seed", type=int, default=1, help="of the novelty network (1)")
    parser.add_argument(
        "--layers",
        type=_sizes,
        default=(),
        metavar="N,N…",
        help="cost: units of the layers above the inputs, such as 32,4",
    )
    parser.add_argument(
        "--channels", type=int, default=6, metavar="N", help="cost: channels of a sample (6)"
    )


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Record, replay, show, or tell the cost."""
    if args.seconds is not None and args.seconds <= 0:
        raise MademError(f"--seconds {args.seconds:g}: must be above 0")
    result = _RUNS[args.what](args, terminal)
    if args.json:
        session.write_json(args.json, result)
    # The answer to "does it keep up?" may be no.
    return 0 if args.what != "cost" or result.get("keeps_up", True) else 1


def _record(args: argparse.Namespace, terminal: Terminal) -> dict[str, Any]:
    if not args.out:
        raise MademError("stream record needs --out FILE")
    last = 0
    with (
        _open(args) as source,
        Recorder(args.out, source.header(), append=args.append) as recorder,
    ):
        if recorder.cut_bytes:
            terminal.say(f"removed {recorder.cut_bytes} bytes of an unfinished block")
        before, closed = recorder.rows, time.monotonic()
        for sample in sources.until_interrupted(_limited(source, args.seconds)):
            recorder.add(sample.t_us, sample.values, sample.label)
            last = sample.t_us
            if source.live and time.monotonic() - closed > _FLUSH_S:
                recorder.flush()
                closed = time.monotonic()
    rows = recorder.rows - before
    terminal.say(
        f"{args.out}: {rows:,} samples of {len(source.channels)} channels, {last / 1e6:.1f} s"
        + (f"; {source.skipped} lines were none and left out" if source.skipped else "")
    )
    return {
        "file": args.out,
        "samples": rows,
        "seconds": last / 1e6,
        "channels": list(source.channels),
        "rate_hz": source.rate_hz,
        "skipped_lines": source.skipped,
    }


def _replay(args: argparse.Namespace, terminal: Terminal) -> dict[str, Any]:
    on_board = args.board is not None
    for name in ("pipeline", "load"):
        if getattr(args, name) and not on_board:
            raise MademError(f"--{name} is for a board: name one with --board")
    if args.novelty and not on_board:
        raise MademError("--novelty is for a board: name one with --board")
    with _open(args) as source:
        samples = sources.until_interrupted(_timed(source, args))
        if not on_board:
            return _print(samples)
        return replay.replay(
            source,
            samples,
            args.board,
            terminal.say,
            pipeline=args.pipeline,
            load=args.load,
            novelty=args.novelty,
            seed=args.seed,
        )


def _print(samples: Iterable[Sample]) -> dict[str, Any]:
    """As lines that another program, or `madem stream record -`, reads."""
    count = 0
    for sample in samples:
        label = [sample.label] if sample.label else []
        print(",".join([*map(str, sample.values), *label]), flush=True)
        count += 1
    return {"samples": count}


def _show(args: argparse.Namespace, terminal: Terminal) -> dict[str, Any]:
    count, last = 0, 0
    with _open(args) as source:
        shown: list[Sample] = []
        for sample in sources.until_interrupted(_timed(source, args)):
            count, last = count + 1, sample.t_us
            shown.append(sample)
            if sample.t_us - shown[0].t_us >= _SHOWN_S * 1e6:
                terminal.say(replay.picture(source.channels, shown))
                shown.clear()
        if shown:
            terminal.say(replay.picture(source.channels, shown))
    return {"samples": count, "seconds": last / 1e6, "channels": list(source.channels)}


def _cost(args: argparse.Namespace, terminal: Terminal) -> dict[str, Any]:
    pipeline = _parse(args.source, args.channels)
    found = cost(pipeline)
    sizes = (pipeline.inputs, *args.layers) if args.layers else ()
    if args.learn and not sizes:
        raise MademError("--learn costs what the network takes: say --layers 32,4")
    result: dict[str, Any] = {
        "pipeline": str(pipeline),
        "channels": args.channels,
        "inputs": pipeline.inputs,
        **asdict(found),
    }
    terminal.say(
        f"{pipeline} of {args.channels} channels: {pipeline.inputs} inputs,"
        f" {found.heap_bytes:,} bytes, {found.instructions_per_sample:,} instructions a sample,"
        f" {found.instructions_per_window:,} a window"
    )
    if sizes:
        result["layers"] = list(sizes)
        result["instructions_of_the_network"] = instructions_of(sizes, args.learn)
        terminal.say(
            f"{'-'.join(map(str, sizes))}: {result['instructions_of_the_network']:,} instructions"
            f" to {'learn' if args.learn else 'predict'} a window"
        )
    if args.rate:
        total = budget(pipeline, args.rate, sizes, learns=args.learn)
        result |= {"load": total.load, "keeps_up": total.keeps_up}
        terminal.say(total.verdict())
    return result


def _live(args: argparse.Namespace, terminal: Terminal) -> dict[str, Any]:
    sensor = sensors.parse(args.source)
    if args.save:
        output.check_file(args.save)
    run_options = onboard_run.RunOptions(
        pipeline=args.pipeline,
        load=args.load,
        save=args.save,
        learn=args.learn,
        classes=args.classes,
        label_keys=args.label_keys,
        novelty=args.novelty,
        raw=args.stream == "raw",
        out=args.out,
        seconds=args.seconds,
        leave=args.leave,
        seed=args.seed,
        care=online.wanted_care(args),
    )
    result = onboard_run.run(args.board or "unix", sensor, run_options, terminal.say)
    terminal.say(
        f"{result['windows']:,} windows of {result['samples']:,} samples,"
        f" {result['lost']:,} lost, {result['learned']:,} learned"
    )
    return result


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers of units such as 32,4")
    return sizes


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _parse(text: str, channels: int) -> Pipeline:
    try:
        return parse(text, channels)
    except PipelineError as error:
        raise MademError(str(error)) from None


def _open(args: argparse.Namespace) -> Source:
    lines = sources.stdin_lines(sys.stdin) if args.source == "-" else None
    return sources.open_source(args.source, rate_hz=args.rate, scale=args.scale, stdin=lines)


def _timed(source: Source, args: argparse.Namespace) -> Iterator[Sample]:
    """The samples asked for, at their rate unless they are live anyway."""
    samples = iter(source) if source.live or args.fast else sources.at_true_rate(source)
    return _limited(samples, args.seconds)


def _limited(samples: Iterable[Sample], seconds: float | None) -> Iterator[Sample]:
    for sample in samples:
        if seconds is not None and sample.t_us >= seconds * 1e6:
            return
        yield sample


_RUNS = {"record": _record, "replay": _replay, "show": _show, "cost": _cost, "live": _live}
