"""Stale feed: no market data of an instrument for too long."""

from __future__ import annotations

from actors.guards.core.calm import Bounds, Calm
from actors.guards.core.drill import LASTS, Plan, Scene, Silence, disturb
from actors.guards.core.examples import COIN, SECOND, Example, one_market
from actors.guards.core.guard import Guard, Measured, Nothing
from actors.guards.core.lazy import UnpricedMarkets, unpriced_markets
from actors.guards.core.limits import Reading, inside, limit_reading, notable_readings
from actors.guards.core.params import Span, TransientParams, seconds, span_ns
from actors.guards.core.snapshot import Snapshot, once


class StaleFeedParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The silence of an instrument's market data at which its entries stop.

    Parameters
    ----------
    limit : str
        Such as ``10s``. Below a node's ``watch.feed_silence``, after which the node renews the
        link and so ends the silence.
    """

    limit: Span = "10s"


class StaleFeed(Guard[StaleFeedParams, Nothing]):
    """Stops entries in an instrument without new market data."""

    Config = StaleFeedParams
    unit = "s"
    needs = frozenset({"markets"})
    example = Example(
        StaleFeedParams(limit="10s"),
        lambda quiet: (one_market(silent_ns=int(quiet * SECOND)),),
        (9.9, 10, 11),
        clear=9,
        scope=f"instrument:{COIN}",
    )

    def measure(self, state: Nothing, snapshot: Snapshot) -> Measured[Nothing]:
        """Measure the seconds without data: of all stale feeds, and of the oldest in any case."""
        params = self.params
        limit = seconds(span_ns(params.limit))
        silences = {
            name: market.silent_ns / 1e9
            for name, market in snapshot.markets.items()
            if market.silent_ns is not None
        }

        def reading(name: str, silence: float) -> Reading:
            over = silence >= limit
            return limit_reading(
                params,
                f"instrument:{name}",
                silence,
                limit,
                over,
                f"silent for {silence:.1f} s, limit {params.limit}" if over else "",
            )

        return state, notable_readings(silences, limit - params.hysteresis * limit, reading)

    def calm(self, state: Nothing, snapshot: Snapshot) -> Calm | None:
        """Compare the longest silence with the limit."""
        limit = seconds(span_ns(self.params.limit))
        markets = unpriced_markets(snapshot)
        longest = seconds(_longest_ns(markets))
        is_quiet = longest < limit and inside(longest, limit, self.params.hysteresis)
        return Bounds(markets=markets) if is_quiet else None

    def drill(self, scene: Scene) -> Plan:
        """Stop an instrument's market data."""
        limit = seconds(span_ns(self.params.limit))
        words = f"{scene.first} silent for {limit:g} s"
        return disturb(scene, self.params, Silence(scene.first, LASTS), words, within=limit + 15.0)


@once
def _longest_ns(markets: UnpricedMarkets) -> int:
    return max([market.silent_ns or 0 for market in markets.values()], default=0)
