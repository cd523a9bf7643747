"""Cycles of a Cortex-M3, worked by hand from its table for lines as QEMU logs them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madem_emulator.energy.cortex_m3 import (
    FASTEST,
    SLOWEST,
    TYPICAL,
    Count,
    Instruction,
    count,
    parse,
)

LISTED = """\
----------------
IN: work
0x00000100:  b510       push     {r4, lr}
0x00000102:  6803       ldr      r3, [r0]
0x00000104:  6842       ldr      r2, [r0, #4]
0x00000106:  fb03 f302  mul      r3, r3, r2
0x0000010a:  6083       str      r3, [r0, #8]
0x0000010c:  2b00       cmp      r3, #0
0x0000010e:  d1f8       bne      #0x102

"""
LOOP = "Trace 0: 0x7f00 [00800400/00000100/00000110/ff000200] work\n"


def cycles(*lines: str) -> tuple[int, int]:
    """Fastest and slowest, of one block of instructions that runs once."""
    text = [f"0x{2 * k:08x}:  0000       {line}\n" for k, line in enumerate(lines)]
    log = ["IN: here\n", *text, "Trace 0: 0x1 [0/00000000/0/0] here\n"]
    return count(log, FASTEST).cycles, count(log, SLOWEST).cycles


def test_a_line_of_disassembly() -> None:
    assert parse("0x0002876c:  6812       ldr      r2, [r2]\n") == Instruction(
        0x2876C, 2, "ldr", "r2, [r2]"
    )
    wide = parse("0x00028758:  fb93 f7f0  sdiv.w   r7, r3, r0\n")
    assert wide == Instruction(0x28758, 4, "sdiv", "r7, r3, r0")
    assert parse("IN: uart0_rx_handler\n") is None
    assert parse(LOOP) is None


def test_a_block_by_hand() -> None:
    log = [*LISTED.splitlines(keepends=True), LOOP]
    # push of two 3, loads 2 and 1 (beside the other), mul 1, store at an offset 1, cmp 1, bne 1.
    assert count(log, FASTEST) == Count(7, 10)
    # Nothing overlaps: loads 2 and 2, store 2.
    assert count(log, SLOWEST) == Count(7, 12)


def test_jumps_refill_the_pipeline() -> None:
    log = [*LISTED.splitlines(keepends=True), LOOP, LOOP]
    for timing in (FASTEST, TYPICAL, SLOWEST):
        once = count(log[:-1], timing).cycles
        assert count(log, timing) == Count(14, 2 * once + timing.refill)
    following = "IN: next\n0x00000110:  bf00       nop      \nTrace 0: 0x2 [0/00000110/0/0] next\n"
    falls = [*log[:-1], *following.splitlines(keepends=True)]
    assert count(falls, SLOWEST) == Count(8, 13)  # the branch was not taken


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("adds     r1, r2, r3", (1, 1)),
        ("mla      r0, r1, r2, r3", (2, 2)),
        ("mls      r3, r0, r7, r3", (2, 2)),
        ("bls      #0x10", (1, 1)),
        ("lsls     r3, r3, #3", (1, 1)),
        ("ldr      r3, [r0, r1]", (2, 2)),
        ("ldrbne   r3, [r0]", (2, 2)),
        ("ldrsh.w  r3, [r0]", (2, 2)),
        ("strb     r2, [r0, #1]", (1, 2)),
        ("str      r2, [r0, r1]", (2, 2)),
        ("ldrd     r0, r1, [r2]", (3, 3)),
        ("pop      {r3, r4, r5, pc}", (5, 5)),
        ("stm      r0!, {r1, r2}", (3, 3)),
        ("udiv     r0, r1, r2", (12, 12)),
        ("smull    r0, r1, r2, r3", (5, 5)),
        ("ite      hs", (1, 1)),
    ],
)
def test_cycles_of_the_table(line: str, expected: tuple[int, int]) -> None:
    assert cycles(line) == expected


@given(st.lists(st.sampled_from(["ldr r0, [r1]", "str r0, [r1, r2]", "add r0, r1"]), min_size=1))
def test_timings_are_in_order(lines: list[str]) -> None:
    least, most = cycles(*lines)
    assert len(lines) <= least <= most <= 2 * len(lines)


def test_a_block_that_is_not_listed() -> None:
    with pytest.raises(ValueError, match="instructions at 0x100"):
        count([LOOP], TYPICAL)
