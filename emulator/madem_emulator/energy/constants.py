"""Constants of a model: each carries its unit, its source and the range of what sources say."""

from __future__ import annotations

import math
from dataclasses import field, fields, replace
from typing import Any, NamedTuple, TypeVar

_T = TypeVar("_T")


def constant(value: float, unit: str, source: str, span: tuple[float, float] | None = None) -> Any:
    """Make a dataclass field that is a constant of a model.

    Args:
        value: in `unit`.
        unit: such as "J" or "1" for a plain number.
        source: publication, file, command or test that it is from; of a span's ends too.
        span: least and largest value in the sources; None where they agree.

    Returns:
        A field of a dataclass, which carries all that.
    """
    return field(default=value, metadata={"unit": unit, "source": source, "span": span})


class Constant(NamedTuple):
    """A field of a model, as `constants` lists it.

    Attributes:
        name: of the field.
        value: in `unit`.
        unit: such as "J" or "1" for a plain number.
        source: publication, file, command or test that it is from.
        span: least and largest value in the sources; None where they agree.
    """

    name: str
    value: float
    unit: str
    source: str
    span: tuple[float, float] | None


class Model:
    """Base of all dataclasses of constants: it checks them."""

    def __post_init__(self) -> None:
        for name, value, unit, *_ in constants(self):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} is {value} {unit}, but must be a number of 0 or more")


def constants(model: Any) -> list[Constant]:
    """List the constants of a model, those of its parts included.

    Args:
        model: a dataclass of this package.

    Returns:
        In the order of the fields.
    """
    found = []
    for item in fields(model):
        value = getattr(model, item.name)
        if "unit" in item.metadata:
            found.append(Constant(item.name, value, **item.metadata))
        elif hasattr(value, "__dataclass_fields__"):
            found += constants(value)
    return found


def with_constant(model: _T, name: str, value: float) -> _T:
    """Copy a model with another value of a constant, in every part that has one of that name.

    Args:
        model: a dataclass of this package.
        name: of the constant.
        value: in the constant's unit.

    Returns:
        The copy.
    """
    changed: dict[str, Any] = {}
    for item in fields(model):  # type: ignore[arg-type]
        part = getattr(model, item.name)
        if "unit" in item.metadata and item.name == name:
            changed[name] = value
        elif hasattr(part, "__dataclass_fields__"):
            changed[item.name] = with_constant(part, name, value)
    return replace(model, **changed)  # type: ignore[type-var]
