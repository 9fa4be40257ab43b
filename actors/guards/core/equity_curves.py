"""Drawdown from the peak of the desk's equity, or of each strategy's own curve."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from actors.guards.core.calm import Calm
from actors.guards.core.guard import Guard
from actors.guards.core.limits import ZERO, Limit, Money, exact
from actors.guards.core.params import ResultParams
from actors.guards.core.snapshot import Snapshot
from actors.guards.core.windows import Mark, Session, best, bounds_below, carried, fresh

CurveOf = Literal["desk", "strategies"]


class CurveParams(ResultParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every guard on equity curves may be told.

    Parameters
    ----------
    of : {"desk", "strategies"}
        The account's equity; or each strategy's own curve, which is its capital plus its net
        result, so that only the strategy that lost is held back. What others pay in or take
        out is neither gain nor loss.
    capital : float or None
        Of each strategy, settlement currency; null is the account's equity at the guard's first
        start without what the strategies had made of it by then, so that a lone strategy has the
        desk's numbers.
    """

    of: CurveOf = "desk"
    capital: Money | None = None


class Peaks(msgspec.Struct, frozen=True, kw_only=True):
    """The peaks of equity curves."""

    of: str
    capital: Decimal  # of each strategy, where the parameters give none; settlement currency
    peaks: dict[str, Mark]  # by scope; strategies' without capital, so that it can be changed


class Fall(msgspec.Struct, frozen=True):
    """How far a curve is below its peak, as a share of it and in money, and that peak.

    Settlement currency.
    """

    scope: str
    lost: Decimal
    money: Decimal
    peak: Decimal


class CurveGuard[P: CurveParams](Guard[P, Peaks]):
    """Base class of guards on the drawdown of equity curves."""

    State = Peaks

    def start(self, snapshot: Snapshot) -> Peaks:
        """Return the current values as peaks."""
        now = snapshot.now
        return Peaks(
            of=self.params.of,
            capital=snapshot.equity - sum(snapshot.results.values(), ZERO),
            peaks={
                scope: fresh(value, now, snapshot.flows)
                for scope, value in _values(self.params, snapshot).items()
            },
        )

    def limits(self, peak: Decimal) -> Sequence[Limit]:
        """Return the limits on a fall from a peak."""
        raise NotImplementedError

    def calm(self, state: Peaks, snapshot: Snapshot) -> Calm | None:
        """Return the stretch from the peak of the desk's equity to the limits below that."""
        peak = state.peaks.get("desk") if state.of == self.params.of else None
        if peak is None:
            return None
        session: Session = getattr(self.params, "session", "all")
        return bounds_below(peak, self.limits(peak.value), session, peak.value)

    def follow(
        self, state: Peaks, snapshot: Snapshot, session: Session = "all"
    ) -> tuple[Peaks, list[Fall]]:
        """Return the peaks, the same object while none moved, and each curve's drawdown."""
        if state.of != self.params.of:
            state = self.start(snapshot)
        own = self.params.capital
        capital = state.capital if own is None else exact(own)
        if self.params.of == "desk":
            capital = ZERO
        moved: dict[str, Mark] = {}
        falls = []
        for scope, value in _values(self.params, snapshot).items():
            # A new strategy's result at the start was zero.
            known = state.peaks.get(scope)
            before = known or fresh(ZERO, snapshot.now)
            if scope == "desk":
                before = carried(before, snapshot)
            peak = best(before, value, snapshot.now, session)
            if peak is not known:
                moved[scope] = peak
            lost, money = (peak.lost(value, money=counts) for counts in (False, True))
            falls.append(Fall(scope, lost, money, capital + peak.value))
        if moved:
            state = msgspec.structs.replace(state, peaks=state.peaks | moved)
        return state, falls

    def released(self, state: Peaks, snapshot: Snapshot, scope: str) -> Peaks:
        """Reset the scope's peak to the current value."""
        value = _values(self.params, snapshot).get(scope)
        if value is None:
            return state
        peaks = state.peaks | {scope: fresh(value, snapshot.now, snapshot.flows)}
        return msgspec.structs.replace(state, peaks=peaks)


def _values(params: CurveParams, snapshot: Snapshot) -> dict[str, Decimal]:
    if params.of == "desk":
        return {"desk": snapshot.equity}
    return {f"strategy:{key}": net for key, net in snapshot.results.items()}
