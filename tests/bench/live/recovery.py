"""How long orders stop after a link is cut, and after kill -9 with a restart.

Both strategies send orders all the time; a cut hits both at the same moment. Counted is the pause
until the next order comes in. Ours holds entries until the link is proven to be logged in; the bare
one sends what it has as soon as the adapter lets it, late orders included.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict

from tests.bench import Row
from tests.bench.live.paced_market import PARTIES
from tests.bench.live.parties import CHANNELS, VenueProcess, party

UPDATES_PER_SECOND = 60
CUTS = 2
PAUSE_S = 4.0
"""Between two cuts."""


def pauses(venue: VenueProcess) -> dict[tuple[str, str], float]:
    """Return the median pause in seconds by link and party; NaN for one that never came back."""
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for channel in CHANNELS * CUTS:
        venue.tell("begin")
        at = venue.tell("kill", channel=channel)["now"]
        time.sleep(PAUSE_S)
        arrivals = venue.tell("report")["arrivals"]
        for name in PARTIES:
            later = [came for came in arrivals.get(name, []) if came > at]
            # The longest silence since the cut: one that was on its way may still come in.
            silences = [b - a for a, b in zip([at, *later], later, strict=False)]
            found[channel, name].append(max(silences) / 1e9 if later else float("nan"))
    return {key: statistics.median(values) for key, values in found.items()}


def run() -> list[Row]:
    with (
        VenueProcess(signals=2) as venue,
        party("ours", venue, trades=True) as ours,
        party("bare", venue, trades=True) as bare,
    ):
        venue.tell("pace", rate=UPDATES_PER_SECOND)
        for one in (ours, bare):
            one.first_order_ns()
        time.sleep(PAUSE_S)
        found = pauses(venue)
        bare.stop()
        ours.kill()
        venue.tell("begin")
        ours.start()
        again = (ours.first_order_ns() - ours.started_ns) / 1e9
    rows = []
    for channel in CHANNELS:
        both = f"{found[channel, 'ours']:.2f} s, {found[channel, 'bare']:.2f} s"
        rows.append(Row(f"{channel} link cut to orders again: ours, bare", both))
    rows.append(Row("kill -9, started again at once, to the next order: ours", f"{again:.1f} s"))
    return rows
