"""`madem bench energy`: the table, the JSON and the picture say what the models say."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from madem.bench import cycles as cycle_count
from madem.bench import device
from madem.bench import energy as energy_bench
from madem.cli import main
from madem.data.registry import load_task
from madem.learn import train
from madem.learners.twin import TwinLearner
from madem.pictures import energy as energy_pictures
from madem_emulator import energy
from madem_emulator.energy import (
    Amplifiers,
    Array,
    Coincidence,
    Microcontroller,
    Workload,
    constants,
)
from madem_emulator.energy.cortex_m3 import FASTEST, SLOWEST, TYPICAL
from madem_emulator.twin.array import FULL, Weights


def test_command_prints_plots_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "r.json"
    assert main(["bench", "energy", "--out", str(tmp_path), "--json", str(report)]) == 0
    text = capsys.readouterr().out
    for expected in (*energy_bench.LABELS.values(), "4,096", "What takes most"):
        assert expected in text
    assert (tmp_path / "energy.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(report.read_text())
    assert [row["size"] for row in found["sizes"]] == [64, 128, 256, 512, 1024, 2048, 4096]
    assert set(found["constants"]) == set(energy_bench.LABELS)
    work = Workload((1024, 1024, 1024))
    row = found["sizes"][4]
    for name, model in energy_bench.models().items():
        cost = model.cost(work)
        assert row["costs"][name]["joules"] == pytest.approx(cost.energy)
        assert row["costs"][name]["seconds"] == cost.time
        assert sum(row["costs"][name]["parts"].values()) == pytest.approx(cost.energy)
    assert row["advantage"]["analogue"]["gpu"] == pytest.approx(
        row["costs"]["gpu"]["joules"] / row["costs"]["analogue"]["joules"]
    )


def test_numbers_with_prefixes() -> None:
    assert energy_bench.si(0.00126, "J") == "1.3 mJ"
    assert energy_bench.si(3.1e-12, "J") == "3.1 pJ"
    assert energy_bench.si(4e-14, "J") == "40 fJ"
    assert energy_bench.si(4e-21, "J") == "0.0 aJ"
    assert energy_bench.si(118.2e-6, "J") == "118 µJ"
    assert energy_bench.si(21.8, "s") == "22 s"


def test_counting_finds_the_instructions_again() -> None:
    """Times made from a chip's own figures give that chip."""
    chip = Microcontroller(per_mac=20.0, per_reading=150.0, per_coupling=90.0)
    m, n, outputs = sizes = (64, 32, 10)
    instructions = {
        "forward_read": (m + 1) * n * 20 + n * 150,
        "transposed_read": n * outputs * 20 + n * 150,
        "train_sample": chip.instructions(Workload(sizes)),
    }
    found = energy_bench.counted(instructions, sizes, cycles=1.25)
    assert found.cycles == 1.25
    assert found.per_mac == pytest.approx(20)
    assert found.per_reading == pytest.approx(150)
    assert found.per_coupling == pytest.approx(90)


def test_the_page_has_the_figures_of_the_models() -> None:
    page = (Path(__file__).parents[3] / "docs/science/energy.md").read_text()
    found = {row.size: row for row in energy_bench.rows(energy_bench.models())}
    for name, label in energy_bench.LABELS.items():
        cells = [energy_bench.si(found[n].costs[name].energy, "J") for n in (64, 256, 1024, 4096)]
        assert f"| {label} | {' | '.join(cells)} |" in page


def test_the_page_has_what_the_ranges_do() -> None:
    page = (Path(__file__).parents[3] / "docs/science/energy.md").read_text()
    table = energy_bench.swings_table(energy_bench.sensitivity(energy_bench.models()))
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        assert f"| {' | '.join(map(str, cells))} |" in page


def test_a_range_is_tried_at_both_ends() -> None:
    compared = energy_bench.models()
    found = {swing.name: swing for swing in energy_bench.sensitivity(compared)}
    assert "launch" not in found  # which is time alone
    swing = found["settle"]
    gpu = compared["gpu"].cost(Workload((1024, 1024, 1024))).energy
    for value, advantage in zip(swing.span, swing.advantages["analogue"], strict=True):
        array = Array(Amplifiers(settle=value), Coincidence())
        assert advantage == pytest.approx(gpu / array.cost(Workload((1024, 1024, 1024))).energy)
    assert swing.advantages["firmware"][0] == swing.advantages["firmware"][1]


def test_mean_square_is_that_of_the_twin_while_it_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every driven line of every read of a pass of digits, the bias line too."""
    driven: dict[str, list[tuple[float, float]]] = {"forward": [], "transposed": []}
    forward, transposed = Weights.forward, Weights.transposed

    def watched_forward(self: Weights, s: Any) -> Any:
        n, m = self.lines.shape[-2:]
        reads = s.size / m
        driven["forward"].append((n * (np.sum(np.square(s / FULL)) + reads), reads * n * (m + 1)))
        return forward(self, s)

    def watched_transposed(self: Weights, s: Any) -> Any:
        m = self.lines.shape[-1]
        driven["transposed"].append((m * np.sum(np.square(s / FULL)), m * s.size))
        return transposed(self, s)

    task = load_task("digits")
    plan = train.recipe(task, hidden=(32,), epochs=1)
    monkeypatch.setattr(Weights, "forward", watched_forward)
    monkeypatch.setattr(Weights, "transposed", watched_transposed)
    train.train(TwinLearner(plan.settings.integers()), task, plan)
    squares, devices = np.sum([pair for pairs in driven.values() for pair in pairs], axis=0)
    assert squares / devices == pytest.approx(energy.Cells().mean_square, rel=0.15)
    back = np.sum(driven["transposed"], axis=0)
    span = {c.name: c.span for c in energy.constants(energy.Cells())}["mean_square"]
    assert span is not None
    assert span[0] == pytest.approx(back[0] / back[1], rel=0.25)
    assert span[1] == pytest.approx(np.mean(np.square(task.x_train / FULL)), rel=0.1)


@pytest.mark.slow
@pytest.mark.needs("qemu")
def test_the_microcontroller_takes_about_the_instructions_that_are_counted() -> None:
    result, _ = device.run("qemu:heap=256K,icount")
    work = Workload((64, 32, 10))
    cycles = cycle_count.measure()
    chip = energy_bench.counted(result["instructions"], (64, 32, 10), cycles[TYPICAL])
    counted = chip.instructions(work)
    # Faster kernels change it; then `madem bench energy --board qemu:heap=256K,icount` has it.
    assert 0.5 < counted / Microcontroller().instructions(work) < 2
    listed = {constant.name: constant for constant in constants(Microcontroller())}["cycles"]
    assert listed.span == pytest.approx((cycles[FASTEST], cycles[SLOWEST]), rel=0.1)
    assert listed.value == pytest.approx(cycles[TYPICAL], rel=0.1)


def test_picture_has_every_machine_and_part() -> None:
    figure = energy_pictures.energy_picture(
        [64, 128],
        energies={"one": [1, 2], "two": [3, 4]},
        advantages={("one", "two"): [3, 2]},
        shares={"one": {"ADCs": [0.5, 0.4], "pulses": [0.5, 0.6]}},
        claim=10.0,
    )
    first, second, third = figure.axes
    lines = {str(line.get_label()): list(line.get_ydata()) for line in first.lines}  # type: ignore[arg-type]
    assert lines == {"one": [1, 2], "two": [3, 4]}
    assert [line.get_label() for line in second.lines] == ["the paper's claim", "two / one"]
    assert third.get_title(loc="left") == "one"
