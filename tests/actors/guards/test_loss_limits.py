"""Limits on what a desk, a strategy or an instrument may lose or gain in a session."""

from decimal import Decimal

import pytest

from actors.guards.core.snapshot import Snapshot
from actors.guards.daily_loss import DailyLoss
from actors.guards.max_drawdown import MaxDrawdown
from actors.guards.session_profit import SessionProfit
from actors.guards.symbol_loss import SymbolLoss
from tests.actors.guards.moments import NOON, at
from tests.actors.guards.playing import Player, nets, snapshot


@pytest.mark.parametrize(
    ("guard", "limits", "path", "over"),
    [
        (DailyLoss, {"limit_pct": 0.05}, (2000, 2500, "1900.01"), []),
        (DailyLoss, {"limit_pct": 0.05}, (2000, 2500, "1900"), ["pct"]),
        (DailyLoss, {"limit_currency": 30.0}, (2000, 2500, "1970.01"), []),
        (DailyLoss, {"limit_currency": 30.0}, (2000, 2500, "1970"), ["currency"]),
        # 10 R of 1.50 are 15; 10 R of a thousandth of 2000 are 20.
        (DailyLoss, {"limit_r": 10.0, "r_currency": 1.5}, (2000, "1985.01"), []),
        (DailyLoss, {"limit_r": 10.0, "r_currency": 1.5}, (2000, "1985"), ["r"]),
        (DailyLoss, {"limit_r": 10.0, "r_pct": 0.001}, (2000, "1980.01"), []),
        (DailyLoss, {"limit_r": 10.0, "r_pct": 0.001}, (2000, "1980"), ["r"]),
        (MaxDrawdown, {"limit_pct": 0.1}, (1000, 2000, "1800.01"), []),
        (MaxDrawdown, {"limit_pct": 0.1}, (1000, 2000, "1800"), ["pct"]),
        (MaxDrawdown, {"limit_currency": 150.0}, (1000, 2000, "1850.01"), []),
        (MaxDrawdown, {"limit_pct": 0.1, "limit_currency": 150.0}, (2000, "1850"), ["currency"]),
        (MaxDrawdown, {"limit_pct": 0.1, "limit_currency": 150.0}, (2000, "1800"),
         ["pct", "currency"]),
        (SessionProfit, {"limit_pct": 0.05}, (2000, "2099.99"), []),
        (SessionProfit, {"limit_pct": 0.05}, (2000, "2100"), ["pct"]),
        (SessionProfit, {"limit_pct": 1.5}, (2000, "4999.99"), []),
        (SessionProfit, {"limit_pct": 1.5}, (2000, "5000"), ["pct"]),
        (SessionProfit, {"limit_currency": 30.0}, (2000, "2029.99"), []),
        (SessionProfit, {"limit_currency": 30.0}, (2000, "2030"), ["currency"]),
        (SessionProfit, {"limit_currency": 30.0}, (2000, "0"), []),
    ],
)  # fmt: skip
def test_limits_of_the_desk(guard, limits, path, over):
    player = Player(guard, **limits).observe(*map(snapshot, path))
    assert player.over() == [f"desk {key}" for key in over]
    assert player.action() == ("flatten" if over else "none")


# -- daily loss ------------------------------------------------------------------------------------


def test_measured_and_limit_are_in_the_limits_own_unit() -> None:
    player = Player(DailyLoss, limit_pct=0.05, limit_currency=300.0, limit_r=10.0, r_currency=12.5)
    player.observe(snapshot(2000), snapshot(1800))
    assert [(r.key, r.measured, r.limit, r.reason) for r in player.readings] == [
        ("pct", 0.1, 0.05, "loss of 10 % since midnight UTC, limit 5 %"),
        ("currency", 200.0, 300.0, ""),
        ("r", 16.0, 10.0, "loss of 16.00 R since midnight UTC, limit 10 R"),
    ]


def test_a_gain_is_a_loss_below_zero() -> None:
    player = Player(DailyLoss, limit_pct=0.05).observe(snapshot(2000), snapshot(2100))
    assert (player.readings[0].measured, player.readings[0].clear) == (-0.05, True)


def test_the_halt_lasts_until_midnight_even_if_the_loss_is_made_good() -> None:
    player = Player(DailyLoss, limit_currency=100.0)
    for clock, equity in (("09:00", 1000), ("10:00", 900), ("11:00", 2000)):
        player.observe(snapshot(equity, at(0, clock)))
    assert player.verdict().until == at(1)
    assert player.observe(snapshot(2000, at(1) - 1)).action() == "flatten"
    assert player.observe(snapshot(2000, at(1))).action() == "none"


# -- maximum drawdown ------------------------------------------------------------------------------


def test_a_halt_of_the_day_ends_with_it() -> None:
    player = Player(
        MaxDrawdown, limit_currency=100.0, session="day", release="next_day", action="halt_entries"
    )
    for clock, equity in (("10:00", 1000), ("11:00", 900), ("23:59", 990)):
        player.observe(snapshot(equity, at(0, clock)))
    assert player.action() == "halt_entries"
    assert player.observe(snapshot(990, at(1))).action() == "none"


def test_strategies_are_measured_apart() -> None:
    limits = {"limit_pct": 0.1, "limit_currency": 80.0}
    player = Player(MaxDrawdown, of="strategies", capital=500.0, **limits)
    player.observe(snapshot(9, results=nets(a=0, b=500)), snapshot(9, results=nets(a=-50, b=420)))
    assert player.over() == ["strategy:a pct", "strategy:b currency"]
    reasons = [player.verdict(f"strategy:{key}").reason for key in "ab"]
    assert reasons == [
        "drawdown of 10 % from the peak, limit 10 %",
        "drawdown of 80.00 from the peak, limit 80.00",
    ]


def test_a_strategy_without_results_today_begins_the_day_when_it_is_back() -> None:
    player = Player(MaxDrawdown, of="strategies", limit_currency=100.0, session="day")
    player.observe(snapshot(1000, at(0), results=nets(a=-500)), snapshot(1000, at(1)))
    for clock, net, over in (("01:00", -900, False), ("02:00", -1000, True)):
        player.observe(snapshot(1000, at(1, clock), results=nets(a=net)))
        assert player.over() == ["strategy:a currency"] * over


# -- session profit --------------------------------------------------------------------------------


def test_a_profit_is_locked_until_midnight() -> None:
    player = Player(SessionProfit, limit_currency=100.0)
    player.observe(snapshot(1000, at(0)), snapshot(1100, at(0, "10:00")))
    assert player.verdict().reason == "profit of 100.00 since midnight UTC, limit 100.00"
    # Fees of closing bring it below the limit: it stays closed.
    for now, equity, action in (
        (at(0, "23:59"), 1099, "flatten"),
        (at(1), 1099, "none"),
        (at(1, "01:00"), "1198.99", "none"),
        (at(1, "02:00"), "1199", "flatten"),
    ):
        assert player.observe(snapshot(equity, now)).action() == action


# -- loss of an instrument -------------------------------------------------------------------------


def results(equity: int = 1000, **by_name: str | int) -> Snapshot:
    return snapshot(equity, NOON, results_by_instrument=nets(**by_name))


def symbol(**limits: float) -> Player:
    return Player(SymbolLoss, **limits)


@pytest.mark.parametrize(
    ("limits", "path", "over"),
    [
        # The account begins with 1000.
        ({"limit_currency": 50.0}, [100, "-49.99"], []),
        ({"limit_currency": 50.0}, ["-50"], ["currency"]),
        ({"limit_pct": 0.02}, ["-19.99"], []),
        ({"limit_pct": 0.02}, ["-20"], ["pct"]),
        ({"trailing_currency": 50.0}, [100, "50.01"], []),
        ({"trailing_currency": 50.0}, [100, "50"], ["trailing_currency"]),
        ({"trailing_currency": 50.0}, ["-49.99"], []),
        ({"trailing_currency": 50.0}, ["-50"], ["trailing_currency"]),
        ({"trailing_pct": 0.02}, [100, "80.01"], []),
        ({"trailing_pct": 0.02}, [100, "80"], ["trailing_pct"]),
        ({"limit_currency": 50.0, "trailing_currency": 50.0}, [100, "-50"],
         ["currency", "trailing_currency"]),
    ],
)  # fmt: skip
def test_limits_of_an_instrument(limits, path, over):
    player = symbol(**limits).observe(results(X=0), *(results(X=net) for net in path))
    assert player.over() == [f"instrument:X {key}" for key in over]
    assert player.action("instrument:X") == ("flatten" if over else "none")


def test_other_instruments_go_on() -> None:
    player = symbol(limit_currency=50.0).observe(results(X=0, Y=0), results(X=-50, Y="-49.99"))
    assert [player.action(f"instrument:{name}") for name in "XY"] == ["flatten", "none"]
    assert player.action() == "none"
    reason = "loss of 50.00 since the start, limit 50.00"
    assert player.verdict("instrument:X").reason == reason


def test_an_instrument_that_is_traded_later_began_with_nothing() -> None:
    player = symbol(limit_currency=50.0, trailing_currency=50.0).observe(results())
    assert len(player.observe(results(X="-50")).over()) == 2


def test_results_from_before_the_guard_are_no_loss_to_it() -> None:
    player = symbol(limit_currency=50.0).observe(results(X=-500), results(X="-549.99"))
    assert player.over() == []
    assert player.observe(results(X="-550")).over() == ["instrument:X currency"]


def test_a_fraction_is_of_the_equity_at_the_sessions_start() -> None:
    player = symbol(limit_pct=0.02).observe(results(X=0), results(5000, X=-20))
    assert player.over() == ["instrument:X pct"]


def test_only_the_accepted_instrument_is_measured_anew() -> None:
    player = symbol(limit_currency=50.0).observe(results(X=0, Y=0), results(X=-50, Y=-50))
    player.accept("instrument:X").observe(results(X="-99.99", Y=0))
    assert [player.action(f"instrument:{name}") for name in "XY"] == ["none", "flatten"]
    assert player.observe(results(X="-100", Y=0)).action("instrument:X") == "flatten"


# -- what others pay in and take out ---------------------------------------------------------------


@pytest.mark.parametrize("guard", [DailyLoss, MaxDrawdown, SessionProfit])
def test_what_others_move_is_no_profit_and_no_loss(guard) -> None:
    """Of 2000, 80 are lost, or won, 4 %: so it is of 960 as well, when others took a half."""
    sign = 1 if guard is SessionProfit else -1
    player = Player(guard, limit_pct=0.05).observe(snapshot(2000), snapshot(2000 + sign * 80))
    half = 1000 + sign * 40
    player.observe(snapshot(half, flows=Decimal(-half)))
    assert (player.readings[0].measured, player.over()) == (0.04, [])
    player.observe(snapshot(1000 + sign * 50, flows=Decimal(-half)))
    assert player.over() == ["desk pct"]
    # Back again, with as much as is there.
    player = Player(guard, limit_pct=0.05).observe(
        snapshot(2000), snapshot(500, flows=Decimal(-1500))
    )
    player.observe(snapshot(2000))
    assert player.readings[0].measured == 0


@pytest.mark.parametrize("guard", [DailyLoss, MaxDrawdown, SessionProfit])
@pytest.mark.parametrize("moved", ["-960", "1920"])
def test_a_loss_or_profit_in_money_stays_what_it_was_when_others_move_some(guard, moved) -> None:
    """80 are lost, or won, of a limit of 100; then 20 more."""
    sign = 1 if guard is SessionProfit else -1
    player = Player(guard, limit_currency=100).observe(snapshot(2000), snapshot(2000 + sign * 80))
    left = 2000 + sign * 80 + int(moved)
    player.observe(snapshot(left, flows=Decimal(moved)))
    assert (player.readings[0].measured, player.over()) == (80, [])
    player.observe(snapshot(left + sign * 20, flows=Decimal(moved)))
    assert (player.readings[0].measured, player.over()) == (100, ["desk currency"])


@pytest.mark.parametrize(
    ("moved", "equities", "measured"),
    [
        # The share of 1000 is won back, of 80 in money 39 are not.
        ("-960", (960, 1001, 1045, 1040), (80, 39, 0, 5)),
        # The money is won back, the share of 4000 not.
        ("1920", (3840, 3930, 3920, 4005, 3995), (80, 0, 10, 0, 10)),
    ],
)
def test_the_peak_of_money_is_its_own_after_others_moved_some(moved, equities, measured) -> None:
    player = Player(MaxDrawdown, limit_currency=100).observe(snapshot(2000), snapshot(1920))
    for equity, lost in zip(equities, measured, strict=True):
        player.observe(snapshot(equity, flows=Decimal(moved)))
        assert player.readings[0].measured == lost


def test_an_account_that_others_emptied_is_measured_anew() -> None:
    player = Player(MaxDrawdown, limit_pct=0.05).observe(snapshot(2000))
    player.observe(snapshot(100, flows=Decimal(200)))
    assert player.readings[0].measured == 0
