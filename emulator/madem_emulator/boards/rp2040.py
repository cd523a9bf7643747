"""A Raspberry Pi Pico in an emulator, as a board on a serial port.

Run as `python -m madem_emulator.boards.rp2040 [--wiring DESIGN+PRESET+SEED]
[--sensor mpu6050+FILE] [FILE.uf2]` it prints the path of its serial port (a pty) on one line and
serves it until its parent ends, its stdin (when that is a pipe) closes, or a signal asks it to
stop.

The chip is emulated by rp2040py, instruction by instruction, with its timers, its flash, its
USB, SPI, I2C and ADC; the image is any MicroPython for the RP2040. With `--wiring` or `--sensor`
there are chip models at its pins (wiring/rp2040_wires.py). The port is the far end of that USB. The
flash starts with what the image holds and ends with the process.

It computes tens of times slower than the chip. Time on the board is counted in emulated cycles,
so what is measured there is right; only what the board waits for comes early: its clock runs on
with the desktop's while it has nothing to do.

Linux only (5.3 or newer): it needs pidfd and prctl.
"""

import argparse
import contextlib
import os
import select
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from madem_emulator.boards.prepared import prepared
from madem_emulator.boards.process import (
    CdcPort,
    EmulatedBoardError,
    add_wiring_options,
    serve,
    wired_bus,
)

if TYPE_CHECKING:
    from rp2040py.device.base_device import BaseDevice

    from madem_emulator.wiring.bus import Bus

_UF2_BLOCK = 512
_UF2_MAGIC = (0x0A324655, 0x9E5D5157)
# The RP2040 in the list of families that comes with the UF2 specification.
_RP2040_FAMILY = 0xE48BFF56

# The board looks at its clock for so long at least when there is something to do, ns.
_SHORTEST_RUN = 1_000_000
_LONGEST_SLEEP = 0.1
_CHUNK = 4096
# What the emulator executes between two looks at its clock, in instructions.
_TICK_BATCH = 16


def find_uf2(named: str | None = None) -> Path:
    """Find the image of the board `rp2040`.

    Args:
        named: a UF2 file; None: the one that MADEM_RP2040_UF2 names, or the prepared one.

    Returns:
        Its path.

    Raises:
        EmulatedBoardError: there is none, it is no image for an RP2040, or rp2040py is missing.
    """
    named = named or os.environ.get("MADEM_RP2040_UF2")
    path = Path(named) if named else prepared("rp2040", "firmware.uf2")
    try:
        header = path.read_bytes()[:_UF2_BLOCK]
    except OSError as error:
        raise EmulatedBoardError(f"{path} can't be read: {error.strerror}") from None
    if len(header) < _UF2_BLOCK or struct.unpack_from("<2I", header) != _UF2_MAGIC:
        raise EmulatedBoardError(f"{path} is no UF2 file")
    (family,) = struct.unpack_from("<I", header, 28)
    if family != _RP2040_FAMILY:
        raise EmulatedBoardError(f"{path} is for another chip than the RP2040")
    try:
        import rp2040py  # noqa: F401
    except ImportError:
        raise EmulatedBoardError(
            "the board rp2040 needs rp2040py: run `pip install 'madem[rp2040]'`"
        ) from None
    return path


class Rp2040Board:
    """An emulated board: a pty whose other end is the USB of an emulated chip.

    Attributes:
        port: path of the serial port.
    """

    def __init__(self, image: Path, bus: "Bus | None" = None) -> None:
        """Power up.

        Args:
            image: a UF2 file for the RP2040.
            bus: all that is wired to the board; None: nothing.
        """
        self._port = CdcPort()
        self.port = self._port.path
        self._device = _power_up(image, bus)
        self._usb_host = _UsbHost(self._device, self._hear)
        self._to_host = bytearray()
        simulator = self._device.simulator
        self._enough = simulator.clock.create_alarm(simulator.stop)

    def run(self, watched: list[int]) -> None:
        """Execute and pass bytes on until one of the watched descriptors becomes readable.

        Args:
            watched: descriptors.
        """
        poll = select.poll()
        for descriptor in watched:
            poll.register(descriptor, select.POLLIN)
        master = self._port.master
        before = time.monotonic()
        seconds = 0.0
        while True:
            if self._port.is_open():
                # What nobody takes stops the board, as a full USB buffer would.
                poll.register(master, select.POLLOUT if self._to_host else select.POLLIN)
            else:
                self._to_host.clear()
                with contextlib.suppress(KeyError):
                    poll.unregister(master)  # it would report that it hangs up without end
            ready = dict(poll.poll(None if self._to_host else 1000 * seconds))
            if any(descriptor in ready for descriptor in watched):
                return
            if self._to_host:
                self._port.write(self._to_host)
                continue
            if master in ready and self._usb_host.room:
                self._usb_host.send(self._port.read(min(_CHUNK, self._usb_host.room)))
            now = time.monotonic()
            self._execute(max(_SHORTEST_RUN, int(1e9 * (now - before))))
            before = now
            idle = self._device.mcu.core.waiting and not self._usb_host.busy
            seconds = min(_LONGEST_SLEEP, seconds + 0.002) if idle and not ready else 0.0

    def close(self) -> None:
        """Power off and close the port."""
        self._port.close()

    def _execute(self, nanoseconds: int) -> None:
        """Run for so much of the board's time, or for a few milliseconds of ours."""
        from rp2040py.execute_batch import execute_batch

        simulator = self._device.simulator
        simulator.stopped = False
        self._enough.schedule(nanoseconds)
        execute_batch(simulator, _TICK_BATCH)
        self._enough.cancel()

    def _hear(self, data: bytes | bytearray) -> None:
        self._to_host += data


class _UsbHost:
    """The other end of the chip's USB, as a computer is.

    rp2040py's own answers each time with nothing that the chip asks for more input; a computer
    lets it wait. The difference is most of the chip's time.
    """

    def __init__(self, device: "BaseDevice", hear: Callable[[bytes | bytearray], None]) -> None:
        self._fifo = device.cdc.tx_fifo
        self._answer = device.mcu.usb_ctrl.on_endpoint_read
        self._asked: tuple[int, int] | None = None
        device.cdc.on_serial_data = hear
        device.mcu.usb_ctrl.on_endpoint_read = self._on_read

    @property
    def room(self) -> int:
        """Bytes that can be sent now."""
        return self._fifo.size - self._fifo.item_count

    @property
    def busy(self) -> bool:
        """The chip has not taken everything."""
        return not self._fifo.empty

    def send(self, data: bytes) -> None:
        """Give the chip bytes, `room` at most."""
        for byte in data:
            self._fifo.push(byte)
        if self._asked and self._answer:
            asked, self._asked = self._asked, None
            self._answer(*asked)

    def _on_read(self, endpoint: int, size: int) -> None:
        assert self._answer
        if endpoint and self._fifo.empty:
            self._asked = endpoint, size
        else:
            self._answer(endpoint, size)


def _power_up(image: Path, bus: "Bus | None") -> "BaseDevice":
    from rp2040py.boards import BoardSpec
    from rp2040py.device.base_device import BaseDevice

    try:
        device = BaseDevice(board=BoardSpec(image=image))
    except (ValueError, struct.error, IndexError) as error:
        raise EmulatedBoardError(f"{image} is damaged: {error}") from None
    if bus:
        from madem_emulator.wiring.rp2040_wires import Rp2040Wires  # with rp2040py's peripherals

        Rp2040Wires(device.mcu, bus)
    # From here the chip's boot loader would have started the image.
    device.mcu.leave_reset()
    return device


def main(arguments: list[str] | None = None) -> int:
    """Serve one board until whoever started it is gone.

    Args:
        arguments: of the command line; None: the process's own.

    Returns:
        The process's exit code: 2 when the board can't start or fails (the reason goes to stderr).
    """
    parser = argparse.ArgumentParser(
        prog="python -m madem_emulator.boards.rp2040",
        description="MicroPython on an emulated RP2040; prints the path of its serial port",
    )
    parser.add_argument(
        "image", nargs="?", help="a UF2 file (default: MADEM_RP2040_UF2, or the prepared one)"
    )
    add_wiring_options(parser)
    options = parser.parse_args(arguments)
    return serve(
        lambda: contextlib.closing(Rp2040Board(find_uf2(options.image), wired_bus(options)))
    )


if __name__ == "__main__":
    sys.exit(main())
