"""Session profit target: stop and lock the gain."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from actors.guards.core.drill import BEYOND, Hold, Move, Plan, Scene, nearest, plan, stage
from actors.guards.core.examples import Example, lost
from actors.guards.core.guard import Guard, Measured
from actors.guards.core.limits import Money, given, none_given
from actors.guards.core.params import ActionName, Release, ResultParams
from actors.guards.core.snapshot import Snapshot
from actors.guards.core.windows import SINCE, Mark, Session, fresh, release_problems, session_start


class SessionProfitParams(ResultParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The profit at which the desk stops; at least one of the limits is needed.

    What is open could give the gain back, so all is closed unless ``action`` says otherwise. A
    deposit is no profit.

    Parameters
    ----------
    session : {"day", "all"}
        Whether the profit is that since midnight UTC or that since the guard's first start,
        restarts included. With ``all`` no midnight ends a halt, so ``release`` must say how it
        does; a profit that the trader accepts is where it is measured anew from.
    limit_pct : float or None
        Fraction of the equity at the session's start.
    limit_currency : float or None
        Settlement currency.
    """

    action: ActionName = "flatten"
    release: Release = "next_day"
    session: Session = "day"
    limit_pct: Annotated[float, Meta(gt=0, le=1000)] | None = None
    limit_currency: Money | None = None

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when no limit is given, or halts can't end as told."""
        missing = none_given(self, "limit_pct", "limit_currency")
        return super().check() + missing + release_problems(self.session, self.release)


class Began(msgspec.Struct, frozen=True):
    """The equity at the session's start."""

    equity: Mark


class SessionProfit(Guard[SessionProfitParams, Began]):
    """Closes everything for the rest of the UTC day at a profit target, to lock the gain."""

    Config = SessionProfitParams
    State = Began
    unit = "%"
    example = Example(
        SessionProfitParams(limit_pct=0.1),
        lambda gain: lost(-gain),
        (99.99, 100, 101),
        clear=90,
        key="pct",
    )

    def start(self, snapshot: Snapshot) -> Began:
        """Return a session that starts with the snapshot."""
        return Began(fresh(snapshot.equity, snapshot.now, snapshot.flows))

    def measure(self, state: Began, snapshot: Snapshot) -> Measured[Began]:
        """Start a new session when it begins; one reading for each limit, in its unit."""
        params = self.params
        began = session_start(state.equity, snapshot, params.session)
        if began is not state.equity:
            state = Began(began)
        limits = given(params, params.limit_pct, params.limit_currency, began.value)
        words = f"profit of {{}} {SINCE[params.session]}"
        return state, tuple(
            limit.read(-began.lost(snapshot.equity, money=limit.kind == "currency"), "desk", words)
            for limit in limits
        )

    def released(self, state: Began, snapshot: Snapshot, scope: str) -> Began:
        """Measure the profit from the snapshot on."""
        return self.start(snapshot)

    def drill(self, scene: Scene) -> Plan:
        """Earn slightly more than the limit."""
        key, limit = nearest({"pct": self.params.limit_pct, "currency": self.params.limit_currency})
        weight = min(1.5, 0.6 * scene.leverage)
        # The cost of opening the position reduces the profit.
        gain = limit * BEYOND + weight * 0.002
        halt = stage(self.params, scene.desk, Move(scene.first, gain / weight), key=key)
        words = f"{limit * 100:g} % of equity earned in the session"
        return plan(self.params, words, scene.second, halt, before=(Hold({scene.first: weight}),))
