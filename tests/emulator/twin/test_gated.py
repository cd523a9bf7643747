"""Gated learning means what it says: gate, limit, running accuracy, keeping and going back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madem_emulator.twin.config import Settings
from madem_emulator.twin.gated import FULL, NEVER, GateSettings, UpdateGate
from madem_emulator.twin.twin import Twin

RATE = 6000


def twin_of(seeds: tuple[int, ...] = (1,)) -> Twin:
    return Twin(Settings(sizes=(6, 5, 3), one_hot=True, seed=1).integers(), seeds)


def blobs(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Windows of three classes that are easily told apart."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    x = np.where(np.arange(6) // 2 == labels[:, None], 200, 20) + random.integers(0, 50, (count, 6))
    return x.astype(np.uint8), labels


def same(one: Twin, other: Twin) -> bool:
    pairs = zip(
        (*one.devices, *one.accumulators), (*other.devices, *other.accumulators), strict=True
    )
    return all((a == b).all() for a, b in pairs)


def test_the_free_phase_asked_for_alone_is_that_of_learning() -> None:
    twin = twin_of()
    for x, label in zip(*blobs(5), strict=True):
        free = twin.free_phase(x)
        trace = twin.learn(RATE, x, label)
        assert all((a == b).all() for a, b in zip(free, trace.free, strict=True))


def test_without_care_everything_is_learned_as_always() -> None:
    plain, gated = twin_of(), twin_of()
    gate = UpdateGate(gated, GateSettings())
    for x, label in zip(*blobs(40), strict=True):
        answer = plain.learn(RATE, x, label).answer
        assert gate.learn(RATE, x, label).answer == answer
    assert same(plain, gated)
    assert gate.learned == 40
    assert gate.checkpoint_at == NEVER


def test_a_window_that_is_not_learned_leaves_the_weights_and_counts() -> None:
    twin = twin_of()
    before = twin.state()
    gate = UpdateGate(twin, GateSettings(at_most=0))
    for x, label in zip(*blobs(10), strict=True):
        gate.learn(RATE, x, label)
    after = twin.state()
    assert all((a == b).all() for a, b in zip(before.devices, after.devices, strict=True))
    assert after.steps == 10
    assert gate.learned == 0


@pytest.mark.parametrize("threshold", [0, 30, 100])
def test_the_gate_lets_through_what_is_wrong_or_narrow(threshold: int) -> None:
    gate = UpdateGate(twin_of(), GateSettings(gate=threshold))
    found = set()
    for x, label in zip(*blobs(150), strict=True):
        window = gate.learn(RATE, x, label)
        wrong, narrow = bool(window.answer[0] != label), bool(window.margin[0] < threshold)
        assert window.learned[0] == (wrong or narrow)
        outputs = np.sort(window.free[-1][0].astype(int))
        assert window.margin[0] == outputs[-1] - outputs[-2]
        found.add((wrong, narrow))
    assert {learned for pair in found for learned in [any(pair)]} == {True, False}


def test_at_most_is_a_share_that_can_be_saved_up() -> None:
    gate = UpdateGate(twin_of(), GateSettings(at_most=20))
    x, labels = blobs(400)
    learned = [bool(gate.learn(RATE, *window).learned[0]) for window in zip(x, labels, strict=True)]
    assert learned[:24] == [True] * 24  # 20 saved up, and those earned meanwhile
    assert sum(learned[100:]) == 60
    assert max(sum(learned[k : k + 100]) for k in range(300)) <= 40


def test_the_running_accuracy_is_the_mean_at_first_and_fades_then() -> None:
    gate = UpdateGate(twin_of(), GateSettings(at_most=0, fade=4))
    expected = np.zeros(1)
    rights = []
    for number, (x, label) in enumerate(zip(*blobs(60), strict=True)):
        right = gate.learn(RATE, x, label).answer == label
        rights.append(right)
        weight = 1 / 2 ** min(number.bit_length(), 4)
        expected += weight * (right - expected)
        assert gate.accuracy / FULL == pytest.approx(expected, abs=16 / FULL)


def test_it_goes_back_after_wrong_labels() -> None:
    """Eight boards; the labels of windows 120 to 179 are drawn."""
    x, labels = blobs(210)
    taught = labels.copy()
    taught[120:180] = np.random.default_rng(2).integers(0, 3, 60)
    right = []
    for chosen in (GateSettings(), GateSettings(fade=3, drop=FULL // 5, every=70)):
        gate = UpdateGate(twin_of(tuple(range(1, 9))), chosen)
        answers = [gate.learn(RATE, *window).answer for window in zip(x, taught, strict=True)]
        right.append(np.mean(np.array(answers)[180:] == labels[180:, None]))
        assert (gate.rollbacks >= 1).all() == bool(chosen.drop)
        nonsense = (gate.checkpoint_at > 125) & (gate.checkpoint_at < 185)
        assert not nonsense.any()
    ungated, gated = right
    assert gated > ungated + 0.05


def test_going_back_by_hand_restores_the_copy_and_empties_the_accumulators() -> None:
    twin = twin_of()
    gate = UpdateGate(twin, GateSettings())
    windows = list(zip(*blobs(60), strict=True))
    with pytest.raises(ValueError, match="nothing has been kept"):
        gate.rollback()
    for x, label in windows[:30]:
        gate.learn(RATE, x, label)
    gate.checkpoint()
    kept = twin.state()
    for x, label in windows[30:]:
        gate.learn(RATE, x, label)
    assert any((a != b).any() for a, b in zip(kept.devices, twin.devices, strict=True))
    gate.rollback()
    assert all((a == b).all() for a, b in zip(kept.devices, twin.devices, strict=True))
    assert all((cells == 128).all() for cells in twin.accumulators)
    assert (twin.steps, gate.checkpoint_at[0], gate.rollbacks[0]) == (60, 30, 1)


def test_what_got_stuck_meanwhile_stays_stuck() -> None:
    twin = twin_of()
    gate = UpdateGate(twin, GateSettings())
    gate.checkpoint()
    for x, label in zip(*blobs(20), strict=True):
        gate.learn(RATE, x, label)
    twin.add_stuck(20000)
    learned = [devices.copy() for devices in twin.devices]
    gate.rollback()
    fresh = twin_of()
    fresh.add_stuck(20000)
    assert all((a == b).all() for a, b in zip(fresh.devices, twin.devices, strict=True))
    assert any((a != b).any() for a, b in zip(learned, twin.devices, strict=True))


@settings(max_examples=10, deadline=None)
@given(
    gate=st.integers(0, 256),
    at_most=st.integers(0, 100),
    drop=st.integers(0, 20000),
    seeds=st.lists(st.integers(1, 99), min_size=2, max_size=3, unique=True),
)
def test_boards_of_a_batch_decide_each_for_themselves(
    gate: int, at_most: int, drop: int, seeds: list[int]
) -> None:
    chosen = GateSettings(gate, at_most, fade=3, drop=drop, every=7)
    batch = UpdateGate(twin_of(tuple(seeds)), chosen)
    alone = [UpdateGate(twin_of((seed,)), chosen) for seed in seeds]
    for x, label in zip(*blobs(40), strict=True):
        found = batch.learn(RATE, x, label)
        for board, one in enumerate(alone):
            own = one.learn(RATE, x, label)
            for name in ("answer", "margin", "learned", "checkpointed", "rolled_back"):
                assert getattr(own, name)[0] == getattr(found, name)[board]
    for board, one in enumerate(alone):
        for mine, theirs in zip(one.twin.devices, batch.twin.devices, strict=True):
            assert (mine[0] == theirs[board]).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("gate", 257), ("at_most", 101), ("fade", 0), ("drop", -1), ("every", 0), ("every", 65536)],
)
def test_a_setting_out_of_range_is_named(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {value}, but must be from "):
        GateSettings(**{name: value})
