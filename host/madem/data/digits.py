"""The task `digits`: scikit-learn's 8×8 pictures of handwritten digits."""

import numpy as np

from madem.data.scaling import Scaling
from madem.data.task import Task, data_task


def digits_task(seed: int, test_fraction: float) -> Task:
    """1,797 pictures; the range 0 to 16 of a pixel is spread over all DAC codes.

    Args:
        seed: of the split and of the order.
        test_fraction: share of the test set, between 0 and 1.

    Returns:
        The task.
    """
    # Slow to import, and only needed here.
    from sklearn.datasets import load_digits

    x, y = (np.asarray(part) for part in load_digits(return_X_y=True))
    return data_task(
        "digits",
        x,
        y.astype(np.int64),
        tuple(str(digit) for digit in range(10)),
        tuple(f"pixel {row} {column}" for row in range(8) for column in range(8)),
        seed=seed,
        test_fraction=test_fraction,
        # All pixels share one range, and some are never lit.
        scaling=Scaling.between(np.zeros(64), np.full(64, 16.0)),
        image_shape=(8, 8),
    )
