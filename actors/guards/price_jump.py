"""Price jump: a price that moved too far too fast, perhaps by an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from actors.guards.core.drill import Move, Plan, Scene, disturb
from actors.guards.core.examples import COIN, NOON, SECOND, Example, one_market
from actors.guards.core.guard import Guard, Measured
from actors.guards.core.lazy import float_prices
from actors.guards.core.limits import Reading, limit_reading, notable_readings, percent
from actors.guards.core.params import Release, Span, TransientParams, span_ns, span_text
from actors.guards.core.snapshot import Snapshot


class PriceJumpParams(TransientParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The move of a price within a window at which its instrument's entries pause.

    The price that stood when the window began is part of it, so that a move between two looks
    counts where these are further apart than the window, as in a backtest.

    Parameters
    ----------
    limit_pct : float
        Move up or down, a fraction: 0.05 is 5 %.
    window : str
        Rolling, such as ``10s``.
    apart : str
        Two looks that are further apart than this say nothing of a jump: a day's candle may well
        move by a limit made for seconds.
    """

    release: Release = "5m"
    limit_pct: Annotated[float, Meta(gt=0, le=10)] = 0.05
    window: Span = "10s"
    apart: Span = "5m"

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) when looks within the window would be left out."""
        wrong = []
        if span_ns(self.apart) < span_ns(self.window):
            wrong = [("apart", f"must be at least the window {self.window}, was {self.apart}")]
        return super().check() + wrong


Stood = tuple[int, float]
"""A price, and the look at which another replaced it, UNIX nanoseconds (UTC)."""


class Track(msgspec.Struct, frozen=True, gc=False):
    """The window's prices that later prices can still be compared with."""

    price: float  # at the newest look
    # Prices in the window above (below) all later prices, oldest first.
    highs: tuple[Stood, ...] = ()
    lows: tuple[Stood, ...] = ()


class Tracks(msgspec.Struct, frozen=True, omit_defaults=True):
    """The newest look, UNIX nanoseconds (UTC), and the prices by instrument."""

    at: int
    tracks: dict[str, Track]
    still: dict[str, float] = {}  # prices that did not move within the window
    # The newest look that came more than the window after another, and that other.
    gap: tuple[int, int] = (0, 0)


class PriceJump(Guard[PriceJumpParams, Tracks]):
    """Pauses an instrument whose price moved too far too fast."""

    Config = PriceJumpParams
    State = Tracks
    unit = "%"
    needs = frozenset({"markets"})
    example = Example(
        PriceJumpParams(limit_pct=0.1),
        lambda rise: (
            one_market(NOON, price=1000),
            one_market(NOON + SECOND, price=1000 + rise),
        ),
        (99, 100, 101),
        clear=90,
        scope=f"instrument:{COIN}",
    )

    def start(self, snapshot: Snapshot) -> Tracks:
        """Return a state without prices."""
        return Tracks(snapshot.now, {})

    def measure(self, state: Tracks, snapshot: Snapshot) -> Measured[Tracks]:
        """Update prices; readings are moves as fractions: all large ones, and the largest."""
        params = self.params
        apart = abs(snapshot.now - state.at) > span_ns(params.apart)
        known = Tracks(snapshot.now, {}) if apart else state
        # After the clock went back a little, a look counts at the time of the newest one.
        now = max(snapshot.now, known.at)
        begin = now - span_ns(params.window)
        gap = known.gap if known.at >= begin else (now, known.at)
        # What moved in a gap was last seen before it.
        within = span_text(now - gap[1]) if gap[0] > begin else params.window
        prices = float_prices(snapshot)
        tracks = _tracks(known, now, prices, begin)
        still = {k: v for k, v in prices.items() if k not in tracks} if tracks else prices
        # Of those that stand still, one is enough.
        moves = {name: moved(track) for name, track in tracks.items()}
        if not any(moves.values()):
            moves = dict.fromkeys(list(prices)[:1], 0.0)

        def reading(name: str, move: float) -> Reading:
            limit, over = params.limit_pct, move >= params.limit_pct
            words = f"moved {percent(move)} within {within}, limit {percent(limit)}" if over else ""
            return limit_reading(params, f"instrument:{name}", move, limit, over, words)

        if snapshot.moved and (now != state.at or tracks != state.tracks or still != state.still):
            state = Tracks(now, tracks, still, gap)
        clear = params.limit_pct - params.hysteresis * params.limit_pct
        return state, notable_readings(moves, clear, reading)

    def released(self, state: Tracks, snapshot: Snapshot, scope: str) -> Tracks:
        """Remove the instrument's prices."""
        name = scope.removeprefix("instrument:")
        if scope == "desk":
            return Tracks(state.at, {}, gap=state.gap)
        kept = {key: track for key, track in state.tracks.items() if key != name}
        still = {k: price for k, price in state.still.items() if k != name}
        return Tracks(state.at, kept, still, state.gap)

    def drill(self, scene: Scene) -> Plan:
        """Let the price jump."""
        limit = self.params.limit_pct
        jump = Move(scene.first, limit * 1.02)
        return disturb(scene, self.params, jump, f"price jumps by {limit * 102:.3g} %")


def _tracks(known: Tracks, now: int, prices: Mapping[str, float], begin: int) -> dict[str, Track]:
    found: dict[str, Track] = {}
    if not known.tracks and not known.still:
        return found
    for name, price in prices.items():
        before = known.tracks.get(name)
        if before is None:
            stood = known.still.get(name, price)
            if stood == price:
                continue
            before = Track(stood)
        track = followed(before, now, price, begin)
        if track.highs or track.lows:
            found[name] = track
    return found


def followed(track: Track, now: int, price: float, begin: int) -> Track:
    """Return the track with one more price, in a window that began at `begin`."""
    highs, lows, before = track.highs, track.lows, track.price
    # The newest of each are nearest to the price, so prices that it passed are at the end.
    if price < before:
        highs = (*highs, (now, before))
        while lows and lows[-1][1] >= price:
            lows = lows[:-1]
    elif price > before:
        lows = (*lows, (now, before))
        while highs and highs[-1][1] <= price:
            highs = highs[:-1]
    while highs and highs[0][0] <= begin:
        highs = highs[1:]
    while lows and lows[0][0] <= begin:
        lows = lows[1:]
    if price == before and highs is track.highs and lows is track.lows:
        return track
    return Track(price, highs, lows)


def moved(track: Track) -> float:
    """Return how far the newest price is from the window's farthest, a fraction of that."""
    fall = 1 - track.price / track.highs[0][1] if track.highs else 0.0
    rise = track.price / track.lows[0][1] - 1 if track.lows else 0.0
    # Rounded, so that float errors don't miss a move of exactly the limit.
    return round(max(fall, rise), 11)
