"""The order gate's shell: stands in front of the execution engine, for every order.

Engine-specific. Both builders (backtest and live) install it; a strategy that ignores our base
class can't get around it. It stands behind the RiskEngine, not before it, because the engine's
emulator sends the orders that it releases past the RiskEngine.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Protocol

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import (
    ModifyOrder,
    SubmitOrder,
    SubmitOrderList,
    TradingCommand,
)
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import (
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderModifyRejected,
    OrderRejected,
    OrderUpdated,
)
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import CurrencyPair, Instrument
from nautilus_trader.model.objects import Price
from nautilus_trader.model.orders import Order

from actors.order_gate import AccountFacts, InstrumentFacts, OrderIntent, refusal
from strategies.messages import Action, Verdict, strictest

ENDPOINT = "ExecEngine.execute"


class AccountView(Protocol):
    """What the gate asks of the account: of the ledger in a backtest, of the cache live."""

    def equity(self) -> float:
        """Return cash plus unrealised profit in the settlement currency."""

    def gross(self) -> float:
        """Return the notional of all positions."""

    def position(self, instrument: str) -> Decimal:
        """Return the signed position."""

    def price(self, instrument: str) -> Decimal | None:
        """Return the newest known price, None when there is none yet."""


class OrderGate:
    """Passes commands on to the execution engine, or denies the order with a reason.

    Parameters
    ----------
    kernel : NautilusKernel
        Of the backtest engine or the trading node.
    account : AccountView
        Where equity and positions come from.
    max_leverage : float
        Largest gross notional per unit of equity.
    """

    def __init__(self, kernel: Any, account: AccountView, max_leverage: float) -> None:
        self._kernel = kernel
        self._bus = kernel.msgbus
        self._account = account
        self._max_leverage = max_leverage
        self._pending: dict[str, dict[str, Decimal]] = {}
        self._added: dict[str, float] = {}
        self._changed: set[str] = set()
        self._valued_at = -1
        self._facts: dict[InstrumentId, InstrumentFacts] = {}
        self._verdicts: dict[str, Verdict] = {}
        self.refusals = 0
        self._pass = kernel.exec_engine.execute
        self._bus.deregister(endpoint=ENDPOINT, handler=self._pass)
        self._bus.register(endpoint=ENDPOINT, handler=self.execute)
        self._bus.subscribe("events.order.*", self._on_order_event)
        self._bus.subscribe("verdicts.*", self._on_verdict)

    def execute(self, command: TradingCommand) -> None:
        """Check a command; whatever neither makes nor changes an order passes."""
        if isinstance(command, SubmitOrder):
            orders = [command.order]
        elif isinstance(command, SubmitOrderList):
            orders = list(command.order_list.orders)
        elif isinstance(command, ModifyOrder):
            self._modify(command)
            return
        else:
            self._pass(command)
            return
        reasons = []
        for order in orders:
            price = order.price if order.has_price else None
            reasons.append(self._refusal(order, order.quantity.as_decimal(), price))
            # Counts from here on, so that the orders of a list are held to the limits together.
            name = order.instrument_id.value
            pending = self._pending.setdefault(name, {})
            pending[order.client_order_id.value] = _signed(order.side, order.quantity.as_decimal())
            self._changed.add(name)
        if any(reasons):
            # A list is one plan: without one of its legs the others could leave a naked position.
            first = next(reason for reason in reasons if reason)
            for order, reason in zip(orders, reasons, strict=True):
                del self._pending[order.instrument_id.value][order.client_order_id.value]
                self._changed.add(order.instrument_id.value)
                self._deny(order, reason or f"another order of its list was refused: {first}")
            return
        self._pass(command)

    def _modify(self, command: ModifyOrder) -> None:
        """Judge a changed order as if it came in anew: it could be enlarged past all limits."""
        order = self._kernel.cache.order(command.client_order_id)
        name, order_id = command.instrument_id.value, command.client_order_id.value
        pending = self._pending.get(name, {})
        if order is None or order_id not in pending:
            # Not under way: the venue says so itself.
            self._pass(command)
            return
        quantity = command.quantity or order.quantity
        left = quantity.as_decimal() - order.filled_qty.as_decimal()
        price = command.price or (order.price if order.has_price else None)
        before = pending.pop(order_id)
        self._changed.add(name)
        reason = self._refusal(order, left, price)
        pending[order_id] = before if reason else _signed(order.side, left)
        self._changed.add(name)
        if reason:
            self._reject_change(order, reason)
        else:
            self._pass(command)

    def _refusal(self, order: Order, quantity: Decimal, price: Price | None) -> str | None:
        name = order.instrument_id.value
        facts = self._instrument_facts(order.instrument_id)
        if facts is None:
            return f"unknown instrument {name}"
        decimals = self._kernel.cache.instrument(order.instrument_id).size_precision
        if order.quantity.precision != decimals:
            # The engine aborts the whole run over it, without a word of what to do.
            return f"quantity {order.quantity} must be given with {decimals} decimals"
        intent = OrderIntent(
            instrument=name,
            quantity=_signed(order.side, quantity),
            price=None if price is None else price.as_decimal(),
            reduce_only=order.is_reduce_only,
        )
        instrument = InstrumentFacts(
            lot=facts.lot,
            min_quantity=facts.min_quantity,
            min_notional=facts.min_notional,
            max_quantity=facts.max_quantity,
            price=self._account.price(name),
            is_spot=facts.is_spot,
        )
        account = AccountFacts(
            equity=self._account.equity(),
            gross=self._gross_with_pending(),
            position=self._account.position(name),
            pending=sum(self._pending.get(name, {}).values(), Decimal(0)),
            max_leverage=self._max_leverage,
        )
        return refusal(
            intent, instrument, account, self._standing(name, order.strategy_id.get_tag())
        )

    def _gross_with_pending(self) -> float:
        # A rebalance sends hundreds of orders at one moment, when prices stand still: only what
        # changed is valued again, or the cost of a rebalance grows with the square of its orders.
        now = self._kernel.clock.timestamp_ns()
        if now != self._valued_at:
            self._valued_at = now
            self._added.clear()
            self._changed.update(name for name, orders in self._pending.items() if orders)
        # Sorted, so that sums don't depend on the hash seed.
        for name in sorted(self._changed):
            self._added[name] = self._added_gross(name)
        self._changed.clear()
        return self._account.gross() + sum(self._added.values())

    def _added_gross(self, name: str) -> float:
        """Return by how much the orders under way change the instrument's notional."""
        price = self._account.price(name)
        if price is None:
            return 0.0
        position = self._account.position(name)
        after = position + sum(self._pending.get(name, {}).values(), Decimal(0))
        return float((abs(after) - abs(position)) * price)

    def _instrument_facts(self, instrument_id: InstrumentId) -> InstrumentFacts | None:
        facts = self._facts.get(instrument_id)
        if facts is None:
            instrument: Instrument | None = self._kernel.cache.instrument(instrument_id)
            if instrument is None:
                return None
            facts = InstrumentFacts(
                lot=instrument.size_increment.as_decimal(),
                min_quantity=_decimal(instrument.min_quantity),
                min_notional=_decimal(instrument.min_notional),
                max_quantity=None
                if instrument.max_quantity is None
                else instrument.max_quantity.as_decimal(),
                price=None,
                is_spot=isinstance(instrument, CurrencyPair),
            )
            self._facts[instrument_id] = facts
        return facts

    def _deny(self, order: Order, reason: str) -> None:
        self.refusals += 1
        now = self._kernel.clock.timestamp_ns()
        denied = OrderDenied(
            trader_id=order.trader_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            reason=f"order gate: {reason}",
            event_id=UUID4(),
            ts_init=now,
        )
        self._bus.send(endpoint="ExecEngine.process", msg=denied)

    def _reject_change(self, order: Order, reason: str) -> None:
        self.refusals += 1
        now = self._kernel.clock.timestamp_ns()
        rejected = OrderModifyRejected(
            trader_id=order.trader_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            venue_order_id=order.venue_order_id,
            account_id=order.account_id,
            reason=f"order gate: {reason}",
            event_id=UUID4(),
            ts_event=now,
            ts_init=now,
        )
        self._bus.send(endpoint="ExecEngine.process", msg=rejected)

    def _on_order_event(self, event: OrderEvent) -> None:
        pending = self._pending.get(event.instrument_id.value)
        if not pending:
            return
        self._changed.add(event.instrument_id.value)
        if event.client_order_id.value not in pending:
            return
        name = event.client_order_id.value
        if isinstance(event, OrderFilled):
            pending[name] -= _signed(event.order_side, event.last_qty.as_decimal())
            if not pending[name]:
                del pending[name]
        elif isinstance(event, OrderUpdated | OrderModifyRejected):
            order = self._kernel.cache.order(event.client_order_id)
            left = order.quantity.as_decimal() - order.filled_qty.as_decimal()
            pending[name] = _signed(order.side, left)
        elif isinstance(event, OrderCanceled | OrderDenied | OrderExpired | OrderRejected):
            del pending[name]

    def _on_verdict(self, verdict: Verdict) -> None:
        key = f"{verdict.guard}|{verdict.scope}"
        if verdict.action == Action.NONE:
            self._verdicts.pop(key, None)
        else:
            self._verdicts[key] = verdict

    def _standing(self, instrument: str, strategy: str) -> Verdict:
        if not self._verdicts:
            return Verdict(action=Action.NONE)
        now = self._kernel.clock.timestamp_ns()
        scopes = ("desk", f"strategy:{strategy}", f"instrument:{instrument}")
        return strictest(
            [
                verdict
                for verdict in self._verdicts.values()
                if verdict.scope in scopes and (verdict.until is None or now < verdict.until)
            ]
        )


def _signed(side: OrderSide, quantity: Decimal) -> Decimal:
    return quantity if side == OrderSide.BUY else -quantity


def _decimal(value: Any) -> Decimal:
    return Decimal(0) if value is None else value.as_decimal()
