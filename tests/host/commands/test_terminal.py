"""Text from outside is text: it never steers a terminal, and nothing in it is a style."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from madem.cli import main
from madem.commands.terminal import Terminal
from madem.monitor import tui

HOSTILE = "a\x07\x1b]0;title\x1b\\b\x1b[31mred\x9b2Jc\u202ed"
SHOWN = r"\x1b]0;title\x1b\b\x1b[31mred\x9b2Jc\u202ed"


def clean(text: str) -> None:
    """Nothing in it but text, line ends, and the console's own colours and bold."""
    for control in ("\x1b]", "\x1b[31m", "\x07", "\x9b", "\u202e"):
        assert control not in text


@pytest.mark.parametrize("forced", [False, True], ids=["file", "terminal"])
def test_everything_that_is_printed_is_text(
    forced: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    if forced:
        monkeypatch.setenv("FORCE_COLOR", "1")
    terminal = Terminal(quiet=False)
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE + " [bold]x[/] [red]")
    prints = [
        lambda: terminal.say(HOSTILE + " [bold]x[/] [red]"),
        lambda: terminal.say(HOSTILE + " [bold]x[/] [red]", aside=True),
        lambda: terminal.say(table),
        lambda: terminal.say(Panel(Text(HOSTILE + " [bold]x[/] [red]"))),
        lambda: terminal.say(tui._panel(HOSTILE + " [bold]x[/] [red]", "in it")),
        lambda: terminal.alarm(HOSTILE, " [bold]x[/] [red]"),
        lambda: terminal.write(HOSTILE + " [bold]x[/] [red]\nnext\n"),
        lambda: terminal.saved(Path(HOSTILE + " [bold]x[/] [red]")),
    ]
    for show in prints:
        show()
        both = capsys.readouterr()
        clean(both.out + both.err)
        for shown in (SHOWN, "[bold]x[/] [red]"):
            assert shown in both.out + both.err


NAMES = ("a\x1b[31mred", "[bold]b[/]", "$\\frac{1}{$", "<script>x</script>")


def test_a_file_of_hostile_names_is_learned_shown_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(1)
    rows = [(*draw.normal(k % 4, 0.3, 3).round(3), NAMES[k % 4]) for k in range(80)]
    lines = [",".join(map(str, row)) for row in rows]
    Path("in.csv").write_text("\n".join(["c\x1b]0;t\x07,[red]d,$x_,la[b]el", *lines]) + "\n")
    learn = "learn in.csv --board twin --epochs 1 --no-baselines --save n.madem --plot p"
    for words in (learn, "show n.madem", "predict in.csv --load n.madem", "data in.csv"):
        assert main(shlex.split(words)) == 0, words
        both = capsys.readouterr()
        clean(both.out + both.err)
        assert "[bold]b[/]" in both.out
    assert len(list(Path("p").iterdir())) > 2
