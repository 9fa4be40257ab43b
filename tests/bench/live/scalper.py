"""From a changed book to the order on the wire, with the scalper's eight signals before it.

As the floods of `tests.bench.live.wire`: ours shows each book of all symbols to their signals and
answers one after it has decided on its scores, at the pace of its defaults; the bare strategy only
answers. Both take turns, some times at each rate.
"""

from __future__ import annotations

import os
import statistics

from tests.bench import Row
from tests.bench.live.meter import quantile
from tests.bench.live.paced_market import PARTIES
from tests.bench.live.wire import FLOODS, flooded

TURNS = 3
AIM = 1.3
SHARES = {"p50": 0.50, "p99": 0.99}


def run() -> list[Row]:
    """Return a row for p50 and p99 at each rate: medians of the turns."""
    rows = []
    for rate in FLOODS:
        turns = [flooded(rate, scalps=True) for _ in range(TURNS)]
        sent = min(sent for _, sent in turns)
        load = f"{sent:,.0f} sent; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        for name, share in SHARES.items():
            ours, bare = (
                statistics.median(quantile(found[party], share) / 1e6 for found, _ in turns)
                for party in PARTIES
            )
            what = f"book update to order, {name}, at {rate:,} updates a second ({load})"
            text = f"scalper {ours:.2f} ms, bare {bare:.2f} ms, {ours / bare:.2f} x"
            rows.append(Row(what, text, f"<= {AIM} x", ours / bare <= AIM))
    return rows
