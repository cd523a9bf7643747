"""The lock step of device and twin: it agrees when it should, and finds what it should.

Real firmware on the emulated board throughout.
"""

import dataclasses
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from madem import cli
from madem.boards.link_protocol import Memory
from madem.boards.open import open_board
from madem.data.registry import load_task
from madem.learn import train
from madem.learners.board import BoardLearner, connect
from madem.learners.protocol import Reply
from madem.learners.twin import TwinLearner
from madem.verify.lock_step import DiffersError, LockStep, Mismatch, cell_name
from madem_emulator.twin.config import Config, Rule, Settings
from madem_emulator.twin.presets import PRESETS

pytestmark = pytest.mark.needs("unix")

TASKS = ("braille", "braille-words", "digits")
SIZES = (6, 5, 4)
RATE = 3000


@pytest.fixture(scope="module")
def device() -> Iterator[BoardLearner]:
    with open_board("unix") as board:
        yield connect(board)


def harsh() -> Config:
    every: dict = PRESETS["harsh"] | {"sizes": SIZES, "seed": 3}
    return Settings(**every, competition=(2.0, 0.0), rate_scale=(1, 2)).integers()


def lock_step(device: BoardLearner, config: Config | None = None) -> LockStep:
    device.configure(config or harsh())
    return LockStep(device)


def run(lock: LockStep, count: int, rate: int = RATE) -> None:
    """Learn some samples, the same each time."""
    random = np.random.default_rng(1)
    x = random.integers(0, 256, (count, SIZES[0]), np.uint8)
    lock.learn(rate, x, random.integers(0, SIZES[-1], count, np.uint8))


def difference(lock: LockStep, count: int, rate: int = RATE) -> Mismatch:
    with pytest.raises(DiffersError) as caught:
        run(lock, count, rate)
    assert str(caught.value) == str(caught.value.mismatch)
    return caught.value.mismatch


# --- agreement ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_no_mismatch_in_a_few_hundred_samples(device: BoardLearner, name: str) -> None:
    task = load_task(name, samples_per_pass=150)
    plan = train.recipe(task, epochs=2)
    device.configure(plan.settings.integers())
    lock = LockStep(device)
    result = train.train(lock, task, plan, limit=250)
    lock.outputs(task.x_test[:100])
    assert result.samples == lock.steps == 250
    sizes = plan.settings.sizes
    couplings = sum((m + 1) * n for m, n in pairwise(sizes))
    assert lock.compared == 250 * (3 * sum(sizes[1:]) + 3 * couplings + 1) + 100 * sizes[-1]
    assert device.state() == lock.state() == lock.twin.state()


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_no_mismatch_in_two_thousand_samples_with_all_noise(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.json"
    code = cli.main(["verify", name, "--preset", "harsh", "--seed", "11", "--json", str(path)])
    found = json.loads(path.read_text())
    assert (code, found["steps"], found["mismatches"]) == (0, 2000, 0)
    assert found["preset"] == "harsh"
    assert "2,000 steps" in capsys.readouterr().out


# --- faults on purpose ----------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 1, 13])
@pytest.mark.parametrize(
    ("layer", "unit", "bit"), [(1, 0, 0), (1, 4, 7), (2, 0, 3), (2, 3, 0), (2, 2, 6)]
)
def test_a_flipped_state_is_found_where_it_is(
    device: BoardLearner, step: int, layer: int, unit: int, bit: int
) -> None:
    lock = lock_step(device)
    device.flip(True, step, layer, unit, bit)
    found = difference(lock, 20)
    assert (found.step, found.phase, found.layer, found.cell) == (
        *(step, "free", layer),
        f"unit {unit}",
    )
    assert found.device == found.twin ^ 1 << bit
    assert lock.steps == step + 1, "the run ends there"


@pytest.mark.parametrize("step", [0, 13])
@pytest.mark.parametrize(
    ("layer", "offset", "cell"),
    [
        (1, 0, "device P, word line 0, bit line 0"),
        (1, 6, "device P, bias line, bit line 0"),
        (1, 7, "device N, word line 0, bit line 0"),
        (1, 69, "device N, bias line, bit line 4"),
        (2, 0, "device P, word line 0, bit line 0"),
        (2, 27, "device P, word line 3, bit line 2"),
        (2, 47, "device N, bias line, bit line 3"),
    ],
)
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_weight_is_found_where_it_is(
    device: BoardLearner, step: int, layer: int, offset: int, cell: str, bit: int
) -> None:
    lock = lock_step(device)
    device.flip(False, step, layer, offset, bit)
    found = difference(lock, 20)
    assert (found.step, found.phase, found.layer, found.cell) == (step, "weights", layer, cell)
    assert found.device == found.twin ^ 1 << bit


@pytest.mark.parametrize(
    ("layer", "offset", "cell"),
    [
        (1, 0, "accumulator, word line 0, bit line 0"),
        (1, 34, "accumulator, bias line, bit line 4"),
        (2, 15, "accumulator, word line 3, bit line 2"),
    ],
)
def test_a_changed_accumulator_is_found(
    device: BoardLearner, layer: int, offset: int, cell: str
) -> None:
    lock = lock_step(device)
    run(lock, 5)
    cells = bytearray(device.read(Memory.ACCUMULATORS, layer))
    was = cells[offset]
    cells[offset] += 1
    device.write(Memory.ACCUMULATORS, layer, bytes(cells))
    # No rate: the accumulator is carried along, and nothing comes of it but the digest.
    assert difference(lock, 5, rate=0) == Mismatch(5, "weights", layer, cell, was + 1, was)


def test_a_wrong_step_number_would_be_refused_not_compared(device: BoardLearner) -> None:
    lock = lock_step(device)
    run(lock, 3)
    device.learn(RATE, np.zeros((1, 6), np.uint8), np.zeros(1, np.uint8))
    with pytest.raises(Exception, match="another number of samples: 4"):
        run(lock, 1)


def test_a_difference_in_a_prediction_is_found(device: BoardLearner) -> None:
    lock = lock_step(device)
    run(lock, 3)
    # Bit line 2 of the output layer as strong as can be, or off, whatever it was.
    x = np.full((8, 6), 255, np.uint8)
    twin = lock.outputs(x)
    strong = twin[:, 2].mean() < 128
    devices = bytearray(device.read(Memory.DEVICES, 2))
    for j in range(6):
        devices[24 + j], devices[30 + j] = (255, 0) if strong else (0, 255)
    device.write(Memory.DEVICES, 2, bytes(devices))
    mine = device.outputs(x)
    sample, unit = (int(at) for at in np.argwhere(mine != twin)[0])
    with pytest.raises(DiffersError) as caught:
        lock.outputs(x)
    assert caught.value.mismatch == Mismatch(
        8 + sample,
        "prediction",
        2,
        f"unit {unit}",
        int(mine[sample, unit]),
        int(twin[sample, unit]),
    )


@pytest.mark.parametrize(
    ("twin_has", "phase"),
    [({"beta": 200}, "plus"), ({"rule": Rule.ONE_SIDED}, "minus"), ({"t_free": 2}, "free")],
)
def test_the_first_phase_that_differs_is_named(
    device: BoardLearner, twin_has: dict[str, object], phase: str
) -> None:
    lock = lock_step(device)
    changes: dict = twin_has
    lock.twin = TwinLearner(dataclasses.replace(lock.config, **changes))
    found = difference(lock, 1)
    assert (found.step, found.phase) == (0, phase)
    memory = {"free": Memory.FREE, "plus": Memory.PLUS, "minus": Memory.MINUS}[phase]
    unit = int(found.cell.removeprefix("unit "))
    assert device.read(memory, found.layer)[unit] == found.device != found.twin


def test_wrong_answers_and_wrong_digests_are_differences_too(
    device: BoardLearner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should the device's reply be wrong and its memory right."""
    ask = BoardLearner.present
    for wrong_answer, phase in ((1, "answer"), (0, "digest")):
        lock = lock_step(device)

        def lie(*args: Any, wrong: int = wrong_answer) -> Iterator[Reply]:
            for reply in ask(*args):
                assert reply.digests is not None
                digests = reply.digests
                if not wrong:
                    digests = digests._replace(plus=digests.plus ^ 1)
                yield reply._replace(answer=reply.answer + wrong, digests=digests)

        monkeypatch.setattr(BoardLearner, "present", lie)
        found = difference(lock, 1)
        assert (found.step, found.phase) == (0, phase)
        assert found.device - found.twin == wrong_answer
        monkeypatch.undo()


def test_cells_have_names(device: BoardLearner) -> None:
    config = harsh()
    assert cell_name(config, Memory.MINUS, 2, 3) == "unit 3"
    assert cell_name(config, Memory.ACCUMULATORS, 2, 5) == "accumulator, bias line, bit line 0"
    assert cell_name(config, Memory.DEVICES, 2, 11) == "device N, bias line, bit line 0"


# --- the command ----------------------------------------------------------------------------------

LEARN_KEYS = (
    "task board frontend preset seed weight_bits samples_seen metrics baselines heap_peak_bytes "
    "device_us_per_sample wall_s"
)
VERIFY_KEYS = "steps values_compared mismatches first_mismatch"


@pytest.mark.parametrize("what", ["weight", "state"])
@pytest.mark.parametrize("step", [0, 42, 99])
def test_inject_is_found_at_its_step_with_exit_code_1(
    what: str, step: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.json"
    command = f"verify braille-words --samples 100 --inject {what}:{step} --layers 8"
    code = cli.main([*command.split(), "--json", str(path), "--seed", str(step + 1)])
    assert code == 1
    found = json.loads(path.read_text())
    assert set(f"{LEARN_KEYS} {VERIFY_KEYS}".split()) <= set(found)
    assert (found["mismatches"], found["steps"]) == (1, step + 1)
    first = found["first_mismatch"]
    assert set(first) == {"step", "phase", "layer", "cell", "device", "twin"}
    assert (first["step"], first["phase"]) == (step, "weights" if what == "weight" else "free")
    assert first["cell"].startswith("device " if what == "weight" else "unit ")
    assert (first["device"] ^ first["twin"]).bit_count() == 1
    said = " ".join(capsys.readouterr().out.split())
    assert f"device and twin differ after {step + 1} steps" in said
    assert first["cell"] in said


def test_a_clean_verify_has_exit_code_0_and_its_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.json"
    code = cli.main(
        ["verify", "digits", "--samples", "60", "--layers", "none", "--json", str(path)]
    )
    found = json.loads(path.read_text())
    assert code == 0
    assert set(f"{LEARN_KEYS} {VERIFY_KEYS}".split()) <= set(found)
    assert (found["task"], found["board"], found["frontend"]) == ("digits", "unix", "emulated")
    assert (found["steps"], found["samples_seen"], found["mismatches"]) == (60, 60, 0)
    assert found["first_mismatch"] is None
    values = 60 * (3 * 10 + 3 * 65 * 10 + 1) + 360 * 10
    assert found["values_compared"] == values
    assert f"60 steps, {values:,} values compared, 0 mismatches" in capsys.readouterr().out
    assert found["heap_peak_bytes"] > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--inject", "state:100"], "the run has 100 steps, counted from 0"),
        (["--inject", "state:60", "--epochs", "0"], "the run has 0 steps"),
        (["--inject", "weights:3"], "write weight:STEP or state:STEP"),
        (["--inject", "state"], "write weight:STEP or state:STEP"),
        (["--inject", "state:-1"], "write weight:STEP or state:STEP"),
        (["--board", "twin"], "choose a board"),
        (["--samples", "0"], "samples is 0"),
    ],
)
def test_what_can_not_be_verified_is_refused(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Above all an injection that would never come, which would look like agreement."""
    command = ["verify", "braille-words"]
    if "--samples" not in options:
        command += ["--samples", "100"]
    assert cli.main(command + options) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert told in error
    assert len(error.splitlines()) == 1
