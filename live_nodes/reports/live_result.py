"""A node's live trading over a time as a backtest's figures and tables, from its journal.

``ending equity = starting equity + gross - fees + funding + deposits - withdrawals``, to the cent;
`LiveResult.unexplained` is what lacks, and `LiveResult.warnings` say it. Equity is the account's as
the node saw it, all else comes from executions: so the equation is a check.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from actors import measures
from actors.records.coins import WholeLots, every_part, pays_in_coin
from actors.records.journal_reading import JournalReader, read
from actors.records.ledger import ZERO, RoundTrip
from actors.records.rows import EquityRow, FillRow, OrderRow, PositionRow, marks_of_day
from backtests.report.guards import LIVE
from backtests.report.report_data import Share, shares
from backtests.results.figures import Curves, RunBooks, curves, figures, without_flows
from backtests.results.result import CENT
from backtests.results.tables import SCHEMAS, conform, fill_columns, table
from config.errors import InputError
from live_nodes.bybit.facts import TRADES
from live_nodes.local.timefmt import moment_text
from live_nodes.node.risk_books import Executions, Flow
from live_nodes.operate.export import lot_of
from strategies.account_value import is_spot
from strategies.messages import encode
from strategies.refusals import refusal_of

SLACK_NS = 5_000_000_000
"""How long an execution may take from the venue into the books, and clocks differ."""


@dataclass(frozen=True)
class LiveResult:
    """Live trading from ``start_ns`` to ``end_ns`` (UNIX nanoseconds, UTC), money in USDT.

    ``summary`` has the figures of `backtests.results.figures`, ratios time-weighted: deposits and
    withdrawals are neither gain nor loss. ``charges`` are the venue's beside fees and funding, as
    interest. ``by_strategy`` and ``by_symbol`` count what was earned in this time, also by
    positions that were open before. ``rows`` are the journal's executions and transfers of it, from
    the equity at ``first_ts`` to that at ``last_ts``; ``others`` the ids of those next to it.
    ``restarts`` are the node's: when a run ended (when it began, where it was killed), and when the
    next began.
    """

    start_ns: int
    end_ns: int
    books: RunBooks
    curves: Curves
    summary: dict[str, Any]
    flows: tuple[Flow, ...]
    charges: Decimal
    unexplained: Decimal
    by_strategy: list[Share]
    by_symbol: list[Share]
    warnings: list[str]
    first_ts: int
    last_ts: int
    rows: tuple[FillRow, ...]
    others: frozenset[str]
    restarts: tuple[tuple[int, int], ...]

    @property
    def closes(self) -> bool:
        """Whether the books agree with the account to the cent."""
        return abs(self.unexplained) < CENT

    @property
    def deposits(self) -> Decimal:
        """USDT paid in."""
        return sum((flow.amount for flow in self.flows if flow.amount > ZERO), ZERO)

    @property
    def withdrawals(self) -> Decimal:
        """USDT taken out, positive."""
        return -sum((flow.amount for flow in self.flows if flow.amount < ZERO), ZERO)


def live_result(folder: Path, since_ns: int, until_ns: int | None) -> LiveResult:
    """Return what the node with its state in ``folder`` did in a time; ``until_ns`` None is now.

    It begins at the last equity by ``since_ns`` (at the node's first one, if later) and ends at the
    last by ``until_ns``, so that times that follow each other add up. Of paper trading it has the
    last run alone: account and positions end with the process. Raises InputError if the node has
    no equity in this time.
    """
    with read(folder) as journal, journal.at_one_moment():
        runs = journal.runs()
        # After the first reading, so that it has the newest equity: only of that marks are kept.
        until_ns = time.time_ns() if until_ns is None else until_ns
        began = runs[0].started if runs and runs[0].environment == "paper" else 0
        first = journal.last_equity_until(max(since_ns, began))
        if first is None or first.ts < began:
            first = next(iter(journal.equity_between(max(since_ns, began), until_ns)), None)
        last = journal.last_equity_until(until_ns)
        if first is None or last is None or last.ts <= first.ts or not first.equity:
            raise InputError(
                f"{folder}: no equity in its journal from {moment_text(since_ns)} to "
                f"{moment_text(until_ns)}: the node did not run then"
            )
        fills = journal.fills_since(began)
        in_coins = any(map(pays_in_coin, fills))
        # Orders are written without zeros at their end: two coins alone look like a lot of one.
        shown: list[OrderRow | FillRow | PositionRow] = [*fills]
        if in_coins:
            shown += [*journal.orders_since(0), *journal.holdings()]
        lots = WholeLots(lot_of(shown) if in_coins else every_part)
        done = _Done(rows=fills, lots=lots)
        start = max(since_ns, first.ts)
        return _result(journal, done, (first, last), start, max(last.ts, start + 1))


@dataclass(kw_only=True)
class _Done(Executions):
    """Books of all executions so far, and rows of those since the last cut."""

    rows: Sequence[FillRow]
    taken: int = 0
    fills: list[FillRow] = field(default_factory=list)
    funding: list[dict[str, Any]] = field(default_factory=list)
    trips: list[RoundTrip] = field(default_factory=list)

    def advance(self, cut: int) -> None:
        self.fills, self.funding, self.flows, self.trips = [], [], [], []
        self.charges = ZERO
        for row in self.rows[self.taken : cut]:
            self.take(row)
        self.taken = cut

    def filled(self, fill: FillRow) -> None:
        self.fills.append(fill)
        if (trip := self.booked(fill)) is not None:
            self.trips.append(trip)

    def funded(self, strategy: str, instrument: str, amount: Decimal) -> None:
        """Book a funding payment, which may come after the position is closed."""
        row, key = self.row, (strategy, instrument)
        assert row is not None
        trip = self.books.open.get(key)
        super().funded(strategy, instrument, amount)
        if trip is None:
            ended = (one for one in reversed(self.trips) if (one.strategy, one.instrument) == key)
            if (last := next(ended, None)) is None:
                self.charges += amount
                return
            last.funding += amount
        self.funding.append(
            {
                "ts": row.ts,
                "strategy": strategy,
                "instrument": instrument,
                "rate": row.fee / row.notional if row.notional else ZERO,
                "mark_price": row.price,
                "quantity": ZERO if trip is None else trip.quantity,
                "amount": amount,
            }
        )


def _cut(journal: JournalReader, rows: Sequence[FillRow], at: EquityRow) -> int:
    """Return how many executions the equity has: by its time, but for those still under way.

    Near its time, the cut is where they make the positions of the same snapshot.
    """
    cut, first, after = (
        bisect.bisect_right(rows, at.ts + slack, key=attrgetter("ts"))
        for slack in (0, -SLACK_NS, SLACK_NS)
    )

    def moves(row: FillRow) -> bool:
        return row.kind in TRADES and not is_spot(row.instrument)

    names = {row.instrument for row in rows[first:after] if moves(row)}
    lacking = dict.fromkeys(names, ZERO)
    for (_, name), quantity in journal.holdings_at(at.ts).items():
        if name in names:
            lacking[name] += quantity
    fits = []
    for place in range(after + 1):
        if place >= first and not any(lacking.values()):
            fits.append(place)
        if place < after and rows[place].instrument in names and moves(rows[place]):
            lacking[rows[place].instrument] -= rows[place].signed
    return min(fits, key=lambda place: abs(place - cut), default=cut)


def _marks(journal: JournalReader, at: EquityRow) -> Mapping[str, Decimal]:
    """Return an equity's mark prices: kept are those of a day's last; of one position others."""
    kept = journal.load_state("", marks_of_day(at.ts))
    newest = journal.last_equity_until((at.ts // measures.DAY + 1) * measures.DAY - 1)
    if kept is not None and newest is not None and newest.ts == at.ts:
        return msgspec.json.decode(kept, type=dict[str, Decimal])
    held = journal.holdings_at(at.ts)
    names, quantity = {name for _, name in held}, sum(held.values(), ZERO)
    return dict.fromkeys(names, at.net / quantity) if len(names) == 1 and quantity else {}


def _any_price(done: _Done) -> dict[str, Decimal]:
    """Return a price for instruments in which owners are long what others are short, as by hand.

    The account holds none of them, so there is no mark price; any does that is the same for all.
    """
    net: dict[str, Decimal] = {}
    for trip in done.books.open.values():
        net[trip.instrument] = net.get(trip.instrument, ZERO) + trip.quantity
    prices = {row.instrument: row.price for row in done.rows[: done.taken] if row.kind in TRADES}
    return {name: prices[name] for name, quantity in net.items() if not quantity}


def _taken(journal: JournalReader, done: _Done, at: EquityRow) -> dict[int, Decimal]:
    """Return the coins that our executions bought and others took, by `id` of the open trip."""
    held = journal.holdings_at(at.ts)
    return {
        id(trip): trip.quantity - held.get(key, ZERO)
        for key, trip in done.books.open.items()
        if is_spot(trip.instrument)
    }


def _by_hand(row: FillRow, instrument: str) -> bool:
    return row.instrument == instrument and not row.strategy and row.kind in TRADES


def _price(trip: RoundTrip, marks: Mapping[str, Decimal]) -> Decimal:
    return marks.get(trip.instrument, trip.cost / trip.quantity if trip.quantity else ZERO)


def _result(
    journal: JournalReader, done: _Done, span: tuple[EquityRow, EquityRow], start: int, end: int
) -> LiveResult:
    first, last = span
    begin, after_it = _cut(journal, done.rows, first), _cut(journal, done.rows, last)
    done.advance(begin)
    before = {**_any_price(done), **_marks(journal, first)}
    carried = [(trip, replace(trip), _price(trip, before)) for trip in done.books.open.values()]
    lost = _taken(journal, done, first)
    done.advance(after_it)
    after = {**_any_price(done), **_marks(journal, last)}
    held = list(done.books.open.values())
    taken = _taken(journal, done, last)
    sold: dict[int, Decimal] = {}
    given_up = journal.coins_gone(first.ts, last.ts)
    for trip in held:
        coins = taken.get(id(trip), ZERO) - lost.get(id(trip), ZERO)
        moves = [(ts, q, price) for ts, name, q, price in given_up if name == trip.instrument]
        # Of what the journal has no time, as an older one: when a hand last traded.
        coins -= sum((q for _, q, _ in moves), ZERO)
        hands = [row for row in done.rows[begin:after_it] if _by_hand(row, trip.instrument)]
        ts, price = (hands[-1].ts, hands[-1].price) if hands else (last.ts, _price(trip, after))
        if abs(coins * price) >= CENT:
            moves.append((ts, coins, price))
        for ts, q, price in moves:
            done.flows.append(Flow(ts, "own coins", -q * price, f"{trip.instrument} {ts}"))
        if moves:
            sold[id(trip)] = sum((q * (_price(trip, after) - price) for _, q, price in moves), ZERO)
    done.flows.sort(key=attrgetter("ts"))
    positions = {
        id(trip): trip.row(_price(trip, after))
        for trip in sorted((*done.trips, *held), key=attrgetter("ts_opened"))
    }
    for of_trip, gained in sold.items():
        positions[of_trip]["gross"] -= gained
        positions[of_trip]["net"] -= gained
    for trip, then, price in carried:
        # What it had gained by then is of the time before.
        row, gone = positions[id(trip)], lost.get(id(trip), ZERO)
        # Coins that others had taken by then gain nothing more.
        row["gross"] -= then.gross(price) + gone * (_price(trip, after) - price)
        row["fees"] -= then.fees
        row["funding"] -= then.funding
        row["net"] = row["gross"] - row["fees"] + row["funding"]
    unmarked = {t.instrument for t, *_ in carried if t.instrument not in before}
    unmarked |= {t.instrument for t in held if t.instrument not in after}
    sums = {
        name: sum((row[name] for row in positions.values()), ZERO)
        for name in ("gross", "fees", "funding", "net")
    }
    paid_in = sum((flow.amount for flow in done.flows), ZERO)
    left = last.equity - first.equity - sums["net"] - paid_in - done.charges
    marked = sum(trip.instrument in before for trip, *_ in carried)
    warnings = list(_warnings(left, unmarked, done, marked))
    books = RunBooks(
        tables=_tables(journal, done, positions.values(), first, (start, end)),
        benchmarks=table("benchmarks", []),
        starting_equity=first.equity,
        ending_equity=last.equity,
        gross_pnl=sums["gross"],
        fees=sums["fees"],
        funding=sums["funding"],
        slippage=sum((fill.slippage or ZERO for fill in done.fills), ZERO),
        elapsed_s=0.0,
        how_filled={
            "mode": LIVE,
            "interval": "as snapshots of the node are",
            "slippage": "against the price when each order left",
            "words": "Orders were filled at the venue (on paper: by this machine). Equity is the "
            "account's, in snapshots of the node, and stays as it was while the node did not run.",
        },
        warnings=warnings,
        flows=_after(start, done.flows),
        beside=done.charges + left,
    )
    found = books.tables["positions"]
    return LiveResult(
        start_ns=start,
        end_ns=end,
        books=books,
        curves=curves(books.tables["equity"], float(first.equity), start, end, books.flows),
        summary=figures(books, start, end),
        flows=tuple(done.flows),
        charges=done.charges,
        unexplained=left,
        by_strategy=shares(found, "strategy"),
        by_symbol=shares(found, "instrument"),
        warnings=warnings,
        first_ts=first.ts,
        last_ts=last.ts,
        rows=tuple(done.rows[begin:after_it]),
        others=frozenset(r.execution_id for r in (*done.rows[:begin], *done.rows[after_it:])),
        restarts=tuple(
            (before_it.ended or before_it.started, run.started)
            for before_it, run in pairwise(reversed(journal.runs(-1)))
        ),
    )


def _warnings(left: Decimal, unmarked: Collection[str], done: _Done, carried: int) -> Iterator[str]:
    if abs(left) >= CENT:
        why = (
            f" No mark prices are kept of that moment for {', '.join(sorted(unmarked))}: what was "
            "open there counts from its entry. Days in UTC have them."
            if unmarked
            else ""
        )
        yield (
            f"THE BOOKS DO NOT CLOSE: the account has {left:+.2f} USDT that no execution, funding, "
            f"fee, deposit or withdrawal explains.{why}"
        )
    if done.charges:
        yield f"The venue's other charges, as interest, made {done.charges:+.2f} USDT."
    if done.flows:
        paid, taken = (
            sum((abs(f.amount) for f in done.flows if (f.amount > ZERO) is sign), ZERO)
            for sign in (True, False)
        )
        yield (
            f"{paid:,.2f} USDT were paid in and {taken:,.2f} taken out. Neither is profit or loss: "
            "curves and ratios are time-weighted, as if nothing had moved."
        )
    if carried:
        yield (
            f"{carried} position{'s were' if carried > 1 else ' was'} open at the start: what "
            "they gained before does not count here."
        )


def _after(start: int, flows: Iterable[Flow]) -> list[tuple[int, Decimal]]:
    # What moved while the node was down, before the start, is not in the equity of the start.
    return [(max(flow.ts, start + 1), flow.amount) for flow in flows]


def _tables(
    journal: JournalReader,
    done: _Done,
    positions: Iterable[dict[str, Any]],
    first: EquityRow,
    span: tuple[int, int],
) -> dict[str, pa.Table]:
    start, end = span
    opened = (start, *map(float, (first.equity, first.balance, first.gross, first.net)))
    samples = [opened, *(row for row in journal.equity_curve(start + 1, end))]
    ts, equity, cash, gross, net = (np.array(values) for values in zip(*samples, strict=True))
    lines = without_flows(ts, equity, float(first.equity), _after(start, done.flows))
    curve = {"ts": ts, "equity": equity, "cash": cash, "unrealized": equity - cash}
    curve |= {"gross": gross, "net": net, "drawdown": -measures.drawdown(lines)}
    fills = [replace(f, kind="order" if f.kind == "Trade" else f.kind) for f in done.fills]
    refused = journal.refused_between(start, end)
    orders = [o for o in journal.orders_changed_since(start) if o.created < end]
    decisions = journal.decisions_between(start, end)
    made: dict[str, Iterable[Mapping[str, Any]]] = {
        "orders": [_order(order, refused.get(order.client_order_id, "")) for order in orders],
        "fills": map(fill_columns, fills),
        "positions": positions,
        "decisions": [
            _columns("decisions", one) | {"payload": encode(one), "decision_id": one.id}
            for one in decisions
        ],
        "funding": done.funding,
        "verdicts": [
            # Those that stood before count from the start on.
            _columns("verdicts", verdict)
            | {"ts": max(ts, start), "action": verdict.action.name.lower()}
            for ts, verdict in journal.verdicts_between(start, end)
        ],
        "prices": [],
    }
    tables = {name: table(name, rows) for name, rows in made.items()}
    return tables | {"equity": conform("equity", pa.table(curve))}


def _columns(table: str, one: Any) -> dict[str, Any]:
    return {name: getattr(one, name, None) for name in SCHEMAS[table].names}


def _order(order: OrderRow, refused: str) -> dict[str, Any]:
    refusal = refusal_of(refused, denied=True) if refused else None
    return _columns("orders", order) | {
        "ts_created": order.created,
        "ts_closed": order.changed if order.final else None,
        "type": order.order_type,
        "limit_price": order.price,
        "refusal": None if refusal is None else refusal.code,
        "refused_by": None if refusal is None else refusal.guard or None,
    }
