"""A strategy that ranks a universe on a schedule and rebalances to weights.

A derived class gives the scores; what is eligible, how scores become weights, what the exchange
accepts and what the decision says are the same for all. Bars of one close time come instrument by
instrument; the timer fires after all of them (in the simulated engine also when ``at`` is "00:00";
live, candles arrive a little late, so ``at`` allows for that).
"""

from __future__ import annotations

from abc import abstractmethod
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
from nautilus_trader.common.events import TimeEvent
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.identifiers import InstrumentId
from numpy.typing import NDArray

from config.intervals import bar_type, interval_ns
from strategies.base import DeskStrategy
from strategies.cross_section import (
    Listings,
    Proposal,
    explain,
    propose,
    reason_to_wait,
    rows_needed,
)
from strategies.history import CandleHistory, Candles, Window
from strategies.messages import Action, Decision, Target, Verdict
from strategies.rebalancer_config import PanelRebalancerConfig
from strategies.schedule import duration_ns, last_close, next_fire, offset_ns
from strategies.sizing.rounding import ZERO
from strategies.target_order import moved, target_of


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

    # Candles -----------------------------------------------------------------------------------

    def history_needed(self) -> dict[str, int]:
        """Return the number of candles a decision looks back on."""
        return {self.config.interval: self._history.rows}

    def warm_up(self, panel: Candles, interval: str) -> None:
        """Take in candles from before the start."""
        if interval == self.config.interval:
            self._history.warm_up(panel, self.ids)

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

    def on_start(self) -> None:
        """Subscribe to the candles and set the timer."""
        super().on_start()
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
        every, offset = self.schedule()
        # A start on the very stamp of a decision takes it.
        first = next_fire(self.clock.timestamp_ns() - 1, every, offset)
        self.clock.set_timer_ns(
            f"rebalance.{self.config.key}",
            interval_ns=every,
            start_time_ns=first,
            stop_time_ns=0,
            callback=self._on_timer,
            allow_past=False,
            fire_immediately=True,
        )

    def on_stop(self) -> None:
        """Cancel what is under way; positions stay, what becomes of them is the node's to say."""
        self.cancel_waiting()

    def on_verdict(self, verdict: Verdict) -> None:
        """Leave the market, or the instrument, at once when a guard asks for it."""
        if verdict.action == Action.FLATTEN and self._leaving():
            now = self.clock.timestamp_ns()
            self._flatten(now, last_close(now, self._interval_ns), verdict.reason)

    def _read_listings(self) -> Listings:
        listed = [self.listed_ns(i) for i in self.instrument_ids]
        return Listings(self.ids, np.array([np.nan if ns is None else ns for ns in listed], float))

    def _on_timer(self, event: TimeEvent) -> None:
        self.rebalance(event.ts_event)

    # The decision ------------------------------------------------------------------------------

    def rebalance(self, now: int) -> None:
        """Decide on the candles complete now, publish the decision and send its orders."""
        data_ts = last_close(now, self._interval_ns)
        if self.verdict.action == Action.FLATTEN:
            self._flatten(now, data_ts, self.verdict.reason)
            return
        assert self._listings is not None
        window = self._history.window(data_ts)
        proposal = propose(self.config, self._listings, window, self.scores(self.config, window))
        waiting = reason_to_wait(self.config, proposal)
        if waiting:
            self._wait(now, data_ts, proposal, waiting)
            return
        # An order that still waits was sized on older candles: it must not add to this decision's.
        self.cancel_waiting()
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
        self._carry_out("rebalance", now, data_ts, equity, targets, "")

    def _flatten(self, now: int, data_ts: int, note: str) -> None:
        """Close what a verdict says to close; the rest is left as it is."""
        leaving = self._leaving()
        self.cancel_waiting(leaving)
        held = self.holdings()
        targets = tuple(
            moved(self.ids[i], has, -has if self.ids[i] in leaving else ZERO)
            for i in self._in_sight(held)
            for has in (held.get(self.ids[i], ZERO),)
        )
        self._carry_out("flatten", now, data_ts, self.equity(), targets, note)

    def _leaving(self) -> set[str]:
        return {name for name in self.ids if self.verdict_on(name).action == Action.FLATTEN}

    def _wait(self, now: int, data_ts: int, proposal: Proposal, note: str) -> None:
        held = self.holdings()
        targets = tuple(
            moved(self.ids[i], held.get(self.ids[i], ZERO), ZERO, explain(proposal, i, self.config))
            for i in self._in_sight(held)
        )
        self._carry_out("wait", now, data_ts, self.equity(), targets, note)

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
    ) -> None:
        verdict = self.verdict
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
        orders = [
            (InstrumentId.from_str(target.instrument), Decimal(target.current), order)
            for target in targets
            if (order := Decimal(target.order)) != ZERO
        ]
        # Exits leave first: what they free is there for the entries.
        for entries in (False, True):
            for instrument_id, held, order in orders:
                if (abs(held + order) > abs(held)) is entries:
                    self.send_market(instrument_id, order, kind)
