from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.slippage_breaches import SlippageBreaches, SlippageBreachesParams
from config.durations import DAY_NS
from tests.actors.guards.trading import BTC, ETH, HOUR, NOON, Gate, look, traded

SCOPE = f"instrument:{BTC}"


def player(**params: object) -> Gate:
    return Gate(SlippageBreaches, SlippageBreachesParams(**params)).observe(look())


def slipped(bps: float | None, ts: int, name: str = BTC, strategy: str = "a"):
    return traded(1, ts, name, strategy, slippage=None if bps is None else bps / 10_000)


@pytest.mark.parametrize(
    ("bps", "action"),
    [
        (19.99, "none"),
        (20.0, "halt_entries"),
        (20.01, "halt_entries"),
        (-50.0, "none"),  # Better than the price that stood.
        (None, "none"),  # Passive, or nothing to compare with.
    ],
)
def test_fills_from_the_limit_on_are_breaches(bps: float | None, action: str) -> None:
    guard = player().observe(*(slipped(bps, NOON + n) for n in range(3)))
    assert guard.action(SCOPE) == action


@pytest.mark.parametrize("bps", [3.0, 7.0, 0.1, 11.3])
def test_the_limit_itself_is_a_breach_whatever_a_float_makes_of_it(bps: float) -> None:
    guard = player(limit_bps=bps, count=1).observe(slipped(bps, NOON))
    assert guard.action(SCOPE) == "halt_entries"


def test_two_breaches_are_too_few_and_three_stop_the_instrument() -> None:
    guard = player().observe(slipped(25, NOON), slipped(25, NOON + 1))
    assert guard.action(SCOPE) == "none"
    verdict = guard.observe(slipped(30, NOON + 2)).verdict(SCOPE)
    assert verdict.reason == "3 fills within 1d slipped 20 bps or more"
    assert (verdict.measured, verdict.limit, verdict.until) == (3, 3, None)
    assert guard.action(f"instrument:{ETH}") == "none"


def test_an_order_that_walks_through_the_book_breaches_once() -> None:
    guard = player().observe(*(slipped(25, NOON) for _ in range(5)))
    assert guard.action(SCOPE) == "none"
    assert guard.readings[0].measured == 1


@pytest.mark.parametrize(
    ("of", "scope"), [("strategies", "strategy:a"), ("desk", "desk"), ("instrument", SCOPE)]
)
def test_breaches_count_for_what_they_are_of(of: str, scope: str) -> None:
    guard = player(of=of, count=2)
    guard.observe(slipped(25, NOON, BTC, "a"), slipped(25, NOON, ETH, "b"))
    assert (guard.action(scope) == "halt_entries") == (of == "desk")
    guard.observe(slipped(25, NOON + 1, BTC, "a"))
    assert guard.action(scope) == "halt_entries"


def test_accepted_breaches_are_forgotten_in_their_scope_only() -> None:
    guard = player(count=1).observe(slipped(25, NOON, BTC), slipped(25, NOON, ETH)).accept(SCOPE)
    guard.observe(look(NOON + 1))
    assert guard.over() == [f"instrument:{ETH}"]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10 * HOUR),
            st.sampled_from([10.0, 25.0, 40.0, None]),
            st.sampled_from([BTC, ETH]),
            st.sampled_from(["a", "b"]),
            st.booleans(),
        ),
        max_size=40,
    ),
    st.sampled_from(["instrument", "strategies", "desk"]),
)
def test_counts_as_brute_force_over_all_fills(tape: list, of: str) -> None:
    guard, now, breaches = player(of=of), NOON, []
    for step, bps, name, strategy, restart in tape:
        now += step
        guard.observe(slipped(bps, now, name, strategy))
        scope = {"instrument": f"instrument:{name}", "strategies": f"strategy:{strategy}"}.get(of)
        if bps is not None and bps >= 20 and (now, name) not in [b[:2] for b in breaches]:
            breaches.append((now, name, scope or "desk"))
        if restart:
            guard.restart()
        guard.observe(look(now))
        expected = {
            found: min(3, sum(b[2] == found and now - b[0] < DAY_NS for b in breaches))
            for found in {b[2] for b in breaches}
        }
        assert {r.scope: r.measured for r in guard.readings} == expected
