"""A document that was changed while its node held something: every position keeps its strategy."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.model.enums import OrderSide

from config.errors import GateRefused
from tests.live_nodes.stage import NAME, desk_node, stage

USE = "tests.live_nodes.by_hand:ByHand"
ETHER = "ETHUSDT-LINEAR.BYBIT"
BOTH = {"instruments": (NAME, ETHER)}
HAND, ETHERS = {"use": USE, "instruments": (NAME,)}, {"use": USE, "instruments": (ETHER,)}
CHANGES: dict[str, dict[str, Any]] = {
    "strategies.hand is gone": {"strategies": {"other": HAND}},
    "strategies.hand.enabled is false": {
        "strategies": {"hand": HAND | {"enabled": False}, "other": ETHERS}
    },
    "universe or strategies.hand.instruments lack it": {
        "strategies": {"hand": ETHERS, "other": HAND}
    },
    "universe or strategies.hand.instruments lack": {
        "universe": {"instruments": (ETHER,)}, "strategies": {"hand": {"use": USE}}
    },
    "tag was n1 and is n2": {"tag": "n2"},
}  # fmt: skip
REPORT = {"policies": {"external_positions": "report"}}


def test_a_position_is_taken_from_its_strategy_by_no_change_of_the_document(
    tmp_path: Path,
) -> None:
    with stage() as st:
        with desk_node(st, folder=tmp_path, universe=BOTH) as desk:
            desk.filled(OrderSide.BUY)
            desk.strategy.limit(OrderSide.SELL, "60000", reduce_only=True)
            desk.until(st.open_orders, "the order that may only close it")
        (rests,) = st.open_orders()
        for words, changes in CHANGES.items():
            with (
                pytest.raises(GateRefused, match=words) as refused,
                desk_node(st, folder=tmp_path, **({"universe": BOTH} | changes)),
            ):
                pass
            assert f"gate owners: hand's {NAME} 0.01: " in str(refused.value)
            assert "external_positions=report" in str(refused.value)
            assert (st.position(), list(st.open_orders())) == (D("0.010"), [rests])
        # What was refused is no news of it.
        with desk_node(st, folder=tmp_path, universe=BOTH) as desk:
            assert (desk.strategy.net(), list(st.open_orders())) == (D("0.010"), [rests])


def test_a_position_left_to_another_strategy_is_its_own_without_the_orders_of_the_old(
    tmp_path: Path,
) -> None:
    with stage() as st:
        with desk_node(st, folder=tmp_path) as desk:
            desk.filled(OrderSide.BUY)
            desk.strategy.limit(OrderSide.SELL, "60000", reduce_only=True)
            desk.until(st.open_orders, "the order that may only close it")
        other = {"strategies": {"other": {"use": USE}}}
        with desk_node(st, folder=tmp_path, watch=REPORT, **other) as desk:
            assert any(f"left to others: hand's {NAME}" in line for line in desk.said)
            assert desk.live.strategies["other"].holdings() == {NAME: D("0.010")}
            assert st.open_orders() == {}
        # Once is enough.
        with desk_node(st, folder=tmp_path, **other) as desk:
            assert desk.live.strategies["other"].holdings() == {NAME: D("0.010")}


def test_a_stop_of_a_strategy_that_is_gone_does_not_wait_for_the_position_of_another(
    tmp_path: Path,
) -> None:
    with stage() as st:
        with desk_node(st, folder=tmp_path) as desk:
            desk.filled(OrderSide.BUY)
        st.order("Sell", "0.010", "60000", "n1-hand-abc-2", reduce_only=True)
        st.order("Sell", "0.010", None, "n1-hand-abc-3")
        assert st.position() == 0
        with desk_node(st, folder=tmp_path, strategies={"other": {"use": USE}}):
            assert st.open_orders() == {}


def test_a_node_that_trades_no_spot_any_more_starts_beside_coins_that_it_bought(
    tmp_path: Path,
) -> None:
    coins = "BTCUSDT-SPOT.BYBIT"
    pair: dict[str, Any] = {
        "universe": {"instruments": (coins, NAME)},
        "strategies": {"hand": HAND | {"instruments": (coins,)}, "other": HAND},
    }
    with stage() as st:
        with desk_node(st, folder=tmp_path, **pair) as desk:
            desk.filled(OrderSide.BUY)
        with (
            pytest.raises(GateRefused, match="gate owners: hand's BTCUSDT-SPOT"),
            desk_node(st, folder=tmp_path),
        ):
            pass
        with desk_node(st, folder=tmp_path, watch=REPORT) as desk:
            assert desk.strategy.holdings() == {}


def test_what_was_bought_by_hand_belongs_to_no_strategy_that_is_gone(tmp_path: Path) -> None:
    with stage() as st:
        with desk_node(st, folder=tmp_path) as desk:
            desk.filled(OrderSide.BUY)
            desk.filled(OrderSide.SELL)
        st.order("Buy", "0.010", None, "by-hand")
        with desk_node(st, folder=tmp_path, strategies={"other": {"use": USE}}):
            assert st.position() == D("0.010")
