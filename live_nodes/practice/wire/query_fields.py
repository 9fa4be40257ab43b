"""Read and check request parameters from a query string or JSON body; wrong ones get 10001."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from live_nodes.practice.exchange.model import WEEK_MS, BybitRefusal
from live_nodes.practice.wire.spelling import Json

CATEGORIES = ("linear", "spot")


def wrong(name: str, why: str) -> BybitRefusal:
    """Return Bybit's refusal (10001) of a parameter."""
    return BybitRefusal(10001, f"Request parameter error: {name} {why}.")


def text(params: Mapping[str, Any], name: str, choices: Collection[str] = ()) -> str:
    """Return a required parameter (one of `choices`, if given)."""
    value = params.get(name)
    if value is None or value == "":
        raise wrong(name, "is missing")
    if choices and value not in choices:
        raise wrong(name, f"must be one of {', '.join(choices)}, was {value!r:.40}")
    return str(value)


def category(params: Mapping[str, Any], default: str = "") -> str:
    """Return the product: ``linear`` or ``spot``; no others are served."""
    if default and not params.get("category"):
        return default
    return text(params, "category", CATEGORIES)


def integer(params: Mapping[str, Any], name: str) -> int | None:
    """Return a whole number, or None when it is not given."""
    value = params.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not re.fullmatch("-?[0-9]{1,18}", str(value)):
        raise wrong(name, f"must be a whole number, was {value!r:.40}")
    return int(value)


def limit(params: Mapping[str, Any], default: int, most: int) -> int:
    """Return the number of rows to send: at least 1, cut to `most` as at Bybit."""
    value = integer(params, "limit")
    if value is None:
        return default
    if value < 1:
        raise wrong("limit", f"must be 1 to {most}, was {value}")
    return min(value, most)


def window(params: Mapping[str, Any], now_ms: int, default_ms: int = WEEK_MS) -> tuple[int, int]:
    """Return startTime and endTime (ms, inclusive) with the defaults of Bybit's history calls.

    Neither: the last `default_ms`. One of them: seven days from or up to it. Both: at most seven
    days apart, else 10001.
    """
    start, end = integer(params, "startTime"), integer(params, "endTime")
    if start is None and end is None:
        return now_ms - default_ms, now_ms
    if start is None:
        assert end is not None
        return end - WEEK_MS, end
    if end is None:
        return start, start + WEEK_MS
    if not 0 <= end - start <= WEEK_MS:
        raise wrong("endTime", "must be up to seven days after startTime")
    return start, end


def page[T](
    rows: Sequence[T],
    id_of: Callable[[T], str],
    write: Callable[[T], Json],
    params: Mapping[str, Any],
    size: int,
) -> Json:
    """Write one page of rows, newest first, and the next page's cursor (empty: none).

    The cursor is the last row's id, so that newer rows do not shift the pages.
    """
    begin = 0
    if cursor := params.get("cursor"):
        ids = [id_of(row) for row in rows]
        if str(cursor) not in ids:
            raise wrong("cursor", "is not one of this list's")
        begin = ids.index(str(cursor)) + 1
    end = begin + size
    following = id_of(rows[end - 1]) if end < len(rows) else ""
    return {"list": [write(row) for row in rows[begin:end]], "nextPageCursor": following}
