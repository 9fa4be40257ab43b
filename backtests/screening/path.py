"""A strategy's decisions over a whole panel, and the returns of its weights, without an engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from actors.measures import Floats, Integers
from catalog.panel import Panel
from config.durations import duration_ns, interval_ns, offset_ns
from config.errors import DeskError
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig
from strategies.rebalance.history import Window
from strategies.rebalance.memory import NO_MEMORY
from strategies.rebalance.propose import (
    Listings,
    Proposal,
    decides_at_once,
    propose,
    reason_to_wait,
    remembered,
    rows_needed,
)
from strategies.rebalance.scoring import checked_scores
from strategies.schedule import last_close, next_fire
from strategies.signals.trend import filled

_CELLS = 1_000_000
"""Candles in the windows that are decided at once."""


@dataclass(frozen=True)
class Earned:
    """Returns of T periods, fractions of equity at each period's start, shape (T,).

    `turnover` is the notional traded at the period's start; `net` is `gross` minus its cost.
    """

    gross: Floats
    turnover: Floats
    net: Floats


def earn(
    weights: Floats,
    traded: NDArray[np.bool_],
    returns: Floats,
    cost: float | Floats,
    *,
    drift: bool = True,
) -> Earned:
    """Compute the returns of trading into weights (T, N), signed fractions of equity.

    Where ``traded`` (T,) is False, the holdings stay and the row of weights is ignored. ``returns``
    (T, N) are simple; NaN counts as no move. ``cost``, also (N,), is fee and slippage, a fraction
    of the traded value. With ``drift`` holdings grow with their prices, so that going back to equal
    weights is a trade; without, only the change of the wanted weights counts, as in many papers.
    """
    from backtests.screening.fold import fold  # compiled: what only reads data needs no compiler

    moves = np.nan_to_num(returns, nan=0.0)
    rates = np.array(np.broadcast_to(np.asarray(cost, dtype=np.float64), moves.shape[1:]))
    return Earned(*fold(np.ascontiguousarray(weights), np.asarray(traded), moves, rates, drift))


def close_returns(close: Floats) -> Floats:
    """Return simple returns between the rows, shape (T - 1, N).

    Zero in a gap; the period that ends the gap has the whole move. NaN before the first price.
    """
    prices = filled(np.where(close > 0.0, close, np.nan))
    result: Floats = prices[1:] / prices[:-1] - 1.0
    return result


@dataclass(frozen=True)
class ScreenStep:
    """One decision; times in UNIX nanoseconds (UTC).

    `data_ts` is the close time of its newest candle. `wait` is why nothing is traded, else empty.
    """

    ts: int
    data_ts: int
    proposal: Proposal
    wait: str


@dataclass(frozen=True)
class RegularPanel:
    """Candles at every close time of the grid; NaN rows where nobody traded.

    `first` is the close time of row 0, UNIX nanoseconds (UTC). `arrays` are those of a `Window`,
    C-contiguous, (T, N).
    """

    first: int
    interval_ns: int
    arrays: dict[str, Floats]

    @property
    def close(self) -> Floats:
        """Close prices."""
        return self.arrays["close"]

    @cached_property
    def returns(self) -> Floats:
        """Simple returns from each row to the next, as `close_returns`."""
        return close_returns(self.close)

    def row(self, ts: int) -> int:
        """Return the row of a close time; it may lie outside the panel."""
        return (ts - self.first) // self.interval_ns

    def window(self, ts: int, rows: int) -> Window:
        """Return the last rows that are complete at a close time."""
        last = self.row(ts) + 1
        return Window(ts, **{name: a[last - rows : last] for name, a in self.arrays.items()})

    def windows(self, ts: Integers, rows: int) -> Window:
        """Return the windows of T close times in one, arrays of shape (rows, T, N)."""
        first = (ts - self.first) // self.interval_ns + 1 - rows
        apart = np.diff(first)
        regular = len(apart) and apart[0] > 0 and (apart == apart[0]).all()
        chosen = slice(first[0], first[-1] + 1, apart[0]) if regular else first
        stacked = {
            name: sliding_window_view(array, rows, axis=0)[chosen].transpose(2, 0, 1)
            for name, array in self.arrays.items()
        }
        return Window(ts[:, None], **stacked)


def close_times(first: int, last: int, step_ns: int) -> Integers:
    """Return every close time from first to last, both included, UNIX nanoseconds (UTC)."""
    # Not arange(first, last + 1, step): it counts in floats, which are too coarse for the + 1.
    return first + step_ns * np.arange((last - first) // step_ns + 1, dtype=np.int64)


def regular(
    panel: Panel,
    step_ns: int,
    first: int,
    last: int,
    *,
    ranges: bool = False,
    funding: pa.Table | None = None,
) -> RegularPanel:
    """Lay a panel on the grid of close times from first to last.

    `ranges` adds open, high and low; `funding` (as `Catalog.funding` has it) the rates that
    settled in each candle.

    Raises ValueError if a candle does not close on the grid.
    """
    rows = (panel.ts - first) // step_ns
    if np.any((panel.ts - first) % step_ns):
        raise ValueError(f"candles of {step_ns} ns must close at multiples of it")
    inside = (panel.ts >= first) & (panel.ts <= last)
    shape = (max(0, (last - first) // step_ns + 1), len(panel.ids))
    arrays = {}
    for name in ("close", "volume", *(("open", "high", "low") if ranges else ())):
        arrays[name] = np.full(shape, np.nan)
        arrays[name][rows[inside]] = getattr(panel, name)[inside]
    if funding is not None:
        arrays["funding"] = _settled(funding, panel.ids, step_ns, first, shape)
    return RegularPanel(first, step_ns, arrays)


def _settled(
    funding: pa.Table, ids: tuple[str, ...], step_ns: int, first: int, shape: tuple[int, int]
) -> Floats:
    column = {name: index for index, name in enumerate(ids)}
    rows = -((first - funding["ts"].to_numpy()) // step_ns)
    columns = np.array([column[name] for name in funding["instrument"].to_pylist()], np.int64)
    inside = (rows >= 0) & (rows < shape[0])
    place, sums, known = (rows[inside], columns[inside]), np.zeros(shape), np.zeros(shape, np.bool_)
    # In the order of time, as a history adds them.
    np.add.at(sums, place, funding["rate"].to_numpy()[inside])
    known[place] = True
    return np.where(known, sums, np.nan)


def history_start(rules: PanelRebalancerConfig, cls: type[PanelRebalancer], start: int) -> int:
    """Return the close time of the oldest candle that a run's first decision needs."""
    step = interval_ns(rules.interval)
    return last_close(start, step) - (rows_needed(rules, cls.rows_for_scores(rules)) - 1) * step


def decisions(
    cls: type[PanelRebalancer],
    rules: PanelRebalancerConfig,
    listings: Listings,
    candles: RegularPanel,
    start: int,
    end: int,
) -> list[ScreenStep]:
    """Return every decision with start <= ts < end, UNIX nanoseconds (UTC), one after the other.

    `listings` are in the order of the panel's columns. The panel begins at `history_start` or
    before; what comes after a decision does not change it.
    """
    rows = rows_needed(rules, cls.rows_for_scores(rules))
    steps, memory = [], NO_MEMORY
    for ts, data_ts in zip(*(times.tolist() for times in stamps(rules, start, end)), strict=True):
        window = candles.window(data_ts, rows)
        score, entered = checked_scores(cls, rules, window)
        proposal = propose(rules, listings, window, score, memory=memory, entered=entered)
        wait = reason_to_wait(rules, proposal)
        if not wait:
            memory = remembered(rules, listings.ids, data_ts, memory, proposal)
        steps.append(ScreenStep(ts, data_ts, proposal, wait))
    return steps


def stamps(rules: PanelRebalancerConfig, start: int, end: int) -> tuple[Integers, Integers]:
    """Return the times of all decisions with start <= ts < end, and those of their data."""
    every, step = duration_ns(rules.every), interval_ns(rules.interval)
    first = next_fire(start - 1, every, offset_ns(rules.at))
    ts = np.arange(first, max(first, end), every, dtype=np.int64)
    return ts, ts // step * step


def targets(
    cls: type[PanelRebalancer],
    rules: PanelRebalancerConfig,
    listings: Listings,
    candles: RegularPanel,
    start: int,
    end: int,
) -> tuple[Integers, Floats, NDArray[np.bool_]]:
    """Return the times of the data, the weights (T, N), and which are traded, of `decisions`.

    All are computed at once where the rules let them, to the same bits.

    Raises DeskError where own scores that are marked so are not the same at once.
    """
    _, data_ts = stamps(rules, start, end)
    weight, traded = np.zeros((len(data_ts), len(listings.ids))), np.zeros(len(data_ts), np.bool_)
    if not decides_at_once(rules, cls):
        for row, step in enumerate(decisions(cls, rules, listings, candles, start, end)):
            weight[row], traded[row] = step.proposal.weight, not step.wait
        return data_ts, weight, traded
    rows = rows_needed(rules, cls.rows_for_scores(rules))
    many = max(1, _CELLS // (rows * max(1, len(listings.ids))))
    for part in (slice(i, i + many) for i in range(0, len(data_ts), many)):
        window = candles.windows(data_ts[part], rows)
        score = checked_scores(cls, rules, window).score
        for place in (0, -1):
            one = candles.window(int(data_ts[part][place]), rows)
            alone = checked_scores(cls, rules, one).score
            if not np.array_equal(score[..., place, :], alone, equal_nan=True):
                raise DeskError(
                    f"{cls.__module__}:{cls.__qualname__}: its scores are marked at_once, but many "
                    "windows at once get others than each alone: take off the mark"
                )
        proposal = propose(rules, listings, window, score)
        weight[part] = proposal.weight
        traded[part] = ~(proposal.is_blind | proposal.holds_nothing(rules))
    return data_ts, weight, traded
