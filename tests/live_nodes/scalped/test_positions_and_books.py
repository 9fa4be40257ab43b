"""A scalper whose position others close, or whose book is wrong or silent, on practice."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from config.documents.scenario import Deleveraging, Freeze, Liquidation
from config.errors import DeskError
from tests.live_nodes.by_hand import BTC_ID
from tests.live_nodes.scalped.scalper_nodes import (
    HELD,
    add,
    begins,
    enters,
    report,
    scalper_node,
    settles,
    wrong,
)
from tests.live_nodes.stage import stage


@pytest.mark.parametrize("part", ["0.020", "0.008"])
def test_a_stranger_who_closes_the_position(tmp_path: Path, part: str) -> None:
    with stage() as st, scalper_node(st, tmp_path) as desk:
        since = begins(desk, st)
        enters(desk, st)
        st.order("Sell", part)
        took = settles(desk, st, HELD - D(part))
        desk.wait(2.2)
        report(st, f"a stranger closes {part}", since, took)
        assert not wrong(desk, st)


@pytest.mark.parametrize("event", [Deleveraging, Liquidation])
def test_a_position_that_the_venue_closes(tmp_path: Path, event: Any) -> None:
    with stage() as st, scalper_node(st, tmp_path) as desk:
        since = begins(desk, st)
        enters(desk, st)
        add(st, event(symbol="BTCUSDT"))
        took = settles(desk, st, D(0))
        desk.wait(2.2)
        report(st, event.__name__.lower(), since, took)
        assert not wrong(desk, st)


# The book -----------------------------------------------------------------------------------------


def test_a_gap_in_the_book_warms_signals_up_anew_and_a_crossed_book_enters_nothing(
    tmp_path: Path,
) -> None:
    with stage() as st, scalper_node(st, tmp_path) as desk:
        (market,) = desk.strategy._markets.values()
        desk.until(lambda: market.data_ts, "the book")
        scores, top = market.scores, desk.strategy.market.top_of_book
        # The message in which the market falls by 10 is lost; then it falls by 5 more.
        st.play("book_gap", probability=D(1), times=1)
        st.move("49990.0")
        desk.until(lambda: st.struck("gap"), "the gap")
        st.move("49985.0")
        desk.until(lambda: top(BTC_ID) is None, "the crossed book")
        # How long it stays crossed depends on when the node next looks for what is lost.
        look, seen = desk.strategy._look, list[bool]()
        desk.strategy._look = lambda *of: seen.append(top(BTC_ID) is not None) or look(*of)
        desk.strategy.buys = 1
        took = desk.until(lambda: top(BTC_ID) is not None, "the new book")
        settles(desk, st, HELD)
        assert market.scores is not scores
        assert seen
        assert all(seen)
        print(f"\nbook crossed for {took:.2f} s after a gap; entered at {desk.fills()[0].price}")
        assert desk.fills()[0].price == D("49985.1")


def test_nothing_is_entered_on_a_book_that_stands_still(tmp_path: Path) -> None:
    with stage() as st, scalper_node(st, tmp_path) as desk:
        begins(desk, st, Freeze(channel="public", seconds=D(600)))
        desk.wait(0.2)
        desk.strategy.buys = 1
        desk.wait(2)
        assert not st.orders()
        st.end_faults()
        settles(desk, st, HELD)


# The strategy itself ------------------------------------------------------------------------------


def test_an_error_while_a_book_is_handled_stops_the_node_in_order(tmp_path: Path) -> None:
    """The engine would end the process at once."""
    with stage() as st:
        with scalper_node(st, tmp_path, on_stop="flatten") as desk:
            enters(desk, st)
            desk.strategy._look = lambda *_: 1 / 0
            desk.until(desk.task.done, "the stop")
            with pytest.raises(DeskError, match="division by zero"):
                desk.task.result()
        assert st.position() == 0
        assert not st.open_orders()
