"""Baselines against published figures, hand-made cases and an exact calculation."""

import math

import numpy as np
import pytest

from madem.data.registry import load_task
from madem.data.task import DISTORTIONS
from madem.errors import TaskError
from madem.learn.baselines import (
    classify_baselines,
    exact_word,
    hebb_weights,
    logistic_regression,
    nearest_word,
    pseudo_inverse_weights,
    settle,
    word_baselines,
)

# Exact-word recall of our nine words at 0.15 ... 0.40, measured by an independent program.
ANCHORS = {
    "ml_bound": (0.997, 0.986, 0.941, 0.862, 0.674, 0.469),
    "pseudo_inverse": (0.993, 0.967, 0.875, 0.709, 0.467, 0.264),
}
TRIALS = 1800


def within_binomial_error(a: float, b: float) -> bool:
    """Whether two estimates of one probability, from TRIALS each, agree to 4 sigma."""
    mean = (a + b) / 2
    # The anchors are rounded, and one count more or less must not decide.
    return abs(a - b) <= 4 * math.sqrt(2 * mean * (1 - mean) / TRIALS) + 2 / TRIALS


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_word_memories_reproduce_the_anchors(seed: int) -> None:
    recall = word_baselines(load_task("braille", seed=seed))

    assert list(recall) == ["ml_bound", "pseudo_inverse", "hebb"]
    for name, anchors in ANCHORS.items():
        assert list(recall[name]) == ["0.10", "0.15", "0.20", "0.25", "0.30", "0.35", "0.40"]
        for p, anchor in zip(DISTORTIONS[1:], anchors, strict=True):
            got = recall[name][f"{p:.2f}"]
            assert within_binomial_error(got, anchor), (name, p, got, anchor)
    assert all(fraction == 0 for fraction in recall["hebb"].values())


def test_nothing_beats_the_bound() -> None:
    recall = word_baselines(load_task("braille"))

    for key, bound in recall["ml_bound"].items():
        assert recall["pseudo_inverse"][key] <= bound


def test_bound_of_two_words_is_the_binomial_sum() -> None:
    # Words that differ in 7 dots are mixed up when 4 or more of the 7 are flipped.
    patterns = np.zeros((2, 60), np.uint8)
    patterns[1, :7] = 1
    random = np.random.default_rng(1)
    words = np.tile([0, 1], 20_000)
    dots = patterns[words] ^ (random.random((40_000, 60)) < 0.3)

    exact = sum(math.comb(7, k) * 0.3**k * 0.7 ** (7 - k) for k in range(4))

    got = nearest_word(patterns, dots, words)
    assert got == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 40_000))


def test_equally_near_words_share_the_credit() -> None:
    patterns = np.array([[0, 0, 0], [1, 1, 0], [1, 1, 1]], np.uint8)

    assert nearest_word(patterns, np.array([[1, 0, 0]], np.uint8), np.array([0])) == 0.5
    assert nearest_word(patterns, np.array([[1, 0, 0]], np.uint8), np.array([2])) == 0
    assert nearest_word(patterns, np.array([[1, 0, 1]], np.uint8), np.array([2])) == 1


def test_pseudo_inverse_keeps_every_word_and_mends_one_dot() -> None:
    patterns = load_task("braille").patterns
    assert patterns is not None
    weights = pseudo_inverse_weights(patterns)

    assert np.array_equal(settle(weights, patterns), patterns)
    for dot in range(60):
        one_off = patterns.copy()
        one_off[:, dot] ^= 1
        assert np.array_equal(settle(weights, one_off), patterns), dot
    assert np.allclose(weights, weights.T)
    assert not np.diag(weights).any()


def test_hebb_remembers_unrelated_patterns() -> None:
    # The rule itself works; only Braille words are too alike for it.
    patterns = np.random.default_rng(1).integers(0, 2, (3, 200), np.uint8)

    weights = hebb_weights(patterns)

    spins = np.where(patterns > 0, 1, -1)
    assert weights[0, 1] == pytest.approx(float(spins[:, 0] @ spins[:, 1]) / 200)
    noisy = patterns ^ (np.random.default_rng(2).random(patterns.shape) < 0.1).astype(np.uint8)
    assert exact_word(settle(weights, noisy), patterns) == 1


def test_exact_word_needs_every_dot() -> None:
    target = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.uint8)
    recalled = np.array([[0, 1], [1, 0], [1, 0], [1, 1]], np.uint8)

    assert exact_word(recalled, target) == 0.5


def test_digits_baselines_are_in_their_published_range() -> None:
    accuracy = classify_baselines(load_task("digits"), hidden=(32,))

    assert list(accuracy) == ["majority", "logistic_regression", "mlp", "random_forest"]
    assert accuracy["majority"] == pytest.approx(37 / 360)
    # Published 95.8-96.9 % and 97.3 % on other splits; 360 test samples: sigma 1 %.
    assert 0.94 <= accuracy["logistic_regression"] <= 0.995
    assert 0.95 <= accuracy["mlp"] <= 1


def test_without_hidden_layers_there_is_no_perceptron() -> None:
    assert "mlp" not in classify_baselines(load_task("digits"))


def test_words_classified() -> None:
    task = load_task("braille-words", draws=50)
    accuracy = classify_baselines(task)

    assert accuracy["majority"] == pytest.approx(1 / 9)
    assert accuracy["pseudo_inverse"] < accuracy["logistic_regression"]
    # Nothing can be better than the bound, up to luck with the ties.
    assert accuracy["ml_bound"] - 0.05 < accuracy["logistic_regression"]
    assert accuracy["logistic_regression"] < accuracy["ml_bound"] + 0.01
    bound = word_baselines(task)["ml_bound"]
    assert accuracy["ml_bound"] == pytest.approx(sum(bound.values()) / len(bound))


def test_a_classifier_gives_class_indices() -> None:
    task = load_task("braille-words", draws=1)
    classifier = logistic_regression(task)

    assert classifier(task.x_train).tolist() == list(range(9))


def test_baselines_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(TaskError, match="the task digits has no words"):
        word_baselines(load_task("digits"))
    with pytest.raises(TaskError, match="the task braille has no classes"):
        classify_baselines(load_task("braille"))
