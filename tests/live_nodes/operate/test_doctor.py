"""`perpdesk doctor`: what is wrong here or at the venue is found and named, and no key is shown."""

from __future__ import annotations

import asyncio
import importlib.metadata
import io
import json
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import nautilus_trader
import pytest
from rich.console import Console

from actors.records.journal import Journal
from actors.records.journal_files import NAME
from catalog.instruments import InstrumentInfo
from config.documents import Node
from live_nodes.bybit.rest import VenueRest
from live_nodes.local.folder import state_folder
from live_nodes.local.keys import keys_of
from live_nodes.local.practice_process import Endpoint
from live_nodes.operate import doctor
from live_nodes.operate.doctor import DoctorCheck, as_document, examine, rendered
from live_nodes.operate.doctor_trade import quantity_of
from tests.builders_engine import info
from tests.live_nodes.documents import node_of
from tests.live_nodes.killing import venue_urls
from tests.live_nodes.local.test_alerts import ear
from tests.live_nodes.practice.background import background


def node(folder: Path, port: int = 9, environment: str = "practice", **changes: Any) -> Node:
    """Return a node whose venue is at a port of this machine."""
    return node_of(
        environment=environment,
        venue_urls=venue_urls(Endpoint.of(0, port, 0)),
        state=str(folder),
        universe={"instruments": ["*-LINEAR.BYBIT"]},
        **changes,
    )


def by_check(findings: list[DoctorCheck]) -> dict[str, DoctorCheck]:
    return {finding.check: finding for finding in findings}


def test_all_is_well_and_a_round_trip_is_made(tmp_path: Path) -> None:
    with background() as running:
        findings = examine(node(tmp_path, running.port), trade=60)
    found = by_check(findings)
    assert [f for f in findings if f.is_bad] == []
    assert set(found) >= {
        "python", "packages", "disk", "journal", "catalog", "keys", "venue", "clock",
        "link public linear", "link private", "link trade", "trade",
    }  # fmt: skip
    assert "bought at" in found["trade"].found
    assert "agree" in found["trade"].found
    document = as_document(findings)
    assert json.loads(document)["ok"] is True
    assert "practice-secret" not in document


def test_a_wrong_key_is_named_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BYBIT_TESTNET_API_KEY", "BYBIT_TESTNET_API_SECRET"):
        monkeypatch.setenv(name, f"MARKED-{name}")
    monkeypatch.delenv("BYBIT_TESTNET", raising=False)
    with background() as running:
        findings = examine(node(tmp_path, running.port, "testnet"), trade=20)
    found = by_check(findings)
    names = "BYBIT_TESTNET_API_KEY and BYBIT_TESTNET_API_SECRET"
    assert found["keys"].found == f"{names} from the environment (testnet)"
    assert found["venue"].is_bad
    assert found["trade"].found.startswith("not tried")
    assert "MARKED" not in as_document(findings)


def test_missing_keys_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BYBIT_TESTNET_API_KEY", "BYBIT_TESTNET_API_SECRET", "BYBIT_TESTNET"):
        monkeypatch.delenv(name, raising=False)
    found = by_check(examine(node(tmp_path, environment="testnet")))
    assert found["keys"].is_bad
    assert "BYBIT_TESTNET_API_KEY and BYBIT_TESTNET_API_SECRET not set" in found["keys"].found


def test_alerts_that_nobody_would_get_are_found_and_no_address_is_shown(tmp_path: Path) -> None:
    plain = node(tmp_path)
    assert doctor.alerts(plain, {}).grade == "warn"
    named = node(tmp_path, alerts="DESK_ALERTS")
    missing = doctor.alerts(named, {})
    assert missing.is_bad
    assert "DESK_ALERTS is not set" in missing.found
    wrong = doctor.alerts(named, {"DESK_ALERTS": "json://127.0.0.1 nowhere://MARKED"})
    assert wrong.is_bad
    assert "address 2 of 2" in wrong.found
    assert "MARKED" not in wrong.found
    good = doctor.alerts(named, {"DESK_ALERTS": "json://127.0.0.1/MARKED"})
    assert (good.grade, good.found) == ("ok", "1 address of DESK_ALERTS")
    with ear() as there, ear(status=403) as refuses:
        addresses = f"{there.address.reveal()} {refuses.address.reveal()}"
        sent = doctor.alerts(named, {"DESK_ALERTS": addresses}, test=True)
        assert (sent.grade, sent.found) == (
            "bad",
            "a test message did not get to channel (JSON)",
        )
        assert "perpdesk can reach you here." in there.text
        assert (
            doctor.alerts(named, {"DESK_ALERTS": there.address.reveal()}, test=True).grade == "ok"
        )
    pings = node(tmp_path, alerts={"alive": {"ping": "DESK_PING"}})
    wrong = doctor.alerts(pings, {"DESK_PING": "hc-ping.com/MARKED"})
    assert wrong.is_bad
    assert "DESK_PING must hold an http(s) address" in wrong.found
    assert "MARKED" not in wrong.found


def test_a_venue_that_is_not_there_is_one_clear_finding(tmp_path: Path) -> None:
    found = by_check(examine(node(tmp_path)))
    assert found["venue"].is_bad
    assert "127.0.0.1:9" in found["venue"].found


def test_foreign_positions_are_found_before_they_refuse_the_first_start(tmp_path: Path) -> None:
    with background() as running:
        document = node(tmp_path, running.port)
        keys = keys_of(document)

        async def buy() -> None:
            async with VenueRest(running.where.http, keys) as rest:
                fields = {"side": "Buy", "orderType": "Market", "qty": "0.010"}
                await rest.create("BTCUSDT-LINEAR.BYBIT", fields)

        asyncio.run(buy())
        found = by_check(examine(document))
        assert found["first start"].is_bad
        assert "BTCUSDT-LINEAR.BYBIT 0.01" in found["first start"].found
        with Journal.open(state_folder(document), node="doc") as journal:
            journal.state("node").save("explained", b"yes")
        assert "first start" not in by_check(examine(document))


def test_a_link_that_refuses_is_named(tmp_path: Path) -> None:
    with background() as running:
        running.faults.links["trade"] = "frozen"
        short = node(tmp_path, running.port)
        gates = short.gates.model_copy(update={"request_timeout": 0.5})
        found = by_check(examine(short.model_copy(update={"gates": gates})))
    assert found["link private"].grade == "ok"
    assert found["link trade"].is_bad


def test_a_running_node_is_not_traded_beside(tmp_path: Path) -> None:
    with background() as running:
        document = node(tmp_path, running.port)
        with Journal.open(state_folder(document), node="doc"):
            found = by_check(examine(document, trade=20))
    assert "the node is running" in found["journal"].found
    assert found["trade"].found == "not tried: the node is running"


def test_a_damaged_journal_is_a_warning_with_what_will_happen(tmp_path: Path) -> None:
    with Journal.open(tmp_path, node="doc"):
        pass
    assert doctor.journal(tmp_path).grade == "ok"
    (tmp_path / NAME).write_bytes(b"no database" * 500)
    found = doctor.journal(tmp_path)
    assert found.grade == "warn"
    assert "last good backup" in found.remedy
    assert doctor.journal(tmp_path / "new").found.startswith("none yet")


@pytest.mark.parametrize(
    ("lock", "grade", "words"),
    [
        ("pytest==0.0.1\n", "warn", "instead of 0.0.1"),
        ("no-such-thing==1\n", "warn", "no-such-thing missing instead of 1"),
        ("nautilus-trader==0.1\n", "bad", "instead of 0.1"),
        ("# nothing\n", "ok", "0 as in"),
    ],
)
def test_packages_are_held_against_the_lock(
    tmp_path: Path, lock: str, grade: str, words: str
) -> None:
    file = tmp_path / "requirements.lock"
    file.write_text(lock)
    found = doctor.packages(file)
    assert found.grade == grade
    assert words in found.found


@pytest.mark.parametrize(
    ("version", "grade"), [("0.1", "bad"), (nautilus_trader.__version__, "ok")]
)
def test_a_wheel_is_held_against_its_own_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, grade: str
) -> None:
    needs = [f"nautilus_trader=={version}", "rich"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs)
    found = doctor.packages(tmp_path / "requirements.lock")
    assert (found.grade, "the wheel" in found.found + found.remedy) == (grade, True)


def test_a_page_shows_every_finding() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(rendered([DoctorCheck("clock", "bad", "2 s late", "set the clock")]))
    page = console.export_text()
    for words in ("bad", "clock", "2 s late", "set the clock"):
        assert words in page


@pytest.mark.parametrize(
    ("amount", "price", "lot", "least", "quantity"),
    [
        ("20", "100", "0.1", "0.1", "0.2"),
        ("20", "99", "0.1", "0.1", "0.3"),
        ("20", "50000", "0.001", "0.001", "0.001"),
        ("20", "1", "1", "50", "50"),
    ],
)
def test_a_round_trip_is_of_whole_lots(
    amount: str, price: str, lot: str, least: str, quantity: str
) -> None:
    facts: InstrumentInfo = info(lot=lot, min_qty=least)
    assert quantity_of(D(amount), D(price), facts) == D(quantity)
