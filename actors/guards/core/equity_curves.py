"""Curves that are followed from their peaks: the desk's equity, or each strategy's own."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from actors.guards.core.limits import ZERO, Money, exact
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Snapshot
from actors.guards.core.windows import Mark, Session, best, fresh

CurveOf = Literal["desk", "strategies"]


class CurveParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every guard on equity curves may be told.

    Parameters
    ----------
    of : {"desk", "strategies"}
        The account's equity; or each strategy's own curve, which is its capital plus its net
        result, so that only the strategy that lost is held back. A withdrawal from the account
        looks like a loss of the desk, never like one of a strategy.
    capital : float or None
        Of each strategy, settlement currency; null is the account's equity at the guard's first
        start without what the strategies had made of it by then, so that a lone strategy has the
        desk's numbers.
    """

    of: CurveOf = "desk"
    capital: Money | None = None


class Peaks(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of the curves.

    Parameters
    ----------
    of : str
        Of whom.
    capital : Decimal
        Of each strategy, where the parameters give none; settlement currency.
    peaks : dict of str to Mark
        By scope: the largest equity of the desk, or the best net result of a strategy, without its
        capital, so that this can be changed.
    """

    of: str
    capital: Decimal
    peaks: dict[str, Mark]


class Fall(msgspec.Struct, frozen=True):
    """How far a curve is below its peak, and that peak; settlement currency."""

    scope: str
    lost: Decimal
    peak: Decimal


def start(params: CurveParams, snapshot: Snapshot) -> Peaks:
    """Return peaks that are where the curves are now."""
    return Peaks(
        of=params.of,
        capital=snapshot.equity - sum(snapshot.results.values(), ZERO),
        peaks={
            scope: fresh(value, snapshot.now) for scope, value in _values(params, snapshot).items()
        },
    )


def follow(
    state: Peaks, snapshot: Snapshot, params: CurveParams, session: Session = "all"
) -> tuple[Peaks, list[Fall]]:
    """Return the peaks, the very same object while none moved, and how far each curve fell."""
    if state.of != params.of:
        state = start(params, snapshot)
    capital = ZERO if params.of == "desk" else _capital(state, params)
    moved: dict[str, Mark] = {}
    falls = []
    for scope, value in _values(params, snapshot).items():
        # Who was not there at the start had brought nothing by then.
        known = state.peaks.get(scope)
        peak = best(known or fresh(ZERO, snapshot.now), value, snapshot.now, session)
        if peak is not known:
            moved[scope] = peak
        falls.append(Fall(scope, peak.value - value, capital + peak.value))
    if moved:
        state = msgspec.structs.replace(state, peaks=state.peaks | moved)
    return state, falls


def released(state: Peaks, snapshot: Snapshot, scope: str, params: CurveParams) -> Peaks:
    """Return the state with a scope's peak where its curve is now."""
    value = _values(params, snapshot).get(scope)
    if value is None:
        return state
    return msgspec.structs.replace(state, peaks=state.peaks | {scope: fresh(value, snapshot.now)})


def _values(params: CurveParams, snapshot: Snapshot) -> dict[str, Decimal]:
    if params.of == "desk":
        return {"desk": snapshot.equity}
    return {f"strategy:{key}": net for key, net in snapshot.results.items()}


def _capital(state: Peaks, params: CurveParams) -> Decimal:
    return state.capital if params.capital is None else exact(params.capital)
