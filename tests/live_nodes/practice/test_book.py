from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from live_nodes.practice.exchange.book import Hit, OrderBook, RestingOrder


def levels(*rows: tuple[str, str]) -> list[tuple[D, D]]:
    return [(D(p), D(q)) for p, q in rows]


def resting(n: int, side: Any, price: str, qty: str) -> RestingOrder:
    return RestingOrder("anna", f"o{n}", side, D(price), D(qty), n)


def walk(
    book: OrderBook, side: Any, find: Callable[[D], Hit | None], qty: str, house: str
) -> list[tuple[str, str, str]]:
    """Take until nothing is left; give (price, qty, whose)."""
    left, pieces = D(qty), []
    while left and (hit := find(left)) is not None:
        book.take(side, hit)
        left -= hit.qty
        pieces.append((str(hit.price), str(hit.qty), hit.maker.order_id if hit.maker else house))
    return pieces


def sweep(book: OrderBook, side: Any, limit: str | None, qty: str) -> list[tuple[str, str, str]]:
    bound = None if limit is None else D(limit)
    return walk(book, side, lambda left: book.peek(side, bound, left), qty, "house")


def prints(book: OrderBook, side: Any, price: str, qty: str) -> list[tuple[str, str, str]]:
    return walk(book, side, lambda left: book.print_hit(side, D(price), left), qty, "queue")


def test_at_one_price_what_the_house_showed_before_goes_first_and_what_came_later_last() -> None:
    book, mine = OrderBook(), levels(("101", "4"))
    book.quote((), mine)
    book.rest(resting(1, "Sell", "101", "2"))  # Behind the 4.
    book.quote((), levels(("101", "7")))  # 3 more of the house: behind our order.
    book.rest(resting(2, "Sell", "101", "1"))  # Behind the 7.
    assert sweep(book, "Buy", None, "20") == [
        ("101", "4", "house"),
        ("101", "2", "o1"),
        ("101", "3", "house"),
        ("101", "1", "o2"),
    ]
    assert mine == levels(("101", "4"))  # The caller's levels are never changed.


def test_a_quote_only_shortens_the_queue() -> None:
    book = OrderBook()
    book.quote(levels(("99", "4")), ())
    order = resting(1, "Buy", "99", "2")
    book.rest(order)
    book.quote(levels(("99", "1")), ())
    assert order.ahead == 1
    book.quote(levels(("99", "9")), ())
    assert order.ahead == 1
    book.quote(levels(("98", "9")), ())
    assert order.ahead == 0


def test_an_order_that_filled_in_part_has_nothing_ahead() -> None:
    book = OrderBook()
    book.quote((), levels(("101", "4")))
    order = resting(1, "Sell", "101", "2")
    book.rest(order)
    hit = book.print_hit("Buy", D("102"), D(1))  # A trade at a worse price passes the queue.
    assert hit is not None
    book.take("Buy", hit)
    assert (order.leaves, order.ahead) == (1, 0)


def test_a_better_priced_order_of_an_account_trades_before_the_house() -> None:
    book = OrderBook()
    book.quote(levels(("99", "5")), levels(("101", "5")))
    book.rest(resting(1, "Buy", "99.5", "1"))
    assert sweep(book, "Sell", "99", "3") == [("99.5", "1", "o1"), ("99", "2", "house")]


def test_a_house_print_through_an_order_fills_it_at_its_own_price() -> None:
    book = OrderBook()
    book.quote(levels(("99", "5")), ())
    book.rest(resting(1, "Buy", "99", "2"))
    assert prints(book, "Sell", "99.5", "3") == []
    assert prints(book, "Sell", "98.5", "3") == [("99", "2", "o1")]


def test_a_quote_that_crosses_an_order_meets_it_with_what_it_shows() -> None:
    book = OrderBook()
    book.rest(resting(1, "Sell", "101", "5"))
    assert (book.bids.best(), book.asks.best()) == (None, D(101))
    book.quote(levels(("102", "2"), ("101.5", "1"), ("100", "9")), ())
    met = []
    while (found := book.meet()) is not None:
        side, hit = found
        book.take_meeting(side, hit)
        met.append((side, str(hit.price), str(hit.qty)))
    assert met == [("Buy", "101", "2"), ("Buy", "101", "1")]
    assert list(book.bids.levels) == levels(("100", "9"))
    assert book.asks.orders[0].leaves == 2


def test_the_visible_book_adds_accounts_orders_to_the_house_s() -> None:
    book = OrderBook()
    book.quote(levels(("99", "5"), ("98", "5")), levels(("101", "5")))
    book.rest(resting(1, "Buy", "99", "2"))
    book.rest(resting(2, "Buy", "98.5", "1"))
    book.rest(resting(3, "Sell", "100.5", "1"))
    bids, asks = book.visible(2)
    assert bids == levels(("99", "7"), ("98.5", "1"))
    assert asks == levels(("100.5", "1"), ("101", "5"))
    assert (book.bids.best(), book.asks.best()) == (D("99"), D("100.5"))


def test_worth_and_cost_are_what_a_walk_would_give() -> None:
    book = OrderBook()
    book.quote((), levels(("100", "1"), ("110", "2")))
    assert book.cost("Buy", None, D("1.5")) == 155
    assert book.worth("Buy", None, D("155"), D("0.01")) == D("1.5")
    assert book.worth("Buy", D("100"), D("155"), D("0.01")) == 1
    assert book.fillable("Buy", D("110"), D("9")) == 3


orders = st.lists(st.tuples(st.integers(90, 100), st.integers(1, 9)), min_size=1, max_size=12)
house = st.dictionaries(st.integers(90, 100), st.integers(1, 9), max_size=6)


@given(orders=orders, house=house, qty=st.integers(1, 120))
def test_fills_follow_price_then_time_and_nothing_is_made_or_lost(
    orders: list[tuple[int, int]], house: dict[int, int], qty: int
) -> None:
    book = OrderBook()
    book.quote([(D(p), D(q)) for p, q in sorted(house.items(), reverse=True)], ())
    for n, (price, size) in enumerate(orders):
        book.rest(resting(n, "Buy", str(price), str(size)))
    total = sum(house.values()) + sum(size for _, size in orders)
    pieces = sweep(book, "Sell", None, str(qty))
    # No more and no less than there was, or was wanted; the visible book has the rest.
    assert sum(D(q) for _, q, _ in pieces) == min(qty, total)
    bids, _ = book.visible(1000)
    assert sum(q for _, q in bids) == max(0, total - qty)
    assert [p for p, _ in bids] == sorted({p for p, _ in bids}, reverse=True)
    # Never a worse price before a better one.
    prices = [D(p) for p, _, _ in pieces]
    assert prices == sorted(prices, reverse=True)
    # At one price the house (which was there first), then the accounts in the order they came.
    for price in set(prices):
        names = [who for p, _, who in pieces if D(p) == price]
        numbers = [-1 if who == "house" else int(who[1:]) for who in names]
        assert numbers == sorted(numbers)
    # A worse order has filled only if every better one has filled whole.
    left = {o.order_id: o.leaves for o in book.bids.orders}
    for n, (price, size) in enumerate(orders):
        if left.get(f"o{n}", D(0)) < size:
            for m, (other, _) in enumerate(orders):
                if (-other, m) < (-price, n):
                    assert f"o{m}" not in left
