"""Free margin and the distance to liquidation: by hand, and against the backtests' liquidation."""

from collections.abc import Callable
from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.core.margin import (
    UNKNOWN_RATE,
    Stake,
    against,
    alone,
    initial_margin,
    maintenance_margin,
    stake,
    together,
)
from actors.guards.core.snapshot import Market
from actors.guards.free_margin import FreeMargin
from actors.guards.liquidation_distance import LiquidationDistance, LiquidationDistanceParams
from backtests.engine.settlement import is_liquidated
from tests.actors.guards.moments import BTC, BTC_SPOT, ETH
from tests.actors.guards.playing import book, held, reading_of, readings_of, refusal, requested, row

FEE = D("0.00055")
PERPETUAL = Market(maintenance_rate=D("0.005"), taker_fee=D(0))
MARKETS = {BTC: PERPETUAL, ETH: PERPETUAL, BTC_SPOT: Market(spot=True)}


# -- initial margin --------------------------------------------------------------------------------


def test_the_published_order_cost_without_its_fee_to_open() -> None:
    # Bybit, "Order Cost (USDT Contract)": 1 BTC at 50,000 with 10x, taker 0.055 %: initial margin
    # 5,000, fee to close 24.75 for a long; a short is bankrupt at 55,000, so 30.25.
    assert initial_margin([Stake(D(50_000), D(0), FEE)], D(10)) == D("5024.75")
    assert initial_margin([Stake(D(-50_000), D(0), FEE)], D(10)) == D("5030.25")


def test_coins_hold_all_that_they_are_worth() -> None:
    assert initial_margin([stake(D(400), MARKETS[BTC_SPOT], BTC_SPOT)], D(10)) == 400


def test_a_position_in_an_unknown_market_is_taken_to_be_dear() -> None:
    assert stake(D(100), None, "NEWUSDT-LINEAR.BYBIT").rate == UNKNOWN_RATE
    assert stake(D(100), None, "NEWUSDT-SPOT.BYBIT") == Stake(D(100), D(0), D(0), spot=True)


# -- free margin -----------------------------------------------------------------------------------


def free_margin(**params: object) -> FreeMargin:
    return FreeMargin(FreeMargin.Config(**params))


@pytest.mark.parametrize(
    ("quantity", "free", "over", "clear"),
    [
        # Equity 1,000 at 5x: 4,000 hold 800, and 200 are the least. Clear from 220 on.
        ("39", 0.22, False, True),
        ("39.001", 0.21998, False, False),
        ("39.999", 0.20002, False, False),
        ("40", 0.2, True, False),
        ("-40.001", 0.19998, True, False),
    ],
)
def test_free_margin_at_its_least_is_over(quantity, free, over, clear):
    reading = reading_of(free_margin(least=0.2), book(held(quantity), markets=MARKETS))
    assert (reading.over, reading.clear) == (over, clear)
    assert reading.measured == pytest.approx(free)


@pytest.mark.parametrize(
    ("holdings", "leverage", "free"),
    [
        ((held(10),), None, 0.8),
        # The leverage at the venue may be another than the document's.
        ((held(10),), 1.0, 0.0),
        ((held(10),), 10.0, 0.9),
        # 500 for the coins, 100 for the perpetual.
        ((held(5, BTC_SPOT), held(-5)), None, 0.4),
    ],
)
def test_margin_is_value_by_leverage_and_all_of_a_coins_value(holdings, leverage, free):
    guard = free_margin(leverage=leverage)
    assert reading_of(guard, book(*holdings, markets=MARKETS)).measured == free


@pytest.mark.parametrize("perp", [-5, 5])
def test_coins_are_no_collateral(perp: int) -> None:
    """Of 1,000, 500 are in coins: the other 500 stand behind 500 of the perpetual at 0.5 %.

    At a move m: 500 - 500 m = 2.5 (1 + m) for the short, 2.5 (1 - m) for the long.
    """
    guard = LiquidationDistance(LiquidationDistanceParams(least=0.2))
    seen = book(held(5, BTC_SPOT), held(perp), markets=MARKETS)
    least = 497.5 / (502.5 if perp < 0 else 497.5)
    assert reading_of(guard, seen).measured == pytest.approx(least)
    coins = book(held(9, BTC_SPOT), markets=MARKETS)
    assert not readings_of(guard, coins)


@pytest.mark.parametrize("equity", [0, -10])
def test_without_equity_any_position_is_over_and_a_flat_book_is_not(equity: int) -> None:
    assert reading_of(free_margin(), book(held(1, price=1), equity=equity, markets=MARKETS)).over
    flat = reading_of(free_margin(), book(equity=equity))
    assert (flat.over, flat.clear) == (False, True)


@pytest.mark.parametrize(
    ("has", "quantity", "admitted"),
    [
        # 5x: 20 held and 5 to buy of ETH hold 500, and 800 may be used. BTC comes from 5 to 15.
        (5, "9.99", True),
        (5, "10", False),
        # From 5 through flat to 15 short.
        (5, "-19.99", True),
        (5, "-20", False),
        # No farther from flat than it is: it uses up no more, also when all is used up already.
        (5, "-10", True),
        (50, "-100", True),
    ],
)
def test_an_entry_that_could_use_the_free_margin_up_is_refused(has, quantity, admitted):
    order = requested(quantity, row(BTC, has), row(ETH, 20, buys=5))
    assert (refusal(free_margin(), order, book(markets=MARKETS)) is None) == admitted


# -- the distance: Bybit's own example -------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "sign", "price"),
    [
        # Bybit, "Liquidation Price (USDT Contract)": 19,700, where the entry value's 0.5 % is left;
        # see tests/backtests/test_liquidation.py.
        (20_000, -1, "19698.49"),
        # 20,400 / 1.005: the short mirrors it.
        (-20_000, 1, "20298.51"),
    ],
)
def test_the_published_position_is_as_far_as_its_published_liquidation_price(value, sign, price):
    """1 BTC at 20,000 on 400 USDT (50x), rate 0.5 %: 19,698.49 at mark value for a long."""
    own = Stake(D(value), D("0.005"))
    for move in (against(D(400), [own]), together(D(400), [own]), alone(D(400), D(100), own)):
        assert move is not None
        assert (D(20_000) * (1 + sign * move)).quantize(D("0.01")) == D(price)


def test_the_fee_to_close_brings_liquidation_nearer() -> None:
    """19,600 / (1 - 0.005 - 0.00055) = 19,709.39."""
    long = stake(D(20_000), Market(maintenance_rate=D("0.005"), taker_fee=FEE), BTC)
    move = against(D(400), [long])
    assert move is not None
    assert (D(20_000) * (1 - move)).quantize(D("0.01")) == D("19709.39")


def test_a_hedge_helps_when_the_market_moves_as_one_only() -> None:
    hedged = [Stake(D(4000), D("0.005")), Stake(D(-4000), D("0.005"))]
    # 960 can be lost beyond the margin of 40. Against both: 8,000 m + 0 = 960.
    assert against(D(1000), hedged) == D("0.12")
    # As one, nothing is lost; the margin of 40 grows with prices, to 1,000 at 25 times.
    assert together(D(1000), hedged) == D(24)


def test_an_account_at_its_maintenance_margin_has_no_distance_left() -> None:
    long = Stake(D(1000), D("0.01"))
    for equity in (D(10), D(9), D(-5)):
        assert (
            against(equity, [long]) == together(equity, [long]) == alone(equity, D(10), long) == 0
        )


def test_what_no_fall_can_liquidate_has_no_distance() -> None:
    long = Stake(D(1000), D("0.01"))
    assert against(D(2000), [long]) is None
    assert together(D(2000), [long]) is None
    assert alone(D(2000), D(10), long) is None
    assert against(D(5), []) is None
    assert together(D(5), []) is None
    # A short can always rise far enough.
    assert alone(D(2000), D(10), Stake(D(-1000), D("0.01"))) == D(1990) / D(1010)


# -- against the backtests' liquidation, by bisection ----------------------------------------------

RATES = st.integers(0, 500).map(lambda n: D(n) / 10_000)
STAKES = st.lists(
    st.builds(
        Stake,
        st.integers(-(10**6), 10**6).filter(bool).map(lambda n: D(n) / 100),
        RATES,
    ),
    min_size=1,
    max_size=5,
)
EQUITY = st.integers(-1000, 2 * 10**6).map(lambda n: D(n) / 100)
FAR = 8.0


def liquidated(equity: D, held: list[Stake], factor: Callable[[Stake], float]) -> bool:
    """Whether the backtests liquidate one coin of each price after its price moved."""
    quantity = np.array([1.0 if one.value > 0 else -1.0 for one in held])
    price = np.array([float(one.size) for one in held])
    cash = float(equity) - float(quantity @ price)
    moved = price * np.array([factor(one) for one in held])
    rate = np.array([float(one.rate) for one in held])
    return is_liquidated(cash, quantity, moved, rate, np.zeros(len(held)))


def bisected(is_over: Callable[[float], bool], end: float) -> float | None:
    """Return the smallest move up to an end at which it is over, None when it never is."""
    if is_over(0.0):
        return 0.0
    if not is_over(end):
        return None
    low, high = 0.0, end
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if is_over(middle) else (middle, high)
    return high


def assert_same(found: D | None, sought: float | None, end: float) -> None:
    if found is None or sought is None:
        assert sought is None
        assert found is None or found > D(end) * D("0.999999")
    else:
        assert float(found) == pytest.approx(sought, abs=1e-9, rel=1e-9)


@pytest.mark.parametrize("kind", ["against", "together", "alone"])
@given(EQUITY, STAKES, st.data())
def test_a_distance_is_the_move_at_which_the_backtests_liquidate(kind, equity, held, data):
    own = held[data.draw(st.integers(0, len(held) - 1))]

    def sought(end: float, factor: Callable[[Stake, float], float]) -> float | None:
        return bisected(lambda move: liquidated(equity, held, lambda one: factor(one, move)), end)

    if kind == "against":
        move = sought(FAR, lambda one, m: max(0.0, 1 - m) if one.value > 0 else 1 + m)
        assert_same(against(equity, held), move, FAR)
    elif kind == "together":
        moves = sought(1.0, lambda _, m: 1 - m), sought(FAR, lambda _, m: 1 + m)
        nearer = min((move for move in moves if move is not None), default=None)
        assert_same(together(equity, held), nearer, FAR)
    else:
        sign, end = (-1, 1.0) if own.value > 0 else (1, FAR)
        move = sought(end, lambda one, m: 1 + sign * m if one is own else 1.0)
        assert_same(alone(equity, maintenance_margin(held), own), move, end)


# -- readings of the distance ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "params", [{"least": 0.2}, {"least": 0.2, "move": "together"}, {"least_alone": 0.2}]
)
@pytest.mark.parametrize(
    ("equity", "over", "clear"),
    [
        # 100 of BTC long, rate 0.5 %: E - 0.5 = 99.5 m. Least 20 %: 20.4; clear from 22 %: 22.39.
        ("22.39", False, True),
        ("22.38", False, False),
        ("20.41", False, False),
        ("20.4", True, False),
    ],
)
def test_the_least_distance_is_over(params: dict, equity: str, over: bool, clear: bool) -> None:
    guard = LiquidationDistance(LiquidationDistanceParams(**({"least": None} | params)))
    reading = reading_of(guard, book(held(1), equity=equity, markets=MARKETS))
    assert (reading.over, reading.clear) == (over, clear)
    assert reading.measured == pytest.approx((float(equity) - 0.5) / 99.5)
    assert reading.scope == ("desk" if "least" in params else f"instrument:{BTC}")


def test_all_single_distances_not_clear_are_shown_or_the_nearest() -> None:
    seen = book(held(10), held(-40, ETH), held(1, "X"), markets=MARKETS)
    # 970 may be lost; the margin of X, whose market is not known, is 5.
    params = LiquidationDistanceParams(least=None, least_alone=0.1)
    reading = reading_of(LiquidationDistance(params), seen)
    assert reading.scope == f"instrument:{ETH}"
    assert reading.measured == pytest.approx(970 / 4020)
    params = LiquidationDistanceParams(least=None, least_alone=0.97)
    found = readings_of(LiquidationDistance(params), seen)
    assert {scope: reading.over for (scope, _), reading in found.items()} == {
        f"instrument:{ETH}": True,
        f"instrument:{BTC}": False,
    }


def test_a_distance_beyond_ten_times_the_price_is_clear() -> None:
    guard = LiquidationDistance(LiquidationDistanceParams())
    reading = reading_of(guard, book(held("0.1"), markets=MARKETS))
    assert (reading.measured, reading.over, reading.clear) == (10.0, False, True)
    assert readings_of(guard, book()) == {}
