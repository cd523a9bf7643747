"""Answer for new data with a saved network: a class, its margin and the second best for each row.

For example:
    madem predict new.csv --load flowers.madem                  # a line a row, on the desktop twin
    madem predict walk.csv --load gestures.madem --board unix   # the same bits on a board
    madem predict test.csv --load flowers.madem --report        # scores, where labels are there
    madem predict new.csv --load flowers.madem --reject 40 --out answers.parquet

Columns are matched by their names, and the network's own scale is used; nothing is fitted anew.
An answer depends on its own row alone, not on what was asked before. Of a stream each whole
window is answered. A network of Braille gets 60 columns of dots, and gives dots and word back.
docs/guide/predict.md tells more.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem import output
from madem.commands import options, paths, reading
from madem.commands.terminal import Terminal
from madem.data.files.judge import Known, Samples
from madem.data.files.read import read
from madem.errors import MademError, TaskError
from madem.frontends import attached
from madem.learn import report, session
from madem.learn.answers import Answers, Recalled, answers, figures, recalled
from madem.learners.board import BoardLearner
from madem.network import file, metrics
from madem.network.network import Network, StreamInputs, WordInputs

_FORMATS = (".csv", ".jsonl", ".parquet")


_BLOCK = 10_000
"""Rows that are written at a time: a million as Python's objects would take much room."""
_Table = dict[str, NDArray[Any]]
"""Columns with a value for each answer, by their headings."""


class _Given(NamedTuple):
    """What was answered, scores if there are labels, and notes."""

    table: _Table
    scores: dict[str, Any] | None
    notes: list[str]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `madem predict`."""
    parser.add_argument(
        "data",
        type=paths.Read,
        metavar="FILE",
        nargs="+",
        help="a table or a stream: files, or a folder of them",
    )
    parser.add_argument(
        "--load",
        type=paths.Read,
        metavar="NET",
        required=True,
        help="a network saved by madem (needed)",
    )
    options.board(parser, default=session.TWIN, twin=True)
    group = parser.add_argument_group("answers")
    group.add_argument(
        "--out",
        type=paths.Written,
        metavar="FILE",
        help=f"write the answers, as {', '.join(_FORMATS)} (default: CSV to stdout)",
    )
    group.add_argument(
        "--reject",
        type=int,
        metavar="M",
        help="answer none where the margin is below M of 255 (default: answer always)",
    )
    group.add_argument(
        "--report",
        action="store_true",
        help="print scores in place of the answers, where labels are there (default: the answers)",
    )
    group = parser.add_argument_group("how the files are read")
    reading.add_label(group)
    reading.add_options(group, hidden=True)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Read, match, answer, tell."""
    if args.out is not None and Path(args.out).suffix.lower() not in _FORMATS:
        raise MademError(f"--out {args.out}: answers are written as {', '.join(_FORMATS)}")
    if args.reject is not None and not 0 <= args.reject <= 255:
        raise MademError(f"--reject is {args.reject}, but must be from 0 to 255")
    network = file.load(args.load)
    words = isinstance(network.inputs, WordInputs)
    samples = read(
        args.data if len(args.data) > 1 else args.data[0],
        reading.options_of(args),
        learn=False,
        series=isinstance(network.inputs, StreamInputs),
        known=Known(()) if words else network.taught.known,
    )
    if network.recalls and args.reject is not None:
        raise MademError("--reject is for classes: a word that is recalled has no margin")
    if args.out is not None:
        output.check_file(args.out)
    with session.open_learner(_spec(network, args.board), patience=args.patience) as board:
        learner = session.ready(network, board, terminal.progress)
        with terminal.progress("answering", len(samples.x)) as advance:
            found = None
            if network.recalls:
                given = _words(network, recalled(network, samples, learner, advance))
            else:
                found = answers(network, samples, learner, advance)
                told = found if args.reject is None else found.rejecting(args.reject)
                given = _classes(network, samples, told)
        chips = None
        if network.chips:
            chips = _of_chips(network, board, found if args.report else None, given)
    table, scores, notes = given
    if args.report and scores is None:
        raise TaskError("there are no labels to report on: leave --report out, or name --label")
    if args.out is not None:
        _write(Path(args.out), table)
        terminal.saved(Path(args.out))
    elif not args.report and args.json != "-":
        for text in _csv(table):
            terminal.write(text.rstrip("\n"))
    if args.report and scores is not None:
        if network.recalls:
            terminal.say(f"{100 * scores['exact_word']:.1f} % of the words without a wrong dot")
        else:
            terminal.say(report.classes_table(scores))
    for note in notes:
        terminal.say(f"note: {note}", aside=True)
    facts: dict[str, Any] = {
        "network": str(args.load),
        "data": samples.judgement.to_json(),
        "board": args.board,
        "answers": len(table["row"]),
        "metrics": scores,
        "chips": chips,
        "notes": notes,
    }
    output.write_json(args.json, facts)
    return 0


def _spec(network: Network, board: str) -> str:
    """The board to open: an emulated one gets chips like those that the network was learned on."""
    if not network.chips:
        return board
    notes = network.notes
    design, preset = str(notes.get("design", "")), str(notes.get("preset", ""))
    return attached.wired(board, design, preset, network.state.config.seed) if design else board


def _of_chips(
    network: Network, board: BoardLearner | None, found: Answers | None, given: _Given
) -> dict[str, Any] | None:
    """Tell what became of the devices of a network that was learned behind chips.

    Args:
        network: that was learned so.
        board: that answered, still open; None: the twin.
        found: the answers, to say how many were to be expected right; None: nobody asks.
        given: gets notes.

    Returns:
        The same as facts, ready for JSON; None of the twin.
    """
    if board is None:
        given.notes.append(
            "the network was learned behind chips: the twin has their devices as they were"
            " measured, and its own noise; --board asks the devices themselves"
        )
        return None
    facts: dict[str, Any] = {"written": None, "expected_right": None}
    if board.written is None:
        given.notes.append("the devices hold what was learned: nothing was written into them")
    else:
        facts["written"] = asdict(board.written)
        given.notes.append(
            f"the devices held something else: {board.written.devices:,} were written with"
            f" {board.written.pulses:,} pulses, {board.written.failed:,} of them in vain; they are"
            f" {board.written.error:.1%} of their window off"
        )
    if found is not None and given.scores is not None:
        # Imported only here, because scipy takes its time.
        from madem.verify.expected import answered_right

        try:
            low, high = answered_right(board, network, found)
        except MademError as error:
            given.notes.append(str(error))
            return facts
        facts["expected_right"] = [low, high]
        known = found.truth >= 0
        right, of = (
            np.count_nonzero(part) for part in (known & (found.answer == found.truth), known)
        )
        given.notes.append(
            f"of their devices and their read noise, {low} to {high} of {of} right answers were to"
            f" be expected: there are {right}"
            + ("" if low <= right <= high else "; `madem verify` tells what is out of order")
        )
    return facts


def _classes(network: Network, samples: Samples, found: Answers) -> _Given:
    # The one behind the last is for no answer, and for no label.
    names = np.array([*network.names, "none"], object)
    table: _Table = {"row": found.rows}
    if samples.judgement.series and samples.t_s is not None:
        table["time_s"] = samples.t_s[found.rows]
    table["answer"] = names[found.answer]
    table["margin"] = found.margin
    table["second"] = names[found.second]
    if (found.truth >= 0).any():
        table["label"] = np.array([*network.names, None], object)[found.truth]
    scores = figures(found, network.names) if "label" in table else None
    warned = metrics.warnings(scores, clipped=found.clipped, values=found.values)
    return _Given(table, scores, [*found.notes, *warned])


def _words(network: Network, back: Recalled) -> _Given:
    table: _Table = {
        "row": np.arange(len(back.words)),
        "word": np.array(back.words, object),
        "iterations": back.iterations,
        "dots": np.array(["".join(map(str, row)) for row in back.dots.tolist()], object),
    }
    if (back.truth >= 0).any():
        table["label"] = np.array([*network.names, None], object)[back.truth]
    known = np.flatnonzero(back.truth >= 0).tolist()
    right = [back.words[k] == network.names[back.truth[k]] for k in known]
    scores = {"exact_word": float(np.mean(right)), "samples": len(right)} if right else None
    return _Given(table, scores, [])


def _write(path: Path, table: _Table) -> None:
    data = io.BytesIO()
    if path.suffix.lower() == ".parquet":
        # Imported only for the file that needs it.
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table(dict(table)), data)
    elif path.suffix.lower() == ".jsonl":
        for rows in _blocks(table):
            lines = [json.dumps(dict(zip(table, row, strict=True)), ensure_ascii=False) + "\n"
                     for row in rows]  # fmt: skip
            data.write("".join(lines).encode())
    else:
        for text in _csv(table):
            data.write(text.encode())
    output.write_whole(path, data.getvalue())


def _csv(table: _Table) -> Iterator[str]:
    """The lines, some at a time, each with its end."""
    for number, rows in enumerate(_blocks(table)):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not number:
            writer.writerow(table)
        writer.writerows(rows)
        yield text.getvalue()


def _blocks(table: _Table) -> Iterator[Iterable[tuple[Any, ...]]]:
    """The rows, some at a time."""
    for begin in range(0, len(table["row"]), _BLOCK):
        part = (column[begin : begin + _BLOCK].tolist() for column in table.values())
        yield zip(*part, strict=True)
