"""How the orders of a run on quotes or books were executed."""

from __future__ import annotations

import numpy as np

from backtests.report.charts import Drawings
from backtests.report.formats import number, percent, table
from backtests.report.report_data import ReportData


def on_ticks(report: ReportData) -> bool:
    """Whether orders met quotes or books."""
    return report.summary["how_filled"].get("mode") in ("quotes", "book")


def matching(report: ReportData, _: Drawings) -> str:
    """Share of makers, part of resting orders that filled, their wait, slippage by liquidity."""
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
    waits = [
        (fill["ts"] - orders[fill["client_order_id"]]["ts_created"]) / 1e9
        for fill in fills
        if fill["liquidity"] == "MAKER" and fill["client_order_id"] in orders
    ]
    rows = [
        ["Orders that rested", f"{len(rested):,}"],
        ["Part of their value that filled", percent(filled / wanted if wanted else None)],
        ["Wait until a maker fill, median", _seconds(waits, 50)],
        ["Wait until a maker fill, 90 % within", _seconds(waits, 90)],
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
    return table(["", ""], rows, words=(0,), kind="facts")


def _seconds(waits: list[float], part: int) -> str:
    return f"{number(float(np.percentile(waits, part)) if waits else None)} s"
