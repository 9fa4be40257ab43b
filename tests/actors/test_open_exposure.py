"""What stands at the moment of an order: rows kept up one by one, against rows made anew."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nautilus_trader.model.enums import OrderSide

from actors.desk.open_exposure import OpenExposures
from actors.guards.core.exposure import worst_case
from actors.guards.core.snapshot import Holding, OrderRequested, ranges_of
from strategies.order_ids import protective
from tests.actors.tiny_guards import Account

NAMES = ("AAAUSDT-LINEAR.BYBIT", "BBBUSDT-LINEAR.BYBIT")
OWNERS = ("a", "b")
VENUES = "961078f3-491b-4f5e-9d0c-3a2b1c0d9e8f"
"""The venue's own id of an order."""


class Orders:
    """Stands in for the engine's cache: orders by id, each with an owner."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self.reduce_only: set[str] = set()
        self.earlier: list[Any] = []

    def order(self, order_id: Any) -> Any:
        owner = SimpleNamespace(value=self.owners[order_id.value], get_tag=str)
        owner.get_tag = lambda: owner.value
        return SimpleNamespace(
            client_order_id=order_id,
            instrument_id=SimpleNamespace(value="X"),
            side=OrderSide.SELL,
            strategy_id=owner,
            is_reduce_only=order_id.value in self.reduce_only,
        )

    def orders_open(self) -> list[Any]:
        return self.earlier


class Desk:
    def __init__(self) -> None:
        self.account, self.cache = Account(), Orders()
        self.account.prices = {name: Decimal(10 + place) for place, name in enumerate(NAMES)}
        self.pending: dict[str, dict[str, Decimal]] = {}
        self.standings = OpenExposures(self.account, self.cache)
        self.standings.under_way = self.pending
        self.sent = 0

    def send(self, owner: str, name: str, quantity: int) -> None:
        self.sent += 1
        self.cache.owners[str(self.sent)] = owner
        self.pending.setdefault(name, {})[str(self.sent)] = Decimal(quantity)
        self.standings.touch(name)

    def fill(self, number: int) -> None:
        waiting = [(name, key) for name in self.pending for key in self.pending[name]]
        if not waiting:
            return
        name, key = waiting[number % len(waiting)]
        held = self.held()
        owner = (name, self.cache.owners[key])
        held[owner] = held.get(owner, Decimal(0)) + self.pending[name].pop(key)
        self.account.held = [
            Holding(
                strategy=owner, instrument=name, quantity=quantity, entry=Decimal(9), price=None
            )
            for (name, owner), quantity in sorted(held.items())
            if quantity
        ]
        self.standings.touch(name)
        self.standings.forget()

    def cancel(self, number: int) -> None:
        waiting = [(name, key) for name in self.pending for key in self.pending[name]]
        if waiting:
            name, key = waiting[number % len(waiting)]
            del self.pending[name][key]
            self.standings.touch(name)

    def held(self) -> dict[tuple[str, str], Decimal]:
        return {(h.instrument, h.strategy): h.quantity for h in self.account.held}

    def oracle(self, owner: str, name: str) -> list[tuple[Any, ...]]:
        rows: dict[tuple[str, str], list[Decimal]] = {(name, owner): [Decimal(0)] * 3}
        for key, quantity in self.held().items():
            rows.setdefault(key, [Decimal(0)] * 3)[0] = quantity
        for where, orders in self.pending.items():
            for order_id, left in orders.items():
                row = rows.setdefault((where, self.cache.owners[order_id]), [Decimal(0)] * 3)
                row[1 if left > 0 else 2] += abs(left)
        return [(*key, *rows[key], self.account.prices[key[0]]) for key in sorted(rows)]

    def rows(self, owner: str, name: str) -> list[tuple[Any, ...]]:
        found, ranges = self.standings.rows(owner, name, None, "new")
        assert ranges == ranges_of(found)
        return [(r.instrument, r.strategy, r.held, r.buys, r.sells, r.price) for r in found]


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.sampled_from(OWNERS),
            st.sampled_from(NAMES),
            st.integers(-3, 3).filter(bool),
        ),
        st.tuples(st.sampled_from(["fill", "cancel"]), st.integers(0, 9)),
        st.tuples(st.just("ask"), st.sampled_from(OWNERS), st.sampled_from(NAMES)),
    ),
    max_size=30,
)


@given(STEPS)
def test_rows_kept_up_are_those_made_anew(steps):
    desk = Desk()
    for what, *arguments in steps:
        if what == "ask":
            assert desk.rows(*arguments) == desk.oracle(*arguments)
        else:
            getattr(desk, what)(*arguments)
    assert desk.rows("a", NAMES[0]) == desk.oracle("a", NAMES[0])


def test_an_order_that_is_changed_does_not_stand_in_its_own_way():
    desk = Desk()
    desk.send("a", NAMES[0], 5)
    desk.send("a", NAMES[0], 2)
    ((row,), _) = desk.standings.rows("a", NAMES[0], None, "1")
    assert (row.buys, row.buy_orders) == (Decimal(2), 1)


def test_what_has_no_price_is_valued_at_what_the_order_asks():
    desk = Desk()
    del desk.account.prices[NAMES[0]]
    ((row,), _) = desk.standings.rows("a", NAMES[0], Decimal(7), "new")
    assert row.price == Decimal(7)


def rest(
    desk: Desk, name: str, owner: str, order_id: str, sells: int, *, reduce_only: bool = False
) -> None:
    """Let an order rest that did not pass the gate in this session."""
    desk.cache.owners[order_id] = owner
    if reduce_only:
        desk.cache.reduce_only.add(order_id)
    desk.cache.earlier.append(
        SimpleNamespace(
            instrument_id=SimpleNamespace(value=name),
            client_order_id=SimpleNamespace(value=order_id),
            leaves_qty=SimpleNamespace(as_decimal=lambda: Decimal(sells)),
            side=OrderSide.SELL,
            is_reduce_only=reduce_only,
        )
    )


def hold(desk: Desk, quantity: int) -> None:
    held = {"quantity": Decimal(quantity), "entry": Decimal(9), "price": None}
    desk.account.held = [Holding(strategy="a", instrument=NAMES[0], **held)]


def test_orders_from_before_a_restart_are_under_way_too():
    desk = Desk()
    rest(desk, NAMES[1], "b", "n1-b-1-1", 4)
    rows = desk.rows("a", NAMES[0])
    assert (NAMES[1], "b", Decimal(0), Decimal(0), Decimal(4), Decimal(11)) in rows


@pytest.mark.parametrize(
    "names",
    [[protective("n1-a-1-", 0), protective("n1-a-1-", 1)], [VENUES]],
    ids=["two of ours", "attached by the venue"],
)
def test_what_protects_a_position_does_not_count_as_the_entry_of_the_other_side(names):
    """Only one of them fills, and that only shrinks what is held."""
    desk = Desk()
    hold(desk, 5)
    for name in names:
        rest(desk, NAMES[0], "a", name, 5, reduce_only=True)
    assert desk.rows("a", NAMES[0])[0][2:5] == (5, 0, 0)
    # Turned round by an order of 10, it is 5 long or 5 short, at a price of 10.
    rows, ranges = desk.standings.rows("a", NAMES[0], None, "new")
    turn = {"ts": 0, "strategy": "a", "instrument": NAMES[0], "price": None, "is_exit": False}
    asked = OrderRequested(quantity=Decimal(-10), open_exposure=rows, ranges=ranges, **turn)
    assert worst_case(asked).own == (-50, 50, 50)


def test_reduce_only_exits_count_for_no_more_than_the_position():
    desk = Desk()
    hold(desk, 5)
    for number in (1, 2):
        rest(desk, NAMES[0], "a", f"n1-a-1-{number}", 4, reduce_only=True)
    assert desk.rows("a", NAMES[0])[0][2:5] == (5, 0, 5)
