"""What each guard did in a run, counted from the result's tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from actors.measures import Integers
from backtests.report.spans import Span, stood_for, tripped
from backtests.results.figures import column
from backtests.results.refusals import held_back

FLATTEN = "flatten"


@dataclass(frozen=True, slots=True)
class Acts:
    """What one guard did.

    Parameters
    ----------
    tripped : int
        How often it began to ask for something.
    stood : int
        How long at least one of its verdicts stood, nanoseconds.
    refused : int
        Orders of strategies that did not pass the order gate because of it.
    held_back : int
        Orders that strategies did not even send because of it.
    closed : int
        Positions open when it said flatten, and closed by orders sent while it stood.
    """

    tripped: int = 0
    stood: int = 0
    refused: int = 0
    held_back: int = 0
    closed: int = 0


def acts(
    found: Sequence[Span],
    orders: pa.Table,
    fills: pa.Table,
    positions: pa.Table,
    decisions: pa.Table,
) -> dict[str, Acts]:
    """Return what each guard did that did anything, by key, sorted.

    Parameters
    ----------
    found : sequence of Span
        From `backtests.report.spans.spans`.
    orders, fills, positions, decisions : pyarrow.Table
        As in `backtests.results.tables`.
    """
    denied = orders.filter(pc.equal(orders.column("status"), "DENIED"))
    # Results of earlier versions don't say who refused.
    known = "refused_by" in denied.column_names
    refused = Counter(filter(None, denied.column("refused_by").to_pylist() if known else ()))
    kept = held_back(decisions.column("payload").to_pylist())
    closed = _closed(found, orders, fills, positions)
    keys = sorted({span.guard for span in found} | refused.keys() | kept.keys())
    return {
        key: Acts(
            tripped=tripped(mine := [span for span in found if span.guard == key]),
            stood=stood_for(mine),
            refused=refused[key],
            held_back=kept[key],
            closed=closed[key],
        )
        for key in keys
    }


def _closed(
    found: Sequence[Span], orders: pa.Table, fills: pa.Table, positions: pa.Table
) -> Counter[str]:
    flat = [span for span in found if span.action == FLATTEN]
    counts: Counter[str] = Counter()
    if not flat or not len(positions):
        return counts
    opened, sent = column(positions, "ts_opened"), _exit_sent(orders, fills, positions)
    strategies = column(positions, "strategy").astype(str)
    instruments = column(positions, "instrument").astype(str)
    seen: dict[str, set[int]] = {}
    for span in flat:
        kind, _, name = span.scope.partition(":")
        inside = (opened <= span.begin) & (sent >= span.begin) & (sent <= span.end)
        if kind != "desk":
            inside &= (strategies if kind == "strategy" else instruments) == name
        seen.setdefault(span.guard, set()).update(np.flatnonzero(inside).tolist())
    counts.update({guard: len(rows) for guard, rows in seen.items()})
    return counts


def _exit_sent(orders: pa.Table, fills: pa.Table, positions: pa.Table) -> Integers:
    """Return when the order was made that closed each position; -1 for those no order closed."""
    made = dict(
        zip(
            orders.column("client_order_id").to_pylist(),
            orders.column("ts_created").to_pylist(),
            strict=True,
        )
    )
    names = ("strategy", "instrument", "ts", "client_order_id", "kind")
    exits: dict[tuple[str, str, int], int] = {}
    for *where, order_id, kind in zip(
        *(fills.column(name).to_pylist() for name in names), strict=True
    ):
        exits[tuple(where)] = made.get(order_id, -1) if kind == "order" else -1
    keys = zip(
        *(positions.column(name).to_pylist() for name in ("strategy", "instrument", "ts_closed")),
        strict=True,
    )
    return np.array([exits.get(key, -1) for key in keys], dtype=np.int64)
