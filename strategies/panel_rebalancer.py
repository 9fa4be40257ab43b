"""A strategy that ranks a universe on a schedule and rebalances to weights.

A derived class gives the scores; what is eligible, how scores become weights, what the exchange
accepts and what the decision says are the same for all. Bars of one close time come instrument by
instrument; the timer fires after all of them (in the simulated engine also when ``at`` is "00:00";
live, candles arrive a little late, so ``at`` allows for that).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Container, Iterable
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
from nautilus_trader.common.component import LiveClock
from nautilus_trader.common.events import TimeEvent
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.events import OrderDenied, OrderEvent, OrderRejected
from nautilus_trader.model.identifiers import InstrumentId
from numpy.typing import NDArray

from config.intervals import bar_type, interval_ns
from strategies.base import DeskStrategy
from strategies.cross_section import (
    NOTHING_TO_HOLD,
    Liquidity,
    Listings,
    Proposal,
    explain,
    not_applied,
    propose,
    reason_to_wait,
    rows_needed,
)
from strategies.history import CandleHistory, Candles, Window
from strategies.legs import Legs
from strategies.messages import PASSING, Action, Decision, Executed, Target, Verdict, passes
from strategies.plan import STATE, Plan, Progress, decode, encode
from strategies.rebalancer_config import PanelRebalancerConfig
from strategies.schedule import duration_ns, last_close, last_fire, next_fire, offset_ns
from strategies.sizing.rounding import ZERO
from strategies.state import StateStore
from strategies.tactics.maker_first import kind_of
from strategies.target_order import moved, target_of

AGAIN_NS = 5 * 10**9
"""How often it looks whether a halt that passes by itself, such as of a link, is over."""
TOUCH_PATIENCE_NS = 10 * 10**9
"""How long a decision waits for best bids and asks that it needs, as after a start."""
CANDLE_PATIENCE_NS = 60 * 10**9
"""How long a live decision waits for candles that are late: the node asks the venue for them."""
RETRY_NS = 60 * 10**9
"""How soon a live decision that could not be made at all is tried again."""


class PanelRebalancer(DeskStrategy):
    """The base of reversal and momentum: give it `scores` and `rows_for_scores`."""

    Config: ClassVar[type[PanelRebalancerConfig]] = PanelRebalancerConfig

    @staticmethod
    @abstractmethod
    def rows_for_scores(config: Any) -> int:
        """Return how many candles the scores look back on, the newest included.

        Parameters
        ----------
        config : PanelRebalancerConfig
            The parameters, of the derived class's own ``Config``.
        """

    @staticmethod
    @abstractmethod
    def scores(config: Any, window: Window) -> NDArray[np.float64]:
        """Return a score for each instrument from its candles; higher is bought, lower sold.

        Pure: the screen calls it on windows cut from a panel.

        Parameters
        ----------
        config : PanelRebalancerConfig
            The parameters, of the derived class's own ``Config``.
        window : Window
            What is complete at the decision.

        Returns
        -------
        ndarray, shape (N,)
            NaN where history is too short.
        """

    def __init__(self, config: PanelRebalancerConfig) -> None:
        super().__init__(config)
        self._interval_ns = interval_ns(config.interval)
        rows = rows_needed(config, self.rows_for_scores(config))
        self._history = CandleHistory(len(self.ids), rows, self._interval_ns)
        self._index = {instrument: i for i, instrument in enumerate(self.instrument_ids)}
        self._listings: Listings | None = None
        self._progress = Progress()
        self._sending = self._stopping = False
        self._legs = Legs(self._executor)
        self._looking = False
        self._looking_for = self._looking_since = 0
        self._held_back = False

    # Candles -----------------------------------------------------------------------------------

    def history_needed(self) -> dict[str, int]:
        """Return the number of candles a decision looks back on."""
        return {self.config.interval: self._history.rows}

    def warm_up(self, panel: Candles, interval: str) -> None:
        """Take in candles from before the start."""
        if interval == self.config.interval:
            self._history.warm_up(panel, self.ids)

    def history_lacking(self, interval: str, close_ns: int) -> list[str]:
        """Return the ids whose candle of a close time has not come."""
        if interval != self.config.interval:
            return []
        return [self.ids[i] for i in self._history.lacks(close_ns)]

    def on_bar(self, bar: Bar) -> None:
        """Take in a candle that just closed."""
        # The engine's own division of its 128-bit integers can be one bit off the decimal number.
        close, volume = bar.close, bar.volume
        self._history.add(
            self._index[bar.bar_type.instrument_id],
            bar.ts_event,
            round(close.as_double(), close.precision),
            round(volume.as_double(), volume.precision),
        )

    def last_price(self, instrument_id: InstrumentId) -> Decimal | None:
        """Return the last close seen; for an instrument of another strategy, the engine's price."""
        index = self._index.get(instrument_id)
        if index is None:
            return super().last_price(instrument_id)
        close = self._history.last_close(index)
        return None if close is None else Decimal(repr(close))

    # The schedule ------------------------------------------------------------------------------

    def schedule(self) -> tuple[int, int]:
        """Return the period and the offset of its decisions in nanoseconds."""
        return duration_ns(self.config.every), offset_ns(self.config.at)

    def attach_state(self, store: StateStore) -> None:
        """Keep the progress of the schedule in the store, and take up the one it has.

        Raises
        ------
        DeskError
            When what was saved can't be read.
        """
        super().attach_state(store)
        self._progress = decode(store.load(STATE), self.config.key)

    def due(self, now_ns: int) -> int | None:
        """Return the latest stamp of the schedule unless it is done or under way."""
        stamp = last_fire(now_ns, *self.schedule())
        return None if self._progress.knows(stamp) else stamp

    def run_now(self, force: bool = False) -> bool:
        """Rebalance for the latest stamp; ``force`` does so again. Verdicts hold all the same."""
        now = self.clock.timestamp_ns()
        if self.busy or (self.due(now) is None and not force):
            return False
        self.rebalance(now)
        return True

    def resume(self) -> bool:
        """Finish what a crash interrupted in this interval, or catch up a stamp that was missed.

        Without any earlier stamp, as on the first start, it waits for the schedule.
        """
        now = self.clock.timestamp_ns()
        plan = self._progress.plan
        if plan is not None:
            if plan.made >= last_fire(now, *self.schedule()):
                self.when_clear(self._take_up, or_else=self.could_not_clear)
                return True
            self.log.warning(f"The {plan.kind} of {plan.made} was left unfinished; it is dropped")
            self._keep(self._progress.finished())
            for instrument_id in self.instrument_ids:
                self._executor.forget(instrument_id)
        return self._progress.done is not None and self.run_now()

    @property
    def busy(self) -> bool:
        """Whether it is still carrying out what it decided."""
        return self._progress.plan is not None or self._looking or self.trading

    def on_start(self) -> None:
        """Subscribe to the candles and set the timer."""
        super().on_start()
        self._stopping = False
        if self.config.side == "long_short":
            spot = [i.value for i in self.instrument_ids if self.is_spot(i)]
            if spot:
                raise ValueError(
                    f"strategy {self.config.key}: spot can't be sold short: use side long_only "
                    f"or leave out {', '.join(spot)}"
                )
        self._listings = self._read_listings()
        for name in self.ids:
            self.subscribe_bars(BarType.from_str(bar_type(name, self.config.interval)))
        if self.config.wants_liquidity or not self.takes_at_once:
            for instrument_id in self.instrument_ids:
                self.watch_touch(instrument_id)
        every, offset = self.schedule()
        # A start on the very stamp of a decision takes it.
        first = next_fire(self.clock.timestamp_ns() - 1, every, offset)
        self.clock.set_timer_ns(
            f"rebalance.{self.config.key}",
            interval_ns=every,
            start_time_ns=first,
            stop_time_ns=0,
            callback=self.in_turn(self._on_timer),
            allow_past=False,
            fire_immediately=True,
        )

    def on_stop(self) -> None:
        """Cancel what is under way; positions stay, what becomes of them is the node's to say.

        A plan stays open: a restart in the same interval finishes it.
        """
        self._stopping = True
        self.stop_executing()
        self.cancel_waiting()

    def on_verdict(self, verdict: Verdict) -> None:
        """Leave the market, or the instrument, at once when a guard asks for it."""
        # While cancels are under way the decision is yet to come, and will obey by itself.
        if verdict.action == Action.FLATTEN and self._leaving() and not self.clearing:
            self._flatten(self.clock.timestamp_ns(), verdict.reason, None)

    def _read_listings(self) -> Listings:
        listed = [self.listed_ns(i) for i in self.instrument_ids]
        return Listings(self.ids, np.array([np.nan if ns is None else ns for ns in listed], float))

    def _on_timer(self, event: TimeEvent) -> None:
        self.rebalance(event.ts_event)

    # The decision ------------------------------------------------------------------------------

    def rebalance(self, now: int) -> None:
        """Decide on the candles complete now, publish the decision and send its orders."""
        if self.verdict.action == Action.FLATTEN:
            self._flatten(now, self.verdict.reason, last_fire(now, *self.schedule()))
            return
        data_ts = last_close(now, self._interval_ns)
        assert self._listings is not None
        if self._looks_again(now):
            return
        window = self._history.window(data_ts)
        scores = self.scores(self.config, window)
        proposal = propose(self.config, self._listings, window, scores, self._liquidity())
        waiting = reason_to_wait(self.config, proposal)
        if waiting:
            self._wait(now, data_ts, proposal, waiting)
            return
        # An order that still waits was sized on older candles: it must not add to this decision's.
        self.when_clear(
            lambda: self._trade(now, data_ts, proposal),
            or_else=lambda: self._wait(now, data_ts, proposal, "own orders would not be cancelled"),
        )

    def _liquidity(self) -> Liquidity | None:
        if not self.config.wants_liquidity or not self.sees_touches:
            return None
        touches = [self.touch(name) for name in self.instrument_ids]
        return Liquidity(
            np.array([np.nan if touch is None else touch.spread_bps for touch in touches]),
            np.array([self.depth(name, self.config.depth_bps) for name in self.instrument_ids]),
        )

    def _looks_again(self, now: int) -> bool:
        """Whether the decision waits: for a halt that passes by itself, for candles, for touches.

        Just started, all would seem too wide to hold; while a link is down nothing could be
        entered, which would go for decided; and what has no candle would be sold for that alone.
        """
        self._looking = False
        if self._halted(()):
            self._look_in(AGAIN_NS, now)
            return True
        clock = self.clock.timestamp_ns()
        since = self._looking_since if self._looking_for == now else clock
        self._looking_for, self._looking_since = now, since
        patience = self._patience(last_close(now, self._interval_ns))
        if clock - since >= patience:
            return False
        self._look_in(10**9, now)
        return True

    def _patience(self, data_ts: int) -> int:
        """Return how long the decision may wait for what it lacks; zero when it lacks nothing."""
        # In a backtest a candle that is not there will not come.
        if isinstance(self.clock, LiveClock) and self._history.lacks(data_ts):
            return CANDLE_PATIENCE_NS
        if not self.config.wants_liquidity or not self.sees_touches:
            return 0
        blind = any(self.touch(name) is None for name in self.instrument_ids)
        return TOUCH_PATIENCE_NS if blind else 0

    def _look_in(self, pause_ns: int, now: int) -> None:
        self._looking = True
        self._wake_in(pause_ns, "look", lambda event: self.rebalance(now))

    def _wake_in(self, pause_ns: int, what: str, then: Callable[[TimeEvent], None]) -> None:
        name = f"{what}.{self.config.key}"
        if name in self.clock.timer_names:
            self.clock.cancel_timer(name)
        at = self.clock.timestamp_ns() + pause_ns
        self.clock.set_time_alert_ns(name, at, self.in_turn(then))

    def _halted(self, instruments: Iterable[str]) -> bool:
        """Whether entries, all or in one of these, are halted by something that passes."""
        verdicts = [self.verdict, *(self.verdict_on(name) for name in instruments)]
        return any(v.action >= Action.HALT_ENTRIES and v.guard in PASSING for v in verdicts)

    def _trade(self, now: int, data_ts: int, proposal: Proposal) -> None:
        stamp = last_fire(now, *self.schedule())
        if self.verdict.action == Action.FLATTEN:
            self._flatten(now, self.verdict.reason, stamp)
            return
        equity = self.equity()
        held = self.holdings()
        targets = tuple(
            target_of(
                self.config,
                proposal,
                i,
                self.ids[i],
                equity=equity,
                held=held.get(self.ids[i], ZERO),
                lot=self.lot(self.instrument_ids[i]),
                verdict=self.verdict_on(self.ids[i]),
            )
            for i in self._in_sight(held)
        )
        note = not_applied(self.config) if not self.sees_touches else ""
        self._carry_out("rebalance", now, data_ts, equity, targets, note, stamp)

    def _flatten(self, now: int, note: str, stamp: int | None) -> None:
        """Close what a verdict says to close; the rest is left as it is."""
        leaving = self._leaving()
        self.when_clear(
            lambda: self._leave(now, leaving, note, stamp),
            or_else=self.could_not_clear,
            instruments=leaving,
        )

    def _leave(self, now: int, leaving: set[str], note: str, stamp: int | None) -> None:
        held = self.holdings()
        targets = tuple(
            moved(self.ids[i], has, -has if self.ids[i] in leaving else ZERO)
            for i in self._in_sight(held)
            for has in (held.get(self.ids[i], ZERO),)
        )
        data_ts = last_close(now, self._interval_ns)
        self._carry_out("flatten", now, data_ts, self.equity(), targets, note, stamp)

    def _leaving(self) -> set[str]:
        return {name for name in self.ids if self.verdict_on(name).action == Action.FLATTEN}

    def _wait(self, now: int, data_ts: int, proposal: Proposal, note: str) -> None:
        held = self.holdings()
        targets = tuple(
            moved(self.ids[i], held.get(self.ids[i], ZERO), ZERO, explain(proposal, i, self.config))
            for i in self._in_sight(held)
        )
        # Not done: it stays due, for whoever runs it once candles are there.
        self._carry_out("wait", now, data_ts, self.equity(), targets, note, None)
        # Keeping what is held is a decision; what could not be decided is tried again.
        if isinstance(self.clock, LiveClock) and note != NOTHING_TO_HOLD:
            self._wake_in(RETRY_NS, "retry", self._on_retry)

    def _on_retry(self, event: TimeEvent) -> None:
        if not self._stopping:
            self.run_now()

    def _in_sight(self, held: dict[str, Decimal]) -> list[int]:
        """Return the columns that a decision speaks of: those with a candle so far.

        A backtest knows instruments that are listed later; a decision must not.
        """
        return [
            i
            for i, name in enumerate(self.ids)
            if self._history.last_close(i) is not None or name in held
        ]

    def _carry_out(
        self,
        kind: str,
        now: int,
        data_ts: int,
        equity: Decimal,
        targets: tuple[Target, ...],
        note: str,
        stamp: int | None,
    ) -> None:
        verdict = self.verdict
        orders = [
            (InstrumentId.from_str(target.instrument), Decimal(target.current), order)
            for target in targets
            if (order := Decimal(target.order)) != ZERO
        ]
        if kind != "wait":
            self._keep(self._planned(kind, now, stamp, orders))
        weights = np.array([target.weight for target in targets])
        self.publish(
            Decision(
                strategy=self.config.key,
                ts=now,
                data_ts=data_ts,
                kind=kind,
                equity=f"{equity:f}",
                multiplier=verdict.multiplier if verdict.action == Action.SHRINK else 1.0,
                gross=float(np.abs(weights).sum()),
                net=float(weights.sum()),
                targets=targets,
                note=note,
            )
        )
        self._send(kind, orders)

    def _planned(
        self,
        kind: str,
        now: int,
        stamp: int | None,
        orders: list[tuple[InstrumentId, Decimal, Decimal]],
    ) -> Progress:
        targets = {name.value: held + order for name, held, order in orders}
        before = self._progress
        if kind == "flatten" and before.plan is not None:
            # What was under way in other instruments goes on, and its stamp is still served.
            targets = before.plan.targets | targets
            stamp = before.plan.stamp if stamp is None else stamp
        self._held_back = False
        plan = Plan(stamp=stamp, made=now, kind=kind, targets=targets)
        progress = Progress(done=before.done, plan=plan)
        return progress if targets else progress.finished()

    def _send(
        self,
        kind: str,
        orders: list[tuple[InstrumentId, Decimal, Decimal]],
        *,
        resumed: bool = False,
    ) -> None:
        # Exits leave first: what they free is there for the entries.
        exits_first = sorted(orders, key=lambda o: abs(o[1] + o[2]) > abs(o[1]))
        # Denials come while the orders are still leaving: the plan is not done by them.
        self._sending = True
        # A guard that says leave does not mean wait for a better price.
        if self.takes_at_once or kind == "flatten":
            for instrument_id, _, order in exits_first:
                self.send_market(instrument_id, order, kind)
        else:
            goals = {name: held + order for name, held, order in orders} if resumed else {}
            prices = {name: self.last_price(name) for name, _, _ in orders}
            self._legs.begin(
                [(name, order, float(prices[name] or ZERO)) for name, _, order in exits_first],
                goals=goals,
                bound=self.config.execution.max_leg_imbalance * float(max(self.equity(), ZERO)),
                reason=kind,
            )
        self._sending = False
        self.on_order_ended()

    def stop_executing(self, instruments: Container[str] | None = None) -> None:
        """Let tactics go no further, and legs that have not left yet stay."""
        self._legs.drop(instruments)
        super().stop_executing(instruments)

    def on_execution_progress(self, instrument_id: InstrumentId) -> None:
        """Send the legs that a fill makes room for."""
        self._legs.release()

    def on_executed(self, done: Executed) -> None:
        """Send the legs that may leave now, and take the plan back after the last one."""
        self._legs.on_executed(done)
        self.on_order_ended()

    # The plan ----------------------------------------------------------------------------------

    def on_order_ended(self) -> None:
        """Take the plan back when nothing of it is under way any more."""
        if self._progress.plan is None or self._stopping or self._held_back:
            return
        if self._sending or self._legs.waiting:
            return
        if not self.trading:
            self._keep(self._progress.finished())

    def on_order_event(self, event: OrderEvent) -> None:
        """Follow the own orders; what was refused for now or lost on its way is sent again."""
        if isinstance(event, OrderDenied | OrderRejected) and (
            passes(event.reason) or kind_of(event.reason) == "busy"
        ):
            self._hold_back()
        super().on_order_event(event)

    def _hold_back(self) -> None:
        if self._progress.plan is not None and not self._held_back:
            self._held_back = True
            self._wake_in(AGAIN_NS, "again", self._on_again)

    def _on_again(self, event: TimeEvent) -> None:
        plan = self._progress.plan
        if plan is None or self._stopping or not self._held_back:
            return
        if self.trading or self._halted(plan.targets):
            self._wake_in(AGAIN_NS, "again", self._on_again)
            return
        self._held_back = False
        self.when_clear(self._take_up, or_else=self.could_not_clear)

    def leave_open(self) -> None:
        """Leave the plan for the next start."""
        self._stopping = True

    def _take_up(self) -> None:
        """Send what the positions lack to the plan's targets."""
        plan = self._progress.plan
        assert plan is not None
        if self.verdict.action == Action.FLATTEN:
            self._flatten(self.clock.timestamp_ns(), self.verdict.reason, plan.stamp)
            return
        orders = []
        for name, target in sorted(plan.targets.items()):
            instrument_id = InstrumentId.from_str(name)
            held = self.holding(instrument_id)
            if held != target:
                orders.append((instrument_id, held, target - held))
        self._send(plan.kind, orders, resumed=True)

    def _keep(self, progress: Progress) -> None:
        self._progress = progress
        if self._store is not None:
            self._store.save(STATE, encode(progress))
