"""Announcements and listings of the venue, and what follows from them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from config.documents.node import Environment
from live_nodes.bybit.notices import VenueNotices, maintenance
from live_nodes.bybit.rest import VenueError, VenueRest
from tests.live_nodes.stage import NAME, stage


def row(**changes: Any) -> dict[str, Any]:
    """Return an announcement as the documentation shows it."""
    return {
        "id": "4d95b2a0-587f-11f0-bcc9-56f28c94d6ea",
        "title": "upgrade",
        "state": "ongoing",
        "begin": "1751596902000",
        "end": "1751597011000",
        "href": "",
        "serviceTypes": [2, 3, 4, 5],
        "product": [1, 2],
        "uidSuffix": [],
        "maintainType": 1,
        "env": 1,
    } | changes


@pytest.mark.parametrize(
    ("changes", "products", "environment", "stops"),
    [
        ({}, ("LINEAR",), "mainnet", True),
        ({"state": "scheduled"}, ("LINEAR",), "mainnet", False),
        ({"state": "completed"}, ("LINEAR",), "mainnet", False),
        ({"state": "canceled"}, ("LINEAR",), "mainnet", False),
        ({"product": [2]}, ("LINEAR",), "mainnet", False),
        ({"product": [2]}, ("LINEAR", "SPOT"), "mainnet", True),
        ({"product": [3, 4]}, ("LINEAR", "SPOT"), "mainnet", False),
        ({"serviceTypes": [1]}, ("LINEAR",), "mainnet", True),
        # Private pushes and market data alone: orders are taken.
        ({"serviceTypes": [4, 5]}, ("LINEAR",), "mainnet", False),
        ({"env": 2}, ("LINEAR",), "mainnet", False),
        ({"env": 2}, ("LINEAR",), "demo", True),
        ({}, ("LINEAR",), "demo", False),
        ({"env": None, "serviceTypes": None}, ("LINEAR",), "mainnet", False),
    ],
)
def test_maintenance_concerns_who_trades_there_now(
    changes: dict[str, Any], products: tuple[str, ...], environment: Environment, stops: bool
) -> None:
    found = maintenance([row(**changes)], products, environment)
    words = "maintenance of the venue until 2025-07-04 02:43:31 UTC: upgrade"
    assert found == (words if stops else "")


def test_without_an_end_it_is_until_further_notice() -> None:
    assert "until further notice: upgrade" in maintenance([row(end="")], ("LINEAR",), "mainnet")


def test_announcements_and_listings_of_the_practice_exchange_are_passed_on() -> None:
    told: list[tuple[str, frozenset[str]]] = []

    async def ask(url: str) -> None:
        async with VenueRest(url, None) as rest:
            names = [NAME, "GONEUSDT-LINEAR.BYBIT"]
            notices = VenueNotices(rest, names, "practice", lambda *news: told.append(news))
            await notices.ask_status()
            await notices.ask_listing()

    with stage() as st:
        asyncio.run(ask(st.where.http))
        now = st.call(st.server.venue.clock_ms)
        st.call(lambda: st.server.venue.announcements.announce("upgrade", now, now + 60_000))
        asyncio.run(ask(st.where.http))
    gone = frozenset({"GONEUSDT-LINEAR.BYBIT"})
    assert told[:2] == [("", frozenset()), ("", gone)]
    assert told[2][0].endswith("UTC: upgrade")
    assert told[3] == (told[2][0], gone)


def asked(*answers: Any) -> tuple[list[str], list[Any]]:
    """Ask once for each answer of a venue; return what was passed on, and the answers left."""
    left, told = list(answers), []

    async def announced() -> Any:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask() -> None:
        rest: Any = SimpleNamespace(announced=announced)
        notices = VenueNotices(rest, [NAME], "mainnet", lambda words, _: told.append(words))
        for _ in answers:
            await notices.ask_status()

    asyncio.run(ask())
    return told, left


def test_a_known_maintenance_stands_while_the_venue_does_not_answer() -> None:
    told, _ = asked([row()], VenueError("HTTP 503", 503), [])
    assert [bool(words) for words in told] == [True, False]


def test_a_venue_without_announcements_is_asked_once() -> None:
    told, left = asked(VenueError("HTTP 404", 404), [row()])
    assert (told, len(left)) == ([], 1)
