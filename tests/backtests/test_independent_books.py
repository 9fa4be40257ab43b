"""Whole runs against books kept by hand from the raw files: every fill, payment and figure."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.backtests.books_by_hand import curve, round_trips, wanted_weights, whole_lots
from tests.backtests.raw_truth import DAY, HOUR, Raw, newest
from tests.backtests.runs_by_hand import CASES, MARKET, OPENING, Run, make, write_catalogs

SMALLEST = Decimal("1e-8")
CENT = Decimal("0.01")


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
    assert any(trip.funding > 0 for trip in round_trips(run.books, run.case.fee))
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
            money -= fill.quantity * fill.price + fill.fee(run.case.fee)
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
        assert abs(Decimal(row["fee"]) - fill.fee(run.case.fee)) <= SMALLEST


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
    trips = {(t.instrument, t.opened): t for t in round_trips(run.books, run.case.fee)}
    assert len(trips) == len(run.rows["positions"])
    assert sum(len(t.changes) > 2 for t in trips.values()) > 10
    for row in run.rows["positions"]:
        trip = trips[row["instrument"], row["ts_opened"]]
        last = newest(run.market[trip.instrument].hour_closes, run.end)
        assert last is not None
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
    points = curve(run.market, run.books, run.case.fee, OPENING, run.start, run.end)
    assert [row["ts"] for row in run.rows["equity"]] == [point[0] for point in points]
    for row, (_, equity, gross, net) in zip(run.rows["equity"], points, strict=True):
        # Floats, and fees rounded to eight decimals.
        assert row["equity"] == pytest.approx(float(equity), abs=1e-4)
        assert row["gross"] == pytest.approx(float(gross), abs=1e-4)
        assert row["net"] == pytest.approx(float(net), abs=1e-4)
        assert row["cash"] + row["unrealized"] == pytest.approx(row["equity"], abs=1e-6)


def test_cash_moves_by_realised_profit_only(run: Run) -> None:
    """What is open at its entry price makes the difference between cash and equity."""
    trips = round_trips(run.books, run.case.fee)
    worth = Decimal(0)
    for trip in trips:
        if trip.closed is None:
            last = newest(run.market[trip.instrument].hour_closes, run.end)
            assert last is not None
            worth += trip.held * last - trip.open_cost()
    assert run.rows["equity"][-1]["unrealized"] == pytest.approx(float(worth), abs=1e-4)


def test_the_summary_says_what_the_books_say(run: Run) -> None:
    fills, fee = run.books.fills, run.case.fee
    trips = round_trips(run.books, fee)
    points = curve(run.market, run.books, fee, OPENING, run.start, run.end)
    equity = np.array([float(point[1]) for point in points])
    gross = np.array([float(point[2]) for point in points])
    nets = []
    for trip in trips:
        last = newest(run.market[trip.instrument].hour_closes, run.end)
        assert last is not None
        nets.append(trip.gross(last) - trip.fees + trip.funding)
    closed = [net for net, trip in zip(nets, trips, strict=True) if trip.closed is not None]
    days = [float(e) for ts, e, _, _ in points if ts % DAY == 0 or ts == run.start]
    daily = np.array(days[1:]) / np.array(days[:-1]) - 1
    if run.end % DAY:  # The last, broken day closes where it stands.
        daily = np.append(daily, equity[-1] / days[-1] - 1)
    stands = np.diff([point[0] for point in points], append=run.end)
    paid = sum((p.amount for p in run.books.payments), Decimal(0))
    fees = sum((fill.fee(fee) for fill in fills), Decimal(0))
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
    ratios = {
        "return_pct": profit / OPENING * 100,
        "max_drawdown": np.max(1 - equity / np.maximum.accumulate(equity)),
        "volatility": daily.std(ddof=1) * np.sqrt(365),
        "sharpe": daily.mean() / daily.std(ddof=1) * np.sqrt(365),
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
