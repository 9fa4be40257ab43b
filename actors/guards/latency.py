"""Latency gate: no entries while market data arrives too late."""

from __future__ import annotations

from hashlib import blake2b
from math import exp
from statistics import NormalDist
from typing import Annotated

import msgspec
from msgspec import Meta

from actors.guards.core.drill import LASTS, Late, Plan, Scene, disturb
from actors.guards.core.examples import COIN, Example, one_market
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.limits import Reading, limit_reading, notable_readings
from actors.guards.core.params import Span, TransientParams, refuses, seconds, span_ns
from actors.guards.core.snapshot import Market, OrderRequested, Snapshot

_NORMAL = NormalDist()


class Simulated(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Delays where there are none to measure, as in a backtest: lognormal, drawn for each moment.

    Parameters
    ----------
    median : str
        Half of them are shorter.
    sigma : float
        Standard deviation of the delay's logarithm.
    seed : int
        Draws depend on it, the instrument and the time only.
    """

    median: Span = "20ms"
    sigma: Annotated[float, Meta(ge=0, le=5)] = 0.5
    seed: int = 0


class LatencyGateParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The delay from an event at the venue to the decision at which entries stop.

    Parameters
    ----------
    limit : str
        Such as ``80ms``.
    simulated : Simulated or None
        Draws delays where none are known; None does not apply the gate there.
    """

    limit: Span = "80ms"
    simulated: Simulated | None = None


class LatencyGate(Guard[LatencyGateParams, Nothing]):
    """Stops entries while market data arrives too late."""

    Config = LatencyGateParams
    unit = "s"
    needs = frozenset({"markets"})
    example = Example(
        LatencyGateParams(limit="100ms"),
        lambda milliseconds: (one_market(delay_ns=int(milliseconds * 1_000_000)),),
        (99, 100, 101),
        clear=90,
        scope=f"instrument:{COIN}",
    )

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure delays in seconds: of all late instruments, and the largest in any case."""
        params = self.params
        limit = seconds(span_ns(params.limit))
        delays = {
            name: seconds(delay)
            for name, market in snapshot.markets.items()
            if (delay := delay_of(market, name, snapshot.now, params.simulated)) is not None
        }

        def reading(name: str, delay: float) -> Reading:
            over = delay >= limit
            return limit_reading(
                params,
                f"instrument:{name}",
                delay,
                limit,
                over,
                _words(delay, params) if over else "",
            )

        return state, notable_readings(delays, limit - params.hysteresis * limit, reading)

    def admit(self, state: Nothing, order: OrderRequested, snapshot: Snapshot) -> str | None:
        """Refuse an entry while the newest event came too late."""
        params = self.params
        market = snapshot.markets.get(order.instrument)
        if market is None or not refuses(params):
            return None
        delay = delay_of(market, order.instrument, snapshot.now, params.simulated)
        if delay is None or delay < span_ns(params.limit):
            return None
        return _words(seconds(delay), params)

    def drill(self, scene: Scene) -> Plan:
        """Delay market data."""
        late = seconds(span_ns(self.params.limit)) * 2 + 0.2
        words = f"market data {late * 1000:.0f} ms late"
        return disturb(scene, self.params, Late(scene.first, late, LASTS), words)


def delay_of(market: Market, name: str, now: int, simulated: Simulated | None) -> int | None:
    """Return the delay of an instrument's newest event in nanoseconds: measured, else simulated."""
    if market.delay_ns is not None or simulated is None:
        return market.delay_ns
    return draw(name, now, simulated)


def draw(name: str, now: int, simulated: Simulated) -> int:
    """Return the simulated delay of an instrument at a moment, nanoseconds.

    The uniform draw is a hash of seed, instrument and time, so each process gets the same delays,
    and more or fewer calls change no other delay.
    """
    told = b"%d %b %d" % (simulated.seed, name.encode(), now)
    number = int.from_bytes(blake2b(told, digest_size=6).digest())
    deviation = _NORMAL.inv_cdf((number + 0.5) / 2**48)
    return round(span_ns(simulated.median) * exp(simulated.sigma * deviation))


def _words(delay: float, params: LatencyGateParams) -> str:
    return f"events come {delay * 1000:.0f} ms late, limit {params.limit}"
