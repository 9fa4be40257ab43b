"""Check that all that a node needs is there: this machine, files, keys, the venue and its links.

Each check gives a `Finding` and none keeps the others from running. Keys appear by the names of
their variables only.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib.metadata
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
import msgspec
from rich.console import RenderableType
from rich.table import Table

from actors.records.journal_files import NAME, damage, holder
from actors.records.journal_reading import read
from config.documents import Node
from config.errors import DeskError, GateRefused
from live_nodes.bybit.rest import VenueRest
from live_nodes.local.alerts import addresses_of
from live_nodes.local.endpoints import Addresses, overridden, refuse_unconfirmed, venue_of
from live_nodes.local.folder import state_folder
from live_nodes.local.keys import KeyPair, key_names, keys_of, variables_of
from live_nodes.node.preflight import Preflight, preflight, strangers_gate
from live_nodes.operate.doctor_trade import round_trip
from live_nodes.reconcile.recovery import strange_positions

_VALID_MS = 5_000


async def link_answers(
    where: Addresses,
    products: Sequence[str],
    keys: KeyPair | None,
    seconds: float,
    trades: bool,
) -> dict[str, str]:
    """Return for each link what is wrong with it, empty when it answers.

    Public links must answer a ping, those of the account a login.

    Parameters
    ----------
    where : Addresses
        Of the environment.
    products : sequence of str
        ``LINEAR``, ``SPOT``.
    keys : KeyPair or None
        None leaves out the links of the account.
    seconds : float
        How long one may take.
    trades : bool
        Whether there is a trade link (Bybit's demo has none).
    """
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        f"public {product.lower()}": (
            f"{where.ws_public}/{product.lower()}",
            {"op": "ping", "req_id": "doctor"},
        )
        for product in products
    }
    if keys is not None:
        asked["private"] = (where.ws_private, login(keys))
        if trades:
            asked["trade"] = (where.ws_trade, login(keys))
    answers = {}
    async with aiohttp.ClientSession() as session:
        for name, (url, message) in asked.items():
            answers[name] = await _wrong(session, url, message, seconds)
    return answers


def login(keys: KeyPair) -> dict[str, Any]:
    """Return the login of a link of the account.

    Signed as Bybit says (https://bybit-exchange.github.io/docs/v5/ws/connect): HMAC-SHA256 of
    ``GET/realtime`` and the time until which the login is valid.
    """
    until = int(time.time() * 1000) + _VALID_MS
    secret = keys.secret.reveal().encode()
    signature = hmac.new(secret, f"GET/realtime{until}".encode(), hashlib.sha256).hexdigest()
    return {"op": "auth", "args": [keys.key.reveal(), until, signature]}


async def _wrong(
    session: aiohttp.ClientSession, url: str, message: dict[str, Any], seconds: float
) -> str:
    # A link that is frozen does not answer a goodbye either.
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
"""Bytes of disk below which a node that journals for weeks is warned."""

Grade = Literal["ok", "warn", "bad"]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Parameters
    ----------
    check : str
        Its name.
    grade : {"ok", "warn", "bad"}
        ``bad`` keeps a node from trading.
    found : str
        What is there.
    remedy : str
        What to do about it; empty when all is well.
    """

    check: str
    grade: Grade
    found: str
    remedy: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether it keeps a node from trading."""
        return self.grade == "bad"


def examine(node: Node, trade: float | None = None) -> list[Finding]:
    """Run every check; with `trade`, also a round trip of about so many USDT.

    A round trip is only made when nothing else is bad.
    """
    folder = state_folder(node)
    findings = [python(), packages(), disk(folder), journal(folder), catalog(node)]
    try:
        variables = variables_of()
        node, said = overridden(node, variables)
        if said:
            findings.append(Finding("environment", "warn", said))
        refuse_unconfirmed(node)
        keys = keys_of(node, variables)
    except DeskError as error:
        return [*findings, Finding("keys", "bad", str(error), "see .env.example")]
    findings.append(_keys_found(node, keys))
    findings.append(alerts(node, variables))
    try:
        where = venue_of(node, folder, lambda _: None)
    except DeskError as error:
        return [*findings, Finding("venue", "bad", str(error))]
    findings += asyncio.run(_ask(node, keys, where, folder))
    if trade is not None:
        findings.append(_trade(node, keys, where, folder, findings, trade))
    return findings


# This machine -----------------------------------------------------------------------------------


def python() -> Finding:
    """Check the interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] == PYTHON:
        return Finding("python", "ok", version)
    return Finding("python", "bad", version, f"use Python {PYTHON[0]}.{PYTHON[1]}")


def packages(lock: Path = LOCK) -> Finding:
    """Hold the installed packages against the lock file."""
    if not lock.is_file():
        return Finding("packages", "warn", f"{lock.name} is not here, so versions are unknown")
    wanted = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", lock.read_text(), re.MULTILINE))
    wrong = []
    for name, version in wanted.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = "missing"
        if installed != version:
            wrong.append(f"{name} {installed} instead of {version}")
    if not wrong:
        return Finding("packages", "ok", f"{len(wanted)} as in {lock.name}")
    more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    found = ", ".join(wrong[:5]) + more
    # One version of the engine is what everything here was measured with.
    grade: Grade = "bad" if any(w.startswith("nautilus-trader ") for w in wrong) else "warn"
    return Finding("packages", grade, found, f"pip install -r {lock.name}")


def disk(folder: Path) -> Finding:
    """Check the room where the journal goes."""
    place = folder
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        return Finding("disk", "bad", f"{place}: can't be written", "set `state` elsewhere")
    free = shutil.disk_usage(place).free
    found = f"{free / (1 << 30):.1f} GiB free at {place}"
    if free < LEAST_FREE:
        return Finding("disk", "warn", found, "make room: the journal grows while a node runs")
    return Finding("disk", "ok", found)


def journal(folder: Path) -> Finding:
    """Check the node's journal, if it has one."""
    path = folder / NAME
    if not path.exists():
        return Finding("journal", "ok", "none yet: the node was never started")
    pid = holder(folder)
    if pid is not None:
        return Finding("journal", "ok", f"in use by process {pid}: the node is running")
    try:
        found = damage(path)
    except DeskError as error:
        return Finding("journal", "bad", str(error), "let this user read and write it")
    if found is None:
        return Finding("journal", "ok", f"{path} is whole")
    remedy = "the next start puts it aside and takes the last good backup"
    return Finding("journal", "warn", f"{path} is damaged: {found}", remedy)


def catalog(node: Node) -> Finding:
    """Check the document's catalog, if it names one."""
    if node.catalog is None:
        return Finding("catalog", "ok", "none named: instruments come from the venue")
    if (Path(node.catalog) / "CURRENT").exists():
        return Finding("catalog", "ok", node.catalog)
    remedy = "make it (`perpdesk catalog demo`, `perpdesk catalog pull`) or leave `catalog` out"
    return Finding("catalog", "bad", f"{node.catalog}: no catalog there", remedy)


def alerts(node: Node, variables: Mapping[str, str]) -> Finding:
    """Return whether somebody would hear of a halt; nothing is sent."""
    try:
        found = addresses_of(node, variables)
    except GateRefused as error:
        return Finding("alerts", "bad", str(error), "see .env.example")
    if not found:
        remedy = "name a variable with addresses of apprise in `alerts`"
        return Finding("alerts", "warn", "nobody hears of a halt: they go into a file only", remedy)
    number = len(found)
    return Finding(
        "alerts", "ok", f"{number} address{'' if number == 1 else 'es'} of {node.alerts}"
    )


# The venue --------------------------------------------------------------------------------------


def _keys_found(node: Node, keys: KeyPair | None) -> Finding:
    names = key_names(node)
    if names is not None:
        return Finding("keys", "ok", f"{' and '.join(names)} are set")
    kind = "none needed" if keys is None else "the practice account's own"
    return Finding("keys", "ok", f"{kind} ({node.environment})")


async def _ask(node: Node, keys: KeyPair | None, where: Addresses, folder: Path) -> list[Finding]:
    async with VenueRest(where.http, keys, timeout=node.gates.request_timeout) as rest:
        try:
            told = await preflight(node, rest)
        except DeskError as error:
            return [Finding("venue", "bad", str(error), "see the address, the keys, the network")]
        clock = f"{told.clock.skew * 1000:+.0f} ms (±{told.clock.round_trip * 500:.0f} ms)"
        findings = [
            Finding("venue", "ok", f"{where.http}: {len(told.universe)} instruments to trade"),
            Finding(
                "clock",
                "bad" if any(f.gate == "clock" for f in told.failures) else "ok",
                f"the venue's is {clock} from ours",
            ),
        ]
        findings += [
            Finding(f.gate, "bad", f"{f.measured} (must be: {f.limit})", f.remedy)
            for f in told.failures
        ]
        if keys is not None and not told.failures:
            findings += await _strangers(node, rest, told, folder)
    trades = keys is not None and node.environment != "demo"
    answers = await link_answers(where, told.products, keys, node.gates.request_timeout, trades)
    for name, wrong in answers.items():
        grade: Grade = "bad" if wrong else "ok"
        findings.append(Finding(f"link {name}", grade, wrong or "answers"))
    return findings


async def _strangers(node: Node, rest: VenueRest, told: Preflight, folder: Path) -> list[Finding]:
    """Hold the account against a first start, which refuses positions that others made."""
    if node.watch.policies.external_positions != "halt" or "LINEAR" not in told.products:
        return []
    if holder(folder) is not None:
        return []
    if (folder / NAME).exists() and damage(folder / NAME) is None:
        with read(folder) as kept:
            if kept.load_state("node", "explained") is not None:
                return []
    held = {
        name: position.quantity
        for name, position in (await rest.positions()).items()
        if name in told.universe
    }
    found = strangers_gate(await strange_positions(held, rest, node.tag))
    return [Finding(f.gate, "bad", f.measured, f.remedy) for f in found]


def _trade(
    node: Node,
    keys: KeyPair | None,
    where: Addresses,
    folder: Path,
    findings: list[Finding],
    amount: float,
) -> Finding:
    if keys is None:
        return Finding("trade", "bad", f"{node.environment} has no account at the venue")
    if any(finding.is_bad for finding in findings):
        return Finding("trade", "bad", "not tried: first put right what is wrong above")
    if holder(folder) is not None:
        return Finding("trade", "bad", "not tried: the node is running", "stop it first")
    try:
        return Finding("trade", "ok", asyncio.run(round_trip(node, keys, where, amount)))
    except DeskError as error:
        return Finding("trade", "bad", str(error))


# For a trader -----------------------------------------------------------------------------------

_MARKS: dict[Grade, str] = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "bad": "[red]bad[/]"}


def rendered(findings: list[Finding]) -> RenderableType:
    """Return the findings as a table for the terminal."""
    table = Table("", "check", "found", "what to do", box=None)
    for finding in findings:
        table.add_row(_MARKS[finding.grade], finding.check, finding.found, finding.remedy)
    return table


def as_document(findings: list[Finding]) -> str:
    """Return the findings as JSON."""
    well = not any(finding.is_bad for finding in findings)
    return msgspec.json.encode({"ok": well, "checks": findings}).decode()
