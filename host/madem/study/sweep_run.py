"""Train the points of a sweep on Dask workers: this machine's cores, or a cluster's."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem import __version__
from madem.data.task import Task
from madem.errors import MademError, TaskError
from madem.learn import train as learn
from madem.learn.recall import iterate_until_it_stays, words_right
from madem.study.sweep_plan import Point, SweepPlan, Value, recipe, wires
from madem.study.sweep_store import Outcome, Store
from madem_emulator.twin.twin import Twin

BATCH = 16
"""Devices of one condition that a worker trains at once: ten times faster than one by one, and
what is lost when it is killed."""
PASSES_APART = 1_000_000
"""Passes of two devices are numbered so far apart, so that no order of samples appears twice."""


@dataclass(frozen=True)
class SweepJob:
    """Devices of one condition, which one worker trains together.

    Attributes:
        condition: value by axis.
        keys, seeds: of each device's point.
        epochs: training passes.
        frontend: one of `sweep_plan.FRONTENDS`.
    """

    condition: tuple[tuple[str, Value], ...]
    keys: tuple[str, ...]
    seeds: tuple[int, ...]
    epochs: int
    frontend: str


def jobs(plan: SweepPlan, points: Sequence[Point], workers: int = 1) -> list[SweepJob]:
    """Put points of the same condition together, to be trained at once.

    Args:
        plan: the sweep.
        points: of it, those that are to be trained.
        workers: that share the work: each shall have something to do.

    Returns:
        Batches of at most `BATCH` points.
    """
    size = max(1, min(BATCH, -(-len(points) // workers)))
    by_condition: dict[tuple[tuple[str, Value], ...], list[Point]] = {}
    for point in points:
        by_condition.setdefault(point.condition, []).append(point)
    return [
        SweepJob(
            condition,
            tuple(p.key for p in part),
            tuple(p.seed for p in part),
            plan.epochs,
            plan.frontend,
        )
        for condition, found in by_condition.items()
        for part in _parts(found, _at_once(condition, size))
    ]


def _at_once(condition: Sequence[tuple[str, Value]], size: int) -> int:
    """Devices of a condition that make a job, at most `size`.

    Those behind wires gain nothing from company, because solving the wires takes all the time.
    """
    return size if wires(condition) is None else 1


def _parts(points: Sequence[Point], size: int) -> Iterator[Sequence[Point]]:
    return (points[i : i + size] for i in range(0, len(points), size))


def train(task: Task, job: SweepJob) -> list[Outcome]:
    """Train and test the devices of a job; one that can't be trained is an outcome too.

    Every device has its own seed, noise and order of samples, and gives the same result in any
    batch.

    Args:
        task: what is learned.
        job: the devices.

    Returns:
        What came of each, in the job's order.
    """
    began = time.perf_counter()
    try:
        score, pulses = _train(task, job)
    except Exception as error:  # whatever a condition does must not end the sweep
        text = " ".join(str(error).split()) or type(error).__name__
        return [Outcome(key, None, None, text, 0.0) for key in job.keys]
    seconds = (time.perf_counter() - began) / len(job.keys)
    return [
        Outcome(key, float(s), float(p), "", round(seconds, 4))
        for key, s, p in zip(job.keys, score, pulses, strict=True)
    ]


def _train(task: Task, job: SweepJob) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    plan = recipe(task, job.condition, job.epochs, job.seeds[0], job.frontend)
    config = plan.settings.integers()
    twin = _twin(plan, job.condition, job.seeds)
    for k in range(plan.epochs):
        rate, pulses = plan.schedule(k)
        passes = [task.train_pass(PASSES_APART * seed + k) for seed in job.seeds]
        x = np.stack([batch.x for batch in passes], axis=1)
        target = np.stack([batch.target for batch in passes], axis=1)
        for i in range(len(x)):
            twin.learn(rate, x[i], target[i], pulses)
    outputs = twin.predict_many(task.x_test)[-1]
    if task.kind == "classify":
        right = twin.answer(outputs) == task.y_test
    else:
        iterate_until_it_stays(
            task,
            config,
            task.x_test,
            outputs,
            lambda seen, moved: twin.predict_many(seen)[-1][moved],
        )
        right = words_right(task, outputs, config.t_hi, config.t_lo)
    return right.mean(axis=1), twin.pulses / config.couplings


def _twin(plan: learn.Recipe, condition: Sequence[tuple[str, Value]], seeds: Sequence[int]) -> Twin:
    config = plan.settings.integers()
    if plan.device is None:
        return Twin(config, seeds)
    from madem_emulator.physical.learner import PhysicalTwin  # slow to import

    return PhysicalTwin(config, plan.device, seeds, wires(condition))


def estimate(plan: SweepPlan, workers: int) -> float:
    """Estimate a sweep's time from a few samples of its first and its last condition.

    Args:
        plan: the sweep.
        workers: that share it.

    Returns:
        Seconds.

    Raises:
        TaskError: neither can be trained.
    """
    seconds = []
    for condition in (plan.conditions[0], plan.conditions[-1]):
        size = _at_once(condition, min(plan.devices, BATCH))
        with contextlib.suppress(TaskError):
            how = plan.recipe(condition, 0)
            rate, pulses = how.schedule(0)
            twin = _twin(how, condition, range(size))
            batch = plan.task.train_pass(0)
            began = time.perf_counter()
            for x, target in zip(batch.x[:50], batch.target[:50], strict=True):
                twin.learn(rate, x, target, pulses)
            each = (time.perf_counter() - began) / min(50, len(batch.x))
            per_job = each * plan.epochs * plan.task.samples_per_pass
            seconds.append(per_job * len(plan.conditions) * -(-plan.devices // size))
    if not seconds:
        raise TaskError("neither the first nor the last point of the sweep can be trained")
    return float(np.mean(seconds)) / workers


def cores() -> int:
    """Workers that run on this machine unless a number is given: its cores."""
    from dask.system import CPU_COUNT

    return CPU_COUNT


def run_sweep(
    plan: SweepPlan,
    store: Store,
    progress: Callable[[int], None],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> None:
    """Train the points that the store does not have; those that failed before are tried again.

    Args:
        plan: the sweep.
        store: where results go as they come.
        progress: called with the number of points just finished.
        workers: processes on this machine; None: one for each core.
        scheduler: address of a Dask scheduler to use instead.

    Raises:
        MademError: the scheduler can't be reached, or goes away, or its workers have another
            madem.
    """
    known = {key for key, outcome in store.outcomes.items() if not outcome.error}
    missing = [point for point in plan.points if point.key not in known]
    if not missing:
        return
    with connected(min(workers or cores(), len(missing)), scheduler) as client:
        from dask.distributed import as_completed

        todo = jobs(plan, missing, sum(client.nthreads().values()))
        # The scheduler keeps this one, so the data outlives any worker; scattered data would not.
        task = client.submit(same, plan.task, pure=False)
        futures = {
            client.submit(train, task, job, pure=False, key=f"train-{job.keys[0]}"): job
            for job in todo
        }
        for future in as_completed(futures):
            job = futures.pop(future)
            if future.status == "finished":
                outcomes = future.result()
            elif future.status == "error":  # its worker died, time and again
                reason = f"a worker ended: {type(future.exception()).__name__}"
                outcomes = [Outcome(key, None, None, reason, 0.0) for key in job.keys]
            else:
                raise MademError(
                    "the scheduler has gone; what was finished is kept, and the same command goes"
                    " on from there"
                )
            store.add(outcomes)
            progress(len(outcomes))


def same(data: Any) -> Any:
    """Give back the data: what a worker keeps for all jobs that share it is a job of its own.

    Args:
        data: whatever it is.

    Returns:
        The same.
    """
    return data


@contextlib.contextmanager
def connected(workers: int, scheduler: str | None = None) -> Iterator[Any]:
    """A connected Dask client; workers that were started here end with it.

    Args:
        workers: processes on this machine, of one thread each.
        scheduler: address of a Dask scheduler to use instead.

    Yields:
        The client, a `dask.distributed.Client`.

    Raises:
        MademError: the scheduler can't be reached, or its workers have another madem.
    """
    from dask.distributed import Client, LocalCluster

    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":  # what goes wrong is told by us, in one line
            logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        address: Any = scheduler
        if scheduler is None:
            # One thread a process: the arithmetic is many small steps, which threads only slow.
            with _no_interrupts_for_children():
                cluster = LocalCluster(
                    n_workers=workers, threads_per_worker=1, silence_logs=logging.CRITICAL,
                    dashboard_address="127.0.0.1:0",
                )  # fmt: skip
                address = stack.enter_context(cluster)
        try:
            client = stack.enter_context(Client(address, timeout=10))
        except (OSError, ValueError, TypeError) as error:
            raise MademError(f"no Dask scheduler answers at {scheduler}: {error}") from None
        if scheduler is not None:
            _check_versions(client)
        yield client


@contextlib.contextmanager
def _no_interrupts_for_children() -> Iterator[None]:
    """Leave Ctrl-C to this process.

    A terminal sends it to the workers too, which would tell of it in tracebacks. Threads and
    processes
    that begin in this context inherit that they don't get it; here it comes when the context ends.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # starting it later would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _version() -> str:
    return __version__


def _check_versions(client: Any) -> None:
    try:
        versions = client.run(_version)
    except ModuleNotFoundError:
        raise MademError("the workers of the cluster have no madem: install it there") from None
    if not versions:
        raise MademError("the scheduler has no workers: start some, for example with `dask worker`")
    for worker, version in versions.items():
        if version != __version__:
            raise MademError(f"the worker {worker} has madem {version}, here it is {__version__}")
