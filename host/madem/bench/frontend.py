"""How fast an attached front end is beside the clocks of its buses: `madem bench frontend`."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.table import Table

from madem.boards.open import Board, why_no_emulated_board
from madem.boards.repl import open_port
from madem.errors import BoardError
from madem.learners.board import BoardLearner, connect
from madem_emulator import designs
from madem_emulator.physical import presets
from madem_emulator.twin.config import Settings

_SAMPLES = 1
"""Of a piece."""
_PIECES = 100
"""Of which the fastest counts: this computer may be busy with other things."""


def run(design: str) -> tuple[dict[str, Any], Table]:
    """Time reads and learning on emulated chips, beside what wires would carry.

    On wires, the same transfers go bit by bit at the clocks of the buses.

    Args:
        design: name of a board of chips, a key of `designs.DESIGNS`.

    Returns:
        The rates for JSON, and the same as a table.

    Raises:
        BoardError: this system can't run the emulated board.
    """
    rows = []
    lines = designs.GEOMETRIES[design].rows
    with _bench(design) as (chips, device):
        # Their first weight layers fill 1 card, and 4.
        for sizes in ((lines - 1, lines // 2, lines // 4), (2 * lines - 1, lines, lines // 2)):
            settings = Settings(sizes=sizes, sweeps_free=2, sweeps_nudged=1)
            device.configure(settings.integers(), design)
            x = np.random.default_rng(1).integers(1, 256, (_SAMPLES, sizes[0])).astype(np.uint8)
            y = np.arange(_SAMPLES, dtype=np.uint8) % sizes[-1]
            for what, work in (
                ("read", lambda x=x: device.outputs(x)),
                ("learn", lambda x=x, y=y: device.learn(2000, x, y)),
            ):
                pieces = [_measure(design, chips, device, work) for _ in range(_PIECES)]
                if what == "learn":  # most samples change nothing
                    pieces = [piece for piece in pieces if piece.pulses] or pieces
                rows.append({"network": list(sizes), "what": what} | _rates(pieces))
    table = Table(title=f"{design} on unix", box=box.SIMPLE_HEAD, title_justify="left")
    for k, name in enumerate(
        ("network", "", "reads a second", "on wires", "of that", "pulses a second", "µs a transfer")
    ):
        table.add_column(name, justify="right" if k > 1 else "left")
    for row in rows:
        table.add_row(
            "-".join(map(str, row["network"])), row["what"],
            f"{row['reads_per_s']:,.0f}", f"{row['reads_per_s_on_wires']:,.0f}",
            f"{100 * row['share_of_wires']:.0f} %", f"{row['pulses_per_s']:,.0f}",
            f"{row['us_per_transfer']:.1f}",
        )  # fmt: skip
    return {"board": "unix", "design": design, "frontend": rows}, table


class _Piece(NamedTuple):
    """What was counted while a piece of work ran; seconds, the busy ones by the device's clock."""

    busy: float
    reads: float
    pulses: float
    transfers: float
    wires: float


def _measure(
    design: str, chips: designs.ArrayBoard, device: BoardLearner, work: Callable[[], object]
) -> _Piece:
    conversions = designs.GEOMETRIES[design].conversions

    def counts() -> tuple[float, ...]:
        of = [chips.card(number).counters for number in list(chips.cards)]
        reads = sum(c.reads for c in of) / conversions
        pulses = sum(c.set_pulses + c.reset_pulses for c in of)
        return reads, pulses, chips.bus.transfers, chips.bus.seconds

    device.stats()
    before = counts()
    work()
    busy = device.stats().busy_us / 1e6
    return _Piece(busy, *(b - a for a, b in zip(before, counts(), strict=True)))


def _rates(pieces: list[_Piece]) -> dict[str, float]:
    """Rates of the piece that nothing else on this computer slowed.

    What wires would carry does not depend on that, and is of all pieces.
    """
    best = max(pieces, key=lambda piece: piece.wires / piece.busy)
    return {
        "reads_per_s": best.reads / best.busy,
        "reads_per_s_on_wires": sum(p.reads for p in pieces) / sum(p.wires for p in pieces),
        "share_of_wires": best.wires / best.busy,
        "pulses_per_s": best.pulses / best.busy,
        "us_per_transfer": 1e6 * best.busy / best.transfers,
    }


@contextlib.contextmanager
def _bench(design: str) -> Iterator[tuple[designs.ArrayBoard, BoardLearner]]:
    """Real firmware on a board whose chips this process holds."""
    if reason := why_no_emulated_board("unix"):
        raise BoardError(reason)
    assert sys.platform == "linux"
    from madem_emulator.boards.unix import UnixBoard
    from madem_emulator.boards.unix_interpreter import find_micropython

    chips = designs.DESIGNS[design](presets.TAOX_HFOX_WU2018)
    lifeline, end = os.pipe()
    with tempfile.TemporaryDirectory(prefix="madem-board-") as flash:
        board = UnixBoard(find_micropython(), Path(flash), bus=chips.bus)
        pump = threading.Thread(target=board.run, args=([lifeline],), daemon=True)
        pump.start()
        try:
            with Board("unix", open_port(board.port)) as opened:
                yield chips, connect(opened, deploy_firmware=True)
        finally:
            os.close(end)
            pump.join()
            os.close(lifeline)
            board.close()
