"""`madem bench emulator`: the physical crossbar on one thread, beside references.

The references are measured in the same sitting. Time is that of the thread, so that other work on
the machine counts for little.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.table import Table
from threadpoolctl import threadpool_limits

from madem_emulator import Crossbar, presets
from madem_emulator.physical.learner import PhysicalTwin
from madem_emulator.physical.terminals import terminal_currents
from madem_emulator.physical.wire_solver import WiredArray
from madem_emulator.physical.wires import Wires
from madem_emulator.twin.config import Settings

LINES = 64
WIRES = Wires(word_segment=2.0, bit_segment=2.0, driver=50.0, sense=50.0)
"""A few ohms between crossings, as in published arrays of this size."""
NOISY, STEPS = presets.HFOX_NEURRAM_2022, presets.TAOX_HFOX_WU2018
LEARNERS = {"64-32-10": ((64, 32, 10), 64), "784-512-10": ((784, 512, 10), 1)}
"""Sizes, and how many networks learn at a time on devices of their own."""


class Job(NamedTuple):
    """Something to time.

    Attributes:
        name: key of the JSON.
        what: for a person.
        run: does it once.
        repeats: how many times it is timed.
        before: what has to be done before each time, without being timed.
    """

    name: str
    what: str
    run: Callable[[], Any]
    repeats: int = 300
    before: Callable[[], Any] = lambda: None


def reads_and_updates(rng: np.random.Generator) -> list[Job]:
    """A 64×64 array without wires, and the same read in plain numpy, noise drawn per device.

    Args:
        rng: draws conductances and voltages.

    Returns:
        What is to be timed.
    """
    noisy, steps = Crossbar(LINES, LINES, NOISY), Crossbar(LINES, LINES, STEPS)
    for xbar in (noisy, steps):
        xbar.program(rng.uniform(xbar.device.g_min, xbar.device.g_max, xbar.shape))
    g = noisy.conductances
    limit = NOISY.read_voltage
    one, many = rng.uniform(-limit, limit, LINES), rng.uniform(-limit, limit, (LINES, LINES))
    rows, columns = rng.uniform(-1, 1, (2, LINES))

    def plain() -> np.ndarray:
        return one @ (g + 0.01 * g * rng.standard_normal(g.shape))

    def train_and_read() -> np.ndarray:
        steps.update(rows, columns, 31)
        return steps.read(one)

    return [
        Job("plain_numpy_read", "noisy read in plain numpy, one vector", plain),
        Job("read", "noisy read, one vector", lambda: noisy.read(one)),
        Job("read_transposed", "the same, transposed", lambda: noisy.read_transposed(one)),
        Job("read_64", "noisy read, 64 vectors", lambda: noisy.read(many)),
        Job("update", "rank-1 update, 31 pulses", lambda: steps.update(rows, columns, 31)),
        Job("update_and_read", "the same, then a read", train_and_read),
    ]


def wired_reads(lines: int, rng: np.random.Generator) -> list[Job]:
    """Reads of an array through its wires, and nodal analysis by SuperLU.

    Args:
        lines: rows of the array, and its columns.
        rng: draws conductances and voltages.

    Returns:
        What is to be timed.
    """
    repeats = 40 if lines <= LINES else 8
    g = 10 ** rng.uniform(-6, -4, (lines, lines))
    v = rng.uniform(-0.2, 0.2, lines)
    ground = np.zeros(lines)
    known = WiredArray(WIRES, g, known=True)
    known.currents(v, False)
    xbar = Crossbar(lines, lines, wires=WIRES)
    xbar.conductances = g
    xbar.read(v)
    some = rng.integers(-1, 2, (lines, lines))
    key = f"wires_{lines}"
    return [
        Job(
            f"{key}_superlu", f"{lines}×{lines} wires: nodal analysis by SuperLU",
            lambda: terminal_currents(WIRES, g, v, ground), max(3, repeats // 8),
        ),
        Job(
            f"{key}_first", f"{lines}×{lines} wires: first read",
            lambda: WiredArray(WIRES, g, known=True).currents(v, False), repeats,
        ),
        Job(
            f"{key}_later", f"{lines}×{lines} wires: later reads",
            lambda: known.currents(v, False), 300,
        ),
        Job(
            f"{key}_updated", f"{lines}×{lines} wires: read after an update",
            lambda: xbar.read(v), repeats, lambda: xbar.pulse(some),
        ),
    ]  # fmt: skip


def learning_rate(name: str, rng: np.random.Generator) -> float:
    """Training samples a second on devices of the preset `cmo_hfox_2025`, noise included.

    Args:
        name: a key of `LEARNERS`.
        rng: draws the samples.

    Returns:
        Samples a second of all networks together.
    """
    sizes, networks = LEARNERS[name]
    config = Settings(sizes=sizes, weight_bits=5).integers()
    twin = PhysicalTwin(config, presets.CMO_HFOX_2025, range(networks))
    x = rng.integers(0, 256, (24, sizes[0]), np.uint8)
    times = []
    for k, sample in enumerate(x):
        began = time.thread_time()
        twin.learn(2000, sample, k % sizes[-1])
        times.append(time.thread_time() - began)
    # The first samples find everything to be set up.
    return networks / median(times[4:])


def run(progress: Any) -> tuple[dict[str, Any], Table]:
    """Time all jobs and measure training rates; nothing here uses a board.

    Args:
        progress: `madem.output.Output.progress`.

    Returns:
        Median times in seconds and samples a second for JSON, and both as a table.
    """
    with threadpool_limits(1):
        return _run(np.random.default_rng(1), progress)


def _run(rng: np.random.Generator, progress: Any) -> tuple[dict[str, Any], Table]:
    jobs = [*reads_and_updates(rng), *wired_reads(LINES, rng), *wired_reads(2 * LINES, rng)]
    table = Table(
        title="emulator, one thread", box=box.SIMPLE_HEAD, title_justify="left", title_style="bold"
    )
    table.add_column("job")
    table.add_column("median", justify="right")
    times: dict[str, float] = {}
    with progress("timing the emulator", len(jobs) + len(LEARNERS)) as step:
        for job in jobs:
            times[job.name] = _median(job)
            table.add_row(job.what, f"{1e3 * times[job.name]:.3f} ms")
            step(1)
        rates = {}
        for name, (_, networks) in LEARNERS.items():
            rates[name] = learning_rate(name, rng)
            what = f"learning {name}, {networks} network{'s' * (networks > 1)} at a time"
            table.add_row(what, f"{rates[name]:,.0f} samples/s")
            step(1)
    return {"seconds": times, "samples_per_second": rates}, table


def _median(job: Job) -> float:
    times = []
    job.before()
    job.run()
    for _ in range(job.repeats):
        job.before()
        began = time.thread_time()
        job.run()
        times.append(time.thread_time() - began)
    return median(times)
