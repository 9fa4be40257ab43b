"""Execute a rebalancer's decisions: timer, waits, plan and orders. Engine-specific.

`decide` makes the decisions, `plan` tracks the progress and `strategies.tactics.release` chooses
the legs to send; all three are pure.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from decimal import Decimal

import msgspec
from nautilus_trader.common.component import LiveClock
from nautilus_trader.common.events import TimeEvent
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import (
    OrderAccepted,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderRejected,
)
from nautilus_trader.model.identifiers import InstrumentId

from config.durations import duration_ns
from strategies.account_value import fee_explains
from strategies.base import DeskStrategy
from strategies.messages import Action, Decision, Executed, Verdict, decision_id
from strategies.on_loop import repeat, wake_in
from strategies.order_ids import is_closers
from strategies.order_tags import reason_of
from strategies.rebalance.decide import HALT_PAUSE_NS, Snapshot, Wait, decide, keep, leave
from strategies.rebalance.memory import Memory
from strategies.rebalance.plan import (
    STATE,
    Change,
    Plan,
    Progress,
    changes_of,
    decode,
    encode,
    exits_first,
)
from strategies.rebalance.propose import remembered
from strategies.refusals import refusal_of, refused_by
from strategies.schedule import last_fire
from strategies.sizing.rounding import ZERO
from strategies.state import StateStore
from strategies.tactics.release import Leg, releasable
from strategies.verdicts import passes

RETRY_NS = 60 * 10**9
"""Pause before a live decision without any candle, or with failed cancels, is tried again."""


class PlanExecution:
    """Waits and orders of one rebalancer's plan.

    ``schedule`` is period and offset in nanoseconds; ``snapshot`` is `Rebalancer.snapshot`.
    """

    def __init__(
        self, strategy: DeskStrategy, schedule: tuple[int, int], snapshot: Callable[..., Snapshot]
    ) -> None:
        self._strategy, self._rules, self._broker = strategy, strategy.config, strategy.broker
        self._schedule = schedule
        self._snapshot = snapshot
        self._progress = Progress()
        self._to_leave: set[str] = set()
        self._legs: dict[InstrumentId, Leg] = {}
        self._targets: dict[InstrumentId, Decimal] = {}
        self._reason = ""
        self._bound = 0.0
        self._releasing = self._sending = False
        self._held_back = self._left = self._saved = False
        self._lacks = ""
        self._waits: set[str] = set()
        self._until = 0
        self._delay = ""
        self.stopping = False
        """Whether the plan under way is left for the next start."""

    @property
    def plan(self) -> Plan | None:
        """Plan under way."""
        return self._progress.plan

    @property
    def decided(self) -> int | None:
        """Newest stamp that is carried out, under way or given up, None before the first."""
        return self._progress.decided

    @property
    def memory(self) -> Memory:
        """Memory of the last decision that was carried out."""
        return self._progress.memory

    def note(self, memory: Memory) -> None:
        """Save a memory that an entry or an exit has changed."""
        if memory is not self.memory:
            self._save(msgspec.structs.replace(self._progress, memory=memory))

    @property
    def busy(self) -> bool:
        """Whether a plan is under way, or a decision waits for missing data."""
        return (self.plan is not None and not self._left) or bool(self._lacks)

    @property
    def delay(self) -> str:
        """Why a decision or legs wait, in words."""
        return self._lacks or self._delay

    def unfinished(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Return target and position of each leg of a plan that is left for the next start."""
        found = self._lacking() if self._left or self.stopping else ()
        return {change.instrument: (change.target, change.held) for change in found}

    def due(self, now_ns: int) -> int | None:
        """Return the latest stamp of the schedule unless it is done or under way."""
        stamp = last_fire(now_ns, *self._schedule)
        return None if self.decided is not None and self.decided >= stamp else stamp

    def read(self, store: StateStore) -> None:
        """Load the progress from a store; raises DeskError when it can't be read."""
        self._progress = decode(store.load(STATE), self._rules.key)
        self._saved = self.plan is not None

    def give_up(self) -> None:
        """Drop the plan, and the saved executions of its legs."""
        self._saved = False
        self._save(self._progress.finished())
        for instrument_id in self._strategy.instrument_ids:
            self._broker.forget(instrument_id)

    def give_up_leg(self, instrument_id: InstrumentId) -> None:
        """Leave one instrument as it is until the next decision, also after a restart."""
        self._give_up_legs({instrument_id.value})
        if self.plan is not None:
            self._save(self._progress)

    def _give_up_legs(self, instruments: set[str]) -> None:
        if self.plan is not None:
            self._progress = self._progress.only(self.plan.targets.keys() - instruments)
        self._waits -= instruments

    def check(self) -> None:
        """End the plan when none of its orders is under way and no leg waits.

        What a tactic gave up by its own rules, or was refused for good, is done. A saved plan of
        an earlier session has no orders before `resume`: those that end until then say nothing.
        """
        if self.plan is None or self.stopping or self._sending or self._left or self._saved:
            return
        unsent = any(not leg.sent and not leg.ended for leg in self._legs.values())
        if unsent or self._broker.trading:
            return
        waiting = self._waiting()
        if not waiting:
            self._delay = ""
            self._save(self._progress.finished())
            return
        self._save(self._progress.only({change.instrument for change in waiting}))
        if self._is_over(waiting):
            self._left = True
            halt = self._strategy.verdicts.lasting_on(waiting[0].instrument, self._until)
            if halt.action >= Action.HALT_ENTRIES:
                self._delay = f"{waiting[0].instrument}: {refused_by(halt)}"
            self._strategy.log.error(
                f"A rebalance is left unfinished for the next decision or start: {self._delay}"
            )
        else:
            self._hold_back()

    def _lacking(self) -> list[Change]:
        market, plan = self._strategy.market, self.plan
        if plan is None:
            return []
        held = {name: market.holding(InstrumentId.from_str(name)) for name in plan.targets}
        return [
            change
            for change in plan.lacking(held)
            if not self._broker.buys_back(InstrumentId.from_str(change.instrument), change.order)
            and not self._is_fee(plan, change)
        ]

    def _is_fee(self, plan: Plan, change: Change) -> bool:
        lot = self._strategy.market.lot(InstrumentId.from_str(change.instrument)).step
        bought = change.held - plan.before.get(change.instrument, ZERO)
        return fee_explains(change.instrument, bought, change.order, lot)

    def _save(self, progress: Progress) -> None:
        self._progress = progress
        if self._broker.store is not None:
            self._broker.store.save(STATE, encode(progress))

    # Decisions ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Set the timer of the schedule; a start at the very time of a stamp fires at once."""
        self.stopping = False
        name = f"rebalance.{self._rules.key}"
        clock = self._strategy.clock
        repeat(clock, self._schedule, name, lambda event: self.rebalance(event.ts_event))

    def rebalance(self, ts: int, since: int | None = None, before: Snapshot | None = None) -> None:
        """Decide on the candles complete at a time, publish the decision and send its orders.

        Open orders were sized on older candles, so they are cancelled first; the decision then uses
        the account as it is after that. ``ts`` is UNIX nanoseconds (UTC), ``since`` when the wait
        for missing data began, ``before`` the snapshot from before the cancels.
        """
        self._lacks = ""
        if self.stopping:
            return
        snapshot = self._snapshot(ts, since=since, before=before)
        decided = decide(snapshot, self._rules)
        if isinstance(decided, Wait):
            self._lacks, waits_since = decided.why, decided.since
            self._wake("look", decided.pause_ns, lambda: self.rebalance(ts, waits_since))
        elif decided.kind == "flatten":
            self.leave(ts, decided.note, snapshot.stamp)
        elif decided.kind == "wait":
            # Keeping positions is a decision; one without any candle is tried again.
            self._keep(decided, again=snapshot.proposal is None or bool(snapshot.proposal.is_blind))
        elif before is not None or not (self._broker.trading or self._broker.under_way()):
            self._carry_out(decided, snapshot.stamp, snapshot)
        else:
            self._to_leave = set()
            self._broker.when_clear(
                lambda: self.rebalance(ts, since, snapshot),
                or_else=lambda: self._could_not_rebalance(snapshot),
            )

    def _could_not_rebalance(self, before: Snapshot) -> None:
        snapshot = self._snapshot(before.ts, before=before)
        self._keep(keep(snapshot, self._rules, "own orders would not be cancelled"), again=True)

    def _keep(self, decision: Decision, *, again: bool) -> None:
        self._carry_out(decision, None)
        if again and isinstance(self._strategy.clock, LiveClock):
            self._wake("retry", RETRY_NS, self._retry)

    def _retry(self) -> None:
        strategy = self._strategy
        if (
            self.stopping
            or strategy.run_now()
            or strategy.due(strategy.clock.timestamp_ns()) is None
        ):
            return
        # An earlier plan is under way.
        self._wake("retry", RETRY_NS, self._retry)

    def on_flatten(self, instruments: Container[str], verdict: Verdict) -> None:
        """Leave the market, or some instruments, because of a new verdict."""
        # A rebalance that still waits for its cancels will follow the verdict when it decides.
        if self._broker.clearing and not self._to_leave:
            return
        now = self._strategy.clock.timestamp_ns()
        leaving = self._strategy.verdicts.to_leave()
        only = {name for name in leaving if name in instruments or name in self._to_leave}
        self.leave(now, verdict.reason, None, only)

    def leave(self, ts: int, note: str, stamp: int | None, only: set[str] | None = None) -> None:
        """Cancel orders and close positions that verdicts flatten; keep the rest.

        ``ts`` is UNIX nanoseconds (UTC), ``note`` the reason, ``stamp`` the time of the schedule
        that it serves. ``only`` limits it to some instruments, where exits from others are under
        way.
        """
        leaving = self._strategy.verdicts.to_leave() if only is None else only
        self._to_leave = leaving

        def go() -> None:
            self._to_leave = set()
            self._give_up_legs(leaving)
            snapshot = self._snapshot(ts, scored=False)
            self._carry_out(leave(snapshot, self._rules, leaving, note), stamp)

        def give_up() -> None:
            self._to_leave = set()
            self._strategy.could_not_clear()

        self._broker.when_clear(go, or_else=give_up, instruments=leaving)

    def _carry_out(
        self, decision: Decision, stamp: int | None, snapshot: Snapshot | None = None
    ) -> None:
        before = self._broker.decision_id
        if decision.kind == "wait":
            self._strategy.publish(decision)
            # Legs of an earlier plan go on, under its decision.
            if self.plan is not None:
                self._broker.decision_id = before
                self.check()
            return
        changes = changes_of(decision.targets)
        self._left = False
        # An exit from one instrument does not take up a saved plan; a rebalance replaces it.
        self._saved &= decision.kind == "flatten"
        self._begin_waiting()
        kept = self._waits if decision.kind == "flatten" else set()
        self._waits = kept - {change.instrument for change in changes}
        self._delay = self._delay if self._waits else ""
        progress = self._progress.begun(decision.kind, decision.ts, stamp, changes)
        if snapshot is not None and snapshot.proposal is not None:
            memory = remembered(
                self._rules,
                self._strategy.ids,
                snapshot.data_ts,
                snapshot.memory,
                snapshot.proposal,
            )
            progress = msgspec.structs.replace(progress, memory=memory)
        self._save(progress)
        self._strategy.publish(decision)
        self._send(decision.kind, changes)

    # Orders ------------------------------------------------------------------------------------

    def _send(self, kind: str, changes: Iterable[Change], *, resumed: bool = False) -> None:
        """Send a decision's orders; ``resumed`` ones continue what a crash may have interrupted."""
        strategy = self._strategy
        orders = [(InstrumentId.from_str(c.instrument), c) for c in exits_first(changes)]
        # Denials come while other orders are still to be sent: they must not end the plan.
        self._sending = True
        # An exit that a guard demands does not wait for a better price.
        if self._broker.takes_at_once or kind == "flatten":
            for name, change in orders:
                strategy.send_market(name, change.order, kind)
        else:
            price_of = strategy.market.last_price
            if not resumed:
                self._targets, self._legs = {}, {}
            self._reason = kind
            self._targets |= {name: change.target for name, change in orders}
            self._legs |= {
                name: Leg(name.value, float(c.order) * float(price_of(name) or ZERO))
                for name, c in orders
            }
            equity = float(max(strategy.market.equity(), ZERO))
            self._bound = self._rules.execution.max_leg_imbalance * equity
            self.release()
        self._sending = False
        self.check()

    def release(self) -> None:
        """Send the legs that may be sent now, so that the book stays near neutral."""
        if self._releasing:
            return
        self._releasing = True
        try:
            self._release()
        finally:
            self._releasing = False

    def _release(self) -> None:
        broker = self._broker
        for name in broker.live:
            if name in self._legs:
                traded = float(broker.traded(name))
                self._legs[name] = replace(self._legs[name], filled=traded)
        while names := releasable(list(self._legs.values()), self._bound):
            for name in map(InstrumentId.from_str, names):
                self._legs[name] = replace(self._legs[name], sent=True)
                # To its target from what is held now: others may trade while it waits.
                broker.resume(name, self._targets[name], self._reason)
                if name not in broker.live:
                    self._legs[name] = replace(self._legs[name], ended=True)

    def on_executed(self, done: Executed) -> None:
        """Record the end of a leg, and send those that may be sent now."""
        name = InstrumentId.from_str(done.instrument)
        if name in self._legs:
            traded = float(done.notional)
            self._legs[name] = replace(self._legs[name], filled=traded, ended=True)
            self.release()

    def drop_legs(self, instruments: Container[str] | None) -> None:
        """Drop legs that are not sent yet, all or those in some instruments."""
        for name, leg in self._legs.items():
            if not leg.sent and (instruments is None or name.value in instruments):
                self._legs[name] = replace(leg, ended=True)

    # After a crash, or after passing refusals ---------------------------------------------------

    def resume(self) -> None:
        """Cancel open orders, then send what is missing to the targets of a saved plan."""
        self._saved = False
        self._begin_waiting()
        self._delay = "own orders are being cancelled"
        self._broker.when_clear(self._send_rest, or_else=self._could_not_take_up)

    def _begin_waiting(self) -> None:
        now = self._strategy.clock.timestamp_ns()
        self._until = now + duration_ns(self._rules.execution.retry_for)

    def _could_not_take_up(self) -> None:
        self._strategy.could_not_clear()
        self._waits = {change.instrument for change in self._lacking()}
        self._delay = "own orders would not be cancelled"
        self.check()

    def _send_rest(self) -> None:
        strategy, plan = self._strategy, self.plan
        if plan is None or self.stopping:
            return
        verdict = strategy.verdicts.strictest
        if verdict.action == Action.FLATTEN:
            self.leave(strategy.clock.timestamp_ns(), verdict.reason, plan.stamp)
            return
        leaving = strategy.verdicts.to_leave()
        self._give_up_legs({name for name in leaving if plan.targets.get(name)})
        lacking = self._lacking()
        self._waits = {change.instrument for change in lacking}
        self._send_ready(plan, lacking)

    def _send_ready(self, plan: Plan, waiting: Iterable[Change]) -> None:
        blocked = [change for change in waiting if self._is_blocked(change)]
        ready = [c for c in waiting if c not in blocked and not self._is_under_way(c)]
        self._waits -= {change.instrument for change in ready}
        self._delay = self._delay if self._waits else ""
        if blocked:
            name = blocked[0].instrument
            self._delay = f"{name}: {refused_by(self._strategy.verdicts.strictest_on(name))}"
        if self._waits:
            self._hold_back()
        self._broker.decision_id = decision_id(self._rules.key, plan.made)
        self._send(plan.kind, ready, resumed=True)

    def _waiting(self) -> list[Change]:
        return [change for change in self._lacking() if change.instrument in self._waits]

    def _is_under_way(self, change: Change) -> bool:
        instrument_id = InstrumentId.from_str(change.instrument)
        leg = self._legs.get(instrument_id)
        return (leg is not None and not leg.ended) or self._strategy.busy_in(instrument_id)

    def _is_blocked(self, change: Change) -> bool:
        shrinks = change.held * change.order < ZERO and abs(change.order) <= abs(change.held)
        strictest = self._strategy.verdicts.strictest_on(change.instrument)
        return not shrinks and strictest.action >= Action.HALT_ENTRIES

    def on_order_event(self, event: OrderEvent) -> None:
        """Note which legs were refused for a passing reason or lost on their way: they wait."""
        name = event.instrument_id.value
        if self.plan is None or is_closers(event.client_order_id.value):
            return
        if isinstance(event, OrderDenied | OrderRejected):
            refusal = refusal_of(event.reason)
            if refusal.code == "withdrawn":
                return
            if refusal.transient or any(
                verdict.guard == refusal.guard and passes(verdict, self._until)
                for verdict in self._strategy.verdicts.on(name)
            ):
                self._waits.add(name)
                self._delay = f"{name}: {refusal}"
                self._hold_back()
                return
        # A fill that comes late belongs to an order that a halt stopped: its leg still waits.
        leg = self._legs.get(event.instrument_id)
        if (leg is None or not leg.ended) and isinstance(
            event, OrderAccepted | OrderFilled | OrderRejected | OrderDenied
        ):
            self._waits.discard(name)

    def on_refused(self, event: OrderDenied | OrderRejected) -> None:
        """Close what a refused order was to turn round, unless it waits: exits always leave."""
        name, refusal = event.instrument_id, refusal_of(event.reason)
        order, held = self._broker.order(event.client_order_id), self._strategy.holding(name)
        if self.stopping or order is None or order.is_reduce_only or name.value in self._waits:
            return
        if not (refusal.guard or refusal.code in ("exposure", "lot", "venue")):
            return
        others = [o for o in self._broker.under_way({name.value}) if o.side == order.side]
        left = abs(held) - sum((o.leaves_qty.as_decimal() for o in others), ZERO)
        turns = (held > ZERO) == (order.side == OrderSide.SELL)
        if turns and ZERO < left < order.quantity.as_decimal():
            self._strategy.send_market(name, -left.copy_sign(held), reason_of(order.tags))

    def on_halt(self, instruments: Container[str]) -> None:
        """Note which legs wait: those whose orders are cancelled by a halt that passes."""
        self._note_halted({name for name in self._unended() if name in instruments})

    def on_verdict(self) -> None:
        """Note which legs a passing halt delays, maybe past the deadline of their tactic."""
        if self._rules.execution.at_deadline == "take":
            self._note_halted(self._unended())

    def _unended(self) -> set[str]:
        plan = self.plan
        ended = {name.value for name, leg in self._legs.items() if leg.ended}
        return set() if plan is None else plan.targets.keys() - ended

    def _note_halted(self, instruments: Iterable[str]) -> None:
        verdicts = self._strategy.verdicts
        for name in sorted(instruments):
            halts = [v for v in verdicts.on(name) if v.action >= Action.HALT_ENTRIES]
            if halts and all(passes(verdict, self._until) for verdict in halts):
                self._waits.add(name)
                self._delay = f"{name}: {refused_by(halts[0])}"
                self._hold_back()

    def _hold_back(self) -> None:
        if not self._held_back:
            self._held_back = True
            self._wake("again", HALT_PAUSE_NS, self._try_again)

    def _try_again(self) -> None:
        self._held_back = False
        plan, waiting = self.plan, self._waiting()
        if plan is None or self.stopping or self._left or self._saved:
            return
        if self._is_over(waiting):
            self.check()
        elif self._broker.clearing or self._lacks:
            self._hold_back()
        else:
            self._send_ready(plan, waiting)

    def _is_over(self, waiting: Iterable[Change]) -> bool:
        """Whether none of the legs is tried again: by the bound, or by halts that outlast it."""
        lasting_on, until = self._strategy.verdicts.lasting_on, self._until
        return self._strategy.clock.timestamp_ns() >= until or all(
            self._is_blocked(change)
            and lasting_on(change.instrument, until).action >= Action.HALT_ENTRIES
            for change in waiting
        )

    def _wake(self, name: str, pause_ns: int, then: Callable[[], None]) -> None:
        def wake(event: TimeEvent) -> None:
            then()

        wake_in(self._strategy.clock, pause_ns, f"{name}.{self._rules.key}", wake)
