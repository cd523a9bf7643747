"""Files of the versions 1 and 2 load as they did, and say what they lack."""

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from madem.data import motions
from madem.errors import MademError, TaskError
from madem.learn import session
from madem.learn.train import recipe
from madem.learners.state import NetworkState
from madem.learners.twin import TwinLearner
from madem.network import file
from madem.network.network import StreamInputs
from madem_emulator.twin.config import Settings


def old_state() -> NetworkState:
    learner = TwinLearner(Settings(sizes=(2, 3, 2), seed=9).integers())
    x = np.random.default_rng(1).integers(0, 256, (5, 2)).astype(np.uint8)
    learner.learn(3000, x, np.array([0, 1, 0, 1, 0], np.uint8))
    return learner.state()


def header_of(state: NetworkState, notes: dict) -> dict:
    return {"config": asdict(state.config), "steps": state.steps, "notes": notes}


def old_bytes(state: NetworkState, header: dict | bytes, more: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    data = struct.pack("<6sHI", b"MADEM\0", 1, len(text)) + text
    data += b"".join([*state.devices, *state.accumulators]) + more
    return data + struct.pack("<I", zlib.crc32(data))


def test_it_loads_whole_and_does_not_know_its_columns(tmp_path: Path) -> None:
    state, path = old_state(), tmp_path / "old.madem"
    path.write_bytes(old_bytes(state, header_of(state, {"classes": ["a", "b"], "preset": "x"})))
    found = file.load(path)
    assert found.state == state
    assert (found.classes, found.inputs, found.notes["preset"]) == (("a", "b"), None, "x")
    with pytest.raises(TaskError, match="does not know its columns: an older madem saved it"):
        assert found.taught


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update(steps="abc"),
        lambda header: header.update(steps=-1),
        lambda header: header.update(steps=2**40),
        lambda header: header.update(steps=1.5),
        lambda header: header.update(notes=None),
        lambda header: header.update(notes=[1]),
        lambda header: header["config"]["layers"][0].update(gain=float("nan")),
        lambda header: header["config"]["layers"][0].update(gain=-5),
        lambda header: header["config"]["layers"][0].update(gain_shift=0),
        lambda header: header["config"].update(sizes="23"),
        lambda header: header["config"].update(sizes=[2**62, 2**62]),
        lambda header: header["config"].update(adc_bits=255),
        lambda header: header["config"].update(t_free=0),
        lambda header: header.update(notes={"classes": 5}),
        lambda header: header.update(notes={"classes": [1, 2]}),
        lambda header: header.update(notes={"pipeline": 5, "normalisation": "00"}),
        lambda header: header.update(notes={"pipeline": "window=8 | mean", "normalisation": ""}),
        lambda header: header.update(notes={"pipeline": "window=8 | mean", "normalisation": "zz"}),
    ],
)
def test_a_header_that_can_not_be_is_refused_in_one_line(
    tmp_path: Path, change: Callable[[dict], None]
) -> None:
    state, path = old_state(), tmp_path / "old.madem"
    header = json.loads(json.dumps(header_of(state, {})))
    change(header)
    path.write_bytes(old_bytes(state, header))
    with pytest.raises(MademError, match="by a madem that this one can't read") as told:
        file.load(path)
    assert "\n" not in str(told.value)


def test_a_header_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.madem"
    path.write_bytes(old_bytes(old_state(), b"[" * 200_000))
    with pytest.raises(MademError, match="nested too deep"):
        file.load(path)


def test_that_of_a_stream_brings_pipeline_and_normalisation(tmp_path: Path) -> None:
    state, path = old_state(), tmp_path / "old.madem"
    notes = {"pipeline": "window=8 hop=4 | mean | norm:4", "normalisation": bytes(12).hex()}
    path.write_bytes(old_bytes(state, header_of(state, notes)))
    inputs = file.load(path).inputs
    assert isinstance(inputs, StreamInputs)
    assert (inputs.normalisation, len(inputs.channels), inputs.named) == (bytes(12), 1, False)


def test_that_of_motions_goes_on(tmp_path: Path) -> None:
    task, path = motions.load(1), tmp_path / "old.madem"
    learner = session.fresh(None, recipe(task).settings.integers(), task)
    state = learner.state()
    path.write_bytes(old_bytes(state, header_of(state, state.notes)))
    again, _ = session.prepare(None, recipe(task), task, file.load(path))
    assert again.state() == state


@pytest.mark.parametrize("change", ["more", "fewer", "rule", "notes", "text", "longer"])
def test_a_sound_file_with_another_header_is_refused(tmp_path: Path, change: str) -> None:
    """As another madem might have written it."""
    state, path = old_state(), tmp_path / "old.madem"
    header = header_of(state, {})
    config = header["config"]
    if change == "more":
        config["drift"] = 3
    elif change == "fewer":
        del config["step"]
    elif change == "rule":
        config["rule"] = 9
    elif change == "notes":
        del header["notes"]
    more = b"\x80" if change == "longer" else b""
    path.write_bytes(old_bytes(state, b"{" if change == "text" else header, more))
    with pytest.raises(MademError, match="by a madem that this one can't read") as caught:
        file.load(path)
    assert "\n" not in str(caught.value)
