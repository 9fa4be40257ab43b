"""Caps of coins and of clusters."""

from __future__ import annotations

import pytest

from actors.guards.asset_caps import AssetCap, AssetCaps, AssetCapsParams
from actors.guards.cluster_caps import Cluster, ClusterCaps, ClusterCapsParams
from actors.guards.core.exposure import asset_of
from tests.actors.guards.positions import (
    BTC,
    BTC_SPOT,
    ETH,
    asked,
    holding,
    reading_of,
    readings_of,
    refusal,
    snapshot,
)
from tests.actors.guards.positions import row as stands


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
def test_an_instrument_is_about_its_coin(instrument: str, asset: str) -> None:
    assert asset_of(instrument) == asset


# -- coins -----------------------------------------------------------------------------------------

HALF = AssetCapsParams(net=0.5)


@pytest.mark.parametrize(
    ("perpetual", "over"), [("0.9999", False), ("1", True), ("1.0001", True), ("-3", False)]
)
def test_spot_and_perpetual_of_a_coin_count_together(perpetual: str, over: bool) -> None:
    # Equity 1,000: 400 of spot and the perpetual at 100, cap 500.
    book = snapshot(holding(BTC_SPOT, 4, 100), holding(BTC, perpetual, 100), holding(ETH, 1, 100))
    found = readings_of(AssetCaps(HALF), book)
    assert all(reading.over == over for reading in found.values())
    if over:
        assert [scope for scope, _ in found] == [f"instrument:{BTC}", f"instrument:{BTC_SPOT}"]
        assert {key for _, key in found} == {"BTC net"}


def test_a_hedged_coin_has_no_net_but_a_gross() -> None:
    book = snapshot(holding(BTC_SPOT, 4, 100), holding(BTC, -4, 100))
    assert reading_of(AssetCaps(HALF), book).measured == 0
    both = AssetCapsParams(net=0.5, gross=0.8)
    found = readings_of(AssetCaps(both), book)
    assert {key: reading.over for (_, key), reading in found.items()} == {"BTC gross": True}
    assert found[f"instrument:{BTC}", "BTC gross"].reason == "BTC gross 0.8 of equity, cap 0.8"


def test_a_coin_may_have_caps_of_its_own() -> None:
    limits = AssetCapsParams(net=0.5, assets={"BTC": AssetCap(net=2.0)})
    book = snapshot(holding(BTC, 6, 100), holding(ETH, 6, 100))
    found = readings_of(AssetCaps(limits), book)
    assert {key: reading.over for (_, key), reading in found.items()} == {"ETH net": True}
    assert refusal(AssetCaps(limits), asked(BTC, "19.99")) is None
    assert refusal(AssetCaps(limits), asked(BTC, 20)) is not None
    assert refusal(AssetCaps(limits), asked(ETH, 5)) is not None


def test_an_entry_counts_with_all_that_is_under_way_in_its_coin() -> None:
    standing = (stands(BTC_SPOT, 1, buys=2), stands(BTC, -1, buys=1, sells=1), stands(ETH, 90))
    for quantity, admitted in (("1.99", True), ("2", False)):
        # Bought: 100 + 200 of spot, -100 + 100 of the perpetual, and this.
        reason = refusal(AssetCaps(HALF), asked(BTC, quantity, *standing))
        assert (reason is None) == admitted
    # Sold: 100 of spot, -200 of the perpetual, and this.
    for quantity, admitted in (("-3.99", True), ("-4", False)):
        reason = refusal(AssetCaps(HALF), asked(BTC, quantity, *standing))
        assert (reason is None) == admitted


def test_both_legs_of_a_hedge_can_be_sent_at_once() -> None:
    limits = AssetCapsParams(net=0.3, gross=1.0, net_entries=False)
    first = asked(BTC_SPOT, "4.9")
    assert refusal(AssetCaps(limits), first) is None
    second = asked(BTC, "-4.9", stands(BTC_SPOT, 0, buys="4.9"))
    assert refusal(AssetCaps(limits), second) is None
    reason = refusal(AssetCaps(limits), asked(BTC, "-5.1", *second.open_exposure))
    assert reason == "BTC gross could come to 1 of equity, cap 1"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        (AssetCapsParams(net=None), "net"),
        (AssetCapsParams(assets={"1000PEPE": AssetCap(net=1.0)}), "assets.1000PEPE"),
        (AssetCapsParams(assets={"BTCUSDT": AssetCap(net=1.0)}), "assets.BTCUSDT"),
        (AssetCapsParams(assets={BTC: AssetCap(net=1.0)}), f"assets.{BTC}"),
        (AssetCapsParams(assets={"btc": AssetCap(net=1.0)}), "assets.btc"),
        (AssetCapsParams(assets={"BTC": AssetCap()}), "assets.BTC"),
    ],
)
def test_caps_that_would_guard_nothing_are_mistakes(params: AssetCapsParams, field: str) -> None:
    assert [name for name, _ in params.check()] == [field]


def test_coins_named_by_themselves_are_right() -> None:
    assert AssetCapsParams(net=None, assets={"PEPE": AssetCap(gross=1.0)}).check() == []
    assert AssetCapsParams(assets={"USDE": AssetCap(gross=1.0)}).check() == []


# -- clusters --------------------------------------------------------------------------------------

MAJORS = Cluster(instruments=("BTC*", ETH), cap=0.5)
CLUSTERS = ClusterCapsParams(clusters={"majors": MAJORS})


@pytest.mark.parametrize(("eth", "over"), [("-0.9999", False), ("-1", True), ("-1.0001", True)])
def test_a_cluster_is_capped_by_its_gross(eth: str, over: bool) -> None:
    book = snapshot(holding(BTC, 4, 100), holding(ETH, eth, 100), holding("SOL", 9, 100))
    found = readings_of(ClusterCaps(CLUSTERS), book)
    assert {scope: reading.over for (scope, _), reading in found.items()} == {
        f"instrument:{BTC}": over,
        f"instrument:{ETH}": over,
    }


def test_an_instrument_may_be_in_several_clusters() -> None:
    clusters = {"majors": MAJORS, "btc": Cluster(instruments=("BTC*",), cap=0.3, net=0.2)}
    limits = ClusterCapsParams(clusters=clusters)
    book = snapshot(holding(BTC, 3, 100), holding(BTC_SPOT, -2, 100))
    found = readings_of(ClusterCaps(limits), book)
    assert {key: reading.over for (scope, key), reading in found.items() if BTC in scope} == {
        "majors gross": True,
        "btc gross": True,
    }
    reason = refusal(ClusterCaps(limits), asked(BTC, "2.5"))
    assert reason == "btc net could come to 0.25 of equity, cap 0.2"
    assert refusal(ClusterCaps(limits), asked(ETH, "2.5")) is None


def test_an_entry_outside_of_all_clusters_passes() -> None:
    order = asked("SOL", 1000, stands(BTC, 100))
    assert refusal(ClusterCaps(CLUSTERS), order) is None


@pytest.mark.parametrize(
    ("quantity", "admitted"), [("0.99", True), ("1", False), ("-0.99", True), ("-1", False)]
)
def test_an_entry_counts_with_its_whole_cluster(quantity: str, admitted: bool) -> None:
    order = asked(ETH, quantity, stands(BTC, 3, buys=1), stands("SOL", 50))
    assert (refusal(ClusterCaps(CLUSTERS), order) is None) == admitted


def test_where_all_is_clear_the_nearest_is_told() -> None:
    clusters = {"majors": MAJORS, "rest": Cluster(instruments=("SOL", "XRP"), cap=0.5)}
    book = snapshot(holding(BTC, 1, 100), holding("SOL", 2, 100), holding("XRP", "0.5", 100))
    reading = reading_of(ClusterCaps(ClusterCapsParams(clusters=clusters)), book)
    assert (reading.scope, reading.key, reading.measured) == ("instrument:SOL", "rest gross", 0.25)


def test_clusters_that_would_guard_nothing_are_mistakes() -> None:
    assert [field for field, _ in ClusterCapsParams().check()] == ["clusters"]
    without = ClusterCapsParams(clusters={"majors": Cluster(instruments=("BTC*",))})
    assert [field for field, _ in without.check()] == ["clusters.majors"]
    assert CLUSTERS.check() == []
