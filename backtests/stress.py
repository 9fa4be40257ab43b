"""How a result stands when the world is worse: the rows that `--stress` adds to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backtests.engine.market import market_of
from backtests.results.figures import booked, figures
from backtests.run import Outcome, Prepared, Progress, run
from config.documents import (
    Backtest,
    BasePlusSizeSlippage,
    FixedBpsSlippage,
    NoSlippage,
    Venue,
)

BEST_TRADES = 5
LATE = "entry one bar later"
UNSTATED_SLIPPAGE_BPS = Decimal(2)
"""Where the document has no slippage there is nothing to triple: 3 x 2 bps is charged instead."""


def stress_rows(
    prepared: Prepared, base: Outcome, watch: Callable[[str], Progress | None] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield one row a stress: its name and all its `figures`.

    Parameters
    ----------
    prepared : Prepared
        What was run.
    base : Outcome
        Its outcome.
    watch : callable, optional
        Given a stress's name, returns whom to tell how far its run is.
    """
    for name, change in CHANGES.items():
        changed = _changed(prepared, change)
        outcome = run(changed, progress=watch(name) if watch else None)
        yield {"name": name, **outcome_figures(changed, outcome)}
    late = run(prepared, progress=watch(LATE) if watch else None, prints_to_wait=2)
    yield {"name": LATE, **outcome_figures(prepared, late)}
    unlucky = without_best(base)
    yield {"name": f"without the {BEST_TRADES} best trades", **outcome_figures(prepared, unlucky)}


def outcome_figures(prepared: Prepared, outcome: Outcome) -> dict[str, Any]:
    """Return the figures that `summary.json` would say of the outcome."""
    return figures(
        outcome.tables,
        starting_equity=outcome.starting_equity,
        ending_equity=outcome.ending_equity,
        gross_pnl=outcome.gross_pnl,
        fees=outcome.fees,
        funding=outcome.funding,
        slippage=outcome.slippage,
        start_ns=prepared.start,
        end_ns=prepared.end,
    )


def without_best(outcome: Outcome, count: int = BEST_TRADES) -> Outcome:
    """Return the outcome had the most profitable closed trades never been made.

    Each one's net profit is taken off the curve from its close on; until then the curve keeps what
    it had gained so far.
    """
    curve, trips = outcome.tables["equity"], outcome.tables["positions"]
    closed = [row for row, trip in enumerate(trips.to_pylist()) if not trip["open"]]
    net = [Decimal(value) for value in trips.column("net").to_pylist()]
    best = [row for row in sorted(closed, key=net.__getitem__, reverse=True) if net[row] > 0]
    best = best[:count]
    kept = pa.array([row not in set(best) for row in range(len(trips))])
    ts = curve.column("ts").to_numpy()
    equity = curve.column("equity").to_numpy().copy()
    for row in best:
        closed_at = trips.column("ts_closed")[row].as_py()
        equity[np.searchsorted(ts, closed_at) :] -= float(net[row])
    place = curve.column_names.index("equity")
    left = trips.filter(kept)
    gone = trips.filter(pc.invert(kept))
    return replace(
        outcome,
        tables={
            **outcome.tables,
            "equity": curve.set_column(place, curve.schema.field(place), pa.array(equity)),
            "positions": left,
        },
        ending_equity=outcome.ending_equity - booked(gone, "net"),
        gross_pnl=outcome.gross_pnl - booked(gone, "gross"),
        fees=outcome.fees - booked(gone, "fees"),
        funding=outcome.funding - booked(gone, "funding"),
    )


def _fees_doubled(venue: Venue) -> Venue:
    def double(fees: Any) -> Any:
        return fees.model_copy(update={"maker": fees.maker * 2, "taker": fees.taker * 2})

    fees = venue.fees.model_copy(
        update={"linear": double(venue.fees.linear), "spot": double(venue.fees.spot)}
    )
    return venue.model_copy(update={"fees": fees})


def _slippage_tripled(venue: Venue) -> Venue:
    worse: NoSlippage | FixedBpsSlippage | BasePlusSizeSlippage
    match venue.slippage:
        case FixedBpsSlippage() as fixed:
            worse = fixed.model_copy(update={"bps": fixed.bps * 3})
        case BasePlusSizeSlippage() as sized:
            worse = sized.model_copy(
                update={"base": sized.base * 3, "per": sized.per / 3, "cap": sized.cap * 3}
            )
        case _:
            worse = FixedBpsSlippage(model="fixed_bps", bps=UNSTATED_SLIPPAGE_BPS * 3)
    return venue.model_copy(update={"slippage": worse})


CHANGES: dict[str, Callable[[Venue], Venue]] = {
    "fees x2": _fees_doubled,
    "slippage x3": _slippage_tripled,
}


def _changed(prepared: Prepared, change: Callable[[Venue], Venue]) -> Prepared:
    document: Backtest = prepared.document
    document = document.model_copy(update={"venue": change(document.venue)})
    market = market_of(list(prepared.market.infos), document.venue)
    return replace(
        prepared, document=document, market=market, feed=prepared.feed.with_market(market)
    )
