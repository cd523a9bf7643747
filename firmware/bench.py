"""Timings on the board itself, beside what a bare loop and plain Python take.

Not copied to the board: the host runs it there through the REPL, where the
firmware's modules can be imported, and calls `references`, then `prepare`, puts
a trained state into the learner, and calls `firmware`. Each timing is printed
as `name value`, in microseconds.
"""

import gc

import micropython

try:
    from time import ticks_diff, ticks_us
except ImportError:
    print("no_clock 1")
    raise SystemExit from None


@micropython.viper
def bare(a: ptr8, b: ptr8, n: int) -> int:
    """The plainest multiply-accumulate loop."""
    acc = 0
    i = 0
    while i < n:
        acc += a[i] * b[i]
        i += 1
    return acc


@micropython.viper
def unrolled(a: ptr8, b: ptr8, n: int) -> int:
    """The same, eight at a time."""
    acc = 0
    while n > 0:
        acc += a[0] * b[0]
        acc += a[1] * b[1]
        acc += a[2] * b[2]
        acc += a[3] * b[3]
        acc += a[4] * b[4]
        acc += a[5] * b[5]
        acc += a[6] * b[6]
        acc += a[7] * b[7]
        a = ptr8(int(a) + 8)
        b = ptr8(int(b) + 8)
        n -= 8
    return acc


def backprop(x, target, w1, w2, rate):
    """One step of gradient descent on the same network, in plain Python floats."""
    hidden = []
    for row in w1:
        u = row[-1]
        for j in range(len(x)):
            u += row[j] * x[j]
        hidden.append(u if u > 0.0 else 0.0)
    errors = []
    for i in range(len(w2)):
        row = w2[i]
        u = row[-1]
        for j in range(len(hidden)):
            u += row[j] * hidden[j]
        errors.append((1.0 if i == target else 0.0) - u)
    back = [0.0] * len(hidden)
    for i in range(len(w2)):
        row = w2[i]
        step = rate * errors[i]
        for j in range(len(hidden)):
            back[j] += row[j] * errors[i]
            row[j] += step * hidden[j]
        row[-1] += step
    for i in range(len(w1)):
        if hidden[i] > 0.0:
            row = w1[i]
            step = rate * back[i]
            for j in range(len(x)):
                row[j] += step * x[j]
            row[-1] += step


def timed(name, count, work, *arguments):
    """Print a name, and the microseconds of one call: the least disturbed mean of `count`."""
    gc.collect()
    best = None
    for _ in range(3):  # the least disturbed of three
        began = ticks_us()
        for _ in range(count):
            work(*arguments)
        took = ticks_diff(ticks_us(), began)
        if best is None or took < best:
            best = took
    print(name, best / count)


def references(m, hidden, n, loops):
    """Loops over m * hidden bytes; backprop in an m-hidden-n network, where it fits the heap.

    loops: how often each is run between two looks at the clock.
    """
    a = bytearray(m * hidden)
    timed("bare_loop", loops, bare, a, a, m * hidden)
    timed("unrolled_loop", loops, unrolled, a, a, m * hidden)
    del a
    gc.collect()
    try:
        # Like a digit: half of it dark.
        x = [0.0 if j & 1 else 4 * j / 255 for j in range(m)]
        w1 = [[0.01 * ((7 * i + 3 * j) % 11 - 5) for j in range(m + 1)] for i in range(hidden)]
        w2 = [[0.01 * ((5 * i + 3 * j) % 11 - 5) for j in range(hidden + 1)] for i in range(n)]
    except MemoryError:
        return
    timed("python_backprop", 3, backprop, x, 3, w1, w2, 0.01)


def prepare(config):
    """The learner of a CONFIGURE payload."""
    from madem import network_config

    gc.collect()
    return network_config.build(network_config.parse(config, 0, len(config)))


def firmware(learner, samples, count, rate, loops):
    """Reads, phases, weight change and whole samples of a learner.

    samples: four times `count` of them, each ends with its class.
    loops: as in `references`, for reads and phases.
    """
    net = learner.network
    front = net.front
    out = bytearray(4 * max(net.sizes))
    net.settle_free(samples, 0)
    timed("forward_read", loops, front.forward, 0, net.free, out)
    timed("transposed_read", loops, front.transposed, 1, net.free, out)
    timed("free_phase", loops, net.settle_free, samples, 0)
    size = net.sizes[0] + 1
    position = [0]

    def learn():
        at = position[0]
        for _ in range(count):
            net.set_targets(samples, at + size - 1)
            learner.learn(samples, at, rate, 1)
            net.answer()
            at += size
        position[0] = at

    timed("train_%d" % count, 1, learn)
    change = learner._change_couplings
    spent = [0]

    def timed_change(*arguments):
        began = ticks_us()
        change(*arguments)
        spent[0] += ticks_diff(ticks_us(), began)

    learner._change_couplings = timed_change
    learn()
    print("update", spent[0] / count)
    # Every unit differs, every accumulator moves by one or two, none so far as to a pulse.
    gc.collect()
    spent[0] = 0
    for cells in learner.accumulators:
        for j in range(len(cells)):
            cells[j] = 128
    for j in range(len(net.plus)):
        net.plus[j] = 255
        net.minus[j] = 127 if j >= net.sizes[0] else 255
    for _ in range(10):
        timed_change(net.plus, net.minus, 20, 1)
    print("full_update", spent[0] / 10)
