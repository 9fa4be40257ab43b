"""Spread gate: entries wait while the spread is too wide."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from actors.guards.core.guard import Nothing, Readings, Rule, nothing
from actors.guards.core.limits import Reading, exact, notable_readings
from actors.guards.core.params import TransientParams, refuses
from actors.guards.core.snapshot import Input, Market, OrderRequested, Snapshot


class SpreadGateParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The widest spread at which entries still leave; one of the limits is needed.

    A spread of just the limit still passes: the narrowest there can be is one tick. It is not
    applied where no best prices are known, as with candles.

    Parameters
    ----------
    max_ticks : float or None
        In price increments.
    max_bps : float or None
        In basis points of the mid.
    """

    max_ticks: Annotated[float, Meta(ge=1, le=1e6)] | None = None
    max_bps: Annotated[float, Meta(gt=0, le=10_000)] | None = None

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when no limit is given."""
        missing = []
        if self.max_ticks is None and self.max_bps is None:
            missing = [("max_ticks", "is missing; set it or max_bps")]
        return super().check() + missing


def step(state: Nothing, seen: Input, params: SpreadGateParams) -> tuple[Nothing, Readings]:
    """Measure; readings in ticks and basis points of what is wide, and of what is widest."""
    if not isinstance(seen, Snapshot):
        return state, None
    found: list[Reading] = []
    for unit, limit in _limits(params).items():
        widths = {}
        for name, market in seen.markets.items():
            width = _width(market, unit)
            if width is not None:
                widths[name] = width
        clear = limit * (1 - exact(params.hysteresis))

        def reading(
            name: str,
            width: Decimal,
            unit: str = unit,
            limit: Decimal = limit,
            clear: Decimal = clear,
        ) -> Reading:
            over = width > limit
            return Reading(
                scope=f"instrument:{name}",
                key=unit,
                measured=float(width),
                limit=float(limit),
                over=over,
                clear=not over and width <= clear,
                action=params.asks,
                multiplier=params.multiplier,
                reason=_words(width, unit, limit) if over else "",
            )

        found.extend(notable_readings(widths, clear, reading))
    return state, tuple(found)


def admit(
    state: Nothing, asked: OrderRequested, snapshot: Snapshot, params: SpreadGateParams
) -> str | None:
    """Refuse an entry where the newest spread is too wide."""
    market = snapshot.markets.get(asked.instrument)
    if market is None or not refuses(params):
        return None
    for unit, limit in _limits(params).items():
        width = _width(market, unit)
        if width is not None and width > limit:
            return _words(width, unit, limit)
    return None


def _limits(params: SpreadGateParams) -> dict[str, Decimal]:
    limits = {"ticks": params.max_ticks, "bps": params.max_bps}
    return {unit: exact(limit) for unit, limit in limits.items() if limit is not None}


def _width(market: Market, unit: str) -> Decimal | None:
    bid, ask, tick = market.bid, market.ask, market.tick
    if bid is None or ask is None:
        return None
    if unit == "ticks":
        return (ask - bid) / tick if tick > 0 else None
    both = bid + ask
    return 20_000 * (ask - bid) / both if both > 0 else None


def _words(width: Decimal, unit: str, limit: Decimal) -> str:
    return f"the spread is {float(width):.4g} {unit}, at most {float(limit):g}"


RULE = Rule(
    state=Nothing,
    start=nothing,
    step=step,
    admit=admit,
    needs=frozenset({"markets"}),
    events=frozenset(),
)
