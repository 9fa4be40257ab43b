"""Profit by strategy and the account's curve of a node, folded as its journal grows.

A page would else read all executions again. What was folded is begun anew where the journal is
another one, and where an execution came late, as a sweep finds one.
"""

from __future__ import annotations

import math
import threading
import time
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from actors import measures
from actors.measures import DAY, Floats, Integers
from actors.records.coins import WholeLots, seen_lot
from actors.records.journal_files import NAME
from actors.records.journal_reading import JournalReader, read
from actors.records.journal_schema import TRANSFERS_READ
from actors.records.ledger import ZERO, RoundTrip
from actors.records.rows import FillRow, OrderRow, from_sql
from backtests.report.report_data import downsample
from backtests.results.figures import without_flows
from live_nodes.node.risk_books import Executions, Flow
from strategies.account_value import is_spot

TRIPS = 50_000
"""Closed round trips that are kept to be listed; older ones stay in the trade history."""

SEARCH_S = 60.0
"""How often open orders are looked for among all, which takes long; meanwhile they are followed."""

Samples = tuple[Integers, Floats]
"""Times, UNIX nanoseconds (UTC), and values."""


@dataclass
class Curve:
    """Samples of a value; times are UNIX nanoseconds (UTC)."""

    ts: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, ts: int, value: float) -> None:
        """Add a sample; one that is older than the newest counts as of that time."""
        self.ts.append(max(ts, self.ts[-1]) if self.ts else ts)
        self.values.append(value)

    def arrays(self) -> tuple[Integers, Floats]:
        """Return copies of times and values."""
        return np.array(self.ts, dtype=np.int64), np.array(self.values, dtype=np.float64)


@dataclass
class StrategyResult:
    """What a strategy has made, USDT; `realized` is net of fees and funding, `curve` its course.

    `nets` are what its closed round trips made.
    """

    realized: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    slippage: Decimal = ZERO
    volume: Decimal = ZERO
    nets: list[float] = field(default_factory=list)
    curve: Curve = field(default_factory=Curve)

    def book(self, ts: int, amount: Decimal) -> None:
        """Add to what is realised."""
        self.realized += amount
        self.curve.add(ts, float(self.realized))

    def before(self, ts: int) -> Decimal:
        """Return what was realised before a time."""
        place = bisect_left(self.curve.ts, ts)
        return round(Decimal(repr(self.curve.values[place - 1])), 8) if place else ZERO


@dataclass(kw_only=True)
class _Booking(Executions):
    """Splits executions by strategy; `closed` are the last round trips that ended."""

    strategies: dict[str, StrategyResult] = field(default_factory=dict)
    closed: deque[RoundTrip] = field(default_factory=lambda: deque(maxlen=TRIPS))

    def filled(self, fill: FillRow) -> None:
        kept, before = self._of(fill.strategy), self._cost(fill)
        trip = self.booked(fill)
        kept.fees += fill.fee
        kept.slippage += fill.slippage or ZERO
        kept.volume += fill.notional
        kept.book(fill.ts, self._cost(fill) - before - fill.signed * fill.price - fill.fee)
        if trip is not None:
            kept.nets.append(float(trip.gross() - trip.fees + trip.funding))
            self.closed.append(trip)

    def funded(self, strategy: str, instrument: str, amount: Decimal) -> None:
        super().funded(strategy, instrument, amount)
        assert self.row is not None
        self._of(strategy).funding += amount
        self._of(strategy).book(self.row.ts, amount)

    def _of(self, strategy: str) -> StrategyResult:
        return self.strategies.setdefault(strategy, StrategyResult())

    def _cost(self, fill: FillRow) -> Decimal:
        trip = self.books.open.get((fill.strategy, fill.instrument))
        return ZERO if trip is None else trip.cost


class NodeBooks:
    """The books of one node; `refreshed` reads what is new, and may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._of: object = None
        self._begin(None)

    def _begin(self, of: object) -> None:
        if of != self._of:
            self._lots: dict[str, Decimal] = {}
        self._of = of
        self._booking = _Booking(lots=WholeLots(lambda name: self._lots.get(name, ZERO)))
        self._last: dict[str, int] = {}
        self._fills = self._equity = 0
        self._open: dict[str, OrderRow] = {}
        self._order_ids = 0, 0
        self._searched = -math.inf
        self._curve = Curve()
        self.flows_known_until = self._gone = 0

    @property
    def account(self) -> tuple[Integers, Floats]:
        """Return the account's equity."""
        return self._curve.arrays()

    @property
    def equity(self) -> tuple[Integers, Floats]:
        """Return `account` as if nothing had been paid in or taken out."""
        ts, values = self.account
        flows = [(flow.ts, flow.amount) for flow in self._booking.flows]
        if not flows or not len(ts):
            return ts, values
        return ts, without_flows(ts, values, float(values[0]), flows)

    def opening(self, ts: int) -> tuple[float, list[Flow]] | None:
        """Return the account's equity at a time, and what was paid since; None before any."""
        curve = self._curve
        if not curve.ts:
            return None
        place = max(0, bisect_right(curve.ts, ts) - 1)
        since = curve.ts[place]
        return curve.values[place], [flow for flow in self._booking.flows if flow.ts > since]

    def on_account(self, profit: Curve) -> tuple[Samples, Samples]:
        """Return a strategy's profit on the account's equity when it began.

        Twice: as it is, and as shares of an equity that has what was paid in and taken out since.
        """
        ts, gains = profit.arrays()
        # From before its first booking, whose fee counts.
        ts, gains = np.concatenate((ts[:1], ts)), np.concatenate(([0.0], gains))
        base, paid = self.opening(int(ts[0])) or (0.0, [])
        gains += base
        # A sample of its own for each, so that what comes next is a share of what is left by then;
        # what came after its last booking changes nothing of it.
        flows = [flow for flow in paid if flow.ts <= ts[-1]]
        at = np.array([max(flow.ts, ts[0]) for flow in flows], dtype=np.int64)
        places = 1 + np.searchsorted(ts[1:], at)
        moved = np.insert(np.zeros(len(ts)), places, [float(flow.amount) for flow in flows])
        shared = np.insert(gains, places, gains[places - 1]) + np.cumsum(moved)
        return (ts, gains), (
            np.insert(ts, places, at),
            measures.without_flows(shared, moved[1:]),
        )

    @property
    def strategies(self) -> dict[str, StrategyResult]:
        """Return the results by strategy's key."""
        return self._booking.strategies

    @property
    def trips(self) -> list[RoundTrip]:
        """Return the last closed round trips, the oldest first, then the open ones."""
        return [*self._booking.closed, *self._booking.books.open.values()]

    def orders(self, since: float) -> list[OrderRow]:
        """Return the open orders made at or after a time, the oldest first."""
        found = (order for order in self._open.values() if order.created >= since)
        return sorted(found, key=attrgetter("created", "client_order_id"))

    @contextmanager
    def refreshed(self) -> Iterator[None]:
        """Fold what the journal has more than before; nobody else does so inside."""
        with self._lock:
            self._refresh()
            yield

    def _refresh(self) -> None:
        with read(self._folder) as journal:
            run = next(iter(journal.runs()), None)
            paper = run is not None and run.environment == "paper"
            since = run.started if run is not None and paper else 0
            of = (self._folder / NAME).stat().st_ino, since
            if of != self._of:
                self._begin(of)
            known = [self._learn(row.instrument, row.quantity) for row in journal.holdings()]
            if (any(known) and self._fills) or not self._fold_fills(journal, since):
                self._begin(of)
                self._fold_fills(journal, since)
            self._fold_gone(journal, since)
            self._fold_equity(journal, since)
            self._follow_orders(journal)
            kept = journal.load_state("node", TRANSFERS_READ)
            self.flows_known_until = 0 if kept is None else int(kept)

    def _fold_gone(self, journal: JournalReader, since: int) -> None:
        moves = journal.coins_gone(since, time.time_ns())[self._gone :]
        self._gone += len(moves)
        self._booking.flows += [
            Flow(ts, "own coins", -coins * price, f"{name} {ts}")
            for ts, name, coins, price in moves
        ]

    def _fold_equity(self, journal: JournalReader, since: int) -> None:
        query = "SELECT id, ts, equity FROM equity WHERE id > ? AND ts >= ? ORDER BY id"
        for row in journal.each(query, self._equity, since):
            self._equity = row["id"]
            self._curve.add(row["ts"], float(row["equity"]))

    def _follow_orders(self, journal: JournalReader) -> None:
        before, now = self._order_ids, time.monotonic()
        self._order_ids = journal.last_id("intents"), journal.last_id("order_events")
        if now - self._searched >= SEARCH_S:
            # Those that recovery adopted come without a request or an event of theirs.
            self._searched, found = now, journal.unsettled()
        else:
            query = (
                "SELECT client_order_id AS name FROM intents WHERE id > ?"
                " UNION SELECT client_order_id FROM order_events WHERE id > ?"
            )
            names = {*self._open, *(row["name"] for row in journal.query(query, *before))}
            found = [order for name in names if (order := journal.order(name)) is not None]
        self._open = {order.client_order_id: order for order in found if not order.final}

    def _fold_fills(self, journal: JournalReader, since: int) -> bool:
        """Fold new executions; return False where one is older than others of its instrument, or
        shows a finer lot than its coins were booked in.
        """
        folded, finer = dict(self._last), False
        # By the ids, not by the index of times: most were folded before.
        query = "SELECT * FROM fills WHERE id > ? AND +ts >= ? ORDER BY +ts, execution_id"
        for row in journal.each(query, self._fills, since):
            fill = from_sql(FillRow, row)
            if fill.ts < folded.get(fill.instrument, 0):
                return False
            self._last[fill.instrument], self._fills = fill.ts, max(self._fills, row["id"])
            finer |= self._learn(fill.instrument, fill.quantity)
            self._booking.take(fill)
        return not finer

    def _learn(self, instrument: str, quantity: Decimal) -> bool:
        """Learn the lot of spot from a quantity; return whether it is finer than was known."""
        lot = seen_lot(quantity) if is_spot(instrument) else None
        finer = lot is not None and lot < self._lots.get(instrument, lot + 1)
        if lot is not None and finer:
            self._lots[instrument] = lot
        return finer


def thinned(curve: tuple[Integers, Floats], most: int) -> list[tuple[int, float]]:
    """Return at most so many samples, milliseconds: first, last, and each part's extremes."""
    ts, values = curve
    kept = downsample(values, most)
    return list(zip((ts[kept] // 1_000_000).tolist(), values[kept].tolist(), strict=True))


def figures_of(basis: str, curve: tuple[Integers, Floats]) -> dict[str, Any]:
    """Return the figures of a curve of equity by its UTC days; unknown ones are NaN."""
    ts, values = curve
    if not len(ts) or values[0] <= 0:
        return {"basis": basis, "days": 0.0, "since": None}
    start, end = int(ts[0]), int(ts[-1])
    ends, closes = measures.daily_closes(ts, values, start, end, float(values[0]))
    periods, daily = measures.periods_a_year(ends), measures.returns(closes)
    depth = measures.max_drawdown(values)
    return {
        "basis": basis,
        "days": (end - start) / DAY,
        "since": start // 1_000_000,
        "total_return": measures.total_return(daily),
        "sharpe": measures.sharpe(daily, periods),
        "sortino": measures.sortino(daily, periods),
        "calmar": measures.calmar(measures.cagr(daily, periods), depth),
        "max_drawdown": depth,
        "volatility": measures.volatility(daily, periods),
    }
