"""Learns through a gate what is asked for on the standard input, a line each, until it ends.

A line: CONFIGURE's payload in hex, then gate, at_most, fade, drop, every, rate, pulses, the window
before which more devices get stuck, and the windows with their labels in hex. Answered by a line
with answer, margin and flags of each window, what the gate then has, and the weights in hex.
"""

import binascii
import sys

from madem import learn_gate, network_config

while True:
    line = sys.stdin.readline()
    if not line:
        break
    words = line.split()
    payload = binascii.unhexlify(words[0])
    learner = network_config.build(network_config.parse(payload, 0, len(payload)))
    gate, at_most, fade, drop, every, rate, pulses, stuck_at = [int(word) for word in words[1:9]]
    data = binascii.unhexlify(words[9])
    net = learner.network
    one = learn_gate.UpdateGate(learner, gate, at_most, fade, drop, every)
    found = []
    size = net.sizes[0] + 1
    for number in range(len(data) // size):
        if number == stuck_at:
            net.front.add_stuck(9000)
        window = data[size * number : size * (number + 1)]
        net.set_targets(window, size - 1)
        one.free_phase(window)
        one.update(window[-1], rate, pulses)
        found += [net.answer(), one.margin, one.outcome]
    found += [learner.steps, one.learned, one.checkpoint_at]
    found += [one.accuracy, one.checkpoint_accuracy, one.rollbacks]
    weights = bytes(net.front.devices) + b"".join([bytes(c) for c in learner.accumulators])
    print(" ".join([str(value) for value in found]), binascii.hexlify(weights).decode())
