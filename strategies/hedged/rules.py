"""When a pair is entered and left, by what its views say. Pure.

Trader, report and tests share `judge`. ``side`` is 1 for a long spread (a bought, b sold) and -1
for a short one.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from strategies.hedged.views import Views
from strategies.pairs import PairsConfig
from strategies.tactics.two_leg import NONE, Legs
from strategies.tactics.unhedged_value import TOLERANCE

Cause = Literal["mean", "stop", "time", "guard", "halted"]

NEAR_STOP = 0.1
"""Part of the way from entry to stop, the last, in which nothing is entered."""
LEAST_BETA = 0.1
"""Hedge ratio below which the legs would not hedge each other."""
Skip = Literal["", "near_stop", "lots", "beta"]
"""Why a pair is not entered though its z-score wants it."""
SKIPS: dict[Skip, str] = {
    "beta": f"its hedge ratio is below {LEAST_BETA:g}: its legs would not hedge each other",
    "near_stop": "its z-score is next to the stop",
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


class View(NamedTuple):
    """One pair's row of `Views`."""

    beta: float
    std: float
    z: float
    rsi: tuple[float, float]
    correlation: float
    half_life: float
    volatility: float


def view_of(views: Views, row: int) -> View:
    """Return what the views say of one pair."""
    first, second = map(float, views.rsi[row])
    beta, std, z = float(views.beta[row]), float(views.std[row]), float(views.z[row])
    others = (views.correlation, views.half_life, views.volatility)
    return View(beta, std, z, (first, second), *(float(found[row]) for found in others))


def judge(
    rules: PairsConfig, pair: str, view: View, memory: PairsMemory, candles: float
) -> Enter | Leave | None:
    """Return what the rules want of a pair now; ``candles`` is how long it has been held.

    What an entry needs beside: the pair is known to be cointegrated, is not cooling down, and may
    be held beside the others (`decide.judge_pairs`).
    """
    trade = memory.trades.get(pair)
    if trade is None:
        return _entry(rules, pair, view)
    limit = rules.time_stop
    if limit is not None:
        if limit.candles is not None and candles >= limit.candles:
            return Leave(pair, "time", view.z)
        life = math.inf if trade.half_life is None else trade.half_life
        if limit.half_lives is not None and candles >= limit.half_lives * life:
            return Leave(pair, "time", view.z)
    # Beyond the entry a short spread has a positive z, a long one a negative.
    beyond = -view.z * trade.side
    if beyond >= rules.stop:
        return Leave(pair, "stop", view.z)
    return Leave(pair, "mean", view.z) if beyond <= rules.exit else None


def cooled(rules: PairsConfig, z: float) -> bool:
    """Whether |z| has come back below that of any entry, so that a cooldown ends."""
    return abs(z) < rules.least_entry


def _entry(rules: PairsConfig, pair: str, view: View) -> Enter | None:
    size = abs(view.z)
    known = all(map(math.isfinite, (view.z, view.beta, view.std)))
    if not (known and size < rules.stop and _conditions_hold(rules, view)):
        return None
    side = -1 if view.z > 0.0 else 1
    tier, part = ("", 1.0 if size >= rules.entry else 0.0)
    if rules.rules == "tiers":
        tier, part = _tier(rules, size, view.rsi if side < 0 else view.rsi[::-1])
    if not part:
        return None
    half_life = view.half_life if math.isfinite(view.half_life) else None
    return Enter(pair, Trade(side, view.z, view.beta, view.std, 0, half_life, tier), part)


def _tier(rules: PairsConfig, size: float, rsi: tuple[float, ...]) -> tuple[str, float]:
    """Return the tier and its confidence; ``rsi`` is that of the dear leg, then the cheap one."""
    tiers, (dear, cheap) = rules.tiers, rsi
    strong, moderate, weak = tiers.confidence
    part = size / rules.entry

    def agree(limit: float) -> bool:
        return cheap <= limit and dear >= 100.0 - limit

    if part >= 1.0 and agree(tiers.strong):
        return "strong", strong
    if part >= tiers.moderate_z and agree(tiers.moderate):
        return "moderate", moderate
    if part >= tiers.weak_z and dear - cheap >= tiers.divergence:
        return "weak", weak
    return "", 0.0


def _conditions_hold(rules: PairsConfig, view: View) -> bool:
    """Whether the conditions hold; what is unknown does not."""
    if rules.min_correlation is not None and not view.correlation >= rules.min_correlation.least:
        return False
    if rules.volatility is not None and not view.volatility <= rules.volatility.most:
        return False
    bounds = rules.half_life
    if bounds is not None and not bounds.least <= view.half_life <= bounds.most:
        return False
    timed = rules.time_stop is not None and rules.time_stop.half_lives is not None
    return not timed or 0.0 < view.half_life < math.inf


def sized(
    rules: PairsConfig, enter: Enter, equity: float, prices: Legs, steps: Legs, multiplier: float
) -> tuple[Legs, Skip]:
    """Return the quantities of both legs, signed base coin in whole lots; or NONE, and why.

    ``multiplier`` is that of a guard's verdict, a fraction of the normal size.
    """
    trade = enter.trade
    ratio = trade.beta if rules.size == "beta_weighted" else 1.0
    if trade.beta < LEAST_BETA:
        return NONE, "beta"
    room = rules.stop - abs(trade.z)
    if room < NEAR_STOP * (rules.stop - rules.entry):
        return NONE, "near_stop"
    limits = [max(equity, 0.0) * rules.max_weight / max(1.0, ratio)]
    if rules.max_leg is not None:
        limits.append(rules.max_leg / max(1.0, ratio))
    if rules.risk is not None:
        limits.append(max(equity, 0.0) * rules.risk / (room * trade.std))
    value = Decimal(repr(min(limits) * enter.part * multiplier))
    if not value:
        return NONE, "lots"
    most = value, value * Decimal(repr(ratio))
    sizes = _in_lots(most, prices, steps)
    if sizes is None:
        return NONE, "lots"
    return (sizes[0] * trade.side, -sizes[1] * trade.side), ""


def _in_lots(most: Legs, prices: Legs, steps: Legs) -> Legs | None:
    """Return the largest quantities in whole lots that hedge each other, None without any.

    The leg of coarser lots is rounded first, the other is sized to hedge it. No leg is worth
    more than ``most``, whose proportion is that of the hedge.
    """
    value = steps[0] * prices[0] / most[0], steps[1] * prices[1] / most[1]
    coarse = 0 if value[0] >= value[1] else 1
    fine = 1 - coarse
    # Values of one lot, as parts of the most: a leg has at most 1.
    whole = [most[leg] // (steps[leg] * prices[leg]) for leg in (0, 1)]  # a third has no exact part
    lots, own = int(whole[coarse]), whole[fine]
    while lots:
        part = lots * value[coarse]
        # The finer leg rounds down by itself where that hedges, or to the coarser one's value.
        for other in (own, min((part / value[fine]).to_integral_value(), own)):
            worth = other * value[fine]
            if abs(worth - part) <= TOLERANCE * max(part, worth):
                found = lots * steps[coarse], other * steps[fine]
                return found if coarse == 0 else found[::-1]
        lots -= 1
    return None
