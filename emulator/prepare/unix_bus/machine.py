"""`machine` of the emulated board with chips: Pin, SPI, I2C and ADC over the emulator's bus.

Calls and errors are those of MicroPython's own classes. Everything is carried out in order. What
has no answer (pins, SPI writes) is not waited for: nothing on a bus tells when it has happened, so
it goes out together with the next operation that has one. Clocks pass time there, pauses between
such operations don't. madem_emulator/wiring/unix_pipes.py has the other end and the format.
"""

import os
import struct
from array import array
from errno import EIO, ENODEV, ETIMEDOUT

import micropython
from micropython import const
from umachine import *  # noqa: F403

_PIN_WRITE = const(1)
_PIN_READ = const(2)
_SPI_SETUP = const(3)
_SPI_WRITE = const(4)
_SPI_TRANSFER = const(5)
_I2C_SETUP = const(6)
_I2C_WRITE = const(7)
_I2C_READ = const(8)
_ADC_READ = const(9)

_LONGEST = const(4096)  # bytes of a transfer in one message
_MOST_HELD = const(1024)

_answers, _questions = os.getenv("MADEM_BUS").split(",")
_read = open(int(_answers), "rb").readinto  # noqa: SIM115
_write = open(int(_questions), "wb").write  # noqa: SIM115
_status = bytearray(3)

# What has no answer and has not gone out yet, and how many bytes of it there are. Nothing here
# allocates where a board would not: MicroPython's allocator takes long for many small objects.
_held = bytearray(_MOST_HELD + 4 + _LONGEST)
_count = array("H", (0,))


@micropython.viper
def _begin(operation: int, unit: int, n: int):
    """The head of a message of n bytes."""
    held = ptr8(_held)  # noqa: F405
    count = ptr16(_count)  # noqa: F405
    at = int(count[0])
    held[at] = operation
    held[at + 1] = unit
    held[at + 2] = n
    held[at + 3] = n >> 8
    count[0] = at + 4


@micropython.viper
def _append(data: ptr8, n: int) -> int:  # noqa: F405
    """Bytes of a message; how many are held then."""
    held = ptr8(_held)  # noqa: F405
    count = ptr16(_count)  # noqa: F405
    at = int(count[0])
    for k in range(n):
        held[at + k] = data[k]
    count[0] = at + n
    return at + n


@micropython.native
def _hold(data):
    """The end of a message without an answer."""
    if _append(data, len(data)) > _MOST_HELD:
        _flush()


def _flush():
    _write(_held, _count[0])
    _count[0] = 0


@micropython.native
def _ask(data):
    """The end of a message with an answer."""
    n = len(data)
    if n > _LONGEST:
        _flush()
        _write(data)
    else:
        _write(_held, _append(data, n))
        _count[0] = 0


@micropython.native
def _receive(buffer):
    got = _read(buffer)
    while got < len(buffer):
        n = _read(memoryview(buffer)[got:])
        if not n:
            raise OSError(EIO)
        got += n


class Pin:
    IN = 0
    OUT = 1
    OPEN_DRAIN = 2
    PULL_UP = 1
    PULL_DOWN = 2

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        self._id = id if isinstance(id, int) else int(id.lstrip("GP"))
        self._high = bytes((_PIN_WRITE, self._id, 1, 0, 1))
        self._low = bytes((_PIN_WRITE, self._id, 1, 0, 0))
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None):
        if value is not None:
            self.value(value)

    def value(self, *level):
        if level:
            if level[0]:
                self.on()
            else:
                self.off()
            return None
        _begin(_PIN_READ, self._id, 0)
        _flush()
        answer = bytearray(1)
        _receive(answer)
        return answer[0]

    __call__ = value

    @micropython.native
    def on(self):
        _hold(self._high)

    @micropython.native
    def off(self):
        _hold(self._low)

    high = on
    low = off


class SPI:
    MSB = 0
    LSB = 1

    def __init__(self, id, baudrate=1000000, *, sck=None, mosi=None, miso=None, **options):
        self._id = id
        self.init(baudrate, **options)

    def init(self, baudrate=1000000, *, polarity=0, phase=0, bits=8, firstbit=0):
        if bits != 8 or firstbit:
            raise ValueError("8 bits, the highest first, are what this bus has")
        _begin(_SPI_SETUP, self._id, 5)
        _hold(struct.pack("<IB", baudrate, 2 * polarity + phase))

    def deinit(self):
        pass

    def write(self, buf):
        if len(buf) <= _LONGEST:
            _begin(_SPI_WRITE, self._id, len(buf))
            _hold(buf)
            return
        view = memoryview(buf)
        for at in range(0, len(view), _LONGEST):
            self.write(view[at : at + _LONGEST])

    @micropython.native
    def write_readinto(self, write_buf, read_buf):
        n = len(write_buf)
        if n != len(read_buf):
            raise ValueError("buffers must be the same length")
        if n <= _LONGEST:
            _begin(_SPI_TRANSFER, self._id, n)
            _ask(write_buf)
            _receive(read_buf)
            return
        sent, received = memoryview(write_buf), memoryview(read_buf)
        for at in range(0, n, _LONGEST):
            self.write_readinto(sent[at : at + _LONGEST], received[at : at + _LONGEST])

    def readinto(self, buf, write=0):
        self.write_readinto(bytes((write,)) * len(buf), buf)

    def read(self, nbytes, write=0):
        buf = bytearray(nbytes)
        self.readinto(buf, write)
        return bytes(buf)


class I2C:
    def __init__(self, id=0, *, scl=None, sda=None, freq=400000, timeout=50000):
        self._id = id
        self.init(freq=freq)

    def init(self, *, scl=None, sda=None, freq=400000):
        _begin(_I2C_SETUP, self._id, 4)
        _hold(struct.pack("<I", freq))

    def deinit(self):
        pass

    def _answered(self):
        """The number of bytes acknowledged; OSError as of the hardware's own class."""
        _receive(_status)
        if _status[0]:
            raise OSError(ENODEV if _status[0] == 1 else ETIMEDOUT)
        return _status[1] | _status[2] << 8

    def scan(self):
        found = []
        for address in range(8, 120):
            try:
                self.writeto(address, b"")
            except OSError:
                continue
            found.append(address)
        return found

    def writeto(self, addr, buf, stop=True):
        _begin(_I2C_WRITE, self._id, 2 + len(buf))
        _ask(bytes((addr, stop)) + buf)
        return self._answered()

    def writevto(self, addr, vector, stop=True):
        return self.writeto(addr, b"".join(vector), stop)

    def readfrom_into(self, addr, buf, stop=True):
        _begin(_I2C_READ, self._id, 4)
        _ask(struct.pack("<BBH", addr, stop, len(buf)))
        self._answered()
        _receive(buf)

    def readfrom(self, addr, nbytes, stop=True):
        buf = bytearray(nbytes)
        self.readfrom_into(addr, buf, stop)
        return bytes(buf)

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        self.writeto(addr, memaddr.to_bytes(addrsize // 8, "big") + buf)

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        self.writeto(addr, memaddr.to_bytes(addrsize // 8, "big"), False)
        self.readfrom_into(addr, buf)

    def readfrom_mem(self, addr, memaddr, nbytes, *, addrsize=8):
        buf = bytearray(nbytes)
        self.readfrom_mem_into(addr, memaddr, buf, addrsize=addrsize)
        return bytes(buf)


class ADC:
    def __init__(self, pin):
        self._id = pin if isinstance(pin, int) else pin._id

    def read_u16(self):
        _begin(_ADC_READ, self._id, 0)
        _flush()
        answer = bytearray(2)
        _receive(answer)
        return answer[0] | answer[1] << 8
