"""How long a decision waits for what it lacks, and when it looks again. Engine-specific."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nautilus_trader.common.component import LiveClock
from nautilus_trader.common.events import TimeEvent

from strategies.on_loop import wake_in
from strategies.rebalance.history import CandleHistory
from strategies.rebalance.propose import NOTHING_TO_HOLD
from strategies.schedule import last_close
from strategies.verdicts import halted_for_now

if TYPE_CHECKING:
    from strategies.rebalance.rebalancer import Rebalancer

AGAIN_NS = 5 * 10**9
"""How often it looks whether a halt that passes by itself, such as of a link, is over."""
_LOOK_NS = 10**9
TOUCH_PATIENCE_NS = 10 * 10**9
"""How long a decision waits for best bids and asks that it needs, as after a start."""
CANDLE_PATIENCE_NS = 60 * 10**9
"""How long a live decision waits for candles that are late: the node asks the venue for them."""
RETRY_NS = 60 * 10**9
"""How soon a live decision that could not be made at all is tried again."""


class Patience:
    """The waiting of one rebalancer.

    Parameters
    ----------
    strategy : Rebalancer
        Whose decisions wait.
    history : CandleHistory
        Its candles.
    interval_ns : int
        Their length, nanoseconds.
    """

    def __init__(self, strategy: Rebalancer, history: CandleHistory, interval_ns: int) -> None:
        self._strategy = strategy
        self._history = history
        self._interval_ns = interval_ns
        self._for = self._since = 0
        self.looking = False

    def holds(self, now: int) -> bool:
        """Whether the decision waits: for a halt that passes by itself, for candles, for touches.

        Just started, all would seem too wide to hold; while a link is down nothing could be
        entered, which would go for decided; and what has no candle would be sold for that alone.
        If so, it looks again by itself.
        """
        self.looking = False
        if halted_for_now([self._strategy.verdicts.strictest]):
            self._look_in(AGAIN_NS, now)
            return True
        clock = self._strategy.clock.timestamp_ns()
        since = self._since if self._for == now else clock
        self._for, self._since = now, since
        if clock - since >= self._patience(last_close(now, self._interval_ns)):
            return False
        self._look_in(_LOOK_NS, now)
        return True

    def retry(self, reason: str) -> None:
        """Try a decision again that waits for a reason, unless it will not be another for that."""
        # Keeping what is held is a decision; what could not be decided is tried again.
        if isinstance(self._strategy.clock, LiveClock) and reason != NOTHING_TO_HOLD:
            wake_in(
                self._strategy.clock, RETRY_NS, f"retry.{self._strategy.config.key}", self._on_retry
            )

    def _patience(self, data_ts: int) -> int:
        """Return how long the decision may wait for what it lacks; zero when it lacks nothing."""
        strategy = self._strategy
        # In a backtest a candle that is not there will not come.
        if isinstance(strategy.clock, LiveClock) and self._history.lacks(data_ts):
            return CANDLE_PATIENCE_NS
        if not strategy.config.wants_liquidity or not strategy.market.sees_top_of_book:
            return 0
        blind = any(strategy.market.top_of_book(name) is None for name in strategy.instrument_ids)
        return TOUCH_PATIENCE_NS if blind else 0

    def _look_in(self, pause_ns: int, now: int) -> None:
        self.looking = True
        wake_in(
            self._strategy.clock,
            pause_ns,
            f"look.{self._strategy.config.key}",
            lambda event: self._strategy.rebalance(now),
        )

    def _wake_in(self, pause_ns: int, name: str, then: Callable[[TimeEvent], None]) -> None:
        strategy = self._strategy
        wake_in(strategy.clock, pause_ns, f"{name}.{strategy.config.key}", then)

    def _on_retry(self, event: TimeEvent) -> None:
        if not self._strategy.stopping:
            self._strategy.run_now()
