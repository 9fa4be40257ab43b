"""All five systems on one account under mixed faults: the books equal the exchange's to the cent.

``ALL_SYSTEMS_SECONDS`` is how long faults strike; 3600 for an hour.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.records.journal_reading import read
from actors.records.rows import FillRow
from config.load import load
from live_nodes.local.practice_process import running_exchange
from live_nodes.operate.parity import compare, report_lines
from tests.live_nodes.stage import SCENARIOS
from tests.waiting import eventually

NODE = "live_nodes/nodes/all_systems_practice.yaml"
PERPDESK = [sys.executable, "perpdesk.py"]
SYSTEMS = {"reversal", "momentum", "scalper", "basis", "pairs"}
OF_FAULTS = ("cooldown", "crossed", "depth", "errors", "funding", "latency", "rejects", "spread")
OF_NODE = ("node.clock", "node.feed", "node.links", "node.position", "node.sweep")
EXPLAINED = {*OF_FAULTS, *OF_NODE, "stale", "unhedged"}
"""Guards that halt for the faults and for the market; no other has a reason to."""
SECONDS = float(os.environ.get("ALL_SYSTEMS_SECONDS", "300"))
CYCLE_S = 300.0
"""The scenario's faults have come and gone."""
CALM_S = 240.0
"""Within which all must agree after the last fault."""
CENT = Decimal("0.01")
LEAST_FOR_MEMORY_S = 3_600.0
"""A shorter run is all warm-up: its slope is printed and not judged."""
MOST_MB_AN_HOUR, MOST_KB_AN_ORDER = 40.0, 24.0
"""The engine keeps every order and its events."""
ZERO = Decimal(0)
Books = dict[tuple[str, str], tuple[Any, ...]]


class Together:
    """The node as a process, and the exchange that it started."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "all_systems" / "practice"
        self.output = state / "output"
        self.readings: list[tuple[float, float]] = []
        self.met: Counter[str] = Counter()
        self.node = [NODE, "--set", f"state={state}", "--set", "on_stop=flatten"]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [*PERPDESK, "live", *self.node], stdout=output, stderr=output
            )

    def ask(self, *command: str) -> str:
        """Run another command about the node, which must succeed."""
        done = subprocess.run(
            [*PERPDESK, *command, *self.node], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def admin(self, path: str, method: str = "GET", body: Any = None) -> Any:
        endpoint = running_exchange(self.folder / "exchange")
        assert endpoint is not None, "the exchange is gone"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{endpoint.admin}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def account(self) -> dict[str, Any]:
        return dict(self.admin("/state")["accounts"]["main"])

    def said(self) -> str:
        return self.output.read_text()

    def cycle(self, faults: dict[str, Any], seconds: float) -> None:
        """Let all faults of the scenario begin, and end after so many seconds."""
        self.admin("/faults", "POST", faults)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process.poll() is None, self.said()[-3000:]
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            kilobytes = float(status.partition("VmRSS:")[2].split()[0])
            self.readings.append((time.monotonic(), kilobytes / 1024))
            time.sleep(1)
        self.met.update({name: f["hits"] for name, f in self.admin("/faults").items()})
        self.admin("/faults", "DELETE")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(120) == 0, self.said()[-3000:]

    def memory_mb_an_hour(self) -> float:
        at, mb = np.array(self.readings).T
        steady = at >= at[0] + 0.3 * (at[-1] - at[0])
        return float(np.polyfit(at[steady], mb[steady], 1)[0]) * 3600


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Together]:
    made = Together(tmp_path)
    try:
        yield made
    finally:
        made.process.kill()
        endpoint = running_exchange(made.folder / "exchange")
        if endpoint is not None:
            os.kill(endpoint.pid, signal.SIGTERM)


def instrument_of(row: dict[str, Any]) -> str:
    product = "SPOT" if row.get("category") == "spot" else "LINEAR"
    return f"{row['symbol']}-{product}.BYBIT"


def theirs(account: dict[str, Any]) -> Books:
    """Return the exchange's executions by instrument and id."""
    return {
        (instrument_of(row), row["exec_id"]): (
            row["exec_type"],
            row["side"].upper(),
            Decimal(row["qty"]),
            Decimal(row["price"]),
            round(Decimal(row["fee"]), 8),  # As the engine counts money.
            row["fee_coin"],
        )
        for row in account["executions"]
    }


def ours(fills: list[FillRow]) -> Books:
    """Return the journal's executions in the same form."""
    return {
        (f.instrument, f.execution_id): (
            f.kind,
            f.side,
            f.quantity,
            f.price,
            round(f.fee, 8),
            f.fee_coin,
        )
        for f in fills
    }


def held(account: dict[str, Any]) -> dict[str, Decimal]:
    """Return the exchange's positions and coins by instrument."""
    found = {
        instrument_of(row): Decimal(row["size"]) * (1 if row["side"] == "Buy" else -1)
        for row in account["positions"]
    }
    coins = {row["coin"]: Decimal(row["balance"]) for row in account["wallet"]["coins"]}
    return found | {f"{c}USDT-SPOT.BYBIT": q for c, q in coins.items() if c != "USDT" and q}


def differences(together: Together) -> list[str]:
    """Return where our books differ from the exchange's."""
    account = together.account()
    with read(together.folder) as journal:
        booked, explained = ours(journal.fills_since(0)), journal.explained()
        traded = {row.instrument: row.quantity for row in journal.holdings() if row.quantity}
    there = theirs(account)
    wrong = [
        f"{key}: ours {booked.get(key)}, theirs {there.get(key)}"
        for key in sorted(booked.keys() | there.keys())
        if booked.get(key) != there.get(key)
    ]
    positions = held(account)
    for name in sorted(explained.keys() | traded.keys() | positions.keys()):
        books, engine, exchange = (
            found.get(name, ZERO) for found in (explained, traded, positions)
        )
        # A strategy holds whole lots of a coin.
        if books != exchange or (engine != exchange and name.endswith("-LINEAR.BYBIT")):
            wrong.append(f"{name}: the journal {books}, the engine {engine}, theirs {exchange}")
    return wrong


def traders(together: Together) -> set[str]:
    """Return the strategies that have traded."""
    with read(together.folder) as journal:
        return {f.strategy for f in journal.fills_since(0) if f.kind == "Trade"}


def halts(together: Together) -> list[str]:
    """Return what does not end by itself, as a lost limit would not."""
    with read(together.folder) as journal:
        return [f"{v.guard}: {v.reason}" for _, v in journal.standing() if not v.transient]


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_five_systems_under_mixed_faults_end_with_the_exchange_s_books(together: Together) -> None:
    eventually(lambda: "all_systems runs" in together.said(), together.said, 120, poll=0.5)
    scenario = load(str(SCENARIOS / "mixed.yaml")).document
    faults = {name: fault.model_dump(mode="json") for name, fault in scenario.faults.items()}
    began = time.monotonic()
    while (left := SECONDS - (time.monotonic() - began)) > 1:
        together.cycle(faults, min(left, CYCLE_S))
    eventually(lambda: traders(together) >= SYSTEMS, lambda: traders(together), CALM_S, poll=2)
    eventually(lambda: not differences(together), lambda: differences(together), CALM_S, poll=2)
    eventually(lambda: not halts(together), lambda: halts(together), CALM_S, poll=2)
    together.stop()

    account = together.account()
    with read(together.folder) as journal:
        fills, unsettled = journal.fills_since(0), journal.unsettled()
        halted = {verdict.guard for verdict in journal.verdicts() if verdict.action}
        decisions, orders, equity = (
            journal.decisions(),
            journal.orders_since(0),
            journal.last_equity(),
        )
    audit = together.ask("audit", "verify")
    report = json.loads(together.ask("report", "--from", "2020-01-01", "--json"))
    found = compare(sorted((together.folder / "recordings").iterdir())[-1])
    start = Decimal(100_000)
    fees = sum((f.fee for f in fills if f.kind != "Funding" and f.fee_coin == "USDT"), ZERO)
    funding = -sum((f.fee for f in fills if f.kind == "Funding"), ZERO)
    bought = sum((f.signed * f.price for f in fills if f.kind != "Funding"), ZERO)
    cash = start - bought - fees + funding
    wallet = {row["coin"]: Decimal(row["balance"]) for row in account["wallet"]["coins"]}
    traded = Counter(f.strategy for f in fills if f.kind == "Trade")
    for line in (
        f"decisions {len(decisions)}, orders {len(orders)}, fills {dict(traded)}",
        f"faults met: {dict(together.met)}",
        f"halts by {sorted(halted)}",
        f"fees {fees:.4f}, funding {funding:.4f}, cash {cash:.4f}, theirs {wallet['USDT']:.4f}",
        f"equity {equity}, theirs {account['wallet']['equity']}",
        f"memory {together.readings[0][1]:.1f} to {together.readings[-1][1]:.1f} MB,"
        f" {together.memory_mb_an_hour():+.1f} MB an hour",
        audit,
        report["text"],
        *report_lines(found),
    ):
        print(line)

    assert differences(together) == []
    assert report["sound"]
    assert halted <= EXPLAINED
    assert abs(cash - wallet["USDT"]) < CENT
    # What is left of a lot counts as a fee of its buy.
    assert equity is not None
    assert abs(equity.equity - wallet["USDT"]) < CENT
    assert [row["order_link_id"] for row in account["open_orders"]] == []
    assert unsettled == []
    assert account["positions"] == []
    assert traded.keys() >= SYSTEMS
    assert found.holds, report_lines(found)
    assert not [name for name, hits in together.met.items() if not hits and SECONDS >= CYCLE_S]
    if SECONDS >= LEAST_FOR_MEMORY_S:
        kept = len(orders) * MOST_KB_AN_ORDER / 1024 * 3600 / SECONDS
        assert together.memory_mb_an_hour() < MOST_MB_AN_HOUR + kept
