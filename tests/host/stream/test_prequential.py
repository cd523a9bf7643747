"""Learning through a change: the runner, what it measures, and the command."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from madem.boards.link_protocol import GateRequest
from madem.cli import main
from madem.data import concept_drift, motions
from madem.data.concept_drift import DriftStream
from madem.data.stream_task import StreamTask
from madem.learn import train as learn
from madem.learners.twin import TwinLearner
from madem.pictures.online import OnlinePanel, online_picture
from madem.stream import prequential
from madem.stream.prequential import Check, PrequentialResult
from madem_emulator.twin.gated import GateSettings

SHORT = motions.PIPELINE.replace("hop=20", "hop=30")


@pytest.fixture(scope="module")
def task() -> StreamTask:
    return motions.load(1, SHORT)


def course_of(task: StreamTask, text: str, before: int = 200, after: int = 120) -> DriftStream:
    return concept_drift.drift_stream(
        task, concept_drift.parse(text, task), before=before, after=after
    )


def learn_course(
    stream: DriftStream, care: GateSettings | None = None
) -> tuple[TwinLearner, PrequentialResult]:
    plan = prequential.recipe(stream.task, hidden=(12,), seed=1)
    learner = TwinLearner(plan.settings.integers(), stream.task.pipeline)
    return learner, prequential.run_prequential(
        learner, stream, plan.schedule(0), care or GateSettings()
    )


@pytest.fixture(scope="module")
def turned(task: StreamTask) -> tuple[DriftStream, TwinLearner, PrequentialResult]:
    stream = course_of(task, "turn")
    return stream, *learn_course(stream)


def test_every_window_is_tested_and_then_learned(
    turned: tuple[DriftStream, TwinLearner, PrequentialResult],
) -> None:
    stream, learner, result = turned
    assert [window.number for window in result.windows] == list(range(len(stream.truth)))
    assert [window.label for window in result.windows] == stream.truth.tolist()
    assert result.learned == len(stream.truth) == learner.twin.steps
    # Answers are those before learning: the same as of a plain stream of lessons.
    plain = TwinLearner(learner.config, stream.task.pipeline)
    rate, pulses = prequential.recipe(stream.task, hidden=(12,), seed=1).schedule(0)
    answers = plain.learn(
        rate, stream.windows, stream.labels.astype(np.uint8), pulses_per_update=pulses
    )
    assert [window.answer for window in result.windows] == answers.tolist()
    assert plain.state() == learner.state()
    assert result.windows[3].t_s == pytest.approx((40 + 3 * 30) / 10)


def test_the_frozen_network_has_learned_nothing_since(
    turned: tuple[DriftStream, TwinLearner, PrequentialResult],
) -> None:
    stream, learner, result = turned
    frozen = np.array(result.frozen)
    assert np.isnan(frozen[: stream.change_at]).all()
    assert not np.isnan(frozen[stream.change_at :]).any()
    # By hand: the network at the change, asked for the windows after it.
    windows, labels = stream.windows, stream.labels.astype(np.uint8)
    rate, pulses = prequential.recipe(stream.task, hidden=(12,), seed=1).schedule(0)
    at_change = TwinLearner(learner.config, stream.task.pipeline)
    at_change.learn(
        rate, windows[: stream.change_at], labels[: stream.change_at], pulses_per_update=pulses
    )
    inputs = at_change.inputs(windows[stream.change_at :], follow=True)
    right = at_change.outputs_of(inputs).argmax(axis=1) == labels[stream.change_at :]
    accuracy = prequential.RunningAccuracy(prequential.MEMORY)
    assert frozen[stream.change_at :].tolist() == [accuracy.add(bool(one)) for one in right]


def test_it_recovers_where_the_frozen_one_does_not() -> None:
    stream = course_of(motions.load(1), "swap:Standing,Walking", 320, 240)
    plan = prequential.recipe(stream.task, seed=1)
    learner = TwinLearner(plan.settings.integers(), stream.task.pipeline)
    result = prequential.run_prequential(learner, stream, plan.schedule(0), GateSettings())
    before = [check for check in result.checks if check.window <= stream.change_at][-1]
    last = result.checks[-1]
    assert last.frozen is not None
    assert before.accuracy > 0.9
    assert last.accuracy > 0.9
    assert last.frozen < 0.6
    assert len(last.classes) == 4
    assert np.mean([value for value in last.classes if value is not None]) == pytest.approx(
        last.accuracy, abs=0.01
    )


def test_the_fresh_level_is_that_of_learning_the_changed_task(task: StreamTask) -> None:
    plan = learn.recipe(task, hidden=(12,), epochs=6, seed=1)
    swap = concept_drift.parse("swap", task)
    names = np.array([1, 0, 2, 3])
    level = prequential.fresh_level(task, swap, plan)
    assert level > 0.9
    # Names don't matter to a network: the unchanged task is as hard.
    assert level == pytest.approx(
        prequential.fresh_level(task, concept_drift.Change("none"), plan), abs=0.08
    )
    assert (concept_drift.changed_task(task, swap).y_test == names[task.y_test]).all()


def test_a_gate_learns_less_and_says_so(task: StreamTask) -> None:
    stream = course_of(task, "none", before=160, after=40)
    learner, result = learn_course(stream, GateSettings(gate=40))
    assert result.learned == learner.ask_gate(GateRequest.ASK).learned < 160
    for window in result.windows:
        assert window.margin is not None
        assert window.learned == (not window.right or window.margin < 40)


CHECKS = [
    (20, 0.9), (40, 0.9), (60, 0.5), (80, 0.93), (100, 0.8), (120, 0.95), (140, 0.97), (160, 0.96),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fresh", "done", "expected"),
    [
        (0.98, 40, 80),  # at 80 it is lower, and at 120 it stays
        (0.95, 40, 80),  # at 80 it was near, but did not stay
        (0.999, 40, None),
        (0.93, 110, 10),
        (0.98, 140, None),  # too few checks are left to tell
    ],
)
def test_recovered_means_near_and_staying(fresh: float, done: int, expected: int | None) -> None:
    stream: Any = SimpleNamespace(change_done=done)
    windows, accuracy = zip(*CHECKS, strict=True)
    assert prequential.recovered(stream, windows, accuracy, fresh) == expected


def test_forgetting_by_hand() -> None:
    """Two classes that come first: one falls from 0.9 to 0.3, the other from 1 to 0.8."""
    checks = [
        Check(20, 0.5, None, (0.7, 1.0, 0.0)),
        Check(40, 0.6, None, (0.8, 0.9, 0.0)),
        Check(60, 0.7, 0.5, (0.9, 0.6, 0.5)),
        Check(80, 0.7, 0.5, (0.3, 0.8, 0.9)),
    ]
    found = prequential.forgetting(checks, 40)
    assert found is not None
    assert found["forgetting"] == pytest.approx((0.6 + 0.2) / 2)
    assert found["backward_transfer"] == pytest.approx((-0.5 - 0.1) / 2)
    assert prequential.forgetting(checks, 10) is None


def test_the_picture_draws_what_was_measured() -> None:
    panel = OnlinePanel(
        title="a change",
        change_at=2,
        change_done=3,
        running=[[0.1, 0.2, 0.3, 0.4]],
        frozen=[[float("nan")] * 2 + [0.2, 0.1]],
        checks=[2, 4],
        held_out=[[0.5, 0.6]],
        fresh=0.9,
        learned=[True, False, True, True],
        backs=[3],
    )
    figure = online_picture([panel])
    assert isinstance(figure, Figure)
    (axes,) = figure.axes
    lines = {str(line.get_label()): line.get_xydata().tolist() for line in axes.lines}  # pyright: ignore
    assert lines["learning, tested before each window"] == [[1, 0.1], [2, 0.2], [3, 0.3], [4, 0.4]]
    assert lines["frozen at the change"] == [[3, 0.2], [4, 0.1]]
    assert lines["learning, on windows never learned"] == [[2, 0.5], [4, 0.6]]
    assert [x for x, _ in lines["learned"]] == [1, 3, 4]
    assert "went back to its copy" in lines
    by_class = online_picture([panel, panel])
    assert len(by_class.axes) == 2


def run(*words: str) -> int:
    return main(["online", "motions", "--pipeline", SHORT, *words])


def test_the_command_on_a_board_and_on_the_twin(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = []
    options = ["--change", "turn", "--windows", "99,60", "--gate", "20", "--rollback", "20"]
    for board in ("unix", "twin"):
        path = tmp_path / f"{board}.json"
        plot, saved = tmp_path / board, tmp_path / f"{board}.madem"
        code = run(
            "--board", board, *options, "--layers", "8", "--epochs", "2", "--json", str(path),
            "--plot", str(plot), "--save", str(saved),
        )  # fmt: skip
        assert code == 0
        assert (plot / "motions-online-turn.png").read_bytes()[:4] == b"\x89PNG"
        found.append(json.loads(path.read_text()))
        found[-1]["saved"] = saved.read_bytes()
    for result, board in zip(found, ("unix", "twin"), strict=True):
        assert result.pop("board") == board
        assert (result.pop("heap_peak_bytes") is None) == (board == "twin")
    assert found[0] == found[1]
    assert 0 < found[0]["learned"] < found[0]["windows"] == len(found[0]["running"])
    assert "159 windows" in capfd.readouterr().out


def test_verify_in_lock_step(capfd: pytest.CaptureFixture[str]) -> None:
    words = "--change new --windows 60,40 --gate 60 --rollback 20 --layers 6 --at-most 70"
    code = main(["online", "motions", "--verify", "--pipeline", SHORT, *words.split()])
    assert code == 0
    assert "values compared, 0 mismatches" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("online digits", "a stream is needed, such as motions, not digits"),
        ("online motions --split 0.3", "motions can't be split"),
        ("online motions --gate 256", "--gate is 256, but must be from 0 to 255"),
        ("online motions --at-most 101", "--at-most is 101, but must be from 0 to 100"),
        ("online motions --rollback 0", "--rollback is 0, but must be above 0"),
        ("online motions --windows 5", "'5' is not two numbers such as 400,400"),
        ("online motions --windows 0,5", "both must be 1 or more"),
        ("online motions --change hail", "there is no change 'hail'"),
        ("online motions --rate 9999", "learning_rate"),
        ("online motions --preset cmo_hfox_2025", "invalid choice: 'cmo_hfox_2025'"),
        ("online motions --verify --board twin", "choose a board"),
    ],
)
def test_what_can_not_be_is_refused_in_one_line(
    words: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    error = capfd.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
