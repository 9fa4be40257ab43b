"""`perpdesk export`: decisions, orders and trades of a result or a node as CSV files.

Times are UTC to the nanosecond, money and quantities exactly as booked. An empty cell says that
nothing is known.
"""

from __future__ import annotations

import csv
import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.commands import JsonOption, SetOption

if TYPE_CHECKING:
    from actors.desk.books import StrategyBooks
    from actors.records.coins import Lot
    from actors.records.rows import FillRow, OrderRow, PositionRow
    from strategies.messages import Decision

Rows = list[dict[str, Any]]

DECISIONS = (
    *("ts", "decision_id", "strategy", "ts_data", "kind", "equity", "multiplier", "note"),
    *("refusals", "instrument", "price", "score", "weight", "current", "target", "order", "reason"),
)
TRADES = (
    *("strategy", "instrument", "side", "ts_opened", "ts_closed", "duration_s", "quantity"),
    *("entry_px", "exit_px", "gross", "fees", "funding", "net", "risk", "r", "slippage_in"),
    *("slippage_out", "mae_bps", "mfe_bps", "reason", "decision_id"),
)
FILLS = (
    *("timestamp", "symbol", "side", "quantity", "executed_price", "edge", "slippage", "fee"),
    *("fee_coin", "strategy", "decision_id"),
)
PNL = ("timestamp", "symbol", "realised", "unrealised", "equity")
"""Columns of the files, which an empty one has too."""


@dataclass(frozen=True)
class Exported:
    """What a result or a node has; ``trades`` are rows of a result's `positions`."""

    decisions: Sequence[Decision]
    order_columns: Sequence[str]
    orders: Rows
    trades: Rows
    fills: Sequence[FillRow]
    pnl: Rows


def export(
    source: Annotated[
        Path, typer.Argument(metavar="RESULT|NODE", help="A result folder, or a node document.")
    ],
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV files, the only format.")] = True,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the files (default: csv in the result or state).")
    ] = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write decisions, orders and trades of a result, or of a node's journal, as CSV files.

    decisions.csv has a row for each instrument of a decision, with its score and those of a
    scalper's signals. trades.csv has the closed round trips, and the open ones of a result: entry,
    exit, quantity, profit, R (profit as a multiple of what the first stop risked), slippage in and
    out, reason, and MAE and MFE: how far the price went against and for the position, in basis
    points of its entry. They are of its fills and of the prices while it was held: on books the
    mids of each `venue.valuation`, of a node those of each `risk.every`; empty where the node was
    not there from its first fill to its last. fills.csv has each execution with the edge that its
    decision expected (the score: basis points of a basis, for its exit what it had gained) and its
    slippage in money. pnl.csv has, at each execution and funding payment, what its instrument had
    realised by then, fees and funding included, what is unrealised at that price, and the account's
    equity at the next valuation (empty where a node has none yet).

    Example: perpdesk export results/scalper_demo --csv
    """
    if source.is_dir():
        found, folder = of_result(source), source / "csv"
    else:
        from live_nodes.local.folder import node_document, state_folder

        state = state_folder(node_document(source, settings or (), trades=False))
        found, folder = of_node(state), state / "csv"
    files = write(found, out or folder)
    print(json.dumps(files) if as_json else "\n".join(f"{n} rows: {f}" for f, n in files.items()))


def of_result(folder: Path) -> Exported:
    """Read a result folder."""
    from actors.records.rows import FillRow, from_sql
    from backtests.results.recorder import decisions_of
    from backtests.results.result import read

    result = read(folder)
    fills = [from_sql(FillRow, row) for row in result.table("fills").to_pylist()]
    pnl = _Pnl([(row["ts"], row["equity"]) for row in result.table("equity").to_pylist()])
    paid = result.table("funding").to_pylist()
    # A settlement comes before what is traded at its moment.
    booked: list[tuple[int, Any]] = [*((row["ts"], row) for row in paid)]
    for ts, row in sorted([*booked, *((fill.ts, fill) for fill in fills)], key=itemgetter(0)):
        if isinstance(row, FillRow):
            pnl.books.fill(row)
            pnl.add(ts, row.instrument, row.price)
        else:
            pnl.books.funding(row["strategy"], row["instrument"], Decimal(row["amount"]))
            pnl.add(ts, row["instrument"], Decimal(row["mark_price"]))
    return Exported(
        decisions_of(result.table("decisions")),
        result.table("orders").column_names,
        result.table("orders").to_pylist(),
        result.table("positions").to_pylist(),
        fills,
        pnl.rows,
    )


def of_node(folder: Path) -> Exported:
    """Read the journal in a node's state folder, also while the node runs."""
    import msgspec

    from actors.records.coins import WholeLots
    from actors.records.journal_reading import read
    from actors.records.rows import OrderRow, columns, to_sql
    from live_nodes.node.excursions import OWNER, name_of
    from live_nodes.node.risk_books import pass_fill

    with read(folder) as journal:
        orders, fills = journal.orders_since(0), journal.fills_since(0)
        held = journal.holdings()
        decisions, equity = journal.decisions()[::-1], journal.equity_since(0)
        mids = {
            name: msgspec.json.decode(journal.load_state(OWNER, name) or b"[]", type=list[float])
            for name in journal.state_names(OWNER, "")
        }
    pnl = _Pnl([(row.ts, row.equity) for row in equity])
    trips, lots = _Trips(pnl.books), WholeLots(lot_of([*orders, *fills, *held]))
    for fill in fills:
        pass_fill(fill, trips, {}, lots)
        pnl.add(fill.ts, fill.instrument, fill.price)
    named = {"created": "ts_created", "changed": "ts_changed", "price": "limit_price"}
    named["order_type"] = "type"
    names = [named.get(column.name, column.name) for column in columns(OrderRow)]
    rows = [dict(zip(names, to_sql(order).values(), strict=True)) for order in orders]
    for row in trips.closed:
        found = mids.get(name_of(row["strategy"], row["instrument"], row["ts_closed"]))
        row["low_px"] = min(row["low_px"], *found) if found else None
        row["high_px"] = max(row["high_px"], *found) if found else None
    return Exported(decisions, names, rows, trips.closed, trips.fills, pnl.rows)


def lot_of(rows: Iterable[OrderRow | FillRow | PositionRow]) -> Lot:
    """Return instruments' lot steps as quantities of whole lots show them: the finest of all."""
    from actors.records.coins import seen_lot

    finest: dict[str, Decimal] = {}
    for row in rows:
        if (lot := seen_lot(row.quantity)) is not None:
            finest[row.instrument] = min(lot, finest.get(row.instrument, lot))
    return lambda name: finest.get(name, Decimal(0))


class _Pnl:
    """Profit of each instrument after each booking, beside the account's equity by then."""

    def __init__(self, equity: Sequence[tuple[int, Any]]) -> None:
        from actors.desk.books import StrategyBooks

        self.books, self.rows = StrategyBooks(), Rows()
        self._times, self._equity = [ts for ts, _ in equity], [value for _, value in equity]

    def add(self, ts: int, instrument: str, price: Decimal) -> None:
        booked = self.books.booked
        if instrument not in booked.by_instrument:
            return
        held = [key for key in booked.quantities if key[1] == instrument]
        cost = sum((booked.costs[key] for key in held), Decimal(0))
        value = sum((booked.quantities[key] for key in held), Decimal(0)) * price
        # The next valuation: the one before it does not have this booking.
        known = bisect_left(self._times, ts)
        self.rows.append(
            {
                "timestamp": time_text(ts),
                "symbol": instrument,
                "realised": booked.by_instrument[instrument] + cost,
                "unrealised": value - cost,
                "equity": self._equity[known] if known < len(self._equity) else None,
            }
        )


@dataclass
class _Trips:
    """Round trips that ended, as rows, and the fills of all."""

    books: StrategyBooks
    closed: Rows = field(default_factory=list)
    fills: list[FillRow] = field(default_factory=list)

    def filled(self, fill: FillRow) -> None:
        trip = self.books.open.get((fill.strategy, fill.instrument))
        self.books.fill(fill)
        self.fills.append(fill)
        if trip is not None and trip.ts_closed is not None:
            self.closed.append(trip.row())

    def funded(self, strategy: str, instrument: str, amount: Decimal) -> None:
        self.books.funding(strategy, instrument, amount)


def write(found: Exported, folder: Path) -> dict[str, int]:
    """Write the files; return each one's number of rows."""
    from config.errors import InputError

    made: dict[str, tuple[Rows, Sequence[str]]] = {
        "decisions": (list(_decisions(found)), DECISIONS),
        "orders": (found.orders, found.order_columns),
        "trades": (list(_trades(found)), TRADES),
        "fills": (list(_fills(found)), FILLS),
        "pnl": (found.pnl, PNL),
    }
    files = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (rows, first) in made.items():
            file = folder / f"{name}.csv"
            with file.open("w", newline="", encoding="utf-8") as stream:
                # Signals' scores come last, where there are any.
                columns = dict.fromkeys((*first, *(key for row in rows for key in row)))
                writer = csv.DictWriter(stream, list(columns))
                writer.writeheader()
                writer.writerows({key: _cell(key, row[key]) for key in row} for row in rows)
            files[str(file)] = len(rows)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
    return files


def _decisions(found: Exported) -> Iterator[dict[str, Any]]:
    from strategies.messages import Target

    for decision in found.decisions:
        counted = decision.refusals or {}
        about = picked(decision, "ts strategy kind equity multiplier note") | {
            "decision_id": decision.id,
            "ts_data": decision.data_ts,
            "refusals": ", ".join(f"{code} {count}" for code, count in counted.items()),
        }
        for target in decision.targets or (Target(instrument=""),):
            scores = {f"score_{name}": score for name, score in (target.scores or {}).items()}
            names = "instrument price score weight current target order reason"
            yield about | picked(target, names) | scores


def _trades(found: Exported) -> Iterator[dict[str, Any]]:
    from actors.records.trades import excursions, stories

    told = stories(found.trades, found.fills, found.orders)
    for trip, story in zip(found.trades, told, strict=True):
        closed, against, along = trip["ts_closed"], *excursions(trip)
        yield {
            **{key: trip[key] for key in TRADES if key in trip},
            **picked(story, "risk slippage_in slippage_out decision_id"),
            "duration_s": None if closed is None else (closed - trip["ts_opened"]) / 1e9,
            "r": story.multiple(Decimal(trip["net"])),
            "mae_bps": against,
            "mfe_bps": along,
            "reason": "still open" if trip["open"] else story.reason,
        }


def _fills(found: Exported) -> Iterator[dict[str, Any]]:
    scores = {
        (decision.id, target.instrument): target.score
        for decision in found.decisions
        for target in decision.targets
        if target.score is not None
    }
    for fill in found.fills:
        yield {
            "timestamp": time_text(fill.ts),
            "symbol": fill.instrument,
            "executed_price": fill.price,
            "edge": scores.get((fill.decision_id, fill.instrument)),
            **picked(fill, "side quantity slippage fee fee_coin strategy decision_id"),
        }


def picked(row: Any, names: str) -> dict[str, Any]:
    """Return some attributes by their names."""
    return {name: getattr(row, name) for name in names.split()}


def _cell(column: str, value: Any) -> Any:
    if value is None:
        return ""
    if column.startswith("ts"):
        return time_text(value)
    return f"{value:f}" if isinstance(value, Decimal) else value


def time_text(ts: int) -> str:
    """Return a time, UNIX nanoseconds (UTC), in ISO 8601.

    >>> time_text(1_700_000_000_000_000_001)
    '2023-11-14T22:13:20.000000001Z'
    """
    seconds, rest = divmod(ts, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
