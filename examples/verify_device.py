"""Run a device and its twin in lock step, then let the device make a mistake."""

from madem import learn
from madem.boards import open_board
from madem.device import connect
from madem.tasks import load_task
from madem.verify import DiffersError, LockStep

task = load_task("braille-words")
plan = learn.recipe(task, epochs=1)

with open_board("unix") as board:
    device = connect(board)

    device.configure(plan.settings.integers())
    both = LockStep(device)
    learn.train(both, task, plan)
    print(f"{both.steps} steps, {both.compared:,} values, all equal")

    device.configure(plan.settings.integers())
    device.flip(state=False, step=40, layer=2, index=7, bit=4)  # one bit of one weight
    try:
        learn.train(LockStep(device), task, plan)
    except DiffersError as difference:
        print("found:", difference)
