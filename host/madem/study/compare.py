"""Learning rules against each other under the same hardware limits, on the desktop twin's arrays.

A *condition* is a device with one limit changed from the default; a *cell* is one rule under one
condition, trained on a batch of independent devices (seeds) at once. The test set is the same in
all cells; devices, their noise and the order of the training samples differ from seed to seed.

Learning rates are tuned per rule on samples that are neither learned nor tested: see `tune`.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from madem.data.registry import load_task
from madem.data.split import split
from madem.data.task import Task
from madem.errors import MademError, TaskError
from madem.learn import train as learn
from madem_emulator.twin.config import Settings
from madem_emulator.twin.rules import RULES, LearningRule, Network

Progress = Callable[[int], None]
Bar = Callable[[str, int], Any]
"""Makes a progress bar, like `commands.terminal.Terminal.progress`."""


@dataclass(frozen=True)
class Limit:
    """A limit of the device that is varied.

    Attributes:
        label: for the table and the picture.
        setting: field of `Settings`.
        values: which it gets; the device's default is among them.
        quick: those of a quick run.
        percent: values are fractions and are shown in per cent.
    """

    label: str
    setting: str
    values: tuple[float, ...]
    quick: tuple[float, ...]
    percent: bool

    def show(self, value: float) -> str:
        return f"{100 * value:g} %" if self.percent else f"{value:g}"


LIMITS = {
    "bits": Limit("bits of a device", "weight_bits", (2, 3, 4, 6, 8), (2, 4, 8), False),
    "noise": Limit("read noise", "read_noise", (0.0, 0.01, 0.03, 0.1), (0.01, 0.1), True),
    "faults": Limit("stuck devices", "stuck", (0.0, 0.05, 0.1, 0.2), (0.0, 0.2), True),
}
DEFAULT_BITS = 4
EPOCHS = {"digits": 4, "braille-words": 10, "braille": 4}
"""Training passes of a default run: few enough for all cells to take some minutes, and for recall
ten or so."""
OTHER_EPOCHS = 4
SEEDS, QUICK_SEEDS = 5, 2
SPLIT_SEED = 1
"""Of the split into training and test set. It is no option: the learning rates below were tuned
on this split's training set, which has samples that another split would test on."""
WORD_DRAWS = 40
"""Copies of each word per distortion in the test set: 2,520 samples for nine words."""
WORD_DISTORTION = 0.30
"""Of the training samples of a word task. This and what follows is what the learning rates below
were tuned with, so it does not follow the defaults of `madem learn`."""
NETWORK: dict[str, Any] = {
    "beta": 1.0,
    "sweeps_free": 4,
    "sweeps_nudged": 2,
    "target_high": 0.8,
    "target_low": 0.0,
    "init": 0.14,
    "adc_range_forward": 2.0,
    "adc_range_transposed": 0.5,
}
"""`Settings` of all rules where samples have classes; their hidden units do not compete. Recall
of dots alone needs competition: `learn.recipe` has its network."""
STRIDE = {"classify": 0.0, "reconstruct": 1 / 15}
"""How far one change moves a device at least, by the kind of task, as a fraction of its window:
0 is a single pulse. Rules that keep nothing between samples always give single pulses, since a
train only makes a device coarser."""

MEASURES = {"classify": "test accuracy", "reconstruct": "words recalled without a wrong dot"}
"""What is measured, by the kind of task: the fraction of the whole test set, which for words has
every distortion from 0.10 to 0.40 in equal parts."""

CEILING_PASSES = 10
"""The ceiling gets so many times the passes of the others: it shows what the data give away."""

TUNED_BITS = (2, 4, 8)
"""Learning rates are tuned for these; between them their logarithm is interpolated."""
_TUNE_SEEDS = (101, 102, 103)
"""Devices that no comparison uses unless told to."""
_VALIDATION = 0.25
"""Share of a data task's training set that tuning tests on."""
_VALIDATION_PASS = 10_000_000
"""Number of the pass of a word task that tuning tests on: no training gets there."""

Rates = Mapping[str, tuple[float, ...]]
"""By rule: a learning rate for each of TUNED_BITS; a single one for the ceiling."""

RATES: dict[str, Rates] = {
    "digits": {
        "centred": (1.0, 4.0, 16.0),
        "one-sided": (2.0, 4.0, 8.0),
        "clamped": (2.0, 8.0, 16.0),
        "sign": (1.0, 1.0, 8.0),
        "stochastic": (1.0, 4.0, 32.0),
        "dfa": (0.5, 0.5, 4.0),
        "perturb": (0.25, 1.0, 8.0),
        "backprop": (0.064,),
    },
    "braille-words": {
        "centred": (0.5, 1.0, 32.0),
        "one-sided": (0.25, 0.5, 16.0),
        "clamped": (0.25, 1.0, 16.0),
        "sign": (0.25, 2.0, 4.0),
        "stochastic": (0.5, 4.0, 32.0),
        "dfa": (0.125, 0.25, 4.0),
        "perturb": (0.25, 2.0, 32.0),
        "backprop": (0.008,),
    },
    "braille": {
        "centred": (0.5, 2.0, 2.0),
        "one-sided": (0.5, 2.0, 2.0),
        "clamped": (0.125, 0.5, 0.5),
        "sign": (0.125, 0.5, 0.125),
        "stochastic": (0.125, 2.0, 32.0),
        "dfa": (0.125, 0.125, 0.125),
        "perturb": (0.125, 0.125, 0.125),
        "backprop": (0.016,),
    },
}
"""What `madem compare --tune` chose with the default passes, on validation samples of training
data: of each rule's `rates` the one with the best mean over three devices. Those for classes are
from when each phase had eight sweeps. Tasks that are not listed use those of the digits until they
are tuned."""


@dataclass(frozen=True)
class Plan:
    """What to compare, and how thoroughly."""

    task: Task
    rules: tuple[LearningRule, ...]
    limits: Mapping[str, tuple[float, ...]]
    """Values by key of LIMITS."""
    seeds: tuple[int, ...]
    recipe: learn.Recipe
    rates: Rates


@dataclass(frozen=True)
class Cell:
    """What a rule reached under one condition.

    Attributes:
        accuracy: of each seed, on the test set.
        pulses: per coupling in the whole training, mean over seeds.
        rate: learning rate.
    """

    accuracy: tuple[float, ...]
    pulses: float
    rate: float

    @property
    def mean(self) -> float:
        return float(np.mean(self.accuracy))

    @property
    def spread(self) -> float:
        """Standard deviation over seeds; 0 for a single one."""
        return float(np.std(self.accuracy, ddof=1)) if len(self.accuracy) > 1 else 0.0


@dataclass(frozen=True)
class Comparison:
    """A finished comparison. Cells by (limit, value, rule name), in the order of reports."""

    plan: Plan
    cells: Mapping[tuple[str, float, str], Cell]
    wall_s: float

    @property
    def on_device(self) -> list[LearningRule]:
        return [rule for rule in self.plan.rules if rule.on_crossbar]

    def default(self, rule: LearningRule) -> Cell | None:
        """The cell of the device without any limit changed, if it was run."""
        for key, values in self.plan.limits.items():
            for value in values:
                if value == getattr(self.plan.recipe.settings, LIMITS[key].setting):
                    return self.cells[key, value, rule.name]
        return None


def make_plan(
    task_name: str,
    *,
    rules: Sequence[str] | None = None,
    over: str = "all",
    seeds: int | None = None,
    epochs: int | None = None,
    quick: bool = False,
) -> Plan:
    """A comparison from what a person asks for.

    Args:
        task_name: as for `load_task`.
        rules: names; None: all.
        over: a key of LIMITS, or "all".
        seeds: number of devices; None: the default.
        epochs: training passes; None: the default of the task.
        quick: fewer conditions, seeds and passes.

    Raises:
        TaskError: there is no such task.
        MademError: there is no such rule, or a number is out of range.
    """
    unknown = [name for name in rules or () if name not in RULES]
    if unknown:
        raise MademError(f"unknown rule {unknown[0]!r}: known are {', '.join(RULES)}")
    if over != "all" and over not in LIMITS:
        raise MademError(f"can't compare over {over!r}: choose {', '.join(LIMITS)} or all")
    seeds = (QUICK_SEEDS if quick else SEEDS) if seeds is None else seeds
    if not 1 <= seeds <= 100:
        raise MademError(f"seeds is {seeds}, but must be between 1 and 100")
    epochs = (1 if quick else EPOCHS.get(task_name, OTHER_EPOCHS)) if epochs is None else epochs
    if epochs < 1:
        raise MademError(f"epochs is {epochs}, but must be 1 or more")
    # Dots alone: what is compared is how rules find their way through a hidden layer.
    task = load_task(
        task_name, seed=SPLIT_SEED, draws=WORD_DRAWS, distortion=WORD_DISTORTION, labels=False
    )
    names = list(RULES) if rules is None else list(dict.fromkeys(rules))
    return Plan(
        task=task,
        rules=tuple(RULES[name] for name in names),
        limits={
            key: limit.quick if quick else limit.values
            for key, limit in LIMITS.items()
            if over in (key, "all")
        },
        seeds=tuple(range(1, seeds + 1)),
        recipe=_recipe(task, epochs),
        rates=RATES.get(task.name, RATES["digits"]),
    )


def _recipe(task: Task, epochs: int) -> learn.Recipe:
    words = task.patterns is not None
    decay = 0.9 if words else 0.8
    if task.kind == "reconstruct":
        return learn.recipe(
            task, epochs=epochs, decay=decay, stride=STRIDE[task.kind], weight_bits=DEFAULT_BITS
        )
    settings = Settings(
        sizes=(task.n_features, 64 if words else 32, task.n_outputs),
        w_max=(0.2 if words else 0.6, 0.3),
        weight_bits=DEFAULT_BITS,
        **NETWORK,
    )
    try:
        settings.integers()
    except ValueError as error:
        raise TaskError(str(error)) from None
    return learn.Recipe(settings, epochs, decay, STRIDE[task.kind])


def rate_at(rates: Sequence[float], bits: int) -> float:
    """The learning rate for so many bits, from those for TUNED_BITS or from a single one."""
    if len(rates) == 1:
        return rates[0]
    return float(np.exp(np.interp(bits, TUNED_BITS, np.log(rates))))


class _Job(NamedTuple):
    """Networks that are trained together: by one rule, on devices with the same settings."""

    rule: str
    settings: Settings
    seeds: tuple[int, ...]
    rates: tuple[float, ...]
    """Of each seed."""


def run(plan: Plan, bar: Bar, workers: int = 1) -> Comparison:
    """Train and test every cell; a condition that several limits share is run once.

    Args:
        plan: what is compared.
        bar: makes the progress bar.
        workers: processes that share the cells; the result is the same with any number.

    Raises:
        MademError: a worker ended.
    """
    began = time.monotonic()
    jobs: dict[_Job, list[tuple[str, float, str]]] = {}
    for key, value, settings in _conditions(plan):
        for rule in plan.rules:
            # The ceiling knows no limits: one run is in every condition.
            own = settings if rule.on_crossbar else plan.recipe.settings
            rate = rate_at(plan.rates[rule.name], own.weight_bits)
            job = _Job(rule.name, own, plan.seeds, (rate,) * len(plan.seeds))
            jobs.setdefault(job, []).append((key, value, rule.name))
    cells: dict[tuple[str, float, str], Cell] = {}
    samples = len(jobs) * plan.recipe.epochs * plan.task.samples_per_pass
    with bar(f"comparing {len(plan.rules)} rules on {plan.task.name}", samples) as advance:
        for job, cell in _train_all(plan, list(jobs), workers, advance):
            cells.update(dict.fromkeys(jobs[job], cell))
    in_order = {
        (key, value, rule.name): cells[key, value, rule.name]
        for key, value, _ in _conditions(plan)
        for rule in plan.rules
    }
    return Comparison(plan, in_order, time.monotonic() - began)


def _train_all(
    plan: Plan, jobs: Sequence[_Job], workers: int, advance: Progress
) -> Iterator[tuple[_Job, Cell]]:
    """Each job's cell, as it is known; the ceiling's, which takes longest, is begun first."""
    jobs = sorted(jobs, key=lambda job: RULES[job.rule].on_crossbar)
    if workers == 1:
        for job in jobs:
            yield job, _train_job(plan, job, advance)
        return
    from dask.distributed import as_completed  # slow to import

    from madem.study import sweep_run

    samples = plan.recipe.epochs * plan.task.samples_per_pass
    with sweep_run.connected(min(workers, len(jobs))) as client:
        # Rules don't travel: a worker has its own, by name.
        shared = client.submit(sweep_run.same, replace(plan, rules=()), pure=False)
        futures = {client.submit(_train_job, shared, job, pure=False): job for job in jobs}
        for future in as_completed(futures):
            if future.status != "finished":
                raise MademError(f"a worker ended: {type(future.exception()).__name__}")
            yield futures[future], future.result()
            advance(samples)


def _train_job(plan: Plan, job: _Job, progress: Progress | None = None) -> Cell:
    plan = replace(plan, seeds=job.seeds)
    return train(RULES[job.rule], plan, job.settings, job.rates, progress)


def train(
    rule: LearningRule,
    plan: Plan,
    settings: Settings,
    rates: Sequence[float],
    progress: Progress | None = None,
) -> Cell:
    """Train one network per seed of the plan and test it.

    Args:
        rule: how.
        plan: task, seeds and passes.
        settings: the devices.
        rates: learning rate of each network.
        progress: called with the number of samples just learned.
    """
    settings = replace(settings, rule=rule.span)
    config = settings.integers()
    network = rule.make(config, plan.seeds)
    slower = 1 if rule.on_crossbar else CEILING_PASSES
    pulses = rule.pulses_per_update(settings, plan.recipe.stride)
    for k in range(plan.recipe.epochs * slower):
        decay = plan.recipe.decay ** (k / slower)
        decayed = np.array([rule.rate(settings, rate * decay) for rate in rates])
        x, targets = _samples(plan.task, plan.seeds, k)
        for i in range(x.shape[1]):
            network.learn(decayed, x[:, i], targets[:, i], pulses)
        if progress and k % slower == 0:
            progress(x.shape[1])
    return Cell(
        tuple(score(network, plan.task).tolist()),
        pulses=float(network.pulses.mean() / config.couplings),
        rate=float(np.mean(rates)),
    )


def score(network: Network, task: Task) -> NDArray[np.float64]:
    """Fraction of the test set that each network gets right, (B,).

    Of a reconstruction every dot has to be right.
    """
    right = network.answer(network.outputs(task.x_test)) == task.targets(task.y_test)
    if task.kind == "reconstruct":
        right = right.all(axis=2)
    return right.mean(axis=1)


def tuned(plan: Plan, bar: Bar, workers: int = 1) -> Plan:
    """The plan with learning rates from `tune`."""
    return replace(plan, rates=tune(plan, bar, workers))


def tune(plan: Plan, bar: Bar, workers: int = 1) -> dict[str, tuple[float, ...]]:
    """The best learning rate of each rule for each of TUNED_BITS, on a validation set.

    Every rule tries the rates of its grid, with the plan's passes, on devices of its own. A data
    task is tuned on a part of its training set and tested on the rest of it; a word task is tested
    on further distorted words, drawn as for training. The test set is not touched.
    """
    task = validation_task(plan.task)
    trial = replace(plan, task=task)
    grids: dict[_Job, Sequence[float]] = {}
    for rule in plan.rules:
        # Recall takes long: every second rate. All rates at once: a batch of networks for each.
        grid = rule.rates[1::2] if task.kind == "reconstruct" else rule.rates
        rates = tuple(float(rate) for rate in np.repeat(grid, len(_TUNE_SEEDS)))
        for bits in TUNED_BITS if rule.on_crossbar else (DEFAULT_BITS,):
            settings = replace(plan.recipe.settings, weight_bits=bits)
            grids[_Job(rule.name, settings, _TUNE_SEEDS * len(grid), rates)] = grid
    best: dict[_Job, float] = {}
    total = len(grids) * plan.recipe.epochs * task.samples_per_pass
    with bar(f"tuning on {task.name}", total) as advance:
        for job, cell in _train_all(trial, list(grids), workers, advance):
            means = np.reshape(cell.accuracy, (len(grids[job]), -1)).mean(axis=1)
            best[job] = grids[job][int(means.argmax())]
    return {
        rule.name: tuple(best[job] for job in grids if job.rule == rule.name) for rule in plan.rules
    }


def validation_task(task: Task) -> Task:
    """The task with samples of its training in place of the test set."""
    if task.patterns is None:
        kept, held_out = split(task.y_train, _VALIDATION, task.seed)
        return replace(
            task,
            x_train=task.x_train[kept],
            y_train=task.y_train[kept],
            x_test=task.x_train[held_out],
            y_test=task.y_train[held_out],
            samples_per_pass=len(kept),
        )
    passes = [task.train_pass(_VALIDATION_PASS + k) for k in range(3)]
    return replace(
        task,
        x_test=np.concatenate([batch.x for batch in passes]),
        y_test=np.concatenate([_classes(task, batch.target) for batch in passes]),
    )


def _classes(task: Task, target: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The word or class of each sample, (samples,), from the targets of a pass."""
    if task.kind == "classify":
        return target.astype(np.int64)
    assert task.patterns is not None
    return (target[:, None] == task.patterns).all(axis=2).argmax(axis=1)


def _conditions(plan: Plan) -> Iterator[tuple[str, float, Settings]]:
    for key, values in plan.limits.items():
        limit = LIMITS[key]
        for value in values:
            number = int(value) if key == "bits" else value
            yield key, value, replace(plan.recipe.settings, **{limit.setting: number})


def _samples(
    task: Task, seeds: Sequence[int], k: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pass k of each seed, which has its own order: (B, samples, …) inputs and targets."""
    own = {seed: task.train_pass(1000 * seed + k) for seed in seeds}
    return (
        np.stack([own[seed].x for seed in seeds]),
        np.stack([own[seed].target for seed in seeds]),
    )


# --- what people and machines read -------------------------------------------------------------


def tables(result: Comparison) -> list[Table]:
    """What each rule costs, then a table of accuracies for each limit."""
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
    """All of it."""
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
    """One per limit, value and rule."""
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
    """The rows as CSV, with a column for each seed."""
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
    """Draw it: a panel for each limit and one for memory.

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
