"""Sampled prices, rolling windows of times, and sessions of guards. Pure.

A sample is taken at the first snapshot of each period, counted from the epoch, at which prices may
have moved. After rare or missing snapshots, as on coarse candles, the next return covers a longer
time. Measures that depend on it use the samples' times.

Functions import numpy themselves, so that `perpdesk validate` starts sooner.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from actors.guards.core.calm import MOST, NEVER, Bounds
from actors.guards.core.limits import ZERO, Limit, Reading, limit_reading
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Snapshot
from config.durations import DAY_NS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STILL = 1e-9
"""Returns about their mean below this size are rounding errors: nothing moved."""


class Samples(msgspec.Struct, frozen=True):
    """The newest price samples."""

    times: tuple[int, ...] = ()  # UNIX nanoseconds (UTC), rising
    prices: dict[str, tuple[float | None, ...]] = {}  # by instrument; None: unknown


def sampled(
    samples: Samples, snapshot: Snapshot, names: Iterable[str], every_ns: int, most: int
) -> Samples:
    """Add the snapshot's prices to the samples; the same object when no sample is due.

    Only the newest `most` are kept. A clock that goes back takes no sample until it has caught up.
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
    """Remove an instrument's samples; any other scope removes all."""
    name = scope.removeprefix("instrument:")
    if name == scope:
        return Samples()
    return Samples(samples.times, {k: v for k, v in samples.prices.items() if k != name})


def known(samples: Samples, name: str) -> int:
    """Count the newest consecutive samples that have a price of an instrument."""
    count = 0
    for price in reversed(samples.prices.get(name, ())):
        if price is None:
            break
        count += 1
    return count


def log_returns(samples: Samples, names: tuple[str, ...], lookback: int) -> Floats:
    """Return the newest logarithmic returns, shape (lookback, N).

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
    """Return Pearson's correlations of the newest returns, shape (N, N).

    NaN where one of two has too few samples or its price did not move.
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
    """Return each instrument's realised volatility per year: 0.8 is 80 %, None is too few samples.

    The square root of the sum of squared logarithmic returns over their time, with a mean of zero
    (Andersen, Bollerslev, Diebold, Labys 2003, "Modeling and Forecasting Realized Volatility").
    Samples need no even distance.
    """
    import numpy as np

    if len(samples.times) <= lookback:
        return (None,) * len(names)
    years = (samples.times[-1] - samples.times[-lookback - 1]) / year_ns
    moves = log_returns(samples, names, lookback)
    found = np.sqrt((moves * moves).sum(axis=0) / years)
    return tuple(None if np.isnan(value) else float(value) for value in found)


class Remembered[R]:
    """Cache of a pure ``function(samples, *rest)`` that is called many times between samples."""

    def __init__(self, function: Callable[..., R], most: int = 16) -> None:
        self._function = function
        self._most = most
        self._kept: dict[tuple[Any, ...], tuple[Samples, R]] = {}

    def __call__(self, samples: Samples, *rest: Any) -> R:
        """Return the function's result; the id of the samples is the key."""
        key = (id(samples), *rest)
        kept = self._kept.get(key)
        if kept is None:
            # Keeping the samples prevents other samples from getting their id.
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
    """Add a time to the stamps, and remove those that are outside the window.

    Only the newest `most` are kept: a limit needs no more.
    """
    kept = stamps[bisect_right(stamps, ts - window_ns) :]
    place = bisect_right(kept, ts)
    return (*kept[:place], ts, *kept[place:])[-most:]


def counted(stamps: Stamps, now: int, window_ns: int) -> int:
    """Count the stamps in the window that ends now."""
    return len(stamps) - bisect_right(stamps, now - window_ns)


def below_from(stamps: Stamps, count: int, window_ns: int) -> int:
    """Return when the window, which has `count` stamps or more now, will have fewer."""
    return stamps[-count] + window_ns


def counted_reading(
    params: GuardParams,
    scope: str,
    stamps: Stamps,
    now: int,
    window_ns: int,
    limit: int,
    words: str,
) -> Reading:
    """Return the reading of a count in the window that ends now; `words` follow the number."""
    count = counted(stamps, now, window_ns)
    over = count >= limit
    reason = f"{count} {words}" if over else ""
    until = below_from(stamps, limit, window_ns) if over else None
    return limit_reading(params, scope, count, limit, over, reason, until=until)


Session = Literal["all", "day"]
"""``all``: since the guard's first start; ``day``: since midnight UTC."""

_MONEY = Decimal("0.00000001")

SINCE = {"all": "since the start", "day": "since midnight UTC"}


def release_problems(session: Session, release: str) -> list[tuple[str, str]]:
    """Return the problem of a halt that ends at midnight in a session that goes on."""
    if session == "day" or release != "next_day":
        return []
    words = "can't be next_day where the session is all: at midnight the limit is still reached"
    return [("release", words)]


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """A value, the UTC day of its session (days since 1970), and the desk's flows that it is of.

    ``scaled`` is the money by which flows have made a fall from it smaller; negative: larger.
    """

    day: int
    value: Decimal
    flows: Decimal = ZERO
    scaled: Decimal = ZERO

    def lost(self, value: Decimal, *, money: bool) -> Decimal:
        """Return the fall to a value: as a share of the mark, or the money that was lost."""
        return self.value - value + (self.scaled if money else ZERO)


def bounds_below(
    mark: Mark, limits: Iterable[Limit], session: Session, most: Decimal = MOST
) -> Bounds:
    """Return where the equity is clear of all limits on a fall from a mark, in its session."""
    if mark.scaled:
        return Bounds(until=0)  # Never clear: shares and money fall from marks of their own.
    until = (mark.day + 1) * DAY_NS if session == "day" else NEVER
    return Bounds(
        mark.value - min(limit.back for limit in limits), most, until=until, flows=mark.flows
    )


def fresh(value: Decimal, now: int, flows: Decimal = ZERO) -> Mark:
    """Return the mark of a session that begins now (UNIX nanoseconds, UTC)."""
    return Mark(now // DAY_NS, value, flows)


def carried(mark: Mark, snapshot: Snapshot) -> Mark:
    """Return a mark of the desk's equity that grew and shrank with what others moved since.

    In proportion, as a deposit or withdrawal leaves every percentage as it was, and all money lost.
    """
    moved = snapshot.flows - mark.flows
    if not moved:
        return mark
    before = snapshot.equity - moved
    if before <= 0:
        return Mark(mark.day, snapshot.equity, snapshot.flows)
    grown = (mark.value * snapshot.equity / before).quantize(_MONEY)
    scaled = mark.lost(before, money=True) - (grown - snapshot.equity)
    return Mark(mark.day, grown, snapshot.flows, scaled)


def opening(mark: Mark, value: Decimal, now: int, session: Session) -> Mark:
    """Return the mark of the session's start, the same object until another session begins.

    A day begins with its first value. A clock that goes back begins no session.
    """
    if session == "day" and now // DAY_NS > mark.day:
        return fresh(value, now, mark.flows)
    return mark


def session_start(mark: Mark, snapshot: Snapshot, session: Session) -> Mark:
    """Return the desk's equity at the session's start, with what others moved since."""
    return opening(carried(mark, snapshot), snapshot.equity, snapshot.now, session)


def best(mark: Mark, value: Decimal, now: int, session: Session) -> Mark:
    """Return the mark of the session's largest value, the same object while not exceeded."""
    kept = opening(mark, value, now, session)
    if not kept.scaled:
        return Mark(kept.day, value, kept.flows) if value > kept.value else kept
    # The largest share and the most money may have been at different times.
    lost, largest = max(kept.lost(value, money=True), ZERO), max(kept.value, value)
    found = Mark(kept.day, largest, kept.flows, lost - (largest - value))
    return kept if found == kept else found
