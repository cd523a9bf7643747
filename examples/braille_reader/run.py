"""A finger reads a worn page of Braille: the board learns nine words and reads them back."""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from madem.boards.open import open_board
from madem.data.braille import decode
from madem.data.registry import load_task
from madem.learn import recall, train
from madem.learners.board import connect

LINES, PER_LINE = 9, 4
WORN = 0.2
"""Probability that a dot of the page is flattened, or that dirt makes one."""
PAGE_SEED = 7

parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
parser.add_argument("--board", default="unix", help="or a port such as /dev/ttyACM0 (unix)")
parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (1)")
parser.add_argument(
    "--out",
    type=Path,
    default=Path("madem-out/braille_reader"),
    help="folder of the picture (%(default)s)",
)
args = parser.parse_args()

args.out.mkdir(parents=True, exist_ok=True)
task = load_task("braille", seed=args.seed)
plan = train.recipe(task, seed=args.seed)
patterns = task.patterns
assert patterns is not None

# The page: words in any order, each dot of them worn with this probability.
rng = np.random.default_rng(PAGE_SEED)
page = rng.integers(len(patterns), size=LINES * PER_LINE)
felt = patterns[page] ^ (rng.random((len(page), patterns.shape[1])) < WORN)

with open_board(args.board) as board:
    device = connect(board)
    device.configure(plan.settings.integers())
    result = train.train(device, task, plan)
    outputs = recall.recall(device, task, task.shown(felt))
    config = device.config
read = recall.read_dots(task, outputs, config.t_hi, config.t_lo)

print(
    f"{result.samples:,} worn words learned; the page, as the finger feels it, and as it is read:\n"
)
right = (read == patterns[page]).all(axis=1)
for line in range(LINES):
    words = range(line * PER_LINE, (line + 1) * PER_LINE)
    print(" ".join(decode(felt[k]) for k in words), "  ", " ".join(decode(read[k]) for k in words))
print(f"\n{right.sum()} of {len(page)} words without a wrong dot")


def dots(axes: Axes, rows: NDArray[np.uint8], title: str) -> None:
    """A page of words, each of ten cells with two columns of three dots."""
    x, y = [], []
    for k, row in enumerate(rows):
        for cell, dot in np.argwhere(row.reshape(10, 6)):
            x.append(34 * (k % PER_LINE) + 3 * cell + dot // 3)
            y.append(-5 * (k // PER_LINE) - dot % 3)
    axes.scatter(x, y, s=5, color="black")
    axes.set(title=title, aspect="equal")
    axes.axis("off")


figure = Figure(figsize=(9, 2.6), layout="constrained")
axes = figure.subplots(1, 2)
dots(axes[0], felt, f"felt: a dot in {1 / WORN:.0f} is wrong")
dots(axes[1], read, f"read: {right.sum()} of {len(page)} words right")
figure.savefig(args.out / "page.png", dpi=110)
print(f"saved {args.out / 'page.png'}")
