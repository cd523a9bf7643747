"""docs/reference/arithmetic.md in plain Python, to check the device's kernels against, on the
device.

Slow, obvious, and written from the page alone.
"""

# What the page calls the configuration of the devices, default settings.
DEVICE = {
    "step": 213, "nl_set": 0, "nl_reset": 0, "c2c": 44, "d_step": 44, "d_top": 35,
    "stuck": 0, "init": 48,
}  # fmt: skip


def equal(got, expected, what=""):
    """Fail with both values."""
    assert got == expected, "%s: got %r, expected %r" % (what, got, expected)


def clamp(value, low, high):
    return max(low, min(high, value))


class Generator:
    """One generator of the page; `x` is its state."""

    def __init__(self, seed, stream, index):
        x = 0x1F123BB5
        for w in (seed & 0xFFFF, seed >> 16, stream, index & 0xFFFF, index >> 16, 0, 0, 0):
            x = self._step(x ^ w ^ (x >> 13))
        self.x = (x & 0x3FFFFFFF) + 1

    def _step(self, x):
        return 30903 * (x & 0xFFFF) + (x >> 16)

    def draw(self):
        self.x = self._step(self.x)
        return self.x & 0xFFFF

    def z(self):
        a = self.draw()
        b = self.draw()
        return (a & 255) + (a >> 8) + (b & 255) + (b >> 8) - 510


class Numbers:
    """Test data: any generator will do, but the same on every run."""

    def __init__(self, seed):
        self._source = Generator(seed, 0, 0)

    def below(self, n):
        return (self._source.draw() << 15 | self._source.draw() & 0x7FFF) % n

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def bytes(self, n):
        return bytearray(self.below(256) for _ in range(n))


def traits(device, seed, number):
    """(set_factor, reset_factor, top, stuck, first g); stuck: 0 no, 1 at 0, 2 at the top."""
    source = Generator(seed, 1, number)
    z1 = source.z()
    z2 = source.z()
    z3 = source.z()
    d = source.draw()
    z4 = source.z()
    top = clamp(200 + ((z3 * device["d_top"]) >> 8), 50, 255)
    stuck = 0
    first = clamp(100 + ((z4 * device["init"]) >> 8), 0, top)
    if d < device["stuck"]:
        stuck = 1 + (d & 1)
        first = top if d & 1 else 0
    return (
        clamp(256 + ((z1 * device["d_step"]) >> 8), 51, 511),
        clamp(256 + ((z2 * device["d_step"]) >> 8), 51, 511),
        top,
        stuck,
        first,
    )


def pulse(device, found, g, up, source):
    """Conductance after one pulse on a device with these traits."""
    set_factor, reset_factor, top, stuck, _ = found
    z = source.z()
    r = source.draw()
    if stuck:
        return g
    if up:
        bend = clamp(256 + ((device["nl_set"] * (100 - g)) >> 6), 26, 511)
        d = (device["step"] * set_factor) >> 4
    else:
        bend = clamp(256 + ((device["nl_reset"] * (g - 100)) >> 6), 26, 511)
        d = (device["step"] * reset_factor) >> 4
    d = (d * bend) >> 8
    d = (d * (256 + ((z * device["c2c"]) >> 8))) >> 8
    d = (d + (r & 255)) >> 8
    return clamp(g + d if up else g - d, 0, top)


def pair_of(g, base, m, i, j):
    """P - N of the coupling between word line j (m: the bias line) and bit line i."""
    at = base + 2 * (m + 1) * i + j
    return g[at] - g[at + m + 1]


def sums(g, base, m, n, s, transposed):
    """The page's acc of every sensed line; s: activities of the driven layer alone."""
    if transposed:
        return [sum(pair_of(g, base, m, i, j) * s[i] for i in range(n)) for j in range(m)]
    return [
        sum(pair_of(g, base, m, i, j) * s[j] for j in range(m)) + 255 * pair_of(g, base, m, i, m)
        for i in range(n)
    ]


def convert(acc, gain, q, f, bits, nz, source):
    """Sense amplifier, read noise and ADC."""
    h = f - (bits - 1)
    v = (acc * gain + (1 << (q - 1))) >> q
    if nz:
        v += (source.z() * nz) >> 8
    v = (v + ((1 << h) >> 1)) >> h
    return clamp(v, -(1 << (bits - 1)), (1 << (bits - 1)) - 1) << h


def activity(u, mask=255):
    return clamp((u * 255 + 512) >> 10, 0, 255) & mask


def compete(drives, cap, mask=255):
    """Activities of a layer whose units share an inhibition."""
    inhibition = -4096
    step = 4096
    while step:
        if sum(activity(u - inhibition - step, mask) for u in drives) > cap:
            inhibition += step
        step >>= 1
    inhibition += 1
    return [activity(u - inhibition, mask) for u in drives]


def change(a, b, c, lower, m, upper, n, rate, source):
    """Change the accumulators c in place; returns the pulses as (bit line, word line, up).

    a, b: activities of all units of the two conditions; the layers' begin at lower and upper.
    """
    pulses = []
    for i in range(n):
        a_i, b_i = a[upper + i], b[upper + i]
        if lower == 0 and a_i == b_i:
            continue
        r = source.draw() << 4
        for j in range(m + 1):
            a_j = a[lower + j] if j < m else 255
            b_j = b[lower + j] if j < m else 255
            at = (m + 1) * i + j
            v = clamp(c[at] - 128 + (((a_i * a_j - b_i * b_j) * rate + r) >> 20), -127, 127)
            if v >= 64:
                v -= 64
                pulses.append((i, j, 1))
            elif v <= -64:
                v += 64
                pulses.append((i, j, 0))
            c[at] = v + 128
    return pulses
