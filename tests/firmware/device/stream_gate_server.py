"""Learns with care what is asked for on the standard input, a line each, until it ends.

A line: CONFIGURE's payload in hex, then gate, at_most, fade, drop, every, rate, train, the window
before which more devices get stuck, and the windows with their labels in hex. Answered by a line
with answer, margin and flags of each window, what the keeper then has, and the weights in hex.
"""

import binascii
import sys

from madem import link_server, stream_gate

while True:
    line = sys.stdin.readline()
    if not line:
        break
    words = line.split()
    payload = binascii.unhexlify(words[0])
    learner = link_server.build(link_server.parse(payload, 0, len(payload)))
    gate, at_most, fade, drop, every, rate, train, strike = [int(word) for word in words[1:9]]
    data = binascii.unhexlify(words[9])
    net = learner.network
    one = stream_gate.Keeper(learner, gate, at_most, fade, drop, every)
    found = []
    size = net.sizes[0] + 1
    for number in range(len(data) // size):
        if number == strike:
            net.front.strike(9000)
        window = data[size * number : size * (number + 1)]
        net.set_targets(window, size - 1)
        flags = one.learn(window, window[-1], rate, train)
        found += [net.answer(), one.margin, flags]
    found += [learner.steps, one.learned, one.kept_at, one.accuracy, one.kept_accuracy, one.backs]
    weights = bytes(net.front.devices) + b"".join([bytes(c) for c in learner.accumulators])
    print(" ".join([str(value) for value in found]), binascii.hexlify(weights).decode())
