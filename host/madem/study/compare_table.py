"""A finished comparison of learning rules as tables, JSON, CSV and a picture."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from madem.errors import MademError
from madem.study.compare_plan import LIMITS, TUNED_BITS
from madem.study.compare_run import Comparison
from madem_emulator.twin.rules import RULES

MEASURES = {"classify": "test accuracy", "reconstruct": "words recalled without a wrong dot"}
"""Name of the measure, by the kind of task: the fraction of the whole test set, which for words
has every distortion from 0.10 to 0.40 in equal parts."""


def tables(result: Comparison) -> list[Table]:
    """Make tables for a terminal: what each rule costs, then the accuracies for each limit.

    Args:
        result: of the comparison.

    Returns:
        The tables, in that order.
    """
    plan = result.plan
    config = plan.recipe.settings.integers()
    cost = _table(f"What each rule needs ({plan.task.name}, {config.couplings:,} couplings)")
    cost.add_column("rule", no_wrap=True)
    for heading in ("bytes per coupling", "reads per sample", "pulses per coupling", "rate"):
        cost.add_column(heading, justify="right")
    for rule in plan.rules:
        cell = result.default(rule)
        device = rule.on_crossbar
        cost.add_row(
            rule.label,
            f"{rule.memory(config.sizes) / config.couplings:.2f}",
            str(rule.reads(config)) if device else "-",
            f"{cell.pulses:.1f}" if device and cell else "-",
            "/".join(f"{rate:g}" for rate in plan.rates[rule.name]),
        )
    cost.caption = (
        f"pulses in {plan.recipe.epochs} passes on the default device; rates for"
        f" {'/'.join(map(str, TUNED_BITS))} bits, the best on validation samples of"
        f" {', '.join(f'{rate:g}' for rate in RULES['centred'].rates)}"
    )
    return [cost, *(_limit_table(result, key) for key in plan.limits)]


def _limit_table(result: Comparison, key: str) -> Table:
    plan, limit = result.plan, LIMITS[key]
    table = _table(
        f"{MEASURES[plan.task.kind].capitalize()}, over {limit.label}"
        f" (%, ± standard deviation of {len(plan.seeds)} seeds)"
    )
    table.add_column(limit.label, no_wrap=True)
    for value in plan.limits[key]:
        table.add_column(limit.show(value), justify="right", no_wrap=True)
    for rule in plan.rules:
        cells = [result.cells[key, value, rule.name] for value in plan.limits[key]]
        table.add_row(
            rule.label,
            *(f"{100 * cell.mean:.1f}±{100 * cell.spread:.1f}" for cell in cells),
            style=None if rule.on_crossbar else "dim",
        )
    return table


def _table(title: str) -> Table:
    return Table(
        title=title,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        pad_edge=False,
        collapse_padding=True,
    )


def to_json(result: Comparison) -> dict[str, Any]:
    """Put the whole comparison into one dictionary, for `--json`.

    Args:
        result: of the comparison.

    Returns:
        What JSON can hold.
    """
    plan = result.plan
    config = plan.recipe.settings.integers()
    return {
        "task": plan.task.name,
        "layers": list(config.sizes),
        "seeds": list(plan.seeds),
        "epochs": plan.recipe.epochs,
        "decay": plan.recipe.decay,
        "test_samples": len(plan.task.x_test),
        "tuned_bits": list(TUNED_BITS),
        "rules": {
            rule.name: {
                "label": rule.label,
                "bytes_per_coupling": rule.memory(config.sizes) / config.couplings,
                "array_reads_per_sample": rule.reads(config),
                "rates": list(plan.rates[rule.name]),
                "rates_tried": list(rule.rates),
            }
            for rule in plan.rules
        },
        "results": rows(result),
        "wall_s": round(result.wall_s, 3),
    }


def rows(result: Comparison) -> list[dict[str, Any]]:
    """Make a row for each limit, value and rule.

    Args:
        result: of the comparison.

    Returns:
        The rows, a value by name of the column.
    """
    return [
        {
            "over": key,
            "value": value,
            "rule": name,
            "rate": round(cell.rate, 6),
            "mean": cell.mean,
            "std": cell.spread,
            "pulses_per_coupling": round(cell.pulses, 3),
            "accuracy": list(cell.accuracy),
        }
        for (key, value, name), cell in result.cells.items()
    ]


def to_csv(result: Comparison) -> str:
    """Write the same rows as CSV, with a column for each seed.

    Args:
        result: of the comparison.

    Returns:
        The text of the file.
    """
    out = io.StringIO()
    seeds = [f"seed_{seed}" for seed in result.plan.seeds]
    config = result.plan.recipe.settings.integers()
    writer = csv.writer(out, lineterminator="\n")
    names = ["task", "over", "value", "rule", "bytes_per_coupling", "rate", "pulses_per_coupling"]
    writer.writerow([*names, "mean", "std", *seeds])
    for row in rows(result):
        memory = RULES[row["rule"]].memory(config.sizes) / config.couplings
        writer.writerow(
            [
                result.plan.task.name,
                *(row[name] for name in ("over", "value", "rule")),
                f"{memory:.3f}",
                f"{row['rate']:g}",
                row["pulses_per_coupling"],
                *(f"{score:.5f}" for score in (row["mean"], row["std"], *row["accuracy"])),
            ]
        )
    return out.getvalue()


def save_picture(result: Comparison, path: Path) -> Path:
    """Draw accuracies over each limit, and over the memory that a rule needs.

    Args:
        result: the comparison.
        path: the PNG file to write.

    Returns:
        The path.

    Raises:
        MademError: the file can't be written, or only the ceiling was run.
    """
    from madem.pictures import rules, style  # slow to import

    plan = result.plan
    if not result.on_device:
        raise MademError("a picture needs a rule with the device's limits: add one to --rules")
    panels = [
        rules.RulesPanel(
            LIMITS[key].label,
            [LIMITS[key].show(value) for value in values],
            {
                rule.label: np.array(
                    [result.cells[key, value, rule.name].accuracy for value in values]
                )
                for rule in result.on_device
            },
        )
        for key, values in plan.limits.items()
    ]
    sizes = plan.recipe.settings.sizes
    couplings = plan.recipe.settings.integers().couplings
    ceiling = next((rule for rule in plan.rules if not rule.on_crossbar), None)
    ceiling_cell = ceiling and result.default(ceiling)
    figure = rules.rules_picture(
        panels,
        memory={
            rule.label: (rule.memory(sizes) / couplings, cell.accuracy)
            for rule in result.on_device
            if (cell := result.default(rule))
        },
        ceiling=(ceiling.label, ceiling_cell.accuracy) if ceiling and ceiling_cell else None,
        measure=MEASURES[plan.task.kind],
        title=f"Learning rules on {plan.task.name}, {plan.recipe.epochs} passes,"
        f" {len(plan.seeds)} devices each",
    )
    return style.save_picture(figure, path)
