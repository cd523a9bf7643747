"""`madem bench device`: a board times its own kernels and learning, beside references.

The references run in the same sitting: a bare viper loop, and one step of backpropagation of the
same network in plain Python floats.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from typing import Any

from rich import box
from rich.table import Table

from madem.boards import deploy
from madem.boards.open import open_board
from madem.boards.repl import Repl
from madem.data.registry import load_task
from madem.data.task import Batch
from madem.errors import MademError
from madem.learn import train
from madem.learners.board import connect, pack_config
from madem.learners.state import NetworkState
from madem.learners.twin import TwinLearner

_SIZES = (64, 32, 10)
_PASSES = 3
"""Before the measured one, so that the network is half-way trained."""
_SAMPLES, _LOOPS = 40, 100
"""Of the next pass that are learned, and reads, between two looks at the clock."""
_FEW_SAMPLES, _FEW_LOOPS = 2, 2
"""The same on a board that is emulated slowly, where every run takes the same time."""
_PIECE = 256
_COMMAND_S = 60
"""Bytes that one REPL command carries."""
_INSTRUCTION_US = 0.064
"""Each instruction's time on the board `qemu:icount` (madem_emulator.boards.qemu)."""

_LABELS = {
    "bare_loop": "bare viper loop, 2048 MACs",
    "unrolled_loop": "the same, unrolled by eight",
    "forward_read": "forward read, 64×32 pairs",
    "transposed_read": "transposed read, 32×10 pairs",
    "free_phase": "free phase",
    "update": "weight change, half-way trained",
    "full_update": "weight change, all accumulators",
    "train_sample": "one training sample",
    "python_backprop": "one backprop step, plain Python",
}


def run(spec: str, patience: float | None = None) -> tuple[dict[str, Any], Table]:
    """Time a training sample, a multiply-accumulate and a weight change on a board.

    The twin learns three passes of `digits`, which gives what the board would have learned, to
    the bit. From there firmware/bench.py goes on on the board itself and takes the times, each
    the least disturbed of three.

    Args:
        spec: the board, as `--board` names it.
        patience: how long it may take for an answer, in s; None: as `open_board`.

    Returns:
        The times for JSON, and the same as a table.

    Raises:
        MademError: the board has no clock, or does not answer.
    """
    network = half_trained()
    with open_board(spec, patience) as board:
        connect(board)
        slow = board.slowness > 1
        count, loops = (_FEW_SAMPLES, _FEW_LOOPS) if slow else (_SAMPLES, _LOOPS)
        with Repl(board.port, board.name, board.slowness) as repl:
            text = open_bench(repl)
            if b"no_clock" in text:
                raise MademError(f"{board.name} has no clock to measure with")
            text = repl.exec(f"references(*{_SIZES},{loops})", timeout=_COMMAND_S)
            network.load(repl, 4 * count, _COMMAND_S)
            text += repl.exec(
                f"firmware(learner,samples,{count},{network.rate},{loops})", timeout=_COMMAND_S
            )
    us = {name: float(value) for name, value in map(str.split, text.decode().splitlines())}
    us["train_sample"] = us.pop(f"train_{count}") / count
    counted = "icount" in spec.partition(":")[2].split(",")
    return _result(spec, us, counted), _table(spec, us, counted)


def open_bench(repl: Repl) -> bytes:
    """Run firmware/bench.py, which defines what the timings call.

    Args:
        repl: of the board.

    Returns:
        What the program prints.
    """
    deploy.find_firmware(repl)
    return repl.exec((files("madem_firmware") / "bench.py").read_text())


@dataclass(frozen=True)
class HalfTrained:
    """The network of `digits` after some passes, and the samples that come next.

    Attributes:
        config: a CONFIGURE payload.
        state: of the network: weights and accumulators.
        rate: learning rate of the next pass, as LEARN takes it.
        following: the samples of the next pass.
    """

    config: bytes
    state: NetworkState
    rate: int
    following: Batch

    def load(self, repl: Repl, count: int, timeout: int) -> None:
        """Make it the `learner` of the open bench, and the next samples its `samples`.

        Args:
            repl: of the board, on which the bench is open.
            count: samples to send, each with its class.
            timeout: for one command, s.
        """
        samples = b"".join(
            bytes([*x, y])
            for x, y in zip(self.following.x[:count], self.following.target, strict=False)
        )
        repl.exec(f"learner=prepare({self.config!r})", timeout=timeout)
        _fill(repl, "learner.network.front.devices", b"".join(self.state.devices))
        for k, cells in enumerate(self.state.accumulators):
            _fill(repl, f"learner.accumulators[{k}]", cells)
        repl.exec(f"learner.steps={self.state.steps};samples=bytearray({len(samples)})")
        _fill(repl, "samples", samples)


def half_trained() -> HalfTrained:
    """Let the twin learn three passes of `digits`.

    Returns:
        What a board would have learned, to the bit.
    """
    task = load_task("digits")
    plan = train.recipe(task, hidden=_SIZES[1:-1], epochs=_PASSES)
    twin = TwinLearner(plan.settings.integers())
    train.train(twin, task, plan)
    return HalfTrained(
        pack_config(plan.settings.integers()),
        twin.state(),
        plan.settings.rate(plan.settings.learning_rate * plan.decay**_PASSES),
        task.train_pass(_PASSES),
    )


def _fill(repl: Repl, buffer: str, content: bytes) -> None:
    for at in range(0, len(content), _PIECE):
        piece = content[at : at + _PIECE]
        repl.exec(f"{buffer}[{at}:{at + len(piece)}]={piece!r}")


def _operations() -> dict[str, int]:
    """How many multiply-accumulates, or changed synapses, a timing is of."""
    macs = _SIZES[0] * _SIZES[1]
    synapses = sum((m + 1) * n for m, n in pairwise(_SIZES))
    return {
        "bare_loop": macs,
        "unrolled_loop": macs,
        "forward_read": macs,
        "update": synapses,
        "full_update": synapses,
    }


def _result(spec: str, us: dict[str, float], counted: bool) -> dict[str, Any]:
    each = {name: us[name] / count for name, count in _operations().items()}
    result: dict[str, Any] = {
        "board": spec,
        "layers": list(_SIZES),
        "us": us,
        "ns_per_mac": {name: 1000 * us for name, us in each.items() if "update" not in name},
        "ns_per_synapse": {name: 1000 * us for name, us in each.items() if "update" in name},
        "forward_read_vs_bare_loop": us["forward_read"] / us["bare_loop"],
    }
    if "python_backprop" in us:
        result["backprop_vs_train_sample"] = us["python_backprop"] / us["train_sample"]
    if counted:
        result["instructions"] = {name: value / _INSTRUCTION_US for name, value in us.items()}
        result["instructions_each"] = {name: us / _INSTRUCTION_US for name, us in each.items()}
    return result


def _table(spec: str, us: dict[str, float], counted: bool) -> Table:
    table = Table(
        title=f"{spec}: network {'-'.join(map(str, _SIZES))}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        caption="each: a multiply-accumulate (MAC), or a synapse of a weight change.\n"
        "Reads have noise and ADC in them, a training sample all its phases.",
        caption_justify="left",
    )
    columns = ["", "µs", "ns each"] + ["instructions", "each"] * counted
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if k else "left")
    for name, label in _LABELS.items():
        if name not in us:
            continue
        count = _operations().get(name)
        cells = [f"{us[name]:.1f}", f"{1000 * us[name] / count:.2f}" if count else ""]
        if counted:
            instructions = us[name] / _INSTRUCTION_US
            cells += [f"{instructions:,.0f}", f"{instructions / count:.1f}" if count else ""]
        table.add_row(label, *cells)
    if "python_backprop" in us:
        ratio = us["python_backprop"] / us["train_sample"]
        table.add_row("backprop step / training sample", f"{ratio:.1f} ×")
    return table
