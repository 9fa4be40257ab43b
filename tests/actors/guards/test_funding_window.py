from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.core.snapshot import Market
from actors.guards.funding_window import FundingWindow, FundingWindowParams
from tests.actors.guards.playing import at
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
EIGHT = at(0, "08:00")
SIXTEEN = at(0, "16:00")


def gate(now: int = EIGHT - HOUR, coming: int | None = EIGHT, **params: object) -> Gate:
    player = Gate(FundingWindow, FundingWindowParams(**params))
    player.observe(markets(now, next_funding_ns=coming))
    return player


@pytest.mark.parametrize(
    ("away", "inside"),
    [
        (-3 * MINUTE - 1, False),
        (-3 * MINUTE, True),  # The window begins at three minutes to exactly.
        (-1, True),
        (0, True),
        (1, True),
        (3 * MINUTE - 1, True),
        (3 * MINUTE, False),  # And is over at three minutes past exactly.
        (3 * MINUTE + 1, False),
    ],
)
def test_the_window_is_exact_for_pulses_and_for_orders(away: int, inside: bool) -> None:
    player = gate()
    now = EIGHT + away
    # No snapshot for an hour: the order's own time counts.
    assert (player.ask(asked(ts=now)) is not None) == inside
    # From the settlement on the venue tells the next one.
    player.observe(markets(now, next_funding_ns=EIGHT if away < 0 else SIXTEEN))
    assert (player.action(SCOPE) == "halt_entries") == inside
    assert (player.ask(asked(ts=now)) is not None) == inside
    if inside:
        verdict = player.verdict(SCOPE)
        assert (verdict.until, verdict.transient) == (EIGHT + 3 * MINUTE, True)


def test_the_verdict_says_how_far_the_settlement_is() -> None:
    player = gate().observe(markets(EIGHT - 90 * SECOND, next_funding_ns=EIGHT))
    verdict = player.verdict(SCOPE)
    assert verdict.reason == "funding is settled in 90 s"
    assert (verdict.measured, verdict.limit) == (90, 180)
    assert player.ask(asked(ts=EIGHT + 60 * SECOND)) == "funding settled 60 s ago"


def test_a_settlement_between_two_looks_far_apart_counts_where_it_is_told() -> None:
    """Candles of a day, settlements every eight hours: only the last of three is now."""
    player = gate(at(0), EIGHT)
    player.observe(markets(at(1), next_funding_ns=EIGHT + 24 * HOUR))
    assert player.action(SCOPE) == "none"
    player.observe(markets(at(2), next_funding_ns=EIGHT + 48 * HOUR, last_funding_ns=at(2)))
    assert player.verdict(SCOPE).until == at(2) + 3 * MINUTE
    assert player.ask(asked(ts=at(2) + 3 * MINUTE - 1)) is not None
    assert player.ask(asked(ts=at(2) + 3 * MINUTE)) is None


def test_a_settlement_that_was_put_off_has_not_happened() -> None:
    player = gate().observe(markets(EIGHT - MINUTE, next_funding_ns=EIGHT))
    player.observe(markets(EIGHT - SECOND, next_funding_ns=SIXTEEN))
    player.observe(markets(EIGHT + SECOND, next_funding_ns=SIXTEEN))
    assert player.action(SCOPE) == "none"
    assert player.ask(asked(ts=EIGHT + SECOND)) is None


def test_at_the_settlement_itself_it_has_passed() -> None:
    player = gate().observe(markets(EIGHT, next_funding_ns=SIXTEEN))
    assert player.verdict(SCOPE).reason == "funding settled 0 s ago"
    player.observe(markets(EIGHT + MINUTE, next_funding_ns=SIXTEEN))
    assert (player.readings[0].measured, player.readings[0].limit) == (60, 180)


def test_outside_all_windows_the_next_settlement_is_told() -> None:
    coming = {BTC: EIGHT, ETH: EIGHT + HOUR, "OTHER": EIGHT + 2 * HOUR}
    for order in (list(coming), list(coming)[::-1]):
        known = {name: Market(next_funding_ns=coming[name]) for name in order}
        player = Gate(FundingWindow, FundingWindowParams()).observe(
            look(EIGHT - HOUR, markets=known)
        )
        [reading] = player.readings
        assert (reading.scope, reading.measured, reading.over) == (SCOPE, 3600, False)


def test_what_has_no_funding_is_never_held_back() -> None:
    player = gate(coming=None)
    assert player.readings == ()
    assert player.ask(asked(ts=EIGHT)) is None


def test_each_instrument_has_its_own_settlement() -> None:
    player = gate()
    near = markets(EIGHT - MINUTE, next_funding_ns=EIGHT).markets
    far = markets(EIGHT - MINUTE, name=ETH, next_funding_ns=SIXTEEN).markets
    player.observe(look(EIGHT - MINUTE, markets=near | far))
    assert player.ask(asked(ts=EIGHT - MINUTE, name=BTC)) is not None
    assert player.ask(asked(ts=EIGHT - MINUTE, name=ETH)) is None


def test_the_window_can_be_one_sided_and_may_close_what_is_open() -> None:
    player = gate(before="1m", after="0s", action="flatten")
    player.observe(markets(EIGHT - MINUTE, next_funding_ns=EIGHT))
    assert player.action(SCOPE) == "flatten"
    player.observe(markets(EIGHT, next_funding_ns=SIXTEEN))
    assert player.action(SCOPE) == "none"


def test_a_window_of_nothing_is_refused() -> None:
    assert FundingWindowParams(before="0s", after="0s").check() == [
        ("before", "is 0s, and after too; one must be longer")
    ]


def test_a_clock_that_goes_back_over_the_settlement_stays_in_the_window() -> None:
    player = gate().observe(markets(EIGHT + SECOND, next_funding_ns=SIXTEEN))
    player.observe(markets(EIGHT - MINUTE, next_funding_ns=SIXTEEN))
    assert player.action(SCOPE) == "halt_entries"


@given(
    st.lists(
        st.tuples(st.integers(0, 2 * HOUR // SECOND), st.integers(0, 3), st.booleans()),
        max_size=30,
    ),
    st.sampled_from(["0s", "3m", "1h"]),
    st.sampled_from(["1m", "3m", "1h"]),
)
def test_says_as_brute_force_over_all_settlements(tape: list, before: str, after: str) -> None:
    nanoseconds = {"0s": 0, "1m": MINUTE, "3m": 3 * MINUTE, "1h": HOUR}
    player, now = gate(NOON, SIXTEEN, before=before, after=after), NOON
    settlements = [SIXTEEN + n * 8 * HOUR for n in range(12)]
    for step, late, restart in tape:
        now += step * SECOND
        # Some venues tell the next one a little late.
        known = now - late * SECOND
        coming = next(when for when in settlements if when > known)
        player.observe(markets(now, next_funding_ns=coming))
        if restart:
            player.restart()
        inside = any(
            when - nanoseconds[before] <= now < when + nanoseconds[after] for when in settlements
        )
        assert (player.ask(asked(ts=now)) is not None) == inside
        assert (player.action(SCOPE) == "halt_entries") == inside
