"""Terminal tables: the right figures in the right places."""

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from madem.learn.report import accuracy_table, recall_table, wilson


def lines(table: Table) -> list[str]:
    console = Console(width=120, record=True, file=StringIO())
    console.print(table)
    return [line.rstrip() for line in console.export_text().splitlines()]


def row(table: Table, label: str) -> list[str]:
    found = [line.split(label, 1)[1].split() for line in lines(table) if label in line]
    assert len(found) == 1, (label, found)
    return found[0]


# Textbook values of the 95 % score interval.
@pytest.mark.parametrize(
    ("right", "samples", "low", "high"),
    [(0, 10, 0.0, 0.2775), (50, 100, 0.4038, 0.5962), (81, 263, 0.2553, 0.3662)],
)
def test_interval_against_the_textbook(right: int, samples: int, low: float, high: float) -> None:
    assert wilson(right / samples, samples) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_interval_holds_the_fraction_and_stays_a_probability(samples: int, fraction: float) -> None:
    low, high = wilson(fraction, samples)

    assert 0 <= low <= fraction + 1e-12
    assert fraction - 1e-12 <= high <= 1


def test_recall_table() -> None:
    table = recall_table(
        {"0.10": 0.998, "0.40": 0.25},
        {"ml_bound": {"0.10": 1.0, "0.40": 0.469}, "mine": {"0.10": 0.5}},
        samples=1800,
        device_label="twin",
    )

    assert row(table, "p =") == ["0.10", "0.40"]
    assert row(table, "twin") == ["99.8", "25.0"]
    assert row(table, "interval") == ["±0.2", "±2.0"]
    assert row(table, "nearest word (bound)") == ["100.0", "46.9"]
    assert row(table, "mine") == ["50.0", "-"]


def test_recall_table_without_a_number_of_samples_claims_no_interval() -> None:
    table = recall_table({"0.10": 0.998}, {})

    assert not any("interval" in line for line in lines(table))


def test_accuracy_table_is_sorted_and_draws_to_scale() -> None:
    table = accuracy_table(
        0.96, {"majority": 0.1, "mlp": 0.975, "logistic_regression": 0.96}, samples=360
    )

    labels = ["multilayer perceptron", "device", "logistic regression", "most frequent class"]
    text = lines(table)
    where = [next(i for i, line in enumerate(text) if label in line) for label in labels]
    assert where == sorted(where)
    assert row(table, "device")[0] == "96.0"
    assert row(table, "device")[2:] == ["93.4", "to", "97.6"]
    bars = [row(table, label)[1] for label in labels]
    assert [len(bar) for bar in bars] == [24, 23, 23, 3]  # rounded up to begun characters
    assert bars[1] == bars[2]
    assert bars[0] != bars[1]
