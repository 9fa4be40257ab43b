"""One JSON a page, from a node's journal and files. Queries are bounded, whatever its size."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from actors import measures
from actors.measures import DAY
from actors.records.journal_reading import JournalReader, read
from actors.records.ledger import ZERO, RoundTrip
from actors.records.rows import EquityRow, FillRow, OrderRow, PositionRow, from_sql
from config.documents.setup import Component
from config.errors import DeskError, InputError
from config.resolved import difference, explain, value_text
from live_nodes.dashboard.books import (
    Curve,
    NodeBooks,
    Samples,
    StrategyResult,
    figures_of,
    thinned,
)
from live_nodes.dashboard.depth import Depth
from live_nodes.dashboard.files import LOGS, log_line, masked, tail
from live_nodes.dashboard.sources import Source, resolved_of
from live_nodes.deploy.listing import rows as release_rows
from live_nodes.local.alerts import FILE, Alert
from live_nodes.local.mailbox import MailRequest, pending
from live_nodes.local.releases import Releases
from live_nodes.node.risk_books import BY_HAND
from live_nodes.operate.export import picked
from live_nodes.operate.risk_status import all_standing, closing_of, risk_status, shown
from live_nodes.operate.status import (
    NodeStatus,
    StandingVerdict,
    books_begin,
    on_paper,
    status_of,
    symbol_of,
)
from live_nodes.reports.expectation import studied
from strategies.messages import SHRINK, Action, Decision, Verdict

MS = 1_000_000
ALERTS, DECISIONS, ORDERS, FILLS = 20, 50, 100, 100
SEARCHED = 5_000
"""Executions that one page of the trade history looks at."""
LOOKED_BACK = 50_000
"""Rows of a table among which a strategy's newest are looked for."""
SPARK, CURVE = 300, 1500
STALE_NS = 120_000_000_000
READ_NS = 900_000_000_000
"""Age of the newest look at the venue's transaction log at which transfers count as unknown."""
REAL = "mainnet"

_DECISION = msgspec.json.Decoder(Decision)
_VERDICT = msgspec.json.Decoder(Verdict)


def as_json(value: Any) -> bytes:
    """Return plain values as JSON: decimals as plain strings, undefined numbers as null."""
    return msgspec.json.encode(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def ms(ts: int | None) -> int | None:
    """Return nanoseconds as milliseconds."""
    return None if ts is None else ts // MS


class NodePages:
    """The pages of one node; what was read of it before makes the next page quick."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.books = NodeBooks(source.folder)
        self.depth = Depth(source.folder)

    @property
    def id(self) -> str:
        """Return the node's name in pages."""
        return self.source.id

    def status(self) -> NodeStatus:
        """Return its status without orders; DeskError where it never started, or is unreadable."""
        return status_of(self.source.name, self.source.folder, orders=False)

    def _open_orders(self, status: NodeStatus) -> list[OrderRow]:
        return self.books.orders(books_begin(status.run, status.pid))

    # -- desk and comparison ----------------------------------------------------------------------

    def desk(self) -> dict[str, Any]:
        """Return its row of the desk."""
        with self.books.refreshed():
            return self._desk()

    def _desk(self) -> dict[str, Any]:
        now, status, folder = time.time_ns(), self.status(), self.source.folder
        health, why = health_of(status, now)
        worth, run = status.equity, status.run
        releases, canary = Releases(folder), None
        move = releases.current()
        if move is not None and move.days:
            kept = next((r["canary"] for r in release_rows(releases) if r["canary"]), None)
            canary = "begins" if kept is None else f"day {kept['days']:.1f} of {kept['of']}"
        names = ("run", "started", "ended", "equity", "gross", "net")
        known: dict[str, Any] = dict.fromkeys(names) | {"note": "", "dry_run": False}
        if run is not None:
            known |= picked(run, "note dry_run") | {"run": run.id}
            known |= {"started": ms(run.started), "ended": ms(run.ended)}
        if worth is not None:
            known |= picked(worth, "equity gross net")
        return {
            "node": self.id,
            "name": status.node,
            "environment": self.source.environment,
            "error": None,
            "health": health,
            "health_why": why,
            **picked(status, "state pid"),
            **known,
            "release": None if move is None else move.number,
            "canary": canary,
            "heartbeat": ms(status.heartbeat),
            "feed_lag_ms": status.feed_lag and [ns / MS for ns in status.feed_lag],
            "equity_ts": None if worth is None else ms(worth.ts),
            "day": self._day(now, worth),
            "links": [
                picked(x, "name state detail") | {"since": ms(x.since)} for x in status.links
            ],
            "verdicts": [standing(one) for one in status.verdicts],
            "waiting": [_request(one) for one in pending(folder)],
            "closing": closing_of(status, folder),
            "positions": len(status.positions),
            "orders": len(self._open_orders(status)),
            "alerts": alerts_of(folder, ALERTS),
            "curve": thinned(_since(self.books.account, now - DAY), SPARK),
            "strategies": [*self._declared()] or self._strategies(),
        }

    def _day(self, now: int, worth: EquityRow | None) -> dict[str, Any] | None:
        begin = now // DAY * DAY
        opened = self.books.opening(begin)
        if opened is None or worth is None:
            return None
        opening = Decimal(repr(opened[0]))
        paid = sum((flow.amount for flow in opened[1]), ZERO)
        pnl = worth.equity - opening - paid
        return {
            "since": ms(begin),
            "opening": opening,
            "pnl": pnl,
            "pct": float(pnl / opening) if opening else None,
            "flows": paid,
            # Paper has no deposits.
            "flows_known": self.source.environment == "paper"
            or self.books.flows_known_until >= worth.ts - READ_NS,
        }

    def _declared(self) -> dict[str, Component]:
        with suppress(DeskError):
            return dict(self.source.node().strategies)
        return {}

    def _strategies(self) -> list[str]:
        return [*dict.fromkeys([*self._declared(), *sorted(self.books.strategies)])]

    def comparison(self) -> list[dict[str, Any]]:
        """Return a row a strategy, and one of what others traded by hand."""
        status = self.status()
        with self.books.refreshed(), read(self.source.folder) as journal:
            return [self._row(key, status, journal) for key in self._strategies()]

    def _row(self, key: str, status: NodeStatus, journal: JournalReader) -> dict[str, Any]:
        component = self._declared().get(key)
        found = self.books.strategies.get(key) or StrategyResult()
        held = self._held(key, status)
        # A new position has a mark only with the next equity; until then it counts at its entry.
        values = [one["notional"] or one["quantity"] * one["entry"] for one in held]
        last = _newest(journal, "decisions", "ts", key, 1, _OWN)
        basis, _, weighed = self._equity(key)
        halts = all_standing(status, pending(self.source.folder), time.time_ns())
        return {
            "node": self.id,
            "strategy": key,
            "use": None if component is None else component.use,
            "enabled": component is not None and component.enabled,
            "positions": len(held),
            "gross": sum((abs(value) for value in values), ZERO),
            "net": sum(values, ZERO),
            "unrealized": sum((one["unrealized"] or ZERO for one in held), ZERO),
            **picked(found, "realized fees funding slippage volume"),
            "day_realized": found.realized - found.before(time.time_ns() // DAY * DAY),
            "trips": len(found.nets),
            "win_rate": measures.win_rate(found.nets) if found.nets else None,
            "profit_factor": measures.profit_factor(found.nets) if found.nets else None,
            "figures": figures_of(basis, weighed),
            "last_decision": ms(last[0]["ts"]) if last else None,
            "halted": any(
                halt.verdict.action >= Action.HALT_ENTRIES
                and halt.verdict.scope in ("desk", f"strategy:{key}")
                for halt in halts
            ),
            "curve": thinned(found.curve.arrays(), SPARK),
        }

    def _held(self, key: str, status: NodeStatus) -> list[dict[str, Any]]:
        owner = "" if key == BY_HAND else key
        return [position(p, self.id, status) for p in status.positions if p.owner == owner]

    def _equity(self, key: str) -> tuple[str, Samples, Samples]:
        """Return the basis and the curve of a strategy's equity, as it is and without flows."""
        books, found = self.books, self.books.strategies.get(key)
        if len(self._strategies()) == 1 or found is None:
            curve = books.equity if found is not None else Curve().arrays()
            return "account", books.account if found is not None else curve, curve
        return "realized", *books.on_account(found.curve)

    # -- one strategy -----------------------------------------------------------------------------

    def strategy(self, key: str) -> dict[str, Any]:
        """Return all of one strategy; InputError where there is none."""
        with self.books.refreshed():
            return self._strategy(key)

    def _strategy(self, key: str) -> dict[str, Any]:
        if key not in self._strategies():
            raise InputError(f"no strategy {key!r}; there are {', '.join(self._strategies())}")
        status = self.status()
        basis, equity, weighed = self._equity(key)
        with read(self.source.folder) as journal:
            row = self._row(key, status, journal)
            made = _decisions(journal, key)
            recent = _orders(journal, key)
            named = {order.client_order_id for order in recent}
            own = [order for order in self._open_orders(status) if order.strategy == key]
            resting = [order for order in own if order.client_order_id not in named]
            fills, _, _ = _fills(journal, {"strategy": key}, None, FILLS)
        band, why = self._band()
        figures, _ = row.pop("figures"), row.pop("curve")
        return {
            **{name: row.pop(name) for name in ("node", "strategy", "use", "enabled")},
            "signals": _signals(made),
            "decisions": [_decision_row(one) for one in made],
            "orders": [order_row(o) for o in [*resting, *recent][:ORDERS]],
            "fills": [fill_row(fill, self.id) for fill in fills],
            "positions": self._held(key, status),
            "equity": {
                "basis": basis,
                "curve": thinned(equity, CURVE),
                "drawdown": thinned((weighed[0], measures.drawdown(weighed[1])), CURVE),
            },
            "figures": figures,
            "totals": row,
            "band": band,
            "band_why": why,
        }

    def _band(self) -> tuple[dict[str, Any] | None, str]:
        """Return the account's return since the release beside the study's band, or why not."""
        found = studied(self.source.folder, time.time_ns())
        if found is None:
            return None, "no release of this node has a study: perpdesk deploy NODE --study DIR"
        if not found.days:
            return None, f"study {found.study} has no Monte Carlo band"
        ts, values = self.books.equity
        if not len(ts):
            return None, "the account has no equity yet"
        last: bool | None = None
        rows: list[Any] = []
        begin = values[max(0, int(np.searchsorted(ts, found.since, "right")) - 1)]
        for day, (low, up) in enumerate(found.days, start=1):
            end, live = found.since + day * DAY, None
            if ts[-1] >= end:
                value = values[int(ts.searchsorted(end, "right")) - 1]
                live = 100.0 * float(value / begin - 1) / found.size
                last = low <= live <= up
            rows.append((day, low, up, live))
        return {
            "release": found.number,
            "study": found.study,
            "since": ms(found.since),
            "days": rows,
            "inside": last,
            "text": "The account's return at the end of each day since the release, for full size, "
            "beside the band in which nine of ten paths of the study stay.",
        }, ""

    # -- positions, trades, book ------------------------------------------------------------------

    def positions(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the node's head and its positions."""
        status = self.status()
        head = {
            "node": self.id,
            "environment": self.source.environment,
            "equity": None if status.equity is None else status.equity.equity,
            "state": status.state,
        }
        return head, [position(p, self.id, status) for p in status.positions]

    def trades(self, wanted: Mapping[str, Any], cursor: str | None, limit: int) -> dict[str, Any]:
        """Return executions, the newest first, that have the wanted values."""
        with read(self.source.folder) as journal:
            fills, after, searched = _fills(journal, wanted, cursor, limit)
        rows = [fill_row(fill, self.id) for fill in fills]
        return {"rows": rows, "next": after, "searched_to": ms(searched)}

    def trips(self, wanted: Mapping[str, Any], cursor: str | None, limit: int) -> dict[str, Any]:
        """Return round trips, the newest first; open ones come before."""
        end, begin = wanted.get("to"), wanted.get("from")
        start = _number(cursor or "0")
        # Open ones change with the next execution, so all of it is done inside.
        with self.books.refreshed():
            found = (
                trip
                for trip in reversed(self.books.trips)
                if all(
                    getattr(trip, name) == wanted[name]
                    for name in ("strategy", "instrument")
                    if wanted.get(name)
                )
                and (end is None or (trip.ts_closed or trip.ts_opened) <= end * MS)
                and (begin is None or trip.ts_closed is None or trip.ts_closed >= begin * MS)
            )
            chosen = [*islice(found, start, start + limit + 1)]
            rows = [_trip_row(trip, self.id) for trip in chosen[:limit]]
        return {"rows": rows, "next": str(start + limit) if len(chosen) > limit else None}

    def book(self, instrument: str, at: int | None, seconds: int) -> dict[str, Any]:
        """Return the recorded books of a window and the node's executions in it, or why none."""
        try:
            found = self.depth.page(instrument, at, seconds)
        except InputError as error:
            return {"available": False, "why": str(error), "instruments": []}
        if found["available"]:
            wanted = {name: found[name] for name in ("instrument", "from", "to")}
            with read(self.source.folder) as journal:
                fills, _, _ = _fills(journal, wanted, None, FILLS)
            found["fills"] = [fill_row(fill, self.id) for fill in fills]
        return found

    # -- risk, configuration ----------------------------------------------------------------------

    def risk(self) -> dict[str, Any]:
        """Return every guard's value, limit, headroom and halts, and the newest verdicts."""
        found = risk_status(self.source.node(), self.source.folder)
        with read(self.source.folder) as journal:
            rows = journal.query("SELECT ts, payload FROM verdicts ORDER BY id DESC LIMIT 200")
        guards = []
        for line in found.guards:
            one = {**msgspec.to_builtins(line.status), "unit": line.unit, "state": line.state}
            texts = {
                name: "" if (value := one[name]) is None else shown(value, line.unit)
                for name in ("measured", "limit", "headroom")
            }
            seen = ms(one.pop("last_beat"))
            one |= {"since": ms(one["since"]), "until": ms(one["until"])}
            guards.append(one | {"seen": seen, "shown": texts})
        return {
            "node": self.id,
            "state": found.state,
            "now": ms(time.time_ns()),
            "heartbeat": ms(found.heartbeat),
            "standing": [standing(one) for one in (*found.desk, *found.others)],
            "closing": found.closing,
            "waiting": [_request(one) for one in found.waiting],
            "guards": guards,
            "history": [
                verdict_row(_VERDICT.decode(row["payload"])) | {"ts": ms(row["ts"])} for row in rows
            ],
            "releasable": [*dict.fromkeys(g["guard"] for g in guards if g["latched"])],
        }

    def logs(self, source: str, most: int, contains: str, level: str) -> dict[str, Any]:
        """Return the last lines of a log that pass the filters, the oldest first, masked."""
        if source not in LOGS:
            raise InputError(f"source must be one of {', '.join(LOGS)}, was {source[:20]!r}")
        file = self.source.folder / LOGS[source]
        if source == "notes":
            with read(self.source.folder) as journal:
                notes = reversed(journal.notes(SEARCHED))
            lines = [{"ts": ms(n["ts"]), "level": n["kind"], "text": n["text"]} for n in notes]
        else:
            made = map(alert_row if source == "alerts" else log_line, tail(file))
            lines = [line for line in made if line is not None]
        # The engine writes WARN, others WARNING.
        found = [
            line
            for line in lines
            if contains.lower() in line["text"].lower()
            and line["level"].lower().startswith(level[:4].lower())
        ][-most:]
        shown = [line | {"text": masked(line["text"])} for line in found]
        return {"source": source, "file": str(file), "lines": shown}

    def config(self) -> dict[str, Any]:
        """Return all values with their places, the releases, and what the last one changed."""
        resolved, releases = self.source.resolved(), Releases(self.source.folder)
        move, run = releases.current(), None
        with suppress(InputError):
            run = self.status().run
        changed, why = None, "the node has no release before this one"
        if move is not None and (before := releases.release(move.number).before) is not None:
            old = resolved_of(releases.document(before))
            rows = [
                {"path": d.path, "left": value_text(d.left), "right": value_text(d.right)}
                for d in difference(old, resolved_of(releases.document(move.number)))
            ]
            changed, why = {"from": before, "to": move.number, "rows": rows}, ""
        names = ("number", "state", "by", "reason", "study")
        return {
            "file": resolved.file,
            "hash": resolved.config_hash,
            "running": {
                "release": None if move is None else move.number,
                "same": run is not None and run.document == resolved.config_hash,
            },
            "values": [
                {"path": one.path, "value": value_text(one.value), "origin": str(one.origin)}
                for one in explain(resolved)
            ],
            "releases": [
                {name: row[name] for name in names} | {"made": ms(row["made"])}
                for row in reversed(release_rows(releases))
            ],
            "diff": changed,
            "diff_why": why,
        }


# -- rows ------------------------------------------------------------------------------------------


def health_of(status: NodeStatus, now: int) -> tuple[str, list[str]]:
    """Return ok, warning or bad, and why."""
    bad = [status.hangs] if status.hangs else []
    if status.state == "dead":
        left = "" if on_paper(status.run) else ": nothing watches its positions"
        bad.append(f"its process is gone without an end{left}")
    if status.state == "failed":
        bad.append("it failed: " + ("" if status.run is None else status.run.note))
    if status.pid is None:
        return ("bad" if bad else "ok"), bad
    down = [x for x in status.links if x.state == "down"]
    bad += [f"link {x.name} is down" + (f": {x.detail}" if x.detail else "") for x in down]
    odd = [
        f"{one.verdict.action.name.lower()} on {one.verdict.scope} by {one.verdict.guard}"
        for one in status.verdicts
    ]
    odd += [f"link {x.name} is {x.state}" for x in status.links if x.state not in ("ready", "down")]
    running, worth = status.state == "running", status.equity
    if running and worth is not None and now - worth.ts > STALE_NS:
        odd.append(f"its equity is {(now - worth.ts) / 1e9:,.0f} s old")
    return ("bad" if bad else "warning" if odd else "ok"), bad + odd


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as pages have it."""
    found = picked(verdict, "guard scope multiplier reason measured limit transient")
    return found | {"action": verdict.action.name.lower(), "until": ms(verdict.until)}


def standing(one: StandingVerdict) -> dict[str, Any]:
    """Return a verdict that stands."""
    return {**verdict_row(one.verdict), "since": ms(one.since)}


def _request(request: MailRequest) -> dict[str, Any]:
    return picked(request, "command guard scope reason") | {"asked": ms(request.asked_at)}


def fill_row(fill: FillRow, node: str) -> dict[str, Any]:
    """Return an execution as pages have it."""
    return {
        "node": node,
        "id": fill.execution_id,
        "ts": ms(fill.ts),
        "symbol": symbol_of(fill.instrument),
        "order": fill.client_order_id,
        **picked(fill, "strategy instrument side quantity price notional fee fee_coin liquidity"),
        **picked(fill, "kind source decision_id slippage"),
    }


def order_row(order: OrderRow) -> dict[str, Any]:
    """Return an order as pages have it."""
    return {
        "id": order.client_order_id,
        "venue_id": order.venue_order_id,
        "created": ms(order.created),
        "changed": ms(order.changed),
        "symbol": symbol_of(order.instrument),
        "trigger": order.trigger_price,
        "type": order.order_type,
        "exit": order.is_exit,
        **picked(order, "strategy instrument side quantity filled price reduce_only status final"),
        **picked(order, "reason decision_id"),
    }


def position(row: PositionRow, node: str, status: NodeStatus) -> dict[str, Any]:
    """Return a position at the mark price of the last equity."""
    mark = status.marks.get(row.instrument)
    worth = None if status.equity is None else status.equity.equity
    notional = None if mark is None else row.quantity * mark
    cost = abs(row.quantity * row.entry_price)
    gain = None if mark is None else row.quantity * (mark - row.entry_price)
    return {
        "node": node,
        "strategy": row.owner,
        "instrument": row.instrument,
        "symbol": symbol_of(row.instrument),
        "quantity": row.quantity,
        "entry": row.entry_price,
        "mark": mark,
        "notional": notional,
        "weight": float(notional / worth) if notional is not None and worth else None,
        "unrealized": gain,
        "realized": row.realized,
        "changed": ms(row.changed),
        "pct": float(gain / cost) if gain is not None and cost else None,
    }


def _trip_row(trip: RoundTrip, node: str) -> dict[str, Any]:
    # What is still open counts at its entry.
    gross = trip.gross() + trip.cost
    return {
        "node": node,
        **picked(trip, "strategy instrument fees funding"),
        "symbol": symbol_of(trip.instrument),
        "side": "LONG" if trip.is_long else "SHORT",
        "opened": ms(trip.ts_opened),
        "closed": ms(trip.ts_closed),
        "quantity": trip.peak,
        "entry": trip.entry_price,
        "exit": trip.exit_price,
        "gross": gross,
        "net": gross - trip.fees + trip.funding,
    }


def _decision_row(decision: Decision) -> dict[str, Any]:
    return {
        "ts": ms(decision.ts),
        **picked(decision, "id strategy kind note equity multiplier gross net"),
        "orders": sum(1 for target in decision.targets if Decimal(target.order)),
        "refusals": decision.refusals or None,
        "why": _why(decision),
    }


def _why(decision: Decision) -> list[str]:
    """Return a line for each instrument that is traded, or left out for a reason."""
    lines = []
    for target in decision.targets:
        order, why = Decimal(target.order), target.reason
        if target.held_back_by:
            why = f"held back by {target.held_back_by}" + (f", {why}" if why else "")
        if not order and not why:
            continue
        does = f"{'buys' if order > 0 else 'sells'} {abs(order):f}" if order else "no order"
        score = "" if target.score is None else f", score {target.score:+.3g}"
        line = f"{symbol_of(target.instrument)} {does}: {target.current} to {target.target}{score}"
        lines.append(line + (f" ({why})" if why else ""))
    return lines[:200]


def _signals(made: Sequence[Decision]) -> dict[str, Any]:
    newest = next((one for one in made if one.targets and one.kind != SHRINK), None)
    if newest is None:
        return {"ts": None, "rows": []}
    most = max((abs(t.score) for t in newest.targets if t.score is not None), default=0.0)
    rows = [
        {
            **msgspec.to_builtins(target),
            "symbol": symbol_of(target.instrument),
            "strength": abs(target.score) / most if most and target.score is not None else None,
        }
        for target in newest.targets
    ]
    return {"ts": ms(newest.ts), "rows": rows}


# -- queries ---------------------------------------------------------------------------------------


def _newest(
    journal: JournalReader,
    table: str,
    what: str,
    strategy: str,
    limit: int,
    more: str = "",
    after: int = 0,
) -> list[dict[str, Any]]:
    """Return a strategy's newest rows of a table, among the last so many of all, `after` an id."""
    return journal.query(
        f"SELECT {what} FROM {table} WHERE strategy = ? AND id > max(?, (SELECT "
        f"coalesce(max(id), 0) FROM {table}) - {LOOKED_BACK}) {more} ORDER BY id DESC LIMIT ?",
        strategy,
        after,
        limit,
    )


_OWN = f"AND kind != '{SHRINK}'"
_FOLDED = f"""AND kind = '{SHRINK}' GROUP BY json_extract(
    CAST(payload AS TEXT), '$.targets[0].instrument', '$.targets[0].held_back_by')"""


def _decisions(journal: JournalReader, strategy: str) -> list[Decision]:
    """Return a strategy's newest decisions; of shrinks by one guard of one instrument the last."""
    own = _newest(journal, "decisions", "id, payload, 1 AS times", strategy, DECISIONS, _OWN)
    after = own[-1]["id"] if len(own) == DECISIONS else 0
    # Beside a maximum SQLite gives the other columns of the same row.
    what = "max(id) AS id, payload, count(*) AS times"
    rows = own + _newest(journal, "decisions", what, strategy, DECISIONS, _FOLDED, after)
    found = []
    for row in sorted(rows, key=lambda row: -row["id"])[:DECISIONS]:
        one, times = _DECISION.decode(row["payload"]), row["times"]
        note = f"{one.note} (the last of {times})" if times > 1 else one.note
        found.append(msgspec.structs.replace(one, note=note))
    return found


def _orders(journal: JournalReader, strategy: str) -> list[OrderRow]:
    """Return a strategy's newest orders, by the requests that made them."""
    recent = _newest(journal, "intents", "client_order_id AS name, operation", strategy, ORDERS * 3)
    names = [row["name"] for row in recent if row["operation"] == "submit"][:ORDERS]
    found = [journal.order(name) for name in dict.fromkeys(names)]
    return [order for order in found if order is not None]


FILTERS = ("strategy", "instrument", "side", "kind")


def _fills(
    journal: JournalReader, wanted: Mapping[str, Any], cursor: str | None, limit: int
) -> tuple[list[FillRow], str | None, int | None]:
    """Return the newest executions with these values, where the next page begins, and how far back
    this one looked.
    """
    bounds, values = ["ts >= ?"], [(wanted.get("from") or 0) * MS]
    if (end := wanted.get("to")) is not None:
        bounds.append("ts <= ?")
        values.append(end * MS + MS - 1)
    if cursor is not None:
        ts, _, number = cursor.partition("-")
        bounds.append("ts <= ? AND (ts, id) < (?, ?)")
        values += [_number(ts), _number(ts), _number(number)]
    order = "ORDER BY ts DESC, id DESC"
    looked = f"SELECT * FROM fills WHERE {' AND '.join(bounds)} {order} LIMIT {SEARCHED}"
    asked = {name: wanted[name] for name in FILTERS if wanted.get(name)}
    if asked.get("strategy") == BY_HAND:
        asked = {"kind": "Trade"} | asked | {"strategy": ""}
    where = " AND ".join(f"{name} = ?" for name in asked) or "1"
    query = f"SELECT * FROM ({looked}) WHERE {where} {order} LIMIT ?"
    rows = journal.query(query, *values, *asked.values(), limit + 1)
    fills, last = [from_sql(FillRow, row) for row in rows[:limit]], rows[limit - 1 : limit]
    if len(rows) <= limit:
        end_of = f"SELECT ts, id FROM fills WHERE {' AND '.join(bounds)} {order} LIMIT 1 OFFSET ?"
        last = journal.query(end_of, *values, SEARCHED - 1)
    if not last:
        return fills, None, None
    return fills, f"{last[0]['ts']}-{last[0]['id']}", last[0]["ts"]


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 19 or int(text) >= 2**63:
        raise InputError("this cursor is none that a page gave")
    return int(text)


def _since(curve: tuple[Any, Any], ts: int) -> tuple[Any, Any]:
    start = curve[0].searchsorted(ts)
    return curve[0][start:], curve[1][start:]


def csv_lines(pages: NodePages, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Return all executions of a filter as lines of CSV, the newest first."""
    names = ["ts", "node", "strategy", "symbol", "side", "quantity", "price", "notional", "fee"]
    names += ["fee_coin", "liquidity", "kind", "slippage", "order", "id", "decision_id"]
    yield ",".join(names) + "\r\n"
    cursor: str | None = None
    while True:
        page = pages.trades(wanted, cursor, SEARCHED)
        for row in page["rows"]:
            yield ",".join(_cell(row[name]) for name in names) + "\r\n"
        if (cursor := page["next"]) is None:
            return


def _cell(value: Any) -> str:
    text = "" if value is None else str(_plain(value))
    # A text that begins so is run by a spreadsheet; numbers may be negative.
    if isinstance(value, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")):
        text = "'" + text
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text


def alerts_of(folder: Path, most: int) -> list[dict[str, Any]]:
    """Return the newest alerts of a node, the newest first; what only informs leaves first."""
    lines = reversed(tail(folder / FILE))
    newest = [*islice(filter(None, map(alert_row, lines)), 10 * most)]
    kept = sorted(newest, key=lambda alert: alert["level"] == "info")[:most]
    return sorted(kept, key=lambda alert: -alert["ts"])


def alert_row(line: str) -> dict[str, Any] | None:
    """Return an alert by its line, None where the line is none."""
    with suppress(msgspec.MsgspecError):
        alert = msgspec.json.decode(line, type=Alert)
        return picked(alert, "level kind") | {"ts": ms(alert.ts), "text": masked(alert.text)}
    return None


def totals(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return sums of the nodes that can be read; real money and play money apart."""
    sums: dict[str, Any] = {"real": None, "play": None}
    for row in rows:
        if row.get("error") or row.get("equity") is None:
            continue
        kind = "real" if row["environment"] == REAL else "play"
        kept = sums[kind] or dict.fromkeys(("equity", "day_pnl", "gross", "net"), ZERO)
        known = {**row, "day_pnl": row["day"]["pnl"] if row["day"] else ZERO}
        sums[kind] = {name: value + known[name] for name, value in kept.items()}
    return sums
