"""Alert rules: no trade for too long, costs over the model's, positions off their targets. Pure.

Money is USDT, quantities are base coin, times UNIX nanoseconds (UTC).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from actors.records.coins import COIN, pays_in_coin
from actors.records.journal_schema import FUNDING
from actors.records.rows import FillRow
from config.documents import Fees, Node, ProductFees
from config.documents.alerts import DESK, AlertRules
from config.documents.slippage import BPS
from config.durations import duration_ns
from config.errors import some_of
from live_nodes.local.timefmt import age_text, moment_text
from strategies.account_value import is_spot
from strategies.messages import Decision, Target
from strategies.order_ids import is_protective

ZERO = Decimal(0)
Key = tuple[str, str]
"""Strategy and instrument."""
ENDS_BELOW = 0.9
"""Share of its limit below which a condition ends, so that it does not come and go."""
_SHOWN = 3


@dataclass(frozen=True)
class Reading:
    """A condition's measured value as a share of its limit, and the text if that is exceeded.

    `again` is the text when it has ended; it must stand `stands_ns` to begin.
    """

    share: float
    text: str = ""
    again: str = ""
    stands_ns: int = 0


class Change(NamedTuple):
    """A condition that begins, or is over."""

    about: str
    text: str
    over: bool


class Conditions:
    """Which conditions stand; those without a reading stay as they are."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}
        self._open: set[str] = set()

    def changes(self, readings: Mapping[str, Reading], now: int) -> Iterator[Change]:
        """Yield what begins and what is over with these readings."""
        for about, reading in readings.items():
            if reading.share <= (ENDS_BELOW if about in self._open else 1.0):
                self._since.pop(about, None)
                if about in self._open:
                    self._open.remove(about)
                    yield Change(about, reading.again, over=True)
                continue
            stood = now - self._since.setdefault(about, now)
            if stood >= reading.stands_ns and about not in self._open:
                self._open.add(about)
                yield Change(about, reading.text, over=False)


class Cost(NamedTuple):
    """Cost of a fill, paid and by the model."""

    ts: int
    fee: Decimal
    slippage: Decimal
    model: Decimal


def cost_of(fill: FillRow, fees: Fees, slippage_bps: Decimal) -> Cost | None:
    """Return the cost of a fill; None if its fee is in a third coin.

    Makers have no slippage. What a protective order slipped since it was placed is the market's
    way, not a cost.
    """
    in_coin = pays_in_coin(fill)
    if not in_coin and fill.fee and fill.fee_coin not in ("", COIN):
        return None
    fee = fill.fee * fill.price if in_coin else fill.fee
    is_maker = fill.liquidity == "MAKER"
    model, slippage = fill.notional * (fees.maker if is_maker else fees.taker), ZERO
    if not is_maker and not is_protective(fill.client_order_id) and fill.slippage is not None:
        slippage = fill.slippage
        model += fill.notional * slippage_bps / BPS
    return Cost(fill.ts, fee, slippage, model)


class RuleBook:
    """What the rules remember of fills and decisions; `started` is the start of the run."""

    def __init__(self, node: Node, rules: AlertRules, started: int) -> None:
        self._rules, self._started, self._strategies = rules, started, node.strategies
        tested, usual = node.expected.fees, ProductFees()
        self._fees = {False: tested.linear or usual.linear, True: tested.spot or usual.spot}
        self._last: dict[str, int] = {}
        self._costs: deque[Cost] = deque()
        self._decided: dict[Key, tuple[int, Target]] = {}
        self._explained: dict[Key, Decimal] = {}

    @property
    def decided(self) -> list[int]:
        """Times of the decisions whose targets count."""
        return [ts for ts, _ in self._decided.values()]

    def decision(self, decision: Decision) -> None:
        """Take a decision; scalpers' are left at once, by orders of their own."""
        is_ours = decision.strategy in self._strategies
        if decision.kind not in ("rebalance", "flatten") or not is_ours:
            return
        leaves_all = not any(Decimal(target.target) for target in decision.targets)
        for target in decision.targets:
            key = decision.strategy, target.instrument
            # An exit from one instrument lists others as they are, whose orders go on.
            if decision.kind == "rebalance" or leaves_all or Decimal(target.order):
                self._decided[key] = decision.ts, target
                self._explained.pop(key, None)

    def fill(self, fill: FillRow) -> None:
        """Take a fill, after the decisions before it; others' fills and funding are none."""
        if fill.kind == FUNDING or not fill.strategy:
            return
        for key in (fill.strategy, DESK):
            self._last[key] = max(fill.ts, self._last.get(key, 0))
        place = fill.strategy, fill.instrument
        closes = not fill.decision_id or is_protective(fill.client_order_id)
        if closes and place in self._decided and fill.ts >= self._decided[place][0]:
            self._explained[place] = self._explained.get(place, ZERO) + fill.signed
        rule = self._rules.cost_over_model
        if rule is not None:
            fees = self._fees[is_spot(fill.instrument)]
            cost = cost_of(fill, fees, Decimal(repr(rule.slippage_bps)))
            if cost is not None:
                self._costs.append(cost)

    def readings(
        self,
        now: int,
        held: Mapping[Key, Decimal],
        prices: Mapping[str, Decimal],
        equity: Decimal | None,
    ) -> dict[str, Reading]:
        """Return the reading of each condition that can be measured now."""
        found = {f"no trade {key}": reading for key, reading in self._idle(now)}
        if (costs := self._over_model(now)) is not None:
            found["costs"] = costs
        if self._rules.drift_from_target is not None and equity is not None and equity > ZERO:
            found |= self._drift(held, prices, equity)
        return found

    def _idle(self, now: int) -> Iterator[tuple[str, Reading]]:
        for key, limit in (self._rules.no_trade_for or {}).items():
            last = self._last.get(key)
            idle = now - max(last or 0, self._started)
            words = "none since the start" if last is None else f"the last at {moment_text(last)}"
            who = "" if key == DESK else f"{key}: "
            text = f"{who}no trade for {age_text(idle)}: {words}"
            yield key, Reading(idle / duration_ns(limit), text, f"{who}it trades again")

    def _over_model(self, now: int) -> Reading | None:
        rule = self._rules.cost_over_model
        if rule is None:
            return None
        while self._costs and self._costs[0].ts < now - duration_ns(rule.within):
            self._costs.popleft()
        if len(self._costs) < rule.fills:
            return None
        fees = sum((cost.fee for cost in self._costs), ZERO)
        slippage = sum((cost.slippage for cost in self._costs), ZERO)
        model = sum((cost.model for cost in self._costs), ZERO)
        excess = fees + slippage - model
        # Rebates make the model's costs negative: what counts is how much worse they are.
        share = float(excess / abs(model)) if model else float(excess > ZERO) * 1e9
        words = (
            f"{len(self._costs)} fills within {rule.within} cost {fees + slippage:.2f} USDT "
            f"({fees:.2f} fees, {slippage:.2f} slippage), by the model {model:.2f}"
        )
        text = f"{words}: over it by more than {rule.over:.0%}"
        return Reading(share / rule.over, text, f"costs are near the model's again: {words}")

    def _drift(
        self, held: Mapping[Key, Decimal], prices: Mapping[str, Decimal], equity: Decimal
    ) -> Iterator[tuple[str, Reading]]:
        rule = self._rules.drift_from_target
        assert rule is not None
        off: dict[str, list[tuple[Decimal, str]]] = {}
        for key, (_, target) in sorted(self._decided.items(), key=lambda item: item[0]):
            strategy, name = key
            given = None if target.price is None else Decimal(repr(target.price))
            has, closed = held.get(key, ZERO), self._explained.get(key, ZERO)
            # A part of it was filled, and all of that was closed.
            wanted = ZERO if closed and not has else Decimal(target.target) + closed
            value = abs(has - wanted) * (prices.get(name) or given or ZERO)
            words = f"{name} holds {has:f}, wanted {wanted:f}"
            off.setdefault(strategy, []).append((value, words))
        for strategy, found in off.items():
            share = float(sum((value for value, _ in found), ZERO) / equity)
            worst = [words for value, words in sorted(found, reverse=True) if value]
            text = f"{strategy}: positions are off their targets by {share:.1%} of equity: "
            yield (
                f"drift {strategy}",
                Reading(
                    share / rule.over,
                    text + some_of(worst, _SHOWN, "; "),
                    f"{strategy}: positions are near their targets again ({share:.1%} of equity)",
                    duration_ns(rule.stands),
                ),
            )
