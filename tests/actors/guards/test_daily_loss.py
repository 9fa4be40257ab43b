"""Daily loss: money, percent and R since midnight UTC, whatever the clock does."""

from __future__ import annotations

import pytest

from actors.guards.daily_loss import DailyLoss, DailyLossParams
from tests.actors.guards.playing import Player, at, snapshot


def player(**params: object) -> Player:
    return Player(DailyLoss, DailyLossParams(**params))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "equity", "over"),
    [
        # The day begins with 2000.
        ({"limit_pct": 0.05}, "1900.01", []),
        ({"limit_pct": 0.05}, "1900", ["desk pct"]),
        ({"limit_pct": 0.05}, "1899.99", ["desk pct"]),
        ({"limit_currency": 30.0}, "1970.01", []),
        ({"limit_currency": 30.0}, "1970", ["desk currency"]),
        ({"limit_currency": 30.0}, "1969.99", ["desk currency"]),
        # 10 R of 1.50 are 15; 10 R of a thousandth of 2000 are 20.
        ({"limit_r": 10.0, "r_currency": 1.5}, "1985.01", []),
        ({"limit_r": 10.0, "r_currency": 1.5}, "1985", ["desk r"]),
        ({"limit_r": 10.0, "r_pct": 0.001}, "1980.01", []),
        ({"limit_r": 10.0, "r_pct": 0.001}, "1980", ["desk r"]),
        ({"limit_r": 10.0, "r_pct": 0.001}, "1979.99", ["desk r"]),
    ],
)
def test_the_loss_of_the_day(limits: dict[str, float], equity: str, over: list[str]) -> None:
    desk = player(**limits).observe(snapshot(2000), snapshot(2500), snapshot(equity))
    assert desk.over() == over
    assert desk.action() == ("flatten" if over else "none")


def test_measured_and_limit_are_in_the_limits_own_unit() -> None:
    desk = player(limit_pct=0.05, limit_currency=300.0, limit_r=10.0, r_currency=12.5)
    desk.observe(snapshot(2000), snapshot(1800))
    assert [(r.key, r.measured, r.limit) for r in desk.readings] == [
        ("pct", 0.1, 0.05),
        ("currency", 200.0, 300.0),
        ("r", 16.0, 10.0),
    ]
    assert [r.reason for r in desk.readings] == [
        "loss of 10 % since midnight UTC, limit 5 %",
        "",
        "loss of 16.00 R since midnight UTC, limit 10 R",
    ]


def test_a_gain_is_a_loss_below_zero() -> None:
    desk = player(limit_pct=0.05).observe(snapshot(2000), snapshot(2100))
    assert (desk.readings[0].measured, desk.readings[0].clear) == (-0.05, True)


def test_the_halt_lasts_until_midnight_even_if_the_loss_is_made_good() -> None:
    desk = player(limit_currency=100.0)
    desk.observe(
        snapshot(1000, at(0, "09:00")),
        snapshot(900, at(0, "10:00")),
        snapshot(2000, at(0, "11:00")),
    )
    assert desk.verdict().until == at(1)
    assert desk.observe(snapshot(2000, at(1) - 1)).action() == "flatten"
    assert desk.observe(snapshot(2000, at(1))).action() == "none"


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({}, ("limit_pct", "must be set, or limit_currency or limit_r")),
        ({"limit_r": 10.0}, ("limit_r", "needs the size of R: set r_pct or r_currency")),
        (
            {"limit_r": 10.0, "r_pct": 0.01, "r_currency": 1.0},
            ("r_pct", "can't be set beside r_currency: R has one size"),
        ),
        ({"limit_pct": 0.1, "r_pct": 0.01}, ("r_pct", "is of use only with limit_r")),
        ({"limit_pct": 0.1, "r_currency": 1.0}, ("r_currency", "is of use only with limit_r")),
    ],
)
def test_what_does_not_go_together_is_named(
    params: dict[str, float], problem: tuple[str, str]
) -> None:
    assert DailyLossParams(**params).check() == [problem]  # type: ignore[arg-type]
