"""What a scalper does at a look: by tables with hand-made numbers, and by properties."""

import math
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from strategies.messages import NOTHING_STANDS, Action, Verdict
from strategies.scalper import ScalperConfig
from strategies.scalping.decide import (
    Enter,
    Leave,
    Seen,
    Withdraw,
    cost_bps,
    expected_bps,
    held_back,
    size,
    wish,
)
from strategies.tactics.pricing import Terms

RULES = ScalperConfig(key="scalp", instruments=("BTCUSDT-LINEAR.BYBIT",))
SEEN = Seen(value=0.4, regime=1, entry=0.3, exit=0.1, expected_bps=12.0, cost_bps=9.0)
LONG, SHORT, NONE = D(2), D(-2), math.nan
TERMS = Terms(
    tick=D("0.1"),
    step=D("0.001"),
    min_quantity=D("0.001"),
    min_notional=D(5),
    max_quantity=None,
    exits=False,
)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, Enter(1)),
        ({"value": -0.4}, Enter(-1)),
        ({"value": NONE}, "warm_up"),
        ({"regime": -1, "entry": math.inf}, "warm_up"),
        ({"regime": 3, "entry": math.inf}, "extreme"),
        ({"value": 0.29}, "threshold"),
        ({"value": 0.0, "entry": 0.0}, "threshold"),
        ({"expected_bps": NONE}, "uncalibrated"),
        # What only pays the costs is no reason to trade.
        ({"expected_bps": 9.0}, "cost"),
        ({"expected_bps": -20.0}, "cost"),
        ({"held": LONG}, "position"),
        ({"held": LONG, "value": 0.1}, "position"),
        ({"held": LONG, "value": 0.09}, Leave("score gone")),
        ({"held": SHORT, "value": -0.1}, "position"),
        ({"held": SHORT, "value": 0.4}, Leave("score gone")),
        ({"held": LONG, "regime": 3, "exit": math.inf}, Leave("extreme")),
        # What is not known leaves a position to its bracket.
        ({"held": LONG, "value": NONE}, "position"),
        ({"held": LONG, "regime": -1, "entry": math.inf, "exit": -math.inf}, "position"),
        ({"held": LONG, "value": 0.0, "exiting": True}, "under_way"),
        ({"exiting": True}, "under_way"),
        ({"entering": LONG}, "under_way"),
        ({"entering": LONG, "value": 0.05}, Withdraw()),
        ({"entering": SHORT}, Withdraw()),
        # The part that was filled is left once the rest of the entry is gone.
        ({"entering": LONG, "held": LONG, "value": 0.05}, Withdraw()),
    ],
)
def test_what_a_score_asks_for(changes, found):
    assert wish(SEEN._replace(**changes)) == found


@pytest.mark.parametrize(
    ("verdict", "changes", "found"),
    [
        (NOTHING_STANDS, {}, None),
        (Verdict(action=Action.SHRINK, multiplier=0.5), {}, None),
        (Verdict(action=Action.HALT_ENTRIES, transient=True), {}, "halted"),
        (Verdict(action=Action.FLATTEN), {}, "halted"),
        (NOTHING_STANDS, {"paused": True}, "pause"),
        (NOTHING_STANDS, {"whole": False}, "bracket"),
        (NOTHING_STANDS, {"stop": None}, "warm_up"),
        # The mid stood still, and the document has no least distance.
        (NOTHING_STANDS, {"stop": D(0)}, "warm_up"),
    ],
)
def test_nothing_opens_against_a_guard_in_a_pause_or_without_a_whole_bracket(
    verdict, changes, found
):
    usual = {"paused": False, "whole": True, "stop": D(5)}
    assert held_back(verdict, **usual | changes) == found


def test_a_round_trip_costs_fees_spread_and_slippage():
    """Maker 2, taker 5.5, a spread of 3, slippage of 1, all in basis points."""
    rules = replace(RULES, slippage_bps=1.0)
    assert cost_bps(rules, 0.0002, 0.00055, 3.0) == pytest.approx(2 + 5.5 + 1.5 + 1)
    takes = replace(rules, execution=replace(rules.execution, at_deadline="take"))
    assert cost_bps(takes, 0.0002, 0.00055, 3.0) == pytest.approx(5.5 + 5.5 + 3 + 1)


def test_a_declared_move_counts_until_one_is_learned():
    rules = replace(RULES, calibration=((0.2, 10.0), (0.4, 15.0)))
    declared = [expected_bps(rules, NONE, value) for value in (0.2, -0.39, 0.4, -1.0)]
    assert declared == [10.0, 10.0, 15.0, 15.0]
    assert expected_bps(rules, 3.0, 0.4) == 3.0
    assert math.isnan(expected_bps(rules, NONE, 0.19))
    assert math.isnan(expected_bps(RULES, NONE, 1.0))


@pytest.mark.parametrize(
    ("changes", "given", "quantity"),
    [
        # 50 are risked: 9 to the stop and 1 for both fees on each coin.
        ({"risk": 0.005, "max_weight": 1.0}, {}, "5"),
        ({"risk": 0.01, "max_weight": 1.0}, {}, "10"),
        ({"max_weight": 0.3}, {}, "3"),
        ({"max_of_book": 0.5}, {"displayed": 8.0}, "4"),
        ({"max_of_book": 0.25}, {"displayed": 8.0}, "2"),
        ({"max_weight": 1.0}, {"multiplier": 0.5}, "2.5"),
        ({"max_weight": 0.3}, {"multiplier": 0.5}, "1.5"),
        ({"max_weight": 0.3}, {"terms": replace(TERMS, max_quantity=D("1.2"))}, "1.2"),
        ({}, {"stop": D(900)}, "0.055"),
        ({}, {"equity": D("1")}, "0"),
        ({}, {"equity": D("-1")}, "0"),
    ],
)
def test_a_trade_risks_a_part_of_equity_with_its_fees(changes, given, quantity):
    usual = {
        "equity": D(10_000),
        "mid": D(1000),
        "stop": D(9),
        "taker": D("0.0005"),
        "displayed": 1e6,
        "multiplier": 1.0,
        "terms": TERMS,
    }
    assert size(replace(RULES, **changes), **usual | given) == D(quantity)


MONEY = st.integers(1, 10**7).map(D)


@given(MONEY, MONEY, MONEY, st.floats(0.0, 1e5), st.floats(0.1, 1.0))
def test_no_size_risks_more_than_it_may_nor_more_than_the_book_shows(
    equity, mid, stop, displayed, multiplier
):
    taker = D("0.00055")
    found = size(RULES, equity, mid, stop, taker, displayed, multiplier, TERMS)
    assert found % TERMS.step == 0
    assert found * (stop + 2 * taker * mid) <= equity * D(repr(RULES.risk))
    assert found * mid <= equity * D(repr(RULES.max_weight))
    assert found <= D(repr(displayed)) * D(repr(RULES.max_of_book))


def test_thresholds_of_a_symbol_name_an_instrument_that_must_be_traded():
    fusion = replace(RULES.fusion, by_symbol={"ETHUSDT": RULES.fusion.thresholds})
    named = replace(RULES, fusion=fusion).instruments_read()
    assert named == [(("fusion", "by_symbol", "ETHUSDT"), "ETHUSDT-LINEAR.BYBIT")]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"calibration": ((0.4, 10.0), (0.2, 15.0))}, ["calibration"]),
        ({"protection": replace(RULES.protection, catastrophic=2.0)}, ["protection.catastrophic"]),
        ({"execution": replace(RULES.execution, least_rest="5s")}, ["execution.least_rest"]),
        ({"execution": replace(RULES.execution, retry_for="1h")}, ["execution.retry_for"]),
        (
            {"execution": replace(RULES.execution, max_leg_imbalance=0.5)},
            ["execution.max_leg_imbalance"],
        ),
        ({}, []),
    ],
)
def test_parameters_that_do_not_go_together(changes, fields):
    assert [field for field, _ in replace(RULES, **changes).check()] == fields
