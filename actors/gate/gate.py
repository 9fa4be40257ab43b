"""The order gate's shell: stands in front of the execution engine, for every order.

Engine-specific. Both builders (backtest and live) install it; a strategy that ignores our base
class can't get around it. It stands behind the RiskEngine, not before it, because the engine's
emulator sends the orders that it releases past the RiskEngine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from nautilus_trader.common.component import Logger
from nautilus_trader.execution.messages import (
    BatchCancelOrders,
    CancelAllOrders,
    CancelOrder,
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

from actors.gate.denials import cancel_rejected, change_rejected, denied
from actors.gate.order_reading import cancel_all_facts, cancel_facts, order_facts
from actors.gate.rules import AccountFacts, InstrumentFacts, OrderIntent, reduces, refusal
from actors.guards.core.snapshot import Holding
from actors.records.order_facts import Hold, Observer, OrderFacts
from config.errors import DeskError
from strategies.messages import Action, Verdict
from strategies.refusals import Refusal, refused_by
from strategies.verdicts import board_of

ENDPOINT = "ExecEngine.execute"

Sender = Callable[[TradingCommand, Sequence[OrderFacts]], None]
"""Brings a command that passed to `OrderGate.forward`, now or a little later."""


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

    def worth(self) -> Decimal | None:
        """Return the equity exactly, None before the venue told it."""

    def balance(self) -> Decimal | None:
        """Return what is realised, fees and funding included; None before the venue told it."""

    def holdings(self) -> list[Holding]:
        """Return every open position of every owner, sorted by instrument, then owner."""


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

    Attributes
    ----------
    observers : list of Observer
        Told of every request before it leaves, and of every refusal. One that raises a `DeskError`
        (a journal that can't be written) stops entries, never exits.
    sender : Sender or None
        Paces what passed; None sends at once.
    refusals, unwritten : int
        Requests refused, and exits that left although an observer failed.
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
        self._verdicts = board_of(kernel.msgbus)
        self.refusals = 0
        self.unwritten = 0
        self.observers: list[Observer] = []
        self.sender: Sender | None = None
        self._holds: list[tuple[Hold, bool]] = []
        self._log = Logger("OrderGate")
        self._pass = kernel.exec_engine.execute
        self._bus.deregister(endpoint=ENDPOINT, handler=self._pass)
        self._bus.register(endpoint=ENDPOINT, handler=self.execute)
        self._bus.subscribe("events.order.*", self._on_order_event)

    def hold(self, hold: Hold, *, exits: bool = False) -> None:
        """Add a hold; with `exits` it applies to exits and to cancels too (a dry run)."""
        self._holds.append((hold, exits))

    def held(self, facts: OrderFacts) -> Refusal | None:
        """Return why a hold, or a verdict that came meanwhile, keeps a request back."""
        standing = self._standing(facts.instrument, facts.strategy)
        if not facts.is_exit and standing.action >= Action.HALT_ENTRIES:
            return refused_by(standing)
        for hold, exits in self._holds:
            if facts.is_exit and not exits:
                continue
            found = hold(facts)
            if found:
                return Refusal(code="gate", text=found) if isinstance(found, str) else found
        return None

    @property
    def under_way(self) -> Mapping[str, Mapping[str, Decimal]]:
        """What orders that passed may still fill: signed, by instrument and client order id."""
        return self._pending

    def forward(self, command: TradingCommand) -> None:
        """Bring a command that passed to the execution engine; for a `Sender`."""
        self._pass(command)

    def take_back(self, order: Order, refusal: Refusal | str) -> None:
        """Deny an order that passed and has not left; for a `Sender`."""
        self._pending.get(order.instrument_id.value, {}).pop(order.client_order_id.value, None)
        self._changed.add(order.instrument_id.value)
        if isinstance(refusal, str):
            refusal = Refusal(code="gate", text=refusal)
        self._deny(order, refusal)

    def execute(self, command: TradingCommand) -> None:
        """Check a command; whatever neither makes, changes nor takes back an order passes."""
        if isinstance(command, SubmitOrder):
            self._submit(command, [command.order])
        elif isinstance(command, SubmitOrderList):
            self._submit(command, list(command.order_list.orders))
        elif isinstance(command, ModifyOrder):
            self._modify(command)
        elif isinstance(command, CancelOrder | CancelAllOrders | BatchCancelOrders):
            self._cancel(command)
        else:
            self._pass(command)

    def _submit(self, command: TradingCommand, orders: list[Order]) -> None:
        reasons: list[Refusal | None] = []
        told: list[OrderFacts] = []
        for order in orders:
            quantity = order.quantity.as_decimal()
            price = order.price if order.has_price else None
            reason, is_exit = self._refusal(order, quantity, price)
            if self._is_wired:
                arrival = self._account.price(order.instrument_id.value)
                facts = order_facts(order, "submit", quantity, price, is_exit, self._now(), arrival)
                told.append(facts)
                reason = reason or self.held(facts)
            reasons.append(reason)
            # Counts from here on, so that the orders of a list are held to the limits together.
            name = order.instrument_id.value
            pending = self._pending.setdefault(name, {})
            pending[order.client_order_id.value] = _signed(order.side, quantity)
            self._changed.add(name)
        if any(reasons) or not self._written(told, reasons):
            # A list is one plan: without one of its legs the others could leave a naked position.
            first = next(reason for reason in reasons if reason)
            other = Refusal(
                code="gate",
                text=f"another order of its list was refused: {first}",
                guard=first.guard,
                transient=first.transient,
            )
            words = [reason or other for reason in reasons]
            for order, word in zip(orders, words, strict=True):
                del self._pending[order.instrument_id.value][order.client_order_id.value]
                self._changed.add(order.instrument_id.value)
                self._deny(order, word)
            self._tell_refused(told, words)
            return
        self._send(command, told)

    def _modify(self, command: ModifyOrder) -> None:
        """Judge a changed order as if it came in anew: it could be enlarged past all limits."""
        order = self._kernel.cache.order(command.client_order_id)
        name, order_id = command.instrument_id.value, command.client_order_id.value
        if order is None or order.is_closed:
            # The venue says itself that it is gone. The request is written down all the same, and a
            # dry run sends nothing.
            self._modify_unknown(command, order)
            return
        pending = self._pending.setdefault(name, {})
        quantity = command.quantity or order.quantity
        left = quantity.as_decimal() - order.filled_qty.as_decimal()
        price = command.price or (order.price if order.has_price else None)
        # None of an order from before the start: from its change on it is under way here.
        before = pending.pop(order_id, None)
        self._changed.add(name)
        reason, is_exit = self._refusal(order, left, price)
        pending[order_id] = _signed(order.side, left)
        self._changed.add(name)
        told: list[OrderFacts] = []
        reasons = [reason]
        if self._is_wired:
            facts = order_facts(order, "modify", left, price, is_exit, self._now())
            told = [facts]
            reasons = [reason or self.held(facts)]
        if any(reasons) or not self._written(told, reasons):
            word = reasons[0]
            assert word is not None
            del pending[order_id]
            if before is not None:
                pending[order_id] = before
            self._changed.add(name)
            self._reject_change(order, word)
            self._tell_refused(told, [word])
        else:
            self._send(command, told)

    def _modify_unknown(self, command: ModifyOrder, order: Order | None) -> None:
        if order is None or not self._is_wired:
            self._pass(command)
            return
        quantity = (command.quantity or order.quantity).as_decimal()
        price = command.price or (order.price if order.has_price else None)
        left = quantity - order.filled_qty.as_decimal()
        facts = order_facts(order, "modify", left, price, False, self._now())
        reasons = [self.held(facts)]
        if any(reasons) or not self._written([facts], reasons):
            word = reasons[0]
            assert word is not None
            self._reject_change(order, word)
            self._tell_refused([facts], [word])
        else:
            self._send(command, [facts])

    def _cancel(self, command: TradingCommand) -> None:
        """Let it pass, except in a dry run: to take an order back is never refused."""
        if not self._is_wired:
            self._pass(command)
            return
        if isinstance(command, CancelAllOrders):
            told = [cancel_all_facts(command, self._now())]
        else:
            cancels = command.cancels if isinstance(command, BatchCancelOrders) else [command]
            told = [cancel_facts(cancel, self._now()) for cancel in cancels]
        reasons = [self.held(facts) for facts in told]
        if any(reasons):
            word = next(reason for reason in reasons if reason)
            for order in self._being_cancelled(command):
                self._reject_cancel(order, word)
            self._tell_refused(told, [word] * len(told))
            return
        self._written(told, reasons)
        self._send(command, told)

    def _being_cancelled(self, command: TradingCommand) -> list[Order]:
        cache = self._kernel.cache
        if isinstance(command, CancelAllOrders):
            return [
                order
                for order in cache.orders_open(
                    instrument_id=command.instrument_id, strategy_id=command.strategy_id
                )
                if order.is_pending_cancel
            ]
        cancels = command.cancels if isinstance(command, BatchCancelOrders) else [command]
        found = [cache.order(cancel.client_order_id) for cancel in cancels]
        return [order for order in found if order is not None and order.is_pending_cancel]

    # Observers, holds, sender ------------------------------------------------------------------

    @property
    def _is_wired(self) -> bool:
        # Backtests hang nothing on the gate and are spared the facts.
        return bool(self.observers or self._holds or self.sender)

    def _written(self, told: list[OrderFacts], reasons: list[Refusal | None]) -> bool:
        """Tell the observers; False, with the reason filled in, when an entry must not leave."""
        try:
            for facts in told:
                for observer in self.observers:
                    observer.intended(facts)
        except DeskError as error:
            if not all(facts.is_exit for facts in told):
                reasons[0] = Refusal(code="gate", text=f"it could not be written down: {error}")
                return False
            self.unwritten += 1
            self._log.error(f"An exit leaves without being written down: {error}")
        return True

    def _tell_refused(self, told: list[OrderFacts], refusals: Sequence[Refusal]) -> None:
        try:
            for facts, refusal in zip(told, refusals, strict=False):
                for observer in self.observers:
                    observer.refused(facts, refusal)
        except DeskError as error:
            self._log.error(f"A refusal could not be written down: {error}")

    def _send(self, command: TradingCommand, told: list[OrderFacts]) -> None:
        if self.sender is None:
            self._pass(command)
        else:
            self.sender(command, told)

    def _now(self) -> int:
        return int(self._kernel.clock.timestamp_ns())

    # Judgement ---------------------------------------------------------------------------------

    def _refusal(
        self, order: Order, quantity: Decimal, price: Price | None
    ) -> tuple[Refusal | None, bool]:
        """Return why the order is refused, if it is, and whether it is an exit."""
        name = order.instrument_id.value
        facts = self._instrument_facts(order.instrument_id)
        if facts is None:
            return Refusal(code="gate", text=f"unknown instrument {name}"), False
        decimals = self._kernel.cache.instrument(order.instrument_id).size_precision
        if order.quantity.precision != decimals:
            # The engine aborts the whole run over it, without a word of what to do.
            text = f"quantity {order.quantity} must be given with {decimals} decimals"
            return Refusal(code="gate", text=text), False
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
        buys, sells = self._both_sides(order)
        account = AccountFacts(
            equity=self._account.equity(),
            gross=self._gross_with_pending(),
            position=self._account.position(name),
            buys=buys,
            sells=sells,
            max_leverage=self._max_leverage,
            shrunk=self._verdicts.strictest(("desk",)),
        )
        standing = self._standing(name, order.strategy_id.get_tag())
        return refusal(intent, instrument, account, standing), reduces(intent, account)

    def _both_sides(self, asked: Order) -> tuple[Decimal, Decimal]:
        """Return what the other orders under way in its instrument may still buy and sell."""
        pending = self._pending.get(asked.instrument_id.value, {})
        lefts = list(pending.values())
        # Of orders from before the start the engine alone knows.
        for order in self._kernel.cache.orders_open(instrument_id=asked.instrument_id):
            name = order.client_order_id
            if name.value not in pending and name != asked.client_order_id:
                left = order.quantity.as_decimal() - order.filled_qty.as_decimal()
                lefts.append(_signed(order.side, left))
        buys = sells = Decimal(0)
        for left in lefts:
            if left > 0:
                buys += left
            else:
                sells -= left
        return buys, sells

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
        pending = self._pending.get(name)
        price = self._account.price(name) if pending else None
        if not pending or price is None:
            return 0.0
        position = self._account.position(name)
        after = position + sum(pending.values(), Decimal(0))
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

    def _deny(self, order: Order, reason: Refusal) -> None:
        self._answer(denied(order, reason, self._now()))

    def _reject_change(self, order: Order, reason: Refusal) -> None:
        self._answer(change_rejected(order, reason, self._now()))

    def _reject_cancel(self, order: Order, reason: Refusal) -> None:
        self._answer(cancel_rejected(order, reason, self._now()))

    def _answer(self, event: OrderEvent) -> None:
        self.refusals += 1
        self._bus.send(endpoint="ExecEngine.process", msg=event)

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

    def _standing(self, instrument: str, strategy: str) -> Verdict:
        scopes = ("desk", f"strategy:{strategy}", f"instrument:{instrument}")
        return self._verdicts.strictest(scopes)


def _signed(side: OrderSide, quantity: Decimal) -> Decimal:
    return quantity if side == OrderSide.BUY else -quantity


def _decimal(value: Any) -> Decimal:
    return Decimal(0) if value is None else value.as_decimal()
