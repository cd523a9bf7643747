"""Train and test learning rules under the same hardware limits, on the desktop twin's arrays.

Learning rates are tuned per rule on samples that are neither learned nor tested: see `tune`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from madem.data.split import split
from madem.data.task import Task
from madem.errors import MademError
from madem.study.compare_plan import (
    DEFAULT_BITS,
    LIMITS,
    TUNED_BITS,
    ComparePlan,
    conditions,
    rate_at,
)
from madem_emulator.twin.config import Settings
from madem_emulator.twin.rules import RULES, LearningRule, Network

Progress = Callable[[int], None]
Bar = Callable[[str, int], Any]
"""Makes a progress bar, like `commands.terminal.Terminal.progress`."""

_TUNE_SEEDS = (101, 102, 103)
"""Devices that no comparison uses unless told to."""
_VALIDATION = 0.25
"""Share of a data task's training set that tuning tests on."""
_VALIDATION_PASS = 10_000_000
"""Number of the pass of a word task that tuning tests on: no training gets there."""

CEILING_PASSES = 10
"""The ceiling gets so many times the passes of the others: it shows what the data give away."""


@dataclass(frozen=True)
class Cell:
    """One cell of a comparison: what a rule reached under one condition.

    Attributes:
        accuracy: fraction of the test set that each seed's network gets right, (seeds,).
        pulses: to each coupling in the whole training, mean over couplings and seeds.
        rate: the learning rate, mean over seeds.
    """

    accuracy: tuple[float, ...]
    pulses: float
    rate: float

    @property
    def mean(self) -> float:
        """Accuracy, mean over seeds."""
        return float(np.mean(self.accuracy))

    @property
    def spread(self) -> float:
        """Standard deviation over seeds; 0 for a single one."""
        return float(np.std(self.accuracy, ddof=1)) if len(self.accuracy) > 1 else 0.0


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Attributes:
        plan: what was compared.
        cells: by (key of `LIMITS`, value, name of the rule), in the order of reports.
        wall_s: seconds that it took.
    """

    plan: ComparePlan
    cells: Mapping[tuple[str, float, str], Cell]
    wall_s: float

    @property
    def on_device(self) -> list[LearningRule]:
        """The rules that obey the hardware's limits; the ceiling does not."""
        return [rule for rule in self.plan.rules if rule.on_crossbar]

    def default(self, rule: LearningRule) -> Cell | None:
        """Find a rule's cell of the device without any limit changed.

        Args:
            rule: that was compared.

        Returns:
            The cell; None if it was not run.
        """
        for key, values in self.plan.limits.items():
            for value in values:
                if value == getattr(self.plan.recipe.settings, LIMITS[key].setting):
                    return self.cells[key, value, rule.name]
        return None


class _CellJob(NamedTuple):
    """Networks that are trained together: by one rule, on devices with the same settings.

    Attributes:
        rule: its name.
        settings: of the network and its devices.
        seeds, rates: seed and learning rate of each network.
    """

    rule: str
    settings: Settings
    seeds: tuple[int, ...]
    rates: tuple[float, ...]


def compare_rules(plan: ComparePlan, bar: Bar, workers: int = 1) -> Comparison:
    """Train and test every cell; a condition that several limits share is run once.

    Args:
        plan: what is compared.
        bar: makes the progress bar.
        workers: processes that share the cells; the result is the same with any number.

    Returns:
        All cells, by limit, value and rule.

    Raises:
        MademError: a worker ended.
    """
    began = time.monotonic()
    jobs: dict[_CellJob, list[tuple[str, float, str]]] = {}
    for key, value, settings in conditions(plan):
        for rule in plan.rules:
            # The ceiling knows no limits: one run is in every condition.
            own = settings if rule.on_crossbar else plan.recipe.settings
            rate = rate_at(plan.rates[rule.name], own.weight_bits)
            job = _CellJob(rule.name, own, plan.seeds, (rate,) * len(plan.seeds))
            jobs.setdefault(job, []).append((key, value, rule.name))
    cells: dict[tuple[str, float, str], Cell] = {}
    samples = len(jobs) * plan.recipe.epochs * plan.task.samples_per_pass
    with bar(f"comparing {len(plan.rules)} rules on {plan.task.name}", samples) as advance:
        for job, cell in _train_all(plan, list(jobs), workers, advance):
            cells.update(dict.fromkeys(jobs[job], cell))
    in_order = {
        (key, value, rule.name): cells[key, value, rule.name]
        for key, value, _ in conditions(plan)
        for rule in plan.rules
    }
    return Comparison(plan, in_order, time.monotonic() - began)


def _train_all(
    plan: ComparePlan, jobs: Sequence[_CellJob], workers: int, advance: Progress
) -> Iterator[tuple[_CellJob, Cell]]:
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


def _train_job(plan: ComparePlan, job: _CellJob, progress: Progress | None = None) -> Cell:
    plan = replace(plan, seeds=job.seeds)
    return train_cell(RULES[job.rule], plan, job.settings, job.rates, progress)


def train_cell(
    rule: LearningRule,
    plan: ComparePlan,
    settings: Settings,
    rates: Sequence[float],
    progress: Progress | None = None,
) -> Cell:
    """Train one network for each seed of the plan, and test it.

    Args:
        rule: the learning rule.
        plan: gives task, seeds and passes.
        settings: of the network and its devices.
        rates: the learning rate of each network, (seeds,).
        progress: called with the number of samples just learned.

    Returns:
        What was reached, a value for each network.
    """
    settings = replace(settings, rule=rule.span)
    config = settings.integers()
    network = rule.make(config, plan.seeds)
    slower = 1 if rule.on_crossbar else CEILING_PASSES
    pulses = rule.pulses_per_update(settings, plan.recipe.update_size)
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
    """Test networks on the task's test set.

    Args:
        network: a batch of trained networks.
        task: what they learned.

    Returns:
        The fraction that each network gets right, float64 (networks,). A reconstruction is right
        if every dot is.
    """
    right = network.answer(network.outputs(task.x_test)) == task.targets(task.y_test)
    if task.kind == "reconstruct":
        right = right.all(axis=2)
    return right.mean(axis=1)


def tuned(plan: ComparePlan, bar: Bar, workers: int = 1) -> ComparePlan:
    """Copy a plan, with learning rates chosen by `tune`.

    Args:
        plan: as for `tune`.
        bar: as for `tune`.
        workers: as for `tune`.

    Returns:
        The plan with these rates.
    """
    return replace(plan, rates=tune(plan, bar, workers))


def tune(plan: ComparePlan, bar: Bar, workers: int = 1) -> dict[str, tuple[float, ...]]:
    """Find the best learning rate of each rule for each of TUNED_BITS, on a validation set.

    Every rule tries the rates of its grid, with the plan's passes, on devices of its own. A data
    task is tuned on a part of its training set and tested on the rest of it; a word task is tested
    on further distorted words, drawn as for training. The test set is not touched.

    Args:
        plan: gives the task, the rules and the passes.
        bar: makes the progress bar.
        workers: processes that share the work.

    Returns:
        By name of the rule, a rate for each of `TUNED_BITS`; a single one for the ceiling.
    """
    task = validation_task(plan.task)
    trial = replace(plan, task=task)
    grids: dict[_CellJob, Sequence[float]] = {}
    for rule in plan.rules:
        # Recall takes long: every second rate. All rates at once: a batch of networks for each.
        grid = rule.rates[1::2] if task.kind == "reconstruct" else rule.rates
        rates = tuple(float(rate) for rate in np.repeat(grid, len(_TUNE_SEEDS)))
        for bits in TUNED_BITS if rule.on_crossbar else (DEFAULT_BITS,):
            settings = replace(plan.recipe.settings, weight_bits=bits)
            grids[_CellJob(rule.name, settings, _TUNE_SEEDS * len(grid), rates)] = grid
    best: dict[_CellJob, float] = {}
    total = len(grids) * plan.recipe.epochs * task.samples_per_pass
    with bar(f"tuning on {task.name}", total) as advance:
        for job, cell in _train_all(trial, list(grids), workers, advance):
            means = np.reshape(cell.accuracy, (len(grids[job]), -1)).mean(axis=1)
            best[job] = grids[job][int(means.argmax())]
    return {
        rule.name: tuple(best[job] for job in grids if job.rule == rule.name) for rule in plan.rules
    }


def validation_task(task: Task) -> Task:
    """Make a task that is tested on a part of its training samples.

    Args:
        task: whose test set is left out.

    Returns:
        The task with fewer training samples and another test set.
    """
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


def _samples(
    task: Task, seeds: Sequence[int], k: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pass k of each seed, which has its own order: (B, samples, …) inputs and targets."""
    own = {seed: task.train_pass(1000 * seed + k) for seed in seeds}
    return (
        np.stack([own[seed].x for seed in seeds]),
        np.stack([own[seed].target for seed in seeds]),
    )
