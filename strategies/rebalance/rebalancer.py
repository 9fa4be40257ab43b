"""The engine's side of a strategy that ranks a universe on a schedule: candles, timer, orders.

A `PanelRebalancer` gives the scores; what is eligible, how scores become weights, what the exchange
accepts and what the decision says are the same for all. Bars of one close time come instrument by
instrument; the timer fires after all of them (in the simulated engine also when ``at`` is "00:00";
live, candles arrive a little late, so ``at`` allows for that).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Container
from decimal import Decimal

from nautilus_trader.common.events import TimeEvent
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.events import OrderEvent
from nautilus_trader.model.identifiers import InstrumentId

from config.durations import bar_type, duration_ns, interval_ns, offset_ns
from strategies.base import DeskStrategy
from strategies.messages import Executed, Verdict
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig
from strategies.rebalance.decide import Decider
from strategies.rebalance.execute import PlanExecution
from strategies.rebalance.history import CandleHistory, Candles
from strategies.rebalance.propose import rows_needed
from strategies.schedule import last_fire, next_fire
from strategies.state import StateStore


class Rebalancer(DeskStrategy):
    """Runs a `PanelRebalancer` in the engine; `strategies.engine_class` binds the two."""

    @property
    @abstractmethod
    def ranking(self) -> type[PanelRebalancer]:
        """What gives the scores."""

    def __init__(self, config: PanelRebalancerConfig) -> None:
        super().__init__(config)
        interval = interval_ns(config.interval)
        rows = rows_needed(config, self.ranking.rows_for_scores(config))
        self._history = CandleHistory(len(self.ids), rows, interval)
        self._index = {instrument: i for i, instrument in enumerate(self.instrument_ids)}
        self._execution = PlanExecution(self, self.broker)
        self._decider = Decider(self, self._history, interval, self._execution)
        self.market.last_price = self.last_price
        self.stopping = False
        """Whether what is under way is left for the next start."""

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
            return self.market.engine_price(instrument_id)
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
        self._execution.read(store)

    def due(self, now_ns: int) -> int | None:
        """Return the latest stamp of the schedule unless it is done or under way."""
        stamp = last_fire(now_ns, *self.schedule())
        return None if self._execution.knows(stamp) else stamp

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
        plan = self._execution.plan
        if plan is not None:
            if plan.made >= last_fire(now, *self.schedule()):
                self._execution.take_up()
                return True
            self.log.warning(f"The {plan.kind} of {plan.made} was left unfinished; it is dropped")
            self._execution.give_up()
        if self._execution.done is not None and self.run_now():
            return True
        leaving = self.verdicts.left_to_leave()
        if leaving and not self.busy:
            self.on_flatten(leaving, self.verdicts.strictest_on(min(leaving)))
        return bool(leaving)

    @property
    def busy(self) -> bool:
        """Whether it is still carrying out what it decided."""
        return self._execution.plan is not None or self._decider.looking or self.broker.trading

    def on_start(self) -> None:
        """Subscribe to the candles and set the timer."""
        super().on_start()
        self.stopping = False
        if self.config.side == "long_short":
            spot = [i.value for i in self.instrument_ids if self.market.is_spot(i)]
            if spot:
                raise ValueError(
                    f"strategy {self.config.key}: spot can't be sold short: use side long_only "
                    f"or leave out {', '.join(spot)}"
                )
        self._decider.read_listings()
        for name in self.ids:
            self.subscribe_bars(BarType.from_str(bar_type(name, self.config.interval)))
        if self.config.wants_liquidity or not self.broker.takes_at_once:
            for instrument_id in self.instrument_ids:
                self.market.watch(instrument_id)
        every, offset = self.schedule()
        # A start on the very stamp of a decision takes it.
        first = next_fire(self.clock.timestamp_ns() - 1, every, offset)
        self.clock.set_timer_ns(
            f"rebalance.{self.config.key}",
            interval_ns=every,
            start_time_ns=first,
            stop_time_ns=0,
            callback=self.on_loop(self._on_timer),
            allow_past=False,
            fire_immediately=True,
        )

    def on_stop(self) -> None:
        """Cancel what is under way; positions stay, what becomes of them is the node's to say.

        A plan stays open: a restart in the same interval finishes it.
        """
        self.stopping = True
        self.stop_executing()
        self.cancel_waiting()

    def leave_open(self) -> None:
        """Leave the plan for the next start."""
        self.stopping = True

    def _on_timer(self, event: TimeEvent) -> None:
        self.rebalance(event.ts_event)

    # The decision ------------------------------------------------------------------------------

    def rebalance(self, now: int) -> None:
        """Decide on the candles complete now, publish the decision and send its orders."""
        self._decider.rebalance(now)

    def flatten(self, now: int, note: str, stamp: int | None) -> None:
        """Close what a verdict says to close, serving a stamp if any; the rest is left as it is."""
        self._decider.flatten(now, note, stamp)

    def on_flatten(self, instruments: Container[str], verdict: Verdict) -> None:
        """Leave the market, or some instruments, by a decision of its own."""
        # While a rebalance's cancels are awaited its decision is yet to come, and obeys by itself.
        if self.broker.clearing and not self._decider.waits_to_leave:
            return
        self._decider.flatten(self.clock.timestamp_ns(), verdict.reason, None, instruments)

    # What becomes of it ------------------------------------------------------------------------

    def on_stopping(self, instruments: Container[str] | None) -> None:
        """Let legs stay that have not left yet."""
        self._execution.drop_legs(instruments)

    def on_execution_progress(self, instrument_id: InstrumentId) -> None:
        """Send the legs that a fill makes room for."""
        self._execution.release()

    def on_executed(self, done: Executed) -> None:
        """Send the legs that may leave now, and take the plan back after the last one."""
        self._execution.on_executed(done)
        self.on_order_ended()

    def on_order_ended(self) -> None:
        """Take the plan back when nothing of it is under way any more."""
        self._execution.check()

    def on_order_event(self, event: OrderEvent) -> None:
        """Follow the own orders; what was refused for now or lost on its way is sent again."""
        self._execution.on_order_event(event)
        super().on_order_event(event)
