"""The sensor that a SOURCE of docs/reference/link.md describes, and the pins that show a label."""

import struct

from micropython import const

_SOURCE_HEAD_LAYOUT = const("<IB")
_MOST_PINS = const(7)
_NO_PINS = const("this board has no sensors of its own")


def choose(payload):
    """The source, and the label pins.

    Args:
        payload: bytes: rate u32 in mHz, number of label pins u8, the pins, length of name u8, name,
            options.

    Raises:
        ValueError: it makes no sense, or this board has no such sensor.
        OSError: the chip does not answer.
    """
    if len(payload) < 6:
        raise ValueError("a length that does not fit")
    rate, pins = struct.unpack_from(_SOURCE_HEAD_LAYOUT, payload)
    at = 5 + pins
    if pins > _MOST_PINS or at >= len(payload) or at + 1 + payload[at] > len(payload):
        raise ValueError("a length that does not fit")
    name = at + 1 + payload[at]
    label_pins = _label_pins(payload[5:at])
    return _module(payload[at + 1 : name].decode()).Source(rate, payload[name:]), label_pins


def label(pins):
    """What the pins say: those that are low are the bits of class + 1; -1: none is."""
    number = 0
    for i in range(len(pins)):
        if not pins[i].value():
            number |= 1 << i
    return number - 1


def _label_pins(numbers):
    if not numbers:
        return []
    try:
        from machine import Pin
    except ImportError:
        raise ValueError(_NO_PINS)
    return [Pin(number, Pin.IN, Pin.PULL_UP) for number in numbers]


def _module(name):
    try:
        return __import__("madem.source_" + name, None, None, ("Source",))
    except ImportError as e:
        if "source_" in str(e):
            raise ValueError("there is no source " + name)
        raise ValueError(_NO_PINS)
