"""The results of a sweep: a table as Parquet and CSV, yields, and how much each axis matters."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from madem import output
from madem.learn.report import wilson
from madem.study.sweep_plan import AXES, SweepPlan, Value
from madem.study.sweep_store import Outcome


@dataclass(frozen=True)
class Level:
    """All devices that share one value of one axis, whatever their other axes are.

    Attributes:
        value: of the axis.
        scores: of the devices that could be trained, 0…1, float64.
        devices: how many were tried; one that failed counts as not good enough.
        passed: how many reached the goal.
    """

    value: Value
    scores: NDArray[np.float64]
    devices: int
    passed: int

    @property
    def mean(self) -> float:
        """Mean of the scores; NaN without any."""
        return float(self.scores.mean()) if len(self.scores) else float("nan")

    @property
    def spread(self) -> float:
        """Standard deviation; 0 for a single device."""
        return float(self.scores.std(ddof=1)) if len(self.scores) > 1 else 0.0

    @property
    def fraction(self) -> float:
        """The yield: the share of the devices that reached the goal; NaN without devices."""
        return self.passed / self.devices if self.devices else float("nan")


def measure(plan: SweepPlan) -> str:
    """Name of what a score measures.

    Args:
        plan: the sweep.

    Returns:
        The name.
    """
    return "accuracy" if plan.task.kind == "classify" else "exact words"


def rows(plan: SweepPlan, outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """Make the table: a row for each point that is known, in the plan's order.

    The same plan gives the same rows, whoever computed them and in whatever order.

    Args:
        plan: the sweep.
        outcomes: by key of the point.

    Returns:
        The rows, a value by name of the column.
    """
    return [
        {
            **dict(point.condition),
            "device": point.device,
            "seed": point.seed,
            "score": outcome.score,
            "pulses_per_coupling": outcome.pulses,
            "error": outcome.error,
        }
        for point in plan.points
        if (outcome := outcomes.get(point.key))
    ]


def levels(
    plan: SweepPlan, table: Sequence[Mapping[str, Any]], goal: float
) -> dict[str, list[Level]]:
    """Group the devices by each axis that has several values.

    Args:
        plan: the sweep.
        table: rows as `rows` gives them.
        goal: score from which a device is good enough, 0…1.

    Returns:
        By name of the axis, a level for each of its values, in the plan's order.
    """
    found = {}
    for name, values in plan.axes.items():
        if len(values) < 2:
            continue
        found[name] = []
        for value in values:
            having = [row for row in table if row[name] == value]
            scores = np.array([r["score"] for r in having if r["score"] is not None], float)
            passed = int(np.count_nonzero(scores >= goal))
            found[name].append(Level(value, scores, len(having), passed))
    return found


def effect(axis: Sequence[Level]) -> float:
    """Measure the effect of an axis: its highest less its lowest mean score.

    Args:
        axis: its levels.

    Returns:
        The difference, 0…1.
    """
    means = [level.mean for level in axis if len(level.scores)]
    return max(means) - min(means) if means else 0.0


def to_csv(plan: SweepPlan, table: Sequence[Mapping[str, Any]]) -> bytes:
    """Write the table as CSV; a device that failed has no score, but an error.

    Args:
        plan: the sweep.
        table: rows as `rows` gives them.

    Returns:
        The file's bytes.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = _columns(plan)
    writer.writerow(names)
    for row in table:
        cells = (row[name] for name in names)
        writer.writerow(["" if cell is None else cell for cell in cells])
    return out.getvalue().encode()


def to_parquet(plan: SweepPlan, table: Sequence[Mapping[str, Any]]) -> bytes:
    """Write the table as Parquet, with the plan in the metadata.

    Args:
        plan: the sweep.
        table: rows as `rows` gives them.

    Returns:
        The file's bytes.
    """
    import pyarrow as pa
    from pyarrow import parquet

    types = {"device": pa.int32(), "seed": pa.uint32(), "error": pa.string()}
    columns = {}
    for name in _columns(plan):
        cells = [row[name] for row in table]
        if name in AXES:
            parse = type(plan.axes[name][0])
            kind = {int: pa.int32(), float: pa.float64()}.get(parse, pa.string())
        else:
            kind = types.get(name, pa.float64())
        columns[name] = pa.array(cells, kind)
    facts = {
        "task": plan.task.name, "measure": measure(plan), "epochs": str(plan.epochs),
        "seed": str(plan.seed), "context": plan.context,
    }  # fmt: skip
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns, metadata=facts), sink)
    return sink.getvalue()


def _columns(plan: SweepPlan) -> list[str]:
    return [*plan.axes, "device", "seed", "score", "pulses_per_coupling", "error"]


def path(plan: SweepPlan, folder: Path, suffix: str) -> Path:
    """Name a file of a sweep.

    Args:
        plan: the sweep.
        folder: where the file is.
        suffix: its kind, without the dot.

    Returns:
        The path.
    """
    return folder / f"sweep-{Path(plan.task.name).stem}.{suffix}"


def save(plan: SweepPlan, outcomes: Mapping[str, Outcome], goal: float, folder: Path) -> list[Path]:
    """Write the table as Parquet and CSV, and the picture if anything was varied.

    Args:
        plan: the sweep.
        outcomes: by key of the point.
        goal: score from which a device is good enough, 0…1.
        folder: where the files go.

    Returns:
        Paths of what was written.

    Raises:
        MademError: a file can't be written.
    """
    table = rows(plan, outcomes)
    written = []
    for suffix, data in (("csv", to_csv(plan, table)), ("parquet", to_parquet(plan, table))):
        output.write_whole(path(plan, folder, suffix), data)
        written.append(path(plan, folder, suffix))
    by_axis = levels(plan, table, goal)
    if by_axis and any(row["score"] is not None for row in table):
        from madem.pictures import (
            style,
            sweep,  # slow to import
        )

        figure = sweep.sweep_picture(
            [
                sweep.SweepPanel(
                    AXES[axis].label,
                    [show(level.value) for level in found],
                    [level.scores for level in found],
                    [(level.passed, level.devices) for level in found],
                )
                for axis, found in by_axis.items()
            ],
            measure=measure(plan),
            goal=goal,
            title=f"{plan.task.name}: {len(table):,} emulated devices, passes: {plan.epochs}",
        )
        written.append(style.save_picture(figure, path(plan, folder, "png")))
    return written


def tables(plan: SweepPlan, outcomes: Mapping[str, Outcome], goal: float) -> list[Table]:
    """Make a table for a terminal: each axis with its values, the one that matters most first.

    Args:
        plan: the sweep.
        outcomes: by key of the point.
        goal: score from which a device is good enough, 0…1.

    Returns:
        That table alone.
    """
    table = rows(plan, outcomes)
    found = Table(
        title=f"{plan.task.name}, passes: {plan.epochs}; yield: {100 * goal:g} % or better",
        box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False,
    )  # fmt: skip
    found.add_column("axis", no_wrap=True)
    for heading in ("value", "devices", measure(plan), "yield", "95 %", "effect"):
        found.add_column(heading, justify="right", no_wrap=True)
    by_axis = levels(plan, table, goal)
    everything = _everything(table, goal)
    for name, axis in sorted(by_axis.items(), key=lambda item: -effect(item[1])):
        for at, level in enumerate(axis):
            label, size = (AXES[name].label, f"{100 * effect(axis):.1f}") if at == 0 else ("", "")
            found.add_row(label, *_cells(level), size, end_section=at == len(axis) - 1)
    found.add_row("all", *_cells(everything), "")
    return [found]


def _everything(table: Sequence[Mapping[str, Any]], goal: float) -> Level:
    scores = np.array([row["score"] for row in table if row["score"] is not None], float)
    return Level("", scores, len(table), int(np.count_nonzero(scores >= goal)))


def _cells(level: Level) -> list[str]:
    if not level.devices:
        return [show(level.value), "0", "-", "-", "-"]
    low, high = wilson(level.fraction, level.devices)
    score = f"{100 * level.mean:.1f}±{100 * level.spread:.1f}" if len(level.scores) else "-"
    return [
        show(level.value), f"{level.devices:,}", score, f"{100 * level.fraction:.0f} %",
        f"{100 * low:.0f}–{100 * high:.0f} %",
    ]  # fmt: skip


def show(value: Value) -> str:
    """Write a value as people read it.

    Args:
        value: of an axis.

    Returns:
        The text.
    """
    return f"{value:g}" if isinstance(value, float) else str(value)


def to_json(plan: SweepPlan, outcomes: Mapping[str, Outcome], goal: float) -> dict[str, Any]:
    """Put the whole sweep into one dictionary, for `--json`.

    Args:
        plan: the sweep.
        outcomes: by key of the point.
        goal: score from which a device is good enough, 0…1.

    Returns:
        The plan, the levels of each axis, and every row.
    """
    table = rows(plan, outcomes)
    everything = _everything(table, goal)
    return {
        "task": plan.task.name,
        "measure": measure(plan),
        "axes": {name: list(values) for name, values in plan.axes.items()},
        "seeds": plan.devices,
        "seed": plan.seed,
        "epochs": plan.epochs,
        "goal": goal,
        "points": len(plan.points),
        "finished": len(table),
        "failed": sum(bool(row["error"]) for row in table),
        "yield": None if not table else everything.fraction,
        "levels": {
            name: {
                "effect": effect(axis),
                "values": [
                    {
                        "value": level.value,
                        "devices": level.devices,
                        "mean": level.mean if len(level.scores) else None,
                        "std": level.spread,
                        "yield": level.fraction if level.devices else None,
                    }
                    for level in axis
                ],
            }
            for name, axis in levels(plan, table, goal).items()
        },
        "rows": table,
    }
