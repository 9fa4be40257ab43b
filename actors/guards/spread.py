"""Spread gate: no entries while the spread is too wide."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Annotated

from msgspec import Meta

from actors.guards.core.drill import LASTS, Book, Plan, Scene, disturb, facts_of
from actors.guards.core.examples import COIN, Example, one_market
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.limits import Reading, exact, limit_reading, notable_readings
from actors.guards.core.params import TransientParams, refuses
from actors.guards.core.snapshot import Market, OrderRequested, Snapshot


class SpreadGateParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The widest spread at which entries still leave; one of the limits is needed.

    A spread of just the limit still passes: the narrowest there can be is one tick. That ends a
    halt whatever the hysteresis, unless it is too wide itself. The limits are not applied where no
    best prices are known, as with candles.

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


class SpreadGate(Guard[SpreadGateParams, Nothing]):
    """Stops entries while the spread is too wide."""

    Config = SpreadGateParams
    unit = "bps"
    needs = frozenset({"markets"})
    example = Example(
        SpreadGateParams(max_ticks=10),
        lambda ticks: (one_market(bid=100, ask=100 + ticks, tick=1),),
        (9, 10, 11),
        clear=9,
        scope=f"instrument:{COIN}",
        key="ticks",
        at_limit=False,
    )

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure spreads in ticks and basis points: all wide ones, and the widest in any case."""
        params = self.params
        found: list[Reading] = []
        for unit, limit in _limits(params).items():
            widths = {
                name: width
                for name, market in snapshot.markets.items()
                if (width := _width(market, unit)) is not None
            }
            clear = limit * (1 - exact(params.hysteresis))
            reading = partial(_reading, params, unit, limit, clear, snapshot.markets)
            found.extend(notable_readings(widths, clear, reading))
        return state, tuple(found)

    def admit(self, state: Nothing, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse an entry while the newest spread is too wide."""
        market = snapshot.markets.get(order.instrument)
        if market is None or not refuses(self.params):
            return None
        for unit, limit in _limits(self.params).items():
            width = _width(market, unit)
            if width is not None and width > limit:
                return _words(width, unit, limit)
        return None

    def drill(self, scene: Scene) -> Plan:
        """Widen the book."""
        params, facts = self.params, facts_of(scene.first)
        limits = {}
        if params.max_ticks is not None:
            limits["ticks"] = params.max_ticks * float(facts.tick / facts.price) * 10_000
        if params.max_bps is not None:
            limits["bps"] = params.max_bps
        key = min(limits, key=lambda name: limits[name])
        bps = limits[key] * 1.2 + 1
        wide = Book(scene.first, "spread", bps, LASTS)
        return disturb(scene, params, wide, f"spread of {bps:.3g} bps", key)


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


def _reading(
    params: SpreadGateParams,
    unit: str,
    limit: Decimal,
    clear: Decimal,
    markets: Mapping[str, Market],
    name: str,
    width: Decimal,
) -> Reading:
    over = width > limit
    ticks = _width(markets[name], "ticks")
    narrowest = ticks is not None and ticks <= 1
    return limit_reading(
        params,
        f"instrument:{name}",
        float(width),
        float(limit),
        over,
        _words(width, unit, limit) if over else "",
        key=unit,
        clear=not over and (width <= clear or narrowest),
    )


def _words(width: Decimal, unit: str, limit: Decimal) -> str:
    return f"the spread is {float(width):.4g} {unit}, at most {float(limit):g}"
