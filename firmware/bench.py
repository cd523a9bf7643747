"""Timings on the board itself, beside what a bare loop and plain Python take.

Not copied to the board: the host runs it there through the REPL, where the
firmware's modules are already installed. Prints one `name value` per line,
times in microseconds.
"""

import gc
import struct

import micropython

from madem import serve

try:
    from time import ticks_diff, ticks_us
except ImportError:
    print("no_clock 1")
    raise SystemExit from None

SIZES = (64, 32, 10)


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


def timed(name, work, count):
    gc.collect()
    best = None
    for _ in range(3):  # the least disturbed of three
        began = ticks_us()
        for _ in range(count):
            work()
        took = ticks_diff(ticks_us(), began)
        if best is None or took < best:
            best = took
    print(name, best / count)


def main():
    config = bytearray(
        struct.pack("<12BI", 2, 2, 1, 0, 8, 8, 64, 204, 0, 255, 8, 0, 1)
        + struct.pack("<8H", 213, 0, 0, 44, 44, 35, 0, 48)
        + struct.pack("<3H", *SIZES)
        + struct.pack("<4B3HB", 197, 14, 11, 9, 35, 9, 0, 1)
        + struct.pack("<4B3HB", 197, 15, 11, 9, 35, 9, 0, 1)
    )
    learner = serve.build(serve.parse(config, 0, len(config)))
    net = learner.network
    front = net.front
    # Like a digit: half of it dark.
    x = bytearray(64)
    for j in range(0, 64, 2):
        x[j] = 4 * j
    a = bytearray(2048)
    b = bytearray(2048)
    out = bytearray(128)

    def settle():
        net.settle_free(x, 0)

    settle()
    timed("bare_loop", lambda: bare(a, b, 2048), 300)
    timed("unrolled_loop", lambda: unrolled(a, b, 2048), 300)
    timed("forward_read", lambda: front.forward(0, net.free, out), 300)
    timed("transposed_read", lambda: front.transposed(1, net.free, out), 300)
    timed("free_phase", settle, 100)
    del learner, net, front
    gc.collect()
    floats = [0.0] * 64
    for j in range(64):
        floats[j] = x[j] / 255
    try:
        w1 = [[0.01 * ((7 * i + 3 * j) % 11 - 5) for j in range(65)] for i in range(32)]
        w2 = [[0.01 * ((5 * i + 3 * j) % 11 - 5) for j in range(33)] for i in range(10)]
    except MemoryError:
        return
    timed("python_backprop", lambda: backprop(floats, 3, w1, w2, 0.01), 10)


main()
