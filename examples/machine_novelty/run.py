"""A board on a motor learns how it usually shakes, without labels, and says when it does not."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from madem.boards.link_protocol import Flag, Mode
from madem.boards.open import open_board
from madem.data.files.recording import Header, Recorder
from madem.learners.board import connect
from madem.stream import novelty, sensors
from madem.stream.onboard import Live
from madem_emulator.twin.pipeline import parse

RATE = 500.0
DUTIES = ((12.0, 0.2), (25.0, 1.0), (25.0, 2.0), (33.0, 0.5))
"""Turns a second and load: the motor goes through them, again and again."""
DUTY_S = 1.0
FAULTS = ("unbalanced", "worn bearing")
STORY = (("usual", 46.0), (FAULTS[0], 4.0), ("usual", 6.0), (FAULTS[1], 4.0), ("usual", 10.0))
"""What the motor does, and for how many seconds."""
LEARN_S = 40.0
WATCH_S = 22.0
MEAN = 16

parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
parser.add_argument("--board", help="a port (an emulated board whose sensor plays recordings)")
parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (1)")
parser.add_argument(
    "--out",
    type=Path,
    default=Path("madem-out/machine_novelty"),
    help="folder of the picture (%(default)s)",
)
args = parser.parse_args()

args.out.mkdir(parents=True, exist_ok=True)
sensor = sensors.parse(f"mpu6050:rate={RATE:g},labels=10+11")
# The pins only tell the picture what was wrong: nothing is learned from them.
pipeline = parse("window=64 hop=16 | energy bands:8 | norm:10", len(sensor.channels))


def shaking() -> Iterator[tuple[NDArray[np.int16], str]]:
    """Counts (6,) of accelerometer and gyroscope on a motor's housing, and what it does."""
    rng = np.random.default_rng(args.seed)
    wander = shaft = 0.0
    duties = cycle(np.repeat(DUTIES, round(DUTY_S * RATE), axis=0))
    for what, seconds in STORY:
        for _ in range(round(seconds * RATE)):
            turns, load = next(duties)
            wander = 0.999 * wander + 0.0001 * rng.standard_normal()
            shaft += 2 * np.pi * turns * (1 + wander) / RATE
            heavy = 900 * (turns / 25) ** 2 * (4.0 if what == "unbalanced" else 1.0)
            turn = heavy * np.array([np.cos(shaft), np.sin(shaft), 0.2])
            gears = 700 * load * np.array([0.5, 0.3, 1.0]) * np.sin(7 * shaft)
            # A worn bearing is struck 3.6 times a turn, and rings.
            since = (3.6 * shaft / (2 * np.pi)) % 1
            ring = 3000 * np.exp(-8 * since) * np.sin(30 * since) * (what == "worn bearing")
            acceleration = turn + gears + ring * np.array([0.3, 1.0, 0.6])
            rotation = 0.1 * np.roll(turn, 1) + 60 * load * np.sin(2 * shaft)
            both = np.concatenate([acceleration, rotation]) + 60 * rng.standard_normal(6)
            yield np.clip(both, -32768, 32767).astype(np.int16), what


path = args.out / "motor.csv"
path.unlink(missing_ok=True)
header = Header(sensor.channels, RATE, sensor.units, sensor.units_per_count)
with Recorder(path, header) as recorder:
    for k, (row, what) in enumerate(shaking()):
        recorder.add(round(1e6 * k / RATE), row.tolist(), what if what in FAULTS else "")

plan = novelty.recipe(pipeline, seed=args.seed)
with open_board(args.board or f"unix:sensor=mpu6050+{path}") as board:
    device = connect(board)
    live = Live(device, sensor, pipeline)
    live.prepare()
    device.configure(plan.settings.integers())
    live.start(Mode.LEARN, rate=plan.settings.rate(), flags=Flag.FOLLOW | Flag.OWN)
    learned = list(live.windows(LEARN_S))
    live.stop()
    live.start(Mode.PREDICT, flags=Flag.OWN)  # what is usual stays as it is now
    watched = list(live.windows(WATCH_S))
    status = live.stop()

begin = learned[-1].t_s or 0.0
windows = learned + [replace(w, t_s=begin + (w.t_s or 0.0)) for w in watched]
at = np.array([w.t_s for w in windows])
scores = np.array([w.score for w in windows])
# Half a second of windows together, and no more of it than ever in the later half of learning.
mean = np.convolve(scores, np.full(MEAN, 1 / MEAN))[: len(scores)]
limit = mean[len(learned) // 2 : len(learned)].max()
new = mean > limit
new[: len(learned)] = False
truth = np.array([FAULTS[w.label] if w.label is not None else "usual" for w in windows])
print(f"{len(learned)} windows learned, {len(watched)} watched; {status.lost} samples lost")
figure = Figure(figsize=(9, 3.2), layout="constrained")
axes = figure.subplots()
for what in ("usual", *FAULTS):
    here = (truth == what) & (at > begin)
    print(f"{what}: {new[here].sum()} of {here.sum()} windows called new")
    if what in FAULTS:
        axes.axvspan(*at[here][[0, -1]], alpha=0.2, color="tab:orange")
        axes.annotate(
            what, (at[here].mean(), 1.02), xycoords=("data", "axes fraction"), ha="center"
        )
axes.axvline(begin, color="k", linewidth=0.8)
axes.annotate(" learned until here", (begin, 0.9), xycoords=("data", "axes fraction"))
axes.axhline(limit, color="k", linewidth=0.8, linestyle=":")
axes.plot(at[MEAN:], mean[MEAN:])
axes.plot(at[new], mean[new], "r.", label="called new")
axes.set(xlabel="seconds", ylabel="novelty score", ylim=(0, None))
axes.legend(loc="upper left")
figure.savefig(args.out / "machine.png", dpi=110)
print(f"saved {args.out / 'machine.png'}")
