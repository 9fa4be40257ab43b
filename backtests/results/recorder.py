"""Records a run, slice by slice, as the result's tables.

Engine-specific where it reads orders. It then purges closed orders and positions from the engine,
so memory does not grow with the window.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from nautilus_trader.model.enums import OrderSide, OrderStatus, OrderType
from nautilus_trader.model.events import OrderCanceled, OrderDenied, OrderRejected
from nautilus_trader.model.orders import Order

from actors.records.ledger import RoundTrip
from actors.records.rows import FillRow
from backtests.engine.build import BacktestDesk, subscribe
from backtests.engine.feed import PRINT_DELAY_NS, FeedSlice, PriceGrid
from backtests.engine.market import RunMarket
from backtests.engine.settlement import FundingPayment
from backtests.results.curves import Benchmarks, EquityCurve, PairCurves, PriceCurves
from backtests.results.tables import SCHEMAS, conform, fill_columns, table
from strategies.messages import Decision, PairEvent, Verdict, encode
from strategies.order_tags import decision_of, reason_of
from strategies.refusals import refusal_of


class RunRecorder:
    """Collects orders, fills, funding, decisions, verdicts and the equity curve of one run."""

    def __init__(self, desk: BacktestDesk, market: RunMarket, start: int, end: int) -> None:
        self._desk = desk
        self.benchmarks: Benchmarks | None = None
        self._prices, self._ids = PriceCurves(start, end), market.ids
        self._pair_curves = PairCurves(start, end)
        self.curve = EquityCurve(desk.accountant.ledger.starting, start, market.column)
        self._messages: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """Rows of the slice by table: decisions, verdicts and what happened to pairs."""
        self._parts: dict[str, list[pa.Table]] = defaultdict(list)
        self._grid: PriceGrid | None = None
        self._new_fills: list[tuple[FillRow, Decimal]] = []
        self._new_payments: list[FundingPayment] = []
        self._ended: list[RoundTrip] = []
        self._drawn = start
        subscribe(desk, "decisions.*", self._on_decision)
        subscribe(desk, "verdicts.*", self._on_verdict)
        subscribe(desk, "pairs.*", self._on_pair_event)

    def end_slice(self, part: FeedSlice) -> None:
        """Record the slice, then purge what is closed from the engine."""
        self._take()
        if self._grid is not None:
            self._draw(self._grid)
        self._grid = part.grid
        cache = self._desk.engine.kernel.cache
        # The clock stands before a slice's last prints: what they closed is purged a slice later.
        now = self._desk.engine.kernel.clock.timestamp_ns()
        closed = [order for order in cache.orders_closed() if order.ts_closed <= now]
        self._keep("orders", [_order_row(order) for order in closed])
        cache.purge_closed_orders(ts_now=now)
        cache.purge_closed_positions(ts_now=now)
        cache.purge_account_events(ts_now=now)

    def end_run(self) -> None:
        """Record the last events of the engine's timers."""
        self._take()
        if self._grid is not None:
            self._draw(self._grid)
            self._grid = None

    def _draw(self, grid: PriceGrid) -> None:
        """Extend the curve by a grid, one slice late.

        The engine fires timers past a slice's last event only when the next slice has one.
        """
        self._prices.extend(grid)
        for trip in (*self._ended, *self._desk.accountant.ledger.open.values()):
            follow_prices(trip, grid, self._drawn, self._ids.index(trip.instrument))
        self._drawn = last = int(grid.ts[-1])
        self._keep("positions", [t.row() for t in self._ended if (t.ts_closed or 0) <= last])
        self._ended = [trip for trip in self._ended if (trip.ts_closed or 0) > last]
        if self.benchmarks is not None:
            self.benchmarks.extend(grid)
        self.curve.extend(
            grid,
            [(fill, cost) for fill, cost in self._new_fills if fill.ts <= last],
            [payment for payment in self._new_payments if payment.ts <= last],
        )
        self._new_fills = [(fill, cost) for fill, cost in self._new_fills if fill.ts > last]
        self._new_payments = [payment for payment in self._new_payments if payment.ts > last]

    def _take(self) -> None:
        accountant = self._desk.accountant
        closed = accountant.ledger.closed
        self._keep("fills", [fill_columns(fill) for fill, _ in accountant.fills])
        self._keep("funding", [asdict(payment) for payment in accountant.payments])
        for name, rows in self._messages.items():
            self._keep(name, rows)
        self._ended += closed
        self._new_fills += accountant.fills
        self._new_payments += accountant.payments
        self._messages.clear()
        for taken in (accountant.fills, accountant.payments, closed):
            taken.clear()

    def _keep(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store rows as Arrow: it takes a tenth of the memory of objects."""
        if rows:
            self._parts[name].append(table(name, rows))

    def _whole(self, name: str, rows: Sequence[Mapping[str, Any]] = ()) -> pa.Table:
        return pa.concat_tables([*self._parts[name], table(name, rows)]).combine_chunks()

    def tables(self) -> dict[str, pa.Table]:
        """Return the result's tables, with the orders and positions that are still open."""
        accountant = self._desk.accountant
        orders = [_order_row(order) for order in self._desk.engine.kernel.cache.orders()]
        trips = [trip.row() for trip in self._ended]
        trips += [
            trip.row(accountant.price(trip.instrument)) for trip in accountant.ledger.open.values()
        ]
        fills = self._whole("fills")
        tables = {
            "orders": _in_order(self._whole("orders", orders)),
            "fills": fills,
            "positions": self._whole("positions", trips),
            "equity": conform("equity", pa.table(self.curve.columns())),
            "decisions": self._whole("decisions"),
            "funding": self._whole("funding"),
            "verdicts": self._whole("verdicts"),
            "prices": self._prices.table(self._ids, set(fills.column("instrument").to_pylist())),
        }
        events, curves = self._whole("pair_events"), self._pair_curves.table()
        if self._desk.fill_mids is not None:
            tables["fill_mids"] = table("fill_mids", self._desk.fill_mids.rows)
        if len(events) or len(curves):
            tables |= {"pair_events": events, "pair_curves": curves}
        return tables

    def _on_pair_event(self, event: PairEvent) -> None:
        if event.kind == "candle":
            self._pair_curves.add(event)
        else:
            row = _row("pair_events", event, payload=encode(event))
            self._messages["pair_events"].append(row)

    def _on_verdict(self, verdict: Verdict) -> None:
        now = self._desk.engine.kernel.clock.timestamp_ns()
        row = _row("verdicts", verdict, ts=now, action=verdict.action.name.lower())
        self._messages["verdicts"].append(row)

    def _on_decision(self, decision: Decision) -> None:
        row = _row("decisions", decision, payload=encode(decision), decision_id=decision.id)
        self._messages["decisions"].append(row)


def _row(name: str, message: Any, **own: Any) -> dict[str, Any]:
    """Return a table's row of a message: what is not given is the message's field of that name."""
    return own | {n: getattr(message, n) for n in SCHEMAS[name].names if n not in own}


def decisions_of(decisions: pa.Table) -> list[Decision]:
    """Return the Decisions of a result's table."""
    decoder = msgspec.json.Decoder(Decision)
    return [decoder.decode(payload) for payload in decisions.column("payload").to_pylist()]


def _order_row(order: Order) -> dict[str, Any]:
    last = order.last_event
    if order.status in (OrderStatus.DENIED, OrderStatus.REJECTED):
        # A cancel that came too late for it may follow its refusal.
        last = next(e for e in reversed(order.events) if isinstance(e, OrderDenied | OrderRejected))
    reason = reason_of(order.tags)
    refusal = None
    if isinstance(last, OrderDenied | OrderRejected):
        refusal = refusal_of(
            last.reason,
            denied=isinstance(last, OrderDenied),
            post_only=isinstance(last, OrderRejected) and last.due_post_only,
        )
        reason = refusal.words
    elif isinstance(last, OrderCanceled) and not reason:
        reason = "cancelled"
    closed = order.is_closed
    return {
        "client_order_id": order.client_order_id.value,
        "strategy": order.strategy_id.get_tag(),
        "instrument": order.instrument_id.value,
        "ts_created": order.ts_init,
        "ts_arrived": order.ts_accepted or None,
        "ts_closed": order.ts_last if closed else None,
        "side": "BUY" if order.side == OrderSide.BUY else "SELL",
        "type": OrderType(order.order_type).name,
        "quantity": order.quantity.as_decimal(),
        "limit_price": order.price.as_decimal() if order.has_price else None,
        "trigger_price": order.trigger_price.as_decimal() if order.has_trigger_price else None,
        "filled": order.filled_qty.as_decimal(),
        "avg_px": order.avg_px if order.filled_qty else None,
        "status": OrderStatus(order.status).name,
        "reduce_only": order.is_reduce_only,
        "reason": reason,
        "decision_id": decision_of(order.tags),
        "refusal": None if refusal is None else refusal.code,
        "refused_by": None if refusal is None else refusal.guard or None,
    }


def _in_order(orders: pa.Table) -> pa.Table:
    """Sort orders by the time and the number of their creation."""

    def made(row: int) -> tuple[int, str, int]:
        head, _, number = names[row].rpartition("-")
        return stamps[row], head, int(number, 36)

    stamps = orders.column("ts_created").to_pylist()
    names = orders.column("client_order_id").to_pylist()
    return orders.take(pa.array(sorted(range(len(orders)), key=made), pa.int64()))


def follow_prices(trip: RoundTrip, grid: PriceGrid, before: int, column: int) -> None:
    """Add to a trip's extremes the closes while it was held, and of whole candles all prices.

    On books they are the mids. A mark price is none: it follows other exchanges, and nobody trades
    at it.
    ``before`` is the close time before the grid's first.
    """
    held = grid.ts > trip.ts_opened
    if trip.ts_closed is not None:
        held &= grid.ts <= trip.ts_closed
    # On candles a fill at the open is stamped a moment later.
    opens = np.append(before, grid.ts[:-1]) + (PRINT_DELAY_NS if grid.marks is None else 0)
    whole = held & (opens >= trip.ts_opened)
    _, high, low = grid.traded if grid.traded is not None else (grid.close, grid.high, grid.low)
    seen = (grid.close[held, column], low[whole, column], high[whole, column])
    prices = np.concatenate(seen) if grid.mids is None else grid.mids[held, column]
    # fmin and fmax pass over the prices that are not there yet.
    trip.low = float(np.fmin.reduce(prices, initial=trip.low))
    trip.high = float(np.fmax.reduce(prices, initial=trip.high))
