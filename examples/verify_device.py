"""Run a device and its twin in lock step, then let the device make a mistake."""

import argparse

from madem.boards.open import open_board
from madem.data.registry import load_task
from madem.learn import train
from madem.learners.board import connect
from madem.verify.lock_step import DiffersError, LockStep

parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
parser.add_argument("--board", default="unix", help="or a port such as /dev/ttyACM0 (unix)")
parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (1)")
args = parser.parse_args()

task = load_task("braille-words", seed=args.seed)
plan = train.recipe(task, epochs=1, seed=args.seed)

with open_board(args.board) as board:
    device = connect(board)

    device.configure(plan.settings.integers())
    both = LockStep(device)
    train.train(both, task, plan)
    print(f"{both.steps} steps, {both.compared:,} values, all equal")

    device.configure(plan.settings.integers())
    device.flip(state=False, step=40, layer=2, index=7, bit=4)  # one bit of one weight
    try:
        train.train(LockStep(device), task, plan)
    except DiffersError as difference:
        print("found:", difference)
