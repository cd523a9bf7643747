"""Tasks: scaling, splits, passes and test sets, and what is refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madem.data import braille
from madem.data.files.judge import ReadOptions
from madem.data.registry import load_task
from madem.data.split import split
from madem.data.task import DISTORTIONS, LABELLED, Task, distortion_key
from madem.data.word_task import LABEL_LINES, SAMPLES_PER_PASS, TRAIN_DISTORTION
from madem.errors import TaskError


@pytest.fixture(scope="module")
def digits() -> Task:
    return load_task("digits")


def iris_like(folder: Path, samples: int = 30) -> Path:
    random = np.random.default_rng(5)
    rows = ["long,wide,kind"]
    rows += [
        f"{a:.3f},{b:.3f},{'ab'[i % 2]}" for i, (a, b) in enumerate(random.random((samples, 2)))
    ]
    path = folder / "flowers.csv"
    path.write_text("\n".join(rows))
    return path


# --- scaling -----------------------------------------------------------------------------------


def test_scaling_knows_only_the_training_set(tmp_path: Path) -> None:
    # The largest value is put into the test set, whichever sample that is.
    path = iris_like(tmp_path)
    test = split(np.arange(30) % 2, 0.2, 1)[1]
    lines = path.read_text().splitlines()
    lines[1 + test[0]] = f"1000,-1000,{'ab'[test[0] % 2]}"
    path.write_text("\n".join(lines))

    task = load_task(path)

    assert task.scaling.fitted
    assert task.scaling.range()[1].max() <= 1
    assert task.x_test[0].tolist() == [255, 0]
    assert task.clipped >= 2
    assert task.x_train.min(axis=0).tolist() == [0, 0]
    assert task.x_train.max(axis=0).tolist() == [255, 255]


# --- splits ------------------------------------------------------------------------------------


@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=6),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_split_is_a_stratified_partition(counts: list[int], fraction: float, seed: int) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    np.random.default_rng(0).shuffle(y)

    train, test = split(y, fraction, seed)

    assert sorted([*train, *test]) == list(range(len(y)))
    in_test = np.bincount(y[test], minlength=len(counts))
    for count, tested in zip(counts, in_test, strict=True):
        assert 1 <= tested <= count - 1
        assert abs(tested - count * fraction) <= 1
    if all(1 <= count * fraction <= count - 1 for count in counts):
        assert len(test) == math.ceil(len(y) * fraction - 1e-6)
    again = split(y, fraction, seed)
    assert np.array_equal(train, again[0])
    assert np.array_equal(test, again[1])


def test_another_seed_gives_another_split() -> None:
    y = np.arange(100) % 4

    assert not np.array_equal(split(y, 0.2, 1)[1], split(y, 0.2, 2)[1])


def test_every_sample_is_tested_under_some_seed() -> None:
    y = np.arange(20) % 2

    tested = {int(i) for seed in range(60) for i in split(y, 0.2, seed)[1]}

    assert tested == set(range(20))


# --- data tasks --------------------------------------------------------------------------------


def test_digits(digits: Task) -> None:
    from sklearn.datasets import load_digits

    assert (digits.kind, digits.n_features, digits.n_outputs) == ("classify", 64, 10)
    assert digits.x_train.shape == (1437, 64)
    assert digits.x_test.shape == (360, 64)
    assert np.abs(np.bincount(digits.y_test) - 36).max() <= 1
    # Brightness 0..16 becomes 0..255, whatever the training set holds.
    original = np.asarray(load_digits(return_X_y=True)[0])
    train, _ = split(np.asarray(load_digits(return_X_y=True)[1]), 0.2, 1)
    assert np.array_equal(digits.x_train, np.rint(original[train] * 255 / 16))


def test_pass_is_the_training_set_in_a_new_order(digits: Task) -> None:
    first, second = digits.train_pass(0), digits.train_pass(1)

    for batch in (first, second):
        assert batch.x.dtype == batch.target.dtype == np.uint8
        ours = sorted(map(bytes, np.column_stack([batch.x, batch.target])))
        whole = np.column_stack([digits.x_train, digits.y_train.astype(np.uint8)])
        assert ours == sorted(map(bytes, whole))
    assert not np.array_equal(first.x, second.x)
    assert not np.array_equal(first.x, digits.x_train)
    again = load_task("digits").train_pass(1)
    assert np.array_equal(again.x, second.x)
    assert np.array_equal(again.target, second.target)


def test_file_task(tmp_path: Path) -> None:
    task = load_task(
        str(iris_like(tmp_path)), test_fraction=0.3, options=ReadOptions(label="kind"), seed=4
    )

    assert task.name == "flowers.csv"
    assert task.class_names == ("a", "b")
    assert task.feature_names == ("long", "wide")
    assert len(task.x_test) == 9
    facts = json.loads(json.dumps(task.describe()))
    assert facts["seed"] == 4
    assert facts["test_fraction"] == 0.3
    assert facts["scaling"]["low"] == task.scaling.range()[0].tolist()
    assert facts["scaling"]["fitted_on"] == "training set"


def test_arrays_cannot_be_changed_by_accident(digits: Task) -> None:
    with pytest.raises(ValueError, match="read-only"):
        digits.x_train[0, 0] = 1


# --- word tasks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "n_features", "n_outputs"),
    [("braille", "reconstruct", 96, 69), ("braille-words", "classify", 60, 9)],
)
def test_word_task(name: str, kind: str, n_features: int, n_outputs: int) -> None:
    task = load_task(name, draws=10)

    assert (task.kind, task.n_features, task.n_outputs) == (kind, n_features, n_outputs)
    assert len(task.feature_names) == n_features
    assert task.class_names == braille.WORDS
    assert task.patterns is not None
    assert [braille.decode(dots).strip() for dots in task.patterns] == list(braille.WORDS)
    assert np.array_equal(task.x_train[:, :60], task.patterns * 255)
    assert not task.x_train[:, 60:].any()
    assert task.x_test.shape == (len(DISTORTIONS) * 10 * 9, n_features)
    assert not task.x_test[:, 60:].any(), "nobody tells which word it is"
    assert np.array_equal(task.x_test[90:180], task.test_set(0.15).x)
    assert np.array_equal(task.y_test[90:180], task.test_words())
    assert json.loads(json.dumps(task.describe()))["train_distortion"] == list(TRAIN_DISTORTION)


def test_word_pass() -> None:
    task = load_task("braille", seed=3)
    batch = task.train_pass(5)

    assert batch.x.shape == (SAMPLES_PER_PASS, 96)
    assert batch.target.shape == (SAMPLES_PER_PASS, 69)
    assert batch.x.dtype == batch.target.dtype == np.uint8
    assert set(np.unique(batch.x)) == {0, 255}
    words = [braille.decode(dots).strip() for dots in batch.target[:, :60]]
    assert {word: words.count(word) for word in words} == dict.fromkeys(braille.WORDS, 50)
    assert np.array_equal(batch.x, load_task("braille", seed=3).train_pass(5).x)
    assert not np.array_equal(batch.x, task.train_pass(6).x)
    assert not np.array_equal(batch.x, load_task("braille", seed=4).train_pass(5).x)


def test_a_share_of_the_samples_shows_its_label() -> None:
    batch = load_task("braille", samples_per_pass=9000).train_pass(0)
    lines = batch.x[:, 60:].reshape(-1, 9, LABEL_LINES)
    assert (lines == lines[:, :, :1]).all(), "all lines of a label are the same"
    labels = lines[:, :, 0] // 255
    shown = labels.any(axis=1)
    assert shown.mean() == pytest.approx(LABELLED, abs=5 * math.sqrt(0.16 / 9000))
    assert np.array_equal(labels[shown], batch.target[shown, 60:])
    assert (batch.target[:, 60:].sum(axis=1) == 1).all()


def test_without_labels_there_are_only_dots() -> None:
    task, plain = load_task("braille"), load_task("braille", labels=False)
    assert (plain.n_features, plain.n_outputs) == (60, 60)
    one, other = task.train_pass(3), plain.train_pass(3)
    assert np.array_equal(one.x[:, :60], other.x)
    assert np.array_equal(one.target[:, :60], other.target)


def test_what_is_shown_of_a_word() -> None:
    task = load_task("braille", words=("a", "b"), draws=1)
    dots = np.zeros((3, 60), np.uint8)
    dots[2, 1] = 1
    seen = task.shown(dots, [1, -1, 0])
    assert seen[:, :2].tolist() == [[0, 0], [0, 0], [0, 255]]
    assert seen[:, 60:].tolist() == [[0] * 4 + [255] * 4, [0] * 8, [255] * 4 + [0] * 4]
    assert not task.shown(dots)[:, 60:].any()


def test_both_word_tasks_show_the_same_samples() -> None:
    dots, words = load_task("braille").train_pass(2), load_task("braille-words").train_pass(2)

    assert np.array_equal(dots.x[:, :60], words.x)
    assert words.target.shape == (SAMPLES_PER_PASS,)
    assert np.array_equal(dots.target, load_task("braille").targets(words.target.astype(np.int64)))


@pytest.mark.parametrize("words", [("one", "two", "three", "four"), tuple("abcdefghijk")])
def test_words_that_do_not_divide_a_pass_take_turns(words: tuple[str, ...]) -> None:
    task = load_task("braille-words", words=words, samples_per_pass=6)

    seen = np.concatenate([task.train_pass(k).target for k in range(22)])

    assert np.bincount(seen).tolist() == [132 // len(words)] * len(words)


def flipped(batch_x: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Share of flipped dots of each sample."""
    return np.mean((batch_x > 127) != clean, axis=1)


def test_training_distortion_is_drawn_from_its_range() -> None:
    wide = load_task(
        "braille", distortion=(0.0, 0.4), samples_per_pass=9000, labels=False
    ).train_pass(0)
    share = flipped(wide.x, wide.target)
    # Mean 0.2; spread of the draw (0.4²/12) plus that of 60 flips (mean of p(1-p)/60).
    assert share.mean() == pytest.approx(0.2, abs=5 * 0.126 / math.sqrt(9000))
    assert share.var() == pytest.approx(0.16 / 12 + (0.2 - 0.16 / 3) / 60, rel=0.06)

    narrow = load_task("braille", distortion=0.3, samples_per_pass=9000, labels=False).train_pass(0)
    share = flipped(narrow.x, narrow.target)
    assert share.mean() == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 540_000))
    assert share.var() == pytest.approx(0.21 / 60, rel=0.06)


@pytest.mark.parametrize("p", DISTORTIONS)
def test_test_set_flips_each_dot_with_its_probability(p: float) -> None:
    task = load_task("braille", labels=False)
    batch = task.test_set(p)

    assert batch.x.shape == (1800, 60)
    assert [braille.decode(dots).strip() for dots in batch.target[:9]] == list(braille.WORDS)
    rate = np.mean((batch.x > 127) != batch.target, axis=0)
    assert np.abs(rate - p).max() < 5 * math.sqrt(p * (1 - p) / 1800)


def test_test_sets_are_independent_of_training_and_of_each_other() -> None:
    task = load_task("braille", distortion=0.1, labels=False)
    noise = {
        "train": task.train_pass(0).x[:450] ^ (task.train_pass(0).target * np.uint8(255)),
        **{
            str(p): task.test_set(p, 50).x ^ (task.test_set(p, 50).target * np.uint8(255))
            for p in DISTORTIONS
        },
    }
    names = list(noise)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            # 27000 pairs of independent flips: the correlation has sigma 0.006.
            correlation = np.corrcoef(noise[a].ravel(), noise[b].ravel())[0, 1]
            assert abs(correlation) < 0.035, (a, b)


def test_fewer_draws_are_the_first_of_more() -> None:
    task = load_task("braille")

    assert np.array_equal(task.test_set(0.2, 3).x, task.test_set(0.2).x[:27])


def test_without_distortion_the_words_are_clean() -> None:
    task = load_task("braille", distortion=0, labels=False)

    assert np.array_equal(task.test_set(0.0).x, task.test_set(0.0).target * 255)
    assert np.array_equal(task.train_pass(0).x, task.train_pass(0).target * 255)


def test_words_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("alpha\nbeta\n")

    task = load_task("braille-words", words=path)

    assert task.class_names == ("alpha", "beta")
    assert task.n_outputs == 2


def test_distortion_key() -> None:
    assert [distortion_key(p) for p in DISTORTIONS][:2] == ["0.10", "0.15"]


# --- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("brail", {}, r"unknown task 'brail': did you mean braille\? known are braille, braille-w"),
        ("xyz", {}, r"unknown task 'xyz': known are .*motions, or a recording, a file"),
        ("none.csv", {}, r"no such file: none\.csv"),
        ("digits", {"test_fraction": 0.0}, r"test fraction must be between 0 and 1, not 0\.0"),
        ("digits", {"test_fraction": 1.0}, r"test fraction must be between"),
        ("digits", {"test_fraction": math.nan}, r"test fraction must be between"),
        ("digits", {"seed": -1}, r"the seed must be 0 or more"),
        ("digits", {"options": ReadOptions(label="y")}, r"how a file is read can only be"),
        ("digits", {"words": ["a", "b"]}, r"other words can only be given for braille and brail"),
        ("braille", {"words": ["a"]}, r"at least two different words"),
        ("braille", {"distortion": 0.6}, r"training distortion must be from 0 to 0\.5"),
        ("braille", {"distortion": (0.3, 0.2)}, r"training distortion must be from 0 to 0\.5"),
        ("braille", {"samples_per_pass": 0}, r"a pass needs at least 1 sample"),
        ("braille", {"draws": 0}, r"a test needs at least 1 draw"),
    ],
)
def test_refused(name: str, options: dict, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        load_task(name, **options)


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    path.touch()

    with pytest.raises(TaskError, match=r"can't learn from .*data\.parquet: a task is one of"):
        load_task(path)


def test_too_many_words_to_tell_apart() -> None:
    words = [a + b for a in "abcdefghij" for b in "abcdefg"][:65]

    with pytest.raises(TaskError, match="65 words; at most 64"):
        load_task("braille-words", words=words)
    assert load_task("braille", words=words, draws=1).n_outputs == 60 + 65
    many = [a + b + c for a in "abcdefg" for b in "abcdefg" for c in "abcde"][:242]
    with pytest.raises(TaskError, match="242 words; at most 241 can be recalled"):
        load_task("braille", words=many)


def test_distortion_is_refused_where_it_makes_no_sense(digits: Task) -> None:
    with pytest.raises(TaskError, match="the task digits has no distortions"):
        digits.test_set(0.2)
    with pytest.raises(TaskError, match=r"from 0 to 0\.5, not 0\.7"):
        load_task("braille").test_set(0.7)
