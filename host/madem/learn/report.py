"""Results as tables for the terminal. Functions return rich renderables and print nothing."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from madem.learn.baselines import LABELS

DEVICE_STYLE = "bold cyan"
_TAKEN_FOR = 4
"""Most classes that one is said to be taken for."""


def wilson(fraction: float, samples: int) -> tuple[float, float]:
    """The 95 % interval of a probability, by Wilson's score.

    Args:
        fraction: that was seen, 0…1.
        samples: in which it was seen, at least 1.

    Returns:
        Both ends, 0…1.
    """
    z = 1.96
    centre = (fraction + z * z / (2 * samples)) / (1 + z * z / samples)
    half = (
        z
        * math.sqrt(fraction * (1 - fraction) / samples + z * z / (4 * samples**2))
        / (1 + z * z / samples)
    )
    return max(0.0, centre - half), min(1.0, centre + half)


def recall_table(
    device: Mapping[str, float],
    baselines: Mapping[str, Mapping[str, float]],
    *,
    samples: int | None = None,
    device_label: str = "device",
    title: str = "Words recalled without a wrong dot (%)",
) -> Table:
    """Recall over distortion: one row for the device, one for each baseline.

    Args:
        device: fraction by distortion key ("0.10" …).
        baselines: the same for each baseline, as `baselines.word_baselines` gives it.
        samples: samples behind each fraction of the device, for its 95 % interval.
        device_label: what the device is called.
        title: above the table.

    Returns:
        The table.
    """
    table = _table(title)
    table.add_column("each dot flipped with p =", no_wrap=True)
    for key in device:
        table.add_column(key, justify="right")
    table.add_row(device_label, *map(_percent, device.values()), style=DEVICE_STYLE)
    if samples:
        ends = [wilson(fraction, samples) for fraction in device.values()]
        cells = [f"±{50 * (high - low):.1f}" for low, high in ends]
        table.add_row("  95 % interval", *cells, style="dim")
    for name, fractions in baselines.items():
        cells = [_percent(fractions[key]) if key in fractions else "-" for key in device]
        table.add_row(LABELS.get(name, name), *cells)
    return table


def stuck_line(faults: Mapping[str, Any], recovered: Mapping[str, Any]) -> str:
    """Say in a line what faults in mid-life cost, and what learning on brought back.

    Args:
        faults: `train.TrainingResult.stuck_after_training`.
        recovered: metrics in the end.

    Returns:
        The line.
    """
    before, stuck, after = (
        100 * _score(metrics) for metrics in (faults["before"], faults["stuck"], recovered)
    )
    what = "words recalled" if "exact_word" in recovered else "accuracy"
    return (
        f"{100 * faults['share']:.3g} % of the devices stuck: {what} {before:.1f} % before,"
        f" {stuck:.1f} % right after, {after:.1f} % recovered"
    )


def _score(metrics: Mapping[str, Any]) -> float:
    """Accuracy, or exact recall on average over the distortions."""
    if "exact_word" in metrics:
        return float(np.mean(list(metrics["exact_word"].values())))
    return metrics["accuracy"]


def accuracy_table(
    device: float,
    baselines: Mapping[str, float],
    *,
    samples: int | None = None,
    device_label: str = "device",
    title: str = "Accuracy on the test set (%)",
) -> Table:
    """Accuracy of the device among the baselines, best first, with a bar each.

    Args:
        device: fraction of the test set classified right.
        baselines: the same for each baseline, as `baselines.classify_baselines` gives it.
        samples: size of the test set, for the device's 95 % interval.
        device_label: what the device is called.
        title: above the table.

    Returns:
        The table.
    """
    table = _table(title)
    table.add_column("")
    table.add_column("right", justify="right")
    table.add_column("", no_wrap=True)
    # Sorting is stable, and the device comes first: it wins a tie.
    rows = [(device_label, device, True)]
    rows += [(LABELS.get(name, name), accuracy, False) for name, accuracy in baselines.items()]
    for label, accuracy, is_device in sorted(rows, key=lambda row: -row[1]):
        note = ""
        if is_device and samples:
            low, high = wilson(accuracy, samples)
            note = f"  {_percent(low)} to {_percent(high)}"
        bar = _bar(accuracy)
        table.add_row(
            label, _percent(accuracy), bar + note, style=DEVICE_STYLE if is_device else None
        )
    return table


def classes_table(scores: Mapping[str, Any], *, title: str = "By class (%)") -> Table:
    """Recall and precision of each class, and what each was taken for.

    Args:
        scores: from `network.metrics.classification`.
        title: above the table.

    Returns:
        The table; its last line is accuracy and balanced accuracy.
    """
    table = _table(title)
    names = list(scores["per_class"])
    table.add_column("")
    for heading in ("samples", "recall", "precision"):
        table.add_column(heading, justify="right")
    table.add_column("taken for")
    for k, (name, one) in enumerate(scores["per_class"].items()):
        others = sorted(
            ((n, names[j]) for j, n in enumerate(scores["confusion"][k]) if j != k and n),
            reverse=True,
        )
        wrong = ", ".join(f"{other} {n:,}" for n, other in others[:_TAKEN_FOR])
        cells = ["-" if one[key] is None else _percent(one[key]) for key in ("recall", "precision")]
        table.add_row(name, f"{one['samples']:,}", *cells, wrong)
    total = sum(one["samples"] for one in scores["per_class"].values())
    table.add_section()
    table.add_row(
        "accuracy", f"{total:,}", _percent(scores["accuracy"]), "",
        f"balanced {_percent(scores['balanced_accuracy'])}"
        + (f", {scores['unanswered']:,} not answered" if scores["unanswered"] else ""),
        style=DEVICE_STYLE,
    )  # fmt: skip
    return table


def online_table(
    rows: Mapping[str, tuple[float | None, float]], *, title: str = "Accuracy along the stream (%)"
) -> Table:
    """Accuracies of a network that learns an endless stream.

    Args:
        rows: for each moment the running accuracy, if there is one, and that on held-out windows.
        title: above the table.

    Returns:
        The table.
    """
    table = _table(title)
    table.add_column("")
    table.add_column("tested before learned", justify="right")
    table.add_column("never learned", justify="right")
    for label, (running, held_out) in rows.items():
        table.add_row(label, "-" if running is None else _percent(running), _percent(held_out))
    return table


def _table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _bar(fraction: float, width: int = 24) -> str:
    """A bar of eighths of a character, so that small differences show."""
    eighths = round(fraction * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
