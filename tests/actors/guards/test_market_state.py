"""A feed that is silent, a book that is crossed, a venue that is closed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from actors.guards import crossed_book, maintenance, stale_feed
from actors.guards.core.snapshot import Holding, Market
from actors.guards.crossed_book import CrossedBookParams
from actors.guards.maintenance import MaintenanceParams, Window
from actors.guards.stale_feed import StaleFeedParams
from config.durations import nanoseconds, parse
from tests.actors.guards.trading import (
    BTC,
    ETH,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    Gate,
    asked,
    look,
    markets,
)

SCOPE = f"instrument:{BTC}"


# A feed that is silent ----------------------------------------------------------------------------


def test_it_ends_with_the_silence() -> None:
    player = Gate(stale_feed.StaleFeed, StaleFeedParams()).observe(markets(silent_ns=30 * SECOND))
    verdict = player.verdict(SCOPE)
    assert verdict.reason == "silent for 30.0 s, limit 10s"
    assert (verdict.measured, verdict.limit, verdict.transient) == (30, 10, True)
    assert player.observe(markets(silent_ns=0)).action(SCOPE) == "none"


def test_a_feed_that_owes_nothing_is_not_stale() -> None:
    player = Gate(stale_feed.StaleFeed, StaleFeedParams()).observe(markets(price=100))
    assert player.readings == ()


# A book that is crossed ---------------------------------------------------------------------------


def test_after_a_crossed_book_entries_pause_for_two_seconds() -> None:
    player = Gate(crossed_book.CrossedBook, CrossedBookParams()).observe(
        markets(NOON, bid=101, ask=100)
    )
    verdict = player.verdict(SCOPE)
    assert verdict.reason == "the bid is 1 above the ask"
    assert (verdict.until, verdict.transient) == (NOON + 2 * SECOND, True)
    player.observe(markets(NOON + 2 * SECOND - 1, bid=99, ask=100))
    assert player.action(SCOPE) == "halt_entries"
    player.observe(markets(NOON + 2 * SECOND, bid=99, ask=100))
    assert player.action(SCOPE) == "none"


def test_a_book_that_stays_crossed_stays_halted() -> None:
    player = Gate(crossed_book.CrossedBook, CrossedBookParams())
    for n in range(5):
        player.observe(markets(NOON + n * SECOND, bid=101, ask=100))
        assert player.verdict(SCOPE).until > NOON + n * SECOND


def test_every_crossed_book_is_told_and_else_the_narrowest() -> None:
    def told(**bids: int) -> list[tuple[str, float]]:
        known = {name: Market(bid=Decimal(bid), ask=Decimal(100)) for name, bid in bids.items()}
        player = Gate(crossed_book.CrossedBook, CrossedBookParams()).observe(look(markets=known))
        return [(reading.scope[-1], reading.measured) for reading in player.readings]

    assert told(A=100, B=99, C=101) == [("A", 0), ("C", 1)]
    assert told(A=97, B=99, C=98) == [("B", -1)]


@pytest.mark.parametrize("touch", [{}, {"bid": 100}, {"ask": 100}])
def test_half_a_book_can_not_be_crossed(touch: dict) -> None:
    player = Gate(crossed_book.CrossedBook, CrossedBookParams()).observe(markets(**touch))
    assert player.readings == ()


# A venue that is closed ---------------------------------------------------------------------------

SIX, SEVEN = (nanoseconds(parse(f"2026-03-29T0{hour}:00:00Z")) for hour in (6, 7))
ANNOUNCED = Window(start="2026-03-29T06:00:00Z", end="2026-03-29T07:00:00Z")


def closed(*windows: Window, **params: object) -> Gate:
    return Gate(maintenance.Maintenance, MaintenanceParams(windows=windows, **params))


def test_entries_stop_while_the_venue_says_that_it_is_closed() -> None:
    player = closed().observe(look(maintenance="system upgrade"))
    verdict = player.verdict()
    assert (player.action(), verdict.reason, verdict.transient) == (
        "halt_entries",
        "system upgrade",
        True,
    )
    assert player.ask(asked()) == "system upgrade"
    player.observe(look(NOON + SECOND))
    assert player.action() == "none"
    assert player.ask(asked()) is None


def test_an_instrument_that_is_not_traded_is_halted_alone() -> None:
    player = closed().observe(markets(trading=False))
    assert (player.action(SCOPE), player.action()) == ("halt_entries", "none")
    assert player.ask(asked(name=BTC)) is not None
    assert player.ask(asked(name=ETH)) is None
    assert player.observe(markets(trading=True)).action(SCOPE) == "none"


def test_an_instrument_that_is_gone_for_good_is_halted_only_while_it_is_held() -> None:
    gone = markets(trading=False, gone=True).markets
    player = closed().observe(look(markets=gone))
    assert (player.action(SCOPE), player.latches) == ("none", ())
    assert player.ask(asked(name=BTC)) == f"the venue takes no orders in {BTC}"
    one = Decimal(1)
    held = Holding(strategy="a", instrument=BTC, quantity=one, entry=one, price=one)
    assert player.observe(look(NOON, held, markets=gone)).action(SCOPE) == "halt_entries"
    assert player.observe(look(markets=gone)).action(SCOPE) == "none"


@pytest.mark.parametrize(
    ("now", "closed_then"),
    [
        (SIX - 10 * MINUTE - 1, False),
        (SIX - 10 * MINUTE, True),  # Ten minutes ahead exactly.
        (SIX, True),
        (SEVEN - 1, True),
        (SEVEN, False),  # Over at the end exactly.
    ],
)
def test_an_announced_window_is_exact_for_pulses_and_for_orders(
    now: int, closed_then: bool
) -> None:
    player = closed(ANNOUNCED).observe(look(SIX - HOUR))
    assert (player.ask(asked(ts=now)) is not None) == closed_then
    player.observe(look(now))
    assert (player.action() == "halt_entries") == closed_then
    if closed_then:
        assert player.verdict().until == SEVEN
        assert player.verdict().reason == (
            "announced maintenance from 2026-03-29T06:00:00Z to 2026-03-29T07:00:00Z (UTC)"
        )


def test_of_several_windows_each_has_its_turn_in_any_order() -> None:
    later = Window(start="2026-03-30", end="2026-03-30 01:00")
    player = closed(later, ANNOUNCED).observe(look(SIX))
    assert player.verdict().until == SEVEN
    assert player.observe(look(SEVEN)).action() == "none"
    player.observe(look(nanoseconds(parse("2026-03-29 23:50"))))
    assert player.verdict().until == nanoseconds(parse("2026-03-30 01:00"))


@pytest.mark.parametrize(
    ("start", "end", "path", "words"),
    [
        ("2026-03-29", "2026-03-29", "windows[0].end", "must be after the start 2026-03-29"),
        ("soon", "2026-03-29", "windows[0].start", "must be a UTC date"),
        ("2026-03-29", "2026-03-29T06:00:00+02:00", "windows[0].end", "must be in UTC"),
    ],
)
def test_a_window_that_is_none_is_refused_with_its_place(
    start: str, end: str, path: str, words: str
) -> None:
    [(where, message)] = MaintenanceParams(windows=(Window(start=start, end=end),)).check()
    assert (where, words in message) == (path, True)
