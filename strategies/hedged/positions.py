"""Virtual positions of pairs that share instruments, netted to one position an instrument. Pure.

Each pair has a target and a held quantity of each leg. What two pairs need in opposite directions
crosses inside at once, without order and fee. What the venue's position changes by goes to the
pairs that need it, first come first served in the order of their names; what nobody needs, as by
hand, a liquidation or auto-deleveraging, is taken from those who hold it, in proportion. The sum of
the pairs, and of ``spare`` for what is no pair's, is always the venue's position, to the lot.

The same functions on recorded decisions and fills give each pair's part of a fill (`attributed`).
Quantities are signed base coin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from strategies.sizing.rounding import whole_lots
from strategies.tactics.two_leg import NONE, Legs

ZERO = Decimal(0)
_SPARE = ""
"""Among the names of pairs, what is no pair's."""


class Holding(msgspec.Struct, frozen=True):
    """One pair's position: legs, quantities wanted, and quantities held."""

    legs: tuple[str, str]
    target: Legs = NONE
    held: Legs = NONE

    def need(self, instrument: str) -> Decimal:
        """Return what is missing to the target in one instrument."""
        leg = self.legs.index(instrument)
        return self.target[leg] - self.held[leg]

    def has(self, instrument: str) -> Decimal:
        """Return what is held in one instrument."""
        return self.held[self.legs.index(instrument)]


class Spare(msgspec.Struct, frozen=True):
    """What is no pair's: fills of own orders beyond any need are closed, others' are left."""

    target: Decimal = ZERO
    held: Decimal = ZERO


class Positions(msgspec.Struct, frozen=True):
    """Positions of all pairs by name, and what is no pair's by instrument."""

    pairs: dict[str, Holding] = {}
    spare: dict[str, Spare] = {}

    def held(self) -> dict[str, Decimal]:
        """Return the sum of all that is held, by instrument; nothing of those without any."""
        total: dict[str, Decimal] = {name: spare.held for name, spare in self.spare.items()}
        for pair in self.pairs.values():
            for name, quantity in zip(pair.legs, pair.held, strict=True):
                total[name] = total.get(name, ZERO) + quantity
        return {name: quantity for name, quantity in total.items() if quantity}


class Move(NamedTuple):
    """A change of what one pair holds; ``lost`` when it did not need it."""

    pair: str
    leg: int
    quantity: Decimal
    lost: bool = False


def retarget(
    positions: Positions, targets: Mapping[str, tuple[tuple[str, str], Legs]]
) -> tuple[Positions, list[Move]]:
    """Return the positions with new targets, (legs, quantities) by pair, and what crossed.

    What is no pair's crosses as well.
    """
    pairs = dict(positions.pairs)
    for name, (legs, target) in targets.items():
        pairs[name] = replace(pairs.get(name, Holding(legs)), target=target)
    spare, moves = dict(positions.spare), list[Move]()
    for instrument in sorted({leg for pair in pairs.values() for leg in pair.legs}):
        found = spare.get(instrument, Spare())
        needs = [(n, p.need(instrument)) for n, p in sorted(pairs.items()) if instrument in p.legs]
        needs.append((_SPARE, found.target - found.held))
        bought = min(sum(q for _, q in needs if q > ZERO), -sum(q for _, q in needs if q < ZERO))
        for change in (Decimal(bought), -Decimal(bought)):
            for name, quantity in _given(needs, change):
                if name == _SPARE:
                    spare[instrument] = replace(found, held=found.held + quantity)
                else:
                    moves.append(_move(pairs, name, instrument, quantity))
    return _positions(pairs, spare), moves


def settle(
    positions: Positions,
    instrument: str,
    change: Decimal,
    step: Decimal,
    *,
    own: bool,
    late: str | None = None,
) -> tuple[Positions, list[Move]]:
    """Return the positions after the venue's has changed in an instrument, and who got what.

    ``own`` for a fill of the strategy's own order; ``step`` is the lot. ``late`` is the pair that
    gets what an own order filled beyond any need; without it that is no pair's.
    """
    pairs = dict(positions.pairs)
    holders = [name for name, pair in sorted(pairs.items()) if instrument in pair.legs]
    spare, moves = positions.spare.get(instrument, Spare()), list[Move]()
    needs = [(_SPARE, spare.target - spare.held)]
    needs += [(name, pairs[name].need(instrument)) for name in holders]
    for name, quantity in _given(needs, change):
        change -= quantity
        if name == _SPARE:
            spare = replace(spare, held=spare.held + quantity)
        else:
            moves.append(_move(pairs, name, instrument, quantity))
    if not own:
        # What is no pair's goes first, and is nobody's loss.
        for _, lost in _given([(_SPARE, -spare.held)], change):
            spare = Spare(spare.target + lost, spare.held + lost)
            change -= lost
        for name, quantity in _pro_rata(
            [(n, pairs[n].has(instrument)) for n in holders], change, step
        ):
            moves.append(_move(pairs, name, instrument, quantity, lost=True))
            change -= quantity
    elif change and late is not None:
        moves.append(_move(pairs, late, instrument, change))
        change = ZERO
    spare = Spare(spare.target + (ZERO if own else change), spare.held + change)
    return _positions(pairs, {**positions.spare, instrument: spare}), moves


def _positions(pairs: dict[str, Holding], spare: Mapping[str, Spare]) -> Positions:
    return Positions(pairs, {name: found for name, found in spare.items() if found != Spare()})


def close_spare(positions: Positions) -> Positions:
    """Return the positions with nothing wanted that is no pair's."""
    spare = {name: replace(found, target=ZERO) for name, found in positions.spare.items()}
    return replace(positions, spare=spare)


class Ordered(NamedTuple):
    """A decision's new targets, (legs, quantities) by pair."""

    targets: Mapping[str, tuple[tuple[str, str], Legs]]


class Traded(NamedTuple):
    """A fill: signed base coin; ``own`` for the strategy's own order."""

    instrument: str
    quantity: Decimal
    own: bool = True


class Part(NamedTuple):
    """A pair's part of a decision's crossing or of a fill, by the event's place."""

    event: int
    pair: str
    instrument: str
    quantity: Decimal


def attributed(events: Iterable[Ordered | Traded], steps: Mapping[str, Decimal]) -> Iterator[Part]:
    """Yield each pair's parts of recorded decisions and fills, in the order of events.

    What crossed inside belongs to a decision, at the decision's prices. What is no pair's has no
    part. A fill beyond any need is that of a pair whose target changed before it was reached.
    ``steps`` are the lots by instrument.
    """
    positions, cut = Positions(), set[str]()
    for index, event in enumerate(events):
        if isinstance(event, Ordered):
            for name, (_, target) in event.targets.items():
                pair = positions.pairs.get(name)
                if pair is not None and pair.target != target:
                    cut.discard(name)
                    if pair.held != pair.target:
                        cut.add(name)
            positions, moves = retarget(close_spare(positions), event.targets)
        else:
            instrument, lot = event.instrument, steps[event.instrument]
            late = (n for n in sorted(cut) if instrument in positions.pairs[n].legs)
            positions, moves = settle(
                positions, instrument, event.quantity, lot, own=event.own, late=next(late, None)
            )
        for move in moves:
            legs = positions.pairs[move.pair].legs
            yield Part(index, move.pair, legs[move.leg], move.quantity)


def _move(
    pairs: dict[str, Holding], name: str, instrument: str, quantity: Decimal, *, lost: bool = False
) -> Move:
    pair = pairs[name]
    leg, held = pair.legs.index(instrument), list(pair.held)
    held[leg] += quantity
    pairs[name] = replace(pair, held=(held[0], held[1]))
    return Move(name, leg, quantity, lost)


def _given(needs: Iterable[tuple[str, Decimal]], change: Decimal) -> list[tuple[str, Decimal]]:
    """Return what each need gets of a change, in order, of those that get anything."""
    found = []
    for name, need in needs:
        if need * change > ZERO:
            found.append((name, min(need, change, key=abs)))
            change -= found[-1][1]
    return found


def _pro_rata(
    held: Iterable[tuple[str, Decimal]], change: Decimal, step: Decimal
) -> list[tuple[str, Decimal]]:
    """Return what each holder of the opposite side loses, whole lots, in proportion."""
    holders = [(name, abs(q)) for name, q in held if q * change < ZERO]
    total = sum((q for _, q in holders), ZERO)
    size, sign = min(abs(change), total), 1 if change > ZERO else -1
    if not size:
        return []
    lots = [whole_lots(size * q / total, step) for _, q in holders]
    rest = size - sum(lots, ZERO)
    found = []
    for (name, q), lost in zip(holders, lots, strict=True):
        # What rounding left over, from the first that still has it.
        more = min(rest, q - lost)
        rest -= more
        if lost + more:
            found.append((name, (lost + more) * sign))
    return found
