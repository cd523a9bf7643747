"""Streams whose world changes: what comes when, and that each change is what it is called."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madem.data import concept_drift, motions
from madem.data.stream_task import Segment, StreamTask
from madem.errors import TaskError


@pytest.fixture(scope="module")
def task() -> StreamTask:
    return motions.load(2)


def made(
    task: StreamTask, text: str, before: int = 60, after: int = 80
) -> concept_drift.DriftStream:
    return concept_drift.drift_stream(
        task, concept_drift.parse(text, task), before=before, after=after
    )


@given(degrees=st.floats(-360, 360), seed=st.integers(0, 99))
def test_turning_keeps_lengths_and_the_third_axis(degrees: float, seed: int) -> None:
    x = np.random.default_rng(seed).integers(-9000, 9000, (20, 6)).astype(np.int16)
    turned = concept_drift.turned(x, degrees).astype(float)
    assert (turned[:, [2, 5]] == x[:, [2, 5]]).all()
    for k in (0, 3):
        before, after = (np.hypot(s[:, k], s[:, k + 1]) for s in (x.astype(float), turned))
        assert after == pytest.approx(before, abs=1)


def test_a_quarter_turn_by_hand() -> None:
    x = np.array([[100, 7, 5], [-32768, 0, 1]], np.int16)
    assert concept_drift.turned(x, 90).tolist() == [[-7, 100, 5], [0, -32768, 1]]
    assert concept_drift.turned(x, -90).tolist() == [[7, -100, 5], [0, 32767, 1]]


def test_half_the_gain_and_a_moved_zero() -> None:
    segment = Segment(np.array([[100, -50, 8]], np.int16), 1)
    assert concept_drift.Change("gain").applied(segment, 1.0).samples.tolist() == [[50, -25, 4]]
    assert concept_drift.Change("gradual").applied(segment, 1.0).samples.tolist() == [
        [2048 + 25, 2048 + 50, 2048 + 4]
    ]


@settings(max_examples=20, deadline=None)
@given(kind=st.sampled_from(list(concept_drift.KINDS)), label=st.integers(0, 3))
def test_before_it_comes_a_change_changes_nothing(kind: str, label: int) -> None:
    segment = Segment(np.ones((5, 6), np.int16), label)
    assert concept_drift.Change(kind, (0, 1)).applied(segment, 0.0) is segment


@pytest.mark.parametrize("text", list(concept_drift.KINDS))
def test_a_stream_is_as_long_as_asked_and_repeats(task: StreamTask, text: str) -> None:
    one, other = made(task, text), made(task, text)
    counts = [task.pipeline.windows(len(s.samples)) for s in one.task.segments]
    assert sum(counts) == len(one.truth) == len(one.labels)
    assert 60 <= one.change_at < 64
    assert one.change_at + 80 <= len(one.truth) < one.change_at + 84
    assert (one.truth == other.truth).all()
    assert (one.labels == other.labels).all()
    assert one.truth.tolist() == np.repeat([s.label for s in one.task.segments], counts).tolist()
    another = made(motions.load(3), text)
    assert len(another.truth) != len(one.truth) or (another.truth != one.truth).any()
    # Nothing that is tested is ever learned.
    learned = {s.samples.tobytes() for s in one.task.segments}
    assert not learned & {s.samples.tobytes() for s in one.held_out}


def test_every_window_is_cut_from_the_stream(task: StreamTask) -> None:
    stream = made(task, "gain")
    chunks = [stream.task.windows[k] for k in range(len(stream.truth))]
    assert sum(chunk.restart for chunk in chunks) == len(stream.task.segments)
    whole = np.concatenate([s.samples for s in stream.task.segments])
    assert (np.concatenate([chunk.samples for chunk in chunks]) == whole).all()


def test_which_classes_come_when(task: StreamTask) -> None:
    names = task.class_names
    new = made(task, f"new:{names[1]}")
    assert set(new.truth[: new.change_at]) == {0, 2, 3}
    assert 1 in new.truth[new.change_at :]
    assert set(new.tests(0)[1]) == {0, 2, 3}
    assert set(new.tests(new.change_at)[1]) == {0, 1, 2, 3}
    halves = made(task, f"classes:{names[0]},{names[3]}")
    assert set(halves.truth[: halves.change_at]) == {0, 3}
    assert set(halves.truth[halves.change_at :]) == {1, 2}
    assert set(halves.tests(0)[1]) == {0, 1, 2, 3}
    rare = made(task, f"rare:{names[0]},{names[3]}", after=600)
    assert set(rare.truth[: rare.change_at]) == {0, 3}
    share = np.isin(rare.truth[rare.change_at :], [0, 3]).mean()
    assert 0.03 < share < 0.2


def test_swapped_classes_keep_their_samples(task: StreamTask) -> None:
    swap = concept_drift.parse("swap:Walking,Running", task)
    segment = task.segments[0]
    for label, expected in ((0, 0), (1, 3), (2, 2), (3, 1)):
        found = swap.applied(Segment(segment.samples, label), 1.0)
        assert (found.label, found.samples is segment.samples) == (expected, True)


def test_wrong_labels_are_told_and_not_true(task: StreamTask) -> None:
    stream = made(task, "wrong", after=200)
    wrong = np.flatnonzero(stream.labels != stream.truth)
    assert stream.change_done == stream.change_at + 100
    assert stream.change_at <= wrong.min()
    assert wrong.max() < stream.change_done
    assert len(wrong) == pytest.approx(75, abs=20)  # three of four


def test_a_slow_change_comes_slowly(task: StreamTask) -> None:
    stream = made(task, "gradual", after=480)
    amounts = [stream.amount(n) for n in range(len(stream.truth))]
    assert amounts[stream.change_at - 1] == 0
    assert amounts[stream.change_at + 100] == pytest.approx(0.25)
    assert amounts[stream.change_done] == 1
    assert (np.diff(amounts) >= 0).all()
    first = np.abs(stream.tests(0)[0] - stream.tests(stream.change_at + 1)[0])
    last = np.abs(stream.tests(0)[0] - stream.tests(stream.change_done)[0])
    assert last.mean() > 10 * first.mean()


def test_the_changed_task_is_for_a_fresh_network(task: StreamTask) -> None:
    changed = concept_drift.changed_task(task, concept_drift.parse("swap", task))
    assert (np.bincount(changed.y_train) == np.bincount(task.y_train)).all()
    assert ((changed.y_test == 0) == (task.y_test == 1)).all()
    k = len(task.y_train)
    assert changed.windows[k].samples.tobytes() == task.windows[k].samples.tobytes()
    turned = concept_drift.changed_task(task, concept_drift.parse("turn", task))
    assert turned.windows[k].samples.tobytes() != task.windows[k].samples.tobytes()
    assert (turned.y_test == task.y_test).all()


def test_long_stretches_are_cut_into_windows_that_are_all_there(task: StreamTask) -> None:
    p = task.pipeline
    for windows in (1, 4, 5, 9):
        samples = np.zeros((p.window + (windows - 1) * p.hop + 3, 6), np.int16)
        pieces = concept_drift._cut(task, Segment(samples, 0))
        assert len(pieces) == math.ceil(windows / 4)
        assert sum(p.windows(len(piece.samples)) for piece in pieces) == windows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("earthquake", "there is no change 'earthquake': choose from none, turn, "),
        ("turn:Walking", "the change turn takes no classes"),
        ("swap:Walking", r"swap:Walking: two classes swap"),
        ("swap:Walking,Walking", "swap"),
        ("new:Flying", "motions has no class 'Flying': it has Badminton, "),
        ("new:Badminton,Running,Standing,Walking", "some class must come before"),
    ],
)
def test_changes_that_can_not_be(task: StreamTask, text: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        concept_drift.parse(text, task)
