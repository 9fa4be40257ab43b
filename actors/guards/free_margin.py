"""Free margin: the part of equity that is not used as initial margin. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from actors.guards.core.calm import Calm
from actors.guards.core.drill import Plan, Scene, grow
from actors.guards.core.examples import Example, holding
from actors.guards.core.exposure import NO_EQUITY, worst_case
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.lazy import unpriced_markets
from actors.guards.core.limits import exact, limit_reading
from actors.guards.core.margin import (
    ABOVE,
    ONE,
    TopRates,
    bounds_of_market,
    initial_margin,
    rates_of,
    stake,
    stakes,
    top_rates,
)
from actors.guards.core.params import Fraction, GuardParams, Release
from actors.guards.core.snapshot import ZERO, OrderRequested, Snapshot, once


class FreeMarginParams(GuardParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The least free margin; the reading is on ``desk``, a fraction of equity.

    Free margin is equity less the initial margin of all positions, as Bybit counts it: value /
    leverage + fee to close. Coins held count as spent: nothing is lent on them.

    Parameters
    ----------
    least : float
        Least free margin, a fraction of the account's equity.
    leverage : float or None
        Leverage that is set for the instruments at the venue; None takes the document's limit.
    """

    release: Release = "recovered"
    least: Fraction = 0.2
    leverage: Annotated[float, Meta(ge=1, le=100)] | None = None


class FreeMargin(Guard[FreeMarginParams, Nothing]):
    """Keeps a part of the equity free of initial margin.

    Refuses entries that could use it up, with pending orders counted.
    """

    Config = FreeMarginParams
    unit = "%"
    needs = frozenset({"markets", "open_exposure"})
    example = Example(
        FreeMarginParams(least=0.2, leverage=1.0), holding, (799.99, 800, 801), clear=780
    )

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure the free margin; never over without positions."""
        params = self.params
        used = initial_margin(stakes(snapshot).values(), _leverage(params, snapshot))
        equity = snapshot.equity
        free, least = equity - used, exact(params.least) * equity
        over = used > 0 and free <= least
        clear = not used or (not over and free >= least * (1 + exact(params.hysteresis)))
        measured = float(free / equity) if equity > 0 else -NO_EQUITY if used else 0.0
        words = f"free margin {free:.2f} of equity {equity:.2f}, least {least:.2f}"
        rates_of(unpriced_markets(snapshot))  # Until the next snapshot, no order waits for it.
        found = limit_reading(params, "desk", measured, params.least, over, words, clear=clear)
        return state, (found,)

    def calm(self, state: Nothing, snapshot: Snapshot) -> Calm:
        """Return the gross value that leaves the margin free if all of it had the highest rate."""
        most = _most(top_rates(snapshot), _leverage(self.params, snapshot))
        least = exact(self.params.least) * (ONE + exact(self.params.hysteresis))
        return bounds_of_market(snapshot, (ONE - least) / most)

    def admit(self, state: Nothing, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse an entry that could use up the free margin, with pending orders counted."""
        way = worst_case(order)
        if not way.worsens:
            return None
        equity, leverage = snapshot.equity, _leverage(self.params, snapshot)
        least = exact(self.params.least) * equity
        # Fast check, which mostly passes: no position uses more margin than its worst value at the
        # highest rate.
        markets = unpriced_markets(snapshot)
        most = _most(rates_of(markets), leverage)
        if equity - way.gross * most > least and way.before.keys() <= markets.keys():
            return None
        used, rates = ZERO, _rates(snapshot, leverage)
        for name, reach in way.after().items():
            long, short = rates[name]
            used += max(reach.high * long, -reach.low * short)
        free = equity - used
        if free > least:
            return None
        return f"free margin could fall to {free:.2f}, least {least:.2f}"

    def drill(self, scene: Scene) -> Plan:
        """Let a position use more margin than allowed."""
        params = self.params
        part = 1 / (params.leverage or scene.leverage)
        cap = (1 - params.least) / (part + (1 + part) * scene.taker_fee)
        words = f"free margin below {params.least * 100:g} %"
        return grow(scene, params, {"": cap}, scene.desk, words)


class _Rates(dict[str, tuple[Decimal, Decimal]]):
    """Margin rates of longs and shorts by instrument, calculated on first use."""

    def __init__(self, snapshot: Snapshot, leverage: Decimal) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.leverage = leverage

    def __missing__(self, name: str) -> tuple[Decimal, Decimal]:
        market = unpriced_markets(self.snapshot).get(name)
        sides = ((stake(side, market, name),) for side in (ONE, -ONE))
        long, short = (initial_margin(held, self.leverage) for held in sides)
        self[name] = long, short
        return long, short


def _most(rates: TopRates, leverage: Decimal) -> Decimal:
    """Return a margin rate that no market's exceeds."""
    part = ONE / leverage
    most = (part + (ONE + part) * max(rates.fee, ZERO)) * ABOVE
    return max(most, ONE) if rates.spot else most


# Cached: a rebalance needs the rates hundreds of times at one snapshot.
@once
def _rates(snapshot: Snapshot, leverage: Decimal) -> _Rates:
    return _Rates(snapshot, leverage)


def _leverage(params: FreeMarginParams, snapshot: Snapshot) -> Decimal:
    return snapshot.leverage if params.leverage is None else exact(params.leverage)
