"""Market controls: wide, thin or crossed books for some seconds, and announced maintenance.

Orders fill on a wide or thin book. A crossed book is only shown; matching does not change.

Announcements: https://bybit-exchange.github.io/docs/v5/system-status (values:
https://bybit-exchange.github.io/docs/v5/enum); times are strings of UTC milliseconds. An announced
maintenance makes nothing fail; the fault ``maintenance`` does.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

from live_nodes.practice.exchange.model import Key, Level, PracticeSymbol
from live_nodes.practice.exchange.order_checks import to_tick

ControlKind = Literal["spread", "gap", "crossed"]
Levels = Sequence[Level]
BPS = Decimal(10_000)
Json = dict[str, Any]
TRADING = 1
"""Service type of all trading; 2 to 5 are parts of it."""
FUTURES, SPOT = 1, 2
PLANNED, PRODUCTION = 1, 1


@dataclass(frozen=True)
class BookControl:
    """One change of a book until a time (UTC ms), in hundredths of a percent of the price.

    ``spread``: from best bid to best ask; ``gap``: from a best price of the least quantity to all
    other levels; ``crossed``: how far clients see the best bid above the best ask.
    """

    kind: ControlKind
    bps: Decimal
    until_ms: int


@dataclass
class MarketControls:
    """The active changes, one of each kind per symbol."""

    _controls: dict[tuple[Key, ControlKind], BookControl] = field(default_factory=dict)

    def set(self, key: Key, control: BookControl) -> None:
        """Change a symbol's book; replace its earlier change of this kind."""
        self._controls[key, control.kind] = control

    def clear(self) -> None:
        """End all changes."""
        self._controls.clear()

    def shown(
        self, symbol: PracticeSymbol, bids: list[Level], asks: list[Level], now_ms: int
    ) -> tuple[list[Level], list[Level]]:
        """Return the house's book with its changes, best first."""
        spread = self._bps(symbol.key, "spread", now_ms)
        gap = self._bps(symbol.key, "gap", now_ms)
        if bids and asks and spread is not None:
            bids, asks = _spread(symbol, bids, asks, spread)
        if bids and asks and gap is not None:
            bids, asks = _gap(symbol, bids, asks, gap)
        return bids, asks

    def client_book(
        self, symbol: PracticeSymbol, bids: list[Level], asks: list[Level], now_ms: int
    ) -> tuple[list[Level], list[Level]]:
        """Return the book that clients see, best first."""
        crossed = self._bps(symbol.key, "crossed", now_ms)
        if crossed is None or not bids or not asks:
            return bids, asks
        ghost = to_tick(asks[0][0] * (1 + crossed / BPS), symbol.tick, up=True)
        return [(ghost, bids[0][1]), *bids[: max(0, len(bids) - 1)]], asks

    def _bps(self, key: Key, kind: ControlKind, now_ms: int) -> Decimal | None:
        control = self._controls.get((key, kind))
        if control is None:
            return None
        if now_ms >= control.until_ms:
            del self._controls[key, kind]
            return None
        return control.bps


def _spread(
    symbol: PracticeSymbol, bids: list[Level], asks: list[Level], bps: Decimal
) -> tuple[list[Level], list[Level]]:
    middle = (bids[0][0] + asks[0][0]) / 2
    half = middle * bps / BPS / 2
    # Round outwards, so that the spread is never narrower than wanted.
    bid = to_tick(middle - half, symbol.tick, up=False)
    ask = to_tick(middle + half, symbol.tick, up=True)
    return _moved(symbol, bids, bid - bids[0][0]), _moved(symbol, asks, ask - asks[0][0])


def _gap(
    symbol: PracticeSymbol, bids: list[Level], asks: list[Level], bps: Decimal
) -> tuple[list[Level], list[Level]]:
    away = to_tick(asks[0][0] * bps / BPS, symbol.tick, up=True)
    thin = symbol.min_qty
    return (
        [(bids[0][0], thin), *_moved(symbol, bids, -away)][: len(bids)],
        [(asks[0][0], thin), *_moved(symbol, asks, away)][: len(asks)],
    )


def _moved(symbol: PracticeSymbol, levels: Levels, by: Decimal) -> list[Level]:
    return [(price + by, size) for price, size in levels if price + by >= symbol.tick]


@dataclass(frozen=True)
class Announcement:
    """One announced maintenance; times are UTC milliseconds."""

    id: str
    title: str
    begin_ms: int
    end_ms: int
    services: tuple[int, ...]
    products: tuple[int, ...]
    cancelled: bool = False

    def state(self, now_ms: int) -> str:
        """Return Bybit's ``state`` at this time."""
        if self.cancelled:
            return "canceled"
        if now_ms < self.begin_ms:
            return "scheduled"
        return "ongoing" if now_ms < self.end_ms else "completed"

    def row(self, now_ms: int) -> Json:
        """Return it as a row of ``GET /v5/system/status``."""
        return {
            "id": self.id, "title": self.title, "state": self.state(now_ms),
            "begin": str(self.begin_ms), "end": str(self.end_ms), "href": "",
            "serviceTypes": list(self.services), "product": list(self.products), "uidSuffix": [],
            "maintainType": PLANNED, "env": PRODUCTION,
        }  # fmt: skip


@dataclass
class Announcements:
    """All announcements since the start; newest first, as Bybit lists them."""

    all: list[Announcement] = field(default_factory=list)

    def announce(
        self,
        title: str,
        begin_ms: int,
        end_ms: int,
        services: tuple[int, ...] = (TRADING,),
        products: tuple[int, ...] = (FUTURES, SPOT),
    ) -> Announcement:
        """Announce a maintenance."""
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{title}|{begin_ms}|{len(self.all)}"))
        made = Announcement(name, title, begin_ms, end_ms, services, products)
        self.all.insert(0, made)
        return made

    def end_all(self, now_ms: int) -> None:
        """Cancel future maintenance and end present maintenance."""
        self.all = [
            replace(one, cancelled=True)
            if now_ms < one.begin_ms
            else replace(one, end_ms=min(one.end_ms, now_ms))
            for one in self.all
        ]

    def rows(self, now_ms: int) -> list[Json]:
        """Return the rows of ``GET /v5/system/status``."""
        return [one.row(now_ms) for one in self.all]
