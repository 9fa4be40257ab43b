"""Variants of a backtest: run it again with one thing changed.

``--stress`` runs it under worse conditions, ``--ablate`` without each part of its strategies in
turn, ``--ladder`` at several latencies, queues and fees. `guard_costs` compares the ending equity
with and without each guard. These differences do not add up over guards: where two guards would
have stopped the same loss, each alone brought nothing. So one more run has no guards at all.

To add a stressed run on another venue: one line in ``VENUES``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backtests.engine.market import market_of
from backtests.results.figures import booked, figures
from backtests.results.result import verdicts_by_guard
from backtests.results.summary_text import PATHS
from backtests.results.tables import ALL, table
from backtests.run import Prepared, Progress, RunOutcome, run
from config.components import resolve
from config.documents import Backtest, Fees, Latency, ProductFees, Venue, WayLatency
from config.params import check_params, parameter_fields

BEST_TRADES = 5
LATE = "entry one bar later"

Watch = Callable[[str], Progress | None]
"""Takes the name of a run; returns its progress callback."""


def _unwatched(_: str) -> None:
    return None


def _fees_twice(venue: Venue) -> dict[str, Any]:
    def twice(fees: Fees) -> Fees:
        return fees.model_copy(update={"maker": fees.maker * 2, "taker": fees.taker * 2})

    kinds = {"linear": twice(venue.fees.linear), "spot": twice(venue.fees.spot)}
    return {"fees": venue.fees.model_copy(update=kinds)}


VENUES: dict[str, Callable[[Venue], dict[str, Any]]] = {
    "fees x2": _fees_twice,
    "slippage x3": lambda venue: {"slippage": venue.slippage.times(3)},
}
"""Name of a stressed run to the fields of the venue that it changes."""

TICK_VENUES: dict[str, Callable[[Venue], dict[str, Any]]] = {
    "fees x2": VENUES["fees x2"],
    "latency +250 ms": lambda venue: {"latency": _later(venue.latency, 250)},
}
"""The same for runs on quotes and books."""


def _later(latency: Latency, milliseconds: int) -> Latency:
    base = latency.orders.base + milliseconds
    return latency.model_copy(update={"orders": latency.orders.model_copy(update={"base": base})})


VIP_0 = ProductFees()
REBATE = Decimal("-0.00005")
"""Maker fee of the ladder's first rung of fees: half a basis point received."""
LADDER: dict[str, dict[str, Any] | Callable[[Venue], dict[str, Any]]] = {
    **{
        f"latency {ms} ms": {"latency": Latency(orders=WayLatency(base=Decimal(ms)))}
        for ms in (1, 10, 50, 100, 250)
    },
    **{f"queue {queue}": {"queue": queue} for queue in ("optimistic", "realistic", "pessimistic")},
    "fees maker rebate": {"fees": ProductFees(linear=Fees(maker=REBATE, taker=VIP_0.linear.taker))},
    "fees VIP 0": {"fees": VIP_0},
    "fees VIP 0 x2": lambda venue: _fees_twice(Venue()),
}
"""Rungs of ``--ladder``, each alone: what it changes of the venue as specified."""


@dataclass(frozen=True, kw_only=True)
class Variants:
    """What is run beside the run as specified, so that the time left covers all of it."""

    stress: bool
    ablate: bool
    costs: bool
    ladder: bool = False

    def at_most(self, document: Backtest) -> int:
        """Return the number of further runs, before it is known which guards act."""
        guards = sum(guard.enabled for guard in document.actors.values())
        venues = VENUES if document.venue.by_candles else TICK_VENUES
        return self._count(document, venues, guards, guards)

    def after(self, document: Backtest, base: RunOutcome) -> int:
        """Return the number of further runs after the run as specified."""
        venues = _venues(base, document.venue)
        return self._count(document, venues, len(acting(base)), len(base.guards))

    def _count(self, document: Backtest, venues: Collection[str], acted: int, guards: int) -> int:
        late = 1 if document.venue.by_candles else 0
        stressed = (len(venues) + late) * self.stress
        ablated = len(switched_on(document)) * self.ablate
        without_all = 1 if acted and guards > 1 else 0
        rungs = len(LADDER) * self.ladder
        return stressed + ablated + rungs + (acted + without_all) * self.costs


def _venues(base: RunOutcome, venue: Venue) -> dict[str, dict[str, Any]]:
    """Return the changes by name; with resting orders also the other paths inside a candle."""
    chosen = VENUES if venue.by_candles else TICK_VENUES
    found = {name: change(venue) for name, change in chosen.items()}
    if "path" in base.how_filled:
        found |= {f"path {name}": {"path": name} for name in PATHS if name != venue.path}
    return found


def _named(name: str, prepared: Prepared, outcome: RunOutcome) -> dict[str, Any]:
    return {"name": name, **figures(outcome, prepared.start, prepared.end)}


def _again(name: str, prepared: Prepared, watch: Watch, prints_to_wait: int = 1) -> dict[str, Any]:
    outcome = run(prepared, progress=watch(name), prints_to_wait=prints_to_wait)
    return _named(name, prepared, outcome)


def stress_rows(
    prepared: Prepared, base: RunOutcome, watch: Watch = _unwatched
) -> Iterator[dict[str, Any]]:
    """Yield one row a stress, its name and all its `figures`, after the run as specified."""
    yield _named("as specified", prepared, base)
    for name, change in _venues(base, prepared.document.venue).items():
        yield _again(name, _on_venue(prepared, change), watch)
    if prepared.document.venue.by_candles:
        yield _again(LATE, prepared, watch, prints_to_wait=2)
    yield _named(f"without the {BEST_TRADES} best trades", prepared, without_best(base))


def ladder_rows(
    prepared: Prepared, base: RunOutcome, watch: Watch = _unwatched
) -> Iterator[dict[str, Any]]:
    """Yield one row a rung of `LADDER`, after the run as specified: how the result decays."""
    venue = prepared.document.venue
    yield _named("as specified", prepared, base)
    for name, change in LADDER.items():
        changes = change(venue) if callable(change) else change
        yield _again(name, _on_venue(prepared, changes), watch)


def without_best(outcome: RunOutcome) -> RunOutcome:
    """Return the outcome without its `BEST_TRADES` most profitable closed trades.

    The curve loses each trade's net profit from its close on.
    """
    curve, trips = outcome.tables["equity"], outcome.tables["positions"]
    closed = [row for row, trip in enumerate(trips.to_pylist()) if not trip["open"]]
    net = [Decimal(value) for value in trips.column("net").to_pylist()]
    best = [row for row in sorted(closed, key=net.__getitem__, reverse=True) if net[row] > 0]
    best = best[:BEST_TRADES]
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


def _on_venue(prepared: Prepared, changes: dict[str, Any]) -> Prepared:
    venue = prepared.document.venue.model_copy(update=changes)
    document = prepared.document.model_copy(update={"venue": venue})
    market = market_of(list(prepared.market.infos), venue, prepared.catalog.instruments)
    feed = prepared.feed.with_market(market)
    return replace(prepared, document=document, market=market, feed=feed)


def ablation_rows(
    prepared: Prepared, base: RunOutcome, watch: Watch = _unwatched
) -> Iterator[dict[str, Any]]:
    """Yield one row a part that is switched on: the run without it, after the run with all."""
    yield _named("all on", prepared, base)
    for key, parameter, off in switched_on(prepared.document):
        changed = _with_parameter(prepared, key, parameter, off)
        yield _again(f"without {key}.{parameter}", changed, watch)


def switched_on(document: Backtest) -> list[tuple[str, str, Any]]:
    """Return strategy, parameter and value for off of each part that is on.

    Parts are the parameters that are off by default: null, false, zero or empty, and that the
    strategy can do without; and each scorer of a blend.
    """
    found: list[tuple[str, str, Any]] = []
    for key, component in document.strategies.items():
        config, params = resolve(component.use, document.allow).Config, component.params
        found += [
            (key, name, field.default)
            for name, field in parameter_fields(config).items()
            if component.enabled and not field.default and params.get(name)
            if not check_params(config, params | {name: field.default})
        ]
        for field in getattr(config, "components", ()):
            on = [name for name, inner in params[field].items() if inner["weight"]]
            if component.enabled and len(on) > 1:
                found += [(key, f"{field}.{name}.weight", 0.0) for name in on]
    return found


def _with_parameter(prepared: Prepared, key: str, parameter: str, value: Any) -> Prepared:
    document = prepared.document
    component = document.strategies[key]
    params = _with_value(component.params, parameter.split("."), value)
    changed = component.model_copy(update={"params": params})
    strategies = document.strategies | {key: changed}
    return replace(prepared, document=document.model_copy(update={"strategies": strategies}))


def _with_value(params: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    first, *rest = path
    return params | {first: _with_value(params[first], rest, value) if rest else value}


def guard_costs(prepared: Prepared, base: RunOutcome, watch: Watch = _unwatched) -> pa.Table:
    """Return the cost or saving of each guard, as the table `guard_costs`.

    A guard without a verdict or a refusal changed no order: it cost exactly nothing and needs no
    run. `watch` gets a name such as ``without daily``.
    """
    if not base.guards:
        return table("guard_costs", [])
    acted = acting(base)
    rows = [
        _without({key}, key, prepared, base, watch)
        if key in acted
        else _unchanged(key, prepared, base)
        for key in base.guards
    ]
    if not acted:
        rows.append(_unchanged(ALL, prepared, base))
    elif len(base.guards) == 1:
        rows.append({**rows[0], "guard": ALL})
    else:
        rows.append(_without(set(base.guards), ALL, prepared, base, watch))
    return table("guard_costs", rows)


def acting(outcome: RunOutcome) -> set[str]:
    """Return the guards that gave a verdict or refused a request."""
    return verdicts_by_guard(outcome.tables["verdicts"]).keys() | outcome.refused_by.keys()


def without_guards(prepared: Prepared, keys: Collection[str]) -> Prepared:
    """Return the same run without some of its guards."""
    document = prepared.document
    actors = {key: made for key, made in document.actors.items() if key not in keys}
    return replace(prepared, document=document.model_copy(update={"actors": actors}))


def _without(
    keys: Collection[str], name: str, prepared: Prepared, base: RunOutcome, watch: Watch
) -> dict[str, Any]:
    changed = without_guards(prepared, keys)
    other = run(changed, progress=watch("without guards" if name == ALL else f"without {name}"))
    return _row(name, changed, base, other) | {"rerun": True}


def _unchanged(name: str, prepared: Prepared, base: RunOutcome) -> dict[str, Any]:
    return _row(name, prepared, base, base) | {"rerun": False}


def _row(name: str, prepared: Prepared, base: RunOutcome, other: RunOutcome) -> dict[str, Any]:
    found = figures(other, prepared.start, prepared.end)
    return {
        "guard": name,
        "saved": base.ending_equity - other.ending_equity,
        "ending_equity": other.ending_equity,
        "liquidated_at": other.liquidated_at,
        **{key: found[key] for key in ("max_drawdown", "sharpe", "trades", "fees")},
    }
