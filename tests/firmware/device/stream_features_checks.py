"""Features on the device: no heap a sample, windows where they belong, and what is refused."""

import gc

import micropython
from madem.stream_features import Pipeline
from plain import Numbers, equal

MEAN, ENERGY, ZERO, MINMAX = 1, 2, 4, 8


def test_no_heap_for_samples_and_windows():
    one = Pipeline(6, 40, 20, MEAN | ENERGY | ZERO | MINMAX, 8, 6)
    data = Numbers(1).bytes(12 * 200)

    def run():
        whole = 0
        k = 0
        while k < 200:
            if one.push(data, 12 * k):
                one.compute(1)
                whole += 1
            k += 1
        return whole

    run()  # warm up
    gc.collect()
    micropython.heap_lock()
    try:
        whole = run()
    finally:
        micropython.heap_unlock()
    equal(whole, 10)


def test_windows_come_after_a_window_then_every_hop_and_anew_after_a_restart():
    one = Pipeline(1, 8, 3, MEAN, 0, 0)
    sample = b"\1\2"

    def whole(n):
        return [k for k in range(n) if one.push(sample, 0)]

    equal(whole(16), [7, 10, 13])
    equal(one.due(0, 0), 0)
    equal(one.due(1, 0), 1)
    equal(one.due(7, 0), 3)
    equal(one.due(7, 1), 0)
    equal(one.due(8, 1), 1)
    one.restart()
    equal(whole(11), [7, 10])


def test_a_restart_keeps_the_normalisation():
    one = Pipeline(1, 8, 8, MEAN, 0, 3)
    for k in range(8):
        one.push(b"\0\2", 0)
    one.compute(1)
    state = bytes(one.state)
    one.restart()
    equal(bytes(one.state), state)
    equal(list(one.state[:5]), [1, 0, 0, 0, 0])
    # centre 512 * 64 above the offset 2**22
    equal(list(one.state[4:8]), [0, 128, 64, 0])


def test_impossible_pipelines_are_refused():
    good = [3, 32, 16, MEAN, 4, 6]
    Pipeline(*good)
    for place, value in (
        (0, 0), (0, 17), (1, 7), (1, 257), (2, 0), (2, 33), (3, 16), (4, 17), (5, 13),
    ):  # fmt: skip
        bad = list(good)
        bad[place] = value
        try:
            Pipeline(*bad)
        except ValueError:
            continue
        raise AssertionError((place, value))
    for bad in ((1, 8, 8, 0, 0, 6), (1, 8, 8, MEAN, 1, 6), (16, 64, 8, 15, 32, 6)):
        try:
            Pipeline(*bad)
        except ValueError:
            continue
        raise AssertionError(bad)
