"""States of the rules on what is held: read back from JSON at any point, they go on the same."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards import (
    account_mismatch,
    asset_caps,
    cluster_caps,
    correlation,
    exposure_caps,
    free_margin,
    liquidation_distance,
    position_cap,
    volatility,
)
from actors.guards.core.guard import Guard
from actors.guards.core.limits import Reading
from actors.guards.core.snapshot import Input, Market, Mismatch
from tests.actors.guards.positions import BTC, BTC_SPOT, ETH, NOW, holding, snapshot

SECOND = 10**9
NAMES = (BTC, ETH, BTC_SPOT)
BOTH = cluster_caps.Cluster(instruments=("*",), cap=0.5, net=0.5)
RULES: dict[str, tuple[type[Guard[Any, Any]], Any]] = {
    "position": (position_cap.PositionCap, position_cap.PositionCapParams(limit_currency=300.0)),
    "exposure": (exposure_caps.ExposureCaps, exposure_caps.ExposureCapsParams(net_pct=0.5)),
    "strategies": (exposure_caps.ExposureCaps, exposure_caps.ExposureCapsParams(of="strategies")),
    "asset": (asset_caps.AssetCaps, asset_caps.AssetCapsParams(gross=1.0)),
    "cluster": (cluster_caps.ClusterCaps, cluster_caps.ClusterCapsParams(clusters={"all": BOTH})),
    "margin": (free_margin.FreeMargin, free_margin.FreeMarginParams()),
    "distance": (
        liquidation_distance.LiquidationDistance,
        liquidation_distance.LiquidationDistanceParams(least_alone=0.2),
    ),
    "common": (
        liquidation_distance.LiquidationDistance,
        liquidation_distance.LiquidationDistanceParams(move="together"),
    ),
    "book": (correlation.Correlation, correlation.CorrelationParams(every="10s", lookback=3)),
    "pairs": (
        correlation.Correlation,
        correlation.CorrelationParams(pairs=((BTC, ETH),), every="10s", lookback=3),
    ),
    "volatility": (
        volatility.Volatility,
        volatility.VolatilityParams(least=0.5, every="10s", lookback=3),
    ),
    "reference": (
        volatility.Volatility,
        volatility.VolatilityParams(reference=BTC, every="10s", lookback=3),
    ),
    "mismatch": (
        account_mismatch.AccountMismatch,
        account_mismatch.AccountMismatchParams(count=2, window="30s"),
    ),
}

PRICE = st.one_of(st.none(), st.integers(1, 10**6).map(lambda n: D(n) / 1000))
QUANTITY = st.integers(-(10**5), 10**5).map(lambda n: D(n) / 1000)
MOMENT = st.tuples(
    st.integers(-5, 30),
    st.tuples(*[PRICE] * 3),
    st.tuples(*[QUANTITY] * 3),
    st.integers(-100, 10**5),
    st.booleans(),
)


def tape(moments: list[Any]) -> list[Input]:
    """Return snapshots and differences; time may stand still or go back."""
    now, seen = NOW, []
    for after, prices, quantities, equity, differs in moments:
        now += after * SECOND
        if differs:
            kind = "position_differs"
            seen.append(Mismatch(ts=now, kind=kind, instrument=BTC, detail="1 is not 2"))
            continue
        named = list(zip(NAMES, prices, quantities, strict=True))
        markets = {
            name: Market(price=price, maintenance_rate=D("0.01"), spot=name == BTC_SPOT)
            for name, price, _ in named
        }
        held = [holding(name, q, price) for name, price, q in named if q]
        seen.append(snapshot(*held, equity=equity, now=now, markets=markets))
    return seen


@pytest.mark.parametrize("name", list(RULES))
@given(moments=st.lists(MOMENT, min_size=1, max_size=12), data=st.data())
def test_a_state_read_back_at_any_point_goes_on_the_same(
    name: str, moments: list[Any], data: st.DataObject
) -> None:
    rule, params = RULES[name]
    seen = tape(moments)
    cut = data.draw(st.integers(0, len(seen)))
    state = again = rule(params).start(snapshot(now=NOW))
    for index, one in enumerate(seen):
        if index == cut:
            again = msgspec.json.decode(msgspec.json.encode(again), type=rule.State)
            assert again == state
        state, readings = rule(params).observe(state, one)
        again, same = rule(params).observe(again, one)
        assert (again, same) == (state, readings)
        if readings is not None:
            # What is shown after a restart is what was measured: no number that JSON lacks.
            written = msgspec.json.encode(readings)
            assert msgspec.json.decode(written, type=tuple[Reading, ...]) == readings
            assert len({(r.scope, r.key) for r in readings}) == len(readings)
            assert not any(r.over and r.clear for r in readings)


@pytest.mark.parametrize("name", ["book", "pairs", "volatility", "reference", "mismatch"])
@given(moments=st.lists(MOMENT, min_size=1, max_size=8))
def test_a_pulse_seen_twice_changes_nothing_the_second_time(name: str, moments: list[Any]) -> None:
    rule, params = RULES[name]
    state = rule(params).start(snapshot(now=NOW))
    for one in tape(moments):
        state, _ = rule(params).observe(state, one)
        if not isinstance(one, Mismatch):
            assert rule(params).observe(state, one)[0] is state
