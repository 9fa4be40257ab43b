"""Send the orders that bring positions to where they should be. Engine-specific.

It sends what lies between the position and the goal, once: while an order is under way to the same
goal it sends nothing, and to another goal it cancels first and sends when that is answered. So
nothing is sent twice, whatever is filled late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace as replaced
from decimal import Decimal

from msgspec.structs import replace
from nautilus_trader.model.identifiers import InstrumentId

from config.durations import duration_ns
from strategies.base import DeskStrategy
from strategies.market_view import MarketView
from strategies.tactics.execution import Execution
from strategies.tactics.maker_first import MAKER_FIRST, MakerFirstState, Result, work_maker_first
from strategies.tactics.pricing import Terms, smallest
from strategies.tactics.tactic import Event
from strategies.tactics.two_leg import Haste, TwoLegRules, Want

ZERO = Decimal(0)
NOTHING = Want(ZERO, Haste.TACTIC)
PAUSE_NS = 5 * 10**9
"""Pause before another order in an instrument whose last one was refused …"""
HASTY_PAUSE_NS = 10**9
"""… and where the other leg has gone and the budget of what is unhedged is used up."""


def _take(state: MakerFirstState, event: Event, rules: Execution, terms: Terms) -> Result:
    """Take at once, up to the slippage cap: maker_first, begun when its deadline had passed."""
    deadline = duration_ns(rules.deadline)
    begun = replace(state, started=state.started - deadline)
    after, actions = work_maker_first(begun, event, rules, terms)
    return replace(after, started=after.started + deadline), actions


CHASE = replaced(MAKER_FIRST, name="chase", step=_take)


def unsellable(market: MarketView, instrument_id: InstrumentId, need: Decimal) -> bool:
    """Whether no order can sell so few coins: spot has no exits below the exchange's minimum."""
    price = market.newest_price(instrument_id)
    if need >= ZERO or price is None or not market.is_spot(instrument_id):
        return False
    return -need < smallest(-need, price, market.terms(instrument_id, exits=True))


class GoalSeeker:
    """Orders of one strategy toward wanted positions."""

    def __init__(self, strategy: DeskStrategy, rules: TwoLegRules) -> None:
        self._strategy, self._broker = strategy, strategy.broker
        self._sent: dict[str, Want] = {}
        self._clearing: set[str] = set()
        self._refused: dict[str, int] = {}
        self._is_sending = self._again = False
        chase = Execution(
            tactic="maker_first", reprice_every="1s", least_rest="1s", deadline="1s",
            max_slippage_bps=rules.max_slippage_bps, slippage_from="touch",
        )  # fmt: skip
        self._broker.host(CHASE, chase)

    def cleared(self) -> bool:
        """Return whether an order toward an earlier goal has ended since: once for each."""
        idle = {n for n in self._clearing if not self._strategy.busy_in(InstrumentId.from_str(n))}
        self._clearing -= idle
        return bool(idle)

    def pause(self, instrument: str) -> None:
        """Send nothing more in an instrument for a moment: an order was refused for now."""
        self._refused[instrument] = self._strategy.clock.timestamp_ns()

    def seek(self, wanted: Callable[[], Mapping[str, Want]], reasons: Mapping[str, str]) -> None:
        """Send what is missing to the positions wanted, exits first.

        An order may be refused as it is sent, which changes what is wanted: it is asked again.
        """
        self._again = True
        if self._is_sending:
            return
        self._is_sending = True
        while self._again:
            self._again = False
            # What was sent for a pair that is gone is wanted no more.
            goals = dict.fromkeys(self._sent, NOTHING) | dict(wanted())
            for name in sorted(goals, key=lambda n: (self._enlarges(n, goals[n]), n)):
                if not self._again:
                    self._seek_one(InstrumentId.from_str(name), goals[name], reasons.get(name, ""))
        self._is_sending = False

    def _enlarges(self, name: str, want: Want) -> bool:
        return abs(want.quantity) > abs(self._strategy.holding(InstrumentId.from_str(name)))

    def _seek_one(self, instrument_id: InstrumentId, want: Want, reason: str) -> None:
        strategy, name = self._strategy, instrument_id.value
        if strategy.busy_in(instrument_id):
            sent = self._sent.get(name)
            if sent is None and want.quantity == strategy.holding(instrument_id):
                return
            if sent is not None and sent.quantity == want.quantity and sent.haste >= want.haste:
                return
            strategy.stop_executing({name})
            strategy.cancel_waiting({name})
            if strategy.busy_in(instrument_id):
                self._clearing.add(name)
                return
        need = want.quantity - strategy.holding(instrument_id)
        pause = HASTY_PAUSE_NS if want.haste is Haste.MARKET else PAUSE_NS
        refused = self._refused.get(name)
        paused = refused is not None and strategy.clock.timestamp_ns() < refused + pause
        if need == ZERO or paused or unsellable(strategy.market, instrument_id, need):
            self._sent.pop(name, None)
            return
        self._sent[name] = want
        if want.haste is Haste.MARKET or self._broker.takes_at_once:
            strategy.send_market(instrument_id, need, reason)
        elif want.haste is Haste.CHASE:
            self._broker.start(instrument_id, need, reason, tactic=CHASE.name)
        else:
            self._broker.start(instrument_id, need, reason)
