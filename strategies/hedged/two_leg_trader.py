"""Base of strategies whose positions have two legs: book, orders, state, guards. Engine-specific.

A derived class decides; this one carries changes out: `book` tracks both legs of each pair, `seek`
sends orders. State is saved before orders are sent. After a crash the book is settled by the
venue's positions, and what was under way goes on: both legs, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import OrderDenied, OrderEvent, OrderFilled, OrderRejected
from nautilus_trader.model.identifiers import InstrumentId

from config.durations import duration_ns
from config.errors import DeskError
from strategies.base import DeskStrategy
from strategies.hedged.book import (
    Ended,
    PairBook,
    Result,
    Terms,
    blocked,
    change_pairs,
    foreign_legs,
    recovered,
    time_passed,
    venue_traded,
    without,
)
from strategies.hedged.planned import Planned, cut_words, decision_of
from strategies.hedged.seek import GoalSeeker
from strategies.messages import Decision, PairEvent, Verdict
from strategies.on_loop import repeat, wake_in
from strategies.refusals import refusal_of
from strategies.state import StateStore
from strategies.tactics.two_leg import budget_passed

ZERO = Decimal(0)
PULSE_NS = 10**9
"""How often changes under way are looked at, where there are prices between candles."""
_NOT_FOR_GOOD = frozenset({"withdrawn", "post_only", "nothing_to_take", "no_answer"})


class Saved[M](msgspec.Struct, frozen=True):
    """State that survives a crash: what decisions remember, and what pairs hold and want."""

    memory: M
    book: PairBook = PairBook()


class TwoLegTrader(DeskStrategy):
    """Trades pairs as decisions of a derived class plan them.

    ``state_name`` is the key of the saved state, ``memory_type`` the class of what decisions
    remember, among it open ``trades`` by pair. The config has ``two_leg``.
    """

    sizes_by_verdicts = True

    state_name: ClassVar[str]
    memory_type: ClassVar[type[Any]]

    def __init__(self, config: Any, *rest: Any) -> None:
        super().__init__(config, *rest)
        self._saved: Saved[Any] = Saved(self.memory_type())
        self._seeker = GoalSeeker(self, config.two_leg)
        self._reasons: dict[str, str] = {}
        self._decided_at = 0
        self._forgotten = ""
        self._stopping = self._is_restarting = False

    # What a derived class decides ----------------------------------------------------------------

    def plan_flatten(self, instruments: Container[str]) -> Planned[Any]:
        """Return plans by which pairs with a leg in the instruments leave, whole and at market."""
        raise NotImplementedError

    def plan_unlisted(self) -> Planned[Any]:
        """Return plans by which, after a restart, pairs leave that are not traded any more."""
        raise NotImplementedError

    def plan_netted(self, book: PairBook, memory: Any) -> Planned[Any]:
        """Return plans by which pairs leave that share an instrument with one that leaves."""
        return Planned(memory)

    def after(self, memory: Any, end: Ended) -> Any:
        """Return what is remembered after a change of a pair has ended."""
        raise NotImplementedError

    def accepted(self, result: Result) -> Result:
        """Return the book after it takes changes as done that lack only what can't be traded."""
        return result

    def catch_up(self) -> bool:
        """Decide, after a restart, what was missed; return whether anything began."""
        return False

    def data_time(self, now: int) -> int:
        """Return the time of the newest data that a decision uses, UNIX nanoseconds (UTC)."""
        raise NotImplementedError

    # State ---------------------------------------------------------------------------------------

    @property
    def book(self) -> PairBook:
        """Positions of the pairs, and their changes under way."""
        return self._saved.book

    @property
    def memory(self) -> Any:
        """What decisions take over from earlier ones."""
        return self._saved.memory

    def attach_state(self, store: StateStore) -> None:
        """Save state in the store, and load what it has.

        Raises DeskError when the saved state can't be read.
        """
        super().attach_state(store)
        kind: Any = self.memory_type
        saved = self.broker.load_state(self.state_name, Saved[kind])
        if saved is not None:
            self._saved, self._is_restarting = saved, True

    def check_state(self, there: Mapping[str, Decimal]) -> None:
        """Forget pairs of an instrument that is no longer the strategy's and held no more.

        As after a delisting, when the venue has settled it. The other leg is closed. Raises
        DeskError when the venue still holds such an instrument: nobody could see or close it.
        """
        legs, names = foreign_legs(self.book, self.ids)
        what = f"{', '.join(names) or 'a position'} is open, {', '.join(legs)} is no longer in its "
        if held := [f"{there[leg]:f} of {leg}" for leg in legs if there.get(leg)]:
            raise DeskError(
                f"strategy {self.config.key}: {what}universe, and the venue holds "
                f"{', '.join(held)}: add it again, and leave it out once the node has closed it; "
                "or close all with perpdesk risk flatten and start again: what the venue holds no "
                "more is forgotten, and the other leg closed"
            )
        if legs:
            self._forgotten = f"{what}universe or held: forgotten, the other leg is closed"
            trades = {n: trade for n, trade in self.memory.trades.items() if n not in names}
            self._save(without(self.book, legs), replace(self.memory, trades=trades))

    def _save(self, book: PairBook, memory: Any) -> None:
        if (book, memory) == (self.book, self.memory):
            return
        self._saved = Saved(memory, book)
        self.broker.save_state(self.state_name, self._saved)

    @property
    def _terms(self) -> Terms:
        lots = {name.value: self.market.lot(name).step for name in self.instrument_ids}
        busy = frozenset(name.value for name in self.instrument_ids if self.busy_in(name))
        return Terms(lots, self.config.two_leg, busy)

    # Start and stop ------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Subscribe to prices, and set the timer of changes; a derived class calls this first."""
        super().on_start()
        self.start_note = "; ".join(filter(None, [self.start_note, self._forgotten]))
        self._stopping = False
        if self.config.two_leg.first == "thin":
            self.market.want_levels()
        if self.market.sees_top_of_book:
            for instrument_id in self.instrument_ids:
                self.market.watch(instrument_id)
            self._repeat("pulse", PULSE_NS, self._on_pulse)

    def _repeat(self, name: str, every_ns: int, then: Callable[[Any], None]) -> None:
        repeat(self.clock, (every_ns, 0), f"{name}.{self.config.key}", then)

    def leave_open(self) -> None:
        """Leave what is under way for the next start."""
        self._stopping = True

    def leave_flat(self) -> None:
        """Leave all pairs in the book; the stop of the node closes what is held."""
        # Before anything is sent: the stop's own orders reach these goals.
        if not self._stopping:
            self._stopping = True
            found = self.plan_flatten(self.ids)
            if found.plans or self.book.positions.spare:
                self._carry_out(found, ["the node stops"], kind="flatten")

    def on_stop(self) -> None:
        """Cancel open orders; keep positions, and changes under way for the next start."""
        self._stopping = True
        self.broker.stop()
        self.broker.cancel_all()

    def resume(self) -> bool:
        """Settle the book by the venue's positions, continue changes, catch up what was missed."""
        for instrument_id in self.instrument_ids:
            self.broker.forget(instrument_id)
        self.broker.cancel_all()
        under_way = bool(self.book.changes or self.book.positions.spare)
        held = {name.value: self.market.holding(name) for name in self.instrument_ids}
        # Nothing is sent before an entry of a pair that is no longer listed is unwound.
        self._keep(recovered(self.book, held, self._terms, self.clock.timestamp_ns()))
        self._is_restarting = False
        found = self.plan_unlisted()
        if found.plans:
            self._carry_out(found, found.words)
        self._pursue()
        leaving = self.verdicts.left_to_leave()
        if leaving:
            self.on_flatten(leaving, self.verdicts.strictest_on(min(leaving)))
        caught_up = self.catch_up()
        return under_way or bool(leaving) or caught_up

    @property
    def busy(self) -> bool:
        """Whether changes or orders are under way.

        Changes older than ``execution.retry_for`` go on, but no stop waits for them: they are left
        for the next start.
        """
        return (bool(self.book.changes) and not self._overdue) or self.broker.trading

    @property
    def _overdue(self) -> bool:
        since = min((change.started for change in self.book.changes.values()), default=None)
        retry_ns = duration_ns(self.config.execution.retry_for)
        return since is not None and self.clock.timestamp_ns() >= since + retry_ns

    def unfinished(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Return the wanted and the held position of each instrument left for the next start."""
        if not (self._stopping or self._overdue):
            return {}
        held = {name.value: self.market.holding(name) for name in self.instrument_ids}
        return {n: (q, held[n]) for n, q in sorted(self.book.goals().items()) if q != held[n]}

    # Decisions -----------------------------------------------------------------------------------

    def _say(self, planned: Planned[Any]) -> None:
        """Publish what was planned, and keep the reasons for orders."""
        for kind, facts in planned.events:
            self._tell(kind, facts)
        self._reasons |= planned.reasons

    def _carry_out(self, planned: Planned[Any], words: Iterable[str], **about: Any) -> None:
        self._say(planned)
        result = change_pairs(self.book, planned.plans, self._terms, self.clock.timestamp_ns())
        self._keep(result, words, planned.memory, **about)

    # Guards --------------------------------------------------------------------------------------

    def on_flatten(self, instruments: Container[str], verdict: Verdict) -> None:
        """Leave whole pairs, at market, that have a leg in instruments that a verdict flattens."""
        found = self.plan_flatten(self.verdicts.to_leave())
        if found.plans or self.book.positions.spare:
            self._carry_out(found, [verdict.reason], kind="flatten")

    def on_halt(self, instruments: Container[str], verdict: Verdict) -> None:
        """Cut entries under way to what both legs have; exits go on."""
        book, ended, now = self.book, list[Ended](), self.clock.timestamp_ns()
        for name in filter(instruments.__contains__, self.ids):
            book, more = blocked(book, name, "halted", self._terms, now)
            ended += more
        self._keep((book, ended))

    # Orders --------------------------------------------------------------------------------------

    def on_order_event(self, event: OrderEvent) -> None:
        """Give fills to pairs; cut an entry whose leg was refused for good."""
        super().on_order_event(event)
        name, own = event.instrument_id.value, self.broker.sent(event.client_order_id)
        if isinstance(event, OrderFilled):
            self._settle(name, event.last_px.as_decimal(), own=own)
        elif own and isinstance(event, OrderDenied | OrderRejected):
            refusal = refusal_of(event.reason, denied=isinstance(event, OrderDenied))
            self._seeker.pause(name)
            if refusal.transient or refusal.code in _NOT_FOR_GOOD:
                return
            order = self.broker.order(event.client_order_id)
            buys = None if order is None else order.side == OrderSide.BUY
            now = self.clock.timestamp_ns()
            self._keep(blocked(self.book, name, "refused", self._terms, now, buys=buys))

    def on_order_ended(self) -> None:
        """End cut changes, and send what waited for the end of an order toward an earlier goal."""
        if any(change.done for change in self.book.changes.values()):
            self._keep(time_passed(self.book, self._terms, self.clock.timestamp_ns()))
        if self._seeker.cleared():
            self._pursue()

    def _on_pulse(self, event: Any) -> None:
        if self.book.changes or self.book.positions.spare:
            self._keep(time_passed(self.book, self._terms, self.clock.timestamp_ns()))

    def _settle(self, name: str, price: Decimal | None, *, own: bool) -> None:
        """Give what the venue's position changed by to the pairs."""
        held = self.market.holding(InstrumentId.from_str(name))
        change = held - self.book.positions.held().get(name, ZERO)
        if change:
            now = self.clock.timestamp_ns()
            self._keep(venue_traded(self.book, name, change, price, self._terms, now, own=own))

    def _keep(
        self,
        result: Result,
        words: Iterable[str] = (),
        memory: Any = None,
        *,
        kind: str = "rebalance",
        data_ts: int | None = None,
    ) -> None:
        """Save the book, publish a decision where targets have changed, and send orders."""
        memory, words = self.memory if memory is None else memory, list(words)
        if not words:
            words, reasons = cut_words(self.book, result)
            self._reasons |= reasons
        book, ended = self.accepted(result)
        netted = self.plan_netted(book, memory)
        if netted.plans:
            self._say(netted)
            words, memory = words + netted.words, netted.memory
            book, more = change_pairs(book, netted.plans, self._terms, self.clock.timestamp_ns())
            ended += more
        for end in ended:
            self._tell("ended", end._asdict())
            memory = self.after(memory, end)
        self._save(book, memory)
        if words:
            self.publish(self._decision(kind, "; ".join(words), data_ts))
        self._pursue()
        self._await_budget()

    def _await_budget(self) -> None:
        """Look at changes under way again when the budget of one has passed."""
        now = self.clock.timestamp_ns()
        found = (budget_passed(c, self.config.two_leg) for c in self.book.changes.values())
        moments = [moment for moment in found if moment is not None and moment > now]
        if moments and self.market.sees_top_of_book and not self._stopping:
            wake_in(self.clock, min(moments) - now, f"budget.{self.config.key}", self._on_pulse)

    def _tell(self, kind: str, facts: dict[str, Any], ts: int | None = None) -> None:
        key, now = self.config.key, self.clock.timestamp_ns() if ts is None else ts
        event = PairEvent(strategy=key, ts=now, kind=kind, facts=msgspec.to_builtins(facts))
        self.msgbus.publish(f"pairs.{key}", event)

    def _pursue(self) -> None:
        """Send what is missing to the positions that the book wants."""
        if not (self._stopping or self._is_restarting):
            self._seeker.seek(lambda: self.book.wanted(self.config.two_leg), self._reasons)

    def _decision(self, kind: str, note: str, data_ts: int | None, **more: Any) -> Decision:
        now = self._decided_at = max(self.clock.timestamp_ns(), self._decided_at + 1)
        return decision_of(
            self.book,
            self.holdings(),
            lambda name: self.market.last_price(InstrumentId.from_str(name)),
            self.equity(),
            self._reasons,
            strategy=self.config.key,
            ts=now,
            data_ts=self.data_time(now) if data_ts is None else data_ts,
            kind=kind,
            multiplier=self.verdicts.strictest.multiplier,
            note=note,
            **more,
        )
