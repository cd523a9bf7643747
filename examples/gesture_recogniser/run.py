"""A wrist-worn board learns gestures from its own motion sensor, then tells them alone."""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from madem.boards.link_protocol import Flag, Mode
from madem.boards.open import open_board
from madem.data import motions
from madem.data.files.recording import Header, Recorder
from madem.learners.board import BoardLearner, connect
from madem.stream import onboard_run, sensors
from madem.stream.onboard import Live
from madem.stream.windows import RunningAccuracy, WindowResult
from madem_emulator.twin.pipeline import parse

RATE = 250.0
"""Samples a second: the recordings, which were taken at 10, pass 25 times as fast."""
LEARN_S, TEST_S = 48.0, 16.0
"""Three passes over the training recordings, one over those for the test."""

parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
parser.add_argument("--board", help="a port (an emulated board whose sensor plays recordings)")
parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (1)")
parser.add_argument(
    "--out",
    type=Path,
    default=Path("madem-out/gesture_recogniser"),
    help="folder of the picture (%(default)s)",
)
args = parser.parse_args()

args.out.mkdir(parents=True, exist_ok=True)
task = motions.load(args.seed)
names = task.class_names
# The pins show the number of the gesture that the person who teaches has chosen.
sensor = sensors.parse(f"mpu6050:rate={RATE:g},accel=8,gyro=2000,labels=10+11+12")
pipeline = parse(motions.PIPELINE, len(sensor.channels))


def wear(path: Path, segments: Iterable[int]) -> str:
    """Write what the wrist does as a recording; the board whose sensor feels it."""
    header = Header(sensor.channels, RATE, sensor.units, sensor.units_per_count)
    path.unlink(missing_ok=True)
    with Recorder(path, header) as recorder:
        t = 0
        for k in segments:
            for row in task.segments[k].samples.tolist():
                recorder.add(round(1e6 * t / RATE), row, names[task.segments[k].label])
                t += 1
    return args.board or f"unix:sensor=mpu6050+{path}"


def follow(device: BoardLearner, mode: int, rate: int, seconds: float) -> list[WindowResult]:
    """Let the board work, and listen."""
    live.start(mode, rate=rate, flags=Flag.FOLLOW if mode == Mode.LEARN else 0)
    windows = list(live.windows(seconds))
    status = live.stop()
    print(f"{status.samples} samples, {status.lost} lost; {device.stats().steps} windows learned")
    return windows


settings = onboard_run.classifier(pipeline.inputs, len(names), seed=args.seed)
shuffled = np.random.default_rng(args.seed).permutation(task.training).tolist()
with open_board(wear(args.out / "taught.csv", shuffled)) as board:
    device = connect(board)
    live = Live(device, sensor, pipeline)
    feeder = live.prepare()
    device.configure(settings.integers())
    taught = follow(device, Mode.LEARN, settings.rate(), LEARN_S)
    learned = replace(device.state(), notes={})
    normalisation = feeder.normalisation()

with open_board(wear(args.out / "test.csv", range(task.training, len(task.segments)))) as board:
    device = connect(board)
    live = Live(device, sensor, pipeline)
    feeder = live.prepare()
    device.load(learned)
    feeder.set_normalisation(normalisation)
    tested = [w for w in follow(device, Mode.PREDICT, 0, TEST_S) if w.right is not None]

accuracy = sum(bool(w.right) for w in tested) / len(tested)
print(f"other recordings: {100 * accuracy:.1f} % of {len(tested)} windows told right")

running = RunningAccuracy()
curve = [(w.t_s, running.add(w.right)) for w in taught if w.right is not None]
figure = Figure(figsize=(9, 4.5), layout="constrained")
above, below = figure.subplots(2, 1)
above.plot(*zip(*[(t, 100 * value) for t, value in curve], strict=True))
above.set(ylabel="told right before\nit is learned (%)", ylim=(0, 101), title="while it is taught")
at = [w.t_s for w in tested]
below.step(at, [w.label for w in tested], where="mid", label="what the wrist did", linewidth=3)
below.plot(at, [w.answer for w in tested], "k.", label="what the board said")
below.set(xlabel="seconds", yticks=range(len(names)), yticklabels=names)
below.set_title(f"afterwards, other recordings: {100 * accuracy:.1f} % right")
below.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, -0.3))
figure.savefig(args.out / "gestures.png", dpi=110)
print(f"saved {args.out / 'gestures.png'}")
