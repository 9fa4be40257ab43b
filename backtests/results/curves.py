"""The equity curve, one sample per execution close; benchmarks; prices and z-scores for drawing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa

from actors import measures
from actors.measures import Floats, Integers
from actors.records.rows import FillRow
from backtests.engine.feed import PriceGrid
from backtests.engine.market import RunMarket
from backtests.engine.settlement import FundingPayment
from backtests.results.tables import table
from config.durations import DAY_NS
from strategies.messages import PairEvent


class EquityCurve:
    """Equity curve of a run; each slice extends it.

    The first sample is ``starting`` at ``start``, in UNIX nanoseconds (UTC).

    ``cash`` is the account balance: starting equity + realised profit - fees + funding. Equity is
    ``cash`` + ``unrealized``, positions valued at the newest execution close.
    """

    def __init__(self, starting: Decimal, start: int, columns: dict[str, int]) -> None:
        self._columns = columns
        self._cash = float(starting)
        self._quantity = np.zeros(len(columns))
        self._cost = 0.0
        self._close = np.full(len(columns), np.nan)
        self.highest_leverage = (0.0, start)
        """Largest notional over equity after fills that raised it, at their prices; its time."""
        self._chunks: list[Floats] = [np.array([[self._cash, self._cash, 0.0, 0.0, 0.0]])]
        self._ts: list[Integers] = [np.array([start], dtype=np.int64)]

    def extend(
        self,
        grid: PriceGrid,
        fills: Sequence[tuple[FillRow, Decimal]],
        payments: Sequence[FundingPayment],
    ) -> None:
        """Append a slice: its fills (each with the change of open cost) and funding payments."""
        rows, columns = grid.close.shape
        if not rows:
            return
        quantity = np.zeros((rows, columns))
        cost, cash = np.zeros(rows), np.zeros(rows)
        for fill, cost_change in fills:
            row = self._row(grid, fill.ts)
            quantity[row, self._columns[fill.instrument]] += float(fill.signed)
            cost[row] += float(cost_change)
            # What a fill pays out beyond the change of open cost is realised profit.
            cash[row] += float(cost_change - fill.signed * fill.price - fill.fee)
        for payment in payments:
            cash[self._row(grid, payment.ts)] += float(payment.amount)
        # Add the earlier sums to the first row, so that slices do not change the result.
        held = self._quantity
        quantity[0] += held
        cost[0] += self._cost
        cash[0] += self._cash
        quantity, cost, cash = np.cumsum(quantity, axis=0), np.cumsum(cost), np.cumsum(cash)
        self._quantity, self._cost, self._cash = quantity[-1], float(cost[-1]), float(cash[-1])
        self._follow_leverage(grid, fills, held, quantity, cash - cost)
        # Summing many small changes leaves dust where a position is flat.
        quantity = np.where(np.abs(quantity) < 1e-12, 0.0, quantity)
        value = quantity * np.where(quantity == 0, 0.0, grid.close)
        unrealized = value.sum(axis=1) - cost
        self._chunks.append(
            np.column_stack(
                [cash + unrealized, cash, unrealized, np.abs(value).sum(axis=1), value.sum(axis=1)]
            )
        )
        self._ts.append(grid.ts)

    def _follow_leverage(
        self,
        grid: PriceGrid,
        fills: Sequence[tuple[FillRow, Decimal]],
        held: Floats,
        quantity: Floats,
        free: Floats,
    ) -> None:
        """Value what is held after each row's fills at their prices, the rest at closes before."""
        by_row: dict[int, list[FillRow]] = {}
        for fill, _ in fills:
            by_row.setdefault(self._row(grid, fill.ts), []).append(fill)
        for row, filled in by_row.items():
            price = np.nan_to_num(grid.close[row - 1] if row else self._close)
            for fill in filled:
                price[self._columns[fill.instrument]] = float(fill.price)
            before, after = quantity[row - 1] if row else held, quantity[row]
            gross = float((np.abs(after) * price).sum())
            equity = float(free[row] + (after * price).sum())
            if gross > float((np.abs(before) * price).sum()):
                leverage = gross / equity if equity > 0 else np.inf
                self.highest_leverage = max(
                    self.highest_leverage, (leverage, filled[-1].ts), key=lambda one: one[0]
                )
        self._close = grid.close[-1]

    @property
    def last_ts(self) -> int:
        """Return the time of the newest sample."""
        return int(self._ts[-1][-1])

    def columns(self) -> dict[str, Integers | Floats]:
        """Return ts, equity, cash, unrealized, gross, net and drawdown, one array each."""
        names = ("equity", "cash", "unrealized", "gross", "net")
        found = dict(zip(names, np.concatenate(self._chunks).T, strict=True))
        found["drawdown"] = -measures.drawdown(found["equity"])
        return {"ts": np.concatenate(self._ts)} | found

    def _row(self, grid: PriceGrid, ts: int) -> int:
        return min(int(np.searchsorted(grid.ts, ts)), len(grid.ts) - 1)


class Benchmarks:
    """Benchmark indices of a run, without costs; they start at 1.0 at the window's start.

    ``opening`` holds each instrument's newest close at the start, NaN where unknown (shape (N,)).
    ``btc`` holds the benchmark instrument. ``equal_weight`` is rebalanced at each UTC midnight to
    equal parts of all instruments with a price; an instrument counts from the first midnight at
    which it has one, and a delisted one drops out when its data end.
    """

    def __init__(self, market: RunMarket, instrument: str, start: int, opening: Floats) -> None:
        self._column = market.column.get(instrument)
        self._first: float | None = None
        if self._column is not None and not np.isnan(opening[self._column]):
            self._first = float(opening[self._column])
        self._level = 1.0
        self._base = opening.copy()
        self._ts = [start]
        self._btc: list[float | None] = [None if self._column is None else 1.0]
        self._equal = [1.0]
        self._gone = np.zeros(len(market.ids), dtype=bool)
        self._newest: tuple[int, Floats] | None = None

    def extend(self, grid: PriceGrid) -> None:
        """Append a slice's daily values."""
        for row, ts in enumerate(grid.ts):
            for column in grid.delisted.get(row, ()):
                self._gone[column] = True
            if ts % DAY_NS == 0 or len(self._ts) == 1:
                self._day(int(ts), grid.close[row])
        self._newest = int(grid.ts[-1]), grid.close[-1]

    def table(self) -> pa.Table:
        """Return columns ts, btc and equal_weight: of each UTC midnight, and of the newest row."""
        ts, btc, equal = self._ts, self._btc, self._equal
        if self._newest is not None and self._newest[0] > ts[-1]:
            now, close = self._newest
            last_btc, last_equal = self._values(close)
            ts, btc, equal = [*ts, now], [*btc, last_btc], [*equal, last_equal]
        return pa.table(
            {
                "ts": pa.array(ts, pa.int64()),
                "btc": pa.array(btc, pa.float64()),
                "equal_weight": pa.array(equal, pa.float64()),
            }
        )

    def _values(self, close: Floats) -> tuple[float | None, float]:
        ratio = close / self._base
        level = self._level
        if not np.isnan(ratio).all():
            level *= float(np.nanmean(ratio))
        btc = None
        if self._column is not None and not np.isnan(close[self._column]):
            self._first = self._first or float(close[self._column])
            btc = float(close[self._column]) / self._first
        return btc, level

    def _day(self, ts: int, close: Floats) -> None:
        btc, self._level = self._values(close)
        self._base = np.where(self._gone, np.nan, close)
        self._ts.append(ts)
        self._btc.append(btc)
        self._equal.append(self._level)


STRETCHES = 500
"""Number of stretches that the window is cut into."""


class PriceCurves:
    """Last, lowest and highest execution close of each instrument in each stretch of the window.

    Each slice extends it; slices of other lengths give the same. Times in UNIX nanoseconds (UTC).
    """

    def __init__(self, start: int, end: int) -> None:
        self._start, self._end = start, end
        self._step = max(1, -(-(end - start) // STRETCHES))
        self._place: list[Integers] = []
        self._closes: list[tuple[Floats, Floats, Floats]] = []

    def extend(self, grid: PriceGrid) -> None:
        """Append a slice."""
        if len(grid.ts):
            place = (grid.ts - self._start - 1) // self._step
            self._add(place, grid.close, grid.close, grid.close)

    def table(self, ids: tuple[str, ...], wanted: Collection[str]) -> pa.Table:
        """Return the `prices` table of the wanted instruments; `ids` names the grid's columns."""
        if self._place:
            place, parts = np.concatenate(self._place), zip(*self._closes, strict=True)
            self._place, self._closes = [], []
            # Slices cut stretches in two.
            self._add(place, *(np.concatenate(part) for part in parts))
        rows = []
        for place, closes in zip(self._place, self._closes, strict=True):
            ends = np.minimum(self._start + (place + 1) * self._step, self._end).tolist()
            for column, name in enumerate(ids):
                if name in wanted:
                    curves = (values[:, column].tolist() for values in closes)
                    rows += [
                        {"ts": ts, "instrument": name, "close": close, "low": low, "high": high}
                        for ts, close, low, high in zip(ends, *curves, strict=True)
                        if close == close
                    ]
        return table("prices", rows)

    def _add(self, place: Integers, close: Floats, low: Floats, high: Floats) -> None:
        first = np.flatnonzero(np.diff(place, prepend=-2))
        last = np.append(first[1:], len(place)) - 1
        self._place.append(place[first])
        # fmin and fmax pass over the closes that are not there yet.
        lowest, highest = np.fmin.reduceat(low, first), np.fmax.reduceat(high, first)
        self._closes.append((close[last], lowest, highest))


class PairCurves:
    """Last, lowest and highest z-score, and last spread, of pairs in each stretch of the window."""

    def __init__(self, start: int, end: int) -> None:
        self._start, self._end = start, end
        self._step = max(1, -(-(end - start) // STRETCHES))
        self._found: dict[tuple[str, str, int], tuple[float, ...]] = {}

    def add(self, event: PairEvent) -> None:
        """Add what a candle said of the pairs."""
        place = max(0, (event.ts - self._start - 1) // self._step)
        for pair, z in event.facts["z"].items():
            if z == z:
                key = event.strategy, pair, place
                _, low, high, _ = self._found.get(key, (z, z, z, z))
                self._found[key] = z, min(low, z), max(high, z), event.facts["spread"][pair]

    def table(self) -> pa.Table:
        """Return the `pair_curves` table, in the order of strategies, pairs and time."""
        rows = []
        for (strategy, pair, place), (z, low, high, spread) in sorted(self._found.items()):
            ts = min(self._start + (place + 1) * self._step, self._end)
            row = {"z": z, "low": low, "high": high, "spread": spread}
            rows.append({"ts": ts, "strategy": strategy, "pair": pair} | row)
        return table("pair_curves", rows)
