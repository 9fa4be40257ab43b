"""The house's book around a price: a pure function of seed, symbol, price and time.

Prices stand on a grid that rarely changes and a level's size lasts for a while, so that from one
update to the next few levels change, as on a real exchange.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from live_nodes.practice.model import Level, Side, Symbol
from live_nodes.practice.path import uniforms

SPREAD = 0.00002
GRID = 0.00005
"""Fractions of the price: between bid and ask, and between two levels (a tick at least)."""


@dataclass(frozen=True)
class BookShape:
    """What a book is drawn from.

    Parameters
    ----------
    depth : int
        Levels on each side.
    lasting_ms : int
        How long a level's size lasts.
    """

    depth: int
    lasting_ms: int


def touch(price: int, side: Side) -> tuple[int, int]:
    """Return bid and ask in ticks; the last trade was at the one that its taker took."""
    spread = max(1, round(price * SPREAD))
    return (price - spread, price) if side == "Buy" else (price, price + spread)


def draw_book(
    symbol: Symbol,
    shape: BookShape,
    seed: int,
    bid: int,
    ask: int,
    worth: float,
    now_ms: int,
) -> tuple[list[Level], list[Level]]:
    """Draw bids and asks, best first.

    Parameters
    ----------
    symbol : Symbol
        Its tick and lot.
    shape : BookShape
        How deep, and how lively.
    seed : int
        Of this symbol's book.
    bid, ask : int
        In ticks; the best levels stand there.
    worth : float
        Usual worth of a level near the touch, in the quote coin.
    now_ms : int
        The time.
    """
    grid = _nice(bid * GRID)
    count = np.arange(1, shape.depth)
    bids = np.r_[bid, (bid - 1) // grid * grid - (count - 1) * grid]
    asks = np.r_[ask, (ask // grid + 1) * grid + (count - 1) * grid]
    bids = bids[bids > 0]
    return (
        _levels(symbol, shape, seed ^ 0xB1D, bids, worth, now_ms),
        _levels(symbol, shape, seed ^ 0xA5C, asks, worth, now_ms),
    )


def _levels(
    symbol: Symbol,
    shape: BookShape,
    seed: int,
    ticks: np.ndarray,
    worth: float,
    now_ms: int,
) -> list[Level]:
    own = ticks.astype(np.uint64) * np.uint64(0x2545F4914F6CDD1D) + np.uint64(seed)
    phase = (uniforms(own) * shape.lasting_ms).astype(np.int64)
    age = ((now_ms + phase) // shape.lasting_ms).astype(np.uint64)
    luck = uniforms(own ^ (age * np.uint64(0x9E6C63D0876A9A35)))
    # Skewed as sizes are: between a fifth and about four times the usual worth.
    wealth = worth * (0.2 + 4 * luck**3)
    tick, lot = symbol.tick, symbol.lot
    lots = np.rint(wealth / (ticks * float(tick)) / float(lot)).astype(np.int64)
    least = max(1, int(symbol.min_qty / lot))
    return [
        (price * tick, qty * lot)
        for price, qty in zip(ticks.tolist(), np.maximum(lots, least).tolist(), strict=True)
    ]


def _nice(value: float) -> int:
    """Return the largest of 1, 2, 5, 10, 20 … that is not above the value; at least 1."""
    if value < 1:
        return 1
    power = int(10 ** np.floor(np.log10(value)))
    return int(next(power * step for step in (5, 2, 1) if power * step <= value))


def quantity(symbol: Symbol, worth: float, price: int) -> Decimal:
    """Return the quantity of about that worth, on the lot and not below the least."""
    lots = round(worth / (price * float(symbol.tick)) / float(symbol.lot))
    return max(lots * symbol.lot, symbol.min_qty)
