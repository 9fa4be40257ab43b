"""The equity curve: one sample an execution close, after all events up to it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from actors.records.rows import FillRow
from backtests.engine.feed import Grid
from backtests.engine.funding import FundingPayment


class EquityCurve:
    """Grows by one slice at a time.

    Parameters
    ----------
    starting : Decimal
        Equity before the first event.
    start : int
        Window start, UNIX nanoseconds (UTC): the first sample, before anything happened.
    columns : dict of str to int
        Column of each instrument in the grids.

    Notes
    -----
    ``cash`` is the account balance: starting equity + realised profit - fees + funding.
    ``equity = cash + unrealized``, positions valued at the newest execution close.
    """

    def __init__(self, starting: Decimal, start: int, columns: dict[str, int]) -> None:
        self._columns = columns
        self._cash = float(starting)
        self._quantity = np.zeros(len(columns))
        self._cost = 0.0
        self._chunks: list[NDArray[np.float64]] = [
            np.array([[self._cash, self._cash, 0.0, 0.0, 0.0]])
        ]
        self._ts: list[NDArray[np.int64]] = [np.array([start], dtype=np.int64)]

    def extend(
        self,
        grid: Grid,
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
        # What came before goes into the first row: one running sum, however the window is sliced.
        quantity[0] += self._quantity
        cost[0] += self._cost
        cash[0] += self._cash
        quantity, cost, cash = np.cumsum(quantity, axis=0), np.cumsum(cost), np.cumsum(cash)
        self._quantity, self._cost, self._cash = quantity[-1], float(cost[-1]), float(cash[-1])
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

    def columns(self) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
        """Return ts, equity, cash, unrealized, gross, net and drawdown, one array each."""
        values = np.concatenate(self._chunks)
        equity = values[:, 0]
        peak = np.maximum.accumulate(equity)
        return {
            "ts": np.concatenate(self._ts),
            "equity": equity,
            "cash": values[:, 1],
            "unrealized": values[:, 2],
            "gross": values[:, 3],
            "net": values[:, 4],
            "drawdown": 1.0 - equity / peak,
        }

    def _row(self, grid: Grid, ts: int) -> int:
        return min(int(np.searchsorted(grid.ts, ts)), len(grid.ts) - 1)
