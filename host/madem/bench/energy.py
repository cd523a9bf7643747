"""`madem bench energy`: what one training sample costs on four kinds of machine.

Arrays, a microcontroller, a GPU and a CPU, over the size of the arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rich import box
from rich.console import Group
from rich.table import Table

from madem.bench import cycles as cycle_count
from madem.bench import device
from madem_emulator import energy
from madem_emulator.energy import Array, Cells, Cost, Microcontroller, Workload
from madem_emulator.energy.cortex_m3 import TYPICAL

SIZES = (64, 128, 256, 512, 1024, 2048, 4096)
LARGE_BATCH = 1024
CLAIM = 1e4
"""Energy of digital training over that of the array, as the MADEM paper claims for large sizes."""


class Model(Protocol):
    """Anything that `madem_emulator.energy` can price a training sample on."""

    def cost(self, work: Workload) -> Cost:
        """Price one training sample.

        Args:
            work: what it takes: reads and updates of every layer.

        Returns:
            Energy in J, by part, and time in s.
        """
        ...


ARRAYS = ("firmware", "converters", "analogue")
"""The models that are arrays, of which the advantage is told."""
LABELS = {
    "firmware": "array, as firmware",
    "converters": "array, converters",
    "analogue": "array, analogue",
    "microcontroller": "microcontroller",
    "gpu": "GPU, batch 1",
    "gpu_batch": f"GPU, batch {LARGE_BATCH:,}",
    "cpu": "CPU, batch 1",
    "cpu_batch": f"CPU, batch {LARGE_BATCH:,}",
}


@dataclass(frozen=True)
class Row:
    """A network of N-N-N units, two arrays of N lines by N.

    Attributes:
        size: units of a layer, N.
        costs: of one training sample, by key of LABELS.
        line_drop: of one array of that size that is not cut into tiles: see `Cells.line_drop`.
    """

    size: int
    costs: Mapping[str, Cost]
    line_drop: float

    def advantage(self, array: str, rival: str) -> float:
        """How many times the energy of an array a rival takes.

        Args:
            array: key of LABELS.
            rival: key of LABELS.

        Returns:
            Energy of the rival over that of the array.
        """
        return self.costs[rival].energy / self.costs[array].energy


def models(microcontroller: Microcontroller | None = None) -> dict[str, Model]:
    """Collect the machines that are compared.

    Args:
        microcontroller: its instructions and cycles; None: those that were counted before.

    Returns:
        The models by key of LABELS.
    """
    return {
        "firmware": Array(energy.Converters(), energy.Accumulators()),
        "converters": Array(energy.Converters(), energy.Coincidence()),
        "analogue": Array(energy.Amplifiers(), energy.Coincidence()),
        "microcontroller": microcontroller or Microcontroller(),
        "gpu": energy.A100(),
        "gpu_batch": energy.A100(batch=LARGE_BATCH),
        "cpu": energy.Epyc(),
        "cpu_batch": energy.Epyc(batch=LARGE_BATCH),
    }


def rows(compared: Mapping[str, Model]) -> list[Row]:
    """Price a training sample at each of SIZES.

    Args:
        compared: models by key of LABELS.

    Returns:
        A row for each size, the smallest first.
    """
    found = []
    for size in SIZES:
        work = Workload((size, size, size))
        costs = {name: model.cost(work) for name, model in compared.items()}
        found.append(Row(size, costs, Cells().line_drop(size)))
    return found


SENSITIVITY_SIZE = 1024
"""Units a layer at which the ranges of the constants are tried."""


class Swing(NamedTuple):
    """The change of the advantage over the range of one constant, all others as they are.

    Attributes:
        name: of the constant.
        unit: of the constant.
        span: lowest and highest value that sources tell.
        advantages: at the ends of the span: of each array over the GPU at batch 1, and under
            `microcontroller` what that takes over the array that does its work.
    """

    name: str
    unit: str
    span: tuple[float, float]
    advantages: Mapping[str, tuple[float, float]]


def sensitivity(compared: Mapping[str, Model]) -> list[Swing]:
    """Try the range of each constant, at SENSITIVITY_SIZE; those first that change most.

    Constants that change times alone are left out.

    Args:
        compared: models by key of LABELS.

    Returns:
        A swing for each constant with a range.
    """
    work = Workload((SENSITIVITY_SIZE,) * 3)

    def advantages(name: str, value: float) -> dict[str, float]:
        energies = {
            key: energy.with_constant(model, name, value).cost(work).energy
            for key, model in compared.items()
        }
        found = {array: energies["gpu"] / energies[array] for array in ARRAYS}
        return found | {"microcontroller": energies["microcontroller"] / energies["firmware"]}

    swings = []
    spans = {
        (c.name, c.unit, c.span)
        for model in compared.values()
        for c in energy.constants(model)
        if c.span
    }
    for name, unit, span in sorted(spans):
        low, high = (advantages(name, value) for value in span)
        if low != high:
            swings.append(Swing(name, unit, span, {key: (low[key], high[key]) for key in low}))
    return sorted(swings, key=_largest_change, reverse=True)


def _largest_change(swing: Swing) -> float:
    return max(max(pair) / min(pair) for pair in swing.advantages.values())


def counted(
    instructions: Mapping[str, float], sizes: tuple[int, int, int], cycles: float
) -> Microcontroller:
    """The microcontroller with the instructions that `madem bench device` has counted.

    A forward and a transposed read differ in their multiply-accumulates and have the same sort of
    readings, which gives both; what a training sample takes beyond its reads goes to its couplings.

    Args:
        instructions: of `forward_read`, `transposed_read` and `train_sample`.
        sizes: of the network that was timed.
        cycles: of an instruction, as `cycle_count.measure` finds it.

    Returns:
        The model of that microcontroller.
    """
    work = Workload(sizes)
    m, hidden, outputs = sizes
    forward, transposed = instructions["forward_read"], instructions["transposed_read"]
    per_mac = (forward - transposed) / ((m + 1) * hidden - hidden * outputs)
    per_reading = transposed / hidden - outputs * per_mac
    reads = sum(r.times * r.sensed * (r.driven * per_mac + per_reading) for r in work.reads)
    return Microcontroller(
        per_mac,
        per_reading,
        (instructions["train_sample"] - reads) / work.couplings,
        cycles=cycles,
    )


def to_json(found: list[Row], compared: Mapping[str, Model]) -> dict[str, Any]:
    """Put all of it into one dictionary, with every constant and its source.

    Args:
        found: what `rows` gives.
        compared: models by key of LABELS.

    Returns:
        What `madem bench energy --json` prints.
    """
    return {
        "network": "N-N-N",
        "sweeps_free": Workload((1, 1)).sweeps_free,
        "sweeps_nudged": Workload((1, 1)).sweeps_nudged,
        "sizes": [
            {
                "size": row.size,
                "line_drop": row.line_drop,
                "costs": {
                    name: {"joules": cost.energy, "seconds": cost.time, "parts": dict(cost.parts)}
                    for name, cost in row.costs.items()
                },
                "advantage": {
                    array: {
                        rival: row.advantage(array, rival)
                        for rival in LABELS
                        if rival not in ARRAYS
                    }
                    for array in ARRAYS
                },
            }
            for row in found
        ],
        "sensitivity": {
            "size": SENSITIVITY_SIZE,
            "swings": [swing._asdict() for swing in sensitivity(compared)],
        },
        "constants": {
            name: [constant._asdict() for constant in energy.constants(model)]
            for name, model in compared.items()
        },
    }


def tables(found: list[Row], compared: Mapping[str, Model]) -> Group:
    """Energy, time and advantage, a line per machine and a column per size; and what dominates.

    Args:
        found: what `rows` gives.
        compared: models by key of LABELS.

    Returns:
        The tables, one under the other.
    """
    sizes = [f"{row.size:,}" for row in found]
    energies = _table("Energy of one training sample of a network N-N-N", "N", sizes)
    times = _table("Time of one training sample", "N", sizes)
    for name, label in LABELS.items():
        energies.add_row(label, *(si(row.costs[name].energy, "J") for row in found))
        times.add_row(label, *(si(row.costs[name].time, "s") for row in found))
    energies.caption = "the microcontroller as if it had the memory"
    times.caption = "in a batch: its share of the step"
    advantages = _table("Energy over that of the array", "N", sizes)
    for array in ARRAYS:
        advantages.add_row(f"[bold]{LABELS[array]}[/]")
        for rival, label in LABELS.items():
            if rival not in ARRAYS:
                cells = (row.advantage(array, rival) for row in found)
                advantages.add_row(
                    f"  {label}",
                    *(f"[bold]{_times(x)}[/]" if x > CLAIM else _times(x) for x in cells),
                )
    advantages.caption = f"bold: above {CLAIM:,.0f}, the paper's claim"
    parts = _table("What takes most of an array's energy", "N", [LABELS[name] for name in ARRAYS])
    parts.add_column("lost on a line", justify="right")
    for row in found:
        costs = [row.costs[name] for name in ARRAYS]
        parts.add_row(
            f"{row.size:,}",
            *(f"{cost.largest} {cost.parts[cost.largest] / cost.energy:.0%}" for cost in costs),
            f"{row.line_drop:.0%}" if row.line_drop < 1 else "all",
        )
    parts.caption = "last: share of the read voltage, on an array that is not cut into tiles"
    return Group(energies, times, advantages, parts, swings_table(sensitivity(compared)))


def swings_table(swings: list[Swing]) -> Table:
    """Table of what `sensitivity` found, a line per constant.

    Args:
        swings: in the order of the lines.

    Returns:
        The table.
    """
    table = _table(
        f"Where sources disagree: energy over that of the array, N = {SENSITIVITY_SIZE:,}",
        "constant",
        ["range", *ARRAYS, "MCU"],
    )
    for swing in swings:
        table.add_row(
            swing.name,
            "…".join(_quantity(value, swing.unit) for value in swing.span),
            *(_from_to(pair) for pair in swing.advantages.values()),
        )
    table.caption = (
        "one constant at a time, the others as listed\narrays: the GPU at batch 1 over them\n"
        "MCU: the microcontroller over the array as firmware"
    )
    return table


def _quantity(value: float, unit: str) -> str:
    """Write 8.1e-14 J a line as "81 fJ", and what has no SI unit as a plain number."""
    symbol = unit.partition(" ")[0]
    return si(value, symbol) if len(symbol) == 1 and symbol != "1" else f"{value:.3g}"


def _from_to(pair: tuple[float, float]) -> str:
    first, last = (_times(value) for value in pair)
    return first if first == last else f"{first}…{last}"


def _table(title: str, first: str, columns: list[str]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold",
                  caption_justify="left", pad_edge=False, collapse_padding=True)  # fmt: skip
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


_PREFIXES = (
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
    (1e-15, "f"),
    (1e-18, "a"),
)


def si(value: float, unit: str) -> str:
    """Write a quantity with at least two digits and a prefix: 0.00125 J is "1.2 mJ".

    Args:
        value: in the unit.
        unit: its symbol.

    Returns:
        The text.
    """
    scale, prefix = next((p for p in _PREFIXES if value >= p[0]), _PREFIXES[-1])
    scaled = value / scale
    return f"{scaled:.{0 if scaled >= 10 else 1}f} {prefix}{unit}"


def _times(ratio: float) -> str:
    """Write a ratio as "3.6" or "1.8e5"."""
    return f"{ratio:.1f}" if ratio < 100 else f"{ratio:.1e}".replace("e+0", "e")


def run(spec: str) -> tuple[dict[str, Any], Group]:
    """The `energy` of `madem bench`.

    Args:
        spec: `qemu:…,icount` has the microcontroller's instructions counted on that board, and
            their cycles; with any other board they are those that were counted before.

    Returns:
        The result for JSON, and its tables.

    Raises:
        MademError: the board can't be timed.
    """
    microcontroller = None
    if spec.startswith("qemu") and "icount" in spec:
        timed, _ = device.run(spec)
        cycles = cycle_count.measure()[TYPICAL]
        microcontroller = counted(timed["instructions"], tuple(timed["layers"]), cycles)
    compared = models(microcontroller)
    found = rows(compared)
    return to_json(found, compared), tables(found, compared)


def save_picture(result: Mapping[str, Any], folder: Path) -> Path:
    """Draw what `run` has found, as energy.png.

    Args:
        result: the first that `run` gives.
        folder: where the picture is put.

    Returns:
        Path of the picture.

    Raises:
        MademError: the file can't be written.
    """
    from madem.pictures import energy as energy_pictures
    from madem.pictures import style  # slow to import

    found = result["sizes"]

    def shares(array: str) -> dict[str, list[float]]:
        costs = [row["costs"][array] for row in found]
        return {
            part: [cost["parts"][part] / cost["joules"] for cost in costs]
            for part in costs[0]["parts"]
        }

    figure = energy_pictures.energy_picture(
        [row["size"] for row in found],
        energies={
            label: [row["costs"][name]["joules"] for row in found] for name, label in LABELS.items()
        },
        advantages={
            (LABELS[array], LABELS[rival]): [row["advantage"][array][rival] for row in found]
            for array in ARRAYS
            for rival in ("gpu", "gpu_batch")
        },
        shares={LABELS[array]: shares(array) for array in ARRAYS},
        claim=CLAIM,
    )
    return style.save_picture(figure, folder / "energy.png")
