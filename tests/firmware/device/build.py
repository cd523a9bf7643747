"""Learners for the checks, and the CONFIGURE payload that asks the firmware for one."""

import struct

import plain

from madem import network_config


def configure(
    sizes, *, seed=1, one_hot=1, rule=0, sweeps=(4, 2), beta=64, targets=(204, 0), mask=255,
    bits=8, gains=None, ranges=(11, 9), noise=(35, 9), caps=None, scales=None, **device
):  # fmt: skip
    """The payload of docs/reference/link.md; defaults are those of docs/reference/arithmetic.md.

    gains: (M, Q) of each weight layer; ranges, noise: (forward, transposed) of all;
    caps, scales: of each layer above the input.
    """
    found = dict(plain.DEVICE)
    found.update(device)
    gains = gains or [(197, 14)] + [(197, 15)] * (len(sizes) - 2)
    payload = struct.pack(
        "<12BI", 2, len(sizes) - 1, one_hot, rule, sweeps[0], sweeps[1], beta, targets[0],
        targets[1], mask, bits, 0, seed,
    )  # fmt: skip
    names = ("step", "nl_set", "nl_reset", "c2c", "d_step", "d_top", "stuck", "init")
    payload += struct.pack("<HhhHHHHH", *[found[name] for name in names])
    payload += b"".join(struct.pack("<H", n) for n in sizes)
    for k, (m, q) in enumerate(gains):
        cap, scale = caps[k] if caps else 0, scales[k] if scales else 1
        payload += struct.pack("<4B3HB", m, q, *ranges, *noise, cap, scale)
    return payload


def learner(sizes, **settings):
    payload = configure(sizes, **settings)
    return network_config.build(network_config.parse(payload, 0, len(payload)))


def learn(one, x, target, rate=2064, pulses=1):
    """One sample; target: a class, or an on/off byte for every output."""
    sample = bytes(x) + bytes(target if isinstance(target, (list, bytes)) else [target])
    one.network.set_targets(sample, len(x))
    one.learn(sample, 0, rate, pulses)
