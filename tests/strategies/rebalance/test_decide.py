from decimal import Decimal as D
from types import SimpleNamespace

import pytest

from strategies.messages import Action, Verdict
from strategies.rebalance.decide import order_for
from strategies.sizing.rounding import Lot

LOT = Lot(step=D("0.1"), min_quantity=D("0.1"), min_notional=D("5"))


def order(weight, held="0", price="10", equity="1000", action=Action.NONE, multiplier=1.0, **rules):
    chosen = {
        "no_trade_band": 0.0,
        "exchange_minimum": "skip",
        "max_weight": 0.5,
        "allocation": 1.0,
    }
    return order_for(
        SimpleNamespace(**(chosen | rules)),
        weight,
        price=None if price is None else D(price),
        equity=D(equity),
        held=D(held),
        lot=LOT,
        verdict=Verdict(action=action, multiplier=multiplier, guard="drawdown", reason="down 20 %"),
    )


def test_a_weight_becomes_a_quantity_at_the_last_close():
    # A quarter of 1,000 at 10 is 25; 20 are held.
    assert order(0.25, held="20").quantity == D("5")
    assert order(-0.25, held="20").quantity == D("-45")


def test_without_a_price_or_equity_the_position_is_closed():
    assert order(0.25, held="20", price=None).quantity == D("-20")
    assert order(0.25, held="-20", equity="-1").quantity == D("20")


def test_a_small_change_stays_inside_the_band():
    got = order(0.25, held="24", no_trade_band=0.02)
    assert (got.quantity, got.reason) == (0, "inside the no-trade band")
    assert order(0.25, held="20", no_trade_band=0.02).quantity == D("5")
    assert order(0.0, no_trade_band=0.02).reason == ""


@pytest.mark.parametrize(
    ("action", "weight", "held", "expected", "explained"),
    [
        (Action.SHRINK, 0.2, "0", "10", False),  # Half of 20.
        (Action.SHRINK, 0.2, "20", "-10", False),
        (Action.HALT_ENTRIES, 0.2, "0", "0", True),
        (Action.HALT_ENTRIES, 0.2, "10", "0", True),
        (Action.HALT_ENTRIES, 0.2, "30", "-10", False),  # A reduction goes through.
        (Action.REDUCE_ONLY, -0.2, "10", "-10", True),  # A turn round ends flat.
        (Action.REDUCE_ONLY, 0.0, "-10", "10", False),
        (Action.FLATTEN, 0.2, "10", "-10", True),
        (Action.FLATTEN, 0.2, "0", "0", True),
    ],
)
def test_a_verdict_is_obeyed(action, weight, held, expected, explained):
    got = order(weight, held=held, action=action, multiplier=0.5)
    assert got.quantity == D(expected)
    assert ("by drawdown: down 20 %" in got.reason) is explained


def test_the_cap_follows_the_allocation():
    # Half of a tenth of 100 is 5 USDT: exactly the minimum. Half of a twentieth is not.
    raised = {"equity": "100", "exchange_minimum": "respect_cap"}
    assert order(0.01, allocation=0.1, **raised).quantity == D("0.5")
    assert order(0.01, allocation=0.05, **raised).quantity == 0
