"""Maximum drawdown, of all time and of the UTC day."""

from __future__ import annotations

import pytest

from actors.guards.max_drawdown import MaxDrawdown, MaxDrawdownParams
from tests.actors.guards.playing import Player, at, nets, snapshot


def player(**params: object) -> Player:
    return Player(MaxDrawdown, MaxDrawdownParams(**params))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "equity", "over"),
    [
        # The peak is 2000.
        ({"limit_pct": 0.1}, "1800.01", []),
        ({"limit_pct": 0.1}, "1800", ["desk pct"]),
        ({"limit_pct": 0.1}, "1799.99", ["desk pct"]),
        ({"limit_currency": 150.0}, "1850.01", []),
        ({"limit_currency": 150.0}, "1850", ["desk currency"]),
        ({"limit_currency": 150.0}, "1849.99", ["desk currency"]),
        ({"limit_pct": 0.1, "limit_currency": 150.0}, "1850", ["desk currency"]),
        ({"limit_pct": 0.1, "limit_currency": 150.0}, "1800", ["desk pct", "desk currency"]),
    ],
)
def test_the_fall_from_the_peak(limits: dict[str, float], equity: str, over: list[str]) -> None:
    desk = player(**limits).observe(snapshot(1000), snapshot(2000), snapshot(equity))
    assert desk.over() == over
    assert desk.action() == ("flatten" if over else "none")


def test_a_halt_of_the_day_ends_with_it_where_it_may() -> None:
    desk = player(limit_currency=100.0, session="day", release="next_day", action="halt_entries")
    desk.observe(
        snapshot(1000, at(0, "10:00")), snapshot(900, at(0, "11:00")), snapshot(990, at(0, "23:59"))
    )
    assert desk.action() == "halt_entries"
    assert desk.observe(snapshot(990, at(1))).action() == "none"


def test_strategies_are_measured_apart() -> None:
    desk = player(of="strategies", capital=500.0, limit_pct=0.1, limit_currency=80.0)
    desk.observe(snapshot(9, results=nets(a=0, b=500)), snapshot(9, results=nets(a=-50, b=420)))
    assert desk.over() == ["strategy:a pct", "strategy:b currency"]
    reasons = [desk.verdict(f"strategy:{key}").reason for key in "ab"]
    assert reasons == [
        "drawdown of 10 % from the peak, limit 10 %",
        "drawdown of 80.00 from the peak, limit 80.00",
    ]


def test_a_strategy_without_results_today_begins_the_day_when_it_is_back() -> None:
    desk = player(of="strategies", limit_currency=100.0, session="day")
    desk.observe(snapshot(1000, at(0), results=nets(a=-500)), snapshot(1000, at(1)))
    assert desk.observe(snapshot(1000, at(1, "01:00"), results=nets(a=-900))).over() == []
    assert desk.observe(snapshot(1000, at(1, "02:00"), results=nets(a=-1000))).over() == [
        "strategy:a currency"
    ]


def test_what_does_not_go_together_is_named() -> None:
    assert MaxDrawdownParams().check() == [("limit_pct", "must be set, or limit_currency")]
    [(field, _)] = MaxDrawdownParams(limit_pct=0.1, release="next_day").check()
    assert field == "release"
    assert MaxDrawdownParams(limit_pct=0.1, release="next_day", session="day").check() == []
