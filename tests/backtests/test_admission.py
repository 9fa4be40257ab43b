"""Caps at the order gate, through the engine: what is under way counts, whatever its kind."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import OrderModifyRejected
from nautilus_trader.model.identifiers import InstrumentId, OrderListId
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import LimitOrder, OrderList

from actors.desk.guard import GuardActor
from actors.guards.asset_caps import AssetCaps
from actors.guards.cluster_caps import ClusterCaps
from actors.guards.core.guard import Guard
from actors.guards.correlation import Correlation
from actors.guards.exposure_caps import ExposureCaps
from actors.guards.free_margin import FreeMargin
from actors.guards.liquidation_distance import LiquidationDistance
from actors.guards.position_cap import PositionCap
from actors.guards.volatility import Volatility
from tests.builders_engine import A, B, Candles, Script, at, play, trading, venue

STILL = Candles([100.0] * 6)
TAPE = {A: STILL, B: STILL}


def guard(cls: type[Guard[Any, Any]], **params: Any) -> dict[str, GuardActor]:
    return {"cap": GuardActor("cap", cls(msgspec.convert(params, cls.Config)))}


def three_at_once(script: Script) -> None:
    for _ in range(3):
        script.trade(A, "20")


# Equity 10,000, price 100: two of the three orders come to 4,000, all three to 6,000.
@pytest.mark.parametrize(
    ("cls", "params", "words"),
    [
        (PositionCap, {"limit_pct": 0.5}, f"{A}'s position could come to 0.6 of equity, cap 0.5"),
        (ExposureCaps, {"leverage": 0.5}, "gross value of desk could come to 0.6 of equity"),
        (ExposureCaps, {"of": "strategies", "leverage": 0.5}, "gross value of script could come"),
        (ExposureCaps, {"leverage": None, "net_currency": 5000.0}, "net value of desk could"),
        (AssetCaps, {"net": 0.5}, "AAA net could come to 0.6 of equity, cap 0.5"),
        (
            ClusterCaps,
            {"clusters": {"all": {"instruments": ["*"], "cap": 0.5}}},
            "all gross could come to 0.6 of equity, cap 0.5",
        ),
        # 5x: 4,000 hold 800, 6,000 hold 1,200.
        (FreeMargin, {"least": 0.9}, "free margin could fall to 8800.00, least 9000.00"),
    ],
)
def test_orders_sent_at_once_are_held_to_the_cap_together(
    cls: type[Guard[Any, Any]], params: dict[str, Any], words: str
) -> None:
    script = Script({at(1): three_at_once, at(3): trading(A, "-40")})
    desk = play(TAPE, script, guards=guard(cls, **params))
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [20, 20, 40]
    (refused,) = script.denials
    assert words in refused
    assert desk.accountant.position(A) == 0


def test_an_order_that_rests_counts_until_it_is_taken_back() -> None:
    resting: list[LimitOrder] = []
    script = Script(
        {
            at(1): lambda s: resting.append(s.limit(A, "40", 90)),
            at(2): trading(A, "20"),
            at(3): lambda s: s.cancel_order(resting[0]),
            at(4): trading(A, "20"),
        }
    )
    desk = play(TAPE, script, guards=guard(PositionCap, limit_pct=0.5))
    assert len(script.denials) == 1
    assert desk.accountant.position(A) == 20


def test_a_resting_order_can_be_made_smaller_and_never_too_large() -> None:
    resting: list[LimitOrder] = []

    def change(quantity: str) -> Any:
        return lambda s: s.modify_order(resting[0], Quantity.from_str(quantity))

    script = Script(
        {
            at(1): lambda s: resting.append(s.limit(A, "40", 90)),
            at(2): change("60.000"),
            at(3): change("49.000"),
            at(4): change("10.000"),
        }
    )
    desk = play(TAPE, script, guards=guard(PositionCap, limit_pct=0.5))
    (refused,) = (event for event in script.heard if isinstance(event, OrderModifyRejected))
    assert "could come to 0.6 of equity" in refused.reason
    order = desk.engine.kernel.cache.order(resting[0].client_order_id)
    assert order.quantity.as_decimal() == 10


def test_a_position_that_grows_over_its_cap_may_only_shrink_until_it_is_clear() -> None:
    # 40 short at 100 on 10,000: at 115 they are worth 4,600 of 9,400, back at 100 4,000 of 10,000.
    tape = {A: Candles([100, 100, 100, 115, 115, 115, 100, 100, 100])}
    script = Script({at(1): trading(A, "-40"), at(5): trading(A, "-1"), at(8): trading(A, "-1")})
    said: list[Any] = []
    hear = {"verdicts.*": said.append}
    desk = play(tape, script, guards=guard(PositionCap, limit_pct=0.45), hear=hear)
    assert [verdict.action.name for verdict in said] == ["REDUCE_ONLY", "NONE"]
    (refused,) = script.denials
    assert "reduce_only by cap" in refused
    assert desk.accountant.position(A) == -41


def test_the_distance_to_liquidation_is_measured_with_the_venues_rates() -> None:
    # 400 long at 100 on 10,000, rate 0.5 %: (10,000 - 200) / (40,000 - 200).
    guards = guard(LiquidationDistance, least=0.25)
    script = Script({at(1): trading(A, "400")})
    play(TAPE, script, guards=guards, document=venue())
    (reading,) = guards["cap"].readings
    assert reading.measured == pytest.approx(9_800 / 39_800)
    assert reading.over


@pytest.mark.parametrize(
    ("cls", "params", "words"),
    [
        (Volatility, {"most": 0.5, "lookback": 3}, "volatility of"),
        (Correlation, {"lookback": 3, "pairs": [[A, B]]}, f"{A} and {B}: correlation 1.00"),
    ],
)
def test_a_wild_market_or_a_pair_that_moves_as_one_takes_no_entry(
    cls: type[Guard[Any, Any]], params: dict[str, Any], words: str
) -> None:
    tape = {A: Candles([100, 110, 100, 110, 100, 110, 100, 110])}
    tape[B] = tape[A]
    # Four samples are there from the fourth close on.
    script = Script({at(2): trading(A, "1"), at(6): trading(A, "1")})
    play(tape, script, guards=guard(cls, **params))
    assert len(script.fills) == 1
    (refused,) = script.denials
    assert words in refused


def a_list(script: Script) -> None:
    orders = [
        script.order_factory.market(
            InstrumentId.from_str(name), OrderSide.BUY, Quantity.from_str("30.000")
        )
        for name in (A, B)
    ]
    script.submit_order_list(OrderList(OrderListId("L-1"), orders))


def test_the_orders_of_a_list_are_held_to_the_cap_together() -> None:
    # The first look at the rows is before the list, so that none is made anew for its own sake.
    script = Script({at(1): trading(A, "1"), at(3): a_list})
    desk = play(TAPE, script, guards=guard(ExposureCaps, leverage=0.5))
    # A list is one plan: none of it leaves.
    assert len(script.denials) == 2
    assert desk.accountant.position(A) == 1
    assert desk.accountant.position(B) == 0
