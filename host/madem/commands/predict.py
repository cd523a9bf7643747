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
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from madem import output
from madem.commands import options, paths, reading
from madem.commands.terminal import Terminal
from madem.data.files.judge import Known, Samples
from madem.data.files.read import read
from madem.errors import MademError, TaskError
from madem.learn import report, session
from madem.learn.answers import Answers, Recalled, answers, figures, recalled
from madem.network import file, metrics
from madem.network.network import Network, StreamInputs, WordInputs

_FORMATS = (".csv", ".jsonl", ".parquet")


class _Given(NamedTuple):
    """What was answered: columns with a value an answer each, scores if there are labels, notes."""

    table: dict[str, list[Any]]
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
    with (
        session.open_learner(args.board, patience=args.patience) as board,
        terminal.progress("answering", len(samples.x)) as advance,
    ):
        if network.recalls:
            given = _words(network, recalled(network, samples, board, advance))
        else:
            found = answers(network, samples, board, advance)
            if args.reject is not None:
                found = found.rejecting(args.reject)
            given = _classes(network, samples, found)
    table, scores, notes = given
    if args.report and scores is None:
        raise TaskError("there are no labels to report on: leave --report out, or name --label")
    if args.out is not None:
        _write(Path(args.out), table)
        terminal.saved(Path(args.out))
    elif not args.report and args.json != "-":
        terminal.write(_csv(table).rstrip("\n"))
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
        "notes": notes,
    }
    output.write_json(args.json, facts)
    return 0


def _classes(network: Network, samples: Samples, found: Answers) -> _Given:
    names = network.names
    table: dict[str, list[Any]] = {"row": found.rows.tolist()}
    if samples.judgement.series and samples.t_s is not None:
        table["time_s"] = samples.t_s[found.rows].tolist()
    table["answer"] = ["none" if k == metrics.NONE else names[k] for k in found.answer.tolist()]
    table["margin"] = found.margin.tolist()
    table["second"] = [names[k] for k in found.second.tolist()]
    if (found.truth >= 0).any():
        table["label"] = [names[k] if k >= 0 else None for k in found.truth.tolist()]
    scores = figures(found, names) if "label" in table else None
    warned = metrics.warnings(scores, clipped=found.clipped, values=found.values)
    return _Given(table, scores, [*found.notes, *warned])


def _words(network: Network, back: Recalled) -> _Given:
    table: dict[str, list[Any]] = {
        "row": list(range(len(back.words))),
        "word": list(back.words),
        "iterations": back.iterations.tolist(),
        "dots": ["".join(map(str, row)) for row in back.dots.tolist()],
    }
    if (back.truth >= 0).any():
        table["label"] = [network.names[k] if k >= 0 else None for k in back.truth.tolist()]
    known = np.flatnonzero(back.truth >= 0).tolist()
    right = [back.words[k] == network.names[back.truth[k]] for k in known]
    scores = {"exact_word": float(np.mean(right)), "samples": len(right)} if right else None
    return _Given(table, scores, [])


def _write(path: Path, table: dict[str, list[Any]]) -> None:
    if path.suffix.lower() == ".parquet":
        # Imported only for the file that needs it.
        import pyarrow
        from pyarrow import parquet

        data = io.BytesIO()
        parquet.write_table(pyarrow.table(table), data)
        output.write_whole(path, data.getvalue())
    elif path.suffix.lower() == ".jsonl":
        rows = zip(*table.values(), strict=True)
        lines = [json.dumps(dict(zip(table, row, strict=True)), ensure_ascii=False) for row in rows]
        output.write_whole(path, "".join(line + "\n" for line in lines).encode())
    else:
        output.write_whole(path, _csv(table).encode())


def _csv(table: dict[str, list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*table.values(), strict=True))
    return text.getvalue()
