"""Every limit of the order gate, just inside and just outside."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.gate.rules import AccountFacts, InstrumentFacts, OrderIntent, judge, reduces
from strategies.messages import Action, Verdict

CLEAR = Verdict(action=Action.NONE)
PERPETUAL = InstrumentFacts(
    lot=D("0.001"),
    min_quantity=D("0.002"),
    min_notional=D(5),
    max_quantity=D(100),
    price=D(100),
    is_spot=False,
)
FLAT = AccountFacts(
    equity=1000.0, gross=0.0, position=D(0), buys=D(0), sells=D(0), max_leverage=5.0
)


def order(quantity: str, *, price: str | None = None, reduce_only: bool = False) -> OrderIntent:
    return OrderIntent("X", D(quantity), None if price is None else D(price), reduce_only)


def verdict(action: Action) -> Verdict:
    return Verdict(action=action, guard="drawdown", reason="down 20 %")


@pytest.mark.parametrize(
    ("quantity", "instrument", "refused"),
    [
        ("0", {}, "quantity is zero"),
        ("1", {}, None),
        ("-1.001", {}, None),
        ("-1.0005", {}, "no multiple of the lot 0.001"),
        ("100", {"price": D(10)}, None),
        ("100.001", {"price": D(10)}, "above the venue's maximum 100"),
        ("400", {"price": D(10), "max_quantity": None}, None),
        ("0.002", {"min_notional": D(0)}, None),
        ("0.001", {"min_notional": D(0)}, "below the venue's minimum 0.002"),
        ("0.050", {}, None),
        ("0.049", {}, "notional 4.900 is below the venue's minimum 5"),
        ("1", {"price": None}, "no price is known"),
    ],
)
def test_the_venues_own_limits(quantity: str, instrument: dict, refused: str | None) -> None:
    found = judge(order(quantity), replace(PERPETUAL, **instrument), FLAT, CLEAR)
    assert (found is None) if refused is None else (found is not None and refused in str(found))


@pytest.mark.parametrize(
    ("quantity", "more", "refused"),
    [
        ("-0.0015", {}, None),
        # All but less than a lot of it, or more than it: only the whole goes by another way.
        (
            "-0.0005",
            {},
            "no multiple of the lot 0.001: of 0.0015, which is no whole number of lots",
        ),
        ("-0.0025", {}, "`perpdesk risk flatten`"),
        ("-0.0015", {"reduce_only": False}, "no multiple"),
        ("-0.0015", {"at_market": False}, "no multiple"),
    ],
)
def test_a_position_from_before_the_lot_grew_can_be_closed_whole(
    quantity: str, more: dict, refused: str | None
) -> None:
    """0.0015 are held, and a lot is 0.001 since."""
    wanted = replace(order(quantity, reduce_only=True), **({"at_market": True} | more))
    held = replace(FLAT, position=D("0.0015"))
    found = judge(wanted, PERPETUAL, held, verdict(Action.FLATTEN))
    assert (found is None) if refused is None else (found is not None and refused in str(found))
    coins = judge(wanted, replace(PERPETUAL, is_spot=True), held, CLEAR)
    assert "no multiple" in str(coins)


@pytest.mark.parametrize(
    ("quantity", "raises_cash", "refused"),
    [("2", False, None), ("2.001", False, False), ("2.001", True, True), ("-1", False, None)],
)
def test_coins_are_paid_in_cash(quantity: str, raises_cash: bool, refused: bool | None) -> None:
    """200 are free; what sales under way may bring is worth another try."""
    account = replace(FLAT, position=D(1), cash=D(200), raises_cash=raises_cash)
    found = judge(order(quantity), replace(PERPETUAL, is_spot=True), account, CLEAR)
    assert refused is (None if found is None else found.transient)
    assert found is None or (found.code, str(found)[:26]) == ("cash", "it costs 200.10, and 200.0")
    assert judge(order(quantity), PERPETUAL, account, CLEAR) is None


@pytest.mark.parametrize(("quantity", "passes"), [("-3", True), ("-3.001", False)])
def test_a_stop_and_an_exit_of_the_same_coins_are_alternatives(quantity: str, passes: bool) -> None:
    """3 are held and an exit of 3 is under way; an exit more would sell short."""
    account, spot = replace(FLAT, position=D(3), sells=D(3)), replace(PERPETUAL, is_spot=True)
    stop = replace(order(quantity), protects=True)
    assert (judge(stop, spot, account, verdict(Action.FLATTEN)) is None) == passes
    assert reduces(stop, account) == passes
    assert "sold short" in str(judge(order("-0.1"), spot, account, CLEAR))


@pytest.mark.parametrize(
    ("price", "quantity", "passes"),
    [
        ("200", "0.025", True),
        ("200", "0.024", False),
        ("50", "0.100", True),
        ("50", "0.099", False),
    ],
)
@pytest.mark.parametrize("market", [D(100), None])
def test_a_limit_order_is_valued_at_its_own_price(market, price, quantity, passes):
    instrument = replace(PERPETUAL, price=market)
    found = judge(order(quantity, price=price), instrument, FLAT, CLEAR)
    assert (found is None) == passes


@pytest.mark.parametrize(
    ("quantity", "account", "passes"),
    [
        # 1,000 of equity at leverage 5 carries 5,000, which is 50 at a price of 100.
        ("50", {}, True),
        ("50.001", {}, False),
        ("-50", {}, True),
        ("-50.001", {}, False),
        # What other instruments take counts.
        ("10", {"gross": 4000.0}, True),
        ("10.001", {"gross": 4000.0}, False),
        # Enlarging what is there: 40 held (4,000 of gross), 10 more.
        ("10", {"gross": 4000.0, "position": D(40)}, True),
        ("10.001", {"gross": 4000.0, "position": D(40)}, False),
        # A flip from 40 long to 40 short adds nothing, to 50 short adds 10.
        ("-80", {"gross": 4000.0, "position": D(40)}, True),
        ("-90", {"gross": 4000.0, "position": D(40)}, True),
        ("-90.001", {"gross": 4000.0, "position": D(40)}, False),
        # Orders under way count as filled (`gross` holds them already).
        ("10", {"gross": 4000.0, "buys": D(40)}, True),
        ("10.001", {"gross": 4000.0, "buys": D(40)}, False),
        # A book that fell over its limit may be turned, as long as it does not grow.
        ("-80", {"gross": 9000.0, "position": D(40)}, True),
        ("-80.001", {"gross": 9000.0, "position": D(40)}, False),
        # Without equity nothing may be opened.
        ("0.1", {"equity": 0.0}, False),
        ("0.1", {"equity": -50.0}, False),
    ],
)
def test_gross_exposure_stays_within_leverage(quantity: str, account: dict, passes: bool) -> None:
    instrument = replace(PERPETUAL, max_quantity=None)
    found = judge(order(quantity), instrument, replace(FLAT, **account), CLEAR)
    assert (found is None) == passes
    assert passes or "would exceed" in str(found)


@pytest.mark.parametrize(
    ("quantity", "position", "gross", "passes"),
    [
        # Half of 5 x 1,000 carries 2,500, which is 25 at a price of 100.
        ("25", "0", 0.0, True),
        ("25.001", "0", 0.0, False),
        ("-25.001", "0", 0.0, False),
        ("5", "20", 2000.0, True),
        ("5.001", "20", 2000.0, False),
        # A book that was larger before may not grow, and may be left and turned.
        ("0.1", "40", 4000.0, False),
        ("-40", "40", 4000.0, True),
        ("-80", "40", 4000.0, True),
    ],
)
def test_under_a_shrinking_desk_only_its_part_of_the_leverage_is_there(
    quantity: str, position: str, gross: float, passes: bool
) -> None:
    shrunk = Verdict(action=Action.SHRINK, multiplier=0.5, guard="drawdown", reason="down 8 %")
    account = replace(FLAT, position=D(position), gross=gross, shrunk=shrunk)
    found = judge(order(quantity), replace(PERPETUAL, max_quantity=None), account, shrunk)
    assert (found is None) == passes
    assert found is None or (found.code, found.guard) == ("exposure", "drawdown")
    assert passes or "2500.00 (5 x equity 1000.00 x 0.5, shrink by drawdown: down 8 %)" in str(
        found
    )


@pytest.mark.parametrize(
    ("quantity", "position", "pending", "passes"),
    [
        ("-1", "1", {}, True),
        ("-1.001", "1", {}, False),
        ("-1", "0", {}, False),
        # A sale under way has spoken for the coins already.
        ("-1", "1", {"sells": D("0.5")}, False),
        ("-0.5", "1", {"sells": D("0.5")}, True),
        # A purchase under way counts as filled.
        ("-1", "0", {"buys": D(1)}, True),
    ],
)
def test_spot_is_never_sold_short(quantity, position, pending, passes):
    account = replace(FLAT, position=D(position), **pending)
    found = judge(order(quantity), replace(PERPETUAL, is_spot=True), account, CLEAR)
    assert (found is None) == passes
    assert passes or "spot can't be sold short" in str(found)


@pytest.mark.parametrize(
    ("quantity", "position", "passes"),
    [
        ("-1", "1", True),
        ("1", "-1", True),
        # More than is there: the venue cuts a reduce-only order down to the position.
        ("-2", "1", True),
        ("1", "1", False),
        ("-1", "-1", False),
        ("1", "0", False),
    ],
)
def test_a_reduce_only_order_must_shrink_the_position(quantity, position, passes):
    account = replace(FLAT, position=D(position))
    found = judge(order(quantity, reduce_only=True), PERPETUAL, account, CLEAR)
    assert (found is None) == passes
    assert passes or "would not shrink" in str(found)


@pytest.mark.parametrize("action", list(Action))
def test_entries_stop_from_halt_entries_on_and_exits_never(action: Action) -> None:
    held = replace(FLAT, position=D(1), gross=100.0)
    entry = judge(order("1"), PERPETUAL, held, verdict(action))
    if action >= Action.HALT_ENTRIES:
        assert str(entry) == f"{action.name.lower()} by drawdown: down 20 %"
    else:
        assert entry is None
    assert judge(order("-1"), PERPETUAL, held, verdict(action)) is None
    assert judge(order("-1", reduce_only=True), PERPETUAL, held, verdict(action)) is None


@pytest.mark.parametrize(
    ("quantity", "position", "buys", "sells", "is_exit"),
    [
        # Long 10, a purchase of 5 rests, a sale of 10 is under way: the purchase may never fill.
        ("-5", "10", "5", "10", False),
        ("-0.050", "10", "5", "10", False),
        ("-10", "10", "5", "0", True),
        ("-10.001", "10", "5", "0", False),
        ("-6", "10", "5", "4", True),
        ("-6.001", "10", "5", "4", False),
        ("5", "-10", "10", "5", False),
        ("10", "-10", "0", "5", True),
        ("6", "-10", "4", "5", True),
        ("6.001", "-10", "4", "5", False),
        # More is pending than is held, or as much, or half.
        ("-1", "1", "0", "1", False),
        ("-0.5", "1", "0", "0.5", True),
        ("-0.501", "1", "0", "0.5", False),
        ("-1", "10", "0", "12", False),
        ("-1", "0", "5", "0", False),
        ("1", "10", "0", "5", False),
    ],
)
def test_only_pending_orders_of_its_own_side_leave_less_to_an_exit(
    quantity: str, position: str, buys: str, sells: str, is_exit: bool
) -> None:
    account = replace(FLAT, position=D(position), buys=D(buys), sells=D(sells))
    assert reduces(order(quantity), account) is is_exit
    # What is no exit is an entry to a verdict, a flip too.
    found = judge(order(quantity), PERPETUAL, account, verdict(Action.REDUCE_ONLY))
    assert str(found) == ("None" if is_exit else "reduce_only by drawdown: down 20 %")
    # The venue holds a reduce-only order to what is there.
    assert reduces(order(quantity, reduce_only=True), account) is (D(quantity) * D(position) < 0)


@given(
    st.integers(-20, 20),
    st.lists(st.tuples(st.integers(-12, 12).filter(bool), st.booleans()), max_size=5),
    st.integers(-25, 25).filter(bool),
    st.data(),
)
def test_an_exit_never_ends_on_the_other_side_whatever_else_fills_first(
    position: int, pending: list[tuple[int, bool]], quantity: int, data: st.DataObject
) -> None:
    buys = sum(size for size, _ in pending if size > 0)
    sells = -sum(size for size, _ in pending if size < 0)
    account = replace(FLAT, position=D(position), buys=D(buys), sells=D(sells))
    if not reduces(order(str(quantity)), account):
        return
    held = position
    for size, reduce_only in data.draw(st.permutations(pending)):
        filled = data.draw(st.integers(min(size, 0), max(size, 0)))
        if reduce_only:
            # As the venue does it: never more than is there, nothing where it would enlarge.
            filled = max(min(filled, max(-held, 0)), min(-held, 0))
        held += filled
    assert (held + quantity) * position >= 0
    assert abs(held + quantity) < abs(held)


lots = st.integers(1, 10**7).map(lambda n: D(n) / 1000)
signs = st.sampled_from([D(1), D(-1)])
money = st.floats(-1e6, 1e9, allow_nan=False)
verdicts = st.sampled_from([verdict(action) for action in Action])
prices = st.one_of(st.none(), st.decimals("0.0001", "100000", places=4))


@st.composite
def instruments(draw: st.DrawFn) -> InstrumentFacts:
    return InstrumentFacts(
        lot=D("0.001"),
        min_quantity=draw(lots),
        min_notional=draw(st.decimals(0, 1000, places=2)),
        max_quantity=draw(st.one_of(st.none(), lots)),
        price=draw(prices),
        is_spot=draw(st.booleans()),
    )


@given(instruments(), lots, signs, st.data(), money, money, verdicts, prices, st.booleans())
def test_an_exit_is_never_refused(
    instrument, held, sign, data, equity, gross, standing, price, reduce_only
):
    if instrument.is_spot:
        sign = D(1)
    part = data.draw(st.integers(1, int(held * 1000))) / D(1000)
    account = AccountFacts(equity, gross, sign * held, D(0), D(0), max_leverage=1.0)
    exit_order = OrderIntent("X", -sign * part, price, reduce_only)
    assert judge(exit_order, instrument, account, standing) is None


@given(
    instruments(),
    st.integers(-(10**6), 10**6).filter(bool).map(lambda n: D(n) / 1000),
    st.integers(-(10**6), 10**6).map(lambda n: D(n) / 1000),
    st.integers(-(10**6), 10**6).map(lambda n: D(n) / 1000),
    st.floats(0, 1e6),
    st.floats(1, 1e9),
    st.sampled_from([1.0, 2.5, 5.0]),
)
def test_an_accepted_entry_never_exceeds_leverage(
    instrument, quantity, position, pending, others, equity, leverage
):
    price = instrument.price or D(1)
    here = float(abs(position + pending) * price)
    buys, sells = max(pending, D(0)), max(-pending, D(0))
    account = AccountFacts(equity, others + here, position, buys, sells, leverage)
    accepted = judge(OrderIntent("X", quantity, None, False), instrument, account, CLEAR) is None
    after = others + float(abs(position + pending + quantity) * price)
    grows = abs(position + pending + quantity) > abs(position + pending)
    if accepted and grows:
        assert after <= leverage * equity * (1 + 1e-9)
