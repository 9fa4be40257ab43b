"""Dates and times of documents: always UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PATTERN = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|\+00:00)?)?$"


def parse(value: object) -> datetime:
    """Return the moment that a text names.

    Parameters
    ----------
    value : object
        ``2024-01-31``, ``2024-01-31 12:00`` or ``2024-01-31T12:00:00Z``; without a zone it is UTC.

    Raises
    ------
    ValueError
        When it is no such text, or names another time zone.
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


def nanoseconds(moment: datetime) -> int:
    """Return UNIX nanoseconds (UTC)."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _schema() -> dict[str, Any]:
    return {"type": "string", "pattern": PATTERN}


Moment = Annotated[
    datetime,
    BeforeValidator(parse),
    PlainSerializer(show, return_type=str, when_used="json"),
    WithJsonSchema(_schema()),
]
"""A UTC date (its midnight) or time."""
