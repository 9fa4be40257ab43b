"""Compare a node's fees, funding and transfers with the venue's transaction log, to the cent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from actors.records.coins import COIN
from actors.records.journal_schema import FUNDING
from actors.records.ledger import ZERO
from backtests.results.result import CENT
from config.documents import Node
from config.errors import DeskError, GateRefused
from live_nodes.bybit.facts import TRADES, LogEntry, is_charge
from live_nodes.bybit.rest import VenueRest
from live_nodes.local.endpoints import venue_endpoints
from live_nodes.local.keys import keys_of
from live_nodes.reports.live_result import SLACK_NS, LiveResult

Money = dict[tuple[str, str], Decimal]
"""Amounts by what they are and the coin."""


@dataclass(frozen=True)
class Compared:
    """One amount by our journal and by the venue's log."""

    what: str
    coin: str
    ours: Decimal
    theirs: Decimal

    @property
    def agrees(self) -> bool:
        """Whether both are equal: money to the cent, coins to a millionth."""
        return abs(self.ours - self.theirs) < (CENT if self.coin == COIN else Decimal("0.000001"))


@dataclass(frozen=True)
class Reconciliation:
    """Our journal against the venue's log: amounts, and ids that only one of them has.

    ``why`` says why nothing was compared; ``unread`` is a log that may be readable later.
    """

    amounts: tuple[Compared, ...] = ()
    only_ours: tuple[str, ...] = ()
    only_theirs: tuple[str, ...] = ()
    why: str = ""
    unread: bool = False

    @property
    def agrees(self) -> bool:
        """Whether all was compared and is equal."""
        one_sided = self.only_ours or self.only_theirs
        return not self.why and not one_sided and all(row.agrees for row in self.amounts)


def reconciled(found: LiveResult, node: Node, folder: Path) -> Reconciliation:
    """Ask the venue for its log of the result's time, and compare."""
    if node.environment == "paper":
        return Reconciliation(
            why="Paper trades at no venue: there is no log to compare with. It is filled better "
            "than at the venue, and neither pays nor receives funding."
        )
    try:
        entries = asyncio.run(_fetched(found, node, folder))
    except DeskError as error:
        why = f"The venue's transaction log could not be read: {error}"
        return Reconciliation(why=why, unread=True)
    return reconcile(found, entries)


async def _fetched(found: LiveResult, node: Node, folder: Path) -> list[LogEntry]:
    keys = keys_of(node)
    if keys is None:
        raise GateRefused("the node has no keys")
    http = venue_endpoints(node, folder, lambda _: None).http
    async with VenueRest(http, keys, timeout=node.gates.request_timeout) as rest:
        return await rest.transactions(found.first_ts - SLACK_NS, found.last_ts + SLACK_NS)


def reconcile(found: LiveResult, entries: Iterable[LogEntry]) -> Reconciliation:
    """Compare a result's executions and transfers with log entries of its time, and of around it.

    Executions are matched by their ids, so that it does not matter which clock cut them off.
    """
    ours, theirs = Money(), Money()
    known = {row.execution_id for row in found.rows}
    seen: set[str] = set()
    for row in found.rows:
        if row.kind == FUNDING:
            _add(ours, "Funding", COIN, -row.fee)
        elif row.kind in TRADES:
            _add(ours, "Fees", row.fee_coin or COIN, row.fee)
        else:
            _add(ours, _moved(row.kind), COIN, -row.fee)
    for entry in entries:
        name = entry.trade_id if entry.trade_id in known else entry.id
        inside = found.first_ts < entry.ts_ns <= found.last_ts
        others = {entry.trade_id, entry.id} & found.others
        if name not in known and (others or not inside):
            continue
        if entry.coin != COIN and entry.trade_id not in known:
            # Other coins come and go without the node, which counts its own executions alone.
            continue
        seen.add(name if name in known else entry.trade_id or entry.id)
        if entry.kind == "SETTLEMENT":
            _add(theirs, "Funding", entry.coin, entry.funding - entry.fee)
        elif entry.trade_id and entry.id not in known:
            _add(theirs, "Fees", entry.coin, entry.fee)
        else:
            _add(theirs, _moved(entry.kind), entry.coin, entry.change)
    amounts = tuple(
        Compared(*key, ours.get(key, ZERO), theirs.get(key, ZERO))
        for key in sorted({*ours, *theirs, ("Fees", COIN), ("Funding", COIN), ("Transfers", COIN)})
        if key[1] == COIN or ours.get(key) or theirs.get(key)
    )
    hidden = tuple(sorted(seen - known))
    return Reconciliation(amounts, tuple(sorted(known - seen)), hidden)


def _moved(kind: str) -> str:
    return "Interest and charges" if is_charge(kind) else "Transfers"


def _add(money: Money, what: str, coin: str, amount: Decimal) -> None:
    money[what, coin] = money.get((what, coin), ZERO) + amount
