"""Parse and format candle intervals, durations, times of day and UTC dates."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from config.errors import InputError, hint

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS

INTERVALS: dict[str, int] = {
    "1m": MINUTE_NS,
    "3m": 3 * MINUTE_NS,
    "5m": 5 * MINUTE_NS,
    "15m": 15 * MINUTE_NS,
    "30m": 30 * MINUTE_NS,
    "1h": HOUR_NS,
    "2h": 2 * HOUR_NS,
    "4h": 4 * HOUR_NS,
    "6h": 6 * HOUR_NS,
    "12h": 12 * HOUR_NS,
    "1d": DAY_NS,
}
"""Nanoseconds of each interval that Bybit has, finest first."""
STORED = {**INTERVALS, "8h": 8 * HOUR_NS}
"""Nanoseconds of each interval that a catalog can keep (freqtrade has mark prices of 8h)."""

Interval = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"]

_ENGINE_UNITS = {"m": "MINUTE", "h": "HOUR", "d": "DAY"}


def interval_ns(name: str) -> int:
    """Return the nanoseconds of an interval; raise InputError for an unknown name."""
    if name not in STORED:
        there = f"there are {', '.join(INTERVALS)}{hint(name, STORED)}"
        raise InputError(f"no interval {name!r}; {there}")
    return STORED[name]


def bar_type(instrument_id: str, interval: str) -> str:
    """Return the engine's name of a candle series; raise InputError for an unknown interval.

    Examples
    --------
    >>> bar_type("BTCUSDT-LINEAR.BYBIT", "1d")
    'BTCUSDT-LINEAR.BYBIT-1-DAY-LAST-EXTERNAL'
    """
    interval_ns(interval)
    return f"{instrument_id}-{interval[:-1]}-{_ENGINE_UNITS[interval[-1]]}-LAST-EXTERNAL"


DURATION = r"^[1-9][0-9]*[smhd]$"
FINE_DURATION = r"^[1-9][0-9]*(ms|s|m|h|d)$"
CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"
_UNITS_NS = {"ms": 10**6, "s": SECOND_NS, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS}


@cache
def duration_ns(text: str) -> int:
    """Return the nanoseconds of a duration such as ``300ms``, ``30s``, ``5m``, ``4h`` or ``1d``.

    Raises ValueError unless it is a whole positive number followed by ms, s, m, h or d.
    """
    if not re.match(FINE_DURATION, text):
        raise ValueError(f"expected a duration such as 5m, 4h or 1d, was {text!r}")
    number = text.rstrip("mshd")
    return int(number) * _UNITS_NS[text[len(number) :]]


def offset_ns(text: str) -> int:
    """Return the nanoseconds of a clock time ``HH:MM`` or ``HH:MM:SS`` since the period's start.

    Raises ValueError unless it is a clock time below 24:00.
    """
    if not re.match(CLOCK, text):
        raise ValueError(f'expected a clock time such as "00:05", was {text!r}')
    hours, minutes, seconds = (*map(int, text.split(":")), 0)[:3]
    return (hours * 3600 + minutes * 60 + seconds) * SECOND_NS


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PATTERN = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|\+00:00)?)?$"


def parse(value: object) -> datetime:
    """Return the moment of ``2024-01-31``, ``2024-01-31 12:00`` or ``2024-01-31T12:00:00Z``.

    Without a zone it is UTC. Raises ValueError for other text, or another time zone.
    """
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(
                f"must be a UTC date such as 2024-01-31 or a time 2024-01-31T12:00 ({error})"
            ) from None
    else:
        raise ValueError("must be a UTC date such as 2024-01-31")
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    if moment.utcoffset() != timedelta(0):
        raise ValueError("must be in UTC (end in Z or name no zone)")
    return moment.astimezone(UTC)


def show(moment: datetime) -> str:
    """Return the shortest text that `parse` reads back as the same moment."""
    if (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0):
        return moment.date().isoformat()
    return moment.replace(tzinfo=None).isoformat() + "Z"


def minute_text(ns: int) -> str:
    """Return UNIX nanoseconds (UTC) as ``2024-01-31 00:05``."""
    return f"{datetime.fromtimestamp(int(ns) // 10**9, UTC):%Y-%m-%d %H:%M}"


def second_text(ns: int) -> str:
    """Return UNIX nanoseconds (UTC) as ``2024-01-31 00:05:07``."""
    return f"{datetime.fromtimestamp(int(ns) // 10**9, UTC):%Y-%m-%d %H:%M:%S}"


def nanoseconds(moment: datetime) -> int:
    """Return UNIX nanoseconds (UTC)."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


Moment = Annotated[
    datetime,
    BeforeValidator(parse),
    PlainSerializer(show, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": PATTERN}),
]
"""A UTC date (its midnight) or time."""
