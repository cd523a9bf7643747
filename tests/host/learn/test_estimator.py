"""`MademClassifier` is a classifier as scikit-learn means it, with the default imperfections on."""

import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from madem import MademClassifier, load_task
from madem.cli import main
from madem.errors import TaskError


@pytest.mark.slow
def test_the_checks_of_scikit_learn_pass_on_the_twin() -> None:
    check_estimator(MademClassifier())


@pytest.mark.long
@pytest.mark.needs("unix")
def test_the_checks_of_scikit_learn_pass_on_a_board() -> None:
    check_estimator(MademClassifier(board="unix"))


def test_it_works_in_a_pipeline_in_cross_validation_and_cloned() -> None:
    x, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), MademClassifier(epochs=10))
    assert cross_val_score(model, x, y, cv=3).mean() > 0.85
    one = MademClassifier(epochs=3, bits=5, random_state=7).fit(x, y)
    again = clone(one)
    assert isinstance(again, MademClassifier)
    again.fit(x, y)
    np.testing.assert_array_equal(one.predict_proba(x), again.predict_proba(x))


def test_predicting_changes_nothing_and_it_comes_back_from_a_pickle() -> None:
    x, y = load_iris(return_X_y=True)
    model = MademClassifier(epochs=3).fit(x, np.array(["a", "b", "c"])[y])
    before, kept = pickle.dumps(model), dict(model.__dict__)
    answers = model.predict(x)
    assert model.__dict__ == kept
    assert pickle.dumps(model) == before
    np.testing.assert_array_equal(pickle.loads(before).predict(x), answers)
    # One row alone, the same row among others, in any order.
    np.testing.assert_array_equal([model.predict(x[k : k + 1])[0] for k in (0, 70, 149)],
                                  answers[[0, 70, 149]])  # fmt: skip
    np.testing.assert_array_equal(model.predict(x[::-1]), answers[::-1])


@pytest.mark.needs("unix")
def test_a_board_learns_and_answers_the_same_bits() -> None:
    x, y = load_iris(return_X_y=True)
    twin, board = (MademClassifier(board=b, epochs=2).fit(x, y) for b in ("twin", "unix"))
    assert twin.network_.state == board.network_.state
    np.testing.assert_array_equal(twin.predict_proba(x), board.predict_proba(x))


def test_the_lines_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert float(said.split()[0]) > 0.9
    assert main(["show", "wine.madem"]) == 0


def test_a_network_can_be_taught_on_and_saved(tmp_path) -> None:
    from madem.network import file

    x, y = load_iris(return_X_y=True)
    model = MademClassifier()
    for k in range(5):
        model.partial_fit(x[k::5], y[k::5], classes=[0, 1, 2])
    assert model.network_.state.steps == len(x)
    file.save(model.network_, tmp_path / "iris.madem")
    found = file.load(tmp_path / "iris.madem")
    assert (found.state, found.classes) == (model.network_.state, ("0", "1", "2"))


def test_arrays_are_a_task() -> None:
    x, y = load_iris(return_X_y=True)
    names = np.array(["a", "b", "c"])[y]
    task = load_task((x, names))
    assert (task.class_names, task.n_features, len(task.x_test)) == (("a", "b", "c"), 4, 30)
    frame = pd.DataFrame(x, columns=["p", "q", "r", "s"])
    assert load_task((frame, names)).feature_names == ("p", "q", "r", "s")


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        (np.zeros(3), [0, 1, 0], "samples in rows and features in columns"),
        (np.zeros((3, 2)), [0, 1], "3 samples and 2 labels"),
        (np.full((4, 2), np.nan), [0, 1, 0, 1], "finite"),
        ([["a"], ["b"]], [0, 1], "numbers"),
        (np.ones((4, 2)), [0, 0, 0, 0], "only one class"),
        (np.ones((4, 2)) * 1j, [0, 1, 0, 1], "real numbers"),
        (np.ones((4, 2)), np.array([0, "a", 0, "a"], object), "all of one kind"),
        (np.ones((4, 2)), np.array(["a", None, "a", None], object), "all of one kind"),
        (np.ones((2, 2)), [[0], [0, 1]], "one text or number each"),
        (np.ones((4, 2)), [0.5, 1, 0.5, 1], "whole numbers or text"),
        (np.ones((4, 2)), [0, np.nan, 0, np.nan], "whole numbers or text"),
    ],
)
def test_arrays_that_can_t_be_a_task_are_refused(x, y, told: str) -> None:
    with pytest.raises(TaskError, match=told):
        load_task((x, y))


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"test_fraction": 0}, "between 0 and 1, not 0"),
        ({"test_fraction": 1.5}, "between 0 and 1, not 1.5"),
        ({"pipeline": "window=8 | mean"}, "pipeline can't be used with arrays"),
        ({"test": "no.csv"}, "test can't be used with arrays"),
        ({"words": ["a"]}, "words can't be used with arrays"),
    ],
)
def test_what_is_not_for_arrays_is_refused(option: dict, told: str) -> None:
    with pytest.raises(TaskError, match=told):
        load_task((np.eye(4), [0, 1, 0, 1]), **option)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"rule": "hebb"}, "must be one of centred, one-sided, clamped"),
        ({"spread": "wide"}, "must be one of robust, range"),
        ({"preset": "perfect"}, "must be one of default, ideal, harsh"),
        ({"epochs": 0}, "must be 1 or more"),
        ({"bits": 9}, "weight"),
    ],
)
def test_settings_that_can_t_be_are_refused_by_name(setting: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        MademClassifier(**setting).fit(np.eye(4), [0, 1, 0, 1])


def test_too_many_features_are_refused_by_their_number() -> None:
    with pytest.raises(ValueError, match="1025 features; at most 1024"):
        MademClassifier().fit(np.ones((4, 1025)), [0, 1, 0, 1])
