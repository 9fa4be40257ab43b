"""How the orders of a run on quotes or books were executed."""

from __future__ import annotations

from typing import Any

import numpy as np

from actors import measures
from backtests.engine.books import HORIZONS_S
from backtests.report.charts import Drawings
from backtests.report.formats import facts, number, percent, table
from backtests.report.report_data import ReportData


def on_ticks(report: ReportData) -> bool:
    """Whether orders met quotes or books."""
    return report.summary["how_filled"]["mode"] in ("quotes", "book")


def matching(report: ReportData, _: Drawings) -> str:
    """Share of makers, part that filled, queue wait, latency, slippage, adverse selection."""
    orders = {row["client_order_id"]: row for row in report.orders.to_pylist()}
    fills = [row for row in report.fills.to_pylist() if row["kind"] == "order"]
    total = sum(float(fill["notional"]) for fill in fills)
    # Also those that take have a limit.
    took = {fill["client_order_id"] for fill in fills if fill["liquidity"] == "TAKER"}
    rested = [
        order
        for order in orders.values()
        if order["type"] == "LIMIT"
        and order["status"] not in ("DENIED", "REJECTED")
        and order["client_order_id"] not in took
    ]
    wanted = sum(float(order["quantity"]) * float(order["limit_price"]) for order in rested)
    filled = sum(float(order["filled"]) * float(order["limit_price"]) for order in rested)
    arrived = {name: order["ts_arrived"] for name, order in orders.items() if order["ts_arrived"]}
    waits = [
        fill["ts"] - arrived[fill["client_order_id"]]
        for fill in fills
        if fill["liquidity"] == "MAKER" and fill["client_order_id"] in arrived
    ]
    delays = [there - orders[name]["ts_created"] for name, there in arrived.items()]
    rows = [
        ["Orders that rested", f"{len(rested):,}"],
        ["Part of their value that filled", percent(filled / wanted if wanted else None)],
        ["Wait in the queue until a maker fill, median", _within(waits, 50, "s")],
        ["Wait in the queue until a maker fill, 90 % within", _within(waits, 90, "s")],
        ["Latency from an order to its arrival, median", _within(delays, 50, "ms")],
        ["Latency from an order to its arrival, 90 % within", _within(delays, 90, "ms")],
    ]
    for name in ("MAKER", "TAKER"):
        own = [fill for fill in fills if fill["liquidity"] == name]
        traded = sum(float(fill["notional"]) for fill in own)
        cost = sum(float(fill["slippage"] or 0) for fill in own)
        label = f"{name.capitalize()} fills"
        share = traded / total if total else None
        rows.append([f"{label}, part of what was traded", percent(share)])
        bps = cost / traded * 1e4 if traded else None
        rows.append([f"{label}, worse than the mid at the decision by", f"{number(bps)} bps"])
    return facts(rows) + _adverse_selection(report, fills)


def _adverse_selection(report: ReportData, fills: list[dict[str, Any]]) -> str:
    """Move of the mid against fills after 1, 5 and 30 s, makers and takers apart."""
    if not report.result.has("fill_mids"):
        return ""
    mids = {row["execution_id"]: row for row in report.result.table("fill_mids").to_pylist()}
    rows, left_out = [], np.zeros(len(HORIZONS_S), dtype=np.int64)
    for name in ("MAKER", "TAKER"):
        own = [fill for fill in fills if fill["liquidity"] == name and fill["execution_id"] in mids]
        side = np.array([1.0 if fill["side"] == "BUY" else -1.0 for fill in own])
        notional = np.array([float(fill["notional"]) for fill in own])
        mid, *later = (
            np.array([mids[fill["execution_id"]][key] for fill in own], dtype=np.float64)
            for key in ("mid", *(f"mid_{seconds}s" for seconds in HORIZONS_S))
        )
        found = [measures.adverse_move(side, mid, after, notional) for after in later]
        left_out += [unknown for _, unknown in found]
        moves = (number(move * 1e4, signed=True) for move, _ in found)
        rows.append([f"{name.capitalize()} fills", *moves])
    counts = ", ".join(
        f"{count:,} after {s} s" for count, s in zip(left_out, HORIZONS_S, strict=True)
    )
    missing = f" Left out, as no book is known then: {counts}." if left_out.any() else ""
    return (
        table(["Adverse selection, bps", *(f"after {s} s" for s in HORIZONS_S)], rows)
        + '<p class="hint">How far the mid moved against fills (down after a buy, up after a '
        f"sale), weighted by notional; negative is in their favour.{missing}</p>"
    )


def _within(times: list[int], part: int, unit: str) -> str:
    nanoseconds = {"s": 1e9, "ms": 1e6}[unit]
    return f"{number(float(np.percentile(times, part)) / nanoseconds if times else None)} {unit}"
