"""Depth gate: no entries while too little is displayed at the best prices."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

from actors.guards.core.drill import LASTS, Book, Plan, Scene, disturb
from actors.guards.core.examples import COIN, Example, one_market
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.limits import ZERO, Money, Reading, exact, limit_reading, notable_readings
from actors.guards.core.params import TransientParams, refuses
from actors.guards.core.snapshot import Market, OrderRequested, Snapshot


class DepthGateParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The least value displayed at which entries still leave.

    A value of just the limit still passes. A side that displays nothing is too thin. It is not
    applied where no best prices are known, as with candles.

    Parameters
    ----------
    least : float
        Value at the best price of the thinner side, settlement currency.
    """

    least: Money = 10_000.0


class DepthGate(Guard[DepthGateParams, Nothing]):
    """Stops entries while the book is thin at its best prices."""

    Config = DepthGateParams
    unit = "USDT"
    needs = frozenset({"markets"})
    example = Example(
        DepthGateParams(least=1000.0),
        lambda value: (one_market(bid=100, ask=101, bid_size=value / 100, ask_size=100),),
        (1001, 1000, 999),
        clear=1100,
        scope=f"instrument:{COIN}",
        at_limit=False,
    )

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure the value of the thinner side: all thin books, and the thinnest in any case."""
        least = exact(self.params.least)
        back = least * (1 + exact(self.params.hysteresis))
        # Negative, so that the thinnest is the largest.
        missing = {
            name: -depth
            for name, market in snapshot.markets.items()
            if (depth := _depth(market)) is not None
        }
        return state, notable_readings(missing, -back, partial(_reading, self.params, least, back))

    def admit(self, state: Nothing, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse an entry while the newest book is too thin."""
        market = snapshot.markets.get(order.instrument)
        depth = None if market is None or not refuses(self.params) else _depth(market)
        least = exact(self.params.least)
        return None if depth is None or depth >= least else _words(depth, least)

    def drill(self, scene: Scene) -> Plan:
        """Leave the least quantity at the best prices."""
        thin = Book(scene.first, "gap", 1.0, LASTS)
        return disturb(scene, self.params, thin, "the least quantity at the best prices")


def _depth(market: Market) -> Decimal | None:
    bid, ask, bid_size, ask_size = market.bid, market.ask, market.bid_size, market.ask_size
    if (bid is None) != (ask is None):
        return ZERO  # A side is empty.
    if bid is None or ask is None or bid_size is None or ask_size is None:
        return None
    return min(bid * bid_size, ask * ask_size)


def _reading(
    params: DepthGateParams, least: Decimal, back: Decimal, name: str, missing: Decimal
) -> Reading:
    depth = -missing
    return limit_reading(
        params,
        f"instrument:{name}",
        float(depth),
        params.least,
        depth < least,
        _words(depth, least) if depth < least else "",
        clear=depth >= back,
    )


def _words(depth: Decimal, least: Decimal) -> str:
    enough = f"at least {least.normalize():,f}"
    return f"{depth // 1:,} is displayed at the thinner best price, {enough}"
