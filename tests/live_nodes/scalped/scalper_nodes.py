"""Scalpers on practice, and what the exchange has of their positions and brackets, and had."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

from config.documents.scenario import Fault
from live_nodes.practice.exchange.records import OrderRow
from tests.live_nodes.by_hand import BTC_ID
from tests.live_nodes.stage import ACCOUNT, Desk, Stage, desk_node
from tests.waiting import slack

HELD = D("0.020")
"""What 1.02 % of 100,000 USDT buy at 50,000, and less the fees of some hundred trades as well."""
KINDS = "Stop", "StopLoss", "take"
"""Our stop, the one attached to the entry, and our take-profit."""
PARAMS: dict[str, Any] = {
    "protection": {"atr": 2, "least_bps": 40, "time_stop": None},
    "execution": {"tactic": "taker"},
    "max_weight": 0.0102,
    "pause": "100ms",
}


@contextmanager
def scalper_node(
    st: Stage, folder: Path, *, on_stop: str = "keep", **params: Any
) -> Iterator[Desk]:
    """Run a scalper of bitcoin whose volatility is known, and small."""
    use = "tests.live_nodes.scalpers:ScalpByHand"
    hand = {"hand": {"use": use, "params": PARAMS | params}}
    with desk_node(st, folder=folder, strategies=hand, on_stop=on_stop) as desk:
        protector = desk.strategy.broker.protector
        for opened in (-2, -1):
            second = time.time_ns() + opened * 10**9
            candle = (second, second + 10**9, 50_000.0, 50_000.0, 50_000.0)
            desk.do(lambda candle=candle: protector.on_candle(BTC_ID, *candle))
        yield desk


# What the exchange has, and had -------------------------------------------------------------------


def bracket(st: Stage) -> dict[str, D]:
    """Return how much each kind of order at the exchange would close, less what it would open."""
    found: dict[str, D] = {}
    for order in st.open_orders().values():
        closes = order.leaves if order.side == "Sell" else -order.leaves
        found[_kind(order)] = found.get(_kind(order), D(0)) + closes
    return found


def _kind(order: OrderRow) -> str:
    resting = "take" if order.order_type == "Limit" else "exit"
    return (order.stop_order_type or resting) if order.reduce_only else "entry"


def wrong(desk: Desk, st: Stage) -> str:
    """Return what is not as it should be at the exchange or in our books, in words."""
    there, ours = st.position(), desk.strategy.holding(BTC_ID)
    wanted = dict.fromkeys(KINDS, there) if there else {}
    found = bracket(st)
    return "" if there == ours and found == wanted else f"venue {there}, ours {ours}, {found}"


def uncovered(st: Stage, since_ms: int, *kinds: str) -> float:
    """Return the seconds in which no kind of order at the exchange was for all that was held.

    By its own executions and orders since a moment at which nothing was held.
    """
    there = st.exchange
    orders = st.call(lambda: [*there.order_history(ACCOUNT), *there.open_orders(ACCOUNT)])
    fills = [
        row for row in st.call(lambda: there.executions(ACCOUNT)) if row.exec_type != "Funding"
    ]
    end = time.time_ns() // 10**6
    lives = [(_kind(o), o.qty, o.created_ms, o.updated_ms if o.final else end) for o in orders]
    moments = {row.time_ms for row in fills} | {ms for _, _, *both in lives for ms in both} | {end}
    times = sorted(ms for ms in moments if ms >= since_ms)
    total = 0
    for now, then in itertools.pairwise(times):
        moved = (
            r.qty if r.side == "Buy" else -r.qty for r in fills if since_ms <= r.time_ms <= now
        )
        held = abs(sum(moved, D(0)))
        covers: dict[str, D] = defaultdict(D)
        for kind, size, began, ended in lives:
            # The exchange keeps the attached one for all that is held.
            covers[kind] += (held if kind == "StopLoss" else size) * (began <= now < ended)
        total += (then - now) * all(covers[kind] < held for kind in kinds) * bool(held)
    return total / 1000


def begins(desk: Desk, st: Stage, fault: Fault | None = None) -> int:
    """Add a fault where nothing is left of what was before; return the moment, UNIX ms."""
    assert st.position() == 0
    assert not st.open_orders()
    desk.strategy.buys = desk.strategy.leaves = 0
    desk.strategy.events.clear()
    desk.said.clear()
    st.end_faults()
    if fault is not None:
        add(st, fault)
    return time.time_ns() // 10**6


def add(st: Stage, fault: Fault) -> None:
    st.call(lambda: st.faults.add("fault", fault))
    st.call(st.faults.poll)


def settles(desk: Desk, st: Stage, held: D | None) -> float:
    """Wait until nothing is under way and all is whole; return the seconds that took."""
    strategy = desk.strategy

    def done() -> bool:
        protector = strategy.broker.protector
        return (
            not strategy.buys
            and not strategy.busy
            and protector.is_whole(BTC_ID)
            and not wrong(desk, st)
            and (held is None or st.position() == held)
        )

    return desk.until(done, "a whole bracket, or nothing")


def enters(desk: Desk, st: Stage, held: D | None = HELD) -> float:
    """Enter once; return the seconds until all was whole."""
    desk.strategy.buys = 1
    return settles(desk, st, held)


def leaves(desk: Desk, st: Stage) -> None:
    """Close what is held, without a fault, and wait until nothing is left."""
    st.end_faults()
    desk.strategy.leaves = True
    settles(desk, st, D(0))
    desk.strategy.leaves = False


def opened_early(st: Stage, since_ms: int) -> list[str]:
    """Return entries since a moment that arrived while orders of the position before rested."""
    orders = st.call(lambda: st.exchange.order_history(ACCOUNT))
    entries = [o for o in orders if not o.reduce_only and o.created_ms >= since_ms]
    return [
        f"{entry.order_link_id} before the end of {o.order_link_id or o.stop_order_type}"
        for entry, o in itertools.product(entries, orders)
        if o.reduce_only and since_ms <= o.created_ms < entry.created_ms < o.updated_ms
    ]


def report(st: Stage, name: str, since: int, took: float) -> None:
    """Print a line of a table; no position was without a stop, or long without its bracket."""
    assert not st.faults.unmet()
    naked, bare, takes = (
        uncovered(st, since, *kinds) for kinds in (("Stop", "StopLoss"), ("Stop",), ("take",))
    )
    print(
        f"\n{name} | naked {naked:.3f} s | without our stop {bare:.2f} s, a take-profit "
        f"{takes:.2f} s | {took:.1f} s to {st.position()}"
    )
    assert naked == 0.0
    assert took < slack(10.0)
