"""A strategy's decisions over a whole panel, and the returns of its weights, without an engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.panel import Panel
from config.durations import duration_ns, interval_ns, offset_ns
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig
from strategies.rebalance.history import Window
from strategies.rebalance.memory import NO_MEMORY
from strategies.rebalance.propose import (
    Listings,
    Proposal,
    propose,
    reason_to_wait,
    remembered,
    rows_needed,
)
from strategies.schedule import last_close, next_fire
from strategies.signals.trend import filled


@dataclass(frozen=True)
class Earned:
    """Returns of T periods, fractions of equity at each period's start, shape (T,).

    `turnover` is the notional traded at the period's start; `net` is `gross` minus its cost.
    """

    gross: NDArray[np.float64]
    turnover: NDArray[np.float64]
    net: NDArray[np.float64]


def earn(
    weights: NDArray[np.float64],
    traded: NDArray[np.bool_],
    returns: NDArray[np.float64],
    cost: float | NDArray[np.float64],
    *,
    drift: bool = True,
) -> Earned:
    """Compute the returns of trading into weights (T, N), signed fractions of equity.

    Where ``traded`` (T,) is False, the holdings stay and the row of weights is ignored. ``returns``
    (T, N) are simple; NaN counts as no move. ``cost``, also (N,), is fee and slippage, a fraction
    of the traded value. With ``drift`` holdings grow with their prices, so that going back to equal
    weights is a trade; without, only the change of the wanted weights counts, as in many papers.
    """
    moves = np.nan_to_num(returns, nan=0.0)
    rates = np.broadcast_to(np.asarray(cost, dtype=np.float64), moves.shape[1:])
    count = len(moves)
    gross, turnover, net = np.zeros(count), np.zeros(count), np.zeros(count)
    held = np.zeros(moves.shape[1])
    for t in range(count):
        paid = 0.0
        if traded[t]:
            change = np.abs(weights[t] - held)
            turnover[t] = change.sum()
            paid = float((change * rates).sum())
            held = weights[t]
        gross[t] = (held * moves[t]).sum()
        net[t] = gross[t] - paid
        if drift:
            held = held * (1.0 + moves[t]) / (1.0 + net[t])
    return Earned(gross, turnover, net)


def close_returns(close: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return simple returns between the rows, shape (T - 1, N).

    Zero in a gap; the period that ends the gap has the whole move. NaN before the first price.
    """
    prices = filled(np.where(close > 0.0, close, np.nan))
    result: NDArray[np.float64] = prices[1:] / prices[:-1] - 1.0
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
    arrays: dict[str, NDArray[np.float64]]

    @property
    def close(self) -> NDArray[np.float64]:
        """Close prices."""
        return self.arrays["close"]

    def row(self, ts: int) -> int:
        """Return the row of a close time; it may lie outside the panel."""
        return (ts - self.first) // self.interval_ns


def close_times(first: int, last: int, step_ns: int) -> NDArray[np.int64]:
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

    `ranges` adds open, high and low; `funding` (schema `catalog.panel.SETTLEMENTS`) the rates that
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
) -> NDArray[np.float64]:
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
    panel: Panel,
    start: int,
    end: int,
    funding: pa.Table | None = None,
) -> list[ScreenStep]:
    """Return every decision with start <= ts < end, UNIX nanoseconds (UTC).

    `listings` are in the order of the panel's columns. Candles must begin at
    `history_start`, settlements (schema `catalog.panel.SETTLEMENTS`, for a strategy that uses
    funding) a candle before; those after a decision do not change it.
    """
    step = interval_ns(rules.interval)
    rows = rows_needed(rules, cls.rows_for_scores(rules))
    if rules.wants_funding and funding is None:
        raise ValueError(f"strategy {rules.key} uses funding, and none is given")
    candles = regular(
        panel,
        step,
        history_start(rules, cls, start),
        last_close(end, step),
        ranges=rules.wants_range,
        funding=funding if rules.wants_funding else None,
    )
    every, offset = duration_ns(rules.every), offset_ns(rules.at)
    steps, memory = [], NO_MEMORY
    ts = next_fire(start - 1, every, offset)
    while ts < end:
        data_ts = last_close(ts, step)
        last = candles.row(data_ts) + 1
        cut = slice(last - rows, last)
        window = Window(data_ts, **{name: array[cut] for name, array in candles.arrays.items()})
        score, entered = cls.scored(rules, window)
        proposal = propose(rules, listings, window, score, memory=memory, entered=entered)
        wait = reason_to_wait(rules, proposal)
        if not wait:
            memory = remembered(rules, listings.ids, data_ts, memory, proposal)
        steps.append(ScreenStep(ts, data_ts, proposal, wait))
        ts += every
    return steps
