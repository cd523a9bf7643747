"""`madem bench memory`: the smallest heap in which a task completes, found by trying."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from rich import box
from rich.table import Table

from madem.boards import deploy
from madem.boards.open import HEAP_CHOOSABLE, open_board
from madem.data.registry import load_task
from madem.data.task import Task
from madem.errors import BoardError, LinkError, MademError
from madem.learn import session, train
from madem.learners.board import connect

_SMALLEST, _LARGEST = 8, 256  # KB, between which the heap is sought
_STEPS = 8


def run(
    spec: str,
    task_name: str,
    progress: Callable[..., contextlib.AbstractContextManager],
    patience: float | None = None,
) -> tuple[dict[str, Any], Table]:
    """Bisect over emulated boards that differ in their heap alone.

    A board completes the task when it boots with the firmware, builds the network, learns 300
    samples and tests 20.

    Args:
        spec: the kind of board, as `--board` names it.
        task_name: of the registry, or a file.
        progress: `madem.output.Output.progress`.
        patience: how long it may take for an answer, in s; None: as `open_board`.

    Returns:
        The sizes for JSON, and the same as a table.

    Raises:
        MademError: the board's heap can't be chosen, or the task fails at any size.
    """
    kind = spec.partition(":")[0]
    if kind not in HEAP_CHOOSABLE:
        raise MademError(
            f"the heap of {spec} can't be chosen: use --board {' or '.join(HEAP_CHOOSABLE)}"
        )
    task = load_task(task_name)
    plan = train.recipe(task, epochs=1)
    failure = ""

    def completes(kilobytes: int) -> bool:
        nonlocal failure
        try:
            _try(f"{kind}:heap={kilobytes}K", plan, task, patience)
        except (LinkError, BoardError) as error:
            failure = str(error)
            return False
        return True

    low, high = _SMALLEST, _LARGEST
    if not completes(high):
        raise MademError(f"{task_name} does not complete in {high} KB: {failure}")
    with progress("bisecting", _STEPS) as advance:
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if completes(middle) else (middle, high)
            advance(1)
    # In that heap: in a larger one the link's buffers are larger.
    with open_board(f"{kind}:heap={high}K", patience) as board:
        form = deploy.deploy(board).form
        deploy.start(board)
        device = connect(board, deploy_firmware=False)
        firmware_bytes = device.stats(collect=True).heap_alloc
        network_bytes = device.configure(plan.settings.integers()).heap_used
    sizes = plan.settings.sizes
    result = {
        "board": kind,
        "task": task_name,
        "layers": list(sizes),
        "firmware_form": form,
        "smallest_heap_kb": high,
        "firmware_bytes": firmware_bytes,
        "network_bytes": network_bytes,
        "weights_bytes": 3 * plan.settings.integers().couplings,
    }
    table = Table(
        title=f"{kind}: {task_name}, {'-'.join(map(str, sizes))}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        show_header=False,
    )
    table.add_column()
    table.add_column(justify="right")
    table.add_row("smallest heap that completes the task", f"{high} KB")
    table.add_row(f"MicroPython and the firmware ({form})", f"{firmware_bytes:,} bytes")
    table.add_row("the network", f"{network_bytes:,} bytes")
    table.add_row("of it devices and accumulators", f"{result['weights_bytes']:,} bytes")
    return result, table


def _try(spec: str, plan: train.Recipe, task: Task, patience: float | None) -> None:
    with open_board(spec, patience) as board:
        device = connect(board)
        learner, plan = session.prepare(device, plan, task, None)
        train.train(learner, task, plan, limit=300)
        learner.outputs(task.feed.x_test[:20])
