"""Limits on spread and depth at the decision, on hand-made quotes and books."""

from decimal import Decimal

import pytest
from msgspec.structs import replace
from nautilus_trader.model.enums import BookType

from tests.builders_engine import SECOND, START, A, B, bare_engine, perpetual
from tests.builders_engine import play as play_candles
from tests.strategies.rebalance.test_legs import DECIDES, NAMES, C, E, hours
from tests.strategies.rebalance.test_rebalancer import TAPE, lines, reversal
from tests.strategies.test_executor import books, quotes


def decided(data, source="quotes", fraction=0.4, late=0, **params):
    """Return the strategy and its last decision, by the timer or so many seconds late by hand."""
    plan = {START + (DECIDES + late) * SECOND: lambda s: s.run_now()} if late else {}
    strategy = reversal(plan, NAMES, not late, fraction=fraction, **params)
    strategy.expect_book(source)
    book_type = BookType.L2_MBP if source == "book" else BookType.L1_MBP
    engine = bare_engine(*map(perpetual, NAMES), bar_execution=False, book_type=book_type)
    engine.add_strategy(strategy)
    engine.add_data(hours())
    for name in sorted({row.instrument_id for row in data}):
        engine.add_data([row for row in data if row.instrument_id == name])
    engine.run(start=START, end=START + (DECIDES + late + 60) * SECOND)
    return strategy, strategy.decisions[-1]


def around(name, bid, ask, size="1000", second=-5):
    return quotes((DECIDES + second, bid, ask), name=name, size=size)


def test_a_spread_too_wide_leaves_an_instrument_out():
    # A would be bought; its spread is 0.4 / 98.2 = 40.73 bps. The next worst, B, is bought.
    data = around(A, 98.0, 98.4) + around(B, 98.0, 98.1) + around(C, 101, 101.1)
    _, decision = decided(data + around(E, 102, 102.1), max_spread_bps=20)
    assert lines(decision)[A].reason == "left out: spread 40.73 bps is above 20"
    assert {name for name, line in lines(decision).items() if line.weight > 0} == {B}
    assert decision.note == ""


def test_quotes_show_no_more_depth_than_the_best_prices():
    data = around(B, 98.0, 98.1, size="50") + around(A, 98.0, 98.1) + around(C, 101, 101.1)
    _, decision = decided(data + around(E, 102, 102.1), min_depth=5_000)
    # The thinner side: 50 at 98.0.
    assert lines(decision)[B].reason == "left out: depth 4900 within 10 bps is below 5000"


def test_a_book_shows_the_depth_near_the_mid():
    # Around 98.05, 30 bps reach from 97.756 to 98.344: 20 and 40 of the bids, 60 of the asks.
    bids, asks = [(98.0, 20), (97.8, 40), (97.7, 900)], [(98.1, 60), (98.4, 900)]
    data = [delta for name in NAMES for delta in books((DECIDES - 5, bids, asks), name=name)]
    # 20 x 98.0 + 40 x 97.8 = 5,872 is the thinner side; 60 x 98.1 = 5,886 the other.
    for least, reasons in (
        (5_872, {""}),
        (5_873, {"left out: depth 5872 within 30 bps is below 5873"}),
    ):
        _, decision = decided(data, "book", min_depth=least, depth_bps=30)
        assert {line.reason for line in decision.targets} == reasons


ABC = [(A, 98.0, 98.1), (B, 98.0, 98.1), (C, 98.0, 98.1)]


def test_a_decision_waits_a_little_for_books_that_are_not_known_yet():
    data = [quote for row in ABC for quote in around(*row)] + around(E, 102.0, 102.1, second=3.5)
    strategy, decision = decided(data, max_spread_bps=20)
    # Stamped with the schedule's time, sent when the last of them was known.
    assert decision.ts == START + DECIDES * SECOND
    assert {o.ts_init for o in strategy.cache.orders()} == {START + (DECIDES + 4) * SECOND}


def test_an_instrument_without_a_book_is_left_out_in_the_end():
    data = [quote for row in ABC for quote in around(*row)]
    strategy, decision = decided(data, max_spread_bps=20)
    assert lines(decision)[E].reason == "left out: no best bid and ask are known"
    assert {o.ts_init for o in strategy.cache.orders()} == {START + (DECIDES + 10) * SECOND}


def test_on_candles_the_limits_are_not_applied_and_the_decision_says_so():
    free, limited = reversal(), reversal(max_spread_bps=1, min_depth=1e9)
    for strategy in (free, limited):
        strategy.expect_book("none")
        play_candles(TAPE, strategy)
    rebalances = [d for d in limited.decisions if d.kind == "rebalance"]
    words = "max_spread_bps and min_depth not applied: candles show neither spread nor depth"
    assert {d.note for d in rebalances} == {words}
    assert [replace(d, note="") for d in limited.decisions] == [
        replace(d, note="") for d in free.decisions
    ]


@pytest.mark.parametrize(
    ("late", "prices", "note"),
    [
        (590, (98.0, 102.0), ""),
        (720, (49.0, 102.0), "0.2 h late: sized at the newest prices, not at closes"),
    ],
)
def test_a_decision_that_is_late_is_sized_at_the_newest_prices(late, prices, note):
    """B closed at 98 and has fallen to 49 since; E closed at 102 and stands there."""
    data = around(B, 48.9, 49.1) + around(E, 101.9, 102.1)
    data += around(A, 98.9, 99.1) + around(C, 100.9, 101.1)
    _, decision = decided(data, late=late)
    bought, sold = lines(decision)[B], lines(decision)[E]
    assert (bought.price, sold.price) == prices
    for line, sign in ((bought, 1), (sold, -1)):
        rest = Decimal(decision.equity) / 2 - sign * Decimal(line.order) * Decimal(line.price)
        assert 0 <= rest < Decimal("0.001") * Decimal(line.price)
    assert decision.note == note
