"""What a scalper has learned survives a restart, unless other parameters have learned it."""

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas
from nautilus_trader.model.enums import BookAction, OrderSide

from strategies.market_view import level_rows
from strategies.scalper import ScalperConfig
from strategies.scalping.trader import STATE, Saved, ScalpTrader, _Market, learned_by
from strategies.signals.fusion import Fusion
from strategies.state import MemoryState
from tests.builders_engine import perpetual

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


def message(update, *, whole=False):
    """Return a message of a book as Bybit's adapter makes it: levels have its update id."""
    found = perpetual()
    level = BookOrder(OrderSide.BUY, found.make_price(100), found.make_qty(1), update)
    rows = [OrderBookDelta(found.id, BookAction.UPDATE, level, 128, 9, 1, 1)]
    if whole:
        rows.insert(0, OrderBookDelta.clear(found.id, 9, 1, 1))
    return OrderBookDeltas(found.id, rows)


@pytest.mark.parametrize(
    ("last", "is_live", "anew"),
    [
        (message(7), True, False),
        (message(8), True, True),
        (message(8, whole=True), True, False),  # Where it differs from the last, it begins anew.
        (message(8), False, False),
    ],
)
def test_a_gap_in_the_ids_of_a_live_book_warms_its_signals_up_anew(last, is_live, anew):
    found = _Market(RULES, BTC, 0.1, None)
    scores = []
    for ts, deltas in enumerate((message(5, whole=True), message(6), last)):
        found.follow(deltas, is_live=is_live)
        found.show(ts * 10**9, level_rows(((100.0, 1.0),), ((100.1, 1.0),), found.levels))
        scores.append(found.scores)
    assert scores[0] is scores[1]
    assert (scores[1] is not scores[2]) is anew
