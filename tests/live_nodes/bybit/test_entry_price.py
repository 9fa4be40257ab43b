"""What a position cost survives a restart to the cent."""

from __future__ import annotations

from decimal import Decimal as D

from hypothesis import given
from hypothesis import strategies as st

from live_nodes.bybit.adapter import first_part
from tests.live_nodes.stage import ACCOUNT, NAME, desk_node, stage
from tests.waiting import eventually

TICK, LOT = D("0.1"), D("0.001")


def test_an_average_between_two_prices_is_made_of_both() -> None:
    # 3 at 50000.175: a quarter of 3 at 50000.1 and three quarters at 50000.2.
    assert first_part(D(3), D("50000.175"), TICK, LOT) == (D("0.75"), D("50000.1"))
    assert first_part(D(3), D("50000.1"), TICK, LOT) is None
    # One lot can't be divided, and the engine's rounding is the nearest there is.
    assert first_part(D("0.001"), D("50000.175"), TICK, LOT) is None


@given(lots=st.integers(1, 10**6), average=st.decimals("0.05", "100000", places=12))
def test_both_fills_cost_what_the_position_did(lots: int, average: D) -> None:
    quantity = lots * LOT
    found = first_part(quantity, average, TICK, LOT)
    if found is None:
        nearest = round(average / TICK) * TICK
        assert abs(quantity * (nearest - average)) <= TICK * LOT * D("0.5001")
        return
    first, price = found
    assert D(0) < first < quantity
    cost = first * price + (quantity - first) * (price + TICK)
    assert abs(cost - quantity * average) <= TICK * LOT * D("0.5001")


def test_a_restarted_node_knows_its_equity_to_the_cent() -> None:
    """Three bitcoin at 49999.0333…: rounded to the tick they would be off by ten cents."""
    with stage() as exchange:
        for price, quantity in (("49999.0", "2"), ("49999.1", "1")):
            exchange.order("Buy", quantity, price)
        exchange.hit("Sell", "49999.0", "500")
        eventually(lambda: exchange.position() == 3)
        watch = {"policies": {"external_positions": "report"}}
        with desk_node(exchange, watch=watch) as desk:
            (held,) = desk.strategy.cache.positions_open()
            assert desk.strategy.holdings() == {NAME: D(3)}
            there = exchange.call(lambda: exchange.exchange.position(ACCOUNT, "BTCUSDT"))
            assert there.cost == D("149997.1")
            assert abs(3 * D(repr(held.avg_px_open)) - there.cost) < D("0.0001")
            account = desk.live.supervisor._account  # type: ignore[union-attr]

            def agrees() -> bool:
                wallet = exchange.call(lambda: exchange.exchange.wallet(ACCOUNT))
                return abs(D(repr(account.value()[0])) - wallet.equity) < D("0.005")

            desk.until(agrees, "the equity that the venue has")
