"""Cash that executions have moved and the venue's wallet does not show yet. Engine-specific.

Executions and the wallet come as messages of their own. Between the two a gain that was just
realised is in neither the position nor the balance, and a loss is in neither: guards would see a
fall that is none, or keep a peak that never was.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from nautilus_trader.model.events import PositionEvent, PositionOpened

ZERO = Decimal(0)
PATIENCE_NS = 5_000_000_000
"""After this the wallet is believed: what it does not show by then, it never will."""


class PendingCash:
    """Adds up what positions realised, fees included, after the wallet was drawn up."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self._realised: dict[str, Decimal] = {}
        self._moved: list[tuple[int, int, Decimal]] = []

    def begin(self) -> None:
        """Take what positions have realised by now as shown: the account was just asked for."""
        for position in self._cache.positions_open():
            self._realised[position.id.value] = _decimal(position.realized_pnl)

    def on_position_event(self, event: PositionEvent) -> None:
        """Take in what an execution realised."""
        name = event.position_id.value
        before = ZERO if isinstance(event, PositionOpened) else self._realised.get(name)
        now = self._realised[name] = _decimal(event.realized_pnl)
        position = self._cache.position(event.position_id)
        if before is None or position is None or position.last_event.reconciliation:
            # What the engine infers happened before, and is in the wallet.
            return
        self._moved.append((event.ts_event, time.monotonic_ns(), now - before))

    def amount(self, drawn_up: int) -> Decimal:
        """Return what the wallet lacks, in the settlement currency.

        `drawn_up` is the venue's time of the newest wallet, UNIX nanoseconds (UTC).
        """
        if not self._moved:
            return ZERO
        oldest = time.monotonic_ns() - PATIENCE_NS
        self._moved = [row for row in self._moved if row[0] > drawn_up and row[1] > oldest]
        return sum((moved for *_, moved in self._moved), ZERO)


def _decimal(money: Any) -> Decimal:
    return ZERO if money is None else Decimal(money.as_decimal())
