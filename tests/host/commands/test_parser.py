"""The parsers: a verb takes its own options, refuses those of others, and imports what it needs."""

import argparse
import re
import shlex
import subprocess
import sys

import pytest

from madem import cli
from madem.commands import COMMANDS, VERBS
from madem.commands.parser import UsageError, VerbParser, leaves, make_parser

LEAVES = {verb.prog.removeprefix("madem "): verb for verb in leaves(make_parser(complete=True))}
SLOW = {"numpy", "scipy", "matplotlib", "sklearn", "rich", "serial", "mpremote", "shtab", "dask"}


def test_every_command_and_every_verb_has_a_parser() -> None:
    wanted = [name for name in COMMANDS if name not in VERBS]
    wanted += [f"{name} {verb}" for name, verbs in VERBS.items() for verb in verbs]
    assert sorted(LEAVES) == sorted(wanted)


def refusal(words: list[str]) -> str:
    """What is said of a command that is refused."""
    with pytest.raises(UsageError) as refused:
        make_parser().parse_args(words)
    return str(refused.value)


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What --help prints."""
    with pytest.raises(SystemExit) as end:
        make_parser().parse_args([*words, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


# --- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", LEAVES.values(), ids=LEAVES.keys())
def test_help_says_what_a_verb_does_and_what_each_option_is(
    verb: VerbParser, capsys: pytest.CaptureFixture[str]
) -> None:
    said = help_of(verb.prog.split()[1:], capsys)
    assert verb.description
    assert verb.description in said
    assert {"--json", "--quiet"} <= set(verb.options)
    for action in verb._actions:
        if action.help == argparse.SUPPRESS:  # shown by `madem data --help` and the like
            known = (LEAVES[name].options for name in ("data", "calibrate", "deploy"))
            shown = {"--source"}.union(*known)
            assert set(action.option_strings) <= shown
            continue
        assert action.help, f"{verb.prog} {action.option_strings} has no help"
        if action.option_strings and action.dest != "help":
            assert re.search(r"\((default: .+|needed.*)\)", action.help), (verb.prog, action.help)


def test_learn_has_28_options_at_most_in_groups() -> None:
    learn = LEAVES["learn"]
    shown = [action for action in learn._actions if action.help != argparse.SUPPRESS]
    assert len([action for action in shown if action.option_strings]) <= 28
    titles = [group.title for group in learn._action_groups if group._group_actions]
    assert titles[2:] == ["what is learned", "network and rule", "devices", "results"]


@pytest.mark.parametrize("verb", LEAVES.values(), ids=LEAVES.keys())
def test_the_examples_of_a_help_parse(verb: VerbParser) -> None:
    text = re.sub(r"\\\n\s*", "", verb.description or "")
    examples = re.findall(r"^    (?:source <\()?(madem [^\n]*?)\)?$", text, re.MULTILINE)
    assert examples, f"{verb.prog} has no example"
    for line in examples:
        words = shlex.split(line, comments=True)[1:]
        assert make_parser().parse_args(words).run, line
        assert words[: len(verb.prog.split()) - 1] == verb.prog.split()[1:]


@pytest.mark.parametrize("name", VERBS)
def test_the_help_of_a_command_of_verbs_has_a_line_for_each(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = help_of([name], capsys)
    for verb in VERBS[name]:
        assert re.search(rf"^    {verb} +\w", said, re.MULTILINE)


# --- what is refused ------------------------------------------------------------------------------

NEEDED = {
    "predict": ["new.csv", "--load", "net.madem"],
    "stream record": ["motions", "--out", "it.csv"],
    "stream cost": ["window=8 | mean"],
    "stream live": ["mpu6050"],
    "novelty": ["motions", "--novel", "Walking"],
    "completion": ["bash"],
}
"""Words without which a verb is not understood; others need at most a task or a source."""


def plain(verb: VerbParser) -> list[str]:
    """The shortest words that a verb understands."""
    name = verb.prog.removeprefix("madem ")
    if name in NEEDED:
        return [*name.split(), *NEEDED[name]]
    given = any(not a.option_strings and a.required for a in verb._actions)
    return [*name.split(), *(["motions"] if given else [])]


@pytest.mark.parametrize("verb", LEAVES.values(), ids=LEAVES.keys())
def test_a_verb_refuses_each_option_of_the_others(verb: VerbParser) -> None:
    make_parser().parse_args(plain(verb))  # understood
    others = {option for other in LEAVES.values() for option in other.options} - set(verb.options)
    said = refusal([*plain(verb), *sorted(others)])
    assert said.startswith(f"{verb.prog}: ")
    assert set(re.findall(r"(--[\w-]+) is for madem \w+", said)) == others
    assert "\n" not in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "stream replay motions --learn --save net.madem",
            "madem stream replay: --learn is for madem stream cost or madem stream live,"
            " --save is for madem stream live; see `madem stream replay --help`\n",
        ),
        ("bench link --task digits", "--task is for madem bench memory;"),
        ("bench emulator --board qemu", "--board is for madem bench device or"),
        ("learn digits --epoch 3", "there is no --epoch, did you mean --epochs?;"),
        ("learn digits --what", "there is no --what;"),
        ("stream replay a.csv b.csv", "unrecognized arguments: b.csv;"),
        ("stream", "the following arguments are required: VERB; see `madem stream --help`"),
        ("stream play", "invalid choice: 'play'"),
        ("stream record motions", "the following arguments are required: --out"),
        ("stream show motions --seconds 0", "--seconds: 0 is not above 0"),
        ("stream show motions --seconds x", "--seconds: invalid number value: 'x'"),
        ("stream cost mean --layers 3,x", "'3,x' is not numbers of units such as 32,4"),
        ("bench frontend --design maker", "--design: invalid choice: 'maker'"),
    ],
)
def test_what_is_refused_is_told_in_one_line(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words.split()) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert told in error


# --- what is imported -----------------------------------------------------------------------------


def imported(*words: str) -> set[str]:
    """The packages that a command has imported when it ends."""
    script = (
        "import contextlib, sys\nfrom madem import cli\n"
        "with contextlib.suppress(SystemExit): cli.main(sys.argv[1:])\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], *([name, "--help"] for name in VERBS)], ids=" ".join
)
def test_lists_of_commands_import_none_of_them(words: list[str]) -> None:
    assert not imported(*words) & (SLOW | {"madem_emulator"})


@pytest.mark.parametrize("name", ["learn", "verify", "stream replay", "bench device"])
def test_help_of_a_verb_imports_nothing_slow_that_it_has_no_use_for(name: str) -> None:
    assert not imported(*name.split(), "--help") & {"scipy", "matplotlib", "sklearn", "shtab"}


def test_learning_on_the_twin_imports_no_pictures_and_no_physical_devices(tmp_path) -> None:
    data = tmp_path / "it.csv"
    data.write_text("\n".join(f"{k},{k * k % 7},{'ab'[k % 3 == 0]}" for k in range(20)))
    words = ["learn", str(data), "--board", "twin", "--epochs", "1", "--no-baselines"]
    assert not imported(*words) & {"scipy", "matplotlib", "sklearn"}
