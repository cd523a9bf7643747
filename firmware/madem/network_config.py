"""The learner that a CONFIGURE of docs/reference/link.md describes."""

import struct

from micropython import const

from . import frontend_emulated, learn_rule, network

_CONFIGURE_FORMAT = const(2)
_CONFIGURE_HEAD_LAYOUT = const("<12BI")
_CONFIGURE_DEVICE_LAYOUT = const("<HhhHHHHH")
_CONFIGURE_LAYER_LAYOUT = const("<4B3HB")


def parse(body, at, end):
    """Read the payload of a CONFIGURE, body[at:end].

    Returns:
        What `build` takes.

    Raises:
        ValueError: it makes no sense.
    """
    if end - at < 32:
        raise ValueError("too short")
    (
        form, depth, one_hot, rule, sweeps_free, sweeps_nudged, beta, high, low, mask, bits,
        front, seed,
    ) = struct.unpack_from(_CONFIGURE_HEAD_LAYOUT, body, at)  # fmt: skip
    if (
        form != _CONFIGURE_FORMAT
        or front > 1
        or rule > 2
        or not 2 <= bits <= 10
        or not sweeps_nudged * sweeps_free
    ):
        raise ValueError("a setting that this firmware does not know")
    device = struct.unpack_from(_CONFIGURE_DEVICE_LAYOUT, body, at + 16)
    name = at + 32 + 2 * (depth + 1) + 11 * depth
    if depth < 1 or (end <= name if front else end != name):
        raise ValueError("a length that does not fit the layers")
    design = bytes(body[name:end]).decode() if front else ""
    sizes = struct.unpack_from("<%dH" % (depth + 1), body, at + 32)
    at += 32 + 2 * (depth + 1)
    layers = [struct.unpack_from(_CONFIGURE_LAYER_LAYOUT, body, at + 11 * k) for k in range(depth)]
    if not 1 <= min(sizes) <= max(sizes) <= 1024 or one_hot and sizes[-1] > 255:
        raise ValueError("a layer size out of range")
    for layer in layers:
        if not 1 <= layer[1] <= 30 or min(layer[2], layer[3]) < bits - 1 or max(layer[2:4]) > 14:
            raise ValueError("a gain or converter range out of range")
    caps = [0] + [layer[6] for layer in layers]
    units = (caps, one_hot, high, low, mask, beta, sweeps_free, sweeps_nudged)
    scales = [layer[7] for layer in layers]
    if min(scales) < 1:
        raise ValueError("a rate scale of 0")
    return sizes, (device, layers, bits, seed), units, (rule, scales), design


def build(wanted):
    """Make a learner with fresh weights.

    Args:
        wanted: what `parse` returns.

    Raises:
        MemoryError: it does not fit.
        OSError: a chip does not answer.
        ValueError: there is no such board design, or it has too few cards.
    """
    sizes, cells, units, rules, design = wanted
    if design:
        from . import frontend_chips  # only now: a board without chips has no use for it

        device, layers, _, seed = cells
        front = frontend_chips.Attached(sizes, device, layers, seed, design)
    else:
        front = frontend_emulated.Crossbar(sizes, *cells)
    net = network.Network(sizes, front, *units)
    return learn_rule.Learner(net, *rules)
