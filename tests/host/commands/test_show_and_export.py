"""madem show and madem export: what a saved network is, and its integers, in a process' terms."""

import json
from pathlib import Path

import numpy as np
import pytest

from madem.cli import main
from madem.data.scaling import Scaling
from madem.learners.twin import TwinLearner
from madem.network import file
from madem.network.network import Network, TableInputs
from madem_emulator.twin.config import Settings


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A fresh network with two columns, saved."""
    state = TwinLearner(Settings(sizes=(2, 3, 2)).integers()).state()
    columns = TableInputs.of(
        Scaling.between([0, -1], [16, 1]), ("long", "wide\x1b[31m"), ("cm", "")
    )
    notes = {"training": {"file": "flowers.csv", "samples": 120}}
    path = tmp_path / "net.madem"
    file.save(Network(state, ("a", "b"), columns, notes), path)
    return path


def test_show_tells_layers_classes_columns_and_training(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(saved)]) == 0
    said = capsys.readouterr().out
    for word in ("2-3-2", "classes: a, b", "long", "cm", "16", "flowers.csv"):
        assert word in said
    assert "\x1b" not in said  # a column's name never steers the terminal


def test_show_as_json(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(saved), "--json", "-", "--quiet"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["layers"] == [2, 3, 2]
    assert facts["columns"][0] == {"name": "long", "unit": "cm", "low": 0.0, "high": 16.0}


def test_export_gives_arrays_that_give_back_the_network(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.npz"
    assert main(["export", str(saved), "--out", str(out), "--quiet"]) == 0
    state = file.load(saved).state
    with np.load(out, allow_pickle=False) as arrays:
        assert arrays["classes"].tolist() == ["a", "b"]
        for k in (1, 2):
            both = np.stack([arrays[f"P{k}"], arrays[f"N{k}"]], axis=1)
            assert both.tobytes() == state.devices[k - 1]
            assert arrays[f"C{k}"].tobytes() == state.accumulators[k - 1]
        assert json.loads(str(arrays["config"]))["sizes"] == [2, 3, 2]


def test_export_for_a_board_is_smaller_and_the_same_network(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "board.madem"
    assert main(["export", str(saved), "--board", str(out), "--quiet"]) == 0
    assert out.stat().st_size < saved.stat().st_size
    assert file.load(out) == file.load(saved)


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "say what to write"), (["--out", "{saved}"], "is the network itself")],
)
def test_export_refuses(
    saved: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = saved.read_bytes()
    assert main(["export", str(saved), *(w.format(saved=saved) for w in words)]) == 2
    assert message in capsys.readouterr().err
    assert saved.read_bytes() == before


def test_a_file_that_is_no_network_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.madem"
    path.write_bytes(b"no network")
    assert main(["show", str(path)]) == 2
    assert "is not a network saved by madem" in capsys.readouterr().err
