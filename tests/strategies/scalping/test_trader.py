"""What a scalper has learned survives a restart, unless other parameters have learned it."""

import msgspec
import numpy as np
from msgspec.structs import replace

from strategies.scalper import ScalperConfig
from strategies.scalping.trader import STATE, Saved, ScalpTrader
from strategies.signals.fusion import Fusion
from strategies.state import MemoryState

BTC = "BTCUSDT-LINEAR.BYBIT"
RULES = ScalperConfig(key="scalp", instruments=(BTC,))


def learned() -> MemoryState:
    """Return the state of a scalper that has seen a rise after a score of 0.4 for an hour."""
    fusion, store = Fusion(RULES.fusion, "BTCUSDT"), MemoryState()
    for second in range(3600):
        fusion.update((second + 1) * 10**9, 100 * 1.0001**second, np.full(8, 0.4), 9.0)
    store.save(STATE, msgspec.json.encode(Saved({BTC: fusion.state()})))
    return store


def test_it_expects_after_a_restart_what_it_has_learned_before():
    trader = ScalpTrader(RULES)
    trader.attach_state(learned())
    found = Fusion(RULES.fusion, "BTCUSDT", trader._saved.learned[BTC])
    # One basis point a second, for 30 seconds; the prior draws it towards nothing.
    assert 25 < found.expected_bps(0.4) < 30.1


def test_what_other_horizons_have_learned_is_dropped():
    trader = ScalpTrader(replace(RULES, fusion=replace(RULES.fusion, horizons_s=(1.0, 30.0))))
    trader.attach_state(learned())
    assert trader._saved.learned == {}
    assert "learns anew" in trader._dropped


def test_nothing_is_decided_before_the_node_has_reconciled():
    trader = ScalpTrader(RULES)
    trader.attach_state(MemoryState())
    assert trader._waits_for_node
