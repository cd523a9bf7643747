"""The monitor's pictures made of characters."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from madem.monitor import charts, tui
from madem.monitor.run_state import BoardHealth, CurvePoint, RunFacts, Stage, WindowMark
from madem.stream.windows import WindowResult


def facts(**others: Any) -> RunFacts:
    """A board that learns pictures, made up."""
    random = np.random.default_rng(1)

    def units(*sizes: int) -> tuple[np.ndarray, ...]:
        return tuple(random.integers(0, 255, n).astype(np.uint8) for n in sizes)

    weights = tuple(random.integers(-200, 200, shape) for shape in ((64, 32), (32, 10)))
    made = RunFacts(
        "unix", "digits", "accuracy", {"bits": 4}, Stage.LEARNING, firmware="0.1.0",
        elapsed_s=75.0, samples=1500, total=3000, worked_s=70.0, passes=1, of_passes=2, value=0.912,
        curve=[CurvePoint(k, 100 * k, 0.2 + 0.05 * k) for k in range(1, 15)],
        classes=tuple("0123456789"), image=(8, 8), inputs=units(64)[0], label=3,
        free=units(64, 32, 10), plus=units(64, 32, 10), minus=units(64, 32, 10),
        first=weights, weights=weights, health=[BoardHealth(1.0, 20480, 1000, 5000, 6000, 2, 1)],
    )  # fmt: skip
    return replace(made, **others)


def a_stream(**others: Any) -> RunFacts:
    random = np.random.default_rng(2)
    marks = tuple(WindowMark(40 + 20 * k, WindowResult(k, answer=k % 2, label=0)) for k in range(8))
    made = facts(
        task="wrist.csv", image=None, classes=("still", "shaken"), label=0, marks=marks,
        channels=("acc x", "acc y"), rate_hz=10.0, signal_end=180,
        signal=random.integers(-500, 500, (180, 2)).astype(np.int16),
        names=tuple(f"acc {c} {w} {s}" for c in "xy" for w in ("mean", "energy")
                    for s in ("above", "below")),
        inputs=random.integers(0, 255, 8).astype(np.uint8),
        free=(np.zeros(8, np.uint8), np.full(2, 99, np.uint8)), plus=(), minus=(),
        weights=(np.ones((8, 2)),), first=(np.ones((8, 2)),),
    )  # fmt: skip
    return replace(made, **others)


BOARDS = {
    "pictures": [facts()],
    "stream": [a_stream()],
    "own sensor": [a_stream(signal=None, lost=3)],
    "words": [
        facts(
            braille=True,
            image=None,
            classes=(),
            inputs=np.full(60, 255, np.uint8),
            free=(np.zeros(60, np.uint8),) * 3,
            plus=(),
        )
    ],
    "words by class": [facts(braille=True, image=None, inputs=np.zeros(60, np.uint8))],
    "numbers": [facts(image=None, inputs=np.arange(30, dtype=np.uint8))],
    "novelty": [a_stream(measure="novelty score", value=5e4, curve=[CurvePoint(1, 1, 5e4)])],
    "starting": [RunFacts("unix", "")],
    "several": [facts(), RunFacts("[red]COM9", "", stage=Stage.DEAD, reason="[bold]unplugged")],
}


def shown(boards: list[RunFacts], width: int, height: int) -> list[str]:
    console = Console(
        width=width, height=height, force_terminal=True, color_system=None, file=io.StringIO()
    )
    with console.capture() as capture:
        console.print(tui.Whole(boards))
    return capture.get().splitlines()


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("size", [(20, 8), (60, 16), (80, 24), (130, 40), (250, 70)], ids=str)
def test_it_fits_every_terminal(name: str, size: tuple[int, int]) -> None:
    lines = shown(BOARDS[name], *size)
    assert len(lines) <= size[1]
    assert max(cell_len(line) for line in lines) <= size[0]


def test_it_says_what_there_is_to_say() -> None:
    text = "\n".join(shown([facts()], 130, 40))
    for what in ("digits on unix", "01:15", "bits 4", "accuracy 91.2 %", "pass 1 of 2", "20 KB",
                 "hidden layer, 32 units", "layer 1: 64 → 32", "it is 3", "50 %",
                 "activities: ▀ free ▄ nudged", "weights: − +, inputs across"):  # fmt: skip
        assert what in text, what
    text = "\n".join(shown(BOARDS["stream"], 130, 40))
    for what in ("acc x", "still", "✗sha", "mean", "signal, 10 Hz"):
        assert what in text, what
    text = "\n".join(shown(BOARDS["own sensor"], 130, 40))
    assert "the samples stay on the board, 3 lost" in text
    text = "\n".join(shown(BOARDS["several"], 130, 40))
    assert "✗ dead" in text
    assert "[red]COM9" in text  # nothing is taken for markup
    assert "[bold]unplugged" in text
    assert "[dim]x" in "\n".join(shown([a_stream(channels=("[dim]x", "y"))], 130, 40))


def test_a_working_board_is_shown_before_a_dead_one() -> None:
    dead, works = facts(stage=Stage.DEAD), facts(board="two")
    assert tui.focus([dead, works]) is works
    assert tui.focus([dead]) is dead


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(1, 12))
def test_the_strongest_of_neighbours_is_kept(rows: int, columns: int, h: int, w: int) -> None:
    values = np.random.default_rng(rows * 41 + columns).normal(0, 1, (rows, columns))
    small = charts.strongest(values, h, w)
    assert small.shape == (min(rows, h), min(columns, w))
    assert abs(small).max() == abs(values).max()
    assert np.isin(small, values).all()


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.integers(3, 30), st.integers(1, 9))
def test_a_curve_fills_its_place_and_hangs_together(
    y: list[float], width: int, height: int
) -> None:
    line = charts.Line(range(len(y)), y, charts.BLUE)
    span = (0.0, float(max(len(y) - 1, 1)))
    lines = charts.plot([line], width, height, span, (0.0, 1.0)).plain.split("\n")
    assert [len(one) for one in lines] == [width] * height
    dots = np.zeros((4 * height, 2 * width), bool)
    order = ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0), (3, 1))  # by Unicode's bits
    for i, one in enumerate(lines):
        for k, character in enumerate(one):
            for bit, (row, column) in enumerate(order):
                dots[4 * i + row, 2 * k + column] = ord(character) - 0x2800 >> bit & 1
    columns = np.flatnonzero(dots.any(axis=0))
    if len(y) > 1:
        assert len(columns) == 2 * width
    # The highest of all is where it belongs.
    top = int(np.flatnonzero(dots.any(axis=1))[0])
    assert top == pytest.approx((1 - max(y)) * (4 * height - 1), abs=0.51)


def test_bars() -> None:
    assert charts.bars([0, 0.5, 1], 0, 1) == "▁▅█"
    assert charts.bar(0.5, 4) == "██  "
    assert charts.bar(0.3125, 2) == "▋ "
    assert charts.bar(2, 3) == "███"
    top = charts.heat([[1.0, -1.0], [0.0, 0.5]], 2, 1)
    assert top.plain == "▀▀"
    colours = [span.style for span in top.spans]
    assert (
        str(colours[0]) == f"{charts.hex_of(charts.VERMILLION)} on {charts.hex_of(charts.GROUND)}"
    )
    assert str(colours[1]).startswith(charts.hex_of(charts.BLUE))
