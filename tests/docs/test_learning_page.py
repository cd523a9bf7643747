"""The figures on docs/science/learning.md are those of the CSV files beside its pictures."""

import csv
import re
from pathlib import Path

import pytest

from madem.study import compare_plan
from madem_emulator.twin.rules import RULES

DOCS = Path(__file__).parents[2] / "docs"
NAMES = {
    "centred": "centred",
    "one-sided": "one-sided",
    "contrastive": "clamped",
    "sign pulses": "sign",
    "stochastic pulses": "stochastic",
    "direct feedback": "dfa",
    "weight perturbation": "perturb",
    "float backprop": "backprop",
}
"""Rules by what the page calls them."""
TABLES = {"digits": "digits,", "braille-words": "Braille words,", "braille": "Braille recall,"}
"""By task, how the first cell of its table begins."""
COLUMNS = {f"{bits} bits": ("bits", float(bits)) for bits in (2, 3, 4, 6, 8)}
COLUMNS |= {"10 % noise": ("noise", 0.1), "20 % stuck": ("faults", 0.2)}


def published(task: str) -> dict[tuple[str, float, str], dict[str, str]]:
    with (DOCS / f"figures/compare-{task}.csv").open() as file:
        return {(r["over"], float(r["value"]), r["rule"]): r for r in csv.DictReader(file)}


def table(first_cell: str) -> list[dict[str, str]]:
    """Rows of the table whose first cell begins so, by the heading of the column."""
    text = (DOCS / "science/learning.md").read_text()
    found = re.search(rf"^\| {re.escape(first_cell)}.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, f"no table {first_cell}"
    lines = [found[0].splitlines()[0], *found[1].splitlines()]
    cells = [[c.replace("**", "").strip() for c in line.strip("|").split("|")] for line in lines]
    return [dict(zip(["name", *cells[0][1:]], row, strict=True)) for row in cells[1:]]


@pytest.mark.parametrize("task", TABLES)
def test_the_table_of_a_task_is_its_csv_file(task: str) -> None:
    figures = published(task)
    config = compare_plan.plan_comparison(task).recipe.settings.integers()
    rows = table(TABLES[task])
    assert [NAMES[row["name"]] for row in rows] == list(RULES)
    for row in rows:
        rule = RULES[NAMES[row["name"]]]
        headings = ["4 bits"] if not rule.on_crossbar else [h for h in row if h in COLUMNS]
        assert len(headings) in (1, 5, 7)
        for heading in headings:
            cell = figures[(*COLUMNS[heading], rule.name)]
            mean, spread = 100 * float(cell["mean"]), 100 * float(cell["std"])
            assert row[heading] == f"{mean:.1f} ± {spread:.1f}", (row["name"], heading)
        default = figures["bits", 4, rule.name]
        assert row["bytes / coupling"] == f"{round(float(default['bytes_per_coupling']), 2):g}"
        if rule.on_crossbar:
            assert row["reads / sample"] == str(rule.reads(config))
            assert row["pulses / coupling"] == f"{float(default['pulses_per_coupling']):.1f}"


def test_what_a_choice_bought_is_the_difference_in_the_csv_files() -> None:
    checked = 0
    for row in table("choice"):
        if row["instead of"] not in NAMES:
            continue  # of another command, which the page names
        rule = NAMES[row["instead of"]]
        for heading, task in (
            ("digits", "digits"),
            ("words", "braille-words"),
            ("recall", "braille"),
        ):
            figures = published(task)
            bought = 100 * (
                float(figures["bits", 4, "centred"]["mean"])
                - float(figures["bits", 4, rule]["mean"])
            )
            assert row[heading] == f"{bought:+.1f}".replace("-", "−"), (row["name"], heading)
            checked += 1
    assert checked == 3 * 7


@pytest.mark.parametrize("task", TABLES)
def test_the_figures_were_made_with_the_learning_rates_of_the_command(task: str) -> None:
    for (over, value, name), row in published(task).items():
        bits = int(value) if over == "bits" else compare_plan.DEFAULT_BITS
        rate = compare_plan.rate_at(compare_plan.RATES[task][name], bits)
        assert float(row["rate"]) == pytest.approx(rate, rel=1e-4)
