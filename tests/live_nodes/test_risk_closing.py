"""The closer in a real node on the practice exchange, where closes do not just fill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from config.documents.scenario import LostRequest, RefusedOp
from strategies.order_ids import is_closers
from tests.live_nodes.by_hand import BUY
from tests.live_nodes.practice.still_market import BTC
from tests.live_nodes.stage import Desk, Stage, desk_node, stage
from tests.live_nodes.test_risk_live import STUBBORN, told

RISK = {"every": 0.1, "exit_grace": 0.3, "deadline": 3.0}


@contextmanager
def holding(folder: Path, quantity: str, **settings: Any) -> Iterator[tuple[Stage, Desk]]:
    """Give a node whose strategy follows no verdict and holds bitcoin."""
    risk = RISK | settings.pop("risk", {})
    with (
        stage() as st,
        desk_node(st, folder=folder, risk=risk, strategies=STUBBORN, **settings) as desk,
    ):
        desk.filled(BUY, quantity)
        yield st, desk


def flatten(st: Stage, desk: Desk, news: str = "flat after") -> None:
    """Flatten by the operator and wait until the node says that it is flat."""
    desk.do(lambda: desk.live.risk.operator.flatten("desk", "test"))
    desk.until(lambda: told(desk, news), news)
    desk.until(lambda: st.position() == 0, "flat")
    desk.until(lambda: told(desk, "flat after"), "the good news")


def closes(st: Stage) -> list[str]:
    return [name for name in st.orders() if is_closers(name)]


def test_through_the_venues_rate_limit_it_goes_on_until_it_is_flat(tmp_path: Path) -> None:
    with holding(tmp_path, "0.100") as (st, desk):
        busy = RefusedOp(op="order.create", ret_code=10006, message="Too many visits", times=2)
        st.call(lambda: st.faults.add("busy", busy))
        flatten(st, desk)
        assert st.struck("busy") == 2
        assert len(closes(st)) == 1


def test_on_a_thin_book_it_closes_part_by_part(tmp_path: Path) -> None:
    with holding(tmp_path, "0.100") as (st, desk):

        def thin() -> None:
            """Leave three hundredths of a bitcoin, which come back ten times a second."""
            bids, asks = st.market.books[BTC]
            st.market.books[BTC] = ([(price, D("0.010")) for price, _ in bids[:3]], asks)
            st.market.set_bid = lambda key, place, qty: st.market.changed.add(key)  # type: ignore[method-assign]
            st.market.changed.add(BTC)

        st.call(thin)
        desk.wait(0.2)
        flatten(st, desk)
        assert len(closes(st)) >= 4
        sold = [fill.quantity for fill in desk.fills() if fill.side == "SELL"]
        assert sum(sold, D(0)) == D("0.100")


@pytest.mark.parametrize("external", ["universe", pytest.param("leave", marks=pytest.mark.slow)])
def test_what_others_ordered_is_cancelled_by_the_documents_policy(
    tmp_path: Path, external: str
) -> None:
    with holding(tmp_path, "0.010", risk={"external": external}) as (st, desk):
        st.order("Buy", "0.010", "49000")
        desk.until(lambda: len(desk.strategy.cache.orders_open()) == 1, "the stranger's order")
        flatten(st, desk)
        assert len(st.open_orders()) == (0 if external == "universe" else 1)


@pytest.mark.slow
def test_a_close_that_never_arrives_is_sent_again_once_that_is_sure(tmp_path: Path) -> None:
    with holding(tmp_path, "0.010") as (st, desk):
        lost = LostRequest(op="order.create", times=1)
        st.call(lambda: st.faults.add("lost", lost))
        flatten(st, desk, "NOT flat after")
        assert len(closes(st)) == 1
