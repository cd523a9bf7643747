"""Cycles an instruction of the learning firmware takes on a Cortex-M3, from its instruction mix.

QEMU runs one training sample and logs every instruction; madem_emulator.energy.cortex_m3
prices them.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from pathlib import Path

from madem.bench.device import half_trained, open_bench
from madem.boards.repl import Repl
from madem_emulator.boards.qemu import QemuBoard, find_image
from madem_emulator.energy.cortex_m3 import FASTEST, SLOWEST, TYPICAL, Timing, count

_HEAP = 256 * 1024
_TIMEOUT = 60
_MARK = "time_ticks_us\n"
"""How a log's line ends where the board looks at its clock, as it does around the sample."""
_SAMPLE = """\
def one(k,rate):
 at=k*(learner.network.sizes[0]+1)
 learner.network.set_targets(samples,at+learner.network.sizes[0])
 ticks_us()
 learner.learn(samples,at,rate,1)
 ticks_us()
"""


def measure() -> dict[Timing, float]:
    """Count cycles an instruction by timing, over one training sample of `digits` half-way trained.

    Returns:
        Cycles an instruction for each timing of madem_emulator.energy.cortex_m3.

    Raises:
        EmulatedBoardError: QEMU or its firmware is missing; says how to get it.
    """
    log = _log_of_a_sample()
    marks = [k for k, line in enumerate(log) if line.startswith("Trace") and line.endswith(_MARK)]
    # Each look calls a function, so it is two blocks: to the call, and from it.
    _, began, ended, _ = marks
    found = {}
    for timing in (FASTEST, TYPICAL, SLOWEST):
        before, until = count(log[:began], timing), count(log[:ended], timing)
        found[timing] = (until.cycles - before.cycles) / (until.instructions - before.instructions)
    return found


def _log_of_a_sample() -> list[str]:
    """What QEMU logs while the board learns one sample."""
    network = half_trained()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        log, monitor = Path(name) / "log", Path(name) / "monitor"
        options = ("-monitor", f"unix:{monitor},server,nowait", "-D", str(log))
        board = QemuBoard(find_image(), _HEAP, options=options)
        stack.enter_context(contextlib.closing(board))
        board.boot()
        line = stack.enter_context(socket.socket(socket.AF_UNIX))
        line.connect(str(monitor))
        _wait(line)
        repl = stack.enter_context(Repl(board.port, "qemu"))
        open_bench(repl)
        network.load(repl, 1, _TIMEOUT)
        repl.exec(_SAMPLE)
        _tell(line, "log in_asm,exec,nochain")
        repl.exec(f"one(0,{network.rate})", timeout=_TIMEOUT)
        _tell(line, "log none")
        return log.read_text().splitlines(keepends=True)


def _tell(monitor: socket.socket, command: str) -> None:
    monitor.sendall(command.encode() + b"\n")
    _wait(monitor)


def _wait(monitor: socket.socket) -> None:
    """Until QEMU asks for a command."""
    said = b""
    while not said.endswith(b"(qemu) "):
        said += monitor.recv(4096)
