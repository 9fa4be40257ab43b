"""Compiled streaming steps: how the scalper's signals are written, and what they share.

A signal is a few compiled functions on a small float64 array that the caller owns: ``new_state``,
``on_book``, ``on_trade``, ``score``; its parameters are an array too (`packed`). Times are seconds
since a moment that the caller chose. Books have shape (levels, 2): price and size, the best first;
where there is no level the price is NaN and the size 0. A side is 1 where the aggressor buys, -1
where it sells. Averages decay with time, not with messages: a message that changes nothing changes
no score. The code is cached on disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import msgspec
import numpy as np
from numba import njit
from numba.core.caching import FunctionCache
from numpy.typing import NDArray

from strategies.signals.scalper_parameters import SIGNALS

Floats = NDArray[np.float64]


_OPTIONS: dict[str, Any] = {"no_cfunc_wrapper": True}
"""Without an entry for C, which nobody calls."""
_FAMILY = ("compiled", "scalper_parameters", *SIGNALS, "book_scores", "fusion")
_SOURCES = crc32(b"".join(Path(__file__).with_name(f"{n}.py").read_bytes() for n in _FAMILY))


class _FamilyCache(FunctionCache):
    """Code on disk that is compiled again when any of these files has changed.

    Numba looks only at the file that a function stands in, but what it calls in other files, and
    their constants, are part of its code.
    """

    def _index_key(self, signature: Any, codegen: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = super()._index_key(signature, codegen)  # type: ignore[no-untyped-call]
        return (*found, _SOURCES)


def compiled[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function; its types stay those it declares."""
    found: Any = njit(**_OPTIONS)(function)
    found._cache = _FamilyCache(function)  # type: ignore[no-untyped-call]
    return cast(Callable[P, R], found)


def packed(rules: msgspec.Struct) -> Floats:
    """Return parameters as an array, in the order of their fields."""
    return np.array(msgspec.structs.astuple(rules), np.float64)


def places(rules: type[msgspec.Struct], names: str) -> tuple[int, ...]:
    """Return where parameters of these names stand in the array of `packed`."""
    fields = rules.__struct_fields__
    return tuple(fields.index(name) for name in names.split())


@compiled
def middle(bids: Floats, asks: Floats) -> float:
    """Return the mid price, NaN while a side is empty."""
    return float(bids[0, 0] + asks[0, 0]) / 2.0


@compiled
def averaged(average: float, held: float, elapsed: float, time: float) -> float:
    """Return an exponential average after ``held`` stood for some time."""
    return average + (held - average) * -math.expm1(-max(elapsed, 0.0) / time)


@compiled
def faded(elapsed: float, time: float) -> float:
    """Return what is left of 1 after some time."""
    return math.exp(-max(elapsed, 0.0) / time)


@compiled
def saturated(amount: float, scale: float) -> float:
    """Return 0 for nothing, towards 1 for many scales."""
    return -math.expm1(-max(amount, 0.0) / scale)


_FIRST, _SINCE, _TOTAL, _COUNT, _BINS = range(5)
_STEPS = 4.0
"""Bins an octave: a quantile is exact to 19 %."""
BINS = 96
SIZES = _BINS + BINS
"""Length of a record of sizes."""


@compiled
def add_size(record: Floats, now: float, size: float, time: float) -> None:
    """Add a size to a histogram of sizes that forgets with time; it begins as zeros."""
    place = math.log2(size)
    if record[_COUNT] == 0.0:
        record[_FIRST], record[_SINCE] = place, now
    # A later size counts more, which is the same as that earlier ones count less.
    weight = math.exp((now - record[_SINCE]) / time)
    if weight > 1e6:
        record[_TOTAL] /= weight
        for number in range(_BINS, SIZES):
            record[number] /= weight
        record[_SINCE], weight = now, 1.0
    found = BINS // 2 + math.floor((place - record[_FIRST]) * _STEPS)
    record[_BINS + min(max(found, 0), BINS - 1)] += weight
    record[_TOTAL] += weight
    record[_COUNT] += 1.0


@compiled
def size_at(record: Floats, quantile: float) -> float:
    """Return the size at a quantile of those remembered; not a number without any."""
    left = (1.0 - quantile) * record[_TOTAL]
    number = SIZES
    while number > _BINS and left >= 0.0:
        number -= 1
        left -= record[number]
    if record[_COUNT] == 0.0:
        return math.nan
    return float(2.0 ** (record[_FIRST] + (number - _BINS - BINS // 2 + 0.5) / _STEPS))


@compiled
def sizes_seen(record: Floats) -> float:
    """Return how many sizes were added."""
    return float(record[_COUNT])
