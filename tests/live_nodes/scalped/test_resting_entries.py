"""Faults of a scalper's entries that rest on practice, one after the other in one node."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D

import pytest
from nautilus_trader.model.events import OrderRejected

from config.documents.scenario import Delay, Fault, LostRequest
from strategies.refusals import refusal_of
from tests.live_nodes.by_hand import BTC_ID
from tests.live_nodes.scalped.scalper_nodes import (
    HELD,
    KINDS,
    add,
    begins,
    bracket,
    leaves,
    report,
    scalper_node,
    settles,
)
from tests.live_nodes.stage import Desk, Stage, stage

SMALL = dict.fromkeys(KINDS, D("0.008")) | {"entry": D("-0.012")}
"""The bracket of a part, and the rest of the entry."""
MAKER = {
    "tactic": "maker_first",
    "reprice_every": "300ms",
    "least_rest": "100ms",
    "deadline": "1s",
    "max_reprices": 3,
}


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Stage]]:
    """Return a scalper whose entries rest."""
    folder = tmp_path_factory.mktemp("maker")
    with stage() as st, scalper_node(st, folder, execution=MAKER) as desk:
        yield desk, st


def rests(desk: Desk, st: Stage, fault: Fault | None = None) -> int:
    """Let an entry rest; return the moment of before, UNIX ms."""
    since = begins(desk, st, fault)
    desk.strategy.buys = 1
    desk.until(lambda: len(st.open_orders()) == 1, "an entry that rests")
    return since


def test_an_entry_filled_in_part_has_a_bracket_of_that_part(maker: tuple[Desk, Stage]) -> None:
    desk, st = maker
    since = rests(desk, st)
    st.hit("Sell", "49999.9", "1.508")
    took = settles(desk, st, D("0.008"))
    report(st, "entry filled in part", since, took)
    leaves(desk, st)


def test_a_take_profit_filled_in_part_shrinks_the_stop(maker: tuple[Desk, Stage]) -> None:
    desk, st = maker
    since = rests(desk, st)
    st.hit("Sell", "49999.9", "2.000")
    settles(desk, st, HELD)
    (take,) = (o for o in st.open_orders().values() if not o.stop_order_type)
    st.hit("Buy", str(take.price), "0.008")
    took = settles(desk, st, D("0.012"))
    report(st, "take-profit filled in part", since, took)
    st.hit("Buy", str(take.price), "1.000")
    settles(desk, st, D(0))


@pytest.mark.slow
def test_a_bracket_that_grows_does_so_though_cancels_are_lost(maker: tuple[Desk, Stage]) -> None:
    """Of the stop and of the take-profit that were for less."""
    desk, st = maker
    since = rests(desk, st)
    st.hit("Sell", "49999.9", "1.508")
    desk.until(lambda: bracket(st) == SMALL, "the smaller bracket")
    add(st, LostRequest(op="order.cancel", times=2))
    st.hit("Sell", "49999.9", "2.000")
    took = settles(desk, st, HELD)
    report(st, "cancels of a smaller bracket lost", since, took)
    leaves(desk, st)


def test_an_entry_whose_cancel_is_lost_does_not_rest_for_ever(maker: tuple[Desk, Stage]) -> None:
    desk, st = maker
    since = rests(desk, st, LostRequest(op="order.cancel"))
    took = settles(desk, st, D(0))
    report(st, "cancel of an entry lost", since, took)
    st.end_faults()


@pytest.mark.parametrize("late", ["0.3", "2"])
def test_an_entry_that_would_take_is_repriced_or_given_up(
    maker: tuple[Desk, Stage], late: str
) -> None:
    """The market falls, and the book that says so comes late."""
    desk, st = maker
    book = Delay(channel="public", topic="orderbook*", by=D(late), seconds=D(60))
    since = begins(desk, st, book)
    desk.wait(float(late) + 0.2)
    st.move("49990.0")
    desk.strategy.buys = 1
    took = settles(desk, st, D(0))
    refused = [e.reason for e in desk.strategy.events if isinstance(e, OrderRejected)]
    report(st, f"{len(refused)} entries would take, book {late} s late", since, took)
    assert refused
    assert {refusal_of(reason).code for reason in refused} == {"post_only"}
    st.move("50000.0")
    desk.until(lambda: desk.strategy.market.top_of_book(BTC_ID).bid == D("49999.9"), "the book")
    st.end_faults()
