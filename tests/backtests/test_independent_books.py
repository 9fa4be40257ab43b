"""Whole runs against books kept by hand from the raw files: every fill, payment and figure.

The runs are made by the command line, so nothing of ``backtests`` is imported.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from catalog.providers.base import Import
from catalog.providers.demo import DemoParams, generate
from catalog.storage.writer import CatalogWriter
from perpdesk import build_app
from tests.backtests.books_by_hand import (
    Books,
    Slip,
    Trip,
    curve,
    keep,
    round_trips,
    wanted_weights,
    whole_lots,
)
from tests.backtests.raw_truth import DAY, HOUR, Raw, newest, read_raw

SMALLEST = Decimal("1e-8")
CENT = Decimal("0.01")
FEE = Decimal("0.00055")
OPENING = Decimal(100_000)
MARKET = DemoParams(days=48, perps=14, listed_share=0.15, delisted_share=0.15)
"""Of fourteen perps two are listed and two delisted on the way."""


def flat(bps: str) -> Slip:
    return lambda notional: Decimal(bps) / 10_000


def sized(base: str, per: str, cap: str) -> Slip:
    return lambda notional: Decimal(base) + min(notional / Decimal(per), Decimal(cap))


@dataclass(frozen=True)
class Case:
    """A run and what the oracle has to know of its document."""

    catalog: str
    venue: dict[str, Any]
    slip: Slip
    window: tuple[str, str] = ("2023-01-06", "2023-02-16")
    slice_days: int = 30


CASES = {
    "two basis points": Case("demo", {}, flat("2")),
    "ticks and lots of all sizes": Case(
        "uneven",
        {"slippage": {"model": "base_plus_size", "base": 0.0001, "per": 10_000_000}},
        sized("0.0001", "10000000", "0.01"),
    ),
    "from noon to half past midnight, in weeks": Case(
        "uneven",
        {"slippage": {"model": "fixed_bps", "bps": 7.5}},
        flat("7.5"),
        window=("2023-01-05T12:00:00Z", "2023-02-14T00:30:00Z"),
        slice_days=7,
    ),
    "data with holes": Case("holes", {}, flat("2"), slice_days=9),
}


@dataclass(frozen=True)
class Run:
    case: Case
    market: dict[str, Raw]
    summary: dict[str, Any]
    rows: dict[str, list[dict[str, Any]]]
    decisions: list[dict[str, Any]]
    books: Books

    @property
    def start(self) -> int:
        return int(self.summary["start_ns"])

    @property
    def end(self) -> int:
        return int(self.summary["end_ns"])

    def last(self, trip: Trip) -> Decimal:
        """Return the newest close of a round trip's instrument."""
        found = newest(self.market[trip.instrument].hour_closes, self.end)
        assert found is not None
        return found


def write_catalogs(folder: Path) -> dict[str, Path]:
    """Write the demo market, the same with steps that are no powers of ten, and one with holes."""
    made = generate(MARKET)
    markets = {"demo": made, "uneven": uneven(made), "holes": with_holes(made)}
    for name, market in markets.items():
        with CatalogWriter(folder / name) as writer:
            writer.add(market)
    return {name: folder / name for name in markets}


def uneven(market: Import) -> Import:
    """Return the market on ticks of 1, 5, 2 or 25 and lots of 1, 2 or 5 times the old ones."""
    ticks = {info.id: (1, 5, 2, 25)[n % 4] for n, info in enumerate(market.instruments)}
    lots = {info.id: (1, 2, 5)[n % 3] for n, info in enumerate(market.instruments)}
    infos = [
        msgspec.structs.replace(
            info,
            tick=format(Decimal(info.tick) * ticks[info.id], "f"),
            lot=format(Decimal(info.lot) * lots[info.id], "f"),
            min_qty=format(Decimal(info.min_qty) * lots[info.id], "f"),
        )
        for info in market.instruments
    ]
    steps = {info.id: Decimal(info.tick) for info in infos}

    def on_ticks(table: pa.Table, step: Decimal) -> pa.Table:
        for name in ("open", "high", "low", "close"):
            counts = np.maximum(np.rint(table.column(name).to_numpy() / float(step)), 1.0)
            values = [float(int(count) * step) for count in counts]
            table = table.set_column(table.column_names.index(name), name, pa.array(values))
        return table

    return dataclasses.replace(
        market,
        instruments=infos,
        tables={
            key: table if key[0] == "funding" else on_ticks(table, steps[key[2]])
            for key, table in market.tables.items()
        },
    )


def with_holes(market: Import) -> Import:
    """Return the market without one hour in twenty, and silent once for one to three days."""
    random = np.random.default_rng(5)
    tables = dict(market.tables)
    for info in market.instruments:
        hours = market.tables["bars", "1h", info.id].column("ts").to_numpy()
        begins = int(random.choice(hours[len(hours) // 4 : len(hours) // 2]))
        silent = begins, begins + int(random.integers(24, 72)) * HOUR
        for kind, size, share in (("bars", "1h", 0.05), ("mark", "1h", 0.05), ("bars", "1d", 0.0)):
            if (kind, size, info.id) not in tables:  # Spot pairs have no marks.
                continue
            table = tables[kind, size, info.id]
            ts = table.column("ts").to_numpy()
            keep_row = (random.random(len(ts)) >= share) & ((ts < silent[0]) | (ts > silent[1]))
            tables[kind, size, info.id] = table.filter(pa.array(keep_row))
    return dataclasses.replace(market, tables=tables)


def make(case: Case, catalog: Path, folder: Path) -> Run:
    """Run everyone long or short, so that each delisting finds a position."""
    document = {
        "kind": "backtest",
        "name": "by-hand",
        "catalog": str(catalog),
        "window": dict(zip(("start", "end"), case.window, strict=True)),
        "slice_days": case.slice_days,
        "venue": {"starting_balance": int(OPENING), **case.venue},
        "strategies": {
            "reversal": {"use": "strategies.xs_reversal:XSReversal", "params": {"fraction": 0.5}}
        },
    }
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    out = folder / "out"
    done = CliRunner().invoke(build_app(), ["backtest", str(file), "--out", str(out)])
    assert done.exit_code == 0, done.output
    rows = {
        name: pq.read_table(out / f"{name}.parquet").to_pylist()
        for name in ("orders", "fills", "funding", "positions", "equity", "decisions")
    }
    market = read_raw(catalog)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    decisions = [json.loads(row["payload"]) for row in rows["decisions"]]
    books = keep(market, decisions, case.slip, summary["start_ns"], summary["end_ns"])
    return Run(case, market, summary, rows, decisions, books)


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_catalogs(tmp_path_factory.mktemp("catalogs"))


@pytest.fixture(scope="module", params=CASES)
def run(
    request: pytest.FixtureRequest,
    catalogs: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    case = CASES[request.param]
    return make(case, catalogs[case.catalog], tmp_path_factory.mktemp("run"))


def test_the_window_holds_what_it_is_chosen_for(run: Run) -> None:
    listed = [r for r in run.market.values() if run.start < r.facts["listed_ns"] < run.end]
    assert len(listed) == 2
    assert sum(fill.kind == "delisting" for fill in run.books.fills) == 2
    traded = {fill.instrument for fill in run.books.fills}
    assert {raw.facts["id"] for raw in listed} <= traded
    assert len(traded) == MARKET.perps
    assert len({(raw.tick, raw.lot) for raw in run.market.values()}) > 4
    assert any(trip.funding > 0 for trip in round_trips(run.books, FEE))
    # Left unfilled by the window's end, or taken back after a day without a candle.
    waits = run.end % DAY != 0 or run.case.catalog == "holes"
    assert (run.books.unfilled > 0) == waits


def test_every_decision_asks_for_what_the_raw_closes_say(run: Run) -> None:
    """Weights from daily closes, equity from the books, quantities in whole lots."""
    held, money, done, paid = defaultdict[str, Decimal](Decimal), OPENING, 0, 0
    first = -(-(run.start - 5 * 60 * 10**9) // DAY) * DAY + 5 * 60 * 10**9
    assert [d["ts"] for d in run.decisions] == list(range(first, run.end, DAY))
    for decision in run.decisions:
        while done < len(run.books.fills) and run.books.fills[done].ts < decision["ts"]:
            fill = run.books.fills[done]
            held[fill.instrument] += fill.quantity
            money -= fill.quantity * fill.price + fill.fee(FEE)
            done += 1
        while paid < len(run.books.payments) and run.books.payments[paid].ts < decision["ts"]:
            money += run.books.payments[paid].amount
            paid += 1
        data_ts = decision["ts"] // DAY * DAY
        assert decision["data_ts"] == data_ts
        closes = {name: newest(raw.day_closes, data_ts) for name, raw in run.market.items()}
        worth = sum((q * (closes[name] or 0) for name, q in held.items() if q), money)
        equity = Decimal(decision["equity"])
        assert abs(equity - worth) < CENT
        weights = wanted_weights(run.market, data_ts, 0.5)
        seen = {line["instrument"]: line for line in decision["targets"]}
        assert set(weights) <= set(seen)
        for name, line in seen.items():
            raw, weight = run.market[name], weights.get(name, 0.0)
            assert line["weight"] == pytest.approx(weight, rel=1e-12)
            assert Decimal(line["current"]) == held[name]
            price = raw.day_closes.get(data_ts)
            target = Decimal(0)
            if price is not None:
                assert line["price"] == float(price)
                target = whole_lots(raw, line["weight"], equity, price)
            order = target - held[name] if accepted(raw, held[name], target, price) else 0
            assert Decimal(line["order"]) == order


def accepted(raw: Raw, held: Decimal, target: Decimal, price: Decimal | None) -> bool:
    """Whether the exchange takes the order: exits always, smaller ones from one lot, others 5 USDT.

    The minimum in USDT is one in whole lots at the decision's price.
    """
    if target == 0 or price is None:
        return True
    size = abs(target - held)
    if held * target > 0 and abs(target) < abs(held):
        return size >= min(Decimal(raw.facts["min_qty"]), abs(held))
    lots = Decimal(raw.facts["min_notional"]) / price / raw.lot
    return size >= max(
        Decimal(raw.facts["min_qty"]), lots.to_integral_value(ROUND_CEILING) * raw.lot
    )


def test_fills_are_those_of_the_books(run: Run) -> None:
    def place(row: dict[str, Any]) -> tuple[int, str]:
        return row["ts"], row["instrument"]

    expected = sorted(run.books.fills, key=lambda b: (b.ts, b.instrument))
    assert len(run.rows["fills"]) == len(expected)
    for row, fill in zip(sorted(run.rows["fills"], key=place), expected, strict=True):
        assert place(row) == (fill.ts, fill.instrument)
        assert row["side"] == ("BUY" if fill.quantity > 0 else "SELL")
        assert (row["kind"], row["liquidity"]) == (fill.kind, "TAKER")
        for name, value in {
            "quantity": abs(fill.quantity),
            "price": fill.price,
            "reference_price": fill.reference,
            "notional": abs(fill.quantity) * fill.price,
            "slippage": fill.quantity * (fill.price - fill.reference),
        }.items():
            assert Decimal(row[name]) == value
        # The engine rounds a fee to the account's eight decimals.
        assert abs(Decimal(row["fee"]) - fill.fee(FEE)) <= SMALLEST


def test_no_order_is_lost_and_those_without_an_open_stay(run: Run) -> None:
    orders = run.rows["orders"]
    delisted = sum(fill.kind == "delisting" for fill in run.books.fills)
    asked = sum(Decimal(t["order"]) != 0 for d in run.decisions for t in d["targets"])
    assert len(orders) == asked + delisted
    assert sum(row["status"] == "FILLED" for row in orders) == len(run.books.fills)
    assert sum(row["status"] != "FILLED" for row in orders) == run.books.unfilled


def test_funding_is_that_of_the_books(run: Run) -> None:
    assert len(run.books.payments) > 1000
    found = [
        (
            row["ts"],
            row["instrument"],
            *(Decimal(row[name]) for name in ("rate", "mark_price", "quantity", "amount")),
        )
        for row in run.rows["funding"]
    ]
    assert sorted(found) == sorted(dataclasses.astuple(p) for p in run.books.payments)


def test_round_trips_are_those_of_the_books(run: Run) -> None:
    trips = {(t.instrument, t.opened): t for t in round_trips(run.books, FEE)}
    assert len(trips) == len(run.rows["positions"])
    assert sum(len(t.changes) > 2 for t in trips.values()) > 10
    for row in run.rows["positions"]:
        trip = trips[row["instrument"], row["ts_opened"]]
        last = run.last(trip)
        assert row["side"] == ("LONG" if trip.long else "SHORT")
        assert (row["ts_closed"], row["open"]) == (trip.closed, trip.closed is None)
        assert Decimal(row["quantity"]) == trip.peak
        assert row["entry_px"] == pytest.approx(trip.average(entries=True), rel=1e-12)
        leave = trip.average(entries=False)
        assert row["exit_px"] == (None if leave is None else pytest.approx(leave, rel=1e-12))
        assert Decimal(row["gross"]) == trip.gross(last)
        assert Decimal(row["funding"]) == trip.funding
        rounded = SMALLEST * len(trip.changes)
        assert abs(Decimal(row["fees"]) - trip.fees) <= rounded
        net = trip.gross(last) - trip.fees + trip.funding
        assert abs(Decimal(row["net"]) - net) <= rounded


def test_equity_is_that_of_the_books_at_every_hour(run: Run) -> None:
    points = curve(run.market, run.books, FEE, OPENING, run.start, run.end)
    assert [row["ts"] for row in run.rows["equity"]] == [point[0] for point in points]
    for row, (_, equity, gross, net) in zip(run.rows["equity"], points, strict=True):
        # Floats, and fees rounded to eight decimals.
        assert row["equity"] == pytest.approx(float(equity), abs=1e-4)
        assert row["gross"] == pytest.approx(float(gross), abs=1e-4)
        assert row["net"] == pytest.approx(float(net), abs=1e-4)
        assert row["cash"] + row["unrealized"] == pytest.approx(row["equity"], abs=1e-6)


def test_cash_moves_by_realised_profit_only(run: Run) -> None:
    """What is open at its entry price makes the difference between cash and equity."""
    trips = round_trips(run.books, FEE)
    worth = Decimal(0)
    for trip in trips:
        if trip.closed is None:
            last = run.last(trip)
            worth += trip.held * last - trip.open_cost()
    assert run.rows["equity"][-1]["unrealized"] == pytest.approx(float(worth), abs=1e-4)


def test_the_summary_says_what_the_books_say(run: Run) -> None:
    fills = run.books.fills
    trips = round_trips(run.books, FEE)
    points = curve(run.market, run.books, FEE, OPENING, run.start, run.end)
    equity = np.array([float(point[1]) for point in points])
    gross = np.array([float(point[2]) for point in points])
    nets = []
    for trip in trips:
        last = run.last(trip)
        nets.append(trip.gross(last) - trip.fees + trip.funding)
    closed = [net for net, trip in zip(nets, trips, strict=True) if trip.closed is not None]
    days = [float(e) for ts, e, _, _ in points if ts % DAY == 0 or ts == run.start]
    daily = np.array(days[1:]) / np.array(days[:-1]) - 1
    if run.end % DAY:  # The last, broken day closes where it stands.
        daily = np.append(daily, equity[-1] / days[-1] - 1)
    stands = np.diff([point[0] for point in points], append=run.end)
    paid = sum((p.amount for p in run.books.payments), Decimal(0))
    fees = sum((fill.fee(FEE) for fill in fills), Decimal(0))
    slippage = sum((f.quantity * (f.price - f.reference) for f in fills), Decimal(0))
    profit = sum(nets, Decimal(0))
    expected = {
        "starting_equity": OPENING,
        "ending_equity": OPENING + profit,
        "net_profit": profit,
        "fees": fees,
        "funding": paid,
        "slippage": slippage,
        "gross_pnl": profit + fees - paid,
        "gross_before_slippage": profit + fees - paid + slippage,
        "traded_notional": sum(abs(f.quantity) * f.price for f in fills),
    }
    for name, value in expected.items():
        assert run.summary[name] == pytest.approx(float(value), abs=1e-4), name
    # A window that begins or ends within a day has parts of days.
    a_year = len(daily) * 365 / ((run.end - run.start) / DAY)
    ratios = {
        "return_pct": profit / OPENING * 100,
        "max_drawdown": np.max(1 - equity / np.maximum.accumulate(equity)),
        "volatility": daily.std(ddof=1) * np.sqrt(a_year),
        "sharpe": daily.mean() / daily.std(ddof=1) * np.sqrt(a_year),
        "exposure": np.average(gross / equity, weights=stands),
        "time_in_market": np.average(gross > 0, weights=stands),
        "turnover": float(expected["traded_notional"])
        / np.average(equity, weights=stands)
        * 365
        / ((run.end - run.start) / DAY),
        "win_rate": sum(net > 0 for net in closed) / len(closed),
        "profit_factor": sum(n for n in closed if n > 0) / -sum(n for n in closed if n < 0),
        "average_trade": sum(closed) / len(closed),
        "average_holding_hours": np.mean(
            [(trip.closed - trip.opened) / HOUR for trip in trips if trip.closed is not None]
        ),
    }
    for name, value in ratios.items():
        assert run.summary[name] == pytest.approx(float(value), rel=1e-6), name
    counts = (len(trips) - len(closed), len(closed), len(fills), len(run.rows["orders"]))
    assert tuple(run.summary[n] for n in ("trades_open", "trades", "fills", "orders")) == counts
