"""The emulated front end: a crossbar of differential pairs, in integers.

A front end has these methods, and the learner knows no others:

    begin(stream, index)          start the noise of one sample
    forward(k, s, out)            drive the word lines of weight layer k, sense the bit lines
    transposed(k, s, out)         drive the bit lines, sense the word lines
    pulse(k, due, count, pulses)  raise or lower `count` couplings by `pulses` pulses each
    stuck_count()                 how many devices can't change
    start(rng, stream, index)     start a generator of the learner's own
    add_stuck(share)              have more devices stuck
    refresh(k)                    bring `devices` of weight layer k up to date

`s` holds all activities, `out` receives readings as kernels.OFFSET + u, 32 bits each. `due` lists
couplings as `change` of kernels_viper.py does.
"""

import struct

from . import kernels
from .kernels_select import convert, forward_sums, transposed_sums

STREAM_LEARN = 2
STREAM_PULSE = 4
STREAM_PREDICT = 5


class Crossbar:
    """docs/reference/arithmetic.md, "Devices" and "Reading the array".

    Attributes:
        devices: conductances, a byte each: of every weight layer, unit by unit, those of P of each
            word line and of the bias, then those of N.
        bases: of each weight layer, where its devices begin.
        reads_forward, reads_transposed: of each weight layer, what a read needs: devices, record,
            generator of the noise. With other devices in their place, they are reads of a copy.
    """

    exact = True  # `devices` is the array itself

    def __init__(self, sizes, config, layers, adc_bits, seed):
        """Draw the devices.

        Args:
            sizes: units of each layer, input first.
            config: step, nl_set, nl_reset, c2c, d_step, d_top, stuck and init of CONFIGURE.
            layers: of each weight layer gain, gain_shift, and ranges and noises of both reads.
            adc_bits: of the converters.
            seed: of all draws.
        """
        self.devices = bytearray(sum(2 * (m + 1) * n for m, n in zip(sizes, sizes[1:])))
        self._read_rng = bytearray(4)
        self._pulse_rng = bytearray(4)
        self._traits = bytearray(4 * kernels.TRAIT_WORDS)
        self._device = kernels.device_words(seed, *config)
        self.bases = []
        self.reads_forward = []
        self.reads_transposed = []
        base = units = 0
        for k in range(len(sizes) - 1):
            m, n = sizes[k], sizes[k + 1]
            gain, shift, range_f, range_t, noise_f, noise_t = layers[k][:6]
            self.bases.append(base)
            half = 1 << (adc_bits - 1)
            for reads, driven, sensed, full, noise in (
                (self.reads_forward, units, n, range_f, noise_f),
                (self.reads_transposed, units + m, m, range_t, noise_t),
            ):
                record = struct.pack(
                    "<10I", base, m, n, driven, sensed, gain, shift,
                    full - adc_bits + 1, noise, half,
                )  # fmt: skip
                reads.append((self.devices, record, self._read_rng))
            base += 2 * (m + 1) * n
            units += m
        self._lines = sizes
        self.put_devices(True)

    def add_stuck(self, share):
        """Have more devices stuck from now on: all whose draw was below `share`, 0 to 65535.

        ValueError: it is lower than before.
        """
        if share < struct.unpack_from("<I", self._device, 4 * kernels.STUCK_SHARE)[0]:
            raise ValueError("a share of stuck devices can only rise")
        struct.pack_into("<I", self._device, 4 * kernels.STUCK_SHARE, share)
        self.put_devices(False)

    def put_devices(self, fresh):
        """Set stuck devices to where they stay and, if `fresh`, the others to where they begin."""
        traits = self._traits
        self._stuck = 0
        for number in range(len(self.devices)):
            kernels.seed(traits, self._device, kernels.STREAM_DEVICE, number)
            kernels.traits(traits, self._device)
            stuck = traits[4 * kernels.STUCK]
            if stuck or fresh:
                self.devices[number] = traits[4 * kernels.FIRST]
            if stuck:
                self._stuck += 1

    def begin(self, stream, index):
        kernels.seed(self._read_rng, self._device, stream, index)
        if stream == STREAM_LEARN:
            kernels.seed(self._pulse_rng, self._device, STREAM_PULSE, index)

    def stuck_count(self):
        return self._stuck

    def refresh(self, k):
        pass

    def start(self, rng, stream, index):
        kernels.seed(rng, self._device, stream, index)

    def forward(self, k, s, out):
        devices, record, rng = self.reads_forward[k]
        forward_sums(devices, s, out, record)
        convert(out, record, rng)

    def transposed(self, k, s, out):
        devices, record, rng = self.reads_transposed[k]
        transposed_sums(devices, s, out, record)
        convert(out, record, rng)

    def pulse(self, k, due, count, pulses):
        kernels.pulse_pairs(
            self.devices, self._pulse_rng, due, count, pulses, self.bases[k],
            self._lines[k] + 1, self._traits, self._device,
        )  # fmt: skip
