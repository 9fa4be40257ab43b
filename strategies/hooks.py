"""Methods that a strategy may override, with defaults that do nothing."""

from __future__ import annotations

from collections.abc import Container, Mapping
from decimal import Decimal

import pyarrow as pa
from nautilus_trader.model.identifiers import InstrumentId

from strategies.messages import Executed, Verdict
from strategies.rebalance.history import Candles


class Hooks:
    """Methods that builder and launcher call, and event handlers."""

    def history_needed(self) -> dict[str, int]:
        """Return how many candles of each interval are needed before the first decision.

        A backtest feeds candles of these intervals only, and refuses a strategy that names none.
        """
        return {}

    def warm_up(self, panel: Candles, interval: str) -> None:
        """Add candles from before the start, in the same way as later ones."""

    def levels_needed(self) -> int:
        """Return how many levels a side of each message's book it reads, 0 for none.

        A backtest on books reads them once for `MarketView.levels_after`, with the trades between
        (`ShownBook`).
        """
        return 0

    def funding_needed(self) -> int:
        """Return how far back funding settlements are needed at the start, nanoseconds."""
        return 0

    def warm_up_funding(self, settlements: pa.Table) -> None:
        """Add funding settlements from before the start.

        The table has ``ts`` (UNIX nanoseconds, UTC), ``instrument`` and ``rate`` (a fraction a
        settlement, positive when longs pay) of the strategy's own instruments, sorted by time, then
        id. A second call, one settlement later, replaces the first.
        """

    def funding_lacking(self, ts_ns: int) -> list[str]:
        """Return the ids of which a settlement until this time is due and missing.

        Live, the node requests settlements each hour, and again while some are missing. In a
        backtest ``on_funding_rate`` gets each at its stamp, for a strategy that needs and
        subscribes to them; with ``next_funding_ns`` it is a prediction, of a ticker.
        """
        return []

    def history_lacking(self, interval: str, close_ns: int) -> list[str]:
        """Return the ids whose candle of a close time is missing.

        Live, a candle that closes while the link is down never comes: the node then requests it.
        """
        return []

    def schedule(self) -> tuple[int, int] | None:
        """Return period and offset in nanoseconds, None when it decides on events."""
        return None

    def due(self, now_ns: int) -> int | None:
        """Return the latest missed stamp (UNIX nanoseconds, UTC) of the schedule, or None."""
        return None

    @property
    def decided(self) -> int | None:
        """Newest stamp of the schedule that it decided on, None before the first."""
        return None

    def run_now(self, force: bool = False) -> bool:
        """Run what is due, with ``force`` even when nothing is; return whether it began."""
        return False

    def unfinished(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Return what is left for the next start: position wanted and held, base coin, by id."""
        return {}

    @property
    def delay(self) -> str:
        """Why a rebalance under way waits, in words; empty when it does not."""
        return ""

    def check_state(self, there: Mapping[str, Decimal]) -> None:
        """Check saved state by the account's positions at the venue, before anything starts."""

    def leave_open(self) -> None:
        """Prepare for a stop of the node: the next start finishes what is under way."""

    def leave_flat(self) -> None:
        """Prepare for a stop of the node that closes positions: the next start enters none anew."""

    def on_verdict(self, verdict: Verdict) -> None:
        """Handle a verdict that concerns this strategy."""

    def on_executed(self, done: Executed) -> None:
        """Handle the end of a tactic, whether or not all was traded."""

    def on_execution_progress(self, instrument_id: InstrumentId) -> None:
        """Handle a fill of part of an execution."""

    def on_stopping(self, instruments: Container[str] | None) -> None:
        """Prepare for a stop of tactics, all (None) or those in some instruments."""

    def on_stopped_out(self, instrument_id: InstrumentId) -> None:
        """Handle the end of a protected position by a stop or a take-profit, or by others."""

    def on_order_ended(self) -> None:
        """Handle the end of an own order: filled, cancelled or refused."""
