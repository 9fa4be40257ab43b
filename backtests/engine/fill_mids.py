"""Mids of the venue's books at fills and 1, 5 and 30 s after them, in runs on quotes and books.

They are read in the run, by timers: reading them later would replay millions of messages, and need
the catalog.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

from actors.records.rows import FillRow
from backtests.engine.accountant import Accountant
from backtests.engine.books import VenueBooks
from backtests.engine.market import RunMarket

HORIZONS_S = (1, 5, 30)
_TIMER = "fill mids"


class FillMids:
    """Collects a row of the result's `fill_mids` for each fill of an order."""

    def __init__(self, books: VenueBooks, accountant: Accountant, market: RunMarket) -> None:
        self.rows: list[dict[str, Any]] = []
        self._books, self._accountant, self._market = books, accountant, market
        self._due: list[tuple[int, int, int, int]] = []

    def filled(self, fill: FillRow) -> None:
        """Note the mid at a fill; set the timer for those after it."""
        if fill.kind != "order":
            return
        mid = self._books.standing_mid(self._id(fill.instrument))
        row = {"execution_id": fill.execution_id, "instrument": fill.instrument, "mid": mid}
        for seconds in HORIZONS_S:
            due = fill.ts + seconds * 10**9
            heappush(self._due, (due, len(self.rows), seconds, fill.ts))
        self.rows.append(row)
        self._wake()

    def _id(self, instrument: str) -> Any:
        return self._market.instrument_ids[self._market.column[instrument]]

    def _wake(self) -> None:
        clock = self._accountant.clock
        if _TIMER in clock.timer_names:
            clock.cancel_timer(_TIMER)
        if self._due:
            clock.set_time_alert_ns(
                name=_TIMER, alert_time_ns=self._due[0][0], callback=self._on_due
            )

    def _on_due(self, event: object) -> None:
        now = self._accountant.clock.timestamp_ns()
        while self._due and self._due[0][0] <= now:
            _, place, seconds, filled = heappop(self._due)
            row = self.rows[place]
            name = self._id(row["instrument"])
            row[f"mid_{seconds}s"] = self._books.standing_mid(name)
            book = self._books.book(name)
            if seconds == HORIZONS_S[-1] and (book is None or book.ts_last <= filled):
                # A quiet second is no hole; half a minute of silence may be one.
                row.update({f"mid_{each}s": None for each in HORIZONS_S})
        self._wake()
