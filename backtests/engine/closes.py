"""Exact closes of a run's instruments: as Decimals, and as whole numbers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import numpy as np

from actors.measures import Floats, Integers

SAFE = 1e15
"""Below this, a float64 determines every digit of a whole number, wherever its decimal point is."""


def exact_closes(values: Floats, columns: Sequence[int] | Integers) -> list[Decimal | None]:
    """Return the digits of some columns of closes (N,), None where NaN: as `repr`, but faster."""
    texts = msgspec.json.encode(values[columns].tolist()).decode()[1:-1].split(",")
    if "null" in texts:
        return [None if text == "null" else Decimal(text) for text in texts]
    return list(map(Decimal, texts)) if len(columns) else []


def whole_closes(close: Floats, decimals: Integers) -> Integers | None:
    """Return closes (T, N) as whole numbers of 10 ** -decimals (N,), 0 for NaN.

    None where a close has more decimals.

    Examples
    --------
    >>> whole_closes(np.array([[0.25, 3.0]]), np.array([2, 1])).tolist()
    [[25, 30]]
    >>> whole_closes(np.array([[0.25, 3.0]]), np.array([1, 1]))
    """
    known, scale = np.nan_to_num(close), 10.0**decimals
    whole = np.rint(known * scale)
    is_exact = np.all(whole < SAFE) and np.all(whole / scale == known)
    return whole.astype(np.int64) if is_exact else None
