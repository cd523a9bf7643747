"""docs/reference/arithmetic.md once more, one integer at a time.

Slow and obvious on purpose: the second opinion that the twin is tested against. It shares no code
with the twin, uses no arrays, and insists that every intermediate value fits 32 bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from madem_emulator.twin.config import Config, LayerConfig

DEVICE, LEARN, UPDATE, PULSE, PREDICT = 1, 2, 3, 4, 5


def int32(value: int) -> int:
    assert -(2**31) <= value < 2**31, f"{value} does not fit a signed 32-bit word"
    return value


def clamp(value: int, low: int, high: int) -> int:
    return low if value < low else high if value > high else value


class Generator:
    """One generator."""

    def __init__(self, seed: int, stream: int, index: int) -> None:
        x = 0x1F123BB5
        for w in (seed & 0xFFFF, seed >> 16, stream, index & 0xFFFF, index >> 16, 0, 0, 0):
            x = self.step(x ^ w ^ (x >> 13))
        self.x = (x & 0x3FFFFFFF) + 1
        self.taken = 0

    @staticmethod
    def step(x: int) -> int:
        return int32(30903 * (x & 0xFFFF) + (x >> 16))

    def draw(self) -> int:
        self.x = self.step(self.x)
        self.taken += 1
        return self.x & 0xFFFF

    def z(self) -> int:
        a = self.draw()
        b = self.draw()
        return (a & 255) + (a >> 8) + (b & 255) + (b >> 8) - 510


class Device:
    """One memristor."""

    def __init__(self, config: Config, seed: int, number: int) -> None:
        self.config = config
        source = Generator(seed, DEVICE, number)
        z1, z2, z3 = source.z(), source.z(), source.z()
        d = source.draw()
        z4 = source.z()
        self.set_factor = clamp(256 + (int32(z1 * config.d_step) >> 8), 51, 511)
        self.reset_factor = clamp(256 + (int32(z2 * config.d_step) >> 8), 51, 511)
        self.top = clamp(200 + (int32(z3 * config.d_top) >> 8), 50, 255)
        self.lot = d
        self.stuck = False
        self.g = clamp(100 + (int32(z4 * config.init) >> 8), 0, self.top)
        self.add_stuck(config.stuck)

    def add_stuck(self, stuck: int) -> None:
        self.stuck = self.lot < stuck
        if self.stuck:
            self.g = self.top if self.lot & 1 else 0

    def pulse(self, is_set: bool, z: int, r: int) -> None:
        config, g = self.config, self.g
        if self.stuck:
            return
        if is_set:
            bend = clamp(256 + (int32(config.nl_set * (100 - g)) >> 6), 26, 511)
        else:
            bend = clamp(256 + (int32(config.nl_reset * (g - 100)) >> 6), 26, 511)
        factor = self.set_factor if is_set else self.reset_factor
        d = int32(config.step * factor) >> 4
        d = int32(d * bend) >> 8
        d = int32(d * (256 + (int32(z * config.c2c) >> 8))) >> 8
        d = int32(d + (r & 255)) >> 8
        self.g = clamp(g + d if is_set else g - d, 0, self.top)


class Layer:
    """One weight layer: rows of pairs and their accumulators."""

    def __init__(self, config: Config, seed: int, k: int) -> None:
        self.m, self.n = config.sizes[k - 1], config.sizes[k]
        earlier = sum(2 * config.sizes[i] * (config.sizes[i - 1] + 1) for i in range(1, k))
        self.devices = [
            Device(config, seed, earlier + offset) for offset in range(2 * (self.m + 1) * self.n)
        ]
        self.c = [128] * ((self.m + 1) * self.n)

    def p(self, i: int, j: int) -> Device:
        return self.devices[2 * (self.m + 1) * i + j]

    def n_(self, i: int, j: int) -> Device:
        return self.devices[2 * (self.m + 1) * i + (self.m + 1) + j]

    def weight(self, i: int, j: int) -> int:
        return self.p(i, j).g - self.n_(i, j).g

    def bytes(self) -> bytes:
        return bytes(device.g for device in self.devices) + bytes(self.c)


@dataclass
class Sample:
    """What one training sample did: activities of unit layers 1…L, and the digests."""

    free: list[list[int]]
    plus: list[list[int]]
    minus: list[list[int]]
    digests: tuple[int, int, int, int]
    wrong: int
    answer: int


class Board:
    """One board."""

    def __init__(self, config: Config, seed: int | None = None) -> None:
        self.config = config
        self.seed = config.seed if seed is None else seed
        self.last = len(config.sizes) - 1
        self.layers = {k: Layer(config, self.seed, k) for k in range(1, self.last + 1)}
        self.steps = 0
        self.pulses = 0
        self.flips: list[tuple[int, str, int, int, int]] = []

    # Reading the array

    def convert(self, acc: int, layer: LayerConfig, f: int, nz: int, noise: Generator) -> int:
        q = layer.gain_shift
        h = f - (self.config.adc_bits - 1)
        half_scale = 1 << (self.config.adc_bits - 1)
        v = int32(int32(acc * layer.gain) + (1 << (q - 1))) >> q
        if nz != 0:
            v = int32(v + (int32(noise.z() * nz) >> 8))
        v = int32(v + ((1 << h) >> 1)) >> h
        v = clamp(v, -half_scale, half_scale - 1)
        return int32(v << h)

    def forward(self, k: int, s: list[int], noise: Generator) -> list[int]:
        layer, config = self.layers[k], self.config.layers[k - 1]
        readings = []
        for i in range(layer.n):
            acc = 255 * layer.weight(i, layer.m)
            for j in range(layer.m):
                acc = int32(acc + layer.weight(i, j) * s[j])
            readings.append(
                self.convert(acc, config, config.range_forward, config.noise_forward, noise)
            )
        return readings

    def transposed(self, k: int, s: list[int], noise: Generator) -> list[int]:
        layer, config = self.layers[k], self.config.layers[k - 1]
        readings = []
        for j in range(layer.m):
            acc = 0
            for i in range(layer.n):
                acc = int32(acc + layer.weight(i, j) * s[i])
            readings.append(
                self.convert(acc, config, config.range_transposed, config.noise_transposed, noise)
            )
        return readings

    # Units and phases

    def activity(self, u: int) -> int:
        return clamp(int32(u * 255 + 512) >> 10, 0, 255) & self.config.dac_mask

    def compete(self, drives: list[int], cap: int) -> list[int]:
        """Activities of a layer with CAP > 0."""
        inhibition = -4096
        for st in (4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1):
            if int32(sum(self.activity(int32(u - inhibition - st)) for u in drives)) > cap:
                inhibition += st
        inhibition += 1
        return [self.activity(u - inhibition) for u in drives]

    def sweep(
        self,
        layers: list[int],
        s: list[list[int]],
        held: list[int],
        nudge: list[int],
        noise: Generator,
    ) -> None:
        for k in layers:
            forward = held if k == 1 else self.forward(k, s[k - 1], noise)
            back = [0] * self.config.sizes[k]
            if k < self.last:
                back = self.transposed(k + 1, s[k + 1], noise)
            pull = nudge if k == self.last else [0] * self.config.sizes[k]
            drives = [a + b + c for a, b, c in zip(forward, back, pull, strict=True)]
            cap = self.config.layers[k - 1].cap
            s[k] = self.compete(drives, cap) if cap else [self.activity(u) for u in drives]

    def free_phase(self, x: list[int], noise: Generator) -> tuple[list[int], list[list[int]]]:
        s = [[value & self.config.dac_mask for value in x]]
        s += [[0] * n for n in self.config.sizes[1:]]
        held = self.forward(1, s[0], noise)
        up = list(range(1, self.last + 1))
        for _ in range(self.config.t_free):
            self.sweep(up, s, held, [0] * self.config.sizes[-1], noise)
        return held, s

    def learn(self, rate: int, x: list[int], on: list[int], pulses_per_update: int = 1) -> Sample:
        """`on` is 0/1 for every output."""
        config = self.config
        noise = Generator(self.seed, LEARN, self.steps)
        held, free = self.free_phase(x, noise)
        for step, what, layer, index, bit in self.flips:
            if what == "state" and step == self.steps:
                free[layer][index] ^= 1 << bit
        y = free[self.last]
        t = [(config.t_hi if is_on else config.t_lo) & config.dac_mask for is_on in on]
        nudge = [int32(config.beta * (t[i] - y[i])) >> 4 for i in range(len(y))]

        plus = [list(layer) for layer in free]
        minus = [list(layer) for layer in free]
        if config.rule == 2:
            plus[self.last] = list(t)
        down = [self.last - i for i in range(self.last)]
        if config.rule == 2:
            down = down[1:]
        for _ in range(config.t_nudge):
            self.sweep(down, plus, held, nudge, noise)
        if config.rule == 0:
            for _ in range(config.t_nudge):
                self.sweep(down, minus, held, [-value for value in nudge], noise)

        self.change_weights(rate, pulses_per_update, plus, minus)
        for step, what, layer, index, bit in self.flips:
            if what == "weight" and step == self.steps:
                self.layers[layer].devices[index].g ^= 1 << bit
        self.steps += 1
        answers = self.on_or_off(y)
        return Sample(
            free[1:],
            plus[1:],
            minus[1:],
            (
                crc32(b"".join(bytes(layer) for layer in free[1:])),
                crc32(b"".join(bytes(layer) for layer in plus[1:])),
                crc32(b"".join(bytes(layer) for layer in minus[1:])),
                crc32(b"".join(self.layers[k].bytes() for k in self.layers)),
            ),
            wrong=sum(a != b for a, b in zip(answers, on, strict=True)),
            answer=self.winner(y),
        )

    def predict(self, x: list[int]) -> list[list[int]]:
        index = crc32(bytes(value & self.config.dac_mask for value in x)) & 0x3FFFFFFF
        return self.free_phase(x, Generator(self.seed, PREDICT, index))[1][1:]

    # Weight change

    def change_weights(
        self, rate: int, pulses_per_update: int, a: list[list[int]], b: list[list[int]]
    ) -> None:
        update = Generator(self.seed, UPDATE, self.steps)
        pulse = Generator(self.seed, PULSE, self.steps)
        for k, layer in self.layers.items():
            scale = self.config.layers[k - 1].scale
            for i in range(layer.n):
                if k == 1 and a[1][i] == b[1][i]:
                    continue
                r = update.draw() << 4
                for j in range(layer.m + 1):
                    a_j = a[k - 1][j] if j < layer.m else 255
                    b_j = b[k - 1][j] if j < layer.m else 255
                    d = a[k][i] * a_j - b[k][i] * b_j
                    at = (layer.m + 1) * i + j
                    c = layer.c[at] - 128 + (int32(int32(d * rate * scale) + r) >> 20)
                    c = clamp(c, -127, 127)
                    if c >= 64:
                        c -= 64
                        self.change_coupling(layer, i, j, True, pulses_per_update, pulse)
                    elif c <= -64:
                        c += 64
                        self.change_coupling(layer, i, j, False, pulses_per_update, pulse)
                    layer.c[at] = c + 128

    def change_coupling(
        self, layer: Layer, i: int, j: int, is_raise: bool, pulses_per_update: int, pulse: Generator
    ) -> None:
        self.pulses += pulses_per_update
        is_set = pulse.draw() & 1 == 1
        if is_raise:
            device = layer.p(i, j) if is_set else layer.n_(i, j)
        else:
            device = layer.n_(i, j) if is_set else layer.p(i, j)
        for _ in range(pulses_per_update):
            z = pulse.z()
            r = pulse.draw()
            device.pulse(is_set, z, r)

    # Answers

    def winner(self, y: list[int]) -> int:
        return y.index(max(y))

    def on_or_off(self, y: list[int]) -> list[int]:
        return [int(value >= (self.config.t_hi + self.config.t_lo + 1) >> 1) for value in y]


def crc32(data: bytes) -> int:
    """Bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def lehmer(x: int) -> Iterator[int]:
    """States after x of the generator in its other form."""
    while True:
        x = 30903 * x % (30903 * 2**16 - 1)
        yield x
