"""The source that `record`, `replay` and `show` have in common: its options, and its samples."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator

from madem.commands import paths, reading, values
from madem.data.match import Taught
from madem.stream import sources
from madem.stream.sources import Sample, Source


def add_options(parser: argparse.ArgumentParser) -> None:
    """The source, how it is read, and how much of it."""
    group = add_source(parser)
    group.add_argument(
        "--seconds", type=values.above_zero, metavar="S", help="so much of it (default: all)"
    )


def add_source(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The source, and how it is read."""
    parser.add_argument("source", type=paths.Read, metavar="SOURCE", help=sources.SPECS)
    group = parser.add_argument_group("the source")
    group.add_argument(
        "--rate", type=float, metavar="HZ",
        help="samples a second of a source that does not say (default: 100 for a file; serial and"
        " stdin: when they arrive)",
    )  # fmt: skip
    group.add_argument(
        "--scale", type=values.scales, metavar="X,X…",
        help="units per count, one for all channels or one for each (default: the file's own, none"
        " for whole numbers of 16 bits, else fitted to each channel)",
    )  # fmt: skip
    reading.add_label(group, "of a file: ")
    reading.add_options(group)
    return group


def add_fast(parser: argparse.ArgumentParser) -> None:
    """The choice whether a source that is not live keeps its time."""
    parser.add_argument(
        "--fast", action="store_true", help="as fast as it goes (default: at its own rate)"
    )


def opened(
    args: argparse.Namespace, say: Callable[[str], None], taught: Taught | None = None
) -> Source:
    """Open the source, and say how a file was understood.

    Args:
        args: with the options of `add_source`.
        say: gets a line at a time.
        taught: see `sources.open_source`.

    Returns:
        The source, to be closed.
    """
    lines = sources.stdin_lines(sys.stdin) if args.source == "-" else None
    source = sources.open_source(
        args.source,
        rate_hz=args.rate,
        scale=args.scale,
        options=reading.options_of(args),
        stdin=lines,
        taught=taught,
    )
    for note in source.notes:
        say(note)
    return source


def timed(source: Source, args: argparse.Namespace) -> Iterator[Sample]:
    """Give the samples asked for, at their rate unless they are live anyway, until a Ctrl-C.

    Args:
        source: that is open.
        args: with the options of the verb.

    Returns:
        The samples.
    """
    samples = iter(source) if source.live or args.fast else sources.at_true_rate(source)
    return until_end(samples, args.seconds)


def until_end(samples: Iterable[Sample], seconds: float | None) -> Iterator[Sample]:
    """Give the samples of so many seconds, or all, until a Ctrl-C.

    Args:
        samples: of a source.
        seconds: how many; None: all.

    Returns:
        The samples.
    """
    return sources.until_interrupted(_limited(samples, seconds))


def _limited(samples: Iterable[Sample], seconds: float | None) -> Iterator[Sample]:
    for sample in samples:
        if seconds is not None and sample.t_us >= seconds * 1e6:
            return
        yield sample
