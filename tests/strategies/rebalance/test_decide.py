from decimal import Decimal as D
from types import SimpleNamespace

import numpy as np
import pytest

from strategies.account_value import Margin
from strategies.messages import Action, Verdict
from strategies.rebalance.config import PanelRebalancerConfig
from strategies.rebalance.decide import Line, Snapshot, Wait, decide, order_for
from strategies.rebalance.propose import Proposal, Standing
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


def test_a_halt_of_entries_says_what_was_wanted_without_it():
    assert order(0.2, held="10", action=Action.HALT_ENTRIES).wanted == D("20")
    assert order(-0.2, held="10", action=Action.REDUCE_ONLY).wanted == D("-20")
    assert order(0.2, held="30", action=Action.HALT_ENTRIES).wanted is None
    assert order(0.2, held="10", action=Action.FLATTEN).wanted is None


def test_the_cap_follows_the_allocation():
    # Half of a tenth of 100 is 5 USDT: exactly the minimum. Half of a twentieth is not.
    raised = {"equity": "100", "exchange_minimum": "respect_cap"}
    assert order(0.01, allocation=0.1, **raised).quantity == D("0.5")
    assert order(0.01, allocation=0.05, **raised).quantity == 0


def a_book(margin, held="0", now=0, since=None):
    """Decide on half of 1,000 long in A and half short in B, both at 10."""
    times = {"now": now, "since": since, "margin": margin}
    return decided([0.5, -0.5], [D(held), -D(held)], times)


def decided(weights, held, known=None, **rules):
    """Decide on weights of 1,000 in A, B and so on, all at 10, with these quantities held."""
    names, weight = tuple("ABC"[: len(held)]), np.array(weights)
    none, standing = np.zeros(len(held)), np.full(len(held), Standing.IN, np.int8)
    proposal = Proposal(none + 10, weight, weight, standing, none, none, none, none)
    quiet = Verdict(action=Action.NONE, multiplier=1.0, guard="", reason="")
    lines = tuple(Line(n, name, D(held[n]), LOT, quiet) for n, name in enumerate(names))
    snapshot = Snapshot(
        ts=0, data_ts=0, stamp=0, equity=D(1000), verdict=quiet, lines=lines,
        proposal=proposal, sees_books=True, settled=True, **({"now": 0} | (known or {})),
    )  # fmt: skip
    return decide(
        snapshot, PanelRebalancerConfig(key="r", instruments=names, **({"max_weight": 0.5} | rules))
    )


@pytest.mark.parametrize(
    ("weights", "held", "rules", "orders"),
    [
        # 340 and 330 are kept for 300 each; with 400 more that is 1.07 of equity.
        ([0.3, -0.3, 0.4], [34, -33, 0], {"gross_leverage": 1.07}, [0, 0, 40]),
        # The larger cut is enough, then both are not too many.
        ([0.3, -0.3, 0.4], [34, -33, 0], {"gross_leverage": 1.06}, [-4, 0, 40]),
        ([0.3, -0.3, 0.4], [34, -33, 0], {}, [-4, 3, 40]),
        ([0.3, -0.3, 0.4], [-33, 34, 0], {}, [63, -64, 40]),  # Outside anyway.
        # Of equal cuts the first is made; what is held back of an entry makes room too.
        ([0.3, 0.3, 0.3], [33, 33, 24], {"gross_leverage": 0.95}, [-3, 0, 6]),
        ([0.5, -0.5], [53, -47], {}, [0, 0]),
        ([0.3, -0.3, 0.4], [34, -33, 0], {"gross_leverage": 2, "allocation": 0.5}, [-4, 3, 40]),
        # Across zero, as far as it shrinks.
        ([-0.01, 0.49, 0.5], [3, 49, 0], {}, [-4, 0, 50]),
        # A position that turns is an entry, though it is smaller than before.
        ([0.5, 0.5], [53, -60], {}, [-3, 110]),
    ],
)
def test_the_band_keeps_no_more_than_the_gross(weights, held, rules, orders):
    got = decided(weights, held, no_trade_band=0.05, **rules)
    assert [D(target.order) for target in got.targets] == orders
    asked = sum(abs(D(target.target)) for target in got.targets) / 100
    assert asked <= D(str(rules.get("gross_leverage", 1.0) * rules.get("allocation", 1)))
    assert got.gross == pytest.approx(sum(map(abs, weights)))  # The weights wanted.


@pytest.mark.parametrize("held", [[53, -53, 0], [53, -53, 8]])
def test_the_band_keeps_what_prices_alone_moved_beyond_the_gross(held):
    got = decided([0.5, -0.5, 0.0], held, no_trade_band=0.05)
    assert [D(target.order) for target in got.targets] == [0, 0, -held[2]]


def test_a_cut_inside_the_band_gives_its_reason():
    target, _ = decided([0.3, 0.4], [34, 0], no_trade_band=0.05, gross_leverage=0.7).targets
    assert target.reason == "cut inside the no-trade band: gross_leverage would be exceeded"


@pytest.mark.parametrize(
    ("free", "leverage", "held", "orders", "note"),
    [
        # At leverage 1 a book of 1,000 uses 1,002 with fees: 501 carry half of it.
        (1002, 1, "0", ["50.0", "-50.0"], ""),
        (501, 1, "0", ["25.0", "-25.0"], "margin carries 50.0% of the book: every leg is cut so"),
        (501, 2, "0", ["49.9", "-49.9"], "margin carries 99.8% of the book: every leg is cut so"),
        # 400 of it are held: with 100 more, half of what is wanted.
        (100, 1, "20", ["4.9", "-4.9"], "margin carries 49.9% of the book: every leg is cut so"),
        # Nothing is free, yet nothing is closed.
        (-300, 1, "20", ["0.0", "0.0"], "margin carries 40.0% of the book: every leg is cut so"),
        (0, 0, "0", ["50.0", "-50.0"], ""),  # The leverage is unknown.
    ],
)
def test_all_legs_are_cut_alike_to_what_margin_carries(free, leverage, held, orders, note):
    margin = Margin(D(free), {"A": D(leverage), "B": D(leverage)})
    got = a_book(margin, held, now=5 * 10**9, since=0)
    assert [f"{D(target.order):.1f}" for target in got.targets] == orders
    assert got.note == note
    if note:
        # At first it waits: the wallet may not show yet what cancels have freed.
        assert a_book(margin, held) == Wait(10**9, 0, note.partition(":")[0])
