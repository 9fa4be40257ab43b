"""The risk desk: sends events to the guards and checks entries with them. Engine-specific.

A node or a backtest has one. It makes the Snapshot, turns order events and fills into desk events,
and is an observer and a hold of the order gate. A snapshot goes to every guard, an event to those
that name it in `Guard.events`; then both go out on `risk.seen`.

Guards process an order event or a fill at once, but the desk publishes their verdicts only after
the engine has finished the event. Otherwise a strategy that must leave would act before it and the
order gate have processed the fill. Until then the hold refuses the orders that the unpublished
verdict forbids.

A halt ends only at an evaluation. Therefore the desk also evaluates when a halt may end and at
every midnight UTC, even without new prices.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import Any, get_args

from nautilus_trader.model.events import OrderEvent, OrderInitialized, OrderSubmitted
from nautilus_trader.model.identifiers import ClientOrderId

from actors.desk.books import ArrivalPrices, StrategyBooks
from actors.desk.guard import SEEN, GuardActor, Rest, not_admitted, one_of
from actors.desk.guard_state import Heartbeats
from actors.desk.open_exposure import OpenExposures
from actors.desk.venue_responses import response_of
from actors.gate.gate import OrderGate
from actors.gate.pending import AccountView
from actors.guards.core.decisions import NO_DECISIONS, Decisions
from actors.guards.core.guard import Guard
from actors.guards.core.halts import Latches
from actors.guards.core.lazy import Lazy, Results, with_market
from actors.guards.core.snapshot import (
    NO_RANGES,
    DeskEvent,
    ErrorEvent,
    Input,
    Market,
    Mismatch,
    Need,
    OpenExposure,
    OrderRequested,
    Refused,
    Snapshot,
)
from actors.records.order_facts import OrderFacts
from actors.records.owners import owner_of
from actors.records.rows import FillRow
from config.durations import DAY_NS
from strategies.messages import Action
from strategies.on_loop import on_loop
from strategies.refusals import Refusal, refused_by
from strategies.verdicts import board_of

AGAIN = "again: guards"
"""Name of the evaluation timer. A backtest calls the timers of one moment in the order of their
names: this one after the accountant's and before those of strategies."""
_LEAVING = OrderInitialized, OrderSubmitted
"""Events that change nothing of what an order may still fill."""
Later = Callable[[Callable[[], None]], object]
"""Calls back after the engine has finished its current event, at the same time of its clock."""
MarketFacts = Callable[[int], Mapping[str, Market]]
"""Returns each instrument's market at a time (UNIX nanoseconds, UTC)."""


class RiskDesk:
    """Sends events to the guards and checks every entry with them.

    Parameters
    ----------
    guards : mapping of str to GuardActor
        By key, from `actors.desk.build.guards_of`. Call `attach` for each and add it to the trader
        before the strategies.
    leverage : Decimal
        Largest gross value per unit of equity.
    market : MarketFacts, optional
        Needed where a guard needs ``markets``; a drill replaces it.
    at_order : callable, optional
        Returns an instrument's market while an order of it is checked. Without it, entries are
        checked with the newest snapshot, as in a backtest, which takes one at each price move.
    heartbeat_ns : int, optional
        Silence of a required guard after which entries stop; None in a backtest.
    decisions : Decisions, optional
        Schedules of the strategies, from `actors.desk.build.decisions_of`.
    strict : bool
        Whether an error of a rule ends the run, as in a backtest, or halts entries.
    monotonic_ns : callable
        Clock of heartbeats.
    flows : callable
        Returns what others paid into the account, less what they took out.
    one_commit : callable
        Opens a context in which the guards save what they keep of a snapshot. It must not raise.

    Attributes
    ----------
    maintenance : str
        Why the venue takes no orders; empty while it does. The launcher sets it.
    """

    def __init__(
        self,
        kernel: Any,
        account: AccountView,
        books: StrategyBooks,
        guards: Mapping[str, GuardActor],
        *,
        leverage: Decimal,
        later: Later,
        market: MarketFacts | None = None,
        at_order: Callable[[str, int], Market] | None = None,
        heartbeat_ns: int | None = None,
        decisions: Decisions = NO_DECISIONS,
        strict: bool = False,
        one_commit: Callable[[], AbstractContextManager[object]] = nullcontext,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        flows: Callable[[], Decimal] = lambda: Decimal(0),
    ) -> None:
        self.guards = guards
        for guard in guards.values():
            guard.guard.join(decisions)
        self.books = books
        self.strict = strict
        self.snapshot: Snapshot | None = None
        self.maintenance = ""
        self._kernel = kernel
        self._bus = kernel.msgbus
        self._account = account
        self._leverage = leverage
        self._later = later
        self._one_commit = one_commit
        self._monotonic_ns = monotonic_ns
        self._flows = flows
        self.market = market
        self._at_order = at_order
        self.needs: frozenset[Need] = frozenset().union(*(g.guard.needs for g in guards.values()))
        self._observers = {
            kind: [guard for guard in guards.values() if guard.observes(kind)]
            for kind in get_args(Input)
        }
        self._admitting = [g for g in guards.values() if type(g.guard).admit is not Guard.admit]
        required = [key for key, guard in guards.items() if guard.params.required]
        self.heartbeats = None if heartbeat_ns is None else Heartbeats(required, heartbeat_ns)
        self._early: list[DeskEvent] = []
        self._arrival_prices = ArrivalPrices()
        self._requested: tuple[OrderFacts, OrderRequested] | None = None
        self._open_exposure = OpenExposures(account, kernel.cache)
        self._publishing_later = False
        self._evaluating_later = False
        # Live, each guard saves and beats at each snapshot.
        self._rest = Rest(guards.values()) if strict else None
        self._again: int | None = None
        self._planned: tuple[int, int, list[Latches]] | None = None
        self.verdicts = board_of(kernel.msgbus)
        self._bus.subscribe("events.order.*", self._on_order_event)

    def join(self, gate: OrderGate) -> None:
        """Connect to the order gate: guards see orders that left."""
        gate.followers.append(self)
        gate.hold(self.hold)
        self._open_exposure.under_way = gate.under_way

    def evaluate(self, *, moved: bool = True) -> None:
        """Send a snapshot of now to the guards; call it from a timer, outside any event.

        It does nothing before the account's equity is known. Events from before the first snapshot
        follow right after it. ``moved`` is as in `Snapshot`.
        """
        self._evaluating_later = False
        worth, balance = self._account.worth(), self._account.balance()
        if worth is None or balance is None:
            return
        holdings, now = self._account.holdings(), self.now()
        booked = self.books.booked

        def valued() -> tuple[dict[str, Decimal], dict[str, Decimal]]:
            return booked.results({held.instrument: held.price for held in holdings}.get)

        self._open_exposure.forget()
        self._arrival_prices.sweep()
        markets: Mapping[str, Market] = {}
        if "markets" in self.needs:
            assert self.market is not None, "a guard needs markets, and none are given"
            markets = self.market(now)
        self.observe(
            Snapshot(
                now=now,
                equity=worth,
                balance=balance,
                flows=self._flows(),
                holdings=holdings,
                results=Lazy(lambda: valued()[0]),
                results_by_instrument=Results(
                    lambda: valued()[1], booked.by_instrument, booked.quantities, holdings
                )
                if "results_by_instrument" in self.needs
                else {},
                markets=markets,
                leverage=self._leverage,
                maintenance=self.maintenance,
                moved=moved,
            )
        )

    def evaluate_later(self) -> None:
        """Evaluate after the engine has finished the current event."""
        self._evaluating_later = True
        self._later(self.evaluate)

    def stop(self) -> None:
        """Stop the timed evaluations."""
        self._again = None
        if AGAIN in self._kernel.clock.timer_names:
            self._kernel.clock.cancel_timer(AGAIN)

    def filled(self, fill: FillRow) -> None:
        """Book a fill that is already in the journal, or in the backtest's ledger."""
        self._open_exposure.forget()
        for fact in self.books.fill(fill, *self._arrival_prices.slippage(fill)):
            self._happened(fact)

    def funded(self, strategy: str, instrument: str, amount: Decimal) -> None:
        """Book a funding payment of a strategy's position; negative is paid."""
        self.books.funding(strategy, instrument, amount)

    def erred(self, source: str, text: str) -> None:
        """Report to the guards an error of a part of the desk."""
        self._happened(ErrorEvent(ts=self.now(), source=source, text=text))

    def differed(self, kind: str, instrument: str, detail: str) -> None:
        """Report a difference between the venue's view of the account and our books."""
        self._happened(Mismatch(ts=self.now(), kind=kind, instrument=instrument, detail=detail))

    def now(self) -> int:
        """Return the engine's time, UNIX nanoseconds (UTC)."""
        return int(self._kernel.clock.timestamp_ns())

    def hold(self, facts: OrderFacts) -> Refusal | None:
        """Return why an entry is refused, or None (an `actors.records.order_facts.Hold`)."""
        silent = self.silent_guards()
        if silent:
            assert self.heartbeats is not None
            seconds = self.heartbeats.limit_ns / 1e9
            text = f"it has been silent for more than {seconds:g} s"
            return not_admitted(silent[0], text, True)
        if self.snapshot is None:
            self.evaluate()
        if self.snapshot is None:
            return not_admitted("desk", "the account is not known yet", transient=True)
        waiting = self._unpublished(facts)
        if waiting is not None:
            return waiting
        if facts.operation == "modify" and not self._enlarges(facts):
            return None
        requested = self._order_requested(facts)
        snapshot = self.snapshot
        if self._at_order is not None and "markets" in self.needs:
            # The market of the last snapshot may be half a second old.
            name, now = requested.instrument, requested.ts
            snapshot = with_market(snapshot, now, name, partial(self._at_order, name, now))
        for guard in self._admitting:
            refusal = guard.admits(requested, snapshot)
            if refusal is not None:
                self._publish_later()
                return refusal
        self._requested = facts, requested
        # The next leg of its list is checked before this one leaves, and must count it.
        self._open_exposure.touch(facts.instrument)
        return None

    def intended(self, facts: OrderFacts) -> None:
        """Send a request that left to the guards."""
        if facts.operation != "submit":
            return
        if facts.reference_price is not None:
            self._arrival_prices.requested(facts, facts.reference_price)
        made, self._requested = self._requested, None
        if made is None or made[0] is not facts:
            made = facts, self._order_requested(facts)
        # Otherwise the hold made it just before, and nothing has left since.
        self._happened(made[1])
        self._open_exposure.sent(facts)

    def refused(self, facts: OrderFacts, refusal: Refusal) -> None:
        """Report to the guards an entry that the gate or a hold refused."""
        if facts.is_exit:
            return
        self._happened(
            Refused(
                ts=facts.ts,
                strategy=facts.strategy,
                instrument=facts.instrument,
                reason=str(refusal),
            )
        )

    def silent_guards(self) -> list[str]:
        """Return the required guards that sent no heartbeat for too long and have not failed."""
        if self.heartbeats is None:
            return []
        silent = self.heartbeats.silent(self._monotonic_ns())
        return [key for key in silent if not self.guards[key].failed]

    def beat(self, key: str) -> None:
        """Record a guard's heartbeat."""
        if self.heartbeats is not None:
            self.heartbeats.beat(key, self._monotonic_ns())

    def strategies(self) -> set[str]:
        """Return the keys of strategies that trade, or have booked or hold something."""
        trading = {owner_of(name) for name in self._kernel.trader.strategy_ids()}
        holding = {held.strategy for held in self._account.holdings()}
        return trading | holding | self.books.booked.by_strategy.keys()

    def observe(self, seen: Input) -> None:
        """Send an input to every guard and publish the verdicts; call it outside any event."""
        self._show(seen)
        self.publish()

    def publish(self) -> None:
        """Publish the guards' changed verdicts; raise a subscriber's error after the last one."""
        self._publishing_later = False
        errors: list[Exception] = []
        for guard in self.guards.values():
            if not guard.has_changed:
                continue
            try:
                guard.publish()
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
        if errors:
            raise one_of(errors)

    def _show(self, seen: Input) -> bool:
        """Send an input to its guards; return whether it changed a halt."""
        if isinstance(seen, Snapshot):
            self.snapshot = seen
        has_changed = self._send(seen)
        if self._early and isinstance(seen, Snapshot):
            early, self._early = self._early, []
            for fact in early:
                self._send(fact)
        if has_changed or isinstance(seen, Snapshot):
            self._plan()
        return has_changed

    def _send(self, seen: Input) -> bool:
        has_changed = False
        observers, rest = self._observers[type(seen)], self._rest
        commit: AbstractContextManager[object] = nullcontext()
        if isinstance(seen, Snapshot):
            commit = self._one_commit()
            observers = observers if rest is None else rest.observers(seen)
        elif rest is not None:
            rest.wake(observers)
        with commit:
            for guard in observers:
                before = guard.latches
                guard.observe(seen)
                has_changed |= guard.latches is not before
        if rest is not None and isinstance(seen, Snapshot):
            rest.settle()
        self._bus.publish(SEEN, seen)
        return has_changed

    def _plan(self) -> None:
        now = self.now()
        soonest = now - now % DAY_NS + DAY_NS
        # Those that rest have none.
        guards = self.guards.values() if self._rest is None else self._rest.awake
        if soonest == self._again and not any(guard.latches for guard in guards):
            return
        # Guards take time to measure: what came due meanwhile was not yet due when they did.
        evaluated = now if self.snapshot is None else min(self.snapshot.now, now)
        planned = soonest, evaluated, [guard.latches for guard in self.guards.values()]
        if planned == self._planned and self._again is not None:
            return
        self._planned = planned
        for latch in chain.from_iterable(planned[2]):
            if latch.until is not None and evaluated < latch.until < soonest:
                soonest = latch.until
        if soonest == self._again:
            return
        clock = self._kernel.clock
        if AGAIN in clock.timer_names:
            clock.cancel_timer(AGAIN)
        clock.set_time_alert_ns(AGAIN, soonest, on_loop(clock, self._evaluate_again))
        self._again = soonest

    def _evaluate_again(self, _: object) -> None:
        self._again = None
        # New prices at the same time already cause an evaluation.
        if not self._evaluating_later:
            self.evaluate(moved=False)

    def _happened(self, fact: DeskEvent) -> None:
        if self.snapshot is None:
            self._early.append(fact)
            return
        if self._show(fact):
            self._publish_later()

    def _publish_later(self) -> None:
        if self._publishing_later:
            return
        for guard in self.guards.values():
            if guard.has_news:
                self._publishing_later = True
                self._later(self.publish)
                return

    def _on_order_event(self, event: OrderEvent) -> None:
        if isinstance(event, _LEAVING):
            return
        self._open_exposure.touch(event.instrument_id.value)
        order = self._kernel.cache.order(event.client_order_id)
        response = response_of(event, order)
        if response is not None:
            self._happened(response)
        if order is not None and order.is_closed:
            self._arrival_prices.ended(event.client_order_id.value)

    def _order_requested(self, facts: OrderFacts) -> OrderRequested:
        strategy, instrument = facts.strategy, facts.instrument
        rows: tuple[OpenExposure, ...] = ()
        ranges = NO_RANGES
        if "open_exposure" in self.needs and not facts.is_exit:
            rows, ranges = self._open_exposure.rows(
                strategy, instrument, facts.price, facts.client_order_id
            )
        return OrderRequested(
            ts=facts.ts,
            strategy=strategy,
            instrument=instrument,
            quantity=facts.quantity if facts.side == "BUY" else -facts.quantity,
            price=facts.price,
            is_exit=facts.is_exit,
            order_id=facts.client_order_id,
            open_exposure=rows,
            ranges=ranges,
        )

    def _enlarges(self, facts: OrderFacts) -> bool:
        order = self._kernel.cache.order(ClientOrderId(facts.client_order_id))
        return order is None or facts.quantity > order.leaves_qty.as_decimal()

    def _unpublished(self, facts: OrderFacts) -> Refusal | None:
        # Each order asks: no call of each guard.
        for guard in [g for g in self.guards.values() if g.latches is not g.published]:
            for verdict in guard.news() if guard.has_news else ():
                scopes = ("desk", f"strategy:{facts.strategy}", f"instrument:{facts.instrument}")
                if verdict.scope in scopes and verdict.action >= Action.HALT_ENTRIES:
                    return refused_by(verdict)
        return None
