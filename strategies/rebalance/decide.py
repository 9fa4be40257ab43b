"""Makes a rebalancer's decisions: to rebalance, to leave at a guard's word, or to wait.

Engine-specific. From candles to weights it is `propose`, from a weight to an order `target_order`,
both pure; how the orders fare is for `execute`.
"""

from __future__ import annotations

from collections.abc import Container
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from strategies.messages import Action, Decision, Target
from strategies.rebalance.execute import PlanExecution
from strategies.rebalance.history import CandleHistory
from strategies.rebalance.plan import changes_of
from strategies.rebalance.propose import (
    Liquidity,
    Listings,
    Proposal,
    explain,
    not_applied,
    propose,
    reason_to_wait,
)
from strategies.rebalance.readiness import Patience
from strategies.rebalance.target_order import moved, target_of
from strategies.schedule import last_close, last_fire
from strategies.sizing.rounding import ZERO

if TYPE_CHECKING:
    from strategies.rebalance.rebalancer import Rebalancer


LATE_NS = 600 * 10**9
"""After so long from its stamp a decision is late."""


class Decider:
    """The decisions of one rebalancer.

    Parameters
    ----------
    strategy : Rebalancer
        Gives the scores, the account and the market.
    history : CandleHistory
        Its candles.
    interval_ns : int
        Their length, nanoseconds.
    execution : PlanExecution
        Carries out what is decided.
    """

    def __init__(
        self,
        strategy: Rebalancer,
        history: CandleHistory,
        interval_ns: int,
        execution: PlanExecution,
    ) -> None:
        self._strategy = strategy
        self._rules = strategy.config
        self._history = history
        self._interval_ns = interval_ns
        self._execution = execution
        self._patience = Patience(strategy, history, interval_ns)
        self._listings: Listings | None = None
        self._to_leave: set[str] = set()

    @property
    def waits_to_leave(self) -> bool:
        """Whether exits wait for cancels."""
        return bool(self._to_leave)

    @property
    def looking(self) -> bool:
        """Whether a decision waits for what it lacks."""
        return self._patience.looking

    def read_listings(self) -> None:
        """Look up since when the instruments trade."""
        strategy = self._strategy
        listed = [strategy.market.listed_ns(name) for name in strategy.instrument_ids]
        since = np.array([np.nan if ns is None else ns for ns in listed], float)
        self._listings = Listings(strategy.ids, since)

    # To rebalance ------------------------------------------------------------------------------

    def rebalance(self, now: int) -> None:
        """Decide on the candles complete now, publish the decision and send its orders."""
        strategy = self._strategy
        if strategy.verdicts.strictest.action == Action.FLATTEN:
            self.flatten(
                now, strategy.verdicts.strictest.reason, last_fire(now, *strategy.schedule())
            )
            return
        data_ts = last_close(now, self._interval_ns)
        assert self._listings is not None
        if self._patience.holds(now):
            return
        window = self._history.window(data_ts)
        scores = strategy.ranking.scores(self._rules, window)
        proposal = propose(self._rules, self._listings, window, scores, self._liquidity())
        waiting = reason_to_wait(self._rules, proposal)
        if waiting:
            self._wait(now, data_ts, proposal, waiting)
            return
        self._to_leave = set()
        # An order that still waits was sized on older candles: it must not add to this decision's.
        strategy.when_clear(
            lambda: self._trade(now, data_ts, proposal),
            or_else=lambda: self._wait(now, data_ts, proposal, "own orders would not be cancelled"),
        )

    def _liquidity(self) -> Liquidity | None:
        strategy, rules = self._strategy, self._rules
        if not rules.wants_liquidity or not strategy.market.sees_top_of_book:
            return None
        names = strategy.instrument_ids
        touches = [strategy.market.top_of_book(name) for name in names]
        return Liquidity(
            np.array([np.nan if touch is None else touch.spread_bps for touch in touches]),
            np.array([strategy.market.depth(name, rules.depth_bps) for name in names]),
        )

    def _trade(self, now: int, data_ts: int, proposal: Proposal) -> None:
        strategy = self._strategy
        stamp = last_fire(now, *strategy.schedule())
        if strategy.verdicts.strictest.action == Action.FLATTEN:
            self.flatten(now, strategy.verdicts.strictest.reason, stamp)
            return
        # What a market did since the closes would be in the exposure: right on time that is little,
        # and both worlds size alike; a decision that was missed for hours is sized at what is now.
        late = strategy.market.sees_top_of_book and now - stamp > LATE_NS
        price_of = strategy.market.newest_price if late else strategy.market.last_price
        equity = strategy.market.equity(price_of)
        held = strategy.holdings()
        targets = tuple(
            target_of(
                self._rules,
                proposal,
                i,
                strategy.ids[i],
                equity=equity,
                held=held.get(strategy.ids[i], ZERO),
                lot=strategy.market.lot(strategy.instrument_ids[i]),
                verdict=strategy.verdicts.strictest_on(strategy.ids[i]),
                newest=price_of(strategy.instrument_ids[i]) if late else None,
            )
            for i in self._in_sight(held)
        )
        note = "" if strategy.market.sees_top_of_book else not_applied(self._rules)
        if late:
            note = f"{(now - stamp) / 3.6e12:.1f} h late: sized at the newest prices, not at closes"
        self._carry_out("rebalance", now, data_ts, equity, targets, note, stamp)

    # To leave ----------------------------------------------------------------------------------

    def leaving(self) -> set[str]:
        """Return the ids that a guard says to leave."""
        return self._strategy.verdicts.to_leave()

    def flatten(
        self, now: int, note: str, stamp: int | None, instruments: Container[str] | None = None
    ) -> None:
        """Close what a verdict says to close, serving a stamp if any; the rest is left as it is.

        With ``instruments`` only these are new to be left; exits in others are under way.
        """
        leaving = self.leaving()
        if instruments is not None:
            leaving = {n for n in leaving if n in instruments or n in self._to_leave}
        self._to_leave = leaving
        self._strategy.when_clear(
            lambda: self._leave(now, leaving, note, stamp),
            or_else=self._could_not_leave,
            instruments=leaving,
        )

    def _could_not_leave(self) -> None:
        self._to_leave = set()
        self._strategy.could_not_clear()

    def _leave(self, now: int, leaving: set[str], note: str, stamp: int | None) -> None:
        self._to_leave = set()
        ids, held = self._strategy.ids, self._strategy.holdings()
        targets = tuple(
            moved(ids[i], has, -has if ids[i] in leaving else ZERO)
            for i in self._in_sight(held)
            for has in (held.get(ids[i], ZERO),)
        )
        data_ts, equity = last_close(now, self._interval_ns), self._strategy.equity()
        self._carry_out("flatten", now, data_ts, equity, targets, note, stamp)

    # To wait -----------------------------------------------------------------------------------

    def _wait(self, now: int, data_ts: int, proposal: Proposal, note: str) -> None:
        ids, held = self._strategy.ids, self._strategy.holdings()
        targets = tuple(
            moved(ids[i], held.get(ids[i], ZERO), ZERO, explain(proposal, i, self._rules))
            for i in self._in_sight(held)
        )
        # Not done: it stays due, for whoever runs it once candles are there.
        self._carry_out("wait", now, data_ts, self._strategy.equity(), targets, note, None)
        self._patience.retry(note)

    # All of them -------------------------------------------------------------------------------

    def _in_sight(self, held: dict[str, Decimal]) -> list[int]:
        """Return the columns that a decision speaks of: those with a candle so far.

        A backtest knows instruments that are listed later; a decision must not.
        """
        return [
            i
            for i, name in enumerate(self._strategy.ids)
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
        verdict = self._strategy.verdicts.strictest
        changes = changes_of(targets)
        if kind != "wait":
            self._execution.begin(kind, now, stamp, changes)
        weights = np.array([target.weight for target in targets])
        self._strategy.publish(
            Decision(
                strategy=self._rules.key,
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
        self._execution.send(kind, changes)
