"""Guards of a real node under a clock that passes midnight UTC, or is set back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from config.durations import DAY_NS
from strategies.on_loop import on_loop
from tests.live_nodes.by_hand import BUY
from tests.live_nodes.stage import Desk, desk_node, stage
from tests.live_nodes.test_risk_live import RISK, refused, verdicts

SECOND = 1_000_000_000
GUARDS: dict[str, Any] = {
    "daily": {
        "use": "actors.guards.daily_loss:DailyLoss",
        "params": {"limit_currency": 2.0, "action": "halt_entries"},
    },
    "tiers": {
        "use": "actors.guards.drawdown_tiers:DrawdownTiers",
        "params": {"tiers": [{"at": 0.00001, "size": 0.5}]},
    },
    "trades": {"use": "actors.guards.trades_per_day:TradesPerDay", "params": {"limit": 50}},
}
"""0.1 BTC at 50,000 cost 2.75 in fees: above the day's limit, and above the tier's 1.00."""


class Set:
    """A clock that somebody has set by so many nanoseconds."""

    def __init__(self, real: Any) -> None:
        self.real, self.by = real, 0

    @property
    def timer_names(self) -> list[str]:
        return list(self.real.timer_names)

    def timestamp_ns(self) -> int:
        return int(self.real.timestamp_ns()) + self.by

    def cancel_timer(self, name: str) -> None:
        self.real.cancel_timer(name)

    def set_time_alert_ns(self, name: str, ts: int, callback: Callable[[Any], None]) -> None:
        self.real.set_time_alert_ns(name, ts - self.by, on_loop(self.real, callback))


def set_clock(desk: Desk, now: int) -> None:
    """Set the clock that the guards' desk goes by."""
    guarded = desk.live.risk.desk

    def turn() -> None:
        kernel = guarded._kernel
        clock = kernel.clock if isinstance(kernel.clock, Set) else Set(kernel.clock)
        clock.by = now - time.time_ns()
        guarded.stop()
        guarded._kernel = SimpleNamespace(clock=clock, msgbus=kernel.msgbus, cache=kernel.cache)

    desk.do(turn)


def kept(desk: Desk, guard: str) -> dict[str, Any]:
    found = desk.journal.load_state(f"guard:{guard}", "state")
    assert found is not None
    return dict(json.loads(found))


def day_of(desk: Desk) -> int:
    return int(kept(desk, "daily")["state"]["equity"]["day"])


def test_a_halt_for_the_day_ends_at_midnight_and_a_clock_set_back_undoes_nothing(
    tmp_path: Path,
) -> None:
    guarded: dict[str, Any] = {"actors": GUARDS, "risk": RISK, "folder": tmp_path}
    midnight = (time.time_ns() // DAY_NS + 2) * DAY_NS
    stands = [("daily", "HALT_ENTRIES", "desk"), ("tiers", "SHRINK", "desk")]
    with stage() as st:
        with desk_node(st, **guarded) as desk:
            set_clock(desk, midnight - 60 * SECOND)
            desk.until(lambda: day_of(desk) + 1 == midnight // DAY_NS)
            desk.filled(BUY, "0.100")
            desk.until(lambda: verdicts(desk) == stands, "the verdicts")
            [latch] = kept(desk, "daily")["latches"]
            assert latch["until"] == midnight
            assert "halt_entries by daily" in refused(desk)
            peak = kept(desk, "tiers")["state"]["peaks"]
            # Midnight: the day begins with what is left, the drawdown goes on.
            set_clock(desk, midnight - SECOND)
            desk.until(lambda: verdicts(desk) == stands[1:], "midnight")
            day = kept(desk, "daily")["state"]
            assert day["equity"]["day"] * DAY_NS == midnight
            assert float(day["equity"]["value"]) < 100_000 - 2
            desk.filled(BUY, "0.010")
            assert kept(desk, "tiers")["state"]["peaks"] == peak
            # An hour back, into the day before: no day begins, and neither does one end.
            set_clock(desk, midnight - 3_600 * SECOND)
            desk.wait(0.5)
            assert kept(desk, "daily")["state"] == day
            assert verdicts(desk) == stands[1:]
            # What is lost counts for the day that had begun.
            desk.filled(BUY, "0.100")
            desk.until(lambda: verdicts(desk) == stands, "the verdicts")
            halted = kept(desk, "daily")
            set_clock(desk, midnight - 7_200 * SECOND)
            desk.wait(0.5)
            assert kept(desk, "daily") == halted
            assert "halt_entries by daily" in refused(desk)
            tiers, trades = kept(desk, "tiers"), kept(desk, "trades")
            halted = kept(desk, "daily")
        # The host's own clock, nearly two days behind the one that it has lived through.
        with desk_node(st, **guarded) as desk:
            assert verdicts(desk) == stands
            assert "halt_entries by daily" in refused(desk)
            desk.wait(0.5)
            assert kept(desk, "daily") == halted
            assert kept(desk, "tiers") == tiers
            assert kept(desk, "trades") == trades
