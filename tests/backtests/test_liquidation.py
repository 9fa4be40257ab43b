"""Liquidation: by hand after Bybit's formulas, as a property, and through the engine.

Bybit, "Liquidation Price (USDT Contract)": liquidation comes when what is left of the margin falls
to the maintenance margin, position value x MMR. Bybit, "Bankruptcy Price (USDT Contract)": the
position is then closed at the price at which the margin is gone. Bybit, "Order Cost (USDT
Contract)": the fee to close is quantity x bankruptcy price x taker fee rate.
"""

from __future__ import annotations

from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtests.engine.build import BacktestDesk
from backtests.engine.feed import Settlement
from backtests.engine.settlement import (
    adverse_prices,
    bankruptcy_prices,
    is_liquidated,
    maintenance_margin,
    margin_balance,
)
from tests.builders_engine import (
    A,
    B,
    Candles,
    Script,
    at,
    balance,
    play,
    resting,
    statuses,
    taker_fee,
    trading,
    venue,
)


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


ONE, NO_FEE, HALF_PERCENT = array(1), array(0), array(0.005)


# -- Bybit's own examples --------------------------------------------------------------------------

# "Trader A placed a long entry of 1 BTC at 20,000 USDT with 50x leverage [...] MMR is 0.5% and no
# extra margin is added": initial margin 400, maintenance margin 100, liquidation price 19,700.
# The fill paid out 20,000 of the 400: cash is -19,600.
CASH = 400.0 - 20_000.0


def test_the_published_long_has_its_maintenance_margin_left_at_the_published_price() -> None:
    assert margin_balance(CASH, ONE, array(19_700)) == 100.0
    # The example values the position at its entry price: 20,000 x 0.5 %.
    assert maintenance_margin(ONE, array(20_000), HALF_PERCENT, NO_FEE) == 100.0


@pytest.mark.parametrize(
    ("cash", "quantity", "safe", "liquidated", "fee"),
    [
        # At the mark price the maintenance margin shrinks along: 19,600 / 0.995 = 19,698.49.
        (CASH, 1, 19_698.50, 19_698.49, 0),
        # The fee to close brings it forward: 19,600 / (1 - 0.005 - 0.00055) = 19,709.39.
        (CASH, 1, 19_709.40, 19_709.38, 0.00055),
        # Sold 1 at 20,000 on 400: 20,400 / 1.005 = 20,298.51, published 20,300.
        (20_400.0, -1, 20_298.50, 20_298.51, 0),
    ],
    ids=["long", "long with fee", "short"],
)
def test_the_published_positions_are_liquidated_at_the_price_but_for_its_valuation(
    cash: float, quantity: int, safe: float, liquidated: float, fee: float
) -> None:
    for mark, expected in ((safe, False), (liquidated, True)):
        found = is_liquidated(cash, array(quantity), array(mark), HALF_PERCENT, array(fee))
        assert found is expected


@pytest.mark.parametrize(
    ("quantity", "mark", "left", "published"),
    [
        # "Bankruptcy Price = 10,000 x (1 - 2%) = 9,800 USDT" for a long at 50x; 200 of margin.
        ("1", "9850", "50", "9800"),
        ("-1", "10150", "50", "10200"),
        # The same wherever the mark price stood when it came to it, also beyond.
        ("1", "9700", "-100", "9800"),
        ("-1", "10300", "-100", "10200"),
    ],
)
def test_the_bankruptcy_price_is_the_published_one(
    quantity: str, mark: str, left: str, published: str
) -> None:
    found = bankruptcy_prices(D(left), {"X": (D(quantity), D(mark), D(0))})
    assert found == {"X": D(published)}


def test_the_fee_to_close_is_paid_at_the_bankruptcy_price() -> None:
    """1 BTC long at 10,000 on 200: 9,800 = b - 0.00055 b, so b = 9,805.39."""
    (found,) = bankruptcy_prices(D(50), {"X": (D(1), D(9850), D("0.00055"))}).values()
    assert found.quantize(D("0.01")) == D("9805.39")
    assert abs(found - found * D("0.00055") - 9_800) < D("1e-20")


# -- two positions on one account ------------------------------------------------------------------


def test_two_positions_stand_and_fall_together() -> None:
    """10,000 USDT: 2 A bought at 10,000 and 100 B sold at 200, fees of 0.055 % paid.

    Cash: 10,000 - 11 - 11 - 20,000 + 20,000 = 9,978. Maintenance 0.5 % of A and 1 % of B.
    """
    cash, held = 9_978.0, array(2, -100)
    rate, fee = array(0.005, 0.01), array(0.00055, 0.00055)

    # A 6,000, B 216: 9,978 + 12,000 - 21,600 = 378 left; 66.60 + 227.88 = 294.48 needed.
    prices = array(6_000, 216)
    assert margin_balance(cash, held, prices) == pytest.approx(378)
    assert maintenance_margin(held, prices, rate, fee) == pytest.approx(294.48)
    assert not is_liquidated(cash, held, prices, rate, fee)

    # B 218: 178 left; 66.60 + 229.99 = 296.59 needed.
    prices = array(6_000, 218)
    assert margin_balance(cash, held, prices) == pytest.approx(178)
    assert maintenance_margin(held, prices, rate, fee) == pytest.approx(296.59)
    assert is_liquidated(cash, held, prices, rate, fee)

    # 178 is given up by value: 12,000 and 21,800 of 33,800, so 63.195 and 114.805.
    # A: (12,000 - 63.195) / (2 - 0.0011) = 5,971.69; B: (21,800 + 114.805) / 100.055 = 219.03.
    taken = bankruptcy_prices(
        D(178), {A: (D(2), D(6000), D("0.00055")), B: (D(-100), D(218), D("0.00055"))}
    )
    assert {name: found.quantize(D("0.01")) for name, found in taken.items()} == {
        A: D("5971.69"),
        B: D("219.03"),
    }


def test_a_flat_book_is_never_liquidated() -> None:
    nothing = array(0, 0)
    assert not is_liquidated(-5.0, nothing, array(np.nan, 1), nothing, nothing)


def test_an_instrument_without_a_price_does_not_disturb_the_others() -> None:
    held = array(0, 1)
    prices, rate = array(np.nan, 100), array(0.005, 0.005)
    assert margin_balance(-50.0, held, prices) == 50.0
    assert maintenance_margin(held, prices, rate, array(0, 0)) == 0.5


def test_the_worst_of_a_candle_is_the_low_of_longs_and_the_high_of_shorts() -> None:
    found = adverse_prices(array(1, -1, 0), array(90, 90, 90), array(110, 110, 110))
    assert found[:2].tolist() == [90, 110]


positions = st.dictionaries(
    st.sampled_from("ABCDE"),
    st.tuples(
        st.integers(-(10**6), 10**6).filter(bool).map(lambda n: D(n) / 1000),
        st.integers(1, 10**7).map(lambda n: D(n) / 100),
        st.integers(0, 1000).map(lambda n: D(n) / 10**6),
    ),
    min_size=1,
)


@given(positions, st.integers(-(10**9), 10**9).map(lambda n: D(n) / 100))
def test_bankruptcy_leaves_the_account_with_nothing(
    book: dict[str, tuple[D, D, D]], left: D
) -> None:
    taken = bankruptcy_prices(left, book)
    for name, (quantity, mark, fee) in book.items():
        left += quantity * (taken[name] - mark) - abs(quantity) * taken[name] * fee
    assert abs(left) < D("1e-12")


# -- through the engine ----------------------------------------------------------------------------

# 2,000 A bought at 100 on 10,000 USDT, 110 of fee: cash is 9,890 - 200,000 = -190,110.
# Liquidated at 190,110 / (2,000 x (1 - 0.00555)) = 95.5855.
# Bankrupt at 190,110 / (2,000 x (1 - 0.00055)) = 95.1073.
RISKY = venue(leverage=D(25), fees=taker_fee("0.00055"))


def dropping(*lows: float) -> Candles:
    """Return candles at 100 with these lows."""
    return Candles([100.0] * len(lows), lows=list(lows))


def liquidations(desk: BacktestDesk) -> list[tuple[str, D, D]]:
    return [
        (fill.instrument, fill.signed, fill.price)
        for fill, _ in desk.accountant.fills
        if fill.kind == "liquidation"
    ]


def assert_ruined(desk: BacktestDesk, within: str) -> None:
    """Assert that nothing is held, and no more is left than the tick leaves over."""
    ledger = desk.accountant.ledger
    assert ledger.quantities == {}
    assert 0 <= ledger.equity({}) <= D(within)
    assert abs(balance(desk.engine) - ledger.equity({})) < D("0.000001")
    assert desk.engine.kernel.cache.positions_open() == []


@pytest.mark.parametrize(
    ("quantity", "tape", "price"),
    [
        ("2000", dropping(100, 100, 100, 95.59, 100), None),
        # On the tick that leaves the account no less than nothing.
        ("2000", dropping(100, 100, 100, 95.58, 100), "95.11"),
        # Cash 9,890 + 200,000; bankrupt at 209,890 / (2,000 x 1.00055) = 104.8873 at the most.
        ("-2000", Candles([100.0] * 5, highs=[100, 100, 100, 104.5, 100]), "104.88"),
        # A gap far beyond bankruptcy costs no more than the account.
        ("2000", Candles([100, 100, 100, 50, 50]), "95.11"),
    ],
    ids=["long above the price", "long at the price", "short", "gap"],
)
def test_a_position_is_liquidated_when_a_candle_reaches_the_price(
    quantity: str, tape: Candles, price: str | None
) -> None:
    script = Script({at(1): trading(A, quantity)})
    desk = play({A: tape}, script, document=RISKY)
    if price is None:
        assert desk.accountant.liquidated_at is None
        assert desk.accountant.position(A) == D(quantity)
        return
    assert desk.accountant.liquidated_at == at(4)
    assert liquidations(desk) == [(A, -D(quantity), D(price))]
    assert_ruined(desk, within="20")
    assert [fill.ts_event for fill in script.fills] == [at(1, 1), at(4) - 1]
    (trip,) = desk.accountant.ledger.closed
    assert trip.ts_closed == at(4) - 1


# A falls from 100 to 75, B, of which there is a short, from 200.
@pytest.mark.parametrize(
    ("short", "low", "falls_in_a_candle", "liquidated"),
    [
        # 800 x 25 lost and 400 x 50 gained between two candles.
        ("-400", 150, False, False),
        # Inside a candle the harsher counts: every position is taken at its worst at once.
        ("-400", 150, True, True),
        # The long loses far more than the account holds, the short gives some of it back.
        ("-300", 170, True, True),
    ],
)
def test_a_book_of_two_is_liquidated_whole_or_not_at_all(
    short: str, low: float, falls_in_a_candle: bool, liquidated: bool
) -> None:
    def falling(high: float, low: float) -> Candles:
        opens = [high, high, high, low, low] if falls_in_a_candle else [high, high, low, low, low]
        return Candles(opens, closes=[high, high, low, low, low])

    script = Script({at(1): lambda s: (s.trade(A, "800"), s.trade(B, short))})
    desk = play({A: falling(100, 75), B: falling(200, low)}, script, document=RISKY)
    if liquidated:
        assert desk.accountant.liquidated_at == at(3)
        assert {name for name, _, _ in liquidations(desk)} == {A, B}
        assert_ruined(desk, within="25")
    else:
        assert desk.accountant.liquidated_at is None
        assert desk.accountant.ledger.quantities == {A: D(800), B: D(short)}


def test_strategies_are_liquidated_together_each_by_its_own_orders() -> None:
    one = Script({at(1): trading(A, "800")}, key="one")
    two = Script({at(1): trading(A, "1200")}, key="two")
    desk = play({A: dropping(100, 100, 100, 95, 100)}, one, two, document=RISKY)
    assert [fill.last_qty.as_decimal() for fill in one.fills] == [800, 800]
    assert [fill.last_qty.as_decimal() for fill in two.fills] == [1200, 1200]
    assert_ruined(desk, within="20")


def test_a_ruined_account_opens_nothing_any_more() -> None:
    script = Script({at(1): trading(A, "2000"), at(4): trading(A, "10")})
    desk = play({A: dropping(100, 100, 95, 100, 100, 100)}, script, document=RISKY)
    assert len(script.denials) == 1
    assert "gross exposure" in script.denials[0]
    assert_ruined(desk, within="20")


def test_the_first_liquidation_is_the_one_that_is_reported() -> None:
    """The tick leaves 5 USDT over; traded on with and lost as well, they don't move the date."""
    script = Script({at(1): trading(A, "2000"), at(4): trading(A, "1")})
    desk = play({A: dropping(100, 100, 95, 100, 100, 90, 100)}, script, document=RISKY)
    assert script.denials == []
    assert [quantity for _, quantity, _ in liquidations(desk)] == [-2000, -1]
    assert desk.accountant.liquidated_at == at(3)


def test_liquidation_cancels_orders_that_wait_or_rest() -> None:
    # An order that passed the gate before must not open a position on an empty account.
    script = Script(
        {
            at(1): trading(A, "2000"),
            at(1, 0.5): resting(B, "1", 90),
            at(2, 5): lambda s: (s.trade(A, "10"), s.trade(B, "10")),
        }
    )
    tape = {A: dropping(100, 100, 95, 100, 100), B: Candles([100, 100, 100, 89, 80])}
    desk = play(tape, script, document=RISKY)
    assert statuses(desk) == ["FILLED", "CANCELED", "CANCELED", "CANCELED"]
    assert_ruined(desk, within="20")


def test_funding_of_the_same_stamp_comes_before_liquidation() -> None:
    """It is paid by the position that is then liquidated; the account still ends with nothing."""
    script = Script({at(1): trading(A, "2000")})
    desk = play(
        {A: dropping(100, 100, 95, 100, 100)},
        script,
        document=RISKY,
        settlements=[Settlement(at(3), A, D("0.001"), D(95))],
    )
    assert [payment.amount for payment in desk.accountant.payments] == [D(-190)]
    # (190,110 + 190) / 1,998.9 = 95.2023.
    assert liquidations(desk) == [(A, D(-2000), D("95.21"))]
    assert_ruined(desk, within="20")


def test_without_liquidation_the_loss_is_unbounded() -> None:
    document = venue(leverage=D(25), liquidation=False)
    desk = play(
        {A: Candles([100, 100, 100, 50, 50])},
        Script({at(1): trading(A, "2000"), at(3): trading(A, "-2000")}),
        document=document,
    )
    assert liquidations(desk) == []
    assert desk.accountant.ledger.equity({}) == 10_000 - 100_000
    assert balance(desk.engine) == -90_000
