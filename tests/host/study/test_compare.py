"""`madem compare`: every cell is the experiment that its row and column say."""

import csv
import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from madem.cli import main
from madem.data.registry import load_task
from madem.learn import train as learn
from madem.pictures import rules as rules_pictures
from madem.study import compare_plan, compare_run
from madem_emulator.twin.rules import RULES
from madem_emulator.twin.twin import Twin


@pytest.fixture
def toy(tmp_path: Path) -> str:
    """A data file with two easy classes."""
    random = np.random.default_rng(1)
    y = np.arange(60) % 2
    x = random.normal(0, 0.15, (60, 4)) + np.where(y, 0.8, 0.2)[:, None] * [1, -1, 1, -1]
    path = tmp_path / "toy.csv"
    np.savetxt(path, np.column_stack([x, y]), fmt=["%.4f"] * 4 + ["%d"], delimiter=",",
               header="a,b,c,d,label", comments="")  # fmt: skip
    return str(path)


@contextmanager
def no_bar(_what: str, _total: int) -> Iterator[compare_run.Progress]:
    yield lambda _n: None


# --- the command -------------------------------------------------------------------------------


def test_command_makes_table_csv_json_and_picture(
    toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["compare", "--task", toy, "--rules", "centred,dfa,backprop", "--over", "bits"]
    assert main([*command, "--quick", "--out", str(out), "--json", str(tmp_path / "r.json")]) == 0

    text = capsys.readouterr().out
    for expected in ("centred difference", "direct feedback", "float backprop", "over bits"):
        assert expected in text
    assert (out / "compare-toy.png").read_bytes().startswith(b"\x89PNG")
    with (out / "compare-toy.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["value"], row["rule"]) for row in table] == [
        (str(bits), rule) for bits in (2, 4, 8) for rule in ("centred", "dfa", "backprop")
    ]
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["seeds"] == [1, 2]
    assert result["rules"]["centred"]["bytes_per_coupling"] == 1
    assert len(result["results"]) == 9
    for row, cell in zip(table, result["results"], strict=True):
        assert float(row["mean"]) == pytest.approx(np.mean(cell["accuracy"]), abs=1e-5)
        assert float(row["seed_2"]) == pytest.approx(cell["accuracy"][1], abs=1e-5)
    ceiling = [cell["accuracy"] for cell in result["results"] if cell["rule"] == "backprop"]
    assert ceiling[0] == ceiling[1] == ceiling[2]
    assert np.mean(ceiling) > 0.9


def test_quiet_prints_nothing(toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compare", "--task", toy, "--rules", "backprop", "--over", "noise", "--quick"]
    assert main([*command, "--quiet", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rules", "centred,magic"], "unknown rule 'magic'"),
        (["--seeds", "0"], "seeds is 0"),
        (["--epochs", "0"], "epochs is 0"),
        (["--workers", "0"], "--workers is 0"),
        (["--task", "nothing"], "unknown task"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_several_processes_need_the_packages_of_sweep(
    toy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["compare", "--workers", "2"]) == 2
    assert "pip install 'madem[sweep]'" in capsys.readouterr().err
    few = ["compare", "--task", toy, "--rules", "dfa", "--over", "noise", "--seeds", "1"]
    assert main([*few, "--epochs", "1", "--quiet", "--out", str(tmp_path)]) == 0


@pytest.mark.slow
def test_quick_run_on_the_digits(tmp_path: Path) -> None:
    command = ["compare", "--quick", "--quiet", "--rules", "centred,stochastic,backprop"]
    assert main([*command, "--over", "bits", "--json", str(tmp_path / "r.json"),
                 "--out", str(tmp_path)]) == 0  # fmt: skip
    results = json.loads((tmp_path / "r.json").read_text())["results"]
    mean = {(cell["rule"], cell["value"]): cell["mean"] for cell in results}
    assert mean["centred", 4] > 0.85
    assert mean["backprop", 4] > 0.93
    assert mean["centred", 2] > mean["stochastic", 2] + 0.1


# --- the cells ---------------------------------------------------------------------------------


def test_centred_cells_are_the_twin_to_the_bit(toy: str) -> None:
    plan = compare_plan.plan_comparison(toy, rules=["centred"], over="bits", seeds=2, epochs=2)
    plan = replace(plan, rates={"centred": (1.0, 2.0, 4.0)})
    cells = compare_run.compare_rules(plan, no_bar).cells

    task = plan.task
    for bits, rate in ((2, 1.0), (4, 2.0), (8, 4.0)):
        settings = replace(plan.recipe.settings, weight_bits=bits)
        for b, seed in enumerate(plan.seeds):
            twin = Twin(replace(settings, seed=seed).integers())
            for k in range(2):
                batch = task.train_pass(1000 * seed + k)
                for x, target in zip(batch.x, batch.target, strict=True):
                    twin.learn(settings.rate(rate * plan.recipe.decay**k), x, target)
            right = twin.answer(twin.predict_many(task.x_test)[-1])[0] == task.y_test
            cell = cells["bits", bits, "centred"]
            assert cell.accuracy[b] == right.mean()
            assert cell.rate == pytest.approx(rate)
    assert cells["bits", 2, "centred"].pulses != cells["bits", 8, "centred"].pulses


def test_any_number_of_workers_gives_the_same_cells(toy: str) -> None:
    """Bit for bit, the ceiling in floats too; the bar gets the same samples."""
    plan = compare_plan.plan_comparison(toy, rules=["centred", "backprop"], over="bits", quick=True)
    told: list[int] = []

    @contextmanager
    def bar(_what: str, total: int) -> Iterator[compare_run.Progress]:
        told.append(total)
        yield lambda n: told.append(-n)

    found = [compare_run.compare_rules(plan, bar, workers).cells for workers in (1, 2)]
    assert list(found[0].items()) == list(found[1].items())
    assert sum(told) == 0


def test_each_limit_reaches_the_device(toy: str) -> None:
    plan = compare_plan.plan_comparison(toy, rules=["centred"], epochs=1, seeds=3)
    cells = compare_run.compare_rules(plan, no_bar).cells
    default = cells["bits", 4, "centred"]
    assert cells["noise", 0.01, "centred"] == cells["faults", 0.0, "centred"] == default
    others = {key: cell for key, cell in cells.items() if cell != default}
    # One of the three limits at its default is the same device; all others are not.
    assert len(others) == len(cells) - 3


@pytest.mark.slow
def test_published_figures_are_what_the_command_gives() -> None:
    # The fastest two cells of docs/figures; whoever changes the device has to run it all again.
    with (Path(__file__).parents[3] / "docs/figures/compare-digits.csv").open() as file:
        published = {(r["over"], r["value"], r["rule"]): r for r in csv.DictReader(file)}
    plan = compare_plan.plan_comparison("digits", rules=["dfa", "backprop"], over="bits", seeds=1)
    cells = compare_run.compare_rules(replace(plan, limits={"bits": (4,)}), no_bar).cells
    for (key, value, name), cell in cells.items():
        expected = float(published[key, str(value), name]["seed_1"])
        # Floats may round otherwise on another computer.
        assert cell.accuracy[0] == pytest.approx(expected, abs=2e-5 if name == "dfa" else 0.01)


def test_recall_is_scored_by_words_without_a_wrong_dot() -> None:
    plan = compare_plan.plan_comparison("braille", rules=["centred"], quick=True)
    task = plan.task
    assert (
        plan.recipe.settings
        == learn.recipe(load_task("braille", labels=False), weight_bits=4).settings
    )
    assert any(plan.recipe.settings.competition)

    class Memory:
        """Answers with the right dots, but for one wrong dot in every third sample."""

        pulses = np.zeros(2, np.int64)

        def learn(
            self, rate: object, x: object, target: object, pulses_per_update: int = 1, /
        ) -> None: ...

        def outputs(self, x: np.ndarray) -> np.ndarray:
            dots = task.targets(task.y_test).copy()
            dots[::3, 7] ^= 1
            return np.stack([dots, task.targets(task.y_test)])

        def answer(self, outputs: np.ndarray) -> np.ndarray:  # type: ignore[override]
            return outputs

    samples = len(task.x_test)
    assert samples == 7 * 9 * compare_plan.WORD_DRAWS
    expected = [1 - len(range(0, samples, 3)) / samples, 1]
    assert compare_run.score(Memory(), task).tolist() == pytest.approx(expected)  # type: ignore


def test_learning_rates_between_the_tuned_bits() -> None:
    assert compare_plan.rate_at((1.0, 4.0, 16.0), 4) == pytest.approx(4)
    assert compare_plan.rate_at((1.0, 4.0, 16.0), 3) == pytest.approx(2)
    assert compare_plan.rate_at((1.0, 4.0, 16.0), 6) == pytest.approx(8)
    assert compare_plan.rate_at((0.03,), 6) == 0.03


# --- the learning rates ------------------------------------------------------------------------


def test_kept_rates_are_of_the_grid_that_was_tried() -> None:
    for rates in compare_plan.RATES.values():
        assert set(rates) == set(RULES)
        for name, chosen in rates.items():
            assert set(chosen) <= set(RULES[name].rates)
            assert len(chosen) == (len(compare_plan.TUNED_BITS) if RULES[name].on_crossbar else 1)


def test_data_tasks_are_tuned_on_training_samples_only() -> None:
    task = load_task("digits")
    trial = compare_run.validation_task(task)
    own = {x.tobytes() for x in task.x_train}
    assert {x.tobytes() for x in (*trial.x_train, *trial.x_test)} == own
    assert len(trial.x_train) + len(trial.x_test) == len(task.x_train)
    assert len(trial.train_pass(0).x) == trial.samples_per_pass == len(trial.x_train)


def test_word_tasks_are_tuned_on_words_of_their_own() -> None:
    task = compare_plan.plan_comparison("braille-words").task
    trial = compare_run.validation_task(task)
    assert len(trial.x_test) == len(trial.y_test) == 3 * task.samples_per_pass
    assert task.patterns is not None
    # A dot is flipped with p = 0.3; another word would be half different.
    flipped = (trial.x_test > 0) != task.patterns[trial.y_test]
    assert flipped.mean() == pytest.approx(0.3, abs=0.01)
    tested = {x.tobytes() for x in task.x_test}
    assert sum(x.tobytes() in tested for x in trial.x_test) < 5


def test_recall_is_tuned_on_words_of_its_own() -> None:
    task = compare_plan.plan_comparison("braille").task
    trial = compare_run.validation_task(task)
    assert task.patterns is not None
    flipped = (trial.x_test > 0) != task.patterns[trial.y_test]
    assert flipped.mean() == pytest.approx(0.3, abs=0.01)


def test_tuning_finds_the_rate_that_is_best_on_the_validation_set(toy: str) -> None:
    plan = compare_plan.plan_comparison(toy, rules=["centred", "backprop"], epochs=1)
    found = compare_run.tune(plan, no_bar)
    task = compare_run.validation_task(plan.task)
    trial = replace(plan, task=task, seeds=compare_run._TUNE_SEEDS)
    settings = replace(plan.recipe.settings, weight_bits=4)
    rule = RULES["centred"]
    means = [compare_run.train_cell(rule, trial, settings, [rate] * 3).mean for rate in rule.rates]
    assert found["centred"][1] == rule.rates[int(np.argmax(means))]
    assert len(set(means)) > 1
    assert len(found["backprop"]) == 1
    assert compare_run.tuned(plan, no_bar).rates == found


# --- the picture -------------------------------------------------------------------------------


def test_picture_has_every_rule_in_every_panel() -> None:
    accuracy = {
        "one": np.array([[0.5, 0.7], [0.8, 0.8]]),
        "two": np.array([[0.2, 0.2], [0.4, 0.6]]),
    }
    panels = [rules_pictures.RulesPanel(label, ["2", "4"], accuracy) for label in ("bits", "noise")]
    figure = rules_pictures.rules_picture(
        panels,
        memory={"one": (1.0, [0.8, 0.8]), "two": (0.0, [0.4, 0.6])},
        ceiling=("float", [0.9, 1.0]),
        title="A title",
    )
    axes = [a for a in figure.axes if a.axison]
    assert len(axes) == 3
    for a in axes[:2]:
        bars = [c for c in a.containers if isinstance(c, ErrorbarContainer)]
        means = {str(c.get_label()): c[0].get_ydata() for c in bars}
        np.testing.assert_allclose(means["one"], [0.6, 0.8])
        np.testing.assert_allclose(means["two"], [0.2, 0.5])
        assert any(np.allclose(line.get_ydata(), 0.95) for line in a.lines)
    found = [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]
    for expected in ("A title", "one", "two", "float", "over bits"):
        assert expected in found
    assert isinstance(rules_pictures.rules_picture(panels[:1]), Figure)
