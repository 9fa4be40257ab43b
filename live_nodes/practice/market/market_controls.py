"""Levers on a book: a wide spread, a thin touch, or a book that is told crossed, for some seconds.

Pure. A wide or thin book is the house's own, so that orders fill on it. A crossed one is only told:
it is what a client sees that missed a delta, while the exchange matches as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Literal

from live_nodes.practice.exchange.model import Key, Level, Symbol

Kind = Literal["spread", "gap", "crossed"]
Levels = Sequence[Level]
BPS = Decimal(10_000)


@dataclass(frozen=True)
class Lever:
    """One lever.

    Parameters
    ----------
    kind : {"spread", "gap", "crossed"}
        ``spread``: from best bid to best ask; ``gap``: from a touch of the least quantity to all
        that stands behind it; ``crossed``: by which the best bid is told above the best ask.
    bps : Decimal
        How much, hundredths of a percent of the price.
    until_ms : int
        When it ends, UTC milliseconds.
    """

    kind: Kind
    bps: Decimal
    until_ms: int


@dataclass
class Levers:
    """The levers that are pulled, one of each kind on a symbol."""

    _pulled: dict[tuple[Key, Kind], Lever] = field(default_factory=dict)

    def pull(self, key: Key, lever: Lever) -> None:
        """Pull a lever in place of the symbol's earlier one of its kind."""
        self._pulled[key, lever.kind] = lever

    def let_go(self) -> None:
        """Let all levers go."""
        self._pulled.clear()

    def house(
        self, symbol: Symbol, bids: list[Level], asks: list[Level], now_ms: int
    ) -> tuple[list[Level], list[Level]]:
        """Return the house's book as its levers leave it; best first."""
        spread = self._bps(symbol.key, "spread", now_ms)
        gap = self._bps(symbol.key, "gap", now_ms)
        if bids and asks and spread is not None:
            bids, asks = _spread(symbol, bids, asks, spread)
        if bids and asks and gap is not None:
            bids, asks = _gap(symbol, bids, asks, gap)
        return bids, asks

    def told(
        self, symbol: Symbol, bids: list[Level], asks: list[Level], now_ms: int
    ) -> tuple[list[Level], list[Level]]:
        """Return the book as clients are told it; best first."""
        crossed = self._bps(symbol.key, "crossed", now_ms)
        if crossed is None or not bids or not asks:
            return bids, asks
        ghost = _on_tick(symbol, asks[0][0] * (1 + crossed / BPS), ROUND_CEILING)
        return [(ghost, bids[0][1]), *bids[: max(0, len(bids) - 1)]], asks

    def _bps(self, key: Key, kind: Kind, now_ms: int) -> Decimal | None:
        if not self._pulled:
            return None
        lever = self._pulled.get((key, kind))
        if lever is None:
            return None
        if now_ms >= lever.until_ms:
            del self._pulled[key, kind]
            return None
        return lever.bps


def _spread(
    symbol: Symbol, bids: list[Level], asks: list[Level], bps: Decimal
) -> tuple[list[Level], list[Level]]:
    middle = (bids[0][0] + asks[0][0]) / 2
    half = middle * bps / BPS / 2
    # Outwards, so that the spread is never narrower than asked for.
    bid = _on_tick(symbol, middle - half, ROUND_FLOOR)
    ask = _on_tick(symbol, middle + half, ROUND_CEILING)
    return _moved(symbol, bids, bid - bids[0][0]), _moved(symbol, asks, ask - asks[0][0])


def _gap(
    symbol: Symbol, bids: list[Level], asks: list[Level], bps: Decimal
) -> tuple[list[Level], list[Level]]:
    away = _on_tick(symbol, asks[0][0] * bps / BPS, ROUND_CEILING)
    thin = symbol.min_qty
    return (
        [(bids[0][0], thin), *_moved(symbol, bids, -away)][: len(bids)],
        [(asks[0][0], thin), *_moved(symbol, asks, away)][: len(asks)],
    )


def _moved(symbol: Symbol, levels: Levels, by: Decimal) -> list[Level]:
    return [(price + by, size) for price, size in levels if price + by >= symbol.tick]


def _on_tick(symbol: Symbol, price: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    return (price / symbol.tick).to_integral_value(rounding) * symbol.tick
