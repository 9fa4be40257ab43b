"""What listening costs: CPU, memory and lag of a node that hears 1,000 and 10,000 books a second.

Ten books, two changed levels a message; ours and the bare one follow each other on one exchange.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.bench import Row
from tests.bench.live.paced_market import Name
from tests.bench.live.parties import VenueProcess, party

SIGNALS = 10
RATES = (1_000, 10_000)
SETTLING_S = 2.0
SECONDS = 6.0
DELIVERED = 0.97
"""Of the wanted rate, for a figure to stand for it."""


@dataclass(frozen=True)
class Load:
    """What was seen at one rate."""

    rate: float  # Books a second that the node received
    cpu: float  # Cores used by the node
    rss_mb: float  # Its memory at the end
    lag_p50_ms: float  # Of the second in the middle by its p99
    lag_p99_ms: float
    exchange_cpu: float  # Cores used by the exchange


def measured(name: Name, venue: VenueProcess) -> dict[int, Load]:
    """Return what a node does at each rate."""
    found = {}
    venue.tell("pace", rate=100)
    with party(name, venue, trades=False) as one:
        one.wait(lambda: any(r.messages for r in one.readings()), "a book")
        for rate in RATES:
            venue.tell("pace", rate=rate)
            time.sleep(SETTLING_S)
            before = venue.tell("report")
            time.sleep(SECONDS)
            after = venue.tell("report")
            inside = [r for r in one.readings() if before["now"] <= r.at <= after["now"]]
            first, last = inside[0], inside[-1]
            span = (last.at - first.at) / 1e9
            lags = sorted((r.lag_p99_ms or 0.0, r.lag_p50_ms or 0.0) for r in inside)
            p99, p50 = lags[len(lags) // 2]
            exchange = after["cpu_s"] - before["cpu_s"]
            found[rate] = Load(
                rate=(last.messages - first.messages) / span,
                cpu=(last.cpu_s - first.cpu_s) / span,
                rss_mb=last.rss_mb,
                lag_p50_ms=p50,
                lag_p99_ms=p99,
                exchange_cpu=exchange / ((after["now"] - before["now"]) / 1e9),
            )
        venue.tell("pace", rate=0)
    return found


def run() -> list[Row]:
    with VenueProcess(signals=SIGNALS) as venue:
        ours, bare = measured("ours", venue), measured("bare", venue)
    rows = []
    for rate in RATES:
        for words, load in (("ours", ours[rate]), ("bare strategy", bare[rate])):
            short = "" if load.rate >= DELIVERED * rate else f" (only {load.rate:,.0f} came)"
            used = f"{load.cpu:.0%} of a core, {load.rss_mb:.0f} MB"
            lag = f"lag p50 {load.lag_p50_ms:.1f} p99 {load.lag_p99_ms:.1f} ms"
            rows.append(Row(f"{rate:,} book updates a second{short}: {words}", f"{used}, {lag}"))
        # Of a book, since both may not have been sent quite as many.
        ratio = ours[rate].cpu / ours[rate].rate / (bare[rate].cpu / bare[rate].rate)
        rows.append(Row(f"CPU a book at {rate:,} a second, ours / bare", f"{ratio:.2f} x"))
        busy = max(ours[rate].exchange_cpu, bare[rate].exchange_cpu)
        rows.append(Row(f"the exchange that sends {rate:,} a second", f"{busy:.0%} of a core"))
    return rows
