"""Cycles that a Cortex-M3 takes for the instructions in a log of QEMU.

The table is Table 3-1 and section 3.3.2 of Arm's Cortex-M3 Processor Technical Reference Manual
(r2p1, document 100165): memory without wait states. Two things the table leaves open, and a
`Timing` settles: the cycles of a pipeline refill (1 to 3), and whether single loads and stores
overlap with their neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class Timing(NamedTuple):
    """A Cortex-M3's speed where its table gives a range.

    Attributes:
        refill: cycles to refill the pipeline after a jump (P of the table): 1 to 3.
        overlap: a load or store beside another takes one cycle, as does a store at a fixed offset.
    """

    refill: int
    overlap: bool


FASTEST, TYPICAL, SLOWEST = Timing(1, True), Timing(2, True), Timing(3, False)
"""TYPICAL has two cycles of refill, as LLVM's model of the core (ARMScheduleM3.td) has."""


class Instruction(NamedTuple):
    """One line of QEMU's disassembly.

    Attributes:
        address: of its first byte.
        length: bytes: 2 or 4.
        name: mnemonic without a width suffix.
        operands: as the disassembly writes them.
    """

    address: int
    length: int
    name: str
    operands: str


class Count(NamedTuple):
    """Instructions that ran, and the cycles that they took.

    Attributes:
        instructions: how many ran.
        cycles: that they took.
    """

    instructions: int
    cycles: int


_LINE = re.compile(r"0x([0-9a-f]+):  ([0-9a-f]{4}(?: [0-9a-f]{4})?) +(\S+) *(.*)")
_TRACE = re.compile(r"Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/")
_CONDITIONS = "eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_CONDITIONAL = re.compile(f"b({_CONDITIONS})$")
_SINGLE = re.compile(r"(ldr|str)(s?[bh])?t?$")
_LIST = re.compile(r"(push|pop|ldm|stm)(ia|db|fd|ea)?$")
_SLOWEST_DIVISION = 12
_LONG_PRODUCT = {"smull": 5, "umull": 5, "smlal": 7, "umlal": 7}
_FIXED_OFFSET = re.compile(r"\[\w+(, #-?\w+)?\]$")


def parse(line: str) -> Instruction | None:
    """Read an instruction of QEMU's `-d in_asm`.

    Args:
        line: of the log.

    Returns:
        The instruction; None for any other line.
    """
    found = _LINE.match(line)
    if found is None:
        return None
    address, code, name, operands = found.groups()
    return Instruction(
        int(address, 16), 2 * len(code.split()), name.partition(".")[0], operands.strip()
    )


def count(log: Iterable[str], timing: Timing) -> Count:
    """Count instructions and cycles of a log of QEMU's `-d in_asm,exec,nochain`.

    Args:
        log: its lines; a block of instructions is listed where it is translated, before it runs.
        timing: see `Timing`.

    Returns:
        Both, of the whole log.

    Raises:
        ValueError: a block ran that the log does not list.
    """
    blocks: dict[int, list[Instruction]] = {}
    block: list[Instruction] = []
    last: Instruction | None = None
    instructions = cycles = 0
    for line in log:
        if line.startswith("IN:"):
            block = []
        elif (instruction := parse(line)) is not None:
            if not block:
                blocks[instruction.address] = block
            block.append(instruction)
        elif (found := _TRACE.match(line)) is not None:
            address = int(found[1], 16)
            if last is not None and address != last.address + last.length:
                cycles += timing.refill  # the last one jumped
            if address not in blocks:
                raise ValueError(f"the log does not list the instructions at {address:#x}")
            previous = None
            for instruction in blocks[address]:
                cycles += _cycles(instruction, previous, timing)
                previous = instruction
            instructions += len(blocks[address])
            last = previous
    return Count(instructions, cycles)


def _cycles(instruction: Instruction, previous: Instruction | None, timing: Timing) -> int:
    """Of one instruction, without what a jump adds."""
    name = _without_condition(instruction.name)
    if _SINGLE.match(name):
        if timing.overlap:
            if name.startswith("str") and _FIXED_OFFSET.search(instruction.operands):
                return 1
            if previous is not None and _SINGLE.match(_without_condition(previous.name)):
                return 1
        return 2
    if name in ("ldrd", "strd"):
        return 1 + 2
    if _LIST.match(name):
        return 1 + _registers(instruction.operands)
    if name in ("tbb", "tbh"):
        return 2
    if name in ("mla", "mls"):
        return 2
    if name in ("sdiv", "udiv"):
        return _SLOWEST_DIVISION
    return _LONG_PRODUCT.get(name, 1)


def _without_condition(name: str) -> str:
    """`ldrne` is `ldr`; `bls` and `mls` stay."""
    shorter = name[:-2]
    if name[-2:] in _CONDITIONS.split("|") and (
        _SINGLE.match(shorter) or _LIST.match(shorter) or shorter in _LONG_PRODUCT
    ):
        return shorter
    return name


def _registers(operands: str) -> int:
    """How many a list such as `{r4-r7, lr}` names; QEMU writes each one out."""
    return operands[operands.index("{") :].count(",") + 1
