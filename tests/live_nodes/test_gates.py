"""The gates, by table: what lets a start go on, and what the refusal says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from config.documents import Expected, Fees
from config.errors import GateRefused
from live_nodes.bybit.facts import FeeRate
from live_nodes.node.preflight import (
    account_mode_gate,
    balance_gate,
    clock_gate,
    fees_gate,
    links_gate,
    orders_gate,
    permission_gate,
    positions_gate,
    refuse,
)

D = Decimal


@pytest.mark.parametrize(
    ("skew", "round_trip", "opens"),
    [
        (0.0, 0.1, True),
        (0.9, 0.1, True),
        (-0.96, 0.1, False),  # Half the round trip counts against it: 0.96 + 0.05 > 1.
        (1.2, 0.0, False),
        (0.1, 2.0, False),  # A way so long that nobody knows.
    ],
)
def test_the_clock_may_be_off_by_the_limit_and_no_more(
    skew: float, round_trip: float, opens: bool
) -> None:
    assert (clock_gate(skew, round_trip, 1.0) == []) is opens


def test_a_late_clock_is_told_from_an_early_one() -> None:
    (late,), (early,) = clock_gate(3.0, 0.0, 1.0), clock_gate(-3.0, 0.0, 1.0)
    assert "3.000 s late" in late.measured
    assert "3.000 s early" in early.measured
    assert "set the clock" in str(late)


@pytest.mark.parametrize(
    ("permissions", "products", "lacking"),
    [
        ({"ContractTrade": ["Order", "Position"], "Spot": ["SpotTrade"]}, ["LINEAR", "SPOT"], 0),
        ({"ContractTrade": ["Order", "Position"]}, ["LINEAR"], 0),
        ({"ContractTrade": ["Order"]}, ["LINEAR"], 1),
        ({"ContractTrade": ["Order", "Position"]}, ["LINEAR", "SPOT"], 1),
        ({}, ["LINEAR"], 1),
    ],
)
def test_a_key_must_be_allowed_to_trade_each_product(
    permissions: dict[str, list[str]], products: list[str], lacking: int
) -> None:
    answer = {"readOnly": 0, "permissions": permissions}
    assert len(permission_gate(answer, products)) == lacking
    assert len(permission_gate(answer | {"readOnly": 1}, products)) == lacking + 1


FEES = Fees(maker=D("0.0002"), taker=D("0.00055"))


@pytest.mark.parametrize(
    ("maker", "taker", "opens"),
    [
        ("0.0002", "0.00055", True),
        ("0.0001", "0.0005", True),  # A better tier than was tested with.
        ("0.0003", "0.00055", False),
        ("0.0002", "0.00056", False),
    ],
)
def test_fees_may_be_lower_than_tested_and_not_higher(maker: str, taker: str, opens: bool) -> None:
    rates = {"LINEAR": {"BTCUSDT-LINEAR.BYBIT": FeeRate(D(maker), D(taker))}}
    assert (fees_gate({"LINEAR": FEES}, rates) == []) is opens
    assert fees_gate({"LINEAR": None}, rates) == []


def test_margin_and_position_mode_must_be_as_written() -> None:
    expected = Expected()
    assert account_mode_gate(expected, "cross", "one_way") == []
    assert account_mode_gate(expected, "cross", None) == []
    (margin,) = account_mode_gate(expected, "isolated", "one_way")
    assert (margin.measured, margin.limit) == ("isolated", "cross")
    (mode,) = account_mode_gate(expected, "cross", "hedge")
    assert mode.gate == "position mode"
    assert account_mode_gate(Expected(margin_mode=None), "portfolio", "one_way") == []


def test_an_order_that_only_one_side_knows_keeps_the_gate_shut() -> None:
    assert orders_gate({"a": D(1)}, {"a": D(1)}) == []
    (lost,) = orders_gate({"a": D(1), "b": D(2)}, {"a": D(1)})
    assert "b: 2 at the venue, none here" in lost.measured
    (other,) = orders_gate({"a": D(1)}, {"a": D("0.5")})
    assert "a: 1 at the venue, 0.5 here" in other.measured


def test_positions_are_compared_net_and_flat_ones_need_no_row() -> None:
    assert positions_gate({"X": D("1.50")}, {"X": D("1.5"), "Y": D(0)}) == []
    (found,) = positions_gate({"X": D(1)}, {"X": D(-1)})
    assert "X: 1 at the venue, -1 here" in found.measured


def test_many_differences_are_shown_in_part() -> None:
    (found,) = positions_gate({name: D(1) for name in "abcde"}, {})
    assert found.measured.endswith("and 2 more")


@pytest.mark.parametrize(("books", "opens"), [("100.01", True), ("100.011", False), (None, False)])
def test_the_balance_may_differ_by_the_tolerance(books: str | None, opens: bool) -> None:
    here = None if books is None else D(books)
    assert (balance_gate(D(100), here, D("0.01")) == []) is opens


def test_a_refusal_names_every_failure() -> None:
    refuse("mine", [])
    failures = [*links_gate({"trade": "not connected"}), *clock_gate(9.0, 0.0, 1.0)]
    with pytest.raises(GateRefused) as refused:
        refuse("mine", failures)
    text = str(refused.value)
    assert "mine: gate links: trade: not connected" in text
    assert "mine: gate clock: " in text
