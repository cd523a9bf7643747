"""The smallest board: a network learns on the micro:bit's own MicroPython, in QEMU."""

import ast
import os
import random
import re
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from madem_emulator.twin.config import Config, Settings

from ...conftest import MICROBIT_FIRMWARE
from ..scalar_reference import Board

_PROGRAM = Path(__file__).parents[2] / "firmware" / "microbit" / "network.py"

SIZES = (8, 4)
RATE = 4000


class Prompt:
    """The REPL of a micro:bit in its paste mode, the only one that shows what has arrived.

    Its line has no flow control, and it loses what comes faster than it reads.
    """

    def __init__(self, port: serial.Serial) -> None:
        self._port = port
        port.timeout = 60
        port.write(b"\x03")
        self._until(b">>> ")

    def exec(self, code: str) -> str:
        """Run code and return what it printed."""
        self._type(b"\x05", b"=== ")
        for line in code.strip().encode().splitlines():
            for start in range(0, len(line), 16):
                self._type(line[start : start + 16])
            self._type(b"\r", b"\r\n=== ")
        self._port.write(b"\x04")
        said = self._until(b">>> ").decode()
        assert "Traceback" not in said
        return said.strip()

    def _type(self, text: bytes, echo: bytes = b"") -> None:
        self._port.write(text)
        self._until(echo or text)

    def _until(self, text: bytes) -> bytes:
        said = self._port.read_until(text)
        assert said.endswith(text), said
        return said.removesuffix(text)


@pytest.fixture
def prompt() -> Iterator[Prompt]:
    """A micro:bit: MicroPython 1.9.2 on a Cortex-M0 with 16 KB of RAM."""
    from madem_emulator.boards.process import killed_with_parent, open_port

    master, slave = open_port()
    with subprocess.Popen(
        [
            *("qemu-system-arm", "-machine", "microbit", "-nodefaults", "-display", "none"),
            *("-device", f"loader,file={MICROBIT_FIRMWARE}", "-monitor", "none"),
            *("-add-fd", f"fd={master},set=1", "-chardev", "serial,id=port,path=/dev/fdset/1"),
            *("-serial", "chardev:port"),
        ],
        pass_fds=[master],
        preexec_fn=killed_with_parent(),
    ) as machine:
        os.close(master)
        try:
            with serial.Serial(os.ttyname(slave)) as port:
                yield Prompt(port)
        finally:
            machine.kill()
            os.close(slave)


def values(config: Config) -> dict[str, int]:
    """What the program calls the numbers of a configuration."""
    (layer,) = config.layers
    m, n = config.sizes
    return {
        "M": m, "N": n, "LINE": m + 1, "DEVICES": 2 * (m + 1) * n,
        "SEED": config.seed, "RATE": RATE,
        "STEP": config.step, "NL_SET": config.nl_set, "NL_RESET": config.nl_reset,
        "C2C": config.c2c, "D_STEP": config.d_step, "D_TOP": config.d_top,
        "STUCK": config.stuck, "INIT": config.init, "ADC_BITS": config.adc_bits,
        "DAC_MASK": config.dac_mask, "BETA": config.beta, "T_HIGH": config.t_hi,
        "T_LOW": config.t_lo, "GAIN": layer.gain, "SHIFT": layer.gain_shift,
        "F": layer.range_forward, "NOISE": layer.noise_forward, "SCALE": layer.scale,
    }  # fmt: skip


@pytest.mark.needs("qemu-system-arm", "firmware-microbit-micropython")
def test_it_learns_to_the_bit(prompt: Prompt) -> None:
    config = Settings(
        sizes=SIZES, seed=7, cycle_to_cycle=0.2, device_to_device=0.2, stuck=0.05, read_noise=0.01
    ).integers()
    reference = Board(config)
    numbers = values(config)
    for piece in _PROGRAM.read_text().split("# ---\n")[1:]:
        prompt.exec(re.sub(r"\b[A-Z][A-Z0-9_]+\b|\b[MNF]\b", lambda m: str(numbers[m[0]]), piece))

    def weights() -> bytes:
        g, c = ast.literal_eval(prompt.exec("print((bytes(g),bytes(c)))"))
        return g + c

    assert weights() == reference.layers[1].bytes()

    draw = random.Random(1)
    right = [0, 0]  # of the first 150 and of the last 50
    for step in range(200):
        label = draw.randrange(4)
        # Two of the eight inputs belong to each class.
        x = [draw.randrange(150, 256) if i // 2 == label else draw.randrange(60) for i in range(8)]
        on = [int(i == label) for i in range(4)]
        said = prompt.exec(f"learn({step},{x},{label})")
        expected = reference.learn(RATE, x, on)
        free, plus, minus = (
            ast.literal_eval(part + "]") for part in said.strip().rstrip("]").split("] ")
        )
        assert ([free], [plus], [minus]) == (expected.free, expected.plus, expected.minus)
        right[step >= 150] += free.index(max(free)) == label
        if step % 50 == 49:
            assert weights() == reference.layers[1].bytes()
    assert reference.pulses > 50
    x = [200, 180, 9, 40, 3, 0, 55, 17]
    index = zlib.crc32(bytes(value & config.dac_mask for value in x)) & 0x3FFFFFFF
    assert [ast.literal_eval(prompt.exec(f"predict({index},{x})"))] == reference.predict(x)
    # What it is for.
    assert right[1] >= 48, right
