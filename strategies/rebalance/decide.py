"""Decide what a rebalancer does now: rebalance, leave the market, keep all or wait. Pure.

Each weight of the proposal becomes an order: verdict, no-trade band, then lots and minimums. Where
what the band keeps leaves no room for entries within the gross, it is cut after all.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple

import msgspec
import numpy as np

from config.durations import duration_ns
from strategies.account_value import Margin
from strategies.messages import Action, Decision, Target, Verdict
from strategies.rebalance.config import PanelRebalancerConfig
from strategies.rebalance.memory import NO_MEMORY, Memory
from strategies.rebalance.propose import Proposal, explain, in_words, not_applied, reason_to_wait
from strategies.refusals import refused_by
from strategies.sizing.rounding import NO_ORDER, ZERO, Lot, Sized, outside_band, size_order
from strategies.verdicts import passes

LATE_NS = 600 * 10**9
"""How long after its stamp a decision is late."""
HALT_PAUSE_NS = 5 * 10**9
"""How often to check whether a transient halt, such as of a link, is over."""
LOOK_PAUSE_NS = 10**9
BOOKS_PATIENCE_NS = 10 * 10**9
"""How long a decision waits for best bids and asks, as after a start."""
MARGIN_PATIENCE_NS = 5 * 10**9
"""How long a decision waits for margin: the wallet shows what cancels free a little later."""
CANDLES_PATIENCE_NS = 60 * 10**9
"""How long a live decision waits for late candles, which the node requests."""


INSIDE_BAND = Sized(ZERO, "inside the no-trade band")
_FOR_ROOM = "cut inside the no-trade band: gross_leverage would be exceeded"


class Line(NamedTuple):
    """One instrument of a decision: its column in the proposal, position and limits.

    ``newest`` is its current price, settlement currency, when the decision is late.
    """

    column: int
    instrument: str
    held: Decimal
    lot: Lot
    verdict: Verdict
    newest: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All inputs of one decision.

    ``ts`` is the time of the decision, ``data_ts`` the close time of its newest candle, ``stamp``
    the latest time of the schedule, ``now`` the clock; UNIX nanoseconds (UTC). ``equity`` is at the
    last closes, settlement currency; ``equity_now`` is at the newest prices, at which a late
    decision is sized (None on time). ``verdict`` is the strictest on the desk and the strategy.

    Halts of entries that pass within ``execution.retry_for`` are not among the verdicts of
    ``lines``: what the order gate refuses because of them is sent later.

    ``lines`` are sorted by instrument: those with a candle so far or a position. A backtest knows
    instruments that are listed later; a decision must not. ``proposal`` is None when it must leave
    the market, which must not depend on scores. ``sees_books`` is whether best bids and asks are
    available; candles alone have none.

    ``patience_ns`` is how long to wait for missing candles or books, zero when nothing is missing,
    and ``since`` when that wait began. With ``settled``, own orders are cancelled: the decision is
    sent without another wait, unless margin is short. ``margin`` is None where it is unknown, or
    own orders still use it. ``memory`` is that of earlier decisions, corrected by what is held.
    """

    ts: int
    data_ts: int
    stamp: int
    now: int
    equity: Decimal
    verdict: Verdict
    lines: tuple[Line, ...]
    proposal: Proposal | None = None
    equity_now: Decimal | None = None
    sees_books: bool = False
    patience_ns: int = 0
    since: int | None = None
    settled: bool = False
    margin: Margin | None = None
    memory: Memory = NO_MEMORY


class Wait(NamedTuple):
    """Look again after a pause; ``since`` is for the next `Snapshot`, ``why`` for a person."""

    pause_ns: int
    since: int | None
    why: str


def decide(snapshot: Snapshot, rules: PanelRebalancerConfig) -> Decision | Wait:
    """Return the decision, or how long to wait for missing data.

    It waits after a start, when all spreads would seem too wide; while a link is down, when nothing
    could be entered, yet the stamp would be done; and for a late candle, as without it an
    instrument would be sold.
    """
    if snapshot.verdict.action == Action.FLATTEN:
        everything = {line.instrument for line in snapshot.lines}
        return leave(snapshot, rules, everything, snapshot.verdict.reason)
    if not snapshot.settled:
        by_ns = snapshot.ts + duration_ns(rules.execution.retry_for)
        if passes(snapshot.verdict, by_ns):
            return Wait(HALT_PAUSE_NS, snapshot.since, str(refused_by(snapshot.verdict)))
        since = snapshot.now if snapshot.since is None else snapshot.since
        if snapshot.now - since < snapshot.patience_ns:
            candles = snapshot.patience_ns == CANDLES_PATIENCE_NS
            why = "candles or funding are missing" if candles else "best bids and asks are missing"
            return Wait(LOOK_PAUSE_NS, since, why)
    proposal = snapshot.proposal
    assert proposal is not None
    reason = reason_to_wait(rules, proposal)
    if reason:
        return keep(snapshot, rules, reason)
    # Exposure is off by the market's moves since the closes. On time that is little, and backtest
    # and live size alike; a decision that is hours late is sized at current prices.
    notes, equity = [in_words(proposal)], snapshot.equity
    if not snapshot.sees_books:
        notes.append(not_applied(rules))
    if snapshot.equity_now is not None:
        hours = (snapshot.ts - snapshot.stamp) / 3.6e12
        notes.append(f"{hours:.1f} h late: sized at the newest prices, not at closes")
        equity = snapshot.equity_now
    targets = _targets(rules, proposal, snapshot.lines, equity)
    part = part_carried(snapshot.margin, targets)
    if part < 1.0:
        since = snapshot.now if snapshot.since is None else snapshot.since
        if snapshot.now - since < MARGIN_PATIENCE_NS:
            return Wait(LOOK_PAUSE_NS, since, f"margin carries {part:.1%} of the book")
        # All legs alike, or a neutral book would not stay neutral.
        targets = _targets(rules, proposal, snapshot.lines, equity, part)
        notes.append(f"margin carries {part:.1%} of the book: every leg is cut so")
    note = "; ".join(filter(None, notes))
    return _decision(snapshot, rules, "rebalance", targets, note, equity)


def part_carried(margin: Margin | None, targets: Iterable[Target]) -> float:
    """Return the part of the targets, 0 to 1, whose initial margin the account has.

    It does not ask to close what is held: a book that uses more than there is stays as large.
    """
    if margin is None:
        return 1.0
    held = wanted = ZERO
    for target in targets:
        price = ZERO if target.price is None else Decimal(repr(target.price))
        held += margin.used(target.instrument, Decimal(target.current) * price)
        wanted += margin.used(target.instrument, Decimal(target.target) * price)
    room = max(margin.free, ZERO) + held
    return 1.0 if wanted <= room else math.floor(room / wanted * 1000) / 1000


def leave(
    snapshot: Snapshot, rules: PanelRebalancerConfig, leaving: Container[str], note: str
) -> Decision:
    """Return the decision to close positions in some instruments and keep the others."""
    targets = [
        _unscored(line, -line.held if line.instrument in leaving else ZERO)
        for line in snapshot.lines
    ]
    return _decision(snapshot, rules, "flatten", targets, note, snapshot.equity)


def keep(snapshot: Snapshot, rules: PanelRebalancerConfig, note: str) -> Decision:
    """Return the decision to trade nothing; the stamp stays due until candles are there."""
    proposal = snapshot.proposal
    assert proposal is not None
    targets = [
        _unscored(line, ZERO, explain(proposal, line.column, rules)) for line in snapshot.lines
    ]
    return _decision(snapshot, rules, "wait", targets, note, snapshot.equity)


def _decision(
    snapshot: Snapshot,
    rules: PanelRebalancerConfig,
    kind: str,
    targets: Iterable[Target],
    note: str,
    equity: Decimal,
) -> Decision:
    targets, verdict = tuple(targets), snapshot.verdict
    weights = np.array([target.weight for target in targets])
    return Decision(
        strategy=rules.key,
        ts=snapshot.ts,
        data_ts=snapshot.data_ts,
        kind=kind,
        equity=f"{equity:f}",
        multiplier=verdict.multiplier if verdict.action == Action.SHRINK else 1.0,
        gross=float(np.abs(weights).sum()),
        net=float(weights.sum()),
        targets=targets,
        note=note,
    )


def _unscored(line: Line, order: Decimal, reason: str = "") -> Target:
    return Target(
        instrument=line.instrument,
        current=f"{line.held:f}",
        target=f"{line.held + order:f}",
        order=f"{order:f}",
        reason=reason,
    )


def _targets(
    rules: PanelRebalancerConfig,
    proposal: Proposal,
    lines: Iterable[Line],
    equity: Decimal,
    part: float = 1.0,
) -> list[Target]:
    seen = (proposal.weight, proposal.price, proposal.score, proposal.rank)
    columns = list(zip(*(array.tolist() for array in seen), strict=True))
    wants = []
    for line in lines:
        weight, close = columns[line.column][:2]
        price = None if math.isnan(close) else line.newest or Decimal(repr(close))
        wants.append(_Want(line, part * weight, price))
    targets = []
    for want, sized in zip(wants, _sized(rules, wants, equity), strict=True):
        score, rank = columns[want.line.column][2:]
        held, why = want.line.held, explain(proposal, want.line.column, rules)
        targets.append(
            Target(
                instrument=want.line.instrument,
                price=None if want.price is None else float(want.price),
                score=None if math.isnan(score) else score,
                rank=rank or None,
                weight=want.weight,
                current=f"{held:f}",
                target=f"{held + sized.quantity:f}",
                order=f"{sized.quantity:f}",
                reason="; ".join(filter(None, (why, sized.reason))),
                held_back_by=sized.guard or msgspec.UNSET,
                wanted=msgspec.UNSET if sized.wanted is None else f"{sized.wanted:f}",
            )
        )
    return targets


class _Want(NamedTuple):
    line: Line
    weight: float
    price: Decimal | None

    def order(
        self, rules: PanelRebalancerConfig, equity: Decimal, band: float | None = None
    ) -> Sized:
        line = self.line
        if not (self.weight or line.held) and line.verdict.action < Action.FLATTEN:
            return NO_ORDER
        return order_for(
            rules,
            self.weight,
            price=self.price,
            equity=equity,
            held=line.held,
            lot=line.lot,
            verdict=line.verdict,
            band=band,
        )

    def value_after(self, order: Sized) -> Decimal:
        return abs(self.line.held + order.quantity) * (self.price or ZERO)

    def enters(self, order: Sized) -> bool:
        return order.quantity * (self.line.held + order.quantity) > ZERO


def _sized(rules: PanelRebalancerConfig, wants: list[_Want], equity: Decimal) -> list[Sized]:
    """Return the orders, with as many of the cuts inside the band as make room for entries.

    The largest cuts are made first, of equal ones the first by instrument. Where none enters,
    prices alone have moved the book beyond the gross, and the band is for that.
    """
    orders = [want.order(rules, equity) for want in wants]
    room = Decimal(repr(rules.gross_leverage * rules.allocation)) * equity
    room -= sum(want.value_after(order) for want, order in zip(wants, orders, strict=True))
    if room >= ZERO or not any(map(_Want.enters, wants, orders)):
        return orders
    cuts = []
    for at, (want, order) in enumerate(zip(wants, orders, strict=True)):
        if order is INSIDE_BAND:
            cut = want.order(rules, equity, band=0.0)
            cuts.append((want.value_after(cut) - want.value_after(order), at, cut))
    for change, at, cut in sorted(cuts, key=itemgetter(0, 1)):
        if room >= ZERO or change >= ZERO:
            break
        reason = "; ".join(filter(None, (_FOR_ROOM, cut.reason)))
        orders[at], room = replace(cut, reason=reason), room - change
    return orders


def order_for(
    rules: PanelRebalancerConfig,
    weight: float,
    *,
    price: Decimal | None,
    equity: Decimal,
    held: Decimal,
    lot: Lot,
    verdict: Verdict,
    band: float | None = None,
) -> Sized:
    """Return the order toward a weight, within verdict and exchange rules.

    ``weight`` is a signed fraction of equity, ``held`` signed base coin; price and equity are in
    the settlement currency. Without a price, or any equity left, the position is closed. ``band``
    replaces the no-trade band of the rules.
    """
    if price is None or equity <= ZERO:
        return Sized(-held)
    if verdict.action == Action.FLATTEN:
        return _held_back(-held, verdict)
    if held == ZERO and weight == 0.0:
        return NO_ORDER
    if verdict.action == Action.SHRINK:
        weight *= verdict.multiplier
    band = rules.no_trade_band if band is None else band
    if not outside_band(float(held * price / equity), weight, band):
        return INSIDE_BAND
    sized = size_order(
        held,
        Decimal(repr(weight)) * equity / price,
        price,
        lot,
        minimum=rules.exchange_minimum,
        largest=Decimal(repr(rules.max_weight * rules.allocation)) * equity / price,
    )
    if verdict.action < Action.HALT_ENTRIES or sized.quantity == ZERO:
        return sized
    # Only orders that shrink the position are allowed.
    wanted = held + sized.quantity
    if held * sized.quantity >= ZERO:
        return _held_back(ZERO, verdict, wanted)
    return sized if abs(sized.quantity) <= abs(held) else _held_back(-held, verdict, wanted)


def _held_back(quantity: Decimal, verdict: Verdict, wanted: Decimal | None = None) -> Sized:
    reason = f"{verdict.action.name.lower()} by {verdict.guard}: {verdict.reason}"
    return Sized(quantity, reason, verdict.guard, wanted)
