"""The order gate's rules: whether an order may reach the venue. Pure.

On margin accounts the engine does not check minimum notional, lot, leverage or exposure (see
tests/backtests/test_engine_traps.py), so these rules do. They never refuse an order that only
reduces a position for its size, exposure or a verdict: a trader can always exit.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from strategies.messages import Action, Verdict
from strategies.refusals import Refusal, refused_by


class OrderIntent(msgspec.Struct, frozen=True):
    """An order at the gate.

    ``quantity`` is signed base coin: buys are positive. A ``price`` of None means the reference
    price of `InstrumentFacts`. ``protects`` is set for a stop or a take-profit that rests at the
    venue, ``at_market`` for a market order.
    """

    instrument: str
    quantity: Decimal
    price: Decimal | None
    reduce_only: bool
    protects: bool = False
    at_market: bool = False


class InstrumentFacts(msgspec.Struct, frozen=True):
    """The venue's limits for orders in one instrument."""

    lot: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    max_quantity: Decimal | None
    price: Decimal | None
    is_spot: bool


class AccountFacts(msgspec.Struct, frozen=True):
    """The account when the order comes in, in settlement currency and base coin.

    Parameters
    ----------
    equity : float
        Cash plus unrealised profit.
    gross : float
        Notional of all positions, with open orders counted as filled.
    position : Decimal
        Signed position in the order's instrument, without open orders.
    buys, sells : Decimal
        What open orders in the instrument may still fill on each side, unsigned.
    max_leverage : float
        Largest gross notional per unit of equity.
    shrunk : Verdict
        The strictest verdict on the whole desk: under ``SHRINK``, ``max_leverage`` is multiplied
        by its multiplier. Strategies apply the verdicts on a strategy or an instrument.
    cash : Decimal or None
        What a spot buy may spend: without what other spot buys may take. None is not checked.
    raises_cash : bool
        Whether spot sales under way may bring more.
    """

    equity: float
    gross: float
    position: Decimal
    buys: Decimal
    sells: Decimal
    max_leverage: float
    shrunk: Verdict = Verdict(action=Action.NONE)
    cash: Decimal | None = None
    raises_cash: bool = False

    @property
    def with_pending(self) -> Decimal:
        """The position with every open order counted as filled."""
        return self.position + self.buys - self.sells


def judge(
    order: OrderIntent, instrument: InstrumentFacts, account: AccountFacts, verdict: Verdict
) -> Refusal | None:
    """Return why the order must not reach the venue, or None.

    It checks the order itself first (such as a wrong lot), then the account's limits.
    """
    size = abs(order.quantity)
    if size == 0:
        return _broken("quantity is zero")
    if size % instrument.lot != 0 and not closes_all(order, instrument, account):
        return _no_lots(size, instrument, account)
    before = account.with_pending
    after = before + order.quantity
    # A stop and a take-profit of the same coins are alternatives, also to an exit under way.
    coins = account.position + order.quantity if order.protects else after
    if instrument.is_spot and order.quantity < 0 and coins < 0:
        return _broken(f"spot can't be sold short: position would be {coins}")
    if reduces(order, account):
        return None
    if order.reduce_only:
        return _broken(f"reduce-only, but position {account.position} would not shrink")
    if instrument.max_quantity is not None and size > instrument.max_quantity:
        return _broken(f"quantity {size} is above the venue's maximum {instrument.max_quantity}")
    if size < instrument.min_quantity:
        return _broken(f"quantity {size} is below the venue's minimum {instrument.min_quantity}")
    price = order.price if order.price is not None else instrument.price
    if price is None:
        return _broken("no price is known to value the order at")
    if size * price < instrument.min_notional:
        return _broken(
            f"notional {size * price} is below the venue's minimum {instrument.min_notional}"
        )
    if verdict.action >= Action.HALT_ENTRIES:
        return refused_by(verdict)
    if instrument.is_spot and account.cash is not None and size * price > account.cash:
        text = f"it costs {size * price:.2f}, and {max(account.cash, Decimal(0)):.2f} are free: "
        return Refusal(
            code="cash",
            text=text + "coins are paid in cash, without leverage",
            transient=account.raises_cash,
        )
    added = float((abs(after) - abs(before)) * price)
    shrunk = account.shrunk
    shrinks = shrunk.action == Action.SHRINK
    limit = account.max_leverage * account.equity * (shrunk.multiplier if shrinks else 1.0)
    if added > 0 and account.gross + added > limit:
        by = f" x {shrunk.multiplier:g}, {refused_by(shrunk)}" if shrinks else ""
        text = (
            f"gross exposure {account.gross + added:.2f} would exceed {limit:.2f} "
            f"({account.max_leverage:g} x equity {account.equity:.2f}{by})"
        )
        return Refusal(code="exposure", text=text, guard=shrunk.guard if shrinks else "")
    return None


def closes_all(order: OrderIntent, instrument: InstrumentFacts, account: AccountFacts) -> bool:
    """Whether the order closes a perpetual's whole position at market, which goes in any size.

    After the venue made lots larger, a position may be no whole number of them.
    """
    whole = order.quantity == -account.position and not instrument.is_spot
    return whole and order.at_market and order.reduce_only


def _no_lots(size: Decimal, instrument: InstrumentFacts, account: AccountFacts) -> Refusal:
    said = f"quantity {size} is no multiple of the lot {instrument.lot}"
    if instrument.is_spot or not account.position % instrument.lot:
        return _broken(said)
    text = (
        f"{said}: of {abs(account.position)}, which is no whole number of lots since the venue "
        "made them larger, only all can be closed, at market, as `perpdesk risk flatten` does"
    )
    return Refusal(code="lot", text=text)


def _broken(text: str) -> Refusal:
    return Refusal(code="gate", text=text)


def reduces(order: OrderIntent, account: AccountFacts) -> bool:
    """Whether the order can only shrink the position.

    The venue makes sure of that for a reduce-only order. Any other order must fit into the part of
    the position that open orders on its side leave, or two exits could open the other side. Orders
    on the opposite side may never fill, so they do not count.
    """
    if account.position * order.quantity >= 0:
        return False
    if order.reduce_only or (order.protects and abs(order.quantity) <= abs(account.position)):
        return True
    same = account.buys if order.quantity > 0 else account.sells
    return abs(order.quantity) <= abs(account.position) - same
