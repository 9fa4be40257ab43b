"""Entries wait for the market: spread, latency, a silent feed, a crossed book, maintenance."""

from decimal import Decimal
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.core.examples import desk, one_market
from actors.guards.core.snapshot import Market
from actors.guards.crossed_book import CrossedBook
from actors.guards.depth import DepthGate
from actors.guards.latency import LatencyGate, Simulated, draw
from actors.guards.maintenance import Maintenance, Window
from actors.guards.spread import SpreadGate
from actors.guards.stale_feed import StaleFeed
from config.durations import nanoseconds, parse
from tests.actors.guards.moments import BTC, ETH, HOUR, MINUTE, MS, NOON, SECOND
from tests.actors.guards.playing import Player, held, requested

SCOPE = f"instrument:{BTC}"


# -- spread ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "touch", "reason"),
    [
        ({"max_ticks": 3}, ("100.00", "100.03"), None),  # Three ticks are at most three.
        ({"max_ticks": 3}, ("100.00", "100.04"), "the spread is 4 ticks, at most 3"),
        # A mid of 10 000, so that a spread of 1 is one basis point.
        ({"max_bps": 10}, ("9995", "10005"), None),
        ({"max_bps": 10}, ("9994.9", "10005.1"), "the spread is 10.2 bps, at most 10"),
        ({"max_ticks": 1000, "max_bps": 1}, ("100", "100.02"), "the spread is 2 bps, at most 1"),
    ],
)
def test_entries_wait_while_the_spread_is_too_wide(params, touch, reason):
    player = Player(SpreadGate, **params)
    player.observe(one_market(bid=touch[0], ask=touch[1], tick="0.01"))
    assert player.refusal(requested()) == reason
    verdict = player.verdict(SCOPE)
    assert verdict.reason == (reason or "")
    assert reason is None or (verdict.transient, verdict.until) == (True, None)


@pytest.mark.parametrize(
    "market",
    [
        {"tick": "0.01"},
        {"tick": "0.01", "bid": 100},
        {"tick": "0.01", "ask": 100},
        {"bid": 0, "ask": 0},
    ],
)
def test_the_spread_is_not_limited_without_both_best_prices(market: dict) -> None:
    player = Player(SpreadGate, max_ticks=1, max_bps=1).observe(one_market(**market))
    assert player.readings == ()
    assert player.refusal(requested()) is None


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ((3, 2), None),  # 300 and 202 USDT.
        ((3, 1.99), "200 is displayed at the thinner best price, at least 201"),  # 200.99 USDT.
        ((1, 9), "100 is displayed at the thinner best price, at least 201"),
        ((3, None), None),
    ],
)
def test_entries_wait_while_the_thinner_best_price_has_too_little(sizes, reason):
    known = {k: v for k, v in zip(("bid_size", "ask_size"), sizes, strict=True) if v is not None}
    player = Player(DepthGate, least=201).observe(one_market(bid=100, ask=101, **known))
    assert player.refusal(requested()) == reason
    assert player.verdict(SCOPE).reason == (reason or "")


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_side_that_displays_nothing_is_too_thin(side: str) -> None:
    player = Player(DepthGate, least=2e6).observe(one_market(**{side: 100, f"{side}_size": 3e6}))
    words = "0 is displayed at the thinner best price, at least 2,000,000"
    assert player.refusal(requested()) == words
    player.observe(one_market())
    assert player.refusal(requested()) is None


def test_ticks_are_not_limited_without_a_tick() -> None:
    assert Player(SpreadGate, max_ticks=1).observe(one_market(bid=1, ask=9)).readings == ()


def test_the_narrowest_spread_ends_a_halt_whatever_the_hysteresis():
    for limits in ({"max_ticks": 1}, {"max_bps": 1.05}):
        player = Player(SpreadGate, hysteresis=0.1, **limits)
        ends = []
        for ask in ("100.00", "100.03", "100.01"):
            player.observe(one_market(bid="99.99", ask=ask, tick="0.01"))
            ends.append(player.readings[0].clear)
        assert ends == [True, False, False]  # of two ticks
        player.observe(one_market(bid="99.99", ask="100.00", tick="0.01"))
        assert player.readings[0].clear


def test_shrinking_for_a_wide_spread_lets_entries_pass() -> None:
    player = Player(SpreadGate, max_ticks=1, action="shrink")
    player.observe(one_market(bid=100, ask=101, tick="0.01"))
    assert player.action(SCOPE) == "shrink"
    assert player.refusal(requested()) is None


@given(
    st.dictionaries(st.sampled_from("ABCDE"), st.integers(1, 40), min_size=1), st.integers(1, 40)
)
def test_all_wide_spreads_are_shown_and_always_the_widest(widths, limit):
    found = {
        name: one_market(bid=100, ask=100 + Decimal(width) / 100, tick="0.01").markets[BTC]
        for name, width in widths.items()
    }
    player = Player(SpreadGate, max_ticks=limit).observe(desk(markets=found))
    assert player.over() == [
        f"instrument:{name} ticks" for name, width in widths.items() if width > limit
    ]
    assert max(reading.measured for reading in player.readings) == max(widths.values())


# -- latency ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delay", "reason"),
    [(80 * MS - 1, None), (80 * MS, "events come 80 ms late, limit 80ms")],
)
def test_events_that_come_too_late_stop_entries(delay: int, reason: str | None) -> None:
    player = Player(LatencyGate).observe(one_market(delay_ns=delay))
    assert player.refusal(requested()) == reason
    assert player.verdict(SCOPE).reason == (reason or "")
    assert player.verdict(SCOPE).transient == (reason is not None)


def test_latency_is_not_limited_where_it_is_unknown() -> None:
    for seen in (desk(), one_market(price=100)):
        player = Player(LatencyGate).observe(seen)
        assert player.readings == ()
        assert player.refusal(requested()) is None


def test_a_delay_that_is_measured_is_never_drawn() -> None:
    player = Player(LatencyGate, simulated=Simulated(median="10s"))
    assert player.observe(one_market(delay_ns=0)).over() == []
    assert player.observe(one_market()).over() == [SCOPE]


def test_the_draw_is_the_same_in_every_process() -> None:
    # Written down once: another hash, another order of the bytes or another PYTHONHASHSEED would
    # change it.
    assert draw(BTC, NOON, Simulated()) == 15827828
    others = (BTC, NOON, Simulated(seed=1)), (ETH, NOON, Simulated()), (BTC, NOON + 1, Simulated())
    assert 15827828 not in {draw(*other) for other in others}


def test_verdict_and_admission_of_a_moment_draw_the_same() -> None:
    player = Player(LatencyGate, simulated=Simulated(sigma=2.0))
    refused = []
    for n in range(200):
        player.observe(one_market(NOON + n * MINUTE))
        refused.append(player.refusal(requested(ts=NOON + n * MINUTE + 5)) is not None)
        assert refused[-1] == bool(player.over())
    assert 0 < sum(refused) < 200


def test_draws_are_lognormal() -> None:
    draws = [draw(BTC, n, Simulated(median="20ms", sigma=0.5)) for n in range(20_000)]
    assert median(draws) == pytest.approx(20 * MS, rel=0.02)
    # Above 80 ms is ln 4 / 0.5 = 2.77 deviations: 0.28 % of them.
    assert sum(x > 80 * MS for x in draws) / 20_000 == pytest.approx(0.0028, abs=0.001)
    # Below the median less one deviation, 20 ms times e to the minus 0.5: 15.9 %.
    assert sum(x < 12.13 * MS for x in draws) / 20_000 == pytest.approx(0.159, abs=0.01)
    assert draw(BTC, NOON, Simulated(median="20ms", sigma=0.0)) == 20 * MS


# -- a silent feed ---------------------------------------------------------------------------------


def test_a_silent_feed_stops_entries_until_it_sends_again() -> None:
    player = Player(StaleFeed).observe(one_market(price=100))
    assert player.readings == ()
    verdict = player.observe(one_market(silent_ns=30 * SECOND)).verdict(SCOPE)
    assert verdict.reason == "silent for 30.0 s, limit 10s"
    assert (verdict.measured, verdict.limit, verdict.transient) == (30, 10, True)
    assert player.observe(one_market(silent_ns=0)).action(SCOPE) == "none"


# -- a crossed book --------------------------------------------------------------------------------


def test_after_a_crossed_book_entries_pause_for_two_seconds() -> None:
    player = Player(CrossedBook)
    for second in range(3):  # The pause begins anew while the book stays crossed.
        player.observe(one_market(NOON + second * SECOND, bid=101, ask=100))
        verdict = player.verdict(SCOPE)
        assert verdict.reason == "the bid is 1 above the ask"
        assert verdict.until > NOON + second * SECOND
    end = NOON + 4 * SECOND
    assert (verdict.until, verdict.transient) == (end, True)
    player.observe(one_market(end - 1, bid=99, ask=100))
    assert player.action(SCOPE) == "halt_entries"
    assert player.observe(one_market(end, bid=99, ask=100)).action(SCOPE) == "none"


@pytest.mark.parametrize(
    ("bids", "shown"),
    [({"A": 100, "B": 99, "C": 101}, [("A", 0), ("C", 1)]), ({"A": 97, "B": 99}, [("B", -1)])],
)
def test_every_crossed_book_is_shown_or_the_narrowest(bids: dict, shown: list) -> None:
    known = {name: Market(bid=Decimal(bid), ask=Decimal(100)) for name, bid in bids.items()}
    player = Player(CrossedBook).observe(desk(markets=known))
    assert [(reading.scope[-1], reading.measured) for reading in player.readings] == shown


@pytest.mark.parametrize("touch", [{}, {"bid": 100}, {"ask": 100}])
def test_half_a_book_can_not_be_crossed(touch: dict) -> None:
    assert Player(CrossedBook).observe(one_market(**touch)).readings == ()


# -- maintenance -----------------------------------------------------------------------------------

SIX, SEVEN = (nanoseconds(parse(f"2026-03-29T0{hour}:00:00Z")) for hour in (6, 7))
ANNOUNCED = Window(start="2026-03-29T06:00:00Z", end="2026-03-29T07:00:00Z")


def test_entries_stop_while_the_venue_is_in_maintenance() -> None:
    player = Player(Maintenance).observe(desk(maintenance="system upgrade"))
    verdict = player.verdict()
    assert (verdict.reason, verdict.transient) == ("system upgrade", True)
    assert player.refusal(requested()) == "system upgrade"
    assert player.observe(desk(NOON + SECOND)).action() == "none"
    assert player.refusal(requested()) is None


def test_an_instrument_that_is_not_traded_is_halted_alone() -> None:
    player = Player(Maintenance).observe(one_market(trading=False))
    assert (player.action(SCOPE), player.action()) == ("halt_entries", "none")
    assert player.refusal(requested()) is not None
    assert player.refusal(requested(name=ETH)) is None
    assert player.observe(one_market(trading=True)).action(SCOPE) == "none"


def test_an_instrument_that_is_gone_for_good_is_halted_only_while_it_is_held() -> None:
    gone = one_market(trading=False, gone=True).markets
    player = Player(Maintenance).observe(desk(markets=gone))
    assert (player.action(SCOPE), player.latches) == ("none", ())
    assert player.refusal(requested()) == f"the venue takes no orders in {BTC}"
    assert player.observe(desk(NOON, held(1), markets=gone)).action(SCOPE) == "halt_entries"


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        (SIX - 10 * MINUTE - 1, False),
        (SIX - 10 * MINUTE, True),  # Ten minutes ahead exactly.
        (SEVEN - 1, True),
        (SEVEN, False),  # Over at the end exactly.
    ],
)
def test_an_announced_window_is_exact_for_snapshots_and_for_orders(now: int, closed: bool) -> None:
    player = Player(Maintenance, windows=(ANNOUNCED,)).observe(desk(SIX - HOUR))
    assert (player.refusal(requested(ts=now)) is not None) == closed
    player.observe(desk(now))
    assert (player.action() == "halt_entries") == closed
    if closed:
        assert player.verdict().until == SEVEN
        assert player.verdict().reason == (
            "announced maintenance from 2026-03-29T06:00:00Z to 2026-03-29T07:00:00Z (UTC)"
        )


def test_several_windows_apply_in_any_order() -> None:
    later = Window(start="2026-03-30", end="2026-03-30 01:00")
    player = Player(Maintenance, windows=(later, ANNOUNCED)).observe(desk(SIX))
    assert player.verdict().until == SEVEN
    assert player.observe(desk(SEVEN)).action() == "none"
    player.observe(desk(nanoseconds(parse("2026-03-29 23:50"))))
    assert player.verdict().until == nanoseconds(parse("2026-03-30 01:00"))
