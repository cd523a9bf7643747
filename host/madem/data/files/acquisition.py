"""The data acquisition format of Edge Impulse, JSON or CBOR, as a table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from madem import json_text
from madem.data.files.table import Table, column
from madem.errors import TaskError


def read(path: Path, data: bytes) -> Table:
    """Read sensors, units, interval and values.

    Args:
        path: for messages.
        data: what the file holds.

    Returns:
        The table.

    Raises:
        TaskError: it is neither, or something is missing in it.
    """
    payload = _payload(path, data)
    try:
        interval = float(payload["interval_ms"])
        sensors = [(str(s["name"]), str(s.get("units", ""))) for s in payload["sensors"]]
        rows = payload["values"]
        if sensors and len(rows) and not isinstance(rows[0], list):
            rows = [[value] for value in rows]
        values = np.array(
            [[math.nan if v is None else float(v) for v in row] for row in rows], np.float64
        ).reshape(len(rows), -1 if rows else 0)
    except KeyError as error:
        raise TaskError(f"{path} lacks {error} in its payload: it is no data acquisition") from None
    except (TypeError, ValueError, OverflowError, AttributeError):
        raise TaskError(
            f"{path}: its sensors, interval_ms or values are not those of a data acquisition"
        ) from None
    if not values.size or values.shape[1] != len(sensors):
        raise TaskError(f"{path} has {len(sensors)} sensors, but {values.shape[1]} values a sample")
    # 0 is what the format says of something that is no time series.
    rate = 1000 / interval if 0 < interval < math.inf else None
    return Table(
        ((path, 0),),
        tuple(
            column(name, values[:, k].copy(), unit=unit, role="feature")
            for k, (name, unit) in enumerate(sensors)
        ),
        np.zeros(len(values), np.int64),
        series=rate is not None,
        rate_hz=rate,
    )


def _payload(path: Path, data: bytes) -> dict[str, Any]:
    try:
        found = json_text.parse(data) if data.lstrip()[:1] == b"{" else _cbor(data)
    except ValueError as error:
        raise TaskError(f"{path} is neither JSON nor CBOR: {str(error).splitlines()[0]}") from None
    payload = found.get("payload") if isinstance(found, dict) else None
    if not isinstance(payload, dict):
        raise TaskError(
            f"{path} is no data acquisition: it has no payload with sensors, interval_ms and values"
        )
    return payload


def _cbor(data: bytes) -> Any:
    import cbor2

    try:
        return cbor2.loads(data)
    except (cbor2.CBORError, ArithmeticError, MemoryError, TypeError, RecursionError) as error:
        raise ValueError(str(error) or "it is damaged") from None
