"""Prices sampled at a pace, as far back as a measure looks, and what is measured on them. Pure.

A sample is taken at the first snapshot of each period of the pace, counted from the epoch, at which
prices may have moved. Where snapshots come more rarely, as on coarse candles, or were missing for a
while, the next return is that of a longer time: measures that depend on it use the samples' times.

Numpy is loaded by the measures that need it: `perpdesk validate` starts sooner without.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from actors.guards.core.snapshot import Snapshot
from config.durations import DAY_NS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STILL = 1e-9
"""Size of returns about their mean that rounding alone can give: below it nothing moved."""


class Samples(msgspec.Struct, frozen=True):
    """The newest samples.

    Parameters
    ----------
    times : tuple of int
        When they were taken, UNIX nanoseconds (UTC), rising.
    prices : dict of str to tuple of float
        One for each time, by instrument id; None where none was known.
    """

    times: tuple[int, ...] = ()
    prices: dict[str, tuple[float | None, ...]] = {}


def sampled(
    samples: Samples, snapshot: Snapshot, names: Iterable[str], every_ns: int, most: int
) -> Samples:
    """Return the samples with the snapshot's prices, the very same object when none is due.

    The newest `most` are kept. A clock that goes back takes no sample before it is where it was.
    """
    if not snapshot.moved:
        return samples
    if samples.times and snapshot.now // every_ns <= samples.times[-1] // every_ns:
        return samples
    missing: tuple[None, ...] = (None,) * len(samples.times)
    prices = {}
    for name in names:
        row = (*samples.prices.get(name, missing), _price(snapshot, name))[-most:]
        if any(price is not None for price in row):
            prices[name] = row
    return Samples((*samples.times, snapshot.now)[-most:], prices)


def without(samples: Samples, scope: str) -> Samples:
    """Return the samples without those of a scope's instrument, none for any other scope."""
    name = scope.removeprefix("instrument:")
    if name == scope:
        return Samples()
    return Samples(samples.times, {k: v for k, v in samples.prices.items() if k != name})


def known(samples: Samples, name: str) -> int:
    """Return how many of the newest samples in a row have a price of an instrument."""
    count = 0
    for price in reversed(samples.prices.get(name, ())):
        if price is None:
            break
        count += 1
    return count


def log_returns(samples: Samples, names: tuple[str, ...], lookback: int) -> Floats:
    """Return the newest logarithmic returns.

    Returns
    -------
    ndarray, shape (lookback, N)
        NaN where a price is missing; all NaN where there are too few samples.
    """
    import numpy as np

    empty = (None,) * (lookback + 1)
    rows = [samples.prices.get(name, ())[-lookback - 1 :] for name in names]
    filled = [row if len(row) > lookback else empty for row in rows]
    prices = np.array(filled, dtype=np.float64).reshape(len(names), lookback + 1)
    result: Floats = np.diff(np.log(prices), axis=1).T
    return result


def correlations(samples: Samples, names: tuple[str, ...], lookback: int) -> Floats:
    """Return the correlations of the newest returns.

    Returns
    -------
    ndarray, shape (N, N)
        Pearson's, NaN where one of two has too few samples or its price did not move.
    """
    import numpy as np

    moves = log_returns(samples, names, lookback)
    moves = moves - moves.mean(axis=0)
    size = np.sqrt((moves * moves).sum(axis=0))
    size[size < STILL] = np.nan
    unit = moves / size
    result: Floats = np.clip(unit.T @ unit, -1.0, 1.0)
    return result


def volatilities(
    samples: Samples, names: tuple[str, ...], lookback: int, year_ns: int
) -> tuple[float | None, ...]:
    """Return each instrument's realised volatility, per year: 0.8 is 80 %.

    The square root of the sum of squared logarithmic returns over the time that they took, about
    zero as usual (Andersen, Bollerslev, Diebold, Labys 2003, "Modeling and Forecasting Realized
    Volatility"), so that samples need no even distance.

    Returns
    -------
    tuple of float
        None where there are too few samples.
    """
    import numpy as np

    if len(samples.times) <= lookback:
        return (None,) * len(names)
    years = (samples.times[-1] - samples.times[-lookback - 1]) / year_ns
    moves = log_returns(samples, names, lookback)
    found = np.sqrt((moves * moves).sum(axis=0) / years)
    return tuple(None if np.isnan(value) else float(value) for value in found)


class Remembered[R]:
    """Caches a pure ``function(samples, *rest)`` that is called many times between samples."""

    def __init__(self, function: Callable[..., R], most: int = 16) -> None:
        self._function = function
        self._most = most
        self._kept: dict[tuple[Any, ...], tuple[Samples, R]] = {}

    def __call__(self, samples: Samples, *rest: Any) -> R:
        """Return the function's answer; samples are known by their identity."""
        key = (id(samples), *rest)
        kept = self._kept.get(key)
        if kept is None:
            # The samples are kept with the answer, so that no others can get their identity.
            kept = self._kept[key] = (samples, self._function(samples, *rest))
            if len(self._kept) > self._most:
                del self._kept[next(iter(self._kept))]
        return kept[1]


def _price(snapshot: Snapshot, name: str) -> float | None:
    market = snapshot.markets.get(name)
    if market is None or market.price is None or market.price <= 0:
        return None
    return float(market.price)


Stamps = tuple[int, ...]
"""UNIX nanoseconds (UTC), rising."""


def added(stamps: Stamps, ts: int, window_ns: int, most: int) -> Stamps:
    """Return the stamps with one more, without those that are out of the window by then.

    The newest `most` are kept: as many as a limit are enough to know whether it is reached.
    """
    kept = stamps[bisect_right(stamps, ts - window_ns) :]
    place = bisect_right(kept, ts)
    return (*kept[:place], ts, *kept[place:])[-most:]


def counted(stamps: Stamps, now: int, window_ns: int) -> int:
    """Return how many are in the window that ends now."""
    return len(stamps) - bisect_right(stamps, now - window_ns)


def below_from(stamps: Stamps, count: int, window_ns: int) -> int:
    """Return from when on fewer than `count` are in the window, if none is added.

    There must be at least `count` of them.
    """
    return stamps[-count] + window_ns


Session = Literal["all", "day"]
"""``all``: since the guard's first start; ``day``: since midnight UTC."""

SINCE = {"all": "since the start", "day": "since midnight UTC"}
"""A session in words."""


def release_problems(session: Session, release: str) -> list[tuple[str, str]]:
    """Return what `check` says of a halt that would end at midnight where nothing begins anew."""
    if session == "day" or release != "next_day":
        return []
    words = "can't be next_day where the session is all: at midnight the limit is still reached"
    return [("release", words)]


class Mark(msgspec.Struct, frozen=True):
    """A value, and the UTC day (number of days since 1970) of the session that it belongs to."""

    day: int
    value: Decimal


def fresh(value: Decimal, now: int) -> Mark:
    """Return the mark of a session that begins now; UNIX nanoseconds (UTC)."""
    return Mark(now // DAY_NS, value)


def opening(mark: Mark, value: Decimal, now: int, session: Session) -> Mark:
    """Return where the session began: the mark itself until another session begins.

    The first value seen on a day is where the day begins. A clock that goes back begins no session:
    the later day goes on.
    """
    if session == "day" and now // DAY_NS > mark.day:
        return fresh(value, now)
    return mark


def best(mark: Mark, value: Decimal, now: int, session: Session) -> Mark:
    """Return the session's largest value; the mark itself while it is not exceeded."""
    kept = opening(mark, value, now, session)
    return Mark(kept.day, value) if value > kept.value else kept
