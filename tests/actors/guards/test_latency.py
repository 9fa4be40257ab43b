from __future__ import annotations

from statistics import median

import pytest

from actors.guards.latency import LatencyGate, LatencyGateParams, Simulated, draw
from tests.actors.guards.trading import BTC, ETH, MINUTE, MS, NOON, Gate, asked, look, markets

SCOPE = f"instrument:{BTC}"
DRAWN = 15827828


def gate(**params: object) -> Gate:
    return Gate(LatencyGate, LatencyGateParams(**params))


@pytest.mark.parametrize(
    ("delay", "admitted"), [(80 * MS - 1, True), (80 * MS, False), (80 * MS + 1, False)]
)
def test_events_that_come_too_late_stop_entries(delay: int, admitted: bool) -> None:
    player = gate().observe(markets(delay_ns=delay))
    assert (player.ask(asked()) is None) == admitted
    assert (player.action(SCOPE) == "none") == admitted


def test_the_verdict_says_how_late() -> None:
    verdict = gate().observe(markets(delay_ns=250 * MS)).verdict(SCOPE)
    assert verdict.reason == "events come 250 ms late, limit 80ms"
    assert (verdict.measured, verdict.limit, verdict.transient) == (0.25, 0.08, True)


def test_where_no_delay_is_known_and_none_is_drawn_it_is_not_applied() -> None:
    player = gate().observe(markets(price=100))
    assert player.readings == ()
    assert player.ask(asked()) is None


def test_a_delay_that_is_measured_is_never_drawn() -> None:
    late = Simulated(median="10s")
    assert gate(simulated=late).observe(markets(delay_ns=0)).over() == []
    assert gate(simulated=late).observe(markets()).over() == [SCOPE]


def test_the_draw_is_the_same_in_every_process() -> None:
    # Written down once: another hash, another order of the bytes or another PYTHONHASHSEED would
    # change it.
    assert draw(BTC, NOON, Simulated()) == DRAWN
    assert draw(BTC, NOON, Simulated(seed=1)) != DRAWN
    assert draw(ETH, NOON, Simulated()) != DRAWN
    assert draw(BTC, NOON + 1, Simulated()) != DRAWN


def test_verdict_and_admission_of_a_moment_draw_the_same() -> None:
    player = gate(simulated=Simulated(sigma=2.0))
    refused = []
    for n in range(200):
        player.observe(markets(NOON + n * MINUTE))
        refused.append(player.ask(asked(ts=NOON + n * MINUTE + 5)) is not None)
        assert refused[-1] == bool(player.over())
    assert 0 < sum(refused) < 200


def test_draws_are_lognormal() -> None:
    draws = [draw(BTC, n, Simulated(median="20ms", sigma=0.5)) for n in range(20_000)]
    assert median(draws) == pytest.approx(20 * MS, rel=0.02)
    # Above 80 ms is ln 4 / 0.5 = 2.77 deviations: 0.28 % of them.
    assert sum(x > 80 * MS for x in draws) / 20_000 == pytest.approx(0.0028, abs=0.001)
    # Below the median less one deviation, 20 ms times e to the minus 0.5: 15.9 %.
    assert sum(x < 12.13 * MS for x in draws) / 20_000 == pytest.approx(0.159, abs=0.01)


def test_without_spread_all_draws_are_the_median() -> None:
    assert draw(BTC, NOON, Simulated(median="20ms", sigma=0.0)) == 20 * MS


def test_what_the_pulse_does_not_know_passes() -> None:
    assert gate().observe(look()).ask(asked()) is None
