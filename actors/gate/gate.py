"""The order gate: receives every order before the execution engine does. Engine-specific.

Backtests and live nodes install it, and a strategy can't avoid it. It stands behind the RiskEngine
because the engine's emulator sends its released orders past the RiskEngine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace
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
from nautilus_trader.model.enums import ContingencyType, OrderStatus, OrderType
from nautilus_trader.model.events import OrderEvent
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.instruments import CurrencyPair, Instrument
from nautilus_trader.model.objects import Price
from nautilus_trader.model.orders import Order

from actors.gate.order_messages import (
    cancel_facts,
    cancel_rejected,
    change_rejected,
    denied,
    order_facts,
)
from actors.gate.pending import AccountView, PendingOrders, protects, signed
from actors.gate.rules import AccountFacts, InstrumentFacts, OrderIntent, judge, reduces
from actors.records.order_facts import Hold, Observer, Operation, OrderFacts
from config.errors import DeskError
from strategies.messages import NOTHING_STANDS, Action
from strategies.refusals import Refusal, refused_by
from strategies.verdicts import board_of

ENDPOINT = "ExecEngine.execute"

_LINKED = Refusal(
    code="linked",
    text="linked orders are not supported: nothing would cancel one when the other fills; "
    "send reduce-only stop and limit orders in place of OCO, OTO, OUO and brackets",
)

WITHDRAWN = Refusal(code="withdrawn", text="cancelled before it left")
_REMEMBERED = 10_000

Sender = Callable[[TradingCommand, Sequence[OrderFacts]], None]
"""Sends a command that passed to `OrderGate.forward`, now or a little later."""


class OrderGate:
    """Passes commands on to the execution engine, or denies the order with a reason.

    Attributes
    ----------
    observers : list of Observer
        Get every request before it leaves, and every refusal. An observer that raises a
        `DeskError` (a journal that can't be written) stops entries, never exits.
    followers : list of Observer
        Get every request right after it left, so that it does not wait for them, and every refusal.
    sender : Sender or None
        Sets the pace of commands that passed; None sends at once.
    refusals, unwritten : int
        Number of refused requests, and of exits that left although an observer failed.
    """

    def __init__(self, kernel: Any, account: AccountView, max_leverage: float) -> None:
        self._kernel = kernel
        self._bus, self._clock = kernel.msgbus, kernel.clock
        self.account = account
        self._max_leverage = max_leverage
        self._board = board_of(kernel.msgbus)
        self._pending = PendingOrders(kernel, account)
        self._facts: dict[InstrumentId, tuple[Instrument, InstrumentFacts]] = {}
        self.refusals = 0
        self.unwritten = 0
        self.observers: list[Observer] = []
        self.followers: list[Observer] = []
        self.sender: Sender | None = None
        self._holds: list[tuple[Hold, bool]] = []
        self._arrived: set[ClientOrderId] = set()
        self._cancelled_early: set[ClientOrderId] = set()
        self._log = Logger("OrderGate")
        # Live, not by the execution engine's queue: its turn of the loop would delay each order.
        self._pass = kernel.exec_engine._execute_command
        self._bus.deregister(endpoint=ENDPOINT, handler=kernel.exec_engine.execute)
        self._bus.register(endpoint=ENDPOINT, handler=self.execute)

    def hold(self, hold: Hold, *, exits: bool = False) -> None:
        """Add a hold; with `exits` it also applies to exits and cancels (a dry run)."""
        self._holds.append((hold, exits))

    def held(self, facts: OrderFacts) -> Refusal | None:
        """Return why a hold or a newer verdict stops a request, or None."""
        if not facts.is_exit:
            standing = self._board.strictest(_scopes(facts.instrument, facts.strategy))
            if standing.action >= Action.HALT_ENTRIES:
                return refused_by(standing)
        for hold, exits in self._holds:
            found = hold(facts) if exits or not facts.is_exit else None
            if found:
                return Refusal(code="gate", text=found) if isinstance(found, str) else found
        return None

    @property
    def under_way(self) -> Mapping[str, Mapping[str, Decimal]]:
        """What orders that passed may still fill: signed, by instrument and client order id."""
        return self._pending.left

    def forward(self, command: TradingCommand) -> None:
        """Send a command that passed to the execution engine; for a `Sender`."""
        self._pass(command)

    def has_ended(self, name: ClientOrderId) -> bool:
        """Whether an order is known to have ended; for a `Sender`."""
        order = self._kernel.cache.order(name)
        return order is not None and bool(order.is_closed)

    def withdraw(self, order: Order, why: Refusal) -> None:
        """Deny an order that passed but has not left; for a `Sender`."""
        self._pending.drop(order)
        self._answer(denied, order, why)

    def execute(self, command: TradingCommand) -> None:
        """Check a command that makes, changes or cancels an order; pass all others on."""
        if isinstance(command, CancelOrder) and self._overtakes(command.client_order_id):
            self._cancelled_early.add(command.client_order_id)
        elif isinstance(command, SubmitOrder):
            self._submit(command, [command.order])
        elif isinstance(command, SubmitOrderList):
            self._submit(command, list(command.order_list.orders))
        elif isinstance(command, ModifyOrder):
            self._modify(command)
        elif isinstance(command, CancelOrder | CancelAllOrders | BatchCancelOrders):
            self._cancel(command)
        else:
            self._pass(command)

    # Live, the engine queues orders, but no cancels.

    def _overtakes(self, name: ClientOrderId) -> bool:
        """Whether a cancel is of an order that has yet to come."""
        order = self._kernel.cache.order(name)
        is_new = order is not None and order.status == OrderStatus.INITIALIZED
        return is_new and name not in self._arrived

    def _arrive(self, orders: list[Order]) -> bool:
        """Note orders; deny them when a cancel came before, and return whether they go on.

        A list goes on whole or not at all.
        """
        if len(self._arrived) >= _REMEMBERED:
            # A backtest's cache forgets orders that ended.
            known = map(self._kernel.cache.order, self._arrived)
            self._arrived = {o.client_order_id for o in known if o and not o.is_closed}
        names = {order.client_order_id for order in orders}
        self._arrived |= names
        if names.isdisjoint(self._cancelled_early):
            return True
        self._cancelled_early -= names
        for order in orders:
            self._answer(denied, order, WITHDRAWN)
        return False

    def _submit(self, command: TradingCommand, orders: list[Order]) -> None:
        if not self._arrive(orders):
            return
        requests: list[OrderFacts] = []
        refusals: list[Refusal | None] = []
        for order in orders:
            quantity = order.quantity.as_decimal()
            price = order.price if order.has_price else None
            arrival = self.account.price(order.instrument_id.value)
            refusal, is_exit = self._check(order, quantity, price, arrival)
            facts, refusal = self._request(
                order, "submit", quantity, price, is_exit, refusal, arrival
            )
            requests += facts
            refusals.append(refusal)
            # Count it now, so that the limits apply to all orders of a list together.
            self._pending.put(order, signed(order.side, quantity))
        first = self._first_refusal(requests, refusals)
        if first is None:
            self._send(command, requests)
            return
        # Refuse the whole list: without one leg the others could leave a naked position.
        other = replace(first, code="gate", text=f"another order of its list was refused: {first}")
        found = [refusal or other for refusal in refusals]
        if not any(refusals):
            found[0] = first
        for order, refusal in zip(orders, found, strict=True):
            self._pending.drop(order)
            self._answer(denied, order, refusal)
        self._notify_refused(requests, found)

    def _modify(self, command: ModifyOrder) -> None:
        """Check a changed order like a new one: it could be enlarged past all limits."""
        order = self._kernel.cache.order(command.client_order_id)
        if order is None:
            self._pass(command)
            return
        left = (command.quantity or order.quantity).as_decimal() - order.filled_qty.as_decimal()
        price = command.price or (order.price if order.has_price else None)
        refusal, is_exit, before = None, False, None
        # The venue says itself that a closed order is gone. The request is written down all the
        # same, and a dry run sends nothing.
        if not order.is_closed:
            # None of an order from before the start: from its change on it is under way here.
            before = self._pending.drop(order)
            market = self.account.price(order.instrument_id.value)
            refusal, is_exit = self._check(order, left, price, market)
            self._pending.put(order, signed(order.side, left))
        requests, refusal = self._request(order, "modify", left, price, is_exit, refusal)
        refusal = self._first_refusal(requests, [refusal])
        if refusal is None:
            self._send(command, requests)
            return
        if not order.is_closed:
            self._pending.drop(order)
            if before is not None:
                self._pending.put(order, before)
        self._answer(change_rejected, order, refusal)
        self._notify_refused(requests, [refusal])

    def _cancel(self, command: TradingCommand) -> None:
        requests = [cancel_facts(one, self._now()) for one in _cancels(command)]
        refusal = next((found for facts in requests if (found := self.held(facts))), None)
        if refusal is not None:
            for order in self._being_cancelled(command):
                self._answer(cancel_rejected, order, refusal)
            self._notify_refused(requests, [refusal] * len(requests))
            return
        self._first_refusal(requests, [])
        self._send(command, requests)

    def _being_cancelled(self, command: TradingCommand) -> list[Order]:
        cache = self._kernel.cache
        if isinstance(command, CancelAllOrders):
            found = cache.orders_open(
                instrument_id=command.instrument_id, strategy_id=command.strategy_id
            )
        else:
            found = [cache.order(cancel.client_order_id) for cancel in _cancels(command)]
        return [order for order in found if order is not None and order.is_pending_cancel]

    def _request(
        self,
        order: Order,
        operation: Operation,
        quantity: Decimal,
        price: Price | None,
        is_exit: bool,
        refusal: Refusal | None,
        arrival: Decimal | None = None,
    ) -> tuple[list[OrderFacts], Refusal | None]:
        if not (self.observers or self._holds or self.sender):
            return [], refusal
        facts = order_facts(order, operation, quantity, price, is_exit, self._now(), arrival)
        return [facts], refusal or self.held(facts)

    def _first_refusal(
        self, requests: list[OrderFacts], refusals: list[Refusal | None]
    ) -> Refusal | None:
        for refusal in refusals:
            if refusal is not None:
                return refusal
        try:
            for facts in requests:
                for observer in self.observers:
                    observer.intended(facts)
        except DeskError as error:
            if not all(facts.is_exit for facts in requests):
                text = f"it could not be written down: {error}"
                return Refusal(code="gate", text=text, transient=True)
            self.unwritten += 1
            self._log.error(f"An exit leaves without being written down: {error}")
        return None

    def _notify_refused(self, requests: list[OrderFacts], refusals: Sequence[Refusal]) -> None:
        try:
            for facts, refusal in zip(requests, refusals, strict=False):
                for observer in (*self.observers, *self.followers):
                    observer.refused(facts, refusal)
        except DeskError as error:
            self._log.error(f"A refusal could not be written down: {error}")

    def _send(self, command: TradingCommand, requests: list[OrderFacts]) -> None:
        if self.sender is None:
            self.forward(command)
        else:
            self.sender(command, requests)
        for facts in requests:
            for follower in self.followers:
                follower.intended(facts)

    def _answer(
        self, make: Callable[[Order, Refusal, int], OrderEvent], order: Order, refusal: Refusal
    ) -> None:
        self.refusals += 1
        self._bus.send(endpoint="ExecEngine.process", msg=make(order, refusal, self._now()))

    def _now(self) -> int:
        return int(self._clock.timestamp_ns())

    def _check(
        self, order: Order, quantity: Decimal, price: Price | None, market: Decimal | None
    ) -> tuple[Refusal | None, bool]:
        name = order.instrument_id.value
        if _is_linked(order):
            return _LINKED, False
        found = self._instrument_facts(order.instrument_id)
        if found is None:
            return Refusal(code="gate", text=f"unknown instrument {name}"), False
        rules, instrument = found
        decimals = rules.size_precision
        if order.quantity.precision != decimals:
            # The engine would abort the whole run without a useful message.
            text = f"quantity {order.quantity} must be given with {decimals} decimals"
            return Refusal(code="gate", text=text), False
        intent = OrderIntent(
            instrument=name,
            quantity=signed(order.side, quantity),
            price=market if price is None else price.as_decimal(),
            reduce_only=order.is_reduce_only,
            protects=protects(order),
            at_market=order.order_type == OrderType.MARKET,
        )
        position = self.account.position(name)
        buys, sells = self._pending.both_sides(order, position)
        account = AccountFacts(
            equity=0.0,
            gross=0.0,
            position=position,
            buys=buys,
            sells=sells,
            max_leverage=self._max_leverage,
        )
        is_exit = reduces(intent, account)
        standing = NOTHING_STANDS
        if not is_exit:
            # An exit is held to no limit of the account.
            equity, gross = self.account.value()
            account = replace(
                account,
                equity=equity,
                gross=gross + self._pending.added(),
                shrunk=self._board.strictest(("desk",)),
            )
            standing = self._board.strictest(_scopes(name, order.strategy_id.get_tag()))
            if instrument.is_spot and intent.quantity > 0:
                bound, raises = self._pending.spot_cash(order)
                cash = self.account.free_cash() - bound
                account = replace(account, cash=cash, raises_cash=raises)
        return judge(intent, instrument, account, standing), is_exit

    def _instrument_facts(
        self, instrument_id: InstrumentId
    ) -> tuple[Instrument, InstrumentFacts] | None:
        instrument: Instrument | None = self._kernel.cache.instrument(instrument_id)
        if instrument is None:
            return None
        facts = self._facts.get(instrument_id)
        # Live, the adapter fetches the venue's rules anew each hour.
        if facts is None or facts[0] is not instrument:
            largest, least, value = (
                None if found is None else found.as_decimal()
                for found in (
                    instrument.max_quantity,
                    instrument.min_quantity,
                    instrument.min_notional,
                )
            )
            rules = InstrumentFacts(
                lot=instrument.size_increment.as_decimal(),
                min_quantity=least or Decimal(0),
                min_notional=value or Decimal(0),
                max_quantity=largest,
                price=None,
                is_spot=isinstance(instrument, CurrencyPair),
            )
            facts = self._facts[instrument_id] = instrument, rules
        return facts


def _is_linked(order: Order) -> bool:
    is_contingent = order.contingency_type != ContingencyType.NO_CONTINGENCY
    return is_contingent or bool(order.linked_order_ids) or order.parent_order_id is not None


def _scopes(instrument: str, strategy: str) -> tuple[str, str, str]:
    return "desk", f"strategy:{strategy}", f"instrument:{instrument}"


def _cancels(command: TradingCommand) -> list[Any]:
    return command.cancels if isinstance(command, BatchCancelOrders) else [command]
