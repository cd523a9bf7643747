"""JSON from a file: whatever it holds is read, or a `ValueError`."""

from __future__ import annotations

import json
from typing import Any


def parse(text: str | bytes) -> Any:
    """Read JSON.

    Args:
        text: of a file that anybody may have written.

    Returns:
        What it says.

    Raises:
        ValueError: it is no JSON, or nested so deep that nobody means it.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
