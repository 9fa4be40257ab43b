"""Carries out what a rebalancer decided: its plan is kept, its legs are sent, what failed goes on.

Engine-specific. What a plan is and how it moves on is for `strategies.rebalance.plan`, which is
pure.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from nautilus_trader.common.events import TimeEvent
from nautilus_trader.model.events import OrderDenied, OrderEvent, OrderRejected
from nautilus_trader.model.identifiers import InstrumentId

from strategies.broker import Broker
from strategies.messages import Action, Executed, decision_id
from strategies.on_loop import wake_in
from strategies.order_ids import is_closers
from strategies.rebalance.legs import Legs
from strategies.rebalance.plan import STATE, Change, Plan, Progress, decode, encode, exits_first
from strategies.rebalance.readiness import AGAIN_NS
from strategies.refusals import refusal_of
from strategies.sizing.rounding import ZERO
from strategies.state import StateStore
from strategies.verdicts import halted_for_now

if TYPE_CHECKING:
    from strategies.rebalance.rebalancer import Rebalancer


class PlanExecution:
    """The plan of one rebalancer and the way to its targets.

    Parameters
    ----------
    strategy : Rebalancer
        Who decides, and whose orders they are.
    broker : Broker
        Carries out each leg where orders do not go to market at once.
    """

    def __init__(self, strategy: Rebalancer, broker: Broker) -> None:
        self._strategy = strategy
        self._broker = broker
        self._legs = Legs(broker)
        self._progress = Progress()
        self._sending = self._held_back = False

    # What is kept ------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan | None:
        """What is under way."""
        return self._progress.plan

    @property
    def done(self) -> int | None:
        """Newest stamp that is carried out or given up, None before the first."""
        return self._progress.done

    def knows(self, stamp: int) -> bool:
        """Whether the stamp, or a later one, is done or under way."""
        return self._progress.knows(stamp)

    def read(self, store: StateStore) -> None:
        """Take up the progress that a store has.

        Raises
        ------
        DeskError
            When it can't be read.
        """
        self._progress = decode(store.load(STATE), self._strategy.config.key)

    def begin(self, kind: str, now: int, stamp: int | None, changes: Iterable[Change]) -> None:
        """Keep a plan, before its decision is heard and its orders leave (see `send`)."""
        self._held_back = False
        self._keep(self._progress.begun(kind, now, stamp, changes))

    def give_up(self) -> None:
        """Drop the plan, and what a crash left of its legs."""
        self._keep(self._progress.finished())
        for instrument_id in self._strategy.instrument_ids:
            self._broker.forget(instrument_id)

    def check(self) -> None:
        """Take the plan back when nothing of it is under way any more."""
        if self.plan is None or self._strategy.stopping or self._held_back:
            return
        if self._sending or self._legs.waiting:
            return
        if not self._strategy.broker.trading:
            self._keep(self._progress.finished())

    def _keep(self, progress: Progress) -> None:
        self._progress = progress
        store = self._strategy.broker.store
        if store is not None:
            store.save(STATE, encode(progress))

    # What is sent ------------------------------------------------------------------------------

    def send(self, kind: str, changes: Iterable[Change], *, resumed: bool = False) -> None:
        """Send the orders of a decision, or with ``resumed`` those that a crash may have cut."""
        strategy = self._strategy
        orders = [(InstrumentId.from_str(c.instrument), c) for c in exits_first(changes)]
        # Denials come while the orders are still leaving: the plan is not done by them.
        self._sending = True
        # A guard that says leave does not mean wait for a better price.
        if self._broker.takes_at_once or kind == "flatten":
            for name, change in orders:
                strategy.send_market(name, change.order, kind)
        else:
            price_of = strategy.market.last_price
            equity = float(max(strategy.equity(), ZERO))
            self._legs.begin(
                [(name, c.order, float(price_of(name) or ZERO)) for name, c in orders],
                goals={name: change.target for name, change in orders} if resumed else {},
                bound=strategy.config.execution.max_leg_imbalance * equity,
                reason=kind,
            )
        self._sending = False
        strategy.on_order_ended()

    def release(self) -> None:
        """Send the legs that a fill makes room for."""
        self._legs.release()

    def on_executed(self, done: Executed) -> None:
        """Send the legs that may leave now that one has ended."""
        self._legs.on_executed(done)

    def drop_legs(self, instruments: Container[str] | None) -> None:
        """Let legs that have not left yet stay, all or those in some instruments."""
        self._legs.drop(instruments)

    # What goes on ------------------------------------------------------------------------------

    def take_up(self) -> None:
        """Cancel what is under way, then send what the positions lack to the plan's targets."""
        self._strategy.when_clear(self._send_rest, or_else=self._strategy.could_not_clear)

    def on_order_event(self, event: OrderEvent) -> None:
        """Hold the plan back when an order was refused for now, or lost on its way."""
        if not isinstance(event, OrderDenied | OrderRejected):
            return
        if is_closers(event.client_order_id.value):
            return
        if refusal_of(event.reason).transient:
            self._hold_back()

    def _hold_back(self) -> None:
        if self.plan is not None and not self._held_back:
            self._held_back = True
            self._wake_again()

    def _wake_again(self) -> None:
        name = f"again.{self._strategy.config.key}"
        wake_in(self._strategy.clock, AGAIN_NS, name, self._on_again)

    def _on_again(self, event: TimeEvent) -> None:
        strategy, plan = self._strategy, self.plan
        if plan is None or strategy.stopping or not self._held_back:
            return
        concerning = [
            strategy.verdicts.strictest,
            *map(strategy.verdicts.strictest_on, plan.targets),
        ]
        if strategy.broker.trading or halted_for_now(concerning):
            self._wake_again()
            return
        self._held_back = False
        self.take_up()

    def _send_rest(self) -> None:
        strategy, plan = self._strategy, self.plan
        assert plan is not None
        if strategy.verdicts.strictest.action == Action.FLATTEN:
            strategy.flatten(
                strategy.clock.timestamp_ns(), strategy.verdicts.strictest.reason, plan.stamp
            )
            return
        strategy.broker.decision_id = decision_id(strategy.config.key, plan.made)
        held = {name: strategy.holding(InstrumentId.from_str(name)) for name in plan.targets}
        self.send(plan.kind, plan.lacking(held), resumed=True)
