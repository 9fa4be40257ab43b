"""What a running node says to the person who watches: decisions, and when the next ones come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from strategies.base import DeskStrategy
from strategies.messages import Decision
from strategies.schedule import next_fire


def decision_line(decision: Decision) -> str:
    """Return a decision in one line."""
    orders = sum(Decimal(target.order) != 0 for target in decision.targets)
    note = f": {decision.note}" if decision.note else ""
    hours = (decision.ts - decision.data_ts) / 3.6e12
    age = f" on candles that closed {hours:.1f} h ago" if hours >= 1 else ""
    some = f"{orders} order{'' if orders == 1 else 's'}"
    return (
        f"{decision.strategy}: {decision.kind}{age}, {some}, gross {decision.gross:.2f}, "
        f"net {decision.net:+.2f}{note}"
    )


def waiting_lines(strategies: Mapping[str, DeskStrategy], now_ns: int) -> Iterator[str]:
    """Say what is waited for: a node that does nothing for hours must not look stuck."""
    for key, strategy in strategies.items():
        schedule = strategy.schedule()
        if schedule is not None:
            at = next_fire(now_ns, *schedule)
            stamp = datetime.fromtimestamp(at / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            minutes = round((at - now_ns) / 60e9)
            yield f"{key}: next decision at {stamp}, in {minutes // 60} h {minutes % 60} min"
