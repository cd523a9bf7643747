"""The twin does what docs/reference/arithmetic.md says, for one board and for many."""

import dataclasses
import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madem.data.registry import load_task
from madem_emulator.twin import twin as twin_module
from madem_emulator.twin.array import Memristors
from madem_emulator.twin.competition import Competition
from madem_emulator.twin.config import Config, Rule, Settings
from madem_emulator.twin.noise import row_indices
from madem_emulator.twin.twin import Twin, TwinState

from ..scalar_reference import Board, Device, Generator, Sample, crc32

PERFECT = Settings(sizes=(1, 1), read_noise=0, cycle_to_cycle=0, device_to_device=0, init=0)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Small networks with all imperfections, each of them sometimes off."""
    often_off = st.one_of(st.just(0.0), st.floats(0, 0.5))
    adc_bits = draw(st.integers(2, 10))
    ranges = st.sampled_from(
        [r for r in (0.125, 0.25, 0.5, 1, 2, 4, 16) if r >= 2.0 ** (adc_bits - 11)]
    )
    sizes = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=4)))
    low, high = sorted(draw(st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True)))
    config = Settings(
        sizes=sizes,
        one_hot=draw(st.booleans()),
        seed=draw(st.integers(0, 2**32 - 1)),
        rule=draw(st.sampled_from(Rule)),
        beta=draw(st.floats(0.02, 3.9)),
        sweeps_free=draw(st.integers(1, 4)),
        sweeps_nudged=draw(st.integers(1, 4)),
        target_high=high,
        target_low=low,
        weight_bits=draw(st.integers(2, 8)),
        w_max=tuple(draw(st.floats(0.05, 2)) for _ in sizes[1:]),
        cycle_to_cycle=draw(often_off),
        device_to_device=draw(often_off),
        read_noise=draw(often_off),
        stuck=draw(often_off),
        init=draw(st.floats(0, 1)),
        nonlinearity_set=draw(st.floats(-1.98, 1.98)),
        nonlinearity_reset=draw(st.floats(-1.98, 1.98)),
        dac_bits=draw(st.integers(1, 8)),
        adc_bits=adc_bits,
        adc_range_forward=draw(ranges),
        adc_range_transposed=draw(ranges),
    ).integers()
    quiet = draw(st.sampled_from([{}, {"noise_forward": 0}, {"noise_transposed": 0}]))
    scales = st.one_of(st.just(1), st.integers(1, 8), st.integers(1, 255))
    layers = tuple(
        dataclasses.replace(
            layer,
            cap=draw(st.one_of(st.just(0), st.integers(1, 255 * units - 1))),
            scale=draw(scales),
            **quiet,
        )
        for layer, units in zip(config.layers, sizes[1:], strict=True)
    )
    return dataclasses.replace(config, layers=layers)


def one_hot(target: int, outputs: int) -> list[int]:
    return [int(i == target) for i in range(outputs)]


def assert_same_sample(twin: Twin, trace: twin_module.Trace, sample: Sample, b: int = 0) -> None:
    for got, want in (
        (trace.free, sample.free),
        (trace.plus, sample.plus),
        (trace.minus, sample.minus),
    ):
        assert [layer[b].tolist() for layer in got] == want
    assert trace.digests_of(b) == sample.digests
    assert trace.answer[b] == (sample.answer if twin.config.one_hot else sample.wrong)


def assert_same_weights(twin: Twin, board: Board, b: int = 0) -> None:
    for k, layer in board.layers.items():
        assert twin.devices[k - 1][b].ravel().tolist() == [device.g for device in layer.devices]
        assert twin.accumulators[k - 1][b].ravel().tolist() == layer.c


def random_state(twin: Twin, seed: int) -> TwinState:
    random = np.random.default_rng(seed)
    return TwinState(
        steps=int(random.integers(2**31)),
        devices=[random.integers(0, 201, g.shape[1:], np.uint8) for g in twin.devices],
        accumulators=[random.integers(65, 192, c.shape[1:], np.uint8) for c in twin.accumulators],
    )


def put(board: Board, state: TwinState) -> None:
    board.steps = state.steps
    for k, layer in board.layers.items():
        layer.c = state.accumulators[k - 1].ravel().tolist()
        for device, g in zip(layer.devices, state.devices[k - 1].ravel().tolist(), strict=True):
            device.g = g


# --- bit by bit --------------------------------------------------------------------------------


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    configs(),
    st.integers(0, 2**32),
    st.booleans(),
    st.integers(0, 16383),
    st.one_of(st.just(1), st.integers(1, 255)),
)
def test_equals_the_scalar_reference(
    config: Config, samples_seed: int, fresh: bool, rate: int, pulses_per_update: int
) -> None:
    random = np.random.default_rng(samples_seed)
    rate //= max(layer.scale for layer in config.layers)
    twin, board = Twin(config), Board(config)
    assert_same_weights(twin, board)
    if not fresh:
        state = random_state(twin, samples_seed)
        twin.load_state(state)
        put(board, state)
    features, outputs = config.sizes[0], config.sizes[-1]

    for _ in range(3):
        x = random.integers(0, 256, features, np.uint8)
        if config.one_hot:
            target = int(random.integers(outputs))
            on = one_hot(target, outputs)
        else:
            target = on = random.integers(0, 2, outputs).tolist()
        trace = twin.learn(rate, x, target, pulses_per_update)
        sample = board.learn(rate, x.tolist(), on, pulses_per_update)
        assert_same_sample(twin, trace, sample)
        assert_same_weights(twin, board)
    x = random.integers(0, 256, features, np.uint8)
    assert [s[0].tolist() for s in twin.predict(x)] == board.predict(x.tolist())


@pytest.mark.parametrize(
    ("competition", "pulses_per_update"), [((), 1), ((1.3, 0, 0), 1), ((2.3, 1.6, 1.2), 1), ((), 5)]
)
@pytest.mark.parametrize("rule", Rule)
def test_equals_the_scalar_reference_over_many_pulses(
    rule: Rule, competition: tuple[float, ...], pulses_per_update: int
) -> None:
    # Nothing here divides evenly.
    chosen = Settings(
        sizes=(6, 5, 4, 3),
        rule=rule,
        beta=0.7,
        target_low=0.3,
        sweeps_free=8,
        sweeps_nudged=8,
        rate_scale=(3, 2, 1),
        competition=competition,
        stuck=0.1,
        nonlinearity_set=1,
        nonlinearity_reset=-0.7,
        weight_bits=3,
    )
    config, rate = chosen.integers(), chosen.rate(chosen.highest_rate)
    seeds = [3, 2**32 - 1]
    twin = Twin(config, seeds)
    boards = [Board(config, seed) for seed in seeds]
    random = np.random.default_rng(1)

    for _ in range(50):
        x = random.integers(0, 256, (2, 6), np.uint8)
        target = random.integers(0, 3, 2)
        trace = twin.learn(rate, x, target, pulses_per_update)
        for b, board in enumerate(boards):
            sample = board.learn(rate, x[b].tolist(), one_hot(target[b], 3), pulses_per_update)
            assert_same_sample(twin, trace, sample, b)

    for b, board in enumerate(boards):
        assert_same_weights(twin, board, b)
        assert twin.pulses[b] == board.pulses
        # A layer that never changes would prove nothing.
        assert board.pulses > 100 * pulses_per_update
        for k in board.layers:
            fresh = Twin(config, [seeds[b]]).devices[k - 1]
            assert np.any(fresh[0] != twin.devices[k - 1][b])


def test_one_coupling_worked_out_by_hand() -> None:
    """One input at 255, one output, target on, everything perfect."""
    chosen = PERFECT
    config = chosen.integers()
    assert (config.step, config.beta, config.t_hi, chosen.rate()) == (213, 64, 204, 2064)

    for seed in range(20):
        twin = Twin(config, [seed])
        trace = twin.learn(chosen.rate(), [255], 0)

        # P = N = 100: the reading is 0. The nudge is 64 · 204 / 16 = 816, in activity
        # (816 · 255 + 512) >> 10 = 203; the minus phase pulls below 0.
        assert [s[0].tolist() for s in (trace.free[0], trace.plus[0], trace.minus[0])] == [
            [0],
            [203],
            [0],
        ]
        # 203 · 255 · 2064 / 2^20 = 101.89 goes into both accumulators, one pulse out of each.
        assert np.isin(twin.accumulators[0] - 128, [101 - 64, 102 - 64]).all()
        # A pulse is 213/16 = 13.3, up on P or down on N.
        p, n = twin.devices[0][0, 0].astype(int)
        for j in (0, 1):
            assert (p[j], n[j]) in [(113, 100), (114, 100), (100, 87), (100, 86)]


def test_settling_worked_out_by_hand() -> None:
    """Two layers of one unit: what goes up comes back through the same pair."""
    config = dataclasses.replace(
        dataclasses.replace(PERFECT, sizes=(1, 1, 1), adc_bits=10, sweeps_free=2).integers(),
        t_nudge=1,
    )
    twin = Twin(config)
    assert [(k.gain, k.gain_shift) for k in config.layers] == [(197, 14), (197, 15)]
    for layer in twin.devices:
        layer[0, 0, :, 0] = 200, 0
        layer[0, 0, :, 1] = 100

    free = twin.predict([200])

    # Layer 1: 200 · 200 · 197 / 2^14 = 480.96 -> 481, in ADC steps of 4 (range 2, 10 bits) 480.
    # Nothing comes back from layer 2 yet. s1 = (480 · 255 + 512) >> 10 = 120.
    # Layer 2: 200 · 120 · 197 / 2^15 = 144.3 -> 144, in steps of 4 the same;
    # s2 = (144 · 255 + 512) >> 10 = 36.
    # Second sweep: back 200 · 36 · 197 / 2^15 = 43.3 -> 43, in steps of 1 the same;
    # s1 = ((480 + 43) · 255 + 512) >> 10 = 130;
    # layer 2: 200 · 130 · 197 / 2^15 = 156.3 -> 156; s2 = (156 · 255 + 512) >> 10 = 39.
    assert [s[0].tolist() for s in free] == [[130], [39]]


def test_competition_worked_out_by_hand() -> None:
    """Two outputs share what one is to have: on their own, and with the output nudged up."""
    config = dataclasses.replace(
        dataclasses.replace(PERFECT, sizes=(1, 2), competition=(1.0,)).integers(),
        rule=Rule.ONE_SIDED,
        beta=32,
    )
    assert (config.layers[0].cap, config.layers[0].gain, config.layers[0].gain_shift) == (
        255, 197, 14,
    )  # fmt: skip
    twin, board = Twin(config), Board(config)
    for i, p in enumerate((200, 160)):
        twin.devices[0][0, i] = [[p, 100], [100, 100]]
        board.layers[1].p(i, 0).g, board.layers[1].n_(i, 0).g = p, 100
        board.layers[1].p(i, 1).g = board.layers[1].n_(i, 1).g = 100

    # Readings: 100 · 200 · 197 / 2^14 = 240.5 -> 240, in ADC steps of 16 the same;
    # 60 · 200 · 197 / 2^14 = 144.3 -> 144.
    # Both rise together: activities of 240 − I and 144 − I come to 255 in all at I = -320.
    # (560 · 255 + 512) >> 10 = 139 and (464 · 255 + 512) >> 10 = 116, 255 in all; at I = -321
    # 140 (139.7 + 0.5) and 116 make 256, which is too much.
    trace = twin.learn(0, [200], 1)
    sample = board.learn(0, [200], [0, 1])
    assert [s[0].tolist() for s in trace.free] == [[139, 116]]
    # Nudges: 32 · (0 − 139) / 16 = -278 and 32 · (204 − 116) / 16 = 176: drives -38 and 320.
    # I = -372: (334 · 255 + 512) >> 10 = 83 and (692 · 255 + 512) >> 10 = 172, 255 in all;
    # at I = -373 83 and 173 (172.6 + 0.5).
    assert [s[0].tolist() for s in trace.plus] == [[83, 172]]
    assert_same_sample(twin, trace, sample)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(0, 2**32), st.integers(1, 8), st.sampled_from([1, 2, 5, 150]))
def test_competition_is_that_of_the_page_wherever_it_looks_first(
    data: st.DataObject, seed: int, dac_bits: int, units: int
) -> None:
    """Also for the strongest drives that there are, and where no inhibition holds the cap."""
    config = dataclasses.replace(PERFECT, dac_bits=dac_bits).integers()
    cap = data.draw(st.integers(1, 255 * units - 1))
    reach = data.draw(st.sampled_from([30, 1000, 5000, 36832]))
    random = np.random.default_rng(seed)
    board, competition = Board(config), Competition(cap, units, config.dac_mask)
    drives = random.integers(-reach, reach + 1, (3, 2, units))
    drives += random.choice([0, -reach, reach], (3, 2, 1)) // 2
    last = None

    # Near the last one, the same again, and somewhere else.
    for shift in (0, 0, data.draw(st.integers(-40, 40)), 100, -5000, 9000):
        drives = np.clip(drives + shift, -36832, 36832)
        s, last = competition.activity(drives.astype(float), last)
        want = [[board.compete(u, cap) for u in boards] for boards in drives.tolist()]
        assert s.tolist() == want


@pytest.mark.parametrize("end", [-4095, 4096])
def test_inhibition_ends_where_the_halvings_end(end: int) -> None:
    board, competition = Board(PERFECT.integers()), Competition(128, 1, 255)
    # An activity of 128 takes a drive of 512…515: on its way the inhibition gets to its end.
    outwards = range(500, 560, 5) if end > 0 else range(530, 470, -5)
    activities, last = [], None
    for drive in outwards:
        s, last = competition.activity(np.full((1, 1, 1), end + drive, float), last)
        activities.append(int(s.item()))
        assert activities[-1:] == board.compete([end + drive], 128)
    assert activities[0] == 128
    assert abs(activities[-1] - 128) > 5


def test_known_values() -> None:
    """Numbers for a third implementation to begin with: also the scalar reference's."""
    chosen = Settings(sizes=(3, 2, 2), seed=1)
    twin, board = Twin(chosen.integers()), Board(chosen.integers())
    samples = [([255, 0, 128], 0), ([0, 255, 64], 1), ([200, 100, 50], 0)]
    digests = [
        (0x88BE8695, 0x9238FC35, 0x2B122B9C, 0xE4DBF5E4),
        (0xAE45A0CE, 0x42EA6EFF, 0x54F10655, 0xA25DE979),
        (0xA61051C0, 0xF9E16E7B, 0x25C9A3AE, 0x18457A8F),
    ]

    for (x, target), known in zip(samples, digests, strict=True):
        assert twin.learn(2064, x, target).digests == known
        assert board.learn(2064, x, one_hot(target, 2)).digests == known
    assert row_indices(np.array(samples[0][0], np.uint8)) == 744582879
    assert [s[0].tolist() for s in twin.predict(samples[0][0])] == [[0, 16], [32, 0]]
    assert board.predict(samples[0][0]) == [[0, 16], [32, 0]]


# --- batches -----------------------------------------------------------------------------------


def test_batch_equals_boards_one_by_one() -> None:
    chosen = Settings(sizes=(7, 6, 4), stuck=0.05)
    config = chosen.integers()
    seeds = [11, 5, 11, 2**32 - 1]
    random = np.random.default_rng(2)
    x = random.integers(0, 256, (25, 4, 7), np.uint8)
    target = random.integers(0, 4, (25, 4))

    batch = Twin(config, seeds)
    batch_traces = [batch.learn(chosen.rate(), x[i], target[i]) for i in range(25)]

    for b, seed in enumerate(seeds):
        single = Twin(dataclasses.replace(config, seed=seed))
        traces = [single.learn(chosen.rate(), x[i, b], target[i, b]) for i in range(25)]
        for trace, batch_trace in zip(traces, batch_traces, strict=True):
            for name in ("free", "plus", "minus"):
                for mine, its in zip(getattr(trace, name), getattr(batch_trace, name), strict=True):
                    assert np.array_equal(mine[0], its[b])
            assert trace.answer[0] == batch_trace.answer[b]
        assert traces[-1].digests == batch_traces[-1].digests_of(b)
    assert len({batch_traces[-1].digests_of(b) for b in range(4)}) == 4


def test_one_sample_for_all_boards_is_the_same_as_a_copy_each() -> None:
    for outputs_are_classes, target in ((True, 2), (False, [1, 0, 1])):
        config = Settings(sizes=(4, 3), one_hot=outputs_are_classes).integers()
        x = np.array([10, 200, 0, 255], np.uint8)
        one, each = Twin(config, [1, 2]), Twin(config, [1, 2])

        one.learn(2000, x, target)
        each.learn(2000, np.stack([x, x]), np.array([target, target]))

        assert np.array_equal(one.accumulators[0], each.accumulators[0])
        assert one.accumulators[0].std() > 0


@pytest.mark.parametrize("chunk", [1, 2000, 1 << 18])
def test_many_predictions_equal_single_ones(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(twin_module, "_CHUNK", chunk)
    twin = Twin(Settings(sizes=(5, 4, 3)).integers(), [1, 2])
    x = np.random.default_rng(3).integers(0, 256, (2, 23, 5), np.uint8)

    shared = twin.predict_many(x[0])
    own = twin.predict_many(x)

    assert [s.shape for s in own] == [(2, 23, 4), (2, 23, 3)]
    for i in range(23):
        for many, single in zip(own, twin.predict(x[:, i]), strict=True):
            assert np.array_equal(many[:, i], single)
        for many, single in zip(shared, twin.predict(x[0, i]), strict=True):
            assert np.array_equal(many[:, i], single)


@given(st.data())
def test_an_answer_does_not_depend_on_what_else_is_asked(data: st.DataObject) -> None:
    """Of any rows, in any order and any pieces, some of them twice, with learning before."""
    sizes = tuple(data.draw(st.lists(st.integers(1, 6), min_size=2, max_size=4), label="sizes"))
    dac_bits = data.draw(st.integers(1, 8), label="DAC bits")
    config = Settings(sizes=sizes, read_noise=0.2, dac_bits=dac_bits).integers()
    codes = st.lists(st.integers(0, 255), min_size=sizes[0], max_size=sizes[0])
    rows = np.array(data.draw(st.lists(codes, min_size=1, max_size=12), label="rows"), np.uint8)
    order = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1), label="order")
    cut = data.draw(st.integers(0, len(order)), label="cut")
    twin = Twin(config, [1, 2])
    for step in range(data.draw(st.integers(0, 2), label="learned")):
        twin.learn(100, rows[0], step % sizes[-1])

    alone = np.stack([twin.predict(row)[-1] for row in rows], axis=1)
    parts = [part for part in (order[:cut], order[cut:]) if part]
    together = np.concatenate([twin.predict_many(rows[part])[-1] for part in parts], axis=1)

    assert np.array_equal(together, alone[:, order])


def test_prediction_changes_nothing_and_rows_have_noise_of_their_own() -> None:
    """Of one more active input among many nothing but the noise is seen."""
    twin = Twin(dataclasses.replace(Settings(sizes=(8, 6, 4)), read_noise=0.1).integers())
    twin.devices[0][..., 0] = 100  # the first input counts for nothing
    before = twin.state()
    x = np.full((40, 8), 100, np.uint8)
    x[:, 0] = np.arange(40)

    outputs = twin.predict_many(x)[-1][0]

    assert len({tuple(row) for row in outputs.tolist()}) > 30
    assert twin.steps == before.steps
    assert all(map(np.array_equal, twin.devices, before.devices))


# --- digests, answers, faults, states ----------------------------------------------------------


def test_digests_are_crc32_of_the_memory_of_the_page() -> None:
    twin = Twin(Settings(sizes=(3, 4, 2)).integers(), [1, 2])
    trace = twin.learn(3000, [255, 0, 90], 1)

    digests = trace.digests_of(1)

    assert digests.free == zlib.crc32(trace.free[0][1].tobytes() + trace.free[1][1].tobytes())
    assert digests.plus == zlib.crc32(trace.plus[0][1].tobytes() + trace.plus[1][1].tobytes())
    assert digests.minus == zlib.crc32(trace.minus[0][1].tobytes() + trace.minus[1][1].tobytes())
    memory = b""
    for k, (m, n) in enumerate(pairwise((3, 4, 2))):
        for i in range(n):
            for half in (0, 1):
                memory += bytes(twin.devices[k][1, i, half, j] for j in range(m + 1))
        for i in range(n):
            memory += bytes(twin.accumulators[k][1, i, j] for j in range(m + 1))
    assert digests.weights == zlib.crc32(memory) == crc32(memory)


def test_digests_of_weights_that_are_gone_are_refused() -> None:
    twin = Twin(Settings(sizes=(3, 2)).integers())
    trace = twin.learn(100, [1, 2, 3], 0)
    twin.learn(100, [1, 2, 3], 0)

    with pytest.raises(RuntimeError, match="step 0 are gone"):
        _ = trace.digests


def test_answers() -> None:
    classes = Twin(Settings(sizes=(1, 3)).integers())
    dots = Twin(Settings(sizes=(1, 3), one_hot=False, target_low=0.1).integers())
    assert (dots.config.t_hi, dots.config.t_lo) == (204, 26)

    assert classes.answer([[5, 9, 9], [0, 0, 0]]).tolist() == [1, 0]
    assert dots.answer([114, 115, 255]).tolist() == [0, 1, 1]


@pytest.mark.parametrize("rule", Rule)
def test_flip_of_a_state_is_one_bit_before_anything_is_computed_from_it(rule: Rule) -> None:
    config = Settings(sizes=(4, 3, 2), rule=rule).integers()
    twin, board, plain = Twin(config, [1, 1]), Board(config), Twin(config)
    twin.flip(step=1, what="state", layer=2, index=1, bit=5)
    board.flips = [(1, "state", 2, 1, 5)]
    x = [200, 100, 50, 25]

    for step in range(3):
        trace, sample = twin.learn(4000, x, 1), board.learn(4000, x, [0, 1])
        free = plain.learn(4000, x, 1).free
        assert_same_sample(twin, trace, sample)
        assert_same_sample(twin, trace, sample, 1)
        if step <= 1:
            assert (trace.free[1][0] ^ free[1][0]).tolist() == [0, 32 * step]


def test_flip_of_a_weight_is_one_bit_after_the_pulses() -> None:
    config = Settings(sizes=(4, 3, 2)).integers()
    twin, board, plain = Twin(config, [1, 1]), Board(config), Twin(config)
    twin.flip(step=1, what="weight", layer=2, index=7, bit=3)
    board.flips = [(1, "weight", 2, 7, 3)]
    x = [200, 100, 50, 25]

    for step in range(3):
        trace, sample = twin.learn(4000, x, 1), board.learn(4000, x, [0, 1])
        plain.learn(4000, x, 1)
        assert_same_sample(twin, trace, sample)
        assert_same_sample(twin, trace, sample, 1)
        if step <= 1:
            difference = twin.devices[1] ^ plain.devices[1]
            assert difference[1].ravel().tolist() == [8 * step if i == 7 else 0 for i in range(16)]
            assert np.array_equal(twin.devices[0][0], plain.devices[0][0])


def test_state_continues_exactly_where_it_was_taken() -> None:
    config = Settings(sizes=(4, 3, 2)).integers()
    x = np.random.default_rng(4).integers(0, 256, (20, 4), np.uint8)
    through = Twin(config, [1, 2])
    for i in range(10):
        through.learn(5000, x[i], i % 2)
    saved = through.state()
    before = [g.copy() for g in saved.devices]
    straight = [through.learn(5000, x[i], i % 2) for i in range(10, 20)]

    resumed = Twin(config, [1, 2])
    resumed.load_state(saved)
    again = [resumed.learn(5000, x[i], i % 2) for i in range(10, 20)]

    assert again[-1].step == 19
    for board in (0, 1):
        assert again[-1].digests_of(board) == straight[-1].digests_of(board)
    # What was saved did not go on learning.
    assert saved.steps == 10
    assert all(map(np.array_equal, saved.devices, before))
    assert not all(map(np.array_equal, saved.devices, through.devices))


def test_states_that_no_board_can_be_in_are_refused() -> None:
    twin = Twin(Settings(sizes=(4, 3, 2)).integers())
    good = twin.state()

    for accumulator in (64, 192):
        bad = twin.state()
        bad.accumulators[1][0, 0, 0] = accumulator
        with pytest.raises(ValueError, match="accumulator"):
            twin.load_state(bad)
    with pytest.raises(ValueError, match="shapes"):
        twin.load_state(good._replace(devices=good.devices[:1]))
    with pytest.raises(ValueError, match="shapes"):
        twin.load_state(good._replace(devices=[g[..., :2] for g in good.devices]))


def test_wrong_arguments_are_named() -> None:
    twin = Twin(Settings(sizes=(4, 3)).integers(), [1, 2])
    dots = Twin(Settings(sizes=(4, 3), one_hot=False).integers(), [1, 2])
    x = [0, 0, 0, 0]

    with pytest.raises(ValueError, match="rate is 16384"):
        twin.learn(16384, x, 0)
    with pytest.raises(ValueError, match="rate is 5462, but must be from 0 to 5461"):
        Twin(Settings(sizes=(4, 3, 2), rate_scale=(3, 1)).integers()).learn(5462, x, 0)
    for pulses in (0, 256):
        with pytest.raises(ValueError, match=f"pulses_per_update is {pulses}, but must be from 1"):
            twin.learn(1, x, 0, pulses)
    with pytest.raises(ValueError, match="input has shape"):
        twin.learn(1, x[:3], 0)
    with pytest.raises(ValueError, match="3 classes"):
        twin.learn(1, x, 3)
    with pytest.raises(ValueError, match="target has shape"):
        twin.learn(1, x, [0, 1, 2])
    with pytest.raises(ValueError, match="target has shape"):
        dots.learn(1, x, [0, 1])
    with pytest.raises(ValueError, match="no bit 0 of state 3 in layer 1"):
        twin.flip(0, "state", 1, 3, 0)
    with pytest.raises(ValueError, match="no bit 8 of weight 29 in layer 1"):
        twin.flip(0, "weight", 1, 29, 8)
    with pytest.raises(ValueError, match="no bit 0 of weight 30 in layer 1"):
        twin.flip(0, "weight", 1, 30, 0)
    with pytest.raises(ValueError, match="no layer 2"):
        twin.flip(0, "weight", 2, 0, 0)
    assert twin.steps == 0


# --- devices and pulses ------------------------------------------------------------------------


def pulse_all(memristors: Memristors, is_set: bool) -> np.ndarray:
    """Steps of one pulse on every device."""
    random = np.random.default_rng(6)
    count = memristors.g.size
    before = memristors.g.astype(int)
    z = random.integers(0, 256, (count, 4)).sum(axis=1) - 510
    r = random.integers(0, 65536, count)
    memristors.pulse(
        np.arange(count), np.full(count, is_set), z.astype(np.int32), r.astype(np.int32)
    )
    return memristors.g.astype(int) - before


@pytest.mark.parametrize("is_set", [True, False])
@pytest.mark.parametrize("weight_bits", range(2, 9))
def test_step_has_the_stated_mean_and_sigma(weight_bits: int, is_set: bool) -> None:
    chosen = dataclasses.replace(
        PERFECT, sizes=(99, 250), weight_bits=weight_bits, cycle_to_cycle=0.1
    )
    config = chosen.integers()
    memristors = Memristors(config, np.array([1], np.uint64))
    step = config.step / 16
    assert step == pytest.approx(200 / (2**weight_bits - 1), abs=1 / 32)

    d = pulse_all(memristors, is_set) * (1 if is_set else -1)

    # The same in real numbers: normal variation, then rounding to a whole unit, the upper with
    # the probability that keeps the mean.
    exact = step * (1 + 0.1 * np.random.default_rng(8).standard_normal(d.size))
    fraction = exact % 1
    sigma = (exact.var() + np.mean(fraction * (1 - fraction))) ** 0.5
    # Shifts round the variation down: by up to 1/256 of the step.
    assert d.mean() == pytest.approx(step, abs=4 * sigma / d.size**0.5 + step / 256)
    assert d.std() == pytest.approx(sigma, rel=0.02)


def test_nonlinearity_bends_the_step_over_the_window() -> None:
    chosen = dataclasses.replace(
        PERFECT, sizes=(9, 100), nonlinearity_set=1, nonlinearity_reset=0.5, weight_bits=5
    )
    step = 200 / 31
    means = {}
    for is_set in (True, False):
        for g in (30, 100, 170):
            memristors = Memristors(chosen.integers(), np.array([1], np.uint64))
            memristors.g[:] = g
            means[is_set, g] = abs(pulse_all(memristors, is_set).mean()) / step

    # SET grows weaker on the way up, RESET on the way down: 1 means from 1.5 to 0.5.
    want = {
        (True, 30): 1.35, (True, 100): 1, (True, 170): 0.65,
        (False, 30): 0.825, (False, 100): 1, (False, 170): 1.175,
    }  # fmt: skip
    assert means == pytest.approx(want, abs=0.02)


def test_traits_have_the_stated_spread() -> None:
    config = Settings(sizes=(99, 100), device_to_device=0.1, init=0.14, stuck=0.1).integers()
    memristors = Memristors(config, np.array([1], np.uint64))
    free = ~memristors.stuck

    for trait, mean in (
        (memristors.set_factor, 256),
        (memristors.reset_factor, 256),
        (memristors.top, 200),
    ):
        assert trait.mean() == pytest.approx(mean, rel=0.005)
        assert trait.std() == pytest.approx(0.1 * mean, rel=0.03)
    assert np.corrcoef(memristors.set_factor[0], memristors.reset_factor[0])[0, 1] < 0.03
    assert memristors.g[free].mean() == pytest.approx(100, abs=1)
    assert memristors.g[free].std() == pytest.approx(28, rel=0.03)
    assert memristors.stuck.mean() == pytest.approx(0.1, abs=0.01)
    at_top = memristors.g == memristors.top
    assert (at_top | (memristors.g == 0))[memristors.stuck].all()
    assert at_top[memristors.stuck].mean() == pytest.approx(0.5, abs=0.05)


def test_stuck_is_a_draw_below_the_limit() -> None:
    source = Generator(1, 1, 0)
    seventh = [source.draw() for _ in range(7)][-1]

    for limit, stuck in ((seventh, False), (seventh + 1, True)):
        config = dataclasses.replace(PERFECT.integers(), stuck=limit)
        assert Memristors(config, np.array([1], np.uint64)).stuck[0, 0] == stuck
        assert Device(config, 1, 0).stuck == stuck


@pytest.mark.parametrize("nonlinearity", [1.98, -1.98, 0.3])
def test_single_pulses_equal_the_scalar_reference(nonlinearity: float) -> None:
    """Also where a pulse is bent, varied or stopped as far as the page lets it."""
    config = Settings(
        sizes=(9, 100),
        weight_bits=2,
        cycle_to_cycle=1,
        device_to_device=0.5,
        nonlinearity_set=nonlinearity,
        nonlinearity_reset=nonlinearity,
        stuck=0.02,
    ).integers()
    memristors = Memristors(config, np.array([1], np.uint64))
    count = memristors.g.size
    random = np.random.default_rng(7)
    memristors.g[:] = random.integers(0, memristors.top + 1)
    is_set = random.random(count) < 0.5
    z = random.integers(-510, 511, count, np.int32)
    r = random.integers(0, 65536, count, np.int32)
    want = []
    for number in range(count):
        device = Device(config, 1, number)
        device.g = int(memristors.g[0, number])
        device.pulse(bool(is_set[number]), int(z[number]), int(r[number]))
        want.append(device.g)

    memristors.pulse(np.arange(count), is_set, z, r)

    assert memristors.g[0].tolist() == want


def test_stuck_devices_never_change() -> None:
    chosen = Settings(sizes=(6, 5, 4), stuck=0.5, learning_rate=30)
    twin = Twin(chosen.integers())
    stuck = twin._memristors.stuck[0]
    before = twin._memristors.g[0].copy()

    for i in range(50):
        twin.learn(chosen.rate(), np.random.default_rng(i).integers(0, 256, 6, np.uint8), i % 4)

    changed = twin._memristors.g[0] != before
    assert not changed[stuck].any()
    assert changed[~stuck].mean() > 0.5


def test_more_stuck_devices_are_those_of_the_page() -> None:
    chosen = Settings(sizes=(6, 5, 4), stuck=0.1)
    seeds = [1, 2]
    twin, boards = Twin(chosen.integers(), seeds), [Board(chosen.integers(), s) for s in seeds]
    random = np.random.default_rng(1)
    for stuck in (6554, 6554, 20000, 65535):
        twin.add_stuck(stuck)
        for board in boards:
            for device in (d for layer in board.layers.values() for d in layer.devices):
                device.add_stuck(stuck)
        assert twin.config.stuck == stuck
        for _ in range(5):
            x, target = random.integers(0, 256, (2, 6), np.uint8), random.integers(0, 4, 2)
            trace = twin.learn(chosen.rate(), x, target, 3)
            for b, board in enumerate(boards):
                sample = board.learn(chosen.rate(), x[b].tolist(), one_hot(target[b], 4), 3)
                assert_same_sample(twin, trace, sample, b)


def test_stuck_devices_never_become_fewer() -> None:
    twin = Twin(Settings(sizes=(6, 4), stuck=0.1).integers())
    for stuck in (6553, -1, 65536):
        with pytest.raises(ValueError, match=f"STUCK is {stuck}, but must be from 6554 to 65535"):
            twin.add_stuck(stuck)


def test_pulses_at_the_limits_of_the_page_fit_32_bits() -> None:
    config = dataclasses.replace(
        PERFECT.integers(), step=1067, c2c=443, d_step=443, nl_set=163, nl_reset=-163
    )
    for factor in (51, 511):
        for g in (0, 100, 255):
            for z in (-510, 510):
                for is_set in (True, False):
                    device = Device(config, 1, 0)  # checks every intermediate value
                    device.set_factor = device.reset_factor = factor
                    device.g, device.top = g, 255
                    device.pulse(is_set, z, 0xFFFF)
                    assert 0 <= device.g <= 255


def test_reads_at_the_limits_of_the_page_fit_32_bits() -> None:
    chosen = Settings(
        sizes=(1024, 3), read_noise=0.5, adc_range_forward=16, device_to_device=1, w_max=(16,)
    )
    config = chosen.integers()
    board, twin = Board(config), Twin(config)
    for k, sign in enumerate((1, -1)):
        for j in range(1025):
            board.layers[1].p(k, j).g = 255 * (sign > 0)
            board.layers[1].n_(k, j).g = 255 * (sign < 0)
            twin.devices[0][0, k, :, j] = 255 * (sign > 0), 255 * (sign < 0)

    x = [255] * 1024
    free = board.predict(x)

    assert free[0][:2] == [255, 0]
    assert [s[0].tolist() for s in twin.predict(x)] == free


# --- does it learn? ----------------------------------------------------------------------------


@pytest.mark.slow
def test_learns_digits() -> None:
    task = load_task("digits")
    chosen = Settings(sizes=(64, 32, 10))
    twin = Twin(chosen.integers(), seeds=range(1, 5))

    for k in range(3):
        samples = task.train_pass(k)
        for x, target in zip(samples.x, samples.target, strict=True):
            twin.learn(round(chosen.rate() * 0.8**k), x, target)

    answers = twin.answer(twin.predict_many(task.x_test)[-1])
    accuracy = (answers == task.y_test).mean(axis=1)
    assert accuracy.min() > 0.93
