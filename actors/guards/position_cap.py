"""Position cap: the largest value of one instrument's position. Pure."""

from __future__ import annotations

from actors.guards.core.calm import Bounds, Calm
from actors.guards.core.drill import Plan, Scene, grow
from actors.guards.core.examples import COIN, Example, holding
from actors.guards.core.exposure import (
    Cap,
    Share,
    cap_reading,
    clear_of,
    money_cap,
    net_values,
    notable_instruments,
    share_cap,
    worst_case,
)
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.limits import Money, none_given
from actors.guards.core.params import ActionName, GuardParams, Release
from actors.guards.core.snapshot import OrderRequested, Snapshot


class PositionCapParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps of each instrument's net position, external ones included; at least one of the two.

    Readings are on ``instrument:<id>``, keys ``pct`` and ``currency``, in the caps' units.

    Parameters
    ----------
    limit_pct : float or None
        Largest absolute value, a fraction of the account's equity.
    limit_currency : float or None
        Largest absolute value, settlement currency.
    """

    action: ActionName = "reduce_only"
    release: Release = "recovered"
    limit_pct: Share | None = 0.5
    limit_currency: Money | None = None

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when neither cap is given."""
        return super().check() + none_given(self, "limit_pct", "limit_currency")


class PositionCap(Guard[PositionCapParams, Nothing]):
    """Keeps each instrument's position below a cap: a fraction of equity, an amount, or both.

    Refuses entries that could reach the cap, with pending orders counted. A position that grew over
    it by its price may only be reduced.
    """

    Config = PositionCapParams
    unit = "%"
    needs = frozenset({"open_exposure"})
    example = Example(
        PositionCapParams(limit_pct=0.5),
        holding,
        (499.99, 500, 501),
        clear=450,
        scope=f"instrument:{COIN}",
        key="pct",
    )

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure each instrument's net value against the caps."""
        values = net_values(snapshot)
        return state, tuple(
            cap_reading(
                f"instrument:{name}", key, abs(values[name]), cap, self.params, f"{name} is worth"
            )
            for key, cap in _caps(self.params, snapshot)
            for name in notable_instruments(values, cap)
        )

    def calm(self, state: Nothing, snapshot: Snapshot) -> Calm:
        """Return the caps as bounds of the largest position."""
        params = self.params
        return Bounds(
            largest_share=clear_of(params, params.limit_pct),
            largest=clear_of(params, params.limit_currency),
        )

    def admit(self, state: Nothing, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse an entry that could reach a cap, with pending orders counted."""
        way = worst_case(order)
        if not way.worsens:
            return None
        refusals = (
            cap.refusal(way.own.worst, f"{order.instrument}'s position")
            for _, cap in _caps(self.params, snapshot)
        )
        return next(filter(None, refusals), None)

    def drill(self, scene: Scene) -> Plan:
        """Grow one position over its cap."""
        caps = {"pct": self.params.limit_pct, "currency": self.params.limit_currency}
        words = f"{scene.first} over its cap"
        return grow(scene, self.params, caps, scene.scope_of(scene.first), words)


def _caps(params: PositionCapParams, snapshot: Snapshot) -> list[tuple[str, Cap]]:
    caps: list[tuple[str, Cap]] = []
    if params.limit_pct is not None:
        caps.append(("pct", share_cap(params.limit_pct, snapshot.equity, params)))
    if params.limit_currency is not None:
        caps.append(("currency", money_cap(params.limit_currency, params)))
    return caps
