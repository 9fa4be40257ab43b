"""Every parameter of pairs changes what is decided; one that does nothing is named.

The pure functions decide on three prices, hour by hour, and each order fills at once; what only
legs that wait for each other show, by the story of one change.
"""

from decimal import Decimal as D
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest

from config.durations import interval_ns
from config.params import build_params
from strategies.desk_config import DeskStrategyConfig
from strategies.hedged import decide, views
from strategies.hedged.book import PairBook, Terms, change_pairs, venue_traded
from strategies.hedged.rules import PairsMemory
from strategies.messages import NOTHING_STANDS
from strategies.pairs import Pairs, PairsConfig
from strategies.sizing.rounding import Lot
from strategies.tactics import two_leg
from strategies.tactics.two_leg import TwoLegRules
from tests.backtests.test_every_parameter import named, with_value

A, B, C = IDS = tuple(f"{letter * 3}USDT-LINEAR.BYBIT" for letter in "ABC")
HOUR, SECOND = 3_600 * 10**9, 10**9
FIRST, ROWS = 110, 260
Settings = dict[str, Any]
HEDGE: Settings = {"lookback": 24, "z_lookback": 24}
QUICK: Settings = {
    "pairs": [[A, B], [A, C], [B, C]], "hedge": HEDGE, "entry": 1.5, "exit": 0.3, "stop": 3.0,
    "max_leg": 1000.0, "risk": None, "cooldown": False,
}  # fmt: skip
TIERS: Settings = {
    "rules": "tiers", "exit": 0.1, "tiers": {"length": 4, "strong": 40.0, "moderate": 45.0},
}  # fmt: skip
TESTED: Settings = {"cointegration": {"lookback": 60, "lags": 1}}
LIVES: Settings = {"half_life": {"least": 0.0, "most": 9.0}}
CHOICE: Settings = {"formation": 60, "every": "1d", "level": 0.5, "lags": 1,
                    "most_per_instrument": 9}  # fmt: skip


def chosen(**more: Any) -> Settings:
    return {"pairs": [], "select": CHOICE | more}


# Each entry: the value that it is moved to, and the other settings that it needs to matter.
TABLE: dict[str, tuple[Any, Settings]] = {
    "interval": ("4h", {}),
    "pairs": ([[A, B]], {}),
    "select": (CHOICE | {"level": 0.2}, chosen()),
    "select.formation": (100, chosen()),
    "select.every": ("5d", chosen(level=0.2)),
    "select.level": (0.01, chosen()),
    "select.correction": ("none", chosen(level=0.1)),
    "select.lags": (5, chosen(level=0.1)),
    "select.min_correlation": (0.9, chosen()),
    "select.half_life": ({"least": 30.0, "most": 90.0}, chosen()),
    "select.half_life.least": (4.0, chosen(half_life={"least": 0.0, "most": 90.0})),
    "select.half_life.most": (2.0, chosen(half_life={"least": 0.0, "most": 90.0})),
    "select.most_missing": (0.0, chosen()),
    "select.most_pairs": (1, chosen()),
    "select.most_per_instrument": (1, chosen()),
    "hedge": ({"model": "ratio", "z_lookback": 24}, {}),
    "hedge.model": ("kalman", {}),
    "hedge.lookback": (40, {}),
    "hedge.z_lookback": (40, {}),
    "hedge.most_missing": (0.0, {"hedge": HEDGE | {"most_missing": 0.1}}),
    "hedge.drift": (0.01, {"hedge": HEDGE | {"model": "kalman"}}),
    "freeze_hedge": (False, {}),
    "rules": ("tiers", {"exit": 0.1}),
    "entry": (2.0, {}),
    "exit": (0.0, {}),
    "stop": (2.0, {}),
    "cooldown": (True, {"stop": 2.0}),
    "tiers": ({"length": 7}, TIERS),
    "tiers.length": (7, TIERS),
    "tiers.strong": (20.0, TIERS),
    "tiers.moderate": (41.0, TIERS),
    "tiers.moderate_z": (0.95, TIERS),
    "tiers.divergence": (20.0, TIERS),
    "tiers.weak_z": (0.9, TIERS),
    "tiers.confidence": ([0.9, 0.9, 0.1], TIERS),
    "min_correlation": ({"least": 0.5, "lookback": 20}, {}),
    "min_correlation.least": (0.9, {"min_correlation": {"least": 0.1, "lookback": 20}}),
    "min_correlation.lookback": (60, {"min_correlation": {"least": 0.6, "lookback": 20}}),
    "cointegration": (TESTED["cointegration"], {}),
    "cointegration.test": ("johansen", TESTED),
    "cointegration.level": (0.3, TESTED),
    "cointegration.lags": (5, TESTED),
    "cointegration.lookback": (90, TESTED),
    "cointegration.every": ("1h", TESTED),
    "half_life": ({"least": 0.0, "most": 1.5}, {}),
    "half_life.least": (2.0, LIVES),
    "half_life.most": (1.5, LIVES),
    "volatility": ({"most": 0.02, "lookback": 12}, {}),
    "volatility.most": (0.03, {"volatility": {"most": 0.05, "lookback": 12}}),
    "volatility.lookback": (20, {"volatility": {"most": 0.03, "lookback": 6}}),
    "time_stop": ({"candles": 2}, {}),
    "time_stop.half_lives": (1.0, {"time_stop": {"candles": 100}}),
    "time_stop.candles": (2, {"time_stop": {"candles": 100}}),
    "size": ("beta_weighted", {}),
    "max_leg": (500.0, {}),
    "risk": (0.001, {}),
    "max_weight": (0.05, {}),
    "max_open": (1, {}),
    "two_leg": ({"first": "thin"}, {}),
    "two_leg.first": ("thin", {}),
}
OF_A_CHANGE: dict[str, Any] = {"budget": 5_000.0, "deadline": "15s"}
ELSEWHERE = {"check_every", "two_leg.max_slippage_bps"}
"""Moved by test_seek, on quotes."""


def tape() -> np.ndarray:
    """Prices of three that move together, with deviations that come back, and a gap in one."""
    random = np.random.default_rng(7)
    common = random.normal(0, 0.006, ROWS).cumsum()
    found = []
    for share in (1.0, 0.8, 1.2):
        own = np.zeros(ROWS)
        for t in range(1, ROWS):
            own[t] = 0.75 * own[t - 1] + random.normal(0, 0.004)
        found.append(100 * np.exp(share * common + own))
    found[2][FIRST + 5] = np.nan
    return np.array(found).T


@cache
def decided(raw: bytes) -> list[Any]:
    """Return the plans of each candle, by the parameters as JSON; every order fills at once."""
    rules = PairsConfig(key="p", instruments=IDS, **build_params(Pairs, msgspec.json.decode(raw)))
    assert rules.check() == []
    every = interval_ns(rules.interval)
    prices, rows = tape()[:: every // HOUR], views.rows_for_views(rules)
    lots = dict.fromkeys(IDS, Lot(D("0.001"), D("0.001"), D(5)))
    terms = Terms({name: lot.step for name, lot in lots.items()}, rules.two_leg)
    book, memory, track, said = PairBook(), PairsMemory(), None, []
    for row in range(FIRST * HOUR // every, len(prices)):
        ts, close = row * every, prices[max(0, row - rows + 1) : row + 1]
        memory, _ = decide.select(rules, IDS, memory, close, ts)
        pairs = decide.active(rules, memory, book)
        legs = decide.columns_of(IDS, pairs)
        track = views.follow(track, ts - every, close[:-1], legs, rules)
        betas = decide.entered_betas(memory, pairs)
        track, found = views.read(track, ts, close, betas, rules)
        memory = decide.retest(rules, memory, pairs, legs, close, ts)
        judged = decide.judge_pairs(rules, book, memory, found, pairs, ts)
        last = {name: D(repr(float(p))) for name, p in zip(IDS, close[-1], strict=True)}
        known = decide.Snapshot(
            D(10_000), last, lots, dict.fromkeys(IDS, NOTHING_STANDS),
            depths={A: 3.0, B: 2.0, C: 1.0},
        )  # fmt: skip
        planned = decide.plan(rules, judged, memory, pairs, known, {}, ts)
        memory = planned.memory
        book, _ = change_pairs(book, planned.plans, terms, ts)
        for name, goal in book.goals().items():
            change = goal - book.positions.held().get(name, D(0))
            book, ended = venue_traded(book, name, change, last[name], terms, ts, own=True)
            for end in ended:
                memory = decide.after(rules, memory, end)
        said += [(ts, plan.pair, plan.goal, plan.lead) for plan in planned.plans]
    return said


@pytest.mark.parametrize("name", TABLE)
def test_a_parameter_moves_a_decision(name: str) -> None:
    value, needed = TABLE[name]
    before = decided(msgspec.json.encode(QUICK | needed))
    after = decided(msgspec.json.encode(with_value(QUICK | needed, name, value)))
    assert len(before) >= 2
    assert before != after, f"{name} does nothing"


@pytest.mark.parametrize("name", OF_A_CHANGE)
def test_a_rule_of_two_legs_moves_what_a_leg_should_have(name: str) -> None:
    """One leg of 1,000 is there at once, of the other a half after five seconds."""

    def story(rules: TwoLegRules) -> list[Any]:
        goal, prices, lots = (D(10), D(-20)), (D(100), D(50)), (D("0.1"), D("0.1"))
        state = two_leg.TwoLeg(
            goal=goal, held=two_leg.NONE, full=goal, prices=prices, steps=lots, started=0, at=0,
            enters=True,
        )  # fmt: skip
        filled = {0: (0, D(10), D(100)), 5: (1, D(-10), D(50))}
        said = []
        for second in range(30):
            now = second * SECOND
            event = two_leg.Traded(now, *filled[second]) if second in filled else None
            state = two_leg.step(state, event or two_leg.Passed(now), rules)
            said.append(two_leg.wants(state, rules))
        return said

    assert story(TwoLegRules()) != story(TwoLegRules(**{name: OF_A_CHANGE[name]}))


def test_every_parameter_is_looked_at() -> None:
    of_all = {field.name for field in msgspec.structs.fields(DeskStrategyConfig)}
    own = {name for name in named(PairsConfig) if name.partition(".")[0] not in of_all}
    assert own == {*TABLE, *ELSEWHERE, *(f"two_leg.{name}" for name in OF_A_CHANGE)}
