"""One run from a task's name to its results: what `demo`, `learn` and `verify` share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem.boards.open import Board, open_board
from madem.data.files.table import listed_names
from madem.data.stream_task import StreamTask
from madem.data.task import Task
from madem.errors import MademError, TaskError
from madem.frontends import attached, physical
from madem.learn import train
from madem.learners import state
from madem.learners.board import BoardLearner, Written, connect
from madem.learners.chips import Chips, Counts
from madem.learners.protocol import Engine, Learner
from madem.learners.state import deviations, normalisation_of
from madem.learners.stream import BoardStream, board_of
from madem.learners.twin import TwinLearner
from madem.network import metrics
from madem.network.from_task import from_task, inputs_of
from madem.network.network import Network
from madem_emulator.physical.device import DeviceModel
from madem_emulator.twin.config import Config, Settings
from madem_emulator.twin.pipeline import Pipeline

TWIN = "twin"
_HELD, _MOST_HELD = 0.04, 0.9
"""Fraction of its window that a device may be off, and share of the devices that may not be more:
write-verify leaves them as near, but for some that it does not bring there."""
_FEW_GROUPS = 5
"""Groups from which on a test of some says something of others."""

Bar = Callable[[str, int], contextlib.AbstractContextManager[Callable[[int], None]]]
"""Begins a progress bar, from its title and the total; gives the function that advances it."""


@dataclass
class Run:
    """A finished run, and all that its report needs.

    Attributes:
        task, plan, config: what was learned, how, and with which integers.
        board, preset, frontend: as the user named them.
        result: of training and test.
        baselines: scores of the peers.
        heap_peak_bytes: heap in use on the board after the run; None for the twin.
        written: what writing weights into devices behind chips took; None where none were.
        chips: what the drivers of chips met; None without chips.
        final: the network as it is now.
    """

    task: Task
    plan: train.Recipe
    config: Config
    board: str
    preset: str
    frontend: str = "emulated"
    result: train.TrainingResult = field(default_factory=train.TrainingResult)
    baselines: dict[str, Any] = field(default_factory=dict)
    heap_peak_bytes: int | None = None
    written: Written | None = None
    chips: Counts | None = None
    final: state.NetworkState | None = None

    def warnings(self) -> list[str]:
        """What a user should know before trusting the figures, a sentence each."""
        if "per_class" not in self.result.metrics:
            return []
        task = self.task
        said = metrics.warnings(self.result.metrics, clipped=task.clipped, values=task.test_values)
        groups = 0 if task.reading is None else task.reading.groups
        if 0 < groups < _FEW_GROUPS:
            said.append(
                f"there are only {groups} groups: another draw of those for the test may give"
                " another figure"
            )
        return said

    def to_json(self) -> dict[str, Any]:
        """Make the JSON contract's keys, and what else tells how the numbers came about."""
        samples = self.result.samples
        busy = self.result.busy_us
        return {
            "task": self.task.name,
            "board": self.board,
            "frontend": self.frontend,
            "preset": self.preset,
            "seed": self.config.seed,
            "weight_bits": self.config.weight_bits,
            "layers": list(self.config.sizes),
            "epochs": self.plan.epochs,
            "samples_seen": samples,
            "metrics": self.result.metrics,
            "train_curve": self.result.train_curve,
            "stuck_after_training": self.result.stuck_after_training,
            "warnings": self.warnings(),
            "baselines": self.baselines,
            "heap_peak_bytes": self.heap_peak_bytes,
            "write_verify": asdict(self.written) if self.written else None,
            "device_us_per_sample": round(busy / samples, 2) if busy and samples else None,
            "wall_s": round(self.result.wall_s, 3),
            "chips": self.chips and self.chips._asdict(),
            "data": self.task.describe(),
        }


@contextlib.contextmanager
def open_learner(
    spec: str, leave: bool = False, patience: float | None = None
) -> Iterator[BoardLearner | None]:
    """Open a board and reach its firmware; the board is released at the end.

    Args:
        spec: the board; "twin" for none.
        leave: let it go on with what it does then; otherwise its firmware is stopped.
        patience: how long it may take for an answer, in s; None: as `open_board`.

    Yields:
        The board; None for the twin.
    """
    if spec == TWIN:
        yield None
        return
    board: Board
    with open_board(spec, patience) as board:
        device = connect(board)
        try:
            yield device
        finally:
            # A board that stays behind is left at its REPL, free for other tools.
            with contextlib.suppress(MademError):
                if not leave:
                    device.stop()


@contextlib.contextmanager
def _no_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda n: None


def prepare(
    device: BoardLearner | None,
    plan: train.Recipe,
    task: Task,
    resume: Network | None,
    keep_weights: bool = False,
    bar: Bar = _no_bar,
) -> tuple[Learner, train.Recipe]:
    """Configure the device (or the twin) with fresh random weights, or with a saved state.

    Args:
        device: the board; None: the twin.
        plan: how to learn.
        task: what to learn.
        resume: a saved network to go on from.
        keep_weights: learn on from what devices behind chips hold, instead of writing either into
            them.
        bar: shows how far writing into devices behind chips is.

    Returns:
        The learner, and the plan with the settings of the network that it has.

    Raises:
        MademError: the network does not fit, or the saved one is another task's.
    """
    if resume is None:
        config = plan.settings.integers()
        if device is not None and plan.design and not keep_weights:
            assert plan.device is not None
            wanted = attached.as_conductances(TwinLearner(config).state(), plan.device)
            _write(device, wanted, plan.design, bar)
        elif device is not None:
            device.configure(config, plan.design)
        return engine(device, config, _pipeline(task), plan.device), plan
    check_fits(resume, task)
    saved = resume.state
    if not plan.design and (plan.device is None) != (saved.physical is None):
        one, other = ("physical", "emulated") if saved.physical else ("emulated", "physical")
        raise TaskError(f"the saved network was learned with --frontend {one}, not {other}")
    plan = replace(plan, settings=settings_of(plan.settings, saved.config))
    memristor = None if plan.design else plan.device
    learner = engine(device, saved.config, _pipeline(task), memristor)
    if not plan.design:
        _load(learner, saved)
    elif isinstance(learner, BoardLearner):
        if not resume.chips:
            assert plan.device is not None
            saved = attached.as_conductances(saved, plan.device)
        _write(learner, saved, plan.design, bar)
    else:
        raise TaskError(f"{task.name} can't be loaded with --frontend attached")
    return learner, plan


def ready(network: Network, device: BoardLearner | None, bar: Bar = _no_bar) -> Engine:
    """Make what answers with a saved network, as it is.

    An array behind chips that holds the network already, as the one does that learned it, is left
    alone; any other gets its weights written, and `BoardLearner.written` tells how.

    Args:
        network: that was saved.
        device: the board; None: the twin.
        bar: shows how far writing into devices behind chips is.

    Returns:
        What answers.

    Raises:
        MademError: it does not fit the board.
    """
    state, pipeline = network.state, network.task_pipeline
    if network.chips and device is not None:
        design = str(network.notes.get("design", ""))
        if not design:
            raise TaskError(
                "the network does not know its board of chips: an older madem saved it; `madem"
                " learn DATA --load NET --frontend attached --design NAME --epochs 0 --save NEW`"
                " names it"
            )
        if not _holds(device, state, design):
            _write(device, state, design, bar)
        learner = engine(device, state.config, pipeline)
        if isinstance(learner, BoardStream):
            learner.set_normalisation(normalisation_of(state, learner.pipeline))
        return learner
    memristor = None
    if state.physical is not None:
        if device is not None:
            raise TaskError("the network's devices are physical ones: answer with --board twin")
        memristor = physical.device_of_notes(network.notes)
    learner = engine(device, state.config, pipeline, memristor)
    _load(learner, state)
    return learner


def _holds(device: BoardLearner, saved: state.NetworkState, design: str) -> bool:
    """Whether the devices behind chips are already what they were, as near as they are written."""
    device.configure(saved.config, design)
    off = np.abs(deviations(saved, device.state()))
    return float(np.mean(off <= _HELD)) >= _MOST_HELD


def _write(device: BoardLearner, wanted: state.NetworkState, design: str, bar: Bar) -> None:
    """Bring the devices behind chips to a state, which takes its time."""
    with bar(f"writing weights into {design}", sum(map(len, wanted.devices))) as progress:
        device.load(wanted, design, progress)


def _load(learner: Engine, saved: state.NetworkState) -> None:
    try:
        learner.load(saved)
    except ValueError as error:
        raise TaskError(f"the saved network can't be gone on from: {error}") from None


def check_fits(network: Network, task: Task) -> None:
    """See that a saved network is one of a task.

    Args:
        network: that was saved.
        task: that it is to go on with.

    Raises:
        TaskError: its inputs or classes are others; the message names both sides.
    """
    sizes = network.state.config.sizes
    if (sizes[0], sizes[-1]) != (task.n_features, task.n_outputs):
        raise TaskError(
            f"the saved network has {sizes[0]} inputs and {sizes[-1]} outputs, {task.name} needs"
            f" {task.n_features} and {task.n_outputs}"
        )
    if network.inputs is None or not network.knows_inputs:
        return  # an older madem saved it
    for what, one, other in (
        ("inputs", network.inputs.names, inputs_of(task, network.state).names),
        ("classes", network.classes, task.class_names),
    ):
        if one and one != other:
            raise TaskError(
                f"the saved network has the {what} {listed_names(one)}, {task.name} has"
                f" {listed_names(other) or 'none by name'}"
            )


def settings_of(settings: Settings, config: Config) -> Settings:
    """Choose settings to go on with a saved network.

    Args:
        settings: for a new one.
        config: of the saved one.

    Returns:
        The settings, with those of the saved network from which its RATE is worked out.
    """
    return replace(
        settings,
        sizes=config.sizes,
        rule=config.rule,
        beta=config.beta / 64,
        rate_scale=tuple(layer.scale for layer in config.layers),
        weight_bits=config.weight_bits,
    )


def fresh(device: BoardLearner | None, config: Config, task: Task) -> Engine:
    """A network with fresh random weights, on a board or its twin, that takes a task's samples.

    Args:
        device: the board, which is configured; None: the twin.
        config: of the network.
        task: of which it gets the samples of `task.feed`.

    Returns:
        What learns.

    Raises:
        DeviceError: the network or the task's pipeline does not fit the board.
    """
    if device is not None:
        device.configure(config)
    return engine(device, config, _pipeline(task))


def engine(
    device: BoardLearner | None,
    config: Config,
    pipeline: Pipeline | None = None,
    memristor: DeviceModel | None = None,
) -> Engine:
    """Make what learns and answers, of a board or of its twin.

    Args:
        device: the board, which has or gets its network elsewhere; None: the twin.
        config: of the network, for the twin.
        pipeline: turns the samples of a stream into inputs; None: samples are whole.
        memristor: what the twin's array is made of; None: the integer crossbar.

    Returns:
        The engine.

    Raises:
        DeviceError: the pipeline does not fit the board.
    """
    if device is not None:
        return BoardStream(device, pipeline) if pipeline else device
    twin = None
    if memristor is not None:
        # Imported only here, because scipy takes its time.
        from madem_emulator.physical.learner import PhysicalTwin

        twin = PhysicalTwin(config, memristor)
    return TwinLearner(config, pipeline, twin)


def _pipeline(task: Task) -> Pipeline | None:
    return task.pipeline if isinstance(task, StreamTask) else None


def finish(run: Run, learner: Learner) -> None:
    """Read out what a learner holds and its board has measured, into the run.

    Args:
        run: that has trained and tested it.
        learner: what has learned.
    """
    run.final = learner.state()
    if board := board_of(learner):
        run.heap_peak_bytes = board.stats().heap_alloc
        if run.plan.design:
            # Imported only here, because scipy takes its time.
            from madem_emulator.designs import GEOMETRIES

            run.chips = Chips(board, GEOMETRIES[run.plan.design]).counts()
        run.written = board.written


def network_of(run: Run, **notes: Any) -> Network:
    """Make the network that a finished run has learned, as it goes into a file.

    Args:
        run: finished.
        notes: further ones, ready for JSON.

    Returns:
        The network.
    """
    assert run.final is not None
    task, found = run.task, run.result
    told: dict[str, Any] = {
        "preset": run.preset,
        "frontend": run.frontend,
        **({"design": run.plan.design} if run.plan.design else {}),
        "training": {
            "task": task.name,
            "samples_a_pass": task.samples_per_pass,
            "passes": run.plan.epochs,
            "samples": found.samples,
            "seed": task.seed,
            "test_fraction": task.test_fraction,
        },
        "test": {"samples": len(task.x_test)}
        | {k: v for k, v in found.metrics.items() if k not in ("confusion", "calibration")},
    }
    if task.reading is not None:
        told["label"] = task.reading.label_column
        told["training"] |= {"data": task.reading.name, "classes": dict(task.reading.classes)}
        told["test"]["rows"] = task.reading.test
    return from_task(task, run.final, told | notes)


def baselines(task: Task, hidden: tuple[int, ...]) -> dict[str, Any]:
    """Train and test the peers that a task is compared with.

    Args:
        task: what to learn.
        hidden: sizes of the network's hidden layers, for the multilayer perceptron.

    Returns:
        Scores by name: see `madem.learn.baselines`.
    """
    # Small matrices: more threads than one only get in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from madem.learn import baselines as peers

    if task.kind == "reconstruct":
        return peers.word_baselines(task)
    return peers.classify_baselines(task, hidden)


def weights(final: state.NetworkState) -> list[NDArray[np.int64]]:
    """Weights of a network; see `differences`."""
    return differences(final.config.sizes, final.devices)


def differences(sizes: Sequence[int], devices: Sequence[bytes]) -> list[NDArray[np.int64]]:
    """Subtract N from P.

    Args:
        sizes: units of each layer.
        devices: of each weight layer, laid out as in docs/reference/arithmetic.md.

    Returns:
        P − N in units of g, int64 (word lines, bit lines) each, without the bias line.
    """
    layers = []
    for k, data in enumerate(devices):
        pairs = np.frombuffer(data, np.uint8).reshape(sizes[k + 1], 2, sizes[k] + 1)
        layers.append((pairs[:, 0].astype(int) - pairs[:, 1])[:, :-1].T)
    return layers
