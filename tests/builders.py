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


def large_record(
    *, seed: int = 1, days: int = 730, symbols: int = 40, name: str = "large", **changes: Any
) -> RunRecord:
    """Return a random run, hourly, of one trade a day in each of some symbols; its books close."""
    rng = np.random.default_rng(seed)
    names = [f"{letters}USDT" for letters in _letters(symbols)]
    hours = days * 24
    price = 100 * np.exp(np.cumsum(rng.standard_t(4, (hours + 1, symbols)) * 0.006, axis=0))
    price *= 10.0 ** rng.integers(-3, 3, symbols)
    equity, gross, net = np.full(hours + 1, 1e5), np.zeros(hours + 1), np.zeros(hours + 1)
    fills, funding, trips, cash = [], [], [], Decimal(100_000)
    realized = np.full(hours + 1, 1e5)
    for day in range(days - 1):
        chosen = rng.choice(symbols, 8, replace=False)
        first = day * 24 + 1
        last = first + 24 * int(rng.integers(1, 4))
        for rank, column in enumerate(chosen):
            side = 1 if rank < 4 else -1
            after = min(last, hours - 1)
            # A tilt towards profit, so that the drawings show something worth looking at.
            tilt = 1 + side * rng.normal(0.004, 0.004)
            entry, leave = (f"{price[t, column]:.8g}" for t in (first, after))
            leave = f"{float(leave) * tilt:.8g}"
            quantity = f"{1e4 / price[first, column]:.4g}"
            paid = fill(
                JANUARY + first * HOUR,
                names[column],
                "BUY" if side > 0 else "SELL",
                quantity,
                _worse(entry, side),
                entry,
                "5.5",
            )
            got = fill(
                JANUARY + after * HOUR,
                names[column],
                "SELL" if side > 0 else "BUY",
                quantity,
                _worse(leave, -side),
                leave,
                "5.5",
            )
            made = side * Decimal(quantity) * (got["price"] - paid["price"])
            received = Decimal(f"{rng.normal(-0.4, 3):.8f}")
            fills += [paid, got]
            funding.append(
                settlement(
                    JANUARY + (first // 8 + 1) * 8 * HOUR,
                    names[column],
                    "0.0001",
                    entry,
                    quantity if side > 0 else f"-{quantity}",
                    format(received, "f"),
                )
            )
            trips.append(
                trip(
                    names[column],
                    "LONG" if side > 0 else "SHORT",
                    paid["ts"],
                    got["ts"],
                    quantity,
                    float(paid["price"]),
                    float(got["price"]),
                    format(made, "f"),
                    "11",
                    format(received, "f"),
                )
            )
            profit = made - 11 + received
            cash += profit
            marked = side * float(quantity) * (price[first:after, column] - price[first, column])
            equity[first:after] += marked
            equity[after:] += float(profit)
            realized[after:] += float(profit)
            worth = float(quantity) * price[first:after, column]
            gross[first:after] += worth
            net[first:after] += side * worth
    equity[-1] = float(cash)
    fills.sort(key=lambda row: row["ts"])
    total = {
        part: sum((Decimal(row[part]) for row in trips), Decimal(0))
        for part in ("gross", "fees", "funding")
    }
    daily = np.arange(days + 1)
    ts = JANUARY + np.arange(hours + 1, dtype=np.int64) * HOUR
    curve = np.column_stack([equity, realized, equity - realized, gross, net])
    return replace(
        small_record(),
        name=name,
        end_ns=JANUARY + days * DAY,
        starting_equity=Decimal(100_000),
        ending_equity=cash,
        gross_pnl=total["gross"],
        fees=total["fees"],
        funding=total["funding"],
        slippage=sum((row["slippage"] for row in fills), Decimal(0)),
        tables=tables_of(fills, trips, funding, equity_table(ts, curve)),
        benchmarks=conform(
            "benchmarks",
            pa.table(
                {
                    "ts": ts[::24],
                    "btc": np.exp(np.cumsum(rng.normal(0.001, 0.03, len(daily))) * (daily > 0)),
                    "equal_weight": np.exp(
                        np.cumsum(rng.normal(0.0, 0.035, len(daily))) * (daily > 0)
                    ),
                }
            ),
        ),
        **changes,
    )


def _letters(count: int) -> list[str]:
    known = ["BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "1000PEPE", "LINK", "AVAX", "SUI"]
    invented = [
        f"{chr(65 + i % 26)}{chr(65 + (7 * i) % 26)}{chr(65 + i // 26)}" for i in range(600)
    ]
    return [*known, *invented][:count]


def _worse(price: str, side: int) -> str:
    return f"{float(price) * (1 + side * 0.0005):.8g}"


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
