"""What the exchange announces of maintenance: ``GET /v5/system/status``.

Fields and their values are of https://bybit-exchange.github.io/docs/v5/system-status and
https://bybit-exchange.github.io/docs/v5/enum: a ``state`` is ``scheduled``, ``ongoing``,
``completed`` or ``canceled``, times are strings of UTC milliseconds. It is announced only; what
fails meanwhile is for the faults to say (``maintenance``).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]
TRADING, HTTP, WEBSOCKET, PRIVATE, PUBLIC = range(1, 6)
"""Service types: all trading, by HTTP, by WebSocket, private pushes, market data."""
FUTURES, SPOT = 1, 2
"""Products."""
PLANNED, TEMPORARY, INCIDENT = 1, 2, 3
"""Types of maintenance."""
PRODUCTION = 1


@dataclass(frozen=True)
class Announcement:
    """One maintenance, UTC milliseconds."""

    id: str
    title: str
    begin_ms: int
    end_ms: int
    services: tuple[int, ...] = (TRADING,)
    products: tuple[int, ...] = (FUTURES, SPOT)
    kind: int = PLANNED
    cancelled: bool = False

    def state(self, now_ms: int) -> str:
        """Return Bybit's word for where it stands."""
        if self.cancelled:
            return "canceled"
        if now_ms < self.begin_ms:
            return "scheduled"
        return "ongoing" if now_ms < self.end_ms else "completed"

    def row(self, now_ms: int) -> Json:
        """Return it as the wire spells it."""
        return {
            "id": self.id,
            "title": self.title,
            "state": self.state(now_ms),
            "begin": str(self.begin_ms),
            "end": str(self.end_ms),
            "href": "",
            "serviceTypes": list(self.services),
            "product": list(self.products),
            "uidSuffix": [],
            "maintainType": self.kind,
            "env": PRODUCTION,
        }


@dataclass
class Announcements:
    """All that were made since the start; newest first, as Bybit lists them."""

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
        """Cancel what has not begun; what is under way is over now."""
        self.all = [
            replace(one, cancelled=True)
            if now_ms < one.begin_ms
            else replace(one, end_ms=min(one.end_ms, now_ms))
            for one in self.all
        ]

    def rows(self, now_ms: int) -> list[Json]:
        """Return them as the wire spells them."""
        return [one.row(now_ms) for one in self.all]
