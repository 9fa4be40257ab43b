"""What a scalper has learned survives a restart, unless other parameters have learned it."""

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from strategies.scalper import ScalperConfig
from strategies.scalping.trader import STATE, Saved, ScalpTrader, learned_by
from strategies.signals.fusion import Fusion
from strategies.state import MemoryState

BTC = "BTCUSDT-LINEAR.BYBIT"
RULES = ScalperConfig(key="scalp", instruments=(BTC,))


def learned() -> MemoryState:
    """Return the state of a scalper that has seen a rise after a score of 0.4 for an hour."""
    fusion, store = Fusion(RULES.fusion, "BTCUSDT"), MemoryState()
    for second in range(3600):
        fusion.update((second + 1) * 10**9, 100 * 1.0001**second, np.full(8, 0.4), 9.0)
    saved = Saved({BTC: fusion.state()}, learned_by(RULES))
    store.save(STATE, msgspec.json.encode(saved))
    return store


def test_it_expects_after_a_restart_what_it_has_learned_before():
    trader = ScalpTrader(RULES)
    trader.attach_state(learned())
    found = Fusion(RULES.fusion, "BTCUSDT", trader._saved.learned[BTC])
    # One basis point a second, for 30 seconds; the prior draws it towards nothing.
    assert 25 < found.expected_bps(0.4) < 30.1


HEAVY = replace(RULES.fusion.weights, sweep=0.5)
STEEP = replace(RULES.signals.sweep, levels=4)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"fusion": replace(RULES.fusion, horizons_s=(1.0, 30.0))}, False),
        ({"fusion": replace(RULES.fusion, weights=HEAVY)}, False),
        ({"signals": replace(RULES.signals, sweep=STEEP)}, False),
        ({"fusion": replace(RULES.fusion, by_symbol={"BTCUSDT": RULES.fusion.thresholds})}, True),
        ({"risk": 0.01}, True),
    ],
)
def test_what_other_signals_or_weights_have_learned_is_dropped(changes, kept):
    trader = ScalpTrader(replace(RULES, **changes))
    trader.attach_state(learned())
    assert (set(trader._saved.learned), trader._dropped == "") == ({BTC} if kept else set(), kept)


def test_nothing_is_decided_before_the_node_has_reconciled():
    trader = ScalpTrader(RULES)
    trader.attach_state(MemoryState())
    assert trader._waits_for_node
