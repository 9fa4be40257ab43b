"""Drawdown tiers: each just inside, at and outside its limit, on the way down and back."""

from decimal import Decimal

import pytest

from actors.guards.drawdown_tiers import DrawdownTiers, DrawdownTiersParams, Tier
from strategies.messages import Action
from tests.actors.guards.playing import Player, nets, snapshot


def tiers(**params: object) -> Player:
    return Player(DrawdownTiers, **params)


def size(player: Player, scope: str = "desk") -> float:
    verdict = player.verdict(scope)
    return {Action.NONE: 1.0, Action.FLATTEN: 0.0}.get(verdict.action, verdict.multiplier)


@pytest.mark.parametrize(
    ("equity", "expected"),
    [
        ("1000", 1.0),
        ("950.01", 1.0),
        ("950", 0.75),
        ("900.01", 0.75),
        ("900", 0.5),
        ("850.01", 0.5),
        ("850", 0.25),
        ("800.00000001", 0.25),
        ("800", 0.0),
        ("-50", 0.0),
    ],
)
def test_sizes_fall_with_the_drawdown(equity: str, expected: float) -> None:
    # From 1000: 5 % is 950, 10 % is 900, 15 % is 850, 20 % is 800.
    assert size(tiers().observe(snapshot(1000), snapshot(equity))) == expected


@pytest.mark.parametrize(
    ("equity", "expected"),
    [
        # Down to 850, then back: 15 % ends at 13.5 %, 10 % at 9 %, 5 % at 4.5 %.
        ("864.99", 0.25),
        ("865", 0.5),
        ("909.99", 0.5),
        ("910", 0.75),
        ("954.99", 0.75),
        ("955", 1.0),
    ],
)
def test_sizes_come_back_by_hysteresis(equity: str, expected: float) -> None:
    assert size(tiers().observe(snapshot(1000), snapshot(850), snapshot(equity))) == expected


def test_the_last_tier_stays_until_it_is_accepted_and_measures_anew_from_there() -> None:
    desk = tiers().observe(snapshot(1000), snapshot(800), snapshot(1000))
    assert desk.action() == "flatten"
    desk.observe(snapshot(900)).accept()
    assert desk.action() == "none"
    # 5 % below 900 is 855.
    assert size(desk.observe(snapshot("855.01"))) == 1.0
    assert size(desk.observe(snapshot("855"))) == 0.75


def test_each_strategy_is_measured_on_its_own_capital() -> None:
    desk = tiers(of="strategies", capital=1000.0)
    desk.observe(
        snapshot(5000, results=nets(a=0, b=0)), snapshot(4900, results=nets(a=-100, b="-49.99"))
    )
    assert [size(desk, f"strategy:{key}") for key in "ab"] == [0.5, 1.0]
    assert desk.action() == "none"


def test_a_strategys_peak_is_its_best_result_on_its_capital() -> None:
    desk = tiers(of="strategies", capital=1000.0)
    desk.observe(snapshot(1, results=nets(a=0)), snapshot(1, results=nets(a=1000)))
    # 5 % below 2000 is a result of 900.
    assert size(desk.observe(snapshot(1, results=nets(a="900.01"))), "strategy:a") == 1.0
    assert size(desk.observe(snapshot(1, results=nets(a="900"))), "strategy:a") == 0.75


def test_a_strategy_that_begins_later_began_with_nothing() -> None:
    # Its first fill cost 50 of the account's 1000: that is a loss, not where it begins.
    desk = tiers(of="strategies").observe(snapshot(1000), snapshot(950, results=nets(a=-50)))
    assert size(desk, "strategy:a") == 0.75


def test_results_from_before_the_guard_are_no_loss_to_it() -> None:
    # The account had 1000 before the strategy's 300 were lost, and 700 at the guard's start.
    desk = tiers(of="strategies").observe(snapshot(700, results=nets(a=-300)))
    assert size(desk, "strategy:a") == 1.0
    # As for the desk: 5 % of 700 is 35.
    assert size(desk.observe(snapshot("665.01", results=nets(a="-334.99"))), "strategy:a") == 1.0
    assert size(desk.observe(snapshot("665", results=nets(a="-335"))), "strategy:a") == 0.75


def test_only_the_accepted_strategy_is_measured_anew() -> None:
    desk = tiers(of="strategies", capital=100.0).observe(snapshot(1, results=nets(a=0, b=0)))
    desk.observe(snapshot(1, results=nets(a=-20, b=-20))).accept("strategy:a")
    desk.observe(snapshot(1, results=nets(a=-20, b=-20)))
    assert [desk.action(f"strategy:{key}") for key in "ab"] == ["none", "flatten"]


def test_a_guard_whose_curves_change_begins_anew() -> None:
    desk = tiers().observe(snapshot(1000, results=nets(a=-500)))
    desk.params = DrawdownTiersParams(of="strategies")
    # Its result of -500 is where it begins, on a capital of 1500.
    desk.observe(snapshot(1000, results=nets(a=-500)))
    assert size(desk, "strategy:a") == 1.0


def test_a_changed_capital_keeps_the_best_result() -> None:
    desk = tiers(of="strategies", capital=1000.0).observe(snapshot(1, results=nets(a=100)))
    desk.guard = DrawdownTiers(DrawdownTiersParams(of="strategies", capital=9900.0))
    # The peak is 10000 now; 5 % below it is a result of -400.
    assert size(desk.observe(snapshot(1, results=nets(a="-399.99"))), "strategy:a") == 1.0
    assert size(desk.observe(snapshot(1, results=nets(a="-400"))), "strategy:a") == 0.75


def test_readings_say_what_is_measured() -> None:
    desk = tiers().observe(snapshot(1000), snapshot(890))
    assert [(r.key, r.limit, r.over) for r in desk.readings] == [
        ("5 %", 0.05, True),
        ("10 %", 0.10, True),
        ("15 %", 0.15, False),
        ("20 %", 0.20, False),
    ]
    assert {r.measured for r in desk.readings} == {0.11}
    assert desk.verdict().reason == "drawdown of 11 % from the peak, limit 10 %"


def test_an_account_without_money_is_not_over_until_it_loses() -> None:
    assert tiers().observe(snapshot(0), snapshot(0)).action() == "none"
    assert tiers().observe(snapshot(0), snapshot("-0.01")).action() == "flatten"


def test_limits_are_exact_where_floats_are_not() -> None:
    # 0.07 as a float is above 7 hundredths, so that 3 * 0.07 of floats is not 0.21.
    last = (Tier(at=0.07, size=0),)
    assert tiers(tiers=last).observe(snapshot(3), snapshot("2.79")).action() == "flatten"
    just_inside = Decimal("2.79") + Decimal("1e-20")
    assert tiers(tiers=last).observe(snapshot(3), snapshot(just_inside)).action() == "none"
