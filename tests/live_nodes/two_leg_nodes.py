"""What tests of strategies with two legs record of them, and when all is done."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any

from strategies.hedged.book import Ended
from strategies.hedged.two_leg_trader import TwoLegTrader
from tests.live_nodes.stage import Desk, Stage

Legs = tuple[D, D]


class Recorded(TwoLegTrader):
    """Keeps the events of its orders, and the changes of pairs that ended."""

    def on_start(self) -> None:
        self.events: list[Any] = []
        self.ended: list[Ended] = []
        super().on_start()

    def on_order_event(self, event: Any) -> None:
        self.events.append(event)
        super().on_order_event(event)

    def _tell(self, kind: str, facts: dict[str, Any], *args: Any) -> None:
        if kind == "ended":
            self.ended.append(Ended(**facts))
        super()._tell(kind, facts, *args)


def both_end_at(
    desk: Desk,
    st: Stage,
    legs: tuple[str, str],
    at_venue: Callable[[Stage], Legs],
    held: tuple[Legs, ...],
    cut: str | None,
) -> None:
    """Wait until all is done, with one of these positions at the exchange and in the book."""
    strategy = desk.strategy

    def done() -> bool:
        return strategy.ended and not strategy.busy and at_venue(st) in held

    desk.until(done, f"{held} and not {at_venue(st)}, {strategy.book}")
    # Nothing more comes: two sweeps find the same on both sides.
    desk.wait(2.2)
    found, there = strategy.book.positions.held(), at_venue(st)
    assert there in held, strategy.book
    assert tuple(found.get(leg, D(0)) for leg in legs) == there, strategy.book
    assert not strategy.book.positions.spare
    assert not st.open_orders()
    assert cut in (None, strategy.ended[0].cut), strategy.ended
