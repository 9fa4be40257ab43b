"""What caps admit can never break them: any orders, filled and taken back in any order."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal as D
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.asset_caps import AssetCaps, AssetCapsParams
from actors.guards.cluster_caps import Cluster, ClusterCaps, ClusterCapsParams
from actors.guards.core.exposure import asset_of
from actors.guards.core.guard import NOTHING, Guard
from actors.guards.core.snapshot import ZERO, Market, OpenExposure
from actors.guards.exposure_caps import ExposureCaps, ExposureCapsParams
from actors.guards.free_margin import FreeMargin, FreeMarginParams
from actors.guards.position_cap import PositionCap, PositionCapParams
from tests.actors.guards.moments import BTC, BTC_SPOT, ETH
from tests.actors.guards.playing import book, requested

PRICES = {BTC: D(100), BTC_SPOT: D("99.5"), ETH: D("7.25"), "SOLUSDT-LINEAR.BYBIT": D("0.333")}
NAMES = tuple(PRICES)
EQUITY = D(1000)


@dataclass
class Order:
    instrument: str
    left: D


@dataclass
class Exchange:
    """Positions and orders; prices stand still, so that only fills move what is held."""

    held: dict[str, D] = field(default_factory=lambda: dict.fromkeys(NAMES, ZERO))
    orders: list[Order] = field(default_factory=list)

    def standing(self) -> tuple[OpenExposure, ...]:
        """Return the rows of one owner that trades everything."""
        return tuple(
            OpenExposure(
                strategy="a",
                instrument=name,
                held=self.held[name],
                buys=self._pending(name, 1),
                sells=self._pending(name, -1),
                price=price,
            )
            for name, price in PRICES.items()
        )

    def _pending(self, name: str, side: int) -> D:
        lefts = (order.left * side for order in self.orders if order.instrument == name)
        return sum((left for left in lefts if left > 0), ZERO)

    def is_exit(self, name: str, quantity: D) -> bool:
        """Whether it can only shrink the position, whatever else fills on its side."""
        held = self.held[name]
        same_side = self._pending(name, 1 if quantity > 0 else -1)
        return held * quantity < 0 and abs(quantity) + same_side <= abs(held)

    def fill(self, order: Order, part: int) -> None:
        quantity = order.left if part == 0 else order.left * part / 10
        self.held[order.instrument] += quantity
        order.left -= quantity
        if not order.left:
            self.orders.remove(order)

    def values(self) -> dict[str, D]:
        return {name: self.held[name] * price for name, price in PRICES.items()}

    def endings(self) -> Iterator[dict[str, D]]:
        """Yield the values when of each instrument one side's orders all fill, in every mixture."""
        for sides in product((1, -1), repeat=len(NAMES)):
            yield {
                name: (self.held[name] + side * self._pending(name, side)) * PRICES[name]
                for name, side in zip(NAMES, sides, strict=True)
            }


def most_position(values: dict[str, D]) -> D:
    return max(abs(value) for value in values.values())


def gross(values: dict[str, D]) -> D:
    return sum((abs(value) for value in values.values()), ZERO)


def net(values: dict[str, D]) -> D:
    return abs(sum(values.values(), ZERO))


def net_of_a_coin(values: dict[str, D]) -> D:
    coins: dict[str, D] = {}
    for name, value in values.items():
        coins[asset_of(name)] = coins.get(asset_of(name), ZERO) + value
    return max(abs(value) for value in coins.values())


def gross_of_bitcoin_and_ether(values: dict[str, D]) -> D:
    return abs(values[BTC]) + abs(values[BTC_SPOT]) + abs(values[ETH])


def margin_used(values: dict[str, D]) -> D:
    """Five times leverage without fees; coins are spent."""
    return sum(
        (abs(value) / (1 if name == BTC_SPOT else 5) for name, value in values.items()), ZERO
    )


BOTH = Cluster(instruments=("BTC*", "ETH*"), cap=0.4)
CAPS: dict[str, tuple[Guard[Any, Any], Any, D]] = {
    "position": (
        PositionCap(PositionCapParams(limit_pct=0.3, limit_currency=500.0)),
        most_position,
        D(300),
    ),
    "leverage": (ExposureCaps(ExposureCapsParams(leverage=0.5)), gross, D(500)),
    "net": (ExposureCaps(ExposureCapsParams(leverage=None, net_currency=200.0)), net, D(200)),
    "coin": (AssetCaps(AssetCapsParams(net=0.25)), net_of_a_coin, D(250)),
    "cluster": (
        ClusterCaps(ClusterCapsParams(clusters={"both": BOTH})),
        gross_of_bitcoin_and_ether,
        D(400),
    ),
    "margin": (FreeMargin(FreeMarginParams(least=0.9)), margin_used, D(100)),
}
MARKETS = {name: Market(spot=name == BTC_SPOT) for name in NAMES}

NET = ("net", "coin")
"""Caps that an exit may break, as it always passes: it can uncover the other side of a hedge."""

NUMBER = st.integers(0, 10**6)


def steps_in(names: tuple[str, ...]) -> st.SearchStrategy[list[tuple[str, str, int, int]]]:
    """Return orders worth up to 500, and fills and cancels of any of those under way."""
    worth = st.integers(-500, 500).filter(bool)
    order = st.tuples(st.just("order"), st.sampled_from(names), worth, NUMBER)
    fill = st.tuples(st.just("fill"), st.just(""), st.integers(0, 9), NUMBER)
    cancel = st.tuples(st.just("cancel"), st.just(""), st.just(0), NUMBER)
    return st.lists(st.one_of(order, order, fill, cancel), min_size=3, max_size=40)


STEPS = st.sampled_from([(BTC,), (BTC, BTC_SPOT), NAMES]).flatmap(steps_in)


@pytest.mark.parametrize("cap", list(CAPS))
@given(steps=STEPS)
def test_no_order_of_fills_brings_what_is_held_to_a_cap(cap, steps):
    guard, measured, limit = CAPS[cap]
    exchange, desk = Exchange(), book(equity=EQUITY, markets=MARKETS)
    for what, name, number, choice in steps:
        if what == "order":
            # Worth up to what the widest cap allows, so that several fit below it.
            quantity = (D(number) / PRICES[name]).quantize(D("0.001"))
            order = requested(quantity, *exchange.standing(), name=name)
            passes = exchange.is_exit(name, quantity) and cap not in NET
            if quantity and (passes or not guard.admit(NOTHING, order, desk)):
                exchange.orders.append(Order(name, quantity))
        elif exchange.orders:
            order = exchange.orders[choice % len(exchange.orders)]
            if what == "fill":
                exchange.fill(order, number)
            else:
                exchange.orders.remove(order)
        assert measured(exchange.values()) < limit
    for values in exchange.endings():
        assert measured(values) < limit


@pytest.mark.parametrize("cap", list(CAPS))
@given(name=st.sampled_from(NAMES), number=st.integers(-4000, 4000).filter(bool))
def test_from_flat_an_order_is_admitted_exactly_below_the_cap(cap, name, number):
    guard, measured, limit = CAPS[cap]
    quantity = D(number) / 100
    values = {**dict.fromkeys(NAMES, ZERO), name: quantity * PRICES[name]}
    desk = book(equity=EQUITY, markets=MARKETS)
    order = requested(quantity, *Exchange().standing(), name=name)
    assert (guard.admit(NOTHING, order, desk) is None) == (measured(values) < limit)
