"""Train the digits on devices that relax, let days pass, and learn on."""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from madem.data.registry import load_task
from madem.learn import train as learn
from madem_emulator import presets
from madem_emulator.physical.learner import PhysicalTwin

NETWORKS = 8
"""Each on devices of its own."""
DAYS = np.array([1, 2, 4, 7, 14])
AGAIN = 200
"""Samples that are learned after every wait."""

parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (1)")
parser.add_argument(
    "--out", type=Path, default=Path("madem-out"), help="folder of the picture (%(default)s)"
)
args = parser.parse_args()

args.out.mkdir(parents=True, exist_ok=True)
task = load_task("digits", seed=args.seed)
plan = learn.recipe(task, weight_bits=6, epochs=4)


def teach(twin: PhysicalTwin, first: int, last: int, samples: int | None = None) -> None:
    for k in range(first, last):
        batch, (rate, pulses_per_update) = (
            task.train_pass(k),
            plan.schedule(min(k, plan.epochs - 1)),
        )
        for x, target in zip(batch.x[:samples], batch.target[:samples], strict=True):
            twin.learn(rate, x, target, pulses_per_update)


def accuracy(twin: PhysicalTwin) -> float:
    found = twin.predict_many(task.x_test)[-1].argmax(axis=-1)
    return float((found == task.y_test).mean())


device = presets.HFOX_NEURRAM_2022
left, taught = (
    PhysicalTwin(plan.settings.integers(), device, range(args.seed, args.seed + NETWORKS))
    for _ in range(2)
)
curves: dict[str, list[float]] = {"left alone": [], f"{AGAIN} samples after each wait": []}
for again, (twin, curve) in enumerate(zip((left, taught), curves.values(), strict=True)):
    teach(twin, 0, plan.epochs)
    curve.append(accuracy(twin))
    for k, wait in enumerate(np.diff(DAYS, prepend=0)):
        twin.wait(86400.0 * wait)
        if again:
            teach(twin, plan.epochs + k, plan.epochs + k + 1, AGAIN)
        curve.append(accuracy(twin))

figure = Figure(figsize=(6, 4), layout="constrained")
axes = figure.subplots()
for name, curve in curves.items():
    print(f"{name}: " + " ".join(f"{100 * value:.1f}" for value in curve), "% of the test set")
    axes.plot([0, *DAYS], 100 * np.array(curve), marker="o", label=name)
axes.set(
    xlabel="days since training",
    ylabel="test accuracy (%)",
    title=f"digits on {device.name}, mean of {NETWORKS}",
)
axes.legend()
figure.savefig(args.out / "train-under-drift.png", dpi=120)
print(f"saved {args.out / 'train-under-drift.png'}")
