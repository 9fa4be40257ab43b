"""Limits on spread and depth at the decision, on hand-made quotes and books."""

from decimal import Decimal

from msgspec.structs import replace
from nautilus_trader.model.enums import BookType

from strategies.xs_reversal import XSReversalConfig
from tests.builders_engine import SECOND, START, A, B, bare_engine, perpetual
from tests.builders_engine import play as play_candles
from tests.strategies.rebalance.test_legs import DECIDES, NAMES, C, E, hours
from tests.strategies.rebalance.test_rebalancer import TAPE, Heard, lines, reversal
from tests.strategies.test_executor import books, quotes


def told_of(source, **params):
    config = XSReversalConfig(
        key="rev",
        instruments=NAMES,
        interval="1h",
        every="1h",
        at="00:05",
        fraction=0.4,
        max_weight=0.5,
        **params,
    )
    told = Heard(config)
    told.expect_book(source)
    return told


def decided(told, data, book_type=BookType.L1_MBP):
    engine = bare_engine(*map(perpetual, NAMES), bar_execution=False, book_type=book_type)
    engine.add_strategy(told)
    engine.add_data(hours())
    for name in sorted({row.instrument_id for row in data}):
        engine.add_data([row for row in data if row.instrument_id == name])
    engine.run(start=START, end=START + (DECIDES + 60) * SECOND)
    return told.decisions[-1]


def around(name, bid, ask, size="1000", second=-5):
    return quotes((DECIDES + second, bid, ask), name=name, size=size)


def test_a_spread_too_wide_leaves_an_instrument_out():
    told = told_of("quotes", max_spread_bps=20)
    # A would be bought; its spread is 0.4 / 98.2 = 40.73 bps. The next worst, B, is bought.
    data = around(A, 98.0, 98.4) + around(B, 98.0, 98.1) + around(C, 101, 101.1)
    decision = decided(told, data + around(E, 102, 102.1))
    assert lines(decision)[A].reason == "left out: spread 40.73 bps is above 20"
    assert {name for name, line in lines(decision).items() if line.weight > 0} == {B}
    assert decision.note == ""


def test_quotes_show_no_more_depth_than_the_best_prices():
    told = told_of("quotes", min_depth=5_000)
    data = around(B, 98.0, 98.1, size="50") + around(A, 98.0, 98.1) + around(C, 101, 101.1)
    decision = decided(told, data + around(E, 102, 102.1))
    # The thinner side: 50 at 98.0.
    assert lines(decision)[B].reason == "left out: depth 4900 within 10 bps is below 5000"


def test_a_book_shows_the_depth_near_the_mid():
    told = told_of("book", min_depth=5_000, depth_bps=30)
    # Around 98.05, 30 bps reach from 97.756 to 98.344: 20 and 40 of the bids, 60 of the asks.
    bids, asks = [(98.0, 20), (97.8, 40), (97.7, 900)], [(98.1, 60), (98.4, 900)]
    data = [delta for name in NAMES for delta in books((DECIDES - 5, bids, asks), name=name)]
    decision = decided(told, data, BookType.L2_MBP)
    assert not any(line.reason for line in decision.targets)
    # 20 x 98.0 + 40 x 97.8 = 5,872 is the thinner side; 60 x 98.1 = 5,886 the other.
    told = told_of("book", min_depth=5_873, depth_bps=30)
    reasons = {line.reason for line in decided(told, data, BookType.L2_MBP).targets}
    assert reasons == {"left out: depth 5872 within 30 bps is below 5873"}


def test_a_decision_waits_a_little_for_touches_that_are_not_known_yet():
    told = told_of("quotes", max_spread_bps=20)
    data = [q for name in (A, B, C) for q in around(name, 98.0, 98.1)]
    data += around(E, 102.0, 102.1, second=3.5)
    decision = decided(told, data)
    # Stamped with the schedule's time, sent when the last of them was known.
    assert decision.ts == START + DECIDES * SECOND
    assert {o.ts_init for o in told.cache.orders()} == {START + (DECIDES + 4) * SECOND}


def test_an_instrument_without_a_touch_is_left_out_in_the_end():
    told = told_of("quotes", max_spread_bps=20)
    decision = decided(told, [q for name in (A, B, C) for q in around(name, 98.0, 98.1)])
    assert lines(decision)[E].reason == "left out: no best bid and ask are known"
    assert {o.ts_init for o in told.cache.orders()} == {START + (DECIDES + 10) * SECOND}


def test_on_candles_the_limits_are_not_applied_and_the_decision_says_so():
    free, limited = reversal(), reversal(max_spread_bps=1, min_depth=1e9)
    for told in (free, limited):
        told.expect_book("none")
        play_candles(TAPE, told)
    rebalances = [d for d in limited.decisions if d.kind == "rebalance"]
    words = "max_spread_bps and min_depth not applied: candles show neither spread nor depth"
    assert {d.note for d in rebalances} == {words}
    assert [replace(d, note="") for d in limited.decisions] == [
        replace(d, note="") for d in free.decisions
    ]


def by_hand(told, seconds):
    """Let it decide so long after its stamp, by hand instead of by the schedule."""
    start = told.on_start

    def on_start():
        start()
        for name in told.instrument_ids:
            told.market.watch(name)
        told.clock.cancel_timer("rebalance.rev")
        at = START + (DECIDES + seconds) * SECOND
        told.clock.set_time_alert_ns("by hand", at, lambda event: told.run_now())

    told.on_start = on_start
    return told


def decided_by_hand(seconds):
    """B closed at 98 and has fallen to 49 since; E closed at 102 and stands there."""
    told = by_hand(told_of("quotes"), seconds)
    data = around(B, 48.9, 49.1) + around(E, 101.9, 102.1)
    data += around(A, 98.9, 99.1) + around(C, 100.9, 101.1)
    engine = bare_engine(*map(perpetual, NAMES), bar_execution=False, book_type=BookType.L1_MBP)
    engine.add_strategy(told)
    engine.add_data(hours())
    for name in NAMES:
        engine.add_data([row for row in data if row.instrument_id.value == name])
    engine.run(start=START, end=START + (DECIDES + seconds + 60) * SECOND)
    return told.decisions[-1]


def test_a_decision_that_is_late_is_sized_at_the_newest_prices():
    decision = decided_by_hand(seconds=720)
    bought, sold = lines(decision)[B], lines(decision)[E]
    half = Decimal(decision.equity) / 2
    assert (bought.price, sold.price) == (49.0, 102.0)
    assert 0 <= half - Decimal(bought.order) * 49 < Decimal("0.049")
    assert 0 <= half + Decimal(sold.order) * 102 < Decimal("0.102")
    assert decision.note == "0.2 h late: sized at the newest prices, not at closes"


def test_a_decision_on_time_is_sized_at_the_closes_in_both_worlds():
    decision = decided_by_hand(seconds=590)
    half = Decimal(decision.equity) / 2
    assert lines(decision)[B].price == 98.0
    assert 0 <= half - Decimal(lines(decision)[B].order) * 98 < Decimal("0.098")
    assert decision.note == ""
