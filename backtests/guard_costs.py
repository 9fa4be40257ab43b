"""What each guard cost or saved: the same backtest run again without it, all else the same.

Two runs that differ in nothing but a guard differ in their ending equity by what it brought. The
differences do not add up over guards: where two would have stopped the same loss, each alone
brought nothing. So there is one more run, without any guard.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pyarrow as pa

from backtests.results.tables import ALL, table
from backtests.run import Outcome, Prepared, Progress, run
from backtests.stress import outcome_figures


def guard_costs(
    prepared: Prepared,
    base: Outcome,
    watch: Callable[[str], Progress | None] | None = None,
) -> pa.Table:
    """Return what each guard cost or saved, as `backtests.results.tables.GUARD_COSTS`.

    A guard that gave no verdict and refused nothing left no trace in the run: without it every
    order is the same, so it cost exactly nothing and no run is made. If none acted, that is true of
    all of them together.

    Parameters
    ----------
    prepared : Prepared
        What was run.
    base : Outcome
        Its outcome.
    watch : callable, optional
        Given the name of a run, such as ``without daily``, returns whom to tell how far it is.
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


def acting(outcome: Outcome) -> set[str]:
    """Return the guards that gave a verdict or refused a request."""
    said = outcome.tables["verdicts"]
    pairs = zip(said.column("guard").to_pylist(), said.column("action").to_pylist(), strict=True)
    asked = {guard for guard, action in pairs if action != "none"}
    return asked | outcome.refused_by.keys()


def without_guards(prepared: Prepared, keys: Collection[str]) -> Prepared:
    """Return the same run without some of its guards."""
    document = prepared.document
    actors = {key: made for key, made in document.actors.items() if key not in keys}
    return replace(prepared, document=document.model_copy(update={"actors": actors}))


def _without(
    keys: Collection[str],
    name: str,
    prepared: Prepared,
    base: Outcome,
    watch: Callable[[str], Progress | None] | None,
) -> dict[str, Any]:
    changed = without_guards(prepared, keys)
    words = "without guards" if name == ALL else f"without {name}"
    other = run(changed, progress=watch(words) if watch else None)
    return _row(name, changed, base, other) | {"rerun": True}


def _unchanged(name: str, prepared: Prepared, base: Outcome) -> dict[str, Any]:
    return _row(name, prepared, base, base) | {"rerun": False}


def _row(name: str, prepared: Prepared, base: Outcome, other: Outcome) -> dict[str, Any]:
    found = outcome_figures(prepared, other)
    return {
        "guard": name,
        "saved": base.ending_equity - other.ending_equity,
        "ending_equity": other.ending_equity,
        "liquidated_at": other.liquidated_at,
        **{key: found[key] for key in ("max_drawdown", "sharpe", "trades", "fees")},
    }
