"""When a pair is entered and left, by what its views say. Pure.

Trader, report and tests share `judge`. ``side`` is 1 for a long spread (a bought, b sold) and -1
for a short one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from strategies.hedged.views import View
from strategies.pairs import PairsConfig
from strategies.sizing.rounding import Lot
from strategies.tactics.two_leg import NONE, Legs
from strategies.tactics.unhedged_value import TOLERANCE

Cause = Literal["mean", "stop", "time", "guard", "halted", "unlisted"]

NEAR_STOP = 0.1
"""Part of the way from entry to stop, the last, in which nothing is entered."""
LEAST_BETA = 0.1
"""Hedge ratio below which the legs would not hedge each other."""
Skip = Literal["", "near_stop", "lots", "beta", "margin", "max_open"]
"""Why a pair is not entered though its z-score wants it."""
SKIPS: dict[Skip, str] = {
    "beta": f"its hedge ratio is below {LEAST_BETA:g}: its legs would not hedge each other",
    "near_stop": "its z-score is next to the stop",
    "margin": "the free margin does not carry both its legs",
    "max_open": "max_open pairs are open",
    "lots": "it is too small for lots of both legs that hedge each other",
}


class Trade(msgspec.Struct, frozen=True):
    """Facts of an open position's entry; ``candle`` is its data time, UNIX nanoseconds (UTC).

    ``half_life`` is None where it is unknown or the spread does not come back: as JSON has neither
    NaN nor infinity, all that is saved is finite.
    """

    side: int
    z: float
    beta: float
    std: float
    candle: int
    half_life: float | None
    tier: str = ""


class Enter(NamedTuple):
    """An entry that the rules want; ``part`` is the confidence, a part of the size."""

    pair: str
    trade: Trade
    part: float

    @property
    def words(self) -> str:
        """What and why, for a person."""
        side = "long" if self.trade.side > 0 else "short"
        tier = f", {self.trade.tier}" if self.trade.tier else ""
        return f"{self.pair}: enter {side} spread, z {self.trade.z:.2f}{tier}"


class Leave(NamedTuple):
    """An exit that the rules want, at this z-score."""

    pair: str
    cause: Cause
    z: float

    @property
    def words(self) -> str:
        """What and why, for a person."""
        if self.cause == "halted":
            return f"{self.pair}: exit, halted, netted with what leaves"
        if self.cause == "unlisted":
            return f"{self.pair}: exit of an entry under way, no longer listed"
        why = {"mean": "back at the mean", "time": "time stop"}.get(self.cause, self.cause)
        return f"{self.pair}: exit, {why}, z {self.z:.2f}"


class PairsMemory(msgspec.Struct, frozen=True):
    """What decisions take over from earlier ones.

    ``trades`` has the open positions by pair, ``cooling`` the pairs that wait until |z| has come
    back, ``tests`` when a pair was last tested for cointegration and whether it passed. ``pairs``
    are those selected at ``selected``, as instrument ids. ``decided`` is the newest candle that was
    decided on. Times are UNIX nanoseconds (UTC).
    """

    trades: dict[str, Trade] = {}
    cooling: frozenset[str] = frozenset()
    tests: dict[str, tuple[int, bool]] = {}
    pairs: tuple[tuple[str, str], ...] = ()
    selected: int | None = None
    decided: int | None = None


def judge(
    rules: PairsConfig, pair: str, view: View, trade: Trade | None, candles: float
) -> Enter | Leave | None:
    """Return what the rules want of a pair now; ``trade``, if any, is ``candles`` old.

    What an entry needs beside: the pair is known to be cointegrated, is not cooling down, and may
    be held beside the others (`decide.judge_pairs`).
    """
    if trade is None:
        return _entry(rules, pair, view)
    limit = rules.time_stop
    if limit is not None:
        life = math.inf if trade.half_life is None else trade.half_life
        most = [math.inf if limit.candles is None else limit.candles]
        most += [] if limit.half_lives is None else [limit.half_lives * life]
        if candles >= min(most):
            return Leave(pair, "time", view.z)
    # Beyond the entry a short spread has a positive z, a long one a negative.
    beyond = -view.z * trade.side
    if beyond >= rules.stop:
        return Leave(pair, "stop", view.z)
    return Leave(pair, "mean", view.z) if beyond <= rules.exit else None


def _entry(rules: PairsConfig, pair: str, view: View) -> Enter | None:
    size = abs(view.z)
    known = all(map(math.isfinite, (view.z, view.beta, view.std)))
    if not (known and size < rules.stop and _conditions_hold(rules, view)):
        return None
    side = -1 if view.z > 0.0 else 1
    tier, part = "", 1.0 if size >= rules.entry else 0.0
    if rules.rules == "tiers":
        tier, part = _tier(rules, size, *(view.rsi if side < 0 else view.rsi[::-1]))
    if not part:
        return None
    half_life = view.half_life if math.isfinite(view.half_life) else None
    return Enter(pair, Trade(side, view.z, view.beta, view.std, 0, half_life, tier), part)


def _tier(rules: PairsConfig, size: float, dear: float, cheap: float) -> tuple[str, float]:
    """Return the tier and its confidence, by |z| and the RSI of the dear leg and the cheap one."""
    if math.isnan(dear) or math.isnan(cheap):
        return "", 0.0
    tiers, part = rules.tiers, size / rules.entry
    strong, moderate, weak = tiers.confidence
    # How far the cheap leg's RSI is from 0 and the dear one's from 100, the worse of both.
    rsi = max(cheap, 100.0 - dear)
    if part >= 1.0 and rsi <= tiers.strong:
        return "strong", strong
    if part >= tiers.moderate_z and rsi <= tiers.moderate:
        return "moderate", moderate
    if part >= tiers.weak_z and dear - cheap >= tiers.divergence:
        return "weak", weak
    return "", 0.0


def _conditions_hold(rules: PairsConfig, view: View) -> bool:
    """Whether the conditions hold; what is unknown does not."""
    correlation, volatility, life = rules.min_correlation, rules.volatility, rules.half_life
    return (
        (correlation is None or view.correlation >= correlation.least)
        and (volatility is None or view.volatility <= volatility.most)
        and (life is None or life.least <= view.half_life <= life.most)
        and (not rules.stops_by_half_lives or 0.0 < view.half_life < math.inf)
    )


def sized(
    rules: PairsConfig, enter: Enter, equity: float, prices: Legs, lots: Sequence[Lot], part: float
) -> tuple[Legs, Skip]:
    """Return the quantities of both legs, signed base coin in whole lots; or NONE, and why.

    ``part`` of the normal size is what guards allow.
    """
    trade = enter.trade
    ratio = trade.beta if rules.size == "beta_weighted" else 1.0
    if trade.beta < LEAST_BETA:
        return NONE, "beta"
    room = rules.stop - abs(trade.z)
    if room < NEAR_STOP * (rules.stop - rules.entry):
        return NONE, "near_stop"
    equity = max(equity, 0.0)
    most = min(equity * rules.max_weight, rules.max_leg or math.inf) / max(1.0, ratio)
    if rules.risk is not None:
        most = min(most, equity * rules.risk / (room * trade.std))
    value = Decimal(repr(most * enter.part * part))
    sizes = _in_lots((value, value * Decimal(repr(ratio))), prices, lots) if value else NONE
    for size, price, lot in zip(sizes, prices, lots, strict=True):
        if not size or size < lot.min_quantity or size * price < lot.min_notional:
            return NONE, "lots"
    return (sizes[0] * trade.side, -sizes[1] * trade.side), ""


def _in_lots(most: Legs, prices: Legs, lots: Sequence[Lot]) -> Legs:
    """Return the largest quantities in whole lots that hedge each other, NONE without any.

    The leg of coarser lots is rounded first, the other is sized to hedge it. No leg is worth
    more than ``most``, whose proportion is that of the hedge.
    """
    # Values of one lot, as parts of the most: a leg has at most 1.
    value = [lot.step * price / all_ for lot, price, all_ in zip(lots, prices, most, strict=True)]
    coarse = 0 if value[0] >= value[1] else 1
    fine = 1 - coarse
    # Not by the values: a third has no exact decimal.
    whole = [
        all_ // (lot.step * price) for lot, price, all_ in zip(lots, prices, most, strict=True)
    ]
    for count in range(int(whole[coarse]), 0, -1):
        part = count * value[coarse]
        # The finer leg rounds down by itself where that hedges, or to the coarser one's value.
        for other in (whole[fine], min((part / value[fine]).to_integral_value(), whole[fine])):
            worth = other * value[fine]
            if abs(worth - part) <= TOLERANCE * max(part, worth):
                found = count * lots[coarse].step, other * lots[fine].step
                return found if coarse == 0 else found[::-1]
    return NONE
