"""What orders closed: fills of closing parts, added up by order."""

from __future__ import annotations

from collections.abc import Iterable

from live_nodes.practice.exchange.model import ZERO, ClosedPnl, Execution


def closed_by_order(executions: Iterable[Execution]) -> list[ClosedPnl]:
    """Return one row for every order that closed something, the newest order's first.

    Parameters
    ----------
    executions : iterable of Execution
        One account's fills, oldest first.
    """
    by_order: dict[str, list[Execution]] = {}
    for fill in executions:
        if fill.closed_size:
            by_order.setdefault(fill.order_id, []).append(fill)
    rows = [_added(fills) for fills in by_order.values()]
    return sorted(rows, key=lambda row: row.updated_ms, reverse=True)


def _added(fills: list[Execution]) -> ClosedPnl:
    last = fills[-1]
    return ClosedPnl(
        account=last.account,
        symbol=last.symbol,
        order_id=last.order_id,
        side=last.side,
        order_type=last.order_type,
        order_price=last.order_price,
        qty=last.order_qty,
        closed_size=sum((f.closed_size for f in fills), ZERO),
        entry_value=sum((f.entry_price * f.closed_size for f in fills), ZERO),
        exit_value=sum((f.price * f.closed_size for f in fills), ZERO),
        pnl=sum((f.closed_pnl for f in fills), ZERO),
        fill_count=len(fills),
        leverage=last.leverage,
        exec_type=last.exec_type,
        created_ms=fills[0].time_ms,
        updated_ms=last.time_ms,
    )
