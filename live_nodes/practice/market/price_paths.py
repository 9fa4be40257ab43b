"""Prices inside candles: paths that touch open, high, low and close, the same for the same seed.

Two candles with one seed (last and mark price) have their highs and lows at the same moments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from live_nodes.practice.exchange.model import DAY_MS, MINUTE_MS, Key
from live_nodes.practice.market.feed import (
    CandleColumns,
    CandleSource,
    PriceKind,
    joined,
    longer,
)

Ticks = NDArray[np.int64]
LEAST_KNOTS = 4
WIGGLE = 0.6
FINEST_KNOT_MS = 100
MOST_KNOTS = 3_600


def seed_of(*parts: object) -> int:
    """Return a 64-bit seed from the parts alone (not from Python's hash)."""
    text = "|".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def candle_path(open_: int, high: int, low: int, close: int, knots: int, seed: int) -> Ticks:
    """Draw `knots` prices in ticks at equal times inside one candle.

    They start at the open, end at the close and reach the high and the low; price k holds from k to
    k + 1 steps. Raises ValueError for an impossible candle or fewer than 4 knots.
    """
    if not low <= min(open_, close) <= max(open_, close) <= high:
        raise ValueError(f"no such candle: open {open_} high {high} low {low} close {close}")
    if knots < LEAST_KNOTS:
        raise ValueError(f"knots must be at least {LEAST_KNOTS}, was {knots}")
    draw = np.random.Generator(np.random.PCG64(seed))
    first, second = sorted(draw.choice(knots - 2, size=2, replace=False) + 1)
    up_first = bool(draw.integers(2))
    pins = np.array([0, first, second, knots - 1])
    turns = (high, low) if up_first else (low, high)
    levels = np.array([open_, *turns, close], dtype=np.float64)
    at = np.arange(knots)
    walk = np.cumsum(draw.standard_normal(knots))
    bridge = walk - np.interp(at, pins, walk[pins])
    wiggle = bridge * (WIGGLE * (high - low) / np.sqrt(knots))
    path = np.rint(np.clip(np.interp(at, pins, levels) + wiggle, low, high)).astype(np.int64)
    path[pins] = levels.astype(np.int64)
    return path


def volume_path(lots: int, knots: int, seed: int) -> Ticks:
    """Draw the candle's cumulative volume in lots at each step; the last is all of it."""
    draw = np.random.Generator(np.random.PCG64(seed ^ 0x5DEECE66D))
    share = np.cumsum(0.2 + draw.random(knots))
    done = np.floor(lots * (share / share[-1])).astype(np.int64)
    done[-1] = lots
    return done


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash 64-bit numbers, so that neighbours are unrelated (SplitMix64, Steele 2014)."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniforms(values: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) that depend on the values alone."""
    return (mixed(values) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


@dataclass(frozen=True)
class PriceMove:
    """A price jump in a drill: later prices are multiplied."""

    time_ms: int
    factor: float


class PathPrices:
    """Prices, volumes and candles of all symbols of a source, with the price moves so far."""

    def __init__(
        self, source: CandleSource, seed: int, moves: Mapping[Key, Sequence[PriceMove]]
    ) -> None:
        self.source = source
        self.seed = seed
        self.moves = {key: list(own) for key, own in moves.items()}
        self._length = source.length_ms
        self._knots = max(LEAST_KNOTS, min(self._length // FINEST_KNOT_MS, MOST_KNOTS))
        self._knot_ms = self._length / self._knots
        self._path = lru_cache(maxsize=2_048)(self._draw_path)
        self._volumes = lru_cache(maxsize=2_048)(self._draw_volumes)
        self._behind = lru_cache(maxsize=512)(self._day_behind)

    def ticks(self, key: Key, time_ms: int, price: PriceKind) -> int | None:
        """Return the price in ticks at a moment; without a trade, the latest close."""
        path = self._path(key, time_ms // self._length, price)
        if path is not None:
            value = int(path[self._knot(time_ms)])
        else:
            before = self.source.latest(key, time_ms)
            if not len(before.start):
                return None
            value = int(before.close[0])
        return max(1, round(value * self._factor(key, time_ms)))

    def move(self, key: Key, ticks: int, at: int) -> None:
        """Scale prices from a moment on, so that the last is `ticks`. KeyError: no price yet."""
        present = self.ticks(key, at, "last")
        if present is None:
            raise KeyError(key)
        self.moves.setdefault(key, []).append(PriceMove(at, ticks / present))
        self._behind.cache_clear()

    def traded(self, key: Key, time_ms: int) -> bool:
        """Return whether there is a candle at a moment."""
        return self._path(key, time_ms // self._length, "last") is not None

    def turnover(self, key: Key, time_ms: int) -> float:
        """Return the turnover per second around a moment, in the quote coin."""
        return self._volumes(key, time_ms // self._length)[1] / self._length * 1_000

    def day(self, key: Key, at: int) -> CandleColumns:
        """Return the candles of the last 24 hours; the last one is unfinished."""
        return joined([self._behind(key, at // self._length), self._forming(key, at, "last")])

    def cut(
        self, key: Key, length: int, first_ms: int, last_ms: int, at: int, price: PriceKind
    ) -> CandleColumns:
        """Return candles that start in [first_ms, last_ms], no longer than the length."""
        present = at // self._length
        own = self._length
        if length % own == 0:
            until = min(last_ms, present * own - 1)
            whole = self._candles(key, first_ms, until, price)
            forming = self._forming(key, at, price).between(first_ms, last_ms)
            return joined([whole, forming])
        candles = range(first_ms // own, min(last_ms // own, present) + 1)
        minutes = (self._pieces(key, candle, at, MINUTE_MS, price) for candle in candles)
        return joined(minutes).between(first_ms, last_ms)

    def _draw_path(self, key: Key, candle: int, price: PriceKind) -> Ticks | None:
        start = candle * self._length
        found = self.source.candles(key, start, start, price)
        if not len(found.start):
            return self._path(key, candle, "last") if price != "last" else None
        open_, high, low, close = (int(column[0]) for column in found[1:5])
        return candle_path(
            open_, high, low, close, self._knots, seed_of(self.seed, "path", *key, candle)
        )

    def _draw_volumes(self, key: Key, candle: int) -> tuple[Ticks, float]:
        start = candle * self._length
        found = self.source.candles(key, start, start, "last")
        lots = int(found.volume[0]) if len(found.start) else 0
        turnover = float(found.turnover[0]) if len(found.start) else 0.0
        own = seed_of(self.seed, "volume", *key, candle)
        return volume_path(lots, self._knots, own), turnover

    def _factor(self, key: Key, time_ms: int) -> float:
        moves = self.moves.get(key, ())
        return prod((move.factor for move in moves if move.time_ms <= time_ms), start=1.0)

    def _day_behind(self, key: Key, candle: int) -> CandleColumns:
        start = candle * self._length
        first = start - DAY_MS + self._length
        return self._scaled(key, self.source.candles(key, first, start - 1, "last"), "last")

    def _candles(self, key: Key, first_ms: int, last_ms: int, price: PriceKind) -> CandleColumns:
        found = self.source.candles(key, first_ms, last_ms, price)
        if not len(found.start) and price != "last":
            found = self.source.candles(key, first_ms, last_ms, "last")
        return self._scaled(key, found, price)

    def _scaled(self, key: Key, candles: CandleColumns, price: PriceKind) -> CandleColumns:
        """Apply the price moves; a candle that contains one is calculated from its path."""
        moves = self.moves.get(key)
        if not moves or not len(candles.start):
            return candles
        factor = np.array([self._factor(key, int(start)) for start in candles.start])
        ohlc = [np.maximum(1, np.rint(column * factor).astype(np.int64)) for column in candles[1:5]]
        for move in moves:
            inside = np.flatnonzero(
                (candles.start < move.time_ms) & (move.time_ms < candles.start + self._length)
            )
            for row in inside:
                values = self._moved_path(key, int(candles.start[row]) // self._length, price)
                if values is not None:
                    moved = values[0], values.max(), values.min(), values[-1]
                    for column, value in zip(ohlc, moved, strict=True):
                        column[row] = value
        return candles._replace(open=ohlc[0], high=ohlc[1], low=ohlc[2], close=ohlc[3])

    def _moved_path(self, key: Key, candle: int, price: PriceKind) -> Ticks | None:
        path = self._path(key, candle, price)
        if path is None or key not in self.moves:
            return path
        times = candle * self._length + np.arange(self._knots) * self._knot_ms
        factor = np.ones(self._knots)
        for move in self.moves[key]:
            factor[times >= move.time_ms] *= move.factor
        return np.maximum(1, np.rint(path * factor).astype(np.int64))

    def _forming(self, key: Key, at: int, price: PriceKind) -> CandleColumns:
        return self._pieces(key, at // self._length, at, self._length, price)

    def _knot(self, time_ms: int) -> int:
        return min(int(time_ms % self._length / self._knot_ms), self._knots - 1)

    def _pieces(
        self, key: Key, candle: int, at: int, length: int, price: PriceKind
    ) -> CandleColumns:
        """Return what a candle has by now as candles of a length."""
        path = self._moved_path(key, candle, price)
        if path is None:
            return joined([])
        upto = self._knot(at) + 1 if candle == at // self._length else self._knots
        done, turnover = self._volumes(key, candle)
        lots = np.diff(done[:upto], prepend=0) if price == "last" else np.zeros(upto, np.int64)
        share = turnover / max(1, int(done[-1])) if price == "last" else 0.0
        times = (candle * self._length + np.arange(upto) * self._knot_ms).astype(np.int64)
        values = path[:upto]
        each = CandleColumns(times, values, values, values, values, lots, np.asarray(lots * share))
        return longer(each, length)
