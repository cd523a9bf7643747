"""No command writes over what it reads, and no two outputs go into one file."""

import argparse
import os
import shlex
from pathlib import Path

import pytest

from madem.cli import main
from madem.commands import paths
from madem.commands.parser import leaves, make_parser

WORDS = [
    "learn in.csv --json in.csv",
    "learn in.csv --save in.csv",
    "learn in.csv --json soft.csv",
    "learn in.csv --json hard.csv",
    "learn in.csv --json folder/../in.csv",
    "learn folder --json folder/a.csv",
    "learn in.csv other.csv --save other.csv",
    "learn in.csv --test other.csv --json other.csv",
    "learn in.csv --load net.madem --json net.madem",
    "learn in.csv --save new --json new",
    "learn in.csv --save new --json dangling",
    "learn braille --words words.txt --json words.txt",
    "learn motions --source in.csv --save in.csv",
    "online in.csv --save in.csv",
    "novelty in.csv --novel a --json in.csv",
    "verify in.csv --json in.csv",
    "predict in.csv --load net.madem --out in.csv",
    "predict in.csv --load net.madem --out net.madem",
    "predict in.csv --load net.madem --out new --json new",
    "data in.csv --json in.csv",
    "show net.madem --json net.madem",
    "export net.madem --out net.madem",
    "export net.madem --out new --board new",
    "sweep in.csv --json in.csv",
    "compare --task in.csv --json in.csv",
    "stream record in.csv --out in.csv",
    "stream record in.csv --out in.csv --append",
    "stream show in.csv --json in.csv",
    "stream replay in.csv --pipeline p --json in.csv",
    "stream live mpu6050 --board unix:sensor=mpu6050+in.csv --pipeline p --save in.csv",
    "monitor replay in.csv --pipeline p --html in.csv",
    "monitor learn in.csv --html in.csv",
]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Everything in the working folder, by its name."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    table = b"x,y,label\n" + b"1,2,a\n3,4,b\n" * 30
    for name in ("in.csv", "other.csv", "folder/a.csv"):
        Path(name).write_bytes(table)
    for name in ("net.madem", "words.txt"):
        Path(name).write_bytes(b"as it was")
    Path("soft.csv").symlink_to("in.csv")
    Path("hard.csv").hardlink_to("in.csv")
    Path("dangling").symlink_to("new")
    return contents()


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize("words", WORDS)
def test_what_is_read_or_written_already_is_refused(
    words: str, files: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(words)) == 2
    said = capsys.readouterr()
    assert "would write over" in said.err
    assert "choose another name" in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert contents() == files


@pytest.mark.parametrize(
    "words",
    [
        "learn in.csv --load net.madem --save net.madem",
        "learn in.csv --json /dev/null --save /dev/null",
        "learn in.csv --json -",
        "learn digits --json digits",
        "learn folder --json folder/new.json",
        "learn folder --save folder/net.madem",
        "stream record in.csv --out other.csv --append",
    ],
)
def test_what_is_meant_is_done(words: str, files: dict[str, bytes]) -> None:
    paths.keep_apart(make_parser().parse_args(shlex.split(words)))
    assert contents() == files


def test_every_option_that_names_a_file_says_whether_it_is_read_or_written() -> None:
    """By its metavar; folders that are written into keep what is there."""
    kinds = {}
    for verb in leaves(make_parser(complete=True)):
        for action in verb._actions:
            named = str(action.metavar)
            if named.startswith("FILE") or named in ("NET", "TASK", "SOURCE"):
                kinds[verb.prog, action.dest] = action.type
    assert len(kinds) > 40
    for key, kind in kinds.items():
        assert kind in (paths.Read, paths.Written), key
    assert {kind for (_, dest), kind in kinds.items() if dest in ("json", "save", "html")} == {
        paths.Written
    }


def test_values_stay_plain_text() -> None:
    args = argparse.Namespace(json=paths.Written("a"), task=[paths.Read("b")], board="unix")
    paths.keep_apart(args)
    assert os.fspath(Path(args.json)) == "a"
