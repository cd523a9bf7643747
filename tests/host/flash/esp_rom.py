"""The serial boot loader of the ESP32 family on a pty: its ROM, then the stub that esptool loads.

Written after "Serial Protocol" of the esptool documentation. What runs behind it once it is
flashed is a real MicroPython: the model joins its own pty to that of an emulated board.
"""

import contextlib
import hashlib
import os
import select
import struct
import threading
import tty
import zlib

FLASH_BYTES = 4 * 1024 * 1024
_FLASH_ID = 0x16_40_EF  # capacity 2^22 bytes, type, maker

_MAGIC_REGISTER, _MAGIC = 0x4000_1000, {0: 0x00F0_1D83}
# The command register of the controller that reads the flash's identity, and its data word.
_SPI = {0: (0x3FF4_2000, 0x3FF4_2080), 9: (0x6000_2000, 0x6000_2058)}
_UNKNOWN_COMMAND = 0x05


class EspRom:
    """One chip in its boot loader.

    Attributes:
        port: path of its serial port.
        flash: what has been written to it.
        log: numbers of the commands that arrived.
    """

    def __init__(self, chip_id: int, then: str | None = None, unplug_after: int | None = None):
        """
        Args:
            chip_id: 0 for ESP32, 9 for ESP32-S3.
            then: port of the board that it is once it has been flashed.
            unplug_after: goes away after so many bytes written.
        """
        self.chip_id, self._then, self._unplug_after = chip_id, then, unplug_after
        self.flash = bytearray(b"\xff" * FLASH_BYTES)
        self.log: list[int] = []
        self.erased = False
        self._registers: dict[int, int] = {}
        self._stub = self._verified = False
        self._at = self._written = 0
        self._inflate = zlib.decompressobj()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._stop_read, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """Unplug it for good."""
        os.write(self._stop, b"x")
        self._thread.join(120)
        for descriptor in (self._master, self._slave, self._stop, self._stop_read):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _run(self) -> None:
        frame, inside = bytearray(), False
        while piece := self._read(self._master):
            if self._verified and self._then and not inside and b"\x03" in piece:
                self._be(self._then, piece)
                return
            for byte in piece:
                if byte != 0xC0:
                    frame.append(byte)
                elif not inside or not frame:
                    inside = True
                    frame.clear()
                else:
                    inside = False
                    self._command(
                        bytes(frame).replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
                    )
            if self._unplug_after is not None and self._written >= self._unplug_after:
                os.close(self._master)
                self._master = -1  # the slave stays, so that nobody else gets its number
                return

    def _read(self, descriptor: int, *more: int) -> bytes:
        """What has arrived; b"" when it is time to stop."""
        ready, _, _ = select.select([descriptor, self._stop_read, *more], [], [])
        if self._stop_read in ready:
            return b""
        return os.read(descriptor, 65536) if descriptor in ready else b""

    def _be(self, path: str, first: bytes) -> None:
        """Pass everything on between this port and another."""
        other = os.open(path, os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(other, first)
            while True:
                ready, _, _ = select.select([self._master, other, self._stop_read], [], [])
                if self._stop_read in ready:
                    return
                for one, to in ((self._master, other), (other, self._master)):
                    if one in ready:
                        os.write(to, os.read(one, 65536))
        finally:
            os.close(other)

    def _command(self, frame: bytes) -> None:
        _, number, size, checksum = struct.unpack_from("<BBHI", frame)
        data = frame[8:]
        assert len(data) == size
        self.log.append(number)
        words = struct.unpack(f"<{min(6, size // 4)}I", data[: min(6, size // 4) * 4])
        if number in (0x03, 0x07, 0x11):  # FLASH_DATA, MEM_DATA, FLASH_DEFL_DATA
            data = data[16:]
            expected = 0xEF
            for byte in data:
                expected ^= byte
            assert checksum == expected
        value, reply, fault = 0, b"", 0
        match number:
            case 0x08:  # SYNC
                for _ in range(8):
                    self._answer(number, 0 if self._stub else 0x2012_0707, b"")
                return
            case 0x0A:  # READ_REG
                value = self._register(words[0])
            case 0x09:  # WRITE_REG
                self._registers[words[0]] = words[1] & words[2]
                if words[0] == _SPI[self.chip_id][0]:
                    self._registers[words[0]] = 0  # done at once
            case 0x14 if self.chip_id:  # GET_SECURITY_INFO
                reply = struct.pack("<IB7BII", 0, 0, *[0] * 7, self.chip_id, 0)
            case 0x02 | 0x10:  # FLASH_BEGIN, FLASH_DEFL_BEGIN
                self._at, self._inflate = words[3], zlib.decompressobj()
            case 0x03:
                self._write(data)
            case 0x11:
                self._write(self._inflate.decompress(data))
            case 0x13:  # SPI_FLASH_MD5
                digest = hashlib.md5(self.flash[words[0] : words[0] + words[1]])
                reply = digest.digest() if self._stub else digest.hexdigest().encode()
                self._verified = True
            case 0xD0:  # ERASE_FLASH
                self.flash[:] = b"\xff" * FLASH_BYTES
                self.erased = True
            case 0x06 if words[1]:  # MEM_END: start what was loaded
                self._answer(number, 0, b"\0\0")
                self._stub = True
                self._send(b"OHAI")
                return
            case 0x04 | 0x05 | 0x06 | 0x07 | 0x0B | 0x0D | 0x0F | 0x12:
                pass
            case _:
                fault = _UNKNOWN_COMMAND
        status = bytes([1, fault]) if fault else b"\0\0"
        self._answer(number, value, reply + status)

    def _register(self, address: int) -> int:
        if address == _MAGIC_REGISTER:
            return _MAGIC.get(self.chip_id, 0)
        if address == _SPI[self.chip_id][1]:
            return _FLASH_ID
        return self._registers.get(address, 0)

    def _write(self, data: bytes) -> None:
        self.flash[self._at : self._at + len(data)] = data
        self._at += len(data)
        self._written += len(data)

    def _answer(self, number: int, value: int, data: bytes) -> None:
        if not self._stub:
            data = (data or b"\0\0") + b"\0\0"  # the ROM has two more bytes of status
        data = data or b"\0\0"
        self._send(struct.pack("<BBHI", 1, number, len(data), value) + data)

    def _send(self, frame: bytes) -> None:
        coded = frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        os.write(self._master, b"\xc0" + coded + b"\xc0")
