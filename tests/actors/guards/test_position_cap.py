"""Position cap: a table around each limit, and entries with what is under way."""

from __future__ import annotations

import pytest

from actors.guards.core.guard import NOTHING
from actors.guards.core.params import GuardParams
from actors.guards.position_cap import PositionCap, PositionCapParams
from strategies.messages import Action
from tests.actors.guards.positions import (
    BTC,
    ETH,
    asked,
    holding,
    reading_of,
    readings_of,
    refusal,
    row,
    snapshot,
)

# Equity 1,000, cap a quarter: 250. Hysteresis 10 %: clear at 225 or less.
QUARTER = PositionCapParams(limit_pct=0.25)
AMOUNT = PositionCapParams(limit_pct=None, limit_currency=250.0)


@pytest.mark.parametrize(("params", "key"), [(QUARTER, "pct"), (AMOUNT, "currency")])
@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("quantity", "over", "clear"),
    [
        ("2.2499", False, True),
        ("2.25", False, True),
        ("2.2501", False, False),
        ("2.4999", False, False),
        ("2.5", True, False),
        ("2.5001", True, False),
    ],
)
def test_a_position_at_its_cap_is_over(
    params: PositionCapParams, key: str, side: int, quantity: str, over: bool, clear: bool
) -> None:
    held = holding(BTC, side * float(quantity), 100)
    reading = readings_of(PositionCap(params), snapshot(held))[f"instrument:{BTC}", key]
    assert (reading.over, reading.clear) == (over, clear)
    assert reading.action == Action.REDUCE_ONLY
    unit = 1000 if key == "pct" else 1
    assert reading.measured == pytest.approx(float(quantity) * 100 / unit)


def test_the_reason_has_the_numbers() -> None:
    reading = reading_of(PositionCap(QUARTER), snapshot(holding(BTC, 3, 100)))
    assert reading.reason == f"{BTC} is worth 0.3 of equity, cap 0.25"
    reading = reading_of(PositionCap(AMOUNT), snapshot(holding(BTC, 3, 100)))
    assert reading.reason == f"{BTC} is worth 300.00, cap 250"


def test_owners_of_one_instrument_count_together() -> None:
    ours, external = holding(BTC, 3, 100), holding(BTC, -1, 100, owner="")
    reading = reading_of(PositionCap(QUARTER), snapshot(ours, external))
    assert (reading.measured, reading.over) == (0.2, False)
    assert (
        PositionCap(QUARTER).observe(NOTHING, snapshot(ours, holding(BTC, -3, 100, owner="")))[1]
        == ()
    )


def test_of_many_positions_those_not_clear_are_told_else_the_largest() -> None:
    small = [holding(f"C{n}USDT-LINEAR.BYBIT", 1, 100 + n) for n in range(5)]
    reading = reading_of(PositionCap(QUARTER), snapshot(*small))
    assert reading.scope == "instrument:C4USDT-LINEAR.BYBIT"
    large = [holding(BTC, 3, 100), holding(ETH, -2.3, 100)]
    found = readings_of(PositionCap(QUARTER), snapshot(*small, *large))
    assert [reading.over for reading in found.values()] == [True, False]
    assert [scope for scope, _ in found] == [f"instrument:{BTC}", f"instrument:{ETH}"]


def test_a_position_without_a_price_counts_at_its_entry() -> None:
    held = holding(BTC, 3, None, entry=100)
    assert reading_of(PositionCap(QUARTER), snapshot(held)).measured == 0.3


@pytest.mark.parametrize("equity", [0, -50])
def test_without_equity_anything_held_is_over_and_nothing_may_come(equity: int) -> None:
    found = readings_of(PositionCap(QUARTER), snapshot(holding(BTC, 1, 1), equity=equity))
    assert found[f"instrument:{BTC}", "pct"].over
    assert refusal(PositionCap(QUARTER), asked(ETH, 1), snapshot(equity=equity)) is not None


def test_nothing_held_gives_no_reading() -> None:
    assert PositionCap(QUARTER).observe(NOTHING, snapshot()) == (NOTHING, ())


@pytest.mark.parametrize(
    ("held", "buys", "sells", "quantity", "admitted"),
    [
        # Price 100, cap 250.
        (0, 0, 0, "2.4999", True),
        (0, 0, 0, "2.5", False),
        (0, 0, 0, "-2.4999", True),
        (0, 0, 0, "-2.5", False),
        # With what is held.
        (1, 0, 0, "1.4999", True),
        (1, 0, 0, "1.5", False),
        # With what is under way on its side, whatever may come on the other.
        (1, 1, 0, "0.4999", True),
        (1, 1, 0, "0.5", False),
        (1, 1, 1, "0.5", False),
        (0, 0, 1, "-1.5", False),
        # Through flat to the other side.
        (1, 0, 0, "-3.4999", True),
        (1, 0, 0, "-3.5", False),
        # It is beyond the cap by its price already: what makes it no worse may leave.
        (3, 0, 0, "-5", True),
        (3, 0, 0, "-6.1", False),
        (3, 0, 0, "0.001", False),
    ],
)
def test_an_entry_that_could_reach_the_cap_is_refused(
    held: int, buys: int, sells: int, quantity: str, admitted: bool
) -> None:
    order = asked(BTC, quantity, row(BTC, held, 100, buys, sells), row(ETH, 50))
    for params in (QUARTER, AMOUNT):
        reason = refusal(PositionCap(params), order)
        assert (reason is None) == admitted


def test_a_refusal_says_what_the_position_could_come_to() -> None:
    order = asked(BTC, 2, row(BTC, 1))
    reason = refusal(PositionCap(QUARTER), order)
    assert reason == f"{BTC}'s position could come to 0.3 of equity, cap 0.25"


def test_another_owner_of_the_instrument_counts_for_an_entry() -> None:
    order = asked(BTC, 1, row(BTC, 0), row(BTC, 2, owner=""))
    assert refusal(PositionCap(QUARTER), order) is not None


def test_a_guard_without_a_cap_is_a_mistake() -> None:
    assert PositionCapParams().check() == []
    ((field, _),) = PositionCapParams(limit_pct=None).check()
    assert field == "limit_pct"
    assert issubclass(PositionCapParams, GuardParams)
