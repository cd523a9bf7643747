"""Networks whose weights are devices: what `learn` measured is what `predict` gives."""

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from madem.cli import main
from madem.data.registry import load_task
from madem.data.task import Task
from madem.network import file

MADEM = Path(sys.executable).with_name("madem")
WIRING = "wiring=maker8x8+taox_hfox_wu2018"


def madem(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which knows nothing of those before."""
    return subprocess.run([MADEM, *map(str, words)], capture_output=True, text=True, timeout=300)


def ran(*words: str | Path) -> Any:
    """What a command that must succeed says as JSON."""
    done = madem(*words, "--json", "-")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def plants(path: Path) -> Task:
    """Two classes that overlap, so that noise decides some answers."""
    random = np.random.default_rng(5)
    y = np.arange(100) % 2
    x = random.normal(size=(100, 3)) * (1, 10, 0.3) + np.outer(y, (1.5, 12, 0.4))
    rows = [f"{a:.4f},{b:.4f},{c:.4f},kind {k}" for (a, b, c), k in zip(x, y, strict=True)]
    path.write_text("\n".join(["length,weight,width,kind", *rows]) + "\n")
    return load_task(path)


def write_held_out(task: Task, path: Path) -> Path:
    """The rows that the test of a task holds out, as their user has them."""
    assert task.values is not None
    lines = [",".join([*task.feature_names, "kind"])]
    for row, k in zip(task.values[1], task.y_test, strict=True):
        lines.append(",".join([*(f"{value:.4f}" for value in row), task.class_names[k]]))
    path.write_text("\n".join(lines) + "\n")
    return path


class Taught(NamedTuple):
    """A board with an array that has learned, what was saved of it, and held-out rows."""

    port: str
    network: Path
    held_out: Path
    learned: Any


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taught]:
    folder = tmp_path_factory.mktemp("chips")
    task, network = plants(folder / "plants.csv"), folder / "net.madem"
    with subprocess.Popen(
        [MADEM, "boards", "--start", f"unix:{WIRING}+7"], stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout
        try:
            port = process.stdout.readline().strip()
            assert madem("deploy", "--board", port).returncode == 0
            learned = ran("learn", folder / "plants.csv", "--board", port, "--frontend",
                          "attached", "--layers", "3", "--epochs", "4", "--no-baselines",
                          "--save", network)  # fmt: skip
            held_out = write_held_out(task, folder / "held_out.csv")
            yield Taught(port, network, held_out, learned)
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(120) == 0


@pytest.mark.needs("unix")
def test_the_array_that_learned_answers_as_its_read_noise_lets_it(taught: Taught) -> None:
    used = ran("predict", taught.held_out, "--load", taught.network, "--board", taught.port,
               "--report")  # fmt: skip
    assert used["chips"]["written"] is None, "nothing is written into it"
    low, high = used["chips"]["expected_right"]
    count = taught.learned["data"]["test_samples"]
    assert used["answers"] == count
    assert 0 < high - low < count / 2
    for metrics in (taught.learned["metrics"], used["metrics"]):
        assert low <= round(metrics["accuracy"] * count) <= high
    assert any("hold what was learned" in note for note in used["notes"])
    assert any(f"{low} to {high} of {count} right answers" in note for note in used["notes"])


@pytest.mark.needs("unix")
def test_another_array_is_written_first_and_the_error_told(taught: Taught) -> None:
    used = ran("predict", taught.held_out, "--load", taught.network, "--board",
               f"unix:{WIRING}+9", "--report")  # fmt: skip
    written = used["chips"]["written"]
    assert written["devices"] == 2 * (4 * 3 + 4 * 2)
    assert written["pulses"] > written["devices"]
    assert 0 < written["error"] < 0.1
    low, high = used["chips"]["expected_right"]
    assert low <= round(used["metrics"]["accuracy"] * used["answers"]) <= high
    (told,) = [note for note in used["notes"] if "held something else" in note]
    assert f"{written['pulses']:,} pulses" in told


@pytest.mark.needs("unix")
def test_going_on_writes_the_devices_as_they_were(taught: Taught, tmp_path: Path) -> None:
    """What chips measured is counted from 0 S already."""
    again = tmp_path / "again.madem"
    table = taught.held_out.with_name("plants.csv")
    ran("learn", table, "--load", taught.network, "--frontend", "attached", "--epochs", "0",
        "--no-baselines", "--save", again)  # fmt: skip
    before, after = (
        np.frombuffer(b"".join(file.load(path).state.devices), np.uint8).astype(int)
        for path in (taught.network, again)
    )
    assert np.sqrt(np.mean((after - before) ** 2)) < 0.1 * 200


@pytest.mark.needs("unix")
def test_the_twin_says_that_it_is_not_the_devices(
    taught: Taught, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(taught.held_out), "--load", str(taught.network)]) == 0
    assert "note: the network was learned behind chips" in capsys.readouterr().err


@pytest.mark.needs("unix")
def test_a_network_that_does_not_know_its_chips_is_refused(
    taught: Taught, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, path = file.load(taught.network), tmp_path / "old.madem"
    notes = {name: what for name, what in network.notes.items() if name != "design"}
    file.save(replace(network, notes=notes), path)
    command = ["predict", str(taught.held_out), "--load", str(path), "--board", "unix"]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "does not know its board of chips" in error


@pytest.mark.needs("unix")
def test_physical_devices_answer_as_they_were_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the digit, with the noise of reads and a bent I–V curve."""
    task, network = plants(tmp_path / "plants.csv"), tmp_path / "net.madem"
    command = ["learn", str(tmp_path / "plants.csv"), "--board", "twin", "--frontend", "physical",
               "--device", "stuck=0.05", "--bits", "5", "--layers", "4", "--epochs", "5",
               "--no-baselines", "--save", str(network), "--json", "-"]  # fmt: skip
    assert main([*command, "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    held_out = write_held_out(task, tmp_path / "held_out.csv")
    out = tmp_path / "answers.csv"
    used = ran("predict", held_out, "--load", network, "--out", out)
    assert used["metrics"] == found["metrics"]
    answers = list(csv.DictReader(out.read_text().splitlines()))
    lines = held_out.read_text().splitlines()
    alone = tmp_path / "alone.csv"
    alone.write_text("\n".join([lines[0], lines[8]]) + "\n")
    assert main(["predict", str(alone), "--load", str(network)]) == 0
    (one,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert {**one, "row": "7"} == answers[7]
    assert main(["predict", str(alone), "--load", str(network), "--board", "unix"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "answer with --board twin" in error
