"""Hand-made things that several tests start from."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from backtests.results.result import RunRecord
from backtests.results.tables import conform, fill_columns, table
from tests.fills import a_fill

DAY = 86_400_000_000_000
HOUR = DAY // 24
JANUARY = 1_704_067_200_000_000_000
"""2024-01-01, UNIX nanoseconds (UTC)."""

Rows = list[dict[str, Any]]
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Market data beside the checkout; tests that need it skip where it is absent."""

TARGETS = {"sharpe": 1.5, "max_drawdown": 0.2, "calmar": 2.0, "win_rate": 0.5}

CONFIG = """\
kind: backtest
name: small
strategies:
  reversal:
    use: strategies.xs_reversal:XSReversal
    params: {lookback: 1, weighting: rank}
venue:
  starting_balance: 1000
"""


def fill(
    ts: int, instrument: str, side: str, quantity: str, price: str, reference: str, fee: str
) -> dict[str, Any]:
    row = a_fill(
        quantity if side == "BUY" else f"-{quantity}",
        price,
        fee,
        ts=ts,
        strategy="reversal",
        instrument=f"{instrument}-LINEAR.BYBIT",
        client_order_id=f"O-reversal-{ts // HOUR}",
        reference_price=Decimal(reference),
    )
    return fill_columns(row)


def order_of(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "client_order_id": row["client_order_id"],
        "strategy": row["strategy"],
        "instrument": row["instrument"],
        "ts_created": row["ts"] - HOUR,
        "ts_arrived": row["ts"],
        "ts_closed": row["ts"],
        "side": row["side"],
        "type": "MARKET",
        "quantity": row["quantity"],
        "filled": row["quantity"],
        "avg_px": float(row["price"]),
        "status": "FILLED",
        "reduce_only": False,
        "reason": "rebalance",
        "decision_id": "",
    }


def price_of(row: dict[str, Any]) -> dict[str, Any]:
    prices = dict.fromkeys(("close", "low", "high"), float(row["price"]))
    return {"ts": row["ts"], "instrument": row["instrument"], **prices}


def small_record(**changes: Any) -> RunRecord:
    """Return a run of four days and two trades whose every figure is done by hand.

    1000 USDT. Day 1: buys 10 AAA at 10.1 (10 stood), fee 0.1. Day 2: funding pays 0.5; sells them
    at 12.1, fee 0.2; sells short 5 BBB at 20, fee 0.1. Day 4: buys BBB back at 22.4 (22 stood),
    fee 0.1.

    ===== ================= ======= ==== ======= ========
    trade gross             slipped fees funding net
    ===== ================= ======= ==== ======= ========
    AAA   10 x 2.0 = 20     1       0.3  +0.5    20.2
    BBB   5 x -2.4 = -12    2       0.2  -0.3    -12.5
    both  8                 3       0.5  +0.2    7.7
    ===== ================= ======= ==== ======= ========
    """
    start = JANUARY
    fills = [
        fill(start + 2 * HOUR, "AAAUSDT", "BUY", "10", "10.1", "10", "0.1"),
        fill(start + DAY + 2 * HOUR, "AAAUSDT", "SELL", "10", "12.1", "12.1", "0.2"),
        fill(start + DAY + 3 * HOUR, "BBBUSDT", "SELL", "5", "20", "20", "0.1"),
        fill(start + 3 * DAY + 2 * HOUR, "BBBUSDT", "BUY", "5", "22.4", "22", "0.1"),
    ]
    funding = [
        settlement(start + DAY, "AAAUSDT", "-0.005", "10", "10", "0.5"),
        settlement(start + 2 * DAY, "BBBUSDT", "-0.003", "20", "-5", "-0.3"),
    ]
    trips = [
        trip(
            "AAAUSDT", "LONG", fills[0]["ts"], fills[1]["ts"], "10", 10.1, 12.1, "20", "0.3", "0.5"
        ),
        trip(
            "BBBUSDT", "SHORT", fills[2]["ts"], fills[3]["ts"], "5", 20, 22.4, "-12", "0.2", "-0.3"
        ),
    ]
    # At each midnight: equity, cash, unrealized, gross, net.
    values = np.array(
        [
            [1000.0, 1000.0, 0.0, 0.0, 0.0],
            [1009.4, 1000.4, 9.0, 110.0, 110.0],
            [1025.0, 1020.0, 5.0, 95.0, -95.0],
            [984.0, 1019.8, -35.8, 135.8, -135.8],
            [1007.7, 1007.7, 0.0, 0.0, 0.0],
        ]
    )
    record = RunRecord(
        name="small",
        config_yaml=CONFIG,
        config_hash="c0ffee" * 8,
        data_hash="decade" * 8,
        engine_version="nautilus_trader 1.231.0, Python 3.12.0",
        started=1_700_000_000.0,
        elapsed_s=1.25,
        start_ns=start,
        end_ns=start + 4 * DAY,
        starting_equity=Decimal(1000),
        ending_equity=Decimal("1007.7"),
        gross_pnl=Decimal(8),
        fees=Decimal("0.5"),
        funding=Decimal("0.2"),
        slippage=Decimal(3),
        tables=tables_of(fills, trips, funding, equity_table(start + np.arange(5) * DAY, values)),
        benchmarks=conform(
            "benchmarks",
            pa.table(
                {
                    "ts": start + np.arange(5, dtype=np.int64) * DAY,
                    "btc": [1.0, 1.02, 0.99, 1.01, 1.05],
                    "equal_weight": [1.0, 1.01, 0.98, 1.0, 1.01],
                }
            ),
        ),
        provenance=[provenance()],
        how_filled={
            "mode": "next_open",
            "interval": "1h",
            "slippage": "fixed_bps (bps 5.0)",
            "words": "Orders fill whole at the open of the next 1h candle.",
        },
        warnings=[],
        targets=dict(TARGETS),
    )
    return replace(record, **changes)


def tables_of(fills: Rows, trips: Rows, funding: Rows, equity: pa.Table) -> dict[str, pa.Table]:
    """Return the tables of a run without decisions and verdicts."""
    return {
        "orders": table("orders", map(order_of, fills)),
        "fills": table("fills", fills),
        "positions": table("positions", trips),
        "equity": equity,
        "decisions": table("decisions", []),
        "funding": table("funding", funding),
        "verdicts": table("verdicts", []),
        "prices": table("prices", map(price_of, fills)),
    }


def with_rows(record: RunRecord, **rows: Rows) -> RunRecord:
    """Return the record with other rows in some of its tables."""
    changed = {name: table(name, found) for name, found in rows.items()}
    return replace(record, tables={**record.tables, **changed})


def idle_record() -> RunRecord:
    """Return the small run, had it traded nothing."""
    record = small_record()
    flat = np.array([[1000.0, 1000.0, 0, 0, 0]] * 5)
    nothing = dict.fromkeys(("gross_pnl", "fees", "funding", "slippage"), Decimal(0))
    return replace(
        record,
        tables=tables_of([], [], [], equity_table(record.start_ns + np.arange(5) * DAY, flat)),
        ending_equity=Decimal(1000),
        **nothing,
    )


def large_record(*, days: int, symbols: int) -> RunRecord:
    """Return a random run, hourly, of eight trades a day; its books close."""
    rng = np.random.default_rng(1)
    hours = days * 24
    price = 100 * np.exp(np.cumsum(rng.normal(0, 0.006, (hours + 1, symbols)), axis=0))
    curve = np.zeros((hours + 1, 5))
    fills, funding, trips = [], [], []
    for day in range(days - 1):
        first = day * 24 + 1
        last = min(first + 24 * int(rng.integers(1, 4)), hours - 1)
        for rank, column in enumerate(rng.choice(symbols, 8, replace=False)):
            name, side = f"S{column:02d}USDT", 1 if rank < 4 else -1
            quantity = f"{1e4 / price[first, column]:.4g}"
            ways = ((first, side), (last, -side))
            entry, leave = (
                fill(
                    JANUARY + hour * HOUR,
                    name,
                    "BUY" if way > 0 else "SELL",
                    quantity,
                    f"{price[hour, column] * (1 + way * 0.0005):.8g}",
                    f"{price[hour, column]:.8g}",
                    "5.5",
                )
                for hour, way in ways
            )
            made = side * Decimal(quantity) * (leave["price"] - entry["price"])
            paid = Decimal(f"{rng.normal(-0.4, 3):.8f}")
            signed = quantity if side > 0 else f"-{quantity}"
            stamp = JANUARY + (first // 8 + 1) * 8 * HOUR
            fills += [entry, leave]
            funding.append(settlement(stamp, name, "0.0001", "100", signed, f"{paid:f}"))
            times = (entry["ts"], leave["ts"])
            prices = (float(entry["price"]), float(leave["price"]))
            money = (f"{made:f}", "11", f"{paid:f}")
            direction = "LONG" if side > 0 else "SHORT"
            trips.append(trip(name, direction, *times, quantity, *prices, *money))
            worth = float(quantity) * price[first:last, column]
            curve[last:, :2] += float(made - 11 + paid)
            curve[first:last, 3] += worth
            curve[first:last, 4] += side * worth
    fills.sort(key=lambda row: row["ts"])
    gross, fees, received = (
        sum((Decimal(row[part]) for row in trips), Decimal(0))
        for part in ("gross", "fees", "funding")
    )
    start = Decimal(100_000)
    curve[:, :2] += float(start)
    ts = JANUARY + np.arange(hours + 1, dtype=np.int64) * HOUR
    benchmark = np.linspace(1.0, 1.5, days + 1)
    benchmarks = {"ts": ts[::24], "btc": benchmark, "equal_weight": benchmark}
    return replace(
        small_record(),
        name="large",
        end_ns=JANUARY + days * DAY,
        starting_equity=start,
        ending_equity=start + gross - fees + received,
        gross_pnl=gross,
        fees=fees,
        funding=received,
        slippage=sum((row["slippage"] for row in fills), Decimal(0)),
        tables=tables_of(fills, trips, funding, equity_table(ts, curve)),
        benchmarks=conform("benchmarks", pa.table(benchmarks)),
    )


def settlement(
    ts: int, instrument: str, rate: str, mark: str, quantity: str, amount: str
) -> dict[str, Any]:
    return {
        "ts": ts,
        "strategy": "reversal",
        "instrument": f"{instrument}-LINEAR.BYBIT",
        "rate": rate,
        "mark_price": mark,
        "quantity": quantity,
        "amount": amount,
    }


def trip(
    instrument: str,
    side: str,
    opened: int,
    closed: int | None,
    quantity: str,
    entry: float,
    exit_price: float | None,
    gross: str,
    fees: str,
    funding: str,
) -> dict[str, Any]:
    """Return a row of the positions table: net follows."""
    return {
        "strategy": "reversal",
        "instrument": f"{instrument}-LINEAR.BYBIT",
        "side": side,
        "ts_opened": opened,
        "ts_closed": closed,
        "quantity": quantity,
        "entry_px": float(entry),
        "exit_px": exit_price if exit_price is None else float(exit_price),
        "gross": gross,
        "fees": fees,
        "funding": funding,
        "net": Decimal(gross) - Decimal(fees) + Decimal(funding),
        "open": closed is None,
    }


def equity_table(ts: np.ndarray, values: np.ndarray) -> pa.Table:
    """Return the equity table of rows of equity, cash, unrealized, gross and net."""
    equity = values[:, 0]
    return conform(
        "equity",
        pa.table(
            {
                "ts": ts.astype(np.int64),
                "equity": equity,
                "cash": values[:, 1],
                "unrealized": values[:, 2],
                "gross": values[:, 3],
                "net": values[:, 4],
                "drawdown": equity / np.maximum.accumulate(equity) - 1.0,
            }
        ),
    )


def provenance(**changes: Any) -> dict[str, Any]:
    return {
        "at": "2024-06-01T00:00:00Z",
        "source": "Bybit v5 JSON",
        "source_venue": "bybit",
        "note": "",
        "files": [{"name": "kline.json", "bytes": 1000, "sha256": "ab" * 32}],
        "instruments": ["AAAUSDT-LINEAR.BYBIT", "BBBUSDT-LINEAR.BYBIT"],
        "inferred": 0,
        "rows": {"bars/1h": 96, "funding": 12},
        "replaced": 0,
        "duplicates": 0,
        "first": JANUARY,
        "last": JANUARY + 4 * DAY,
        **changes,
    }
