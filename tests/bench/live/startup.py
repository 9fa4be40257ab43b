"""From the start of the process to its first order at the exchange: ours and the bare one in turns.

Ours asks the venue about clock, keys, fees, modes and history, compares the books and proves its
logins before a strategy starts; the bare one does none of that.
"""

from __future__ import annotations

import statistics

from tests.bench import Row
from tests.bench.live.paced_market import Name
from tests.bench.live.parties import VenueProcess, party

STARTS = 2
UPDATES_PER_SECOND = 40


def run() -> list[Row]:
    taken: dict[Name, list[float]] = {"ours": [], "bare": []}
    with VenueProcess(signals=2) as venue:
        venue.tell("pace", rate=UPDATES_PER_SECOND)
        for _ in range(STARTS):
            for name, seconds in taken.items():
                venue.tell("begin")
                with party(name, venue, trades=True) as one:
                    seconds.append((one.first_order_ns() - one.started_ns) / 1e9)
    ours, bare = (statistics.median(taken[name]) for name in ("ours", "bare"))
    return [
        Row("start of the process to the first order: ours, gates and all", f"{ours:.1f} s"),
        Row("the same, bare strategy", f"{bare:.1f} s"),
    ]
