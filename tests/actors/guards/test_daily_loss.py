"""Daily loss: money, percent and R since midnight UTC, whatever the clock does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

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


def test_a_new_day_is_measured_from_its_first_pulse() -> None:
    desk = player(limit_currency=100.0)
    desk.observe(snapshot(1000, at(0, "09:00")), snapshot("900.01", at(0, "23:59")))
    assert (
        desk.observe(snapshot(880, at(1, "00:05")), snapshot("780.01", at(1, "00:06"))).over() == []
    )
    assert desk.observe(snapshot("780", at(1, "00:07"))).over() == ["desk currency"]


def test_days_without_pulses_are_skipped() -> None:
    desk = player(limit_currency=100.0).observe(
        snapshot(1000, at(0)), snapshot(900, at(0, "10:00"))
    )
    assert desk.observe(snapshot(500, at(5, "13:00"))).action() == "none"
    assert desk.observe(snapshot(400, at(5, "13:01"))).verdict().until == at(6)


def test_a_restart_on_the_same_day_keeps_the_days_start_and_the_halt() -> None:
    desk = player(limit_currency=100.0).observe(
        snapshot(1000, at(0)), snapshot(950, at(0, "10:00"))
    )
    desk.restart().observe(snapshot(900, at(0, "10:01"))).restart()
    assert desk.action() == "flatten"
    assert desk.observe(snapshot(950, at(0, "10:02"))).action() == "flatten"
    assert desk.restart().observe(snapshot(950, at(1))).action() == "none"


def test_a_clock_that_goes_back_over_midnight_begins_no_day() -> None:
    desk = player(limit_currency=100.0).observe(
        snapshot(1000, at(0, "23:59")), snapshot(800, at(1))
    )
    # The second day began with 800. The clock falls back; neither day begins again.
    assert desk.observe(snapshot("700.01", at(0, "23:59"))).action() == "none"
    assert desk.observe(snapshot("700.01", at(1, "00:01"))).action() == "none"
    assert desk.observe(snapshot("700", at(1, "00:02"))).action() == "flatten"


def test_a_clock_that_goes_back_only_prolongs_a_halt() -> None:
    desk = player(limit_currency=100.0).observe(
        snapshot(1000, at(1)), snapshot(900, at(1, "00:01"))
    )
    assert desk.observe(snapshot(900, at(0, "23:59"))).verdict().until == at(2)
    assert desk.observe(snapshot(900, at(1, "23:59"))).action() == "flatten"
    assert desk.observe(snapshot(900, at(2))).action() == "none"


def test_an_accepted_loss_is_measured_anew_from_there() -> None:
    desk = player(limit_currency=100.0).observe(snapshot(1000), snapshot(900)).accept()
    assert desk.observe(snapshot("800.01")).action() == "none"
    assert desk.observe(snapshot("800")).action() == "flatten"


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_the_hosts_zone_and_its_summer_time_do_not_matter() -> None:
    # The night in which Berlin's clocks go back from 3 to 2, which is 1 o'clock UTC.
    def when(day: int, hour: int, minute: int = 0) -> int:
        moment = datetime(2026, 10, day, hour, minute, tzinfo=UTC)
        return int(moment.timestamp()) * 10**9

    assert os.environ["TZ"]
    desk = player(limit_currency=100.0).observe(snapshot(1000, when(24, 12)))
    # Local midnight in Berlin is 22:00 UTC on the 24th: no day begins there.
    assert desk.observe(snapshot("900.01", when(24, 22, 30))).action() == "none"
    assert desk.observe(snapshot("900", when(24, 23, 59))).verdict().until == when(25, 0)
    assert desk.observe(snapshot("900", when(25, 0))).action() == "none"
    # A local day of 25 hours: the UTC day is 24, and has one beginning.
    assert desk.observe(snapshot("800", when(25, 22, 59))).verdict().until == when(26, 0)
    assert desk.observe(snapshot("800", when(25, 23, 30))).action() == "flatten"
    assert desk.observe(snapshot("800", when(26, 0))).action() == "none"


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
