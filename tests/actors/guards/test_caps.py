"""Caps of positions, of the book, of coins and of clusters."""

import pytest

from actors.guards.asset_caps import AssetCap, AssetCaps, AssetCapsParams
from actors.guards.cluster_caps import Cluster, ClusterCaps, ClusterCapsParams
from actors.guards.core.exposure import asset_of
from actors.guards.exposure_caps import ExposureCaps, ExposureCapsParams
from actors.guards.position_cap import PositionCap, PositionCapParams
from strategies.messages import Action
from tests.actors.guards.moments import BTC, BTC_SPOT, ETH
from tests.actors.guards.playing import (
    book,
    held,
    nets,
    reading_of,
    readings_of,
    refusal,
    requested,
    row,
)

# -- position --------------------------------------------------------------------------------------

# Equity 1,000, cap a quarter: 250. Hysteresis 10 %: clear at 225 or less.
QUARTER = PositionCap(PositionCapParams(limit_pct=0.25))
AMOUNT = PositionCap(PositionCapParams(limit_pct=None, limit_currency=250.0))


@pytest.mark.parametrize(
    ("guard", "key", "unit"), [(QUARTER, "pct", 0.1), (AMOUNT, "currency", 100)]
)
@pytest.mark.parametrize("side", ["", "-"])
@pytest.mark.parametrize(
    ("quantity", "over", "clear"),
    [
        ("2.25", False, True),
        ("2.2501", False, False),
        ("2.4999", False, False),
        ("2.5", True, False),
    ],
)
def test_a_position_at_its_cap_is_over(guard, key, unit, side, quantity, over, clear):
    reading = readings_of(guard, book(held(side + quantity)))[f"instrument:{BTC}", key]
    assert (reading.over, reading.clear) == (over, clear)
    assert reading.action == Action.REDUCE_ONLY
    assert reading.measured == pytest.approx(float(quantity) * unit)


def test_the_reason_has_the_numbers() -> None:
    reasons = [reading_of(guard, book(held(3))).reason for guard in (QUARTER, AMOUNT)]
    assert reasons == [f"{BTC} is worth 0.3 of equity, cap 0.25", f"{BTC} is worth 300.00, cap 250"]


def test_owners_of_one_instrument_count_together() -> None:
    reading = reading_of(QUARTER, book(held(3), held(-1, strategy="")))
    assert (reading.measured, reading.over) == (0.2, False)
    assert readings_of(QUARTER, book(held(3), held(-3, strategy=""))) == {}


def test_all_positions_not_clear_are_shown_or_the_largest() -> None:
    small = [held(1, f"C{n}USDT-LINEAR.BYBIT", price=100 + n) for n in range(5)]
    assert reading_of(QUARTER, book(*small)).scope == "instrument:C4USDT-LINEAR.BYBIT"
    found = readings_of(QUARTER, book(*small, held(3), held(-2.3, ETH)))
    assert {scope: reading.over for (scope, _), reading in found.items()} == {
        f"instrument:{BTC}": True,
        f"instrument:{ETH}": False,
    }


def test_a_position_without_a_price_counts_at_its_entry() -> None:
    assert reading_of(QUARTER, book(held(3, price=None))).measured == 0.3


@pytest.mark.parametrize("equity", [0, -50])
def test_without_equity_any_position_is_over_and_no_entry_passes(equity: int) -> None:
    assert reading_of(QUARTER, book(held(1, price=1), equity=equity)).over
    assert refusal(QUARTER, requested(), book(equity=equity)) is not None
    assert readings_of(QUARTER, book(equity=equity)) == {}


@pytest.mark.parametrize(
    ("has", "buys", "sells", "quantity", "admitted"),
    [
        # Price 100, cap 250.
        (0, 0, 0, "2.4999", True),
        (0, 0, 0, "2.5", False),
        (0, 0, 0, "-2.5", False),
        # With what is held.
        (1, 0, 0, "1.4999", True),
        (1, 0, 0, "1.5", False),
        # With pending orders on its side, whatever the other side's do.
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
def test_an_entry_that_could_reach_the_cap_is_refused(has, buys, sells, quantity, admitted):
    order = requested(quantity, row(BTC, has, buys, sells), row(ETH, 50))
    for guard in (QUARTER, AMOUNT):
        assert (refusal(guard, order) is None) == admitted


def test_a_refusal_gives_what_the_position_could_come_to() -> None:
    words = f"{BTC}'s position could come to 0.3 of equity, cap 0.25"
    assert refusal(QUARTER, requested(2, has=1)) == words
    # Another owner's position counts too.
    assert refusal(QUARTER, requested(1, row(BTC), row(BTC, 2, strategy=""))) == words


# -- gross, net and leverage -----------------------------------------------------------------------


def caps(**limits: object) -> ExposureCaps:
    return ExposureCaps(ExposureCapsParams(**{"leverage": None, **limits}))


# BTC long 600, ETH short 400: gross 1,000, net 200; equity 1,000.
BOOK = (held(6), held(-4, ETH))


@pytest.mark.parametrize(
    ("field", "inside", "at", "value"),
    [
        ("gross_currency", 1000.01, 1000.0, 1000),
        ("net_currency", 200.01, 200.0, 200),
        ("leverage", 1.00001, 1.0, 1),
        ("net_pct", 0.20001, 0.2, 0.2),
    ],
)
def test_each_cap_of_the_book_is_reached_at_its_limit(field, inside, at, value):
    # A short book counts by its size.
    for positions in (BOOK, (held(-6), held(4, ETH))):
        for limit, over in ((inside, False), (at, True)):
            reading = readings_of(caps(**{field: limit}), book(*positions))["desk", field]
            assert (reading.over, reading.clear, reading.measured) == (over, False, value)


def test_a_book_is_clear_of_its_cap_by_the_hysteresis() -> None:
    # Gross 1,000 is nine tenths of 1,111.12, and a hair more than nine tenths of 1,111.10.
    for limit, clear in ((1111.12, True), (1111.10, False)):
        assert reading_of(caps(gross_currency=limit), book(*BOOK)).clear == clear


def test_each_strategy_has_the_caps_of_its_own_book() -> None:
    positions = (held(6, BTC, "a"), held(-4, ETH, "b"), held(9, "X", ""))
    guard = caps(of="strategies", gross_currency=500.0)
    found = readings_of(guard, book(*positions, results=nets(idle=0)))
    over = {scope: reading.over for (scope, _), reading in found.items()}
    assert over == {"strategy:idle": False, "strategy:b": False, "strategy:a": True}
    rows = (row(BTC, 6), row(ETH, -4, strategy="b"))
    assert refusal(guard, requested("-0.99", *rows, name=ETH, strategy="b")) is None
    reason = refusal(guard, requested(-1, *rows, name=ETH, strategy="b"))
    assert reason == "gross value of b could come to 500.00, cap 500"


@pytest.mark.parametrize(
    ("quantity", "admitted"),
    [
        # Gross 1,000 is held, 100 pending in ETH; the cap is 1,300.
        ("1.99", True),
        ("2", False),
        # BTC sold through flat: 600 long becomes 799 short, then 800.
        ("-13.99", True),
        ("-14", False),
        # To fewer than it was is no worse.
        ("-7", True),
    ],
)
def test_an_entry_counts_with_the_worst_case_of_pending_orders(quantity, admitted):
    order = requested(quantity, row(BTC, 6), row(ETH, -4, sells=1, buys=2))
    assert (refusal(caps(leverage=1.3), order) is None) == admitted


def test_net_counts_only_pending_orders_on_the_side_of_the_entry() -> None:
    # Net +200 is held; 100 more to buy and 100 more to sell are pending.
    rows = (row(BTC, 6, buys=1), row(ETH, -4, sells=1))
    for quantity, admitted in (("1.99", True), ("2", False), ("-5.99", True), ("-6", False)):
        order = requested(quantity, *rows, name="SOL")
        assert (refusal(caps(net_currency=500.0), order) is None) == admitted


def test_net_can_be_limited_for_positions_only() -> None:
    guard = caps(net_currency=500.0, net_entries=False)
    assert refusal(guard, requested(9, row(BTC, 6), name="SOL")) is None
    assert reading_of(guard, book(held(6))).over


def test_a_desk_without_equity_is_over_its_leverage_and_admits_nothing() -> None:
    assert reading_of(caps(leverage=2.0), book(*BOOK, equity=-1)).over
    assert refusal(caps(leverage=2.0), requested(), book(equity=0)) is not None
    assert not reading_of(caps(leverage=2.0), book(equity=0)).over


# -- coins -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instrument", "asset"),
    [
        ("BTCUSDT-LINEAR.BYBIT", "BTC"),
        ("BTCUSDT-SPOT.BYBIT", "BTC"),
        ("BTCUSDC-SPOT.BYBIT", "BTC"),
        ("BTCPERP-LINEAR.BYBIT", "BTC"),
        ("BTCUSD-INVERSE.BYBIT", "BTC"),
        ("BTC-26DEC25-LINEAR.BYBIT", "BTC"),
        ("1000PEPEUSDT-LINEAR.BYBIT", "PEPE"),
        ("PEPEUSDT-SPOT.BYBIT", "PEPE"),
        ("10000LADYSUSDT-LINEAR.BYBIT", "LADYS"),
        ("1000000MOGUSDT-LINEAR.BYBIT", "MOG"),
        ("1MBABYDOGEUSDT-LINEAR.BYBIT", "BABYDOGE"),
        ("SHIB1000USDT-LINEAR.BYBIT", "SHIB"),
        ("1000XUSDT-LINEAR.BYBIT", "X"),
        ("1INCHUSDT-LINEAR.BYBIT", "1INCH"),
        ("C98USDT-LINEAR.BYBIT", "C98"),
        ("MUSDT-LINEAR.BYBIT", "M"),
        ("USDCUSDT-SPOT.BYBIT", "USDC"),
        ("USDEUSDT-SPOT.BYBIT", "USDE"),
    ],
)
def test_the_coin_of_an_instrument(instrument: str, asset: str) -> None:
    assert asset_of(instrument) == asset


HALF = AssetCaps(AssetCapsParams(net=0.5))


@pytest.mark.parametrize(("perpetual", "over"), [("0.9999", False), ("1", True), ("-3", False)])
def test_spot_and_perpetual_of_a_coin_count_together(perpetual: str, over: bool) -> None:
    # Equity 1,000: 400 of spot and the perpetual at 100, cap 500.
    found = readings_of(HALF, book(held(4, BTC_SPOT), held(perpetual), held(1, ETH)))
    assert all(reading.over == over for reading in found.values())
    if over:
        assert [*found] == [(f"instrument:{name}", "BTC net") for name in (BTC, BTC_SPOT)]


def test_a_hedged_coin_has_no_net_but_a_gross() -> None:
    hedged = book(held(4, BTC_SPOT), held(-4))
    assert reading_of(HALF, hedged).measured == 0
    found = readings_of(AssetCaps(AssetCapsParams(net=0.5, gross=0.8)), hedged)
    assert {key: reading.over for (_, key), reading in found.items()} == {"BTC gross": True}
    assert found[f"instrument:{BTC}", "BTC gross"].reason == "BTC gross 0.8 of equity, cap 0.8"


def test_a_coin_may_have_caps_of_its_own() -> None:
    guard = AssetCaps(AssetCapsParams(net=0.5, assets={"BTC": AssetCap(net=2.0)}))
    found = readings_of(guard, book(held(6), held(6, ETH)))
    assert {key: reading.over for (_, key), reading in found.items()} == {"ETH net": True}
    assert refusal(guard, requested("19.99")) is None
    assert refusal(guard, requested(20)) is not None
    assert refusal(guard, requested(5, name=ETH)) is not None


@pytest.mark.parametrize(
    ("quantity", "admitted"),
    [
        # Bought: 100 + 200 of spot, -100 + 100 of the perpetual, and this.
        ("1.99", True),
        ("2", False),
        # Sold: 100 of spot, -200 of the perpetual, and this.
        ("-3.99", True),
        ("-4", False),
    ],
)
def test_an_entry_counts_with_all_pending_orders_in_its_coin(quantity: str, admitted: bool) -> None:
    rows = (row(BTC_SPOT, 1, buys=2), row(BTC, -1, buys=1, sells=1), row(ETH, 90))
    assert (refusal(HALF, requested(quantity, *rows)) is None) == admitted


def test_both_legs_of_a_hedge_can_be_sent_at_once() -> None:
    guard = AssetCaps(AssetCapsParams(net=0.3, gross=1.0, net_entries=False))
    assert refusal(guard, requested("4.9", name=BTC_SPOT)) is None
    assert refusal(guard, requested("-4.9", row(BTC_SPOT, buys="4.9"))) is None
    reason = refusal(guard, requested("-5.1", row(BTC_SPOT, buys="4.9")))
    assert reason == "BTC gross could come to 1 of equity, cap 1"


# -- clusters --------------------------------------------------------------------------------------


def clusters(**named: Cluster) -> ClusterCaps:
    return ClusterCaps(ClusterCapsParams(clusters=named))


MAJORS = Cluster(instruments=("BTC*", ETH), cap=0.5)


@pytest.mark.parametrize(("eth", "over"), [("-0.9999", False), ("-1", True)])
def test_a_cluster_is_capped_by_its_gross(eth: str, over: bool) -> None:
    found = readings_of(clusters(majors=MAJORS), book(held(4), held(eth, ETH), held(9, "SOL")))
    assert {scope: reading.over for (scope, _), reading in found.items()} == {
        f"instrument:{BTC}": over,
        f"instrument:{ETH}": over,
    }


def test_an_instrument_may_be_in_several_clusters() -> None:
    guard = clusters(majors=MAJORS, btc=Cluster(instruments=("BTC*",), cap=0.3, net=0.2))
    found = readings_of(guard, book(held(3), held(-2, BTC_SPOT)))
    assert {key: reading.over for (scope, key), reading in found.items() if BTC in scope} == {
        "majors gross": True,
        "btc gross": True,
    }
    reason = refusal(guard, requested("2.5"))
    assert reason == "btc net could come to 0.25 of equity, cap 0.2"
    assert refusal(guard, requested("2.5", name=ETH)) is None


@pytest.mark.parametrize(
    ("name", "quantity", "admitted"),
    [
        (ETH, "0.99", True),
        (ETH, "1", False),
        (ETH, "-0.99", True),
        (ETH, "-1", False),
        ("SOL", 1000, True),
    ],
)
def test_an_entry_counts_with_its_whole_cluster(name: str, quantity: str, admitted: bool) -> None:
    order = requested(quantity, row(BTC, 3, buys=1), row("SOL", 50), name=name)
    assert (refusal(clusters(majors=MAJORS), order) is None) == admitted


def test_where_all_clusters_are_clear_the_nearest_is_shown() -> None:
    guard = clusters(majors=MAJORS, rest=Cluster(instruments=("SOL", "XRP"), cap=0.5))
    reading = reading_of(guard, book(held(1), held(2, "SOL"), held("0.5", "XRP")))
    assert (reading.scope, reading.key, reading.measured) == ("instrument:SOL", "rest gross", 0.25)
