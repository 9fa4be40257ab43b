"""Journal the engine's events, decisions and verdicts. Engine-specific.

The order gate journals requests before they leave (`Journal.intended`). A journal that fails ends
the run: the error reaches the engine's queue, which shuts the node down. A full disk is none in a
node that goes on (`Journal.keep_rows`).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from nautilus_trader.model.enums import LiquiditySide, OrderSide, OrderStatus
from nautilus_trader.model.events import (
    OrderCancelRejected,
    OrderEvent,
    OrderFilled,
    OrderInitialized,
    OrderModifyRejected,
    OrderRejected,
    PositionEvent,
)

from actors.gate.order_messages import order_facts
from actors.gate.pending import AccountView
from actors.records.journal import Journal
from actors.records.journal_schema import UNKNOWN
from actors.records.owners import owner_of
from actors.records.rows import MARKS, EquityRow, FillRow, PositionRow, marks_of_day
from live_nodes.bybit.spot import PAID
from strategies.messages import Decision, Verdict
from strategies.refusals import readable, refusal_of

_OF_REQUESTS = OrderCancelRejected, OrderModifyRejected


class JournalRecorder:
    """Subscribes to the node's messages and journals them in the current run.

    The engine also follows orders of others. Those whose id is not `is_ours` stay out of the
    journal: what it has counts as the node's own.
    """

    def __init__(
        self, kernel: Any, journal: Journal, is_ours: Callable[[str], bool] = lambda name: True
    ) -> None:
        self._is_ours = is_ours
        self._cache = kernel.cache
        self._clock = kernel.clock
        self._journal = journal
        for topic, handler in (
            ("events.order.*", self.on_order_event),
            ("events.position.*", self.on_position_event),
            ("decisions.*", self.on_decision),
            ("verdicts.*", self.on_verdict),
        ):
            kernel.msgbus.subscribe(topic, handler)

    def on_order_event(self, event: OrderEvent) -> None:
        """Journal an order's event, its new state and its fill."""
        if isinstance(event, OrderInitialized):
            # The event comes before the request leaves, and the gate has just journaled its intent.
            return
        name = event.client_order_id.value
        order = self._cache.order(event.client_order_id)
        is_known = self._journal.order(name) is not None
        if not is_known and not self._is_ours(name):
            return
        with self._journal.together():
            kind, detail = type(event).__name__, readable(str(getattr(event, "reason", "")))
            self._journal.order_event(name, kind, detail, event.ts_event)
            if order is None:
                return
            if not is_known:
                self._adopt(order)
            given_up = order.status == OrderStatus.REJECTED and any(
                isinstance(e, OrderRejected) and refusal_of(e.reason).code == "no_answer"
                for e in order.events
            )
            if given_up and not isinstance(event, OrderRejected):
                # The engine can't follow the order from here on; sweep and recovery find its end.
                return
            self._journal.outcome(
                name,
                UNKNOWN if given_up else OrderStatus(order.status).name,
                venue_order_id=order.venue_order_id.value if order.venue_order_id else "",
                filled=order.filled_qty.as_decimal(),
                quantity=order.quantity.as_decimal(),
                price=order.price.as_decimal() if order.has_price else None,
                # What came of a later request does not say why the order was made.
                reason="" if isinstance(event, _OF_REQUESTS) else detail,
            )
            # A fill of reconciliation may be the engine's invention: the sweep takes the real ones.
            if isinstance(event, OrderFilled) and not event.reconciliation:
                self._journal.fill(_fill_row(event))
                self._journal.count("fills")

    def _adopt(self, order: Any) -> None:
        price = order.price if order.has_price else None
        facts = order_facts(
            order,
            "submit",
            order.quantity.as_decimal(),
            price,
            order.is_reduce_only,
            order.ts_init,
        )
        self._journal.adopt(facts, "", OrderStatus(order.status).name)

    def on_position_event(self, event: PositionEvent) -> None:
        """Journal the current position."""
        position = self._cache.position(event.position_id)
        if position is not None:
            self._journal.positions([_position_row(position, event.ts_event)])

    def on_decision(self, decision: Decision) -> None:
        """Journal a strategy's decision."""
        self._journal.decision(decision)
        self._journal.count("decisions")

    def on_verdict(self, verdict: Verdict) -> None:
        """Journal a guard's verdict."""
        self._journal.verdict(verdict)

    def snapshot(self, account: AccountView) -> None:
        """Journal current and closed positions, and the account's equity."""
        now = self._clock.timestamp_ns()
        rows = {
            (row.instrument, row.owner): row
            for row in (_position_row(p, now) for p in self._cache.positions_open())
        }
        for known in self._journal.holdings():
            key = (known.instrument, known.owner)
            if known.quantity and key not in rows:
                zero = Decimal(0)
                rows[key] = PositionRow(*key, now, zero, zero, known.realized)
        marks = {
            row.instrument: price
            for row in rows.values()
            if row.quantity and (price := account.price(row.instrument)) is not None
        }
        net = sum(
            (row.quantity * marks.get(row.instrument, Decimal(0)) for row in rows.values()),
            Decimal(0),
        )
        balance = account.balance() or Decimal(0)
        equity, gross = account.value()
        with self._journal.together():
            self._journal.positions(rows.values())
            for name in (MARKS, marks_of_day(now)):
                self._journal.save_state("", name, msgspec.json.encode(marks))
            self._journal.equity(
                EquityRow(
                    ts=now,
                    equity=_money(equity),
                    balance=balance.quantize(_MONEY),
                    gross=_money(gross),
                    net=net.quantize(_MONEY),
                )
            )


_MONEY = Decimal("0.00000001")


def _money(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(_MONEY)


def _position_row(position: Any, ts: int) -> PositionRow:
    realized = position.realized_pnl
    return PositionRow(
        instrument=position.instrument_id.value,
        owner=owner_of(position.strategy_id),
        changed=ts,
        quantity=position.signed_decimal_qty(),
        entry_price=Decimal(repr(position.avg_px_open)),
        realized=Decimal(0) if realized is None else realized.as_decimal(),
    )


def _fill_row(event: OrderFilled) -> FillRow:
    fee = event.commission
    paid = Decimal(0) if fee is None else fee.as_decimal()
    return FillRow(
        instrument=event.instrument_id.value,
        execution_id=event.trade_id.value,
        ts=event.ts_event,
        client_order_id=event.client_order_id.value,
        venue_order_id=event.venue_order_id.value,
        strategy=owner_of(event.strategy_id),
        side="BUY" if event.order_side == OrderSide.BUY else "SELL",
        quantity=event.last_qty.as_decimal(),
        price=event.last_px.as_decimal(),
        # Of coins, the engine gets a fee that leaves whole lots.
        fee=Decimal(event.info[PAID]) if PAID in (event.info or {}) else paid,
        fee_coin="" if fee is None else fee.currency.code,
        liquidity="MAKER" if event.liquidity_side == LiquiditySide.MAKER else "TAKER",
        kind="Trade",
        source="push",
    )
