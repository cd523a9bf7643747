"""What the pages say is so: their commands parse, their numbers are the code's, their links lead
somewhere."""

import ast
import contextlib
import re
import shlex
from enum import IntEnum, IntFlag
from pathlib import Path
from struct import Struct

import pytest

from madem.boards import link_protocol
from madem.commands import COMMANDS, VERBS, training
from madem.commands.parser import make_parser
from madem.commands.terminal import Terminal
from madem.data.registry import TEST_FRACTION
from madem_emulator.twin.config import Rule, Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINKED = [*PAGES, ROOT / "CHANGELOG.md", *sorted((ROOT / "examples").rglob("*.md"))]


def code(page: Path) -> list[str]:
    """Every line of a code block, and every inline piece of code with its line breaks undone."""
    text = page.read_text()
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks += re.findall(r"(?:^ {4}.+\n)+", text, re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return lines + [" ".join(piece.split()) for piece in re.findall(r"`([^`]+)`", prose)]


MENTIONS = [*COMMANDS, *(f"{name} {verb}" for name, verbs in VERBS.items() for verb in verbs)]
"""Commands that a page names without saying what for."""


def madem_commands() -> list[object]:
    found = {}
    for page in PAGES:
        for line in code(page):
            command = re.sub(r"\s+#.*|\s+…$", "", line)
            if re.match(r"(\.venv/bin/)?madem( |$)", command):
                words = shlex.split(command)[1:]
                # Stand-ins for numbers.
                words = ["7" if word in ("N", "STEP") else word for word in words]
                found[f"{page.name}: {' '.join(words)}"] = words
    return [pytest.param(words, id=name) for name, words in found.items() if words]


@pytest.mark.parametrize("words", madem_commands())
def test_a_command_on_a_page_parses(words: list[str]) -> None:
    if " ".join(words) in MENTIONS:
        words = [*words, "--help"]
    with contextlib.suppress(SystemExit):  # of --help
        make_parser().parse_args(words)


def test_there_are_commands_on_the_pages() -> None:
    assert len(madem_commands()) >= 10


def test_the_options_of_the_readme_exist_and_their_defaults_are_right() -> None:
    """The paragraph **Choices.**: every option it names takes the value it names."""
    text = (ROOT / "README.md").read_text()
    choices = next(p for p in text.split("\n\n") if p.startswith("**Choices.**"))
    options = " ".join(choices.split("`")[1].split())
    args = make_parser().parse_args(["learn", "digits", *options.split()])
    assert args.bits == Settings.weight_bits
    assert args.beta == Settings.beta
    assert Rule[args.rule.upper()] == Settings.rule
    assert len(args.device) == 6
    for name, value in args.device.items():
        assert value == getattr(Settings, name)
    plain = make_parser().parse_args(["learn", "digits"])
    training.recipe(plain, training.load(plain, Terminal(quiet=True)))  # fills in the defaults
    assert (args.preset, args.seed) == (plain.preset, plain.seed)
    assert args.split == TEST_FRACTION


def anchors(page: Path) -> set[str]:
    """What a link may name behind `#`: each heading as GitHub writes it."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 1
        while (name := slug if number == 1 else f"{slug}-{number - 1}") in found:
            number += 1
        found.add(name)
    return found


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        to = page.parent / path if path else page
        assert to.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(to), f"{page.name} links to {target}"


# --- arithmetic.md --------------------------------------------------------------------------------


def rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table after a heading of a page, its own heading left out."""
    text = (ROOT / "docs" / page).read_text()
    part = text[text.index(f"\n{heading}\n") :]
    table = re.search(r"(?:^\|.*\|\n)+", part, re.MULTILINE)
    assert table
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]


def test_the_table_of_settings_has_the_defaults_of_the_code() -> None:
    named = set()
    for setting, default, _ in rows("reference/arithmetic.md", "## Configuration"):
        names = re.findall(r"`([a-z_]+)`", setting)
        names = ["nonlinearity_reset" if name == "_reset" else name for name in names]
        assert names, setting
        named |= set(names)
        values = [ast.literal_eval(part) for part in re.findall(r"[\d.]+", default)]
        if names == ["w_max"]:
            explicit = Settings(sizes=(3, 2, 2, 2), w_max=(values[0], values[1], values[1]))
            assert explicit.integers() == Settings(sizes=(3, 2, 2, 2)).integers()
        elif names in (["competition"], ["rate_scale"]):
            every: dict = {names[0]: (values[0],) * 3}
            explicit = Settings(sizes=(3, 2, 2, 2), **every)
            assert explicit.integers() == Settings(sizes=(3, 2, 2, 2)).integers()
        else:
            values *= len(names) if len(values) == 1 else 1
            assert [getattr(Settings, name) for name in names] == values, setting
    fields = set(Settings.__dataclass_fields__)
    assert named <= fields
    # What is said elsewhere on the page, or is no number of the device's.
    rest = {"sizes", "one_hot", "seed", "rule", "extra"}
    assert fields - named <= rest


@pytest.mark.parametrize(
    ("name", "symbol", "value"),
    [
        ("weight_bits", "STEP", 4),
        ("cycle_to_cycle", "C2C", 0.3),
        ("device_to_device", "D_step", 0.2),
        ("device_to_device", "D_top", 0.2),
        ("stuck", "STUCK", 0.03),
        ("stuck", "STUCK", 1.0),
        ("init", "INIT", 0.3),
        ("nonlinearity_set", "NL", -0.7),
        ("nonlinearity_reset", "NL", 1.3),
        ("dac_bits", "DAC_MASK", 5),
        ("beta", "BETA", 0.7),
        ("target_high", "T", 0.9),
        ("target_low", "T", 0.1),
    ],
)
def test_the_formulas_of_the_table_are_those_of_the_code(
    name: str, symbol: str, value: float
) -> None:
    (cell,) = (
        formula
        for setting, _, formula in rows("reference/arithmetic.md", "## Configuration")
        if f"`{name}`" in setting or (name == "nonlinearity_reset" and "`_reset`" in setting)
    )
    formula = re.search(rf"`{symbol} = ([^`]+)`", cell)
    assert formula
    python = formula[1].translate(str.maketrans({"·": "*", "−": "-", "^": "§"}))
    python = python.replace("§", "**")
    variables = {"σ": value, "b": value, "bits": value, "fraction": value, "value": value}
    variables |= {"beta": value}
    expected = eval(python, {"round": round, "min": min}, variables)
    chosen: dict = {name: value}
    config = Settings(sizes=(3, 2), **chosen).integers()
    code_name = {
        "T": {"target_high": "t_hi", "target_low": "t_lo"}.get(name, ""),
        "NL": name.replace("nonlinearity", "nl"),
    }.get(symbol, symbol.lower())
    assert getattr(config, code_name) == expected


# --- link.md --------------------------------------------------------------------------------------


CODES = {"u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i"}


def text_of(page: str) -> str:
    """A page with its line breaks undone."""
    return " ".join((ROOT / "docs" / page).read_text().split())


def fields(text: str, typed: bool = False) -> str:
    """Codes of struct for the fields that a text begins with, such as `u8 mode, u16 rate`.

    Args:
        text: remarks in brackets don't count.
        typed: a field without a type has that of the one before it; otherwise it ends the layout.
    """
    found = ""
    for part in re.split(r"[,;]", re.sub(r"\([^)]*\)", "", text)):
        words = part.split() or ["?"]
        if words[0] in CODES:
            found += CODES[words[0]]
        elif typed:
            found += found[-1]
        else:
            break
    return found


def plain(layout: Struct) -> str:
    """A layout with each of its fields by itself."""
    return re.sub(r"(\d+)(.)", lambda match: int(match[1]) * match[2], layout.format[1:])


def choices(text: str) -> dict[str, tuple[int, str]]:
    """Of a text such as `0 ask (u32 window, u16 ms), 1 stop`: by name, number and fields."""
    return {
        name.upper().replace(" ", "_"): (int(number), fields(inside or ""))
        for number, name, inside in re.findall(r"\b(\d+) ([a-z_ ]+[a-z])(?: \(([^)]*)\))?", text)
    }


def table(heading: str) -> dict[str, int]:
    """Names and numbers of the table of the link's page that begins with a heading."""
    found = re.search(
        rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)",
        (ROOT / "docs/reference/link.md").read_text(),
        re.MULTILINE,
    )
    assert found, heading
    cells = [line.split("|") for line in found[1].splitlines()]
    return {cell[2].strip().upper(): int(cell[1]) for cell in cells}


def requests() -> dict[str, tuple[str, str]]:
    """Payload and reply of each kind, as the page has them."""
    return {row[1]: (row[2], row[3]) for row in rows("reference/link.md", "## Requests")}


def test_the_kinds_of_the_link_are_those_of_the_code() -> None:
    kinds = {row[1]: int(row[0]) for row in rows("reference/link.md", "## Requests")}
    assert kinds == {kind.name: kind for kind in link_protocol.Kind}


@pytest.mark.parametrize(
    ("heading", "group"),
    [
        ("code", link_protocol.Error),
        ("region", link_protocol.Memory),
        ("mode", link_protocol.Mode),
        ("flag", link_protocol.Flag),
        ("outcome", link_protocol.Outcome),
    ],
)
def test_a_table_of_the_link_has_the_numbers_of_the_code(
    heading: str, group: type[IntEnum] | type[IntFlag]
) -> None:
    assert table(heading) == {each.name: each.value for each in group}


def test_every_error_of_the_link_has_a_text() -> None:
    assert set(link_protocol.ERROR_TEXTS) == set(link_protocol.Error)


@pytest.mark.parametrize(
    ("where", "group"),
    [
        (r"^\| 4 \|.*?u8 reply: (.*?); samples \|", link_protocol.PredictReply),
        (r"^\| 12 \|.*u8 features \((.*?)\)", link_protocol.Feature),
        (r"^\| 16 \|.*?u8 what: (.*?) \|", link_protocol.LiveRequest),
        (r"^\| 17 \|.*?u8 what: (.*?) \|", link_protocol.CalibrateRequest),
        (r"^\| 18 \|.*?u8 what: (.*?) \|", link_protocol.CodesRequest),
        (r"^\| 19 \|.*?u8 what: (.*?) \|", link_protocol.GateRequest),
        (r"An event is u8 kind \((.*?)\)", link_protocol.Event),
        (r"window gives: (.*?)\)", link_protocol.Gives),
    ],
)
def test_the_choices_of_a_request_are_those_of_the_code(
    where: str, group: type[IntEnum] | type[IntFlag]
) -> None:
    page = (ROOT / "docs/reference/link.md").read_text()
    (text,) = re.findall(where, page, re.MULTILINE)
    found = {name: number for name, (number, _) in choices(text).items()}
    assert found == {each.name: each.value for each in group}


def layouts_of_the_page() -> dict[str, str]:
    """Fields of every layout of the link, as the page has them."""
    whole = text_of("reference/link.md")
    asks = {kind: payload for kind, (payload, _) in requests().items()}
    says = {kind: reply for kind, (_, reply) in requests().items()}

    def after(words: str, end: str = r"\.") -> str:
        (found,) = re.findall(rf"{words} (.*?){end}", whole)
        return found

    head, seed, device, _, layers, _ = after("CONFIGURE is:").split(";")
    frame = [row[0] for row in rows("reference/link.md", "## Frames")]
    sub = {kind: choices(asks[kind]) for kind in ("LIVE", "GATE", "CALIBRATE", "CODES")}
    return {
        "FRAME_HEAD": "".join({"1": "B", "2": "H"}[size] for size in frame[: frame.index("…")]),
        "HELLO_REPLY": fields(says["HELLO"]),
        "CONFIGURE_HEAD": fields(head, typed=True) + fields(seed),
        "CONFIGURE_DEVICE": fields(device, typed=True),
        "CONFIGURE_LAYER": fields(layers.removeprefix(" and for each weight layer"), typed=True),
        "CONFIGURE_REPLY": fields(says["CONFIGURE"]),
        "LEARN_HEAD": fields(asks["LEARN"]),
        "PREDICT_HEAD": fields(asks["PREDICT"]),
        "MEMORY_HEAD": fields(asks["READ"]),
        "WRITE_VERIFY_REPLY": fields(after("its reply is", r" \(")),
        "STATS_REPLY": fields(says["STATS"]),
        "FLIP": fields(asks["FLIP"]),
        "ADD_STUCK": fields(asks["ADD_STUCK"]),
        "ECHO_MANY": fields(asks["ECHO"].split("; ")[1]),
        "PIPELINE": fields(asks["PIPELINE"]),
        "PIPELINE_REPLY": fields(says["PIPELINE"]),
        "FEED_HEAD": fields(asks["FEED"]),
        "FEED_REPLY": fields(says["FEED"]),
        "GATE_SETTINGS": "B" + sub["GATE"]["SETTINGS"][1],
        "GATE_REPLY": fields(says["GATE"]),
        "SOURCE_HEAD": fields(asks["SOURCE"]),
        "SOURCE_REPLY": fields(says["SOURCE"]),
        **{f"LIVE_{name}": "B" + of for name, (_, of) in sub["LIVE"].items() if of},
        "LIVE_STATUS": fields(after("The reply to all but 4 is", ", at most")),
        "LIVE_WINDOW": fields(after("at most 3:")),
        **{f"CALIBRATE_{name}": "B" + of for name, (_, of) in sub["CALIBRATE"].items() if of},
        "CALIBRATE_COUNTS_REPLY": fields(says["CALIBRATE"].split("5: ")[1]),
        "CODES_HEAD": "B" + sub["CODES"]["LEARN"][1],
        "CODES_GO_ON": "B" + sub["CODES"]["GO_ON"][1],
        "CODES_PIECE": fields(after("is the reply to a request of its own:")),
        "CODES_EVENT": fields(after("An event is", "and of a read")),
        "CODES_REPLY": fields(after("The last reply is")),
    }


def test_the_layouts_of_the_link_are_those_of_the_code() -> None:
    layouts = {
        n: plain(each) for n, each in vars(link_protocol).items() if isinstance(each, Struct)
    }
    assert layouts_of_the_page() == layouts


def test_the_file_of_a_calibration_is_that_of_the_code() -> None:
    text = text_of("hardware/calibration.md")
    name, byte = re.findall(r"`(madem.cal)` and a byte (\d)", text)[0]
    assert name.encode() + bytes([int(byte)]) == link_protocol.CALIBRATION_MAGIC
    assert f"({1 << link_protocol.CALIBRATION_SHIFT} is 1)" in text
