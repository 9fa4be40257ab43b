"""What the desk's strategies hold, followed from fill to fill; and which entries are new trades.

Pulses say what is held, fills what changed since: between two pulses a trade can be opened and
closed. Adding to an open position is no new trade, nor is a further order beside one that is under
way to open the same.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.rules.facts import Asked, Pulse, Standing, Traded


class Held(msgspec.Struct, frozen=True):
    """An open position of a strategy: signed base coin, never zero."""

    strategy: str
    instrument: str
    quantity: Decimal


Holds = tuple[Held, ...]
"""Sorted by instrument, then strategy."""


def held_of(pulse: Pulse) -> Holds:
    """Return what a pulse says; what is nobody's of this desk is left out."""
    return tuple(Held(h.strategy, h.instrument, h.quantity) for h in pulse.holdings if h.strategy)


def after_fill(holds: Holds, fill: Traded) -> Holds:
    """Return what is held after a fill."""
    name = (fill.instrument, fill.strategy)
    found = {(held.instrument, held.strategy): held.quantity for held in holds}
    left = found.pop(name, Decimal(0)) + fill.quantity
    if left:
        found[name] = left
    return tuple(
        Held(strategy, instrument, found[instrument, strategy])
        for instrument, strategy in sorted(found)
    )


def is_flat(holds: Holds, scope: str) -> bool:
    """Whether nothing is held in a scope."""
    return not any(
        scope in ("desk", f"strategy:{held.strategy}", f"instrument:{held.instrument}")
        for held in holds
    )


def own_standing(asked: Asked) -> Standing | None:
    """Return what stands of the order's own owner in its instrument."""
    for row in asked.standing:
        if row.strategy == asked.strategy and row.instrument == asked.instrument:
            return row
    return None


def adds(asked: Asked) -> bool:
    """Whether the order adds to a position that is open."""
    own = own_standing(asked)
    return own is not None and own.held * asked.quantity > 0


def opens(asked: Asked) -> bool:
    """Whether the order would open a trade of its own if all that is under way was filled before.

    Examples
    --------
    >>> from decimal import Decimal as D
    >>> row = Standing(strategy="a", instrument="B", held=D(0), buys=D(1), price=D(100))
    >>> buy = Asked(ts=0, strategy="a", instrument="B", quantity=D(1), price=None, is_exit=False)
    >>> opens(buy), opens(msgspec.structs.replace(buy, standing=(row,)))
    (True, False)
    """
    own = own_standing(asked)
    if own is None:
        return True
    if own.held:
        return own.held * asked.quantity < 0
    same, other = (own.buys, own.sells) if asked.quantity > 0 else (own.sells, own.buys)
    return same == 0 or other > 0


def is_under_way(asked: Asked) -> bool:
    """Whether other orders of the owner are under way in the instrument."""
    own = own_standing(asked)
    return own is not None and (own.buys > 0 or own.sells > 0)
