"""Both ends say the same: the firmware's constants, read from its syntax trees, against the host's.

The firmware imports what a computer has not, and private constants are gone once it is compiled.
So its source is read. Numbers have the host's names behind a prefix that tells which they are;
layouts those of the host's structs and `_LAYOUT`. What must not allocate reads a layout by hand:
then the places that it reads are compared.
"""

import ast
import re
from enum import IntEnum, IntFlag
from pathlib import Path
from struct import Struct

import pytest

from madem.boards import link_protocol as host

FIRMWARE = Path(__file__).parents[2] / "firmware" / "madem"

PREFIXES: dict[type[IntEnum | IntFlag], str] = {
    host.Memory: "MEMORY_",
    host.PredictReply: "PREDICT_",
    host.Feature: "FEATURE_",
    host.Mode: "MODE_",
    host.Flag: "FLAG_",
    host.Outcome: "OUTCOME_",
    host.GateRequest: "GATE_",
    host.LiveRequest: "LIVE_",
    host.Gives: "GIVES_",
    host.CalibrateRequest: "CALIBRATE_",
    host.CodesRequest: "CODES_",
    host.Event: "EVENT_",
}
"""What the names of each kind of number begin with in the firmware."""

READ_BY_HAND = {
    "LEARN_HEAD": "link_server.py _learn",
    "PREDICT_HEAD": "link_server.py _predict",
    "ADD_STUCK": "link_server.py _add_stuck",
    "ECHO_MANY": "link.py echo",
    "FEED_HEAD": "stream_feed.py feed",
    "CODES_GO_ON": "frontend_codes.py _flush",
}
"""Layouts without a name in the firmware, and the function that reads each."""

SPEAK = (
    "link",
    "link_protocol",
    "link_server",
    "network_config",
    "stream_feed",
    "stream_gate",
    "learn_gate",
    "sampling_source",
    "stream_onboard",
)
SPEAK += ("stream_features", "calibration_measure", "calibration_apply", "frontend_codes")
"""Modules that know the protocol."""

Constants = dict[str, dict[str, int | str | bytes]]
"""By file and by name."""


def constants(sources: dict[str, str]) -> Constants:
    """Constants of modules, without the underscore that keeps them private.

    Raises:
        AssertionError: a private number lacks `const()`, so that it takes memory.
    """
    found: Constants = {}
    for file, source in sources.items():
        names = found[file] = {}
        for node in ast.parse(source).body:
            if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
                continue
            name, value = node.targets[0].id, node.value
            folded = isinstance(value, ast.Call) and ast.unparse(value.func) == "const"
            if isinstance(value, ast.Call) and folded:
                value = value.args[0]
            try:
                known = ast.literal_eval(value)
            except ValueError:
                continue  # worked out on the board, or of other constants
            if isinstance(known, int):
                assert folded or not name.startswith("_"), f"{file}: {name} lacks const()"
            if isinstance(known, int | str | bytes):
                names[name.lstrip("_")] = known
    return found


def numbers(found: Constants) -> dict[str, int]:
    """Every number with a prefix of the protocol's.

    Raises:
        AssertionError: one stands in two files.
    """
    known: dict[str, int] = {}
    for file, names in found.items():
        for name, value in names.items():
            if isinstance(value, int) and name.startswith(tuple(PREFIXES.values())):
                assert name not in known, f"{name} stands in {file} and elsewhere"
                known[name] = value
    return known


def check_numbers(found: Constants) -> None:
    """Kinds, errors and what has a prefix: the same names and values on both sides."""
    known = numbers(found)
    single = {name for name, value in vars(host).items() if isinstance(value, int | bytes)}

    def rest(file: str) -> dict[str, int | str | bytes]:
        return {
            name: value
            for name, value in found[file].items()
            if isinstance(value, int) and name not in known and name not in single
        }

    kinds = {"HELLO": found["link.py"]["HELLO"], **rest("link_server.py")}
    assert kinds == {kind.name: kind for kind in host.Kind}
    assert rest("link_protocol.py") == {error.name: error for error in host.Error}
    wanted = {f"{prefix}{e.name}": e.value for group, prefix in PREFIXES.items() for e in group}
    assert {n: value for n, value in known.items() if n not in single} == wanted


def check_singles(found: Constants) -> None:
    """Numbers without a group: the firmware has each of the host's, once."""
    wanted = {name: v for name, v in vars(host).items() if isinstance(v, int | bytes)}
    wanted = {name: value for name, value in wanted.items() if not name.startswith("_")}
    for name, value in wanted.items():
        places = [names[name] for names in found.values() if name in names]
        assert places == [value], name


def layouts(found: Constants) -> dict[str, str]:
    """The firmware's layouts, by the host's names."""
    return {
        name.removesuffix("_LAYOUT"): value
        for names in found.values()
        for name, value in names.items()
        if isinstance(value, str) and name.endswith("_LAYOUT")
    }


def check_layouts(found: Constants) -> None:
    """Every layout is on both sides, with the same fields."""
    structs = {name: s.format for name, s in vars(host).items() if isinstance(s, Struct)}
    assert not set(READ_BY_HAND) - set(structs)
    by_name = {name: form for name, form in structs.items() if name not in READ_BY_HAND}
    assert layouts(found) == by_name


def unnamed(sources: dict[str, str]) -> list[str]:
    """Calls of struct whose layout is of several fields and has no name."""
    calls = []
    for file, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("struct."):
                form = ast.unparse(node.args[0])
                one_field = re.match(r"\(?'<(%d)?[A-Za-z]'", form)
                if not (one_field or form.endswith("_LAYOUT")):
                    calls.append(f"{file}: {form}")
    return calls


def fields_read(source: str, function: str) -> dict[int, str]:
    """Fields of a payload that a function reads by hand, by their places: B, H and I."""
    (body,) = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == function
    )
    found: dict[int, str] = {}
    for node in ast.walk(body):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("u16", "u32"):
            code = {"u16": "H", "u32": "I"}[ast.unparse(node.func)]
            buffer, place = map(ast.unparse, node.args)
        elif isinstance(node, ast.Subscript):
            code = "B"
            buffer, place = ast.unparse(node.value), ast.unparse(node.slice)
        else:
            continue
        plain = re.fullmatch(r"(?:at|_HEAD)(?: \+ (\d+))?", place)
        if buffer == "body" and plain:
            found[int(plain[1] or 0)] = code
    return found


def check_read_by_hand(sources: dict[str, str]) -> None:
    """Every field is read where it is, as what it is."""
    for name, place in READ_BY_HAND.items():
        file, function = place.split()
        expected, at = {}, 0
        for code in getattr(host, name).format[1:]:
            expected[at] = code
            at += Struct(code).size
        assert fields_read(sources[file], function) == expected, name


def check(sources: dict[str, str]) -> None:
    """Everything."""
    speak = {f"{name}.py": sources[f"{name}.py"] for name in SPEAK}
    found = constants(speak)
    check_numbers(found)
    check_singles(found)
    check_layouts(found)
    for name in ("stream_features.py", "learn_gate.py"):  # what these pack is not of the link
        del speak[name]
    assert unnamed(speak) == []
    check_read_by_hand(speak)


@pytest.fixture
def sources() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(FIRMWARE.glob("*.py"))}


def test_firmware_and_host_say_the_same(sources: dict[str, str]) -> None:
    check(sources)


def test_no_private_number_takes_memory(sources: dict[str, str]) -> None:
    assert constants(sources)


@pytest.mark.parametrize(
    ("file", "was", "becomes"),
    [
        ("link_server.py", "_FLIP = const(9)", "_FLIP = const(20)"),
        ("link_server.py", "_FLIP = const(9)", "_FLIP = const(9)\n_NEW = const(20)"),
        ("link_server.py", "_FLIP = const(9)\n", ""),
        ("link_server.py", "_FLIP = const(9)", "_FLIP = 9"),
        ("link_protocol.py", "FRONT_END = 8", "FRONT_END = 9"),
        ("link_protocol.py", "FRONT_END = 8", "FRONT_END = 8\nNEW = 9"),
        ("link.py", "_NAK = const(0xFE)", "_NAK = const(0xFD)"),
        ("stream_feed.py", "FLAG_OWN = 8", "FLAG_OWN = 32"),
        ("stream_feed.py", "FLAG_OWN = 8", "FLAG_OWN = 8\nFLAG_NEW = 32"),
        ("learn_gate.py", "_OUTCOME_ROLLBACK = const(8)\n", ""),
        ("learn_gate.py", "_PRICE = const(100)", "OUTCOME_RIGHT = 1"),
        ("stream_gate.py", '"<BHBBHH"', '"<BHBBHI"'),
        ("learn_gate.py", "_PRICE = const(100)", '_NEW_LAYOUT = const("<BB")'),
        ("stream_gate.py", "_GATE_SETTINGS_LAYOUT, body", '"<BHBBHI", body'),
        ("stream_onboard.py", "_LIVE_RAW = const(4)", "_LIVE_RAW = const(5)"),
        ("calibration_apply.py", "madem.cal\\1", "madem.cal\\2"),
        ("frontend_codes.py", '_CODES_EVENT_LAYOUT = const("<BH")', ""),
        ("stream_feed.py", "u16(body, at + 4)", "u16(body, at + 3)"),
        ("stream_feed.py", "u16(body, at + 4)", "body[at + 4]"),
    ],
)
def test_a_difference_is_found(sources: dict[str, str], file: str, was: str, becomes: str) -> None:
    assert was in sources[file]
    sources[file] = sources[file].replace(was, becomes)
    with pytest.raises(AssertionError):
        check(sources)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Kind", IntEnum("Kind", {**host.Kind.__members__, "NEW": 20})),
        ("Error", IntEnum("Error", {**host.Error.__members__, "NEW": 9})),
        ("VERSION", 99),
        ("NEW", 7),
        ("NEW_HEAD", Struct("<BB")),
        ("LEARN_HEAD", Struct("<IHBH")),
        ("LIVE_ASK", Struct("<BHI")),
    ],
)
def test_what_only_the_host_has_is_found(
    monkeypatch: pytest.MonkeyPatch, sources: dict[str, str], name: str, value: object
) -> None:
    monkeypatch.setattr(host, name, value, raising=False)
    with pytest.raises(AssertionError):
        check(sources)
