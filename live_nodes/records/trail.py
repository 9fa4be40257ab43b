"""`perpdesk audit show`: a decision, its orders, their fills and verdicts meanwhile, in time."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import msgspec

from actors.records.journal_reading import JournalReader
from config.errors import InputError
from live_nodes.local.actions import OperatorAction
from strategies.messages import Action, Decision, Verdict
from strategies.refusals import readable

_DECISIONS = msgspec.json.Decoder(Decision)

_IN_A_MOMENT = "operator", "verdict", "decision", "request", "event", "fill"


@dataclass(frozen=True)
class TrailLine:
    """What happened at a time (UNIX nanoseconds, UTC), of what: an order's id, a guard's key."""

    ts: int
    kind: Literal["decision", "request", "event", "fill", "verdict", "operator"]
    of: str
    text: str


def trail(reader: JournalReader, acted: list[OperatorAction], name: str) -> list[TrailLine]:
    """Return the trail of a decision, or of an order and its decision, in order of time.

    Verdicts are those that stood when it began and those that came until its last event, of the
    desk, the strategy and its instruments; so are the operators' actions.

    Raises InputError if the journal has neither an order nor a decision of this name.
    """
    requests = _ask(reader, "intents WHERE client_order_id = ? OR decision_id = ?", name, name)
    decision_id = next((row["decision_id"] for row in requests), "") or name
    found = _ask(reader, "decisions WHERE decision_id = ?", decision_id)
    if not requests and not found:
        raise InputError(
            f"no order and no decision {name!r} in the journal: ids are in `perpdesk export NODE` "
            "(orders.csv, decisions.csv)"
        )
    decisions = [_DECISIONS.decode(row["payload"]) for row in found]
    lines = [_decided(decision) for decision in decisions]
    for order in dict.fromkeys(row["client_order_id"] for row in requests):
        # Its cancels have no decision of their own.
        mine = _ask(reader, "intents WHERE client_order_id = ?", order)
        events = _ask(reader, "order_events WHERE client_order_id = ?", order)
        fills = _ask(reader, "fills WHERE client_order_id = ?", order)
        lines += [_requested(row) for row in mine] + [_filled(row) for row in fills]
        for row in events:
            why = f": {row['detail']}" if row["detail"] else ""
            lines.append(TrailLine(row["ts"], "event", order, f"{row['event']}{why}"))
    strategies = {row["strategy"] for row in (*requests, *found)}
    instruments = {row["instrument"] for row in requests}
    for decision in decisions if not requests else ():
        instruments |= {target.instrument for target in decision.targets}
    scopes = {"desk", *(f"strategy:{x}" for x in strategies)}
    scopes |= {f"instrument:{x}" for x in instruments}
    first, last = min(line.ts for line in lines), max(line.ts for line in lines)
    lines += [
        _judged(ts, verdict)
        for ts, verdict in reader.verdicts_between(first, last + 1)
        if verdict.scope in scopes
    ]
    lines += [
        TrailLine(one.ts, "operator", one.by, f"{one.action}: {one.reason} {one.outcome}".strip())
        for one in acted
        if first <= one.ts <= last
    ]
    # The venue's times are whole milliseconds.
    return sorted(lines, key=lambda x: (x.ts // 1_000_000, _IN_A_MOMENT.index(x.kind), x.ts))


def _ask(reader: JournalReader, rest: str, *values: Any) -> list[dict[str, Any]]:
    return reader.query(f"SELECT * FROM {rest} ORDER BY ts", *values)


def _decided(decision: Decision) -> TrailLine:
    orders = [
        f"{t.instrument} {t.current} -> {t.target}, order {t.order}"
        + ("" if t.score is None else f", score {t.score:g}")
        + (f" ({t.reason})" if t.reason else "")
        + (f", held back by {t.held_back_by}" if isinstance(t.held_back_by, str) else "")
        for t in decision.targets
        if Decimal(t.order) or isinstance(t.held_back_by, str)
    ]
    note = f" ({decision.note})" if decision.note else ""
    text = f"{decision.kind}{note}, equity {decision.equity}, size {decision.multiplier:g}"
    return TrailLine(decision.ts, "decision", decision.id, "; ".join([text, *orders]))


def _requested(row: dict[str, Any]) -> TrailLine:
    price = "" if row["price"] is None else f" at {row['price']}"
    why = f" ({row['reason']})" if row["reason"] else ""
    refused = "" if row["refused"] is None else f"; refused: {readable(row['refused'])}"
    what = f"{row['side']} {row['quantity']} {row['instrument']} {row['order_type']}{price}"
    text = f"{row['operation']} {what}{why}{refused}"
    return TrailLine(row["ts"], "request", row["client_order_id"], text)


def _filled(row: dict[str, Any]) -> TrailLine:
    reference = row["reference_price"]
    text = (
        f"{row['side']} {row['quantity']} {row['instrument']} at {row['price']}, "
        f"{row['liquidity'].lower()}, fee {row['fee']} {row['fee_coin']}"
        + ("" if reference is None else f", price when it left {reference}")
        + f", execution {row['execution_id']} by {row['source']}"
    )
    return TrailLine(row["ts"], "fill", row["client_order_id"], text)


def _judged(ts: int, verdict: Verdict) -> TrailLine:
    limit = "" if verdict.measured is None else f", {verdict.measured:g} of {verdict.limit:g}"
    size = f" to {verdict.multiplier:g}" if verdict.action == Action.SHRINK else ""
    why = f": {verdict.reason}" if verdict.reason else ""
    text = f"{Action(verdict.action).name.lower()}{size} on {verdict.scope}{limit}{why}"
    return TrailLine(ts, "verdict", verdict.guard, text)
