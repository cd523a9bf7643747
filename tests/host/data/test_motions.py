"""The task motions: its data, its windows, what it reaches, a user's own stream in its place."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from madem.data import motions
from madem.data.files.judge import ReadOptions
from madem.data.files.recording import Header, Recorder
from madem.data.registry import load_task
from madem.data.stream_task import StreamTask
from madem.errors import TaskError
from madem.learn import session, train
from madem_emulator.twin.features import TwinFeatures

SMALL = "window=20 hop=10 | mean energy | norm:4"


@pytest.fixture(scope="module")
def task() -> StreamTask:
    return motions.load(seed=1)


def test_the_official_split(task: StreamTask) -> None:
    assert task.class_names == ("Badminton", "Running", "Standing", "Walking")
    assert len(task.segments) == 80
    assert task.training == 40
    assert {segment.samples.shape for segment in task.segments} == {(100, 6)}
    labels = [segment.label for segment in task.segments]
    assert np.bincount(labels[:40]).tolist() == np.bincount(labels[40:]).tolist() == [10] * 4
    assert task.x_train.shape == task.x_test.shape == (160, 108)
    assert len(task.feature_names) == 108
    # Well inside the counts of a 16-bit sensor.
    largest = max(np.abs(segment.samples.astype(int)).max() for segment in task.segments)
    assert 16384 < largest < 32767


def test_chunks_put_together_are_the_recordings(task: StreamTask) -> None:
    found: list[np.ndarray] = []
    for window in range(320):
        chunk = task.windows[window]
        assert chunk.restart == (window % 4 == 0)
        assert len(chunk.samples) == (40 if chunk.restart else 20)
        found.append(chunk.samples)
    whole = np.concatenate([segment.samples for segment in task.segments])
    assert np.array_equal(np.concatenate(found), whole)


def test_a_pass_takes_every_window_once_and_recordings_whole(task: StreamTask) -> None:
    windows, target = task.feed.train_pass(0)
    numbers = windows.numbers
    assert sorted(numbers) == list(range(160))
    assert np.array_equal(numbers.reshape(40, 4) - numbers[::4, None], [[0, 1, 2, 3]] * 40)
    assert np.array_equal(target, task.y_train[numbers])
    assert np.array_equal(task.train_pass(0).x, task.x_train[numbers])
    assert np.array_equal(windows[5].samples, task.windows[numbers[5]].samples)
    assert not np.array_equal(task.order(1), numbers)
    assert np.array_equal(motions.load(seed=1).order(1), task.order(1))
    assert task.feed.x_test.numbers.tolist() == list(range(160, 320))


def test_the_desktop_sees_the_features_of_the_twin(task: StreamTask) -> None:
    twin = TwinFeatures(task.pipeline)
    windows = twin.windows(task.segments[50].samples)
    twin.codes(windows, True)  # some normalisation
    assert task.x_test[40:44].shape == twin.codes(windows, False).shape
    # The test recordings have not moved the normalisation.
    other = motions.load(seed=1)
    assert np.array_equal(other.x_test, task.x_test)
    assert task.describe()["pipeline"] == motions.PIPELINE


def test_learned_on_the_device_from_the_raw_stream(task: StreamTask) -> None:
    """At least 95 % of the test windows, on the mean of five seeds, with default 4-bit devices."""
    accuracies = []
    with session.open_learner("unix") as device:
        for seed in range(1, 6):
            one = motions.load(seed)
            plan = train.recipe(one, seed=seed)
            assert plan.settings.weight_bits == 4
            learner, plan = session.prepare(device, plan, one, None)
            train.train(learner, one, plan)
            accuracies.append(train.evaluate(learner, one)["accuracy"])
    assert np.mean(accuracies) >= 0.95
    assert min(accuracies) >= 0.9


def test_a_missing_package_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(TaskError, match="pip install --no-deps 'aeon") as error:
        motions.load(1)
    assert "\n" not in str(error.value)


# --- a user's own stream ------------------------------------------------------------------------


def shaken(n: int, loud: bool, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.rint(random.normal(0, 900 if loud else 60, (n, 2))).astype(int)


def test_a_recording_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    with Recorder(path, Header(("x", "y"), 100.0, units_per_count=(0.5, 0.25))) as recorder:
        t = 0
        for k in range(6):
            for row in shaken(200, bool(k % 2), k):
                recorder.add(t, row.tolist(), ("still", "shaking", "")[2 if k == 5 else k % 2])
                t += 10_000 if t != 500_000 else 50_000

    own = load_task("motions", source=path, pipeline=SMALL, test_fraction=0.25)

    assert isinstance(own, StreamTask)
    assert own.class_names == ("shaking", "still")
    assert (own.rate_hz, own.channel_names) == (100.0, ("x", "y"))
    # Five labelled segments, the first of them cut in two by a gap.
    assert (own.training, len(own.segments)) == (6, 12)
    assert [len(s.samples) for s in own.segments] == [
        *(38, 112, 150, 150, 150, 150),
        *(13, 37, 50, 50, 50, 50),
    ]
    assert np.array_equal(own.segments[2].samples, shaken(200, True, 1)[:150])
    assert np.array_equal(own.segments[8].samples, shaken(200, True, 1)[150:])
    assert own.describe()["units_per_count"] == [0.5, 0.25]
    learner, plan = session.prepare(None, train.recipe(own, epochs=12), own, None)
    train.train(learner, own, plan)
    assert train.evaluate(learner, own)["accuracy"] == 1.0


def test_a_plain_csv_in_the_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    rows = ["x,what,y"]
    for k in range(4):
        rows += [f"{a / 1000},{'ab'[k % 2]},{b}" for a, b in shaken(100, bool(k % 2), k)]
    path.write_text("\n".join(rows))

    own = load_task("motions", source=str(path), pipeline=SMALL, options=ReadOptions(label="what"))

    assert isinstance(own, StreamTask)
    assert own.channel_names == ("x", "y")
    assert [len(s.samples) for s in own.segments] == [80] * 4 + [20] * 4
    largest = np.abs(np.concatenate([s.samples for s in own.segments[:4]]).astype(int)).max(axis=0)
    assert largest.tolist() == [8192, 8192]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pipeline": "window=40 | mien"}, "'mien' in the pipeline"),
        (
            {"options": ReadOptions(label="y")},
            "how a file is read can only be",
        ),
        ({"source": "no.csv"}, "no such file: no.csv"),
        ({"source": __file__}, "samples come in a recording, a file ending in .csv"),
    ],
)
def test_refusals(options: dict, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        load_task("motions", **options)
    with pytest.raises(TaskError, match="a pipeline is for streams, not for digits"):
        load_task("digits", pipeline=SMALL)


def test_stretches_too_short_for_a_test_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    rows = [f"{a},{b},{'pq'[k // 50]}" for k, (a, b) in enumerate(shaken(100, True, 1))]
    path.write_text("x,y,what\n" + "\n".join(rows))
    with pytest.raises(TaskError, match="class p has no test window of 20 samples: record more"):
        load_task("motions", source=path, pipeline=SMALL)


def test_a_recording_without_labels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    with Recorder(path, Header(("x",))) as recorder:
        recorder.add(0, (1,))
    with pytest.raises(TaskError, match="has no labels; a task needs 2 or more"):
        load_task("motions", source=path)
    with pytest.raises(TaskError, match="has no features: no column of numbers is left"):
        load_task("motions", source=path, options=ReadOptions(label="x"))
