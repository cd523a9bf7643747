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
_POWER_UP = const(0x7F00)  # of GENCONFIG
_REFERENCE_ON = const(0x3F00)
_RANGE_2V5 = const(0xEEEE)  # ±2.5 V
_MIDDLE = const(0x8000)
_ID = const(0x29C)
_TRIES = const(3)


class DAC81416:
    """Sixteen outputs of ±2.5 V about ground, 76.3 µV a code; only what changes is sent.

    A frame is answered by the one before it, whose read/write bit may come back either way: so
    what was sent is known to have arrived once the next frame has gone out. In a stream SDO is off.
    The last frame asks for GENCONFIG, with the right value in the bits that then don't matter: a
    bit that flips in it can't change anything.

    Attributes:
        repeated: frames, or all that the chip holds, that were sent again.
    """

    def __init__(self, spi, select, name):
        self._spi = spi
        self._select = select  # pin, active low
        self._name = name
        # Of a stream: room for the address, then the codes that the chip should hold.
        self._frame = bytearray(33)
        self._view = memoryview(self._frame)
        self._last = bytearray(3)  # frame that the next answer should tell
        self._next = bytearray(3)
        self._said = bytearray(3)
        self._streaming = False
        self.repeated = 0

    def begin(self):
        """Reset it, check which chip it is, and set all outputs to 0 V."""
        _pack_some(self._frame, 0, 0)
        said = self._said
        for _ in range(_TRIES):
            if self._renewed():
                # The answer to the last question, and its own.
                self._tell(_READ | _DEVICEID, 0)
                self._tell(_READ | _GENCONFIG, _REFERENCE_ON)
                if (said[1] << 8 | said[2]) >> 2 == _ID:
                    return
            self.repeated += 1
        raise OSError("DAC81416 %s does not answer, or is another chip" % self._name)

    def check(self):
        """OSError: it was reset, as by a dip of its supply, or does not answer."""
        if not self._asked():
            self._restore()

    def renew(self):
        """Write everything anew, as an output is wrong. OSError: as of check, or it fails."""
        self._asked()
        self._restore()

    def write(self, levels, first, scale):
        """Set the outputs to levels[first:first + 16] * scale / 256 codes about 0 V.

        False: they are there already.
        """
        span = _pack(self._frame, levels, first, scale)
        if span >= 0:
            self._stream(span & 15, span >> 4)
        return span >= 0

    def fill(self, code):
        """Set all outputs to a code about 0 V."""
        if _pack_some(self._frame, 0xFFFF, code):
            self._stream(0, 15)

    def zero(self):
        """Set all outputs to 0 V, in one short frame."""
        if _pack_some(self._frame, 0, 0):
            self._send(_BRDCAST, _MIDDLE)

    def put_some(self, mask, code):
        """Set the outputs of a mask to a code about 0 V and all others to 0 V, surely.

        OSError: it was reset, does not answer, or bits flip again and again.
        """
        changed = _pack_some(self._frame, mask, code)
        if (changed or mask) and not self._sent(changed):
            self.renew()

    def differs(self, codes, first):
        """Find the first output that an ADC does not find where it should be, or −1.

        The ADC, of 153 µV a code, counts down: codes[first:first + 16].
        """
        return _differs(self._frame, codes, first)

    def _stream(self, low, high):
        """Section 8.5.1.1: the first register's address, then the codes from low to high."""
        if not self._streaming:
            self._send(_SPICONFIG, _STREAMING)
            self._streaming = True
        frame = self._frame
        at = 2 * low
        kept = frame[at]
        frame[at] = _DAC0 + low
        self._select.off()
        self._spi.write(self._view[at : 2 * high + 3])
        self._select.on()
        frame[at] = kept

    def _sent(self, changed):
        """Send the outputs of a mask, a frame each; whether the chip has them and was not reset."""
        frame = self._frame
        told = self._streaming  # a frame is out whose answer has not come
        right = True
        if told:
            self._send(_SPICONFIG, _ACTIVE)
            self._streaming = False
        for channel in range(16):
            if changed >> channel & 1:
                at = 1 + 2 * channel
                code = frame[at] << 8 | frame[at + 1]
                if told:
                    right = self._tell(_DAC0 + channel, code) and right
                else:
                    self._send(_DAC0 + channel, code)
                    told = True
        if told:
            right = self._tell(_READ | _GENCONFIG, _REFERENCE_ON) and right
        else:
            self._send(_READ | _GENCONFIG, _REFERENCE_ON)
        return self._tell(_READ | _GENCONFIG, _REFERENCE_ON) and right

    def _asked(self):
        """Whether its settings are those that were written."""
        said = self._said
        for _ in range(_TRIES):
            if self._streaming:
                self._send(_SPICONFIG, _ACTIVE)
            self._send(_READ | _GENCONFIG, _REFERENCE_ON)
            if self._tell(_READ | _GENCONFIG, _REFERENCE_ON):
                self._streaming = False
                return True
            self.repeated += 1
        if said[1] << 8 | said[2] == _POWER_UP:
            raise OSError("DAC81416 %s lost its settings: a supply dip?" % self._name)
        return False

    def _restore(self):
        for _ in range(_TRIES):
            self.repeated += 1
            if self._renewed():
                return
        said = self._said
        if said[0] & said[1] & said[2] == 0xFF:
            raise OSError("DAC81416 %s does not answer" % self._name)
        raise OSError("bit errors on the way to DAC81416 %s" % self._name)

    def _renewed(self):
        """Reset it and write all settings and codes; whether all arrived."""
        self._streaming = False
        self._send(_TRIGGER, _SOFT_RESET)
        self._send(_READ | _GENCONFIG, _POWER_UP)
        right = self._tell(_SPICONFIG, _ACTIVE)
        right = self._tell(_GENCONFIG, _REFERENCE_ON) and right
        for k in range(4):
            right = self._tell(_DACRANGE0 + k, _RANGE_2V5) and right
        right = self._tell(_BRDCAST, _MIDDLE) and right
        frame = self._frame
        for at in range(1, 33, 2):
            code = frame[at] << 8 | frame[at + 1]
            if code != _MIDDLE:
                right = self._tell(_DAC0 + (at >> 1), code) and right
        # The outputs come on last.
        right = self._tell(_DACPWDWN, 0) and right
        right = self._tell(_READ | _GENCONFIG, _REFERENCE_ON) and right
        return self._tell(_READ | _GENCONFIG, _REFERENCE_ON) and right

    def _send(self, register, value):
        """Send a frame whose answer is of no interest."""
        last = self._last
        last[0] = register
        last[1] = value >> 8
        last[2] = value & 255
        self._select.off()
        self._spi.write(last)
        self._select.on()

    def _tell(self, register, value):
        """Send a frame; whether the chip got the one before, or has what it asked for."""
        new, last, said = self._next, self._last, self._said
        new[0] = register
        new[1] = value >> 8
        new[2] = value & 255
        self._select.off()
        self._spi.write_readinto(new, said)
        self._select.on()
        self._next, self._last = last, new
        return said[1] == last[1] and said[2] == last[2] and (said[0] ^ last[0]) & 0x7F == 0


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
    """As _pack, of one code for the channels of a mask and 0 for the others; which changed."""
    changed = 0
    for k in range(16):
        now = 0x8000
        if mask >> k & 1:
            now += code
        at = 1 + 2 * k
        if int(frame[at]) << 8 | int(frame[at + 1]) != now:
            frame[at] = now >> 8
            frame[at + 1] = now
            changed |= 1 << k
    return changed


@micropython.viper
def _differs(frame: ptr8, codes: ptr16, first: int) -> int:
    for k in range(16):
        code = int(codes[first + k])
        code -= (code & 0x8000) << 1
        wanted = ((int(frame[1 + 2 * k]) << 8 | int(frame[2 + 2 * k])) - 0x8000) >> 1
        off = wanted + code
        if off < 0:
            off = 0 - off
        if wanted < 0:
            wanted = 0 - wanted
        # 5 mV, and a few percent of what resistors and references make of it.
        if off > 32 + (wanted >> 5):
            return k
    return -1
