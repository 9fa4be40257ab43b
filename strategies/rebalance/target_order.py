"""From one instrument's weight to its order: verdict, band, then lots and minimums. Pure."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from strategies.messages import Action, Target, Verdict
from strategies.rebalance.propose import Proposal, explain
from strategies.sizing.bands import outside_band
from strategies.sizing.rounding import ZERO, Lot, Sized, size_order

if TYPE_CHECKING:
    from strategies.rebalance.config import PanelRebalancerConfig


def target_of(
    rules: PanelRebalancerConfig,
    proposal: Proposal,
    index: int,
    name: str,
    *,
    equity: Decimal,
    held: Decimal,
    lot: Lot,
    verdict: Verdict,
    newest: Decimal | None = None,
) -> Target:
    """Return an instrument's line of a decision: what was seen, wanted and is ordered.

    Parameters
    ----------
    rules, equity, held, lot, verdict
        As for `order_for`.
    proposal : Proposal
        What the decision scored and wants.
    index : int
        The instrument's column in it.
    name : str
        Its id.
    newest : Decimal, optional
        Price to size at in place of the proposal's close, settlement currency; what has no close
        is closed all the same.
    """
    weight, close = float(proposal.weight[index]), float(proposal.price[index])
    score = float(proposal.score[index])
    price = None if math.isnan(close) else Decimal(repr(close))
    if price is not None and newest is not None:
        price, close = newest, float(newest)
    sized = order_for(
        rules,
        weight,
        price=price,
        equity=equity,
        held=held,
        lot=lot,
        verdict=verdict,
    )
    reasons = (explain(proposal, index, rules), sized.reason)
    return Target(
        instrument=name,
        price=None if price is None else close,
        score=None if math.isnan(score) else score,
        rank=int(proposal.rank[index]) or None,
        weight=weight,
        current=f"{held:f}",
        target=f"{held + sized.quantity:f}",
        order=f"{sized.quantity:f}",
        reason="; ".join(reason for reason in reasons if reason),
        held_back_by=sized.guard or msgspec.UNSET,
    )


def moved(name: str, held: Decimal, order: Decimal, reason: str = "") -> Target:
    """Return the line of an instrument that was not scored: held, and what is ordered anyway."""
    return Target(
        instrument=name,
        current=f"{held:f}",
        target=f"{held + order:f}",
        order=f"{order:f}",
        reason=reason,
    )


def order_for(
    rules: PanelRebalancerConfig,
    weight: float,
    *,
    price: Decimal | None,
    equity: Decimal,
    held: Decimal,
    lot: Lot,
    verdict: Verdict,
) -> Sized:
    """Return the order that a weight asks for, as far as verdict and exchange let it.

    Parameters
    ----------
    rules : PanelRebalancerConfig
        Band, cap and what to do below the exchange's minimum.
    weight : float
        Wanted, signed fraction of equity.
    price : Decimal or None
        Last complete close, settlement currency; without one the position is closed.
    equity : Decimal
        Settlement currency; with none left everything is closed.
    held : Decimal
        Position, signed base coin.
    lot : Lot
        The exchange's rules.
    verdict : Verdict
        The strictest that stands on the instrument.
    """
    if price is None or equity <= ZERO:
        return Sized(-held)
    if verdict.action == Action.FLATTEN:
        return _held_back(-held, verdict)
    if held == ZERO and weight == 0.0:
        return Sized(ZERO)
    if verdict.action == Action.SHRINK:
        weight *= verdict.multiplier
    now = float(held * price / equity)
    if not outside_band(now, weight, rules.no_trade_band):
        return Sized(ZERO, "inside the no-trade band")
    sized = size_order(
        held,
        Decimal(repr(weight)) * equity / price,
        price,
        lot,
        minimum=rules.exchange_minimum,
        largest=Decimal(repr(rules.max_weight * rules.allocation)) * equity / price,
    )
    if verdict.action >= Action.HALT_ENTRIES:
        return _only_shrinking(held, sized, verdict)
    return sized


def _only_shrinking(held: Decimal, sized: Sized, verdict: Verdict) -> Sized:
    """Cut an order down to what brings the position nearer to zero."""
    if held * sized.quantity >= ZERO:
        return sized if sized.quantity == ZERO else _held_back(ZERO, verdict)
    if abs(sized.quantity) <= abs(held):
        return sized
    return _held_back(-held, verdict)


def _held_back(quantity: Decimal, verdict: Verdict) -> Sized:
    reason = f"{verdict.action.name.lower()} by {verdict.guard}: {verdict.reason}"
    return Sized(quantity, reason, verdict.guard)
