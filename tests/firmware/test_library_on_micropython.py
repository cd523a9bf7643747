"""The board's own library gives the bits of the desktop and of the link."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from madem.boards.open import open_board
from madem.data.registry import load_task
from madem.data.scaling import Scaling
from madem.learn import train
from madem.learn.recall import read_dots, recall
from madem.learners.board import connect, pack_config
from madem.learners.twin import TwinLearner
from madem.network import file
from madem.network.network import Channel, Inputs, Network, StreamInputs, TableInputs, WordInputs
from madem_emulator.boards.prepared import find_unix32
from madem_emulator.boards.unix import find_micropython
from madem_emulator.twin.features import TwinFeatures
from madem_emulator.twin.pipeline import parse

_FIRMWARE = Path(__file__).parents[2] / "firmware"

Run = Callable[..., str]


@pytest.fixture(
    params=[
        pytest.param(find_micropython, marks=pytest.mark.needs("unix"), id="64 bits"),
        pytest.param(find_unix32, marks=pytest.mark.needs("unix32"), id="32 bits"),
    ]
)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs a program on the device, in a folder with these files; gives what it prints."""

    def run(code: str, **files: bytes) -> str:
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        done = subprocess.run(
            [request.param(), "-X", "heapsize=2M", "-c", "import madem\n" + code],
            cwd=tmp_path,
            env=os.environ | {"MICROPYPATH": f"{_FIRMWARE}:.frozen"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.mark.parametrize("hidden", [(), (32,), (1,), (200, 7), (5, 6, 7)])
def test_a_fresh_network_has_the_settings_that_madem_learn_chooses(
    run: Run, hidden: tuple[int, ...]
) -> None:
    task = load_task("digits")
    for inputs, outputs in ((64, 10), (1, 2), (500, 3), (1024, 255)):
        sized = replace(task, n_features=inputs, n_outputs=outputs)
        config = train.recipe(sized, hidden=hidden, seed=77).settings.integers()
        said = run(
            f"from madem.library_settings import payload\nprint(payload({config.sizes}, 77).hex())"
        )
        assert said.strip() == pack_config(config).hex()


def test_a_fresh_network_learns_as_fast_as_a_first_pass_a_loaded_one_as_later_ones(
    run: Run,
) -> None:
    recipe = train.recipe(load_task("digits"), epochs=20)
    said = run(
        "from madem import library_settings as s\n"
        "print((s.RATE, s.PULSES), (s.RATE_ON, s.PULSES_ON))"
    )
    assert said.strip() == f"{recipe.schedule(0)} {recipe.schedule(10)}"


def test_what_is_taught_by_the_library_is_what_is_taught_through_the_link(run: Run) -> None:
    task = load_task("digits")
    plan = train.recipe(task)
    config = plan.settings.integers()
    rate, pulses = plan.schedule(0)
    batch = task.train_pass(0)
    x, target, asked = batch.x[:60], batch.target[:60], task.x_test[:20]
    inputs = TableInputs.of(task.scaling, task.feature_names, ["grey"] * 64)
    with open_board("unix") as board:
        device = connect(board)
        device.configure(config)

        def saved(saves: int) -> bytes:
            on_board = {b"RATE": file.RATE.pack(rate, pulses), b"SAVE": file.SAVES.pack(saves)}
            network = Network(device.state(), task.class_names, inputs, on_board=on_board)
            return file.pack(network, board=True)

        fresh = saved(0)
        answers = device.learn(rate, x, target, None, pulses)
        taught = saved(1)
        outputs = device.outputs(asked)

    said = run(
        "net = madem.load('fresh.madem')\n"
        "x, target, asked = (open(name, 'rb').read() for name in ('x', 'target', 'asked'))\n"
        "print([net.learn(x[64 * k : 64 * k + 64], target[k]) for k in range(60)])\n"
        "net.save('taught.madem')\n"
        "again = madem.load('taught.madem')\n"
        "print([again.predict(asked[64 * k : 64 * k + 64]) for k in range(20)])\n"
        "again = madem.load('taught.madem')\n"
        "found = []\n"
        "for k in range(19, -1, -1):\n"
        " again.predict(asked[64 * k : 64 * k + 64]); found.append(again.margin)\n"
        "print(found)\n"
        "print(open('taught.madem', 'rb').read().hex())",
        **{
            "fresh.madem": fresh,
            "x": x.tobytes(),
            "target": target.astype(np.uint8).tobytes(),
            "asked": asked.tobytes(),
        },
    ).splitlines()

    ranked = np.sort(outputs.astype(int), axis=1)
    assert said[0] == str(answers.tolist())
    assert said[1] == str(outputs.argmax(axis=1).tolist())
    # In whatever order they are asked for.
    assert said[2] == str((ranked[:, -1] - ranked[:, -2])[::-1].tolist())
    assert bytes.fromhex(said[3]) == taught


def test_a_network_made_on_the_board_is_one_made_on_the_desktop(run: Run) -> None:
    config = train.recipe(load_task("digits"), seed=5).settings.integers()
    names = (*"abcdefghi", "ä")
    said = run(
        f"net = madem.Network({config.sizes}, {names!r}, seed=5); net.save('net.madem')\n"
        "print(open('net.madem', 'rb').read().hex())"
    )
    on_board = {b"RATE": file.RATE.pack(2064, 3), b"SAVE": file.SAVES.pack(1)}
    expected = Network(TwinLearner(config).state(), names, on_board=on_board)
    assert bytes.fromhex(said.strip()) == file.pack(expected, board=True)


def with_inputs(sizes: tuple[int, ...], inputs: Inputs) -> bytes:
    task = load_task("digits")
    sized = replace(task, n_features=sizes[0], n_outputs=sizes[-1])
    config = train.recipe(sized, hidden=sizes[1:-1]).settings.integers()
    return file.pack(Network(TwinLearner(config).state(), (), inputs), board=True)


@pytest.mark.parametrize("seed", range(4))
def test_values_become_the_codes_of_the_desktop(run: Run, seed: int) -> None:
    random = np.random.default_rng(seed)
    n = 40
    size = 2.0 ** random.integers(0, 31, n)
    ends = np.rint(random.uniform(-1, 1, (2, n)) * size).clip(-(2**30), 2**30 - 1)
    low, high = np.sort(ends.astype(np.int64), axis=0)
    low[:3], high[:3] = (-(2**30), 5, -(2**30)), (2**30 - 1, 5, -(2**30) + 3)
    scaling = Scaling(low, high, np.zeros(n, np.int64), np.zeros(n), fitted=True)
    counts = np.rint(random.uniform(-0.2, 1.2, (50, n)) * (high - low) + low).astype(np.int64)
    counts = np.vstack([counts, low, high, low - 1, high + 1, np.zeros((1, n), np.int64)])
    inputs = TableInputs.of(scaling, [f"c{k}" for k in range(n)])
    said = run(
        "net = madem.load('net.madem')\n"
        f"for counts in {counts.tolist()}: print(net.encode(counts).hex())",
        **{"net.madem": with_inputs((n, 2), inputs)},
    )
    expected = scaling.encode(counts.clip(-(2**30), 2**30 - 1))
    assert said.split() == [row.tobytes().hex() for row in expected]


@pytest.mark.parametrize("follow", ["", " follow"])
def test_features_are_those_of_stream(run: Run, follow: str) -> None:
    line = f"window=40 hop=20 | mean energy zero minmax bands:4 | norm:4{follow}"
    pipeline = parse(line, 3)
    samples = np.random.default_rng(3).integers(-3000, 3000, (400, 3))
    twin = TwinFeatures(pipeline)
    expected = twin.codes(twin.windows(samples), True)

    code = (
        "from array import array\n"
        "for k in range(len(rows)):\n"
        " if features.feed(rows[k] if k & 1 else array('h', rows[k])):\n"
        "  print(features.codes.hex())\n"
        "print(features.state.hex())"
    )
    rows = f"rows = {[tuple(row) for row in samples.tolist()]}\n"
    *codes, state = run(f"{rows}features = madem.pipeline({line!r}, channels=3)\n{code}").split()
    assert codes == [row.tobytes().hex() for row in expected]

    # A network's file has the normalisation; in use it follows where the line says so.
    inputs = StreamInputs(
        tuple(Channel(name, "g", 0.01) for name in "xyz"), line, bytes.fromhex(state)
    )
    saved = with_inputs((pipeline.inputs, 4, 2), inputs)
    twin.restart()
    expected = twin.codes(twin.windows(samples), bool(follow))
    *codes, _ = run(
        f"{rows}features = madem.load('net.madem').features\n{code}", **{"net.madem": saved}
    ).split()
    assert codes == [row.tobytes().hex() for row in expected]


def test_predicting_allocates_nothing_whatever_the_row_is(run: Run) -> None:
    """An index of all 30 bits is a small integer where words have 32."""
    said = run(
        "import micropython\n"
        "net, x = madem.Network((8, 5, 3)), bytearray(8)\n"
        "def ask():\n"
        " for k in range(256): x[0] = k; net.predict(x)\n"
        "ask()\n"
        "micropython.heap_lock()\n"
        "ask()\n"
        "micropython.heap_unlock()\n"
        "print('passed')"
    )
    assert said == "passed\n"


@pytest.mark.parametrize("hidden", [None, (20,)])
def test_words_are_given_back_as_on_the_desktop(run: Run, hidden: tuple[int, ...] | None) -> None:
    task = load_task("braille")
    if hidden:
        task = load_task("braille", labels=False)
    plan = train.recipe(task, hidden=hidden)
    learner = TwinLearner(plan.settings.integers())
    train.train(learner, task, plan, limit=900)
    seen = task.test_set(0.25, 2).x
    config = learner.config
    given = recall(learner, task, seen)
    network = Network(learner.state(), task.class_names, WordInputs(task.label_lines))

    said = run(
        "net = madem.load('net.madem')\n"
        "seen = open('seen', 'rb').read()\n"
        f"for k in range({len(seen)}):\n"
        " word = net.recall(seen[60 * k : 60 * k + 60])\n"
        " print(word, net.dots.hex(), bytes(net.outputs).hex())",
        **{
            "net.madem": file.pack(network, board=True),
            "seen": np.ascontiguousarray(seen[:, :60]).tobytes(),
        },
    )
    expected = []
    for outputs in given:
        dots = read_dots(task, outputs, config.t_hi, config.t_lo)
        labels = outputs[task.n_dots :]
        word = int(labels.argmax()) if labels.any() else -1
        expected.append(f"{word} {dots.tobytes().hex()} {outputs.tobytes().hex()}")
    assert said.splitlines() == expected
