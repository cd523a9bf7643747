"""`madem bench`: figures of a board, measured by itself and beside a reference in the same run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table

from madem import deploy, energy_bench, learn, link_bench, memory_bench
from madem.boards import open_board
from madem.device import connect
from madem.errors import MademError
from madem.repl import Repl
from madem.tasks import load_task

_SIZES = (64, 32, 10)


def device(spec: str, _task: str, _progress: Any) -> tuple[dict[str, Any], Table]:
    """Time of a training sample and of a multiply-accumulate, beside bare viper and plain Python.

    The kernels are timed on the board by firmware/bench.py; the training sample is the mean over
    the fourth pass of `digits`, as the firmware counts its own busy time.

    Raises:
        MademError: the board has no clock, or does not answer.
    """
    with open_board(spec) as board:
        deploy.deploy(board)
        with Repl(board.port, board.name) as repl:
            deploy.find_firmware(repl)
            text = repl.exec((files("madem_firmware") / "bench.py").read_text()).decode()
        deploy.start(board)
        board_device = connect(board, deploy_firmware=False)
        task = load_task("digits")
        plan = learn.recipe(task, hidden=_SIZES[1:-1], epochs=3)
        board_device.configure(plan.settings.integers())
        learn.train(board_device, task, plan)
        fourth = task.train_pass(3)
        board_device.learn(plan.settings.rate(4 * plan.decay**3), fourth.x, fourth.target)
        busy = board_device.stats().busy_us / len(fourth.x)
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        found[name] = float(value)
    if "no_clock" in found:
        raise MademError(f"{board.name} has no clock to measure with")
    found["train_sample"] = busy
    m, n = _SIZES[:2]
    pairs = m * n
    per_mac = {
        "bare_loop": 1000 * found["bare_loop"] / pairs,
        "unrolled_loop": 1000 * found["unrolled_loop"] / pairs,
        "forward_read": 1000 * found["forward_read"] / pairs,
    }
    result: dict[str, Any] = {
        "board": spec,
        "layers": list(_SIZES),
        "us": found,
        "ns_per_mac": per_mac,
        "forward_read_vs_bare_loop": per_mac["forward_read"] / per_mac["bare_loop"],
    }
    if "python_backprop" in found:
        result["backprop_vs_train_sample"] = found["python_backprop"] / found["train_sample"]
    table = _table(f"{spec}: network {'-'.join(map(str, _SIZES))}", "", "µs", "ns per MAC")
    names = {
        "bare_loop": "bare viper loop, 2048 multiply-accumulates",
        "unrolled_loop": "the same, unrolled by eight",
        "forward_read": f"forward read of {m}×{n} pairs, noise and ADC included",
        "transposed_read": f"transposed read of {n}×{_SIZES[2]} pairs",
        "free_phase": "free phase",
        "train_sample": "one training sample: free, +beta, -beta, update",
        "python_backprop": "one backprop step in plain Python floats",
    }
    for name, label in names.items():
        if name in found:
            mac = f"{per_mac[name]:.2f}" if name in per_mac else ""
            table.add_row(label, f"{found[name]:.1f}", mac)
    return result, table


def link(spec: str, _task: str, _progress: Any) -> tuple[dict[str, Any], Table]:
    """Goodput of the link: unpaced, and for the emulated board at two baud rates."""
    rows = []
    with open_board(spec) as board:
        board_device = connect(board)
        rows.append(link_bench.goodput(board_device.link))
        if board.emulated:
            path = board.port.port
            assert path is not None
            board.port.close()
            rows += [link_bench.paced_goodput(path, baud) for baud in (115200, 921600)]
    table = _table(
        f"{spec}: payload on the link", "line", "to board", "to host", "both ways", "round trip"
    )
    for row in rows:
        line = "not limited" if row.baud is None else f"{row.baud:,} baud"
        cells = [_rate(value, row.baud) for value in (row.to_board, row.to_host, row.both)]
        table.add_row(line, *cells, f"{1000 * row.round_trip:.2f} ms")
    return {"board": spec, "goodput": [asdict(row) for row in rows]}, table


def _rate(per_second: float, baud: int | None) -> str:
    if baud is None:
        return f"{per_second / 1e6:.2f} MB/s"
    return f"{per_second / 1000:.1f} kB/s ({1000 * per_second / baud:.0f} %)"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if k else "left")
    return table


RUNS: dict[str, Callable[[str, str, Any], tuple[dict[str, Any], RenderableType]]] = {
    "device": device,
    "memory": memory_bench.run,
    "link": link,
    "energy": energy_bench.run,
}
"""By what is measured: board, task and progress bar give the JSON and what a person reads."""
PICTURES = {"energy": energy_bench.save_picture}
"""By what is measured, where there is a picture: the JSON and a folder give the file."""
