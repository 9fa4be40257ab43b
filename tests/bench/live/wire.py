"""From a changed book to the order on the wire: our node against the bare one, in turns.

Both run at the same time against one exchange; each has a signal of its own, and these change in
turns, far enough apart for one answer to be over before the other begins. The time goes from the
exchange's sending of the book to its receipt of the order. Ours has the standard guards.
"""

from __future__ import annotations

import time

from tests.bench import Row
from tests.bench.live.meter import quantile
from tests.bench.live.parties import VenueProcess, party

UPDATES_PER_SECOND = 60
"""Of both signals together."""
SECONDS = 60.0
"""Ours compares its books with the venue every ten: its stalls must be in, and p99 needs orders."""
SETTLING_S = 3.0
AIMS = {"p50": (0.50, 1.1), "p99": (0.99, 1.2)}
"""Share and largest ratio of ours to the bare one."""


def measured(seconds: float = SECONDS) -> dict[str, list[int]]:
    """Return the latencies of both, ordered, nanoseconds."""
    with (
        VenueProcess(signals=2) as venue,
        party("ours", venue, trades=True, guards=True) as ours,
        party("bare", venue, trades=True) as bare,
    ):
        venue.tell("pace", rate=UPDATES_PER_SECOND)
        for one in (ours, bare):
            one.first_order_ns()
        time.sleep(SETTLING_S)
        venue.tell("begin")
        time.sleep(seconds)
        report = venue.tell("report")
    return {name: sorted(values) for name, values in report["latencies"].items()}


def run() -> list[Row]:
    found = measured()
    rows = []
    for name, (share, aim) in AIMS.items():
        ours, bare = (quantile(found[party], share) / 1e6 for party in ("ours", "bare"))
        numbers = f"{len(found['ours'])} and {len(found['bare'])} orders"
        rows += [
            Row(f"book update to order on the wire, {name}: ours", f"{ours:.2f} ms"),
            Row(f"the same, bare strategy on the stock adapter ({numbers})", f"{bare:.2f} ms"),
            Row(f"ours / bare, {name}", f"{ours / bare:.2f} x", f"<= {aim} x", ours / bare <= aim),
        ]
    return rows
