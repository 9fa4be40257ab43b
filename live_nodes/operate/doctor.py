"""Check that a node can run: this machine, files, keys, the venue and its links.

A failed check does not stop the others. Keys appear only by the names of their variables.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import aiohttp
import msgspec
from rich.console import RenderableType
from rich.text import Text

from actors.records.coins import base_coin
from actors.records.journal_files import NAME, damage, holder
from actors.records.journal_reading import read
from config.catalogs import url_of
from config.documents import Node
from config.errors import DeskError, GateRefused, InputError, some_of
from live_nodes.bybit.own_coins import OwnCoins, foreign_words
from live_nodes.bybit.rest import VenueRest
from live_nodes.local.alerts import alert_urls_of, send_now
from live_nodes.local.alive import ping_url_of, pinged
from live_nodes.local.endpoints import Endpoints, overridden, refuse_unconfirmed, venue_endpoints
from live_nodes.local.folder import state_folder
from live_nodes.local.keys import KeyPair, keys_of, variables_of
from live_nodes.node.preflight import Preflight, foreign_positions_gate, preflight
from live_nodes.operate.doctor_trade import round_trip
from live_nodes.operate.status import table
from live_nodes.reconcile.recovery import foreign_positions
from strategies.account_value import is_spot

_VALID_MS = 5_000


async def link_answers(
    endpoints: Endpoints,
    products: Sequence[str],
    keys: KeyPair | None,
    seconds: float,
    trades: bool,
) -> dict[str, str]:
    """Return the error of each link, empty when it answers within `seconds`.

    Public links must answer a ping, account links a login; without `keys` the latter are left out.
    Without `trades` there is no trade link (Bybit's demo has none).
    """
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        f"public {product.lower()}": (
            f"{endpoints.ws_public}/{product.lower()}",
            {"op": "ping", "req_id": "doctor"},
        )
        for product in products
    }
    if keys is not None:
        asked["private"] = (endpoints.ws_private, login(keys))
        if trades:
            asked["trade"] = (endpoints.ws_trade, login(keys))
    answers = {}
    async with aiohttp.ClientSession() as session:
        for name, (url, message) in asked.items():
            answers[name] = await _wrong(session, url, message, seconds)
    return answers


def login(keys: KeyPair) -> dict[str, Any]:
    """Return the login message of an account link.

    Bybit (https://bybit-exchange.github.io/docs/v5/ws/connect) signs ``GET/realtime`` and the
    expiry time with HMAC-SHA256.
    """
    until = int(time.time() * 1000) + _VALID_MS
    return {"op": "auth", "args": [keys.key.reveal(), until, keys.sign(f"GET/realtime{until}")]}


async def _wrong(
    session: aiohttp.ClientSession, url: str, message: dict[str, Any], seconds: float
) -> str:
    # A frozen link does not answer a close either.
    limit = aiohttp.ClientWSTimeout(ws_close=seconds)
    try:
        async with asyncio.timeout(2 * seconds), session.ws_connect(url, timeout=limit) as socket:
            await socket.send_json(message)
            answer = await asyncio.wait_for(socket.receive_json(), seconds)
    except TimeoutError:
        return f"{url}: no answer within {seconds:g} s"
    except (aiohttp.ClientError, TypeError, json.JSONDecodeError) as error:
        return f"{url}: {error}"
    if answer.get("success", True) is True and answer.get("retCode", 0) == 0:
        return ""
    words = answer.get("ret_msg") or answer.get("retMsg") or "refused"
    return f"{url}: {words}"


LOCK = Path(__file__).parents[2] / "requirements.lock"
PYTHON = (3, 12)
LEAST_FREE = 1 << 30
"""Free bytes of disk below which the check warns: a node journals for weeks."""

Grade = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class DoctorCheck:
    """Result of one check; ``bad`` means that a node can't trade."""

    check: str
    grade: Grade
    found: str
    remedy: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether the result is bad."""
        return self.grade == "bad"


def examine(
    node: Node, trade: float | None = None, *, test_alerts: bool = False
) -> list[DoctorCheck]:
    """Run every check; with `trade` and no bad check, also a round trip of about so many USDT.

    With `test_alerts` each address of alerts gets a message.
    """
    folder = state_folder(node)
    findings = [python(), packages(), disk(folder), journal(folder), catalog(node)]
    try:
        variables = variables_of()
        node, said = overridden(node, variables)
        if said:
            findings.append(DoctorCheck("environment", "warn", said))
        refuse_unconfirmed(node)
        keys = keys_of(node, variables)
    except DeskError as error:
        return [*findings, DoctorCheck("keys", "bad", str(error), "see .env.example")]
    kind = "none needed" if keys is None else keys.source
    findings.append(DoctorCheck("keys", "ok", f"{kind} ({node.environment})"))
    findings.append(alerts(node, variables, test=test_alerts))
    try:
        endpoints = venue_endpoints(node, folder, lambda _: None)
    except DeskError as error:
        return [*findings, DoctorCheck("venue", "bad", str(error))]
    findings += asyncio.run(_ask(node, keys, endpoints, folder))
    if trade is not None:
        findings.append(_trade(node, keys, endpoints, folder, findings, trade))
    return findings


def python() -> DoctorCheck:
    """Check the interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == PYTHON:
        return DoctorCheck("python", "ok", version)
    return DoctorCheck("python", "bad", version, f"use Python {PYTHON[0]}.{PYTHON[1]}")


def packages(lock: Path = LOCK) -> DoctorCheck:
    """Compare the installed packages with the lock file, those of a wheel with what it requires."""
    source, remedy = lock.name, f"pip install -r {lock.name}"
    if lock.is_file():
        text = lock.read_text()
    else:
        source, remedy = "the wheel's requirements", "install the wheel anew"
        try:
            text = "\n".join(importlib.metadata.requires("perpdesk") or ())
        except importlib.metadata.PackageNotFoundError:
            found = f"neither {lock.name} nor a wheel is here, so versions are unknown"
            return DoctorCheck("packages", "warn", found)
    wanted = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", text, re.MULTILINE))
    wrong = []
    for name, version in wanted.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = "missing"
        if installed != version:
            wrong.append(f"{name} {installed} instead of {version}")
    if not wrong:
        return DoctorCheck("packages", "ok", f"{len(wanted)} as in {source}")
    # Everything here was tested with one version of the engine.
    grade: Grade = "bad" if any(re.match("nautilus.trader ", w) for w in wrong) else "warn"
    return DoctorCheck("packages", grade, some_of(wrong), remedy)


def disk(folder: Path) -> DoctorCheck:
    """Check the free disk space of the journal's folder."""
    place = folder
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        return DoctorCheck("disk", "bad", f"{place}: can't be written", "set `state` elsewhere")
    free = shutil.disk_usage(place).free
    found = f"{free / (1 << 30):.1f} GiB free at {place}"
    if free < LEAST_FREE:
        return DoctorCheck("disk", "warn", found, "make room: the journal grows while a node runs")
    return DoctorCheck("disk", "ok", found)


def journal(folder: Path) -> DoctorCheck:
    """Check the node's journal, if it has one."""
    path = folder / NAME
    if not path.exists():
        return DoctorCheck("journal", "ok", "none yet: the node was never started")
    pid = holder(folder)
    if pid is not None:
        return DoctorCheck("journal", "ok", f"in use by process {pid}: the node is running")
    try:
        found = damage(path)
    except DeskError as error:
        return DoctorCheck("journal", "bad", str(error), "let this user read and write it")
    if found is None:
        return DoctorCheck("journal", "ok", f"{path} is whole")
    remedy = "the next start puts it aside and takes the last good backup"
    return DoctorCheck("journal", "warn", f"{path} is damaged: {found}", remedy)


def catalog(node: Node) -> DoctorCheck:
    """Check the document's catalog, if it names one."""
    if node.catalog is None:
        return DoctorCheck("catalog", "ok", "none named: instruments come from the venue")
    if url_of(node.catalog):
        return DoctorCheck("catalog", "ok", f"{node.catalog}: read when the node is checked")
    if (Path(node.catalog) / "CURRENT").exists():
        return DoctorCheck("catalog", "ok", node.catalog)
    remedy = "make it (`perpdesk catalog demo`, `perpdesk catalog pull`) or leave `catalog` out"
    return DoctorCheck("catalog", "bad", f"{node.catalog}: no catalog there", remedy)


def alerts(node: Node, variables: Mapping[str, str], *, test: bool = False) -> DoctorCheck:
    """Check that alerts have an address; with `test` send a message to each, and ping."""
    try:
        found = alert_urls_of(node, variables)
        ping = ping_url_of(node, variables)
    except GateRefused as error:
        return DoctorCheck("alerts", "bad", str(error), "see .env.example")
    if not found:
        remedy = "name a variable with addresses of apprise in `alerts`"
        return DoctorCheck(
            "alerts", "warn", "alerts reach nobody: they go into a file only", remedy
        )
    body = "perpdesk can reach you here."
    failed = send_now(f"{node.name}: test", body, "info", found) if test else []
    if test and ping is not None and not pinged(ping):
        failed.append("alive.ping")
    if failed:
        words = f"a test message did not get to {', '.join(failed)}"
        return DoctorCheck("alerts", "bad", words, "see the address, its token, the network")
    number, names = len(found), sorted({url.terms.addresses for url in found})
    return DoctorCheck(
        "alerts", "ok", f"{number} address{'' if number == 1 else 'es'} of {', '.join(names)}"
    )


async def _ask(
    node: Node, keys: KeyPair | None, endpoints: Endpoints, folder: Path
) -> list[DoctorCheck]:
    async with VenueRest(endpoints.http, keys, timeout=node.gates.request_timeout) as rest:
        try:
            facts = await preflight(node, rest)
        except DeskError as error:
            return [
                DoctorCheck("venue", "bad", str(error), "see the address, the keys, the network")
            ]
        clock = f"{facts.clock.skew * 1000:+.0f} ms (±{facts.clock.round_trip * 500:.0f} ms)"
        findings = [
            DoctorCheck(
                "venue", "ok", f"{endpoints.http}: {len(facts.universe)} instruments to trade"
            ),
            DoctorCheck(
                "clock",
                "bad" if any(f.gate == "clock" for f in facts.failures) else "ok",
                f"the venue's is {clock} from ours",
            ),
        ]
        findings += [
            DoctorCheck(f.gate, "bad", f"{f.measured} (must be: {f.limit})", f.remedy)
            for f in facts.failures
        ]
        if keys is not None and not facts.failures:
            findings += await _foreign_positions(node, rest, facts, folder)
            findings += await _foreign_coins(rest, facts, folder)
    trades = keys is not None and node.environment != "demo"
    answers = await link_answers(
        endpoints, facts.products, keys, node.gates.request_timeout, trades
    )
    for name, wrong in answers.items():
        grade: Grade = "bad" if wrong else "ok"
        findings.append(DoctorCheck(f"link {name}", grade, wrong or "answers"))
    return findings


async def _foreign_coins(rest: VenueRest, facts: Preflight, folder: Path) -> list[DoctorCheck]:
    bought: dict[str, Decimal] = {}
    if (folder / NAME).exists() and damage(folder / NAME) is None:
        with suppress(InputError), read(folder) as kept:
            bought = kept.own()
    traded = {base_coin(name) for name in filter(is_spot, facts.universe)}
    foreign = OwnCoins(lambda: bought, facts.lot_of).foreign(await rest.coins()) if traded else {}
    said = [foreign_words(coin, held) for coin, held in sorted(foreign.items()) if coin in traded]
    return [DoctorCheck("coins", "ok", words) for words in said]


async def _foreign_positions(
    node: Node, rest: VenueRest, facts: Preflight, folder: Path
) -> list[DoctorCheck]:
    # A first start refuses positions that others made.
    if node.watch.policies.external_positions != "halt" or "LINEAR" not in facts.products:
        return []
    if holder(folder) is not None:
        return []
    if (folder / NAME).exists() and damage(folder / NAME) is None:
        # Without tables yet, nothing is explained.
        with suppress(InputError), read(folder) as kept:
            if kept.load_state("node", "explained") is not None:
                return []
    held = {
        name: quantity
        for name, quantity in (await rest.positions()).items()
        if name in facts.universe
    }
    found = foreign_positions_gate(await foreign_positions(held, rest, node.tag))
    return [DoctorCheck(f.gate, "bad", f.measured, f.remedy) for f in found]


def _trade(
    node: Node,
    keys: KeyPair | None,
    endpoints: Endpoints,
    folder: Path,
    findings: list[DoctorCheck],
    amount: float,
) -> DoctorCheck:
    if keys is None:
        return DoctorCheck("trade", "bad", f"{node.environment} has no account at the venue")
    if any(finding.is_bad for finding in findings):
        return DoctorCheck("trade", "bad", "not tried: first fix what is wrong above")
    if holder(folder) is not None:
        return DoctorCheck("trade", "bad", "not tried: the node is running", "stop it first")
    try:
        return DoctorCheck("trade", "ok", asyncio.run(round_trip(node, keys, endpoints, amount)))
    except DeskError as error:
        return DoctorCheck("trade", "bad", str(error))


_COLORS: dict[Grade, str] = {"ok": "green", "warn": "yellow", "bad": "red"}


def rendered(findings: list[DoctorCheck]) -> RenderableType:
    """Return the findings as a table for the terminal."""
    rows = [(Text(x.grade, _COLORS[x.grade]), x.check, x.found, x.remedy) for x in findings]
    return table(("", "check", "found", "what to do"), rows, box=None)


def as_document(findings: list[DoctorCheck]) -> str:
    """Return the findings as JSON."""
    well = not any(finding.is_bad for finding in findings)
    return msgspec.json.encode({"ok": well, "checks": findings}).decode()
