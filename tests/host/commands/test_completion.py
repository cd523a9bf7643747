"""Shells complete what the parser takes."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

MADEM = Path(sys.executable).with_name("madem")

CASES = [
    ("madem lea", "madem learn"),
    ("madem learn digits --pre", "madem learn digits --preset"),
    ("madem learn digits --preset har", "madem learn digits --preset harsh"),
    ("madem learn dig", "madem learn digits"),
    ("madem learn flo", "madem learn flowers.csv"),
    ("madem deploy --board qe", "madem deploy --board qemu"),
    ("madem deploy --board rp", "madem deploy --board rp2040"),
    ("madem learn digits --load ne", "madem learn digits --load net.madem"),
    ("madem completion ba", "madem completion bash"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the shells run: with a data file, a saved network, and the scripts."""
    (tmp_path / "flowers.csv").touch()
    (tmp_path / "net.madem").touch()
    for shell in ("bash", "zsh", "fish"):
        with (tmp_path / f"madem.{shell}").open("w") as file:
            subprocess.run([MADEM, "completion", shell], stdout=file, check=True)
    return tmp_path


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._child, self._terminal = pty.fork()
        if self._child == 0:
            os.chdir(folder)
            os.execvpe(
                command[0], command, {**os.environ, "TERM": "dumb", "PS1": "$ ", "HOME": "."}
            )
        self._seen = ""

    def until(self, text: str) -> None:
        end = time.monotonic() + 600
        while text not in self._seen:
            ready, _, _ = select.select([self._terminal], [], [], end - time.monotonic())
            assert ready, f"{text!r} did not come, but {self._seen!r}"
            said = os.read(self._terminal, 4096).decode(errors="replace")
            self._seen += re.sub(r"\a|\x1b\[[0-9;?]*[a-zA-Z]", "", said)
        self._seen = self._seen.partition(text)[2]

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def close(self) -> None:
        os.close(self._terminal)
        os.waitpid(self._child, 0)


@pytest.fixture
def bash(folder: Path) -> Iterator[Shell]:
    shell = Shell(folder, ["bash", "--norc", "--noprofile", "-i"])
    try:
        shell.type("bind 'set bell-style none'; source madem.bash; echo re''ady\n")
        shell.until("ready")
        yield shell
    finally:
        shell.close()


@pytest.fixture
def zsh(folder: Path) -> Iterator[Shell]:
    shell = Shell(folder, ["zsh", "-f", "-i"])
    try:
        shell.type("autoload -Uz compinit; compinit -u -D; eval \"$(<madem.zsh)\"; echo re''ady\n")
        shell.until("ready")
        yield shell
    finally:
        shell.close()


@pytest.mark.needs("bash")
def test_bash_completes(bash: Shell) -> None:
    for typed, completed in CASES:
        bash.type(f"{typed}\t")
        bash.until(completed)
        bash.type("\x15")  # forget the line


@pytest.mark.needs("zsh")
def test_zsh_completes(zsh: Shell) -> None:
    for typed, completed in CASES:
        zsh.type(f"{typed}\t")
        zsh.until(completed)
        zsh.type("\x15")


@pytest.mark.needs("fish")
def test_fish_completes(folder: Path) -> None:
    for typed, completed in CASES:
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"source madem.fish; complete --do-complete '{typed}'"],
            capture_output=True,
            text=True,
            cwd=folder,
            env=os.environ | {"HOME": str(folder), "PATH": f"{MADEM.parent}:{os.environ['PATH']}"},
            timeout=300,
        )
        offered = {line.partition("\t")[0] for line in done.stdout.splitlines()}
        assert completed.split()[-1] in offered, done


def test_every_command_is_completed() -> None:
    script = subprocess.run([MADEM, "completion", "bash"], capture_output=True, text=True).stdout
    usage = subprocess.run([MADEM, "--help"], capture_output=True, text=True).stdout
    commands = re.findall(r"^ {4}(\w+)(?: |$)", usage, re.MULTILINE)
    assert {"learn", "verify", "deploy", "completion"} <= set(commands)
    listed = re.search(r"^_shtab_madem_subparsers=\((.*)\)$", script, re.MULTILINE)
    assert listed
    assert listed[1].split() == commands


def test_as_json(tmp_path: Path) -> None:
    done = subprocess.run([MADEM, "completion", "fish", "--json", "-"], capture_output=True)
    plain = subprocess.run([MADEM, "completion", "fish"], capture_output=True, text=True)
    assert json.loads(done.stdout) == {"shell": "fish", "script": plain.stdout.removesuffix("\n")}


def test_another_shell_is_refused_in_a_line() -> None:
    done = subprocess.run([MADEM, "completion", "cmd"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
