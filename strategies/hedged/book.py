"""Book of pairs: their virtual positions, and the changes under way. Pure; saved for a restart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from config.durations import SECOND_NS
from strategies.account_value import fee_explains
from strategies.hedged.positions import (
    Holding,
    Move,
    Positions,
    Spare,
    close_spare,
    retarget,
    settle,
)
from strategies.tactics import two_leg
from strategies.tactics.two_leg import NONE, Cut, Haste, Legs, TwoLeg, TwoLegRules, Want

ZERO = Decimal(0)


class Plan(NamedTuple):
    """A change that a decision wants: an entry at current prices, or an exit (the default)."""

    pair: str
    legs: tuple[str, str]
    goal: Legs = NONE
    prices: Legs = NONE
    lead: int | None = None
    forced: bool = False


class Ended(NamedTuple):
    """A change that ended: what the pair holds, why it was cut, and how long it was unhedged.

    ``value_seconds`` are in the settlement currency; ``began`` is UNIX nanoseconds (UTC).
    """

    pair: str
    held: Legs
    cut: Cut
    began: int
    seconds: float
    value_seconds: float


class Fixed(NamedTuple):
    """What stays from a pair's entry to its exit: quantities that hedge each other, and prices."""

    full: Legs
    prices: Legs


class PairBook(msgspec.Struct, frozen=True):
    """Positions of the pairs, and their changes under way by pair."""

    positions: Positions = Positions()
    changes: dict[str, TwoLeg] = {}
    fixed: dict[str, Fixed] = {}

    @property
    def pairs(self) -> dict[str, Holding]:
        """Pairs that hold or want something."""
        return self.positions.pairs

    def goals(self) -> dict[str, Decimal]:
        """Return the position that decisions want, by instrument."""
        total = {name: spare.target for name, spare in self.positions.spare.items()}
        for pair in self.pairs.values():
            for name, quantity in zip(pair.legs, pair.target, strict=True):
                total[name] = total.get(name, ZERO) + quantity
        return total

    def need(self, instrument: str) -> Decimal:
        """Return what is missing in an instrument to what decisions want, signed."""
        return self.goals().get(instrument, ZERO) - self.positions.held().get(instrument, ZERO)

    def wanted(self, rules: TwoLegRules) -> dict[str, Want]:
        """Return the position to reach now in each instrument, the hastiest pair deciding how."""
        found: dict[str, Want] = {}

        def add(instrument: str, quantity: Decimal, held: Decimal, haste: Haste) -> None:
            before = found.get(instrument, Want(ZERO, Haste.TACTIC))
            most = max(before.haste, haste) if quantity != held else before.haste
            found[instrument] = Want(before.quantity + quantity, most)

        for instrument, spare in self.positions.spare.items():
            add(instrument, spare.target, spare.held, Haste.MARKET)
        for name, pair in self.pairs.items():
            change = self.changes.get(name)
            rest = tuple(Want(quantity, Haste.TACTIC) for quantity in pair.held)
            wants = rest if change is None else two_leg.wants(change, rules)
            for leg, held, want in zip(pair.legs, pair.held, wants, strict=True):
                add(leg, want.quantity, held, want.haste)
        return found


Result = tuple[PairBook, list[Ended]]


class Terms(NamedTuple):
    """Lots by instrument, the rules of two legs, and instruments with own orders under way."""

    steps: Mapping[str, Decimal]
    rules: TwoLegRules
    busy: frozenset[str] = frozenset()

    def lots(self, pair: Holding) -> Legs:
        """Return the lots of a pair's legs."""
        return self.steps[pair.legs[0]], self.steps[pair.legs[1]]


def change_pairs(book: PairBook, plans: Iterable[Plan], terms: Terms, now: int) -> Result:
    """Return the book after a decision, with what crossed inside; the rest is to be traded."""
    positions, changes, fixed = close_spare(book.positions), dict(book.changes), dict(book.fixed)
    pairs = dict(positions.pairs)
    for plan in plans:
        pair = pairs.setdefault(plan.pair, Holding(plan.legs))
        enters = plan.goal != NONE
        if enters:
            fixed[plan.pair] = Fixed(plan.goal, plan.prices)
        full, prices = fixed[plan.pair]
        change = TwoLeg(
            goal=plan.goal, held=pair.held, full=full, prices=prices, steps=terms.lots(pair),
            started=now, at=now, enters=enters, lead=plan.lead, forced=plan.forced,
        )  # fmt: skip
        changes[plan.pair] = two_leg.begun(change)
    return _settled(PairBook(replace(positions, pairs=pairs), changes, fixed), terms, now)


def venue_traded(
    book: PairBook,
    instrument: str,
    change: Decimal,
    price: Decimal | None,
    terms: Terms,
    now: int,
    *,
    own: bool,
) -> Result:
    """Return the book after the venue's position has changed, by own orders or by others.

    Without a ``price`` that of the entry counts. What an own order filled after its pair was cut is
    that pair's.
    """
    step = terms.steps[instrument]
    cut = (name for name, found in sorted(book.changes.items()) if found.cut)
    late = next((name for name in cut if instrument in book.pairs[name].legs), None)
    positions, moves = settle(book.positions, instrument, change, step, own=own, late=late)
    book = _moved(replace(book, positions=positions), moves, price, terms, now)
    return _settled(book, terms, now)


def recovered(book: PairBook, held: Mapping[str, Decimal], terms: Terms, now: int) -> Result:
    """Return the book after a restart; ``held`` is what the venue has of each instrument.

    All is settled before any time passes, so that no leg is judged without the other. What enlarges
    the position of a change under way was filled by own orders.
    """
    then = min((change.at for change in book.changes.values()), default=now)
    before, ended = book.positions.held(), list[Ended]()
    for name, quantity in held.items():
        moved = quantity - before.get(name, ZERO)
        if moved:
            own = any(
                book.fixed[pair].full[book.pairs[pair].legs.index(name)] * moved > ZERO
                for pair in book.changes
                if name in book.pairs[pair].legs
            )
            book, more = venue_traded(book, name, moved, None, terms, then, own=own)
            ended += more
    book, more = time_passed(book, terms, now)
    return book, ended + more


def blocked(
    book: PairBook,
    instrument: str,
    reason: Cut,
    terms: Terms,
    now: int,
    *,
    buys: bool | None = None,
) -> Result:
    """Return the book after orders in an instrument were refused for good, all or one side's."""
    changes = dict(book.changes)
    for name, change in book.changes.items():
        pair = book.pairs[name]
        need = pair.need(instrument) if instrument in pair.legs else ZERO
        if need and buys in (None, need > ZERO):
            event = two_leg.Blocked(now, pair.legs.index(instrument), reason)
            changes[name] = two_leg.step(change, event, terms.rules)
    return _settled(replace(book, changes=changes), terms, now)


def time_passed(book: PairBook, terms: Terms, now: int) -> Result:
    """Return the book after time passed."""
    changes = {
        name: two_leg.step(change, two_leg.Passed(now), terms.rules)
        for name, change in book.changes.items()
    }
    return _settled(replace(book, changes=changes), terms, now)


def netted_with(book: PairBook, halted: Iterable[str]) -> list[str]:
    """Return pairs that must leave so that every order in a halted instrument shrinks its position.

    A pair that leaves may have been netted with one that stays: its order would enlarge the venue's
    position, is denied while entries are halted, and would leave its other leg alone.
    """
    held, leaving = book.positions.held(), list[str]()
    entering = {name for name, change in book.changes.items() if change.enters}
    instruments = sorted(halted)
    while True:
        before = len(leaving)
        for instrument in instruments:
            kept = {
                name: (pair.held if name in entering else pair.target)[pair.legs.index(instrument)]
                for name, pair in book.pairs.items()
                if instrument in pair.legs and name not in leaving
            }
            spare = book.positions.spare.get(instrument, Spare()).target
            have, goal = held.get(instrument, ZERO), sum(kept.values(), spare)
            shrinks = have * goal >= ZERO and abs(goal) <= abs(have)
            # Those on the side that would grow, the largest first.
            found = [name for name, quantity in kept.items() if quantity * goal > ZERO]
            if not shrinks and found:
                leaving.append(min(found, key=lambda name: (-abs(kept[name]), name)))
        if len(leaving) == before:
            return leaving


def without(book: PairBook, instruments: Collection[str]) -> PairBook:
    """Return the book without pairs of instruments that nothing is held of; other legs close.

    What such a pair has of its other leg is no pair's, and not wanted.
    """
    gone = {n: pair for n, pair in book.pairs.items() if not set(pair.legs).isdisjoint(instruments)}
    spare = {n: found for n, found in book.positions.spare.items() if n not in instruments}
    for pair in gone.values():
        for leg, quantity in zip(pair.legs, pair.held, strict=True):
            if leg not in instruments and quantity:
                before = spare.get(leg, Spare())
                spare[leg] = replace(before, held=before.held + quantity)
    pairs = {name: pair for name, pair in book.pairs.items() if name not in gone}
    return PairBook(
        Positions(pairs, spare),
        {name: change for name, change in book.changes.items() if name in pairs},
        {name: found for name, found in book.fixed.items() if name in pairs},
    )


def foreign_legs(book: PairBook, ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the instruments that the book has beside these, and the pairs with them."""
    has = book.positions.held().keys() | {leg for pair in book.pairs.values() for leg in pair.legs}
    legs = has - set(ids)
    return sorted(legs), sorted(n for n, pair in book.pairs.items() if legs & set(pair.legs))


# Coins: a buy's fee is paid in them, and even exits have a minimum -------------------------------


def accept_fees(book: PairBook, terms: Terms, now: int) -> Result:
    """Return the book with entries whose coins only the fee lacks as bought: it hedges what came.

    Not while orders are under way.
    """
    changes, fixed = dict(book.changes), dict(book.fixed)
    for name, change in book.changes.items():
        for leg, instrument in enumerate(book.pairs[name].legs):
            lacking, have = change.goal[leg] - change.held[leg], change.held[leg]
            lot = terms.steps[instrument]
            if (
                change.enters
                and instrument not in terms.busy
                and fee_explains(instrument, have, lacking, lot)
            ):
                goal, full = (_with(legs, leg, have) for legs in (change.goal, change.full))
                changes[name] = replace(change, goal=goal, full=full)
                fixed[name] = Fixed(full, change.prices)
    if changes == book.changes:
        return book, []
    return _settled(replace(book, changes=changes, fixed=fixed), terms, now)


def leave_dust(
    book: PairBook, instruments: Collection[str], terms: Terms, now: int
) -> tuple[PairBook, list[Ended], dict[str, Decimal]]:
    """Return the book where rests that no order can sell are no pair's any more, and the rests.

    The next entry has them. Not while orders are under way.
    """
    changes, pairs = dict(book.changes), dict(book.pairs)
    spare, left = dict(book.positions.spare), dict[str, Decimal]()
    for name, change in book.changes.items():
        for leg, instrument in enumerate(pairs[name].legs):
            rest = change.held[leg] - change.goal[leg]
            if change.enters or not rest or instrument not in instruments:
                continue
            if instrument not in terms.busy:
                held = _with(changes[name].held, leg, change.goal[leg])
                changes[name] = replace(changes[name], held=held)
                pairs[name] = replace(pairs[name], held=held)
                before = spare.get(instrument, Spare())
                spare[instrument] = replace(before, held=before.held + rest)
                left[instrument] = rest
    if not left:
        return book, [], left
    book, ended = _settled(PairBook(Positions(pairs, spare), changes, book.fixed), terms, now)
    return book, ended, left


def _with(legs: Legs, leg: int, quantity: Decimal) -> Legs:
    return (quantity, legs[1]) if leg == 0 else (legs[0], quantity)


def _settled(book: PairBook, terms: Terms, now: int) -> Result:
    """Return the book with targets as the changes want them, and the changes that ended.

    A pair that lost something to others, or got something late, is cut to what is hedged.
    """
    moves: list[Move] = []
    while True:
        book = _moved(book, moves, None, terms, now)
        changes = dict(book.changes)
        for name, pair in book.pairs.items():
            if name not in changes and pair.held != pair.target:
                (full, prices), lots = book.fixed[name], terms.lots(pair)
                goal = two_leg.matched(pair.held, full, prices, lots)
                change = TwoLeg(
                    goal=goal, held=pair.held, full=full, prices=prices, steps=lots,
                    started=now, at=now, enters=False, forced=True, cut="lost",
                )  # fmt: skip
                changes[name] = two_leg.begun(change)
        goals = {name: (book.pairs[name].legs, change.goal) for name, change in changes.items()}
        before = book.positions
        positions, moves = retarget(before, goals)
        book = replace(book, positions=positions, changes=changes)
        if positions == before:
            break
    # A cut change has ended only when no order of its legs may fill any more.
    ended = {
        name: change
        for name, change in changes.items()
        if change.done and not (change.cut and terms.busy.intersection(book.pairs[name].legs))
    }
    changes = {name: change for name, change in changes.items() if name not in ended}
    pairs = {
        name: pair
        for name, pair in book.pairs.items()
        if name in changes or (pair.target, pair.held) != (NONE, NONE)
    }
    kept = {name: found for name, found in book.fixed.items() if name in pairs}
    book = PairBook(replace(book.positions, pairs=pairs), changes, kept)
    return book, [
        Ended(
            name, change.held, change.cut, change.started,
            change.naked_ns / SECOND_NS, float(change.value_ns / SECOND_NS),
        )
        for name, change in ended.items()
    ]  # fmt: skip


def _moved(
    book: PairBook, moves: Iterable[Move], price: Decimal | None, terms: Terms, now: int
) -> PairBook:
    changes = dict(book.changes)
    for move in moves:
        change = changes.get(move.pair)
        if change is None:
            continue
        at = change.prices[move.leg] if price is None else price
        change = two_leg.step(change, two_leg.Traded(now, move.leg, move.quantity, at), terms.rules)
        if move.lost:
            change = two_leg.step(change, two_leg.Blocked(now, move.leg, "lost"), terms.rules)
        changes[move.pair] = change
    return replace(book, changes=changes)
