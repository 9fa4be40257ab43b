"""Whatever happens, nothing is made and nothing lost; and what is kept comes back the same.

Hypothesis plays requests of two accounts, and moves of the house, against one exchange.
"""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import AccountSpec, BybitRefusal
from live_nodes.practice.exchange.records import ROW_TYPES, Printed
from live_nodes.practice.exchange.requests import (
    AmendRequest,
    CancelAllRequest,
    CancelRequest,
    OrderRequest,
    TradingStopRequest,
)
from tests.live_nodes.practice.pure import BTC, ETH, SPOT, SYMBOLS, T0

ACCOUNTS = [
    AccountSpec("anna", (("USDT", D(2000)), ("BTC", D(5)))),
    AccountSpec("bert", (("USDT", D(100)),), leverage=D(20)),
]
KEYS = (BTC, ETH, SPOT)
names = st.sampled_from(["anna", "bert"])
keys = st.sampled_from(KEYS)
sides = st.sampled_from(["Buy", "Sell"])
prices = st.integers(92, 108).map(D)
sizes = st.integers(1, 40).map(lambda n: D(n) / 4)

forces = st.sampled_from(["GTC", "GTC", "IOC", "FOK", "PostOnly"])
offsets = st.integers(1, 12).map(D)


def a_move(do: str, optional: Any = None, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"do": st.just(do)} | fields, optional=optional)


def an_order(optional: Any, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    optional = optional | {"order_link_id": st.integers(0, 30).map(str)}
    return a_move("order", optional, account=names, key=keys, side=sides, qty=sizes, **fields)


orders = st.one_of(
    an_order({"reduce_only": st.booleans()}),
    an_order({"reduce_only": st.booleans()}, price=prices, time_in_force=forces),
    # Take-profits and stop-losses so far beyond and before the price.
    an_order(
        {"price": prices, "tpsl_mode": st.sampled_from(["Full", "Partial"])},
        profit=offsets,
        loss=offsets,
    ),
    an_order({"price": prices, "reduce_only": st.booleans()}, trigger_price=prices),
)
others = st.one_of(
    a_move(
        "amend",
        {"qty": sizes, "price": prices, "trigger_price": prices},
        account=names,
        which=st.integers(0, 9),
    ),
    a_move("cancel", account=names, which=st.integers(0, 9)),
    a_move("cancel all", account=names),
    a_move(
        "stops", {"take_profit": st.integers(90, 110).map(D), "stop_loss": prices}, account=names
    ),
    a_move("funding", key=st.sampled_from([BTC, ETH]), rate=st.integers(-5, 5)),
    a_move("leverage", account=names, to=st.integers(1, 50)),
    a_move("halt", key=keys, halted=st.booleans()),
)
quotes = a_move("quote", key=keys, middle=prices, bid=sizes, ask=sizes)
prints = a_move("trade", key=keys, side=sides, price=prices, qty=sizes)
marks = a_move("mark", key=keys, price=st.one_of(st.integers(94, 106), st.integers(85, 115)))
moves = st.lists(
    st.one_of(orders, orders, orders, quotes, prints, marks, others), min_size=5, max_size=40
)


def fresh() -> Exchange:
    exchange = Exchange(SYMBOLS, ACCOUNTS)
    for key in KEYS:
        exchange.set_mark(key, D(100), D(100), T0, D(100))
        exchange.quote(key, [(D(99), D(10))], [(D(101), D(10))], T0)
    exchange.drain()
    return exchange


def play(exchange: Exchange, move: dict[str, Any], now: int) -> str:
    """Make a move; say how a request was refused, if it was."""
    kind = move["do"]
    more = {k: v for k, v in move.items() if k not in ("do", "account", "key", "which", "side")}
    try:
        if kind == "order":
            _order(exchange, move, more, now)
        elif kind == "quote":
            m = move["middle"]
            bids = [(m - 1, move["bid"]), (m - 2, D(5))]
            exchange.quote(move["key"], bids, [(m + 1, move["ask"]), (m + 2, D(5))], now)
        elif kind == "trade":
            exchange.trade(move["key"], move["side"], move["price"], move["qty"], now)
        elif kind == "mark":
            price = D(move["price"])
            exchange.set_mark(move["key"], price, price, now, price)
        elif kind == "funding":
            rate = D(move["rate"]) / 1000
            exchange.settle_funding(move["key"], rate, T0 + (now - T0) * 60_000)
        elif kind == "leverage":
            exchange.set_leverage(move["account"], "BTCUSDT", D(move["to"]), now)
        elif kind == "halt":
            exchange.halt(move["key"], move["halted"], now)
        elif kind == "cancel all":
            request = CancelAllRequest("linear", settle_coin="USDT")
            exchange.cancel_all(move["account"], request, now)
        elif kind == "stops":
            request = TradingStopRequest("linear", "BTCUSDT", "Full", **more)
            exchange.trading_stop(move["account"], request, now)
        else:
            opened = exchange.open_orders(move["account"])
            if not opened:
                return ""
            order = opened[move["which"] % len(opened)]
            ids = (order.category, order.symbol, order.order_id)
            if kind == "cancel":
                exchange.cancel(move["account"], CancelRequest(*ids), now)
            else:
                exchange.amend(move["account"], AmendRequest(*ids, **more), now)
    except BybitRefusal as refusal:
        return str(refusal)
    return ""


def _order(exchange: Exchange, move: dict[str, Any], more: dict[str, Any], now: int) -> None:
    key = move["key"]
    spot = key == SPOT
    trigger = more.get("trigger_price")
    profit, loss = more.pop("profit", None), more.pop("loss", None)
    if profit is not None:
        base = more.get("price") or exchange.market(key).last
        sign = 1 if move["side"] == "Buy" else -1
        more |= {"take_profit": base + sign * profit, "stop_loss": base - sign * loss}
    if spot:
        more.pop("reduce_only", None)
        more.pop("tpsl_mode", None)
        if "price" not in more:
            more["market_unit"] = "baseCoin"
            more.pop("take_profit", None)
            more.pop("stop_loss", None)
        if trigger is not None:
            more["order_filter"] = "StopOrder"
    elif trigger is not None:
        more["trigger_direction"] = 1 if trigger > exchange.market(key).last else 2
    if "price" not in more:
        more["time_in_force"] = "IOC"
    request = OrderRequest(
        key[0], key[1], move["side"], "Limit" if "price" in more else "Market", **more
    )
    exchange.create(move["account"], request, now)


def lasting(exchange: Exchange) -> Any:
    """Return what outlives the process: prices and queues come from the market again."""
    accounts = {
        name: (
            [(o.order_id, o.status, o.price, o.qty, o.filled) for o in exchange.open_orders(name)],
            exchange.order_history(name),
            exchange.executions(name),
            [
                (p.symbol, p.signed, p.cost, p.entry, p.total_realised)
                for p in exchange.positions(name)
            ],
            # The order of coins may differ where a coin came in later.
            {(c.coin, c.balance) for c in exchange.wallet(name).coins},
        )
        for name in exchange.accounts()
    }
    return accounts, [(exchange.market(key).house, exchange.market(key).halted) for key in KEYS]


def check(exchange: Exchange) -> None:
    """Check everything that must always hold."""
    for key in (BTC, ETH):
        held = sum(exchange.position(a, key[1]).signed for a in exchange.accounts())
        assert held + exchange.market(key).house == 0
    spot_fees = D(0)
    for spec in ACCOUNTS:
        name = spec.name
        fills = exchange.executions(name)
        wallet = exchange.wallet(name)
        start = dict(spec.balances)
        linear = [f for f in fills if f.category == "linear"]
        spot = [f for f in fills if f.category == "spot"]
        # The wallet is what it was, plus what was realised, less fees and funding.
        usdt = start["USDT"] + sum(f.pnl - f.fee for f in linear) + sum(f.change for f in spot)
        assert wallet.coin("USDT").balance == usdt
        assert sum(f.change for f in fills) == usdt - start["USDT"]
        bought = sum(f.qty if f.side == "Buy" else -f.qty for f in spot)
        paid = sum((f.fee for f in spot if f.fee_coin == "BTC"), D(0))
        spot_fees += paid
        assert wallet.coin("BTC").balance == start.get("BTC", D(0)) + bought - paid
        assert wallet.coin("BTC").balance >= 0
        for key in (BTC, ETH):
            traded = [f for f in linear if f.symbol == key[1] and f.exec_type != "Funding"]
            position = exchange.position(name, key[1])
            assert sum(f.qty if f.side == "Buy" else -f.qty for f in traded) == position.signed
            # Cash flow of the fills and the position's cost give the same gain.
            cash = sum(-f.value if f.side == "Buy" else f.value for f in traded)
            cost = position.cost if position.signed > 0 else -position.cost
            assert sum(f.pnl for f in traded) == cash + cost
        for order in [*exchange.open_orders(name), *exchange.order_history(name)]:
            own = [f for f in fills if f.order_id == order.order_id]
            assert sum(f.qty for f in own) == order.filled
            assert sum((f.value for f in own), D(0)) == order.filled_value
            assert order.filled <= order.qty
            assert (order.status == "Filled") == (order.filled == order.qty)
        closing = dict.fromkeys((BTC[1], ETH[1]), D(0))
        for order in exchange.open_orders(name):
            if order.reduce_only and not order.untriggered:
                closing[order.symbol] += order.leaves
                position = exchange.position(name, order.symbol)
                assert closing[order.symbol] <= position.size
                assert order.side != position.side
    # Accounts' coins and the house's make what there was, less the fees.
    coins = sum(exchange.wallet(a).coin("BTC").balance for a in exchange.accounts())
    assert coins + exchange.market(SPOT).house == 5 - spot_fees
    for key in KEYS:
        bids, asks = exchange.book(key, 100)
        if bids and asks and not exchange.market(key).halted:
            assert bids[0][0] < asks[0][0]


@given(moves=moves)
def test_nothing_is_made_and_nothing_lost(moves: list[dict[str, Any]]) -> None:
    exchange = fresh()
    for n, move in enumerate(moves, start=1):
        play(exchange, move, T0 + n)
        check(exchange)


SELL = {"do": "order", "account": "anna", "key": ETH, "side": "Sell", "qty": D(2), "price": D(101)}
TAKE = {"do": "order", "account": "anna", "key": ETH, "side": "Buy", "qty": D(1)}
CANCEL = {"do": "cancel", "account": "anna", "which": 0}
SWEEP = {"do": "trade", "key": ETH, "side": "Buy", "price": D(102), "qty": D(1)}


# A trade shortens the queue ahead of a resting order, and the order then ends or fills in part.
@example(before=[SELL, TAKE], after=[CANCEL])
@example(before=[SELL, SWEEP], after=[CANCEL])
@given(before=moves, after=moves)
def test_what_was_kept_comes_back_and_goes_on_the_same(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    exchange = fresh()
    for n, move in enumerate(before, start=1):
        play(exchange, move, T0 + n)
    exchange.drain()
    again = Exchange(SYMBOLS, ACCOUNTS)
    again.restore(
        msgspec.json.decode(msgspec.json.encode(row), type=ROW_TYPES[row.table])
        for row in reversed(exchange.rows())
    )
    both = (again.rows(), exchange.rows())
    one, other = (sorted(rows, key=lambda row: (row.table, row.row_key)) for rows in both)
    assert one == other
    assert again.drain() == []
    # The house's book comes from the market again.
    now = T0 + len(before) + 1
    for key in KEYS:
        for side in (exchange, again):
            side.quote(key, [(D(99), D(7))], [(D(101), D(7))], now)
    for n, move in enumerate(after, start=now + 1):
        assert play(exchange, move, n) == play(again, move, n)
    assert exchange.drain() == again.drain()


@given(moves=moves)
def test_the_events_rows_are_what_must_be_kept(moves: list[dict[str, Any]]) -> None:
    exchange, kept = fresh(), {}
    for n, move in enumerate(moves, start=1):
        play(exchange, move, T0 + n)
        for event in exchange.drain():
            if not isinstance(event, Printed):
                kept[event.table, event.row_key] = event
    again = Exchange(SYMBOLS, ACCOUNTS)
    again.restore(kept.values())
    assert lasting(again) == lasting(exchange)


def test_a_state_file_of_another_document_is_refused() -> None:
    exchange = fresh()
    stranger = Exchange(SYMBOLS, [AccountSpec("carl")])
    with pytest.raises(ValueError, match="'anna'"):
        stranger.restore(exchange.rows())
    with pytest.raises(ValueError, match="ETHUSDT"):
        Exchange(SYMBOLS[:1], ACCOUNTS).restore(exchange.rows())
