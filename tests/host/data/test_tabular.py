"""Tasks of users' tables: limits, classes, and what is kept for the test."""

from pathlib import Path

import numpy as np
import pytest

from madem.data.files.judge import ReadOptions
from madem.data.registry import load_task
from madem.data.split import split_groups
from madem.errors import TaskError


def write(folder: Path, content: str) -> Path:
    path = folder / "data.csv"
    path.write_text(content)
    return path


def save(folder: Path, **arrays: object) -> Path:
    path = folder / "data.npz"
    np.savez(path, **{name: np.asarray(value) for name, value in arrays.items()})  # pyright: ignore[reportArgumentType]
    return path


def noise(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(rows, columns))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("p,q,r\n1,2,a\n3,4,a\n", r"only one class, a; .* is r \(the only text\) the label\?"),
        ("p,q,r\n1,2,a\n3,4,b\n5,6,b\n", r"at least 2 samples .*: a; is r \(the only text\)"),
        ("p,label\n1,\n3,\n", "line 2, column 'label': the label is missing"),
    ],
)
def test_classes_that_can_not_be_learned(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        load_task(write(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_too_many_classes_or_features(tmp_path: Path) -> None:
    rows = [(value, i % 65) for i, value in enumerate(noise(130, 1)[:, 0])]
    with pytest.raises(TaskError, match=r"has 65 classes; at most 64"):
        load_task(write(tmp_path, "\n".join(f"{a},{b}" for a, b in rows)))
    with pytest.raises(TaskError, match=r"has 1025 features; at most 1024"):
        load_task(save(tmp_path, X=noise(4, 1025), y=[0, 1, 0, 1]))


def test_as_many_classes_and_features_as_promised(tmp_path: Path) -> None:
    rows = [(value, i % 64) for i, value in enumerate(noise(128, 1)[:, 0])]
    task = load_task(write(tmp_path, "\n".join(f"{a},{b}" for a, b in rows)))
    assert len(task.class_names) == 64
    assert load_task(save(tmp_path, X=noise(4, 1024), y=[0, 1, 0, 1])).n_features == 1024


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"no such file: .*none\.csv"):
        load_task(tmp_path / "none.csv")
    with pytest.raises(TaskError, match="no samples in the folder"):
        load_task(tmp_path)
    with pytest.raises(TaskError, match="how a file is read can only be chosen for one's own"):
        load_task("digits", options=ReadOptions(label="x"))


def test_the_test_part_is_that_of_the_file(tmp_path: Path) -> None:
    x = noise(30, 3)
    y = np.array([0, 1, 0] * 5)
    task = load_task(save(tmp_path, x_train=x[::2], y_train=y, x_test=x[1::2], y_test=1 - y))
    assert (len(task.y_train), len(task.y_test)) == (15, 15)
    assert task.y_test.tolist() == [1, 0, 1] * 5
    assert task.reading is not None
    assert task.reading.test == "15 rows, as the file says"


def test_groups_are_never_on_both_sides(tmp_path: Path) -> None:
    x, y = noise(60, 2), np.arange(60) // 30
    groups = np.random.default_rng(1).permutation(60) // 5
    for seed in range(5):
        parts = split_groups(y, groups, 0.2, seed, ("a", "b"))
        assert not set(groups[parts.train]) & set(groups[parts.test])
        assert len(parts.test) == 15
    task = load_task(save(tmp_path, X=x, y=y, groups=groups))
    assert len(task.y_test) == 15
    assert task.reading is not None
    assert task.reading.test == "15 rows, whole groups, drawn"
    with pytest.raises(TaskError, match=r"class 0 would be missing .*: groups stay whole"):
        load_task(save(tmp_path, X=x, y=y, groups=y))
    with pytest.raises(TaskError, match="there is only one group"):
        load_task(save(tmp_path, X=x, y=y, groups=np.zeros(60)))


def test_what_was_understood_comes_with_the_task(tmp_path: Path) -> None:
    text = "".join(f"{i},{a},1,{'ab'[i % 2]}\n" for i, a in enumerate(noise(20, 1)[:, 0]))
    task = load_task(write(tmp_path, "Id,u (g),one,label\n" + text))
    assert task.reading is not None
    assert task.reading.lines()[1:] == [
        "label: label (by its name); a: 10, b: 10",
        f"features: u {noise(20, 1).min():.4g} to {noise(20, 1).max():.4g} g",
        "for the test: 4 rows, drawn",
        "left out: Id (it counts the rows); one (it is always 1)",
    ]
    assert task.describe()["file"] == task.reading.to_json()
