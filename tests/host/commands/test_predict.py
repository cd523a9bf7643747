"""The figure that is printed is the figure that its user gets: `learn`, then `predict`."""

import csv
import io
import json
import struct
import subprocess
import sys
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from madem.data.registry import load_task
from madem.network import file

MADEM = Path(sys.executable).with_name("madem")
LINE = "window=32 | mean energy | norm:6"


def madem(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which knows nothing of those before."""
    return subprocess.run([MADEM, *map(str, words)], capture_output=True, text=True, timeout=300)


def ran(*words: str | Path) -> Any:
    """What a command that must succeed says as JSON."""
    done = madem(*words, "--json", "-")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, str]]:
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def write(path: Path, names: list[str], rows: np.ndarray, labels: list[str] | None = None) -> Path:
    lines = [",".join(names + ["kind"] * (labels is not None))]
    for k, row in enumerate(rows):
        cells = [f"{value:.4f}" for value in row]
        lines.append(",".join(cells + ([labels[k]] if labels is not None else [])))
    path.write_text("\n".join(lines) + "\n")
    return path


def plants(seed: int, n: int = 40) -> tuple[np.ndarray, list[str]]:
    """Three classes that overlap a little."""
    random = np.random.default_rng(seed)
    means = np.array([[2.0, 40.0, 0.5], [4.0, 35.0, 1.5], [5.0, 20.0, 1.6]])
    y = np.repeat(np.arange(3), n)
    x = means[y] + random.normal(size=(len(y), 3)) * (0.6, 5.0, 0.2)
    return x, [f"class {k}" for k in y]


def stream(seed: int, lengths: list[tuple[str, int]]) -> tuple[np.ndarray, list[str]]:
    """Two channels that rest or shake, in g and not in counts."""
    random = np.random.default_rng(seed)
    parts, labels = [], []
    for label, n in lengths:
        swing = 0.4 if label == "shake" else 0.02
        parts.append([0.0, 1.0] + swing * random.normal(size=(n, 2)))
        labels += [label] * n
    return np.concatenate(parts), labels


NAMES = ["length", "weight", "width"]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, Any]:
    """A table, its held-out rows as their user has them, the saved network, and its figures."""
    folder = tmp_path_factory.mktemp("taught")
    x, labels = plants(1)
    table, net = write(folder / "plants.csv", NAMES, x, labels), folder / "net.madem"
    found = ran("learn", table, "--board", "twin", "--epochs", "10", "--no-baselines",
                "--save", net)  # fmt: skip
    task = load_task(table)
    assert task.values is not None
    held_out = [task.class_names[k] for k in task.y_test]
    return table, write(folder / "test.csv", NAMES, task.values[1], held_out), net, found


def test_a_table_is_used_as_it_was_tested(taught: tuple[Path, Path, Path, Any]) -> None:
    _, test, net, found = taught
    used = ran("predict", test, "--load", net)
    for name in ("accuracy", "balanced_accuracy", "confusion", "calibration", "per_class"):
        assert used["metrics"][name] == found["metrics"][name], name
    assert 0.8 < used["metrics"]["accuracy"] < 1


@pytest.mark.needs("unix")
def test_a_board_gives_the_same_answers(taught: tuple[Path, Path, Path, Any]) -> None:
    _, test, net, _ = taught
    twin, board = (madem("predict", test, "--load", net, "--board", b) for b in ("twin", "unix"))
    assert rows_of(twin) == rows_of(board)


def test_an_answer_does_not_depend_on_the_others(
    taught: tuple[Path, Path, Path, Any], tmp_path: Path
) -> None:
    table, _, net, _ = taught
    lines = table.read_text().splitlines()
    answers = [tuple(r.values())[1:] for r in rows_of(madem("predict", table, "--load", net))]
    backwards, alone = tmp_path / "backwards.csv", tmp_path / "alone.csv"
    backwards.write_text("\n".join([lines[0], *lines[:0:-1]]))
    again = [tuple(r.values())[1:] for r in rows_of(madem("predict", backwards, "--load", net))]
    assert again == answers[::-1]
    for k in (0, 57, 119):
        alone.write_text(f"{lines[0]}\n{lines[1 + k]}\n")
        (one,) = rows_of(madem("predict", alone, "--load", net))
        assert tuple(one.values())[1:] == answers[k]


def test_all_formats_hold_the_same_and_close_answers_can_be_refused(
    taught: tuple[Path, Path, Path, Any], tmp_path: Path
) -> None:
    import pyarrow.parquet

    _, test, net, _ = taught
    as_csv = rows_of(madem("predict", test, "--load", net, "--reject", "60"))
    for name in ("a.jsonl", "a.parquet", "a.csv"):
        out = tmp_path / name
        assert madem("predict", test, "--load", net, "--reject", "60", "--out", out).returncode == 0
        if name.endswith("jsonl"):
            found = [json.loads(line) for line in out.read_text().splitlines()]
        elif name.endswith("parquet"):
            found = pyarrow.parquet.read_table(out).to_pylist()
        else:
            found = list(csv.DictReader(out.open()))
        assert [{k: str(v) for k, v in row.items()} for row in found] == as_csv
    refused = [int(row["margin"]) < 60 for row in as_csv]
    assert [row["answer"] == "none" for row in as_csv] == refused
    assert 0 < sum(refused) < len(refused)


def test_columns_are_matched_by_name_and_nothing_is_fitted(
    taught: tuple[Path, Path, Path, Any], tmp_path: Path
) -> None:
    table, _, net, _ = taught
    x, labels = plants(1)
    straight = rows_of(madem("predict", table, "--load", net))
    order = [2, 0, 1]
    swapped = write(tmp_path / "swapped.csv", [NAMES[k] for k in order], x[:, order], labels)
    assert rows_of(madem("predict", swapped, "--load", net)) == straight
    # Of one class alone: another range, and rows that look like an index.
    part = write(tmp_path / "part.csv", ["n", *NAMES], np.column_stack([np.arange(40), x[:40]]))
    unlabelled = rows_of(madem("predict", part, "--load", net))
    assert [list(row.values())[:4] for row in unlabelled] == [
        list(row.values())[:4] for row in straight[:40]
    ]
    found = ran("learn", table, "--load", net, "--epochs", "0", "--board", "twin", "--no-baselines")
    assert found["metrics"] == taught[3]["metrics"]


def test_what_does_not_fit_is_refused_and_both_sides_named(
    taught: tuple[Path, Path, Path, Any], tmp_path: Path
) -> None:
    _, _, net, _ = taught
    x, labels = plants(1)
    other = [name.replace("class", "kind") for name in labels]
    cases = {
        write(tmp_path / "a.csv", ["length", "mass", "width"], x, labels): ("'weight'", "mass"),
        write(tmp_path / "b.csv", NAMES, x, other): ("'kind 0'", "class 0"),
    }
    for path, told in cases.items():
        done = madem("predict", path, "--load", net, "--report")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert all(word in done.stderr for word in told)
    done = madem("predict", tmp_path / "a.csv", "--load", tmp_path / "a.csv")
    assert (done.returncode, "is not a network saved by madem" in done.stderr) == (2, True)


@pytest.mark.parametrize("norm", [6, 12])
@pytest.mark.parametrize(
    "lengths",
    [[("still", 64), ("shake", 64)] * 25, [("still", 1600), ("shake", 1600)]],
    ids=["alternating", "two stretches"],
)
@pytest.mark.needs("unix")
def test_a_stream_is_used_as_it_was_tested(
    lengths: list[tuple[str, int]], norm: int, tmp_path: Path
) -> None:
    names, net = ["x", "y"], tmp_path / "net.madem"
    path = write(tmp_path / "taught.csv", names, *stream(1, lengths))
    test = write(tmp_path / "test.csv", names, *stream(2, lengths))
    line = f"window=32 | mean energy | norm:{norm}"
    found = ran("learn", path, "--pipeline", line, "--test", test, "--board", "twin",
                "--no-baselines", "--save", net)  # fmt: skip
    used = ran("predict", test, "--load", net)
    assert used["metrics"] == {**found["metrics"]}
    assert used["metrics"]["accuracy"] >= 0.95
    replayed = ran("stream", "replay", test, "--fast", "--board", "unix", "--load", net)
    assert replayed["accuracy"] == used["metrics"]["accuracy"]
    answers = [row["answer"] for row in rows_of(madem("predict", test, "--load", net))]
    assert replayed["answers"] == answers
    done = madem("stream", "replay", test, "--fast", "--board", "unix", "--load", net,
                 "--scale", "0.001")  # fmt: skip
    assert (done.returncode, "--scale can't be used with --load" in done.stderr) == (2, True)


def test_words_in_braille_come_back(tmp_path: Path) -> None:
    net, path = tmp_path / "words.madem", tmp_path / "words.csv"
    ran("learn", "braille", "--board", "twin", "--epochs", "4", "--no-baselines", "--save", net)
    task = load_task("braille")
    x, words = task.test_set(0.1).x[:45, :60] // 255, task.test_words()[:45]
    lines = [
        ",".join([*map(str, row), task.class_names[k]]) for row, k in zip(x, words, strict=True)
    ]
    path.write_text("\n".join([",".join([*(f"dot {k}" for k in range(60)), "word"]), *lines]))
    rows = rows_of(madem("predict", path, "--load", net))
    right = [row["word"] == row["label"] for row in rows]
    assert sum(right) > 30
    assert all(len(row["dots"]) == 60 and 1 <= int(row["iterations"]) <= 8 for row in rows)
    assert ran("predict", path, "--load", net)["metrics"]["exact_word"] == sum(right) / 45


def test_what_can_mislead_is_told(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(300, 2))
    labels = ["rare" if k % 20 == 0 else "usual" for k in range(300)]  # nothing tells them apart
    rare = write(tmp_path / "rare.csv", ["a", "b"], x, labels)
    found = ran("learn", rare, "--layers", "none", "--epochs", "2", "--board", "twin")
    assert found["metrics"]["per_class"]["rare"]["recall"] == 0
    assert any("never answered: rare (3 of 60 samples)" in told for told in found["warnings"])
    assert found["baselines"]["majority"] == 57 / 60


def test_groups_stay_whole_and_few_of_them_are_told(tmp_path: Path) -> None:
    x, labels = plants(3, 20)
    person = np.tile(np.arange(4), 15)
    path = write(tmp_path / "people.csv", [*NAMES, "person"], np.column_stack([x, person]), labels)
    found = ran("learn", path, "--groups", "person", "--epochs", "1", "--board", "twin",
                "--no-baselines")  # fmt: skip
    assert found["data"]["file"]["test"] == "15 rows, whole groups, drawn"
    assert found["data"]["features"] == 3
    assert any("only 4 groups" in told for told in found["warnings"])


def test_a_network_that_an_older_madem_saved_is_refused_in_a_line(
    taught: tuple[Path, Path, Path, Any], tmp_path: Path
) -> None:
    """By `predict`, which has no columns to match; `learn --refit` gives it some."""
    table, test, net, _ = taught
    state, old = file.load(net).state, tmp_path / "old.madem"
    text = json.dumps(
        {"config": asdict(state.config), "steps": state.steps, "notes": {"classes": []}}
    ).encode()
    data = struct.pack("<6sHI", b"MADEM\0", 1, len(text)) + text
    data += b"".join([*state.devices, *state.accumulators])
    old.write_bytes(data + struct.pack("<I", zlib.crc32(data)))
    done = madem("predict", test, "--load", old)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert "does not know its columns: an older madem saved it" in done.stderr
    again = tmp_path / "again.madem"
    ran("learn", table, "--load", old, "--refit", "--epochs", "0", "--board", "twin",
        "--no-baselines", "--save", again)  # fmt: skip
    answers = [rows_of(madem("predict", test, "--load", each)) for each in (again, net)]
    assert answers[0] == answers[1]


def test_another_unit_is_refused_and_both_are_named(tmp_path: Path) -> None:
    x, labels = plants(4, 20)
    net = tmp_path / "net.madem"
    units = ["length (cm)", "weight (g)", "width (cm)"]
    ran("learn", write(tmp_path / "cm.csv", units, x, labels), "--epochs", "1", "--board", "twin",
        "--no-baselines", "--save", net)  # fmt: skip
    assert madem("predict", tmp_path / "cm.csv", "--load", net).returncode == 0
    other = write(tmp_path / "mm.csv", ["length (mm)", *units[1:]], x, labels)
    done = madem("predict", other, "--load", net)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"'length' of {other} is in mm, the network was taught with cm" in done.stderr


def test_words_that_are_no_classes_are_passed_over_and_told(
    taught: tuple[Path, Path, Path, Any], tmp_path: Path
) -> None:
    """A text column that the network was not taught to be the label, and names none of them."""
    _, _, net, _ = taught
    x, _ = plants(1, 10)
    notes = [("seen", "doubtful")[k % 2] for k in range(len(x))]
    plain = write(tmp_path / "plain.csv", NAMES, x)
    path = write(tmp_path / "notes.csv", NAMES, x, notes)
    path.write_text(path.read_text().replace("kind", "remark", 1))
    answers = rows_of(madem("predict", path, "--load", net))
    assert answers == rows_of(madem("predict", plain, "--load", net))
    assert "label" not in answers[0]
    found = ran("predict", path, "--load", net)
    assert found["notes"] == ["the column remark names none of the network's classes"]
    assert found["metrics"] is None
    done = madem("predict", path, "--load", net, "--report")
    assert (done.returncode, "there are no labels to report on" in done.stderr) == (2, True)


def test_learning_goes_on_with_the_network_s_columns_scale_and_classes(
    taught: tuple[Path, Path, Path, Any], tmp_path: Path
) -> None:
    """`learn --load` on a file with another range tests what `predict` answers."""
    _, _, net, _ = taught
    x, labels = plants(6)
    near = x[:, 1] < 38
    some = [label for label, one in zip(labels, near, strict=True) if one]
    order = [2, 0, 1]
    small = write(tmp_path / "small.csv", [NAMES[k] for k in order], x[near][:, order], some)
    go_on = ("--load", net, "--epochs", "0", "--board", "twin", "--no-baselines")
    accuracy = ran("learn", small, "--test", small, *go_on)["metrics"]["accuracy"]
    assert accuracy == ran("predict", small, "--load", net)["metrics"]["accuracy"]
    assert accuracy > 0.8
    renamed = write(tmp_path / "renamed.csv", NAMES, x, [f"new {label}" for label in labels])
    done = madem("learn", renamed, *go_on)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "'new class 0'" in done.stderr
    assert "the network knows class 0, class 1, class 2" in done.stderr


def test_values_beyond_what_was_learned_from_are_counted(tmp_path: Path) -> None:
    x, labels = plants(7)
    far = x.copy()
    far[[3, 50, 90], [0, 1, 2]] = 9000
    table, net = write(tmp_path / "plants.csv", NAMES, x, labels), tmp_path / "net.madem"
    test = write(tmp_path / "far.csv", NAMES, far, labels)
    found = ran("learn", table, "--test", test, "--epochs", "1", "--board", "twin",
                "--no-baselines", "--save", net)  # fmt: skip
    (told,) = [line for line in found["warnings"] if "were clipped" in line]
    clipped = int(told.split()[0])
    assert told.startswith(f"{clipped} of 360 values lie outside")
    assert clipped >= 3
    assert told in ran("predict", test, "--load", net)["notes"]


def test_samples_of_a_stream_beyond_its_scale_are_counted(tmp_path: Path) -> None:
    lengths = [("still", 320), ("shake", 320)] * 4
    x, labels = stream(1, lengths)
    net, far = tmp_path / "net.madem", x.copy()
    far[[5, 700], [0, 1]] = 9000
    far[900] = (9000, np.nan)  # a gap: neither learned nor answered
    path = write(tmp_path / "taught.csv", ["x", "y"], x, labels)
    test = write(tmp_path / "far.csv", ["x", "y"], far, labels)
    found = ran("learn", path, "--pipeline", LINE, "--test", test, "--epochs", "1", "--board",
                "twin", "--no-baselines", "--save", net)  # fmt: skip
    notes = ran("predict", test, "--load", net)["notes"]
    told = [line for line in notes if "were clipped" in line]
    assert told
    assert told[0].startswith(f"2 of {2 * len(x) - 2:,} values")
    assert [line for line in found["warnings"] if "were clipped" in line] == told
