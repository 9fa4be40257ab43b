"""What the journal costs on an order's way: the commit of an intent, on this machine's disk."""

from __future__ import annotations

import tempfile
import time
from decimal import Decimal
from pathlib import Path

from actors.records.journal import Journal
from actors.records.order_facts import OrderFacts
from tests.bench import Row
from tests.bench.live.meter import quantile

COMMITS = 5_000
WARM = 500
AIM_US = 100


def taken(folder: Path) -> list[int]:
    """Return how long each commit took, ordered, nanoseconds."""
    found = []
    with Journal.open(folder, node="bench") as journal:
        journal.begin_run(environment="practice", document="bench")
        for number in range(WARM + COMMITS):
            facts = OrderFacts(
                operation="submit", client_order_id=f"be-echo-m0000000-{number:06d}",
                strategy="echo", instrument="BTCUSDT-LINEAR.BYBIT", side="BUY",
                quantity=Decimal("0.010"), ts=time.time_ns(), order_type="MARKET",
                time_in_force="GTC", reason="bench",
            )  # fmt: skip
            began = time.perf_counter_ns()
            journal.intended(facts)
            found.append(time.perf_counter_ns() - began)
    return sorted(found[WARM:])


def run() -> list[Row]:
    # Beside the real journals: a temporary folder may be in memory.
    room = Path("live_nodes/state")
    room.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=room, prefix="bench-") as folder:
        found = taken(Path(folder))
    p50, p99 = (quantile(found, share) / 1e3 for share in (0.50, 0.99))
    what, met = "journal, an order's intent committed, p50", p50 <= AIM_US
    return [
        Row(what, f"{p50:.0f} us", f"<= {AIM_US} us", met),
        Row("the same, p99", f"{p99:.0f} us"),
    ]
