"""Daily loss: the most that the desk may lose since midnight UTC."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from actors.guards.core.calm import Calm
from actors.guards.core.drill import BALANCE, Plan, Scene, losing, nearest
from actors.guards.core.examples import Example, lost
from actors.guards.core.guard import Guard, Measured
from actors.guards.core.limits import ZERO, Limit, Money, exact, given, limit, none_given
from actors.guards.core.params import ActionName, Fraction, Release, ResultParams
from actors.guards.core.snapshot import Snapshot
from actors.guards.core.windows import Mark, bounds_below, fresh, session_start


class DailyLossParams(ResultParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that a UTC day may lose; at least one of the limits is needed.

    The loss is measured from the first equity seen on the day. What others pay in or take out is
    neither gain nor loss.

    Parameters
    ----------
    limit_pct : float or None
        Fraction of the equity at the day's start.
    limit_currency : float or None
        Settlement currency.
    limit_r : float or None
        Multiples of what one trade risks, R; with one of the two that say what that is.
    r_pct : float or None
        R as a fraction of the equity at the day's start.
    r_currency : float or None
        R in the settlement currency.
    """

    session: ClassVar = "day"
    action: ActionName = "flatten"
    release: Release = "next_day"
    limit_pct: Fraction | None = None
    limit_currency: Money | None = None
    limit_r: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    r_pct: Fraction | None = None
    r_currency: Money | None = None

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when no limit is given, or R is not given exactly once."""
        missing = none_given(self, "limit_pct", "limit_currency", "limit_r")
        problems = super().check() + missing
        if self.r_pct is not None and self.r_currency is not None:
            problems.append(("r_pct", "can't be set beside r_currency: R has one size"))
        has_r = self.r_pct is not None or self.r_currency is not None
        if self.limit_r is not None and not has_r:
            problems.append(("limit_r", "needs the size of R: set r_pct or r_currency"))
        if self.limit_r is None and has_r:
            name = "r_currency" if self.r_pct is None else "r_pct"
            problems.append((name, "is of use only with limit_r"))
        return problems


class Today(msgspec.Struct, frozen=True):
    """The equity at the day's start."""

    equity: Mark


class DailyLoss(Guard[DailyLossParams, Today]):
    """Stops for the rest of the UTC day after too large a loss: money, percent or R.

    Closes everything by default.
    """

    Config = DailyLossParams
    State = Today
    unit = "%"
    example = Example(
        DailyLossParams(limit_currency=100.0), lost, (99.99, 100, 101), clear=90, key="currency"
    )

    def start(self, snapshot: Snapshot) -> Today:
        """Return a day that starts with the snapshot."""
        return Today(fresh(snapshot.equity, snapshot.now, snapshot.flows))

    def measure(self, state: Today, snapshot: Snapshot) -> Measured[Today]:
        """Start a new day when it begins; one reading for each limit, in the limit's unit."""
        began = session_start(state.equity, snapshot, "day")
        if began is not state.equity:
            state = Today(began)
        money = ("currency",) if self.params.r_currency is None else ("currency", "r")
        return state, tuple(
            each.read(
                began.lost(snapshot.equity, money=each.kind in money),
                "desk",
                "loss of {} since midnight UTC",
            )
            for each in _limits(self.params, began.value)
        )

    def calm(self, state: Today, snapshot: Snapshot) -> Calm:
        """Compare the equity with the limits below the day's first."""
        began = state.equity
        return bounds_below(began, _limits(self.params, began.value), "day")

    def released(self, state: Today, snapshot: Snapshot, scope: str) -> Today:
        """Measure the day's loss from the snapshot on."""
        return self.start(snapshot)

    def drill(self, scene: Scene) -> Plan:
        """Lose slightly more than the daily limit."""
        params = self.params
        risk = float(_risked(params, BALANCE) / BALANCE)
        limit_r = None if params.limit_r is None else params.limit_r * risk
        key, limit = nearest(
            {"pct": params.limit_pct, "currency": params.limit_currency, "r": limit_r}
        )
        words = f"{limit * 100:g} % of equity lost since midnight"
        return losing(scene, params, limit, key, scene.desk, words)


def _limits(params: DailyLossParams, equity: Decimal) -> list[Limit]:
    limits = given(params, params.limit_pct, params.limit_currency, equity)
    if params.limit_r is not None:
        limits.append(limit(params, "r", params.limit_r, _risked(params, equity), "r"))
    return limits


def _risked(params: DailyLossParams, equity: Decimal) -> Decimal:
    if params.r_currency is not None:
        return exact(params.r_currency)
    return ZERO if params.r_pct is None else exact(params.r_pct) * equity
