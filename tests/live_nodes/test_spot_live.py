"""Spot beside perpetuals at the exchange: coins bought, lost, foreign, sold, over restarts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from actors.desk.guard import SEEN
from config.documents import Node
from config.documents.node import VenueUrls
from config.documents.scenario import Drop, Http, LatePush, LostAck, LostFill, RefusedOp
from live_nodes.bybit.rest import VenueRest
from live_nodes.operate.doctor import DoctorCheck, _foreign_coins
from live_nodes.operate.flatten import flatten_node
from live_nodes.operate.flatten_request import FlattenRequest
from live_nodes.reports.live_result import live_result
from tests.live_nodes.by_hand import BTC_ID, BUY, SELL, SPOT_ID
from tests.live_nodes.documents import guard
from tests.live_nodes.killing import venue_urls
from tests.live_nodes.practice.still_market import SPOT
from tests.live_nodes.stage import ACCOUNT, NAME, Desk, Stage, desk_node, keys, stage
from tests.waiting import eventually

PAIR = "BTCUSDT-SPOT.BYBIT"
BOTH: dict[str, Any] = {"universe": {"instruments": (PAIR, NAME)}}


@pytest.fixture
def st() -> Iterator[Stage]:
    with stage() as found:
        yield found


def wallet(st: Stage, coin: str = "BTC", plus: str = "0") -> D:
    """Return a coin's balance, after somebody paid something in or out."""

    def change() -> D:
        found = st.exchange._state.account(ACCOUNT).coin(coin)
        found.balance += D(plus)
        return found.balance

    return st.call(change)


def spot(desk: Desk) -> Any:
    desk.strategy.where = SPOT_ID
    desk.do(lambda: desk.strategy.market.watch(SPOT_ID))
    return desk.strategy


def worth(desk: Desk) -> D:
    assert desk.live.risk is not None
    found = desk.live.risk._account.worth()
    assert found is not None
    return found


def node_of(desk: Desk, st: Stage) -> Node:
    node: Node = desk.live._context.node
    return node.model_copy(update={"venue_urls": VenueUrls(**venue_urls(st.where))})


def test_coins_and_a_perpetual_live_through_a_restart_and_a_flatten(
    st: Stage, tmp_path: Path
) -> None:
    """0.010123 bought twice at 50,000.1, each with 0.000010123 as the fee: 0.020225 and a rest.

    Equity falls by the fees alone: 2 x 0.506 in coins, 0.1 a coin by the spread, 0.55 of the short.
    """
    with desk_node(st, folder=tmp_path, **BOTH) as desk:
        strategy = spot(desk)
        desk.filled(BUY, "0.010123")
        desk.filled(BUY, "0.010123")
        strategy.where = BTC_ID
        desk.filled(SELL, "0.020")
        stop = desk.do(lambda: strategy.broker.place_stop(SPOT_ID, D(49500)))
        desk.until(lambda: strategy.status(stop) == "ACCEPTED", "the stop")
        assert strategy.holdings() == {PAIR: D("0.020225"), NAME: D("-0.020")}
        assert [(f.fee, f.fee_coin) for f in desk.fills()][:2] == [(D("0.00001012"), "BTC")] * 2
        desk.until(lambda: abs(worth(desk) - D("99998.40")) < D("0.01"), "the equity")
        desk.wait(2.0)
        assert not desk.halted()
    with desk_node(st, folder=tmp_path, **BOTH) as desk:
        strategy = desk.strategy
        assert strategy.holdings() == {PAIR: D("0.020225"), NAME: D("-0.020")}
        assert strategy.market.entry_price(SPOT_ID) == D("50000.1")
        assert strategy.broker.protective_orders()[0].client_order_id == stop
        assert abs(worth(desk) - D("99998.40")) < D("0.01")
        desk.wait(2.0)
        assert not desk.halted()
        node = node_of(desk, st)
    said: list[str] = []
    outcome = flatten_node(node, FlattenRequest(tmp_path, ""), 20, said.append)
    assert outcome.flat
    assert "at the venue: 1 order and 2 positions to go" in said
    assert (wallet(st), st.position(), st.open_orders()) == (D("0.000000754"), 0, {})


def test_coins_of_others_are_named_left_alone_and_count_for_nothing(
    st: Stage, tmp_path: Path
) -> None:
    wallet(st, plus="0.5")
    with desk_node(st, folder=tmp_path, **BOTH) as desk:
        assert any("0.5 BTC are not the desk's" in line for line in desk.said)
        strategy = spot(desk)
        assert worth(desk) == D(100_000)
        desk.filled(BUY, "0.010000")
        wallet(st, plus="0.1")
        desk.wait(2.0)
        assert not desk.halted()
        desk.do(lambda: desk.live.risk.operator.halt("desk", "test"))
        desk.until(lambda: not strategy.holdings(), "the sale")
        desk.until(lambda: any("flat after" in line for line in desk.said), "the news")
        facts = desk.live.built.facts
    assert wallet(st) == D("0.600000") + D("0.00999") - D("0.009990")

    async def doctor() -> list[DoctorCheck]:
        async with VenueRest(st.where.http, keys()) as rest:
            return await _foreign_coins(rest, facts, tmp_path)

    (check,) = asyncio.run(doctor())
    assert check.found.startswith("0.6 BTC are not the desk's")


def test_coins_that_others_took_halt_the_pair_until_the_trader_goes_on(
    st: Stage, tmp_path: Path
) -> None:
    """The books differ, and the position is external: it counts as one difference."""
    mismatch = {"mismatch": guard("account_mismatch:AccountMismatch", count=2)}
    with desk_node(st, folder=tmp_path, actors=mismatch, **BOTH) as desk:
        strategy = spot(desk)
        desk.filled(BUY, "0.010000")
        wallet(st, plus="-0.0040005")
        desk.until(lambda: "node.position" in desk.halted(), "the halt")
        desk.until(lambda: strategy.holding(SPOT_ID) == D("0.005989"), "the books")
        sweeps = desk.counted("sweeps") + 1
        desk.until(lambda: desk.counted("sweeps") > sweeps, "the sweeps")
        assert desk.halted() == {"node.position"}
        assert sum(line.startswith("the venue holds 0.005989,") for line in desk.said) == 1
    with desk_node(st, folder=tmp_path, **BOTH) as desk:
        desk.until(lambda: "node.position" in desk.halted(), "the halt")
        assert desk.strategy.holding(SPOT_ID) == D("0.005989")
    policies = {"policies": {"external_positions": "report"}}
    with desk_node(st, folder=tmp_path, watch=policies, **BOTH) as desk:
        spot(desk)
        # Half of the smallest lot is no less its own: it is sold with what makes it a lot.
        assert desk.journal.explained()[PAIR] == wallet(st) == D("0.0059895")
        desk.filled(BUY, "0.010500")
        assert desk.strategy.holding(SPOT_ID) == D("0.016479")
        desk.wait(2.0)
        assert not desk.halted()
        node = node_of(desk, st)
    wallet(st, plus="0.004")
    assert flatten_node(node, FlattenRequest(tmp_path, ""), 20, lambda line: None).flat
    assert wallet(st) == D("0.004")


def test_coins_that_the_trader_buys_and_sells_by_hand_are_nobodys_fills(
    st: Stage, tmp_path: Path
) -> None:
    """0.00999 of its own, 0.005 by hand less the fee: selling 0.012 takes 0.007005 of its."""

    def filled(desk: Desk) -> list[str]:
        return [line for line in desk.said if "filled" in line or "in its books" in line]

    with desk_node(st, folder=tmp_path, **BOTH) as desk:
        strategy = spot(desk)
        desk.filled(BUY, "0.010000")
        st.order("Buy", "0.005000", category="spot", market_unit="baseCoin")
        resting = st.order("Sell", "0.001000", "60000", category="spot").order_id
        desk.until(lambda: any(resting in line for line in desk.said), "the report of the order")
        desk.until(lambda: len(desk.fills()) == 2, "the execution in the journal")
        assert (strategy.holdings(), desk.halted()) == ({PAIR: D("0.00999")}, set())
        assert not desk.live.built.kernel.cache.orders_open()
        st.order("Sell", "0.012000", category="spot")
        desk.until(lambda: strategy.holdings() == {PAIR: D("0.002985")}, "the books")
        desk.until(lambda: "node.position" in desk.halted(), "the halt")
        desk.until(lambda: len(filled(desk)) == 2, "the words on both")
        lines = filled(desk)
    assert [line.partition(" at ")[0] for line in lines] == [
        f"hand: filled BUY 0.010000 {PAIR}",
        f"hand: others traded or moved, now in its books: SELL 0.007005 {PAIR}",
    ]
    # Nor does the order that rests keep the next start waiting.
    with desk_node(st, folder=tmp_path, **BOTH) as desk:
        assert desk.strategy.holdings() == {PAIR: D("0.002985")}
        assert list(st.open_orders()) == [resting]
        # It locks 0.001 of them.
        desk.do(lambda: desk.live.risk.operator.halt("desk", "test"))
        desk.until(lambda: not desk.strategy.holdings(), "the sale")
        desk.until(lambda: any("flat after" in line for line in desk.said), "the news")
    assert (wallet(st), st.open_orders()) == (0, {})


GUARDS = {
    "loss": guard("daily_loss:DailyLoss", limit_pct=0.001),
    "fall": guard("max_drawdown:MaxDrawdown", limit_pct=0.001),
    "gain": guard("session_profit:SessionProfit", limit_pct=0.001),
}


def most_measured(desk: Desk) -> list[float]:
    """Return the largest that any guard measures from here on, as its only element."""
    found = [-1.0]

    def note(seen: Any) -> None:
        readings = [r.measured for one in desk.live.guards.values() for r in one.readings]
        found[0] = max(found[0], *readings)

    desk.live.built.kernel.msgbus.subscribe(SEEN, note)
    return found


@pytest.mark.parametrize(
    "fault",
    [None, LatePush(topic="wallet", by=3.0, seconds=60.0), Drop(channel="private", seconds=60.0)],
    ids=["pushes", "late wallets", "no pushes"],
)
def test_what_others_trade_in_coins_is_no_loss_and_no_profit(
    st: Stage, tmp_path: Path, fault: Any
) -> None:
    """By hand 0.4 bought for 20,000, 0.45 sold, 0.05 of its own among them, over restarts.

    Its own 0.1 cost 5 in fees and 0.01 by the spread; their sale by hand 2.5, which is no loss of
    its own: together far from 100 of 100,000.
    """
    watch = {"snapshot_every": 1.0}
    kept: dict[str, Any] = {"folder": tmp_path, "actors": GUARDS, "watch": watch, **BOTH}

    def trades(by_hand: list[tuple[str, str]]) -> None:
        for side, quantity in by_hand:
            st.order(side, quantity, category="spot", market_unit="baseCoin")

    with desk_node(st, **kept) as desk:
        strategy, most = spot(desk), most_measured(desk)
        desk.filled(BUY, "0.100000")
        if fault is not None:
            st.call(lambda: st.faults.add("private", fault))
        trades([("Buy", "0.4")])
        desk.until(lambda: abs(worth(desk) - D(79_995)) < D(5), "what is left")
        desk.wait(1.0)
        trades([("Sell", "0.45")])
        desk.until(lambda: strategy.holding(SPOT_ID) == D("0.049500"), "the books")
        desk.until(lambda: abs(worth(desk) - D(99_950)) < D(5), "what came")
        desk.wait(1.0)
        st.end_faults()
        assert most[0] < 0.0005
        assert desk.halted() <= {"node.position"}
    trades([("Buy", "0.2"), ("Sell", "0.229")])
    with desk_node(st, **kept) as desk:
        most = most_measured(desk)
        assert desk.strategy.holding(SPOT_ID) == D("0.020300")
        desk.wait(1.5)
        assert (most[0] < 0.0005, desk.halted() <= {"node.position"}) == (True, True)
    found = live_result(tmp_path, 0, 2**62)
    # The books explain the account, and its own trades cost a few dollars.
    assert found.closes
    assert abs(found.summary["net_profit"]) < 10
    assert found.summary["max_drawdown"] < 0.0005


def test_own_coins_that_others_sold_to_the_last_leave_the_books(st: Stage) -> None:
    with desk_node(st, actors=GUARDS, **BOTH) as desk:
        strategy, most = spot(desk), most_measured(desk)
        desk.filled(BUY, "0.100000")
        st.order("Sell", "0.099900", category="spot")
        desk.until(lambda: not strategy.holdings(), "the books")
        assert desk.counted("position_differs_repaired") == 1
        desk.wait(1.0)
        assert (abs(worth(desk) - D(99_989)) < D(3), most[0] < 0.0005) == (True, True)


def test_coins_that_others_buy_after_they_took_some_are_theirs_over_a_restart(
    st: Stage, tmp_path: Path
) -> None:
    """0.0999 of its own, 0.04 sold by hand: 0.0599 stay, although 0.0999 are bought then."""
    with desk_node(st, folder=tmp_path, **BOTH) as desk:
        strategy = spot(desk)
        desk.filled(BUY, "0.100000")
        st.order("Sell", "0.040000", category="spot")
        desk.until(lambda: strategy.holding(SPOT_ID) == D("0.059900"), "the books")
        bought, sweeps = st.order("Buy", "0.1", category="spot", market_unit="baseCoin"), 4
        desk.until(lambda: len(desk.fills()) == 3, "the execution in the journal")
        sweeps += desk.counted("sweeps")
        desk.until(lambda: desk.counted("sweeps") > sweeps, "the sweeps")
        assert (strategy.holding(SPOT_ID), bought.filled) == (D("0.059900"), D("0.1"))
        assert "node.position" in desk.halted()
        node = node_of(desk, st)
    with desk_node(st, folder=tmp_path, **BOTH) as desk:
        assert desk.strategy.holding(SPOT_ID) == D("0.059900")
        assert any("0.0999 BTC are not the desk's" in line for line in desk.said)
        desk.until(lambda: "node.position" in desk.halted(), "the halt")
    assert flatten_node(node, FlattenRequest(tmp_path, ""), 20, lambda line: None).flat
    assert wallet(st) == D("0.0999")
    policies = {"policies": {"external_positions": "report"}}
    with desk_node(st, folder=tmp_path, watch=policies, **BOTH) as desk:
        assert (desk.journal.explained()[PAIR], desk.journal.own()[PAIR]) == (0, 0)
        desk.wait(1.0)
        assert not desk.halted()


def test_coins_bought_by_hand_before_the_books_compare_are_the_traders(
    st: Stage, tmp_path: Path
) -> None:
    """Each time more is sold by hand than the trader has, and some bought at once.

    Of 0.0999 a sale of 0.04 leaves 0.0599, and 0.01998 are his; then 0.03 less 0.01998, and 0.00999
    are his; then 0.02 less 0.00999.
    """

    def by_hand(sold: str, bought: str) -> None:
        sale = st.order("Sell", sold, category="spot")
        # The venue's times are whole milliseconds.
        eventually(lambda: st.server.venue.clock_ms() > sale.created_ms, "the next millisecond")
        st.order("Buy", bought, category="spot", market_unit="baseCoin")

    with desk_node(st, folder=tmp_path, **BOTH) as desk:
        strategy = spot(desk)
        desk.filled(BUY, "0.100000")
        by_hand("0.04", "0.02")
        desk.until(lambda: strategy.holding(SPOT_ID) == D("0.0599"), "the books")
        desk.until(lambda: desk.journal.own()[PAIR] == D("0.0599"), "the journal")
        sweeps = desk.counted("sweeps") + 2
        desk.until(lambda: desk.counted("sweeps") > sweeps, "the sweeps")
    by_hand("0.03", "0.01")
    with desk_node(st, folder=tmp_path, **BOTH) as desk:
        assert desk.strategy.holding(SPOT_ID) == D("0.04988")
        assert any("0.00999 BTC are not the desk's" in line for line in desk.said)
        node = node_of(desk, st)
    by_hand("0.02", "0.01")
    assert flatten_node(node, FlattenRequest(tmp_path, ""), 20, lambda line: None).flat
    assert wallet(st) == D("0.00999")


def coarse(st: Stage, lot: str = "0.001") -> None:
    """Let the pair trade in lots of 50 USDT."""
    (symbol,) = (symbol for symbol in st.market.listed if symbol.key == SPOT)
    changed = replace(symbol, lot=D(lot), min_qty=D(lot))
    st.call(lambda: st.exchange.put_symbol(changed, st.server.venue.clock_ms()))
    st.market.listed = [changed if one is symbol else one for one in st.market.listed]


def test_a_buy_of_a_single_lot_is_none_until_another_makes_it_one(
    st: Stage, tmp_path: Path
) -> None:
    """Of 0.001 bought, 0.000001 is the fee: the wallet has no lot, and of two bought it has one."""
    coarse(st)
    with desk_node(st, folder=tmp_path, **BOTH) as desk:
        strategy = spot(desk)
        desk.filled(BUY, "0.001")
        desk.until(lambda: not strategy.holdings(), "the lot that is none")
        for held in ("0.001", "0.002"):
            desk.filled(BUY, "0.001")
            assert strategy.holdings() == {PAIR: D(held)}
        desk.wait(2.0)
        assert (desk.counted("position_differs"), desk.halted()) == (0, set())
        assert wallet(st) == D("0.002997")
        assert abs(worth(desk) - D("99949.9997")) < D("0.001")
    with desk_node(st, folder=tmp_path, **BOTH) as desk:
        strategy = spot(desk)
        assert strategy.holdings() == {PAIR: D("0.002")}
        desk.filled(BUY, "0.001")
        desk.filled(SELL, "0.003")
        desk.wait(2.0)
        assert (strategy.holdings(), desk.halted(), wallet(st)) == ({}, set(), D("0.000996"))


def test_less_than_the_smallest_order_is_named_and_keeps_nobody_waiting(
    st: Stage, tmp_path: Path
) -> None:
    with desk_node(st, folder=tmp_path, on_stop="flatten", **BOTH) as desk:
        strategy = spot(desk)
        desk.filled(BUY, "0.010000")
        stop = desk.do(lambda: strategy.broker.place_stop(SPOT_ID, D(49500)))
        desk.until(lambda: strategy.status(stop) == "ACCEPTED", "the stop")
        desk.filled(SELL, "0.009900")
        assert strategy.holdings() == {PAIR: D("0.00009")}
        node = node_of(desk, st)
    # It would sell what others have.
    assert st.open_orders() == {}
    assert any(f"{PAIR}: 0.00009 is too little to be sold; it stays" in line for line in desk.said)
    said: list[str] = []
    # Without a journal, the venue's executions tell what was bought.
    assert flatten_node(node, FlattenRequest(tmp_path / "none", ""), 20, said.append).flat
    assert any("0.00009 is too little to sell; it stays" in line for line in said)
    assert wallet(st) == D("0.000090")


@pytest.mark.parametrize(
    ("external", "theirs", "left"),
    [("universe", "0.004", "0.004"), ("universe", "0.005", "0.005"), ("leave", "0", "0.00999")],
    ids=["too few", "enough", "left alone"],
)
def test_a_flatten_at_the_stop_cancels_what_others_lock_its_coins_by(
    st: Stage, external: str, theirs: str, left: str
) -> None:
    wallet(st, plus=theirs)
    buys = st.order("Buy", "0.001", "40000", category="spot").order_id
    flatten: dict[str, Any] = {"on_stop": "flatten", "stop_deadline": 10.0}
    with desk_node(st, risk={"external": external}, **flatten, **BOTH) as desk:
        spot(desk)
        desk.filled(BUY, "0.010000")
        sells = st.order("Sell", "0.005", "60000", category="spot").order_id
    kept = [buys] if theirs == "0.004" else [buys, sells]
    assert (wallet(st), sorted(st.open_orders())) == (D(left), sorted(kept))
    said = [line for line in desk.said if "is cancelled, as it locks" in line]
    assert len(said) == 2 - len(kept)


def test_a_refused_stop_for_too_few_coins_is_no_reason_to_sell_them(st: Stage) -> None:
    with desk_node(st, **BOTH) as desk:
        strategy = spot(desk)
        desk.filled(BUY, "0.010000")
        desk.filled(SELL, "0.009900")
        desk.do(lambda: strategy.broker.place_stop(SPOT_ID, D(49500)))
        desk.until(lambda: any("refused" in line for line in desk.said), "the refusal")
        desk.wait(1.5)
        assert sum("refused SELL" in line for line in desk.said) == 1
        assert not strategy.busy_in(SPOT_ID)


def test_a_node_of_perpetuals_alone_asks_for_no_coins(st: Stage) -> None:
    with desk_node(st) as desk:
        asked, sweeps = st.requests("GET /v5/account/wallet-balance"), desk.counted("sweeps")
        desk.until(lambda: desk.counted("sweeps") > sweeps + 1, "the sweeps")
        assert st.requests("GET /v5/account/wallet-balance") == asked


# Faults -------------------------------------------------------------------------------------------


def test_a_refused_buy_leaves_nothing_and_may_be_tried_again(st: Stage) -> None:
    with desk_node(st, **BOTH) as desk:
        strategy = spot(desk)
        refusal = RefusedOp(op="order.create", ret_code=170131, message="Insufficient balance.")
        st.call(lambda: st.faults.add("no money", refusal))
        order = strategy.market_order(BUY, "0.010000")
        desk.until(lambda: strategy.status(order) == "REJECTED", "the refusal")
        assert strategy.holdings() == {}
        st.end_faults()
        desk.filled(BUY, "0.010000")
        assert strategy.holdings() == {PAIR: D("0.00999")}


def test_a_buy_that_was_filled_in_part_and_cancelled_counts_what_it_bought(st: Stage) -> None:
    with desk_node(st, **BOTH) as desk:
        strategy = spot(desk)
        order = strategy.limit(BUY, "49999.9", "0.010000")
        desk.until(lambda: strategy.status(order) == "ACCEPTED", "the order")
        st.call(lambda: st.market.prints.append((SPOT, "Sell", D("49999.9"), D("1.504"))))
        desk.until(lambda: strategy.status(order) == "PARTIALLY_FILLED", "the part")
        desk.do(lambda: strategy.cancel_waiting())
        desk.until(lambda: strategy.status(order) == "CANCELED", "the cancel")
        row = desk.journal.order(order.value)
        assert (row.status, row.filled) == ("CANCELED", D("0.004"))
        assert strategy.holdings() == {PAIR: D("0.003996")}
        desk.wait(2.0)
        assert not desk.halted()


def test_orders_of_coins_go_by_rest_while_the_trade_link_is_down(st: Stage) -> None:
    """A quantity is of coins there too, for which Bybit's own default of a buy is USDT."""
    with desk_node(st, **BOTH) as desk:
        spot(desk)
        sent = st.sent()
        desk.live.links.ready = lambda name: name != "trade"
        desk.filled(BUY, "0.010000")
        desk.filled(SELL, "0.005000")
        assert (st.sent(), desk.strategy.holdings()) == (sent, {PAIR: D("0.00499")})


@pytest.mark.parametrize("fault", [LostAck(op="order.create"), LostFill()], ids=["ack", "fill"])
def test_a_lost_answer_or_fill_is_found(st: Stage, fault: Any) -> None:
    with desk_node(st, **BOTH) as desk:
        strategy = spot(desk)
        st.call(lambda: st.faults.add("lost", fault))
        strategy.market_order(BUY, "0.010123")
        desk.until(lambda: strategy.holdings() == {PAIR: D("0.010112")}, "the fill")
        desk.until(lambda: len(desk.fills()) == 1, "the journal")
        desk.filled(BUY, "0.010123")
        assert strategy.holdings() == {PAIR: D("0.020225")}
        desk.until(lambda: not desk.halted(), "the end of the halt")
        assert abs(desk.journal.explained()[PAIR] - wallet(st)) < D("0.00000001")


@pytest.mark.parametrize(
    "how",
    ["asked for", "found by a sweep", "cancelled, in maintenance", "accepted, in maintenance"],
)
def test_equity_stands_while_a_sale_of_coins_is_known_to_the_wallet_alone(
    st: Stage, how: str
) -> None:
    """The wallet has what they brought, the engine still has them: guards saw a peak of both."""
    resting = how in ("found by a sweep", "accepted, in maintenance")
    sweeps = {"sweep_every": 1.0 if how == "found by a sweep" else 60.0}
    no_answer = Http(ret_code=10016, seconds=12, times=1000)
    with desk_node(st, watch=sweeps, **BOTH) as desk:
        strategy = spot(desk)
        desk.filled(BUY, "0.020")
        desk.until(lambda: abs(worth(desk) - D("99998.9")) < D(1), "the equity")
        if resting:
            order = strategy.limit(SELL, "50000.2", "0.019")
            desk.until(lambda: strategy.status(order) == "ACCEPTED", "the acceptance")
        st.play("fill_lost")
        if how == "accepted, in maintenance":
            st.call(lambda: st.faults.add("closed", no_answer))
        if resting:
            st.call(lambda: st.market.prints.append((SPOT, "Buy", D("50000.2"), D(9))))
        else:
            order = strategy.market_order(SELL, "0.019")
        if how == "cancelled, in maintenance":
            desk.until(lambda: worth(desk) and st.struck("fill"), "the fill")
            st.call(lambda: st.faults.add("closed", no_answer))
            desk.do(lambda: strategy.cancel_order(strategy.cache.order(order)))
        seen = set()

        def sold() -> bool:
            seen.add(round(worth(desk)))
            return bool(strategy.status(order) == "FILLED")

        desk.until(sold, "the fill")
        until = time.monotonic() + 6
        desk.until(lambda: sold() and time.monotonic() > until, "what comes after")
        assert max(seen) - min(seen) <= 3, seen
