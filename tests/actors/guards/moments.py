"""Instruments and times that the tests of guards share."""

from actors.guards.core.examples import COIN, NOON, OTHER
from config.durations import DAY_NS, HOUR_NS

__all__ = ["BTC", "BTC_SPOT", "ETH", "HOUR", "MINUTE", "MS", "NOON", "SECOND", "at"]

BTC, ETH, BTC_SPOT = COIN, OTHER, "BTCUSDT-SPOT.BYBIT"
MS, SECOND, MINUTE, HOUR = 10**6, 10**9, 60 * 10**9, HOUR_NS


def at(day: float, clock: str = "00:00") -> int:
    """Return the nanoseconds of a clock time on a day after 4 October 2024, on which NOON is."""
    hours, minutes = map(int, clock.split(":"))
    return int((20_000 + day) * DAY_NS) + hours * HOUR + minutes * MINUTE
