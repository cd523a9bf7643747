"""The file of a network: what is written is read, what is damaged is refused in one line."""

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madem.data.scaling import COUNTS, Scaling
from madem.errors import MademError
from madem.learners.board import pack_config
from madem.learners.state import NetworkState
from madem.learners.twin import TwinLearner
from madem.network import file
from madem.network.network import Channel, Column, Network, StreamInputs, TableInputs, WordInputs
from madem_emulator.twin.config import Config, Settings
from madem_emulator.twin.pipeline import parse

PAGE = Path(__file__).parents[3] / "docs/reference/network_file.md"


def network(sizes: tuple[int, ...] = (2, 3, 2), **more: object) -> Network:
    """A fresh network with two named columns."""
    state = TwinLearner(Settings(sizes=sizes).integers()).state()
    columns = TableInputs.of(
        Scaling.between([0.0, -1.5], [16.0, 2.5]), ("long", "wide"), ("cm", "")
    )
    return replace(Network(state, ("a", "b"), columns, {"label": "kind"}), **more)


def same(a: Network, b: Network) -> bool:
    return a == b and a.notes == b.notes


names = st.text(max_size=40)
columns = st.builds(
    lambda name, unit, decimals, ends, origin: Column(
        name, unit, decimals, min(ends), max(ends), origin
    ),
    names,
    names,
    st.integers(-300, 300),
    st.tuples(*[st.integers(-COUNTS, COUNTS - 1)] * 2),
    st.floats(allow_nan=False, allow_infinity=False),
)


@given(st.lists(columns, min_size=2, max_size=2), st.lists(names, min_size=2, max_size=2))
def test_columns_and_classes_come_back(given_: list[Column], classes: list[str]) -> None:
    one = network(inputs=TableInputs(tuple(given_)), classes=tuple(classes))
    assert same(file.unpack(file.pack(one)), one)


@given(
    st.lists(st.builds(Channel, names, names, st.floats(1e-300, 1e300)), min_size=2, max_size=2),
    st.sampled_from(["window=8 | mean", "window=32 hop=8 | mean energy bands:3 | norm:12 follow"]),
    st.none() | st.floats(0.01, 1e5),
    st.data(),
)
@settings(max_examples=30)
def test_streams_come_back(
    channels: list[Channel], line: str, rate: float | None, data: st.DataObject
) -> None:
    pipeline = parse(line, 2)
    size = 4 + 8 * pipeline.features
    normalisation = data.draw(st.binary(min_size=size, max_size=size))
    one = network(
        (pipeline.inputs, 2),
        inputs=StreamInputs(tuple(channels), str(pipeline), normalisation, rate),
    )
    assert same(file.unpack(file.pack(one)), one)


def test_words_come_back() -> None:
    state = TwinLearner(Settings(sizes=(68, 62), one_hot=False).integers()).state()
    one = Network(state, ("turing", "hopper"), WordInputs(4), {})
    assert same(file.unpack(file.pack(one)), one)
    assert file.unpack(file.pack(one)).recalls


def test_physical_devices_come_back() -> None:
    arrays = {"g": np.linspace(0, 1e-5, 12).reshape(3, 4), "stuck": np.zeros(5, bool)}
    one = network()
    one = replace(one, state=replace(one.state, physical=arrays))
    found = file.unpack(file.pack(one)).state.physical
    assert found is not None
    assert set(found) == set(arrays)
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


@given(
    st.builds(
        Settings,
        sizes=st.sampled_from([(1, 1), (3, 2, 2), (64, 32, 10), (5, 4, 3, 2)]),
        seed=st.integers(0, 2**32 - 1),
        weight_bits=st.integers(2, 8),
        stuck=st.floats(0, 1),
        one_hot=st.booleans(),
        nonlinearity_set=st.floats(-1.9, 1.9),
    )
)
def test_every_integer_of_a_configuration_comes_back(wanted: Settings) -> None:
    config: Config = wanted.integers()
    assert file.unpack_config(pack_config(config)) == config


def test_a_board_s_file_has_all_but_what_only_a_desktop_reads() -> None:
    one = network()
    whole, small = file.pack(one), file.pack(one, board=True)
    assert len(small) < len(whole)
    found = file.unpack(small)
    assert found == replace(one, notes={})
    assert found.notes == {}


def gate(checkpoint_at: int) -> bytes:
    """A section GATE up to the checkpoint's devices."""
    return struct.pack(
        "<HBBHHHHIHIIHHI", 40, 100, 4, 900, 50, 7, 8, 9, 10, 11, 1, 9, 8, checkpoint_at
    )


def test_what_a_board_goes_on_from_is_kept() -> None:
    one = network()
    devices = b"".join(one.state.devices)
    for copied in (gate(0xFFFFFFFF), gate(12) + devices):
        on_board = {b"RATE": b"\1\2\3", b"GATE": copied, b"SRCE": b"\0\0\1\0\0\3adc\x1a"}
        on_board[b"SAVE"] = b"\7\0\0\0"
        for board in (False, True):
            found = file.unpack(file.pack(replace(one, on_board=on_board), board))
            assert found.on_board == on_board
    facts = file.gate_facts(gate(12))
    assert (facts["gate"], facts["every"], facts["learned"], facts["checkpoint_at"]) == (
        40,
        50,
        11,
        12,
    )
    assert file.gate_facts(gate(0xFFFFFFFF))["checkpoint_at"] == -1
    for tag, wrong in (
        (b"RATE", b"\1\2"),
        (b"SAVE", b"\1\2\3"),
        (b"GATE", gate(0xFFFFFFFF)[:-1]),
        (b"GATE", gate(12)),
        (b"GATE", gate(12) + devices[:-1]),
        (b"GATE", gate(0xFFFFFFFF) + devices),
    ):
        with pytest.raises(file._FormatError, match=f"section {tag.decode()} "):
            file.unpack(file.pack(replace(one, on_board={tag: wrong})))


def test_sections_it_does_not_know_are_passed_over() -> None:
    data = file.pack(network())[:-4] + b"NEWS" + struct.pack("<I", 3) + b"xyz"
    assert same(file.unpack(data + struct.pack("<I", zlib.crc32(data))), network())


@given(st.data())
def test_a_flipped_bit_or_a_cut_is_always_refused_in_one_line(data: st.DataObject) -> None:
    whole = bytearray(file.pack(network()))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    with pytest.raises(file._FormatError) as refused:
        file.unpack(bytes(whole))
    assert "\n" not in str(refused.value)


@given(st.data())
@settings(max_examples=300)
def test_sections_that_make_no_sense_are_refused_though_the_checksum_is_right(
    data: st.DataObject,
) -> None:
    sections = file._sections(network())
    tag = data.draw(st.sampled_from(sorted(sections)))
    content = bytearray(sections[tag])
    how = data.draw(st.sampled_from(["flip", "cut", "more", "random", "gone"]))
    if how == "flip" and content:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "cut":
        del content[data.draw(st.integers(0, max(0, len(content) - 1))) :]
    elif how == "more":
        content += data.draw(st.binary(min_size=1, max_size=9))
    elif how == "random":
        content = bytearray(data.draw(st.binary(max_size=80)))
    changed = {name: bytes(content) if name == tag else kept for name, kept in sections.items()}
    if how == "gone":
        del changed[tag]
    body = file._HEAD.pack(file.MAGIC, file.VERSION, 0)
    body += b"".join(file._SECTION.pack(n, len(d)) + d for n, d in changed.items())
    try:
        found = file.unpack(body + struct.pack("<I", zlib.crc32(body)))
    except file._FormatError:
        return
    assert isinstance(found.state, NetworkState)  # or read as what it says
    file.pack(found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a network saved by madem"),
        (b"PK\3\4" + bytes(40), "is not a network saved by madem"),
        (b"MADEM\0" + struct.pack("<HH", 9, 0) + bytes(20), "a newer madem"),
        (b"MADEM\0" + struct.pack("<HH", 3, 0) + bytes(20), "its checksum is wrong"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.madem"
    path.write_bytes(content)
    with pytest.raises(MademError, match=message):
        file.load(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(MademError, match=r"can't load .*No such file"):
        file.load(tmp_path / "none.madem")


def test_the_page_lists_the_sections_in_their_order() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    listed = [row.split("`")[1] for row in rows]
    one = network()
    one = replace(one, state=replace(one.state, physical={"g": np.zeros(1)}))
    one = replace(one, on_board=dict.fromkeys(file.ON_BOARD, b""))
    written = [tag.decode() for tag in file._sections(one)]
    assert [tag for tag in listed if tag in written] == written
    assert set(listed) - set(written) == {"CHAN", "PIPE", "WORD"}
    desktop = {row.split("`")[1] for row in rows if row.rstrip().endswith("| desktop |")}
    assert {tag.decode() for tag in file.DESKTOP_ONLY} == desktop
    board = {row.split("`")[1] for row in rows if row.rstrip().endswith("| board |")}
    assert {tag.decode() for tag in file.ON_BOARD} == board


def test_json_of_the_notes_is_the_same_bytes_in_any_order() -> None:
    a, b = network(notes={"x": 1, "y": 2}), network(notes={"y": 2, "x": 1})
    assert file.pack(a) == file.pack(b)
    assert json.loads(file._sections(a)[b"NOTE"]) == {"x": 1, "y": 2}
