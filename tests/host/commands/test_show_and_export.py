"""madem show and madem export: what a saved network is, and its integers, in a process' terms."""

import json
from pathlib import Path

import numpy as np
import pytest

from madem.cli import main
from madem.data.scaling import Scaling
from madem.learners.twin import TwinLearner
from madem.network import file
from madem.network.network import Channel, Network, StreamInputs, TableInputs
from madem.stream import sensors
from madem_emulator.twin.config import Settings
from madem_emulator.twin.pipeline import parse


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


def test_export_names_the_sensor_of_a_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline = parse("window=16 hop=8 | mean energy | norm:5", 6)
    state = TwinLearner(Settings(sizes=(pipeline.inputs, 2)).integers()).state()
    normalisation = bytes(4 + 8 * pipeline.features)
    channels = tuple(Channel(f"axis {k}", "g", 0.5) for k in range(6))
    inputs = StreamInputs(channels, str(pipeline), normalisation, 50.0)
    stream, out = tmp_path / "stream.madem", tmp_path / "board.madem"
    file.save(Network(state, ("a", "b"), inputs), stream)
    words = ["export", str(stream), "--board", str(out), "--sensor"]
    assert main([*words, "mpu6050:rate=50,labels=10+11", "--quiet"]) == 0
    found = file.load(out)
    assert found.on_board == {b"SRCE": sensors.parse("mpu6050:rate=50,labels=10+11").packed()}
    assert main(["show", str(out)]) == 0
    assert "on a board: sensor mpu6050" in capsys.readouterr().out
    # And it is still there when it is exported again.
    assert main(["export", str(out), "--board", str(tmp_path / "again.madem"), "--quiet"]) == 0
    assert file.load(tmp_path / "again.madem") == found
    capsys.readouterr()
    assert main([*words, "adc:pins=26"]) == 2
    assert "the network has 6 channels (axis 0, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say what to write"),
        (["--out", "{saved}"], "would write over"),
        (["--out", "{saved}2", "--sensor", "adc"], "give --board FILE too"),
        (["--board", "{saved}2", "--sensor", "adc"], "no channels of a stream"),
        (["--board", "{saved}2", "--sensor", "nose"], "there is no sensor 'nose'"),
    ],
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
