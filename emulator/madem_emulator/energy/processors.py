"""Energy and time of one training sample on processors.

There are the microcontroller that runs the firmware, and a GPU and a CPU that do backprop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from madem_emulator.energy.constants import Model, constant
from madem_emulator.energy.workload import Cost, Workload

_A100 = "A100 data sheet (nvidia-a100-datasheet-us-nvidia-1758950), column of the SXM 40 GB"
_MICROWAY = "microway.com, Detailed Specifications of the AMD EPYC “Milan” CPUs"
_TECHGAGE = "techgage.com/article/amd-epyc-milan-launch-performance"
_STM32 = "STM32L100R8 data sheet (DocID024295 Rev 1), Table 15"


@dataclass(frozen=True)
class Microcontroller(Model):
    """A Cortex-M3 that runs this firmware with the emulated crossbar.

    Instructions are counted by `madem bench energy --board qemu:heap=256K,icount`.
    """

    per_mac: float = constant(8.1, "instructions per multiply-accumulate", "counted in QEMU")
    per_reading: float = constant(
        108.0, "instructions per reading", "counted in QEMU: noise, ADC and activity of a line"
    )
    per_coupling: float = constant(
        60.0, "instructions per coupling", "counted in QEMU: weight change, and what is left"
    )
    cycles: float = constant(
        1.55,
        "cycles per instruction",
        "instructions of one training sample in QEMU, at the cycles of Table 3-1 of the Cortex-M3"
        " Technical Reference Manual (100165), no wait states: counted as the instructions;"
        " 1.43 and 1.80: the least and most that the table allows",
        (1.43, 1.80),
    )
    clock: float = constant(32e6, "1/s", _STM32)
    current: float = constant(
        9.6e-3, "A", f"{_STM32}: run mode, code from flash, 32 MHz, peripherals off, typical"
    )
    voltage: float = constant(3.6, "V", f"{_STM32}: its conditions")

    def instructions(self, work: Workload) -> float:
        """Number of instructions.

        Args:
            work: the training sample.

        Returns:
            Instructions of one training sample.
        """
        macs = sum(read.driven * read.sensed * read.times for read in work.reads)
        readings = sum(read.sensed * read.times for read in work.reads)
        return (
            macs * self.per_mac + readings * self.per_reading + work.couplings * self.per_coupling
        )

    def cost(self, work: Workload) -> Cost:
        """Cost of one training sample, as if the memory were large enough.

        Args:
            work: the training sample.

        Returns:
            Joules by part, and seconds.
        """
        time = self.instructions(work) * self.cycles / self.clock
        return Cost({"instructions": time * self.current * self.voltage}, time)


@dataclass(frozen=True)
class Processor(Model):
    """A GPU or a CPU that does backprop with plain gradient descent: a roofline at full power.

    Attributes:
        peak: FLOP/s.
        bandwidth: of its memory, bytes/s.
        power: while it is busy, W.
        value_bytes: of a weight or an activation.
        launch: seconds per kernel, in which other work is assumed to use the energy.
        utilisation: share of the peak that is reached.
        batch: samples of one step.
    """

    peak: float
    bandwidth: float
    power: float
    value_bytes: int
    launch: float
    utilisation: float = constant(
        0.462,
        "1",
        "model FLOPs utilisation of PaLM (Chowdhery et al., 2022, arXiv 2204.02311); 57.8 %: its"
        " hardware FLOPs utilisation",
        (0.462, 0.578),
    )
    batch: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch < 1:
            raise ValueError(f"batch is {self.batch}, but must be 1 sample or more")

    def cost(self, work: Workload) -> Cost:
        """Cost of one training sample: its share of a step of `batch`.

        Arithmetic: 2 FLOP a coupling forward, 2 for the gradient of the weight, 2 for that of the
        input (not in the first layer). Memory: the weights are read forward and backward (not in
        the first layer) and read and written in the update, once a step; activations are written
        and read in both directions, for each sample.

        Args:
            work: the training sample.

        Returns:
            Joules by part, and seconds.
        """
        first = math.prod(work.layers[0])
        flops = 6 * work.couplings - 2 * first
        weights = (4 * work.couplings - first) * self.value_bytes
        activations = 4 * sum(work.sizes) * self.value_bytes
        arithmetic = flops / (self.peak * self.utilisation)
        memory = (weights / self.batch + activations) / self.bandwidth
        busy = max(arithmetic, memory)
        kernels = 4 * len(work.layers)  # forward, two gradients, update
        return Cost(
            {"memory" if memory > arithmetic else "arithmetic": busy * self.power},
            busy + kernels * self.launch / self.batch,
        )


@dataclass(frozen=True)
class A100(Processor):
    """NVIDIA A100 SXM 40 GB, half precision on its tensor cores."""

    peak: float = constant(312e12, "FLOP/s", f"{_A100}: FP16 tensor core, dense")
    bandwidth: float = constant(1.555e12, "B/s", f"{_A100}: memory bandwidth")
    power: float = constant(400.0, "W", f"{_A100}: largest thermal design power")
    value_bytes: int = constant(2, "B", "half precision")
    launch: float = constant(
        5e-6,
        "s per kernel",
        "5–20 µs (cuda_kernel_launch_stats.rst of"
        " github.com/facebookresearch/HolisticTraceAnalysis); costs time only",
        (5e-6, 20e-6),
    )


@dataclass(frozen=True)
class Epyc(Processor):
    """AMD EPYC 7763, single precision on all 64 cores."""

    peak: float = constant(
        5.0e12,
        "FLOP/s",
        f"64 cores at 2.45 GHz ({_TECHGAGE}), two 256-bit multiply-add units each ({_MICROWAY})",
    )
    bandwidth: float = constant(204.8e9, "B/s", f"8 channels of DDR4-3200 ({_MICROWAY})")
    power: float = constant(280.0, "W", f"{_TECHGAGE}: largest thermal design power")
    value_bytes: int = constant(4, "B", "single precision")
    launch: float = constant(0.0, "s per kernel", "a function call of the same program")
