"""From a changed book to the order on the wire: our node against the bare one, in turns.

Both run at the same time against one exchange; each has a signal of its own, and these change in
turns, far enough apart for one answer to be over before the other begins. The time goes from the
exchange's sending of the book to its receipt of the order. Ours has the standard guards.

Then a flood of books, of which some twenty a second are answered: one after the other, since two
cores carry no more than the exchange and one node.
"""

from __future__ import annotations

import time

from tests.bench import Row
from tests.bench.live.meter import quantile
from tests.bench.live.paced_market import PARTIES
from tests.bench.live.parties import VenueProcess, party

UPDATES_PER_SECOND = 60
"""Of both signals together."""
SECONDS = 60.0
"""Ours compares its books with the venue every ten: its stalls must be in, and p99 needs orders."""
SETTLING_S = 3.0
FLOODS = (1_000, 5_000, 20_000)
"""Book updates a second, of all symbols."""
SYMBOLS = 20
"""Whose books are heard; those of one are answered."""
FLOOD_S = 15.0
ORDERS_PER_SECOND = 20
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


def flooded(rate: int, *, scalps: bool = False) -> tuple[dict[str, list[int]], float]:
    """Return both latencies as `measured` does, and how many books a second were sent at least."""
    found, sent = {}, float(rate)
    with VenueProcess(SYMBOLS) as venue:
        for name in PARTIES:
            every = rate // SYMBOLS // ORDERS_PER_SECOND
            how = {"every": every, "guards": True, "all_books": True, "scalps": scalps}
            with party(name, venue, trades=True, **how) as one:
                venue.tell("pace", rate=rate)
                one.first_order_ns()
                time.sleep(SETTLING_S)
                venue.tell("begin")
                before = venue.tell("report")
                time.sleep(FLOOD_S)
                after = venue.tell("report")
                passed = (after["now"] - before["now"]) / 1e9
                sent = min(sent, (after["pushes"] - before["pushes"]) / passed)
                found[name] = sorted(after["latencies"].get(name, ()))
                venue.tell("pace", rate=0)
    return found, sent


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
    for rate in FLOODS:
        found, sent = flooded(rate)
        said = {}
        for party_ in PARTIES:
            p50, p99 = (quantile(found[party_], share) / 1e6 for share in (0.50, 0.99))
            said[party_] = f"{party_} {p50:.2f} / {p99:.2f} ms ({len(found[party_])} orders)"
        what = f"the same, p50 / p99, at {rate:,} book updates a second ({sent:,.0f} sent)"
        rows.append(Row(what, ", ".join(said.values())))
    return rows
