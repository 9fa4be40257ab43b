"""What the scalper's signals find of what is planted in tapes, and how often they are wrong.

Thresholds and parameters were set on seed 3 of the demo's BTC book and are frozen. What is stated
here is of other seeds, and of ETH and SOL too.
"""

from math import inf
from typing import NamedTuple

import numpy as np
import pytest

from catalog.demo.order_flow import COINS, EVERY_S, Planted
from catalog.tops import StoredBook
from strategies.signals.scalper_parameters import SIGNALS, ScalperSignals
from tests.catalog.market import BTC
from tests.catalog.test_tick_formats import imported, real
from tests.strategies.signals.tapes import (
    QUIET_S,
    Scored,
    Tape,
    alarms,
    demo_tapes,
    scored,
    tape_of,
    walk_tape,
)

HOUR = 3600
PARAMETERS = ScalperSignals()
LEAST = dict.fromkeys(SIGNALS, 0.5) | {
    "large_trades": 0.4,
    "book_imbalance": 0.4,
    "vwap_deviation": 0.9,
}
"""An alarm is a score from here."""
SLACK_S = 2.0
"""A pulled order is certain, and a last order known, a little after its event has ended."""


class Stated(NamedTuple):
    """A kind of event, the signal that finds it, the sign of its score for side 1, and bounds."""

    signal: str
    sign: int
    recall: float
    precision: float
    clean: float
    """False alarms an hour on a tape without anything planted."""


STATED = {
    # Of the spoofs, a third is pulled when the price has left it out of the ten levels.
    "spoof": Stated("pull_replace", -1, recall=0.70, precision=0.60, clean=6),
    # Of a long queue's icebergs (SOL), more than half are never taken whole.
    "iceberg": Stated("iceberg", 1, recall=0.55, precision=0.95, clean=1),
    # Large orders sweep too: those that are not planted count as false.
    "sweep": Stated("sweep", 1, recall=0.90, precision=0.40, clean=15),
    "large_trades": Stated("large_trades", 1, recall=0.85, precision=0.40, clean=15),
    "momentum": Stated("micro_momentum", 1, recall=0.75, precision=0.25, clean=40),
}


Counts = np.ndarray
"""Events found, events, alarms that are right, alarms."""


def judged(
    found: Scored, signal: str, events: list[tuple[float, float, int]], slack_s: float = SLACK_S
) -> Counts:
    """Compare alarms with events: start, end, sign of the score."""
    score = found.scores[:, SIGNALS.index(signal)]
    times, signs = alarms(found.seconds, score, LEAST[signal])
    hits = [
        (times >= start) & (times <= end + slack_s) & (signs == sign) for start, end, sign in events
    ]
    right = np.any(hits, axis=0) if hits else np.zeros(len(times), bool)
    return np.array([sum(hit.any() for hit in hits), len(events), right.sum(), len(times)])


def demo(
    coin: int, seed: int, seconds: int, every_s: float = EVERY_S
) -> tuple[Scored, list[Planted]]:
    tapes, planted = demo_tapes(COINS[coin], seed, seconds, every_s)
    found = scored(tapes, 1.0, PARAMETERS)
    return found, [event for event in planted if event.book == 0]


def counts_of(found: Scored, planted: list[Planted]) -> dict[str, Counts]:
    return {
        kind: judged(
            found,
            stated.signal,
            [
                (event.start_ns / 1e9, event.end_ns / 1e9, event.side * stated.sign)
                for event in planted
                if event.kind == kind
            ],
        )
        for kind, stated in STATED.items()
    }


def test_planted_order_flow_is_found_in_an_hour_of_another_seed():
    for kind, (seen, events, right, all_alarms) in counts_of(*demo(0, 21, HOUR)).items():
        stated = STATED[kind]
        print(f"{kind}: {seen} of {events} found, {right} of {all_alarms} alarms right")
        assert events >= 5
        # Six events are few: two more than stated may be missed.
        assert seen >= stated.recall * events - 2, kind
        assert right >= stated.precision * all_alarms - 2, kind


@pytest.mark.slow
def test_planted_order_flow_is_found_in_three_coins_as_stated():
    runs = [counts_of(*demo(coin, seed, 2 * HOUR)) for coin in range(3) for seed in (31, 32)]
    for kind, stated in STATED.items():
        seen, events, right, all_alarms = sum(run[kind] for run in runs)
        print(f"{kind}: recall {seen}/{events}, precision {right}/{all_alarms}")
        assert seen >= stated.recall * events, kind
        assert right >= stated.precision * all_alarms, kind


def test_a_tape_without_plants_is_quiet():
    found, planted = demo(0, 41, HOUR, every_s=inf)
    assert not planted
    for kind, stated in STATED.items():
        false = judged(found, stated.signal, [])[3]
        print(f"{stated.signal}: {false} false alarms an hour")
        assert false <= stated.clean, kind


@pytest.mark.parametrize(
    ("kind", "signal", "sign", "recall", "precision"),
    [("tilt", "book_imbalance", 1, 0.95, 0.7), ("jump", "vwap_deviation", -1, 0.95, 0.6)],
)
def test_tilted_books_and_jumps_are_found(kind, signal, sign, recall, precision):
    tape, planted = walk_tape(51, kind)
    events = [(start, end, side * sign) for start, end, side in planted]
    seen, count, right, all_alarms = judged(scored(iter([tape]), 1.0, PARAMETERS), signal, events)
    print(f"{signal}: recall {seen}/{count}, precision {right}/{all_alarms}")
    assert seen >= recall * count
    assert right >= precision * all_alarms


def test_storms_are_another_regime_and_calm_is_normal():
    tape, planted = walk_tape(52, "storm")
    found = scored(iter([tape]), 1.0, PARAMETERS)
    stormy = np.zeros(len(found.seconds), bool)
    for start, _, _ in planted:
        own = (found.seconds >= start) & (found.seconds < start + 60)
        assert found.regimes[own].max() >= 2
        # A minute's memory: it takes some to fade.
        stormy |= (found.seconds >= start) & (found.seconds < start + 200)
    calm = found.regimes[~stormy]
    assert np.mean(calm >= 2) < 0.01
    assert set(np.unique(found.regimes)) <= {-1, 0, 1, 2, 3}


@pytest.mark.slow
def test_alarms_on_a_real_recording_are_counted(tmp_path):
    """Nobody labelled it: figures to read, not to hold against a bound."""
    path = real("binance/l2_ticks_spot_perp/binance_linear*wsraw*.gz")
    catalog = imported(tmp_path / "catalog", "binance_stream", path)
    book, trades = (catalog.series(kind, "", BTC, 0, 1 << 62) for kind in ("book", "trades"))
    tape: Tape = tape_of(StoredBook(), book, trades, PARAMETERS.levels)
    found = scored(iter([tape]), float(catalog.instruments[BTC].tick), PARAMETERS)
    for number, name in enumerate(SIGNALS):
        score = found.scores[:, number]
        known = ~np.isnan(score)
        assert np.abs(score[known]).max() <= 1.0
        hours = (found.seconds[-1] - found.seconds[known][0]) / HOUR
        times, _ = alarms(found.seconds, score, LEAST[name])
        print(
            f"{name}: {len(times)} alarms in {hours * 60:.1f} minutes, {len(times) / hours:.0f}/h"
        )
        assert len(times) / hours < HOUR / QUIET_S * 2
