"""Coins bought on spot: fees paid in them, whole lots, and an account that adds up to the cent."""

from collections import defaultdict
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.records.coins import WholeLots, coins_moved
from actors.records.ledger import Ledger
from strategies.account_value import Account, Contract
from tests.fills import a_fill

SPOT, PERP = "AAAUSDT-SPOT.BYBIT", "AAAUSDT-LINEAR.BYBIT"
LOT = D("0.01")


def lots() -> WholeLots:
    return WholeLots(lambda name: LOT)


def bought(quantity: str, fee: str, price: str = "100"):
    return a_fill(D(quantity), D(price), fee, instrument=SPOT, fee_coin="AAA")


def test_a_buy_is_booked_in_whole_lots_at_what_it_cost() -> None:
    """Of 1 bought at 100, 0.001 is the fee: 0.99 can be sold, and 0.009 waits for the next buy."""
    books = lots()
    first, second = books.book(bought("1", "0.001")), books.book(bought("1", "0.001"))
    assert (first.quantity, first.fee, first.fee_coin) == (D("0.99"), D(1), "USDT")
    # 0.009 + 0.999 = 1.008
    assert (second.quantity, second.fee) == (D("1.00"), D(0))
    assert books.rest == {("s", SPOT): D("0.008")}
    sold = a_fill(D("-1"), D(100), "0.1", instrument=SPOT, fee_coin="USDT")
    assert books.book(sold) == sold


def test_single_lots_count_until_one_is_owed() -> None:
    books = lots()
    found = [books.book(bought("0.01", "0.004")).quantity for _ in range(5)]
    # Owed after each: 0.004, 0.008, 0.012; then nothing counts: 0.006 less; and so on.
    assert found == [LOT, LOT, LOT, D(0), LOT]
    assert sum(found) + books.rest["s", SPOT] == 5 * D("0.006")


@pytest.mark.parametrize(
    ("quantity", "fee", "coin", "moved"),
    [
        ("1", "0.001", "AAA", "0.999"),
        ("-1", "0.1", "USDT", "-1"),
        ("-1", "-0.001", "AAA", "-0.999"),
    ],
)
def test_what_a_wallet_gets(quantity: str, fee: str, coin: str, moved: str) -> None:
    fill = a_fill(D(quantity), D(100), fee, instrument=SPOT, fee_coin=coin)
    assert coins_moved(fill) == D(moved)


sizes = st.integers(1, 500).map(lambda n: n * LOT)
prices = st.integers(1, 100_000).map(lambda n: D(n) / 100)
fees = st.integers(0, 30).map(lambda n: D(n) / 10_000)


@given(
    st.lists(st.tuples(st.sampled_from("bsBS"), sizes, prices, fees), max_size=30), prices, prices
)
def test_cash_coins_and_profit_of_perpetuals_add_up(story, coin_price: D, perp_price: D) -> None:
    """Beside the ledger stands a wallet, with each coin's own balance, and a perpetual's profit."""
    ledger, books, wallet = Ledger(starting=D(5000)), lots(), defaultdict(D)
    perp = perp_paid = fee_paid = D(0)
    for act, size, price, rate in story:
        if act in "bs":
            size = size if act == "b" else -size
            perp, perp_paid, fee_paid = (
                perp + size,
                perp_paid + size * price,
                fee_paid + abs(size) * price * rate,
            )
            fill = a_fill(size, price, str(abs(size) * price * rate), instrument=PERP)
        elif act == "B":
            wallet["USDT"] -= size * price
            wallet["AAA"] += size - size * rate
            fill = bought(str(size), str(size * rate), str(price))
        else:
            size = min(size, ledger.quantities.get(SPOT, D(0)))
            if not size:
                continue
            wallet["USDT"] += size * price * (1 - rate)
            wallet["AAA"] -= size
            fill = a_fill(-size, price, str(size * price * rate), instrument=SPOT, fee_coin="USDT")
        ledger.book(books.book(fill))
    rest = books.rest.get(("s", SPOT), D(0))
    assert -2 * LOT < rest < LOT
    coins = ledger.quantities.get(SPOT, D(0))
    assert coins + rest == wallet["AAA"]
    profit = perp * perp_price - perp_paid - fee_paid
    now = {SPOT: coin_price, PERP: perp_price}
    expected = 5000 + wallet["USDT"] + coins * coin_price + profit
    assert ledger.equity(now) == expected
    held = [
        Contract(name, trip.quantity, trip.cost / trip.quantity, now[name])
        for (_, name), trip in ledger.open.items()
    ]
    spent = sum((t.cost for (_, name), t in ledger.open.items() if name == SPOT), D(0))
    account = Account({"USDT": ledger.balance() - spent}, held)
    assert abs(account.equity - expected) < D("1e-15")
    assert abs(account.balance - ledger.balance()) < D("1e-15")
