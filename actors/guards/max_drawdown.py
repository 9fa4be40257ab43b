"""Maximum drawdown: the largest fall of equity from its peak."""

from __future__ import annotations

from decimal import Decimal

from actors.guards.core.drill import Plan, Scene, losing, nearest
from actors.guards.core.equity_curves import CurveGuard, CurveParams, Peaks
from actors.guards.core.examples import Example, lost
from actors.guards.core.guard import Measured
from actors.guards.core.limits import Limit, Money, given, none_given
from actors.guards.core.params import ActionName, Fraction
from actors.guards.core.snapshot import Snapshot
from actors.guards.core.windows import Session, release_problems

_PEAK = {"all": "the peak", "day": "the peak of the UTC day"}


class MaxDrawdownParams(CurveParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The largest fall from the peak that is borne; at least one of the limits is needed.

    Parameters
    ----------
    session : {"all", "day"}
        Whether the peak is that since the guard's first start, restarts included, or that of the
        UTC day.
    limit_pct : float or None
        Fraction of the peak.
    limit_currency : float or None
        Settlement currency.
    """

    action: ActionName = "flatten"
    session: Session = "all"
    limit_pct: Fraction | None = None
    limit_currency: Money | None = None

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when no limit is given, or halts can't end as told."""
        missing = none_given(self, "limit_pct", "limit_currency")
        return super().check() + missing + release_problems(self.session, self.release)


class MaxDrawdown(CurveGuard[MaxDrawdownParams]):
    """Stops when equity falls too far below its peak, of all time or of the UTC day.

    The peak survives restarts. Closes everything by default.
    """

    Config = MaxDrawdownParams
    unit = "%"
    example = Example(
        MaxDrawdownParams(limit_pct=0.1), lost, (99.99, 100, 101), clear=90, key="pct"
    )

    def measure(self, state: Peaks, snapshot: Snapshot) -> Measured[Peaks]:
        """Update the peaks; one reading for each curve and limit, in the limit's unit."""
        params = self.params
        state, falls = self.follow(state, snapshot, params.session)
        words = f"drawdown of {{}} from {_PEAK[params.session]}"
        return state, tuple(
            limit.read(fall.money if limit.kind == "currency" else fall.lost, fall.scope, words)
            for fall in falls
            for limit in self.limits(fall.peak)
        )

    def limits(self, peak: Decimal) -> list[Limit]:
        """Return the limits below a peak."""
        return given(self.params, self.params.limit_pct, self.params.limit_currency, peak)

    def drill(self, scene: Scene) -> Plan:
        """Fall from the peak."""
        key, limit = nearest({"pct": self.params.limit_pct, "currency": self.params.limit_currency})
        words = f"equity {limit * 100:g} % below its peak"
        return losing(scene, self.params, limit, key, scene.counted_scope(self.params.of), words)
