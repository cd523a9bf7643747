"""`madem bench`: figures of a board, measured by itself and beside a reference in the same run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table

from madem.bench import device, energy, memory
from madem.bench import link as link_bench
from madem.boards.open import open_board
from madem.learners.device import connect


def emulator(spec: str, task: str, progress: Any) -> tuple[dict[str, Any], Table]:
    """See `emulator_bench.run`; imported only here, because scipy takes its time."""
    from madem.bench import emulator as emulator_bench

    return emulator_bench.run(spec, task, progress)


def frontend(spec: str, design: str, progress: Any) -> tuple[dict[str, Any], Table]:
    """See `frontend_bench.run`; imported only here, because scipy takes its time."""
    from madem.bench import frontend as frontend_bench

    return frontend_bench.run(spec, design, progress)


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
    "device": device.run,
    "memory": memory.run,
    "link": link,
    "emulator": emulator,
    "frontend": frontend,
    "energy": energy.run,
}
"""By what is measured: board, task or design, and progress bar give the JSON and what a person
reads."""
PICTURES = {"energy": energy.save_picture}
"""By what is measured, where there is a picture: the JSON and a folder give the file."""
