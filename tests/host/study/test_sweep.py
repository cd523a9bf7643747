"""`madem sweep`: the plan, the store, the training of a point, and whole runs on Dask."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dask.distributed import LocalCluster
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from madem.cli import main
from madem.data.registry import load_task
from madem.data.task import Task
from madem.errors import MademError
from madem.learn import train
from madem.learners.twin import TwinLearner
from madem.pictures import sweep as sweep_pictures
from madem.study import sweep_plan, sweep_run, sweep_table
from madem.study.sweep_store import Outcome, Store
from madem_emulator.physical.learner import PhysicalTwin

NAME = "sweep-toy.jsonl"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data file with two easy classes."""
    random = np.random.default_rng(1)
    y = np.arange(60) % 2
    x = random.normal(0, 0.15, (60, 4)) + np.where(y, 0.8, 0.2)[:, None] * [1, -1, 1, -1]
    path = tmp_path_factory.mktemp("data") / "toy.csv"
    np.savetxt(path, np.column_stack([x, y]), fmt=["%.4f"] * 4 + ["%d"], delimiter=",",
               header="a,b,c,d,label", comments="")  # fmt: skip
    return path


@pytest.fixture(scope="module")
def task(toy: Path) -> Task:
    return load_task(toy)


def trained(plan: sweep_plan.SweepPlan, size: int = 16) -> dict[str, Outcome]:
    """Outcomes without Dask, in batches of a size."""
    found = []
    for job in sweep_run.jobs(plan, plan.points, -(-len(plan.points) // size)):
        found += sweep_run.train(plan.task, job)
    return {outcome.key: outcome for outcome in found}


def same(a: Outcome, b: Outcome) -> bool:
    return replace(a, seconds=0) == replace(b, seconds=0)


# --- the plan -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("bits", "2,3,4,6", (2, 3, 4, 6)),
        ("bits", "2:8:4", (2, 4, 6, 8)),
        ("read-noise", "0:0.05:6", (0.0, 0.01, 0.02, 0.03, 0.04, 0.05)),
        ("stuck", "0,0.1:0.3:3", (0.0, 0.1, 0.2, 0.3)),
        ("layers", "none,32,64-32", ("none", "32", "64-32")),
        ("preset", "default,harsh", ("default", "harsh")),
    ],
)
def test_values(name: str, text: str, expected: tuple) -> None:
    assert sweep_plan.values(name, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("bits", "2,x", "'x' is neither a whole number"),
        ("bits", "2:7:3", "'2:7:3' is neither"),
        ("bits", "4,4", "appears twice"),
        ("read-noise", "0:1", "'0:1' is neither a number nor low:high:count"),
        ("read-noise", "0:inf:3", "is neither"),
        ("read-noise", "0:1:0", "is neither"),
        ("preset", "bad", "'bad' is none of default"),
        ("layers", "64;32", "neither `none` nor sizes"),
        ("stuck", "", "'' is neither"),
    ],
)
def test_values_that_cannot_be_read(name: str, text: str, message: str) -> None:
    with pytest.raises(MademError, match=message):
        sweep_plan.values(name, text)


def test_points_are_all_combinations_with_all_devices(task: Task) -> None:
    plan = sweep_plan.plan_sweep(task, {"bits": "2,4", "stuck": "0,0.1,0.2"}, devices=4)
    assert len(plan.points) == 2 * 3 * 4
    assert len({(point.condition, point.device) for point in plan.points}) == 24
    assert len({point.key for point in plan.points}) == 24
    assert len({point.seed for point in plan.points}) == 24


def test_a_point_does_not_depend_on_what_else_is_swept(task: Task) -> None:
    small = sweep_plan.plan_sweep(task, {"bits": "4", "stuck": "0.1"}, devices=2)
    large = sweep_plan.plan_sweep(task, {"stuck": "0,0.1", "bits": "2,4"}, devices=5)
    known = {point.key: point.seed for point in large.points}
    assert all(known[point.key] == point.seed for point in small.points)
    other = sweep_plan.plan_sweep(task, {"bits": "4", "stuck": "0.1"}, devices=2, seed=2)
    assert not {point.seed for point in other.points} & set(known.values())


def test_context_tells_what_must_not_be_mixed(task: Task, toy: Path) -> None:
    plan = sweep_plan.plan_sweep(task, {"bits": "4"})
    others = [
        sweep_plan.plan_sweep(task, {"bits": "4"}, epochs=9),
        sweep_plan.plan_sweep(task, {"bits": "4"}, seed=9),
        sweep_plan.plan_sweep(load_task(toy, test_fraction=0.3), {"bits": "4"}),
    ]
    assert len({plan.context, *(other.context for other in others)}) == 4
    assert sweep_plan.plan_sweep(task, {"bits": "2"}, devices=9).context == plan.context


def test_settings_reach_the_device(task: Task) -> None:
    condition = [("preset", "harsh"), ("bits", 3), ("layers", "7-5"), ("stuck", 0.2), ("rate", 2.5)]
    settings = sweep_plan.recipe(task, condition, 2, seed=77).settings
    assert settings.sizes == (4, 7, 5, 2)
    assert (settings.weight_bits, settings.stuck, settings.seed) == (3, 0.2, 77)
    assert (settings.cycle_to_cycle, settings.learning_rate) == (0.3, 2.5)


# --- a point ------------------------------------------------------------------------------------


def test_a_point_is_what_learning_on_the_twin_gives(task: Task) -> None:
    plan = sweep_plan.plan_sweep(task, {"bits": "3"}, devices=3, epochs=2)
    outcomes = trained(plan)
    for point in plan.points:
        recipe = plan.recipe(point.condition, point.seed)
        learner = TwinLearner(recipe.settings.integers())
        for k in range(2):
            batch = task.train_pass(sweep_run.PASSES_APART * point.seed + k)
            rate, pulses = recipe.schedule(k)
            learner.learn(rate, batch.x, batch.target, None, pulses)
        assert outcomes[point.key].score == train.evaluate(learner, task)["accuracy"]


def test_batches_do_not_change_a_point(task: Task) -> None:
    plan = sweep_plan.plan_sweep(task, {"bits": "2,4"}, devices=5, epochs=1)
    whole, single = trained(plan, 16), trained(plan, 1)
    assert len(whole) == 10
    assert all(same(whole[key], single[key]) for key in whole)
    assert len({outcome.pulses for outcome in whole.values()}) > 5


def test_words_are_scored_by_whole_words() -> None:
    task = load_task("braille", draws=1, samples_per_pass=30)
    plan = sweep_plan.plan_sweep(task, {"bits": "4"}, devices=1, epochs=1)
    (outcome,) = trained(plan).values()
    assert outcome.error == ""
    assert outcome.score is not None
    assert 0 <= outcome.score <= 1
    assert sweep_table.measure(plan) == "exact words"


def test_a_point_that_fails_is_an_outcome(task: Task) -> None:
    plan = sweep_plan.SweepPlan(task, {"bits": (4, 9)}, devices=2, seed=1, epochs=1)
    outcomes = trained(plan)
    table = sweep_table.rows(plan, outcomes)
    assert [bool(row["error"]) for row in table] == [False, False, True, True]
    assert "weight_bits is 9" in table[2]["error"]
    assert table[2]["score"] is None
    (axis,) = sweep_table.levels(plan, table, goal=0.0).values()
    assert [(level.devices, level.passed) for level in axis] == [(2, 2), (2, 0)]


def test_physical_devices_are_learned_as_learn_does(task: Task) -> None:
    preset = "taox_hfox_wu2018"
    plan = sweep_plan.plan_sweep(
        task, {"preset": preset, "wire-resistance": "0,5"}, devices=2, epochs=1, frontend="physical"
    )
    outcomes = trained(plan)
    assert not any(outcome.error for outcome in outcomes.values())
    alone = trained(plan, 1)
    assert all(same(found, alone[key]) for key, found in outcomes.items())
    point = plan.points[0]  # without wires
    recipe = plan.recipe(point.condition, point.seed)
    assert recipe.device is not None
    assert recipe.device.name == preset
    learner = TwinLearner(recipe.settings.integers())
    learner.twin = PhysicalTwin(learner.config, recipe.device)
    batch = task.train_pass(sweep_run.PASSES_APART * point.seed)
    learner.learn(recipe.schedule(0)[0], batch.x, batch.target, None, recipe.schedule(0)[1])
    assert outcomes[point.key].score == train.evaluate(learner, task)["accuracy"]
    assert outcomes[point.key].pulses == learner.twin.pulses[0] / learner.config.couplings
    wired = outcomes[plan.points[2].key]
    assert wired.pulses != outcomes[point.key].pulses


def test_batches_do_not_change_a_physical_point(task: Task) -> None:
    """Bit for bit, with every sort of noise that a preset has, so that workers don't matter."""
    presets = "cmo_hfox_2025,hfox_neurram_2022,taox_hfox_wu2018"
    plan = sweep_plan.plan_sweep(
        task, {"preset": presets, "stuck": "0.1"}, devices=5, epochs=1, frontend="physical"
    )
    assert [len(job.keys) for job in sweep_run.jobs(plan, plan.points)] == [5, 5, 5]
    whole = trained(plan, 16)
    for batch in (1, 2):
        assert all(same(whole[key], found) for key, found in trained(plan, batch).items())
    assert len({outcome.pulses for outcome in whole.values()}) > 5


def test_devices_behind_wires_make_a_job_each(task: Task) -> None:
    axes = {"preset": "taox_hfox_wu2018", "wire-resistance": "0,5"}
    plan = sweep_plan.plan_sweep(task, axes, devices=3, epochs=1, frontend="physical")
    assert [len(job.keys) for job in sweep_run.jobs(plan, plan.points)] == [3, 1, 1, 1]


# --- the store ----------------------------------------------------------------------------------


def outcome(key: str, error: str = "") -> Outcome:
    return Outcome(key, None if error else 0.5, None if error else 1.0, error, 0.1)


def test_store_keeps_what_was_added(tmp_path: Path) -> None:
    with Store(tmp_path / NAME, "c", "a sweep") as store:
        store.add([outcome("a"), outcome("b", "broken")])
        store.add([outcome("b")])
    with Store(tmp_path / NAME, "c", "a sweep") as store:
        assert store.outcomes == {"a": outcome("a"), "b": outcome("b")}


@given(st.integers(0, 400))
def test_store_survives_a_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    file = tmp_path_factory.mktemp("cut") / NAME
    with Store(file, "c", "a sweep") as store:
        store.add([outcome("a"), outcome("b"), outcome("c")])
    lines = file.read_bytes().splitlines(keepends=True)
    data = b"".join(lines)[:cut]
    file.write_bytes(data)
    whole = max(data.count(b"\n") - 1, 0)
    with Store(file, "c", "a sweep") as store:
        assert list(store.outcomes) == ["a", "b", "c"][:whole]
        store.add([outcome("d")])
    with Store(file, "c", "a sweep") as store:
        assert list(store.outcomes) == [*["a", "b", "c"][:whole], "d"]


OWN = json.dumps({"format": 1, "context": "c", "sweep": "a sweep"}).encode() + b"\n"


@pytest.mark.parametrize(
    "content",
    [
        b"somebody's notes, without an end of the line",
        b"somebody's notes\nand an unfinished line",
        b"{}\nmore",
        b"[" * 100_000 + b"\n",
        OWN + b"[" * 100_000 + b"\n",
        OWN + b'{"key": "a", "score": "high", "pulses": 1.0, "error": "", "seconds": 0.1}\n',
        OWN + b'{"key": 1, "score": 0.5, "pulses": 1.0, "error": "", "seconds": 0.1}\n',
        OWN + b'{"key": "a", "score": 0.5}\n',
        OWN.replace(b'"c"', b'"other"') + b"{unfinished",
    ],
    ids=["line", "lines", "json", "deep head", "deep", "text", "number", "short", "other sweep"],
)
def test_a_file_that_is_not_its_own_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    with pytest.raises(MademError) as told:
        Store(path, "c", "a sweep")
    assert "choose another --out" in str(told.value)
    assert path.read_bytes() == content


def test_store_refuses_another_sweep_and_damage(tmp_path: Path) -> None:
    with Store(tmp_path / NAME, "c", "digits, 3 passes"):
        pass
    with pytest.raises(MademError, match=r"another sweep \(digits, 3 passes\), not digits, 5"):
        Store(tmp_path / NAME, "d", "digits, 5 passes")
    (tmp_path / NAME).write_text("hello\n")
    with pytest.raises(MademError, match="damaged or of another program"):
        Store(tmp_path / NAME, "c", "digits")
    with pytest.raises(MademError, match="can't use"):
        Store(tmp_path / "missing" / NAME, "c", "digits")


# --- tables and pictures ------------------------------------------------------------------------


def test_levels_and_effect(task: Task) -> None:
    plan = sweep_plan.SweepPlan(
        task, {"bits": (2, 4), "stuck": (0.0,)}, devices=2, seed=1, epochs=1
    )
    scores = iter([0.5, 0.7, 0.9, 1.0])
    outcomes = {p.key: Outcome(p.key, next(scores), 1.0, "", 0.0) for p in plan.points}
    found = sweep_table.levels(plan, sweep_table.rows(plan, outcomes), goal=0.7)
    assert list(found) == ["bits"]  # an axis of one value has nothing to tell
    low, high = found["bits"]
    assert (low.mean, low.fraction) == (pytest.approx(0.6), 0.5)
    assert (high.mean, high.fraction) == (pytest.approx(0.95), 1.0)
    assert low.spread == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert sweep_table.effect(found["bits"]) == pytest.approx(0.35)


def test_picture_shows_every_device_and_the_yield() -> None:
    panel = sweep_pictures.SweepPanel(
        "bits", ["2", "4"], [np.array([0.8, 0.4]), np.array([0.9])], [(1, 2), (1, 1)]
    )
    figure = sweep_pictures.sweep_picture([panel, panel], measure="accuracy", goal=0.5)
    above, below = figure.axes[0], figure.axes[2]
    dots = [line for line in above.lines if line.get_marker() == "."]
    assert [list(line.get_ydata()) for line in dots] == [[0.4, 0.8], [0.9]]  # type: ignore[arg-type]
    assert [bar.get_height() for bar in below.patches] == [0.5, 1.0]  # type: ignore[attr-defined]


# --- the command --------------------------------------------------------------------------------


def command(toy: Path, out: Path, *options: str) -> list[str]:
    return [
        *("sweep", str(toy), "--bits", "2,4", "--read-noise", "0,0.1", "--seeds", "3"),
        *("--epochs", "2", "--out", str(out), *options),
    ]


def test_one_worker_and_two_give_the_same_table(
    toy: Path, task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    report = tmp_path / "r.json"
    assert main(command(toy, one, "--workers", "1", "--json", str(report))) == 0
    text = capsys.readouterr().out
    for expected in ("12 points", "bits of a device", "read noise", "effect", "sweep-toy.parquet"):
        assert expected in text.replace("\n", "")
    assert main(command(toy, two, "--workers", "2", "--quiet")) == 0
    assert capsys.readouterr().out == ""
    for suffix in ("csv", "parquet", "png"):
        name = f"sweep-toy.{suffix}"
        assert (one / name).read_bytes() == (two / name).read_bytes()

    # It is the table of the points trained right here.
    plan = sweep_plan.plan_sweep(task, {"bits": "2,4", "read-noise": "0,0.1"}, devices=3, epochs=2)
    expected = sweep_table.rows(plan, trained(plan))
    found = json.loads(report.read_text())
    assert found["rows"] == expected
    assert (found["points"], found["finished"], found["failed"]) == (12, 12, 0)
    assert parquet.read_table(one / "sweep-toy.parquet").to_pylist() == expected
    with (one / "sweep-toy.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(row["score"]) for row in table] == [row["score"] for row in expected]

    # Again: nothing is left to do, more devices are added to those that are known.
    before = (one / NAME).read_bytes()
    assert main(command(toy, one, "--quiet")) == 0
    assert (one / NAME).read_bytes() == before
    assert main([*command(toy, one), "--seeds", "4"]) == 0
    assert "12 are known" in capsys.readouterr().out
    assert (one / NAME).read_bytes().startswith(before)
    assert len((one / NAME).read_text().splitlines()) == 1 + 16


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def start_and_wait(arguments: list[str], file: Path, points: int) -> subprocess.Popen[str]:
    """A sweep in a process group of its own that has kept so many points."""
    process = subprocess.Popen(
        [sys.executable, "-m", "madem", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 600
    while len(lines(file)) < 1 + points and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


def group_is_gone(group: int) -> bool:
    end = time.monotonic() + 600
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_a_killed_sweep_resumes_without_repeating(toy: Path, task: Task, tmp_path: Path) -> None:
    options = ["sweep", str(toy), "--bits", "2:8:7", "--seeds", "2", "--epochs", "8",
               "--workers", "1", "--out", str(tmp_path)]  # fmt: skip
    file = tmp_path / NAME
    process = start_and_wait(options, file, 4)
    process.kill()
    process.communicate(timeout=120)
    assert group_is_gone(process.pid)  # its workers don't stay behind
    kept = lines(file)
    assert 1 + 4 <= len(kept) < 1 + 14
    with file.open("a") as torn:
        torn.write('{"key": "half a li')

    assert main([*options, "--quiet"]) == 0
    assert lines(file)[: len(kept)] == kept
    keys = [json.loads(line)["key"] for line in lines(file)[1:]]
    assert len(keys) == len(set(keys)) == 14
    plan = sweep_plan.plan_sweep(task, {"bits": "2:8:7"}, devices=2, epochs=8)
    expected = sweep_table.to_csv(plan, sweep_table.rows(plan, trained(plan)))
    assert (tmp_path / "sweep-toy.csv").read_bytes() == expected


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(toy: Path, tmp_path: Path) -> None:
    options = ["sweep", str(toy), "--bits", "2:8:7", "--seeds", "2", "--epochs", "20",
               "--workers", "1", "--out", str(tmp_path)]  # fmt: skip
    process = start_and_wait(options, tmp_path / NAME, 2)
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert error == "madem: stopped\n"
    assert "of 14 points are kept" in out.replace("\n", " ")
    assert (tmp_path / "sweep-toy.parquet").exists()
    assert group_is_gone(process.pid)


@pytest.mark.slow
def test_a_cluster_by_its_address_and_failing_points(task: Task, tmp_path: Path) -> None:
    plan = sweep_plan.SweepPlan(task, {"bits": (4, 9)}, devices=2, seed=1, epochs=1)
    finished: list[int] = []
    cluster_options: dict = {"dashboard_address": None}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, **cluster_options) as cluster,
        Store(tmp_path / NAME, plan.context, "toy") as store,
    ):
        address: str = cluster.scheduler_address  # type: ignore[attr-defined]
        sweep_run.run_sweep(plan, store, finished.append, scheduler=address)
        outcomes = dict(store.outcomes)
        # Those that failed, and only those, are tried again.
        sweep_run.run_sweep(plan, store, finished.append, scheduler=address)
    assert sum(finished) == 4 + 2
    expected = trained(plan)
    assert all(same(outcomes[key], expected[key]) for key in expected)
    assert sum(bool(found.error) for found in outcomes.values()) == 2


@pytest.mark.slow
def test_a_scheduler_that_goes_away_is_told(task: Task, tmp_path: Path) -> None:
    plan = sweep_plan.plan_sweep(task, {"bits": "2:8:7"}, devices=2, epochs=3)
    options: dict = {"dashboard_address": None}
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, **options)
    address: str = cluster.scheduler_address  # type: ignore[attr-defined]

    def close(_n: int) -> None:
        cluster.close()

    with (
        Store(tmp_path / NAME, plan.context, "toy") as store,
        pytest.raises(MademError, match="the scheduler has gone"),
    ):
        sweep_run.run_sweep(plan, store, close, scheduler=address)
    assert 2 <= len(store.outcomes) < 14


@pytest.mark.slow
def test_no_scheduler_is_one_line(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(toy, tmp_path, "--scheduler", "tcp://127.0.0.1:1")) == 2
    error = capsys.readouterr().err
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in error
    assert error.count("\n") == 1


def test_a_plan_says_how_many_and_how_long(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "r.json"
    assert (
        main(command(toy, tmp_path / "out", "--plan", "--workers", "2", "--json", str(report))) == 0
    )
    text = capsys.readouterr().out
    assert "12 points: 4 combinations" in text
    assert "on 2 workers" in text
    found = json.loads(report.read_text())
    assert found["points"] == 12
    assert found["seconds"] > 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bits", "1"], "--bits 1: weight_bits is 1"),
        (["--stuck", "0,2"], "--stuck 2.0: stuck is 2.0"),
        (["--wire-resistance", "1"], "--wire-resistance 1.0: the emulated front end does not"),
        (["--frontend", "physical", "--nonlinearity-set", "1"], "the physical front end does not"),
        (["--frontend", "physical", "--wire-resistance", "-1"], "--wire-resistance -1.0: word_se"),
        (["--frontend", "physical", "--preset", "harsh"], "--preset harsh is not one of"),
        (["--preset", "rram_milo_2021"], "--preset rram_milo_2021: needs --frontend physical"),
        (["--layers", "2000"], "--layers 2000: sizes is"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--epochs", "0"], "--epochs is 0"),
        (["--seed", "-1"], "the seed must be 0 or more"),
        (["--workers", "0"], "--workers is 0"),
        (["--workers", "2", "--scheduler", "tcp://x:1"], "not both"),
        (["--goal", "2"], "--goal is 2.0"),
        (["--read-noise", "0:0.5:1000000", "--bits", "2,4"], "points are more than 1,000,000"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    toy: Path, tmp_path: Path, options: list[str], message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(["sweep", str(toy), "--out", str(tmp_path), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_without_dask_it_says_how_to_get_it(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["sweep", str(toy)]) == 2
    assert "pip install 'madem[sweep]'" in capsys.readouterr().err
