"""Profit by strategy and the account's curve of a node, folded as its journal grows.

A page would else read all executions again. What was folded is begun anew where the journal is
another one, and where an execution came late, as a sweep finds one.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from actors import measures
from actors.measures import DAY, Floats, Integers
from actors.records.coins import COIN, WholeLots, cash_moved, every_part
from actors.records.journal_files import NAME
from actors.records.journal_reading import JournalReader, read
from actors.records.ledger import ZERO, Ledger, RoundTrip
from actors.records.rows import FillRow, from_sql
from backtests.report.report_data import downsample
from backtests.results.figures import without_flows
from config.documents import Node
from config.universe import select
from live_nodes.node.risk_books import pass_fill
from live_nodes.reports.live_result import CHARGES
from strategies.account_value import is_spot

TRIPS = 50_000
"""Closed round trips that are kept to be listed; older ones stay in the trade history."""

TRANSFERS = "transfers complete"
"""State of the node with the time until which it has read the venue's transaction log."""


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


class _Booking:
    """Takes executions by owner, as the guards' desk of a node does."""

    def __init__(self) -> None:
        self.books, self.strategies = Ledger(ZERO), dict[str, StrategyResult]()
        self.closed: deque[RoundTrip] = deque(maxlen=TRIPS)
        self.now = 0

    def filled(self, fill: FillRow) -> None:
        kept = self.strategies.setdefault(fill.strategy, StrategyResult())
        change = self.books.book(fill)
        kept.fees += fill.fee
        kept.slippage += fill.slippage or ZERO
        kept.volume += fill.notional
        kept.book(fill.ts, change - fill.signed * fill.price - fill.fee)
        kept.nets += [float(t.gross() - t.fees + t.funding) for t in self.books.closed]
        self.closed.extend(self.books.closed)
        self.books.closed.clear()

    def funded(self, strategy: str, instrument: str, amount: Decimal) -> None:
        kept = self.strategies.setdefault(strategy, StrategyResult())
        trip = self.books.open.get((strategy, instrument))
        if trip is not None:
            trip.funding += amount
        kept.funding += amount
        kept.book(self.now, amount)


class NodeBooks:
    """The books of one node; `refreshed` reads what is new, and may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._of: object = None
        self._begin(None)

    def _begin(self, of: object) -> None:
        self._of = of
        self._booking, self._lots = _Booking(), WholeLots(every_part)
        self._last: dict[str, int] = {}
        self._fills = self._equity = 0
        self._curve = Curve()
        self.flows: list[tuple[int, Decimal]] = []
        self.flows_known_until = 0

    @property
    def account(self) -> tuple[Integers, Floats]:
        """Return the account's equity."""
        return self._curve.arrays()

    @property
    def equity(self) -> tuple[Integers, Floats]:
        """Return `account` as if nothing had been paid in or taken out."""
        ts, values = self.account
        if not self.flows or not len(ts):
            return ts, values
        return ts, without_flows(ts, values, float(values[0]), self.flows)

    def opening(self, ts: int) -> tuple[float, Decimal] | None:
        """Return the account's equity at a time, and what was paid in since; None before any."""
        curve = self._curve
        if not curve.ts:
            return None
        place = max(0, bisect_right(curve.ts, ts) - 1)
        since = curve.ts[place]
        return curve.values[place], sum((paid for at, paid in self.flows if at > since), ZERO)

    @property
    def strategies(self) -> dict[str, StrategyResult]:
        """Return the results by strategy's key."""
        return self._booking.strategies

    @property
    def trips(self) -> list[RoundTrip]:
        """Return the last closed round trips, the oldest first, then the open ones."""
        return [*self._booking.closed, *self._booking.books.open.values()]

    @contextmanager
    def refreshed(self, node: Node | None) -> Iterator[None]:
        """Fold what the journal has more than before; nobody else does so inside."""
        with self._lock:
            self._refresh(node)
            yield

    def _refresh(self, node: Node | None) -> None:
        with read(self._folder) as journal:
            run = next(iter(journal.runs()), None)
            paper = run is not None and run.environment == "paper"
            since = run.started if run is not None and paper else 0
            of = (self._folder / NAME).stat().st_ino, since
            if of != self._of:
                self._begin(of)
            self._fold_equity(journal, since)
            if not self._fold_fills(journal, node, since):
                self._begin(of)
                self._fold_equity(journal, since)
                self._fold_fills(journal, node, since)
            kept = journal.load_state("node", TRANSFERS)
            self.flows_known_until = 0 if kept is None else int(kept)

    def _fold_equity(self, journal: JournalReader, since: int) -> None:
        query = "SELECT id, ts, equity FROM equity WHERE id > ? AND ts >= ? ORDER BY id"
        for row in journal.each(query, self._equity, since):
            self._equity = row["id"]
            self._curve.add(row["ts"], float(row["equity"]))

    def _fold_fills(self, journal: JournalReader, node: Node | None, since: int) -> bool:
        """Fold new executions; return False where one is older than others of its instrument."""
        booking: Any = self._booking
        owners, folded = _owners(journal, node), dict(self._last)
        # By the ids, not by the index of times: most were folded before.
        query = "SELECT * FROM fills WHERE id > ? AND +ts >= ? ORDER BY +ts, execution_id"
        for row in journal.each(query, self._fills, since):
            fill = from_sql(FillRow, row)
            if fill.ts < folded.get(fill.instrument, 0):
                return False
            self._last[fill.instrument], self._fills = fill.ts, max(self._fills, row["id"])
            if fill.instrument == COIN:
                if fill.kind not in CHARGES:
                    self.flows.append((fill.ts, -fill.fee))
            elif fill.strategy or fill.kind != "Trade":
                self._booking.now = fill.ts
                pass_fill(fill, booking, owners, self._lots)
            elif is_spot(fill.instrument):
                # As in `reports`: what others pay for coins of theirs goes out.
                self.flows.append((fill.ts, cash_moved(fill)))
        return True


def _owners(journal: JournalReader, node: Node | None) -> dict[str, str]:
    """Return who gets what no order says: funding after a close, a liquidation after one."""
    if node is None:
        return {}
    names = [row.instrument for row in journal.holdings()]
    return {
        name: key
        for key, component in node.strategies.items()
        for name in select(names, node.universe, component)
    }


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
