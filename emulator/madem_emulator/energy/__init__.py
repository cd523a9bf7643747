"""Energy and time of one training sample, on arrays and on processors.

There are memristor arrays of several designs, the microcontroller that runs the firmware, and a GPU
and a CPU that do backprop.

Every constant is a field that carries its unit and its source (`constants` lists them): a
publication or file that anyone can read, or the command or test here that measures it. Where
sources disagree it carries the range too. A model takes a `Workload` and gives a `Cost`, so
another chip is an instance with other values. What is left out, what the figures come to, and what
the ranges do to them, is in docs/science/energy.md.
"""

from madem_emulator.energy.arrays import (
    Accumulators,
    Amplifiers,
    Array,
    Cells,
    Coincidence,
    Converters,
)
from madem_emulator.energy.constants import Constant, constants, with_constant
from madem_emulator.energy.processors import A100, Epyc, Microcontroller, Processor
from madem_emulator.energy.workload import Cost, LayerReads, Workload

__all__ = [
    "A100",
    "Accumulators",
    "Amplifiers",
    "Array",
    "Cells",
    "Coincidence",
    "Constant",
    "Converters",
    "Cost",
    "Epyc",
    "LayerReads",
    "Microcontroller",
    "Processor",
    "Workload",
    "constants",
    "with_constant",
]
