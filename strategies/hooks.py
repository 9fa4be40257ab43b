"""What a strategy of the desk may answer and be told, with the answers of one that needs nothing.

A derived class overrides those that concern it.
"""

from __future__ import annotations

from collections.abc import Container

import pyarrow as pa
from nautilus_trader.model.identifiers import InstrumentId

from strategies.messages import Executed, Verdict
from strategies.rebalance.history import Candles


class Hooks:
    """The questions of builder and launcher, and the moments at which a strategy may act."""

    # What the builder asks for -----------------------------------------------------------------

    def history_needed(self) -> dict[str, int]:
        """Return how many candles of each interval must be known before the first decision."""
        return {}

    def warm_up(self, panel: Candles, interval: str) -> None:
        """Take in candles from before the start, the same way as those that come later."""

    def funding_needed(self) -> int:
        """Return how far back funding settlements must be known at the start, nanoseconds."""
        return 0

    def warm_up_funding(self, settlements: pa.Table) -> None:
        """Take in funding settlements from before the start.

        Parameters
        ----------
        settlements : pyarrow.Table
            ``ts`` (UNIX nanoseconds, UTC), ``instrument`` and ``rate`` (a fraction a settlement,
            positive when longs pay) of the strategy's own instruments, sorted by time, then id.
            Given once more, one settlement later, it takes the place of what was given before.
        """

    def history_lacking(self, interval: str, close_ns: int) -> list[str]:
        """Return the ids whose candle of a close time should be here and is not.

        Live, a candle that closes while the link is down never comes: the node asks for it then.
        """
        return []

    def schedule(self) -> tuple[int, int] | None:
        """Return its period and offset in nanoseconds, None when it decides on events."""
        return None

    # What the launcher asks, once it runs ------------------------------------------------------

    def due(self, now_ns: int) -> int | None:
        """Return the latest stamp of its schedule that is missing, None when nothing is.

        Parameters
        ----------
        now_ns : int
            UNIX nanoseconds (UTC).
        """
        return None

    def run_now(self, force: bool = False) -> bool:
        """Do what is due at once, with ``force`` even when nothing is; return whether it began."""
        return False

    def leave_open(self) -> None:
        """Be told that the node stops: what is under way is for the next start to finish."""

    # When it may act ---------------------------------------------------------------------------

    def on_verdict(self, verdict: Verdict) -> None:
        """Act at once on a verdict that concerns this strategy, if that is needed."""

    def on_executed(self, done: Executed) -> None:
        """Act when a tactic has ended, whether or not all was traded."""

    def on_execution_progress(self, instrument_id: InstrumentId) -> None:
        """Act when part of an execution is filled."""

    def on_stopping(self, instruments: Container[str] | None) -> None:
        """Act before tactics are stopped, all (None) or those in some instruments."""

    def on_order_ended(self) -> None:
        """Act when one of the own orders is filled, cancelled or refused."""
