"""Exposure caps: gross, net and leverage of the desk and of strategies."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from actors.guards.exposure_caps import ExposureCaps, ExposureCapsParams
from tests.actors.guards.positions import (
    BTC,
    ETH,
    asked,
    holding,
    readings_of,
    refusal,
    row,
    snapshot,
)


def params(**limits: object) -> ExposureCapsParams:
    return ExposureCapsParams(**{"leverage": None, **limits})


# BTC long 600, ETH short 400: gross 1,000, net 200; equity 1,000.
BOOK = (holding(BTC, 6, 100), holding(ETH, -4, 100))


@pytest.mark.parametrize(
    ("field", "inside", "at", "outside", "value"),
    [
        ("gross_currency", 1000.01, 1000.0, 999.99, 1000),
        ("net_currency", 200.01, 200.0, 199.99, 200),
        ("leverage", 1.00001, 1.0, 0.99999, 1),
        ("net_pct", 0.20001, 0.2, 0.19999, 0.2),
    ],
)
def test_each_cap_is_reached_at_its_limit(
    field: str, inside: float, at: float, outside: float, value: float
) -> None:
    for limit, over in ((inside, False), (at, True), (outside, True)):
        found = readings_of(ExposureCaps(params(**{field: limit})), snapshot(*BOOK))
        reading = found["desk", field]
        assert reading.over == over
        assert not reading.clear
        assert reading.measured == value


def test_a_value_clear_of_its_cap_by_the_hysteresis_ends_the_halt() -> None:
    # Gross 1,000 is nine tenths of 1,111.12, and a hair more than nine tenths of 1,111.10.
    for limit, clear in ((1111.12, True), (1111.10, False)):
        found = readings_of(ExposureCaps(params(gross_currency=limit)), snapshot(*BOOK))
        assert found["desk", "gross_currency"].clear == clear


def test_a_short_book_counts_by_its_size() -> None:
    short = (holding(BTC, -6, 100), holding(ETH, 4, 100))
    found = readings_of(ExposureCaps(params(net_currency=200.0)), snapshot(*short))
    assert found["desk", "net_currency"].over


def test_strategies_are_each_held_to_the_caps() -> None:
    book = (holding(BTC, 6, 100, "rev"), holding(ETH, -4, 100, "mom"), holding("X", 9, 100, ""))
    limits = params(of="strategies", gross_currency=500.0)
    found = readings_of(ExposureCaps(limits), snapshot(*book, results={"idle": D(0)}))
    assert {scope: reading.over for (scope, _), reading in found.items()} == {
        "strategy:idle": False,
        "strategy:mom": False,
        "strategy:rev": True,
    }
    standing = (row(BTC, 6, owner="rev"), row(ETH, -4, owner="mom"))
    assert refusal(ExposureCaps(limits), asked(ETH, "-0.99", *standing, owner="mom")) is None
    reason = refusal(ExposureCaps(limits), asked(ETH, -1, *standing, owner="mom"))
    assert reason == "gross value of mom could come to 500.00, cap 500"


@pytest.mark.parametrize(
    ("quantity", "admitted"),
    [
        # Gross 1,000 is held, 100 under way in ETH; the cap is 1,300.
        ("1.99", True),
        ("2", False),
        # BTC sold through flat: 600 long becomes 799 short, then 800.
        ("-13.99", True),
        ("-14", False),
        # To fewer than it was is no worse.
        ("-7", True),
    ],
)
def test_an_entry_counts_with_the_worst_of_what_is_under_way(quantity: str, admitted: bool) -> None:
    order = asked(BTC, quantity, row(BTC, 6), row(ETH, -4, sells=1, buys=2))
    reason = refusal(ExposureCaps(params(leverage=1.3)), order)
    assert (reason is None) == admitted


def test_net_counts_only_what_is_under_way_on_the_side_of_the_order() -> None:
    # Net +200 is held; 100 more to buy and 100 more to sell are under way.
    standing = (row(BTC, 6, buys=1), row(ETH, -4, sells=1))
    limits = params(net_currency=500.0)
    for quantity, admitted in (("1.99", True), ("2", False), ("-5.99", True), ("-6", False)):
        reason = refusal(ExposureCaps(limits), asked("SOL", quantity, *standing))
        assert (reason is None) == admitted


def test_net_can_be_left_to_what_is_held() -> None:
    limits = params(net_currency=500.0, net_entries=False)
    assert refusal(ExposureCaps(limits), asked("SOL", 9, row(BTC, 6))) is None
    found = readings_of(ExposureCaps(limits), snapshot(holding(BTC, 6, 100)))
    assert found["desk", "net_currency"].over


def test_a_desk_without_equity_is_over_its_leverage_and_admits_nothing() -> None:
    limits = params(leverage=2.0)
    found = readings_of(ExposureCaps(limits), snapshot(*BOOK, equity=-1))
    assert found["desk", "leverage"].over
    assert refusal(ExposureCaps(limits), asked(BTC, 1), snapshot(equity=0)) is not None
    assert not readings_of(ExposureCaps(limits), snapshot(equity=0))["desk", "leverage"].over


def test_a_guard_without_a_cap_is_a_mistake() -> None:
    assert ExposureCapsParams().check() == []
    assert [field for field, _ in params().check()] == ["leverage"]
