"""One weight layer that learns, for MicroPython 1.9 with 9 KB of heap:
docs/reference/arithmetic.md with L = 1, rule 0 and trains of one pulse, in plain Python.

Sent in the pieces between the lines `# ---`, with numbers for the names in capitals: a global
name would take memory.
"""
# ruff: noqa: F821
# pyright: reportUndefinedVariable=false

# ---
import gc


class Generator:
    def __init__(self, stream, index):
        x = 0x1F123BB5
        for w in (SEED & 65535, SEED >> 16, stream, index & 65535, index >> 16, 0, 0, 0):
            x ^= w ^ (x >> 13)
            x = 30903 * (x & 65535) + (x >> 16)
        self.x = (x & 0x3FFFFFFF) + 1

    def draw(self):
        x = self.x
        self.x = x = 30903 * (x & 65535) + (x >> 16)
        return x & 65535

    def z(self):
        a = self.draw()
        b = self.draw()
        return (a & 255) + (a >> 8) + (b & 255) + (b >> 8) - 510


# ---
def clamp(value, low, high):
    return low if value < low else high if value > high else value


g = bytearray(DEVICES)
top = bytearray(DEVICES)
up = bytearray(2 * DEVICES)
down = bytearray(2 * DEVICES)
stuck = bytearray(DEVICES)
c = bytearray(b"\x80" * (LINE * N))


# ---
def make(number):
    source = Generator(1, number)
    for table in (up, down):
        value = clamp(256 + (source.z() * D_STEP >> 8), 51, 511)
        table[2 * number] = value & 255
        table[2 * number + 1] = value >> 8
    top[number] = t = clamp(200 + (source.z() * D_TOP >> 8), 50, 255)
    lot = source.draw()
    g[number] = clamp(100 + (source.z() * INIT >> 8), 0, t)
    if lot < STUCK:
        stuck[number] = 1
        g[number] = t if lot & 1 else 0


for number in range(DEVICES):
    make(number)
del make


# ---
def pulse(number, is_set, z, r):
    if stuck[number]:
        return
    old = g[number]
    table = up if is_set else down
    bend = NL_SET * (100 - old) if is_set else NL_RESET * (old - 100)
    d = STEP * (table[2 * number] + 256 * table[2 * number + 1]) >> 4
    d = d * clamp(256 + (bend >> 6), 26, 511) >> 8
    d = d * (256 + (z * C2C >> 8)) >> 8
    d = d + (r & 255) >> 8
    g[number] = clamp(old + d if is_set else old - d, 0, top[number])


# ---
def read(x, noise):
    held = []
    shift = F - (ADC_BITS - 1)
    half = 1 << (ADC_BITS - 1)
    for i in range(N):
        at = 2 * LINE * i
        acc = 255 * (g[at + M] - g[at + LINE + M])
        for j in range(M):
            acc += (g[at + j] - g[at + LINE + j]) * x[j]
        v = acc * GAIN + (1 << (SHIFT - 1)) >> SHIFT
        if NOISE:
            v += noise.z() * NOISE >> 8
        held.append(clamp(v + ((1 << shift) >> 1) >> shift, -half, half - 1) << shift)
    return held


def active(drives):
    return [clamp(u * 255 + 512 >> 10, 0, 255) & DAC_MASK for u in drives]


# ---
def change(i, j, is_raise, source):
    is_set = source.draw() & 1
    negative = not is_set if is_raise else is_set
    z = source.z()
    pulse(2 * LINE * i + (LINE if negative else 0) + j, is_set, z, source.draw())


def change_all(step, x, a, b):
    update = Generator(3, step)
    source = Generator(4, step)
    for i in range(N):
        if a[i] == b[i]:
            continue
        r = update.draw() << 4
        for j in range(LINE):
            at = LINE * i + j
            d = (a[i] - b[i]) * (x[j] if j < M else 255)
            value = clamp(c[at] - 128 + (d * RATE * SCALE + r >> 20), -127, 127)
            if value >= 64:
                value -= 64
                change(i, j, True, source)
            elif value <= -64:
                value += 64
                change(i, j, False, source)
            c[at] = value + 128


# ---
def learn(step, x, label):
    x = [value & DAC_MASK for value in x]
    held = read(x, Generator(2, step))
    free = active(held)
    a = []
    b = []
    for i in range(N):
        nudge = BETA * (((T_HIGH if i == label else T_LOW) & DAC_MASK) - free[i]) >> 4
        a.append(held[i] + nudge)
        b.append(held[i] - nudge)
    a = active(a)
    b = active(b)
    change_all(step, x, a, b)
    print(free, a, b)
    gc.collect()


def predict(index, x):
    print(active(read([value & DAC_MASK for value in x], Generator(5, index))))
