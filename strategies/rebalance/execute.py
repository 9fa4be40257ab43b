"""Execute a rebalancer's decisions: timer, waits, plan and orders. Engine-specific.

`decide` makes the decisions, `plan` tracks the progress and `strategies.tactics.release` chooses
the legs to send; all three are pure.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import replace

from nautilus_trader.common.component import LiveClock
from nautilus_trader.common.events import TimeEvent
from nautilus_trader.model.events import OrderDenied, OrderEvent, OrderRejected
from nautilus_trader.model.identifiers import InstrumentId

from strategies.base import DeskStrategy
from strategies.messages import Action, Decision, Executed, Verdict, decision_id
from strategies.on_loop import on_loop, wake_in
from strategies.order_ids import is_closers
from strategies.rebalance.decide import HALT_PAUSE_NS, Snapshot, Wait, decide, keep, leave
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
from strategies.refusals import refusal_of
from strategies.schedule import last_fire, next_fire
from strategies.sizing.rounding import ZERO
from strategies.state import StateStore
from strategies.tactics.release import Leg, releasable
from strategies.verdicts import halted_for_now

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
        self._changes: dict[InstrumentId, Change] = {}
        self._reason = ""
        self._bound = 0.0
        self._resumed = self._releasing = self._sending = False
        self._looking = self._held_back = False
        self.stopping = False
        """Whether the plan under way is left for the next start."""

    @property
    def plan(self) -> Plan | None:
        """Plan under way."""
        return self._progress.plan

    @property
    def done(self) -> int | None:
        """Newest stamp that is carried out or given up, None before the first."""
        return self._progress.done

    @property
    def busy(self) -> bool:
        """Whether a plan is under way, or a decision waits for missing data."""
        return self.plan is not None or self._looking

    def due(self, now_ns: int) -> int | None:
        """Return the latest stamp of the schedule unless it is done or under way."""
        stamp = last_fire(now_ns, *self._schedule)
        return None if self._progress.knows(stamp) else stamp

    def read(self, store: StateStore) -> None:
        """Load the progress from a store; raises DeskError when it can't be read."""
        self._progress = decode(store.load(STATE), self._rules.key)

    def give_up(self) -> None:
        """Drop the plan, and the saved executions of its legs."""
        self._save(self._progress.finished())
        for instrument_id in self._strategy.instrument_ids:
            self._broker.forget(instrument_id)

    def check(self) -> None:
        """End the plan when none of its orders is under way."""
        if self.plan is None or self.stopping or self._held_back or self._sending:
            return
        waiting = any(not leg.sent and not leg.ended for leg in self._legs.values())
        if not waiting and not self._broker.trading:
            self._save(self._progress.finished())

    def _save(self, progress: Progress) -> None:
        self._progress = progress
        if self._broker.store is not None:
            self._broker.store.save(STATE, encode(progress))

    # Decisions ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Set the timer of the schedule; a start at the very time of a stamp fires at once."""
        self.stopping = False
        clock, every = self._strategy.clock, self._schedule[0]
        clock.set_timer_ns(
            f"rebalance.{self._rules.key}",
            interval_ns=every,
            start_time_ns=next_fire(clock.timestamp_ns() - 1, *self._schedule),
            stop_time_ns=0,
            callback=on_loop(clock, lambda event: self.rebalance(event.ts_event)),
            allow_past=False,
            fire_immediately=True,
        )

    def rebalance(self, ts: int, since: int | None = None, before: Snapshot | None = None) -> None:
        """Decide on the candles complete at a time, publish the decision and send its orders.

        Open orders were sized on older candles, so they are cancelled first; the decision then uses
        the account as it is after that. ``ts`` is UNIX nanoseconds (UTC), ``since`` when the wait
        for missing data began, ``before`` the snapshot from before the cancels.
        """
        self._looking = False
        snapshot = self._snapshot(ts, since=since, before=before)
        decided = decide(snapshot, self._rules)
        if isinstance(decided, Wait):
            self._looking, waits_since = True, decided.since
            self._wake("look", decided.pause_ns, lambda: self.rebalance(ts, waits_since))
        elif decided.kind == "flatten":
            self.leave(ts, decided.note, snapshot.stamp)
        elif decided.kind == "wait":
            # Keeping positions is a decision; one without any candle is tried again.
            self._keep(decided, again=snapshot.proposal is None or snapshot.proposal.is_blind)
        elif before is not None or not (self._broker.trading or self._broker.under_way()):
            self._carry_out(decided, snapshot.stamp)
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
        if not self.stopping:
            self._strategy.run_now()

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
            snapshot = self._snapshot(ts, scored=False)
            self._carry_out(leave(snapshot, self._rules, leaving, note), stamp)

        def give_up() -> None:
            self._to_leave = set()
            self._strategy.could_not_clear()

        self._broker.when_clear(go, or_else=give_up, instruments=leaving)

    def _carry_out(self, decision: Decision, stamp: int | None) -> None:
        changes = changes_of(decision.targets)
        if decision.kind != "wait":
            self._held_back = False
            self._save(self._progress.begun(decision.kind, decision.ts, stamp, changes))
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
            self._changes, self._reason, self._resumed = dict(orders), kind, resumed
            self._legs = {
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
        broker = self._broker
        for name in broker.live:
            if name in self._legs:
                traded = float(broker.traded(name))
                self._legs[name] = replace(self._legs[name], filled=traded)
        while names := releasable(list(self._legs.values()), self._bound):
            for name in map(InstrumentId.from_str, names):
                self._legs[name] = replace(self._legs[name], sent=True)
                if self._resumed:
                    broker.resume(name, self._changes[name].target, self._reason)
                    if name not in broker.live:
                        self._legs[name] = replace(self._legs[name], ended=True)
                else:
                    broker.start(name, self._changes[name].order, self._reason)
        self._releasing = False

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

    # After a crash, or after transient refusals ------------------------------------------------

    def take_up(self) -> None:
        """Cancel open orders, then send what is missing to the plan's targets."""
        self._broker.when_clear(self._send_rest, or_else=self._strategy.could_not_clear)

    def _send_rest(self) -> None:
        strategy, plan = self._strategy, self.plan
        assert plan is not None
        verdict = strategy.verdicts.strictest
        if verdict.action == Action.FLATTEN:
            self.leave(strategy.clock.timestamp_ns(), verdict.reason, plan.stamp)
            return
        self._broker.decision_id = decision_id(self._rules.key, plan.made)
        held = {n: strategy.market.holding(InstrumentId.from_str(n)) for n in plan.targets}
        self._send(plan.kind, plan.lacking(held), resumed=True)

    def on_order_event(self, event: OrderEvent) -> None:
        """Hold the plan back when an order was refused for now, or lost on its way."""
        if (
            isinstance(event, OrderDenied | OrderRejected)
            and not is_closers(event.client_order_id.value)
            and refusal_of(event.reason).transient
            and self.plan is not None
            and not self._held_back
        ):
            self._held_back = True
            self._wake("again", HALT_PAUSE_NS, self._try_again)

    def _try_again(self) -> None:
        plan, verdicts = self.plan, self._strategy.verdicts
        if plan is None or self.stopping or not self._held_back:
            return
        concerning = [verdicts.strictest, *map(verdicts.strictest_on, plan.targets)]
        if self._broker.trading or halted_for_now(concerning):
            self._wake("again", HALT_PAUSE_NS, self._try_again)
        else:
            self._held_back = False
            self.take_up()

    def _wake(self, name: str, pause_ns: int, then: Callable[[], None]) -> None:
        def wake(event: TimeEvent) -> None:
            then()

        wake_in(self._strategy.clock, pause_ns, f"{name}.{self._rules.key}", wake)
