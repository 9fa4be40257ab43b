"""Hand-made things that several tests start from."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from backtests.result import RunRecord
from backtests.tables import conform, table

DAY = 86_400_000_000_000
HOUR = DAY // 24
JANUARY = 1_704_067_200_000_000_000
"""2024-01-01, UNIX nanoseconds (UTC)."""

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
    """Return a row of the fills table: notional and slippage follow from the prices."""
    worse = Decimal(price) - Decimal(reference)
    return {
        "ts": ts,
        "strategy": "reversal",
        "instrument": f"{instrument}-LINEAR.BYBIT",
        "client_order_id": f"O-reversal-{ts // HOUR}",
        "side": side,
        "quantity": Decimal(quantity),
        "price": Decimal(price),
        "reference_price": Decimal(reference),
        "notional": Decimal(quantity) * Decimal(price),
        "fee": Decimal(fee),
        "slippage": Decimal(quantity) * (worse if side == "BUY" else -worse),
        "liquidity": "TAKER",
        "kind": "order",
    }


def order_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return the filled market order that a fill belongs to."""
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
        tables={
            "orders": table("orders", map(order_of, fills)),
            "fills": table("fills", fills),
            "positions": table("positions", trips),
            "equity": equity_table(start + np.arange(5) * DAY, values),
            "decisions": table("decisions", []),
            "funding": table("funding", funding),
        },
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


def settlement(
    ts: int, instrument: str, rate: str, mark: str, quantity: str, amount: str
) -> dict[str, Any]:
    """Return a row of the funding table."""
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
    """Return one record of an import, as the catalog writes them."""
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
