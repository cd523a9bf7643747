"""Learn the digits on an emulated board, test them, and read the weights out."""

import argparse

import numpy as np

from madem.boards.open import open_board
from madem.data.registry import load_task
from madem.learn import session, train
from madem.learners.board import connect

parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
parser.add_argument("--board", default="unix", help="or a port such as /dev/ttyACM0 (unix)")
parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (1)")
args = parser.parse_args()

task = load_task("digits", seed=args.seed)
plan = train.recipe(task, hidden=(32,), epochs=5, seed=args.seed)

with open_board(args.board) as board:
    device = connect(board)
    device.configure(plan.settings.integers())
    result = train.train(device, task, plan)
    accuracy = train.evaluate(device, task)["accuracy"]
    first, second = session.weights(device.state())

print("accuracy before each sample was learned, by pass:", np.round(result.train_curve, 3))
print(f"on the test set: {accuracy:.3f}")
print(f"couplings {first.shape} and {second.shape}, from {first.min()} to {first.max()} of ±255")
