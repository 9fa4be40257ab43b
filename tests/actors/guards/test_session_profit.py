"""Session profit: enough is earned."""

from __future__ import annotations

import pytest

from actors.guards.session_profit import SessionProfit, SessionProfitParams
from tests.actors.guards.playing import Player, at, snapshot


def player(**params: object) -> Player:
    return Player(SessionProfit, SessionProfitParams(**params))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "equity", "over"),
    [
        # The session begins with 2000.
        ({"limit_pct": 0.05}, "2099.99", []),
        ({"limit_pct": 0.05}, "2100", ["desk pct"]),
        ({"limit_pct": 0.05}, "2100.01", ["desk pct"]),
        ({"limit_pct": 1.5}, "4999.99", []),
        ({"limit_pct": 1.5}, "5000", ["desk pct"]),
        ({"limit_currency": 30.0}, "2029.99", []),
        ({"limit_currency": 30.0}, "2030", ["desk currency"]),
        ({"limit_currency": 30.0}, "0", []),
    ],
)
def test_the_profit_of_the_day(limits: dict[str, float], equity: str, over: list[str]) -> None:
    desk = player(**limits).observe(snapshot(2000), snapshot(equity))
    assert desk.over() == over
    assert desk.action() == ("flatten" if over else "none")


def test_the_gain_is_locked_until_midnight() -> None:
    desk = player(limit_currency=100.0).observe(
        snapshot(1000, at(0)), snapshot(1100, at(0, "10:00"))
    )
    assert desk.verdict().reason == "profit of 100.00 since midnight UTC, limit 100.00"
    # Fees of closing bring it below the limit: it stays closed.
    assert desk.restart().observe(snapshot(1099, at(0, "23:59"))).action() == "flatten"
    assert desk.observe(snapshot(1099, at(1))).action() == "none"
    assert desk.observe(snapshot("1198.99", at(1, "01:00"))).action() == "none"
    assert desk.observe(snapshot("1199", at(1, "02:00"))).action() == "flatten"


def test_no_midnight_ends_a_profit_since_the_start() -> None:
    [(field, _)] = SessionProfitParams(limit_pct=0.1, session="all").check()
    assert field == "release"
    assert SessionProfitParams().check() == [("limit_pct", "must be set, or limit_currency")]
