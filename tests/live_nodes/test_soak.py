"""Ten minutes of a node that trades: memory stays, messages are on time; live benchmarks measure.

``SOAK_SECONDS`` shortens the soak. Every second's reading goes to ``results/soak.csv``.
"""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bench.live import journal, wire
from tests.bench.live.meter import Reading
from tests.bench.live.parties import ROOT, VenueProcess, party
from tests.live_nodes.node.test_metrics import free_port, get

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
UPDATES_PER_SECOND = 400
EVERY = 40
"""Changes of its signal (half of the updates) for an order: five orders a second."""
WARM = 0.3
"""Share of the time that memory may take to come to rest."""
LARGEST_GAP_S = 5.0
CUTS = ("public", "private", "trade")
MOST_KB_AN_ORDER = 24.0
"""The engine keeps every order and its events; more than that grows elsewhere."""
MOST_MB_A_MINUTE = 2.0
LEAST_SECONDS = 300.0
"""A shorter run is all warm-up: its slope is printed and not judged."""
LATEST_P99_MS = 100.0
"""Median over the seconds; stamps of the exchange are cut off to milliseconds."""


@pytest.mark.soak
def test_a_node_that_trades_for_long_neither_grows_nor_gets_late() -> None:
    with VenueProcess(signals=2) as venue, party("ours", venue, trades=True, every=EVERY) as ours:
        venue.tell("pace", rate=UPDATES_PER_SECOND)
        ours.first_order_ns()
        venue.tell("begin")
        # A link is cut now and then: what a reconnect leaves behind would grow as well.
        for n in range(len(CUTS) + 1):
            time.sleep(SECONDS / (len(CUTS) + 1))
            if n < len(CUTS):
                venue.tell("kill", channel=CUTS[n])
        report = venue.tell("report")
        readings = ours.readings()
    orders = len(report["arrivals"]["ours"])
    record(readings)

    minutes = np.array([r.at for r in readings]) / 60e9
    steady = minutes >= minutes[0] + WARM * (minutes[-1] - minutes[0])
    rss = np.array([r.rss_mb for r in readings])
    slope = float(np.polyfit(minutes[steady], rss[steady], 1)[0])
    orders_a_minute = orders / (SECONDS / 60)
    lags = sorted(r.lag_p99_ms for r in readings if r.lag_p99_ms is not None)
    p50s = sorted(r.lag_p50_ms for r in readings if r.lag_p50_ms is not None)
    span = (readings[-1].at - readings[0].at) / 1e9
    figures = {
        "seconds": f"{span:.0f}",
        "books received": f"{readings[-1].messages:,}",
        "orders": f"{orders:,}",
        "CPU": f"{(readings[-1].cpu_s - readings[0].cpu_s) / span:.1%} of a core",
        "memory, first and last": f"{rss[0]:.1f} MB, {rss[-1]:.1f} MB",
        "memory slope after the warm-up": f"{slope:+.3f} MB a minute",
        "the same an order": f"{slope / orders_a_minute * 1024:+.1f} KB",
        "lag p50, median of the seconds": f"{p50s[len(p50s) // 2]:.2f} ms",
        "lag p99, median of the seconds": f"{lags[len(lags) // 2]:.2f} ms",
        "lag p99, worst second": f"{lags[-1]:.1f} ms",
    }
    for name, figure in figures.items():
        print(f"{name:<36}{figure}")

    gaps = np.diff([r.at for r in readings]) / 1e9
    assert gaps.max() < LARGEST_GAP_S, "the node stood still"
    assert orders >= 0.8 * SECONDS * UPDATES_PER_SECOND / 2 / EVERY
    assert lags[len(lags) // 2] < LATEST_P99_MS
    if SECONDS >= LEAST_SECONDS:
        assert slope < MOST_MB_A_MINUTE + orders_a_minute * MOST_KB_AN_ORDER / 1024


HOURS = 10
LOAD = {"messages": HOURS * 3600 * 20, "orders": HOURS * 60}
"""Of ten hours: twenty books a second, an order a minute."""
HURRY = 10
MOST_MB_AN_HOUR = 10.0


@pytest.mark.soak
def test_the_load_of_ten_hours_grows_memory_by_less_than_ten_megabytes_an_hour() -> None:
    """In ten minutes; what goes by the clock goes ten times faster."""
    rate = LOAD["messages"] / SECONDS
    port = free_port()
    changes: dict[str, Any] = {
        "metrics": {"port": port},
        "risk": {"every": 0.5 / HURRY},
        "watch": {
            "throttle": {"per_second": 1000, "burst": 1000},
            "sweep_every": 10 / HURRY,
            "snapshot_every": 10 / HURRY,
            "clock_every": 30 / HURRY,
            "backup_every": 300 / HURRY,
        },
    }
    # One of two signals is its own.
    every = round(LOAD["messages"] / 2 / LOAD["orders"])
    settings: dict[str, Any] = {"trades": True, "every": every, "all_books": True, "guards": True}
    with (
        VenueProcess(signals=2) as venue,
        party("ours", venue, **settings, changes=changes) as ours,
    ):
        venue.tell("pace", rate=rate)
        ours.first_order_ns()
        venue.tell("begin")
        began = time.monotonic()
        while time.monotonic() - began < SECONDS:
            # As often as a Prometheus would in ten hours, for the share that the clock has.
            get(port, "/metrics")
            time.sleep(15 / HURRY)
        orders = len(venue.tell("report")["arrivals"]["ours"])
        readings = ours.readings()
    heard = np.array([r.messages for r in readings])
    hours = heard / LOAD["messages"] * HOURS
    rss = np.array([r.rss_mb for r in readings])
    steady = hours >= WARM * hours[-1]
    slope = float(np.polyfit(hours[steady], rss[steady], 1)[0])
    print(f"{heard[-1]:,} books and {orders:,} orders, as in {hours[-1]:.1f} hours")
    print(f"memory {rss[0]:.1f} MB at first, {rss[steady][0]:.1f} warm, {rss[-1]:.1f} at last")
    print(f"slope after the warm-up {slope:+.2f} MB an hour of the load")
    if SECONDS >= LEAST_SECONDS:
        assert hours[-1] > 0.8 * HOURS
        assert slope < MOST_MB_AN_HOUR


def record(readings: list[Reading]) -> None:
    """Keep every second's reading."""
    file = Path(ROOT) / "results" / "soak.csv"
    file.parent.mkdir(exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["seconds", "cpu_s", "rss_mb", "messages", "lag_p50_ms", "lag_p99_ms"])
        for r in readings:
            at = f"{(r.at - readings[0].at) / 1e9:.1f}"
            rows.writerow([at, r.cpu_s, r.rss_mb, r.messages, r.lag_p50_ms, r.lag_p99_ms])


MEASURED_S = 3.0


@pytest.mark.slow
def test_both_strategies_answer_nearly_every_book_of_their_signal() -> None:
    found = wire.measured(MEASURED_S)
    sent = MEASURED_S * wire.UPDATES_PER_SECOND / 2
    for name in ("ours", "bare"):
        assert 0.8 * sent <= len(found[name]) <= sent + 2
        assert found[name] == sorted(found[name])
        assert 0 < found[name][0] < 1e9


def test_the_journal_s_commits_are_timed(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "COMMITS", 20)
    monkeypatch.setattr(journal, "WARM", 1)
    found = journal.taken(tmp_path_factory.mktemp("journal"))
    assert len(found) == 20
    assert 0 < found[0] <= found[-1]
