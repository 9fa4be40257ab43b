"""Run a strategy that ranks a universe on a schedule, in the engine: timer, snapshot, orders.

A `PanelRebalancer` gives the scores; all else is the same for every such strategy. Bars of one
close time come instrument by instrument; the timer fires after all of them (in the simulated engine
also when ``at`` is "00:00"; live, candles arrive a little late, so ``at`` allows for that).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Container
from decimal import Decimal

import numpy as np
import pyarrow as pa
from nautilus_trader.common.component import LiveClock
from nautilus_trader.model.data import FundingRateUpdate
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import (
    OrderDenied,
    OrderEvent,
    OrderRejected,
    PositionClosed,
    PositionOpened,
)
from nautilus_trader.model.identifiers import InstrumentId

from config.durations import DAY_NS, duration_ns, offset_ns
from strategies.candles import CandleStrategy
from strategies.messages import Action, Executed, Verdict
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig
from strategies.rebalance.decide import (
    BOOKS_PATIENCE_NS,
    CANDLES_PATIENCE_NS,
    LATE_NS,
    Line,
    Snapshot,
)
from strategies.rebalance.execute import PlanExecution
from strategies.rebalance.history import Window
from strategies.rebalance.memory import Memory
from strategies.rebalance.propose import Liquidity, Listings, Proposal, propose, rows_needed
from strategies.rebalance.scoring import checked_scores
from strategies.schedule import last_close, last_fire
from strategies.sizing.covariance import load_estimators
from strategies.sizing.rounding import ZERO
from strategies.state import StateStore

SETTLEMENTS_NS = 2 * DAY_NS
"""Funding is settled at least three times a day: enough to tell how often."""


class Rebalancer(CandleStrategy):
    """Runs a `PanelRebalancer` in the engine; `strategies.engine_class` joins the two."""

    sizes_by_verdicts = True

    @property
    @abstractmethod
    def ranking(self) -> type[PanelRebalancer]:
        """Class that gives the scores."""

    def __init__(self, config: PanelRebalancerConfig) -> None:
        super().__init__(
            config,
            rows_needed(config, self.ranking.rows_for_scores(config)),
            ranges=config.wants_range,
            funding=config.wants_funding,
        )
        if any(rules.wants_covariance for rules in (config, *(s.rules for s in config.sleeves))):
            load_estimators()
        self._execution = PlanExecution(self, self.schedule(), self.snapshot)

    # Funding -----------------------------------------------------------------------------------

    def funding_needed(self) -> int:
        """Return the time of the candles kept, or of several settlements, in nanoseconds."""
        if not self.config.wants_funding:
            return 0
        # Two candles more: one that is not whole at the start, and one for a decision that waits.
        return max((self._history.rows + 2) * self._history.interval_ns, SETTLEMENTS_NS)

    def warm_up_funding(self, settlements: pa.Table) -> None:
        """Add settlements; those known already change nothing."""
        columns = (settlements[name].to_pylist() for name in ("instrument", "ts", "rate"))
        for name, ts, rate in zip(*columns, strict=True):
            self._add_funding(InstrumentId.from_str(name), ts, rate)

    def funding_lacking(self, ts_ns: int) -> list[str]:
        """Return the ids of which a settlement until this time is due and missing."""
        return [self.ids[i] for i in self._history.lacks_funding(ts_ns)]

    def on_funding_rate(self, update: FundingRateUpdate) -> None:
        """Add a settlement of a backtest; what is only predicted is none."""
        if update.next_funding_ns is None:
            self._add_funding(update.instrument_id, update.ts_event, float(update.rate))

    def _add_funding(self, instrument_id: InstrumentId, ts: int, rate: float) -> None:
        self._history.add_funding(self._index[instrument_id], ts, rate)

    # The schedule ------------------------------------------------------------------------------

    def schedule(self) -> tuple[int, int]:
        """Return period and offset of its decisions in nanoseconds."""
        return duration_ns(self.config.every), offset_ns(self.config.at)

    def attach_state(self, store: StateStore) -> None:
        """Save the schedule's progress in the store, and load what it has.

        Raises DeskError when the saved progress can't be read.
        """
        super().attach_state(store)
        self._execution.read(store)

    def due(self, now_ns: int) -> int | None:
        """Return the latest stamp of the schedule unless it is done or under way."""
        return self._execution.due(now_ns)

    @property
    def decided(self) -> int | None:
        """Newest stamp of the schedule that it decided on, None before the first."""
        return self._execution.decided

    def run_now(self, force: bool = False) -> bool:
        """Rebalance for the latest stamp, with ``force`` once more; verdicts still apply."""
        now = self.clock.timestamp_ns()
        if self.busy or (self.due(now) is None and not force):
            return False
        self._execution.rebalance(now)
        return True

    def resume(self) -> bool:
        """Finish a rebalance of this interval after a crash, or catch up a missed stamp.

        Without any earlier stamp, as on the first start, it waits for the schedule.
        """
        now = self.clock.timestamp_ns()
        plan = self._execution.plan
        if plan is not None:
            served = plan.made if plan.stamp is None else plan.stamp
            if served >= last_fire(now, *self.schedule()):
                self._execution.resume()
                return True
            self.log.warning(f"The {plan.kind} of {plan.made} was left unfinished; it is dropped")
            self._execution.give_up()
        if self.decided is not None and self.run_now():
            return True
        leaving = self.verdicts.left_to_leave()
        if leaving and not self.busy:
            self.on_flatten(leaving, self.verdicts.strictest_on(min(leaving)))
        return bool(leaving)

    @property
    def busy(self) -> bool:
        """Whether a decision, its plan or its orders are under way."""
        return self._execution.busy or self.broker.trading

    def on_start(self) -> None:
        """Subscribe to the candles and set the timer."""
        super().on_start()
        if self.config.sells_short:
            spot = [i.value for i in self.instrument_ids if self.market.is_spot(i)]
            if spot:
                raise ValueError(
                    f"strategy {self.config.key}: spot can't be sold short: use side long_only "
                    f"or leave out {', '.join(spot)}"
                )
        listed = [self.market.listed_ns(name) for name in self.instrument_ids]
        since = np.array([np.nan if ns is None else ns for ns in listed], float)
        self._listings = Listings(self.ids, since)
        # Live, updates have the rate expected next; the node requests the settled ones.
        if self.config.wants_funding and not isinstance(self.clock, LiveClock):
            for instrument_id in self.instrument_ids:
                self.subscribe_funding_rates(instrument_id)
        if self.config.min_depth > 0.0:
            self.market.want_levels()
        if self.config.wants_liquidity or not self.broker.takes_at_once:
            for instrument_id in self.instrument_ids:
                self.market.watch(instrument_id)
        self._execution.start()

    def on_stop(self) -> None:
        """Cancel open orders; keep positions, and the plan for a restart in the interval."""
        self._execution.stopping = True
        self.broker.stop()
        self.broker.cancel_all()

    def leave_open(self) -> None:
        """Leave the plan for the next start."""
        self._execution.stopping = True

    def leave_flat(self) -> None:
        """Give up the plan: the stop of the node closes what is held."""
        self._execution.stopping = True
        if self._execution.plan is not None:
            self._execution.give_up()

    def snapshot(
        self,
        ts: int,
        *,
        since: int | None = None,
        before: Snapshot | None = None,
        scored: bool = True,
    ) -> Snapshot:
        """Return the inputs of a decision.

        ``ts`` is its time, UNIX nanoseconds (UTC); ``since`` is when the wait for missing data
        began. With an earlier snapshot ``before``, whose orders are cancelled by now, only the
        account is read again, unless a position was closed meanwhile. ``scored=False`` is for
        leaving the market, which must not depend on scores.
        """
        market, verdicts = self.market, self.verdicts
        stamp, data_ts = last_fire(ts, *self.schedule()), last_close(ts, self._history.interval_ns)
        held, equity = market.holdings(), market.equity()
        scored = scored and verdicts.strictest.action != Action.FLATTEN
        by_ns = ts + duration_ns(self.config.execution.retry_for)
        late = scored and market.sees_top_of_book and ts - stamp > LATE_NS
        lines = tuple(
            Line(
                column,
                name,
                held.get(name, ZERO),
                market.lot(instrument_id),
                verdicts.lasting_on(name, by_ns),
                market.newest_price(instrument_id) if late else None,
            )
            for column, (name, instrument_id) in enumerate(
                zip(self.ids, self.instrument_ids, strict=True)
            )
            if self._history.last_close(column) is not None or name in held
        )
        clear = before is not None or not (self.broker.trading or self.broker.under_way())
        proposal, memory = None, self._execution.memory
        # What a stop has closed since must not be bought back.
        if before is not None and not (scored and memory.exits):
            proposal, memory = before.proposal, before.memory
        if proposal is None and scored:
            window = self._history.window(data_ts)
            if self.config.wants_memory:
                memory = self._corrected(memory, window, held, equity)
            proposal = self._propose(window, memory)
        return Snapshot(
            ts=ts,
            data_ts=data_ts,
            stamp=stamp,
            now=self.clock.timestamp_ns(),
            equity=equity,
            verdict=verdicts.strictest,
            lines=lines,
            proposal=proposal,
            equity_now=market.equity(market.newest_price) if late else None,
            sees_books=market.sees_top_of_book,
            patience_ns=self._patience_ns(data_ts),
            since=since,
            settled=before is not None,
            margin=market.margin() if clear else None,
            memory=memory,
        )

    def _corrected(
        self, memory: Memory, window: Window, held: dict[str, Decimal], equity: Decimal
    ) -> Memory:
        price = dict(zip(self.ids, window.close[-1].tolist(), strict=True))
        last, cooldown = self.market.last_price, self.config.stop_cooldown
        # Without any equity only the side counts.
        size = abs(float(equity)) or 1.0
        weights = {
            name: float(quantity * (last(InstrumentId.from_str(name)) or 1)) / size
            for name, quantity in held.items()
        }
        protector = self.broker.protector
        taken = {
            name.value
            for name in self.instrument_ids
            if protector is not None and protector.has_taken(name)
        }
        cooldown_ns = 0 if cooldown is None else duration_ns(cooldown)
        return memory.corrected(weights, price, window.ts, cooldown_ns, taken)

    def on_position_opened(self, event: PositionOpened) -> None:
        """Remember that a position was entered, so that its end while the node is down is known."""
        if self.config.wants_memory:
            memory, side = self._execution.memory, 1 if event.entry == OrderSide.BUY else -1
            self._execution.note(memory.with_entry(event.instrument_id.value, side))

    def on_position_closed(self, event: PositionClosed) -> None:
        """Remember an exit by a stop or a guard."""
        super().on_position_closed(event)
        if self.config.wants_memory:
            memory, side = self._execution.memory, 1 if event.entry == OrderSide.BUY else -1
            name, price = event.instrument_id.value, float(event.avg_px_close)
            self._execution.note(memory.with_exit(name, event.ts_closed, price, side))

    def _propose(self, window: Window, memory: Memory) -> Proposal:
        market, rules, names = self.market, self.config, self.instrument_ids
        liquidity = None
        if rules.wants_liquidity and market.sees_top_of_book:
            books = [market.top_of_book(name) for name in names]
            liquidity = Liquidity(
                np.array([np.nan if book is None else book.spread_bps for book in books]),
                np.array([market.depth(name, rules.depth_bps) for name in names]),
            )
        score, entered = checked_scores(self.ranking, rules, window)
        return propose(rules, self._listings, window, score, liquidity, memory, entered)

    def _patience_ns(self, data_ts: int) -> int:
        # In a backtest a missing candle never comes.
        if isinstance(self.clock, LiveClock) and (
            self._history.lacks(data_ts) or self._history.lacks_funding(data_ts)
        ):
            return CANDLES_PATIENCE_NS
        if not self.config.wants_liquidity or not self.market.sees_top_of_book:
            return 0
        blind = any(self.market.top_of_book(name) is None for name in self.instrument_ids)
        return BOOKS_PATIENCE_NS if blind else 0

    def on_flatten(self, instruments: Container[str], verdict: Verdict) -> None:
        """Leave the market, or some instruments, by a decision."""
        self._execution.on_flatten(instruments, verdict)

    def on_halt(self, instruments: Container[str], verdict: Verdict) -> None:
        """Cancel own entry orders; their legs wait when the halt is due to end soon."""
        self._execution.on_halt(instruments)
        super().on_halt(instruments, verdict)

    def on_verdict(self, verdict: Verdict) -> None:
        """Note which legs a passing halt delays."""
        self._execution.on_verdict()

    def unfinished(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Return the wanted and the held position of each leg that is left for the next start."""
        return self._execution.unfinished()

    @property
    def delay(self) -> str:
        """Why legs wait, empty when none does."""
        return self._execution.delay

    def on_stopped_out(self, instrument_id: InstrumentId) -> None:
        """Give up the leg of a position that a stop has closed."""
        self._execution.give_up_leg(instrument_id)

    def on_stopping(self, instruments: Container[str] | None) -> None:
        """Drop legs that are not sent yet."""
        self._execution.drop_legs(instruments)

    def on_execution_progress(self, instrument_id: InstrumentId) -> None:
        """Send the legs that a fill makes room for."""
        self._execution.release()

    def on_executed(self, done: Executed) -> None:
        """Send the legs that may be sent now, and end the plan after the last one."""
        self._execution.on_executed(done)
        self.on_order_ended()

    def on_order_ended(self) -> None:
        """End the plan when none of its orders is under way."""
        self._execution.check()

    def on_order_event(self, event: OrderEvent) -> None:
        """Track own orders; send again what was refused for now or lost on its way."""
        self._execution.on_order_event(event)
        super().on_order_event(event)
        if isinstance(event, OrderDenied | OrderRejected):
            self._execution.on_refused(event)
