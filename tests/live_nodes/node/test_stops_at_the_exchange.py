"""The README's second strategy on practice: its stop rests there, survives a restart, closes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.objects import Price, Quantity

from strategies.order_ids import is_protective
from tests.live_nodes.by_hand import BTC_ID, BUY
from tests.live_nodes.stage import NAME, Desk, Stage, desk_node, stage
from tests.strategies.test_protective import EXAMPLE

CROSS = {
    "use": f"{EXAMPLE.__name__}:MovingAverage",
    "params": {"interval": "1m", "slow": 3, "weight": 0.1, "stop": 0.01},
}


@contextmanager
def cross_node(st: Stage, folder: Path) -> Iterator[tuple[Desk, Any]]:
    with desk_node(st, folder=folder, strategies={"hand": CROSS}) as desk:
        yield desk, desk.strategy


def close_candle(desk: Desk, strategy: Any, close: str) -> None:
    """Give the strategy a candle by hand: the exchange closes one only once a minute."""
    now = time.time_ns()
    price = Price.from_str(close)
    kind = BarType.from_str(f"{NAME}-1-MINUTE-LAST-EXTERNAL")
    bar = Bar(kind, price, price, price, price, Quantity.from_str("1.000"), now, now)
    desk.do(lambda: strategy.handle_bar(bar))


def resting_stop(st: Stage) -> Any:
    (order,) = st.open_orders().values()
    assert is_protective(order.order_link_id)
    assert (order.side, order.reduce_only, order.status) == ("Sell", True, "Untriggered")
    return order


def protective(strategy: Any) -> list[tuple[str, str]]:
    found = strategy.broker.protective_orders()
    return [(o.client_order_id.value, o.status_string()) for o in found]


@pytest.mark.parametrize("restarts", [False, True])
def test_the_cross_enters_and_its_stop_closes_the_position(tmp_path: Path, restarts: bool) -> None:
    with stage() as st:
        with cross_node(st, tmp_path) as (desk, strategy):
            close_candle(desk, strategy, "50100.0")
            desk.until(lambda: st.position() > 0, "the entry")
            # Above the average, should the exchange close a candle meanwhile.
            st.move("50200.0")
            desk.until(lambda: [s for _, s in protective(strategy)] == ["ACCEPTED"], "the stop")
            held, stop = st.position(), resting_stop(st)
            assert (held, stop.qty, stop.trigger_price) == (D("0.199"), held, D("49599.0"))
            assert (stop.trigger_by, stop.trigger_direction) == ("LastPrice", 2)
            assert not strategy.busy
            # It stays through rebalances and sweeps.
            desk.wait(1.5)
            assert resting_stop(st).order_id == stop.order_id
            if not restarts:
                fall(st, desk, strategy)

                def lines() -> list[str]:
                    printed = [line for line in desk.said if line.startswith("hand: ")]
                    return [line.partition(" at 49499")[0] for line in printed]

                desk.until(lambda: len(lines()) == 4, "the line of the last fill")
                assert lines() == [
                    f"hand: BUY 0.199 {NAME} MARKET (above the average)",
                    f"hand: filled BUY 0.199 {NAME} at 50000.1",
                    f"hand: SELL 0.199 {NAME} STOP_MARKET at 49599.0 (stop)",
                    f"hand: filled SELL 0.199 {NAME}",
                ]
        if restarts:
            assert resting_stop(st).order_id == stop.order_id
            with cross_node(st, tmp_path) as (desk, strategy):
                desk.wait(1.5)
                assert resting_stop(st).order_id == stop.order_id
                assert protective(strategy) == [(stop.order_link_id, "ACCEPTED")]
                assert not strategy.busy
                assert not desk.halted()
                # A candle that says hold neither sends a second stop nor cancels this one.
                close_candle(desk, strategy, "50200.0")
                fall(st, desk, strategy)


def fall(st: Stage, desk: Desk, strategy: Any) -> None:
    """Let the price fall through the stop, and see the position closed on both sides."""
    st.move("49500.0")
    desk.until(lambda: st.position() == 0, "the stop's fill at the exchange")
    desk.until(lambda: not strategy.holdings(), "the stop's fill in the books")
    desk.until(lambda: not strategy.broker.protective_orders(), "the stop's end")
    assert not strategy.busy
    assert not st.open_orders()
    desk.until(lambda: sum(f.quantity for f in desk.fills() if f.side == "SELL") == D("0.199"))


def test_stops_placed_in_one_breath_leave_the_newest_and_an_exit_withdraws_it() -> None:
    """The first is in no list of the engine's yet when the second is placed."""
    with stage() as st, desk_node(st) as desk:
        strategy = desk.strategy
        desk.filled(BUY)
        desk.do(lambda: [strategy.place_stop(BTC_ID, D(level)) for level in (48000, 49000)])
        desk.until(lambda: len(protective(strategy)) == 1, "one stop")
        assert protective(strategy)[0][1] == "ACCEPTED"
        assert resting_stop(st).trigger_price == 49000
        desk.do(lambda: strategy.execute(BTC_ID, D("-0.010"), "exit"))
        desk.until(lambda: not st.open_orders(), "the withdrawal")
        desk.until(lambda: not protective(strategy) and not strategy.busy, "the end")
        assert st.position() == strategy.net() == 0


def test_a_stop_goes_by_rest_as_well_while_the_trade_link_is_down() -> None:
    """As on Bybit's demo always: without its trigger it would be a sale at once."""
    with stage() as st, desk_node(st) as desk:
        strategy = desk.strategy
        desk.filled(BUY)
        st.play("links_cut", "trade", at=D(0), seconds=D(60))
        desk.until(lambda: not desk.live.links.by_name()["trade"].ready, "the notice")
        desk.do(lambda: strategy.place_stop(BTC_ID, D(49000)))
        desk.until(lambda: [s for _, s in protective(strategy)] == ["ACCEPTED"], "the stop")
        assert resting_stop(st).trigger_price == 49000
        st.end_faults()
        st.move("48900.0")
        desk.until(lambda: strategy.net() == 0, "the stop's fill in the books")
        assert st.position() == 0
