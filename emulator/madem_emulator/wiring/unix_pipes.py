"""The bus of a Unix board: its `machine` module asks through one pipe and hears through another.

A message of emulator/prepare/unix_bus/machine.py is operation u8, unit u8, length u16, data, all
little-endian. A round trip through two pipes takes two thirds of one over a socket.

| operation | unit | data | answer |
|---|---|---|---|
| 1 write a pin | pin | level u8 | none |
| 2 read a pin | pin | | level u8 |
| 3 set up SPI | bus | clock in Hz u32, mode u8 | none |
| 4 SPI write | bus | bytes | none |
| 5 SPI transfer | bus | bytes | as many bytes |
| 6 set up I2C | bus | clock in Hz u32 | none |
| 7 I2C write | bus | address u8, stop u8, bytes | status u8, bytes acknowledged u16 |
| 8 I2C read | bus | address u8, stop u8, n u16 | status u8, 0 u16; then n bytes if it is 0 |
| 9 read the ADC | pin | | u16 |

Status 0 is success, 1 no acknowledge (ENODEV), 2 the bus is stuck (ETIMEDOUT).
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading

from madem_emulator.wiring.bus import Bus

_PIN_WRITE, _SPI_TRANSFER = 1, 5
_CHUNK = 8192


def connect(bus: Bus) -> tuple[int, int]:
    """Open the pipes for one run of the interpreter, and serve them in a thread of their own.

    Args:
        bus: carries out what comes through them.

    Returns:
        Descriptors that the interpreter reads from and writes to. They are the caller's, to be
        closed; the bus is served until the last copy of them is.
    """
    reads, answers = os.pipe()
    questions, writes = os.pipe()
    threading.Thread(target=_serve, args=(bus, questions, answers), daemon=True).start()
    return reads, writes


def _serve(bus: Bus, questions: int, answers: int) -> None:
    with open(questions, "rb", 0), open(answers, "wb", 0), contextlib.suppress(ConnectionError):
        read, write = os.read, os.write
        pending = b""
        while more := read(questions, _CHUNK):
            pending = pending + more if pending else more
            at, length = 0, len(pending)
            while length - at >= 4:
                operation, unit, start = pending[at], pending[at + 1], at + 4
                at = start + (pending[at + 2] | pending[at + 3] << 8)
                if at > length:
                    at = start - 4
                    break
                # The two that are most of all, without another call.
                if operation == _PIN_WRITE:
                    bus.set_level(unit, pending[start])
                elif operation == _SPI_TRANSFER:
                    write(answers, bus.spi(unit, pending[start:at]))
                elif answer := _carry_out(bus, operation, unit, pending[start:at]):
                    write(answers, answer)
            pending = pending[at:]


def _carry_out(bus: Bus, operation: int, unit: int, data: bytes) -> bytes:
    if operation == 2:
        return bytes([bus.level(unit)])
    if operation == 3:
        bus.set_up_spi(unit, float(struct.unpack_from("<I", data)[0]))
    elif operation == 4:
        bus.spi(unit, data)
    elif operation == 6:
        bus.set_up_i2c(unit, float(struct.unpack("<I", data)[0]))
    elif operation == 7:
        return struct.pack("<BH", *bus.i2c_write(unit, data[0], data[2:]))
    elif operation == 8:
        address, _, n = struct.unpack("<BBH", data)
        status, said = bus.i2c_read(unit, address, n)
        return bytes([status, 0, 0]) + said
    elif operation == 9:
        return struct.pack("<H", round(65535 * bus.adc(unit)))
    return b""
