"""The account's worth, by hand and against the ledger."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.records.ledger import Ledger
from strategies.account_value import Account, Contract, fee_explains
from tests.fills import a_fill

numbers = st.integers(-10_000, 10_000).filter(bool).map(lambda n: D(n) / 100)
prices = st.integers(1, 100_000).map(lambda n: D(n) / 100)


def test_worth_by_hand() -> None:
    """1,000 USDT; 2 X long from 100, now 110; 1 X short of another owner from 120; Y has no price.

    2 x 10 + 1 x 10 gained; X is net 1 long at 110; Y counts as even, and in no exposure.
    """
    account = Account(
        {"USDT": D(1000), "BTC": D("0.5")},
        [
            Contract("X", D(2), D(100), D(110)),
            Contract("X", D(-1), D(120), D(110)),
            Contract("Y", D(-3), D(7), None),
        ],
    )
    assert (account.balance, account.equity) == (D(1000), D(1030))
    assert (account.gross, account.net) == (D(110), D(110))
    short = Account({}, [Contract("X", D(-1), D(120), D(110)), Contract("Z", D(1), D(3), D(4))])
    assert (short.balance, short.equity) == (D(0), D(11))
    assert (short.gross, short.net) == (D(114), D(-106))


@given(st.lists(st.tuples(st.sampled_from("XY"), numbers, prices), max_size=12), prices, prices)
def test_it_agrees_with_the_ledger(story: list[tuple[str, D, D]], x: D, y: D) -> None:
    ledger, now = Ledger(starting=D(5000)), {"X": x, "Y": y}
    for name, quantity, price in story:
        ledger.book(a_fill(quantity, price, "0.25", instrument=name))
    contracts = [
        Contract(name, trip.quantity, trip.cost / trip.quantity, now[name])
        for (_, name), trip in ledger.open.items()
    ]
    exact = Account({"USDT": ledger.balance()}, contracts, ledger.open_cost)
    by_entries = Account({"USDT": ledger.balance()}, contracts)
    assert abs(exact.equity - ledger.equity(now)) < D("1e-18")
    assert abs(by_entries.equity - ledger.equity(now)) < D("1e-18")
    held = ledger.quantities
    assert exact.net == sum((held[name] * now[name] for name in held), D(0))
    assert exact.gross == sum((abs(held[name]) * now[name] for name in held), D(0))


@pytest.mark.parametrize(
    ("bought", "lacking", "explained"),
    [
        # 0.2 % of what was bought, and less than one lot more.
        ("1.000", "0.002", True),
        ("1.000", "0.003", False),
        ("0.001", "0.001", True),
        # Of what was not bought there is no fee.
        ("0.000", "0.001", False),
        ("0.000", "0.004", False),
        ("1.000", "-0.001", False),
    ],
)
def test_the_fee_of_coins_is_of_those_bought_alone(
    bought: str, lacking: str, explained: bool
) -> None:
    pair, perpetual = "BTCUSDT-SPOT.BYBIT", "BTCUSDT-LINEAR.BYBIT"
    lot = D("0.001")
    assert fee_explains(pair, D(bought), D(lacking), lot) is explained
    assert not fee_explains(perpetual, D(bought), D(lacking), lot)
