"""Saved states: what goes in comes out, and learning goes on as if nothing had happened."""

import json
import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madem.boards.open import open_board
from madem.errors import MademError
from madem.learn.session import prepare
from madem.learners import state
from madem.learners.board import connect
from madem.learners.protocol import Learner
from madem.learners.state import NetworkState
from madem.learners.twin import TwinLearner
from madem_emulator.twin.config import Config, Rule, Settings
from madem_emulator.twin.presets import PRESETS

RATE = 3000


def config_of(sizes: tuple[int, ...] = (6, 5, 4), **chosen: object) -> Config:
    every: dict = PRESETS["harsh"] | {"sizes": sizes, "seed": 9} | chosen
    return Settings(**every).integers()


def learned(learner: Learner, count: int, seed: int) -> bytes:
    """Answers to some samples that it learns."""
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (count, learner.config.sizes[0]), np.uint8)
    targets = random.integers(0, learner.config.sizes[-1], count, np.uint8)
    return learner.learn(RATE, x, targets).tobytes()


def asked(learner: Learner, count: int = 30) -> bytes:
    x = np.random.default_rng(4).integers(0, 256, (count, learner.config.sizes[0]), np.uint8)
    return learner.outputs(x).tobytes()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A small saved state."""
    learner = TwinLearner(config_of((2, 2)))
    learned(learner, 5, seed=1)
    path = tmp_path / "small.madem"
    state.save(learner.state(), path)
    return path


# --- the file -------------------------------------------------------------------------------------

configs = st.builds(
    config_of,
    st.lists(st.integers(1, 6), min_size=2, max_size=4).map(tuple),
    one_hot=st.booleans(),
    rule=st.sampled_from(Rule),
    seed=st.integers(0, 2**32 - 1),
    beta=st.floats(0.1, 3.9),
    weight_bits=st.integers(2, 8),
    dac_bits=st.integers(1, 8),
)
notes = st.dictionaries(
    st.text(max_size=9), st.text() | st.lists(st.text(), max_size=3), max_size=3
)


@st.composite
def states(draw: st.DrawFn) -> NetworkState:
    config = draw(configs)
    layers = [(m + 1) * n for m, n in pairwise(config.sizes)]
    return NetworkState(
        config,
        draw(st.integers(0, 2**30)),
        tuple(draw(st.binary(min_size=2 * n, max_size=2 * n)) for n in layers),
        tuple(draw(st.binary(min_size=n, max_size=n)) for n in layers),
        draw(notes),
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(states())
def test_what_is_saved_is_loaded(tmp_path: Path, one: NetworkState) -> None:
    path = tmp_path / "one.madem"
    state.save(one, path)
    loaded = state.load(path)
    assert loaded == one
    assert loaded.notes == one.notes
    assert isinstance(loaded.config.rule, Rule)
    assert [entry.name for entry in tmp_path.iterdir()] == ["one.madem"]


def test_the_same_state_is_the_same_file(tmp_path: Path) -> None:
    learner = TwinLearner(config_of())
    for name in "ab":
        state.save(learner.state(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_damaged_byte_is_noticed(saved: Path) -> None:
    whole = saved.read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        saved.write_bytes(damaged)
        with pytest.raises(MademError, match=str(saved)) as caught:
            state.load(saved)
        assert "\n" not in str(caught.value)


def test_every_truncation_is_noticed(saved: Path) -> None:
    whole = saved.read_bytes()
    for end in range(len(whole)):
        saved.write_bytes(whole[:end])
        with pytest.raises(MademError):
            state.load(saved)
    saved.write_bytes(whole + b"\0")
    with pytest.raises(MademError):
        state.load(saved)


def test_another_version_of_the_format(saved: Path) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[:6] + struct.pack("<H", 3) + whole[8:])
    with pytest.raises(MademError, match="has format 3, this madem reads the formats 1 and 2"):
        state.load(saved)


def signed(header: bytes, body: bytes) -> bytes:
    data = struct.pack("<6sHI", b"MADEM\0", 1, len(header)) + header + body
    return data + struct.pack("<I", zlib.crc32(data))


@pytest.mark.parametrize("change", ["more", "fewer", "rule", "notes", "text", "nothing"])
def test_a_sound_file_with_another_header(saved: Path, change: str) -> None:
    """As a later madem might write it."""
    whole = saved.read_bytes()
    (length,) = struct.unpack_from("<I", whole, 8)
    header = json.loads(whole[12 : 12 + length])
    config = header["config"]
    if change == "more":
        config["drift"] = 3
    elif change == "fewer":
        del config["step"]
    elif change == "rule":
        config["rule"] = 9
    elif change == "notes":
        del header["notes"]
    text = b"{" if change == "text" else json.dumps(header).encode()
    saved.write_bytes(signed(text, whole[12 + length : -4]))
    if change == "nothing":
        assert state.load(saved).steps == 5
    else:
        with pytest.raises(MademError, match="by a version of madem that this one can't read"):
            state.load(saved)


@pytest.mark.parametrize("missing", [1, -1, -8])
def test_a_sound_file_with_another_amount_of_weights(saved: Path, missing: int) -> None:
    whole = saved.read_bytes()
    (length,) = struct.unpack_from("<I", whole, 8)
    body = whole[12 + length : -4]
    saved.write_bytes(
        signed(whole[12 : 12 + length], body + b"\x80" if missing > 0 else body[:missing])
    )
    with pytest.raises(MademError, match="that this one can't read"):
        state.load(saved)


@pytest.mark.parametrize(
    "content", [b"", b"M", b"MADEM\0", b"a,b\n1,2\n", bytes(1000), b"\x89PNG\r\n\x1a\n" + bytes(99)]
)
def test_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(MademError, match="is not a state saved by madem"):
        state.load(path)


def test_files_that_can_not_be_read_or_written(tmp_path: Path, saved: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(MademError, match=f"can't load {path}"):
            state.load(path)
    one = state.load(saved)
    for path in (tmp_path / "none" / "x.madem", tmp_path, saved / "x.madem"):
        with pytest.raises(MademError, match="can't write"):
            state.save(one, path)
    assert list(tmp_path.iterdir()) == [saved]


def test_a_save_that_fails_leaves_the_old_file(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()
    write = Path.write_bytes

    def full_disk(self: Path, data: bytes) -> int:
        write(self, data[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(MademError, match="No space left"):
        state.save(TwinLearner(config_of()).state(), saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


# --- learning on ----------------------------------------------------------------------------------


def test_a_twin_goes_on_from_a_file(tmp_path: Path) -> None:
    never_stopped = TwinLearner(config_of())
    learned(never_stopped, 40, seed=1)
    state.save(never_stopped.state(), tmp_path / "it")
    resumed = TwinLearner(config_of((3, 2)))  # replaced by the state's
    resumed.load(state.load(tmp_path / "it"))
    assert asked(resumed) == asked(never_stopped)
    assert learned(resumed, 40, seed=2) == learned(never_stopped, 40, seed=2)
    assert resumed.state() == never_stopped.state()
    assert resumed.state().steps == 80


@pytest.mark.needs("unix")
def test_a_fresh_board_goes_on_where_another_stopped(tmp_path: Path) -> None:
    path = tmp_path / "it"
    with open_board("unix") as board:
        first = connect(board)
        first.configure(config_of((9, 30, 4), rule=Rule.ONE_SIDED))
        learned(first, 100, seed=1)
        state.save(first.state(), path)
        outputs = asked(first)
        answers = learned(first, 100, seed=2)  # never stopped
        final, final_outputs = first.state(), asked(first)
    with open_board("unix:heap=128K") as board:
        second = connect(board)
        second.load(state.load(path))
        assert second.stats().steps == 100
        assert asked(second) == outputs
        assert learned(second, 100, seed=2) == answers
        assert second.state() == final
        assert asked(second) == final_outputs
        # Onto a board that is in the middle of something else, too.
        second.load(state.load(path))
        assert asked(second) == outputs
        twin = TwinLearner(second.config)
        twin.load(state.load(path))
        assert asked(twin) == outputs
        assert learned(twin, 100, seed=2) == answers


def test_a_resumed_run_has_the_settings_of_its_state(tmp_path: Path) -> None:
    """The rate is worked out from the rule and beta: those of the state, not the default's."""
    from madem.data.registry import load_task
    from madem.learn.train import recipe

    task = load_task("braille-words")
    choice = recipe(
        task, hidden=(7,), beta=0.25, rule=Rule.ONE_SIDED, weight_bits=6, seed=3, rate_scale=(9, 1)
    )
    chosen = choice.settings
    state.save(TwinLearner(chosen.integers()).state(), tmp_path / "it")
    learner, plan = prepare(None, recipe(task), task, tmp_path / "it")
    assert learner.config == chosen.integers()
    assert learner.config.weight_bits == 6
    assert plan.settings.sizes == (60, 7, 9)
    # What a scale of 9 allows; and any rate comes out the same.
    assert plan.settings.highest_rate == chosen.highest_rate
    assert plan.settings.rate(plan.settings.highest_rate) == 16383 // 9
    assert plan.settings.rate(0.2) == chosen.rate(0.2) != recipe(task).settings.rate(0.2)
    assert plan.schedule(3) == choice.schedule(3)
    with pytest.raises(MademError, match="60 inputs and 9 outputs, braille needs 96 and 69"):
        prepare(None, recipe(load_task("braille")), load_task("braille"), tmp_path / "it")


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_bits_of_a_device_can_be_told_from_its_step(bits: int) -> None:
    assert config_of(weight_bits=bits).weight_bits == bits
