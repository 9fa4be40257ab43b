"""Trades with what their orders say: R, slippage in and out, reason, decision. Pure.

Each fill belongs to the round trip that it opened, enlarged, shrank or closed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Any

from actors.records.ledger import ZERO
from actors.records.rows import FillRow
from config.durations import SECOND_NS

Row = Mapping[str, Any]
Key = tuple[str, str]
_CLOCK_SLACK_NS = SECOND_NS
"""How far our clock, which stamps orders, may be behind the venue's, which stamps fills."""


@dataclass(slots=True)
class Story:
    """What fills and orders say of a trip.

    ``risk`` is what it would have lost at its first stop, before costs; None without one.
    Slippage is against the reference prices of its entries and its exits, positive is worse; None
    where none is known. ``reason`` is that of the order that closed it, or what forced it.
    """

    risk: Decimal | None = None
    slippage_in: Decimal | None = None
    slippage_out: Decimal | None = None
    decision_id: str = ""
    reason: str = ""

    def add(self, slippage: Decimal, *, enters: bool) -> None:
        """Book the slippage of a fill, or a part of one."""
        if enters:
            self.slippage_in = (self.slippage_in or ZERO) + slippage
        else:
            self.slippage_out = (self.slippage_out or ZERO) + slippage

    def multiple(self, net: Decimal) -> float | None:
        """Return R: profit after costs as a multiple of the risk, None without one."""
        return None if self.risk is None else float(net / self.risk)


def excursions(trip: Row) -> tuple[float | None, float | None]:
    """Return how far the price went against and for a trip at most, basis points of its entry.

    None where the prices while it was held are not known.
    """
    entry, low, high = trip["entry_px"], trip["low_px"], trip["high_px"]
    if low is None or high is None:
        return None, None
    down, up = max(entry - low, 0.0) / entry * 1e4, max(high - entry, 0.0) / entry * 1e4
    return (down, up) if trip["side"] == "LONG" else (up, down)


def stories(trips: Sequence[Row], fills: Iterable[FillRow], orders: Iterable[Row]) -> list[Story]:
    """Return the story of each trip; trips of a strategy in an instrument follow each other.

    ``trips`` are rows of a result's `positions`, ``orders`` have at least the columns of `orders`
    that are read here. All fills are needed from flat on, in their order.
    """
    found = [Story() for _ in trips]
    reasons: dict[str, str] = {}
    stops: dict[Key, deque[Row]] = {}
    for order in sorted(orders, key=itemgetter("ts_created")):
        reasons[order["client_order_id"]] = order["reason"]
        if order["trigger_price"] is not None:
            stops.setdefault(_key(order), deque()).append(order)
    waiting: dict[Key, deque[Story]] = {}
    for trip, story in zip(trips, found, strict=True):
        waiting.setdefault(_key(trip), deque()).append(story)
        story.risk = _risk(trip, stops.get(_key(trip), deque()))
    held: dict[Key, Decimal] = {}
    for fill in fills:
        key, left = (fill.strategy, fill.instrument), fill.signed
        while fill.side and left and waiting.get(key):
            story, before = waiting[key][0], held.get(key, ZERO)
            enters = before * left >= ZERO
            part = left if enters or abs(left) < abs(before) else -before
            if fill.slippage is not None:
                story.add(fill.slippage * part / fill.signed, enters=enters)
            if enters:
                story.decision_id = story.decision_id or fill.decision_id
            held[key], left = before + part, left - part
            if not held[key]:
                is_ordered = fill.kind in ("order", "Trade")
                story.reason = reasons.get(fill.client_order_id, "") if is_ordered else fill.kind
                waiting[key].popleft()
    return found


def _key(row: Row) -> Key:
    return row["strategy"], row["instrument"]


def _risk(trip: Row, stops: deque[Row]) -> Decimal | None:
    """Return what the trip would lose at its first stop; take its stops off the list."""
    risk, closed = None, trip["ts_closed"]
    # Those from before were others': of a trip that had just closed, or of what a hand had bought.
    while stops and stops[0]["ts_created"] < trip["ts_opened"] - _CLOCK_SLACK_NS:
        stops.popleft()
    while stops and (closed is None or stops[0]["ts_created"] <= closed):
        trigger = Decimal(stops.popleft()["trigger_price"])
        if risk is None:
            distance = Decimal(repr(trip["entry_px"])) - trigger
            risk = Decimal(trip["quantity"]) * (distance if trip["side"] == "LONG" else -distance)
    return risk if risk is not None and risk > ZERO else None
