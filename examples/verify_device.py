"""Run a device and its twin in lock step, then let the device make a mistake."""

from madem.boards.open import open_board
from madem.data.registry import load_task
from madem.learn import train
from madem.learners.board import connect
from madem.verify.lock_step import DiffersError, LockStep

task = load_task("braille-words")
plan = train.recipe(task, epochs=1)

with open_board("unix") as board:
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
