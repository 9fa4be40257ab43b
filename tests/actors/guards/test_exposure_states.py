"""States of samples and differences: read back from JSON at any point, they go on the same."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.account_mismatch import AccountMismatch, AccountMismatchParams
from actors.guards.core.guard import Guard
from actors.guards.core.limits import Reading
from actors.guards.core.snapshot import Input, Market, Mismatch
from actors.guards.correlation import Correlation, CorrelationParams
from actors.guards.volatility import Volatility, VolatilityParams
from tests.actors.guards.positions import BTC, BTC_SPOT, ETH, NOW, holding, snapshot

SECOND = 10**9
NAMES = (BTC, ETH, BTC_SPOT)
RULES: dict[str, tuple[type[Guard[Any, Any]], Any]] = {
    "book": (Correlation, CorrelationParams(every="10s", lookback=3)),
    "pairs": (
        Correlation,
        CorrelationParams(pairs=((BTC, ETH),), every="10s", lookback=3),
    ),
    "volatility": (
        Volatility,
        VolatilityParams(least=0.5, every="10s", lookback=3),
    ),
    "reference": (
        Volatility,
        VolatilityParams(reference=BTC, every="10s", lookback=3),
    ),
    "mismatch": (
        AccountMismatch,
        AccountMismatchParams(count=2, window="30s"),
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


@pytest.mark.parametrize("name", list(RULES))
@given(moments=st.lists(MOMENT, min_size=1, max_size=8))
def test_a_pulse_seen_twice_changes_nothing_the_second_time(name: str, moments: list[Any]) -> None:
    rule, params = RULES[name]
    state = rule(params).start(snapshot(now=NOW))
    for one in tape(moments):
        state, _ = rule(params).observe(state, one)
        if not isinstance(one, Mismatch):
            assert rule(params).observe(state, one)[0] is state
