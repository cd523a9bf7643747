"""Every rule learns, by its own arithmetic and on the same crossbar."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from madem.data.registry import load_task
from madem_emulator.twin import rules
from madem_emulator.twin.array import Converter
from madem_emulator.twin.config import Rule, Settings
from madem_emulator.twin.rules import RULES, CrossbarNetwork, DirectFeedback, LearningRule
from madem_emulator.twin.twin import Twin

ON_CROSSBAR = [rule for rule in RULES.values() if rule.on_crossbar]
WORDS = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 0], [1, 0, 0, 0, 1, 1]])
TOY = Settings(sizes=(6, 12, 3), w_max=(0.6, 0.4), weight_bits=5)
PERFECT = replace(TOY, read_noise=0, cycle_to_cycle=0, device_to_device=0)
RATES = {"perturb": 8.0, "backprop": 0.1}
"""Of the toy problem; 2 for the others."""


def configured(rule: LearningRule, settings: Settings) -> Settings:
    return replace(settings, rule=rule.span)


def samples(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Three words, each dot flipped with p = 0.05."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, count)
    flips = random.random((count, 6)) < 0.05
    return ((WORDS[y] ^ flips) * 255).astype(np.uint8), y


def trained(rule: LearningRule, seeds: Sequence[int], count: int, settings: Settings = TOY) -> Any:
    settings = configured(rule, settings)
    network = rule.make(settings.integers(), seeds)
    rate = rule.rate(settings, RATES.get(rule.name, 2.0))
    for x, y in zip(*samples(count, 1), strict=True):
        network.learn(rate, x, y)
    return network


def accuracy(network: Any) -> float:
    x, y = samples(300, 2)
    return float((network.answer(network.outputs(x)) == y).mean())


def coupling(twin: Twin) -> list[NDArray[Any]]:
    """P − N by layer, (B, n, m + 1)."""
    return [layer[:, :, 0].astype(int) - layer[:, :, 1] for layer in twin.devices]


# --- they learn --------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_learns_a_toy_problem(rule: LearningRule) -> None:
    slow = rule.name == "perturb"
    reached = accuracy(trained(rule, range(8), 800 if slow else 400))
    assert reached > (0.7 if slow else 0.93)


@pytest.mark.parametrize("rule", ON_CROSSBAR, ids=lambda rule: rule.name)
def test_does_not_learn_with_pulses_of_the_wrong_sign(
    rule: LearningRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    right_way = Twin._pulse
    monkeypatch.setattr(Twin, "_pulse", lambda self, at, up, *rest: right_way(self, at, ~up, *rest))
    count = 800 if rule.name == "perturb" else 400
    assert accuracy(trained(rule, range(8), count)) < 0.5


@pytest.mark.parametrize("one_hot", [True, False])
def test_backprop_follows_the_gradient_of_its_error(one_hot: bool) -> None:
    rule = RULES["backprop"]
    x, y = samples(1, 3)
    on = np.eye(3)[y[0]]

    def loss(network: Any) -> float:
        out = network.outputs(x)[0, 0] / 255
        terms = on * np.log(out) + (0 if one_hot else (1 - on) * np.log(1 - out))
        return -float(terms.sum())

    moved = 0.0
    for k, at in ((0, (0, 2, 1)), (0, (0, 4, 6)), (0, (0, 7, 4)), (1, (0, 1, 3)), (1, (0, 2, 12))):
        network: Any = rule.make(replace(TOY, one_hot=one_hot).integers(), [5])
        old = network.weights[k][at]
        before = loss(network)
        network.weights[k][at] = old + 1e-6
        slope = (loss(network) - before) / 1e-6
        network.weights[k][at] = old
        network.learn(1e-3, x[0], y[0] if one_hot else on)
        change = network.weights[k][at] - old
        assert change == pytest.approx(-1e-3 * slope, rel=1e-3, abs=1e-8)
        moved += abs(change)
    assert moved > 1e-4


# --- each in its own way -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["centred", "one-sided", "clamped"])
def test_activity_differences_are_the_twin_to_the_bit(name: str) -> None:
    rule = RULES[name]
    settings = replace(TOY, rule=Rule[name.replace("-", "_").upper()], stuck=0.1)
    twin = Twin(settings.integers(), [7, 8])
    for x, y in zip(*samples(60, 1), strict=True):
        twin.learn(settings.rate(2.0), x, y)
    network = trained(rule, [7, 8], 60, replace(TOY, stuck=0.1))
    assert twin.pulses.min() > 20
    for own, twins in ((network.devices, twin.devices), (network.accumulators, twin.accumulators)):
        for a, b in zip(own, twins, strict=True):
            np.testing.assert_array_equal(a, b)


def test_pulses_are_counted() -> None:
    twin = CrossbarNetwork(replace(PERFECT, rule=Rule.CLAMPED).integers(), [1, 2])
    before = [layer.copy() for layer in twin.devices]
    for x, y in zip(*samples(3, 1), strict=True):
        old = twin.pulses.copy()
        twin.learn(2000, x, y)
        changed = sum(
            (now != then).sum(axis=(1, 2, 3))
            for now, then in zip(twin.devices, before, strict=True)
        )
        before = [layer.copy() for layer in twin.devices]
        # A pulse on a device at the end of its window moves nothing.
        assert np.all(twin.pulses - old >= changed)
        assert np.all(twin.pulses - old <= changed + 3)
    assert twin.pulses.min() > 0


@pytest.mark.parametrize("name", ["sign", "stochastic"])
def test_pulses_without_memory_go_the_way_of_the_difference(name: str) -> None:
    rule = RULES[name]
    network: Any = rule.make(PERFECT.integers(), range(10))
    moved = 0
    for x, y in zip(*samples(10, 1), strict=True):
        old = coupling(network)
        trace = network.learn(PERFECT.rate(2.0), x, y)
        a, b = ([np.tile(x, (10, 1)), *phase] for phase in (trace.plus, trace.minus))
        for k, (now, then) in enumerate(zip(coupling(network), old, strict=True), 1):
            below = [np.pad(s[k - 1], ((0, 0), (0, 1)), constant_values=255) for s in (a, b)]
            product_a, product_b = (
                s[k][:, :, None].astype(int) * line[:, None]
                for s, line in zip((a, b), below, strict=True)
            )
            difference = product_a - product_b
            change = now - then
            assert np.all(change * np.sign(difference) >= 0)
            moved += np.count_nonzero(change)
            if name == "sign":
                # 2 pulses per unit of difference, which the two nudges double: 1/16 pulse.
                beyond = np.abs(difference) / (2 * 65025) >= 1 / (16 * 2.0)
                assert not np.any(change[~beyond])
                free = (np.abs(then) < 150) & beyond  # not at the end of its window
                assert np.count_nonzero(change[free]) > 0.98 * np.count_nonzero(free)
        assert all(np.all(c == 128) for c in network.accumulators)
    assert moved > 100


def test_stochastic_pulses_come_as_often_as_the_change_says() -> None:
    # One coupling and its bias, that never move: every sample asks for the same change.
    still = Settings(
        sizes=(1, 1), rule=Rule.CLAMPED, read_noise=0, init=0, stuck=1, device_to_device=0,
        one_hot=False, target_high=0.9,
    )  # fmt: skip
    network: Any = rules.StochasticPulses(still.integers(), range(50))
    trace = network.learn(still.rate(0.2), [128], [1])
    for _ in range(99):
        network.learn(still.rate(0.2), [128], [1])
    difference = (trace.plus[-1].astype(float) - trace.minus[-1])[:, 0] / 255
    expected = 100 * np.sum(0.2 * difference * (128 / 255 + 1))
    assert expected > 500
    assert network.pulses.sum() == pytest.approx(expected, abs=4 * expected**0.5)


def test_direct_feedback_carries_the_error_by_its_own_matrix() -> None:
    settings = configured(RULES["dfa"], PERFECT)
    network = DirectFeedback(settings.integers(), range(6))
    assert network.feedback[0].shape == (6, 12, 3)
    assert np.unique(network.feedback[0]).size > 40
    moved = 0
    for x, y in zip(*samples(8, 1), strict=True):
        old = coupling(network)
        trace = network.learn(settings.rate(4.0), x, y)
        error = np.where(np.arange(3) == y, 204, 0) - trace.free[1].astype(int)
        delta = np.floor(np.einsum("bij,bj->bi", network.feedback[0] / 128, error))
        np.testing.assert_array_equal(trace.plus[0], np.clip(trace.free[0] + delta, 0, 255))
        np.testing.assert_array_equal(trace.plus[1], trace.free[1] + error)
        for k in range(2):
            wanted = trace.plus[k].astype(int) - trace.free[k]
            change = coupling(network)[k] - old[k]
            # Accumulators may still hold what earlier samples asked for.
            agree = change * np.sign(wanted)[:, :, None]
            assert np.count_nonzero(agree > 0) > 3 * np.count_nonzero(agree < 0)
            moved += np.count_nonzero(change)
    assert moved > 100


@pytest.mark.parametrize("rule", ON_CROSSBAR, ids=lambda rule: rule.name)
def test_only_forward_rules_do_without_transposed_reads(rule: LearningRule) -> None:
    def outputs(adc_range: float) -> NDArray[np.uint8]:
        return trained(rule, range(3), 30, replace(TOY, adc_range_transposed=adc_range)).outputs(
            samples(50, 2)[0]
        )

    assert np.array_equal(outputs(0.5), outputs(0.125)) == rule.forward_only


# --- why it works ------------------------------------------------------------------------------


def float_cost(weights: list[NDArray[Any]], x: NDArray[Any], target: NDArray[Any]) -> float:
    """Half the squared error of the settled network, without any rounding."""
    s = [x, *(np.zeros(len(w)) for w in weights)]
    for _ in range(20):
        for k, w in enumerate(weights, 1):
            drive = w[:, :-1] @ s[k - 1] + w[:, -1]
            if k < len(weights):
                drive = drive + s[k + 1] @ weights[k][:, :-1]
            s[k] = np.clip(drive, 0, 1)
    return 0.5 * float(np.sum((target - s[-1]) ** 2))


def cosine_with_gradient(settings: Settings, learned: int) -> float:
    """Between activity differences and the descent of the cost, by finite differences.

    On couplings drawn at random; the mean over 12 digits that come after `learned` ones.
    """
    settings = replace(
        settings, sizes=(64, 32, 10), w_max=(0.6, 0.3), weight_bits=4, read_noise=0, adc_bits=10,
        sweeps_free=20, sweeps_nudged=20,
    )  # fmt: skip
    batch = load_task("digits").train_pass(0)
    teacher = Twin(replace(settings, rule=Rule.CENTRED, beta=1.0).integers())
    for x, y in zip(batch.x[:learned], batch.target[:learned], strict=True):
        teacher.learn(replace(settings, beta=1.0).rate(4.0), x, y)
    twin = Twin(settings.integers())
    twin.load_state(teacher.state())
    weights = [w[0] / 200 * w_max for w, w_max in zip(coupling(twin), (0.6, 0.3), strict=True)]
    random = np.random.default_rng(0)
    cosines = []
    for i in range(learned, learned + 12):
        differences, descents = [], []
        x, target = batch.x[i], np.where(np.arange(10) == batch.target[i], 0.8, 0)
        trace = twin.learn(0, x, batch.target[i])
        a, b = ([x, *(s[0] for s in phase)] for phase in (trace.plus, trace.minus))
        for k, w in enumerate(weights):
            product_a, product_b = (np.outer(s[k + 1] / 255, [*s[k] / 255, 1]) for s in (a, b))
            for at in random.integers(0, w.size, 60):
                old = w.flat[at]
                costs = []
                for shift in (-1e-4, 1e-4):
                    w.flat[at] = old + shift
                    costs.append(float_cost(weights, x / 255, target))
                w.flat[at] = old
                differences.append((product_a - product_b).flat[at])
                descents.append(costs[0] - costs[1])
        d, g = np.array(differences), np.array(descents)
        cosines.append(d @ g / np.linalg.norm(d) / np.linalg.norm(g))
    return float(np.mean(cosines))


@pytest.mark.slow
def test_activity_differences_point_down_the_gradient() -> None:
    cosine = {
        (rule, beta): cosine_with_gradient(replace(TOY, rule=rule, beta=beta), learned=300)
        for rule, beta in ((Rule.CENTRED, 0.25), (Rule.CENTRED, 1.0), (Rule.ONE_SIDED, 0.25),
                           (Rule.ONE_SIDED, 1.0), (Rule.CLAMPED, 1.0))
    }  # fmt: skip
    print({f"{rule.name} {beta}": round(value, 3) for (rule, beta), value in cosine.items()})
    assert cosine[Rule.CENTRED, 0.25] > 0.9
    for beta in (0.25, 1.0):
        assert cosine[Rule.CENTRED, beta] > cosine[Rule.ONE_SIDED, beta] > 0.5
    assert cosine[Rule.CENTRED, 1.0] > cosine[Rule.CLAMPED, 1.0] > 0.5


# --- pulses and competition --------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "pulses"), [(2, 1), (4, 1), (6, 4), (8, 17)])
def test_a_change_moves_a_device_by_the_update_size(bits: int, pulses: int) -> None:
    settings = replace(TOY, weight_bits=bits)
    for rule in ON_CROSSBAR:
        assert rule.pulses_per_update(settings, 1 / 15) == (pulses if rule.accumulates else 1)


@pytest.mark.parametrize("rule", ON_CROSSBAR, ids=lambda rule: rule.name)
def test_hidden_units_of_every_rule_compete(rule: LearningRule) -> None:
    held = replace(TOY, competition=(2.0, 0.0), init=0.3)
    trace = trained(rule, [1, 2], 40, held).learn(0, samples(1, 5)[0][0], 1)
    free = trained(rule, [1, 2], 40, replace(held, competition=())).learn(0, samples(1, 5)[0][0], 1)
    assert trace.free[0].sum(axis=1).max() <= 2 * 255
    assert free.free[0].sum(axis=1).min() > 2 * 255


# --- what they cost ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("centred", 7 * 5 + 6 * 4 + 5 * 3),
        ("one-sided", 7 * 5 + 6 * 4 + 5 * 3),
        ("clamped", 7 * 5 + 6 * 4 + 5 * 3),
        ("sign", 0),
        ("stochastic", 0),
        ("dfa", 7 * 5 + 6 * 4 + 5 * 3 + 5 * 3 + 4 * 3),
        ("perturb", 7 * 5 + 6 * 4 + 5 * 3),
        ("backprop", 4 * (7 * 5 + 6 * 4 + 5 * 3)),
    ],
)
def test_memory_beside_the_devices(name: str, expected: int) -> None:
    assert RULES[name].memory((6, 5, 4, 3)) == expected


def test_memory_is_that_of_the_feedback_matrices() -> None:
    network = DirectFeedback(Settings(sizes=(6, 5, 4, 3)).integers(), [1])
    accumulators = sum(c.nbytes for c in network.accumulators)
    feedback = sum(matrix.nbytes for matrix in network.feedback)
    assert RULES["dfa"].memory((6, 5, 4, 3)) == accumulators + feedback


@pytest.mark.parametrize("sizes", [(6, 3), (6, 5, 3), (6, 5, 4, 3)])
@pytest.mark.parametrize("rule", ON_CROSSBAR, ids=lambda rule: rule.name)
def test_reads_of_a_sample(
    rule: LearningRule, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = configured(rule, Settings(sizes=sizes, sweeps_free=3, sweeps_nudged=2))
    network = rule.make(settings.integers(), [1])
    counted = 0
    read = Converter.read

    def counting(self: Converter, sums: Any, offsets: Any) -> Any:
        nonlocal counted
        counted += sums.shape[1]  # both nudged phases may be read at once
        return read(self, sums, offsets)

    monkeypatch.setattr(Converter, "read", counting)
    network.learn(100, np.full(6, 200, np.uint8), 1)
    assert counted == rule.reads(settings.integers())


# --- seeds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_a_network_depends_on_its_seed_alone(rule: LearningRule) -> None:
    x = samples(40, 2)[0]
    both = trained(rule, [11, 12], 40).outputs(x)
    alone = trained(rule, [12], 40).outputs(x)
    np.testing.assert_allclose(both[1], alone[0], rtol=1e-9)
    assert not np.array_equal(both[0], both[1])
