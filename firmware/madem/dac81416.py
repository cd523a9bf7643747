"""DAC81416, a 16-bit DAC of 16 channels on SPI: Texas Instruments SLASEO0B."""

import micropython
from micropython import const

# Section 8.6, registers.
_DEVICEID = const(0x01)
_SPICONFIG = const(0x03)
_GENCONFIG = const(0x04)
_DACPWDWN = const(0x09)
_DACRANGE0 = const(0x0A)
_TRIGGER = const(0x0E)
_BRDCAST = const(0x0F)
_DAC0 = const(0x10)
_READ = const(0x80)

_SOFT_RESET = const(0x000A)
_ACTIVE = const(0x0A84)  # the chip powered, SDO on
_STREAMING = const(0x0A8C)  # and streams instead, which turns SDO off
_REFERENCE_ON = const(0x3F00)
_RANGE_2V5 = const(0xEEEE)  # ±2.5 V
_MIDDLE = const(0x8000)
_ID = const(0x29C)


class DAC81416:
    """Sixteen outputs of ±2.5 V about ground, 76.3 µV a code; only what changes is sent."""

    def __init__(self, spi, select, name):
        self._spi = spi
        self._select = select  # pin, active low
        self._name = name
        # Of a stream: room for the address, then the codes that the chip holds.
        self._frame = bytearray(33)
        self._view = memoryview(self._frame)

    def begin(self):
        """Reset it, check which chip it is, and set all outputs to 0 V."""
        self._send(_TRIGGER, _SOFT_RESET)
        self._send(_SPICONFIG, _ACTIVE)
        if self._ask(_DEVICEID) >> 2 != _ID:
            raise OSError("DAC81416 %s does not answer, or is another chip" % self._name)
        self._send(_GENCONFIG, _REFERENCE_ON)
        for k in range(4):
            self._send(_DACRANGE0 + k, _RANGE_2V5)
        self._send(_BRDCAST, _MIDDLE)
        self._send(_DACPWDWN, 0)
        self.check()
        _pack_some(self._frame, 0, 0)

    def check(self):
        """OSError: it does not hold what was written, as after a dip of its supply."""
        self._send(_SPICONFIG, _ACTIVE)
        if self._ask(_GENCONFIG) != _REFERENCE_ON:
            raise OSError("DAC81416 %s lost its settings: check its supply" % self._name)
        self._send(_SPICONFIG, _STREAMING)

    def write(self, levels, first, scale):
        """Set the outputs to levels[first:first + 16] * scale / 256 codes about 0 V."""
        span = _pack(self._frame, levels, first, scale)
        if span >= 0:
            self._stream(span & 15, span >> 4)

    def put(self, channel, code):
        """Set one output to a code about 0 V."""
        frame = self._frame
        code += _MIDDLE
        at = 1 + 2 * channel
        if frame[at] != code >> 8 or frame[at + 1] != code & 255:
            frame[at] = code >> 8
            frame[at + 1] = code & 255
            self._stream(channel, channel)

    def put_some(self, mask, code):
        """Set the outputs of a mask to a code about 0 V, and all others to 0 V."""
        span = _pack_some(self._frame, mask, code)
        if span >= 0:
            self._stream(span & 15, span >> 4)

    def zero(self):
        """Set all outputs to 0 V, in one short frame."""
        if _pack_some(self._frame, 0, 0) >= 0:
            self._send(_BRDCAST, _MIDDLE)

    def _stream(self, low, high):
        """Section 8.5.1.1: the first register's address, then the codes from low to high."""
        frame = self._frame
        at = 2 * low
        kept = frame[at]
        frame[at] = _DAC0 + low
        self._select.off()
        self._spi.write(self._view[at : 2 * high + 3])
        self._select.on()
        frame[at] = kept

    def _send(self, register, value):
        self._select.off()
        self._spi.write(bytes((register, value >> 8, value & 255)))
        self._select.on()

    def _ask(self, register):
        self._send(_READ | register, 0)
        said = bytearray(3)
        self._select.off()
        self._spi.write_readinto(bytes(3), said)
        self._select.on()
        return said[1] << 8 | said[2] if said[0] == _READ | register else 0


@micropython.viper
def _pack(frame: ptr8, levels: ptr16, first: int, scale: int) -> int:
    """Put codes into frame[1:]; the first and last channel that changed, low | high << 4, or −1."""
    low = 16
    high = 0
    for k in range(16):
        level = int(levels[first + k])
        level -= (level & 0x8000) << 1
        code = 0x8000 + (level * scale >> 8)
        at = 1 + 2 * k
        if int(frame[at]) << 8 | int(frame[at + 1]) != code:
            frame[at] = code >> 8
            frame[at + 1] = code
            if low > k:
                low = k
            high = k
    if low == 16:
        return -1
    return low | high << 4


@micropython.viper
def _pack_some(frame: ptr8, mask: int, code: int) -> int:
    """As _pack, of one code for the channels of a mask and 0 for the others."""
    low = 16
    high = 0
    for k in range(16):
        now = 0x8000
        if mask >> k & 1:
            now += code
        at = 1 + 2 * k
        if int(frame[at]) << 8 | int(frame[at + 1]) != now:
            frame[at] = now >> 8
            frame[at + 1] = now
            if low > k:
                low = k
            high = k
    if low == 16:
        return -1
    return low | high << 4
