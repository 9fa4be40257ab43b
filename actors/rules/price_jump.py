"""Price jump: a price moved so far so fast that it may be an error, or the start of more."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from actors.rules.facts import Pulse, Seen
from actors.rules.limits import percent
from actors.rules.nearest import of_note
from actors.rules.params import Release
from actors.rules.passing import PassingParams
from actors.rules.reading import Reading, inside
from actors.rules.rule import Readings, Rule
from actors.rules.spans import Span, span_ns


class PriceJumpParams(PassingParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class Track(msgspec.Struct, frozen=True):
    """What the prices of the window can still come to be compared with.

    Parameters
    ----------
    at : int
        The newest look that showed a price, UNIX nanoseconds (UTC).
    price : float
        What it showed.
    highs, lows : tuple of Stood
        Prices that stood within the window and that all after them were below (above), oldest
        first.
    """

    at: int
    price: float
    highs: tuple[Stood, ...] = ()
    lows: tuple[Stood, ...] = ()


class Tracks(msgspec.Struct, frozen=True):
    """By instrument."""

    tracks: dict[str, Track]


def start(params: PriceJumpParams, pulse: Pulse) -> Tracks:
    """Begin at the pulse's prices."""
    return Tracks({})


def step(state: Tracks, seen: Seen, params: PriceJumpParams) -> tuple[Tracks, Readings]:
    """Take prices in; readings are fractions: of what moved far, and of what moved furthest."""
    if not isinstance(seen, Pulse):
        return state, None
    window, apart = span_ns(params.window), span_ns(params.apart)
    tracks: dict[str, Track] = {}
    moves: dict[str, float] = {}
    for name, market in seen.markets.items():
        before = state.tracks.get(name)
        if market.price is None or market.price <= 0:
            if before is not None:
                tracks[name] = before
            continue
        track = followed(before, seen.now, float(market.price), window, apart)
        tracks[name] = track
        moves[name] = moved(track)

    def reading(name: str, move: float) -> Reading:
        over = move >= params.limit_pct
        words = f"moved {percent(move)} within {params.window}, limit {percent(params.limit_pct)}"
        return Reading(
            scope=f"instrument:{name}",
            measured=move,
            limit=params.limit_pct,
            over=over,
            clear=not over and inside(move, params.limit_pct, params.hysteresis),
            action=params.asks,
            multiplier=params.multiplier,
            reason=words if over else "",
        )

    if tracks != state.tracks:
        state = Tracks(tracks)
    return state, of_note(moves, params.limit_pct, params.hysteresis, reading)


def released(state: Tracks, pulse: Pulse, scope: str, params: PriceJumpParams) -> Tracks:
    """Forget the instrument's prices so far."""
    name = scope.removeprefix("instrument:")
    return Tracks({k: track for k, track in state.tracks.items() if scope != "desk" and k != name})


def followed(track: Track | None, now: int, price: float, window: int, apart: int) -> Track:
    """Return the track with one more price.

    A look from a little before the newest, after the clock went back, counts as made with it.
    """
    if track is None or abs(now - track.at) > apart:
        return Track(now, price)
    now = max(now, track.at)
    begin, before = now - window, (now, track.price)
    return Track(
        now,
        price,
        tuple(stood for stood in (*track.highs, before) if stood[1] > price and stood[0] > begin),
        tuple(stood for stood in (*track.lows, before) if stood[1] < price and stood[0] > begin),
    )


def moved(track: Track) -> float:
    """Return how far the newest price is from the furthest of the window, a fraction of it."""
    fall = 1 - track.price / track.highs[0][1] if track.highs else 0.0
    rise = track.price / track.lows[0][1] - 1 if track.lows else 0.0
    # Rounded, or a move of just the limit would be missed by the last bit of a float.
    return round(max(fall, rise), 11)


RULE = Rule(state=Tracks, start=start, step=step, released=released, needs=frozenset({"markets"}))
