"""A catalog's files as plain dictionaries of Decimals: what books kept by hand are written from.

Nothing of ours is imported, so that no mistake of ours can be made twice.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
Prices = dict[int, Decimal]


@dataclass(frozen=True)
class Raw:
    """One instrument: facts as in catalog.json; prices by the candle's close time."""

    facts: dict[str, Any]
    hour_opens: Prices
    hour_closes: Prices
    day_closes: Prices
    mark_closes: Prices
    rates: Prices

    @property
    def tick(self) -> Decimal:
        return Decimal(self.facts["tick"])

    @property
    def lot(self) -> Decimal:
        return Decimal(self.facts["lot"])

    @property
    def ends(self) -> int:
        """Close of the last hour that traded."""
        return max(self.hour_closes)

    def next_open(self, after: int) -> tuple[int, Decimal] | None:
        """Return when the next candle opens, and at what, for an order that arrives a second late.

        An open at the very time of the order comes after it.
        """
        opens_at = -(-after // HOUR) * HOUR
        while opens_at + HOUR <= self.ends:
            if opens_at + HOUR in self.hour_opens:
                return opens_at, self.hour_opens[opens_at + HOUR]
            opens_at += HOUR
        return None


def newest(prices: Prices, at: int) -> Decimal | None:
    times = sorted(prices)
    place = bisect_right(times, at)
    return prices[times[place - 1]] if place else None


def read_raw(catalog: Path) -> dict[str, Raw]:
    version = catalog / "versions" / (catalog / "CURRENT").read_text(encoding="utf-8").strip()
    listed = json.loads((version / "catalog.json").read_text(encoding="utf-8"))["instruments"]
    found = {}
    for name, facts in listed.items():
        if facts["product"] != "LINEAR":
            continue
        hours, days = (version / f"raw/bars/{size}/{name}.parquet" for size in ("1h", "1d"))
        found[name] = Raw(
            facts=facts,
            hour_opens=_column(hours, "open"),
            hour_closes=_column(hours, "close"),
            day_closes=_column(days, "close"),
            mark_closes=_column(version / f"raw/mark/1h/{name}.parquet", "close"),
            rates=_column(version / f"raw/funding/{name}.parquet", "rate"),
        )
    return found


def _column(file: Path, name: str) -> Prices:
    table = pq.read_table(file, partitioning=None)
    numbers = (Decimal(repr(value)) for value in table.column(name).to_pylist())
    return dict(zip(table.column("ts").to_pylist(), numbers, strict=True))
