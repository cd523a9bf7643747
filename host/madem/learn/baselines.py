"""What others reach on the very same test sets: the figures that a device is measured against.

Word memories (both word tasks): the nearest word, which no decoder can beat; the pseudo-inverse
and the Hebb rule, Hopfield networks whose weights are computed, not learned.

Desktop classifiers (all classification tasks): the most frequent class, logistic regression, a
multilayer perceptron and a random forest of scikit-learn, in floating point. Of one's own data
they get the values themselves, not the 8-bit codes, so that what the codes cost is seen too; of a
stream the features before their normalisation. For streams also: whoever repeats the last label.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madem.data.scaling import FULL_SCALE
from madem.data.stream_task import StreamTask
from madem.data.task import Task, distortion_key
from madem.errors import TaskError
from madem.network import metrics

FIXED_POINT_STEPS = 100
TRAIN_PASSES = 20
"""Passes of a word task that a desktop classifier is given as its training set."""

LABELS = {
    "ml_bound": "nearest word (bound)",
    "pseudo_inverse": "pseudo-inverse",
    "hebb": "Hebb rule",
    "majority": "most frequent class",
    "no_change": "repeating the last label",
    "logistic_regression": "logistic regression",
    "mlp": "multilayer perceptron",
    "random_forest": "random forest",
}
"""What a baseline is called where people read it."""

Classifier = Callable[[NDArray[Any]], NDArray[np.int64]]
"""From DAC codes or the user's own values (samples, features) to class indices (samples,)."""


# --- word memories -----------------------------------------------------------------------------


def pseudo_inverse_weights(patterns: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Couple dots so that they are projected onto the span of the patterns.

    Args:
        patterns: dots 0/1 (words, dots).

    Returns:
        Couplings, float64 (dots, dots), none of a dot to itself.
    """
    spins = _spins(patterns)
    return _without_diagonal(np.linalg.pinv(spins) @ spins)


def hebb_weights(patterns: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Couple dots by the Hebb rule.

    Args:
        patterns: dots 0/1 (words, dots).

    Returns:
        Couplings, float64 (dots, dots), none of a dot to itself.
    """
    spins = _spins(patterns)
    return _without_diagonal(spins.T @ spins / spins.shape[1])


def settle(weights: NDArray[np.float64], dots: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Let a Hopfield network settle: all dots at once, until nothing changes.

    Args:
        weights: couplings (dots, dots).
        dots: 0/1 (samples, dots), where it begins.

    Returns:
        Dots 0/1 (samples, dots), after at most `FIXED_POINT_STEPS` updates.
    """
    spins = _spins(dots)
    for _ in range(FIXED_POINT_STEPS):
        updated = np.where(spins @ weights >= 0, 1.0, -1.0)
        if np.array_equal(updated, spins):
            break
        spins = updated
    return (spins > 0).astype(np.uint8)


def exact_word(recalled: NDArray[np.uint8], target: NDArray[np.uint8]) -> float:
    """Count the samples without a wrong dot.

    Args:
        recalled: dots 0/1 (samples, dots).
        target: the right ones, (samples, dots).

    Returns:
        Their fraction, 0…1.
    """
    return float(np.mean(np.all(recalled == target, axis=1)))


def nearest_word(
    patterns: NDArray[np.uint8], dots: NDArray[np.uint8], words: NDArray[np.int64]
) -> float:
    """Recall the word with the fewest different dots.

    For equally likely words and independently flipped dots this is maximum likelihood, so no
    decoder has a better expectation. k equally near words count as 1/k: a fair guess.

    Args:
        patterns: (words, dots) 0/1.
        dots: distorted samples (samples, dots) 0/1.
        words: the true word of each sample (samples,).

    Returns:
        Fraction of samples that it is expected to give back right, 0…1.
    """
    overlap = _spins(dots) @ _spins(patterns).T
    nearest = overlap == overlap.max(axis=1, keepdims=True)
    right = nearest[np.arange(len(words)), words]
    return float(np.mean(right / nearest.sum(axis=1)))


def word_baselines(task: Task) -> dict[str, dict[str, float]]:
    """Exact-word recall of each word memory at each distortion of the task's test sets.

    Args:
        task: `braille`, or another one of words.

    Returns:
        "ml_bound", "pseudo_inverse" and "hebb", each {"0.10": fraction, …, "0.40": fraction}.

    Raises:
        TaskError: a data task.
    """
    patterns = _patterns(task)
    weights = {"pseudo_inverse": pseudo_inverse_weights(patterns), "hebb": hebb_weights(patterns)}
    words = task.test_words()
    recall: dict[str, dict[str, float]] = {"ml_bound": {}, **{name: {} for name in weights}}
    for p in task.test_distortions:
        dots = _dots(task.test_set(p).x[:, : task.n_dots])
        key = distortion_key(p)
        recall["ml_bound"][key] = nearest_word(patterns, dots, words)
        for name, couplings in weights.items():
            recall[name][key] = exact_word(settle(couplings, dots), patterns[words])
    return recall


# --- desktop classifiers -----------------------------------------------------------------------


def majority(task: Task) -> Classifier:
    """Answer always with the most frequent class of the training set.

    Args:
        task: whose training set it is.

    Returns:
        What classifies samples.
    """
    winner = int(np.bincount(task.y_train).argmax())
    return lambda x: np.full(len(x), winner, np.int64)


def logistic_regression(task: Task) -> Classifier:
    """Fit scikit-learn's logistic regression to standardised features of the training set.

    Args:
        task: what to learn.

    Returns:
        What classifies samples.
    """
    from sklearn.linear_model import LogisticRegression

    return _fitted(task, LogisticRegression(max_iter=2000))


def mlp(task: Task, hidden: Sequence[int]) -> Classifier:
    """Fit scikit-learn's multilayer perceptron to standardised features of the training set.

    Its weight penalty is alpha = 1, not scikit-learn's 0.0001: the stronger rival on the digits
    and on distorted words alike (98.4 % against 97.8 %, 84.4 % against 79.9 %).

    Args:
        task: what to learn.
        hidden: sizes of the hidden layers, at least one.

    Returns:
        What classifies samples.
    """
    from sklearn.neural_network import MLPClassifier

    return _fitted(
        task,
        MLPClassifier(
            hidden_layer_sizes=tuple(hidden), alpha=1.0, max_iter=400, random_state=task.seed
        ),
    )


def random_forest(task: Task) -> Classifier:
    """Fit scikit-learn's random forest to the training set.

    Args:
        task: what to learn.

    Returns:
        What classifies samples.
    """
    from sklearn.ensemble import RandomForestClassifier

    return _fitted(task, RandomForestClassifier(random_state=task.seed))


def no_change(task: StreamTask) -> float | None:
    """Score whoever repeats the label of the window before, over the test windows in their order.

    Args:
        task: whose test windows they are.

    Returns:
        The accuracy over all windows with one before them in their run; None if there is none.
    """
    windows = task.feed.x_test
    begins = np.array([windows[k].restart for k in range(len(windows))], bool)
    truth = np.full(len(windows), metrics.NONE, np.int64)
    counted = np.arange(len(windows)) if task.counted is None else np.flatnonzero(task.counted)
    truth[counted] = task.y_test
    return metrics.no_change(truth, begins)


def classify_baselines(task: Task, hidden: Sequence[int] = ()) -> dict[str, float]:
    """Accuracy of each baseline on the task's whole test set.

    Args:
        task: a classification task.
        hidden: sizes of the device's hidden layers; "mlp" is left out if there are none, for
            it would be logistic regression again.

    Returns:
        "majority", "logistic_regression", "mlp", and "random_forest" unless its samples are words;
        "no_change" as well where the label changes within a stream that is tested; for
        braille-words "ml_bound" and "pseudo_inverse": the mean over all distortions, a word
        counting as right if
        the memory gives it back exactly.

    Raises:
        TaskError: a task that is not classification.
    """
    if task.kind != "classify":
        raise TaskError(f"the task {task.name} has no classes")
    if len(np.unique(task.y_train)) < 2:
        return {}  # of a network that is only tested, say
    classifiers = {"majority": majority(task), "logistic_regression": logistic_regression(task)}
    if hidden:
        classifiers["mlp"] = mlp(task, hidden)
    if task.patterns is None:
        classifiers["random_forest"] = random_forest(task)
    x_test = task.x_test if task.values is None else task.values[1]
    accuracy = {
        name: float(np.mean(classifier(x_test) == task.y_test))
        for name, classifier in classifiers.items()
    }
    if isinstance(task, StreamTask) and task.test_runs is not None:
        repeating = no_change(task)
        if repeating is not None:
            accuracy["no_change"] = repeating
    if task.patterns is not None:
        recall = word_baselines(task)
        for name in ("pseudo_inverse", "ml_bound"):
            accuracy[name] = float(np.mean(list(recall[name].values())))
    return accuracy


def _fitted(task: Task, estimator) -> Classifier:
    """A scikit-learn estimator, standardised, fitted to the task's training samples."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if task.patterns is None:
        x, y = (task.x_train if task.values is None else task.values[0]), task.y_train
    else:
        passes = [task.train_pass(k) for k in range(TRAIN_PASSES)]
        x = np.concatenate([batch.x for batch in passes])
        y = np.concatenate([batch.target for batch in passes]).astype(np.int64)
    model = make_pipeline(StandardScaler(), estimator)
    with warnings.catch_warnings():
        # Stopping early is part of a baseline, not news for the user.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    return lambda x: np.asarray(model.predict(x), np.int64)


def _patterns(task: Task) -> NDArray[np.uint8]:
    if task.patterns is None:
        raise TaskError(f"the task {task.name} has no words to remember")
    return task.patterns


def _dots(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (codes > FULL_SCALE // 2).astype(np.uint8)


def _spins(dots: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Dots 0/1 as spins -1/+1."""
    return np.where(dots > 0, 1.0, -1.0)


def _without_diagonal(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = weights.copy()
    np.fill_diagonal(weights, 0)
    return weights
