"""The figures on docs/guide/online.md are those of the CSV files beside its pictures."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from madem.data.concept_drift import DURATION
from madem.stream import prequential

DOCS = Path(__file__).parents[2] / "docs"
AT = 400


def published(name: str) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Lines of a CSV file by change and gate."""
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    with (DOCS / "figures" / name).open() as file:
        for line in csv.DictReader(file):
            found.setdefault((line["change"], line["gate"]), []).append(line)
    return found


def rows(first: str) -> list[list[str]]:
    """Cells of the table whose head begins so."""
    lines = (DOCS / "guide/online.md").read_text().splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith(f"| {first} |"))
    table = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            return table
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    raise AssertionError("the table has no end")


@pytest.mark.parametrize("row", rows("change"), ids=lambda row: row[0])
def test_how_soon_it_recovers(row: list[str]) -> None:
    change, fresh, before, after, frozen, end, recovered, slowest = row
    lines = published("online.csv")[change, "256"]
    assert {line["seeds"] for line in lines} == {"10"}
    windows = [int(line["window"]) for line in lines]
    accuracy = [float(line["learner"]) for line in lines]
    level = float(lines[0]["fresh"])
    k = windows.index(AT)
    # The file has four digits: a mean may round the other way.
    for cell, value in (
        (fresh, level), (before, accuracy[k]), (after, accuracy[k + 1]),
        (frozen, float(lines[-1]["frozen"])), (end, np.mean(accuracy[-3:])),
    ):  # fmt: skip
        assert float(cell) == pytest.approx(100 * float(value), abs=0.06)
    stream: Any = SimpleNamespace(change_done=AT + DURATION.get(change, 0))
    assert prequential.recovered(stream, windows, accuracy, level) == int(recovered)
    assert int(slowest) >= int(recovered)


def test_the_table_has_every_change_of_its_file() -> None:
    assert {row[0] for row in rows("change")} == {change for change, _ in published("online.csv")}


def test_what_is_forgotten() -> None:
    """The accuracy at the end; two of four classes can't cost more than half of it."""
    figures = published("forgetting.csv")
    keys = [("classes", "256"), ("classes", "40"), ("rare", "256"), ("rare", "40")]
    for key, (_, forgetting, end) in zip(keys, rows("ten seeds"), strict=True):
        accuracy = [float(line["learner"]) for line in figures[key][-3:]]
        assert float(end.rstrip(" %")) == pytest.approx(100 * np.mean(accuracy), abs=0.06)
        assert 100 - float(end.rstrip(" %")) == pytest.approx(float(forgetting) / 2, abs=2)
