"""Profit and costs summed by symbol, side or strategy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from actors import measures
from actors.measures import Floats
from backtests.results.figures import column, money


@dataclass(frozen=True, slots=True)
class Share:
    """What one symbol, side or strategy contributed, in the settlement currency.

    ``trades`` and ``win_rate`` are of closed trades; the money includes open positions at their
    last price, so that the shares add up to the run's net profit.
    """

    name: str
    trades: int
    win_rate: float
    gross: float
    fees: float
    funding: float
    net: float


@dataclass(frozen=True, slots=True)
class Trades:
    """Closed trades, one entry each.

    Parameters
    ----------
    net : float64[n]
        Profit after fees and funding.
    change : float64[n]
        ``net`` over the notional at entry.
    held : float64[n]
        How long, nanoseconds.
    """

    net: Floats
    change: Floats
    held: Floats


def shares(positions: pa.Table, by: str) -> list[Share]:
    """Return the shares of a column's values, the most profitable first.

    Parameters
    ----------
    positions : pyarrow.Table
        As in `backtests.results.tables`.
    by : str
        ``instrument``, ``side`` or ``strategy``.
    """
    names = column(positions, by).astype(str) if len(positions) else np.array([], dtype=str)
    parts = {part: money(positions, part) for part in ("gross", "fees", "funding", "net")}
    closed = ~column(positions, "open").astype(bool)
    found = []
    for name in np.unique(names):
        mine = names == name
        done = parts["net"][mine & closed]
        found.append(
            Share(
                name=str(name),
                trades=len(done),
                win_rate=measures.win_rate(done),
                **{part: float(values[mine].sum()) for part, values in parts.items()},
            )
        )
    return sorted(found, key=lambda share: (-share.net, share.name))


def trades(positions: pa.Table) -> Trades:
    """Return the closed trades."""
    closed = ~column(positions, "open").astype(bool)
    net = money(positions, "net")[closed]
    entered = (column(positions, "entry_px") * money(positions, "quantity"))[closed]
    held = (column(positions, "ts_closed") - column(positions, "ts_opened"))[closed]
    return Trades(net=net, change=net / entered, held=held.astype(np.float64))
