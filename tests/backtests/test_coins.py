"""Spot in a backtest: cash, coins, fees in coins, and the venue's own refusals."""

from decimal import Decimal as D
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from backtests.results.summary_text import how_filled
from backtests.run import _check_engine
from config.documents import Latency, WayLatency
from strategies.refusals import refusal_of
from tests.backtests.book_tapes import Book, book_venue, opening, play_book, second
from tests.builders_engine import (
    BYBIT,
    SPOT,
    USDT,
    A,
    B,
    Candles,
    Script,
    at,
    play,
    scripted,
    taker_fee,
    trading,
    venue,
)

FEES = taker_fee("0.001")
PRICES = {SPOT: Candles([100.0, 100, 110, 120, 120, 110]), A: Candles([100.0] * 6)}


def cash_of(desk) -> D:
    account = desk.engine.kernel.portfolio.account(BYBIT)
    return account.balance_total(USDT).as_decimal()


def test_a_spot_leg_and_a_perpetual_on_one_account_by_hand() -> None:
    """10 coins for 1,000, of which 0.01 is the fee; 5 sold at 120; 4 contracts short at 100.

    Cash: 10,000 - 1,000 + 600 - 0.60 - 0.40 = 9,599; 4.99 coins at 110 are 548.90.
    """
    steps = {at(1): trading(SPOT, "10"), at(3): trading(SPOT, "-5"), at(4): trading(A, "-4")}
    desk = play(PRICES, Script(steps), document=venue(fees=FEES))
    accountant = desk.accountant
    assert cash_of(desk) == accountant._wallet() == D("9599.00")
    assert accountant.ledger.quantities == {SPOT: D("4.99"), A: D("-4")}
    assert accountant.worth() == D("10147.90")
    assert accountant.value()[0] == pytest.approx(10147.90)
    (spot,) = [fill for fill, _ in accountant.fills if fill.side == "BUY"]
    assert (spot.quantity, spot.fee, spot.fee_coin) == (D("9.99"), D(1), "USDT")
    known = {SPOT: D(110), A: D(100)}
    _check_engine(desk, accountant._market, accountant.worth(), known)


@pytest.mark.parametrize(("name", "told"), [(SPOT, True), (A, False)])
def test_fees_in_coins_are_explained_where_fills_are(name: str, told: bool) -> None:
    feed: Any = SimpleNamespace(execution_interval="1h", mark_interval=None)
    document: Any = SimpleNamespace(venue=venue())
    orders = pa.table({"instrument": [name], "type": ["MARKET"]})
    words = how_filled(document, feed, {}, orders)["words"]
    assert ("fills and positions count the whole lots that are left" in words) is told
    assert ("A buy of a single lot pays no fee" in words) is told


def test_what_costs_more_than_the_cash_is_refused_at_the_gate_and_at_the_print() -> None:
    """100 coins cost all cash at the close of 100; the next open is 100.5."""
    steps = {at(1): trading(SPOT, "100.001"), at(2): trading(SPOT, "100")}
    script = Script(steps)
    desk = play({SPOT: Candles([100.0, 100, 100.5, 100.5], [100.0] * 4)}, script)
    rejected = [event for event in script.heard if type(event).__name__ == "OrderRejected"]
    assert [denial[:16] for denial in script.denials] == ["it costs 10000.1"]
    assert [refusal_of(event.reason).code for event in rejected] == ["cash"]
    assert (desk.accountant.fills, desk.accountant.overdrawn) == ([], 0)


def test_pending_buys_share_the_cash_and_what_sales_at_market_bring() -> None:
    """After 60, 4,000 are left; a sale of 9 makes them 4,900: enough for 41, and not for 60."""

    def both(script) -> None:
        trading(SPOT, "60")(script)
        trading(B.replace("LINEAR", "SPOT"), "41")(script)

    other = B.replace("LINEAR", "SPOT")
    script = Script({at(1): both, at(2): lambda s: (trading(SPOT, "-9")(s), both(s))})
    play({SPOT: Candles([100.0] * 4), other: Candles([100.0] * 4)}, script)
    free = [denial.split()[4] for denial in script.denials]
    assert free == ["4000.00", "4900.00"]
    assert [fill.last_qty.as_decimal() for fill in script.fills] == [60, 9, 41]


def test_losses_of_perpetuals_are_no_free_cash_and_coins_no_collateral() -> None:
    """90 coins leave 1,000; a short of 40 loses 960 of it at 124: liquidated at the high of 125."""
    tape = {
        SPOT: Candles([100.0] * 6),
        A: Candles([100.0, 100, 100, 124, 124, 124], highs=[100.0, 100, 100, 124, 125, 125]),
    }
    steps = {at(1): trading(SPOT, "90"), at(2): trading(A, "-40"), at(4): trading(SPOT, "0.5")}
    script = Script(steps)
    desk = play(tape, script)
    assert script.denials == [
        "it costs 50.00, and 40.00 are free: coins are paid in cash, without leverage"
    ]
    assert desk.accountant.liquidated_at == at(5)
    assert desk.accountant.ledger.quantities == {SPOT: D(90)}
    assert desk.accountant.worth() == pytest.approx(D(9000), abs=D(1))


def test_in_a_book_each_part_pays_its_fee_in_coins_and_the_late_order_must_be_paid_yet() -> None:
    """1 at 100.1 and 0.5 at 100.2, less a tenth of a per cent: 0.999, and 0.4995 in whole lots.

    80 of the next cost 8,004 at the decision; a second later they would cost 11,200.
    """
    script = scripted((second(1), trading(SPOT, "1.5")), (second(2), trading(SPOT, "80")))
    late = Latency(orders=WayLatency(base=D(1000)), feed=WayLatency(base=D(0)))
    dear = Book(2.5, [(1, 139.9, 90.0), (-1, 140.1, 90.0)], snapshot=True)
    document = book_venue(latency=late, fees=FEES)
    played = play_book(
        [opening(), dear, Book(19.0, [(1, 99.0, 1.0)])], script, document=document, name=SPOT
    )
    accountant = played.desk.accountant
    assert [fill.quantity for fill, _ in accountant.fills] == [D("0.999"), D("0.499")]
    assert cash_of(played.desk) == accountant._wallet() == 10_000 - D("100.1") - D("50.1")
    rejected = [event for event in script.heard if type(event).__name__ == "OrderRejected"]
    assert [refusal_of(event.reason).code for event in rejected] == ["cash"]


@pytest.mark.parametrize(("dear", "passes"), [(101.0, True), (101.1, False)])
def test_a_market_buy_on_a_book_is_refused_by_what_its_levels_cost(
    dear: float, passes: bool
) -> None:
    """1 at 100 and 98 at 101 cost 9,998; at 101.1 10,007.80, though the mid says 9,850."""
    book = Book(0.0, [(1, 99.0, 1.0), (-1, 100.0, 1.0), (-1, dear, 98.0)], snapshot=True)
    rows = [book, Book(19.0, [(1, 98.0, 1.0)])]
    played = play_book(rows, scripted((second(1), trading(SPOT, "99"))), name=SPOT)
    assert played.desk.accountant.ledger.quantities == ({SPOT: D(99)} if passes else {})
    assert played.desk.accountant.overdrawn == 0


@pytest.mark.parametrize(("size", "passes"), [("70", True), ("70.001", False)])
def test_sales_at_the_same_moment_pay_for_buys(size: str, passes: bool) -> None:
    """65 sold bring 6,500, and 500 are left: enough for 70, though their print comes first."""
    other = "AAAAUSDT-SPOT.BYBIT"  # its print comes first

    def rotate(script) -> None:
        trading(SPOT, "-65")(script)
        trading(other, size)(script)

    script = Script({at(1): trading(SPOT, "95"), at(2): rotate})
    desk = play({SPOT: Candles([100.0] * 4), other: Candles([100.0] * 4)}, script)
    held = {SPOT: D(30)} | ({other: D(70)} if passes else {})
    assert desk.accountant.ledger.quantities == held
    assert desk.accountant.overdrawn == 0
